//! Looks at the places of sources, and what came of them.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

/// Looks of a source that are kept.
const KEPT_MAX: i64 = 100;

/// The kind of the jobs that read sources.
pub const READ_SOURCE: &str = "read_source";

/// What came of a look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// `new`, `nothing-new`, `partial` or `failed`.
    pub result: &'static str,
    /// Objects that lie at the place.
    pub object_count: i64,
    /// Deliveries that came of it.
    pub delivery_ids: Vec<i64>,
    /// What happened, where there is something to say.
    pub message: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// A look as a page shows it.
#[derive(Debug, Clone)]
pub struct ReadRow {
    /// Its number.
    pub source_read_id: i64,
    /// Who asked for it: a login, `schedule` or `command line`.
    pub asked_by: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// `running`, `new`, `nothing-new`, `partial` or `failed`.
    pub result: String,
    /// Objects that lie at the place.
    pub object_count: i64,
    /// Deliveries that came of it.
    pub delivery_ids: Vec<i64>,
    /// What happened.
    pub message: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// A look begins. One that a dead process left open is closed.
pub async fn begin(conn: &mut PgConnection, source_id: i64, asked_by: &str, now: DateTime<Utc>) -> sqlx::Result<i64> {
    sqlx::query!(
        "UPDATE source_read SET result = 'failed', finished_at = $2, message = 'The server ended while it read.',
            remedy = 'It is tried again.'
         WHERE source_id = $1 AND result = 'running'",
        source_id,
        now
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query_scalar!(
        "INSERT INTO source_read (source_id, asked_by, started_at, result) VALUES ($1, $2, $3, 'running')
         RETURNING source_read_id",
        source_id,
        asked_by,
        now
    )
    .fetch_one(conn)
    .await
}

/// A look ended. Old ones are forgotten.
pub async fn finish(
    conn: &mut PgConnection,
    source_id: i64,
    source_read_id: i64,
    outcome: &Outcome,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE source_read SET result = $2, object_count = $3, delivery_ids = $4, message = $5, remedy = $6,
            finished_at = $7
         WHERE source_read_id = $1",
        source_read_id,
        outcome.result,
        outcome.object_count,
        &outcome.delivery_ids,
        outcome.message,
        outcome.remedy,
        now,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "DELETE FROM source_read WHERE source_id = $1 AND source_read_id <= (
             SELECT source_read_id FROM source_read WHERE source_id = $1
             ORDER BY source_read_id DESC OFFSET $2 LIMIT 1)",
        source_id,
        KEPT_MAX,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The last looks of a source, newest first.
pub async fn list(db: impl PgExecutor<'_>, source_id: i64, limit: i64) -> sqlx::Result<Vec<ReadRow>> {
    sqlx::query_as!(
        ReadRow,
        "SELECT source_read_id, asked_by, started_at, finished_at, result, object_count, delivery_ids, message, remedy
         FROM source_read WHERE source_id = $1 ORDER BY source_read_id DESC LIMIT $2",
        source_id,
        limit
    )
    .fetch_all(db)
    .await
}

/// When a source last brought something: a delivery that was counted, or waits.
pub async fn last_delivery_at(db: impl PgExecutor<'_>, source_id: i64) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        "SELECT max(received_at) FROM delivery
         WHERE source_id = $1 AND state NOT IN ('unchanged', 'refused', 'failed')",
        source_id
    )
    .fetch_one(db)
    .await
}
