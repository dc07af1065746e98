//! `costwake migrate`: brings the schema up to this build's and says so.

use super::database;
use crate::config::Config;
use std::process::ExitCode;

/// No arguments.
#[derive(clap::Args)]
pub struct Arguments {}

/// Runs the command.
pub async fn run(_: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    let database = database::open(config).await?;
    database.close().await;
    println!("The schema is up to date.");
    Ok(ExitCode::SUCCESS)
}
