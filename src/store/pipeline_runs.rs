//! Runs of pipelines: how many, how long. None is a deployment by itself.

use super::deployments::facts;
use crate::events::{Event, Status};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Records a run, so that the order in which it was told is no matter: one that has ended does not go back to
/// running, and of two ends the later one holds; without times the one that says more. What told its end alone leaves
/// it the start that was told before, or is told later.
pub async fn upsert(
    conn: &mut PgConnection,
    event_source_id: i64,
    event_delivery_id: i64,
    event: &Event,
    received_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let status = event.status.unwrap_or(Status::Unknown);
    let (run_id, attempt) = event.run();
    let written = sqlx::query!(
        "INSERT INTO pipeline_run AS known
             (event_source_id, external_id, run_id, attempt, repo, name, status, sha, ref, started_at,
              earliest_started_at, finished_at, url, event_delivery_id, received_at, told_at, status_rank, facts)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12, $13, $14, $15, $16, $17)
         ON CONFLICT (event_source_id, external_id) DO UPDATE SET repo = excluded.repo, name = excluded.name,
             status = excluded.status, sha = excluded.sha, ref = excluded.ref,
             started_at = coalesce(excluded.started_at, known.earliest_started_at),
             earliest_started_at = least(known.earliest_started_at, excluded.earliest_started_at),
             finished_at = excluded.finished_at, url = excluded.url, event_delivery_id = excluded.event_delivery_id,
             received_at = excluded.received_at, told_at = excluded.told_at, status_rank = excluded.status_rank,
             facts = excluded.facts
         WHERE (excluded.finished_at IS NOT NULL, coalesce(excluded.told_at, '-infinity'), excluded.status_rank,
                excluded.status, excluded.received_at)
            >= (known.finished_at IS NOT NULL, coalesce(known.told_at, '-infinity'), known.status_rank,
                known.status, known.received_at)",
        event_source_id,
        event.key(),
        run_id,
        attempt,
        event.repo,
        event.pipeline.as_deref().unwrap_or_default(),
        status.as_str(),
        event.sha,
        event.reference,
        event.started_at,
        event.finished_at,
        event.url,
        event_delivery_id,
        received_at,
        event.occurred_at.filter(|_| !event.time_is_received),
        i16::from(status.rank()),
        facts(event),
    )
    .execute(&mut *conn)
    .await?;
    if written.rows_affected() == 0 { keep_start(conn, event_source_id, event).await } else { Ok(()) }
}

// What does not tell how the run stands may still be the only one that tells when it began.
async fn keep_start(conn: &mut PgConnection, event_source_id: i64, event: &Event) -> sqlx::Result<()> {
    let Some(started_at) = event.started_at else { return Ok(()) };
    sqlx::query!(
        "UPDATE pipeline_run SET earliest_started_at = $3,
             started_at = CASE WHEN facts ? 'started_at' THEN started_at ELSE $3 END
         WHERE event_source_id = $1 AND external_id = $2 AND (earliest_started_at IS NULL OR earliest_started_at > $3)",
        event_source_id,
        event.key(),
        started_at,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Of these runs, numbers of event sources, as text, and ids there: the source, the run, and the attempt at it.
pub async fn attempts(
    conn: &mut PgConnection,
    event_source_ids: &[String],
    external_ids: &[String],
) -> sqlx::Result<Vec<(i64, String, i64)>> {
    let rows = sqlx::query!(
        r#"SELECT p.event_source_id AS "event_source_id!", p.run_id AS "run_id!", p.attempt AS "attempt!"
           FROM unnest($1::text[], $2::text[]) AS k (event_source_id, external_id)
           JOIN pipeline_run p ON p.event_source_id = k.event_source_id::bigint AND p.external_id = k.external_id"#,
        event_source_ids,
        external_ids
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.event_source_id, row.run_id, row.attempt)).collect())
}

/// Deletes the rows of these runs: numbers of event sources, as text, and ids there.
pub async fn delete(conn: &mut PgConnection, event_source_ids: &[String], external_ids: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM pipeline_run p USING unnest($1::text[], $2::text[]) AS gone (event_source_id, external_id)
         WHERE p.event_source_id = gone.event_source_id::bigint AND p.external_id = gone.external_id",
        event_source_ids,
        external_ids
    )
    .execute(conn)
    .await
    .map(drop)
}

/// A run as pages list it.
#[derive(Debug, Clone)]
pub struct ListedRun {
    /// The pipeline.
    pub name: String,
    /// `succeeded`, `failed`, `in_progress` and so on.
    pub status: String,
    /// The attempt's number.
    pub attempt: String,
    /// When it ended, began, or was heard of.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub minutes: Option<i64>,
    /// Its page at the sender.
    pub url: Option<String>,
}

/// The runs of a deployment's commits, the newest first; of their jobs only those that deploy.
pub async fn of_deployment(conn: &mut PgConnection, deployment_id: i64, limit: i64) -> sqlx::Result<Vec<ListedRun>> {
    sqlx::query_as!(
        ListedRun,
        r#"SELECT p.name, p.status, p.attempt::text AS "attempt!",
                  coalesce(p.finished_at, p.started_at, p.received_at) AS "at!",
                  (coalesce((p.facts ->> 'seconds')::numeric, extract(epoch FROM p.finished_at - p.started_at))
                      / 60)::bigint AS minutes, p.url
           FROM pipeline_run p
           WHERE NOT (coalesce(p.facts -> 'attributes' ? 'job', false) AND p.facts -> 'environment' IS NULL)
             AND p.pipeline_run_id IN (SELECT r.pipeline_run_id FROM deployment_commit k
                                       JOIN pipeline_run r ON is_same_commit(r.sha, k.sha)
                                       WHERE k.deployment_id = $1)
           ORDER BY 4 DESC, p.pipeline_run_id DESC LIMIT $2"#,
        deployment_id,
        limit
    )
    .fetch_all(conn)
    .await
}
