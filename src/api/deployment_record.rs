//! How a body becomes a deployment: it is stored first, as a webhook is, and then read and mapped at once where nobody
//! changes the rules. Where somebody does, a job reads it later; a sender never waits for that, nor loses anything.

use super::deployments::{AcceptedDeployment, Deployment};
use super::error::{Error, Result};
use crate::events::{self, EVENT_HEADER, EXTERNAL_ID_HEADER, Event, Headers, Status};
use crate::rollup;
use crate::store::deployment_lists::{self, Row};
use crate::store::event_deliveries::{self, NewDelivery};
use crate::store::event_sources::{self, API_SOURCE};
use crate::store::{jobs, locks};
use crate::web::{self, AppState};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use std::time::Duration;
use tokio::time::timeout;

/// How long a sender waits for its turn, and then for the locks of whoever changes rules or writes down events.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is to be recorded.
pub(super) struct Post {
    pub event_name: &'static str,
    pub dedupe_key: String,
    pub external_id: String,
    pub headers: Headers,
    pub body: Vec<u8>,
    /// It tells of a new deployment, whose id nobody else has.
    pub is_new_only: bool,
    /// What it tells of was not read yet: it is read after that.
    pub follows_unread: bool,
    /// How it says that the deployment ended.
    pub ended: Option<Status>,
}

/// What became of it.
pub(super) enum Recorded {
    Now(StatusCode, Box<Deployment>),
    Later(AcceptedDeployment),
}

struct Stored {
    event_source_id: i64,
    event_delivery_id: i64,
}

/// Stores it, and records it where that can be done at once.
pub(super) async fn record(app: AppState, mut post: Post, now: DateTime<Utc>) -> Result<Recorded> {
    post.body = events::without_credentials(&post.body).into_owned();
    post.headers.insert(EVENT_HEADER, post.event_name);
    post.headers.insert(EXTERNAL_ID_HEADER, &post.external_id);
    let events = events::read("api", &post.headers, &post.body, now)
        .map_err(|error| Error::Unprocessable(format!("The body does not fit: {error}.")))?;
    let stored = store(&app, &post, now).await?;
    if post.follows_unread {
        return later(&app, post).await;
    }
    // Few at once wait for locks, so that pages keep their connections; the others wait without one.
    let Ok(Ok(_turn)) = timeout(PATIENCE, app.recording.acquire()).await else { return later(&app, post).await };
    match record_now(&app, &post, &stored, &events, now).await? {
        Some((status, row)) => Ok(Recorded::Now(status, Box::new(Deployment::of(row, now)))),
        None => later(&app, post).await,
    }
}

async fn store(app: &AppState, post: &Post, now: DateTime<Utc>) -> Result<Stored> {
    let mut transaction = app.pools.web.begin().await?;
    let source = event_sources::find(&mut transaction, API_SOURCE).await?;
    let source = source.filter(|source| source.enabled).ok_or_else(|| {
        web::Error::Conflict("Deployments by API are switched off on the page \"Event sources\".".into())
    })?;
    let event_source_id = source.event_source_id;
    locks::lock_deployment_id(&mut transaction, &post.external_id).await?;
    let is_taken = post.is_new_only && is_known(&mut transaction, event_source_id, &post.external_id).await?;
    let new = NewDelivery {
        event_source_id,
        dedupe_key: &post.dedupe_key,
        event_name: post.event_name,
        headers: &post.headers,
        body: &post.body,
        body_sha256: &hex::encode(Sha256::digest(&post.body)),
        received_at: now,
    };
    let stored = event_deliveries::insert(&mut transaction, &new).await?;
    // The transaction is dropped: what conflicts leaves no trace.
    if !stored.is_same_body || (stored.is_new && is_taken) {
        return Err(other_body(post));
    }
    event_sources::received(&mut transaction, &[event_source_id], now).await?;
    transaction.commit().await?;
    Ok(Stored { event_source_id, event_delivery_id: stored.event_delivery_id })
}

async fn is_known(conn: &mut PgConnection, event_source_id: i64, external_id: &str) -> Result<bool> {
    let known = deployment_lists::find_by_external_id(&mut *conn, event_source_id, external_id).await?;
    Ok(known.is_some() || event_deliveries::is_waiting(conn, event_source_id, external_id).await?)
}

// Nothing where somebody holds the locks for longer than a sender should wait.
async fn record_now(
    app: &AppState,
    post: &Post,
    stored: &Stored,
    events: &[Event],
    now: DateTime<Utc>,
) -> Result<Option<(StatusCode, Row)>> {
    let mut transaction = app.pools.web.begin().await?;
    locks::wait_at_most(&mut transaction, PATIENCE).await?;
    let delivery_id = stored.event_delivery_id;
    let recording = async {
        rollup::events::lock(&mut transaction).await?;
        // Sent again, it may have been recorded meanwhile.
        let is_unread = event_deliveries::lock_unread(&mut transaction, delivery_id).await?;
        if is_unread {
            rollup::events::record(&mut transaction, stored.event_source_id, delivery_id, now, events).await?;
            event_deliveries::set_state(&mut transaction, delivery_id, "done", None).await?;
        }
        anyhow::Ok(is_unread)
    };
    let is_unread = match recording.await {
        Ok(is_unread) => is_unread,
        Err(error) if error.downcast_ref::<sqlx::Error>().is_some_and(locks::is_busy) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let id = deployment_lists::find_by_external_id(&mut transaction, stored.event_source_id, &post.external_id).await?;
    let row = match id {
        Some(id) => deployment_lists::get(&mut transaction, id).await?,
        None => None,
    };
    let row = row.ok_or_else(|| {
        web::Error::Conflict("This was sent before and could not be read; the page \"Event sources\" says why.".into())
    })?;
    if is_unread && let Some(sentence) = changes_nothing(post, &row) {
        transaction.rollback().await?;
        event_deliveries::delete(&mut *app.pools.web.acquire().await?, delivery_id).await?;
        return Err(Error::Unprocessable(sentence));
    }
    transaction.commit().await?;
    Ok(Some((if is_unread { StatusCode::CREATED } else { StatusCode::OK }, row)))
}

// An end that lies before what was told already does not hold: whoever says so should know.
fn changes_nothing(post: &Post, row: &Row) -> Option<String> {
    let ended = post.ended?;
    let holds = row.status == ended.as_str() || (ended == Status::Succeeded && row.status == "superseded");
    let (status, since) = (row.status.replace('_', " "), row.status_at.format("%Y-%m-%dT%H:%M:%SZ"));
    (!holds)
        .then(|| format!("finished_at is before {since}, since when the deployment is {status}; nothing was changed."))
}

async fn later(app: &AppState, post: Post) -> Result<Recorded> {
    let mut connection = app.pools.web.acquire().await?;
    jobs::enqueue(&mut connection, jobs::READ_EVENTS, "", &json!({})).await?;
    Ok(Recorded::Later(AcceptedDeployment::new(post.external_id)))
}

fn other_body(post: &Post) -> Error {
    let sentence = format!(
        "\"{}\" was recorded before with another body; to say what became of it, PATCH /api/v1/deployments/id:{}.",
        post.external_id, post.external_id
    );
    web::Error::Conflict(sentence).into()
}
