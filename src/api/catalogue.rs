//! `/api/v1/services`, `/teams`: the catalogue for scripts that keep it elsewhere.

use super::body::parse;
use super::error::{Error, ErrorBody, Result};
use crate::allocate;
use crate::store::catalogue::service::{self, ServiceValues};
use crate::store::catalogue::team::{self, TeamValues};
use crate::store::service_details::{self, ServiceDetail};
use crate::web::catalogue::details::DetailValues;
use crate::web::catalogue::remove::{self, Entry};
use crate::web::mapping_change::{self, Done, MappingChange};
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use std::collections::HashMap;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let (read, admin) = (ApiPolicy::read(Policy::SignedIn), ApiPolicy::admin(Policy::Bills));
    routes
        .api_get("/api/v1/services", read, list_services)
        .api_post("/api/v1/services", admin, add_service)
        .api_patch("/api/v1/services/{slug}", admin, change_service)
        .api_delete("/api/v1/services/{slug}", admin, delete_service)
        .api_get("/api/v1/teams", read, list_teams)
        .api_post("/api/v1/teams", admin, add_team)
        .api_patch("/api/v1/teams/{slug}", admin, change_team)
        .api_delete("/api/v1/teams/{slug}", admin, delete_team)
}

/// A service.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Service {
    /// Its short name in addresses; never changes.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// The short name of the team that owns it.
    pub team: Option<String>,
    /// 1 is the most important.
    pub tier: Option<i16>,
    /// `experimental`, `production` or `deprecated`.
    pub lifecycle: String,
    /// Who added it: `user`, `rule` or `api`.
    pub origin: String,
    /// Other names that mean it, lower case.
    pub aliases: Vec<String>,
    /// Where finance books it, where that is not its team's.
    pub cost_center: Option<String>,
    /// What is sold.
    pub product: Option<String>,
    /// Repositories, as `owner/name`.
    pub repositories: Vec<String>,
    /// The page to look at when it is down.
    pub runbook: Option<String>,
}

/// A service to add.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewService {
    /// Its name.
    pub name: String,
    /// Its short name; made from the name when absent.
    pub slug: Option<String>,
    /// The short name of the team that owns it.
    pub team: Option<String>,
    /// 1 to 9; 1 is the most important.
    pub tier: Option<i16>,
    /// `experimental`, `production` (when absent) or `deprecated`.
    pub lifecycle: Option<String>,
    /// Other names that mean it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Where finance books it, where that is not its team's.
    #[serde(default)]
    pub cost_center: String,
    /// What is sold.
    #[serde(default)]
    pub product: String,
    /// Repositories, as `owner/name`.
    #[serde(default)]
    pub repositories: Vec<String>,
    /// The page to look at when it is down: http or https.
    #[serde(default)]
    pub runbook: String,
}

/// What changes of a service; what is absent stays. `null` takes team or tier away.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceChange {
    /// Its name.
    pub name: Option<String>,
    /// The short name of the team that owns it.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub team: Option<Option<String>>,
    /// 1 to 9; 1 is the most important.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<i16>)]
    pub tier: Option<Option<i16>>,
    /// `experimental`, `production` or `deprecated`.
    pub lifecycle: Option<String>,
    /// All its other names, instead of those that it has.
    pub aliases: Option<Vec<String>>,
    /// Where finance books it; empty for where its team is.
    pub cost_center: Option<String>,
    /// What is sold; empty for none.
    pub product: Option<String>,
    /// All its repositories, as `owner/name`.
    pub repositories: Option<Vec<String>>,
    /// The page to look at when it is down; empty for none.
    pub runbook: Option<String>,
}

/// A team.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Team {
    /// Its short name in addresses; never changes.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// The cost center that pays.
    pub cost_center: Option<String>,
}

/// A team to add.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTeam {
    /// Its name.
    pub name: String,
    /// Its short name; made from the name when absent.
    pub slug: Option<String>,
    /// The cost center that pays.
    pub cost_center: Option<String>,
}

/// What changes of a team; what is absent stays. `null` takes the cost center away.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TeamChange {
    /// Its name.
    pub name: Option<String>,
    /// The cost center that pays.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub cost_center: Option<Option<String>>,
}

// Tells `null` from an absent field.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A sentence about a value is 422 here, where a page says 400.
pub(super) fn unprocessable(error: web::Error) -> Error {
    match error {
        web::Error::Invalid(sentence) => Error::Unprocessable(sentence),
        other => other.into(),
    }
}

/// What was deleted, by its name.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeletedName {
    /// As the address names it.
    pub deleted: String,
}

/// What was deleted, by its number.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeletedNumber {
    /// As the address names it.
    pub deleted: i64,
}

