//! Reads of the rollups by charge day: the one place that totals, breakdowns and converted figures come from, so that the
//! same filter gives the same figure on a page, in its CSV and in the API.
//!
//! Only current generations count, and only what the [`Scope`] allows.

use super::cost_conditions::select_daily;
use super::{Scope, limits, own_plan};
use crate::focus::{CostBasis, DateRange, Money};
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// More rows than any breakdown has, apart by billing month; a bound on memory, not a page size.
const CELL_COUNT_MAX: i64 = 400_000;

/// Which charges a figure is made of. What is `None` is not restricted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostFilter {
    /// Charge days.
    pub days: DateRange,
    /// The cost column.
    pub basis: CostBasis,
    /// `Some(0)`: what no rule maps to a service.
    pub service_id: Option<i64>,
    /// `Some(0)`: what no rule maps to an environment.
    pub environment_id: Option<i64>,
    /// `Some(0)`: what belongs to no team.
    pub team_id: Option<i64>,
    /// `ProviderName`.
    pub provider_name: Option<String>,
    /// `ChargeCategory`.
    pub charge_category: Option<String>,
    /// `BillingCurrency`.
    pub currency: Option<String>,
}

impl CostFilter {
    /// Everything on these days.
    pub fn new(days: DateRange, basis: CostBasis) -> Self {
        Self {
            days,
            basis,
            service_id: None,
            environment_id: None,
            team_id: None,
            provider_name: None,
            charge_category: None,
            currency: None,
        }
    }

    /// The same charges on other days.
    pub fn on(&self, days: DateRange) -> Self {
        Self { days, ..self.clone() }
    }
}

/// What a breakdown has a row of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the column of that name")]
pub enum Dimension {
    Service,
    Environment,
    Team,
    Provider,
    ChargeCategory,
    Day,
}

impl Dimension {
    /// Every dimension, in the order of a menu.
    pub const ALL: [Self; 6] =
        [Self::Service, Self::Environment, Self::Team, Self::Provider, Self::ChargeCategory, Self::Day];

    /// The word in a URL: `by=env`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Environment => "env",
            Self::Team => "team",
            Self::Provider => "provider",
            Self::ChargeCategory => "charge",
            Self::Day => "day",
        }
    }

    /// The dimension of a URL's word.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.key() == key)
    }
}

/// Cost of one row of a breakdown in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostRow {
    /// An id or a name; "0" is what is not allocated.
    pub key: String,
    /// What people call it.
    pub label: String,
    /// `BillingCurrency`.
    pub currency: String,
    /// Exact.
    pub cost: BigDecimal,
    /// Charges behind it.
    pub charge_count: i64,
}

/// One row a key and currency, the dearest first.
pub async fn by_dimension(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &CostFilter,
    dimension: Dimension,
) -> sqlx::Result<Vec<CostRow>> {
    let mut rows: BTreeMap<(String, String), CostRow> = BTreeMap::new();
    for cell in cells(conn, scope, filter, Some(dimension), false).await? {
        let row = rows.entry((cell.key, cell.currency)).or_insert_with_key(|(key, currency)| CostRow {
            key: key.clone(),
            label: cell.label,
            currency: currency.clone(),
            cost: BigDecimal::default(),
            charge_count: 0,
        });
        row.cost += cell.cost;
        row.charge_count += cell.charge_count;
    }
    let mut rows: Vec<CostRow> = rows.into_values().collect();
    rows.sort_by(|left, right| right.cost.cmp(&left.cost).then_with(|| left.label.cmp(&right.label)));
    Ok(rows)
}

/// What the filter's charges add up to, one amount a currency, the currency with most charges first.
pub async fn totals(conn: &mut PgConnection, scope: &Scope, filter: &CostFilter) -> sqlx::Result<Vec<Money>> {
    let mut sums: BTreeMap<String, (BigDecimal, i64)> = BTreeMap::new();
    for cell in cells(conn, scope, filter, None, false).await? {
        let (cost, charge_count) = sums.entry(cell.currency).or_default();
        *cost += cell.cost;
        *charge_count += cell.charge_count;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, (_, charge_count))| std::cmp::Reverse(*charge_count));
    Ok(sums.into_iter().map(|(currency, (cost, _))| Money::new(cost, currency)).collect())
}

