//! One-time links to set a password: the first administrator, an invitation, a lost password.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

/// Makes a link; the person's older ones no longer work.
pub async fn insert(
    conn: &mut PgConnection,
    sha256: &[u8],
    user_id: i64,
    now: DateTime<Utc>,
    lifetime: TimeDelta,
) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM sign_in_link WHERE user_id = $1 AND used_at IS NULL", user_id)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "INSERT INTO sign_in_link (link_sha256, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        sha256,
        user_id,
        now,
        now + lifetime
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The login that a link is for, if it still works. Looking does not use it up.
pub async fn find(conn: &mut PgConnection, sha256: &[u8], now: DateTime<Utc>) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT u.login FROM sign_in_link l JOIN user_account u USING (user_id)
         WHERE l.link_sha256 = $1 AND l.used_at IS NULL AND l.expires_at > $2 AND u.disabled_at IS NULL",
        sha256,
        now
    )
    .fetch_optional(conn)
    .await
}

/// Uses a link up: of any number at once, one gets the person's key and login.
pub async fn consume(
    conn: &mut PgConnection,
    sha256: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<Option<(i64, String)>> {
    let row = sqlx::query!(
        "UPDATE sign_in_link l SET used_at = $2 FROM user_account u
         WHERE u.user_id = l.user_id AND l.link_sha256 = $1 AND l.used_at IS NULL AND l.expires_at > $2
           AND u.disabled_at IS NULL
         RETURNING u.user_id, u.login",
        sha256,
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.user_id, row.login)))
}
