//! `/api/v1/costs`: the figures of the pages, from the same functions, as JSON or CSV.

use super::booked_late::{BookedAdjustment, BookedLate};
use super::error::{Error, ErrorBody, Result};
use super::reporting;
use crate::focus::Money;
use crate::store::converted_costs::CostPart;
use crate::store::costs::{self, CostFilter, CostRow, Dimension};
use crate::store::freshness::Freshness;
use crate::store::statements::{self, MonthView, StatementRow};
use crate::store::{Scope, Snapshot, booked_costs, commitment_purchases, month_closing};
use crate::web::csv::{Cell, Table};
use crate::web::missing_bills;
use crate::web::query::{Accepts, Period, View};
use crate::web::reporting::RatedParts;
use crate::web::statement::month_view;
use crate::web::{self, ApiPolicy, AppState, Policy, Principal, Routes};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::BTreeMap;

/// The note where a period has no figures yet.
pub(super) const NO_COMPLETE_DAY: &str = "No complete day of bills lies in this period.";

const ACCEPTS: Accepts = Accepts {
    texts: &["view", "service", "env", "team", "provider", "charge"],
    by: &["service", "env", "team", "provider", "charge", "day"],
    sort: &[],
};

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let policy = ApiPolicy::read(Policy::Money);
    routes.api_get("/api/v1/costs", policy, show).api_get("/api/v1/costs.csv", policy, download)
}

/// What a breakdown says.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Costs {
    /// `charge`: by charge day. `billing`: by billing period, as the invoices say.
    pub view: String,
    /// The FOCUS column that is added up.
    pub column: String,
    /// What a row is.
    pub by: String,
    /// First day; `null` before the first bill.
    pub first_day: Option<NaiveDate>,
    /// Last day, included.
    pub last_day: Option<NaiveDate>,
    /// One a key and currency, the dearest first.
    pub rows: Vec<Row>,
    /// One a currency. The rows of a currency add up to it exactly.
    pub totals: Vec<Total>,
    /// `view=billing`: what arrived late for closed months and is booked to this one. It is of whole bills, so that no row
    /// has it. Empty where only a part of the month is asked for.
    pub adjustments: Vec<BookedAdjustment>,
    /// The last day on which the bills are complete.
    pub complete_to: Option<NaiveDate>,
    /// The publication that the figures include; pages name it too.
    pub publication_id: i64,
    /// The same in the reporting currency; `null` where none is set.
    pub reporting: Option<ReportingTotal>,
    /// What was left out, and what to know beside the figures.
    pub notes: Vec<String>,
}

/// One key in one currency.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Row {
    /// An id or a name; `0` is what is not allocated.
    pub key: String,
    /// What people call it.
    pub label: String,
    /// `BillingCurrency`.
    pub billing_currency: String,
    /// With every digit.
    #[schema(example = "161842.0000001")]
    pub cost: String,
    /// The same in the reporting currency, with every digit; `null` where none is set or a rate is missing.
    pub reporting_cost: Option<String>,
    /// Lines behind it.
    pub charge_count: i64,
}

/// The sum of all rows in the reporting currency, without adjustments: each bill at the one rate of its billing month.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ReportingTotal {
    /// ISO 4217.
    pub currency: String,
    /// With every digit; `null` where a rate is missing.
    pub cost: Option<String>,
    /// The rates that made it.
    pub rates: Vec<UsedRate>,
    /// What no rate is known for.
    pub missing_rates: Vec<MissingRate>,
}

/// The rate of one billing month and currency.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct UsedRate {
    /// The month of the bills.
    #[schema(example = "2026-10")]
    pub billing_month: String,
    /// `BillingCurrency`.
    pub billing_currency: String,
    /// Units of the reporting currency for one of it.
    #[schema(example = "0.920217171252416")]
    pub rate: String,
    /// `entered` or `market`.
    pub origin: String,
    /// The day of a market rate.
    pub rate_date: Option<NaiveDate>,
}

/// A billing month and currency without a rate.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MissingRate {
    /// The month of the bills.
    #[schema(example = "2026-10")]
    pub billing_month: String,
    /// `BillingCurrency`.
    pub billing_currency: String,
}

