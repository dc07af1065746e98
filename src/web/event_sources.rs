//! `/settings/event-sources`: who sends events, with which secret, and what came of it.

use super::connect_steps::{self, Steps};
use super::webhook_refusals::{self, Note};
use super::webhooks::{READ_EVENTS_JOB, key};
use super::{
    AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, detached, moments, unknown_keys,
};
use crate::events::listed::Api;
use crate::events::{self, Sender};
use crate::store::event_deliveries::{self, Counts, STATES, Shown};
use crate::store::event_sources::{self, EventSource, GRACE_HOURS};
use crate::store::{audit, event_reads, event_refusals, jobs, operational_events, seal};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;
use std::collections::{HashMap, HashSet};

const PAGE_PATH: &str = "/settings/event-sources";
/// Deliveries a page.
const DELIVERIES_MAX: usize = 20;
/// Of a longer key of a delivery the beginning is listed; the whole of it is behind that.
const KEY_CHARS_MAX: usize = 16;
/// The beginning of one.
const KEY_START_CHARS: usize = 12;
/// Of a secret that a sender made itself.
const SECRET_LENGTHS: std::ops::RangeInclusive<usize> = 8..=200;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get(PAGE_PATH, Policy::Admin, show)
        .post(PAGE_PATH, Policy::Admin, create)
        .post("/settings/event-sources/{id}/rotate", Policy::Admin, rotate)
        .post("/settings/event-sources/{id}/end-old-secret", Policy::Admin, end_old_secret)
        .post("/settings/event-sources/{id}/enable", Policy::Admin, enable)
        .post("/settings/event-sources/{id}/disable", Policy::Admin, disable)
        .post("/settings/event-sources/{id}/read-again", Policy::Admin, read_all_again)
        .post("/settings/event-sources/deliveries/{id}/read-again", Policy::Admin, read_again)
}

#[derive(Template, WebTemplate)]
#[template(path = "event_sources.html")]
struct EventSourcesPage {
    page: Page,
    sources: Vec<EventSource>,
    /// Those of them whose API is read too.
    read_ids: HashSet<i64>,
    /// Of those that refused something lately.
    refused: HashMap<i64, Note>,
    deliveries: Vec<Shown>,
    counts: Counts,
    /// Operational events, and those of them that belong to no service.
    context_count: i64,
    context_unmapped: i64,
    /// Of `event_deliveries::STATES`; empty for all.
    state: String,
    is_first: bool,
    older: Option<i64>,
    made: Option<MadeSecret>,
}

/// A secret that was just made: this page is the only one that shows it.
struct MadeSecret {
    source_name: String,
    /// What to do at the sender, and what to enter there.
    steps: Steps,
    /// The one before is still valid, so nothing is lost while the sender is told.
    is_rotated: bool,
}

impl EventSourcesPage {
    fn has_previous(&self, source: &EventSource) -> bool {
        source.previous_valid_until(self.page.now).is_some()
    }

    fn is_readable(&self, source: &EventSource) -> bool {
        Api::of(&source.kind).is_some()
    }

    fn is_read(&self, source: &EventSource) -> bool {
        self.read_ids.contains(&source.event_source_id)
    }

    fn refused(&self, source: &EventSource) -> Option<&Note> {
        self.refused.get(&source.event_source_id)
    }

    fn kind(&self, source: &EventSource) -> String {
        Sender::of(&source.kind).map_or_else(|| "API and costwake deploy".into(), |sender| sender.label.into())
    }

    fn address(&self, source: &EventSource) -> String {
        match Sender::of(&source.kind) {
            Some(sender) => format!("/webhooks/{}/{}", sender.key, source.name),
            None => "/api/v1/deployments".into(),
        }
    }

