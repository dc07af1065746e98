//! What reviewers wrote about the cost of a deployment.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// The longest note, in characters.
pub const NOTE_LENGTH_MAX: usize = 4000;

/// One note.
#[derive(Debug, Clone)]
pub struct DeploymentNote {
    /// What was written.
    pub note: String,
    /// By whom.
    pub written_by: String,
    /// When.
    pub written_at: DateTime<Utc>,
}

/// The notes of a deployment, the newest first.
pub async fn of_deployment(conn: &mut PgConnection, deployment_id: i64) -> sqlx::Result<Vec<DeploymentNote>> {
    sqlx::query_as!(
        DeploymentNote,
        "SELECT note, written_by, written_at FROM deployment_note
         WHERE deployment_id = $1 ORDER BY deployment_note_id DESC LIMIT 100",
        deployment_id
    )
    .fetch_all(conn)
    .await
}

/// Adds a note.
pub async fn add(
    conn: &mut PgConnection,
    deployment_id: i64,
    note: &str,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO deployment_note (deployment_id, note, written_by, written_at) VALUES ($1, $2, $3, $4)",
        deployment_id,
        note,
        by,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}
