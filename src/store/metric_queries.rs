//! Questions to Prometheus servers that are asked every hour.

use super::seal::{Key, Place, SealError};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

/// The job that asks one.
pub const PULL_METRICS: &str = "pull_metrics";
/// Queries that an installation may have.
pub const QUERIES_MAX: i64 = 500;
const TABLE: &str = "metric_query";
const COLUMN: &str = "bearer_token_sealed";

/// A stored query.
#[derive(Debug, Clone)]
pub struct MetricQuery {
    /// Its number.
    pub metric_query_id: i64,
    /// The metric that its values are of.
    pub metric: String,
    /// The address in front of `/api/v1/query_range`.
    pub address: String,
    /// What is asked.
    pub promql: String,
    /// The label that names the service.
    pub service_label: String,
    /// The label that names the environment; empty for none.
    pub environment_label: String,
    /// The token, sealed.
    pub bearer_token_sealed: Option<Vec<u8>>,
    /// Nobody asks it for now.
    pub is_paused: bool,
    /// When it is asked next.
    pub next_pull_at: DateTime<Utc>,
    /// When it was asked last.
    pub last_pull_at: Option<DateTime<Utc>>,
    /// Values that the last pull brought.
    pub last_point_count: Option<i64>,
    /// Why the last pull brought nothing.
    pub last_error: Option<String>,
    /// Who changed it last.
    pub changed_by: String,
    /// When.
    pub changed_at: DateTime<Utc>,
}

impl MetricQuery {
    /// The token, opened.
    pub fn bearer_token(&self, key: &Key) -> Result<Option<String>, SealError> {
        let Some(sealed) = &self.bearer_token_sealed else { return Ok(None) };
        let opened = key.open(place(self.metric_query_id), sealed)?;
        String::from_utf8(opened).map(Some).map_err(|_| SealError::Broken)
    }
}

fn place(metric_query_id: i64) -> Place<'static> {
    Place { table: TABLE, row: metric_query_id, column: COLUMN }
}

/// What can be changed of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of MetricQuery of that name")]
pub struct QueryValues {
    pub metric: String,
    pub address: String,
    pub promql: String,
    pub service_label: String,
    pub environment_label: String,
}

/// All queries by metric.
pub async fn list(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<MetricQuery>> {
    sqlx::query_as!(
        MetricQuery,
        "SELECT metric_query_id, metric, address, promql, service_label, environment_label, bearer_token_sealed, is_paused,
                next_pull_at, last_pull_at, last_point_count, last_error, changed_by, changed_at
         FROM metric_query ORDER BY metric, metric_query_id LIMIT $1",
        QUERIES_MAX
    )
    .fetch_all(db)
    .await
}

/// The query of this number.
pub async fn get(db: impl PgExecutor<'_>, metric_query_id: i64) -> sqlx::Result<Option<MetricQuery>> {
    sqlx::query_as!(
        MetricQuery,
        "SELECT metric_query_id, metric, address, promql, service_label, environment_label, bearer_token_sealed, is_paused,
                next_pull_at, last_pull_at, last_point_count, last_error, changed_by, changed_at
         FROM metric_query WHERE metric_query_id = $1",
        metric_query_id
    )
    .fetch_optional(db)
    .await
}

/// Adds a query, or changes one: it is asked at once. `None` for the token leaves the one that is kept, an empty one
/// forgets it. Gives the number; none where there is no such query.
pub async fn put(
    conn: &mut PgConnection,
    key: &Key,
    metric_query_id: Option<i64>,
    values: &QueryValues,
    bearer_token: Option<&str>,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    let id = match metric_query_id {
        None => {
            sqlx::query_scalar!(
                "INSERT INTO metric_query (metric, address, promql, service_label, environment_label, next_pull_at,
                     changed_by, changed_at)
                 VALUES ($1, $2, $3, $4, $5, $7, $6, $7) RETURNING metric_query_id",
                values.metric,
                values.address,
                values.promql,
                values.service_label,
                values.environment_label,
                by,
                now,
            )
            .fetch_optional(&mut *conn)
            .await?
        }
        Some(id) => {
            sqlx::query_scalar!(
                "UPDATE metric_query SET metric = $2, address = $3, promql = $4, service_label = $5,
                     environment_label = $6, next_pull_at = $8, changed_by = $7, changed_at = $8, last_error = NULL
                 WHERE metric_query_id = $1 RETURNING metric_query_id",
                id,
                values.metric,
                values.address,
                values.promql,
                values.service_label,
                values.environment_label,
                by,
                now,
            )
            .fetch_optional(&mut *conn)
            .await?
        }
    };
    let (Some(id), Some(token)) = (id, bearer_token) else { return Ok(id) };
    let sealed = (!token.is_empty()).then(|| key.seal(place(id), token.as_bytes()));
    sqlx::query!("UPDATE metric_query SET bearer_token_sealed = $2 WHERE metric_query_id = $1", id, sealed)
        .execute(conn)
        .await?;
    Ok(Some(id))
}

/// Lets a query wait, or go on: then it is asked at once. False where there is none.
pub async fn set_paused(
    conn: &mut PgConnection,
    metric_query_id: i64,
    is_paused: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let updated = sqlx::query!(
        "UPDATE metric_query SET is_paused = $2, next_pull_at = $3 WHERE metric_query_id = $1",
        metric_query_id,
        is_paused,
        now,
    )
    .execute(conn)
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// Forgets a query; what it brought stays. False where there is none.
pub async fn delete(conn: &mut PgConnection, metric_query_id: i64) -> sqlx::Result<bool> {
    let deleted = sqlx::query!("DELETE FROM metric_query WHERE metric_query_id = $1", metric_query_id);
    Ok(deleted.execute(conn).await?.rows_affected() == 1)
}

/// Queries that are due: they are due again five minutes after the next full hour. What another process looks at is left
/// out.
pub async fn take_due(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "UPDATE metric_query
         SET next_pull_at = date_trunc('hour', $1::timestamptz, 'UTC') + interval '1 hour 5 minutes'
         WHERE metric_query_id IN (
             SELECT metric_query_id FROM metric_query WHERE NOT is_paused AND next_pull_at <= $1
             ORDER BY next_pull_at LIMIT 50 FOR UPDATE SKIP LOCKED)
         RETURNING metric_query_id",
        now
    )
    .fetch_all(conn)
    .await
}

/// Writes down what came of a pull: how many values, or why none.
pub async fn pulled(
    conn: &mut PgConnection,
    metric_query_id: i64,
    result: Result<i64, &str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (point_count, error) = (result.ok(), result.err());
    sqlx::query!(
        "UPDATE metric_query SET last_pull_at = $2, last_point_count = coalesce($3, last_point_count), last_error = $4
         WHERE metric_query_id = $1",
        metric_query_id,
        now,
        point_count,
        error,
    )
    .execute(conn)
    .await
    .map(drop)
}
