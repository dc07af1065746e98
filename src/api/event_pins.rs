//! `/api/v1/event-pins`: matches of operational events that rules do not move.

use super::body::parse;
use super::catalogue::{BeingWorkedIn, answer};
use super::error::{ErrorBody, Result};
use super::pins::{NewPin, PinnedMatch};
use crate::store::operational_event_pins::{self, Which};
use crate::store::pins::Pin;
use crate::web::event_pins;
use crate::web::{ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;

const LIST_MAX: i64 = 1000;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let admin = ApiPolicy::admin(Policy::Bills);
    routes
        .api_get("/api/v1/event-pins", ApiPolicy::read(Policy::SignedIn), list)
        .api_post("/api/v1/event-pins/remove", admin, remove)
        .api_put("/api/v1/events/{id}/pin", admin, pin)
        .api_delete("/api/v1/events/{id}/pin", admin, unpin)
}

/// A match of an operational event that somebody pinned.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventPin {
    /// The operational event; null where nothing tells of it any more: the pin holds again once something does.
    pub event_id: Option<i64>,
    /// The match.
    #[serde(flatten)]
    pub pinned: PinnedMatch,
}

impl From<Pin<Option<i64>>> for EventPin {
    fn from(pin: Pin<Option<i64>>) -> Self {
        Self { event_id: pin.subject_id, pinned: pin.into() }
    }
}

/// A pin, by what its event is called.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventPinToRemove {
    /// The event source.
    pub source: String,
    /// The key of the event, as the list has it.
    pub id: String,
}

/// Whether an event's match is pinned now.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventPinState {
    /// The operational event.
    pub event_id: i64,
    /// Rules do not move it.
    pub is_pinned: bool,
    /// It was otherwise before.
    pub has_changed: bool,
}

/// List pinned matches of operational events, the latest 1,000.
#[utoipa::path(get, path = "/api/v1/event-pins", tag = "events", responses((status = 200, body = Vec<EventPin>)))]
pub async fn list(State(app): State<AppState>) -> Result<Json<Vec<EventPin>>> {
    let mut snapshot = app.pools.snapshot().await?;
    let pins = operational_event_pins::list(&mut snapshot, Which::All, LIST_MAX).await?;
    Ok(Json(pins.into_iter().map(EventPin::from).collect()))
}

/// Take away a pin whose event nothing tells of any more, so that rules decide about it once something does. Of an event
/// that is there, let rules decide again instead.
#[utoipa::path(post, path = "/api/v1/event-pins/remove", tag = "events", request_body = EventPinToRemove, responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 200, description = "Taken away"), (status = 409, description = "No such pin waits", body = ErrorBody),
    (status = 422, body = ErrorBody)))]
pub async fn remove(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    body: Bytes,
) -> Result<Response> {
    let EventPinToRemove { source, id } = parse(&body)?;
    let done = event_pins::remove(app, principal, address, source.clone(), id.clone()).await;
    let removed = |()| json!({ "removed": { "source": source, "id": id } });
    answer(StatusCode::OK, done.map(|done| done.map(removed)))
}

/// Pin an operational event: its services and environment are these, whatever rules say from now on. Without a body they
/// are those that it has.
#[utoipa::path(put, path = "/api/v1/events/{id}/pin", tag = "events", request_body = NewPin,
    params(("id" = i64, Path, description = "Its number, as /events.json has it")),
    responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 200, body = EventPinState), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn pin(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(event_id): Path<i64>,
    body: Bytes,
) -> Result<Response> {
    let asked = NewPin::read(&body)?.into();
    let done = event_pins::pin(app, principal, address, event_id, asked).await;
    let state = |has_changed| EventPinState { event_id, is_pinned: true, has_changed };
    answer(StatusCode::OK, done.map(|done| done.map(state)))
}

/// Let rules decide about an operational event again.
#[utoipa::path(delete, path = "/api/v1/events/{id}/pin", tag = "events",
    params(("id" = i64, Path, description = "Its number, as /events.json has it")),
    responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 200, body = EventPinState), (status = 404, body = ErrorBody)))]
pub async fn unpin(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(event_id): Path<i64>,
) -> Result<Response> {
    let done = event_pins::unpin(app, principal, address, event_id).await;
    let state = |has_changed| EventPinState { event_id, is_pinned: false, has_changed };
    answer(StatusCode::OK, done.map(|done| done.map(state)))
}
