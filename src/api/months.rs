//! `/api/v1/months`: how far the bills of each month have come; closing and reopening.

use super::body::parse;
use super::catalogue::unprocessable;
use super::error::{ErrorBody, Result};
use crate::focus::{BillingPeriod, CostBasis};
use crate::rollup::Person;
use crate::rollup::close_month::{self, CloseError};
use crate::store::booked_costs;
use crate::store::late_bills;
use crate::store::month_closing::{self, Closing};
use crate::store::statement_ties::{self, BilledIn, MonthReach};
use crate::store::statements;
use crate::web::close_warnings::{Standing, close_warnings};
use crate::web::statement::MonthState;
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes, detached};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let (read, admin) = (ApiPolicy::read(Policy::Money), ApiPolicy::admin(Policy::Finance));
    routes
        .api_get("/api/v1/months", read, list)
        .api_get("/api/v1/months/{month}", read, show)
        .api_post("/api/v1/months/{month}/close", admin, close)
        .api_post("/api/v1/months/{month}/reopen", admin, reopen)
}

/// A billing month.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MonthBody {
    /// The month.
    #[schema(example = "2026-10")]
    pub billing_month: String,
    /// `open`, `bills-missing`, `bills-in` or `closed`.
    pub state: String,
    /// The state in a sentence: which bills are missing, or that no source has billed the month and who billed before it.
    pub sentence: String,
    /// How far the bills of each source with one of this month reach in it, by name.
    pub reach: Vec<SourceReachBody>,
    /// How far bills have come in each currency: those that the month is billed in, and while bills are to come those of
    /// the month before too.
    pub currencies: Vec<MonthCurrencyBody>,
    /// The closing that holds now; `null` where the month is not closed.
    pub closing: Option<ClosingBody>,
}

/// How far the bills of a source reach in a month.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SourceReachBody {
    /// The source.
    pub source: String,
    /// The last day of the month that they hold in full. Figures of the days go on without a source that is behind, and
    /// `complete_to` of `/api/v1/costs` says how far.
    pub complete_to: NaiveDate,
}

/// How far the bills of a month have come in one currency.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MonthCurrencyBody {
    /// FOCUS BillingCurrency.
    #[schema(example = "USD")]
    pub billing_currency: String,
    /// As of the month, of the sources that bill in this currency.
    pub state: String,
    /// The last day that all bills in it hold in full; `null` where there is none yet.
    pub complete_to: Option<NaiveDate>,
}

/// A billing month with its history.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MonthHistoryBody {
    /// The month as it stands.
    #[serde(flatten)]
    pub month: MonthBody,
    /// Every time that it was closed, the newest first.
    pub closings: Vec<ClosingBody>,
    /// Deliveries that would change the closed month and wait for finance. Empty for those who may not see bills.
    pub waiting_delivery_ids: Vec<i64>,
}

/// A month that was just closed, with its history.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ClosedMonthBody {
    /// The month as it stands.
    #[serde(flatten)]
    pub history: MonthHistoryBody,
    /// What was wanting in it before: bills, decisions, rates, invoices, months before it. It kept nobody from closing it.
    pub warnings: Vec<CloseWarningBody>,
}

/// Something that was wanting in a month when it was closed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CloseWarningBody {
    /// In a few words.
    #[schema(example = "Rates are missing")]
    pub title: String,
    /// In sentences.
    pub words: String,
}

/// A time that a month was closed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ClosingBody {
    /// When it was closed.
    pub closed_at: DateTime<Utc>,
    /// By whom.
    pub closed_by: String,
    /// Why.
    pub close_reason: String,
    /// The last publication that its figures include.
    pub publication_id: i64,
    /// When it was reopened; `null` while it is closed.
    pub reopened_at: Option<DateTime<Utc>>,
    /// By whom.
    pub reopened_by: Option<String>,
    /// Why.
    pub reopen_reason: Option<String>,
}

/// Why a month is closed or reopened.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MonthDecision {
    /// Needed; everybody sees it.
    #[schema(example = "All invoices are in.")]
    pub reason: String,
}

/// List months with their state, the newest first.
#[utoipa::path(get, path = "/api/v1/months", tag = "months", responses((status = 200, body = Vec<MonthBody>)))]
pub async fn list(State(app): State<AppState>, principal: Principal) -> Result<Json<Vec<MonthBody>>> {
    let mut snapshot = app.pools.snapshot().await?;
    let Some((first, last)) = statements::month_range(&mut snapshot).await? else { return Ok(Json(Vec::new())) };
    // A month that has just begun may have nothing but what arrived late for a closed one.
    let booked = booked_costs::all(&mut snapshot, &principal.scope(), CostBasis::default()).await?;
    let last = booked.iter().map(|one| BillingPeriod::containing(one.booked_month)).fold(last, BillingPeriod::max);
    let reach = statement_ties::reach(&mut snapshot).await?;
    let billed_in = statement_ties::billed_in(&mut snapshot, first, last).await?;
    let closed = month_closing::closed(&mut snapshot).await?;
    let today = app.now().date_naive();
    let mut months = Vec::new();
    let mut month = last;
    while month >= first {
        let closing = closed.iter().find(|closing| closing.month == month.first_day());
        months.push(body(month, (&reach, &billed_in), closing, today));
        month = month.previous();
    }
    Ok(Json(months))
}

/// Show how far the bills of a month have come, and every time that it was closed.
#[utoipa::path(get, path = "/api/v1/months/{month}", tag = "months",
    params(("month" = String, Path, description = "Like 2026-10")), responses(
    (status = 200, body = MonthHistoryBody), (status = 422, body = ErrorBody)))]
