//! Reads an event source through its API: what webhooks did not bring is stored as if they had, and read on the same way.
//!
//! The first read goes back 30 days, later ones to a day before the last. What is wrong over there is written down with
//! what to do, and the next time asks again; only what is wrong here makes the job fail.

mod asking;
mod pages;
mod repository;

use crate::config::Config;
use crate::events::listed::Api;
use crate::sources::objects::Listing;
use crate::store::event_reads::{self, EventRead, ReadRun};
use crate::store::jobs::{self, Job};
use crate::store::{Pools, event_reads::ReadRepository, sealed};
use anyhow::{Context, bail};
use asking::{Asking, Problem, Stop};
use chrono::Utc;

/// Who asked where nobody did.
pub(super) const BY_SCHEDULE: &str = "schedule";

/// One source, as the job asks.
pub(super) async fn run(pools: &Pools, config: &Config, job: &Job) -> anyhow::Result<()> {
    let id = job.payload["event_source_id"].as_i64().context("the job names no event source")?;
    let asked_by = job.payload["asked_by"].as_str().unwrap_or(BY_SCHEDULE);
    let Some(setting) = event_reads::get(&pools.jobs, id).await? else { return Ok(()) };
    let Some(api) = Api::of(&setting.kind) else { return Ok(()) };
    if !setting.enabled || (setting.is_paused && asked_by == BY_SCHEDULE) {
        return Ok(());
    }
    let repositories = event_reads::repositories(&pools.jobs, id).await?;
    let started_at = Utc::now();
    let mut run = ReadRun { asked_by: asked_by.to_owned(), started_at, ..ReadRun::default() };
    let stopped = match opened(config, api, &setting).await {
        Ok(listing) => {
            let asking = Asking { pools, api, listing, event_source_id: id, fence: job.fence(), budget: None, run };
            let (asking, stopped) = read_all(asking, &repositories).await?;
            run = asking.run;
            stopped
        }
        Err(problem) => Some(problem),
    };
    if let Some(problem) = stopped {
        run.continues_at = problem.continues_at;
        (run.error, run.remedy) = (Some(problem.error), Some(problem.remedy));
    }
    run.finished_at = Utc::now();
    let mut transaction = pools.jobs.begin().await?;
    if !jobs::holds(&mut transaction, job.fence()).await? {
        bail!("another worker has taken the job over");
    }
    event_reads::finished(&mut transaction, id, &run).await?;
    transaction.commit().await?;
    Ok(())
}

// Each repository for itself: one that is gone keeps none of the others out.
async fn read_all<'a>(
    mut asking: Asking<'a>,
    repositories: &[ReadRepository],
) -> anyhow::Result<(Asking<'a>, Option<Problem>)> {
    let mut failed = 0;
    let mut first: Option<Problem> = None;
    for repository in repositories {
        match Box::pin(repository::read(&mut asking, repository)).await {
            Ok(()) => {}
            Err(Stop::Fault(error)) => return Err(error.into()),
            Err(Stop::Lost) => bail!("another worker has taken the job over"),
            Err(Stop::Problem(problem)) if problem.is_of_all => return Ok((asking, Some(problem))),
            Err(Stop::Problem(problem)) => {
                let mut conn = asking.pools.jobs.acquire().await?;
                let (id, name) = (asking.event_source_id, &repository.repository);
                event_reads::repository_failed(&mut conn, id, name, &problem.error, &problem.remedy).await?;
                failed += 1;
                first.get_or_insert(problem);
            }
        }
    }
    let count = repositories.len();
    let stopped = first.map(|problem| Problem {
        error: format!("{failed} of {count} repositories could not be read. {}", problem.error),
        ..problem
    });
    Ok((asking, stopped))
}

async fn opened(config: &Config, api: Api, setting: &EventRead) -> Result<Listing, Problem> {
    let token = token(config, setting)
        .await
        .map_err(|error| Problem::of_all(error, "Put the right key file back, or enter the token again."))?;
    let reach = config.reach().map_err(|error| Problem::of_all(error.to_string(), "Correct the setting."))?;
    Listing::new(&reach.guard, &setting.address, api.headers(), token.as_deref())
        .map_err(|error| Problem::of_all(error.to_string(), "Correct the address, and enter the token again."))
}

async fn token(config: &Config, setting: &EventRead) -> Result<Option<String>, String> {
    if setting.token_sealed.is_none() {
        return Ok(None);
    }
    let key = sealed::load(&config.key_file()).await.map_err(|error| error.to_string())?;
    setting.token(&key).map_err(|error| error.to_string())
}
