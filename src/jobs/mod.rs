//! The only clock: work that waits in the queue is done here, and what must happen from time to time is asked for.
//!
//! A worker holds a job by a lease on database time and extends it while it works. One that lost its lease stops,
//! and could not publish any more: the publish transaction checks the lease's fencing token.

pub mod anomalies;
pub mod effects;
mod fetched;
pub mod forecasts;
mod import_upload;
mod pull_metrics;
mod read_events;
mod read_source;
mod read_words;
mod refresh_catalogue;
mod schedule;
mod sweep;

pub use schedule::{
    ask_for_due_counts, ask_for_due_event_reads, ask_for_due_pulls, ask_for_due_reads, ask_for_due_refreshes,
};

use crate::config::Config;
use crate::rollup::namespace_usage::{self, COUNT_NAMESPACES};
use crate::rollup::pipeline_usage::{self, COUNT_PIPELINES};
use crate::rollup::usage::MAKE_DAYS;
use crate::rollup::{events, remap};
use crate::store::Pools;
use crate::store::catalogue_sources::REFRESH_CATALOGUE;
use crate::store::event_reads::READ_EVENT_SOURCE;
use crate::store::jobs::{self, Job, Lane};
use crate::store::metric_queries::PULL_METRICS;
use crate::store::source_reads::READ_SOURCE;
use anyhow::bail;
use chrono::Utc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

const LEASE_SECONDS: i32 = 60;
const HEARTBEAT: Duration = Duration::from_secs(15);
const IDLE_WAIT: Duration = Duration::from_millis(500);
const SWEEP_EVERY: Duration = Duration::from_secs(600);
const RETRY_SECONDS_MAX: i32 = 900;
/// After an outage of the database.
const OUTAGE_WAIT: Duration = Duration::from_secs(2);

/// Every kind of job. One that is not among them is not run, so that none is forgotten where all kinds are looked at.
pub const KINDS: [&str; 15] = [
    COUNT_NAMESPACES,
    COUNT_PIPELINES,
    jobs::DETECT_ANOMALIES,
    jobs::FORECAST,
    "import_upload",
    MAKE_DAYS,
    "normalize_events",
    PULL_METRICS,
    READ_EVENT_SOURCE,
    READ_SOURCE,
    REFRESH_CATALOGUE,
    "remap",
    jobs::SETTLE_EFFECTS,
    "sweep",
    "work_out_splits",
];

/// Works until `stop`. Jobs that are running then are given back to the queue.
pub async fn run(pools: Pools, config: Config, stop: CancellationToken) {
    let workers = [Lane::Imports, Lane::Imports, Lane::Others].map(|lane| {
        let worker = Worker { pools: pools.clone(), config: config.clone(), lane, stop: stop.clone() };
        tokio::spawn(async move { worker.work().await })
    });
    let reads = tokio::spawn(schedule::run(pools.clone(), stop.clone()));
    let settling = tokio::spawn(effects::schedule(pools.clone(), stop.clone()));
    let detecting = tokio::spawn(anomalies::schedule(pools.clone(), stop.clone()));
    let forecasting = tokio::spawn(forecasts::schedule(pools.clone(), stop.clone()));
    let schedule = tokio::spawn(schedule(pools, stop));
    for worker in workers {
        let _ = worker.await;
    }
    let _ = tokio::join!(schedule, reads, settling, detecting, forecasting);
}

// Several processes may ask: at most one sweep waits or runs.
async fn schedule(pools: Pools, stop: CancellationToken) {
    let mut ticks = interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let asked = async {
            let mut conn = pools.jobs.acquire().await?;
            jobs::enqueue(&mut conn, "sweep", "", &serde_json::json!({})).await
        };
        if let Err(error) = asked.await {
            tracing::warn!("A sweep could not be asked for: {error}");
        }
    }
}

/// One worker; tests let it take single jobs.
pub struct Worker {
    /// Connections.
    pub pools: Pools,
    /// Where uploads lie.
    pub config: Config,
    /// Which jobs it takes.
    pub lane: Lane,
    /// When to stop.
    pub stop: CancellationToken,
}

impl Worker {
    async fn work(&self) {
        while !self.stop.is_cancelled() {
            let wait = match self.take_one().await {
                Ok(true) => continue,
                Ok(false) => IDLE_WAIT,
                Err(error) => {
                    tracing::warn!("The queue cannot be reached: {error}");
                    OUTAGE_WAIT
                }
            };
            self.stop.run_until_cancelled(sleep(wait)).await;
        }
    }

    /// Does the next job that is due. False where there is none.
    pub async fn take_one(&self) -> sqlx::Result<bool> {
        let Some(job) = jobs::lease(&self.pools.jobs, self.lane, LEASE_SECONDS).await? else { return Ok(false) };
        self.work_on(job).await?;
        Ok(true)
    }

    /// Does this job, where nobody else has it. False where somebody has, or it is done.
    pub async fn take(&self, job_id: i64) -> sqlx::Result<bool> {
        let Some(job) = jobs::lease_one(&self.pools.jobs, job_id, LEASE_SECONDS).await? else { return Ok(false) };
        self.work_on(job).await?;
        Ok(true)
    }

