//! Clears up: loads that died, lines that nobody goes back to, what has expired, uploads that nobody waits for.

use crate::config::Config;
use crate::rollup::retention;
use crate::store::{Pools, event_deliveries, expired, jobs};
use chrono::{DateTime, Utc};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

const JOBS_KEPT_DAYS: i32 = 30;
/// An upload that is under way writes to its file all the time.
const SPOOL_AGE_MIN: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn run(pools: &Pools, config: &Config, now: DateTime<Utc>) -> anyhow::Result<()> {
    let failed = retention::sweep(pools, now).await?;
    if failed > 0 {
        tracing::warn!("{failed} imports were interrupted; nothing of them is counted");
    }
    let mut conn = pools.jobs.acquire().await?;
    jobs::delete_old(&mut *conn, JOBS_KEPT_DAYS).await?;
    expired::delete(&mut conn, now).await?;
    // The job that was to read them failed too often, or was never asked for.
    if event_deliveries::unread_count(&mut conn).await? > 0 {
        jobs::enqueue(&mut conn, jobs::READ_EVENTS, "", &serde_json::json!({})).await?;
    }
    let wanted: HashSet<PathBuf> = jobs::open_payloads(&mut *conn, "import_upload")
        .await?
        .iter()
        .filter_map(|payload| payload.get("path")?.as_str().map(PathBuf::from))
        .collect();
    let folder = config.data_dir().join("spool");
    tokio::task::spawn_blocking(move || delete_unwanted(&folder, &wanted)).await?;
    Ok(())
}

fn delete_unwanted(folder: &Path, wanted: &HashSet<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let age = entry.metadata().and_then(|data| data.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > SPOOL_AGE_MIN) && !wanted.contains(&entry.path()) {
            // Gone is gone: another process may sweep as well.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
