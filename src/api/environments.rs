//! `/api/v1/environments`: where services run, what for, and until when.

use super::body::parse;
use super::catalogue::{BeingWorkedIn, DeletedName, answer, delete_entry, present, slug_for};
use super::error::{ErrorBody, Result};
use crate::allocate::EnvironmentKind;
use crate::store::catalogue::environment::{self, EnvironmentValues};
use crate::store::environment_ends::{self, EnvironmentEnd};
use crate::web::catalogue::environment_end;
use crate::web::catalogue::remove::Entry;
use crate::web::mapping_change::{self, MappingChange};
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
        .api_get("/api/v1/environments", read, list)
        .api_post("/api/v1/environments", admin, add)
        .api_patch("/api/v1/environments/{slug}", admin, change)
        .api_delete("/api/v1/environments/{slug}", admin, delete)
}

/// An environment.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Environment {
    /// Its short name in addresses; never changes.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// `production`, `staging`, `test`, `development`, `preview` or `other`.
    pub kind: String,
    /// When it ends, where somebody says so: what it costs afterwards is listed.
    pub last_day: Option<NaiveDate>,
    /// When it ended by what its sender told, where it is a preview and nobody named a day.
    pub told_last_day: Option<NaiveDate>,
    /// Somebody says that it still runs, though its sender told that it ended.
    pub still_runs: bool,
    /// So many days without use are told as an anomaly.
    pub idle_days: i32,
    /// Who added it: `user`, `rule` or `api`.
    pub origin: String,
    /// Other names that mean it, lower case.
    pub aliases: Vec<String>,
}

/// An environment to add.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEnvironment {
    /// Its name.
    pub name: String,
    /// Its short name; made from the name when absent.
    pub slug: Option<String>,
    /// What it is for; what the name suggests when absent.
    pub kind: Option<EnvironmentKind>,
    /// When it ends.
    pub last_day: Option<NaiveDate>,
    /// So many days without use are told as an anomaly, 1 to 90; 7 when absent.
    pub idle_days: Option<i32>,
    /// Other names that mean it.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// What changes of an environment; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnvironmentChange {
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub kind: Option<EnvironmentKind>,
    /// When it ends; `null` for no end.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<NaiveDate>)]
    pub last_day: Option<Option<NaiveDate>>,
    /// So many days without use are told as an anomaly, 1 to 90.
    pub idle_days: Option<i32>,
    /// Whether it still runs, though its sender told that it ended: what was told up to now then ends nothing. `false` takes
    /// that back.
    pub still_runs: Option<bool>,
    /// All its other names, instead of those that it has.
    pub aliases: Option<Vec<String>>,
}

/// List environments.
#[utoipa::path(get, path = "/api/v1/environments", tag = "catalogue",
    responses((status = 200, body = Vec<Environment>)))]
pub async fn list(State(app): State<AppState>) -> Result<Json<Vec<Environment>>> {
    let mut snapshot = app.pools.snapshot().await?;
    let ends = environment_ends::list(&mut snapshot, None).await?;
    let ends: HashMap<i64, EnvironmentEnd> = ends.into_iter().map(|end| (end.environment_id, end)).collect();
    let body = |row: environment::Environment| {
        let end = ends.get(&row.environment_id);
        Environment::of(row, end)
    };
    Ok(Json(environment::list(&mut snapshot).await?.into_iter().map(body).collect()))
}

/// Add an environment.
#[utoipa::path(post, path = "/api/v1/environments", tag = "catalogue", request_body = NewEnvironment, responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 201, body = Environment), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    body: Bytes,
) -> Result<Response> {
    let new: NewEnvironment = parse(&body)?;
    let done = mapping_change::run(async move {
        let slug = slug_for(new.slug.as_ref(), &new.name);
        let kind = new.kind.unwrap_or_else(|| EnvironmentKind::guess(&new.name)).key().to_owned();
        let idle_days = new.idle_days.unwrap_or(environment::IDLE_DAYS);
        let (last_day, aliases) = (new.last_day, new.aliases);
        let values = EnvironmentValues { name: new.name, kind, last_day, idle_days, aliases };
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        environment::insert(change.conn(), &slug, &values, "api").await?;
        change.audit("environment.added", &slug, values.details()).await?;
        let added = read(change.conn(), &slug).await?;
        change.finish().await?;
        Ok(added)
    });
    answer(StatusCode::CREATED, done.await)
}

/// Change an environment.
#[utoipa::path(patch, path = "/api/v1/environments/{slug}", tag = "catalogue", request_body = EnvironmentChange,
    params(("slug" = String, Path, description = "Its short name")), responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 200, body = Environment), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
    (status = 422, body = ErrorBody)))]
pub async fn change(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
    body: Bytes,
) -> Result<Response> {
    let wanted: EnvironmentChange = parse(&body)?;
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let before = environment::get(change.conn(), &slug).await?.ok_or(web::Error::NotFound)?;
        let mut values = before.values();
        values.name = wanted.name.unwrap_or(values.name);
        values.kind = wanted.kind.map_or(values.kind, |kind| kind.key().to_owned());
        values.last_day = wanted.last_day.unwrap_or(values.last_day);
        values.idle_days = wanted.idle_days.unwrap_or(values.idle_days);
        values.aliases = wanted.aliases.unwrap_or(values.aliases);
        environment::update(change.conn(), &before, &values).await?;
        let both = json!({ "before": before.values().details(), "after": values.details() });
        if before.values() != values {
            change.audit("environment.changed", &slug, both).await?;
        }
        if let Some(still_runs) = wanted.still_runs {
            environment_end::set(&mut change, &before, still_runs).await?;
        }
        let after = read(change.conn(), &slug).await?;
        change.finish().await?;
        Ok(after)
    });
    answer(StatusCode::OK, done.await)
}

/// Delete an environment, with the rules that name it. Its deployments are in no environment then.
#[utoipa::path(delete, path = "/api/v1/environments/{slug}", tag = "catalogue",
    params(("slug" = String, Path, description = "Its short name")), responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 200, description = "Deleted", body = DeletedName), (status = 404, body = ErrorBody)))]
pub async fn delete(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
) -> Result<Response> {
    delete_entry(app, principal, address, Entry::Environment, slug).await
}

async fn read(conn: &mut PgConnection, slug: &str) -> web::Result<Environment> {
    let row = environment::get(conn, slug).await?.ok_or(web::Error::NotFound)?;
    let end = environment_ends::list(conn, Some(row.environment_id)).await?.pop();
    Ok(Environment::of(row, end.as_ref()))
}

impl Environment {
    fn of(row: environment::Environment, end: Option<&EnvironmentEnd>) -> Self {
        let told_last_day = end.filter(|end| end.is_told).map(|end| end.last_day);
        let still_runs = end.is_some_and(|end| end.is_refused);
        let environment::Environment { slug, name, kind, last_day, idle_days, origin, aliases, .. } = row;
        Self { slug, name, kind, last_day, told_last_day, still_runs, idle_days, origin, aliases }
    }
}
