//! The work queue's table. A lease is on database time; its fencing token is checked in the publish transaction.

use super::uploads;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};

/// The job that reads what senders told.
pub const READ_EVENTS: &str = "normalize_events";
/// The job that counts runs of pipelines as usage.
pub const COUNT_PIPELINES: &str = "count_pipelines";
/// The job that works out effects of releases.
pub const SETTLE_EFFECTS: &str = "settle_effects";
/// The job that looks for anomalies.
pub const DETECT_ANOMALIES: &str = "detect_anomalies";
/// The job that forecasts cost.
pub const FORECAST: &str = "forecast";
/// Jobs that read all bills there are. Beside a load they take its processor, its part of the page cache, and what they
/// say is worked out anew behind it.
const ANALYSES: [&str; 3] = [SETTLE_EFFECTS, DETECT_ANOMALIES, FORECAST];
/// Tries of a job, those included at whose end its worker was gone.
pub const ATTEMPTS_MAX: i32 = 5;

/// A job that this worker holds.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its number.
    pub job_id: i64,
    /// What to do.
    pub kind: String,
    /// At most one open job of a kind and key.
    pub key: String,
    /// With what.
    pub payload: Value,
    /// Tries so far, this one included.
    pub attempts: i32,
    /// Grows with every lease: a worker with an older one has lost its job.
    pub fencing_token: i64,
}

/// Proof of holding a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The job.
    pub job_id: i64,
    /// The lease's token.
    pub fencing_token: i64,
}

impl Job {
    /// Proof of holding it.
    pub fn fence(&self) -> Fence {
        Fence { job_id: self.job_id, fencing_token: self.fencing_token }
    }
}

/// Adds a job, or gives the number of the open one with the same kind and key. The statement of [`super::event_intake`]
/// asks for one in the same way.
pub async fn enqueue(conn: &mut PgConnection, kind: &str, key: &str, payload: &Value) -> sqlx::Result<i64> {
    enqueue_after(conn, kind, key, payload, 0).await
}

/// Adds a job that waits `delay_seconds` first.
pub async fn enqueue_after(
    conn: &mut PgConnection,
    kind: &str,
    key: &str,
    payload: &Value,
    delay_seconds: i32,
) -> sqlx::Result<i64> {
    // A running job may have read its input before this call: a second one must follow it. Its row stays locked until
    // the caller commits, so that it does not end meanwhile; one that ended while this waited makes room for a new one.
    sqlx::query_scalar!(
        "INSERT INTO job (kind, key, payload, state, run_after)
         VALUES ($1, $2, $3, 'waiting', now() + make_interval(secs => $4))
         ON CONFLICT (kind, key) WHERE state IN ('waiting', 'running')
         DO UPDATE SET payload = jsonb_set(job.payload, '{again}', 'true') RETURNING job_id",
        kind,
        key,
        payload,
        f64::from(delay_seconds),
    )
    .fetch_one(conn)
    .await
}

/// Which jobs a worker takes: files are read for minutes, and nothing else should wait for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Uploaded files, and sources that are read.
    Imports,
    /// Everything else.
    Others,
}

/// Takes the next due job, also one whose worker let its lease run out. One whose workers died at every try is given
/// up, and its delivery with it: it would end the next worker too.
///
/// Analyses wait while a bill is loaded that takes more than ten seconds, and as long behind it as it took, two minutes at
/// most: where months are loaded one after another, the next one begins within that. None waits for half an hour.
pub async fn lease(db: impl PgExecutor<'_>, lane: Lane, lease_seconds: i32) -> sqlx::Result<Option<Job>> {
    sqlx::query_as!(
        Job,
        r#"WITH given_up AS (
             UPDATE job SET state = 'failed', leased_until = NULL, finished_at = clock_timestamp(),
                 last_error = 'the server ended at every try'
             WHERE state = 'running' AND leased_until < clock_timestamp() AND attempts >= $3
               AND (kind IN ('import_upload', 'read_source', 'read_event_source')) = $2
             RETURNING kind, payload
         ), failed AS (
             UPDATE delivery d SET state = 'failed', finished_at = clock_timestamp(), reason = 'The server ended at each of '
                 || $3 || ' tries to read this file; nothing of it is counted. ' || $4
             FROM given_up
             WHERE given_up.kind = 'import_upload' AND d.delivery_id = (given_up.payload->>'delivery_id')::bigint
               AND d.state IN ('waiting', 'loading', 'failed')
         )
         UPDATE job SET state = 'running', attempts = attempts + 1,
            leased_until = clock_timestamp() + make_interval(secs => $1),
            fencing_token = nextval('job_fencing_token'), payload = payload - 'again'
         WHERE job_id = (
             SELECT job_id FROM job
             WHERE ((state = 'waiting' AND run_after <= clock_timestamp())
                 OR (state = 'running' AND leased_until < clock_timestamp() AND attempts < $3))
               AND (kind IN ('import_upload', 'read_source', 'read_event_source')) = $2
               AND NOT (kind = ANY ($5) AND run_after > clock_timestamp() - interval '30 minutes' AND EXISTS (
                   SELECT FROM delivery d
                   CROSS JOIN LATERAL (SELECT coalesce(d.finished_at, clock_timestamp()) AS until) e
                   WHERE d.state IN ('loading', 'published') AND d.received_at > clock_timestamp() - interval '30 minutes'
                     AND e.until - d.received_at > interval '10 seconds'
                     AND e.until + least(e.until - d.received_at, interval '2 minutes') > clock_timestamp()))
             ORDER BY run_after, job_id LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING job_id, kind, key, payload, attempts, fencing_token AS "fencing_token!""#,
        f64::from(lease_seconds),
        lane == Lane::Imports,
        ATTEMPTS_MAX,
        uploads::FILE_IS_KEPT,
        &ANALYSES.map(str::to_owned),
    )
    .fetch_optional(db)
    .await
}

