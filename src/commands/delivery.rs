//! `costwake delivery`: receipts of deliveries, and the decisions about them.

use super::database::{self, Database};
use super::import;
use crate::config::Config;
use crate::rollup::{self, Person};
use crate::store::receipts;
use anyhow::Context;
use chrono::Utc;
use std::process::ExitCode;

const BY: Person<'_> = Person { login: "command line", address: "" };

/// What to do.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Print the receipt of a delivery: what it held, and while it waits what it takes the place of and changes in closed
    /// months.
    Show {
        /// Its number.
        delivery_id: i64,
    },
    /// Count a delivery that waits, or one that was withdrawn. What it changes in closed months is booked to the first
    /// open month after each.
    Accept {
        /// Its number.
        delivery_id: i64,
    },
    /// Refuse a delivery that waits, or let nothing of a counted one count any more.
    Withdraw {
        /// Its number.
        delivery_id: i64,
    },
    /// Give the bills of a delivery back to what counted before it.
    Revert {
        /// Its number.
        delivery_id: i64,
    },
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    let database = database::open(config).await?;
    let done = act(&arguments, &database).await;
    database.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

async fn act(arguments: &Arguments, database: &Database) -> anyhow::Result<()> {
    let (pools, now) = (&database.pools, Utc::now());
    let delivery_id = match arguments.action {
        Action::Show { delivery_id } => delivery_id,
        Action::Accept { delivery_id } => {
            rollup::accept(pools, delivery_id, BY, now).await?;
            delivery_id
        }
        Action::Withdraw { delivery_id } => {
            rollup::withdraw(pools, delivery_id, BY, now).await?;
            delivery_id
        }
        Action::Revert { delivery_id } => {
            rollup::revert(pools, delivery_id, BY, now).await?;
            delivery_id
        }
    };
    let mut conn = pools.jobs.acquire().await?;
    let receipt = receipts::get(&mut conn, delivery_id).await?;
    let receipt = receipt.with_context(|| format!("there is no delivery {delivery_id}"))?;
    if arguments.json {
        println!("{}", serde_json::to_string(&receipt)?);
    } else {
        print!("{}", import::text(&receipt));
    }
    Ok(())
}
