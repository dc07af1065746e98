//! Adding and changing a service.

use super::super::mapping_change::{self, Done, MappingChange};
use super::super::{AppState, ClientAddress, Error, NavItem, Page, Principal, Result};
use super::details::DetailValues;
use super::{aliases_of, slug_for};
use crate::store::catalogue::service::{self, LIFECYCLES, Service, ServiceValues};
use crate::store::catalogue::team::{self, Team};
use crate::store::service_details;
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
pub(super) struct ServiceForm {
    name: String,
    slug: String,
    team: String,
    tier: String,
    lifecycle: String,
    aliases: String,
    cost_center: String,
    product: String,
    repositories: String,
    runbook: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "catalogue_service.html")]
pub(super) struct ServiceFormPage {
    page: Page,
    /// `None` for a new one.
    service: Option<Service>,
    form: ServiceForm,
    teams: Vec<Team>,
    message: String,
}

pub(super) async fn add_form(State(app): State<AppState>, principal: Principal) -> Result<ServiceFormPage> {
    let form = ServiceForm { lifecycle: "production".into(), ..ServiceForm::default() };
    form_page(&app, &principal, None, form, String::new()).await
}

pub(super) async fn edit_form(
    State(app): State<AppState>,
    principal: Principal,
    Path(slug): Path<String>,
) -> Result<ServiceFormPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let service = service::get(&mut snapshot, &slug).await?.ok_or(Error::NotFound)?;
    let detail = DetailValues::of(&service_details::get(&mut snapshot, service.service_id).await?);
    drop(snapshot);
    let form = ServiceForm::of(&service, detail);
    form_page(&app, &principal, Some(service), form, String::new()).await
}

pub(super) async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<ServiceForm>,
) -> Result<Response> {
    let work = {
        let (app, principal, form) = (app.clone(), principal.clone(), form.clone());
        async move {
            let slug = slug_for(&form.slug, &form.name);
            let (values, detail) = (form.values()?, form.detail()?);
            let mut change = MappingChange::begin(&app, &principal, address).await?;
            let id = service::insert(change.conn(), &slug, &values, "user").await?;
            let (by, now) = (change.actor().to_owned(), change.now());
            detail.keep(change.conn(), id, true, &by, now).await?;
            let details = json!({ "values": values.details(), "more": detail.details() });
            change.audit("service.added", &slug, details).await?;
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
    Form(form): Form<ServiceForm>,
) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let service = service::get(&mut snapshot, &slug).await?.ok_or(Error::NotFound)?;
    drop(snapshot);
    let work = {
        let (app, principal, form, service) = (app.clone(), principal.clone(), form.clone(), service.clone());
        async move {
            let (values, detail) = (form.values()?, form.detail()?);
            let mut change = MappingChange::begin(&app, &principal, address).await?;
            service::update(change.conn(), &service, &values).await?;
            let before = DetailValues::of(&service_details::get(change.conn(), service.service_id).await?);
            let (by, now) = (change.actor().to_owned(), change.now());
            detail.keep(change.conn(), service.service_id, service.values() != values, &by, now).await?;
            let both = json!({ "before": service.values().details(), "after": values.details(),
                "more_before": before.details(), "more_after": detail.details() });
            change.audit("service.changed", &service.slug, both).await?;
            change.finish().await
        }
    };
    answer(&app, &principal, Some(service), form, mapping_change::run(work).await).await
}

async fn answer<T>(
    app: &AppState,
    principal: &Principal,
    service: Option<Service>,
    form: ServiceForm,
    result: Result<Done<T>>,
) -> Result<Response> {
    match result {
        Ok(done) => Ok(done.redirect(|_| "/catalogue".into())),
        Err(error) => {
            let status = error.status();
            let message = mapping_change::sentence(error)?;
            let page = form_page(app, principal, service, form, message).await?;
            Ok((status, page).into_response())
        }
    }
}

async fn form_page(
    app: &AppState,
    principal: &Principal,
    service: Option<Service>,
    form: ServiceForm,
    message: String,
) -> Result<ServiceFormPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let title = service.as_ref().map_or_else(|| "Add a service".to_owned(), |one| format!("{} · Catalogue", one.name));
    let page = Page::new(app, principal, &mut snapshot, title, NavItem::Catalogue).await?;
    let teams = team::list(&mut snapshot).await?;
    Ok(ServiceFormPage { page, service, form, teams, message })
}

impl ServiceForm {
    fn of(service: &Service, detail: DetailValues) -> Self {
        Self {
            name: service.name.clone(),
            slug: service.slug.clone(),
            team: service.team_slug.clone().unwrap_or_default(),
            tier: service.tier.map(|tier| tier.to_string()).unwrap_or_default(),
            lifecycle: service.lifecycle.clone(),
            aliases: service.aliases.join("\n"),
            cost_center: detail.cost_center,
            product: detail.product,
            repositories: detail.repositories.join("\n"),
            runbook: detail.runbook,
        }
    }

    fn detail(&self) -> Result<DetailValues> {
        let written = DetailValues {
            cost_center: self.cost_center.clone(),
            product: self.product.clone(),
            repositories: self.repositories.lines().map(str::to_owned).collect(),
            runbook: self.runbook.clone(),
        };
        written.checked()
    }

    fn values(&self) -> Result<ServiceValues> {
        let tier = match self.tier.trim() {
            "" => None,
            text => Some(text.parse().map_err(|_| Error::Invalid("A tier is a number from 1 to 9.".into()))?),
        };
        let lifecycle = if self.lifecycle.is_empty() { "production" } else { &self.lifecycle };
        Ok(ServiceValues {
            name: self.name.clone(),
            team_slug: Some(self.team.clone()).filter(|team| !team.is_empty()),
            tier,
            lifecycle: lifecycle.to_owned(),
            aliases: aliases_of(&self.aliases),
        })
    }
}
