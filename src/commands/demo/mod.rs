//! `costwake demo`: a made-up organisation in a fresh data directory, taken in by the front door, then served.

mod check;
mod client;
mod events;
mod fill;
mod fresh;

use super::database::{self, Database};
use super::running::{self, Parts, Ports, Running};
use super::stop_signal::StopSignal;
use crate::config::Config;
use crate::demo;
use crate::store::embedded::ServeLock;
use crate::store::temporary_files;
use anyhow::bail;
use chrono::Utc;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

const PARTS: Parts = Parts { pages: true, jobs: true };

/// Not given a data directory, the demo takes one of its own beside the usual one.
#[derive(clap::Args)]
pub struct Arguments {
    /// Open every page, verify all totals and stop, instead of serving on.
    #[arg(long)]
    check: bool,
    /// Another number makes another organisation.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    if config.database_url.is_some() {
        bail!("the demo runs on a database of its own: unset DATABASE_URL");
    }
    let mut config = config.clone();
    if config.data_dir.is_none() {
        config.data_dir = Some(beside(&config.data_dir()));
    }
    let data_dir = config.data_dir();
    let mut told_to_stop = StopSignal::listen()?;
    fresh::may_take(&data_dir)?;
    let _lock = ServeLock::take(&data_dir, true, true)?;
    let ports = Ports::take_for_show(&mut config, PARTS).await?;
    fresh::clear(&data_dir, config.postgres_bin.as_deref()).await?;
    temporary_files::keep_in(&data_dir);

    step(format_args!("Starting PostgreSQL in {}", data_dir.display()));
    let database = database::open(&config).await?;
    let done = tokio::select! {
        done = served(&arguments, &database, &config, ports) => done,
        () = told_to_stop.wait() => Err(anyhow::anyhow!("stopped before the demo was ready")),
    };
    let done = match done {
        Ok(Some(running)) => {
            told_to_stop.wait().await;
            running.stop().await
        }
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    database.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

/// The running demo; with `--check` it was stopped.
async fn served(
    arguments: &Arguments,
    database: &Database,
    config: &Config,
    ports: Ports,
) -> anyhow::Result<Option<Running>> {
    let began = Instant::now();
    let folder = config.data_dir().join("demo");
    step(format_args!("Making up an organisation"));
    let (today, seed) = (Utc::now().date_naive(), arguments.seed);
    let files = tokio::task::spawn_blocking(move || demo::generate(&folder, today, seed)).await??;

    let running = running::start(database, config, PARTS, ports).await?;
    let link = running.first_sign_in_link().await?;
    let link = link.ok_or_else(|| anyhow::anyhow!("a fresh database has no administrator, yet no link was made"))?;
    fill::take_in(&running, &database.pools, &files).await?;
    step(format_args!("Everything is in after {:.0} s", began.elapsed().as_secs_f32()));
    if arguments.check {
        let outcome = check::check(&running, &database.pools, &link).await;
        running.stop().await?;
        return outcome.map(|()| None);
    }
    // Whoever has the link is the administrator, so that all of it goes where `serve` tells its link.
    eprintln!();
    eprintln!("The demo is on      {}", running.address());
    eprintln!("Sign in once with   {link}");
    eprintln!("Other commands:     costwake --data-dir {} verify", config.data_dir().display());
    eprintln!("Ctrl-C stops it.");
    Ok(Some(running))
}

fn beside(data_dir: &Path) -> PathBuf {
    data_dir.with_file_name("costwake-demo")
}

/// A line of progress.
fn step(text: std::fmt::Arguments<'_>) {
    eprintln!("  {text}");
}
