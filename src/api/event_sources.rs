//! `/api/v1/event-sources`: who tells of deployments, and how each is read beside what it sends.

use super::body::parse;
use super::catalogue::unprocessable;
use super::error::{ErrorBody, Result};
use crate::store::event_reads::{self, EventRead};
use crate::store::event_sources;
use crate::web::event_source::change::{self, Wanted};
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The routes of this file: a token of an administrator lets this server ask an address.
pub fn routes(routes: Routes) -> Routes {
    let (read, admin) = (ApiPolicy::read(Policy::Admin), ApiPolicy::admin(Policy::Admin));
    routes
        .api_get("/api/v1/event-sources", read, list)
        .api_put("/api/v1/event-sources/{name}/reading", admin, set)
        .api_delete("/api/v1/event-sources/{name}/reading", admin, stop)
        .api_post("/api/v1/event-sources/{name}/reading/now", admin, now)
}

/// An event source.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventSourceBody {
    /// Its name, part of the address that it sends to.
    pub name: String,
    /// `github`, `gitlab` and so on.
    pub kind: String,
    /// Whether it is taken.
    pub enabled: bool,
    /// It signed before, so that a request which only shows its plain token is refused.
    pub requires_signature: bool,
    /// When it sent something last.
    pub last_received_at: Option<DateTime<Utc>>,
    /// How it is read; `null` where it is not.
    pub reading: Option<ReadingBody>,
}

/// How a source is read. The token never shows.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ReadingBody {
    /// Of the API.
    pub address: String,
    /// Whether a token is kept.
    pub has_token: bool,
    /// From one read to the next.
    pub every_minutes: i32,
    /// It is not read by schedule for now.
    pub is_paused: bool,
    /// When it is read next.
    pub next_read_at: DateTime<Utc>,
    /// What is read.
    pub repositories: Vec<RepositoryBody>,
    /// The last read; `null` before the first.
    pub last_read: Option<ReadBody>,
}

/// A repository that is read.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RepositoryBody {
    /// As the API knows it.
    pub name: String,
    /// Everything up to here was read.
    pub read_through: Option<DateTime<Utc>>,
    /// What is wrong with it.
    pub error: Option<String>,
    /// What to do.
    pub remedy: Option<String>,
}

/// What a read did.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ReadBody {
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// Requests made.
    pub requests: i32,
    /// Those answered with "not modified".
    pub unchanged: i32,
    /// Deployments of which nothing was known.
    pub deployments: i32,
    /// Statuses that lacked.
    pub statuses: i32,
    /// Merged requests that lacked.
    pub changes: i32,
    /// Commits that lacked.
    pub commits: i32,
    /// Why it ended early.
    pub error: Option<String>,
    /// What to do.
    pub remedy: Option<String>,
    /// When it goes on by itself.
    pub continues_at: Option<DateTime<Utc>>,
}

/// What is to be read.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReading {
    /// Of the API; that of github.com, gitlab.com or bitbucket.org when absent.
    #[serde(default)]
    pub address: String,
    /// `owner/name`, of GitLab the path with groups.
    pub repositories: Vec<String>,
    /// From one read to the next: 60 when absent.
    #[serde(default = "hour")]
    pub every_minutes: i32,
    /// A token; the one that is kept stays when absent, an empty one forgets it.
    #[serde(default)]
    pub token: Option<String>,
}

fn hour() -> i32 {
    60
}

/// List event sources, and how each is read.
#[utoipa::path(get, path = "/api/v1/event-sources", tag = "event-sources",
    responses((status = 200, body = Vec<EventSourceBody>)))]
