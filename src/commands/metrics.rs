//! `costwake metrics import`: usage from files.

use super::database;
use crate::config::Config;
use crate::rollup::metrics_import;
use crate::rollup::usage::UsageError;
use anyhow::Context;
use chrono::Utc;
use std::path::PathBuf;
use std::process::ExitCode;

/// Larger files are given in parts.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What to do with metrics.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: MetricsCommand,
}

#[derive(clap::Subcommand)]
enum MetricsCommand {
    /// Take CSV files in: columns metric, service, day (or hour), value, and environment where it is told apart.
    Import {
        /// The files; of each, all lines are taken or none.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Runs the command. Exit code 2 where a file was refused.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    let MetricsCommand::Import { files } = arguments.command;
    let database = database::open(config).await?;
    let mut exit = ExitCode::SUCCESS;
    for file in &files {
        let name = file.display();
        let size = std::fs::metadata(file).with_context(|| format!("opening {name}"))?.len();
        anyhow::ensure!(size <= FILE_BYTES_MAX, "{name} is larger than {FILE_BYTES_MAX} bytes: split it");
        let text = std::fs::read(file).with_context(|| format!("reading {name}"))?;
        match metrics_import::import(&database.pools, &text, "command line", "", Utc::now()).await {
            Ok(report) => {
                println!("{name}: {} values of {} stored.", report.point_count, report.metrics.join(", "));
            }
            Err(UsageError::Other(error)) => {
                database.close().await;
                return Err(error);
            }
            Err(error) => {
                eprintln!("{name}: {error}");
                exit = ExitCode::from(2);
            }
        }
    }
    database.close().await;
    Ok(exit)
}
