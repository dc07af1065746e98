//! `/webhooks/{sender}/{source}`: what a sender posts is checked, stored, and answered; it is read afterwards.
//!
//! Senders give up quickly, few send again, and some switch a hook off after a refusal: everything that is proven to be
//! theirs, of use or not, is stored before the answer. Anyone can post here: nothing of a body is read before the
//! source is known and a signature or token is there, and only a few bodies are in memory at once.

use super::{AppState, Error, Routes, detached};
use crate::api::error::ErrorBody;
use crate::events::{self, Headers, Proof, Sender};
use crate::store::event_deliveries::{self, NewDelivery};
use crate::store::event_sources::{self, EventSource};
use crate::store::jobs;
use crate::store::seal::Key;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// The job that reads what was stored.
pub const READ_EVENTS_JOB: &str = jobs::READ_EVENTS;
/// Ours are far smaller; a push of two thousand commits is about 2 MB.
const BODY_BYTES_MAX: usize = 5 << 20;
/// Bodies in memory at once.
pub const BODIES_MAX: usize = 16;
/// Until a body is whole: GitHub and GitLab give up after ten seconds.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request waits for another's body to be done.
const SLOT_TIMEOUT: Duration = Duration::from_secs(3);

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.webhook("/webhooks/{sender}/{source}", BODY_BYTES_MAX, receive)
}

async fn receive(
    State(app): State<AppState>,
    Path((sender, name)): Path<(String, String)>,
    headers: HeaderMap,
    request: axum::extract::Request,
) -> Result<Response, crate::api::Error> {
    let mut connection = app.pools.web.acquire().await?;
    let source = event_sources::find(&mut connection, &name).await?;
    drop(connection);
    let sender = Sender::of(&sender).ok_or(Error::NotFound)?;
    // One that is switched off looks like one that does not exist.
    let source = source.filter(|source| source.enabled && source.kind == sender.key).ok_or(Error::NotFound)?;
    if !events::proof_headers(sender.proof).iter().any(|name| headers.contains_key(*name)) {
        return Ok(refusal(StatusCode::UNAUTHORIZED, &unproven(sender)));
    }
    let slot = slot(&app).await?;
    let body = match read(&app, request).await {
        Ok(body) => body,
        Err(refused) => return Ok(refused),
    };
    if !is_proven(&app, &source, sender, &headers, &body).await? {
        refuse(&app, &source, "a request was refused: its signature or token does not fit the secret".into()).await?;
        return Ok(refusal(StatusCode::UNAUTHORIZED, &unproven(sender)));
    }
    if sender.key == "github" && !headers.contains_key("x-github-event") {
        return Ok(refusal(StatusCode::BAD_REQUEST, "The header X-GitHub-Event is missing."));
    }
    let Ok(plain) = events::plain_body(&body) else {
        return Ok(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Send application/json."));
    };
    let request = Request::new(&app, source.event_source_id, sender, kept(&headers), &body, &plain);
    let event_name = request.event_name.clone();
    let is_ping = event_name == "ping";
    // The body is in memory until it is stored, also where the sender hangs up.
    let (status, id) = detached(async move { (store(app, request).await, drop(slot)).0 }).await?;
    let status = if is_ping { StatusCode::OK } else { status };
    Ok((status, Json(json!({ "delivery": id, "event": event_name }))).into_response())
}

// What a sender is told that did not prove who it is.
fn unproven(sender: &Sender) -> String {
    match sender.proof {
        Proof::Sha256Prefixed("x-hub-signature-256") => {
            "X-Hub-Signature-256 does not fit this source's secret and the body.".to_owned()
        }
        Proof::Token | Proof::HoneycombTeam => {
            "The token is not this source's secret. Send it as \"Authorization: Bearer …\", as the password of basic \
             authentication, or in X-Costwake-Token."
                .to_owned()
        }
        proof => {
            format!("{} does not fit this source's secret and the body.", events::proof_headers(proof).join(" or "))
        }
    }
}

// A place among the bodies that are in memory; it is given back once the delivery is stored.
async fn slot(app: &AppState) -> Result<OwnedSemaphorePermit, Error> {
    let slot = tokio::time::timeout(SLOT_TIMEOUT, app.webhook_bodies.clone().acquire_owned()).await;
    slot.ok().and_then(Result::ok).ok_or(Error::Busy { retry_after_seconds: BODY_TIMEOUT.as_secs() })
}

// The body as it came, or what its sender is told.
async fn read(app: &AppState, request: axum::extract::Request) -> Result<Bytes, Response> {
    match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, app)).await {
        Ok(body) => body.map_err(IntoResponse::into_response),
        Err(_) => Err(refusal(StatusCode::REQUEST_TIMEOUT, "The body came too slowly.")),
    }
}

