//! `/api/v1/unit-costs`, unit costs around a deployment, and goals of workloads, from the same functions as the pages.

use super::body::parse;
use super::catalogue::unprocessable;
use super::error::{ErrorBody, Result};
use crate::analyze::unit_economics::{Comparison, Figure, Side};
use crate::store::workload_goals::{self, WorkloadGoal};
use crate::web::missing_bills;
use crate::web::query::View;
use crate::web::unit_costs::{self as pages, Resource, StatedGoal, Workload, decimal, figure, per_unit};
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use std::collections::BTreeSet;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let (read, goals) = (ApiPolicy::read(Policy::Money), ApiPolicy::admin(Policy::Review));
    routes
        .api_get("/api/v1/unit-costs", read, show)
        .api_get("/api/v1/deployments/{id}/unit-costs", read, of_deployment)
        .api_get("/api/v1/goals", ApiPolicy::read(Policy::SignedIn), list_goals)
        .api_put("/api/v1/services/{slug}/goals/{metric}", goals, put_goal)
        .api_post("/api/v1/services/{slug}/goals/{metric}/delete", goals, delete_goal)
}

/// An estimate with its 90% interval.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Estimate {
    /// The estimate.
    #[schema(example = "0.0244")]
    pub value: String,
    /// Lower end.
    pub low: String,
    /// Upper end.
    pub high: String,
}

impl From<Figure> for Estimate {
    fn from(one: Figure) -> Self {
        let [value, low, high] = figure(one);
        Self { value, low, high }
    }
}

/// One side of a comparison.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct UnitSide {
    /// Cost of the days for which usage is known too, with every digit.
    pub cost: String,
    /// Usage of the same days.
    pub usage: String,
    /// Days for which both are known.
    pub known_days: usize,
    /// Days left out, with their cost, since usage is not known.
    pub unknown_days: usize,
    /// Cost of one unit: the exact quotient, thirty digits of it; `null` where nothing was used, or too little to tell.
    pub cost_per_unit: Option<String>,
    /// How sure it is; `null` where that cannot be told. It never reaches below zero where no day cost less than nothing.
    pub interval: Option<Estimate>,
    /// Why there is no interval: too-few-days, nothing-used, too-few-units, below-zero; `null` where there is one.
    pub no_interval: Option<String>,
    /// What a day costs without any usage; `null` where the days cannot tell.
    pub fixed_per_day: Option<Estimate>,
    /// What one more unit costs; `null` where the days cannot tell.
    pub variable_per_unit: Option<Estimate>,
    /// The share of the movement of daily cost that usage explains, 0 to 1.
    pub r_squared: Option<f64>,
    /// Why the parts cannot be told: too-few-days, steady-volume, does-not-follow, no-line; `null` where they can.
    pub cannot_tell: Option<String>,
}

impl From<&Side> for UnitSide {
    fn from(side: &Side) -> Self {
        let parts = side.parts.as_ref().ok();
        Self {
            cost: side.unit.cost.normalized().to_plain_string(),
            usage: side.unit.usage.normalized().to_plain_string(),
            known_days: side.unit.day_count,
            unknown_days: side.unit.unknown_days.len(),
            cost_per_unit: per_unit(side),
            interval: side.per_unit.ok().map(Estimate::from),
            no_interval: side.per_unit.err().map(|reason| reason.key().to_owned()),
            fixed_per_day: parts.map(|parts| parts.fixed_per_day.into()),
            variable_per_unit: parts.map(|parts| parts.variable_per_unit.into()),
            r_squared: parts.map(|parts| parts.r_squared),
            cannot_tell: side.parts.as_ref().err().map(|reason| reason.key().to_owned()),
        }
    }
}

/// Two sides and their difference.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct UnitComparison {
    /// Before.
    pub before: UnitSide,
    /// After, or the period that was asked for.
    pub after: UnitSide,
    /// Cost of one unit after less before.
    pub change: Option<Estimate>,
    /// The same as a share of before.
    pub relative: Option<Estimate>,
    /// The part of the change that the other volume alone makes: the fixed part from before, spread over more or fewer
    /// units.
    pub from_volume: Option<String>,
}

impl From<&Comparison> for UnitComparison {
    fn from(one: &Comparison) -> Self {
        Self {
            before: (&one.before).into(),
            after: (&one.after).into(),
            change: one.change.map(Estimate::from),
            relative: one.relative.map(Estimate::from),
            from_volume: one.from_volume.map(|volume| decimal(volume).to_plain_string()),
        }
    }
}

