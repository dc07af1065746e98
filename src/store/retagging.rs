//! Resources whose tags changed so that someone else pays: cost that moved, not cost that changed. Worked out once for each
//! publication, not by each analysis that looks at it.
//!
//! A step is a matter of the days around it and of no others, so that it stays as it is when more days come: a resource
//! whose lines named one payer on most days of a week has none of that payer in the week from the day on, and another one
//! who had none in the week before. Only its usage counts, as effects look at no other cost. Its amount is the mean over the
//! complete days of that week: those of its own bill, which may be late. Where several paid before, each gives the share of
//! it that it paid in its last week.

use super::impact_series::RuleStep;
use super::shared_analysis::SharedAnalysis;
use super::variance_known::Known;
use super::{freshness, limits};
use crate::focus::DateRange;
use chrono::Days;
use sqlx::PgConnection;

/// Resources that are looked at.
const RESOURCE_COUNT_MAX: i64 = 1_000_000;
/// Those whose lines one statement looks at.
const BATCH: usize = 5_000;
/// Steps that are read at most.
const STEP_COUNT_MAX: i64 = 5_000_000;

/// What resources brought to a service and environment, and took from another, when their lines began to say otherwise:
/// the mean a day that each cost in the week from then on, as far as it is complete. A resource that two services share
/// all along moves nothing.
pub async fn steps(conn: &mut PgConnection, range: DateRange) -> sqlx::Result<Vec<RuleStep>> {
    let rows = sqlx::query_as!(
        RuleStep,
        r#"SELECT service_id, environment_id, billing_currency, day, amount_per_day FROM retag_step
           WHERE day >= $1 AND day < $2 ORDER BY 1, 2, 3, 4 LIMIT $3"#,
        range.start(),
        range.end(),
        STEP_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, STEP_COUNT_MAX, "steps of resources that changed hands")
}

/// Works the steps out anew where something was published since. Gives whether it did. To be called in a transaction of
/// its own, before the view that the steps are read in.
pub async fn bring_up_to_date(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let Some(changed) = SharedAnalysis::Retags.begin(&mut *conn).await? else { return Ok(false) };
    sqlx::query!("DELETE FROM retag_step").execute(&mut *conn).await?;
    let bills = freshness::read(&mut *conn).await?;
    if let Some(complete_to) = bills.complete_to() {
        let known = Known::of(&bills, complete_to + Days::new(1));
        let several = of_several(&mut *conn).await?;
        for batch in several.chunks(BATCH) {
            write(&mut *conn, batch, &known).await?;
        }
    }
    // What one batch brought and another took away.
    sqlx::query!("DELETE FROM retag_step WHERE amount_per_day = 0").execute(&mut *conn).await?;
    changed.done(conn).await?;
    Ok(true)
}

/// A resource, and the sub account that it is kept under.
struct Resource {
    sub_account_key: i32,
    resource_id: String,
}

// Those that rules give to more than one place now. Asked apart: the planner takes them for one, and would look through all
// charges for each. What groups have in common is read from their index, in its order: the table is ten times as large.
async fn of_several(conn: &mut PgConnection) -> sqlx::Result<Vec<Resource>> {
    let rows = sqlx::query_as!(
        Resource,
        r#"SELECT cg.sub_account_key, cg.resource_id AS "resource_id!"
           FROM (SELECT DISTINCT rollup_key_id, resource_id, sub_account_key FROM charge_group WHERE resource_id <> '') cg
           JOIN key_mapping m ON m.sub_account_key = cg.sub_account_key AND m.rollup_key_id = cg.rollup_key_id
           WHERE m.end_day > (SELECT max(last_charge_date) FROM generation WHERE state = 'current')
           GROUP BY 1, 2
           HAVING min(m.service_id) <> max(m.service_id) OR min(m.environment_id) <> max(m.environment_id)
           ORDER BY 1, 2 LIMIT $1"#,
        RESOURCE_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, RESOURCE_COUNT_MAX, "resources that rules give to several services")
}

