//! `/api/v1/why`: why spend changed between two periods, from the same functions as the pages.

use super::costs::NO_COMPLETE_DAY;
use super::error::{ErrorBody, Result};
use crate::store::variance_costs::Question;
use crate::web::missing_bills;
use crate::web::query::View;
use crate::web::statement::month_why;
use crate::web::why::{self, Explained};
use crate::web::{ApiPolicy, AppState, Policy, Principal, Routes};
use axum::Json;
use axum::extract::{Path, RawQuery, State};
use chrono::NaiveDate;
use serde::Serialize;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let read = ApiPolicy::read(Policy::Money);
    routes.api_get("/api/v1/why", read, show).api_get("/api/v1/months/{month}/why", read, show_month)
}

/// Why spend changed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Why {
    /// The FOCUS column that is explained.
    pub column: String,
    /// First day; `null` before the first bill.
    pub first_day: Option<NaiveDate>,
    /// Last day, included.
    pub last_day: Option<NaiveDate>,
    /// First day of the period that it is compared with; `null` where bills do not tell of all its days.
    pub compared_first_day: Option<NaiveDate>,
    /// Last day of it, included.
    pub compared_last_day: Option<NaiveDate>,
    /// One a currency.
    pub changes: Vec<Change>,
    /// All currencies together in the reporting currency; `null` where none is set or nothing is billed in another.
    pub reporting: Option<ReportingChange>,
    /// The publication that the figures include; pages name it too.
    pub publication_id: i64,
    /// What to know beside the figures.
    pub notes: Vec<String>,
}

/// The change of one currency.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Change {
    /// `BillingCurrency`.
    pub billing_currency: String,
    /// Cost of the period, with every digit.
    #[schema(example = "44190.125")]
    pub cost: String,
    /// Cost of the period that it is compared with.
    #[schema(example = "42413.5")]
    pub compared_cost: String,
    /// In the order in which causes claim an amount; `not-explained` is always there. They add up to the change exactly.
    pub causes: Vec<CauseRow>,
}

/// The change of all currencies together: every cause at the rates from before, and what other rates made of the same
/// amounts as the cause `exchange-rate`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ReportingChange {
    /// The reporting currency.
    pub reporting_currency: String,
    /// Cost of the period, with every digit; `null` where a rate is missing.
    pub cost: Option<String>,
    /// Cost of the period that it is compared with; `null` where a rate is missing.
    pub compared_cost: Option<String>,
    /// They add up to the change exactly; empty where a rate is missing.
    pub causes: Vec<CauseRow>,
    /// How it was converted, or which rates are missing.
    pub sentence: String,
}

/// One cause.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CauseRow {
    /// exchange-rate, restatement, allocation-rules, shared-cost, credits, tax, corrections, commitments, new-services,
    /// ended-services, calendar-days, days-to-come, bill-missing, list-price, discount, releases-up, releases-down, volume,
    /// mix, efficiency, not-explained.
    #[schema(example = "volume")]
    pub cause: String,
    /// What people call it.
    pub label: String,
    /// With every digit; positive where it made spend rise.
    #[schema(example = "-836.0625")]
    pub amount: String,
    /// What it rests on, with the open anomalies that lie in it.
    pub detail: String,
}

