//! `/api/v1/catalogue-refreshes`: descriptions of services that are fetched every night.

use super::body::parse;
use super::catalogue::unprocessable;
use super::error::{ErrorBody, Result};
use crate::store::catalogue_sources::{self, CatalogueSource};
use crate::web::catalogue::refresh::{Wanted, fetch_now, forget, save};
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let (bills, admin) = (Policy::Bills, ApiPolicy::admin(Policy::Admin));
    routes
        .api_get("/api/v1/catalogue-refreshes", ApiPolicy::read(bills), list)
        .api_put("/api/v1/catalogue-refreshes/{name}", admin, set)
        .api_delete("/api/v1/catalogue-refreshes/{name}", admin, remove)
        .api_post("/api/v1/catalogue-refreshes/{name}/now", ApiPolicy::admin(bills), now)
}

/// A description that is fetched, and what came of the last time. The token never shows.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CatalogueRefresh {
    /// What it is called.
    pub name: String,
    /// `backstage`, `table` or `codeowners`.
    pub kind: String,
    /// Of CODEOWNERS: the repository that they lie in.
    pub repository: String,
    /// Where it is.
    pub address: String,
    /// Whether a token is kept.
    pub has_token: bool,
    /// When it is fetched next.
    pub next_read_at: DateTime<Utc>,
    /// When it was fetched last.
    pub last_read_at: Option<DateTime<Utc>>,
    /// Why nothing of it was taken the last time.
    pub last_error: Option<String>,
    /// What changed when it was another than before.
    pub change_count: i32,
    /// What the catalogue says otherwise, in sentences.
    pub conflicts: Vec<String>,
    /// What has no owner, or is not described any more, in sentences.
    pub orphans: Vec<String>,
    /// Rules that came from it and that it says no longer: they go on deciding until somebody deletes them. Some may be
    /// deleted since.
    pub gone_rule_ids: Vec<i64>,
    /// What was not taken, in sentences.
    pub notes: Vec<String>,
}

impl From<CatalogueSource> for CatalogueRefresh {
    fn from(source: CatalogueSource) -> Self {
        Self {
            has_token: source.token_sealed.is_some(),
            name: source.name,
            kind: source.kind,
            repository: source.repository,
            address: source.address,
            next_read_at: source.next_read_at,
            last_read_at: source.last_read_at,
            last_error: source.last_error,
            change_count: source.change_count,
            conflicts: source.conflicts,
            orphans: source.orphans,
            gone_rule_ids: source.gone_rule_ids,
            notes: source.notes,
        }
    }
}

/// What is to be fetched.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCatalogueRefresh {
    /// `backstage`, `table` or `codeowners`.
    pub kind: String,
    /// Where it is.
    pub address: String,
    /// Of CODEOWNERS: the repository that they lie in, as owner/name.
    #[serde(default)]
    pub repository: String,
    /// A token; the one that is kept stays when absent, an empty one forgets it.
    pub token: Option<String>,
}

/// List descriptions that are fetched every night.
#[utoipa::path(get, path = "/api/v1/catalogue-refreshes", tag = "catalogue",
    responses((status = 200, body = Vec<CatalogueRefresh>)))]
pub async fn list(State(app): State<AppState>) -> Result<Json<Vec<CatalogueRefresh>>> {
    let mut snapshot = app.pools.snapshot().await?;
    let sources = catalogue_sources::list(&mut *snapshot).await?;
    Ok(Json(sources.into_iter().map(CatalogueRefresh::from).collect()))
}

/// Let a description be fetched every night, or change how. It is fetched at once.
#[utoipa::path(put, path = "/api/v1/catalogue-refreshes/{name}", tag = "catalogue", request_body = NewCatalogueRefresh,
    params(("name" = String, Path, description = "What it is called")),
    responses((status = 201, description = "It is fetched from now on"), (status = 204, description = "Changed"),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn set(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode> {
    let NewCatalogueRefresh { kind, address: place, repository, token } = parse(&body)?;
    let wanted = Wanted { name, kind, repository, address: place, token };
    let is_new = save(&app, &principal.login, &address.to_string(), wanted, true).await.map_err(unprocessable)?;
    Ok(if is_new { StatusCode::CREATED } else { StatusCode::NO_CONTENT })
}

/// Fetch a description no more, and forget its token. What it brought stays.
#[utoipa::path(delete, path = "/api/v1/catalogue-refreshes/{name}", tag = "catalogue",
    params(("name" = String, Path, description = "What it is called")),
    responses((status = 204, description = "Not fetched any more"), (status = 404, body = ErrorBody)))]
pub async fn remove(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    let id = id_of(&app, &name).await?;
    forget(&app, &principal.login, &address.to_string(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Fetch a description at once. The list says when that was done, and what came of it.
#[utoipa::path(post, path = "/api/v1/catalogue-refreshes/{name}/now", tag = "catalogue",
    params(("name" = String, Path, description = "What it is called")),
    responses((status = 202, description = "It is fetched"), (status = 404, body = ErrorBody)))]
pub async fn now(State(app): State<AppState>, Path(name): Path<String>) -> Result<StatusCode> {
    let id = id_of(&app, &name).await?;
    fetch_now(&app, id).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn id_of(app: &AppState, name: &str) -> Result<i64> {
    let mut snapshot = app.pools.snapshot().await?;
    let sources = catalogue_sources::list(&mut *snapshot).await.map_err(web::Error::from)?;
    let source = sources.into_iter().find(|source| source.name == name);
    Ok(source.ok_or(web::Error::NotFound)?.catalogue_source_id)
}
