//! Pinning an operational event to services and an environment, letting rules decide again, and taking away pins whose
//! event is gone.

use super::context_events::page_of;
use super::mapping_change::{self, Done, MappingChange};
use super::pin_places::{Asked, PinForm, asked_place};
use super::{AppState, ClientAddress, Error, Policy, Principal, Result, Routes};
use crate::rollup::map_operational_events::map_operational_events;
use crate::store::locks;
use crate::store::operational_event_pins::{self, Which};
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

pub fn routes(routes: Routes) -> Routes {
    routes
        .post("/event-pins/remove", Policy::Bills, remove_by_form)
        .post("/events/{id}/pin", Policy::Bills, pin_by_form)
        .post("/events/{id}/unpin", Policy::Bills, unpin_by_form)
}

async fn pin_by_form(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    Form(form): Form<PinForm>,
) -> Result<Response> {
    let done = pin(app, principal, address, id, form.asked()).await?;
    Ok(done.redirect(|_| section_of(id)))
}

async fn unpin_by_form(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Response> {
    let done = unpin(app, principal, address, id).await?;
    Ok(done.redirect(|_| section_of(id)))
}

/// A pin, by what its event is called.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RemoveForm {
    source: String,
    id: String,
}

async fn remove_by_form(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<RemoveForm>,
) -> Result<Response> {
    let done = remove(app, principal, address, form.source, form.id).await?;
    Ok(done.redirect(|()| "/unmapped?show=events".into()))
}

fn section_of(id: i64) -> String {
    format!("{}#h-match", page_of(id))
}

/// Pins an event where somebody asks, and moves it there. Whether it was not pinned there before.
pub async fn pin(
    app: AppState,
    principal: Principal,
    address: ClientAddress,
    id: i64,
    asked: Asked,
) -> Result<Done<bool>> {
    mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        locks::lock_events(change.conn()).await?;
        let now_at = operational_event_pins::place(change.conn(), id).await?.ok_or(Error::NotFound)?;
        let place = asked_place(change.conn(), "event", now_at, &asked).await?;
        let (by, now) = (change.actor().to_owned(), change.now());
        let has_changed = operational_event_pins::pin(change.conn(), id, &place, &by, now).await?;
        if has_changed {
            let pins = operational_event_pins::list(change.conn(), Which::Of(id), 1).await?;
            let pin = pins.first().ok_or(Error::NotFound)?;
            let details = json!({ "services": pin.service_slugs, "environment": pin.environment_slug });
            settle(change, id, "event.pinned", details).await?;
        }
        Ok(has_changed)
    })
    .await
}

/// Lets rules decide about an event again, and moves it where they say. Whether it was pinned before.
pub async fn unpin(app: AppState, principal: Principal, address: ClientAddress, id: i64) -> Result<Done<bool>> {
    mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        locks::lock_events(change.conn()).await?;
        operational_event_pins::place(change.conn(), id).await?.ok_or(Error::NotFound)?;
        let has_changed = operational_event_pins::unpin(change.conn(), id).await?;
        if has_changed {
            settle(change, id, "event.unpinned", json!({})).await?;
        }
        Ok(has_changed)
    })
    .await
}

/// Takes a pin away whose event nothing tells of any more: rules decide about it once something does.
pub async fn remove(
    app: AppState,
    principal: Principal,
    address: ClientAddress,
    source: String,
    external_id: String,
) -> Result<Done<()>> {
    mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        locks::lock_events(change.conn()).await?;
        if !operational_event_pins::remove_waiting(change.conn(), &source, &external_id).await? {
            return Err(Error::Conflict(
                "No such pin waits for its event: somebody took it away, or the event is there again and its page lets \
                 rules decide."
                    .into(),
            ));
        }
        change.audit("event.unpinned", &format!("event {external_id} of {source}"), json!({})).await?;
        change.finish_without_remap().await
    })
    .await
}

// Only this event is mapped: it adds nothing to the catalogue, so that nothing else moves with it.
async fn settle(mut change: MappingChange, id: i64, action: &str, details: Value) -> Result<()> {
    map_operational_events(change.conn(), &[id]).await?;
    change.audit(action, &format!("event {id}"), details).await?;
    change.finish_without_remap().await
}
