//! Event sources that are read by schedule: where, how far, and what each read filled in.

use super::seal::{Key, Place, SealError};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

/// The job that reads one.
pub const READ_EVENT_SOURCE: &str = "read_event_source";
/// Repositories of a source.
pub const REPOSITORIES_MAX: usize = 200;
/// Reads that are kept of a source.
const RUNS_KEPT: i64 = 200;
/// The mark of the address of a deployment that is not there any more. No server writes one without quotes.
pub const GONE: &str = "gone";
/// Marks that were not seen for longer are of addresses that are not asked any more.
const MARK_DAYS: i32 = 40;
const TABLE: &str = "event_read";
const COLUMN: &str = "token_sealed";

/// How a source is read.
#[derive(Debug, Clone)]
pub struct EventRead {
    /// The source.
    pub event_source_id: i64,
    /// Its name.
    pub name: String,
    /// `github`, `gitlab` or `bitbucket`.
    pub kind: String,
    /// Whether the source is on.
    pub enabled: bool,
    /// Of the API, in front of the paths of repositories.
    pub address: String,
    /// The token, sealed.
    pub token_sealed: Option<Vec<u8>>,
    /// Minutes from one read to the next.
    pub every_minutes: i32,
    /// It is not read by schedule for now.
    pub is_paused: bool,
    /// When it is read next.
    pub next_read_at: DateTime<Utc>,
    /// Who changed this last.
    pub changed_by: String,
    /// When.
    pub changed_at: DateTime<Utc>,
}

impl EventRead {
    /// The token, opened.
    pub fn token(&self, key: &Key) -> Result<Option<String>, SealError> {
        let Some(sealed) = &self.token_sealed else { return Ok(None) };
        let opened = key.open(place(self.event_source_id), sealed)?;
        String::from_utf8(opened).map(Some).map_err(|_| SealError::Broken)
    }
}

fn place(event_source_id: i64) -> Place<'static> {
    Place { table: TABLE, row: event_source_id, column: COLUMN }
}

/// A repository that is read.
#[derive(Debug, Clone)]
pub struct ReadRepository {
    /// As the sender's API knows it.
    pub repository: String,
    /// Everything up to here was read; none before the first whole read.
    pub read_through: Option<DateTime<Utc>>,
    /// What is wrong with it.
    pub last_error: Option<String>,
    /// What to do.
    pub remedy: Option<String>,
}

/// What a read did.
#[derive(Debug, Clone, Default)]
pub struct ReadRun {
    /// `schedule`, or who asked.
    pub asked_by: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// Requests made.
    pub request_count: i32,
    /// Those of them that were answered with "not modified".
    pub unchanged_count: i32,
    /// Deployments of which nothing was known.
    pub deployment_count: i32,
    /// Statuses that lacked.
    pub status_count: i32,
    /// Merged pull requests that lacked.
    pub change_count: i32,
    /// Commits that lacked.
    pub commit_count: i32,
    /// Why it ended early.
    pub error: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// When it goes on by itself.
    pub continues_at: Option<DateTime<Utc>>,
}

impl ReadRun {
    /// Whether something lacked.
    pub fn has_filled(&self) -> bool {
        self.status_count + self.deployment_count + self.change_count + self.commit_count > 0
    }
}

/// What can be changed of how a source is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadValues {
    /// Of the API.
    pub address: String,
    /// Without repetitions.
    pub repositories: Vec<String>,
    /// Minutes from one read to the next.
    pub every_minutes: i32,
}

/// How a source is read; none where it is not.
pub async fn get(db: impl PgExecutor<'_>, event_source_id: i64) -> sqlx::Result<Option<EventRead>> {
    sqlx::query_as!(
        EventRead,
        "SELECT r.event_source_id, s.name, s.kind, s.enabled, r.address, r.token_sealed, r.every_minutes, r.is_paused,
                r.next_read_at, r.changed_by, r.changed_at
         FROM event_read r JOIN event_source s USING (event_source_id) WHERE r.event_source_id = $1",
        event_source_id
    )
    .fetch_optional(db)
    .await
}