/// A sum in one currency.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Total {
    /// `BillingCurrency`.
    pub billing_currency: String,
    /// With every digit: what the rows add up to, and what a statement calls net cost. `0` where no bill has the currency.
    #[schema(example = "1264604.45")]
    pub cost: String,
    /// What arrived late for closed months and is booked to this one, with every digit; `0` where nothing is. `null` by
    /// charge day, where only a service, environment, team, provider or category is asked for, and for those who see their
    /// teams only: it is of whole bills.
    #[schema(example = "2.9900001")]
    pub adjustments: Option<String>,
    /// Both together: what a statement says is booked in the month. `null` where `adjustments` is.
    #[schema(example = "1264607.4400001")]
    pub cost_with_adjustments: Option<String>,
}

/// What both forms take.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what a view reads")]
struct CostsQuery {
    /// 30d (default), 60d, 12m, mtd, 2026-10, 2026-09-01..2026-10-15. Days that are still arriving are left out.
    period: Option<String>,
    /// charge (default): by charge day. billing: by billing period, which must be one month; what arrived late for
    /// closed months and is booked to it is in adjustments, beside the rows, as on its statement.
    view: Option<String>,
    /// service (default), env, team, provider, charge, day
    by: Option<String>,
    /// Slug of a service; none: what is not allocated
    service: Option<String>,
    /// Slug of an environment; none: without one
    env: Option<String>,
    /// Slug of a team; none: without one
    team: Option<String>,
    /// FOCUS ProviderName
    provider: Option<String>,
    /// FOCUS ChargeCategory
    charge: Option<String>,
    /// FOCUS BillingCurrency
    cur: Option<String>,
    /// amortized (default): EffectiveCost, billed: BilledCost, list: ListCost, contracted: ContractedCost. List and contracted costs leave out what was bought for commitments: its use has its own
    basis: Option<String>,
}

/// Cost, broken down.
#[utoipa::path(
    get,
    operation_id = "show_costs",
    path = "/api/v1/costs",
    tag = "costs",
    params(CostsQuery),
    responses(
        (status = 200, description = "The breakdown; amounts are strings, exact", body = Costs),
        (status = 400, description = "A parameter is wrong; the sentence names what is allowed", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 403, description = "The token, or the role of its owner, does not include this", body = ErrorBody),
    ),
    security(("token" = []))
)]
pub(super) async fn show(
    State(app): State<AppState>,
    principal: Principal,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let costs = read(&app, &principal, query.as_deref()).await?;
    let wants_csv = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accepted| accepted.trim_start().starts_with("text/csv"));
    Ok(if wants_csv { csv(&costs) } else { Json(costs).into_response() })
}

/// The same as CSV.
#[utoipa::path(
    get,
    operation_id = "download_costs",
    path = "/api/v1/costs.csv",
    tag = "costs",
    params(CostsQuery),
    description = "The same parameters and figures as `/api/v1/costs`. Text that a spreadsheet would take for a formula has a quote before it; amounts are untouched. What is booked late for closed months is in no row: `adjustments` of the JSON has it.",
    responses(
        (status = 200, description = "Key, Label, BillingCurrency, the cost column, Lines; ReportingCurrency and the cost in it where one is set", body = String, content_type = "text/csv"),
        (status = 400, description = "A parameter is wrong; the sentence names what is allowed", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 403, description = "The token, or the role of its owner, does not include this", body = ErrorBody),
    ),
    security(("token" = []))
)]
pub(super) async fn download(
    State(app): State<AppState>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    Ok(csv(&read(&app, &principal, query.as_deref()).await?))
}

fn csv(costs: &Costs) -> Response {
    let mut columns = vec!["Key", "Label", "BillingCurrency", &costs.column, "Lines"];
    let reporting_column = format!("Reporting{}", costs.column);
    if costs.reporting.is_some() {
        columns.extend(["ReportingCurrency", reporting_column.as_str()]);
    }
    let mut table = Table::new(&columns);
    for row in &costs.rows {
        let amount: BigDecimal = row.cost.parse().unwrap_or_default();
        let converted: Option<BigDecimal> = row.reporting_cost.as_deref().and_then(|cost| cost.parse().ok());
        let mut cells: Vec<Cell<'_>> = vec![
            (&row.key).into(),
            (&row.label).into(),
            (&row.billing_currency).into(),
            (&amount).into(),
            row.charge_count.into(),
        ];
        if let Some(reporting) = &costs.reporting {
            cells.extend([(&reporting.currency).into(), (&converted).into()]);
        }
        table.row(&cells);
    }
    table.into_response("costs.csv")
}

