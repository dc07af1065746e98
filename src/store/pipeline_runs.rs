//! Runs of pipelines: how many, how long. None is a deployment by itself.

use super::deployments::facts;
use crate::events::{Event, Status};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Records a run, so that the order in which it was told is no matter: one that has ended does not go back to
/// running, and of two ends the later one holds; without times the one that says more.
pub async fn upsert(
    conn: &mut PgConnection,
    event_source_id: i64,
    event_delivery_id: i64,
    event: &Event,
    received_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let status = event.status.unwrap_or(Status::Unknown);
    sqlx::query!(
        "INSERT INTO pipeline_run AS known
             (event_source_id, external_id, repo, name, status, sha, ref, started_at, finished_at, url,
              event_delivery_id, received_at, told_at, status_rank, facts)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         ON CONFLICT (event_source_id, external_id) DO UPDATE SET repo = excluded.repo, name = excluded.name,
             status = excluded.status, sha = excluded.sha, ref = excluded.ref, started_at = excluded.started_at,
             finished_at = excluded.finished_at, url = excluded.url, event_delivery_id = excluded.event_delivery_id,
             received_at = excluded.received_at, told_at = excluded.told_at, status_rank = excluded.status_rank,
             facts = excluded.facts
         WHERE (excluded.finished_at IS NOT NULL, coalesce(excluded.told_at, '-infinity'), excluded.status_rank,
                excluded.status, excluded.received_at)
            >= (known.finished_at IS NOT NULL, coalesce(known.told_at, '-infinity'), known.status_rank,
                known.status, known.received_at)",
        event_source_id,
        event.external_id,
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
    .execute(conn)
    .await
    .map(drop)
}