pub async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Path(month): Path<String>,
) -> Result<Json<MonthHistoryBody>> {
    let shows_bills = Policy::Bills.allows(&principal);
    Ok(Json(history(&app, parsed(&month)?, shows_bills).await?))
}

/// Close a month that is over: its figures and rates stay, and what arrives late is booked to the first open month.
/// `warnings` has what was wanting in it.
#[utoipa::path(post, path = "/api/v1/months/{month}/close", tag = "months", request_body = MonthDecision,
    params(("month" = String, Path, description = "Like 2026-10")), responses(
    (status = 200, body = ClosedMonthBody),
    (status = 409, description = "It is not over, has no bill, or is closed already", body = ErrorBody),
    (status = 422, body = ErrorBody)))]
pub async fn close(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(month): Path<String>,
    body: Bytes,
) -> Result<Json<ClosedMonthBody>> {
    // Asked before: a closed month has nothing wanting any more.
    let warnings = warnings(&app, parsed(&month)?).await?;
    let Json(history) = decide(app, principal, address, &month, &body, true).await?;
    Ok(Json(ClosedMonthBody { history, warnings }))
}

/// Reopen a closed month: it shows its bills as they are now.
#[utoipa::path(post, path = "/api/v1/months/{month}/reopen", tag = "months", request_body = MonthDecision,
    params(("month" = String, Path, description = "Like 2026-10")), responses(
    (status = 200, body = MonthHistoryBody),
    (status = 409, description = "It is not closed, or closed months rest on it", body = ErrorBody),
    (status = 422, body = ErrorBody)))]
pub async fn reopen(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(month): Path<String>,
    body: Bytes,
) -> Result<Json<MonthHistoryBody>> {
    decide(app, principal, address, &month, &body, false).await
}

async fn decide(
    app: AppState,
    principal: Principal,
    address: ClientAddress,
    month: &str,
    body: &[u8],
    closes: bool,
) -> Result<Json<MonthHistoryBody>> {
    let month = parsed(month)?;
    let MonthDecision { reason } = parse(body)?;
    let work = {
        let app = app.clone();
        async move {
            let from = address.to_string();
            let by = Person { login: &principal.login, address: &from };
            if closes {
                close_month::close(&app.pools, month, &reason, by, app.now()).await
            } else {
                close_month::reopen(&app.pools, month, &reason, by, app.now()).await
            }
        }
    };
    detached(work).await.map_err(|error: CloseError| unprocessable(error.into()))?;
    Ok(Json(history(&app, month, true).await?))
}

async fn warnings(app: &AppState, month: BillingPeriod) -> web::Result<Vec<CloseWarningBody>> {
    let (mut snapshot, today) = (app.pools.snapshot().await?, app.now().date_naive());
    let standing = Standing::read(&mut snapshot, month, today).await?;
    let warnings = close_warnings(&mut snapshot, month, &standing, today).await?;
    let told = warnings.iter().map(|one| CloseWarningBody { title: one.title.clone(), words: one.text() });
    Ok(told.collect())
}

async fn history(app: &AppState, month: BillingPeriod, shows_bills: bool) -> web::Result<MonthHistoryBody> {
    let mut snapshot = app.pools.snapshot().await?;
    let reach = statement_ties::reach(&mut snapshot).await?;
    let billed_in = statement_ties::billed_in(&mut snapshot, month.previous(), month).await?;
    let closings = month_closing::history(&mut snapshot, month).await?;
    let current = closings.iter().find(|closing| closing.reopened_at.is_none());
    let waiting =
        if shows_bills { late_bills::waiting_for(&mut snapshot, month.first_day()).await? } else { Vec::new() };
    let month = body(month, (&reach, &billed_in), current, app.now().date_naive());
    Ok(MonthHistoryBody {
        month,
        closings: closings.iter().map(ClosingBody::from).collect(),
        waiting_delivery_ids: waiting.into_iter().map(|one| one.delivery_id).collect(),
    })
}

fn body(
    month: BillingPeriod,
    (reach, billed_in): (&[MonthReach], &[BilledIn]),
    closing: Option<&Closing>,
    today: NaiveDate,
) -> MonthBody {
    let state = MonthState::of(month, reach, closing, today);
    let mut of_month: Vec<SourceReachBody> = reach
        .iter()
        .filter(|row| row.month == month.first_day())
        .map(|row| SourceReachBody { source: row.source_name.clone(), complete_to: row.complete_to })
        .collect();
    of_month.sort_by(|left, right| left.source.cmp(&right.source));
    let currencies = state.by_currency(month, (reach, billed_in), today);
    MonthBody {
        reach: of_month,
        billing_month: month.to_string(),
        state: state.key().into(),
        sentence: state.sentence_of(&currencies),
        currencies: currencies
            .into_iter()
            .map(|one| MonthCurrencyBody {
                billing_currency: one.billing_currency,
                state: one.state.key().into(),
                complete_to: one.complete_to,
            })
            .collect(),
        closing: closing.map(ClosingBody::from),
    }
}

fn parsed(month: &str) -> Result<BillingPeriod> {
    let month = month.parse().map_err(|error| web::Error::Invalid(format!("{month}: {error}.")));
    month.map_err(unprocessable)
}

impl From<&Closing> for ClosingBody {
    fn from(closing: &Closing) -> Self {
        Self {
            closed_at: closing.closed_at,
            closed_by: closing.closed_by.clone(),
            close_reason: closing.close_reason.clone(),
            publication_id: closing.publication_id,
            reopened_at: closing.reopened_at,
            reopened_by: closing.reopened_by.clone(),
            reopen_reason: closing.reopen_reason.clone(),
        }
    }
}