async fn read(app: &AppState, principal: &Principal, query: Option<&str>) -> Result<Costs> {
    let view = View::parse(query, ACCEPTS)?;
    // By charge day is the default here: most readers of the API draw days.
    let month_view = month_view(view.text("view").or(Some("charge")))?;
    let dimension = Dimension::from_key(view.by()).unwrap_or(Dimension::Service);
    let scope = principal.scope();
    let mut snapshot = app.pools.snapshot().await?;
    let bills = view.looked_at_alone(view.bills(app, &mut snapshot, &scope).await?);
    let mut costs = Costs {
        view: month_view.key().into(),
        column: view.basis.focus_column().into(),
        by: view.by().into(),
        first_day: None,
        last_day: None,
        rows: Vec::new(),
        totals: Vec::new(),
        adjustments: Vec::new(),
        complete_to: bills.complete_to(),
        publication_id: bills.publication_id,
        reporting: None,
        notes: Vec::new(),
    };
    costs.notes.extend(missing_bills::sentence(&bills));
    match month_view {
        MonthView::ChargeDay => by_charge_day(&mut snapshot, &scope, &view, &bills, dimension, &mut costs).await?,
        MonthView::BillingPeriod => by_billing_period(&mut snapshot, &scope, &view, dimension, &mut costs).await?,
    }
    Ok(costs)
}

async fn by_charge_day(
    conn: &mut Snapshot,
    scope: &Scope,
    view: &View,
    bills: &Freshness,
    dimension: Dimension,
    costs: &mut Costs,
) -> Result<()> {
    let Some(span) = view.span(bills) else {
        costs.notes.push(NO_COMPLETE_DAY.into());
        return Ok(());
    };
    let filter = view.filter(conn, span.days).await?;
    let rows = costs::by_dimension(conn, scope, &filter, dimension).await?;
    let totals = costs::totals(conn, scope, &filter).await?;
    costs.first_day = Some(span.days.start());
    costs.last_day = Some(span.days.last_day());
    if let Some(arriving) = span.provisional() {
        costs.notes.push(format!("{} to {} are still arriving and left out.", arriving.start(), arriving.last_day()));
    }
    if view.basis.is_before_commitments() {
        costs.notes.push(format!("{}.", view.basis.left_out()));
    }
    costs.rows = rows.into_iter().map(Row::from).collect();
    costs.totals = totals.into_iter().map(Total::from).collect();
    let rated = RatedParts::read(conn, scope, &filter, dimension).await?;
    reporting::put(costs, rated);
    Ok(())
}

