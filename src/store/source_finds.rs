//! What lies at the places of sources, so that nothing is read twice and what is not whole is seen.

use crate::sources::layout::Object;
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
    /// What tells the export from others of the same place.
    pub export: String,
    /// The export's own id of the version.
    pub identity: String,
    /// Orders the versions of a subject.
    pub version_at: DateTime<Utc>,
    /// `read`, `older`, `partial`, `unreadable` or `left-out`.
    pub state: String,
    /// What it became.
    pub delivery_id: Option<i64>,
    /// What is missing, what cannot be read, or why it is left out.
    pub message: Option<String>,
    /// When it was met first.
    pub found_at: DateTime<Utc>,
}

/// All that was met at a source's place.
pub async fn known(db: impl PgExecutor<'_>, source_id: i64) -> sqlx::Result<Vec<Find>> {
    sqlx::query_as!(
        Find,
        "SELECT object_key, etag, subject, export, identity, version_at, state, delivery_id, message, found_at
         FROM source_find WHERE source_id = $1",
        source_id
    )
    .fetch_all(db)
    .await
}

/// Remembers what was met; what became a delivery stays one, of the latest look that read it.
pub async fn keep(db: impl PgExecutor<'_>, source_id: i64, find: &Find) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO source_find
            (source_id, object_key, etag, subject, identity, version_at, state, delivery_id, message, found_at, seen_at,
             export)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11)
         ON CONFLICT (source_id, object_key, etag) DO UPDATE SET state = excluded.state, message = excluded.message,
            version_at = excluded.version_at, identity = excluded.identity, seen_at = excluded.seen_at,
            export = excluded.export,
            delivery_id = coalesce(excluded.delivery_id, source_find.delivery_id)
         WHERE source_find.state <> 'read' OR excluded.state = 'read'",
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
        find.export,
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
        "DELETE FROM source_find f WHERE source_id = $1 AND state IN ('partial', 'unreadable', 'left-out')
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
        "SELECT object_key, etag, subject, export, identity, version_at, state, delivery_id, message, found_at
         FROM source_find WHERE source_id = $1 AND state IN ('partial', 'unreadable')
         ORDER BY version_at DESC LIMIT $2",
        source_id,
        SHOWN_MAX
    )
    .fetch_all(db)
    .await
}

/// Remembers what is found and not counted, because other files of the place report the same cost.
pub async fn leave_out(
    db: impl PgExecutor<'_>,
    source_id: i64,
    objects: &[Object],
    why: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let keys: Vec<String> = objects.iter().map(|object| object.key.clone()).collect();
    let etags: Vec<String> = objects.iter().map(|object| object.etag.clone()).collect();
    let times: Vec<DateTime<Utc>> = objects.iter().map(|object| object.modified).collect();
    sqlx::query!(
        "INSERT INTO source_find (source_id, object_key, etag, subject, version_at, state, message, found_at, seen_at)
         SELECT $1, object_key, etag, object_key, version_at, 'left-out', $5, $6, $6
         FROM unnest($2::text[], $3::text[], $4::timestamptz[]) AS there (object_key, etag, version_at)
         ON CONFLICT (source_id, object_key, etag) DO NOTHING",
        source_id,
        &keys,
        &etags,
        &times,
        why,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What is found and not counted, newest first, and why.
pub async fn left_out(db: impl PgExecutor<'_>, source_id: i64) -> sqlx::Result<Vec<Find>> {
    sqlx::query_as!(
        Find,
        "SELECT object_key, etag, subject, export, identity, version_at, state, delivery_id, message, found_at
         FROM source_find WHERE source_id = $1 AND state = 'left-out'
         ORDER BY version_at DESC, object_key LIMIT $2",
        source_id,
        SHOWN_MAX
    )
    .fetch_all(db)
    .await
}

/// The object of OCI cost reports that counts longest, where the source counts any.
pub async fn counted_oci_object(db: impl PgExecutor<'_>, source_id: i64) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT append_object FROM generation
         WHERE source_id = $1 AND state = 'current'
           AND (append_object ILIKE '%focus reports/%' OR append_object ILIKE '%cost-csv/%')
         ORDER BY generation_id LIMIT 1",
        source_id
    )
    .fetch_optional(db)
    .await
}

/// Forgets all: the place is another one.
pub async fn forget_all(conn: &mut PgConnection, source_id: i64) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM source_find WHERE source_id = $1", source_id).execute(conn).await?;
    Ok(())
}
