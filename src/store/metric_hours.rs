//! Hours that one who tells them again and again no longer tells.

use super::metric_points::{Columns, make_days};
use super::metric_reach;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Takes away what this one wrote before of these hours of a metric and did not write at `now`, and makes the days of
/// it anew; a day without hours goes. What others wrote stays, as do days that were given as one value. `came` are
/// the services that were told of at `now`: the others are known to the end of what is left at most. Gives the days.
pub async fn delete_left(
    conn: &mut PgConnection,
    metric: &str,
    by: &str,
    hours: &[DateTime<Utc>],
    came: &BTreeSet<i64>,
    now: DateTime<Utc>,
) -> sqlx::Result<BTreeSet<NaiveDate>> {
    let (first, last) = (hours.iter().min(), hours.iter().max());
    let Some((first, last)) = first.zip(last) else { return Ok(BTreeSet::new()) };
    // By way of the days, which have an index by date: a metric may have hours of years.
    let left = sqlx::query!(
        r#"DELETE FROM metric_hour h USING metric_point p
         WHERE p.metric = $1 AND p.charge_date BETWEEN $4 AND $5 AND p.hour_count IS NOT NULL
           AND h.metric = p.metric AND h.service_id = p.service_id AND h.environment_id = p.environment_id
           AND h.hour >= p.charge_date::timestamp AT TIME ZONE 'UTC'
           AND h.hour < (p.charge_date + 1)::timestamp AT TIME ZONE 'UTC'
           AND h.hour = ANY($3) AND h.loaded_by = $2 AND h.loaded_at <> $6
         RETURNING p.service_id AS "service_id!", p.environment_id AS "environment_id!",
             p.charge_date AS "charge_date!""#,
        metric,
        by,
        hours,
        first.date_naive(),
        last.date_naive(),
        now,
    )
    .fetch_all(&mut *conn)
    .await?;
    let places: BTreeSet<(i64, i64, NaiveDate)> =
        left.iter().map(|row| (row.service_id, row.environment_id, row.charge_date)).collect();
    let mut columns = Columns::default();
    for (service_id, environment_id, day) in &places {
        columns.metrics.push(metric.to_owned());
        columns.services.push(*service_id);
        columns.environments.push(*environment_id);
        columns.days.push(*day);
    }
    delete_made_days(&mut *conn, &columns).await?;
    make_days(&mut *conn, &columns, by, now).await?;
    let services: BTreeSet<i64> = columns.services.iter().copied().collect();
    for service_id in services.difference(came) {
        metric_reach::set_anew(&mut *conn, metric, Some(*service_id)).await?;
    }
    Ok(columns.days.into_iter().collect())
}

async fn delete_made_days(conn: &mut PgConnection, columns: &Columns) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM metric_point p
         USING unnest($1::text[], $2::bigint[], $3::bigint[], $4::date[])
             AS n (metric, service_id, environment_id, charge_date)
         WHERE p.metric = n.metric AND p.service_id = n.service_id AND p.environment_id = n.environment_id
           AND p.charge_date = n.charge_date AND p.hour_count IS NOT NULL",
        &columns.metrics,
        &columns.services,
        &columns.environments,
        &columns.days,
    )
    .execute(conn)
    .await
    .map(drop)
}
