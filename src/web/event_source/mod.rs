//! `/settings/event-sources/{id}`: how a source is set up, what came of it, and how it is read through its API beside what
//! it sends.

pub mod change;

use super::connect_steps::{self, HIDDEN_SECRET, Steps};
use super::event_sources::own_address;
use super::webhook_refusals::{self, Note};
use super::{
    AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, filters, moments, secret,
};
use crate::events::Sender;
use crate::events::listed::Api;
use crate::store::event_deliveries::Shown;
use crate::store::event_deliveries_of_source::{self, CountsOfSource, LOOKED_AT_MAX};
use crate::store::event_reads::{self, EventRead, READ_EVENT_SOURCE, ReadRepository, ReadRun};
use crate::store::event_sources::{self, EventSource};
use crate::store::{event_refusals, jobs};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use change::Wanted;
use serde::Deserialize;

/// Reads on the page.
const RUNS_SHOWN: i64 = 20;
/// Deliveries on the page.
const DELIVERIES_SHOWN: i64 = 20;
/// What can be chosen between reads, in minutes, with what it is called.
const INTERVALS: [(i32, &str); 5] =
    [(15, "15 minutes"), (60, "hour"), (180, "3 hours"), (720, "12 hours"), (1440, "day")];

/// The routes of this file: whoever sets this up lets the server ask an address.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/settings/event-sources/{id}", Policy::Admin, show)
        .post("/settings/event-sources/{id}/reading", Policy::Admin, save)
        .post("/settings/event-sources/{id}/reading/now", Policy::Admin, now)
        .post("/settings/event-sources/{id}/reading/pause", Policy::Admin, pause)
        .post("/settings/event-sources/{id}/reading/resume", Policy::Admin, resume)
        .post("/settings/event-sources/{id}/reading/stop", Policy::Admin, stop)
        .post("/settings/event-sources/{id}/plain-token/allow", Policy::Admin, allow_token)
        .post("/settings/event-sources/{id}/plain-token/refuse", Policy::Admin, refuse_token)
}

/// The form as it was filled in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ReadForm {
    address: String,
    repositories: String,
    every_minutes: String,
    token: String,
    forget_token: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "event_source.html")]
struct EventSourcePage {
    page: Page,
    source: EventSource,
    refused: Option<Note>,
    /// Where it posts to.
    address: String,
    /// How it is set up, without the secret; `None` for what is posted to the API.
    steps: Option<Steps>,
    deliveries: Vec<Shown>,
    counts: CountsOfSource,
    api: Option<Api>,
    reading: Option<EventRead>,
    repositories: Vec<ReadRepository>,
    runs: Vec<ReadRun>,
    is_running: bool,
    form: ReadForm,
    message: String,
}

impl EventSourcePage {
    fn path(&self) -> String {
        path(self.source.event_source_id)
    }

    fn kind(&self) -> &'static str {
        Sender::of(&self.source.kind).map_or("API and costwake deploy", |sender| sender.label)
    }

    fn has_previous(&self) -> bool {
        self.source.previous_valid_until(self.page.now).is_some()
    }

    fn looked_at_max(&self) -> String {
        filters::grouped(&LOOKED_AT_MAX.into(), 0)
    }

    fn has_token(&self) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.token_sealed.is_some())
    }

    /// The choices of the form; one of its own where the API set another.
    fn intervals(&self) -> Vec<(String, String, bool)> {
        let chosen = self.form.every_minutes.trim();
        let mut choices: Vec<(String, String, bool)> = INTERVALS
            .iter()
            .map(|(minutes, name)| (minutes.to_string(), format!("every {name}"), minutes.to_string() == chosen))
            .collect();
        if !chosen.is_empty() && choices.iter().all(|(.., is_chosen)| !is_chosen) {
            choices.push((chosen.to_owned(), format!("every {chosen} minutes"), true));
        }
        choices
    }

    fn last(&self) -> Option<&ReadRun> {
        self.runs.first()
    }

    fn filled(&self, run: &ReadRun) -> String {
        filled(run)
    }

    fn place_holder(&self) -> &'static str {
        if self.source.kind == "gitlab" { "group/subgroup/project" } else { "owner/name" }
    }
}

// What a read filled in, in words.
fn filled(run: &ReadRun) -> String {
    let parts = [
        (run.deployment_count, "deployment", "deployments"),
        (run.status_count, "status", "statuses"),
        (run.change_count, "merged request", "merged requests"),
        (run.commit_count, "commit", "commits"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }))
        .collect();
    if parts.is_empty() { "nothing lacked".into() } else { parts.join(", ") }
}

fn path(event_source_id: i64) -> String {
    format!("/settings/event-sources/{event_source_id}")
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    headers: HeaderMap,
    Path(id): Path<i64>,
) -> Result<EventSourcePage> {
    page(&app, &principal, &headers, id, None).await
}

/// A form that was not saved, and why.
struct Unsaved {
    form: ReadForm,
    message: String,
}

// Where a source posts to, and how it is set up.
fn setup(app: &AppState, headers: &HeaderMap, source: &EventSource) -> (String, Option<Steps>) {
    let own = own_address(app, headers);
    match Sender::of(&source.kind) {
        Some(sender) => {
            let address = format!("{own}/webhooks/{}/{}", sender.key, source.name);
            let steps = connect_steps::steps(sender, &address, HIDDEN_SECRET);
            (address, Some(steps))
        }
        None => (format!("{own}/api/v1/deployments"), None),
    }
}

