//! The closed months in which cost would change hands: their statements are copies, which a rule does not reach.

use super::{Asked, days_of};
use crate::focus::{BillingPeriod, DateRange};
use crate::store::month_closing;
use sqlx::PgConnection;
use uuid::Uuid;

/// Those whose bills hold cost of these days that would change hands, the oldest first. Of a service that would be gone
/// its shares of shared cost do too, whatever keys move.
pub(super) async fn ask(
    conn: &mut PgConnection,
    asked: &[Asked],
    removed_service: Option<i64>,
    days: DateRange,
) -> sqlx::Result<Vec<BillingPeriod>> {
    // Most often none is, and then no cost is looked at.
    if month_closing::closed(&mut *conn).await?.is_empty() {
        return Ok(Vec::new());
    }
    let moved: Vec<&Asked> = asked.iter().filter(|one| one.move_index.is_some()).collect();
    let ids: Vec<Uuid> = moved.iter().map(|one| one.rollup_key_id).collect();
    let (first_days, end_days) = days_of(&moved);
    let months = sqlx::query_scalar!(
        r#"WITH touched AS (
             SELECT g.billing_period_start
             FROM unnest($1::uuid[], $2::date[], $3::date[]) AS n (rollup_key_id, first_day, end_day)
             JOIN rollup_key k USING (rollup_key_id)
             JOIN daily_cost_by_key d USING (sub_account_key, rollup_key_id)
             JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
             WHERE d.charge_date >= $4 AND d.charge_date < $5
               AND d.charge_date >= n.first_day AND d.charge_date < n.end_day
             UNION
             SELECT g.billing_period_start
             FROM daily_cost d
             JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
             WHERE d.service_id = $6::bigint AND d.charge_date >= $4 AND d.charge_date < $5
         )
         SELECT DISTINCT c.month FROM month_closing c
         JOIN touched t ON t.billing_period_start >= c.month
             AND t.billing_period_start < c.month + interval '1 month'
         WHERE c.reopened_at IS NULL ORDER BY c.month"#,
        &ids,
        &first_days,
        &end_days,
        days.start(),
        days.end(),
        removed_service,
    )
    .fetch_all(conn)
    .await?;
    Ok(months.into_iter().map(BillingPeriod::containing).collect())
}
