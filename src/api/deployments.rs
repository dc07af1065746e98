//! `/api/v1/deployments`: what a CI job tells, and what became of it.
//!
//! A body is stored as a delivery of the source "api" and read by the same adapter and state machine as a
//! webhook: what was answered is there.

use super::body::parse;
use super::change_failure::ChangeFailed;
use super::deployment_body::{DeploymentUpdate, NewDeployment};
use super::deployment_record::{Post, Recorded, record};
use super::error::{Error, ErrorBody, Result};
use super::known;
use crate::events::{self, Status};
use crate::store::deployment_lists::{self, CommitOf, Filter, Row, STANDINGS, ServiceOf, StepOf};
use crate::store::event_sources::{self, API_SOURCE};
use crate::store::{change_failures, event_deliveries};
use crate::web::{self, ApiPolicy, AppState, Policy, Principal, Routes, detached};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

const LIST_MAX: i64 = 200;
const LIST_DEFAULT: i64 = 50;
/// `id:run-7` names a deployment by the id that its sender gave.
const EXTERNAL_ID_PREFIX: &str = "id:";

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .api_post("/api/v1/deployments", ApiPolicy::ingest(Policy::SignedIn), create)
        .api_get("/api/v1/deployments", ApiPolicy::read(Policy::SignedIn), list)
        .api_get("/api/v1/deployments/{id}", ApiPolicy::read(Policy::SignedIn), show)
        .api_patch("/api/v1/deployments/{id}", ApiPolicy::ingest(Policy::SignedIn), update)
}

/// The environment of a deployment.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EnvironmentOf {
    /// Its short name.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// `production`, `staging`, `test`, `development`, `preview` or `other`.
    pub kind: String,
}

/// A deployment as it stands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Deployment {
    /// Its number, for PATCH and GET.
    pub deployment_id: i64,
    /// The id that its sender gave; `id:` before it names the deployment too.
    pub id: String,
    /// The event source.
    pub source: String,
    /// Whether rules gave it an environment and a service, and each service that it names one.
    pub is_mapped: bool,
    /// The services that it was mapped to.
    pub services: Vec<ServiceOf>,
    /// The environment that it was mapped to.
    pub environment: Option<EnvironmentOf>,
    /// The services as the sender named them.
    pub services_given: Vec<String>,
    /// The environment as the sender named it.
    pub environment_given: Option<String>,
    /// `pending`, `in_progress`, `succeeded`, `failed`, `canceled`, `superseded` or `unknown`.
    pub status: String,
    /// Since when.
    pub status_at: DateTime<Utc>,
    /// It has been in progress for more than a day: nobody said how it ended, and it counts for nothing.
    pub is_stale: bool,
    /// When it was first heard of.
    pub created_at: DateTime<Utc>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it went live, or failed.
    pub finished_at: Option<DateTime<Utc>>,
    /// When all its services were deployed again, or removed.
    pub superseded_at: Option<DateTime<Utc>>,
    /// A time was missing or implausible and is that of receipt.
    pub time_is_received: bool,
    /// How often it was started.
    pub attempts: i32,
    /// Version, tag or image.
    pub version: Option<String>,
    /// Commit.
    pub sha: Option<String>,
    /// Branch or tag.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// Repository.
    pub repo: Option<String>,
    /// Commits that were deployed.
    pub commits: Vec<CommitOf>,
    /// `deploy`, `rollback`, `config_sync`, `restart`, `scale` or `infra`.
    pub kind: String,
    /// `rolling`, `canary` and so on.
    pub strategy: Option<String>,
    /// Of a canary: how much traffic it had from when on.
    pub steps: Vec<StepOf>,
    /// Deployments that belong together share it.
    pub group_id: Option<String>,
    /// A line about it.
    pub title: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// The run's page.
    pub url: Option<String>,
    /// Where it is reached.
    pub environment_url: Option<String>,
    /// What else the sender told.
    #[schema(value_type = BTreeMap<String, String>)]
    pub attributes: serde_json::Value,
    /// Whether it counts as a failed change. Told of one deployment that is asked for; left out of lists and of answers to
    /// what is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_failure: Option<ChangeFailed>,
}

/// A deployment that is stored and will be there once the change of the rules that is under way is done.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AcceptedDeployment {
    /// The id that its sender gave, or the one that it was given; `id:` before it names the deployment.
    pub id: String,
    /// False: no rule was asked yet.
    pub is_mapped: bool,
    /// The same in a sentence.
    pub message: String,
}

impl AcceptedDeployment {
    /// The answer for this id.
    pub fn new(id: String) -> Self {
        let message = "Accepted. The rules are being changed just now; it is read and mapped right after that.".into();
        Self { id, is_mapped: false, message }
    }
}

