//! Clears up: loads that died, lines that nobody goes back to, what has expired, uploads that nobody waits for,
//! temporary files of processes that were killed.

use crate::config::Config;
use crate::rollup::retention;
use crate::sources::held::{Held, left_behind};
use crate::store::{Pools, event_deliveries, expired, forecasts, jobs, otlp_series, pushes, temporary_files, uploads};
use chrono::{DateTime, Utc};
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

const JOBS_KEPT_DAYS: i32 = 30;
/// A series that was silent for longer begins anew.
const SERIES_KEPT_DAYS: i64 = 7;
/// An upload that is under way writes to its file all the time; it is held besides, where the disk knows locks.
const SPOOL_AGE_MIN: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn run(pools: &Pools, config: &Config, now: DateTime<Utc>) -> anyhow::Result<()> {
    let failed = retention::sweep(pools, now).await?;
    if failed > 0 {
        tracing::warn!("{failed} imports were interrupted; nothing of them is counted");
    }
    expire_uploads(pools).await?;
    expire_pushes(pools, now).await?;
    let mut conn = pools.jobs.acquire().await?;
    jobs::delete_old(&mut *conn, JOBS_KEPT_DAYS).await?;
    expired::delete(&mut conn, now).await?;
    otlp_series::forget_before(&mut conn, now - chrono::Duration::days(SERIES_KEPT_DAYS)).await?;
    forecasts::delete_old(&mut conn).await?;
    // The job that was to read them failed too often, or was never asked for.
    if event_deliveries::counts(&mut conn).await?.unread > 0 {
        jobs::enqueue(&mut conn, jobs::READ_EVENTS, "", &serde_json::json!({})).await?;
    }
    let folder = config.data_dir().join("spool");
    let left = tokio::task::spawn_blocking(move || left_behind(&folder, SPOOL_AGE_MIN)).await?;
    // Asked only now: who lets go of a file has written down before who wants it.
    let mut wanted: HashSet<PathBuf> = uploads::wanted(&mut *conn).await?.iter().flat_map(uploads::files).collect();
    wanted.extend(pushes::wanted(&mut *conn).await?);
    let data_dir = config.data_dir();
    tokio::task::spawn_blocking(move || {
        delete_unwanted(&left, &wanted);
        temporary_files::delete_old(&data_dir);
    })
    .await?;
    Ok(())
}

// Deliveries that a program began to hand in and never completed.
async fn expire_pushes(pools: &Pools, now: DateTime<Utc>) -> anyhow::Result<()> {
    let mut transaction = pools.jobs.begin().await?;
    let files = pushes::expire(&mut transaction, now).await?;
    transaction.commit().await?;
    if !files.is_empty() {
        tracing::warn!("{} parts of deliveries that nobody completed for a week were deleted", files.len());
    }
    for path in files {
        let _ = tokio::fs::remove_file(path).await;
    }
    Ok(())
}

async fn expire_uploads(pools: &Pools) -> anyhow::Result<()> {
    let mut transaction = pools.jobs.begin().await?;
    let expired = uploads::expire(&mut transaction).await?;
    transaction.commit().await?;
    if !expired.is_empty() {
        metrics::counter!("costwake_uploads_expired_total").increment(expired.len() as u64);
        tracing::warn!("{} uploads that failed a month ago were deleted; their receipts say so", expired.len());
    }
    for path in expired.iter().flat_map(uploads::files) {
        // One that cannot be deleted now is one that nobody waits for.
        let _ = tokio::fs::remove_file(path).await;
    }
    Ok(())
}

fn delete_unwanted(left: &[(PathBuf, Held)], wanted: &HashSet<PathBuf>) {
    for (path, _) in left.iter().filter(|(path, _)| !wanted.contains(path)) {
        // Gone is gone: another process may sweep as well.
        let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
}