/// All sources that are read, by name.
pub async fn list(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<EventRead>> {
    sqlx::query_as!(
        EventRead,
        "SELECT r.event_source_id, s.name, s.kind, s.enabled, r.address, r.token_sealed, r.every_minutes, r.is_paused,
                r.next_read_at, r.changed_by, r.changed_at
         FROM event_read r JOIN event_source s USING (event_source_id) ORDER BY s.name"
    )
    .fetch_all(db)
    .await
}

/// The repositories of a source, by name.
pub async fn repositories(db: impl PgExecutor<'_>, event_source_id: i64) -> sqlx::Result<Vec<ReadRepository>> {
    sqlx::query_as!(
        ReadRepository,
        "SELECT repository, read_through, last_error, remedy FROM event_read_repository
         WHERE event_source_id = $1 ORDER BY repository",
        event_source_id
    )
    .fetch_all(db)
    .await
}

/// Lets a source be read, or changes how: it is read at once. `None` for the token leaves the one that is kept, an empty
/// one forgets it. A repository that stays is read on from where it was; what was marked as unchanged is looked at anew.
pub async fn put(
    conn: &mut PgConnection,
    key: &Key,
    event_source_id: i64,
    values: &ReadValues,
    token: Option<&str>,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO event_read (event_source_id, address, every_minutes, next_read_at, changed_by, changed_at)
         VALUES ($1, $2, $3, $5, $4, $5)
         ON CONFLICT (event_source_id) DO UPDATE SET address = $2, every_minutes = $3, next_read_at = $5,
             changed_by = $4, changed_at = $5",
        event_source_id,
        values.address,
        values.every_minutes,
        by,
        now,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("DELETE FROM event_read_mark WHERE event_source_id = $1", event_source_id).execute(&mut *conn).await?;
    sqlx::query!(
        "DELETE FROM event_read_repository WHERE event_source_id = $1 AND NOT repository = ANY($2)",
        event_source_id,
        &values.repositories
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO event_read_repository (event_source_id, repository) SELECT $1, unnest($2::text[])
         ON CONFLICT (event_source_id, repository) DO UPDATE SET last_error = NULL, remedy = NULL",
        event_source_id,
        &values.repositories
    )
    .execute(&mut *conn)
    .await?;
    let Some(token) = token else { return Ok(()) };
    let sealed = (!token.is_empty()).then(|| key.seal(place(event_source_id), token.as_bytes()));
    sqlx::query!("UPDATE event_read SET token_sealed = $2 WHERE event_source_id = $1", event_source_id, sealed)
        .execute(conn)
        .await
        .map(drop)
}

/// Lets a source wait, or go on: then it is read at once. False where it is not read.
pub async fn set_paused(
    conn: &mut PgConnection,
    event_source_id: i64,
    is_paused: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let updated = sqlx::query!(
        "UPDATE event_read SET is_paused = $2, next_read_at = $3 WHERE event_source_id = $1",
        event_source_id,
        is_paused,
        now
    )
    .execute(conn)
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// Forgets how a source is read, its token too; what it brought stays. False where it is not read.
pub async fn delete(conn: &mut PgConnection, event_source_id: i64) -> sqlx::Result<bool> {
    let deleted = sqlx::query!("DELETE FROM event_read WHERE event_source_id = $1", event_source_id);
    Ok(deleted.execute(conn).await?.rows_affected() == 1)
}

/// Sources that are due; each is due again after its minutes. What another process looks at is left out.
pub async fn take_due(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "UPDATE event_read SET next_read_at = $1 + make_interval(mins => every_minutes)
         WHERE event_source_id IN (
             SELECT r.event_source_id FROM event_read r JOIN event_source s USING (event_source_id)
             WHERE NOT r.is_paused AND s.enabled AND r.next_read_at <= $1
             ORDER BY r.next_read_at LIMIT 50 FOR UPDATE OF r SKIP LOCKED)
         RETURNING event_source_id",
        now
    )
    .fetch_all(conn)
    .await
}

/// The mark of an address whose answer is stored.
pub async fn mark(db: impl PgExecutor<'_>, event_source_id: i64, address: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT etag FROM event_read_mark WHERE event_source_id = $1 AND address = $2",
        event_source_id,
        address
    )
    .fetch_optional(db)
    .await
}

