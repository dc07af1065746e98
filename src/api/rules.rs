//! `/api/v1/rules`: the mapping rules for scripts. A change is worked into the figures before it is answered.

use super::body::parse;
use super::catalogue::{BeingWorkedIn, DeletedNumber, answer, present};
use super::error::{ErrorBody, Result};
use crate::allocate::{AppliesTo, Condition, DimensionTarget};
use crate::store::mapping_rules::{self, MappingRule, Place, RuleValues};
use crate::store::{Snapshot, catalogue};
use crate::web::mapping_change::{self, MappingChange};
use crate::web::rules::edit::{add_rule, change_rule};
use crate::web::rules::form::{checked, checked_reason, environment_id, service_id, team_id};
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::collections::HashMap;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let (read, admin) = (ApiPolicy::read(Policy::SignedIn), ApiPolicy::admin(Policy::Bills));
    routes
        .api_get("/api/v1/rules", read, list)
        .api_post("/api/v1/rules", admin, add)
        .api_patch("/api/v1/rules/{id}", admin, change)
        .api_post("/api/v1/rules/{id}/delete", admin, delete)
}

/// A rule.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RuleBody {
    /// Its id.
    pub id: i64,
    /// Its place in the list, from 1; lower is asked first.
    pub number: i64,
    /// The content.
    #[serde(flatten)]
    pub content: NewRule,
    /// Who made it.
    pub created_by: String,
}

/// What a rule says. It names a service, an environment, or both.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRule {
    /// What it is for.
    pub applies_to: AppliesTo,
    /// All must hold; none means everything.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The short name of a fixed service.
    pub service: Option<String>,
    /// The attribute whose value names the service.
    pub service_from_attribute: Option<String>,
    /// The short name of a fixed environment.
    pub environment: Option<String>,
    /// The attribute whose value names the environment.
    pub environment_from_attribute: Option<String>,
    /// The short name of a fixed team: it gets what no rule gives to a service.
    #[serde(default)]
    pub team: Option<String>,
    /// The attribute whose value names the team.
    #[serde(default)]
    pub team_from_attribute: Option<String>,
    /// Values of dimensions: product, cost_center, or your own.
    #[serde(default)]
    pub dimensions: Vec<DimensionTarget>,
    /// The first charge day that the rule holds on; without one, from the beginning.
    #[serde(default)]
    pub first_day: Option<NaiveDate>,
    /// The last charge day that the rule holds on; without one, for good.
    #[serde(default)]
    pub last_day: Option<NaiveDate>,
    /// Whether a name that the catalogue lacks is added to it.
    #[serde(default)]
    pub adds_to_catalogue: bool,
    /// Why the rule is there.
    #[serde(default)]
    pub note: String,
    /// `first`, `last`, or a place from 1; last when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Why the rule is made; its note when absent. Kept with the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What changes of a rule; what is absent stays, the conditions too. `null` takes a target or a day away. Of a fixed service,
/// environment or team and the attribute that names it, the one that is told takes the place of the other.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleChange {
    /// What it is for.
    pub applies_to: Option<AppliesTo>,
    /// All its conditions, instead of those that it has; an empty list means everything.
    pub conditions: Option<Vec<Condition>>,
    /// The short name of a fixed service.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub service: Option<Option<String>>,
    /// The attribute whose value names the service.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub service_from_attribute: Option<Option<String>>,
    /// The short name of a fixed environment.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub environment: Option<Option<String>>,
    /// The attribute whose value names the environment.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub environment_from_attribute: Option<Option<String>>,
    /// The short name of a fixed team: it gets what no rule gives to a service.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub team: Option<Option<String>>,
    /// The attribute whose value names the team.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub team_from_attribute: Option<Option<String>>,
    /// All its values of dimensions, instead of those that it has.
    pub dimensions: Option<Vec<DimensionTarget>>,
    /// The first charge day that the rule holds on; `null` for from the beginning.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<NaiveDate>)]
    pub first_day: Option<Option<NaiveDate>>,
    /// The last charge day that the rule holds on; `null` for good.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<NaiveDate>)]
    pub last_day: Option<Option<NaiveDate>>,
    /// Whether a name that the catalogue lacks is added to it.
    pub adds_to_catalogue: Option<bool>,
    /// Why the rule is there.
    pub note: Option<String>,
    /// `first`, `last`, or a place from 1.
    pub place: Option<String>,
    /// Why the rule is changed; needed, and kept with the version.
    pub reason: Option<String>,
}

