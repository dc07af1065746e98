//! `/api/v1/job-kinds`: which runs of pipelines and which of their jobs are training, or of another kind.

use super::body::parse;
use super::catalogue::unprocessable;
use super::error::{ErrorBody, Result};
use crate::allocate::{Condition, Operator};
use crate::rollup::pipeline_usage::job_kind_rule;
use crate::store::job_kinds::{self, KeptRule};
use crate::web::job_kinds::{Wanted, keep, set_deleted};
use crate::web::{ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let admin = ApiPolicy::admin(Policy::Bills);
    routes
        .api_get("/api/v1/job-kinds", ApiPolicy::read(Policy::Bills), list)
        .api_post("/api/v1/job-kinds", admin, add)
        .api_post("/api/v1/job-kinds/{id}/delete", admin, delete)
        .api_post("/api/v1/job-kinds/{id}/restore", admin, restore)
}

/// A rule that names what runs and jobs do.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct JobKind {
    /// Its number. Of several rules that fit, the first one counts.
    pub id: i64,
    /// The event source whose runs it is about; any, for none.
    pub source: Option<String>,
    /// What it looks at: `pipeline`, `job`, `stage`, `label`, `repo`, `path`, `ref`, or `tag:` and a name.
    pub attribute: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub value: String,
    /// `training`: counted as `training_jobs` and `training_minutes`.
    pub kind: String,
    /// Runs and jobs of the last 92 days that it fits; none while they are being counted.
    pub run_count: Option<i64>,
    /// How many of these belong to no service.
    pub unmapped_count: i64,
    /// Who said so.
    pub changed_by: String,
    /// When.
    pub changed_at: DateTime<Utc>,
    /// It was taken away, and can be put back.
    pub is_deleted: bool,
}

impl JobKind {
    fn of(rule: KeptRule) -> anyhow::Result<Self> {
        let Condition { attribute, operator, value } = job_kind_rule(&rule)?.condition;
        Ok(Self {
            id: rule.job_kind_rule_id,
            source: rule.source_name,
            attribute,
            operator,
            value,
            kind: rule.kind,
            run_count: rule.run_count,
            unmapped_count: rule.unmapped_count,
            changed_by: rule.changed_by,
            changed_at: rule.changed_at,
            is_deleted: rule.is_deleted,
        })
    }
}

/// A rule to add.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewJobKind {
    /// The event source whose runs it is about; any, when absent.
    pub source: Option<String>,
    /// What it looks at.
    pub attribute: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what; empty for `present`.
    #[serde(default)]
    pub value: String,
    /// `training`, say.
    pub kind: String,
}

/// List the rules that name what runs and jobs do.
#[utoipa::path(get, path = "/api/v1/job-kinds", tag = "metrics", responses((status = 200, body = Vec<JobKind>)))]
pub async fn list(State(app): State<AppState>) -> Result<Json<Vec<JobKind>>> {
    let mut snapshot = app.pools.snapshot().await?;
    let rules = job_kinds::list(&mut snapshot).await?;
    Ok(Json(rules.into_iter().map(JobKind::of).collect::<anyhow::Result<_>>()?))
}

/// Add a rule; runs of the last 92 days are counted anew with it.
#[utoipa::path(post, path = "/api/v1/job-kinds", tag = "metrics", request_body = NewJobKind, responses(
    (status = 201, description = "Its number"), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    body: Bytes,
) -> Result<Response> {
    let new: NewJobKind = parse(&body)?;
    let condition = Condition { attribute: new.attribute, operator: new.operator, value: new.value.trim().to_owned() };
    let wanted = Wanted { source: new.source, condition, kind: new.kind };
    let id = keep(&app, &principal.login, &address.to_string(), wanted).await.map_err(unprocessable)?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))).into_response())
}

/// Take a rule away; what it counted goes with it.
#[utoipa::path(post, path = "/api/v1/job-kinds/{id}/delete", tag = "metrics",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 204, description = "It is gone"), (status = 404, body = ErrorBody)))]
pub async fn delete(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<StatusCode> {
    set_deleted(&app, &principal.login, &address.to_string(), id, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Put a rule back that was taken away.
#[utoipa::path(post, path = "/api/v1/job-kinds/{id}/restore", tag = "metrics",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 204, description = "It counts again"), (status = 404, body = ErrorBody)))]
pub async fn restore(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<StatusCode> {
    set_deleted(&app, &principal.login, &address.to_string(), id, false).await?;
    Ok(StatusCode::NO_CONTENT)
}
