//! Descriptions of services that are fetched every night: from where, and what came of the last time.

use super::seal::{Key, Place, SealError};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

/// The job that fetches one.
pub const REFRESH_CATALOGUE: &str = "refresh_catalogue";
/// Descriptions that an installation may fetch.
pub const SOURCES_MAX: i64 = 200;
/// What a description can be.
pub const KINDS: [&str; 3] = ["backstage", "table", "codeowners"];
const TABLE: &str = "catalogue_source";
const COLUMN: &str = "token_sealed";

/// A description that is fetched.
#[derive(Debug, Clone)]
pub struct CatalogueSource {
    /// Its number.
    pub catalogue_source_id: i64,
    /// What it is called: what it said before is known by it.
    pub name: String,
    /// `backstage`, `table` or `codeowners`.
    pub kind: String,
    /// Of CODEOWNERS: the repository that it lies in.
    pub repository: String,
    /// Where it is.
    pub address: String,
    /// A token for that, sealed.
    pub token_sealed: Option<Vec<u8>>,
    /// Tells what was fetched from what is there by now.
    pub etag: Option<String>,
    /// When it is fetched next.
    pub next_read_at: DateTime<Utc>,
    /// When it was fetched last.
    pub last_read_at: Option<DateTime<Utc>>,
    /// Why nothing of it was taken the last time.
    pub last_error: Option<String>,
    /// What changed when it was another than before.
    pub change_count: i32,
    /// What the catalogue says otherwise, in sentences.
    pub conflicts: Vec<String>,
    /// What has no owner, or is not described any more, in sentences.
    pub orphans: Vec<String>,
    /// Rules that came from it and are not in it any more; some may be gone by now.
    pub gone_rule_ids: Vec<i64>,
    /// What was not taken, in sentences.
    pub notes: Vec<String>,
}

impl CatalogueSource {
    /// The token, opened.
    pub fn token(&self, key: &Key) -> Result<Option<String>, SealError> {
        let Some(sealed) = &self.token_sealed else { return Ok(None) };
        let opened = key.open(place(self.catalogue_source_id), sealed)?;
        String::from_utf8(opened).map(Some).map_err(|_| SealError::Broken)
    }
}

fn place(catalogue_source_id: i64) -> Place<'static> {
    Place { table: TABLE, row: catalogue_source_id, column: COLUMN }
}

/// All of them, by name.
pub async fn list(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<CatalogueSource>> {
    sqlx::query_as!(
        CatalogueSource,
        "SELECT catalogue_source_id, name, kind, repository, address, token_sealed, etag, next_read_at, last_read_at,
                last_error, change_count, conflicts, orphans, gone_rule_ids, notes
         FROM catalogue_source ORDER BY name LIMIT $1",
        SOURCES_MAX
    )
    .fetch_all(db)
    .await
}

/// The one of this number.
pub async fn get(db: impl PgExecutor<'_>, catalogue_source_id: i64) -> sqlx::Result<Option<CatalogueSource>> {
    sqlx::query_as!(
        CatalogueSource,
        "SELECT catalogue_source_id, name, kind, repository, address, token_sealed, etag, next_read_at, last_read_at,
                last_error, change_count, conflicts, orphans, gone_rule_ids, notes
         FROM catalogue_source WHERE catalogue_source_id = $1",
        catalogue_source_id
    )
    .fetch_optional(db)
    .await
}

/// What somebody wants to be fetched.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the field of CatalogueSource of that name")]
pub struct NewSource {
    pub name: String,
    pub kind: String,
    pub repository: String,
    pub address: String,
    pub token: Option<String>,
}

/// The number of the one of this name; nobody else changes it meanwhile.
pub async fn find_for_update(conn: &mut PgConnection, name: &str) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!("SELECT catalogue_source_id FROM catalogue_source WHERE name = $1 FOR UPDATE", name)
        .fetch_optional(conn)
        .await
}

