//! `/api/v1/splits`: shared costs for scripts. A change is worked into the figures before it is answered.

use super::body::parse;
use super::catalogue::{BeingWorkedIn, DeletedNumber, answer, present};
use super::error::{ErrorBody, Result};
use crate::allocate::split::NOT_ALLOCATED;
use crate::rollup::splits::StoredTarget;
use crate::store::splits::{self, SplitValues};
use crate::store::{Snapshot, catalogue};
use crate::web::mapping_change::{self, MappingChange};
use crate::web::rules::form::{checked_reason, service_id};
use crate::web::splits::form::checked;
use crate::web::splits::{add_split, change_split, delete_split, restore_split, unknown_metrics};
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashMap};

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let (read, admin) = (ApiPolicy::read(Policy::SignedIn), ApiPolicy::admin(Policy::Bills));
    routes
        .api_get("/api/v1/splits", read, list)
        .api_post("/api/v1/splits", admin, add)
        .api_patch("/api/v1/splits/{id}", admin, change)
        .api_post("/api/v1/splits/{id}/delete", admin, delete)
        .api_post("/api/v1/splits/{id}/restore", admin, restore)
}

/// A split.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SplitBody {
    /// Its id.
    pub id: i64,
    /// The content.
    #[serde(flatten)]
    pub content: NewSplit,
    /// How often it was saved.
    pub version: i32,
    /// Who changed it last.
    pub changed_by: String,
    /// That its metric has no value, so that it divides nothing; absent where there is nothing to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Who gets a share.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitTargetBody {
    /// The short name of the service.
    pub service: String,
    /// Of a fixed split: how many of 100, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<String>,
}

/// How a service's cost is divided among others.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSplit {
    /// What people call it.
    pub name: String,
    /// The short name of the service whose cost is divided; without one, what is not allocated.
    #[serde(default)]
    pub source: Option<String>,
    /// `even`, `fixed`, `direct-cost` or `metric`.
    pub method: String,
    /// The metric's name.
    #[serde(default)]
    pub metric: Option<String>,
    /// Who gets a share; empty for every service with cost of its own that is not divided itself.
    #[serde(default)]
    pub targets: Vec<SplitTargetBody>,
    /// Whether each environment's cost is divided by what happened in that environment.
    #[serde(default)]
    pub by_environment: bool,
    /// The first charge day that it holds on.
    #[serde(default)]
    pub first_day: Option<NaiveDate>,
    /// The last charge day that it holds on.
    #[serde(default)]
    pub last_day: Option<NaiveDate>,
    /// Why it is made; needed, and kept with the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What changes of a split; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SplitChange {
    /// What people call it.
    pub name: Option<String>,
    /// The short name of the service whose cost is divided; `null` for what is not allocated.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub source: Option<Option<String>>,
    /// `even`, `fixed`, `direct-cost` or `metric`.
    pub method: Option<String>,
    /// The metric's name; it goes with the method `metric`.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub metric: Option<Option<String>>,
    /// All who get a share, instead of those that do; empty for every service with cost of its own that is not divided
    /// itself.
    pub targets: Option<Vec<SplitTargetBody>>,
    /// Whether each environment's cost is divided by what happened in that environment.
    pub by_environment: Option<bool>,
    /// The first charge day that it holds on; `null` for from the beginning.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<NaiveDate>)]
    pub first_day: Option<Option<NaiveDate>>,
    /// The last charge day that it holds on; `null` for good.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<NaiveDate>)]
    pub last_day: Option<Option<NaiveDate>>,
    /// Why it is changed; needed, and kept with the version.
    pub reason: Option<String>,
}

/// Why a split is deleted.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteSplit {
    /// Needed, and kept with the version.
    pub reason: String,
}

/// The version to go back to.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreSplit {
    /// As the page of the split numbers it.
    pub version: i32,
    /// Needed, and kept with the version.
    pub reason: String,
}