/// Unit costs of a period.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct UnitCosts {
    /// What is counted; `null` where nothing is.
    pub metric: Option<String>,
    /// First day; `null` before the first bill.
    pub first_day: Option<NaiveDate>,
    /// Last day, included.
    pub last_day: Option<NaiveDate>,
    /// First day of the period that it is compared with.
    pub compared_first_day: Option<NaiveDate>,
    /// Last day of it, included.
    pub compared_last_day: Option<NaiveDate>,
    /// One a group and currency, the dearest first.
    pub groups: Vec<UnitGroupBody>,
    /// Groups with cost and usage whose cost is not that of the units, by slug or name: runs of pipelines are builds of
    /// services that do something else.
    pub left_out: Vec<String>,
    /// The publication that the figures include.
    pub publication_id: i64,
    /// What to know beside the figures.
    pub notes: Vec<String>,
}

/// One service, environment or product in one currency.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct UnitGroupBody {
    /// Slug, or name of the product.
    pub group: String,
    /// What people call it.
    pub name: String,
    /// `BillingCurrency`.
    pub billing_currency: String,
    /// The period against the one before.
    #[serde(flatten)]
    pub comparison: UnitComparison,
}

/// What a unit costs, by service, environment or product.
#[utoipa::path(
    get, operation_id = "show_unit_costs", path = "/api/v1/unit-costs", tag = "costs",
    params(
        ("by" = Option<String>, Query, description = "service (default), env, product"),
        ("metric" = Option<String>, Query, description = "A metric whose values add up; where it is left out the best unit that what is asked for counts, such as requests, and of several the one of most services; one without a unit cost in the period is passed over for the next with one, else for one with a unit cost in the period before, and five are tried at most"),
        ("period" = Option<String>, Query, description = "30d (default), 60d, 12m, mtd, 2026-10, 2026-09-01..2026-10-15"),
        ("vs" = Option<String>, Query, description = "prev (default): the period before. py: the same days a year before."),
        ("service" = Option<String>, Query, description = "Slug of a service"),
        ("env" = Option<String>, Query, description = "Slug of an environment"),
        ("team" = Option<String>, Query, description = "Slug of a team"),
        ("cur" = Option<String>, Query, description = "FOCUS BillingCurrency"),
        ("basis" = Option<String>, Query, description = "amortized (default), billed, list, contracted. List and contracted costs leave out what was bought for commitments: its use has its own"),
    ),
    responses(
        (status = 200, body = UnitCosts),
        (status = 400, description = "A parameter is wrong; the sentence names what is allowed", body = ErrorBody),
    )
)]
pub(super) async fn show(
    State(app): State<AppState>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<UnitCosts>> {
    let view = View::parse(query.as_deref(), pages::ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let bills = view.bills(&app, &mut snapshot, &principal.scope()).await?;
    let read = pages::groups(&mut snapshot, &principal.scope(), &view, &bills).await?;
    let groups = read.units.iter().map(|unit| UnitGroupBody {
        group: unit.key.clone(),
        name: unit.label.clone(),
        billing_currency: unit.currency.clone(),
        comparison: (&unit.comparison).into(),
    });
    let left_out: BTreeSet<String> = read.left_out.iter().map(|unit| unit.key.clone()).collect();
    Ok(Json(UnitCosts {
        metric: read.metric.as_ref().map(|metric| metric.metric.clone()),
        first_day: read.span.map(|span| span.days.start()),
        last_day: read.span.map(|span| span.days.last_day()),
        compared_first_day: read.span.map(|span| span.before.start()),
        compared_last_day: read.span.map(|span| span.before.last_day()),
        groups: groups.collect(),
        left_out: left_out.into_iter().collect(),
        publication_id: bills.publication_id,
        notes: missing_bills::sentence(&bills)
            .into_iter()
            .chain(Some(read.left_out_words()).filter(|words| !words.is_empty()))
            .collect(),
    }))
}

/// The units of a service around a deployment.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct WorkloadBody {
    /// Slug of the service.
    pub service: String,
    /// What is counted.
    pub metric: String,
    /// `BillingCurrency`.
    pub billing_currency: String,
    /// Before and after.
    #[serde(flatten)]
    pub comparison: UnitComparison,
    /// The metric that tells how long a unit takes: of runs and jobs their own minutes, of other units latency; `null`
    /// where none does.
    pub duration_metric: Option<String>,
    /// Duration of a run or a job before, or the mean of a day, in the unit of that metric.
    pub duration_before: Option<Estimate>,
    /// The same after.
    pub duration_after: Option<Estimate>,
    /// Its change as a share.
    pub duration_relative: Option<Estimate>,
    /// What runs and jobs used; empty for other units.
    pub resources: Vec<ResourceBody>,
    /// latency, cost, weight; `null` where no goal is stated.
    pub goal: Option<String>,
    /// Weight of cost in percent, of a weighted goal.
    pub goal_cost_percent: Option<i16>,
    /// better, worse, same, unclear, not-known; `null` without a goal.
    pub verdict: Option<String>,
    /// The verdict in a sentence.
    pub sentence: String,
}

/// One thing that runs or jobs used.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ResourceBody {
    /// `ServiceName` of the bill, or a metric.
    pub name: String,
    /// `PricingUnit` of the bill, or the unit of the metric.
    #[schema(example = "Hours")]
    pub unit: String,
    /// Whether it is of one run; else it is the mean of a day.
    pub is_per_run: bool,
    /// Before.
    pub before: Option<Estimate>,
    /// After.
    pub after: Option<Estimate>,
    /// The change as a share.
    pub relative: Option<Estimate>,
}

