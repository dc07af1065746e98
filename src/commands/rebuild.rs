//! `costwake rebuild`: adds all rollups up again from the charges.

use super::database;
use crate::config::Config;
use crate::patience::Patience;
use crate::rollup::rebuild;
use chrono::Utc;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// No arguments.
#[derive(clap::Args)]
pub struct Arguments {}

/// Runs the command.
pub async fn run(_: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    let database = database::open(config).await?;
    let so_far = Arc::new(Mutex::new((0, 0)));
    let patience = Patience::new({
        let so_far = so_far.clone();
        move |lasted| {
            let (done, total) = *so_far.lock().unwrap_or_else(PoisonError::into_inner);
            eprintln!("  {done} of {total} bills added up: {} s", lasted.as_secs());
        }
    });
    let progress = |done: usize, total: usize| *so_far.lock().unwrap_or_else(PoisonError::into_inner) = (done, total);
    let count = rebuild::rebuild(&database.pools, "command line", Utc::now(), progress).await;
    drop(patience);
    database.close().await;
    println!("Added up again from their lines: {} bills. Nothing differs from what the files said.", count?);
    Ok(ExitCode::SUCCESS)
}
