//! Changes of list and of negotiated prices by SKU and billing account: worked out once where other bills count, not by
//! each analysis that looks at them.

use super::shared_analysis::SharedAnalysis;
use chrono::{Days, NaiveDate};
use sqlx::{Executor, PgConnection};

/// Days of a SKU are neighbours where no more than so many lie between them: further back a price says nothing of today's.
/// It bounds what a new bill can change.
const NEIGHBOUR_DAYS: i32 = 7;

/// Works out anew which prices changed, around the days of bills that began or ended to count since it was done last.
/// Gives whether there were any. To be called in a transaction of its own, before the view that the changes are read in.
pub async fn bring_up_to_date(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let Some(changed) = SharedAnalysis::Prices.begin(&mut *conn).await? else { return Ok(false) };
    let days = sqlx::query!(
        "WITH changed (generation_id) AS (
             (SELECT unnest($1::bigint[]) EXCEPT SELECT unnest($2::bigint[]))
             UNION ALL (SELECT unnest($2::bigint[]) EXCEPT SELECT unnest($1::bigint[]))
         )
         SELECT min(g.first_charge_date) AS first, max(g.last_charge_date) AS last,
                bool_or(g.generation_id IS NULL) AS is_any_gone
         FROM changed LEFT JOIN generation g USING (generation_id)",
        &changed.before,
        &changed.now
    )
    .fetch_one(&mut *conn)
    .await?;
    // Of a generation that was purged nobody knows the days any more: then all are looked at.
    let known = |day: Option<NaiveDate>| day.filter(|_| days.is_any_gone != Some(true));
    let (first, last) = (known(days.first), known(days.last));
    compare(&mut *conn, first.unwrap_or(NaiveDate::MIN), last.unwrap_or(NaiveDate::MAX)).await?;
    changed.done(conn).await?;
    Ok(true)
}

// A price is told by the two days before and the one after it: so far around changed days it may have changed. What was
// negotiated is told where no commitment and no market makes the price, and only where the list price says nothing: of a
// list price that changed, discounts follow.
async fn compare(conn: &mut PgConnection, first: NaiveDate, last: NaiveDate) -> sqlx::Result<()> {
    let days = |neighbours: i32| Days::new((neighbours * NEIGHBOUR_DAYS).unsigned_abs().into());
    let (told_from, told_to) = (first.checked_sub_days(days(1)), last.checked_add_days(days(2)));
    let (read_from, read_to) = (first.checked_sub_days(days(3)), last.checked_add_days(days(3)));
    sqlx::query!(
        "DELETE FROM price_change
         WHERE ($1::date IS NULL OR charge_date >= $1) AND ($2::date IS NULL OR charge_date <= $2)",
        told_from,
        told_to
    )
    .execute(&mut *conn)
    .await?;
    // Of a bill that was just loaded the planner expects a handful of rows, and would look for each of them.
    conn.execute("SET LOCAL enable_nestloop = off").await?;
    // Prices go by numbers: by their texts, sorting their days takes longer than all else. Most never move so far that
    // there could be a change, and their days are not sorted at all.
    sqlx::query!(
        "WITH priced AS MATERIALIZED (
             SELECT sub_account_key, rollup_key_id, billing_account_id, provider_name, sku_id, region_id,
                    dense_rank() OVER (ORDER BY billing_account_id, provider_name, sku_id, region_id) AS price_id,
                    coalesce(commitment_discount_status, '') = ''
                        AND coalesce(pricing_category, 'Standard') = 'Standard' AS is_negotiable
             FROM rollup_key WHERE charge_category = 'Usage' AND sku_id IS NOT NULL
         ), daily AS MATERIALIZED (
             SELECT k.price_id, d.billing_currency, d.charge_date,
                    sum(d.list_cost) FILTER (WHERE d.list_cost > 0)
                        / sum(d.pricing_quantity) FILTER (WHERE d.list_cost > 0) AS list_price,
                    sum(d.contracted_cost) FILTER (WHERE is_negotiable AND d.contracted_cost > 0)
                        / sum(d.pricing_quantity) FILTER (WHERE is_negotiable AND d.contracted_cost > 0)
                        AS contracted_price
             FROM generation g
             JOIN daily_cost_by_key d ON d.generation_id = g.generation_id
                 AND ($4::date IS NULL OR d.charge_date >= $4) AND ($5::date IS NULL OR d.charge_date <= $5)
             JOIN priced k ON k.sub_account_key = d.sub_account_key AND k.rollup_key_id = d.rollup_key_id
             WHERE g.state = 'current'
               AND ($4::date IS NULL OR g.last_charge_date >= $4) AND ($5::date IS NULL OR g.first_charge_date <= $5)
               AND d.pricing_quantity > 0 AND (d.list_cost > 0 OR d.contracted_cost > 0)
             GROUP BY 1, 2, 3
         ), moving AS (
             SELECT price_id, billing_currency, is_contracted
             FROM (SELECT price_id, billing_currency, max(list_price) > min(list_price) * 1.005 AS is_list_moving,
                          max(contracted_price) > min(contracted_price) * 1.005 AS is_contracted_moving
                   FROM daily GROUP BY 1, 2) spread
             CROSS JOIN LATERAL (VALUES (false, is_list_moving), (true, is_contracted_moving)) p (is_contracted, is_moving)
             WHERE is_moving
         ), prices AS (
             SELECT is_contracted, price_id, billing_currency, charge_date, price
             FROM daily JOIN moving USING (price_id, billing_currency)
             CROSS JOIN LATERAL (SELECT CASE WHEN is_contracted THEN contracted_price ELSE list_price END AS price) p
             WHERE price > 0
         ), steps AS (
             SELECT *, lag(price) OVER days AS price_before, lag(price, 2) OVER days AS price_two_before,
                    lead(price) OVER days AS price_after, lag(charge_date) OVER days AS day_before,
                    lag(charge_date, 2) OVER days AS day_two_before, lead(charge_date) OVER days AS day_after
             FROM prices WINDOW days AS (PARTITION BY is_contracted, price_id, billing_currency ORDER BY charge_date)
         ), found AS (
             SELECT *, bool_or(NOT is_contracted) OVER (PARTITION BY price_id, billing_currency, charge_date) AS is_listed
             FROM steps
             WHERE ($2::date IS NULL OR charge_date >= $2) AND ($3::date IS NULL OR charge_date <= $3)
               AND abs(price / price_before - 1) > 0.005 AND abs(price_after / price - 1) < 0.001
               AND abs(price_before / price_two_before - 1) < 0.001
               AND charge_date - day_before <= $1 AND day_before - day_two_before <= $1 AND day_after - charge_date <= $1
         )
         INSERT INTO price_change (is_contracted, billing_account_id, provider_name, sku_id, region_id, billing_currency,
             charge_date, price_before, price)
         SELECT is_contracted, billing_account_id, provider_name, sku_id, region_id, billing_currency, charge_date,
             price_before, price
         FROM found
         JOIN (SELECT DISTINCT price_id, billing_account_id, provider_name, sku_id, region_id FROM priced) named
             USING (price_id)
         WHERE NOT is_contracted OR NOT is_listed",
        NEIGHBOUR_DAYS,
        told_from,
        told_to,
        read_from,
        read_to
    )
    .execute(&mut *conn)
    .await?;
    conn.execute("RESET enable_nestloop").await.map(drop)
}
