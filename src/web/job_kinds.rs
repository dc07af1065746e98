//! `/settings/job-kinds`: which runs of pipelines and which of their jobs are training, or of another kind that is
//! counted by itself, so that such a job has a unit cost.

use super::{
    AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, detached, filters,
    metrics as metric_pages, moments,
};
use crate::allocate::{
    Condition, JOB_ATTRIBUTES, JobKindRule, Operator, check_job_kind, jobs_metric, label, minutes_metric, tag_key,
};
use crate::rollup::pipeline_usage::{COUNT_PIPELINES, job_kind_rule};
use crate::store::job_kinds::{self, KeptRule, RULES_MAX};
use crate::store::metrics::{self, Metric};
use crate::store::{audit, event_sources, jobs};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use sqlx::PgConnection;

const PAGE_PATH: &str = "/settings/job-kinds";
/// The kind whose metrics have a meaning of their own.
const TRAINING: &str = "training";

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get(PAGE_PATH, Policy::Bills, show)
        .post(PAGE_PATH, Policy::Bills, add)
        .post("/settings/job-kinds/{id}/delete", Policy::Bills, delete)
        .post("/settings/job-kinds/{id}/restore", Policy::Bills, restore)
}

/// The form as it was filled in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RuleForm {
    source: String,
    attribute: String,
    own_attribute: String,
    operator: String,
    value: String,
    kind: String,
}

/// What somebody says of runs.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Name of the event source; any, for none.
    pub source: Option<String>,
    /// What must hold.
    pub condition: Condition,
    /// `training`, say.
    pub kind: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "job_kinds.html")]
struct JobKindsPage {
    page: Page,
    rules: Vec<KeptRule>,
    deleted: Vec<KeptRule>,
    sources: Vec<String>,
    form: RuleForm,
    message: String,
}

impl JobKindsPage {
    fn sentence(&self, rule: &KeptRule) -> String {
        let Ok(JobKindRule { condition, .. }) = job_kind_rule(rule) else { return "not readable any more".into() };
        let attribute = match condition.attribute.as_str() {
            name if tag_key(name).is_some() => label(name),
            name => {
                JOB_ATTRIBUTES.iter().find(|(known, _)| *known == name).map_or(name, |(_, words)| *words).to_lowercase()
            }
        };
        format!("{attribute} {} {}", condition.operator.label(), condition.value).trim_end().to_owned()
    }

    fn metric_links(&self, rule: &KeptRule) -> [(String, String); 2] {
        [jobs_metric(&rule.kind), minutes_metric(&rule.kind)].map(|name| (metric_pages::href(&name), name))
    }
}

async fn show(State(app): State<AppState>, principal: Principal) -> Result<JobKindsPage> {
    let form = RuleForm {
        attribute: "pipeline".into(),
        operator: Operator::Glob.key().into(),
        kind: TRAINING.into(),
        ..RuleForm::default()
    };
    page(&app, &principal, form, String::new()).await
}

async fn page(app: &AppState, principal: &Principal, form: RuleForm, message: String) -> Result<JobKindsPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(app, principal, &mut snapshot, "Kinds of jobs", NavItem::Metrics).await?;
    let (deleted, rules) = job_kinds::list(&mut snapshot).await?.into_iter().partition(|rule| rule.is_deleted);
    let sources = event_sources::list(&mut snapshot).await?.into_iter().map(|source| source.name).collect();
    Ok(JobKindsPage { page, rules, deleted, sources, form, message })
}

async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<RuleForm>,
) -> Result<Response> {
    let kept = match form.wanted() {
        Ok(wanted) => keep(&app, &principal.login, &address.to_string(), wanted).await.map(drop),
        Err(error) => Err(error),
    };
    match kept {
        Ok(()) => Ok(Redirect::to(PAGE_PATH).into_response()),
        Err(error @ (Error::Invalid(_) | Error::Conflict(_))) => {
            let (status, message) = (error.status(), error.to_string());
            Ok((status, page(&app, &principal, form, message).await?).into_response())
        }
        Err(error) => Err(error),
    }
}

