//! A file that was uploaded, spooled to disk and acknowledged: read now.

use crate::normalize::Format;
use crate::rollup::control_totals::ControlTotals;
use crate::rollup::{ImportOptions, ImportRequest, import_with};
use crate::store::jobs::Job;
use crate::store::{Pools, deliveries, uploads};
use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgConnection;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

/// How far the imports of this process are, for their heartbeats.
static PROGRESS: LazyLock<Mutex<HashMap<i64, String>>> = LazyLock::new(Mutex::default);

#[derive(Deserialize)]
struct Upload {
    path: PathBuf,
    /// Files that belong to the same delivery.
    #[serde(default)]
    more_parts: Vec<PathBuf>,
    file_name: String,
    source: Option<String>,
    as_of: Option<DateTime<Utc>>,
    received_by: String,
    delivery_id: Option<i64>,
    /// What the file is, where its columns do not show it.
    format: Option<String>,
    /// Whether a bill that another source counts is counted here too.
    #[serde(default)]
    is_counted_elsewhere_too: bool,
    /// What the sender says that the files hold.
    #[serde(default)]
    control: ControlTotals,
    /// All deliveries of the same form.
    #[serde(default)]
    together: Vec<i64>,
}

pub(super) async fn run(pools: &Pools, job: &Job) -> anyhow::Result<()> {
    let upload: Upload = serde_json::from_value(job.payload.clone()).context("the job's payload")?;
    for path in std::iter::once(&upload.path).chain(&upload.more_parts) {
        if !tokio::fs::try_exists(path).await? {
            return gone(pools, &upload).await;
        }
    }
    let format = upload.format.as_deref().map(str::parse::<Format>).transpose();
    let request = ImportRequest {
        path: upload.path,
        file_name: upload.file_name,
        source: upload.source,
        as_of: upload.as_of,
        received_by: upload.received_by,
        now: Utc::now(),
    };
    let options = ImportOptions {
        format: format.map_err(|error| anyhow::anyhow!("the format of the source: {error}"))?,
        more_parts: upload.more_parts,
        delivery_id: upload.delivery_id,
        is_counted_elsewhere_too: upload.is_counted_elsewhere_too,
        together: upload.together,
        control: upload.control,
        fence: Some(job.fence()),
        ..ImportOptions::default()
    };
    let job_id = job.job_id;
    let tell = move |rows: u64, read: u64, total: u64| {
        let percent = (read * 100).checked_div(total).unwrap_or(0).min(100);
        set_progress(job_id, Some(format!("{percent} % read, {rows} rows")));
    };
    let receipt = import_with(pools, request, options, tell).await;
    set_progress(job_id, None);
    let receipt = receipt?;
    tracing::info!(delivery.id = receipt.delivery_id, "{} is {}: {} rows", receipt.file, receipt.state, receipt.rows);
    Ok(())
}

// A worker that died between its last two steps has read the file already.
async fn gone(pools: &Pools, upload: &Upload) -> anyhow::Result<()> {
    let Some(delivery_id) = upload.delivery_id else { return Ok(()) };
    let mut transaction = pools.jobs.begin().await?;
    let delivery = deliveries::lock(&mut *transaction, delivery_id).await?;
    if delivery.is_some_and(|delivery| matches!(delivery.state.as_str(), "waiting" | "loading" | "failed")) {
        let reason = "The uploaded file is gone from the disk; nothing of it is counted. Upload it again.";
        deliveries::finish(&mut *transaction, delivery_id, "failed", Some(reason), Utc::now()).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// Says on the receipt of an upload that it failed at its last try.
pub(super) async fn give_up(
    conn: &mut PgConnection,
    job: &Job,
    error: &anyhow::Error,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let delivery_id = job.payload.get("delivery_id").and_then(|id| id.as_i64());
    match delivery_id.filter(|_| job.kind == "import_upload") {
        Some(delivery_id) => uploads::fail(conn, delivery_id, &format!("{error:#}"), now).await,
        None => Ok(()),
    }
}

/// Deletes the spooled files of a job that is done with it.
pub(super) async fn forget_file(job: &Job) {
    if job.kind != "import_upload" {
        return;
    }
    for path in uploads::files(&job.payload) {
        if let Err(error) = tokio::fs::remove_file(path).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("An upload could not be deleted; the sweep will try again: {error}");
        }
    }
}

/// What the job's next heartbeat says.
pub(super) fn progress(job: &Job) -> String {
    PROGRESS.lock().map(|all| all.get(&job.job_id).cloned().unwrap_or_default()).unwrap_or_default()
}

/// Says how far a job is.
pub(super) fn set_progress(job_id: i64, progress: Option<String>) {
    let Ok(mut all) = PROGRESS.lock() else { return };
    match progress {
        Some(progress) => all.insert(job_id, progress),
        None => all.remove(&job_id),
    };
}