/// A page of deployments.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeploymentList {
    /// The latest first.
    pub deployments: Vec<Deployment>,
    /// For `after`, to get the next page; absent on the last.
    pub next: Option<String>,
}

/// Record a deployment.
#[utoipa::path(
    post, operation_id = "create_deployment", path = "/api/v1/deployments", tag = "deployments", request_body = NewDeployment,
    params(("Idempotency-Key" = Option<String>, Header, description = "Sending again with the same key and body is harmless")),
    responses(
        (status = 201, description = "Recorded", body = Deployment),
        (status = 200, description = "Was recorded before", body = Deployment),
        (status = 202, description = "Stored; it is mapped once the rules, which are being changed, stand", body = AcceptedDeployment),
        (status = 409, description = "The key or id was used with another body", body = ErrorBody),
        (status = 422, description = "A field is wrong; the sentence names it", body = ErrorBody)
    )
)]
pub async fn create(
    State(app): State<AppState>,
    principal: Principal,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let now = app.now();
    let new: NewDeployment = parse(&body)?;
    new.check(now)?;
    let key = idempotency_key(&headers, &principal)?;
    let external_id = match (&new.id, &key) {
        (Some(id), _) => id.trim().to_owned(),
        (None, Some(key)) => format!("key:{key}"),
        (None, None) => identity(&new),
    };
    let post = Post {
        event_name: "deployment",
        dedupe_key: key.map_or_else(|| format!("id:{external_id}"), |key| format!("key:{key}")),
        external_id,
        headers: web::webhooks::kept(&headers),
        body: serde_json::to_vec(&new).map_err(anyhow::Error::from)?,
        is_new_only: true,
        follows_unread: false,
        ended: None,
    };
    Ok(answer(detached(record(app, post, now)).await?, None))
}

fn answer(recorded: Recorded, instead: Option<StatusCode>) -> Response {
    match recorded {
        Recorded::Now(status, deployment) => (instead.unwrap_or(status), Json(deployment)).into_response(),
        Recorded::Later(accepted) => (StatusCode::ACCEPTED, Json(accepted)).into_response(),
    }
}

/// Say what became of a deployment that was recorded through the API.
#[utoipa::path(
    patch, operation_id = "update_deployment", path = "/api/v1/deployments/{id}", tag = "deployments", request_body = DeploymentUpdate,
    params(("id" = String, Path, description = "Its number, or \"id:\" and the id that you gave it")),
    responses(
        (status = 200, description = "As it stands now", body = Deployment),
        (status = 202, description = "Stored; it is read once the rules, which are being changed, stand", body = AcceptedDeployment),
        (status = 404, description = "There is no such deployment", body = ErrorBody),
        (status = 409, description = "A webhook says how it stands, or it is of another service or environment", body = ErrorBody),
        (status = 422, description = "A field is wrong; the sentence names it", body = ErrorBody)
    )
)]
pub async fn update(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let now = app.now();
    let mut update: DeploymentUpdate = parse(&body)?;
    update.check(now)?;
    let key = idempotency_key(&headers, &principal)?;
    let (external_id, follows_unread) = match find(&app, &id).await {
        Ok(row) => {
            may_be_changed(&row, &update)?;
            (row.external_id, false)
        }
        Err(Error::Web(web::Error::NotFound)) => (waiting_id(&app, &id).await?, true),
        Err(error) => return Err(error),
    };
    // They say which deployment is meant, and were compared with it.
    (update.services, update.environment) = (Vec::new(), None);
    let ended = update.status.as_deref().and_then(Status::parse).filter(|status| status.is_terminal());
    let body = serde_json::to_vec(&update).map_err(anyhow::Error::from)?;
    let sha256 = hex::encode(Sha256::digest(&body));
    let post = Post {
        event_name: "deployment_update",
        dedupe_key: match key {
            Some(key) => format!("patch:{key}"),
            None => format!("patch:{external_id}:{sha256}:{}", now.timestamp_micros()),
        },
        external_id,
        headers: web::webhooks::kept(&headers),
        body,
        is_new_only: false,
        follows_unread,
        ended: ended.filter(|_| update.finished_at.is_some()),
    };
    Ok(answer(detached(record(app, post, now)).await?, Some(StatusCode::OK)))
}

