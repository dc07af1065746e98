//! `/api/v1/commitments`: what was bought ahead, used, left unused and covered, also over time, from the same functions as
//! the page.

use super::costs::{NO_COMPLETE_DAY, plain};
use super::error::{ErrorBody, Result};
use crate::store::commitment_costs::{CommitmentCost, CommitmentCoverage, UnusedCost};
use crate::web::commitments::trend::Step;
use crate::web::commitments::{self, Read};
use crate::web::query::View;
use crate::web::{ApiPolicy, AppState, Policy, Principal, Routes};
use axum::Json;
use axum::extract::{RawQuery, State};
use chrono::NaiveDate;
use serde::Serialize;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.api_get("/api/v1/commitments", ApiPolicy::read(Policy::Money), show)
}

/// Commitments on some days. Amounts are strings with every digit.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Commitments {
    /// First day; `null` before the first bill.
    pub first_day: Option<NaiveDate>,
    /// Last day, included.
    pub last_day: Option<NaiveDate>,
    /// One a commitment and currency, the largest unused part first.
    pub commitments: Vec<CommitmentRow>,
    /// One for each provider's service with usage under commitment, and currency.
    pub coverage: Vec<CoverageRow>,
    /// What was left unused, by who bought it and by the service that bears it.
    pub unused: Vec<UnusedRow>,
    /// One a day and currency; they add up to the commitments and to the coverage.
    pub days: Vec<TrendRow>,
    /// One a month and currency, of the twelve months up to the last day.
    pub months: Vec<TrendRow>,
    /// Whether a list may go on behind its 2,000 rows; days and months are of all. Ask for fewer days.
    pub is_cut: bool,
    /// The publication that the figures include; pages name it too.
    pub publication_id: i64,
    /// What to know beside the figures.
    pub notes: Vec<String>,
}

/// One commitment. Its utilization is used / (used + unused).
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CommitmentRow {
    /// `CommitmentDiscountId`; `null` where the bill does not name it.
    pub commitment_discount_id: Option<String>,
    /// `ProviderName`.
    pub provider_name: Option<String>,
    /// `BillingCurrency`.
    pub billing_currency: String,
    /// EffectiveCost of what was used.
    #[schema(example = "75.25")]
    pub used: String,
    /// EffectiveCost of what was left unused.
    pub unused: String,
    /// BilledCost of purchases on these days.
    pub purchased: String,
}

/// What was bought. Its coverage is covered / usage.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CoverageRow {
    /// `ProviderName`.
    pub provider_name: Option<String>,
    /// `ServiceName`.
    pub service_name: Option<String>,
    /// `BillingCurrency`.
    pub billing_currency: String,
    /// ListCost of usage under commitment.
    pub covered: String,
    /// ListCost of all usage.
    pub usage: String,
}

/// A part that was left unused.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct UnusedRow {
    /// `SubAccountId` of who bought it.
    pub sub_account_id: Option<String>,
    /// `SubAccountName`.
    pub sub_account_name: Option<String>,
    /// Slug of the service that bears it; `null` for what is not allocated.
    pub service: Option<String>,
    /// `BillingCurrency`.
    pub billing_currency: String,
    /// EffectiveCost.
    pub unused: String,
    /// Whether a split divides the cost of that service.
    pub is_divided: bool,
}

/// Commitments on some of the days.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TrendRow {
    /// The first of them.
    pub first_day: NaiveDate,
    /// The last, included.
    pub last_day: NaiveDate,
    /// `BillingCurrency`.
    pub billing_currency: String,
    /// EffectiveCost of what was used.
    pub used: String,
    /// EffectiveCost of what was left unused.
    pub unused: String,
    /// ListCost of usage under commitment.
    pub covered: String,
    /// ListCost of all usage of what is under commitment at some time of the days.
    pub usage: String,
    /// BilledCost of purchases.
    pub purchased: String,
}

/// Commitments: utilization, coverage, and both over time.
#[utoipa::path(
    get,
    path = "/api/v1/commitments",
    tag = "costs",
    params(
        ("period" = Option<String>, Query, description = "30d (default), 60d, 12m, mtd, 2026-10, 2026-09-01..2026-10-15. Days that are still arriving are left out."),
        ("cur" = Option<String>, Query, description = "FOCUS BillingCurrency"),
    ),
    responses(
        (status = 200, description = "Amounts are strings, exact", body = Commitments),
        (status = 400, description = "A parameter is wrong; the sentence names what is allowed", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 403, description = "The token, or the role of its owner, does not include this", body = ErrorBody),
    ),
    security(("token" = []))
)]
pub(super) async fn show(
    State(app): State<AppState>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<Commitments>> {
    let view = View::parse(query.as_deref(), commitments::ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let bills = app.bills(&mut snapshot).await?;
    let mut answer = Commitments {
        first_day: None,
        last_day: None,
        commitments: Vec::new(),
        coverage: Vec::new(),
        unused: Vec::new(),
        days: Vec::new(),
        months: Vec::new(),
        is_cut: false,
        publication_id: bills.publication_id,
        notes: Vec::new(),
    };
    let Some(span) = view.span(&bills) else {
        answer.notes.push(NO_COMPLETE_DAY.into());
        return Ok(Json(answer));
    };
    let read = commitments::read(&mut snapshot, &principal.scope(), span.days, &view).await?;
    answer.is_cut = read.is_cut();
    let Read { commitments, coverage, unused, by_day, months, .. } = read;
    (answer.first_day, answer.last_day) = (Some(span.days.start()), Some(span.days.last_day()));
    answer.commitments = commitments.into_iter().map(commitment).collect();
    answer.coverage = coverage.into_iter().map(cover).collect();
    answer.unused = unused.into_iter().map(rest).collect();
    answer.days = by_day.into_iter().map(trend).collect();
    answer.months = months.into_iter().map(trend).collect();
    Ok(Json(answer))
}

fn commitment(one: CommitmentCost) -> CommitmentRow {
    CommitmentRow {
        commitment_discount_id: one.commitment_id,
        provider_name: one.provider_name,
        billing_currency: one.currency,
        used: plain(&one.used),
        unused: plain(&one.unused),
        purchased: plain(&one.purchased),
    }
}

fn cover(one: CommitmentCoverage) -> CoverageRow {
    CoverageRow {
        provider_name: one.provider_name,
        service_name: one.service_name,
        billing_currency: one.currency,
        covered: plain(&one.covered),
        usage: plain(&one.usage),
    }
}

fn rest(one: UnusedCost) -> UnusedRow {
    UnusedRow {
        sub_account_id: one.sub_account_id,
        sub_account_name: one.sub_account_name,
        service: Some(one.slug).filter(|slug| !slug.is_empty()),
        billing_currency: one.currency,
        unused: plain(&one.unused),
        is_divided: one.is_divided,
    }
}

fn trend(step: Step) -> TrendRow {
    let Step { days, sums } = step;
    TrendRow {
        first_day: days.start(),
        last_day: days.last_day(),
        billing_currency: sums.currency,
        used: plain(&sums.used),
        unused: plain(&sums.unused),
        covered: plain(&sums.covered),
        usage: plain(&sums.usage),
        purchased: plain(&sums.purchased),
    }
}
