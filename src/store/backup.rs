//! What backing up and restoring ask of a database.

use sqlx::PgConnection;

/// The server's major version: the programs that dump it must not be older.
pub async fn server_major(conn: &mut PgConnection) -> sqlx::Result<u32> {
    let number = sqlx::query_scalar!(r#"SELECT current_setting('server_version_num')::int AS "number!""#);
    let number = number.fetch_one(conn).await?;
    Ok(u32::try_from(number / 10_000).unwrap_or_default())
}

/// Whether nothing was ever stored in it.
pub async fn is_empty(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let has_tables = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'public') AS "has_tables!""#
    );
    Ok(!has_tables.fetch_one(conn).await?)
}

/// Ends what let people in without a password when the backup was made: sessions, and links that nobody used.
/// What ended since would begin again. Gives how many of both.
pub async fn end_access(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let sessions = sqlx::query!("DELETE FROM session").execute(&mut *conn).await?;
    let links = sqlx::query!("DELETE FROM sign_in_link WHERE used_at IS NULL").execute(conn).await?;
    Ok(sessions.rows_affected() + links.rows_affected())
}

/// Drops everything.
pub async fn clear(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("DROP SCHEMA public CASCADE").execute(&mut *conn).await?;
    sqlx::query!("CREATE SCHEMA public").execute(conn).await?;
    Ok(())
}
