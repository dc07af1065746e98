//! Resources whose tags changed so that someone else pays: cost that moved, not cost that changed.

use super::impact_series::RuleStep;
use crate::focus::DateRange;
use sqlx::PgConnection;

/// Resources that are looked at.
const RESOURCE_COUNT_MAX: i64 = 5_000;
/// Steps that are read at most.
const STEP_COUNT_MAX: i64 = 100_000;

/// What resources brought to a service and environment, and took from another, when their lines began to say otherwise:
/// the mean a day that each cost since. A resource that two services share all along moves nothing.
pub async fn steps(conn: &mut PgConnection, range: DateRange) -> sqlx::Result<Vec<RuleStep>> {
    sqlx::query_as!(
        RuleStep,
        r#"WITH several AS (
             SELECT cg.sub_account_key, cg.resource_id
             FROM charge_group cg JOIN key_mapping m USING (sub_account_key, rollup_key_id)
             WHERE cg.resource_id <> '' AND m.end_day >= $2
             GROUP BY 1, 2 HAVING count(DISTINCT (m.service_id, m.environment_id)) > 1
             ORDER BY 1, 2 LIMIT $3
           ), held AS (
             SELECT r.sub_account_key, r.resource_id, m.service_id, m.environment_id, c.billing_currency,
                    min((c.charge_period_start AT TIME ZONE 'UTC')::date) AS first_day,
                    max((c.charge_period_start AT TIME ZONE 'UTC')::date) AS last_day,
                    sum(c.effective_cost) AS cost
             FROM several r
             JOIN charge_group cg ON cg.sub_account_key = r.sub_account_key AND cg.resource_id = r.resource_id
             JOIN key_mapping m ON m.sub_account_key = cg.sub_account_key AND m.rollup_key_id = cg.rollup_key_id
                 AND m.end_day >= $2
             JOIN charge c ON c.sub_account_key = cg.sub_account_key AND c.group_id = cg.group_id
             JOIN generation g ON g.generation_id = c.generation_id AND g.state = 'current'
             WHERE c.charge_period_start >= $1::date::timestamp AT TIME ZONE 'UTC'
               AND c.charge_period_start < $2::date::timestamp AT TIME ZONE 'UTC'
             GROUP BY 1, 2, 3, 4, 5
           ), moved AS (
             SELECT later.service_id AS to_service, later.environment_id AS to_environment,
                    earlier.service_id AS from_service, earlier.environment_id AS from_environment,
                    later.billing_currency, later.first_day AS day,
                    (later.cost / (later.last_day - later.first_day + 1))::double precision AS amount
             FROM held later JOIN held earlier USING (sub_account_key, resource_id, billing_currency)
             WHERE earlier.last_day < later.first_day AND later.first_day - earlier.last_day <= 3
           )
           SELECT service_id AS "service_id!", environment_id AS "environment_id!", billing_currency AS "billing_currency!",
                  day AS "day!", sum(amount) AS "amount_per_day!"
           FROM (SELECT to_service AS service_id, to_environment AS environment_id, billing_currency, day, amount FROM moved
                 UNION ALL
                 SELECT from_service, from_environment, billing_currency, day, -amount FROM moved) sides
           WHERE service_id <> 0
           GROUP BY 1, 2, 3, 4 HAVING sum(amount) <> 0 ORDER BY 1, 2, 3, 4 LIMIT $4"#,
        range.start(),
        range.end(),
        RESOURCE_COUNT_MAX,
        STEP_COUNT_MAX
    )
    .fetch_all(conn)
    .await
}
