//! Browsers in which a person has signed in: a secret in a cookie, of which a hash is here. It opens nothing; it tells
//! a person's own browser from others at the same address.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

/// Whether this login has signed in in it.
pub async fn is_of(db: impl PgExecutor<'_>, browser_sha256: &[u8], login: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM known_browser JOIN user_account USING (user_id)
                          WHERE browser_sha256 = $1 AND login = $2) AS "is_known!""#,
        browser_sha256,
        login
    )
    .fetch_one(db)
    .await
}

/// Whether anybody has signed in in it.
pub async fn is_known(db: impl PgExecutor<'_>, browser_sha256: &[u8]) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM known_browser WHERE browser_sha256 = $1) AS "is_known!""#,
        browser_sha256
    )
    .fetch_one(db)
    .await
}

/// A person signs in in it.
pub async fn remember(
    conn: &mut PgConnection,
    browser_sha256: &[u8],
    user_id: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO known_browser (browser_sha256, user_id, seen_at) VALUES ($1, $2, $3)
         ON CONFLICT (browser_sha256, user_id) DO UPDATE SET seen_at = excluded.seen_at",
        browser_sha256,
        user_id,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}
