//! Making, changing and deleting a split.

use super::super::mapping_change::{self, MappingChange};
use super::super::rules::form::{DeleteForm, checked_reason};
use super::super::{AppState, ClientAddress, Error, NavItem, Page, Principal, Result};
use super::form::SplitForm;
use super::planned;
use crate::store::catalogue::service::Service;
use crate::store::mapping_rule_versions::Author;
use crate::store::splits::{self, SplitValues};
use crate::store::{catalogue, metric_lists};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

#[derive(Template, WebTemplate)]
#[template(path = "split_form.html")]
pub(super) struct SplitFormPage {
    page: Page,
    form: SplitForm,
    services: Vec<Service>,
    metrics: Vec<String>,
    message: String,
}

pub(super) async fn new_form(
    State(app): State<AppState>,
    principal: Principal,
    Query(fields): Query<Vec<(String, String)>>,
) -> Result<SplitFormPage> {
    page_of_address(&app, &principal, SplitForm::read(fields)?, String::new()).await
}

/// The form of an address: reading it has refused each key that is none of its fields.
pub(super) async fn page_of_address(
    app: &AppState,
    principal: &Principal,
    form: SplitForm,
    message: String,
) -> Result<SplitFormPage> {
    let shown = form_page(app, principal, form, message).await?;
    Ok(SplitFormPage { page: shown.page.noting(String::new()), ..shown })
}

pub(super) async fn edit_form(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<i64>,
) -> Result<SplitFormPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let stored = splits::list(&mut snapshot).await?;
    let split = stored.into_iter().find(|one| one.split_id == id).ok_or(Error::NotFound)?;
    let services = catalogue::service::list(&mut snapshot).await?;
    let slugs = services.into_iter().map(|one| (one.service_id, one.slug)).collect();
    drop(snapshot);
    form_page(&app, &principal, SplitForm::of(id, &split.values, &slugs), String::new()).await
}

async fn form_page(app: &AppState, principal: &Principal, form: SplitForm, message: String) -> Result<SplitFormPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let title = form.id.map_or_else(|| "Divide a cost".to_owned(), |_| "Change a split".to_owned());
    let page = Page::new(app, principal, &mut snapshot, title, NavItem::Rules).await?;
    let services = catalogue::service::list(&mut snapshot).await?;
    let metrics = metric_lists::heads(&mut snapshot).await?.into_iter().map(|head| head.metric).collect();
    Ok(SplitFormPage { page, form, services, metrics, message })
}

pub(super) async fn save(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response> {
    let form = SplitForm::read(fields)?;
    let work = {
        let (app, principal, form) = (app.clone(), principal.clone(), form.clone());
        async move {
            let mut change = MappingChange::begin(&app, &principal, address).await?;
            let values = form.values(change.conn()).await?;
            let reason = checked_reason(&form.reason)?;
            let id = match form.id {
                Some(id) => change_split(&mut change, id, &values, &reason).await.map(|()| id)?,
                None => add_split(&mut change, &values, &reason).await?,
            };
            change.finish_splits().await.map(|()| id)
        }
    };
    match mapping_change::run(work).await {
        Ok(done) => Ok(done.redirect(|id| format!("/splits/{id}"))),
        Err(error) => {
            let status = error.status();
            let message = mapping_change::sentence(error)?;
            let page = form_page(&app, &principal, form, message).await?;
            Ok((StatusCode::max(status, StatusCode::BAD_REQUEST), page).into_response())
        }
    }
}

/// Adds a split and writes it down.
pub(crate) async fn add_split(change: &mut MappingChange, values: &SplitValues, reason: &str) -> Result<i64> {
    planned(change.conn(), None, values).await?;
    let (login, now) = (change.actor().to_owned(), change.now());
    let id = splits::insert(change.conn(), values, Author { login: &login, now, reason }).await?;
    change.audit("split.added", &id.to_string(), json!({ "split": values, "reason": reason })).await?;
    Ok(id)
}

/// Changes a split and writes it down.
pub(crate) async fn change_split(
    change: &mut MappingChange,
    id: i64,
    values: &SplitValues,
    reason: &str,
) -> Result<()> {
    let stored = splits::list(change.conn()).await?;
    let before = stored.into_iter().find(|one| one.split_id == id).ok_or(Error::NotFound)?;
    planned(change.conn(), Some(id), values).await?;
    let (login, now) = (change.actor().to_owned(), change.now());
    splits::update(change.conn(), id, values, Author { login: &login, now, reason }).await?;
    let details = json!({ "before": before.values, "after": values, "reason": reason });
    change.audit("split.changed", &id.to_string(), details).await
}

/// Takes a split away; what it moved goes back to where it came from.
pub(crate) async fn delete_split(change: &mut MappingChange, id: i64, reason: &str) -> Result<()> {
    let stored = splits::list(change.conn()).await?;
    let split = stored.into_iter().find(|one| one.split_id == id).ok_or(Error::NotFound)?;
    let (login, now) = (change.actor().to_owned(), change.now());
    splits::delete(change.conn(), &split, Author { login: &login, now, reason }).await?;
    change.audit("split.deleted", &id.to_string(), json!({ "split": split.values, "reason": reason })).await
}

pub(super) async fn delete(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    Form(form): Form<DeleteForm>,
) -> Result<Response> {
    let reason = checked_reason(&form.reason)?;
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        delete_split(&mut change, id, &reason).await?;
        change.finish_splits().await
    });
    Ok(done.await?.redirect(|()| "/splits#deleted".into()))
}
