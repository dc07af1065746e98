//! `/settings/metric-queries`: what is asked of Prometheus servers every hour, and what came of it.

use super::webhooks::key;
use super::{
    AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, detached, filters,
    metrics as metric_pages, moments, secret,
};
use crate::store::metric_queries::{self, MetricQuery, PULL_METRICS, QUERIES_MAX, QueryValues};
use crate::store::{audit, jobs, metrics};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

const PAGE_PATH: &str = "/settings/metric-queries";
const PROMQL_CHARS_MAX: usize = 5000;
const ADDRESS_CHARS_MAX: usize = 500;
const LABEL_CHARS_MAX: usize = 200;

/// The routes of this file: whoever sets a query lets this server ask an address.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get(PAGE_PATH, Policy::Admin, show)
        .post(PAGE_PATH, Policy::Admin, add)
        .get("/settings/metric-queries/{id}", Policy::Admin, edit_form)
        .post("/settings/metric-queries/{id}", Policy::Admin, edit)
        .post("/settings/metric-queries/{id}/pause", Policy::Admin, pause)
        .post("/settings/metric-queries/{id}/resume", Policy::Admin, resume)
        .post("/settings/metric-queries/{id}/ask", Policy::Admin, ask_now)
        .post("/settings/metric-queries/{id}/delete", Policy::Admin, delete)
}

/// The form as it was filled in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct QueryForm {
    metric: String,
    address: String,
    promql: String,
    service_label: String,
    environment_label: String,
    bearer_token: String,
    forget_token: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "metric_queries.html")]
struct QueriesPage {
    page: Page,
    queries: Vec<MetricQuery>,
    metrics: Vec<String>,
    form: QueryForm,
    /// The query that the form changes; none for a new one.
    edited: Option<MetricQuery>,
    message: String,
}

impl QueriesPage {
    fn action(&self) -> String {
        self.edited.as_ref().map_or_else(|| PAGE_PATH.into(), |query| format!("{PAGE_PATH}/{}", query.metric_query_id))
    }

    fn has_token(&self) -> bool {
        self.edited.as_ref().is_some_and(|query| query.bearer_token_sealed.is_some())
    }

    fn metric_href(&self, query: &MetricQuery) -> String {
        metric_pages::href(&query.metric)
    }
}

async fn show(State(app): State<AppState>, principal: Principal) -> Result<QueriesPage> {
    let form = QueryForm { metric: "requests".into(), service_label: "service".into(), ..QueryForm::default() };
    page(&app, &principal, None, form, String::new()).await
}

async fn page(
    app: &AppState,
    principal: &Principal,
    edited: Option<MetricQuery>,
    form: QueryForm,
    message: String,
) -> Result<QueriesPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(app, principal, &mut snapshot, "Metric queries", NavItem::Metrics).await?;
    let queries = metric_queries::list(&mut *snapshot).await?;
    let metrics = metrics::list(&mut snapshot).await?.into_iter().map(|metric| metric.metric).collect();
    Ok(QueriesPage { page, queries, metrics, form, edited, message })
}

async fn edit_form(State(app): State<AppState>, principal: Principal, Path(id): Path<i64>) -> Result<QueriesPage> {
    let query = metric_queries::get(&app.pools.web, id).await?.ok_or(Error::NotFound)?;
    let form = QueryForm {
        metric: query.metric.clone(),
        address: query.address.clone(),
        promql: query.promql.clone(),
        service_label: query.service_label.clone(),
        environment_label: query.environment_label.clone(),
        ..QueryForm::default()
    };
    page(&app, &principal, Some(query), form, String::new()).await
}

async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<QueryForm>,
) -> Result<Response> {
    let kept = keep(&app, &principal, address, None, &form).await;
    answer(&app, &principal, None, form, kept).await
}

async fn edit(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    Form(form): Form<QueryForm>,
) -> Result<Response> {
    let query = metric_queries::get(&app.pools.web, id).await?.ok_or(Error::NotFound)?;
    let kept = keep(&app, &principal, address, Some(id), &form).await;
    answer(&app, &principal, Some(query), form, kept).await
}

async fn answer(
    app: &AppState,
    principal: &Principal,
    edited: Option<MetricQuery>,
    form: QueryForm,
    kept: Result<()>,
) -> Result<Response> {
    match kept {
        Ok(()) => Ok(Redirect::to(PAGE_PATH).into_response()),
        Err(error @ (Error::Invalid(_) | Error::Conflict(_))) => {
            let (status, message) = (error.status(), error.to_string());
            // A secret is not written into a page again.
            let form = QueryForm { bearer_token: String::new(), ..form };
            Ok((status, page(app, principal, edited, form, message).await?).into_response())
        }
        Err(error) => Err(error),
    }
}

