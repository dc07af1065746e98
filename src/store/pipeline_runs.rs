//! Runs of pipelines: how many, how long. None is a deployment by itself.

use crate::events::{Event, Status};
use sqlx::PgConnection;

/// Records a run; one that has ended does not go back to running.
pub async fn upsert(conn: &mut PgConnection, event_source_id: i64, event: &Event) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO pipeline_run
             (event_source_id, external_id, repo, name, status, sha, ref, started_at, finished_at, url)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (event_source_id, external_id) DO UPDATE SET repo = excluded.repo, name = excluded.name,
             status = excluded.status, sha = excluded.sha, ref = excluded.ref, started_at = excluded.started_at,
             finished_at = excluded.finished_at, url = excluded.url
         WHERE excluded.finished_at IS NOT NULL OR pipeline_run.finished_at IS NULL",
        event_source_id,
        event.external_id,
        event.repo,
        event.pipeline.as_deref().unwrap_or_default(),
        event.status.unwrap_or(Status::Unknown).as_str(),
        event.sha,
        event.reference,
        event.started_at,
        event.finished_at,
        event.url,
    )
    .execute(conn)
    .await
    .map(drop)
}