/// List rules in the order in which they are asked.
#[utoipa::path(get, path = "/api/v1/rules", tag = "rules", responses((status = 200, body = Vec<RuleBody>)))]
pub async fn list(State(app): State<AppState>) -> Result<Json<Vec<RuleBody>>> {
    let mut snapshot = app.pools.snapshot().await?;
    Ok(Json(bodies(&mut snapshot).await?))
}

/// Add a rule.
#[utoipa::path(post, path = "/api/v1/rules", tag = "rules", request_body = NewRule, responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 201, body = RuleBody), (status = 422, body = ErrorBody)))]
pub async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    body: Bytes,
) -> Result<Response> {
    let new: NewRule = parse(&body)?;
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let values = values(change.conn(), &new).await?;
        let place = place(new.place.as_deref())?.unwrap_or(Place::Last);
        let reason = checked_reason(new.reason.as_deref().unwrap_or(&new.note))?;
        let id = add_rule(&mut change, &values, place, &reason).await?;
        change.finish().await?;
        one(&app, id).await
    });
    answer(StatusCode::CREATED, done.await)
}

/// Change a rule. What is absent stays, its id always.
#[utoipa::path(patch, path = "/api/v1/rules/{id}", tag = "rules", request_body = RuleChange,
    params(("id" = i64, Path, description = "Its id")), responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 200, body = RuleBody), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn change(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    body: Bytes,
) -> Result<Response> {
    let wanted: RuleChange = parse(&body)?;
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let before = mapping_rules::get(change.conn(), id).await?.ok_or(web::Error::NotFound)?;
        let values = changed(change.conn(), before.values, &wanted).await?;
        let reason = checked_reason(wanted.reason.as_deref().unwrap_or_default())?;
        change_rule(&mut change, id, &values, place(wanted.place.as_deref())?, &reason).await?;
        change.finish().await?;
        one(&app, id).await
    });
    answer(StatusCode::OK, done.await)
}

/// Delete a rule. It can be put back on the rules page.
#[utoipa::path(post, path = "/api/v1/rules/{id}/delete", tag = "rules",
    params(("id" = i64, Path, description = "Its id")), responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 200, description = "Deleted", body = DeletedNumber), (status = 404, body = ErrorBody)))]
pub async fn delete(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Response> {
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        web::rules::delete_rule(&mut change, id, "Deleted by the API.").await?;
        change.finish().await?;
        Ok(DeletedNumber { deleted: id })
    });
    answer(StatusCode::OK, done.await)
}

async fn values(conn: &mut PgConnection, new: &NewRule) -> web::Result<RuleValues> {
    checked(RuleValues {
        team_id: id_of(conn, Target::Team, new.team.as_deref()).await?,
        team_from_attribute: new.team_from_attribute.clone(),
        dimensions: json_of(&new.dimensions)?,
        first_day: new.first_day,
        last_day: new.last_day,
        applies_to: new.applies_to.key().to_owned(),
        conditions: json_of(&new.conditions)?,
        service_id: id_of(conn, Target::Service, new.service.as_deref()).await?,
        environment_id: id_of(conn, Target::Environment, new.environment.as_deref()).await?,
        service_from_attribute: new.service_from_attribute.clone(),
        environment_from_attribute: new.environment_from_attribute.clone(),
        adds_to_catalogue: new.adds_to_catalogue,
        note: new.note.trim().to_owned(),
    })
}

// What a rule says with a change.
async fn changed(conn: &mut PgConnection, before: RuleValues, wanted: &RuleChange) -> web::Result<RuleValues> {
    let mut values = before;
    if let Some(applies_to) = wanted.applies_to {
        values.applies_to = applies_to.key().to_owned();
    }
    if let Some(conditions) = &wanted.conditions {
        values.conditions = json_of(conditions)?;
    }
    if let Some(dimensions) = &wanted.dimensions {
        values.dimensions = json_of(dimensions)?;
    }
    let told = told_id(conn, Target::Service, &wanted.service).await?;
    retarget(&mut values.service_id, &mut values.service_from_attribute, told, &wanted.service_from_attribute);
    let told = told_id(conn, Target::Environment, &wanted.environment).await?;
    let attribute = &wanted.environment_from_attribute;
    retarget(&mut values.environment_id, &mut values.environment_from_attribute, told, attribute);
    let told = told_id(conn, Target::Team, &wanted.team).await?;
    retarget(&mut values.team_id, &mut values.team_from_attribute, told, &wanted.team_from_attribute);
    values.first_day = wanted.first_day.unwrap_or(values.first_day);
    values.last_day = wanted.last_day.unwrap_or(values.last_day);
    values.adds_to_catalogue = wanted.adds_to_catalogue.unwrap_or(values.adds_to_catalogue);
    if let Some(note) = &wanted.note {
        values.note = note.trim().to_owned();
    }
    checked(values)
}