async fn write(conn: &mut PgConnection, several: &[Resource], known: &Known) -> sqlx::Result<()> {
    let lacking = known.lists();
    sqlx::query!(
        "WITH several AS MATERIALIZED (
             SELECT cg.sub_account_key, cg.resource_id, cg.group_id, m.service_id, m.environment_id
             FROM unnest($1::integer[], $2::text[]) AS r(sub_account_key, resource_id)
             JOIN charge_group cg ON cg.sub_account_key = r.sub_account_key AND cg.resource_id = r.resource_id
             JOIN key_mapping m ON m.sub_account_key = cg.sub_account_key AND m.rollup_key_id = cg.rollup_key_id
                 AND m.end_day > (SELECT max(last_charge_date) FROM generation WHERE state = 'current')
             JOIN rollup_key k ON k.sub_account_key = cg.sub_account_key AND k.rollup_key_id = cg.rollup_key_id
                 AND is_charge_part('used', k.charge_category, k.charge_class, k.commitment_discount_status,
                                    k.pricing_category)
         ), of_day AS (
             SELECT r.sub_account_key, r.resource_id, r.service_id, r.environment_id, c.billing_currency,
                    (c.charge_period_start AT TIME ZONE 'UTC')::date AS day, sum(c.effective_cost) AS cost,
                    min(least($3::date, bill.since)) AS until
             FROM several r
             JOIN charge c ON c.sub_account_key = r.sub_account_key AND c.group_id = r.group_id
             JOIN generation g ON g.generation_id = c.generation_id AND g.state = 'current'
             LEFT JOIN lacking_bills($4, $5, $6, $7) bill ON bill.generation_id = g.generation_id
             WHERE (c.charge_period_start AT TIME ZONE 'UTC')::date < least($3::date, bill.since)
             GROUP BY 1, 2, 3, 4, 5, 6
         ), held AS (
             SELECT sub_account_key, resource_id, service_id, environment_id, billing_currency, day,
                    lag(day) OVER own AS day_before, lead(day) OVER own AS day_after,
                    count(*) OVER (own RANGE BETWEEN '6 days'::interval PRECEDING AND CURRENT ROW) AS days_of_week,
                    sum(cost) OVER (own RANGE BETWEEN '6 days'::interval PRECEDING AND CURRENT ROW) AS cost_before,
                    sum(cost) OVER (own RANGE BETWEEN CURRENT ROW AND '6 days'::interval FOLLOWING) AS cost_of_week,
                    min(until) OVER (PARTITION BY sub_account_key, resource_id, billing_currency) AS until
             FROM of_day
             WINDOW own AS (PARTITION BY sub_account_key, resource_id, service_id, environment_id, billing_currency
                            ORDER BY day)
         ), moved AS (
             SELECT later.service_id AS to_service, later.environment_id AS to_environment,
                    earlier.service_id AS from_service, earlier.environment_id AS from_environment,
                    billing_currency, later.day,
                    (later.cost_of_week / greatest(1, least(7, later.until - later.day)))::double precision
                    * CASE WHEN min(earlier.cost_before) OVER payers >= 0 AND sum(earlier.cost_before) OVER payers > 0
                           THEN (earlier.cost_before / sum(earlier.cost_before) OVER payers)::double precision
                           ELSE 1.0::double precision / count(*) OVER payers END AS amount
             FROM held later JOIN held earlier USING (sub_account_key, resource_id, billing_currency)
             WHERE (later.day_before IS NULL OR later.day - later.day_before > 7)
               AND earlier.day < later.day AND later.day - earlier.day <= 3 AND earlier.days_of_week >= 4
               AND (earlier.day_after IS NULL OR earlier.day_after - later.day >= 7)
             WINDOW payers AS (PARTITION BY sub_account_key, resource_id, billing_currency,
                               later.service_id, later.environment_id, later.day)
         )
         INSERT INTO retag_step (service_id, environment_id, billing_currency, day, amount_per_day)
         SELECT service_id, environment_id, billing_currency, day, sum(amount)
         FROM (SELECT to_service AS service_id, to_environment AS environment_id, billing_currency, day, amount FROM moved
               UNION ALL
               SELECT from_service, from_environment, billing_currency, day, -amount FROM moved) sides
         WHERE service_id <> 0
         GROUP BY 1, 2, 3, 4 HAVING sum(amount) <> 0
         ON CONFLICT (service_id, environment_id, billing_currency, day)
             DO UPDATE SET amount_per_day = retag_step.amount_per_day + excluded.amount_per_day",
        &several.iter().map(|one| one.sub_account_key).collect::<Vec<_>>(),
        &several.iter().map(|one| one.resource_id.clone()).collect::<Vec<_>>(),
        known.end,
        &lacking.source_ids,
        &lacking.accounts,
        &lacking.is_whole,
        &lacking.since,
    )
    .execute(conn)
    .await?;
    Ok(())
}
