//! `costwake rebuild`: adds all rollups up again from the charges.

use super::database;
use crate::config::Config;
use crate::rollup::rebuild;
use chrono::Utc;
use std::process::ExitCode;

/// No arguments.
#[derive(clap::Args)]
pub struct Arguments {}

/// Runs the command.
pub async fn run(_: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    let database = database::open(config).await?;
    let progress = |done: usize, total: usize| {
        if done > 0 && done.is_multiple_of(10) {
            eprintln!("{done} of {total} bills added up");
        }
    };
    let count = rebuild::rebuild(&database.pools, "command line", Utc::now(), progress).await;
    database.close().await;
    println!("Added up again from their lines: {} bills. Nothing differs from what the files said.", count?);
    Ok(ExitCode::SUCCESS)
}
