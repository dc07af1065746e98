//! `/api/v1/rules`: the mapping rules for scripts. A change is worked into the figures before it is answered.

use super::catalogue::{answer, parse};
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
use serde_json::json;
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
    /// `first`, `last`, or a place from 1. A new rule is last when absent; a changed one stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Why the rule is made or changed; a new rule may give its note instead. Kept with the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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

/// Replace a rule's content. Its id, and without `place` its place, stay.
#[utoipa::path(patch, path = "/api/v1/rules/{id}", tag = "rules", request_body = NewRule,
    params(("id" = i64, Path, description = "Its id")), responses(
    (status = 200, body = RuleBody), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn change(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    body: Bytes,
) -> Result<Response> {
    let new: NewRule = parse(&body)?;
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let values = values(change.conn(), &new).await?;
        let reason = checked_reason(new.reason.as_deref().unwrap_or_default())?;
        change_rule(&mut change, id, &values, place(new.place.as_deref())?, &reason).await?;
        change.finish().await?;
        one(&app, id).await
    });
    answer(StatusCode::OK, done.await)
}

/// Delete a rule. It can be put back on the rules page.
#[utoipa::path(post, path = "/api/v1/rules/{id}/delete", tag = "rules",
    params(("id" = i64, Path, description = "Its id")), responses(
    (status = 200, description = "Deleted"), (status = 404, body = ErrorBody)))]
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
        Ok(json!({ "deleted": id }))
    });
    answer(StatusCode::OK, done.await)
}

async fn values(conn: &mut PgConnection, new: &NewRule) -> web::Result<RuleValues> {
    let service_id = match &new.service {
        Some(slug) => Some(service_id(conn, slug).await?),
        None => None,
    };
    let environment_id = match &new.environment {
        Some(slug) => Some(environment_id(conn, slug).await?),
        None => None,
    };
    let team_id = match &new.team {
        Some(slug) => Some(team_id(conn, slug).await?),
        None => None,
    };
    checked(RuleValues {
        team_id,
        team_from_attribute: new.team_from_attribute.clone(),
        dimensions: serde_json::to_value(&new.dimensions).map_err(|error| web::Error::Internal(error.into()))?,
        first_day: new.first_day,
        last_day: new.last_day,
        applies_to: new.applies_to.key().to_owned(),
        conditions: serde_json::to_value(&new.conditions).map_err(|error| web::Error::Internal(error.into()))?,
        service_id,
        environment_id,
        service_from_attribute: new.service_from_attribute.clone(),
        environment_from_attribute: new.environment_from_attribute.clone(),
        adds_to_catalogue: new.adds_to_catalogue,
        note: new.note.trim().to_owned(),
    })
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
