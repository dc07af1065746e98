//! `/api/v1/job-runs`: a job that ran somewhere without a sender of its own (a cluster's batch job, a training run of a
//! notebook service). It is stored first, as a webhook is, and read as one.

use super::body::parse;
use super::catalogue::unprocessable;
use super::deployment_body::{is_plain_id, length};
use super::error::{Error, ErrorBody, Result};
use crate::events::{self, EVENT_HEADER, EXTERNAL_ID_HEADER};
use crate::store::event_deliveries::{self, NewDelivery};
use crate::store::event_sources::{self, API_SOURCE};
use crate::store::jobs;
use crate::web::{self, ApiPolicy, AppState, Policy, Routes, detached};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A clock may be a little ahead.
const AHEAD_MAX: TimeDelta = TimeDelta::days(1);
const LABELS_MAX: usize = 50;
const STATUSES: [&str; 3] = ["succeeded", "failed", "canceled"];

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.api_post("/api/v1/job-runs", ApiPolicy::ingest(Policy::SignedIn), create)
}

/// A job that ended. Times are RFC 3339, or an epoch in seconds, milliseconds, microseconds or nanoseconds.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewJobRun {
    /// Your own id of it. Sending it again is harmless.
    #[schema(example = "train-ranker-20261123-1")]
    pub id: String,
    /// What it is called; rules for kinds of jobs see it as the pipeline.
    #[schema(example = "train-ranker")]
    pub name: String,
    /// The service that it works for, by a name that the catalogue or a mapping rule knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// `owner/name`, where no service is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// `succeeded` (default), `failed` or `canceled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// When it began.
    #[schema(value_type = String, example = "2026-11-23T10:00:00Z")]
    pub started_at: Value,
    /// When it ended.
    #[schema(value_type = String, example = "2026-11-23T11:30:00Z")]
    pub finished_at: Value,
    /// Its page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What says of it what it does; rules see each as `tag:<name>`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl NewJobRun {
    fn check(&self, now: DateTime<Utc>) -> Result<()> {
        let refuse = |sentence: &str| Err(Error::Unprocessable(sentence.to_owned()));
        is_plain_id(Some(&self.id))?;
        for (name, value) in [
            ("id", Some(&self.id)),
            ("name", Some(&self.name)),
            ("service", self.service.as_ref()),
            ("repo", self.repo.as_ref()),
        ] {
            let Some(value) = value else { continue };
            length(name, value)?;
            if events::clean_text(value).is_none() {
                return refuse(&format!("{name} must not be empty."));
            }
        }
        if self.service.is_none() && self.repo.is_none() {
            return refuse(
                "service is missing: name the service, or a repo that a mapping rule or the catalogue knows.",
            );
        }
        if self.status.as_deref().is_some_and(|status| !STATUSES.contains(&status)) {
            return refuse("status must be succeeded, failed or canceled: a job is told once it has ended.");
        }
        if self.labels.len() > LABELS_MAX {
            return refuse(&format!("labels takes at most {LABELS_MAX}."));
        }
        let time = |name: &str, value: &Value| match events::clean_time(value, now) {
            Some((at, false)) if at <= now + AHEAD_MAX => Ok(at),
            _ => Err(Error::Unprocessable(format!("{name} is no time: write it as 2026-11-23T10:00:00Z."))),
        };
        if time("started_at", &self.started_at)? > time("finished_at", &self.finished_at)? {
            return refuse("finished_at is before started_at.");
        }
        Ok(())
    }
}

/// A job's run was taken. It is counted within a quarter of an hour.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AcceptedJobRun {
    /// The id that you gave it.
    pub id: String,
}

/// Record a job that ended. It is counted as usage of its service, by the rules for kinds of jobs.
#[utoipa::path(post, path = "/api/v1/job-runs", tag = "metrics", request_body = NewJobRun, responses(
    (status = 202, description = "Stored; it is read and counted soon", body = AcceptedJobRun),
    (status = 200, description = "The same was sent before", body = AcceptedJobRun),
    (status = 409, description = "Another one was sent under this id, or the API takes none", body = ErrorBody),
    (status = 422, description = "A value is wrong; the sentence names it", body = ErrorBody)))]
pub async fn create(State(app): State<AppState>, headers: HeaderMap, body: Bytes) -> Result<Response> {
    let new: NewJobRun = parse(&body)?;
    let now = app.now();
    new.check(now)?;
    let id = new.id.trim().to_owned();
    let mut kept = web::webhooks::kept(&headers);
    kept.insert(EVENT_HEADER, "job_run");
    kept.insert(EXTERNAL_ID_HEADER, &id);
    let body = serde_json::to_vec(&new).map_err(anyhow::Error::from)?;
    let body = events::without_credentials(&body).into_owned();
    events::read("api", &kept, &body, now)
        .map_err(|error| Error::Unprocessable(format!("The body does not fit: {error}.")))?;
    let is_new = detached({
        let (app, id) = (app.clone(), id.clone());
        async move {
            let mut transaction = app.pools.web.begin().await?;
            let source = event_sources::find(&mut transaction, API_SOURCE).await?.filter(|source| source.enabled);
            let source = source.ok_or_else(|| {
                web::Error::Conflict("What is sent by API is switched off on the page \"Event sources\".".into())
            })?;
            let delivery = NewDelivery {
                event_source_id: source.event_source_id,
                dedupe_key: &format!("job_run:{id}"),
                event_name: "job_run",
                headers: &kept,
                body: &body,
                body_sha256: &hex::encode(Sha256::digest(&body)),
                received_at: now,
            };
            let stored = event_deliveries::insert(&mut transaction, &delivery).await?;
            if !stored.is_same_body {
                let sentence = format!("\"{id}\" was sent before with another body: give another run another id.");
                return Err(web::Error::Conflict(sentence));
            }
            event_sources::received(&mut transaction, &[source.event_source_id], now).await?;
            if stored.is_unread {
                jobs::enqueue(&mut transaction, jobs::READ_EVENTS, "", &json!({})).await?;
            }
            transaction.commit().await?;
            Ok(stored.is_new)
        }
    })
    .await
    .map_err(unprocessable)?;
    let status = if is_new { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(AcceptedJobRun { id })).into_response())
}
