//! `/api/v1/savings` and `/api/v1/plans`, from the same functions as the pages.

use super::body::parse;
use super::catalogue::unprocessable;
use super::error::{ErrorBody, Result};
use super::known;
use crate::store::catalogue_names;
use crate::store::service_plans::{self, ServicePlan};
use crate::web::query::View;
use crate::web::savings::{self as pages, Found, IdleShare, NewPlan, words};
use crate::web::{ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let (read, write) = (ApiPolicy::read(Policy::Money), ApiPolicy::admin(Policy::Review));
    routes
        .api_get("/api/v1/savings", read, show)
        .api_post("/api/v1/savings/dismiss", write, dismiss)
        .api_post("/api/v1/savings/undo", write, undo)
        .api_get("/api/v1/plans", ApiPolicy::read(Policy::SignedIn), list_plans)
        .api_post("/api/v1/services/{slug}/plans", write, add_plan)
        .api_post("/api/v1/services/{slug}/plans/{id}/delete", write, delete_plan)
}

/// What could be saved.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SavingsBody {
    /// The last complete day; money is of the thirty days to it. `null` before the first bill.
    pub complete_to: Option<NaiveDate>,
    /// The largest amount first.
    pub savings: Vec<SavingBody>,
    /// Where a metric tells how much is used.
    pub idle_shares: Vec<IdleBody>,
    /// Places with capacity of which no metric tells how much is used.
    pub unknown_count: usize,
    /// The publication that the figures include.
    pub publication_id: i64,
    /// What to know beside the figures.
    pub notes: Vec<String>,
}

/// One finding.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SavingBody {
    /// The same as long as it is about the same thing: to dismiss it by.
    pub key: String,
    /// no-traffic, left-alone, low-utilization, orphaned-storage, unused-commitment.
    pub kind: String,
    /// open, held-back, dismissed.
    pub state: String,
    /// Slug of the service; empty for what is not allocated.
    pub service: String,
    /// Slug of the environment; empty without one.
    pub environment: String,
    /// Name of the team.
    pub team: Option<String>,
    /// `BillingCurrency`.
    pub billing_currency: String,
    /// What it would save in 30 days, with every digit.
    #[schema(example = "160.008")]
    pub amount: String,
    /// The cost that the amount is a share of.
    pub cost: String,
    /// What it rests on.
    pub evidence: String,
    /// How the amount was worked out.
    pub how_computed: String,
    /// What to do.
    pub playbook: String,
    /// Why it waits; `null` where it does not.
    pub held_back: Option<String>,
    /// What it waits for: bill, launch, redesign, release-window, deployment; `null` where it does not.
    pub held_by: Option<String>,
    /// Why it was dismissed; `null` where it was not.
    pub dismissed: Option<String>,
}

/// The idle share of a place.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct IdleBody {
    /// Slug of the service.
    pub service: String,
    /// Slug of the environment.
    pub environment: String,
    /// `BillingCurrency`.
    pub billing_currency: String,
    /// 0 to 1, four decimals.
    pub idle_share: String,
    /// Compute, databases and machine learning in 30 days.
    pub capacity_cost: String,
    /// Capacity times idle share.
    pub idle_cost: String,
    /// What told it.
    pub measure: String,
}

fn text(amount: &BigDecimal) -> String {
    amount.normalized().to_plain_string()
}

fn saving(one: &Found, complete_to: NaiveDate) -> SavingBody {
    SavingBody {
        key: one.saving.key(),
        kind: one.saving.waste.kind().into(),
        state: one.state().into(),
        service: one.service_slug.clone(),
        environment: one.environment_slug.clone(),
        team: one.team_name.clone(),
        billing_currency: one.saving.place.currency.clone(),
        amount: text(&one.saving.amount),
        cost: text(&one.saving.base),
        evidence: words::evidence(one, complete_to),
        how_computed: words::computed(one),
        playbook: words::playbook(&one.saving.waste).into(),
        held_back: one.saving.held.as_ref().map(words::held),
        held_by: one.saving.held.as_ref().map(|held| held.key().into()),
        dismissed: one.dismissal.as_ref().map(|by| by.reason.clone()),
    }
}

fn idle(one: &IdleShare) -> IdleBody {
    IdleBody {
        service: one.row.service_slug.clone(),
        environment: one.row.environment_slug.clone(),
        billing_currency: one.row.currency.clone(),
        idle_share: text(&one.idle),
        capacity_cost: text(&one.row.capacity),
        idle_cost: text(&one.amount),
        measure: one.measure.clone(),
    }
}

