//! Which deployments failed though they went live, by which evidence, and what of it is disputed.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

const REASON_COUNT_MAX: i64 = 50;

/// Why a deployment counts as failed, or would if nobody disputed it.
#[derive(Debug, Clone)]
pub struct ChangeFailure {
    /// `rollback`, `hotfix`, `incident`, `revert` or `marked`.
    pub reason: String,
    /// When that was.
    pub failed_at: DateTime<Utc>,
    /// The deployment that went back, or brought the hotfix.
    pub deployment_id: Option<i64>,
    /// The version that it went back to.
    pub version: Option<String>,
    /// The incident.
    pub operational_event_id: Option<i64>,
    /// The incident, or the change that reverted or mended it.
    pub title: Option<String>,
    /// Its page at the sender.
    pub url: Option<String>,
    /// Who marked it.
    pub marked_by: Option<String>,
    /// What they wrote.
    pub note: Option<String>,
    /// Somebody said that it did not fail for this reason: it does not count.
    pub is_disputed: bool,
}

impl ChangeFailure {
    /// Whether somebody may say that it did not fail for this reason: that it went back is a fact, and a mark is taken away.
    pub fn can_be_disputed(&self) -> bool {
        !self.is_disputed && !matches!(self.reason.as_str(), "rollback" | "marked")
    }
}

/// That a deployment did not fail, as far as was known then.
#[derive(Debug, Clone)]
pub struct Dispute {
    /// Why.
    pub note: String,
    /// Who said so.
    pub disputed_by: String,
    /// When.
    pub disputed_at: DateTime<Utc>,
}

/// The reasons for which a deployment counts as failed, and those that are disputed, the earliest first.
pub async fn of_deployment(conn: &mut PgConnection, deployment_id: i64) -> sqlx::Result<Vec<ChangeFailure>> {
    let live = sqlx::query!(
        r#"SELECT d.finished_at AS "finished_at!",
                  coalesce((SELECT array_agg(ds.service_id) FROM deployment_service ds
                            WHERE ds.deployment_id = d.deployment_id), '{}') AS "service_ids!"
           FROM deployment d WHERE d.deployment_id = $1 AND d.finished_at IS NOT NULL"#,
        deployment_id
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(live) = live else { return Ok(Vec::new()) };
    sqlx::query_as!(
        ChangeFailure,
        r#"SELECT DISTINCT f.reason AS "reason!", f.failed_at AS "failed_at!",
                  f.evidence_deployment_id AS deployment_id, d.version AS "version?", f.operational_event_id,
                  coalesce(o.title, c.title) AS title, coalesce(o.url, c.url) AS url,
                  m.marked_by AS "marked_by?", m.note AS "note?",
                  (p.deployment_id IS NOT NULL AND f.reason NOT IN ('marked', 'rollback')
                      AND f.failed_at <= p.disputed_at) AS "is_disputed!"
           FROM change_failures_found($1, $2) f
           LEFT JOIN deployment_failure_dispute p ON p.deployment_id = f.deployment_id
           LEFT JOIN deployment d ON d.deployment_id = f.evidence_deployment_id
           LEFT JOIN operational_event o ON o.operational_event_id = f.operational_event_id
           LEFT JOIN change c ON c.change_id = f.change_id
           LEFT JOIN deployment_failure_mark m ON f.reason = 'marked' AND m.deployment_id = f.deployment_id
           WHERE f.deployment_id = $3 ORDER BY 2, 1 LIMIT $4"#,
        &live.service_ids,
        live.finished_at,
        deployment_id,
        REASON_COUNT_MAX
    )
    .fetch_all(conn)
    .await
}

/// Marks a deployment as failed, or changes what was written.
pub async fn mark(
    conn: &mut PgConnection,
    deployment_id: i64,
    note: &str,
    marked_by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO deployment_failure_mark (deployment_id, note, marked_by, marked_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (deployment_id) DO UPDATE SET note = excluded.note, marked_by = excluded.marked_by,
             marked_at = excluded.marked_at",
        deployment_id,
        note,
        marked_by,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Takes a mark away. False where there was none.
pub async fn unmark(conn: &mut PgConnection, deployment_id: i64) -> sqlx::Result<bool> {
    let removed = sqlx::query!("DELETE FROM deployment_failure_mark WHERE deployment_id = $1", deployment_id)
        .execute(conn)
        .await?;
    Ok(removed.rows_affected() == 1)
}

/// What somebody said against its evidence.
pub async fn dispute_of(conn: &mut PgConnection, deployment_id: i64) -> sqlx::Result<Option<Dispute>> {
    sqlx::query_as!(
        Dispute,
        "SELECT note, disputed_by, disputed_at FROM deployment_failure_dispute WHERE deployment_id = $1",
        deployment_id
    )
    .fetch_optional(conn)
    .await
}

/// Says that a deployment did not fail, whatever was found up to now.
pub async fn dispute(
    conn: &mut PgConnection,
    deployment_id: i64,
    note: &str,
    disputed_by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO deployment_failure_dispute (deployment_id, note, disputed_by, disputed_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (deployment_id) DO UPDATE SET note = excluded.note, disputed_by = excluded.disputed_by,
             disputed_at = excluded.disputed_at",
        deployment_id,
        note,
        disputed_by,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Takes that back. False where nobody said so.
pub async fn undispute(conn: &mut PgConnection, deployment_id: i64) -> sqlx::Result<bool> {
    let removed = sqlx::query!("DELETE FROM deployment_failure_dispute WHERE deployment_id = $1", deployment_id)
        .execute(conn)
        .await?;
    Ok(removed.rows_affected() == 1)
}
