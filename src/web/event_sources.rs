//! `/settings/event-sources`: who sends events, with which secret, and what came of it.

use super::webhooks::{READ_EVENTS_JOB, key};
use super::{AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, detached};
use crate::store::event_deliveries::{self, Shown};
use crate::store::event_sources::{self, EventSource, GRACE_HOURS};
use crate::store::{audit, jobs, seal};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

const PAGE_PATH: &str = "/settings/event-sources";
const DELIVERIES_MAX: i64 = 50;
/// What GitHub offers as "individual events", and the only ones that are of use here.
const GITHUB_EVENTS: &str = "Deployments, Deployment statuses, Pull requests, Pushes, Releases, Workflow runs";

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get(PAGE_PATH, Policy::Admin, show)
        .post(PAGE_PATH, Policy::Admin, create)
        .post("/settings/event-sources/{id}/rotate", Policy::Admin, rotate)
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
    deliveries: Vec<Shown>,
    unread: i64,
    made: Option<MadeSecret>,
}

/// A secret that was just made: this page is the only one that shows it.
struct MadeSecret {
    source_name: String,
    address: String,
    secret: String,
    events: &'static str,
    /// The one before is still valid, so nothing is lost while GitHub is told.
    is_rotated: bool,
}

impl EventSourcesPage {
    fn has_previous(&self, source: &EventSource) -> bool {
        source.secret_previous_valid_until.is_some_and(|until| self.page.now < until)
    }
}

async fn show(State(app): State<AppState>, principal: Principal) -> Result<EventSourcesPage> {
    page(&app, &principal, None).await
}

async fn page(app: &AppState, principal: &Principal, made: Option<MadeSecret>) -> Result<EventSourcesPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let sources = event_sources::list(&mut snapshot).await?;
    let deliveries = event_deliveries::latest(&mut snapshot, DELIVERIES_MAX).await?;
    let unread = event_deliveries::unread_count(&mut snapshot).await?;
    let page = Page::new(app, principal, &mut snapshot, "Event sources", NavItem::EventSources).await?;
    Ok(EventSourcesPage { page, sources, deliveries, unread, made })
}

#[derive(Deserialize)]
struct CreateForm {
    name: String,
}

async fn create(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    headers: HeaderMap,
    Form(form): Form<CreateForm>,
) -> Result<Response> {
    let (name, secret) = add(&app, &principal.login, &address.to_string(), &form.name).await?;
    answer_with_secret(&app, &principal, &headers, name, secret, false).await
}

/// Adds a sender; gives the name as it is kept, and the secret, which nothing else tells.
pub async fn add(app: &AppState, actor: &str, from: &str, name: &str) -> Result<(String, String)> {
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
    let secret = hex::encode(seal::random::<32>());
    let key = key(app).await?;
    let (actor, from) = (actor.to_owned(), from.to_owned());
    let (state, kept_name, kept_secret) = (app.clone(), name.clone(), secret.clone());
    let created = detached(async move {
        let now = state.now();
        let mut transaction = state.pools.web.begin().await?;
        let created = event_sources::create(&mut transaction, &key, &kept_name, "github", &kept_secret, now).await?;
        audit::insert(&mut transaction, now, &actor, &from, "event_source.created", &kept_name, json!({})).await?;
        if created.is_some() {
            transaction.commit().await?;
        }
        Ok::<_, Error>(created)
    })
    .await?;
    if created.is_none() {
        return Err(Error::Conflict(format!("There is an event source \"{name}\" already: choose another name.")));
    }
    Ok((name, secret))
}

async fn rotate(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    headers: HeaderMap,
    Path(id): Path<i64>,
) -> Result<Response> {
    let secret = hex::encode(seal::random::<32>());
    let key = key(&app).await?;
    let (actor, from) = (principal.login.clone(), address.to_string());
    let (state, kept_secret) = (app.clone(), secret.clone());
    let name = detached(async move {
        let now = state.now();
        let mut transaction = state.pools.web.begin().await?;
        let source = event_sources::get_for_update(&mut transaction, id).await?;
        let source = source.filter(|source| source.kind == "github").ok_or(Error::NotFound)?;
        event_sources::rotate(&mut transaction, &key, &source, &kept_secret, now).await?;
        let details = json!({ "previous_valid_hours": GRACE_HOURS });
        audit::insert(&mut transaction, now, &actor, &from, "event_source.rotated", &source.name, details).await?;
        transaction.commit().await?;
        Ok::<_, Error>(source.name)
    })
    .await?;
    answer_with_secret(&app, &principal, &headers, name, secret, true).await
}

async fn answer_with_secret(
    app: &AppState,
    principal: &Principal,
    headers: &HeaderMap,
    source_name: String,
    secret: String,
    is_rotated: bool,
) -> Result<Response> {
    let address = format!("{}/webhooks/github/{source_name}", own_address(app, headers));
    let made = MadeSecret { source_name, address, secret, events: GITHUB_EVENTS, is_rotated };
    let page = page(app, principal, Some(made)).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], page).into_response())
}

// Without the setting, the address that this page was asked for at is the best guess.
fn own_address(app: &AppState, headers: &HeaderMap) -> String {
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

async fn read_again(State(app): State<AppState>, Path(id): Path<i64>) -> Result<Redirect> {
    detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        if !event_deliveries::read_again(&mut transaction, id).await? {
            return Err(Error::NotFound);
        }
        jobs::enqueue(&mut transaction, READ_EVENTS_JOB, "", &json!({})).await?;
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
        let deliveries = event_deliveries::read_all_again(&mut transaction, Some(id)).await?;
        jobs::enqueue(&mut transaction, READ_EVENTS_JOB, "", &json!({})).await?;
        let (from, details) = (address.to_string(), json!({ "deliveries": deliveries }));
        let action = "event_source.read_again";
        audit::insert(&mut transaction, app.now(), &principal.login, &from, action, &source.name, details).await?;
        transaction.commit().await?;
        Ok(Redirect::to(&format!("{PAGE_PATH}#deliveries")))
    })
    .await
}