/// Cost of one row of a daily series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayCost {
    /// The charge day.
    pub charge_date: NaiveDate,
    /// An id or a name; "0" is what is not allocated.
    pub key: String,
    /// `BillingCurrency`.
    pub currency: String,
    /// Exact.
    pub cost: BigDecimal,
}

/// A series for each key of the dimension, in order of days.
pub async fn daily(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &CostFilter,
    dimension: Dimension,
) -> sqlx::Result<Vec<DayCost>> {
    let dimension = Some(dimension).filter(|dimension| *dimension != Dimension::Day);
    let mut rows: Vec<DayCost> = Vec::new();
    for cell in cells(conn, scope, filter, dimension, true).await? {
        let charge_date = cell.charge_date.unwrap_or_default();
        // The bills of several months on one day follow each other.
        match rows.last_mut() {
            Some(last) if (last.charge_date, &last.key, &last.currency) == (charge_date, &cell.key, &cell.currency) => {
                last.cost += cell.cost;
            }
            _ => rows.push(DayCost { charge_date, key: cell.key, currency: cell.currency, cost: cell.cost }),
        }
    }
    Ok(rows)
}

/// What every figure here is made of: cost apart by billing month, each of which has one rate of conversion.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    /// An id or a name; empty where no dimension is asked for.
    pub key: String,
    /// What people call it.
    pub label: String,
    /// The charge day, where days are asked for.
    pub charge_date: Option<NaiveDate>,
    /// First day of the month of the bill.
    pub billing_month: NaiveDate,
    /// `BillingCurrency`.
    pub currency: String,
    /// Exact.
    pub cost: BigDecimal,
    /// Charges behind it.
    pub charge_count: i64,
}

/// The cells of a filter in order of days, keys, currencies and billing months.
pub(super) async fn cells(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &CostFilter,
    dimension: Option<Dimension>,
    by_day: bool,
) -> sqlx::Result<Vec<Cell>> {
    own_plan::begin(&mut *conn).await?;
    let rows = select_daily!(
        Cell,
        scope,
        filter,
        [r#"
        SELECT
            c.key AS "key!",
            coalesce(s.name, e.name, t.name,
                CASE WHEN c.key = '0' AND $12 IN ('service', 'env', 'team') THEN 'Not allocated' END,
                c.key) AS "label!",
            c.charge_date,
            c.billing_month AS "billing_month!",
            c.currency AS "currency!",
            c.cost AS "cost!",
            c.charge_count AS "charge_count!"
        FROM (
            SELECT
                CASE $12::text
                    WHEN 'service' THEN d.service_id::text
                    WHEN 'env' THEN d.environment_id::text
                    WHEN 'team' THEN coalesce(service.team_id, 0)::text
                    WHEN 'provider' THEN d.provider_name
                    WHEN 'charge' THEN d.charge_category
                    WHEN 'day' THEN d.charge_date::text
                    ELSE ''
                END AS key,
                CASE WHEN $13::bool THEN d.charge_date END AS charge_date,
                date_trunc('month', g.billing_period_start::timestamp)::date AS billing_month,
                d.billing_currency AS currency,
                sum(cost_in($8::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)) AS cost,
                sum(d.charge_count)::bigint AS charge_count
            FROM daily_cell($14::boolean) d
            JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
            LEFT JOIN service ON service.service_id = d.service_id
            WHERE d.charge_date >= $9 AND d.charge_date < $10"#],
        [r#"
            GROUP BY 1, 2, 3, 4
        ) c
        LEFT JOIN service s ON $12 = 'service' AND s.service_id::text = c.key
        LEFT JOIN environment e ON $12 = 'env' AND e.environment_id::text = c.key
        LEFT JOIN team t ON $12 = 'team' AND t.team_id::text = c.key
        ORDER BY c.charge_date, c.key, c.currency, c.billing_month
        LIMIT $11
        "#],
        filter.days.start(),
        filter.days.end(),
        CELL_COUNT_MAX + 1,
        dimension.map_or("", Dimension::key),
        by_day,
        filter.basis.is_before_commitments(),
    )
    .fetch_all(&mut *conn)
    .await?;
    own_plan::end(conn).await?;
    limits::within(rows, CELL_COUNT_MAX, "sums by day, key and month of bills")
}
