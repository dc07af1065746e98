//! `/webhooks/{sender}/{source}`: what a sender posts is checked, stored, and answered; it is read afterwards.
//!
//! Senders give up quickly, few send again, and some switch a hook off after a refusal: everything that is proven to be
//! theirs, of use or not, is stored before the answer. Anyone can post here: nothing of a body is read before the
//! source is known and a signature or token is there, only so much of bodies is in memory at once, and nobody waits for
//! another's body.

use super::webhook_bodies::Fault;
use super::webhook_intake::{Proven, Taken};
use super::{AppState, ClientAddress, Error, Routes, detached, request_id};
use crate::api::error::ErrorBody;
use crate::events::{self, Headers, Proof, Sender, Unproven};
use crate::store::event_sources::{self, EventSource};
use crate::store::seal::Key;
use crate::store::{jobs, sealed};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// The job that reads what was stored.
pub const READ_EVENTS_JOB: &str = jobs::READ_EVENTS;
/// Where senders post.
pub const PATH: &str = "/webhooks/{sender}/{source}";
/// Ours are far smaller; a push of two thousand commits is about 2 MB.
const BODY_BYTES_MAX: usize = 5 << 20;
/// Requests at once that are looked up, proven or stored, not those whose body is still coming. More are told to come
/// again: each that waits makes those behind it wait, and senders give up after ten seconds.
pub const TURNS_MAX: usize = 80;
/// What one is told that finds no turn.
const TURN_RETRY_SECONDS: u64 = 1;
/// Proofs of one request, where its source is changed again and again meanwhile.
const PROOFS_MAX: usize = 3;
/// What one is told that shows the plain token of a source that signs.
const UNSIGNED: &str = "This source signs what it sends, so that its plain token is not accepted any more. Let the webhook \
     sign with the source's secret, or allow the plain token on the source's page.";

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.webhook(PATH, receive)
}

/// What a sender is told whose webhook is stored.
#[derive(Serialize)]
struct Answer<'a> {
    delivery: i64,
    event: &'a str,
}

