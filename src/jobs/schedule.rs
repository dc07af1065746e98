//! Asks for the reads of sources that are due. Any number of processes may ask: each time is taken once.

use super::read_events::BY_SCHEDULE;
use crate::rollup::namespace_usage::{self, COUNT_NAMESPACES};
use crate::rollup::pipeline_usage::{self, COUNT_PIPELINES};
use crate::sources::schedule::Schedule;
use crate::store::catalogue_sources::{self, REFRESH_CATALOGUE};
use crate::store::event_reads::{self, READ_EVENT_SOURCE};
use crate::store::metric_queries::{self, PULL_METRICS};
use crate::store::source_reads::READ_SOURCE;
use crate::store::{Pools, jobs, source_settings};
use chrono::{DateTime, Utc};
use serde_json::json;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

const LOOK_EVERY: Duration = Duration::from_secs(10);

pub(super) async fn run(pools: Pools, stop: CancellationToken) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = ask_for_due_reads(&pools, Utc::now()).await {
            tracing::warn!("Reads of sources could not be asked for: {error}");
        }
        if let Err(error) = ask_for_due_pulls(&pools, Utc::now()).await {
            tracing::warn!("Pulls of metrics could not be asked for: {error}");
        }
        if let Err(error) = ask_for_due_refreshes(&pools, Utc::now()).await {
            tracing::warn!("Descriptions of services could not be asked for: {error}");
        }
        if let Err(error) = ask_for_due_counts(&pools, Utc::now()).await {
            tracing::warn!("Runs of pipelines and namespaces could not be counted: {error}");
        }
        if let Err(error) = ask_for_due_event_reads(&pools, Utc::now()).await {
            tracing::warn!("Reads of event sources could not be asked for: {error}");
        }
    }
}

/// Puts every source that is due into the queue and moves its time on, both or neither. Gives how many.
pub async fn ask_for_due_reads(pools: &Pools, now: DateTime<Utc>) -> sqlx::Result<usize> {
    let mut transaction = pools.jobs.begin().await?;
    let due = source_settings::take_due(&mut transaction, now).await?;
    for (source_id, schedule) in &due {
        // What cannot be read was not written by this version: it is left to whoever changes it.
        let next = schedule.parse::<Schedule>().ok().map(|schedule| schedule.next_after(now));
        source_settings::set_next_read(&mut transaction, *source_id, next).await?;
        let payload = json!({ "source_id": source_id, "asked_by": "schedule" });
        jobs::enqueue(&mut transaction, READ_SOURCE, &source_id.to_string(), &payload).await?;
    }
    transaction.commit().await?;
    Ok(due.len())
}

/// Puts every query to a Prometheus that is due into the queue and moves its time on, both or neither. Gives how many.
pub async fn ask_for_due_pulls(pools: &Pools, now: DateTime<Utc>) -> sqlx::Result<usize> {
    let mut transaction = pools.jobs.begin().await?;
    let due = metric_queries::take_due(&mut transaction, now).await?;
    for id in &due {
        jobs::enqueue(&mut transaction, PULL_METRICS, &id.to_string(), &json!({ "metric_query_id": id })).await?;
    }
    transaction.commit().await?;
    Ok(due.len())
}

/// Puts every event source whose API is due to be read into the queue and moves its time on, both or neither. Gives how
/// many.
pub async fn ask_for_due_event_reads(pools: &Pools, now: DateTime<Utc>) -> sqlx::Result<usize> {
    let mut transaction = pools.jobs.begin().await?;
    let due = event_reads::take_due(&mut transaction, now).await?;
    for id in &due {
        let payload = json!({ "event_source_id": id, "asked_by": BY_SCHEDULE });
        jobs::enqueue(&mut transaction, READ_EVENT_SOURCE, &id.to_string(), &payload).await?;
    }
    transaction.commit().await?;
    Ok(due.len())
}

/// Asks for runs of pipelines to be counted where some came, and for namespaces to be given to their services once an
/// hour. True where it did.
pub async fn ask_for_due_counts(pools: &Pools, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let mut transaction = pools.jobs.begin().await?;
    let is_due = pipeline_usage::take_due(&mut transaction, now).await?;
    if is_due {
        jobs::enqueue(&mut transaction, COUNT_PIPELINES, "", &json!({})).await?;
    }
    let are_namespaces_due = namespace_usage::take_due(&mut transaction, now).await?;
    if are_namespaces_due {
        jobs::enqueue(&mut transaction, COUNT_NAMESPACES, "", &json!({})).await?;
    }
    transaction.commit().await?;
    Ok(is_due || are_namespaces_due)
}

/// Puts every description of services that is due into the queue and moves its time on, both or neither. Gives how many.
pub async fn ask_for_due_refreshes(pools: &Pools, now: DateTime<Utc>) -> sqlx::Result<usize> {
    let mut transaction = pools.jobs.begin().await?;
    let due = catalogue_sources::take_due(&mut transaction, now).await?;
    for id in &due {
        jobs::enqueue(&mut transaction, REFRESH_CATALOGUE, &id.to_string(), &json!({ "catalogue_source_id": id }))
            .await?;
    }
    transaction.commit().await?;
    Ok(due.len())
}
