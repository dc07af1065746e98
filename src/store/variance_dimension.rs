//! What a change of spend is explained from where it is asked of one value of a dimension: product, cost center, or an
//! organisation's own (virtual tags).
//!
//! Rollups by service know no dimensions, so these are sums by rollup key, under the mapping of each day, as on the page of
//! the dimension. What splits move has no value and is not among them.

use super::converted_costs::CostPart;
use super::cost_conditions::select_daily_by_key;
use super::variance_costs::{Question, Sums};
use super::variance_known::Known;
use super::{Scope, limits};
use crate::focus::DateRange;
use sqlx::PgConnection;

/// Services that are read at most.
const SERVICE_COUNT_MAX: i64 = 200_000;
/// Months of bills in currencies that are read at most.
const PART_COUNT_MAX: i64 = 20_000;

/// The sums of both periods by currency.
pub(super) async fn sums(
    conn: &mut PgConnection,
    scope: &Scope,
    question: Question<'_>,
    dimension: &(String, String),
    known: &Known,
) -> sqlx::Result<Vec<Sums>> {
    let Question { filter, compared, .. } = question;
    let lacking = known.lists();
    select_daily_by_key!(
        Sums,
        scope,
        filter,
        [r#"
        SELECT currency AS "currency!",
            coalesce(sum(cost) FILTER (WHERE is_now), 0) AS "own!",
            coalesce(sum(cost) FILTER (WHERE NOT is_now), 0) AS "own_before!",
            0::numeric AS "shared!", 0::numeric AS "shared_before!",
            coalesce(sum(CASE WHEN is_now THEN cost ELSE -cost END) FILTER (WHERE charge_date >= $14), 0)
                AS "arriving!",
            coalesce(sum(CASE WHEN is_now THEN cost ELSE -cost END)
                FILTER (WHERE charge_date < $14 AND charge_date >= late_since), 0) AS "arriving_late!"
        FROM (
            SELECT d.billing_currency AS currency, d.charge_date, bill.since AS late_since,
                p.day >= $9 AND p.day < $10 AS is_now,
                cost_in($8::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost) AS cost
            FROM daily_cost_by_key d
            JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
            JOIN rollup_key k ON k.sub_account_key = d.sub_account_key AND k.rollup_key_id = d.rollup_key_id
            JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
                AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
            CROSS JOIN LATERAL (SELECT CASE WHEN $13 THEN g.billing_period_start ELSE d.charge_date END AS day) p
            LEFT JOIN service ON service.service_id = m.service_id
            LEFT JOIN team ON team.team_id = service.team_id
            LEFT JOIN lacking_bills($15, $16, $17, $18) bill ON bill.generation_id = g.generation_id
            WHERE ($13 OR (d.charge_date >= least($9::date, $11::date) AND d.charge_date < greatest($10::date, $12::date)
                AND g.first_charge_date < greatest($10::date, $12::date)
                AND g.last_charge_date >= least($9::date, $11::date)))
              AND ($21::boolean AND is_commitment_purchase(k.charge_category, k.mapping_tags)) IS NOT TRUE
              AND ((p.day >= $9 AND p.day < $10) OR (p.day >= $11 AND p.day < $12))"#],
        [r#"
              AND coalesce(dimension_value(m.dimensions, $19::text, team.cost_center), '') = $20::text
        ) costs
        GROUP BY currency ORDER BY currency LIMIT 500
        "#],
        filter.days.start(),
        filter.days.end(),
        compared.start(),
        compared.end(),
        question.is_by_bill(),
        known.end,
        &lacking.source_ids,
        &lacking.accounts,
        &lacking.is_whole,
        &lacking.since,
        dimension.0,
        dimension.1,
        filter.basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await
}

/// The same charges on these days, apart by billing month: each part has one rate.
pub async fn parts(
    conn: &mut PgConnection,
    scope: &Scope,
    question: Question<'_>,
    dimension: &(String, String),
    days: DateRange,
) -> sqlx::Result<Vec<CostPart>> {
    let filter = question.filter;
    let rows = select_daily_by_key!(
        CostPart,
        scope,
        filter,
        [r#"
        SELECT ''::text AS "key!", g.billing_period_start AS "billing_month!", d.billing_currency AS "currency!",
            sum(cost_in($8::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)) AS "cost!"
        FROM daily_cost_by_key d
        JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
        JOIN rollup_key k ON k.sub_account_key = d.sub_account_key AND k.rollup_key_id = d.rollup_key_id
        JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
            AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
        LEFT JOIN service ON service.service_id = m.service_id
        LEFT JOIN team ON team.team_id = service.team_id
        WHERE d.charge_date >= $9 AND d.charge_date < $10
          AND ($14::boolean AND is_commitment_purchase(k.charge_category, k.mapping_tags)) IS NOT TRUE"#],
        [r#"
          AND coalesce(dimension_value(m.dimensions, $11::text, team.cost_center), '') = $12::text
        GROUP BY g.billing_period_start, d.billing_currency
        ORDER BY g.billing_period_start, d.billing_currency
        LIMIT $13
        "#],
        days.start(),
        days.end(),
        dimension.0,
        dimension.1,
        PART_COUNT_MAX + 1,
        filter.basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, PART_COUNT_MAX, "months of bills in currencies")
}

/// Services of whose usage in both periods all has the value. Of the others a verdict, which is about all of a service,
/// says nothing of the part that has it.
pub async fn whole_services(
    conn: &mut PgConnection,
    scope: &Scope,
    question: Question<'_>,
    dimension: &(String, String),
) -> sqlx::Result<Vec<i64>> {
    let Question { filter, compared, .. } = question;
    let rows = sqlx::query_scalar!(
        r#"
        SELECT m.service_id AS "service_id!"
        FROM daily_cost_by_key d
        JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
        JOIN rollup_key k ON k.sub_account_key = d.sub_account_key AND k.rollup_key_id = d.rollup_key_id
        JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
            AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
        JOIN service ON service.service_id = m.service_id
        LEFT JOIN team ON team.team_id = service.team_id
        WHERE ((d.charge_date >= $1 AND d.charge_date < $2) OR (d.charge_date >= $3 AND d.charge_date < $4))
          AND k.charge_category = 'Usage'
          AND ($5::bigint[] IS NULL OR service.team_id = ANY($5))
          AND ($6::bigint IS NULL OR m.service_id = $6)
          AND ($7::bigint IS NULL OR m.environment_id = $7)
        GROUP BY m.service_id
        HAVING bool_and(coalesce(dimension_value(m.dimensions, $8::text, team.cost_center), '') = $9::text)
        ORDER BY m.service_id LIMIT $10
        "#,
        filter.days.start(),
        filter.days.end(),
        compared.start(),
        compared.end(),
        scope.team_ids(),
        filter.service_id,
        filter.environment_id,
        dimension.0,
        dimension.1,
        SERVICE_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, SERVICE_COUNT_MAX, "services with the value")
}