/// Takes this job, for a command that waits for it. `None` where another worker has it or it is done.
pub async fn lease_one(db: impl PgExecutor<'_>, job_id: i64, lease_seconds: i32) -> sqlx::Result<Option<Job>> {
    sqlx::query_as!(
        Job,
        r#"UPDATE job SET state = 'running', attempts = attempts + 1, fencing_token = nextval('job_fencing_token'),
            leased_until = clock_timestamp() + make_interval(secs => $2), payload = payload - 'again'
         WHERE job_id = (SELECT job_id FROM job WHERE job_id = $1 AND state = 'waiting' FOR UPDATE SKIP LOCKED)
         RETURNING job_id, kind, key, payload, attempts, fencing_token AS "fencing_token!""#,
        job_id,
        f64::from(lease_seconds),
    )
    .fetch_optional(db)
    .await
}

/// Extends a lease and says how far the work is. False where the job is no longer this worker's.
pub async fn heartbeat(
    db: impl PgExecutor<'_>,
    fence: Fence,
    lease_seconds: i32,
    progress: &str,
) -> sqlx::Result<bool> {
    let updated = sqlx::query!(
        "UPDATE job SET leased_until = clock_timestamp() + make_interval(secs => $3), progress = $4
         WHERE job_id = $1 AND fencing_token = $2 AND state = 'running'",
        fence.job_id,
        fence.fencing_token,
        f64::from(lease_seconds),
        progress,
    )
    .execute(db)
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// Whether the job is still this worker's; it stays so until the transaction ends.
pub async fn holds(conn: &mut PgConnection, fence: Fence) -> sqlx::Result<bool> {
    let held = sqlx::query_scalar!(
        "SELECT job_id FROM job WHERE job_id = $1 AND fencing_token = $2 AND state = 'running' FOR UPDATE",
        fence.job_id,
        fence.fencing_token,
    )
    .fetch_optional(conn)
    .await?;
    Ok(held.is_some())
}

/// Closes a job; where it was asked for again meanwhile, a new one follows.
pub async fn finish(conn: &mut PgConnection, fence: Fence) -> sqlx::Result<()> {
    let again = sqlx::query!(
        r#"UPDATE job SET state = 'done', finished_at = clock_timestamp(), last_error = NULL
         WHERE job_id = $1 AND fencing_token = $2 AND state = 'running'
         RETURNING kind, key, payload - 'again' AS "payload!", payload ? 'again' AS "again!""#,
        fence.job_id,
        fence.fencing_token,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(job) = again.filter(|job| job.again) {
        enqueue(conn, &job.kind, &job.key, &job.payload).await?;
    }
    Ok(())
}

/// Puts a job back for a later try, or gives it up after the last. Gives whether it is given up.
pub async fn fail(db: impl PgExecutor<'_>, fence: Fence, error: &str, retry_seconds: i32) -> sqlx::Result<bool> {
    let state = sqlx::query_scalar!(
        "UPDATE job SET state = CASE WHEN attempts >= $5 THEN 'failed' ELSE 'waiting' END,
            last_error = $3, run_after = clock_timestamp() + make_interval(secs => $4), leased_until = NULL,
            finished_at = CASE WHEN attempts >= $5 THEN clock_timestamp() END
         WHERE job_id = $1 AND fencing_token = $2 AND state = 'running' RETURNING state",
        fence.job_id,
        fence.fencing_token,
        error,
        f64::from(retry_seconds),
        ATTEMPTS_MAX,
    )
    .fetch_optional(db)
    .await?;
    Ok(state.is_some_and(|state| state == "failed"))
}

/// Gives a job back untried: the worker is told to stop.
pub async fn release(db: impl PgExecutor<'_>, fence: Fence) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE job SET state = 'waiting', attempts = attempts - 1, leased_until = NULL
         WHERE job_id = $1 AND fencing_token = $2 AND state = 'running'",
        fence.job_id,
        fence.fencing_token,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What a page shows of a job.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its number.
    pub job_id: i64,
    /// `waiting`, `running`, `done` or `failed`.
    pub state: String,
    /// How far the work is, in words.
    pub progress: String,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
}

/// A job by kind and key, the newest first.
pub async fn find(db: impl PgExecutor<'_>, kind: &str, key: &str) -> sqlx::Result<Option<Shown>> {
    sqlx::query_as!(
        Shown,
        "SELECT job_id, state, progress, last_error, created_at FROM job
         WHERE kind = $1 AND key = $2 ORDER BY job_id DESC LIMIT 1",
        kind,
        key
    )
    .fetch_optional(db)
    .await
}

/// Forgets closed jobs older than `days`, but not failed uploads: their receipts must say so (`uploads::expire`).
pub async fn delete_old(db: impl PgExecutor<'_>, days: i32) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM job WHERE state IN ('done', 'failed') AND finished_at < now() - make_interval(days => $1)
           AND NOT (kind = 'import_upload' AND state = 'failed')",
        days
    )
    .execute(db)
    .await?;
    Ok(deleted.rows_affected())
}
