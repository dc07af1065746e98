//! `/sources/add` and `/sources/{id}/…`: sources are set up, changed, tested, read, paused and removed.

mod form;
mod remove;

use super::source_change::{self, By};
use super::webhooks::key;
use super::{AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, detached, unknown_keys};
use crate::rollup::Format;
use crate::sources::kind::{Kind, LateBills, Layout, Restatement};
use crate::sources::objects::PlaceError;
use crate::store::source_settings::{self, SourceSetting};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use form::SourceForm;
use serde::Deserialize;

/// The routes of this folder.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/sources/add", Policy::Admin, add_form)
        .post("/sources/add", Policy::Admin, add)
        .get("/sources/{id}/setup", Policy::Admin, change_form)
        .post("/sources/{id}/setup", Policy::Admin, change)
        .post("/sources/{id}/test", Policy::Admin, test)
        .post("/sources/{id}/read", Policy::Bills, read)
        .post("/sources/{id}/pause", Policy::Admin, pause)
        .post("/sources/{id}/resume", Policy::Admin, resume)
        .get("/sources/{id}/remove", Policy::Admin, remove::ask)
        .post("/sources/{id}/remove", Policy::Admin, remove::remove)
}

#[derive(Template, WebTemplate)]
#[template(path = "source_form.html")]
struct SourceFormPage {
    page: Page,
    form: SourceForm,
    /// `None` until a kind was chosen.
    kind: Option<Kind>,
    /// The source that is changed.
    source_id: Option<i64>,
    has_credentials: bool,
    message: String,
}

impl SourceFormPage {
    fn kinds(&self) -> [Kind; 6] {
        Kind::ALL
    }

    fn layouts(&self) -> [Layout; 5] {
        Layout::ALL
    }

    /// The rules among which there is a choice.
    fn rules(&self) -> &'static [Restatement] {
        Layout::Files.restatements()
    }

    fn late_bills(&self) -> [LateBills; 2] {
        LateBills::ALL
    }

    fn formats(&self) -> [Format; 6] {
        Format::ALL
    }

    fn is_read(&self) -> bool {
        self.kind.is_some_and(Kind::is_read)
    }

    fn asks_keys(&self) -> bool {
        self.kind.is_some_and(Kind::is_object_store)
    }

    fn is(&self, kind: Kind) -> bool {
        self.kind == Some(kind)
    }
}

/// The source of a path; one that is not set up has no such page.
async fn source(app: &AppState, source_id: i64) -> Result<SourceSetting> {
    let mut conn = app.pools.web.acquire().await?;
    source_settings::get(&mut *conn, source_id).await?.ok_or(Error::NotFound)
}

fn by(app: &AppState, principal: &Principal, address: &ClientAddress) -> By {
    By { actor: principal.login.clone(), from: address.to_string(), now: app.now() }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Prefill {
    kind: String,
    name: String,
}

async fn add_form(
    State(app): State<AppState>,
    principal: Principal,
    Query(prefill): Query<Prefill>,
) -> Result<SourceFormPage> {
    let kind = match prefill.kind.as_str() {
        "" => None,
        kind => Some(kind.parse::<Kind>().map_err(|error| Error::Invalid(error.to_string()))?),
    };
    let form = kind.map(|kind| SourceForm::new(kind, &prefill.name)).unwrap_or_default();
    let shown = form_page(&app, &principal, form, None, String::new()).await?;
    Ok(SourceFormPage { page: shown.page.noting(unknown_keys::of::<Prefill>()), ..shown })
}

async fn form_page(
    app: &AppState,
    principal: &Principal,
    form: SourceForm,
    source: Option<&SourceSetting>,
    message: String,
) -> Result<SourceFormPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let title = if source.is_some() { format!("Set up {}", form.name) } else { "Add a source".to_owned() };
    let page = Page::new(app, principal, &mut snapshot, title, NavItem::Sources).await?;
    Ok(SourceFormPage {
        page,
        kind: form.kind().ok(),
        form: form.without_secrets(),
        source_id: source.map(|source| source.source_id),
        has_credentials: source.is_some_and(SourceSetting::has_credentials),
        message,
    })
}