    fn senders(&self) -> &'static [Sender] {
        &events::WEBHOOK_SENDERS
    }

    /// `4f1e9c02ab77…` where the key is long.
    fn key_start(&self, delivery: &Shown) -> Option<String> {
        let key = &delivery.dedupe_key;
        let is_long = key.chars().nth(KEY_CHARS_MAX).is_some();
        is_long.then(|| format!("{}…", key.chars().take(KEY_START_CHARS).collect::<String>()))
    }

    /// The states of deliveries with what they are called, all of them first.
    fn states(&self) -> [(&'static str, &'static str); 5] {
        [("", "All"), ("new", "Waiting"), ("done", "Read"), ("ignored", "Not of use"), ("error", "Could not be read")]
    }

    fn href(&self, state: &str, before: Option<i64>) -> String {
        let before = before.map(|id| id.to_string()).unwrap_or_default();
        let pairs = [("state", state), ("before", &before)];
        let query =
            serde_urlencoded::to_string(pairs.iter().filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>());
        let query = query.unwrap_or_default();
        format!("{PAGE_PATH}{}{query}#deliveries", if query.is_empty() { "" } else { "?" })
    }
}

/// Which deliveries are listed.
#[derive(Default, Deserialize)]
struct ListQuery {
    #[serde(default)]
    state: String,
    before: Option<String>,
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Query(query): Query<ListQuery>,
) -> Result<EventSourcesPage> {
    page(&app, &principal, query, None).await
}

async fn page(
    app: &AppState,
    principal: &Principal,
    query: ListQuery,
    made: Option<MadeSecret>,
) -> Result<EventSourcesPage> {
    let ListQuery { state, before } = query;
    if !state.is_empty() && !STATES.contains(&state.as_str()) {
        return Err(Error::Invalid(format!("state={state} is not known. Allowed: {}.", STATES.join(", "))));
    }
    let before = before.filter(|text| !text.is_empty()).map(|text| text.parse::<i64>()).transpose();
    let before = before.map_err(|_| Error::Invalid("before: the number of a delivery.".into()))?;
    app.webhook_refusals.write(&app.pools).await;
    let mut snapshot = app.pools.snapshot().await?;
    let sources = event_sources::list(&mut snapshot).await?;
    let refused = event_refusals::recent(&mut snapshot, None, app.now()).await?;
    let refused = notes(&sources, &refused);
    let read_ids = event_reads::list(&mut *snapshot).await?.iter().map(|reading| reading.event_source_id).collect();
    let wanted = Some(state.as_str()).filter(|state| !state.is_empty());
    let mut deliveries = event_deliveries::list(&mut snapshot, wanted, before, DELIVERIES_MAX as i64 + 1).await?;
    let has_older = deliveries.len() > DELIVERIES_MAX;
    deliveries.truncate(DELIVERIES_MAX);
    let older = deliveries.last().filter(|_| has_older).map(|last| last.event_delivery_id);
    let counts = event_deliveries::counts(&mut snapshot).await?;
    let (context_count, context_unmapped) = operational_events::counts(&mut snapshot).await?;
    let page = Page::new(app, principal, &mut snapshot, "Event sources", NavItem::EventSources).await?;
    let page = page.noting(unknown_keys::of::<ListQuery>());
    Ok(EventSourcesPage {
        page,
        sources,
        read_ids,
        refused,
        deliveries,
        counts,
        context_count,
        context_unmapped,
        state,
        is_first: before.is_none(),
        older,
        made,
    })
}

fn notes(sources: &[EventSource], refused: &[event_refusals::Recent]) -> HashMap<i64, Note> {
    let of = |recent: &event_refusals::Recent| {
        let source = sources.iter().find(|source| source.event_source_id == recent.event_source_id)?;
        Some((source.event_source_id, webhook_refusals::note(source, recent)))
    };
    refused.iter().filter_map(of).collect()
}

#[derive(Deserialize)]
struct CreateForm {
    name: String,
    /// GitHub where none is chosen.
    #[serde(default)]
    kind: String,
    /// Where the sender makes it itself.
    #[serde(default)]
    secret: String,
}

#[derive(Deserialize)]
struct RotateForm {
    #[serde(default)]
    secret: String,
}

async fn create(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    headers: HeaderMap,
    Form(form): Form<CreateForm>,
) -> Result<Response> {
    let kind = if form.kind.is_empty() { "github" } else { &form.kind };
    let sender =
        Sender::of(kind).ok_or_else(|| Error::Invalid(format!("kind={kind} is not a sender that is known.")))?;
    let secret = secret_for(sender, &form.secret)?;
    let name = add_with(&app, &principal.login, &address.to_string(), &form.name, sender, &secret).await?;
    answer_with_secret(&app, &principal, &headers, sender, name, secret, false).await
}

