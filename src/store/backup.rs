//! What backing up and restoring ask of a database.

use sqlx::{Connection, PgConnection};
use std::path::Path;

/// Held by a restore: "restore" in ASCII.
const RESTORE_LOCK: i64 = 0x0072_6573_746f_7265;

/// The server's major version: the programs that dump it must not be older.
pub async fn server_major(conn: &mut PgConnection) -> sqlx::Result<u32> {
    let number = sqlx::query_scalar!(r#"SELECT current_setting('server_version_num')::int AS "number!""#);
    let number = number.fetch_one(conn).await?;
    Ok(u32::try_from(number / 10_000).unwrap_or_default())
}

/// Whether nothing was ever stored in it.
pub async fn is_empty(conn: &mut PgConnection) -> sqlx::Result<bool> {
    Ok(!has_tables(conn, "public").await?)
}

async fn has_tables(conn: &mut PgConnection, schema: &str) -> sqlx::Result<bool> {
    let has_tables = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = $1::text) AS "has_tables!""#,
        schema
    );
    has_tables.fetch_one(conn).await
}

/// Ends what let people in without a password when the backup was made: sessions, and links that nobody used.
/// What ended since would begin again. Gives how many of both.
pub async fn end_access(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let sessions = sqlx::query!("DELETE FROM session").execute(&mut *conn).await?;
    let links = sqlx::query!("DELETE FROM sign_in_link WHERE used_at IS NULL").execute(conn).await?;
    Ok(sessions.rows_affected() + links.rows_affected())
}

/// Claims the database for a restore, for as long as the connection lives. False where another restore is under way.
pub async fn claim(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "is_free!""#, RESTORE_LOCK).fetch_one(conn).await
}

/// Puts everything aside, so that it comes back where what is to take its place turns out not to be whole. Of an empty
/// database too there is a sign then that what comes in is not whole yet.
pub async fn set_aside(conn: &mut PgConnection) -> sqlx::Result<()> {
    if is_empty(&mut *conn).await? {
        sqlx::query!("CREATE SCHEMA before_restore").execute(conn).await?;
        return Ok(());
    }
    let mut transaction = conn.begin().await?;
    sqlx::query!("ALTER SCHEMA public RENAME TO before_restore").execute(&mut *transaction).await?;
    sqlx::query!("CREATE SCHEMA public").execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Whether something was put aside: by a restore that is under way, or by one that was cut off.
pub async fn is_set_aside(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let is_there = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'before_restore') AS "is_there!""#
    );
    is_there.fetch_one(conn).await
}

/// Drops what a restore brought in so far, and takes back what was put aside.
pub async fn put_back(conn: &mut PgConnection) -> sqlx::Result<()> {
    // Nothing came in where nothing was: what others keep in the schema stays.
    if is_empty(&mut *conn).await? && !has_tables(&mut *conn, "before_restore").await? {
        return drop_aside(conn).await;
    }
    let mut transaction = conn.begin().await?;
    sqlx::query!("DROP SCHEMA IF EXISTS public CASCADE").execute(&mut *transaction).await?;
    sqlx::query!("ALTER SCHEMA before_restore RENAME TO public").execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Drops what was put aside: the restore is done.
pub async fn drop_aside(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("DROP SCHEMA before_restore CASCADE").execute(conn).await?;
    Ok(())
}

/// What others may read by, to see the same as this transaction does.
pub async fn export_snapshot(conn: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar!(r#"SELECT pg_export_snapshot() AS "snapshot!""#).fetch_one(conn).await
}

/// Files of uploads and of parts lie in this folder now.
pub async fn move_spooled(conn: &mut PgConnection, folder: &Path) -> sqlx::Result<()> {
    let folder = folder.to_string_lossy();
    sqlx::query!(
        "UPDATE job SET payload = payload || jsonb_build_object(
             'path', $1::text || '/' || regexp_replace(payload->>'path', '^.*/', ''),
             'more_parts', (
                 SELECT coalesce(jsonb_agg($1::text || '/' || regexp_replace(part, '^.*/', '') ORDER BY place), '[]')
                 FROM jsonb_array_elements_text(coalesce(payload->'more_parts', '[]'::jsonb))
                     WITH ORDINALITY AS parts (part, place)))
         WHERE kind = 'import_upload' AND payload->>'path' IS NOT NULL",
        &*folder
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("UPDATE push_part SET path = $1::text || '/' || regexp_replace(path, '^.*/', '')", &*folder)
        .execute(conn)
        .await?;
    Ok(())
}
