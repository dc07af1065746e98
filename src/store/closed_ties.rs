//! A closed month beside the bills that it is of: what its statement holds, what the bills say now, and what was delivered.

use super::{Scope, limits};
use crate::focus::{BillingPeriod, CostBasis};
use bigdecimal::BigDecimal;
use sqlx::PgConnection;

/// Bills of one month in currencies that are read at once.
const BILL_COUNT_MAX: i64 = 100_000;

/// A bill of a closed month: of one source, account and currency.
#[derive(Debug, Clone)]
pub struct ClosedTie {
    /// The source.
    pub source_id: i64,
    /// Its name.
    pub source_name: String,
    /// Its provider, where known.
    pub provider_name: Option<String>,
    /// FOCUS BillingAccountId.
    pub billing_account_id: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// Lines in the closed statement.
    pub closed_count: i64,
    /// What the closed statement holds.
    pub closed: BigDecimal,
    /// What its bills say now.
    pub billed: BigDecimal,
    /// What the readable lines of their deliveries add up to; `None` where a delivery lacks the column.
    pub delivered: Option<BigDecimal>,
    /// The newest delivery that counts; `None` where no bill counts any more.
    pub delivery_id: Option<i64>,
    /// Deliveries that count: files that add up are several.
    pub delivery_count: i64,
}

/// By source, account and currency: what the closed statement of a month holds and what its bills say now, both without what
/// statements leave out ([`super::commitment_purchases`]). Nothing for an open month. Organisation only: a bill belongs to no team, so a restricted scope sees none.
pub async fn closed_ties(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    month: BillingPeriod,
) -> sqlx::Result<Vec<ClosedTie>> {
    if !scope.is_everything() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as!(
        ClosedTie,
        r#"WITH closing AS (SELECT closing_id FROM month_closing WHERE month = $2 AND reopened_at IS NULL),
           said AS (
               SELECT c.source_id, c.billing_account_id, c.billing_currency, sum(c.charge_count) AS charge_count,
                      sum(cost_in($1::text, c.billed_cost, c.effective_cost, c.list_cost - c.commitment_list_cost,
                                  c.contracted_cost - c.commitment_contracted_cost)) AS cost
               FROM closed_cost c JOIN closing ON closing.closing_id = c.closing_id
               GROUP BY c.source_id, c.billing_account_id, c.billing_currency),
           bill AS (
               SELECT g.generation_id, g.source_id, g.billing_account_id, g.billing_period_start, g.delivery_id,
                      b.billing_currency,
                      sum(cost_in($1::text, b.billed_cost, b.effective_cost, b.list_cost, b.contracted_cost)) AS cost,
                      coalesce(sum(cost_in($1::text, 0, 0, b.list_cost, b.contracted_cost))
                               FILTER (WHERE b.is_left_out), 0) AS left_out
               FROM generation g JOIN bill_cell($5::boolean) b ON b.generation_id = g.generation_id
               WHERE g.state = 'current' AND g.billing_period_start >= $2 AND g.billing_period_start < $3
                 AND b.billing_period_start >= $2 AND b.billing_period_start < $3
                 AND EXISTS (SELECT FROM closing)
               GROUP BY g.generation_id, b.billing_currency),
           told AS (
               SELECT bill.source_id, bill.billing_account_id, bill.billing_currency, bill.delivery_id, bill.cost,
                      cost_in($1::text, t.billed_cost, t.effective_cost, t.list_cost, t.contracted_cost)
                          + bill.left_out AS delivered
               FROM bill
               LEFT JOIN delivery_total t ON t.delivery_id = bill.delivery_id
                    AND t.billing_account_id = bill.billing_account_id
                    AND t.billing_period_start = bill.billing_period_start
                    AND t.billing_currency = bill.billing_currency),
           present AS (
               SELECT source_id, billing_account_id, billing_currency, sum(cost) AS cost,
                      CASE WHEN bool_and(delivered IS NOT NULL) THEN sum(delivered) END AS delivered,
                      max(delivery_id) AS delivery_id, count(DISTINCT delivery_id) AS delivery_count
               FROM told GROUP BY source_id, billing_account_id, billing_currency)
           SELECT source.source_id AS "source_id!", source.name AS "source_name!",
                  source.provider_name AS "provider_name?", billing_account_id AS "billing_account_id!",
                  billing_currency AS "billing_currency!", coalesce(said.charge_count, 0)::bigint AS "closed_count!",
                  coalesce(said.cost, 0) AS "closed!", coalesce(present.cost, 0) AS "billed!",
                  CASE WHEN present.source_id IS NULL THEN 0 ELSE present.delivered END AS "delivered?",
                  present.delivery_id AS "delivery_id?", coalesce(present.delivery_count, 0) AS "delivery_count!"
           FROM said FULL JOIN present USING (source_id, billing_account_id, billing_currency)
           JOIN source USING (source_id)
           ORDER BY 7 DESC, 8 DESC, 2, 4 LIMIT $4"#,
        basis.key(),
        month.first_day(),
        month.next().first_day(),
        BILL_COUNT_MAX + 1,
        basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, BILL_COUNT_MAX, "bills of the closed month")
}