fn values(form: &QueryForm) -> Result<QueryValues> {
    let refuse = |text: String| Err(Error::Invalid(text));
    let address = form.address.trim().trim_end_matches('/');
    let url = reqwest::Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = url.filter(|_| address.len() <= ADDRESS_CHARS_MAX) else {
        return refuse("Write the address as https://prometheus.example.com.".into());
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("Leave name and password out of the address: a token has a field of its own.".into());
    }
    if url.query().is_some() || url.fragment().is_some() || address.ends_with("query_range") {
        return refuse("Write the address only up to where /api/v1 begins.".into());
    }
    let promql = form.promql.trim();
    if promql.is_empty() || promql.chars().count() > PROMQL_CHARS_MAX {
        return refuse(format!("A query has 1 to {PROMQL_CHARS_MAX} characters."));
    }
    let label = |text: &str| text.trim().chars().take(LABEL_CHARS_MAX).collect::<String>();
    if form.service_label.trim().is_empty() {
        return refuse("Name the label that says the service, such as service.".into());
    }
    Ok(QueryValues {
        metric: form.metric.clone(),
        address: address.to_owned(),
        promql: promql.to_owned(),
        service_label: label(&form.service_label),
        environment_label: label(&form.environment_label),
    })
}

async fn keep(
    app: &AppState,
    principal: &Principal,
    from: ClientAddress,
    id: Option<i64>,
    form: &QueryForm,
) -> Result<()> {
    let values = values(form)?;
    let token = secret::entered(&form.bearer_token, !form.forget_token.is_empty());
    let key = key(app).await?;
    let (app, by) = (app.clone(), principal.login.clone());
    detached(async move {
        let now = app.now();
        let mut transaction = app.pools.web.begin().await?;
        if metrics::get(&mut transaction, &values.metric).await?.is_none() {
            return Err(Error::Invalid("There is no such metric. Add it on the page of metrics first.".into()));
        }
        if id.is_none() && metric_queries::list(&mut *transaction).await?.len() as i64 >= QUERIES_MAX {
            return Err(Error::Conflict(format!("There are {QUERIES_MAX} queries already.")));
        }
        let kept = metric_queries::put(&mut transaction, &key, id, &values, token.as_deref(), &by, now).await?;
        let kept = kept.ok_or(Error::NotFound)?;
        let action = if id.is_some() { "metric_query.changed" } else { "metric_query.added" };
        let details = json!({ "metric": values.metric, "address": values.address, "promql": values.promql });
        audit::insert(&mut transaction, now, &by, &from.to_string(), action, &kept.to_string(), details).await?;
        transaction.commit().await?;
        Ok(())
    })
    .await
}

async fn pause(
    State(app): State<AppState>,
    principal: Principal,
    from: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Redirect> {
    set_paused(app, principal, from, id, true).await
}

async fn resume(
    State(app): State<AppState>,
    principal: Principal,
    from: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Redirect> {
    set_paused(app, principal, from, id, false).await
}

async fn set_paused(
    app: AppState,
    principal: Principal,
    from: ClientAddress,
    id: i64,
    is_paused: bool,
) -> Result<Redirect> {
    detached(async move {
        let now = app.now();
        let mut transaction = app.pools.web.begin().await?;
        if !metric_queries::set_paused(&mut transaction, id, is_paused, now).await? {
            return Err(Error::NotFound);
        }
        let action = if is_paused { "metric_query.paused" } else { "metric_query.resumed" };
        let (by, from) = (&principal.login, from.to_string());
        audit::insert(&mut transaction, now, by, &from, action, &id.to_string(), json!({})).await?;
        transaction.commit().await?;
        Ok(Redirect::to(PAGE_PATH))
    })
    .await
}

async fn ask_now(State(app): State<AppState>, Path(id): Path<i64>) -> Result<Redirect> {
    detached(async move {
        let query = metric_queries::get(&app.pools.web, id).await?.ok_or(Error::NotFound)?;
        if query.is_paused {
            return Err(Error::Conflict("The query is paused: let it go on first.".into()));
        }
        let mut conn = app.pools.web.acquire().await?;
        jobs::enqueue(&mut conn, PULL_METRICS, &id.to_string(), &json!({ "metric_query_id": id })).await?;
        Ok(Redirect::to(PAGE_PATH))
    })
    .await
}

async fn delete(
    State(app): State<AppState>,
    principal: Principal,
    from: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Redirect> {
    detached(async move {
        let now = app.now();
        let mut transaction = app.pools.web.begin().await?;
        if !metric_queries::delete(&mut transaction, id).await? {
            return Err(Error::NotFound);
        }
        let (by, from) = (&principal.login, from.to_string());
        audit::insert(&mut transaction, now, by, &from, "metric_query.deleted", &id.to_string(), json!({})).await?;
        transaction.commit().await?;
        Ok(Redirect::to(PAGE_PATH))
    })
    .await
}
