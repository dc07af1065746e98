//! Saying what a metric means, and taking values away.

use super::super::{AppState, ClientAddress, Error, NavItem, Page, Principal, Result, detached};
use super::definition::DefinitionForm;
use super::{COMBINATIONS, MEANINGS, href, one, put};
use crate::focus::DateRange;
use crate::rollup::usage::{Taking, UsageError};
use crate::store::catalogue::service;
use crate::store::metrics::Metric;
use crate::store::{audit, usage_unmapped};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{Days, NaiveDate};
use serde::Deserialize;
use serde_json::json;

#[derive(Template, WebTemplate)]
#[template(path = "metric_form.html")]
struct MetricFormPage {
    page: Page,
    form: DefinitionForm,
    message: String,
}

pub(super) async fn new_form(State(app): State<AppState>, principal: Principal) -> Result<Response> {
    let form = DefinitionForm {
        meaning: "other".into(),
        over_hours: "sum".into(),
        over_services: "sum".into(),
        unit_cost_per: "1".into(),
        ..DefinitionForm::default()
    };
    Ok(form_page(&app, &principal, form, String::new()).await?.into_response())
}

async fn form_page(
    app: &AppState,
    principal: &Principal,
    form: DefinitionForm,
    message: String,
) -> Result<MetricFormPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(app, principal, &mut snapshot, "Add a metric", NavItem::Metrics).await?;
    Ok(MetricFormPage { page, form, message })
}

pub(super) async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<DefinitionForm>,
) -> Result<Response> {
    match keep(&app, &principal, address, &form, true).await {
        Ok(metric) => Ok(Redirect::to(&href(&metric.metric)).into_response()),
        Err(error @ (Error::Invalid(_) | Error::Conflict(_))) => {
            let (status, message) = (error.status(), error.to_string());
            Ok((status, form_page(&app, &principal, form, message).await?).into_response())
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn save(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(name): Path<String>,
    Form(form): Form<DefinitionForm>,
) -> Result<Response> {
    let form = DefinitionForm { name: name.clone(), ..form };
    match keep(&app, &principal, address, &form, false).await {
        Ok(metric) => Ok(to(&metric.metric, "The metric was saved.")),
        Err(error @ (Error::Invalid(_) | Error::Conflict(_))) => {
            let (status, message) = (error.status(), error.to_string());
            Ok((status, one(&app, &principal, &name, Some(form), message, String::new()).await?).into_response())
        }
        Err(error) => Err(error),
    }
}

fn to(metric: &str, done: &str) -> Response {
    let query = serde_urlencoded::to_string([("done", done)]).unwrap_or_default();
    Redirect::to(&format!("{}?{query}", href(metric))).into_response()
}

async fn keep(
    app: &AppState,
    principal: &Principal,
    address: ClientAddress,
    form: &DefinitionForm,
    is_new: bool,
) -> Result<Metric> {
    let metric = form.metric(&principal.login, app.now())?;
    let (app, by) = (app.clone(), principal.login.clone());
    detached(async move {
        // Other days may follow from another way to combine hours, and other shares from them.
        let mut taking = Taking::begin(&app.pools, Some(&metric.metric)).await.map_err(from_usage)?;
        let before = put(taking.conn(), &metric).await?;
        if is_new && before.is_some() {
            return Err(Error::Conflict(format!(
                "There is a metric “{}” already: choose another name.",
                metric.metric
            )));
        }
        if !is_new && before.is_none() {
            return Err(Error::NotFound);
        }
        if before.is_some_and(|before| before.over_hours != metric.over_hours) {
            taking.touch_all();
        }
        let details = json!({ "meaning": metric.meaning, "unit": metric.unit, "over_hours": metric.over_hours,
            "over_services": metric.over_services, "unit_cost_per": metric.unit_cost_per });
        let action = if is_new { "metric.added" } else { "metric.changed" };
        audit::insert(taking.conn(), app.now(), &by, &address.to_string(), action, &metric.metric, details).await?;
        taking.finish(&by, app.now()).await.map_err(from_usage)?;
        Ok(metric)
    })
    .await
}

/// What was refused, for a page or the API.
pub(crate) fn from_usage(error: UsageError) -> Error {
    match error {
        UsageError::Conflict(message) => Error::Conflict(message),
        UsageError::Other(error) => error.into(),
        other => Error::Invalid(other.to_string()),
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DeleteForm {
    service: String,
    first_day: String,
    last_day: String,
}

pub(super) async fn delete_values(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(name): Path<String>,
    Form(form): Form<DeleteForm>,
) -> Result<Response> {
    let done = {
        let (app, principal, name) = (app.clone(), principal.clone(), name.clone());
        detached(async move { delete(&app, &principal, address, &name, &form).await }).await
    };
    match done {
        Ok(done) => Ok(to(&name, &done)),
        Err(error @ (Error::Invalid(_) | Error::Conflict(_))) => {
            let (status, message) = (error.status(), error.to_string());
            Ok((status, one(&app, &principal, &name, None, message, String::new()).await?).into_response())
        }
        Err(error) => Err(error),
    }
}

async fn delete(
    app: &AppState,
    principal: &Principal,
    address: ClientAddress,
    name: &str,
    form: &DeleteForm,
) -> Result<String> {
    let day = |text: &str| {
        let wrong = || Error::Invalid(format!("“{text}” is not a day. Write it as 2026-10-31."));
        text.trim().parse::<NaiveDate>().map_err(|_| wrong())
    };
    let (first_day, last_day) = (day(&form.first_day)?, day(&form.last_day)?);
    let end = last_day.checked_add_days(Days::new(1));
    let days = end.and_then(|end| DateRange::new(first_day, end));
    let days = days.ok_or_else(|| Error::Invalid("The last day lies before the first one.".into()))?;
    let mut taking = Taking::begin(&app.pools, Some(name)).await.map_err(from_usage)?;
    crate::store::metrics::get(taking.conn(), name).await?.ok_or(Error::NotFound)?;
    let service_id = match form.service.as_str() {
        "" => None,
        slug => {
            let found = service::get(taking.conn(), slug).await?;
            Some(found.ok_or_else(|| Error::Invalid("There is no such service.".into()))?.service_id)
        }
    };
    let count = taking.delete(name, service_id, days).await.map_err(from_usage)?;
    let details = json!({ "service": form.service, "first_day": first_day, "last_day": last_day, "values": count });
    let (now, by) = (app.now(), &principal.login);
    audit::insert(taking.conn(), now, by, &address.to_string(), "metric.values_deleted", name, details).await?;
    taking.finish(by, now).await.map_err(from_usage)?;
    Ok(format!("{count} values by day were deleted. They can be sent or imported again."))
}

pub(super) async fn forget_unmapped(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
) -> Result<Redirect> {
    detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        let count = usage_unmapped::forget(&mut transaction).await?;
        let (now, from) = (app.now(), address.to_string());
        let details = json!({ "rows": count });
        audit::insert(&mut transaction, now, &principal.login, &from, "metrics.unmapped_forgotten", "metrics", details)
            .await?;
        transaction.commit().await?;
        Ok(Redirect::to("/metrics?done=What+belongs+to+nothing+is+counted+anew."))
    })
    .await
}
