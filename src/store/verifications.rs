//! Runs of the proof, so that a page can say when it last held.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// One run of every check.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The run.
    pub verification_id: i64,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Who asked for it.
    pub started_by: String,
    /// When it ended; `None` while it runs, or where the server stopped meanwhile.
    pub finished_at: Option<DateTime<Utc>>,
    /// The publication that it saw.
    pub publication_id: i64,
    /// `[{"name", "checked", "differences": […]}]`.
    pub checks: serde_json::Value,
    /// Why it could not be finished.
    pub error: Option<String>,
}

/// Notes that a run begins.
pub async fn begin(conn: &mut PgConnection, by: &str, now: DateTime<Utc>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "INSERT INTO verification (started_at, started_by, publication_id)
         SELECT $1, $2, coalesce(max(publication_id), 0) FROM publication RETURNING verification_id",
        now,
        by
    )
    .fetch_one(conn)
    .await
}

/// Notes what a run found, or why it ended without a result.
pub async fn finish(
    conn: &mut PgConnection,
    verification_id: i64,
    now: DateTime<Utc>,
    checks: &serde_json::Value,
    error: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE verification SET finished_at = $2, checks = $3, error = $4 WHERE verification_id = $1",
        verification_id,
        now,
        checks,
        error
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The latest runs, newest first.
pub async fn latest(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Verification>> {
    sqlx::query_as!(
        Verification,
        "SELECT verification_id, started_at, started_by, finished_at, publication_id, checks, error
         FROM verification ORDER BY verification_id DESC LIMIT $1",
        limit
    )
    .fetch_all(conn)
    .await
}