fn may_be_changed(row: &Row, update: &DeploymentUpdate) -> Result<()> {
    if row.source_name != API_SOURCE {
        let sentence =
            format!("This deployment is told of by the event source {}, which says how it stands.", row.source_name);
        return Err(web::Error::Conflict(sentence).into());
    }
    let differs = |what: &str, has: &str, given: &str| {
        let id = &row.external_id;
        let sentence = format!("\"{id}\" is a deployment of {what} {has}, not {given}: give another one another id.");
        Err(web::Error::Conflict(sentence).into())
    };
    let environment = row.environment_raw.as_deref().unwrap_or_default();
    if let Some(given) = update.environment.as_deref().and_then(events::clean_text).filter(|one| one != environment) {
        return differs("environment", environment, &given);
    }
    let given: Vec<String> = update.services.iter().filter_map(|name| events::clean_text(name)).collect();
    let sorted = |names: &[String]| names.iter().cloned().collect::<std::collections::BTreeSet<_>>();
    if !given.is_empty() && sorted(&given) != sorted(&row.service_raw) {
        return differs("service", &row.service_raw.join(", "), &given.join(", "));
    }
    Ok(())
}

// The id of a deployment that was accepted and not read yet.
async fn waiting_id(app: &AppState, id: &str) -> Result<String> {
    let external_id = id.strip_prefix(EXTERNAL_ID_PREFIX).ok_or(web::Error::NotFound)?;
    let mut snapshot = app.pools.snapshot().await?;
    let source = event_sources::find(&mut snapshot, API_SOURCE).await?.ok_or(web::Error::NotFound)?;
    let is_waiting = event_deliveries::is_waiting(&mut snapshot, source.event_source_id, external_id).await?;
    is_waiting.then(|| external_id.to_owned()).ok_or_else(|| web::Error::NotFound.into())
}

/// Show one deployment.
#[utoipa::path(
    get, operation_id = "show_deployment", path = "/api/v1/deployments/{id}", tag = "deployments",
    params(("id" = String, Path, description = "Its number, or \"id:\" and the id that you gave it")),
    responses((status = 200, body = Deployment), (status = 404, body = ErrorBody))
)]
pub async fn show(State(app): State<AppState>, Path(id): Path<String>) -> Result<Json<Deployment>> {
    let deployment_id = id_of(&app, &id).await?;
    let mut snapshot = app.pools.snapshot().await?;
    let row = deployment_lists::get(&mut snapshot, deployment_id).await?.ok_or(web::Error::NotFound)?;
    let failures = change_failures::of_deployment(&mut snapshot, deployment_id).await?;
    let change_failure = Some(ChangeFailed::of(web::deployment::went_live(&row), &failures));
    Ok(Json(Deployment { change_failure, ..Deployment::of(row, app.now()) }))
}

/// What the list takes.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Slug of a service.
    service: Option<String>,
    /// Slug of an environment.
    environment: Option<String>,
    /// How it stands: `succeeded` is what is live, `superseded` what was.
    status: Option<String>,
    /// `owner/name`.
    repo: Option<String>,
    /// Version.
    version: Option<String>,
    /// From this time on, RFC 3339.
    from: Option<DateTime<Utc>>,
    /// Before this time, RFC 3339.
    until: Option<DateTime<Utc>>,
    /// `true`: only those that lack a service or an environment.
    unmapped: bool,
    /// `next` of the page before.
    after: Option<String>,
    /// 1 to 200, otherwise 50.
    limit: Option<i64>,
}

/// List deployments, the latest first.
#[utoipa::path(
    get, operation_id = "list_deployments", path = "/api/v1/deployments", tag = "deployments", params(ListQuery),
    responses((status = 200, body = DeploymentList),
        (status = 400, description = "A parameter is wrong; the sentence names what is allowed", body = ErrorBody))
)]
pub async fn list(State(app): State<AppState>, Query(query): Query<ListQuery>) -> Result<Json<DeploymentList>> {
    let limit = query.limit.unwrap_or(LIST_DEFAULT);
    if !(1..=LIST_MAX).contains(&limit) {
        return Err(web::Error::Invalid(format!("limit must be from 1 to {LIST_MAX}.")).into());
    }
    if let Some(status) = query.status.as_deref().filter(|status| !STANDINGS.contains(status)) {
        let known = STANDINGS.join(", ");
        return Err(web::Error::Invalid(format!("status={status} is not known. Allowed: {known}.")).into());
    }
    let after = query.after.as_deref().map(|after| {
        parse_cursor(after).ok_or_else(|| web::Error::Invalid("after must be the \"next\" of a page before.".into()))
    });
    if query.from.zip(query.until).is_some_and(|(from, until)| from > until) {
        return Err(web::Error::Invalid("from lies after until.".into()).into());
    }
    let filter = Filter {
        service: query.service,
        environment: query.environment,
        status: query.status,
        repo: query.repo,
        version: query.version,
        from: query.from,
        until: query.until,
        is_unmapped: query.unmapped,
        after: after.transpose()?,
    };
    let mut snapshot = app.pools.snapshot().await?;
    known::in_catalogue(&mut snapshot, filter.service.as_deref(), filter.environment.as_deref()).await?;
    let mut rows = deployment_lists::list(&mut snapshot, &filter, limit + 1).await?;
    if let Some(repo) = filter.repo.as_deref().filter(|_| rows.is_empty()) {
        let is_known = deployment_lists::has_repo(&mut snapshot, repo).await?;
        known::refuse(
            "repo",
            Some(repo).filter(|_| !is_known),
            "No deployment names it; it is written as owner/name.",
        )?;
    }
    let has_more = rows.len() as i64 > limit;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| has_more).map(cursor);
    let now = app.now();
    Ok(Json(DeploymentList { deployments: rows.into_iter().map(|row| Deployment::of(row, now)).collect(), next }))
}