// The secret that the sender made, or a new one in the form that it takes.
fn secret_for(sender: &Sender, given: &str) -> Result<String> {
    let given = given.trim();
    if given.is_empty() {
        return Ok(events::new_secret(sender.proof, &seal::random::<32>()));
    }
    if !SECRET_LENGTHS.contains(&given.len()) || given.chars().any(|c| !c.is_ascii_graphic()) {
        return Err(Error::Invalid(
            "secret takes 8 to 200 letters, digits and signs without spaces. Leave it empty to have one made.".into(),
        ));
    }
    Ok(given.to_owned())
}

/// Adds a source of this kind; gives the name as it is kept, and the secret, which nothing else tells.
pub async fn add(app: &AppState, actor: &str, from: &str, name: &str, kind: &str) -> Result<(String, String)> {
    let sender = Sender::of(kind).ok_or(Error::NotFound)?;
    let secret = secret_for(sender, "")?;
    Ok((add_with(app, actor, from, name, sender, &secret).await?, secret))
}

async fn add_with(
    app: &AppState,
    actor: &str,
    from: &str,
    name: &str,
    sender: &'static Sender,
    secret: &str,
) -> Result<String> {
    let name = name.trim().to_lowercase();
    let is_fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    if name.is_empty()
        || name.len() > 100
        || !name.chars().all(is_fit)
        || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        return Err(Error::Invalid(
            "name takes 1 to 100 letters, digits, dots, dashes and underscores, and begins with a letter or digit."
                .into(),
        ));
    }
    let key = key(app).await?;
    let (actor, from) = (actor.to_owned(), from.to_owned());
    let (state, kept_name, kept_secret) = (app.clone(), name.clone(), secret.to_owned());
    let created = detached(async move {
        let now = state.now();
        let mut transaction = state.pools.web.begin().await?;
        let created = event_sources::create(&mut transaction, &key, &kept_name, sender.key, &kept_secret, now).await?;
        audit::insert(
            &mut transaction,
            now,
            &actor,
            &from,
            "event_source.created",
            &kept_name,
            json!({ "kind": sender.key }),
        )
        .await?;
        if created.is_some() {
            transaction.commit().await?;
        }
        Ok::<_, Error>(created)
    })
    .await?;
    if created.is_none() {
        return Err(Error::Conflict(format!("There is an event source \"{name}\" already: choose another name.")));
    }
    Ok(name)
}

async fn rotate(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    headers: HeaderMap,
    Path(id): Path<i64>,
    Form(form): Form<RotateForm>,
) -> Result<Response> {
    let mut connection = app.pools.web.acquire().await?;
    let kind = event_sources::kind(&mut connection, id).await?.ok_or(Error::NotFound)?;
    drop(connection);
    let sender = Sender::of(&kind).ok_or(Error::NotFound)?;
    let secret = secret_for(sender, &form.secret)?;
    let key = key(&app).await?;
    let (actor, from) = (principal.login.clone(), address.to_string());
    let (state, kept_secret) = (app.clone(), secret.clone());
    let name = detached(async move {
        let now = state.now();
        let mut transaction = state.pools.web.begin().await?;
        let source = event_sources::get_for_update(&mut transaction, id).await?;
        let source = source.filter(|source| source.kind == sender.key).ok_or(Error::NotFound)?;
        // Only two can be valid: a third would end the one that the sender may still use.
        if let Some(until) = source.previous_valid_until(now) {
            return Err(Error::Conflict(format!(
                "{} has a secret before the present one, valid until {}. End it first, or wait until then.",
                source.name,
                moments::moment(&until)
            )));
        }
        event_sources::rotate(&mut transaction, &key, &source, &kept_secret, now).await?;
        let details = json!({ "previous_valid_hours": GRACE_HOURS });
        audit::insert(&mut transaction, now, &actor, &from, "event_source.rotated", &source.name, details).await?;
        transaction.commit().await?;
        Ok::<_, Error>(source.name)
    })
    .await?;
    answer_with_secret(&app, &principal, &headers, sender, name, secret, true).await
}

