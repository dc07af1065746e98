//! Changes of list prices by SKU: worked out once where other bills count, not by each analysis that looks at them.

use sqlx::PgConnection;

/// Works out anew which list prices changed, where bills count that did not when it was done last. Gives whether it did.
/// To be called in a transaction of its own, before the view that the changes are read in.
pub async fn bring_up_to_date(conn: &mut PgConnection) -> sqlx::Result<bool> {
    // "prices" in ASCII: a number that nothing else locks. Whoever waits finds the work done.
    sqlx::query!("SELECT pg_advisory_xact_lock(123636696704371)").execute(&mut *conn).await?;
    let mark = sqlx::query_scalar!(
        r#"SELECT coalesce(md5(string_agg(generation_id::text, ' ' ORDER BY generation_id)), '') AS "mark!"
           FROM generation WHERE state = 'current'"#
    )
    .fetch_one(&mut *conn)
    .await?;
    let last = sqlx::query_scalar!("SELECT generation_mark FROM list_price_run").fetch_optional(&mut *conn).await?;
    if last.as_ref() == Some(&mark) {
        return Ok(false);
    }
    sqlx::query!("DELETE FROM list_price_change").execute(&mut *conn).await?;
    sqlx::query!(
        "WITH daily AS (
             SELECT k.provider_name, k.sku_id, k.region_id, d.billing_currency, d.charge_date,
                    sum(d.list_cost) / nullif(sum(d.pricing_quantity), 0) AS price
             FROM daily_cost_by_key d
             JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
             JOIN rollup_key k USING (sub_account_key, rollup_key_id)
             WHERE k.charge_category = 'Usage' AND k.sku_id IS NOT NULL AND d.pricing_quantity > 0 AND d.list_cost > 0
             GROUP BY 1, 2, 3, 4, 5
         ), steps AS (
             SELECT *, lag(price) OVER days AS price_before, lag(price, 2) OVER days AS price_two_before,
                    lead(price) OVER days AS price_after
             FROM daily WINDOW days AS (PARTITION BY provider_name, sku_id, region_id, billing_currency ORDER BY charge_date)
         )
         INSERT INTO list_price_change (provider_name, sku_id, region_id, billing_currency, charge_date, price_before, price)
         SELECT provider_name, sku_id, region_id, billing_currency, charge_date, price_before, price FROM steps
         WHERE abs(price / price_before - 1) > 0.005 AND abs(price_after / price - 1) < 0.001
           AND abs(price_before / price_two_before - 1) < 0.001"
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO list_price_run (generation_mark) VALUES ($1)
         ON CONFLICT (is_the_one) DO UPDATE SET generation_mark = excluded.generation_mark",
        mark
    )
    .execute(conn)
    .await?;
    Ok(true)
}