/// Why spend changed.
#[utoipa::path(
    get,
    operation_id = "show_why",
    path = "/api/v1/why",
    tag = "costs",
    params(
        ("period" = Option<String>, Query, description = "30d (default), 60d, 12m, mtd, 2026-10, 2026-09-01..2026-10-15. Days that are still arriving are left out."),
        ("vs" = Option<String>, Query, description = "prev (default): the period before. py: the same days a year before. A month, 2026-09, or days, 2026-08-01..2026-08-15, that share none with the period."),
        ("service" = Option<String>, Query, description = "Slug of a service; none: what is not allocated"),
        ("env" = Option<String>, Query, description = "Slug of an environment; none: without one"),
        ("team" = Option<String>, Query, description = "Slug of a team; none: without one"),
        ("provider" = Option<String>, Query, description = "FOCUS ProviderName"),
        ("charge" = Option<String>, Query, description = "FOCUS ChargeCategory"),
        ("dimension" = Option<String>, Query, description = "A dimension and its value: product:Shop, cost_center:CC-7, or one of your own; product:none: what has no value. What splits moved has none."),
        ("cur" = Option<String>, Query, description = "FOCUS BillingCurrency"),
        ("basis" = Option<String>, Query, description = "amortized (default): EffectiveCost, billed: BilledCost, list: ListCost, contracted: ContractedCost. List and contracted costs leave out what was bought for commitments: its use has its own"),
    ),
    responses(
        (status = 200, description = "The causes; amounts are strings, exact", body = Why),
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
) -> Result<Json<Why>> {
    let view = View::parse(query.as_deref(), why::ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let bills = view.bills(&app, &mut snapshot, &principal.scope()).await?;
    let mut answer = Why {
        column: view.basis.focus_column().into(),
        first_day: None,
        last_day: None,
        compared_first_day: None,
        compared_last_day: None,
        changes: Vec::new(),
        reporting: None,
        publication_id: bills.publication_id,
        notes: Vec::new(),
    };
    answer.notes.extend(missing_bills::sentence(&bills));
    let Some(span) = why::span(&view, &bills)? else {
        answer.notes.push(NO_COMPLETE_DAY.into());
        return Ok(Json(answer));
    };
    let filter = view.filter(&mut snapshot, span.days).await?;
    let dimension = view.dimension(&mut snapshot).await?;
    (answer.first_day, answer.last_day) = (Some(span.days.start()), Some(span.days.last_day()));
    if let Some(why) = span.no_comparison() {
        answer.notes.push(format!("There is no change to explain: {why}."));
        return Ok(Json(answer));
    }
    let question = Question { dimension: dimension.as_ref(), ..why::by_day(&filter, span.before) };
    let explained = why::read(&app, &bills, &mut snapshot, &principal.scope(), question, None).await?;
    answer.compared_first_day = Some(span.before.start());
    answer.compared_last_day = Some(span.before.last_day());
    fill(&mut answer, explained);
    Ok(Json(answer))
}

/// Why the statement of a month differs from the one before: by billing period unless asked otherwise, closed months as
/// they were closed.
#[utoipa::path(
    get,
    operation_id = "show_month_why",
    path = "/api/v1/months/{month}/why",
    tag = "months",
    params(
        ("month" = String, Path, description = "Like 2026-10"),
        ("view" = Option<String>, Query, description = "billing (default): a charge counts in the month of its bill. charge: in the month that it was used in."),
        ("vs" = Option<String>, Query, description = "prev (default): the month before. py: the same month a year before."),
        ("cur" = Option<String>, Query, description = "FOCUS BillingCurrency"),
        ("basis" = Option<String>, Query, description = "amortized (default): EffectiveCost, billed: BilledCost, list: ListCost, contracted: ContractedCost. List and contracted costs leave out what was bought for commitments: its use has its own"),
    ),
    responses(
        (status = 200, description = "The causes; amounts are strings, exact", body = Why),
        (status = 400, description = "A parameter is wrong; the sentence names what is allowed", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 403, description = "The token, or the role of its owner, does not include this", body = ErrorBody),
    ),
    security(("token" = []))
)]
pub(super) async fn show_month(
    State(app): State<AppState>,
    principal: Principal,
    Path(month): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Why>> {
    let read = month_why(&app, &principal, &month, query.as_deref()).await?;
    let mut answer = Why {
        column: read.view.basis.focus_column().into(),
        first_day: Some(read.month.first_day()),
        last_day: Some(read.month.days().last_day()),
        compared_first_day: Some(read.before.first_day()),
        compared_last_day: Some(read.before.days().last_day()),
        changes: Vec::new(),
        reporting: None,
        publication_id: read.bills.publication_id,
        notes: Vec::new(),
    };
    answer.notes.extend(read.notes());
    answer.notes.extend(missing_bills::sentence(&read.bills));
    fill(&mut answer, read.why);
    Ok(Json(answer))
}

fn fill(answer: &mut Why, why: why::Why) {
    answer.changes = why.changes.into_iter().map(change).collect();
    answer.reporting = why.reported.map(|reported| {
        let (sentence, is_known) = (reported.sentence(), reported.missing.is_empty());
        let all = change(reported.explained);
        ReportingChange {
            reporting_currency: all.billing_currency,
            cost: is_known.then_some(all.cost),
            compared_cost: is_known.then_some(all.compared_cost),
            causes: if is_known { all.causes } else { Vec::new() },
            sentence,
        }
    });
}

fn change(one: Explained) -> Change {
    let rows = one.rows.into_iter().map(|row| CauseRow {
        detail: row.detail_with_anomalies(),
        cause: row.cause.key().into(),
        label: row.label,
        amount: row.amount.normalized().to_plain_string(),
    });
    Change {
        billing_currency: one.currency,
        cost: one.now.normalized().to_plain_string(),
        compared_cost: one.before.normalized().to_plain_string(),
        causes: rows.collect(),
    }
}
