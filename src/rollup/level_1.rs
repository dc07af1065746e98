//! Rollup level 1 out of level 2: by service and environment, by day and by billing period.

use sqlx::PgConnection;

/// Adds up `daily_cost` and `monthly_cost` of these generations anew: the charges' own cost. What splits moved is gone
/// then; [`super::splits`] moves it again.
pub(super) async fn rebuild(conn: &mut PgConnection, generation_ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM daily_cost WHERE generation_id = ANY($1)", generation_ids).execute(&mut *conn).await?;
    sqlx::query!("DELETE FROM monthly_cost WHERE generation_id = ANY($1)", generation_ids).execute(&mut *conn).await?;
    // Rows that were just loaded have no statistics: the planner would sort them by eight columns in several
    // processes, which takes twice as long as hashing them. Work memory holds some 100,000 sums.
    sqlx::raw_sql("SET LOCAL work_mem = '64MB'; SET LOCAL enable_sort = off").execute(&mut *conn).await?;
    sqlx::query!(
        "INSERT INTO daily_cost (service_id, charge_date, environment_id, generation_id, provider_name,
             charge_category, billing_currency, charge_count, billed_cost, effective_cost, list_cost, contracted_cost,
             is_used)
         SELECT m.service_id, d.charge_date, m.environment_id, d.generation_id, coalesce(k.provider_name, ''),
             coalesce(k.charge_category, ''), d.billing_currency, sum(d.charge_count), sum(d.billed_cost),
             sum(d.effective_cost), sum(d.list_cost), sum(d.contracted_cost),
             is_charge_part('used', k.charge_category, k.charge_class, k.commitment_discount_status, k.pricing_category)
         FROM daily_cost_by_key d
         JOIN rollup_key k USING (sub_account_key, rollup_key_id)
         JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
             AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
         WHERE d.generation_id = ANY($1)
         GROUP BY 1, 2, 3, 4, 5, 6, 7, 13",
        generation_ids,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO monthly_cost (generation_id, billing_period_start, service_id, environment_id, provider_name,
             charge_category, billing_currency, charge_count, billed_cost, effective_cost, list_cost, contracted_cost)
         SELECT d.generation_id, g.billing_period_start, d.service_id, d.environment_id, d.provider_name,
             d.charge_category, d.billing_currency, sum(d.charge_count), sum(d.billed_cost), sum(d.effective_cost),
             sum(d.list_cost), sum(d.contracted_cost)
         FROM daily_cost d JOIN generation g USING (generation_id)
         WHERE d.generation_id = ANY($1)
         GROUP BY 1, 2, 3, 4, 5, 6, 7",
        generation_ids,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::raw_sql("RESET work_mem; RESET enable_sort").execute(conn).await?;
    Ok(())
}