/// List splits.
#[utoipa::path(get, path = "/api/v1/splits", tag = "splits", responses((status = 200, body = Vec<SplitBody>)))]
pub async fn list(State(app): State<AppState>) -> Result<Json<Vec<SplitBody>>> {
    let mut snapshot = app.pools.snapshot().await?;
    Ok(Json(bodies(&mut snapshot).await?))
}

/// Divide a cost.
#[utoipa::path(post, path = "/api/v1/splits", tag = "splits", request_body = NewSplit, responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 201, body = SplitBody), (status = 422, body = ErrorBody)))]
pub async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    body: Bytes,
) -> Result<Response> {
    let new: NewSplit = parse(&body)?;
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let values = values(change.conn(), &new).await?;
        let reason = checked_reason(new.reason.as_deref().unwrap_or_default())?;
        let id = add_split(&mut change, &values, &reason).await?;
        change.finish_splits().await?;
        one(&app, id).await
    });
    answer(StatusCode::CREATED, done.await)
}

/// Change a split. What is absent stays.
#[utoipa::path(patch, path = "/api/v1/splits/{id}", tag = "splits", request_body = SplitChange,
    params(("id" = i64, Path, description = "Its id")), responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 200, body = SplitBody), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn change(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    body: Bytes,
) -> Result<Response> {
    let wanted: SplitChange = parse(&body)?;
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let stored = splits::list(change.conn()).await?;
        let before = stored.into_iter().find(|one| one.split_id == id).ok_or(web::Error::NotFound)?;
        let values = changed(change.conn(), before.values, &wanted).await?;
        let reason = checked_reason(wanted.reason.as_deref().unwrap_or_default())?;
        change_split(&mut change, id, &values, &reason).await?;
        change.finish_splits().await?;
        one(&app, id).await
    });
    answer(StatusCode::OK, done.await)
}

/// Delete a split. What it moved goes back to where it came from.
#[utoipa::path(post, path = "/api/v1/splits/{id}/delete", tag = "splits", request_body = DeleteSplit,
    params(("id" = i64, Path, description = "Its id")), responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 200, description = "Deleted", body = DeletedNumber), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn delete(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    body: Bytes,
) -> Result<Response> {
    let asked: DeleteSplit = parse(&body)?;
    let done = mapping_change::run(async move {
        let reason = checked_reason(&asked.reason)?;
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        delete_split(&mut change, id, &reason).await?;
        change.finish_splits().await?;
        Ok(DeletedNumber { deleted: id })
    });
    answer(StatusCode::OK, done.await)
}

/// Make a split what it was in a version. A deleted one comes back as a new split.
#[utoipa::path(post, path = "/api/v1/splits/{id}/restore", tag = "splits", request_body = RestoreSplit,
    params(("id" = i64, Path, description = "Its id")), responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 200, description = "As it is now; with another id where it was deleted", body = SplitBody),
    (status = 404, body = ErrorBody), (status = 422, body = ErrorBody),
    (status = 409, description = "It is so already, or names what is gone", body = ErrorBody)))]
pub async fn restore(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    body: Bytes,
) -> Result<Response> {
    let asked: RestoreSplit = parse(&body)?;
    let done = mapping_change::run(async move {
        let reason = checked_reason(&asked.reason)?;
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let id = restore_split(&mut change, id, asked.version, &reason).await?;
        change.finish_splits().await?;
        one(&app, id).await
    });
    answer(StatusCode::OK, done.await)
}

async fn values(conn: &mut PgConnection, new: &NewSplit) -> web::Result<SplitValues> {
    checked(SplitValues {
        name: new.name.trim().to_owned(),
        source_service_id: source_of(conn, new.source.as_deref()).await?,
        method: new.method.clone(),
        metric: metric_of(&new.method, new.metric.clone()),
        targets: targets_of(conn, &new.targets).await?,
        by_environment: new.by_environment,
        first_day: new.first_day,
        last_day: new.last_day,
    })
}

