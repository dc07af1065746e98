//! `costwake month`: closing and reopening billing months.

use super::database::{self, Database};
use crate::config::Config;
use crate::focus::BillingPeriod;
use crate::rollup::{Person, close_month};
use crate::store::month_closing;
use crate::web::close_warnings::{Standing, close_warnings};
use chrono::Utc;
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
    /// Close a month: its figures and rates stay, and what arrives late is booked to the first open month after it.
    Close {
        /// 2026-10
        month: BillingPeriod,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Open a closed month again.
    Reopen {
        /// 2026-10
        month: BillingPeriod,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// List the closed months.
    List,
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    let database = database::open(config).await?;
    let done = act(arguments.action, &database).await;
    database.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

async fn act(action: Action, database: &Database) -> anyhow::Result<()> {
    let (pools, now) = (&database.pools, Utc::now());
    match action {
        Action::Close { month, reason } => {
            // Asked before: a closed month has nothing wanting any more.
            let warnings = {
                let (mut snapshot, today) = (pools.snapshot().await?, now.date_naive());
                let standing = Standing::read(&mut snapshot, month, today).await?;
                close_warnings(&mut snapshot, month, &standing, today).await?
            };
            close_month::close(pools, month, &reason, BY, now).await?;
            println!("{} is closed", month.label());
            for warning in &warnings {
                println!("  {}: {}", warning.title, warning.text());
            }
            if !warnings.is_empty() {
                println!("  to open it again: costwake month reopen {month} --reason …");
            }
        }
        Action::Reopen { month, reason } => {
            close_month::reopen(pools, month, &reason, BY, now).await?;
            println!("{} is open again", month.label());
        }
        Action::List => {
            let mut conn = pools.jobs.acquire().await?;
            for closing in month_closing::closed(&mut conn).await? {
                let month = BillingPeriod::containing(closing.month);
                let at = closing.closed_at.format("%Y-%m-%dT%H:%M:%SZ");
                println!("{month}\tclosed {at}\tby {}\t{}", closing.closed_by, closing.close_reason);
            }
        }
    }
    Ok(())
}
