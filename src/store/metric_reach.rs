//! Up to when the values of a metric are known for a service.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Says up to when values of these metrics and services are known. What was known further stays.
pub async fn extend(conn: &mut PgConnection, reached: &BTreeMap<(String, i64), DateTime<Utc>>) -> sqlx::Result<()> {
    let metrics: Vec<String> = reached.keys().map(|(metric, _)| metric.clone()).collect();
    let services: Vec<i64> = reached.keys().map(|(_, service_id)| *service_id).collect();
    let ends: Vec<DateTime<Utc>> = reached.values().copied().collect();
    sqlx::query!(
        "INSERT INTO metric_reach AS known (metric, service_id, complete_through)
         SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[])
         ON CONFLICT (metric, service_id)
         DO UPDATE SET complete_through = greatest(known.complete_through, excluded.complete_through)",
        &metrics,
        &services,
        &ends,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// After values were taken away, of one service or of any: what is left is known to its own end at most, since the end
/// may have been that of what is gone. A service without values is not known up to anywhere.
pub async fn set_anew(conn: &mut PgConnection, metric: &str, service_id: Option<i64>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE metric_reach r SET complete_through = rest.ends_at
         FROM (SELECT v.service_id, max(v.ends_at) AS ends_at
               FROM (SELECT p.service_id, (p.charge_date + 1)::timestamp AT TIME ZONE 'UTC' AS ends_at
                     FROM metric_point p WHERE p.metric = $1 AND p.hour_count IS NULL
                     UNION ALL
                     SELECT h.service_id, h.hour + interval '1 hour' FROM metric_hour h WHERE h.metric = $1) v
               GROUP BY v.service_id) rest
         WHERE r.metric = $1 AND r.service_id = rest.service_id AND r.complete_through > rest.ends_at
           AND ($2::bigint IS NULL OR r.service_id = $2)",
        metric,
        service_id,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "DELETE FROM metric_reach r WHERE r.metric = $1
           AND NOT EXISTS (SELECT FROM metric_point p WHERE p.metric = r.metric AND p.service_id = r.service_id)
           AND NOT EXISTS (SELECT FROM metric_hour h WHERE h.metric = r.metric AND h.service_id = r.service_id)",
        metric,
    )
    .execute(conn)
    .await
    .map(drop)
}