/// What is paid for and not used, with its money, evidence and what to do; what waits for a release or a bill says so.
#[utoipa::path(
    get, operation_id = "show_savings", path = "/api/v1/savings", tag = "costs",
    params(
        ("kind" = Option<String>, Query, description = "no-traffic, left-alone, low-utilization, orphaned-storage, unused-commitment"),
        ("service" = Option<String>, Query, description = "Slug of a service; none: what is not allocated"),
        ("env" = Option<String>, Query, description = "Slug of an environment"),
        ("team" = Option<String>, Query, description = "Slug of a team"),
        ("cur" = Option<String>, Query, description = "FOCUS BillingCurrency"),
    ),
    responses((status = 200, body = SavingsBody), (status = 400, body = ErrorBody))
)]
pub(super) async fn show(
    State(app): State<AppState>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<SavingsBody>> {
    let view = View::parse(query.as_deref(), pages::ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let bills = app.bills(&mut snapshot).await?;
    let complete_to = bills.complete_to();
    let mut read = pages::savings(&app, &bills, &mut snapshot, &principal.scope()).await?;
    pages::narrow(&mut read, &mut snapshot, &view, app.now().date_naive()).await?;
    Ok(Json(SavingsBody {
        complete_to,
        savings: read.found.iter().map(|one| saving(one, complete_to.unwrap_or_default())).collect(),
        idle_shares: read.idle.iter().map(idle).collect(),
        unknown_count: read.unknown_count,
        publication_id: bills.publication_id,
        notes: Vec::new(),
    }))
}

/// Which saving, and why nobody wants it.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SavingDecision {
    /// Its key.
    pub key: String,
    /// Needed to dismiss; everybody sees it.
    #[serde(default)]
    pub reason: String,
}

/// Dismiss a saving: it is listed as dismissed until that is undone.
#[utoipa::path(post, operation_id = "dismiss_saving", path = "/api/v1/savings/dismiss", tag = "costs",
    request_body = SavingDecision, responses((status = 204), (status = 422, body = ErrorBody)))]
pub(super) async fn dismiss(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    body: Bytes,
) -> Result<StatusCode> {
    let asked: SavingDecision = parse(&body)?;
    pages::decide(&app, &principal, &address, &asked.key, Some(&asked.reason)).await.map_err(unprocessable)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Undo a dismissal.
#[utoipa::path(post, operation_id = "undo_dismissal", path = "/api/v1/savings/undo", tag = "costs",
    request_body = SavingDecision, responses((status = 204), (status = 422, body = ErrorBody)))]
pub(super) async fn undo(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    body: Bytes,
) -> Result<StatusCode> {
    let asked: SavingDecision = parse(&body)?;
    pages::decide(&app, &principal, &address, &asked.key, None).await.map_err(unprocessable)?;
    Ok(StatusCode::NO_CONTENT)
}

/// A launch, redesign or release window of a service.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PlanBody {
    /// Its number; `null` where a sender told of it.
    pub id: Option<i64>,
    /// Slug of the service.
    pub service: String,
    /// launch, redesign, release-window.
    pub kind: String,
    /// What people call it.
    pub title: String,
    /// First day, UTC.
    pub first_day: NaiveDate,
    /// Last day, included.
    pub last_day: NaiveDate,
    /// Who registered it, or the source that told of it.
    pub added_by: String,
    /// When.
    pub added_at: DateTime<Utc>,
}

impl From<ServicePlan> for PlanBody {
    fn from(plan: ServicePlan) -> Self {
        Self {
            id: plan.service_plan_id,
            service: plan.service_slug,
            kind: plan.kind,
            title: plan.title,
            first_day: plan.first_day,
            last_day: plan.last_day,
            added_by: plan.added_by,
            added_at: plan.added_at,
        }
    }
}

/// List launches, redesigns and release windows that are not over.
#[utoipa::path(get, operation_id = "list_plans", path = "/api/v1/plans", tag = "catalogue",
    params(("service" = Option<String>, Query, description = "Slug of a service")),
    responses((status = 200, body = Vec<PlanBody>),
        (status = 400, description = "A parameter is wrong; the sentence names what is allowed", body = ErrorBody)))]
pub(super) async fn list_plans(State(app): State<AppState>, RawQuery(query): RawQuery) -> Result<Json<Vec<PlanBody>>> {
    let view = View::parse(query.as_deref(), pages::ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let service = view.text("service");
    known::in_catalogue(&mut snapshot, service, None).await?;
    let ids = catalogue_names::ids(&mut snapshot, service, None, None).await?.service_id.map(|id| vec![id]);
    let plans = service_plans::list(&mut snapshot, ids.as_deref(), app.now().date_naive()).await?;
    Ok(Json(plans.into_iter().map(PlanBody::from).collect()))
}

/// The number of what was registered.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PlanNumber {
    /// To delete it by.
    pub id: i64,
}

/// Register a launch, a redesign or a release window: findings of low use of the service wait for it.
#[utoipa::path(post, operation_id = "add_plan", path = "/api/v1/services/{slug}/plans", tag = "catalogue",
    request_body = NewPlan, params(("slug" = String, Path, description = "The service")),
    responses((status = 201, body = PlanNumber), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 422, body = ErrorBody)))]
pub(super) async fn add_plan(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<PlanNumber>)> {
    let new: NewPlan = parse(&body)?;
    let id = pages::add_plan(&app, &principal, &address, &slug, new).await.map_err(unprocessable)?;
    Ok((StatusCode::CREATED, Json(PlanNumber { id })))
}

/// Take a plan back.
#[utoipa::path(post, operation_id = "delete_plan", path = "/api/v1/services/{slug}/plans/{id}/delete", tag = "catalogue",
    params(("slug" = String, Path, description = "The service"), ("id" = i64, Path, description = "Its number")),
    responses((status = 204), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn delete_plan(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path((slug, id)): Path<(String, String)>,
) -> Result<StatusCode> {
    let id: i64 = id.parse().map_err(|_| crate::web::Error::NotFound)?;
    pages::remove_plan(&app, &principal, &address, &slug, id).await.map_err(unprocessable)?;
    Ok(StatusCode::NO_CONTENT)
}
