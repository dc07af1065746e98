//! The parts that a converted figure is made of: cost by billing month and currency, each of which has one rate.
//!
//! The multiplication itself happens in [`crate::focus::Converted`], on these exact sums.

use super::Scope;
use super::costs::{CostFilter, Dimension};
use super::statements::MonthView;
use crate::focus::{BillingPeriod, CostBasis};
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// More parts than any breakdown has.
const PART_COUNT_MAX: i64 = 400_000;

/// The cost of one key, billing month and currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostPart {
    /// An id or a name; "0" is what is not allocated.
    pub key: String,
    /// First day of the billing month: its rate counts, whatever day the charge arose on.
    pub billing_month: NaiveDate,
    /// FOCUS BillingCurrency.
    pub currency: String,
    /// Exact.
    pub cost: BigDecimal,
}

/// The same charges as [`super::costs::by_dimension`], apart by billing month.
pub async fn parts(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &CostFilter,
    dimension: Dimension,
) -> sqlx::Result<Vec<CostPart>> {
    sqlx::query_as!(
        CostPart,
        r#"SELECT CASE $12::text
                      WHEN 'service' THEN d.service_id::text
                      WHEN 'env' THEN d.environment_id::text
                      WHEN 'team' THEN coalesce(service.team_id, 0)::text
                      WHEN 'provider' THEN d.provider_name
                      WHEN 'charge' THEN d.charge_category
                      ELSE d.charge_date::text
                  END AS "key!",
                  date_trunc('month', g.billing_period_start::timestamp)::date AS "billing_month!",
                  d.billing_currency AS currency,
                  sum(CASE $3::text WHEN 'amortized' THEN d.effective_cost WHEN 'billed' THEN d.billed_cost
                      WHEN 'list' THEN d.list_cost ELSE d.contracted_cost END) AS "cost!"
           FROM daily_cost d
           JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           LEFT JOIN service ON service.service_id = d.service_id
           WHERE d.charge_date >= $1 AND d.charge_date < $2
             AND ($4::bigint[] IS NULL OR service.team_id = ANY($4))
             AND ($5::bigint IS NULL OR d.service_id = $5)
             AND ($6::bigint IS NULL OR d.environment_id = $6)
             AND ($7::bigint IS NULL OR coalesce(service.team_id, 0) = $7)
             AND ($8::text IS NULL OR d.provider_name = $8)
             AND ($9::text IS NULL OR d.charge_category = $9)
             AND ($10::text IS NULL OR d.billing_currency = $10)
           GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT $11"#,
        filter.days.start(),
        filter.days.end(),
        filter.basis.key(),
        scope.team_ids(),
        filter.service_id,
        filter.environment_id,
        filter.team_id,
        filter.provider_name,
        filter.charge_category,
        filter.currency,
        PART_COUNT_MAX,
        dimension.key(),
    )
    .fetch_all(conn)
    .await
}

/// The totals of months, apart by billing month: `key` is the month that a statement has them in (`2026-10-01`).
pub async fn of_months(
    conn: &mut PgConnection,
    scope: &Scope,
    view: MonthView,
    basis: CostBasis,
    first: BillingPeriod,
    last: BillingPeriod,
) -> sqlx::Result<Vec<CostPart>> {
    let (start, end) = (first.first_day(), last.next().first_day());
    match view {
        MonthView::BillingPeriod => billed(conn, scope, basis, start, end).await,
        MonthView::ChargeDay => charged(conn, scope, basis, start, end).await,
    }
}

async fn billed(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    start: NaiveDate,
    end: NaiveDate,
) -> sqlx::Result<Vec<CostPart>> {
    sqlx::query_as!(
        CostPart,
        r#"SELECT s.month::text AS "key!", s.month AS "billing_month!", s.billing_currency AS "currency!",
                  sum(CASE $2::text WHEN 'billed' THEN s.billed_cost WHEN 'list' THEN s.list_cost
                      WHEN 'contracted' THEN s.contracted_cost ELSE s.effective_cost END) AS "cost!"
           FROM statement_cost s
           WHERE s.month >= $3 AND s.month < $4 AND ($1::bigint[] IS NULL OR s.team_id = ANY($1))
           GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT $5"#,
        scope.team_ids(),
        basis.key(),
        start,
        end,
        PART_COUNT_MAX
    )
    .fetch_all(conn)
    .await
}

async fn charged(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    start: NaiveDate,
    end: NaiveDate,
) -> sqlx::Result<Vec<CostPart>> {
    sqlx::query_as!(
        CostPart,
        r#"SELECT date_trunc('month', d.charge_date::timestamp)::date::text AS "key!",
                  date_trunc('month', g.billing_period_start::timestamp)::date AS "billing_month!",
                  d.billing_currency AS "currency!",
                  sum(CASE $2::text WHEN 'billed' THEN d.billed_cost WHEN 'list' THEN d.list_cost
                      WHEN 'contracted' THEN d.contracted_cost ELSE d.effective_cost END) AS "cost!"
           FROM daily_cost d
           JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           LEFT JOIN service ON service.service_id = d.service_id
           WHERE d.charge_date >= $3 AND d.charge_date < $4 AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
           GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT $5"#,
        scope.team_ids(),
        basis.key(),
        start,
        end,
        PART_COUNT_MAX
    )
    .fetch_all(conn)
    .await
}
