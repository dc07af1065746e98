//! Proof that a month ties to its bills: what was delivered, what replaced what, how far the bills reach.

use super::statements::MonthView;
use super::{Scope, limits};
use crate::focus::{BillingPeriod, CostBasis};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Bills of one month in currencies that are read at once.
const BILL_COUNT_MAX: i64 = 100_000;

/// How far the bills of a month reach, by source.
#[derive(Debug, Clone)]
pub struct MonthReach {
    /// First day of the month.
    pub month: NaiveDate,
    /// Name of the source.
    pub source_name: String,
    /// Last day that the month's bill holds in full.
    pub complete_to: NaiveDate,
}

/// Per month and source, the last day that its bills hold in full. Says nothing of money.
///
/// A day that had not ended when a bill was made cannot be complete in it; a bill with charges on one day only
/// is a monthly one and complete to the end of its period. Files that add up are one bill. Complete to the end is also
/// one without any line, which says that nothing is charged; it counts only where its source has no other bill of the
/// month.
pub async fn reach(conn: &mut PgConnection) -> sqlx::Result<Vec<MonthReach>> {
    sqlx::query_as!(
        MonthReach,
        r#"SELECT date_trunc('month', g.billing_period_start::timestamp)::date AS "month!",
                  source.name AS source_name,
                  coalesce(
                      max(least(CASE WHEN NOT g.is_daily THEN g.billing_period_end - 1
                                     ELSE least(g.last_charge_date, g.billing_period_end - 1) END,
                                (d.version_at AT TIME ZONE 'UTC')::date - 1))
                          FILTER (WHERE g.last_charge_date IS NOT NULL),
                      max(least(g.billing_period_end - 1, (d.version_at AT TIME ZONE 'UTC')::date - 1))
                  ) AS "complete_to!"
           FROM current_generation g
           JOIN source ON source.source_id = g.source_id
           JOIN delivery d ON d.delivery_id = g.delivery_id
           GROUP BY 1, source.name ORDER BY 1 DESC, source.name LIMIT 200000"#
    )
    .fetch_all(conn)
    .await
}

/// The currencies that current bills have for a month, whoever's cost it is. Says nothing of money.
pub async fn billed_currencies(
    conn: &mut PgConnection,
    view: MonthView,
    month: BillingPeriod,
) -> sqlx::Result<BTreeSet<String>> {
    let (start, end) = (month.first_day(), month.next().first_day());
    let currencies = match view {
        MonthView::BillingPeriod => {
            sqlx::query_scalar!(
                r#"SELECT DISTINCT m.billing_currency AS "billing_currency!"
                   FROM monthly_cost m JOIN generation g ON g.generation_id = m.generation_id AND g.state = 'current'
                   WHERE m.billing_period_start >= $1 AND m.billing_period_start < $2"#,
                start,
                end,
            )
            .fetch_all(conn)
            .await?
        }
        MonthView::ChargeDay => {
            sqlx::query_scalar!(
                r#"SELECT DISTINCT d.billing_currency AS "billing_currency!"
                   FROM daily_cost d JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
                   WHERE d.charge_date >= $1 AND d.charge_date < $2"#,
                start,
                end,
            )
            .fetch_all(conn)
            .await?
        }
    };
    Ok(currencies.into_iter().collect())
}

/// A currency that a source has billed a month in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BilledIn {
    /// First day of the month.
    pub month: NaiveDate,
    /// Name of the source.
    pub source_name: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
}

/// The currencies that current bills of each source have for the months from `first` to `last`. Says nothing of money.
pub async fn billed_in(
    conn: &mut PgConnection,
    first: BillingPeriod,
    last: BillingPeriod,
) -> sqlx::Result<Vec<BilledIn>> {
    let rows = sqlx::query_as!(
        BilledIn,
        r#"SELECT DISTINCT date_trunc('month', m.billing_period_start::timestamp)::date AS "month!",
                  source.name AS source_name, m.billing_currency
           FROM monthly_cost m
           JOIN generation g ON g.generation_id = m.generation_id AND g.state = 'current'
           JOIN source ON source.source_id = g.source_id
           WHERE m.billing_period_start >= $1 AND m.billing_period_start < $2
           LIMIT $3"#,
        first.first_day(),
        last.next().first_day(),
        BILL_COUNT_MAX + 1
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, BILL_COUNT_MAX, "bills of a month")
}

/// What one source billed for a month, and the delivery that it ties to.
#[derive(Debug, Clone)]
pub struct SourceTie {
    /// The source.
    pub source_id: i64,
    /// Its name.
    pub source_name: String,
    /// Its provider, where known.
    pub provider_name: Option<String>,
    /// FOCUS BillingAccountId.
    pub billing_account_id: String,
    /// The delivery of the current generation: its receipt.
    pub delivery_id: i64,
    /// The current generation.
    pub generation_id: i64,
    /// When it became current.
    pub published_at: Option<DateTime<Utc>>,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// Lines in the statement.
    pub charge_count: i64,
    /// What the delivery's readable lines add up to.
    pub delivered: Option<BigDecimal>,
    /// What the statement holds.
    pub stated: BigDecimal,
}

