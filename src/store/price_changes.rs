//! Changes of list and of negotiated prices by SKU and billing account: worked out once where other bills count, not by
//! each analysis that looks at them.

use super::shared_analysis::SharedAnalysis;
use chrono::{Days, NaiveDate};
use sqlx::PgConnection;

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
    let around = |days: i32| {
        let days = Days::new(days.unsigned_abs().into());
        (first.checked_sub_days(days), last.checked_add_days(days))
    };
    let ((told_from, told_to), (read_from, read_to)) = (around(2 * NEIGHBOUR_DAYS), around(4 * NEIGHBOUR_DAYS));
    sqlx::query!(
        "DELETE FROM price_change
         WHERE ($1::date IS NULL OR charge_date >= $1) AND ($2::date IS NULL OR charge_date <= $2)",
        told_from,
        told_to
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "WITH daily AS MATERIALIZED (
             SELECT k.billing_account_id, k.provider_name, k.sku_id, k.region_id, d.billing_currency, d.charge_date,
                    sum(d.list_cost) FILTER (WHERE d.list_cost > 0)
                        / sum(d.pricing_quantity) FILTER (WHERE d.list_cost > 0) AS list_price,
                    sum(d.contracted_cost) FILTER (WHERE is_negotiated)
                        / sum(d.pricing_quantity) FILTER (WHERE is_negotiated) AS contracted_price
             FROM generation g
             JOIN daily_cost_by_key d ON d.generation_id = g.generation_id
                 AND ($4::date IS NULL OR d.charge_date >= $4) AND ($5::date IS NULL OR d.charge_date <= $5)
             JOIN rollup_key k ON k.sub_account_key = d.sub_account_key AND k.rollup_key_id = d.rollup_key_id
             CROSS JOIN LATERAL (
                 SELECT d.contracted_cost > 0 AND coalesce(k.commitment_discount_status, '') = ''
                        AND coalesce(k.pricing_category, 'Standard') = 'Standard' AS is_negotiated
             ) n
             WHERE g.state = 'current'
               AND ($4::date IS NULL OR g.last_charge_date >= $4) AND ($5::date IS NULL OR g.first_charge_date <= $5)
               AND k.charge_category = 'Usage' AND k.sku_id IS NOT NULL AND d.pricing_quantity > 0
               AND (d.list_cost > 0 OR d.contracted_cost > 0)
             GROUP BY 1, 2, 3, 4, 5, 6
         ), prices AS (
             SELECT is_contracted, billing_account_id, provider_name, sku_id, region_id, billing_currency, charge_date, price
             FROM daily CROSS JOIN LATERAL (VALUES (false, list_price), (true, contracted_price)) p (is_contracted, price)
             WHERE price > 0
         ), steps AS (
             SELECT *, lag(price) OVER days AS price_before, lag(price, 2) OVER days AS price_two_before,
                    lead(price) OVER days AS price_after, lag(charge_date) OVER days AS day_before,
                    lag(charge_date, 2) OVER days AS day_two_before, lead(charge_date) OVER days AS day_after
             FROM prices WINDOW days AS (PARTITION BY is_contracted, billing_account_id, provider_name, sku_id, region_id,
                 billing_currency ORDER BY charge_date)
         ), found AS (
             SELECT *, bool_or(NOT is_contracted) OVER (PARTITION BY billing_account_id, provider_name, sku_id, region_id,
                 billing_currency, charge_date) AS is_listed
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
         FROM found WHERE NOT is_contracted OR NOT is_listed",
        NEIGHBOUR_DAYS,
        told_from,
        told_to,
        read_from,
        read_to
    )
    .execute(conn)
    .await?;
    Ok(())
}