/// The answer where a change of what is allocated takes longer than a request may wait: it goes on. Ask again for what it
/// changes, or look at `/rules`, to see it done.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct BeingWorkedIn {
    /// `working`.
    #[schema(example = "working")]
    pub state: &'static str,
}

/// The answer, or 202 where the change is still being worked into the figures.
pub(super) fn answer<T: Serialize>(status: StatusCode, done: web::Result<Done<T>>) -> Result<Response> {
    match done.map_err(unprocessable)? {
        Done::Now(value) => Ok((status, Json(value)).into_response()),
        Done::Later => Ok((StatusCode::ACCEPTED, Json(BeingWorkedIn { state: "working" })).into_response()),
    }
}

/// Deletes an entry and answers with its short name.
pub(super) async fn delete_entry(
    app: AppState,
    principal: Principal,
    address: ClientAddress,
    entry: Entry,
    slug: String,
) -> Result<Response> {
    let done = remove::delete(app, principal, address, entry, slug).await;
    answer(StatusCode::OK, done.map(|done| done.map(|deleted| DeletedName { deleted })))
}

pub(super) fn slug_for(slug: Option<&String>, name: &str) -> String {
    slug.map_or_else(|| allocate::slug(name), |slug| slug.trim().to_owned())
}

/// List services.
#[utoipa::path(get, path = "/api/v1/services", tag = "catalogue", responses((status = 200, body = Vec<Service>)))]
pub async fn list_services(State(app): State<AppState>) -> Result<Json<Vec<Service>>> {
    let mut snapshot = app.pools.snapshot().await?;
    let services = service::list(&mut snapshot).await?;
    let details = service_details::list(&mut snapshot).await?;
    let mut details: HashMap<i64, ServiceDetail> = details.into_iter().map(|one| (one.service_id, one)).collect();
    let body = |one: service::Service| {
        let detail = details.remove(&one.service_id).unwrap_or_default();
        service_body(one, detail)
    };
    Ok(Json(services.into_iter().map(body).collect()))
}

/// Add a service.
#[utoipa::path(post, path = "/api/v1/services", tag = "catalogue", request_body = NewService, responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 201, body = Service), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn add_service(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    body: Bytes,
) -> Result<Response> {
    let new: NewService = parse(&body)?;
    let done = mapping_change::run(async move {
        let slug = slug_for(new.slug.as_ref(), &new.name);
        let NewService { cost_center, product, repositories, runbook, .. } = new;
        let detail = DetailValues { cost_center, product, repositories, runbook }.checked()?;
        let values = ServiceValues {
            name: new.name,
            team_slug: new.team,
            tier: new.tier,
            lifecycle: new.lifecycle.unwrap_or_else(|| "production".into()),
            aliases: new.aliases,
        };
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let id = service::insert(change.conn(), &slug, &values, "api").await?;
        let (by, now) = (change.actor().to_owned(), change.now());
        detail.keep(change.conn(), id, true, &by, now).await?;
        let details = json!({ "values": values.details(), "more": detail.details() });
        change.audit("service.added", &slug, details).await?;
        let added = read_service(change.conn(), &slug).await?;
        change.finish().await?;
        Ok(added)
    });
    answer(StatusCode::CREATED, done.await)
}

/// Change a service.
#[utoipa::path(patch, path = "/api/v1/services/{slug}", tag = "catalogue", request_body = ServiceChange,
    params(("slug" = String, Path, description = "Its short name")), responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 200, body = Service), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
    (status = 422, body = ErrorBody)))]
pub async fn change_service(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
    body: Bytes,
) -> Result<Response> {
    let wanted: ServiceChange = parse(&body)?;
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let before = service::get(change.conn(), &slug).await?.ok_or(web::Error::NotFound)?;
        let mut values = before.values();
        values.name = wanted.name.unwrap_or(values.name);
        values.team_slug = wanted.team.unwrap_or(values.team_slug);
        values.tier = wanted.tier.unwrap_or(values.tier);
        values.lifecycle = wanted.lifecycle.unwrap_or(values.lifecycle);
        values.aliases = wanted.aliases.unwrap_or(values.aliases);
        let known = DetailValues::of(&service_details::get(change.conn(), before.service_id).await?);
        let detail = DetailValues {
            cost_center: wanted.cost_center.unwrap_or_else(|| known.cost_center.clone()),
            product: wanted.product.unwrap_or_else(|| known.product.clone()),
            repositories: wanted.repositories.unwrap_or_else(|| known.repositories.clone()),
            runbook: wanted.runbook.unwrap_or_else(|| known.runbook.clone()),
        };
        let detail = detail.checked()?;
        service::update(change.conn(), &before, &values).await?;
        let (by, now) = (change.actor().to_owned(), change.now());
        detail.keep(change.conn(), before.service_id, before.values() != values, &by, now).await?;
        if before.values() != values || known != detail {
            let both = json!({ "before": before.values().details(), "after": values.details(),
                "more_before": known.details(), "more_after": detail.details() });
            change.audit("service.changed", &slug, both).await?;
        }
        let after = read_service(change.conn(), &slug).await?;
        change.finish().await?;
        Ok(after)
    });
    answer(StatusCode::OK, done.await)
}