async fn page(
    app: &AppState,
    principal: &Principal,
    headers: &HeaderMap,
    id: i64,
    unsaved: Option<Unsaved>,
) -> Result<EventSourcePage> {
    app.webhook_refusals.write(&app.pools).await;
    let mut snapshot = app.pools.snapshot().await?;
    let source = event_sources::get(&mut snapshot, id).await?.ok_or(Error::NotFound)?;
    let refused = event_refusals::recent(&mut snapshot, Some(id), app.now()).await?;
    let refused = refused.first().map(|recent| webhook_refusals::note(&source, recent));
    let (address, steps) = setup(app, headers, &source);
    let deliveries = event_deliveries_of_source::latest(&mut snapshot, id, DELIVERIES_SHOWN).await?;
    let counts = event_deliveries_of_source::counts(&mut snapshot, id).await?;
    let api = Api::of(&source.kind);
    let reading = event_reads::get(&mut *snapshot, id).await?;
    let repositories = event_reads::repositories(&mut *snapshot, id).await?;
    let runs = event_reads::runs(&mut *snapshot, id, RUNS_SHOWN).await?;
    let job = jobs::find(&mut *snapshot, READ_EVENT_SOURCE, &id.to_string()).await?;
    let is_running = job.is_some_and(|job| matches!(job.state.as_str(), "waiting" | "running"));
    let title = format!("{} · Event sources", source.name);
    let page = Page::new(app, principal, &mut snapshot, title, NavItem::EventSources).await?;
    let (form, message) = unsaved.map_or((None, String::new()), |unsaved| (Some(unsaved.form), unsaved.message));
    let form = form.unwrap_or_else(|| ReadForm {
        address: reading.as_ref().map_or_else(
            || api.map_or_else(String::new, |api| api.public_address().into()),
            |reading| reading.address.clone(),
        ),
        repositories: repositories.iter().map(|one| one.repository.as_str()).collect::<Vec<_>>().join("\n"),
        every_minutes: reading.as_ref().map_or(60, |reading| reading.every_minutes).to_string(),
        ..ReadForm::default()
    });
    Ok(EventSourcePage {
        page,
        source,
        refused,
        address,
        steps,
        deliveries,
        counts,
        api,
        reading,
        repositories,
        runs,
        is_running,
        form,
        message,
    })
}

async fn save(
    State(app): State<AppState>,
    principal: Principal,
    from: ClientAddress,
    headers: HeaderMap,
    Path(id): Path<i64>,
    Form(form): Form<ReadForm>,
) -> Result<Response> {
    let token = secret::entered(&form.token, !form.forget_token.is_empty());
    let wanted = Wanted {
        address: form.address.clone(),
        repositories: form.repositories.split_whitespace().map(str::to_owned).collect(),
        every_minutes: form.every_minutes.trim().parse().unwrap_or(0),
        token,
    };
    match change::save(&app, &principal.login, &from.to_string(), id, wanted).await {
        Ok(_) => Ok(Redirect::to(&path(id)).into_response()),
        Err(error @ (Error::Invalid(_) | Error::Conflict(_))) => {
            let (status, message) = (error.status(), error.to_string());
            // A secret is not written into a page again.
            let form = ReadForm { token: String::new(), ..form };
            let unsaved = Unsaved { form, message };
            Ok((status, page(&app, &principal, &headers, id, Some(unsaved)).await?).into_response())
        }
        Err(error) => Err(error),
    }
}

async fn now(
    State(app): State<AppState>,
    principal: Principal,
    from: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Redirect> {
    change::read_now(&app, &principal.login, &from.to_string(), id).await?;
    Ok(Redirect::to(&path(id)))
}

async fn pause(
    State(app): State<AppState>,
    principal: Principal,
    from: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Redirect> {
    change::set_paused(&app, &principal.login, &from.to_string(), id, true).await?;
    Ok(Redirect::to(&path(id)))
}

async fn resume(
    State(app): State<AppState>,
    principal: Principal,
    from: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Redirect> {
    change::set_paused(&app, &principal.login, &from.to_string(), id, false).await?;
    Ok(Redirect::to(&path(id)))
}

async fn stop(
    State(app): State<AppState>,
    principal: Principal,
    from: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Redirect> {
    change::stop(&app, &principal.login, &from.to_string(), id).await?;
    Ok(Redirect::to(&path(id)))
}

async fn allow_token(
    app: State<AppState>,
    principal: Principal,
    from: ClientAddress,
    id: Path<i64>,
) -> Result<Redirect> {
    change::allow_plain_token(&app, &principal.login, &from.to_string(), id.0, true).await?;
    Ok(Redirect::to(&path(id.0)))
}

async fn refuse_token(
    app: State<AppState>,
    principal: Principal,
    from: ClientAddress,
    id: Path<i64>,
) -> Result<Redirect> {
    change::allow_plain_token(&app, &principal.login, &from.to_string(), id.0, false).await?;
    Ok(Redirect::to(&path(id.0)))
}