// What a split says with a change.
async fn changed(conn: &mut PgConnection, before: SplitValues, wanted: &SplitChange) -> web::Result<SplitValues> {
    let mut values = before;
    if let Some(name) = &wanted.name {
        values.name = name.trim().to_owned();
    }
    if let Some(source) = &wanted.source {
        values.source_service_id = source_of(conn, source.as_deref()).await?;
    }
    if let Some(method) = &wanted.method {
        values.method.clone_from(method);
    }
    if let Some(metric) = &wanted.metric {
        values.metric.clone_from(metric);
    }
    values.metric = metric_of(&values.method, values.metric);
    if let Some(targets) = &wanted.targets {
        values.targets = targets_of(conn, targets).await?;
    }
    values.by_environment = wanted.by_environment.unwrap_or(values.by_environment);
    values.first_day = wanted.first_day.unwrap_or(values.first_day);
    values.last_day = wanted.last_day.unwrap_or(values.last_day);
    checked(values)
}

async fn source_of(conn: &mut PgConnection, slug: Option<&str>) -> web::Result<i64> {
    match slug {
        Some(slug) => service_id(conn, slug).await,
        None => Ok(NOT_ALLOCATED),
    }
}

// Without its name, a metric is refused with a sentence of its own.
fn metric_of(method: &str, metric: Option<String>) -> Option<String> {
    (method == "metric").then(|| metric.unwrap_or_default())
}

async fn targets_of(conn: &mut PgConnection, told: &[SplitTargetBody]) -> web::Result<serde_json::Value> {
    let mut targets = Vec::new();
    for target in told {
        let percent = target.percent.as_deref().map(str::parse::<BigDecimal>).transpose();
        let percent = percent.map_err(|_| web::Error::Invalid("percent is a number as text: \"12.5\".".into()))?;
        targets.push(StoredTarget { service_id: service_id(conn, &target.service).await?, percent });
    }
    serde_json::to_value(targets).map_err(|error| web::Error::Internal(error.into()))
}

async fn one(app: &AppState, id: i64) -> web::Result<SplitBody> {
    let mut snapshot = app.pools.snapshot().await?;
    bodies(&mut snapshot).await?.into_iter().find(|split| split.id == id).ok_or(web::Error::NotFound)
}

async fn bodies(snapshot: &mut Snapshot) -> web::Result<Vec<SplitBody>> {
    let services = catalogue::service::list(&mut *snapshot).await?;
    let slugs: HashMap<i64, String> = services.into_iter().map(|one| (one.service_id, one.slug)).collect();
    let all = splits::list(&mut *snapshot).await?;
    let metrics: BTreeSet<&str> = all.iter().filter_map(|one| one.values.metric.as_deref()).collect();
    let unknown = unknown_metrics(&mut *snapshot, &metrics).await?;
    let body = |stored: splits::StoredSplit| {
        let note = stored.values.metric.as_ref().and_then(|name| unknown.get(name)).cloned();
        let unreadable = || web::Error::Internal(anyhow::anyhow!("split {} is not readable", stored.split_id));
        let targets: Vec<StoredTarget> =
            serde_json::from_value(stored.values.targets.clone()).map_err(|_| unreadable())?;
        // A service that is gone is left out: it gets nothing.
        let target = |one: StoredTarget| {
            let percent = one.percent.map(|percent| percent.normalized().to_plain_string());
            slugs.get(&one.service_id).map(|slug| SplitTargetBody { service: slug.clone(), percent })
        };
        Ok(SplitBody {
            id: stored.split_id,
            content: NewSplit {
                name: stored.values.name,
                source: slugs.get(&stored.values.source_service_id).cloned(),
                method: stored.values.method,
                metric: stored.values.metric,
                targets: targets.into_iter().filter_map(target).collect(),
                by_environment: stored.values.by_environment,
                first_day: stored.values.first_day,
                last_day: stored.values.last_day,
                reason: None,
            },
            version: stored.version,
            changed_by: stored.changed_by,
            note,
        })
    };
    all.into_iter().map(body).collect()
}
