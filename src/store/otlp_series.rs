//! The last values of each series that came by OTLP.

use crate::usage::{LastValue, Recent};
use bigdecimal::BigDecimal;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// What is remembered of these series.
pub async fn recent(conn: &mut PgConnection, series: &[Uuid]) -> sqlx::Result<HashMap<Uuid, Recent>> {
    let rows = sqlx::query!("SELECT fingerprint, recent FROM otlp_series WHERE fingerprint = ANY($1)", series)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(|row| Ok((row.fingerprint, read(row.recent)?))).collect()
}

/// Remembers this of these series, each with its metric.
pub async fn keep(conn: &mut PgConnection, series: &HashMap<Uuid, (String, Recent)>) -> sqlx::Result<()> {
    let (mut ids, mut metrics, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut times, mut amounts, mut recents) = (Vec::new(), Vec::new(), Vec::new());
    for (id, (metric, recent)) in series {
        let Some(last) = recent.values().last() else { continue };
        ids.push(*id);
        metrics.push(metric.clone());
        starts.push(last.started_at);
        times.push(last.at);
        amounts.push(last.value.clone());
        recents.push(Value::Array(recent.values().iter().map(written).collect()));
    }
    sqlx::query!(
        "INSERT INTO otlp_series (fingerprint, metric, started_at, last_at, last_value, recent)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::numeric[], $6::jsonb[])
         ON CONFLICT (fingerprint) DO UPDATE SET metric = excluded.metric, started_at = excluded.started_at,
             last_at = excluded.last_at, last_value = excluded.last_value, recent = excluded.recent",
        &ids,
        &metrics,
        &starts as &[Option<DateTime<Utc>>],
        &times,
        &amounts,
        &recents,
    )
    .execute(conn)
    .await
    .map(drop)
}

fn written(value: &LastValue) -> Value {
    let started = value.started_at.map(|started| started.timestamp_micros());
    json!([started, value.at.timestamp_micros(), value.value.to_plain_string()])
}

fn read(recent: Value) -> sqlx::Result<Recent> {
    let values: Vec<(Option<i64>, i64, BigDecimal)> =
        serde_json::from_value(recent).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let value = |(started, at, value): (Option<i64>, i64, BigDecimal)| {
        let started_at = started.and_then(DateTime::from_timestamp_micros);
        DateTime::from_timestamp_micros(at).map(|at| LastValue { started_at, at, value })
    };
    Ok(Recent::of(values.into_iter().filter_map(value).collect()))
}

/// Forgets series that nothing came of since then: one that comes again begins anew.
pub async fn forget_before(conn: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<u64> {
    sqlx::query!("DELETE FROM otlp_series WHERE last_at < $1", before)
        .execute(conn)
        .await
        .map(|done| done.rows_affected())
}
