//! Sessions: only the SHA-256 of a cookie's secret is stored.

use super::Role;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

/// A session that counts, with its person.
#[derive(Debug, Clone)]
pub struct SessionOwner {
    /// When it was last used, to the minute.
    pub last_seen_at: DateTime<Utc>,
    /// The person.
    pub user_id: i64,
    /// Their login.
    pub login: String,
    /// Their role now.
    pub role: Role,
    /// Whether they are an administrator with finance.
    pub also_finance: bool,
    /// Their teams now.
    pub team_ids: Vec<i64>,
}

/// The session with this hash, unless it is too old, idle for too long, void or its person disabled.
pub async fn find(
    conn: &mut PgConnection,
    sha256: &[u8],
    now: DateTime<Utc>,
    idle: TimeDelta,
) -> sqlx::Result<Option<SessionOwner>> {
    sqlx::query_as!(
        SessionOwner,
        r#"SELECT s.last_seen_at, u.user_id, u.login, u.role AS "role: Role", u.also_finance,
                  ARRAY(SELECT team_id FROM user_team WHERE user_team.user_id = u.user_id) AS "team_ids!"
           FROM session s JOIN user_account u USING (user_id)
           WHERE s.session_sha256 = $1 AND s.expires_at > $2 AND s.last_seen_at > $3
             AND u.disabled_at IS NULL AND s.created_at >= u.credentials_valid_from"#,
        sha256,
        now,
        now - idle
    )
    .fetch_optional(conn)
    .await
}

/// Starts a session, and forgets this person's expired ones.
pub async fn insert(
    conn: &mut PgConnection,
    sha256: &[u8],
    user_id: i64,
    now: DateTime<Utc>,
    lifetime: TimeDelta,
    user_agent: &str,
) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM session WHERE user_id = $1 AND expires_at <= $2", user_id, now)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "INSERT INTO session (session_sha256, user_id, created_at, last_seen_at, expires_at, user_agent)
         VALUES ($1, $2, $3, $3, $4, $5)",
        sha256,
        user_id,
        now,
        now + lifetime,
        user_agent
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that a session was used; called at most once a minute a session.
pub async fn touch(conn: &mut PgConnection, sha256: &[u8], now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("UPDATE session SET last_seen_at = $2 WHERE session_sha256 = $1", sha256, now).execute(conn).await?;
    Ok(())
}

/// Ends a session.
pub async fn delete(conn: &mut PgConnection, sha256: &[u8]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM session WHERE session_sha256 = $1", sha256).execute(conn).await?;
    Ok(())
}

/// Ends all sessions of a person but one; says how many.
pub async fn delete_others(conn: &mut PgConnection, user_id: i64, keep_sha256: &[u8]) -> sqlx::Result<u64> {
    let done = sqlx::query!("DELETE FROM session WHERE user_id = $1 AND session_sha256 <> $2", user_id, keep_sha256)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}

/// A session as its person sees it.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was last used.
    pub last_seen_at: DateTime<Utc>,
    /// The browser, as it calls itself.
    pub user_agent: String,
    /// Whether it is the one that asks.
    pub is_this: bool,
}

/// The sessions of a person that count, newest use first.
pub async fn list(
    conn: &mut PgConnection,
    user_id: i64,
    this_sha256: &[u8],
    now: DateTime<Utc>,
    idle: TimeDelta,
) -> sqlx::Result<Vec<SessionRow>> {
    sqlx::query_as!(
        SessionRow,
        r#"SELECT s.created_at, s.last_seen_at, s.user_agent, s.session_sha256 = $2 AS "is_this!"
           FROM session s JOIN user_account u USING (user_id)
           WHERE s.user_id = $1 AND s.expires_at > $3 AND s.last_seen_at > $4
             AND s.created_at >= u.credentials_valid_from
           ORDER BY s.last_seen_at DESC LIMIT 50"#,
        user_id,
        this_sha256,
        now,
        now - idle
    )
    .fetch_all(conn)
    .await
}