async fn end_old_secret(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Redirect> {
    detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        let source = event_sources::get_for_update(&mut transaction, id).await?.ok_or(Error::NotFound)?;
        if source.previous_valid_until(app.now()).is_none() {
            return Ok(Redirect::to(PAGE_PATH));
        }
        event_sources::end_previous(&mut transaction, id).await?;
        let (from, action) = (address.to_string(), "event_source.old_secret_ended");
        audit::insert(&mut transaction, app.now(), &principal.login, &from, action, &source.name, json!({})).await?;
        transaction.commit().await?;
        Ok(Redirect::to(PAGE_PATH))
    })
    .await
}

async fn answer_with_secret(
    app: &AppState,
    principal: &Principal,
    headers: &HeaderMap,
    sender: &'static Sender,
    source_name: String,
    secret: String,
    is_rotated: bool,
) -> Result<Response> {
    let address = format!("{}/webhooks/{}/{source_name}", own_address(app, headers), sender.key);
    let made = MadeSecret { source_name, steps: connect_steps::steps(sender, &address, &secret), is_rotated };
    let page = page(app, principal, ListQuery::default(), Some(made)).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], page).into_response())
}

// Without the setting, the address that this page was asked for at is the best guess.
pub(super) fn own_address(app: &AppState, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match (&app.config.public_url, host) {
        (Some(address), _) => address.trim_end_matches('/').to_owned(),
        (None, Some(host)) => format!("http://{host}"),
        (None, None) => format!("http://{}", app.config.listen),
    }
}

async fn enable(app: State<AppState>, principal: Principal, address: ClientAddress, id: Path<i64>) -> Result<Redirect> {
    set_enabled(app.0, principal, address, id.0, true).await
}

async fn disable(
    app: State<AppState>,
    principal: Principal,
    address: ClientAddress,
    id: Path<i64>,
) -> Result<Redirect> {
    set_enabled(app.0, principal, address, id.0, false).await
}

async fn set_enabled(
    app: AppState,
    principal: Principal,
    address: ClientAddress,
    id: i64,
    enabled: bool,
) -> Result<Redirect> {
    detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        let source = event_sources::get_for_update(&mut transaction, id).await?.ok_or(Error::NotFound)?;
        event_sources::set_enabled(&mut transaction, id, enabled).await?;
        let action = if enabled { "event_source.enabled" } else { "event_source.disabled" };
        let from = address.to_string();
        audit::insert(&mut transaction, app.now(), &principal.login, &from, action, &source.name, json!({})).await?;
        transaction.commit().await?;
        Ok(Redirect::to(PAGE_PATH))
    })
    .await
}

async fn read_again(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Redirect> {
    detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        if !event_deliveries::read_again(&mut transaction, id).await? {
            return Err(Error::NotFound);
        }
        jobs::enqueue(&mut transaction, READ_EVENTS_JOB, "", &json!({})).await?;
        let (from, subject) = (address.to_string(), format!("event delivery {id}"));
        let action = "event_delivery.read_again";
        audit::insert(&mut transaction, app.now(), &principal.login, &from, action, &subject, json!({})).await?;
        transaction.commit().await?;
        Ok(Redirect::to(&format!("{PAGE_PATH}#deliveries")))
    })
    .await
}

async fn read_all_again(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Redirect> {
    detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        let source = event_sources::get_for_update(&mut transaction, id).await?.ok_or(Error::NotFound)?;
        let deliveries = event_deliveries::read_all_again(&mut transaction, Some(id), None).await?;
        jobs::enqueue(&mut transaction, READ_EVENTS_JOB, "", &json!({})).await?;
        let (from, details) = (address.to_string(), json!({ "deliveries": deliveries }));
        let action = "event_source.read_again";
        audit::insert(&mut transaction, app.now(), &principal.login, &from, action, &source.name, details).await?;
        transaction.commit().await?;
        Ok(Redirect::to(&format!("{PAGE_PATH}#deliveries")))
    })
    .await
}