fn cursor(row: &Row) -> String {
    format!("{}_{}", row.listed_at.timestamp_micros(), row.deployment_id)
}

fn parse_cursor(text: &str) -> Option<(DateTime<Utc>, i64)> {
    let (micros, id) = text.split_once('_')?;
    Some((DateTime::from_timestamp_micros(micros.parse().ok()?)?, id.parse().ok()?))
}

async fn find(app: &AppState, id: &str) -> Result<Row> {
    let deployment_id = id_of(app, id).await?;
    let mut snapshot = app.pools.snapshot().await?;
    Ok(deployment_lists::get(&mut snapshot, deployment_id).await?.ok_or(web::Error::NotFound)?)
}

/// The number of the deployment that a path names: by number, or by what its sender called it.
pub(super) async fn id_of(app: &AppState, id: &str) -> Result<i64> {
    let mut snapshot = app.pools.snapshot().await?;
    let deployment_id = match id.strip_prefix(EXTERNAL_ID_PREFIX) {
        Some(external_id) => {
            let source = event_sources::find(&mut snapshot, API_SOURCE).await?.ok_or(web::Error::NotFound)?;
            deployment_lists::find_by_external_id(&mut snapshot, source.event_source_id, external_id).await?
        }
        None => id.parse().ok(),
    };
    Ok(deployment_id.ok_or(web::Error::NotFound)?)
}

// Each person's keys are their own: two jobs that both call one "1" do not meet.
fn idempotency_key(headers: &HeaderMap, principal: &Principal) -> Result<Option<String>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().and_then(events::clean_text).filter(|key| key.len() <= 200);
    let of_person = |key| Some(format!("{}:{key}", principal.user_id));
    key.map(of_person)
        .ok_or_else(|| Error::Unprocessable("Idempotency-Key must be 1 to 200 printable characters.".into()))
}

// Without an id or key: the same service, environment, version and times are the same deployment. Without times
// nothing says so, and each is a new one.
fn identity(new: &NewDeployment) -> String {
    if new.started_at.is_none() && new.finished_at.is_none() {
        return format!("auto:{}", uuid::Uuid::from_bytes(crate::store::seal::random()));
    }
    let parts = json!([new.service, new.services, new.environment, new.version, new.started_at, new.finished_at]);
    format!("auto:{}", &hex::encode(Sha256::digest(parts.to_string()))[..32])
}

impl Deployment {
    /// The deployment of a row.
    pub(super) fn of(row: Row, now: DateTime<Utc>) -> Self {
        let environment = row.environment_slug.zip(row.environment_name).zip(row.environment_kind);
        let environment = environment.map(|((slug, name), kind)| EnvironmentOf { slug, name, kind });
        Self {
            is_stale: events::is_stale(&row.status, row.status_at, now),
            deployment_id: row.deployment_id,
            id: row.external_id,
            source: row.source_name,
            is_mapped: environment.is_some() && !row.services.0.is_empty() && row.service_unmapped.is_empty(),
            services: row.services.0,
            environment,
            services_given: row.service_raw,
            environment_given: row.environment_raw,
            status: row.status,
            status_at: row.status_at,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            superseded_at: row.superseded_at,
            time_is_received: row.time_is_received,
            attempts: row.attempts,
            version: row.version,
            sha: row.sha,
            reference: row.git_ref,
            repo: row.repo,
            commits: row.commits.0,
            kind: row.kind,
            strategy: row.strategy,
            steps: row.steps.0,
            group_id: row.group_id,
            title: row.title,
            actor: row.actor,
            url: row.url,
            environment_url: row.environment_url,
            attributes: row.attributes,
            change_failure: None,
        }
    }
}