impl From<&Resource> for ResourceBody {
    fn from(one: &Resource) -> Self {
        Self {
            name: one.name.clone(),
            unit: one.unit.clone(),
            is_per_run: one.is_per_run,
            before: one.before.map(Estimate::from),
            after: one.after.map(Estimate::from),
            relative: one.relative.map(Estimate::from),
        }
    }
}

impl From<&Workload> for WorkloadBody {
    fn from(one: &Workload) -> Self {
        let duration = one.duration.as_ref().ok();
        Self {
            service: one.service.slug.clone(),
            metric: one.metric.metric.clone(),
            billing_currency: one.currency.clone(),
            comparison: (&one.comparison).into(),
            duration_metric: duration.map(|duration| duration.metric.clone()),
            duration_before: duration.map(|duration| duration.before.into()),
            duration_after: duration.map(|duration| duration.after.into()),
            duration_relative: duration.and_then(|duration| duration.relative).map(Estimate::from),
            resources: one.resources.iter().map(ResourceBody::from).collect(),
            goal: one.stated().map(|goal| goal.key().to_owned()),
            goal_cost_percent: one.stated().and_then(|goal| goal.cost_percent()),
            verdict: one.verdict.map(|verdict| verdict.key().to_owned()),
            sentence: pages::verdict_words(one).0,
        }
    }
}

/// What a unit cost before and after a deployment, and what that is for the stated goal.
#[utoipa::path(
    get, operation_id = "show_deployment_unit_costs", path = "/api/v1/deployments/{id}/unit-costs", tag = "deployments",
    params(("id" = i64, Path, description = "Its number")),
    responses(
        (status = 200, description = "One a service that you may see, metric and currency", body = Vec<WorkloadBody>),
        (status = 403, description = "None of its services is yours", body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn of_deployment(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Json<Vec<WorkloadBody>>> {
    let id: i64 = id.parse().map_err(|_| web::Error::NotFound)?;
    let workloads = web::deployment::unit_costs(&app, &principal, id).await?;
    Ok(Json(workloads.iter().map(WorkloadBody::from).collect()))
}

/// A stated goal.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct GoalBody {
    /// Slug of the service.
    pub service: String,
    /// What the unit is.
    pub metric: String,
    /// What counts.
    #[serde(flatten)]
    pub goal: StatedGoal,
    /// Who said so last.
    pub stated_by: String,
    /// When.
    pub stated_at: DateTime<Utc>,
}

impl From<WorkloadGoal> for GoalBody {
    fn from(row: WorkloadGoal) -> Self {
        let goal = StatedGoal { goal: row.goal, cost_percent: row.cost_percent, duration_metric: row.duration_metric };
        Self { service: row.service_slug, metric: row.metric, goal, stated_by: row.stated_by, stated_at: row.stated_at }
    }
}

/// List what workloads are for.
#[utoipa::path(get, operation_id = "list_goals", path = "/api/v1/goals", tag = "catalogue",
    responses((status = 200, body = Vec<GoalBody>)))]
pub(super) async fn list_goals(State(app): State<AppState>) -> Result<Json<Vec<GoalBody>>> {
    let mut snapshot = app.pools.snapshot().await?;
    Ok(Json(workload_goals::list(&mut snapshot, None).await?.into_iter().map(GoalBody::from).collect()))
}

/// State what the units of a metric of a service are for: every release then says whether it is better or worse.
#[utoipa::path(put, operation_id = "put_goal", path = "/api/v1/services/{slug}/goals/{metric}", tag = "catalogue",
    request_body = StatedGoal,
    params(("slug" = String, Path, description = "The service"), ("metric" = String, Path, description = "The metric")),
    responses((status = 204), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 422, body = ErrorBody)))]
pub(super) async fn put_goal(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path((slug, metric)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode> {
    let asked: StatedGoal = parse(&body)?;
    let done = pages::state_goal(&app, &principal, &address, &slug, &metric, Some(asked)).await;
    done.map_err(unprocessable)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take a goal back.
#[utoipa::path(post, operation_id = "delete_goal", path = "/api/v1/services/{slug}/goals/{metric}/delete",
    tag = "catalogue",
    params(("slug" = String, Path, description = "The service"), ("metric" = String, Path, description = "The metric")),
    responses((status = 204), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn delete_goal(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path((slug, metric)): Path<(String, String)>,
) -> Result<StatusCode> {
    pages::state_goal(&app, &principal, &address, &slug, &metric, None).await.map_err(unprocessable)?;
    Ok(StatusCode::NO_CONTENT)
}
