//! Rows of changes, commits, releases and runs of pipelines, made of what deliveries told.

use super::pipeline_deployments::{Attempt, external_id};
use crate::events::{Event, EventError, EventKind};
use crate::store::event_tellings::{self, NewTelling, Subject};
use crate::store::{changes, pipeline_runs, releases};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Who told something, and when it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) event_source_id: i64,
    pub(super) event_delivery_id: i64,
    pub(super) received_at: DateTime<Utc>,
}

/// What is told of rows while deliveries are read, and of which rows something else was told before.
#[derive(Debug, Default)]
pub(super) struct ToldRows {
    told: Vec<NewTelling>,
    forgotten: Vec<Subject>,
}

impl ToldRows {
    /// Forgets what deliveries told when they were read before.
    pub(super) async fn forget(&mut self, conn: &mut PgConnection, event_delivery_ids: &[i64]) -> sqlx::Result<()> {
        self.forgotten.extend(event_tellings::forget_deliveries(conn, event_delivery_ids).await?);
        Ok(())
    }

    /// Writes down what a delivery tells.
    pub(super) async fn tell(&mut self, conn: &mut PgConnection, from: Origin, event: &Event) -> anyhow::Result<()> {
        write(conn, from, event).await?;
        self.told.extend(NewTelling::all_of(from.event_source_id, from.event_delivery_id, event));
        Ok(())
    }

    /// The attempts at runs of which something else was told before. To be asked for before [`Self::settle`].
    pub(super) async fn forgotten_attempts(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Attempt>> {
        let (event_source_ids, ids) = keys(&self.forgotten, EventKind::PipelineRun);
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let attempts = pipeline_runs::attempts(conn, &event_source_ids, &ids).await?;
        Ok(attempts.into_iter().map(|(source_id, run_id, number)| (source_id, external_id(&run_id), number)).collect())
    }

    /// Keeps what was told. A row of which something else was told before is made anew: of what is told of it now and of
    /// what others told, as if nothing had been read yet.
    pub(super) async fn settle(mut self, conn: &mut PgConnection) -> anyhow::Result<()> {
        event_tellings::insert_all(conn, &self.told).await?;
        self.forgotten.sort_unstable();
        self.forgotten.dedup();
        if self.forgotten.is_empty() {
            return Ok(());
        }
        let (repos, ids) = keys(&self.forgotten, EventKind::Change);
        changes::delete(conn, &repos, &ids).await?;
        let (repos, ids) = keys(&self.forgotten, EventKind::Release);
        releases::delete(conn, &repos, &ids).await?;
        let (event_source_ids, ids) = keys(&self.forgotten, EventKind::PipelineRun);
        pipeline_runs::delete(conn, &event_source_ids, &ids).await?;
        for telling in event_tellings::of_subjects(conn, &self.forgotten).await? {
            let from = Origin {
                event_source_id: telling.event_source_id,
                event_delivery_id: telling.event_delivery_id,
                received_at: telling.received_at,
            };
            write(conn, from, &telling.event).await?;
        }
        Ok(())
    }
}

// The places and ids of those that are of this kind.
fn keys(subjects: &[Subject], kind: EventKind) -> (Vec<String>, Vec<String>) {
    let of_kind = subjects.iter().filter(|subject| subject.kind == kind.as_str());
    of_kind.map(|subject| (subject.place.clone(), subject.external_id.clone())).unzip()
}

async fn write(conn: &mut PgConnection, from: Origin, event: &Event) -> anyhow::Result<()> {
    let Origin { event_source_id, event_delivery_id, received_at } = from;
    match event.kind {
        EventKind::Change => {
            let closed_at = event.finished_at.or(event.occurred_at).unwrap_or(received_at);
            changes::upsert(conn, repo(event)?, event, closed_at, received_at).await?;
        }
        EventKind::Push => {
            let pushed_at = event.finished_at.unwrap_or(received_at);
            changes::insert_commits(conn, repo(event)?, &event.commits, pushed_at).await?;
        }
        EventKind::Release => releases::upsert(conn, repo(event)?, event, received_at).await?,
        EventKind::PipelineRun => {
            pipeline_runs::upsert(conn, event_source_id, event_delivery_id, event, received_at).await?;
        }
        _ => {}
    }
    Ok(())
}

fn repo(event: &Event) -> Result<&str, EventError> {
    event.repo.as_deref().ok_or_else(|| EventError::Unfit("the repository is not named".into()))
}
