//! `costwake serve`: pages, API, webhooks and jobs until it is told to stop.

use super::database::Database;
use super::running::{Parts, Ports, Running};
use super::serving::Serving;
use super::stop_signal::StopSignal;
use super::{database, running, serving};
use crate::config::Config;
use crate::store::embedded::{self, ServeLock};
use crate::store::{sealed, temporary_files};
use crate::web::transport;
use std::process::ExitCode;

/// What to serve.
#[derive(Default, clap::Args)]
pub struct Arguments {
    /// Serve pages and API only; another process does the work in the background.
    #[arg(long, conflicts_with = "jobs_only")]
    pub no_jobs: bool,
    /// Do the work in the background only.
    #[arg(long)]
    pub jobs_only: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    let mut told_to_stop = StopSignal::listen()?;
    let parts = Parts { pages: !arguments.jobs_only, jobs: !arguments.no_jobs };
    // Before anything is started for settings that are refused.
    if let Some(problem) = transport::problem(config).filter(|_| parts.pages) {
        anyhow::bail!(problem);
    }
    config.reach()?;
    for folder in config.missing_source_folders() {
        tracing::warn!("COSTWAKE_SOURCE_FOLDERS: {} is not there, or no folder", folder.display());
    }
    let _lock = ServeLock::take(&config.data_dir(), parts.pages, parts.jobs)?;
    let mut config = config.clone();
    let ports = Ports::take(&mut config, parts).await?;
    temporary_files::keep_in(&config.data_dir());
    let (database, serving) = tokio::select! {
        opened = open(&config) => opened?,
        () = told_to_stop.wait() => anyhow::bail!("stopped before it served"),
    };
    let started = running::start(&database, &config, parts, ports).await;
    let served = match started {
        Ok(running) => until_told(running, told_to_stop, parts, serving, &config).await,
        Err(error) => Err(error),
    };
    database.close().await;
    served.map(|()| ExitCode::SUCCESS)
}

// What others must not do beside a server is told to them before the schema is touched.
async fn open(config: &Config) -> anyhow::Result<(Database, Option<Serving>)> {
    let database = database::open_as_it_is(config).await?;
    database::warn_of_few_connections(&database).await?;
    let serving = Serving::begin(&database, config).await?;
    database::make_ready(&database, config).await?;
    if let Some(problem) = sealed::problem(&database.pools.jobs, &config.key_file()).await? {
        tracing::warn!("{problem}");
    }
    Ok((database, serving))
}

async fn until_told(
    mut running: Running,
    mut told_to_stop: StopSignal,
    parts: Parts,
    serving: Option<Serving>,
    config: &Config,
) -> anyhow::Result<()> {
    if parts.pages {
        // Before anything is promised: without a link a new installation cannot be entered.
        let link = running.first_sign_in_link().await?;
        println!("Costwake serves on {}", running.address());
        if let Some(link) = link {
            // Scripts keep standard output and pass it on, and whoever has the link is the administrator.
            eprintln!("Sign in for the first time (works once, for an hour): {link}");
        }
    } else {
        println!("Costwake works in the background.");
    }
    remove_old_clusters(config).await;
    // Held until everything is finished.
    let mut lost = std::pin::pin!(serving::lost(serving));
    let ended = tokio::select! {
        () = told_to_stop.wait() => Ok(()),
        () = running.ended() => Ok(()),
        problem = &mut lost => Err(anyhow::anyhow!(problem)),
    };
    tracing::info!("Stopping: open requests are finished first");
    running.stop().await?;
    ended
}

/// What an upgrade left: the new cluster serves now.
async fn remove_old_clusters(config: &Config) {
    if config.database_url.is_some() {
        return;
    }
    let data_dir = config.data_dir();
    match tokio::task::spawn_blocking(move || embedded::remove_old(&data_dir)).await {
        Ok(Ok(folders)) => folders.iter().for_each(|folder| tracing::info!("Removed {}", folder.display())),
        Ok(Err(error)) => tracing::warn!("What an upgrade left could not be removed: {error}"),
        Err(error) => tracing::warn!("What an upgrade left could not be removed: {error}"),
    }
}