pub(super) async fn list(State(app): State<AppState>) -> Result<Json<Vec<EventSourceBody>>> {
    let mut snapshot = app.pools.snapshot().await?;
    let mut readings = event_reads::list(&mut *snapshot).await?;
    let mut bodies = Vec::new();
    for source in event_sources::list(&mut snapshot).await? {
        let place = readings.iter().position(|reading| reading.event_source_id == source.event_source_id);
        let reading = match place.map(|place| readings.swap_remove(place)) {
            Some(reading) => Some(body(&mut snapshot, reading).await?),
            None => None,
        };
        let requires_signature = source.requires_signature();
        let (name, kind, enabled) = (source.name, source.kind, source.enabled);
        let last_received_at = source.last_received_at;
        bodies.push(EventSourceBody { name, kind, enabled, requires_signature, last_received_at, reading });
    }
    Ok(Json(bodies))
}

async fn body(conn: &mut sqlx::PgConnection, reading: EventRead) -> sqlx::Result<ReadingBody> {
    let id = reading.event_source_id;
    let repositories = event_reads::repositories(&mut *conn, id).await?;
    let last = event_reads::runs(&mut *conn, id, 1).await?.pop();
    Ok(ReadingBody {
        address: reading.address,
        has_token: reading.token_sealed.is_some(),
        every_minutes: reading.every_minutes,
        is_paused: reading.is_paused,
        next_read_at: reading.next_read_at,
        repositories: repositories
            .into_iter()
            .map(|one| RepositoryBody {
                name: one.repository,
                read_through: one.read_through,
                error: one.last_error,
                remedy: one.remedy,
            })
            .collect(),
        last_read: last.map(|run| ReadBody {
            finished_at: run.finished_at,
            requests: run.request_count,
            unchanged: run.unchanged_count,
            deployments: run.deployment_count,
            statuses: run.status_count,
            changes: run.change_count,
            commits: run.commit_count,
            error: run.error,
            remedy: run.remedy,
            continues_at: run.continues_at,
        }),
    })
}

async fn id_of(app: &AppState, name: &str) -> Result<i64> {
    let mut conn = app.pools.web.acquire().await.map_err(web::Error::from)?;
    let source = event_sources::find(&mut conn, name).await.map_err(web::Error::from)?;
    Ok(source.ok_or(web::Error::NotFound)?.event_source_id)
}

/// Let a source be read, or change how. It is read at once; the first read goes back 30 days.
#[utoipa::path(put, path = "/api/v1/event-sources/{name}/reading", tag = "event-sources", request_body = NewReading,
    params(("name" = String, Path, description = "The source")),
    responses((status = 204, description = "Kept"), (status = 404, body = ErrorBody),
        (status = 422, description = "A value is wrong; the sentence names it", body = ErrorBody)))]
pub(super) async fn set(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode> {
    let id = id_of(&app, &name).await?;
    let asked: NewReading = parse(&body)?;
    let NewReading { address: api, repositories, every_minutes, token } = asked;
    let wanted = Wanted { address: api, repositories, every_minutes, token };
    change::save(&app, &principal.login, &address.to_string(), id, wanted).await.map_err(unprocessable)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Read a source no longer, and forget its token. What was read stays.
#[utoipa::path(delete, path = "/api/v1/event-sources/{name}/reading", tag = "event-sources",
    params(("name" = String, Path, description = "The source")),
    responses((status = 204, description = "Not read any more"), (status = 404, body = ErrorBody)))]
pub(super) async fn stop(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    let id = id_of(&app, &name).await?;
    change::stop(&app, &principal.login, &address.to_string(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Read a source at once. The list says when the read has ended.
#[utoipa::path(post, path = "/api/v1/event-sources/{name}/reading/now", tag = "event-sources",
    params(("name" = String, Path, description = "The source")),
    responses((status = 202, description = "It is read"), (status = 404, body = ErrorBody),
        (status = 409, description = "It is switched off, or nothing of it is read", body = ErrorBody)))]
pub(super) async fn now(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    let id = id_of(&app, &name).await?;
    change::read_now(&app, &principal.login, &address.to_string(), id).await?;
    Ok(StatusCode::ACCEPTED)
}