/// Adds one, or changes the one of this name: what it said before is read anew. Gives its number.
pub async fn put(
    conn: &mut PgConnection,
    key: &Key,
    new: &NewSource,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<i64> {
    let id = sqlx::query_scalar!(
        "INSERT INTO catalogue_source (name, kind, repository, address, next_read_at, changed_by, changed_at)
         VALUES ($1, $2, $3, $4, $6, $5, $6)
         ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, repository = excluded.repository,
             address = excluded.address, etag = NULL, next_read_at = excluded.next_read_at,
             changed_by = excluded.changed_by, changed_at = excluded.changed_at
         RETURNING catalogue_source_id",
        new.name,
        new.kind,
        new.repository,
        new.address,
        by,
        now
    )
    .fetch_one(&mut *conn)
    .await?;
    let Some(token) = &new.token else { return Ok(id) };
    let sealed = (!token.is_empty()).then(|| key.seal(place(id), token.as_bytes()));
    sqlx::query!("UPDATE catalogue_source SET token_sealed = $2 WHERE catalogue_source_id = $1", id, sealed)
        .execute(conn)
        .await?;
    Ok(id)
}

/// Fetches it no more, and forgets its token; what it brought stays. False where there is none.
pub async fn delete(conn: &mut PgConnection, catalogue_source_id: i64) -> sqlx::Result<bool> {
    let deleted = sqlx::query!("DELETE FROM catalogue_source WHERE catalogue_source_id = $1", catalogue_source_id);
    Ok(deleted.execute(conn).await?.rows_affected() == 1)
}

/// Those that are due: they are due again at two o'clock in the night, UTC.
pub async fn take_due(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "UPDATE catalogue_source
         SET next_read_at = date_trunc('day', $1::timestamptz - interval '2 hours', 'UTC') + interval '1 day 2 hours'
         WHERE catalogue_source_id IN (
             SELECT catalogue_source_id FROM catalogue_source WHERE next_read_at <= $1
             ORDER BY next_read_at LIMIT 50 FOR UPDATE SKIP LOCKED)
         RETURNING catalogue_source_id",
        now
    )
    .fetch_all(conn)
    .await
}

/// Writes down that it is the same as before.
pub async fn unchanged(conn: &mut PgConnection, catalogue_source_id: i64, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE catalogue_source SET last_read_at = $2, last_error = NULL WHERE catalogue_source_id = $1",
        catalogue_source_id,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Writes down why nothing of it was taken. What it said before still holds.
pub async fn failed(
    conn: &mut PgConnection,
    catalogue_source_id: i64,
    error: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE catalogue_source SET last_read_at = $2, last_error = $3, etag = NULL WHERE catalogue_source_id = $1",
        catalogue_source_id,
        now,
        error
    )
    .execute(conn)
    .await
    .map(drop)
}

/// What came of taking a description in.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// Tells it from later ones.
    pub etag: Option<String>,
    /// What changed.
    pub change_count: i32,
    /// What the catalogue says otherwise, in sentences.
    pub conflicts: Vec<String>,
    /// What has no owner, or is not described any more, in sentences.
    pub orphans: Vec<String>,
    /// Rules that came from it and are not in it any more; some may be gone by now.
    pub gone_rule_ids: Vec<i64>,
    /// What was not taken, in sentences.
    pub notes: Vec<String>,
}

/// Writes down what came of it.
pub async fn taken(
    conn: &mut PgConnection,
    catalogue_source_id: i64,
    result: &Taken,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE catalogue_source SET last_read_at = $2, last_error = NULL, etag = $3, change_count = $4, conflicts = $5,
             orphans = $6, notes = $7, gone_rule_ids = $8
         WHERE catalogue_source_id = $1",
        catalogue_source_id,
        now,
        result.etag,
        result.change_count,
        &result.conflicts,
        &result.orphans,
        &result.notes,
        &result.gone_rule_ids
    )
    .execute(conn)
    .await
    .map(drop)
}
