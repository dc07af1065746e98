//! What lies at the places of sources, so that nothing is read twice and what is not whole is seen.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

/// Finds that are shown.
const SHOWN_MAX: i64 = 50;

/// A manifest or file, as it was met.
#[derive(Debug, Clone)]
pub struct Find {
    /// Its name.
    pub object_key: String,
    /// The store's mark of its content.
    pub etag: String,
    /// What it says something about.
    pub subject: String,
    /// The export's own id of the version.
    pub identity: String,
    /// Orders the versions of a subject.
    pub version_at: DateTime<Utc>,
    /// `read`, `older`, `partial` or `unreadable`.
    pub state: String,
    /// What it became.
    pub delivery_id: Option<i64>,
    /// What is missing, or what cannot be read.
    pub message: Option<String>,
    /// When it was met first.
    pub found_at: DateTime<Utc>,
}

/// All that was met at a source's place.
pub async fn known(db: impl PgExecutor<'_>, source_id: i64) -> sqlx::Result<Vec<Find>> {
    sqlx::query_as!(
        Find,
        "SELECT object_key, etag, subject, identity, version_at, state, delivery_id, message, found_at
         FROM source_find WHERE source_id = $1",
        source_id
    )
    .fetch_all(db)
    .await
}

/// Remembers what was met; what became a delivery stays one.
pub async fn keep(db: impl PgExecutor<'_>, source_id: i64, find: &Find) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO source_find
            (source_id, object_key, etag, subject, identity, version_at, state, delivery_id, message, found_at, seen_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
         ON CONFLICT (source_id, object_key, etag) DO UPDATE SET state = excluded.state, message = excluded.message,
            version_at = excluded.version_at, identity = excluded.identity, seen_at = excluded.seen_at,
            delivery_id = coalesce(excluded.delivery_id, source_find.delivery_id)
         WHERE source_find.state <> 'read'",
        source_id,
        find.object_key,
        find.etag,
        find.subject,
        find.identity,
        find.version_at,
        find.state,
        find.delivery_id,
        find.message,
        find.found_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Those that are not there any more, or are other ones now, are no longer shown as wanting something.
pub async fn forget_gone(
    conn: &mut PgConnection,
    source_id: i64,
    object_keys: &[String],
    etags: &[String],
) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM source_find f WHERE source_id = $1 AND state IN ('partial', 'unreadable')
           AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS there (object_key, etag)
                           WHERE there.object_key = f.object_key AND there.etag = f.etag)",
        source_id,
        object_keys,
        etags
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Those that want something: parts are missing, or they cannot be read.
pub async fn wanting(db: impl PgExecutor<'_>, source_id: i64) -> sqlx::Result<Vec<Find>> {
    sqlx::query_as!(
        Find,
        "SELECT object_key, etag, subject, identity, version_at, state, delivery_id, message, found_at
         FROM source_find WHERE source_id = $1 AND state IN ('partial', 'unreadable')
         ORDER BY version_at DESC LIMIT $2",
        source_id,
        SHOWN_MAX
    )
    .fetch_all(db)
    .await
}

/// Forgets all: the place is another one.
pub async fn forget_all(conn: &mut PgConnection, source_id: i64) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM source_find WHERE source_id = $1", source_id).execute(conn).await?;
    Ok(())
}
