//! What senders told becomes deployments, changes, releases and pipeline runs: stored deliveries are read by their
//! adapter, written down, mapped to services and environments, and judged beside their neighbors in time.
//!
//! The result does not depend on the order in which deliveries came, nor on how often one came or was read.

use super::map_deployments::map_deployments;
use super::pipeline_deployments;
use crate::events::{self, Event, EventError, EventKind, Headers};
use crate::store::deployment_history::{self, Places};
use crate::store::event_deliveries::{self, Unread};
use crate::store::{changes, deployments, event_sources, locks, pipeline_runs, releases};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

/// How reading went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Deliveries that told something.
    pub done: u64,
    /// Deliveries of no use.
    pub ignored: u64,
    /// Deliveries that could not be read; each says why.
    pub failed: u64,
}

/// Reads all deliveries that were not read yet, each in a transaction of its own.
pub async fn read_new(pool: &PgPool) -> anyhow::Result<Reading> {
    let mut reading = Reading::default();
    while let Some(state) = read_next(pool).await? {
        match state {
            "done" => reading.done += 1,
            "ignored" => reading.ignored += 1,
            _ => reading.failed += 1,
        }
    }
    Ok(reading)
}

async fn read_next(pool: &PgPool) -> anyhow::Result<Option<&'static str>> {
    let mut transaction = pool.begin().await?;
    lock(&mut transaction).await?;
    let Some(unread) = event_deliveries::next_unread(&mut transaction).await? else { return Ok(None) };
    let event_delivery_id = unread.event_delivery_id;
    match record_delivery(&mut transaction, &unread).await {
        Ok((state, reason)) => {
            event_deliveries::set_state(&mut transaction, event_delivery_id, state, reason.as_deref()).await?;
            transaction.commit().await?;
            Ok(Some(state))
        }
        Err(error) if is_its_own(&error) => {
            transaction.rollback().await?;
            let mut connection = pool.acquire().await?;
            let reason = format!("{error:#}");
            event_deliveries::set_state(&mut connection, event_delivery_id, "error", Some(&reason)).await?;
            Ok(Some("error"))
        }
        Err(error) => Err(error),
    }
}

/// Waits until nobody else changes rules or writes down events. The first statement of a transaction that
/// records something.
pub async fn lock(conn: &mut PgConnection) -> sqlx::Result<()> {
    locks::share_mapping(conn).await?;
    locks::lock_events(conn).await
}

// One delivery that cannot be written down does not hold up the others; a database that is away does.
fn is_its_own(error: &anyhow::Error) -> bool {
    let Some(error) = error.downcast_ref::<sqlx::Error>() else { return true };
    // Class 22 and 23: a value or a row that the schema refuses.
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| matches!(&code[..2], "22" | "23"))
}

async fn record_delivery(conn: &mut PgConnection, unread: &Unread) -> anyhow::Result<(&'static str, Option<String>)> {
    let headers: Headers = serde_json::from_value(unread.headers.clone())?;
    let events = events::read(&unread.sender, &headers, &unread.body, unread.received_at)?;
    record(conn, unread.event_source_id, unread.event_delivery_id, unread.received_at, &events).await?;
    let is_ignored = events.iter().all(|event| event.kind == EventKind::Ignore);
    let reason = events.iter().find_map(|event| event.reason.clone());
    Ok(if is_ignored { ("ignored", reason) } else { ("done", None) })
}

/// Writes down what a delivery told, instead of what it told when it was read before. The caller holds [`lock`].
/// Returns the deployments that it told of.
pub async fn record(
    conn: &mut PgConnection,
    event_source_id: i64,
    event_delivery_id: i64,
    received_at: DateTime<Utc>,
    events: &[Event],
) -> anyhow::Result<Vec<i64>> {
    let mut told = deployments::forget_delivery(conn, event_delivery_id).await?;
    for event in events {
        match event.kind {
            EventKind::Deployment => {
                told.push(deployments::tell(conn, event_source_id, event_delivery_id, event, received_at).await?);
            }
            EventKind::Change => {
                let closed_at = event.finished_at.unwrap_or(received_at);
                changes::upsert(conn, repo(event)?, event, closed_at).await?;
            }
            EventKind::Push if event.is_default_branch => {
                let pushed_at = event.finished_at.unwrap_or(received_at);
                changes::insert_commits(conn, repo(event)?, &event.commits, pushed_at).await?;
            }
            EventKind::Release => {
                let state_at = event.occurred_at.unwrap_or(received_at);
                releases::upsert(conn, repo(event)?, event, state_at).await?;
            }
            EventKind::PipelineRun => {
                pipeline_runs::upsert(conn, event_source_id, event).await?;
                let source_name = event_sources::name(conn, event_source_id).await?;
                for event in pipeline_deployments::deployments_of(conn, &source_name, event).await? {
                    told.push(deployments::tell(conn, event_source_id, event_delivery_id, &event, received_at).await?);
                }
            }
            // What is pushed to another branch counts once it is merged.
            EventKind::Push | EventKind::Ignore => {}
        }
    }
    told.sort_unstable();
    told.dedup();
    settle(conn, told).await
}

fn repo(event: &Event) -> Result<&str, EventError> {
    event.repo.as_deref().ok_or_else(|| EventError::Unfit("repository.full_name is missing".into()))
}

async fn settle(conn: &mut PgConnection, deployment_ids: Vec<i64>) -> anyhow::Result<Vec<i64>> {
    let mut places = Places::default();
    deployment_history::add_places(conn, &mut places, &deployment_ids).await?;
    let mut kept = Vec::new();
    for deployment_id in deployment_ids {
        if deployments::refresh(conn, deployment_id).await? {
            kept.push(deployment_id);
        }
    }
    if !kept.is_empty() {
        map_deployments(conn, &kept).await?;
    }
    deployment_history::add_places(conn, &mut places, &kept).await?;
    deployment_history::judge_places(conn, &places, &kept).await?;
    Ok(kept)
}
