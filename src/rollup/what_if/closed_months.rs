//! The closed months in which cost would change hands: their statements are copies, which a rule does not reach.

use super::{Asked, days_of};
use crate::focus::BillingPeriod;
use crate::store::{month_closing, splits};
use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

/// Those whose bills hold cost that would change hands, the oldest first, however long ago. Of a service that would be
/// gone its shares of shared cost do too, whatever keys move.
///
/// Every key is asked about, whenever it has cost, on the days on which its owner would be another: the ranges of a
/// preview bound its amounts, not this. Where only some groups leave a key, all cost of the key stands for theirs, so
/// that a month may be named that has none of them. Splits move shares along on the same days: closed months whose own
/// bills stay are named where they share cost on such a day.
pub(super) async fn ask(
    conn: &mut PgConnection,
    asked: &[Asked],
    removed_service: Option<i64>,
) -> sqlx::Result<Vec<BillingPeriod>> {
    let moved: Vec<&Asked> = asked.iter().filter(|one| one.move_index.is_some()).collect();
    // Most often no month is closed, and then no cost is looked at.
    if moved.is_empty() && removed_service.is_none() {
        return Ok(Vec::new());
    }
    let closed = month_closing::closed(&mut *conn).await?;
    if closed.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = moved.iter().map(|one| one.rollup_key_id).collect();
    let (first_days, end_days) = days_of(&moved);
    // Month by month, each only up to the first cost that is found: `OR` keeps `EXISTS` from becoming a join.
    let mut months = sqlx::query_scalar!(
        "SELECT c.month FROM month_closing c
         WHERE c.reopened_at IS NULL
           AND (EXISTS (SELECT FROM generation g
                        JOIN unnest($1::uuid[], $2::date[], $3::date[]) AS n (rollup_key_id, first_day, end_day) ON true
                        JOIN daily_cost_by_key d
                            ON d.generation_id = g.generation_id AND d.rollup_key_id = n.rollup_key_id
                            AND d.charge_date >= n.first_day AND d.charge_date < n.end_day
                        WHERE g.state = 'current' AND g.billing_period_start >= c.month
                          AND g.billing_period_start < c.month + interval '1 month')
                OR EXISTS (SELECT FROM generation g
                           JOIN monthly_cost m ON m.generation_id = g.generation_id AND m.service_id = $4::bigint
                           WHERE g.state = 'current' AND g.billing_period_start >= c.month
                             AND g.billing_period_start < c.month + interval '1 month'))
         ORDER BY c.month",
        &ids,
        &first_days,
        &end_days,
        removed_service,
    )
    .fetch_all(&mut *conn)
    .await?;
    let others: Vec<NaiveDate> = closed.iter().map(|one| one.month).filter(|month| !months.contains(month)).collect();
    if !moved.is_empty() && !others.is_empty() && !splits::list(&mut *conn).await?.is_empty() {
        months.extend(by_shares(conn, (&ids, &first_days, &end_days), &others).await?);
        months.sort_unstable();
    }
    Ok(months.into_iter().map(BillingPeriod::containing).collect())
}

/// Those of the months whose bills have shares of shared cost on a day on which cost of other bills would change hands.
/// Not each share depends on that cost, so that a month may be named in which all of them stay.
async fn by_shares(
    conn: &mut PgConnection,
    (ids, first_days, end_days): (&[Uuid], &[NaiveDate], &[NaiveDate]),
    months: &[NaiveDate],
) -> sqlx::Result<Vec<NaiveDate>> {
    sqlx::query_scalar!(
        r#"WITH moved AS (
             SELECT DISTINCT d.charge_date
             FROM unnest($1::uuid[], $2::date[], $3::date[]) AS n (rollup_key_id, first_day, end_day)
             JOIN rollup_key k USING (rollup_key_id)
             JOIN daily_cost_by_key d USING (sub_account_key, rollup_key_id)
             JOIN generation o ON o.generation_id = d.generation_id AND o.state = 'current'
             WHERE d.charge_date >= n.first_day AND d.charge_date < n.end_day)
           SELECT c.month AS "month!" FROM unnest($4::date[]) AS c (month)
           WHERE EXISTS (SELECT FROM generation g
                         JOIN daily_cost s ON s.generation_id = g.generation_id AND s.split_id <> 0
                         JOIN moved ON moved.charge_date = s.charge_date
                         WHERE g.state = 'current' AND g.billing_period_start >= c.month
                           AND g.billing_period_start < c.month + interval '1 month')
           ORDER BY 1"#,
        ids,
        first_days,
        end_days,
        months,
    )
    .fetch_all(conn)
    .await
}
