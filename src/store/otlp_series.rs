//! The last value of each series that came by OTLP.

use crate::usage::LastValue;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// The last values of these series.
pub async fn last(conn: &mut PgConnection, series: &[Uuid]) -> sqlx::Result<HashMap<Uuid, LastValue>> {
    let rows = sqlx::query!(
        "SELECT fingerprint, started_at, last_at, last_value FROM otlp_series WHERE fingerprint = ANY($1)",
        series
    )
    .fetch_all(conn)
    .await?;
    let last = rows.into_iter().map(|row| {
        let value = LastValue { started_at: row.started_at, at: row.last_at, value: row.last_value };
        (row.fingerprint, value)
    });
    Ok(last.collect())
}

/// Remembers these as the last values of their series.
pub async fn keep(conn: &mut PgConnection, values: &HashMap<Uuid, (String, LastValue)>) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = values.keys().copied().collect();
    let metrics: Vec<String> = values.values().map(|(metric, _)| metric.clone()).collect();
    let starts: Vec<Option<DateTime<Utc>>> = values.values().map(|(_, value)| value.started_at).collect();
    let times: Vec<DateTime<Utc>> = values.values().map(|(_, value)| value.at).collect();
    let amounts: Vec<_> = values.values().map(|(_, value)| value.value.clone()).collect();
    sqlx::query!(
        "INSERT INTO otlp_series (fingerprint, metric, started_at, last_at, last_value)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::numeric[])
         ON CONFLICT (fingerprint) DO UPDATE SET metric = excluded.metric, started_at = excluded.started_at,
             last_at = excluded.last_at, last_value = excluded.last_value",
        &ids,
        &metrics,
        &starts as &[Option<DateTime<Utc>>],
        &times,
        &amounts,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Forgets series that nothing came of since then: one that comes again begins anew.
pub async fn forget_before(conn: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<u64> {
    sqlx::query!("DELETE FROM otlp_series WHERE last_at < $1", before)
        .execute(conn)
        .await
        .map(|done| done.rows_affected())
}