// What was filled in is shown again with what is wrong; only secrets must be entered anew.
async fn or_form(
    app: &AppState,
    principal: &Principal,
    form: SourceForm,
    source: Option<&SourceSetting>,
    done: Result<i64>,
) -> Result<Response> {
    match done {
        Ok(source_id) => Ok(Redirect::to(&format!("/sources/{source_id}")).into_response()),
        Err(error @ (Error::Invalid(_) | Error::Conflict(_))) => {
            let page = form_page(app, principal, form, source, error.to_string()).await?;
            Ok((error.status(), page).into_response())
        }
        Err(error) => Err(error),
    }
}

async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<SourceForm>,
) -> Result<Response> {
    let done = async {
        let setting = form.setting()?;
        source_change::check_folder(&app.config, &setting).await?;
        let credentials = form.credentials().unwrap_or_default();
        let (key, by, app) = (key(&app).await?, by(&app, &principal, &address), app.clone());
        detached(async move {
            let mut transaction = app.pools.web.begin().await?;
            let source_id = source_change::add(&mut transaction, &key, &setting, &credentials, &by).await?;
            transaction.commit().await?;
            Ok(source_id)
        })
        .await
    };
    let done = done.await;
    or_form(&app, &principal, form, None, done).await
}

async fn change_form(
    State(app): State<AppState>,
    principal: Principal,
    Path(source_id): Path<i64>,
) -> Result<SourceFormPage> {
    let source = source(&app, source_id).await?;
    form_page(&app, &principal, SourceForm::of(&source.setting), Some(&source), String::new()).await
}

async fn change(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(source_id): Path<i64>,
    Form(mut form): Form<SourceForm>,
) -> Result<Response> {
    let source = source(&app, source_id).await?;
    // The name stays, and the form does not ask for it.
    form.name = source.setting.name.clone();
    let done = async {
        let (setting, credentials) = (form.setting()?, form.credentials());
        source_change::check_folder(&app.config, &setting).await?;
        let (key, by, app, source) = (key(&app).await?, by(&app, &principal, &address), app.clone(), source.clone());
        detached(async move {
            let mut transaction = app.pools.web.begin().await?;
            let credentials = credentials.as_ref();
            source_change::change(&mut transaction, &key, &source, &setting, credentials, &by).await?;
            transaction.commit().await?;
            Ok(source.source_id)
        })
        .await
    };
    let done = done.await;
    or_form(&app, &principal, form, Some(&source), done).await
}

#[derive(Template, WebTemplate)]
#[template(path = "source_test.html")]
struct SourceTestPage {
    page: Page,
    source: SourceSetting,
    found: Result<usize, PlaceError>,
}

impl SourceTestPage {
    fn place(&self) -> String {
        self.source.setting.place.words(self.source.setting.kind)
    }
}

async fn test(State(app): State<AppState>, principal: Principal, Path(source_id): Path<i64>) -> Result<SourceTestPage> {
    let source = source(&app, source_id).await?;
    if !source.setting.kind.is_read() {
        return Err(Error::Conflict("Files of this source are handed in: there is no place to reach.".into()));
    }
    let found = source_change::test(&app.config, &key(&app).await?, &source).await;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Test of a source", NavItem::Sources).await?;
    Ok(SourceTestPage { page, source, found })
}

async fn read(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(source_id): Path<i64>,
) -> Result<Redirect> {
    let source = source(&app, source_id).await?;
    let by = by(&app, &principal, &address);
    detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        source_change::read_now(&mut transaction, &source, &by).await?;
        transaction.commit().await?;
        Ok(Redirect::to(&format!("/sources/{source_id}")))
    })
    .await
}

async fn pause(app: State<AppState>, who: Principal, from: ClientAddress, id: Path<i64>) -> Result<Redirect> {
    set_paused(app.0, who, from, id.0, true).await
}

async fn resume(app: State<AppState>, who: Principal, from: ClientAddress, id: Path<i64>) -> Result<Redirect> {
    set_paused(app.0, who, from, id.0, false).await
}

async fn set_paused(
    app: AppState,
    principal: Principal,
    address: ClientAddress,
    source_id: i64,
    is_paused: bool,
) -> Result<Redirect> {
    let source = source(&app, source_id).await?;
    let by = by(&app, &principal, &address);
    detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        source_change::pause(&mut transaction, &source, is_paused, &by).await?;
        transaction.commit().await?;
        Ok(Redirect::to(&format!("/sources/{source_id}")))
    })
    .await
}
