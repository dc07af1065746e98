//! Cost by the values of a dimension: product, cost center, or an organisation's own (virtual tags).
//!
//! Out of the sums by rollup key, so each charge counts once, under one value, and the rows add up to the total.

use super::{Scope, limits};
use crate::focus::{CostBasis, DateRange};
use bigdecimal::BigDecimal;
use sqlx::PgConnection;

/// Values in currencies of one period; more are a mistake of a rule.
const ROW_COUNT_MAX: i64 = 20_000;
/// Dimensions that all rules together may name.
const NAME_COUNT_MAX: i64 = 100_000;

/// Cost of one value in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueCost {
    /// The value; `None` for what no rule gives one.
    pub value: Option<String>,
    /// `BillingCurrency`.
    pub currency: String,
    /// Exact.
    pub cost: BigDecimal,
    /// Charges behind it.
    pub charge_count: i64,
}

/// The names of all dimensions: those that every installation has, and those that rules name.
pub async fn names(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query_scalar!(
        r#"SELECT name AS "name!" FROM (
               SELECT unnest(ARRAY['cost_center', 'product']) AS name
               UNION SELECT t ->> 'dimension' FROM mapping_rule, jsonb_array_elements(dimensions) t) n
           WHERE name IS NOT NULL ORDER BY name LIMIT $1"#,
        NAME_COUNT_MAX + 1
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, NAME_COUNT_MAX, "dimensions")
}

/// Values that a filter suggests, each with its dimension: those that rules name, and the cost centers of teams. What a
/// rule takes from an attribute of the charges is not among them.
pub async fn named_values(conn: &mut PgConnection) -> sqlx::Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        r#"SELECT name AS "name!", value AS "value!" FROM (
               SELECT t ->> 'dimension' AS name, t ->> 'value' AS value
               FROM mapping_rule, jsonb_array_elements(dimensions) t
               UNION SELECT 'cost_center', cost_center FROM team) n
           WHERE name IS NOT NULL AND value <> '' ORDER BY name, value LIMIT 1000"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.value)).collect())
}

/// Cost by value on these days, in prices before commitments without what was bought for them, whose lines are counted
/// all the same. The cost center of what no rule gives one is that of the service's team.
pub async fn by_value(
    conn: &mut PgConnection,
    scope: &Scope,
    dimension: &str,
    days: DateRange,
    basis: CostBasis,
) -> sqlx::Result<Vec<ValueCost>> {
    let rows = sqlx::query_as!(
        ValueCost,
        r#"SELECT dimension_value(m.dimensions, $1, team.cost_center) AS value,
                  d.billing_currency AS currency,
                  coalesce(sum(cost_in($4::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost))
                      FILTER (WHERE NOT ($7::boolean AND (d.sub_account_key, d.rollup_key_id) IN (
                          SELECT k.sub_account_key, k.rollup_key_id FROM rollup_key k
                          WHERE is_commitment_purchase(k.charge_category, k.mapping_tags)))), 0) AS "cost!",
                  sum(d.charge_count)::bigint AS "charge_count!"
           FROM daily_cost_by_key d
           JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
               AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
           LEFT JOIN service ON service.service_id = m.service_id
           LEFT JOIN team ON team.team_id = service.team_id
           WHERE d.charge_date >= $2 AND d.charge_date < $3
             AND ($5::bigint[] IS NULL OR service.team_id = ANY($5))
           GROUP BY 1, 2
           ORDER BY 3 DESC, 1, 2
           LIMIT $6"#,
        dimension,
        days.start(),
        days.end(),
        basis.key(),
        scope.team_ids(),
        ROW_COUNT_MAX + 1,
        basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ROW_COUNT_MAX, "values of the dimension")
}