/// Delete a service, with the rules that name it. Its cost goes where the other rules say.
#[utoipa::path(delete, path = "/api/v1/services/{slug}", tag = "catalogue",
    params(("slug" = String, Path, description = "Its short name")), responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 200, description = "Deleted", body = DeletedName), (status = 404, body = ErrorBody)))]
pub async fn delete_service(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
) -> Result<Response> {
    delete_entry(app, principal, address, Entry::Service, slug).await
}

/// List teams.
#[utoipa::path(get, path = "/api/v1/teams", tag = "catalogue", responses((status = 200, body = Vec<Team>)))]
pub async fn list_teams(State(app): State<AppState>) -> Result<Json<Vec<Team>>> {
    let mut snapshot = app.pools.snapshot().await?;
    Ok(Json(team::list(&mut snapshot).await?.into_iter().map(Team::from).collect()))
}

/// Add a team.
#[utoipa::path(post, path = "/api/v1/teams", tag = "catalogue", request_body = NewTeam, responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 201, body = Team), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn add_team(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    body: Bytes,
) -> Result<Response> {
    let new: NewTeam = parse(&body)?;
    let done = mapping_change::run(async move {
        let slug = slug_for(new.slug.as_ref(), &new.name);
        let values = TeamValues { name: new.name, cost_center: new.cost_center };
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        team::insert(change.conn(), &slug, &values).await?;
        change.audit("team.added", &slug, values.details()).await?;
        let added = team::get(change.conn(), &slug).await?.ok_or(web::Error::NotFound)?;
        change.finish_without_remap().await?;
        Ok(Team::from(added))
    });
    answer(StatusCode::CREATED, done.await)
}

/// Change a team.
#[utoipa::path(patch, path = "/api/v1/teams/{slug}", tag = "catalogue", request_body = TeamChange,
    params(("slug" = String, Path, description = "Its short name")), responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 200, body = Team), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
    (status = 422, body = ErrorBody)))]
pub async fn change_team(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
    body: Bytes,
) -> Result<Response> {
    let wanted: TeamChange = parse(&body)?;
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let before = team::get(change.conn(), &slug).await?.ok_or(web::Error::NotFound)?;
        let mut values = before.values();
        values.name = wanted.name.unwrap_or(values.name);
        values.cost_center = wanted.cost_center.unwrap_or(values.cost_center);
        team::update(change.conn(), before.team_id, &values).await?;
        if before.values() != values {
            let both = json!({ "before": before.values().details(), "after": values.details() });
            change.audit("team.changed", &slug, both).await?;
        }
        let after = team::get(change.conn(), &slug).await?.ok_or(web::Error::NotFound)?;
        change.finish_without_remap().await?;
        Ok(Team::from(after))
    });
    answer(StatusCode::OK, done.await)
}

/// Delete a team. What it owned belongs to none, and its members see no money through it.
#[utoipa::path(delete, path = "/api/v1/teams/{slug}", tag = "catalogue",
    params(("slug" = String, Path, description = "Its short name")), responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 200, description = "Deleted", body = DeletedName), (status = 404, body = ErrorBody)))]
pub async fn delete_team(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
) -> Result<Response> {
    delete_entry(app, principal, address, Entry::Team, slug).await
}

async fn read_service(conn: &mut PgConnection, slug: &str) -> web::Result<Service> {
    let row = service::get(&mut *conn, slug).await?.ok_or(web::Error::NotFound)?;
    let detail = service_details::get(conn, row.service_id).await?;
    Ok(service_body(row, detail))
}

fn service_body(row: service::Service, detail: ServiceDetail) -> Service {
    let service::Service { slug, name, team_slug: team, tier, lifecycle, origin, aliases, .. } = row;
    let ServiceDetail { cost_center, product, repositories, runbook, .. } = detail;
    Service { slug, name, team, tier, lifecycle, origin, aliases, cost_center, product, repositories, runbook }
}

impl From<team::Team> for Team {
    fn from(row: team::Team) -> Self {
        Self { slug: row.slug, name: row.name, cost_center: row.cost_center }
    }
}
