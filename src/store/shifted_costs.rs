//! What lies between the two views of a month: cost whose billing period and charge month are not the same.

use super::{Scope, limits};
use crate::focus::{BillingPeriod, CostBasis};
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// Months of bills and charges that are read at once.
const MONTH_COUNT_MAX: i64 = 50_000;

/// Cost whose billing period and charge month are not the same: corrections, late lines, prepaid months.
#[derive(Debug, Clone)]
pub struct ShiftedCost {
    /// First day of the month that billed it.
    pub billing_month: NaiveDate,
    /// First day of the month that it arose in.
    pub charge_month: NaiveDate,
    /// Whether the bill calls it so: FOCUS ChargeClass "Correction".
    pub is_correction: bool,
    /// Whether it is what splits moved to or from the services of the scope.
    pub is_shared: bool,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// Lines behind it.
    pub charge_count: i64,
    /// In the asked basis.
    pub cost: BigDecimal,
}

/// What lies between the two views of `month`: billed in it for another month, or billed elsewhere for it.
pub async fn shifted(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    month: BillingPeriod,
) -> sqlx::Result<Vec<ShiftedCost>> {
    let (start, end) = (month.first_day(), month.next().first_day());
    let rows = sqlx::query_as!(
        ShiftedCost,
        r#"WITH part AS (
               SELECT g.billing_period_start, d.charge_date, coalesce(k.charge_class, '') = 'Correction' AS is_correction,
                      false AS is_shared, m.service_id, d.billing_currency, d.charge_count, d.billed_cost,
                      d.effective_cost, d.list_cost, d.contracted_cost
               FROM daily_cost_by_key d
               JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
               JOIN rollup_key k ON k.rollup_key_id = d.rollup_key_id AND k.sub_account_key = d.sub_account_key
               JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
                   AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
               WHERE (g.billing_period_start >= $3 AND g.billing_period_start < $4)
                  <> (d.charge_date >= $3 AND d.charge_date < $4)
               UNION ALL
               SELECT g.billing_period_start, d.charge_date, false, true, d.service_id, d.billing_currency,
                      d.charge_count, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost
               FROM daily_cost d
               JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
               WHERE d.split_id <> 0
                 AND (g.billing_period_start >= $3 AND g.billing_period_start < $4)
                  <> (d.charge_date >= $3 AND d.charge_date < $4)
               UNION ALL
               SELECT p.billing_period_start, p.charge_date, p.is_correction, p.is_shared, p.service_id,
                      p.billing_currency, 0, 0, 0, -p.list_cost, -p.contracted_cost
               FROM commitment_purchase p
               WHERE $6::boolean AND p.state = 'current'
                 AND (p.billing_period_start >= $3 AND p.billing_period_start < $4)
                  <> (p.charge_date >= $3 AND p.charge_date < $4)
           )
           SELECT date_trunc('month', p.billing_period_start::timestamp)::date AS "billing_month!",
                  date_trunc('month', p.charge_date::timestamp)::date AS "charge_month!",
                  p.is_correction AS "is_correction!", p.is_shared AS "is_shared!", p.billing_currency AS "billing_currency!",
                  sum(p.charge_count)::bigint AS "charge_count!",
                  sum(cost_in($2::text, p.billed_cost, p.effective_cost, p.list_cost, p.contracted_cost)) AS "cost!"
           FROM part p LEFT JOIN service ON service.service_id = p.service_id
           WHERE $1::bigint[] IS NULL OR service.team_id = ANY($1)
           GROUP BY 1, 2, 3, 4, 5
           -- All shares together move nothing.
           HAVING NOT p.is_shared OR sum(cost_in($2::text, p.billed_cost, p.effective_cost, p.list_cost, p.contracted_cost)) <> 0
           ORDER BY 1, 2, 3, 4, 5 LIMIT $5"#,
        scope.team_ids(),
        basis.key(),
        start,
        end,
        MONTH_COUNT_MAX + 1,
        basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, MONTH_COUNT_MAX, "months of bills and charges")
}