// Where both are told, both are put: it is refused with its sentence.
fn retarget(
    id: &mut Option<i64>,
    attribute: &mut Option<String>,
    told_id: Option<Option<i64>>,
    told_attribute: &Option<Option<String>>,
) {
    match (told_id, told_attribute) {
        (Some(Some(_)), None) => *attribute = None,
        (None, Some(Some(_))) => *id = None,
        _ => {}
    }
    *id = told_id.unwrap_or(*id);
    if let Some(told) = told_attribute {
        attribute.clone_from(told);
    }
}

// What a rule gives charges to.
#[derive(Clone, Copy)]
enum Target {
    Service,
    Environment,
    Team,
}

async fn id_of(conn: &mut PgConnection, target: Target, slug: Option<&str>) -> web::Result<Option<i64>> {
    let Some(slug) = slug else { return Ok(None) };
    Ok(Some(match target {
        Target::Service => service_id(conn, slug).await?,
        Target::Environment => environment_id(conn, slug).await?,
        Target::Team => team_id(conn, slug).await?,
    }))
}

async fn told_id(
    conn: &mut PgConnection,
    target: Target,
    slug: &Option<Option<String>>,
) -> web::Result<Option<Option<i64>>> {
    Ok(match slug {
        None => None,
        Some(slug) => Some(id_of(conn, target, slug.as_deref()).await?),
    })
}

fn json_of<T: Serialize>(value: &T) -> web::Result<serde_json::Value> {
    serde_json::to_value(value).map_err(|error| web::Error::Internal(error.into()))
}

fn place(text: Option<&str>) -> web::Result<Option<Place>> {
    let wrong = || web::Error::Invalid("place is \"first\", \"last\" or a number from 1.".into());
    Ok(match text {
        None => None,
        Some("first") => Some(Place::First),
        Some("last") => Some(Place::Last),
        Some(number) => Some(Place::Number(number.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?)),
    })
}

async fn one(app: &AppState, id: i64) -> web::Result<RuleBody> {
    let mut snapshot = app.pools.snapshot().await?;
    bodies(&mut snapshot).await?.into_iter().find(|rule| rule.id == id).ok_or(web::Error::NotFound)
}

async fn bodies(snapshot: &mut Snapshot) -> web::Result<Vec<RuleBody>> {
    let services = catalogue::service::list(&mut *snapshot).await?.into_iter().map(|one| (one.service_id, one.slug));
    let services: HashMap<i64, String> = services.collect();
    let environments = catalogue::environment::list(&mut *snapshot).await?;
    let environments: HashMap<i64, String> =
        environments.into_iter().map(|one| (one.environment_id, one.slug)).collect();
    let teams = catalogue::team::list(&mut *snapshot).await?;
    let teams: HashMap<i64, String> = teams.into_iter().map(|one| (one.team_id, one.slug)).collect();
    let slugs = Slugs { services, environments, teams };
    let rules = mapping_rules::list(&mut *snapshot).await?;
    rules.into_iter().zip(1..).map(|(rule, number)| body(rule, number, &slugs)).collect()
}

// The short names behind ids.
struct Slugs {
    services: HashMap<i64, String>,
    environments: HashMap<i64, String>,
    teams: HashMap<i64, String>,
}

fn body(rule: MappingRule, number: i64, slugs: &Slugs) -> web::Result<RuleBody> {
    let unreadable = || web::Error::Internal(anyhow::anyhow!("mapping rule {} is not readable", rule.mapping_rule_id));
    let values = rule.values.clone();
    let content = NewRule {
        applies_to: AppliesTo::from_key(&values.applies_to).ok_or_else(unreadable)?,
        conditions: serde_json::from_value(values.conditions).map_err(|_| unreadable())?,
        service: values.service_id.and_then(|id| slugs.services.get(&id).cloned()),
        service_from_attribute: values.service_from_attribute,
        environment: values.environment_id.and_then(|id| slugs.environments.get(&id).cloned()),
        environment_from_attribute: values.environment_from_attribute,
        adds_to_catalogue: values.adds_to_catalogue,
        note: values.note,
        place: None,
        reason: None,
        team: values.team_id.and_then(|id| slugs.teams.get(&id).cloned()),
        team_from_attribute: values.team_from_attribute,
        dimensions: serde_json::from_value(values.dimensions).map_err(|_| unreadable())?,
        first_day: values.first_day,
        last_day: values.last_day,
    };
    Ok(RuleBody { id: rule.mapping_rule_id, number, content, created_by: rule.created_by })
}
