//! What a rule that holds on some days only has moved to a service or from it: cost that moved, not cost that changed.

use super::Scope;
use crate::focus::{CostBasis, DateRange};
use bigdecimal::BigDecimal;
use sqlx::PgConnection;

/// What one rule moved to the service between two ranges of days, in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedByRule {
    /// The rule that made the difference; `None` where it is that none holds.
    pub rule_id: Option<i64>,
    /// Its place in the list, from 1; `None` where it is deleted.
    pub rule_number: Option<i64>,
    /// `BillingCurrency`.
    pub currency: String,
    /// The part of the change that is none of spend: positive where the service got more.
    pub cost: BigDecimal,
}

/// What tells one order of the rules from another: they change places without a publication, and with them
/// [`MovedByRule::rule_number`].
pub async fn order_mark(conn: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(md5(string_agg(mapping_rule_id::text, ' ' ORDER BY position)), '') AS "mark!"
           FROM mapping_rule"#
    )
    .fetch_one(conn)
    .await
}

/// Compares who had what with who would have had it under the mapping of the last compared day. The service's change
/// of cost less the sum of these is the change under one and the same mapping.
pub async fn between(
    conn: &mut PgConnection,
    scope: &Scope,
    service_id: i64,
    days: DateRange,
    compared: DateRange,
    basis: CostBasis,
) -> sqlx::Result<Vec<MovedByRule>> {
    sqlx::query_as!(
        MovedByRule,
        r#"WITH dated AS (
               SELECT DISTINCT sub_account_key, rollup_key_id FROM key_mapping WHERE first_day > '0001-01-01'
           ), reference AS (
               SELECT m.sub_account_key, m.rollup_key_id, m.service_id, m.service_rule_id
               FROM dated JOIN key_mapping m USING (sub_account_key, rollup_key_id)
               WHERE m.first_day <= $6 AND m.end_day > $6
           ), moved AS (
               SELECT CASE WHEN d.charge_date >= $2 AND d.charge_date < $3 THEN m.service_rule_id
                   ELSE r.service_rule_id END AS rule_id, d.billing_currency AS currency,
                   sum(CASE WHEN m.service_id = $1 THEN 1 ELSE -1 END
                     * CASE WHEN d.charge_date >= $2 AND d.charge_date < $3 THEN 1 ELSE -1 END
                     * cost_in($7::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)) AS cost
               FROM reference r
               JOIN daily_cost_by_key d USING (sub_account_key, rollup_key_id)
               JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
               JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
                   AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
               WHERE ((d.charge_date >= $2 AND d.charge_date < $3) OR (d.charge_date >= $4 AND d.charge_date < $5))
                 AND m.service_id <> r.service_id AND $1 IN (m.service_id, r.service_id)
                 AND NOT ($9::boolean AND (d.sub_account_key, d.rollup_key_id) IN (
                     SELECT k.sub_account_key, k.rollup_key_id FROM rollup_key k
                     WHERE is_commitment_purchase(k.charge_category, k.mapping_tags)))
               GROUP BY 1, 2
           )
           SELECT moved.rule_id, moved.currency, moved.cost AS "cost!",
                  (SELECT count(*) FROM mapping_rule o WHERE o.position <= rule.position
                       AND rule.mapping_rule_id IS NOT NULL) AS rule_number
           FROM moved LEFT JOIN mapping_rule rule ON rule.mapping_rule_id = moved.rule_id
           JOIN service ON service.service_id = $1 AND ($8::bigint[] IS NULL OR service.team_id = ANY($8))
           WHERE moved.cost <> 0
           ORDER BY abs(moved.cost) DESC, 1, 2 LIMIT 100"#,
        service_id,
        days.start(),
        days.end(),
        compared.start(),
        compared.end(),
        compared.last_day(),
        basis.key(),
        scope.team_ids(),
        basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await
}