/// Remembers the mark of an address, in the transaction that stores its answer.
pub async fn set_mark(
    conn: &mut PgConnection,
    event_source_id: i64,
    address: &str,
    etag: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO event_read_mark (event_source_id, address, etag, seen_at)
         SELECT event_source_id, $2, $3, $4 FROM event_read WHERE event_source_id = $1
         ON CONFLICT (event_source_id, address) DO UPDATE SET etag = $3, seen_at = $4",
        event_source_id,
        address,
        etag,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The mark of an address, and what its answer said; none where that is not kept.
pub async fn marked(
    db: impl PgExecutor<'_>,
    event_source_id: i64,
    address: &str,
) -> sqlx::Result<Option<(String, serde_json::Value)>> {
    let row = sqlx::query!(
        r#"SELECT etag, about AS "about!" FROM event_read_mark
           WHERE event_source_id = $1 AND address = $2 AND about IS NOT NULL"#,
        event_source_id,
        address
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.etag, row.about)))
}

/// Remembers the mark of an address with what its answer said.
pub async fn set_marked(
    conn: &mut PgConnection,
    event_source_id: i64,
    address: &str,
    (etag, about): (&str, &serde_json::Value),
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO event_read_mark (event_source_id, address, etag, about, seen_at)
         SELECT event_source_id, $2, $3, $4, $5 FROM event_read WHERE event_source_id = $1
         ON CONFLICT (event_source_id, address) DO UPDATE SET etag = $3, about = $4, seen_at = $5",
        event_source_id,
        address,
        etag,
        about,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Writes down that a repository was read whole up to a moment.
pub async fn read_through(
    conn: &mut PgConnection,
    event_source_id: i64,
    repository: &str,
    until: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE event_read_repository SET read_through = $3, last_error = NULL, remedy = NULL
         WHERE event_source_id = $1 AND repository = $2",
        event_source_id,
        repository,
        until
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Writes down what is wrong with a repository.
pub async fn repository_failed(
    conn: &mut PgConnection,
    event_source_id: i64,
    repository: &str,
    error: &str,
    remedy: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE event_read_repository SET last_error = $3, remedy = $4 WHERE event_source_id = $1 AND repository = $2",
        event_source_id,
        repository,
        error,
        remedy
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Writes down what a read did, forgets the oldest and marks that nobody asks for any more. Where it goes on at a moment,
/// the source is due then.
pub async fn finished(conn: &mut PgConnection, event_source_id: i64, run: &ReadRun) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO event_read_run (event_source_id, asked_by, started_at, finished_at, request_count, unchanged_count,
             deployment_count, status_count, change_count, commit_count, error, remedy, continues_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        event_source_id,
        run.asked_by,
        run.started_at,
        run.finished_at,
        run.request_count,
        run.unchanged_count,
        run.deployment_count,
        run.status_count,
        run.change_count,
        run.commit_count,
        run.error,
        run.remedy,
        run.continues_at,
    )
    .execute(&mut *conn)
    .await?;
    if let Some(at) = run.continues_at {
        sqlx::query!("UPDATE event_read SET next_read_at = $2 WHERE event_source_id = $1", event_source_id, at)
            .execute(&mut *conn)
            .await?;
    }
    sqlx::query!(
        "DELETE FROM event_read_run WHERE event_source_id = $1 AND event_read_run_id <= (
             SELECT event_read_run_id FROM event_read_run WHERE event_source_id = $1
             ORDER BY event_read_run_id DESC OFFSET $2 LIMIT 1)",
        event_source_id,
        RUNS_KEPT
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "DELETE FROM event_read_mark
         WHERE event_source_id = $1 AND etag <> $4 AND seen_at < $2::timestamptz - make_interval(days => $3)",
        event_source_id,
        run.finished_at,
        MARK_DAYS,
        GONE
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The last reads of a source, newest first.
pub async fn runs(db: impl PgExecutor<'_>, event_source_id: i64, limit: i64) -> sqlx::Result<Vec<ReadRun>> {
    sqlx::query_as!(
        ReadRun,
        "SELECT asked_by, started_at, finished_at, request_count, unchanged_count, deployment_count, status_count,
                change_count, commit_count, error, remedy, continues_at
         FROM event_read_run WHERE event_source_id = $1 ORDER BY event_read_run_id DESC LIMIT $2",
        event_source_id,
        limit
    )
    .fetch_all(db)
    .await
}