/// By source: what was delivered for a billing period and what the statement holds, both without what the statement
/// leaves out ([`super::commitment_purchases`]). Organisation only: a bill
/// belongs to no team, so a restricted scope sees none.
pub async fn ties(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    month: BillingPeriod,
) -> sqlx::Result<Vec<SourceTie>> {
    if !scope.is_everything() {
        return Ok(Vec::new());
    }
    let (start, end) = (month.first_day(), month.next().first_day());
    let rows = sqlx::query_as!(
        SourceTie,
        r#"WITH stated AS (
               SELECT b.generation_id, b.billing_currency, sum(b.charge_count)::bigint AS charge_count,
                      sum(cost_in($1::text, b.billed_cost, b.effective_cost, b.list_cost, b.contracted_cost)) AS cost,
                      coalesce(sum(cost_in($1::text, 0, 0, b.list_cost, b.contracted_cost))
                               FILTER (WHERE b.is_left_out), 0) AS left_out
               FROM bill_cell($5::boolean) b WHERE b.billing_period_start >= $2 AND b.billing_period_start < $3
               GROUP BY b.generation_id, b.billing_currency)
           SELECT g.source_id, source.name AS source_name, source.provider_name, g.billing_account_id,
                  g.delivery_id, g.generation_id, g.published_at,
                  stated.billing_currency AS "billing_currency!", stated.charge_count AS "charge_count!",
                  cost_in($1::text, t.billed_cost, t.effective_cost, t.list_cost, t.contracted_cost)
                      + stated.left_out AS "delivered?",
                  stated.cost AS "stated!"
           FROM generation g
           JOIN source ON source.source_id = g.source_id
           JOIN stated ON stated.generation_id = g.generation_id
           LEFT JOIN delivery_total t ON t.delivery_id = g.delivery_id
                AND t.billing_account_id = g.billing_account_id
                AND t.billing_period_start = g.billing_period_start
                AND t.billing_currency = stated.billing_currency
           WHERE g.state = 'current' AND g.billing_period_start >= $2 AND g.billing_period_start < $3
           ORDER BY stated.cost - stated.left_out DESC, source.name, g.billing_account_id LIMIT $4"#,
        basis.key(),
        start,
        end,
        BILL_COUNT_MAX + 1,
        basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, BILL_COUNT_MAX, "bills of the month")
}

/// A bill that a later delivery replaced, and what that did to the total.
#[derive(Debug, Clone)]
pub struct Restatement {
    /// Name of the source.
    pub source_name: String,
    /// FOCUS BillingAccountId.
    pub billing_account_id: String,
    /// The delivery that said the earlier figure.
    pub earlier_delivery_id: i64,
    /// The delivery that said the later figure.
    pub later_delivery_id: i64,
    /// When the later one became current.
    pub published_at: Option<DateTime<Utc>>,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// Total before; zero where the earlier one did not hold this currency.
    pub earlier: BigDecimal,
    /// Total after.
    pub later: BigDecimal,
}

/// Every replacement that led to the current figures of a month, oldest first.
pub async fn restatements(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    month: BillingPeriod,
) -> sqlx::Result<Vec<Restatement>> {
    if !scope.is_everything() {
        return Ok(Vec::new());
    }
    let (start, end) = (month.first_day(), month.next().first_day());
    let rows = sqlx::query_as!(
        Restatement,
        r#"WITH total AS (
               SELECT m.generation_id, m.billing_currency,
                      sum(cost_in($1::text, m.billed_cost, m.effective_cost, m.list_cost, m.contracted_cost)) AS cost
               FROM monthly_cost m WHERE m.billing_period_start >= $2 AND m.billing_period_start < $3
               GROUP BY m.generation_id, m.billing_currency),
           pair AS (
               SELECT later.source_id, later.billing_account_id, later.published_at,
                      earlier.generation_id AS earlier_id, earlier.delivery_id AS earlier_delivery_id,
                      later.generation_id AS later_id, later.delivery_id AS later_delivery_id
               FROM generation later
               JOIN generation earlier ON earlier.generation_id = later.replaced_generation_id
               WHERE later.state IN ('current', 'superseded') AND earlier.state = 'superseded'
                 AND later.billing_period_start >= $2 AND later.billing_period_start < $3),
           side AS (
               SELECT pair.later_id, total.billing_currency, total.cost AS earlier, 0::numeric AS later
               FROM pair JOIN total ON total.generation_id = pair.earlier_id
               UNION ALL
               SELECT pair.later_id, total.billing_currency, 0::numeric, total.cost
               FROM pair JOIN total ON total.generation_id = pair.later_id)
           SELECT source.name AS source_name, pair.billing_account_id,
                  pair.earlier_delivery_id, pair.later_delivery_id, pair.published_at,
                  side.billing_currency AS "billing_currency!",
                  sum(side.earlier) AS "earlier!", sum(side.later) AS "later!"
           FROM pair JOIN side ON side.later_id = pair.later_id JOIN source ON source.source_id = pair.source_id
           GROUP BY source.name, pair.billing_account_id, pair.earlier_delivery_id, pair.later_delivery_id,
                    pair.later_id, pair.published_at, side.billing_currency
           ORDER BY pair.published_at, source.name, pair.billing_account_id, side.billing_currency LIMIT $4"#,
        basis.key(),
        start,
        end,
        BILL_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, BILL_COUNT_MAX, "replaced bills of the month")
}