    async fn work_on(&self, job: Job) -> sqlx::Result<()> {
        tracing::debug!(job.id = job.job_id, job.kind = job.kind, "Job {} starts", job.job_id);
        let result = tokio::select! {
            result = self.run_job(&job) => result,
            () = self.beat(&job) => Err(anyhow::anyhow!("another worker has taken the job over")),
            () = self.stop.cancelled() => {
                return jobs::release(&self.pools.jobs, job.fence()).await;
            }
        };
        metrics::counter!("costwake_jobs_total", "kind" => kind_label(&job.kind), "result" => result_label(&result))
            .increment(1);
        match result {
            Ok(()) => {
                let mut transaction = self.pools.jobs.begin().await?;
                jobs::finish(&mut transaction, job.fence()).await?;
                transaction.commit().await?;
                import_upload::forget_file(&job).await;
            }
            Err(error) => self.failed(&job, &error).await?,
        }
        Ok(())
    }

    async fn failed(&self, job: &Job, error: &anyhow::Error) -> sqlx::Result<()> {
        tracing::error!(
            job.id = job.job_id,
            job.kind = job.kind,
            job.attempts = job.attempts,
            "A job failed: {error:#}"
        );
        let seconds = (5 * 3_i32.pow(job.attempts.clamp(1, 6) as u32 - 1)).min(RETRY_SECONDS_MAX);
        // What was acknowledged is not thrown away: an upload's file stays for someone who tries again.
        let mut transaction = self.pools.jobs.begin().await?;
        if jobs::fail(&mut *transaction, job.fence(), &format!("{error:#}"), seconds).await? {
            import_upload::give_up(&mut transaction, job, error, Utc::now()).await?;
        }
        transaction.commit().await
    }

    async fn run_job(&self, job: &Job) -> anyhow::Result<()> {
        match job.kind.as_str() {
            unknown if !KINDS.contains(&unknown) => bail!("there is no job of the kind {unknown}"),
            // Boxed, as the ones below: the stack of a worker would else hold the largest of them at every job.
            "import_upload" => Box::pin(import_upload::run(&self.pools, job)).await,
            READ_SOURCE => Box::pin(read_source::run(&self.pools, &self.config, job)).await,
            REFRESH_CATALOGUE => Box::pin(refresh_catalogue::run(&self.pools, &self.config, job)).await,
            READ_EVENT_SOURCE => Box::pin(read_events::run(&self.pools, &self.config, job)).await,
            "normalize_events" => {
                Box::pin(events::read_new(&self.pools.jobs)).await?;
                Ok(())
            }
            "remap" => {
                Box::pin(remap::remap(&self.pools, "costwake", Utc::now())).await?;
                Ok(())
            }
            "work_out_splits" => Box::pin(remap::work_out_splits_again(&self.pools, "costwake", Utc::now())).await,
            PULL_METRICS => Box::pin(pull_metrics::run(&self.pools, &self.config, job)).await,
            COUNT_PIPELINES => {
                let counted = Box::pin(pipeline_usage::count(&self.pools, Utc::now())).await?;
                tracing::info!(
                    "{} runs of pipelines are counted, {} new ones belong to no service",
                    counted.run_count,
                    counted.unmapped_count
                );
                Ok(())
            }
            COUNT_NAMESPACES => {
                let counted = Box::pin(namespace_usage::count(&self.pools, Utc::now())).await?;
                tracing::info!(
                    "Namespaces have {} days of usage, {} namespaces belong to no service",
                    counted.point_count,
                    counted.unmapped_count
                );
                Ok(())
            }
            MAKE_DAYS => Box::pin(pull_metrics::make_days(&self.pools)).await,
            // One that was asked for while the last one ran finds its work done.
            jobs::SETTLE_EFFECTS if !effects::is_behind(&self.pools).await? => Ok(()),
            jobs::DETECT_ANOMALIES if !anomalies::is_behind(&self.pools).await? => Ok(()),
            jobs::SETTLE_EFFECTS => {
                let done = Box::pin(effects::settle(&self.pools, Utc::now())).await?;
                tracing::info!(
                    "Effects of {} releases are up to date, {} of them worked out anew",
                    done.release_count,
                    done.computed_count
                );
                Ok(())
            }
            jobs::DETECT_ANOMALIES => {
                let done = Box::pin(anomalies::detect(&self.pools, Utc::now())).await?;
                tracing::info!(
                    "Anomalies are up to date: {} of {} series looked at, {} opened, {} closed",
                    done.looked_count,
                    done.series_count,
                    done.opened_count,
                    done.closed_count
                );
                Ok(())
            }
            jobs::FORECAST => {
                let done = Box::pin(forecasts::forecast(&self.pools, Utc::now())).await?;
                tracing::info!("{} forecasts are up to date", done.forecast_count);
                Ok(())
            }
            "sweep" => Box::pin(sweep::run(&self.pools, &self.config, Utc::now())).await,
            other => bail!("nothing runs jobs of the kind {other}"),
        }
    }

    // Ends when the job is no longer this worker's.
    async fn beat(&self, job: &Job) {
        loop {
            sleep(HEARTBEAT).await;
            let progress = import_upload::progress(job);
            match jobs::heartbeat(&self.pools.jobs, job.fence(), LEASE_SECONDS, &progress).await {
                Ok(true) => {}
                Ok(false) => return,
                // The lease outlives a short outage; a long one ends it, and the fence does the rest.
                Err(error) => tracing::warn!(job.id = job.job_id, "A lease could not be extended: {error}"),
            }
        }
    }
}

// Labels come from a fixed set: a kind that nobody knows must not make up a new series.
fn kind_label(kind: &str) -> &'static str {
    KINDS.into_iter().find(|known| *known == kind).unwrap_or("other")
}

fn result_label(result: &anyhow::Result<()>) -> &'static str {
    if result.is_ok() { "ok" } else { "error" }
}