async fn receive(
    State(app): State<AppState>,
    Path((sender, name)): Path<(String, String)>,
    address: ClientAddress,
    request: axum::extract::Request,
) -> Result<Response, crate::api::Error> {
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let looks_up = turn(&app)?;
    let sender = Sender::of(&sender).ok_or(Error::NotFound)?;
    let mut source = source_of(&app, sender, &name).await?;
    if !events::proof_headers(sender.proof).iter().any(|name| headers.contains_key(*name)) {
        // Who proves nothing is not told of a source that was switched off since it was read.
        app.webhook_intake.forget(&name);
        let source = source_of(&app, sender, &name).await?;
        return Ok(counted(&app, &source, sender, Unproven::Missing));
    }
    // However slowly a body comes, its request keeps no turn from others.
    drop(looks_up);
    let (body, place) = match app.webhook_bodies.read(address, body, BODY_BYTES_MAX).await {
        Ok(read) => read,
        Err(fault) => return unread(fault),
    };
    let _turn = turn(&app)?;
    // A source as it was read before may have got another secret since.
    if !is_taken(&app, &source, sender, &headers, &body).await? {
        app.webhook_intake.forget(&name);
        source = source_of(&app, sender, &name).await?;
        if !is_taken(&app, &source, sender, &headers, &body).await? {
            return Ok(Box::pin(refused(&app, &source, sender, &headers, &body)).await?);
        }
    }
    if sender.key == "github" && !headers.contains_key("x-github-event") {
        return Ok(refusal(StatusCode::BAD_REQUEST, "The header X-GitHub-Event is missing."));
    }
    let Ok(plain) = events::plain_body(&body) else {
        return Ok(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Send application/json."));
    };
    let mut request = proven(&app, source, sender, &headers, &body, plain);
    let event_name = request.event_name.clone();
    for _ in 0..PROOFS_MAX {
        let changed = match store(&app, request).await? {
            Taken::Stored(stored) => {
                if !stored.is_new && !stored.is_same_body {
                    request_id::told(|| {
                        tracing::warn!(
                            delivery.id = stored.event_delivery_id,
                            "A delivery came again with another body; the first is kept"
                        );
                    });
                }
                let is_new = stored.is_new && event_name != "ping";
                let status = if is_new { StatusCode::ACCEPTED } else { StatusCode::OK };
                let answer = Answer { delivery: stored.event_delivery_id, event: &event_name };
                drop(place);
                return Ok((status, Json(answer)).into_response());
            }
            Taken::SourceChanged(changed) => changed,
        };
        app.webhook_intake.forget(&name);
        let source = source_of(&app, sender, &name).await?;
        if !is_taken(&app, &source, sender, &headers, &body).await? {
            return Ok(Box::pin(refused(&app, &source, sender, &headers, &body)).await?);
        }
        request = Proven { source, ..*changed };
    }
    Err(Error::Busy { retry_after_seconds: TURN_RETRY_SECONDS }.into())
}

// The source of this name, as it was last read where it was; whatever is stored is compared with what it is by then.
// One that is switched off looks like one that does not exist.
//
// What few requests need is boxed, here and elsewhere: each request would else carry, and copy, room for all of it.
async fn source_of(app: &AppState, sender: &Sender, name: &str) -> Result<Arc<EventSource>, Error> {
    let source = match app.webhook_intake.known(name) {
        Some(source) => source,
        None => Box::pin(read_source(app, name)).await?,
    };
    if source.kind == sender.key { Ok(source) } else { Err(Error::NotFound) }
}

async fn read_source(app: &AppState, name: &str) -> Result<Arc<EventSource>, Error> {
    let found = event_sources::find(&mut *app.pools.web.acquire().await?, name).await?;
    let source = Arc::new(found.filter(|source| source.enabled).ok_or(Error::NotFound)?);
    app.webhook_intake.keep(&source);
    Ok(source)
}

// What a sender is told that did not prove who it is; its source's page tells how many there were.
fn counted(app: &AppState, source: &EventSource, sender: &Sender, reason: Unproven) -> Response {
    app.webhook_refusals.count(&app.pools, source.event_source_id, reason, app.now());
    let sentence = if reason == Unproven::Missing { missing(sender) } else { unproven(sender) };
    refusal(StatusCode::UNAUTHORIZED, &sentence)
}

fn missing(sender: &Sender) -> String {
    match sender.proof {
        Proof::Sha256Prefixed("x-hub-signature-256") => {
            "X-Hub-Signature-256 is missing. Enter this source's secret at the webhook, so that it signs.".to_owned()
        }
        Proof::Token | Proof::HoneycombTeam => {
            let own = if sender.proof == Proof::HoneycombTeam { "in X-Honeycomb-Team, " } else { "" };
            format!(
                "The token is missing. Send this source's secret {own}as \"Authorization: Bearer …\", as the password of \
                 basic authentication, or in X-Costwake-Token."
            )
        }
        proof => format!(
            "{} is missing. Enter this source's secret at the sender, so that it signs.",
            events::proof_headers(proof).join(" or ")
        ),
    }
}

fn unproven(sender: &Sender) -> String {
    match sender.proof {
        Proof::Sha256Prefixed("x-hub-signature-256") => {
            "X-Hub-Signature-256 does not fit this source's secret and the body.".to_owned()
        }
        Proof::Token | Proof::HoneycombTeam => {
            let own = if sender.proof == Proof::HoneycombTeam { "in X-Honeycomb-Team, " } else { "" };
            format!(
                "The token is not this source's secret. Send it {own}as \"Authorization: Bearer …\", as the password of \
                 basic authentication, or in X-Costwake-Token."
            )
        }
        Proof::Gitlab => "webhook-signature or x-gitlab-token does not fit this source's secret and the body, or \
                          webhook-timestamp is more than 5 minutes off."
            .to_owned(),
        proof => {
            format!("{} does not fit this source's secret and the body.", events::proof_headers(proof).join(" or "))
        }
    }
}

fn turn(app: &AppState) -> Result<OwnedSemaphorePermit, Error> {
    let turn = app.webhook_turns.clone().try_acquire_owned();
    turn.map_err(|_| Error::TooMany { retry_after_seconds: TURN_RETRY_SECONDS })
}

// What one is told whose body was not read.
fn unread(fault: Fault) -> Result<Response, crate::api::Error> {
    match fault {
        Fault::NoRoom => Err(Error::Busy { retry_after_seconds: TURN_RETRY_SECONDS }.into()),
        Fault::TooLarge => Ok(refusal(StatusCode::PAYLOAD_TOO_LARGE, "A webhook has at most 5 MiB.")),
        Fault::TooSlow => Ok(refusal(StatusCode::REQUEST_TIMEOUT, "The body came too slowly.")),
        Fault::BrokeOff => Ok(refusal(StatusCode::BAD_REQUEST, "The body broke off before its end.")),
    }
}

// A body that is not JSON is stored too: reading it says so, where people see it.
fn proven(
    app: &AppState,
    source: Arc<EventSource>,
    sender: &Sender,
    headers: &HeaderMap,
    body: &Bytes,
    plain: Cow<'_, [u8]>,
) -> Proven {
    let is_signed = is_signed(sender, headers);
    let headers = kept(headers);
    let received_at = app.now();
    let body_sha256 = hex::encode(Sha256::digest(body));
    let body = match (&plain, events::stored_body(sender, &plain)) {
        // A part of what came, and not copied.
        (Cow::Borrowed(_), Cow::Borrowed(part)) => body.slice_ref(part),
        (_, other) => other.into_owned().into(),
    };
    let is_looked_at = !events::is_known_by_headers(sender);
    let root = is_looked_at.then(|| serde_json::from_slice(&body).ok()).flatten().unwrap_or_default();
    Proven {
        source,
        is_signed,
        dedupe_key: events::dedupe_key(sender, &headers, &root, &body_sha256, received_at),
        event_name: events::event_name(sender, &headers, &root),
        headers,
        body,
        body_sha256,
        received_at,
    }
}

// Committed when it returns. Where the sender hangs up while it waits, the writer has the request already.
async fn store(app: &AppState, request: Proven) -> Result<Taken, Error> {
    app.webhook_intake.store(&app.pools, request).await
}

async fn is_proven(
    app: &AppState,
    source: &EventSource,
    sender: &Sender,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<bool, Error> {
    let key = app.webhook_intake.key(&app.config.key_file(), || key(app)).await?;
    let secrets = match app.webhook_intake.secrets(source, &key, app.now()) {
        Ok(secrets) => secrets,
        // The sender is right and we cannot tell; the page of event sources says what to do.
        Err(error) => {
            Box::pin(refuse(app, source, error.to_string())).await?;
            return Err(anyhow::Error::from(error).into());
        }
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Ok(events::is_proven(sender.proof, &secrets, header, body, app.now()))
}

// Whether a request proves who sent it, in the way that its source asks for.
async fn is_taken(
    app: &AppState,
    source: &EventSource,
    sender: &Sender,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<bool, Error> {
    Ok(!lacks_signature(source, sender, headers) && is_proven(app, source, sender, headers, body).await?)
}

// What a request is told that is not taken; its source counts it.
async fn refused(
    app: &AppState,
    source: &EventSource,
    sender: &Sender,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, Error> {
    if lacks_signature(source, sender, headers) && is_proven(app, source, sender, headers, body).await? {
        app.webhook_refusals.count(&app.pools, source.event_source_id, Unproven::Missing, app.now());
        refuse(app, source, UNSIGNED.into()).await?;
        return Ok(refusal(StatusCode::UNAUTHORIZED, UNSIGNED));
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Ok(counted(app, source, sender, events::unproven(sender.proof, header, app.now())))
}

fn lacks_signature(source: &EventSource, sender: &Sender, headers: &HeaderMap) -> bool {
    source.requires_signature() && matches!(sender.proof, Proof::Gitlab) && !is_signed(sender, headers)
}

fn is_signed(sender: &Sender, headers: &HeaderMap) -> bool {
    events::is_signed(sender.proof, |name| headers.get(name).and_then(|value| value.to_str().ok()))
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
    Ok(sealed::key(&app.pools.web, &app.config.key_file()).await.map_err(anyhow::Error::from)?)
}

/// The headers that are kept of a request: all but secrets.
pub fn kept(headers: &HeaderMap) -> Headers {
    Headers::redacted(headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())))
}

fn refusal(status: StatusCode, sentence: &str) -> Response {
    (status, Json(ErrorBody { error: sentence.to_owned() })).into_response()
}
