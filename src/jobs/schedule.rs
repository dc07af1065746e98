//! Asks for the reads of sources that are due. Any number of processes may ask: each time is taken once.

use crate::sources::schedule::Schedule;
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