struct Request {
    event_source_id: i64,
    dedupe_key: String,
    event_name: String,
    headers: Headers,
    body: Vec<u8>,
    body_sha256: String,
    received_at: DateTime<Utc>,
}

impl Request {
    // A body that is not JSON is stored too: reading it says so, where people see it.
    fn new(app: &AppState, event_source_id: i64, sender: &Sender, headers: Headers, body: &[u8], plain: &[u8]) -> Self {
        let received_at = app.now();
        let body_sha256 = hex::encode(Sha256::digest(body));
        let root = serde_json::from_slice(plain).unwrap_or_default();
        Self {
            event_source_id,
            dedupe_key: events::dedupe_key(sender, &headers, &root, &body_sha256, received_at),
            event_name: events::event_name(sender, &headers, &root),
            headers,
            body: events::without_credentials(plain),
            body_sha256,
            received_at,
        }
    }
}

// Committed when it returns: 202 for what is new, 200 for what was here before.
async fn store(app: AppState, request: Request) -> Result<(StatusCode, i64), Error> {
    let now = request.received_at;
    let mut transaction = app.pools.web.begin().await?;
    let new = NewDelivery {
        event_source_id: request.event_source_id,
        dedupe_key: &request.dedupe_key,
        event_name: &request.event_name,
        headers: json!(request.headers),
        body: &request.body,
        body_sha256: &request.body_sha256,
        received_at: now,
    };
    let stored = event_deliveries::insert(&mut transaction, &new).await?;
    if stored.is_new {
        jobs::enqueue(&mut transaction, READ_EVENTS_JOB, "", &json!({})).await?;
    } else if !stored.is_same_body {
        tracing::warn!(
            delivery.id = stored.event_delivery_id,
            "A delivery came again with another body; the first is kept"
        );
    }
    event_sources::received(&mut transaction, request.event_source_id, now).await?;
    transaction.commit().await?;
    let status = if stored.is_new { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, stored.event_delivery_id))
}

async fn is_proven(
    app: &AppState,
    source: &EventSource,
    sender: &Sender,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<bool, Error> {
    let key = key(app).await?;
    let secrets = match source.secrets(&key, app.now()) {
        Ok(secrets) => secrets,
        // The sender is right and we cannot tell; the page of event sources says what to do.
        Err(error) => {
            refuse(app, source, error.to_string()).await?;
            return Err(anyhow::Error::from(error).into());
        }
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Ok(events::is_proven(sender.proof, &secrets, header, body, app.now()))
}

async fn refuse(app: &AppState, source: &EventSource, sentence: String) -> Result<(), Error> {
    let (app, id) = (app.clone(), source.event_source_id);
    detached(async move {
        let mut connection = app.pools.web.acquire().await?;
        Ok(event_sources::refused(&mut connection, id, &sentence).await?)
    })
    .await
}

/// The key that secrets are sealed with.
pub async fn key(app: &AppState) -> Result<Key, Error> {
    let path = app.config.key_file();
    let loaded = tokio::task::spawn_blocking(move || Key::load_or_create(&path)).await;
    Ok(loaded.map_err(anyhow::Error::from)?.map_err(anyhow::Error::from)?)
}

/// The headers that are kept of a request: all but secrets.
pub fn kept(headers: &HeaderMap) -> Headers {
    Headers::redacted(headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())))
}

fn refusal(status: StatusCode, sentence: &str) -> Response {
    (status, Json(ErrorBody { error: sentence.to_owned() })).into_response()
}
