//! Adding and changing an environment.

use super::super::mapping_change::{self, Done, MappingChange};
use super::super::{AppState, ClientAddress, Error, NavItem, Page, Principal, Result};
use super::{aliases_of, slug_for};
use crate::allocate::EnvironmentKind;
use crate::store::catalogue::CatalogueError;
use crate::store::catalogue::environment::{self, Environment, EnvironmentValues, IDLE_DAYS, IDLE_DAYS_MAX, KINDS};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

/// The form as it was filled in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EnvironmentForm {
    name: String,
    slug: String,
    kind: String,
    last_day: String,
    idle_days: String,
    aliases: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "catalogue_environment.html")]
pub(super) struct EnvironmentFormPage {
    page: Page,
    /// `None` for a new one.
    environment: Option<Environment>,
    form: EnvironmentForm,
    message: String,
}

pub(super) async fn add_form(State(app): State<AppState>, principal: Principal) -> Result<EnvironmentFormPage> {
    form_page(&app, &principal, None, EnvironmentForm::default(), String::new()).await
}

pub(super) async fn edit_form(
    State(app): State<AppState>,
    principal: Principal,
    Path(slug): Path<String>,
) -> Result<EnvironmentFormPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let environment = environment::get(&mut snapshot, &slug).await?.ok_or(Error::NotFound)?;
    drop(snapshot);
    let form = EnvironmentForm::of(&environment);
    form_page(&app, &principal, Some(environment), form, String::new()).await
}

pub(super) async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<EnvironmentForm>,
) -> Result<Response> {
    let work = {
        let (app, principal, form) = (app.clone(), principal.clone(), form.clone());
        async move {
            let slug = slug_for(&form.slug, &form.name);
            let values = form.values()?;
            let mut change = MappingChange::begin(&app, &principal, address).await?;
            environment::insert(change.conn(), &slug, &values, "user").await?;
            change.audit("environment.added", &slug, values.details()).await?;
            change.finish().await
        }
    };
    answer(&app, &principal, None, form, mapping_change::run(work).await).await
}

pub(super) async fn edit(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
    Form(form): Form<EnvironmentForm>,
) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let environment = environment::get(&mut snapshot, &slug).await?.ok_or(Error::NotFound)?;
    drop(snapshot);
    let work = {
        let (app, principal, form, environment) = (app.clone(), principal.clone(), form.clone(), environment.clone());
        async move {
            let values = form.values()?;
            let mut change = MappingChange::begin(&app, &principal, address).await?;
            environment::update(change.conn(), &environment, &values).await?;
            let both = json!({ "before": environment.values().details(), "after": values.details() });
            change.audit("environment.changed", &environment.slug, both).await?;
            change.finish().await
        }
    };
    answer(&app, &principal, Some(environment), form, mapping_change::run(work).await).await
}

async fn answer<T>(
    app: &AppState,
    principal: &Principal,
    environment: Option<Environment>,
    form: EnvironmentForm,
    result: Result<Done<T>>,
) -> Result<Response> {
    match result {
        Ok(done) => Ok(done.redirect(|_| "/catalogue?show=environments".into())),
        Err(error) => {
            let status = error.status();
            let message = mapping_change::sentence(error)?;
            Ok((status, form_page(app, principal, environment, form, message).await?).into_response())
        }
    }
}

async fn form_page(
    app: &AppState,
    principal: &Principal,
    environment: Option<Environment>,
    form: EnvironmentForm,
    message: String,
) -> Result<EnvironmentFormPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let name = environment.as_ref().map(|one| one.name.as_str());
    let title = name.map_or_else(|| "Add an environment".to_owned(), |name| format!("{name} · Catalogue"));
    let page = Page::new(app, principal, &mut snapshot, title, NavItem::Catalogue).await?;
    Ok(EnvironmentFormPage { page, environment, form, message })
}

impl EnvironmentForm {
    fn of(environment: &Environment) -> Self {
        Self {
            name: environment.name.clone(),
            slug: environment.slug.clone(),
            kind: environment.kind.clone(),
            last_day: environment.last_day.map(|day| day.to_string()).unwrap_or_default(),
            idle_days: environment.idle_days.to_string(),
            aliases: environment.aliases.join("\n"),
        }
    }

    // No kind chosen: what the name suggests.
    fn values(&self) -> Result<EnvironmentValues> {
        let guessed = || EnvironmentKind::guess(&self.name).key().to_owned();
        let kind = if self.kind.is_empty() { guessed() } else { self.kind.clone() };
        let last_day = match self.last_day.trim() {
            "" => None,
            text => Some(text.parse().map_err(|_| Error::Invalid("Write the last day as 2026-11-30.".into()))?),
        };
        let idle_days = match self.idle_days.trim() {
            "" => IDLE_DAYS,
            text => text.parse::<i32>().map_err(|_| CatalogueError::BadIdleDays)?,
        };
        let (name, aliases) = (self.name.clone(), aliases_of(&self.aliases));
        Ok(EnvironmentValues { name, kind, last_day, idle_days, aliases })
    }
}
