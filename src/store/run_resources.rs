//! What a service bought, by day, in the units of its bill: what its runs and jobs used.

use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// Rows that are read at most: things that are bought, by day.
const ROW_COUNT_MAX: i64 = 20_000;

/// What was bought of one thing on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoughtDay {
    /// FOCUS ServiceName.
    pub bought: String,
    /// FOCUS PricingUnit.
    pub pricing_unit: String,
    /// The charge day.
    pub charge_date: NaiveDate,
    /// PricingQuantity of usage, without unused commitments.
    pub quantity: BigDecimal,
}

/// Quantities that a service used on these days, in one environment or in all. Only of SKUs, each of which has one unit.
/// No money, so no scope.
pub async fn daily(
    conn: &mut PgConnection,
    service_id: i64,
    environment_id: Option<i64>,
    days: DateRange,
) -> sqlx::Result<Vec<BoughtDay>> {
    sqlx::query_as!(
        BoughtDay,
        r#"WITH own AS MATERIALIZED (
               SELECT k.sub_account_key, k.rollup_key_id, m.first_day, m.end_day, k.service_name AS bought,
                      unit.pricing_unit
               FROM key_mapping m
               JOIN rollup_key k ON k.sub_account_key = m.sub_account_key AND k.rollup_key_id = m.rollup_key_id
               CROSS JOIN LATERAL (
                   SELECT cg.attributes ->> 'PricingUnit' AS pricing_unit FROM charge_group cg
                   WHERE cg.rollup_key_id = k.rollup_key_id AND cg.sub_account_key = k.sub_account_key LIMIT 1
               ) unit
               WHERE m.service_id = $1 AND ($2::bigint IS NULL OR m.environment_id = $2)
                 AND m.first_day < $4 AND m.end_day > $3 AND k.charge_category = 'Usage' AND k.sku_id IS NOT NULL
                 AND k.commitment_discount_status IS DISTINCT FROM 'Unused'
                 AND k.service_name <> '' AND unit.pricing_unit <> ''
           )
           SELECT o.bought AS "bought!", o.pricing_unit AS "pricing_unit!", d.charge_date AS "charge_date!",
                  sum(d.pricing_quantity) AS "quantity!"
           FROM own o
           JOIN daily_cost_by_key d ON d.sub_account_key = o.sub_account_key AND d.rollup_key_id = o.rollup_key_id
               AND d.charge_date >= o.first_day AND d.charge_date < o.end_day
           JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
               AND g.first_charge_date < $4 AND g.last_charge_date >= $3
           WHERE d.charge_date >= $3 AND d.charge_date < $4 AND d.pricing_quantity > 0
           GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT $5"#,
        service_id,
        environment_id,
        days.start(),
        days.end(),
        ROW_COUNT_MAX
    )
    .fetch_all(conn)
    .await
}
