//! `costwake invoices`: totals of invoices from files.

use super::database;
use crate::config::Config;
use crate::rollup::{Person, invoices};
use crate::store::temporary_files;
use anyhow::Context;
use chrono::Utc;
use std::path::PathBuf;
use std::process::ExitCode;

const BY: Person<'_> = Person { login: "command line", address: "" };

/// What to do.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Take in totals of invoices: FOCUS 1.4 InvoiceDetail, or a list with InvoiceId, BillingCurrency and BilledCost; CSV
    /// (plain, .gz, .zst or .zip) or Parquet.
    Import {
        /// The files; each is taken whole or not at all.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    temporary_files::keep_in(&config.data_dir());
    let database = database::open(config).await?;
    let Action::Import { files } = arguments.action;
    let mut done = Ok(());
    for file in files {
        let read = std::fs::read(&file).with_context(|| format!("{} cannot be read", file.display()));
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let imported = match read {
            Ok(bytes) => invoices::import(&database.pools.jobs, &name, bytes, BY, Utc::now())
                .await
                .with_context(|| file.display().to_string()),
            Err(error) => Err(error),
        };
        match imported {
            Ok(imported) => println!("{}: {imported}", file.display()),
            Err(error) => {
                done = Err(error);
                break;
            }
        }
    }
    database.close().await;
    done.map(|()| ExitCode::SUCCESS)
}