impl RuleForm {
    fn wanted(&self) -> Result<Wanted> {
        let operator = Operator::from_key(&self.operator);
        let operator = operator.ok_or_else(|| Error::Invalid("Choose how the value is compared.".into()))?;
        let own = self.own_attribute.trim();
        let attribute = if own.is_empty() { self.attribute.clone() } else { format!("tag:{own}") };
        let condition = Condition { attribute, operator, value: self.value.trim().to_owned() };
        let source = Some(self.source.clone()).filter(|source| !source.is_empty());
        Ok(Wanted { source, condition, kind: self.kind.trim().to_owned() })
    }
}

async fn delete(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Response> {
    set_deleted(&app, &principal.login, &address.to_string(), id, true).await?;
    Ok(Redirect::to(PAGE_PATH).into_response())
}

async fn restore(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Response> {
    set_deleted(&app, &principal.login, &address.to_string(), id, false).await?;
    Ok(Redirect::to(PAGE_PATH).into_response())
}

/// Keeps a rule; runs are counted anew with it. Gives its number.
pub async fn keep(app: &AppState, by: &str, from: &str, wanted: Wanted) -> Result<i64> {
    check_job_kind(&wanted.kind, &wanted.condition).map_err(|error| Error::Invalid(error.to_string()))?;
    let (app, by, from) = (app.clone(), by.to_owned(), from.to_owned());
    detached(async move {
        let now = app.now();
        let mut transaction = app.pools.web.begin().await?;
        let source_id = match &wanted.source {
            None => None,
            Some(name) => {
                let source = event_sources::find(&mut transaction, name).await?;
                let unknown = || Error::Invalid(format!("“{name}” is no event source here: choose one of the list."));
                Some(source.ok_or_else(unknown)?.event_source_id)
            }
        };
        let condition = json!(wanted.condition);
        let added = job_kinds::add(&mut transaction, source_id, &condition, &wanted.kind, &by, now).await?;
        let id =
            added.ok_or_else(|| Error::Conflict(format!("There are {RULES_MAX} rules already: take one away.")))?;
        let details = json!({ "source": wanted.source, "condition": wanted.condition, "kind": wanted.kind });
        audit::insert(&mut transaction, now, &by, &from, "job_kind.added", &format!("rule {id}"), details).await?;
        describe(&mut transaction, &wanted.kind, &by, now).await?;
        count_anew(&mut transaction).await?;
        transaction.commit().await?;
        Ok(id)
    })
    .await
}

// Says what the metrics of a kind are; what somebody said before stays.
async fn describe(conn: &mut PgConnection, kind: &str, by: &str, now: DateTime<Utc>) -> Result<()> {
    let words = kind.replace('_', " ");
    let meaning = if kind == TRAINING { "training-jobs" } else { "other" };
    let took = format!("Minutes that jobs of {words} took, counted from what CI senders tell.");
    let ended = format!("Jobs of {words} that ended, counted from what CI senders tell.");
    for (name, meaning, unit, description) in
        [(jobs_metric(kind), meaning, "jobs", ended), (minutes_metric(kind), "other", "minutes", took)]
    {
        if metrics::get(&mut *conn, &name).await?.is_some_and(|metric| !metric.is_assumed) {
            continue;
        }
        let metric = Metric {
            metric: name,
            meaning: meaning.into(),
            unit: unit.into(),
            over_hours: "sum".into(),
            over_services: "sum".into(),
            unit_cost_per: 1,
            description,
            otlp_names: Vec::new(),
            is_assumed: false,
            changed_by: by.to_owned(),
            changed_at: now,
        };
        metrics::put(&mut *conn, &metric).await?;
    }
    Ok(())
}

/// Takes a rule away, or puts it back; runs are counted anew. Not found where there is none that could be.
pub async fn set_deleted(app: &AppState, by: &str, from: &str, id: i64, is_deleted: bool) -> Result<()> {
    let (app, by, from) = (app.clone(), by.to_owned(), from.to_owned());
    detached(async move {
        let now = app.now();
        let mut transaction = app.pools.web.begin().await?;
        if !job_kinds::set_deleted(&mut transaction, id, is_deleted, &by, now).await? {
            return Err(Error::NotFound);
        }
        let action = if is_deleted { "job_kind.deleted" } else { "job_kind.restored" };
        audit::insert(&mut transaction, now, &by, &from, action, &format!("rule {id}"), json!({})).await?;
        count_anew(&mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    })
    .await
}

async fn count_anew(conn: &mut PgConnection) -> Result<()> {
    Ok(jobs::enqueue(conn, COUNT_PIPELINES, "", &json!({})).await.map(drop)?)
}
