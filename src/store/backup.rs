//! What backing up and restoring ask of a database.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::path::Path;

/// Held by a restore: "restore" in ASCII.
const RESTORE_LOCK: i64 = 0x0072_6573_746f_7265;

/// What connections call themselves that load a backup.
pub const LOADER: &str = "costwake-restore";

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
/// database too there is a sign then that what comes in is not whole yet. Noted is which key comes with that.
pub async fn set_aside(conn: &mut PgConnection, key: Option<&str>) -> sqlx::Result<()> {
    let is_empty = is_empty(&mut *conn).await?;
    let mut transaction = conn.begin().await?;
    if is_empty {
        sqlx::query!("CREATE SCHEMA before_restore").execute(&mut *transaction).await?;
    } else {
        sqlx::query!("ALTER SCHEMA public RENAME TO before_restore").execute(&mut *transaction).await?;
        sqlx::query!("CREATE SCHEMA public").execute(&mut *transaction).await?;
    }
    if let Some(key) = key {
        note_key(&mut transaction, Note::Aside, key).await?;
    }
    transaction.commit().await
}

/// Where it is noted which key a restore brings: several databases may share a key file, and a key that waits beside it
/// is then not always the own one.
#[derive(Debug, Clone, Copy)]
pub enum Note {
    /// While the backup comes in.
    Aside,
    /// Once it is in.
    Due,
}

impl Note {
    fn schema(self) -> &'static str {
        match self {
            Self::Aside => "before_restore",
            Self::Due => "restore_key_waits",
        }
    }
}

// A comment takes no parameters.
async fn note_key(conn: &mut PgConnection, note: Note, key: &str) -> sqlx::Result<()> {
    let digits: String = key.chars().filter(char::is_ascii_hexdigit).collect();
    let statement = format!("COMMENT ON SCHEMA {} IS '{digits}'", note.schema());
    sqlx::query(AssertSqlSafe(statement)).execute(conn).await.map(drop)
}

/// The fingerprint of the key that a restore brings, as it was noted.
pub async fn noted_key(conn: &mut PgConnection, note: Note) -> sqlx::Result<Option<String>> {
    let noted = sqlx::query_scalar!(
        r#"SELECT obj_description(oid, 'pg_namespace') AS "key?"
           FROM pg_catalog.pg_namespace WHERE nspname = $1::text"#,
        note.schema()
    );
    noted.fetch_optional(conn).await.map(Option::flatten)
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
    // Not what was noted of a key.
    sqlx::query!("COMMENT ON SCHEMA public IS 'standard public schema'").execute(&mut *transaction).await?;
    transaction.commit().await
}

async fn drop_aside(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("DROP SCHEMA before_restore CASCADE").execute(conn).await?;
    Ok(())
}

/// Drops what was put aside: the backup is in. In the same step it is noted whether a key waits for this database, and
/// which.
pub async fn finish(conn: &mut PgConnection, key: Option<&str>) -> sqlx::Result<()> {
    let mut transaction = conn.begin().await?;
    // An earlier one whose key is nowhere.
    if is_key_due(&mut transaction).await? {
        key_is_named(&mut transaction).await?;
    }
    if let Some(key) = key {
        sqlx::query!("CREATE SCHEMA restore_key_waits").execute(&mut *transaction).await?;
        note_key(&mut transaction, Note::Due, key).await?;
    }
    drop_aside(&mut transaction).await?;
    transaction.commit().await
}

/// Whether a backup is in whose key may not be in its place yet.
pub async fn is_key_due(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let is_there = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'restore_key_waits') AS "is_there!""#
    );
    is_there.fetch_one(conn).await
}

/// The key is in its place.
pub async fn key_is_named(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("DROP SCHEMA restore_key_waits").execute(conn).await?;
    Ok(())
}

/// Ends the connections that load a backup into this database: they outlive a restore that was killed. Gives how many
/// there were; they are gone once that is none.
pub async fn end_loaders(conn: &mut PgConnection) -> sqlx::Result<i64> {
    let ended = sqlx::query_scalar!(
        r#"SELECT count(pg_terminate_backend(pid)) AS "ended!" FROM pg_stat_activity
           WHERE datname = current_database() AND application_name = $1::text AND pid <> pg_backend_pid()"#,
        LOADER
    );
    ended.fetch_one(conn).await
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
