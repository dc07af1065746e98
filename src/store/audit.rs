//! Who did what, from where: rows are added and read, never changed (a trigger refuses).

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Who did what nobody asked for: the program itself.
pub const PROGRAM: &str = "costwake";

/// One line of the log.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// Newer rows have larger numbers.
    pub audit_log_id: i64,
    /// When it happened.
    pub happened_at: DateTime<Utc>,
    /// The login, or the name of the sender.
    pub actor: String,
    /// Where the request came from; empty on the command line.
    pub client_address: String,
    /// What was done: `sign_in`, `user.role_changed` and so on.
    pub action: String,
    /// To whom or to what.
    pub subject: String,
    /// The rest.
    pub details: serde_json::Value,
}

/// Adds a row, in the transaction of the change that it records.
pub async fn insert(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    actor: &str,
    client_address: &str,
    action: &str,
    subject: &str,
    details: serde_json::Value,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO audit_log (happened_at, actor, client_address, action, subject, details)
         VALUES ($1, $2, $3, $4, $5, $6)",
        now,
        actor,
        client_address,
        action,
        subject,
        details
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The newest rows before `before` (all, when none), newest first.
pub async fn list(conn: &mut PgConnection, before: Option<i64>, limit: i64) -> sqlx::Result<Vec<AuditRow>> {
    sqlx::query_as!(
        AuditRow,
        "SELECT audit_log_id, happened_at, actor, client_address, action, subject, details
         FROM audit_log WHERE $1::bigint IS NULL OR audit_log_id < $1
         ORDER BY audit_log_id DESC LIMIT $2",
        before,
        limit
    )
    .fetch_all(conn)
    .await
}