async fn by_billing_period(
    conn: &mut Snapshot,
    scope: &Scope,
    view: &View,
    dimension: Dimension,
    costs: &mut Costs,
) -> Result<()> {
    let Period::Month(month) = view.period else {
        return Err(Error::from(web::Error::Invalid("view=billing needs one month: period=2026-10.".into())));
    };
    if dimension == Dimension::Day {
        return Err(Error::from(web::Error::Invalid("by=day is for view=charge: a bill has no days.".into())));
    }
    // Checks the names of the address as the other view does.
    let filter = view.filter(conn, month.days()).await?;
    let closing = month_closing::current(conn, month).await?;
    if let Some(closing) = &closing {
        costs.notes.push(format!(
            "{} is closed since {}: what arrived later is booked to later months.",
            month.label(),
            closing.closed_at.format("%Y-%m-%d")
        ));
    }
    let rows = statements::rows(conn, scope, MonthView::BillingPeriod, view.basis, month, month).await?;
    if rows.is_empty() && closing.is_none() && !month_closing::has_bills(conn, month).await? {
        costs.notes.push(format!("No current bill is for {}: what it costs is not known.", month.label()));
    }
    let left_out =
        commitment_purchases::left_out(conn, scope, MonthView::BillingPeriod, view.basis, month, month).await?;
    if !left_out.is_empty() {
        costs.notes.push(
            "As in the statement, what was bought for commitments is left out: what uses them is in these costs at its own price."
                .into(),
        );
    }
    let mut sums: BTreeMap<(String, String), CostRow> = BTreeMap::new();
    let mut totals: BTreeMap<String, BigDecimal> = BTreeMap::new();
    let mut parts = Vec::new();
    for row in rows.iter().filter(|row| matches(view, &filter, row)) {
        let (key, label) = key_of(row, dimension);
        parts.push(CostPart {
            key: key.clone(),
            billing_month: row.billing_month,
            currency: row.billing_currency.clone(),
            cost: row.cost.clone(),
        });
        let sum = sums.entry((key.clone(), row.billing_currency.clone())).or_insert_with(|| CostRow {
            key,
            label,
            currency: row.billing_currency.clone(),
            cost: BigDecimal::default(),
            charge_count: 0,
        });
        sum.cost += &row.cost;
        sum.charge_count += row.charge_count;
        *totals.entry(row.billing_currency.clone()).or_default() += &row.cost;
    }
    let mut rows: Vec<CostRow> = sums.into_values().collect();
    rows.sort_by(|left, right| right.cost.cmp(&left.cost).then_with(|| left.label.cmp(&right.label)));
    costs.first_day = Some(month.first_day());
    costs.last_day = Some(month.days().last_day());
    costs.rows = rows.into_iter().map(Row::from).collect();
    // Beside the rows, never in one: an adjustment has an account and no service, so that a row of it would break the sums
    // by every dimension. The statement's page has it in the same place.
    let adjustments = booked_costs::adjustments(conn, scope, view.basis, month).await?;
    let late = BookedLate::of(month, &filter, &adjustments, scope.is_everything());
    costs.notes.extend(late.notes());
    costs.totals = late.totals(totals);
    costs.adjustments = late.rows();
    reporting::put(costs, RatedParts::of(conn, parts).await?);
    Ok(())
}

// Names of bills are those of the filter, which writes them as bills do: the address may have another letter case.
fn matches(view: &View, filter: &CostFilter, row: &StatementRow) -> bool {
    let slug_fits = |key: &str, slug: &Option<String>| match view.text(key) {
        None => true,
        Some(web::query::NONE) => slug.is_none(),
        Some(wanted) => slug.as_deref() == Some(wanted),
    };
    let text_fits = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
    slug_fits("service", &row.service_slug)
        && slug_fits("env", &row.environment_slug)
        && slug_fits("team", &row.team_slug)
        && text_fits(&filter.provider_name, &row.provider_name)
        && text_fits(&filter.charge_category, &row.charge_category)
        && text_fits(&filter.currency, &row.billing_currency)
}

fn key_of(row: &StatementRow, dimension: Dimension) -> (String, String) {
    let named =
        |key: &str, name: &Option<String>| (key.to_owned(), name.clone().unwrap_or_else(|| "Not allocated".into()));
    match dimension {
        Dimension::Environment => named(&row.environment_id.to_string(), &row.environment_name),
        Dimension::Team => named(&row.team_id.unwrap_or_default().to_string(), &row.team_name),
        Dimension::Provider => (row.provider_name.clone(), row.provider_name.clone()),
        Dimension::ChargeCategory => (row.charge_category.clone(), row.charge_category.clone()),
        _ => named(&row.service_id.to_string(), &row.service_name),
    }
}

impl From<CostRow> for Row {
    fn from(row: CostRow) -> Self {
        Self {
            key: row.key,
            label: row.label,
            billing_currency: row.currency,
            cost: plain(&row.cost),
            reporting_cost: None,
            charge_count: row.charge_count,
        }
    }
}

impl From<Money> for Total {
    fn from(money: Money) -> Self {
        Self {
            billing_currency: money.currency,
            cost: plain(&money.amount),
            adjustments: None,
            cost_with_adjustments: None,
        }
    }
}

// The database pads decimals to groups of four; the digits are the same without.
pub(super) fn plain(amount: &BigDecimal) -> String {
    amount.normalized().to_plain_string()
}
