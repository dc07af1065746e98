//! `costwake rates`: the reporting currency and the rates into it.

use super::database::{self, Database};
use crate::config::Config;
use crate::focus::{BillingPeriod, RateOrigin};
use crate::rollup::{Person, rates as actions};
use crate::store::rates::{self, EnteredRate};
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
    /// Take in reference rates as the European Central Bank publishes them (eurofxref-hist.csv or .zip, or of a day).
    Import {
        /// The files; each is taken whole or not at all.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Enter the rate of a billing month: it stands before the reference rates.
    Enter {
        /// 2026-10
        month: String,
        /// The currency of the bills.
        currency: String,
        /// Units of the reporting currency for one of it.
        rate: String,
        /// Why it is used.
        #[arg(long)]
        reason: String,
    },
    /// Take an entered rate away.
    Remove {
        /// 2026-10
        month: String,
        /// The currency of the bills.
        currency: String,
    },
    /// Set the currency that figures are also shown in; "none" takes it away.
    Reporting {
        /// ISO 4217, or none.
        currency: String,
    },
    /// List the rates that the bills need: month, currency, rate, where it comes from. Before them those that were
    /// entered and that no bill needs.
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
    let (pool, now) = (&database.pools.jobs, Utc::now());
    match action {
        Action::Import { files } => {
            for file in files {
                let bytes = std::fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let imported = actions::import(pool, &name, bytes, BY, now).await;
                println!("{}: {}", file.display(), imported.with_context(|| file.display().to_string())?);
            }
        }
        Action::Enter { month, currency, rate, reason } => {
            actions::enter(pool, &month, &currency, &rate, &reason, BY, now).await?;
            println!("1 {currency} is {rate} in {month}");
            tell_unneeded(database, &month, &currency).await?;
        }
        Action::Remove { month, currency } => {
            actions::remove(pool, &month, &currency, BY, now).await?;
            println!("the entered rate of {currency} in {month} is removed");
        }
        Action::Reporting { currency } => {
            let wanted = if currency.eq_ignore_ascii_case("none") { "" } else { &currency };
            let before = actions::set_reporting_currency(pool, wanted, BY, now).await?;
            println!("the reporting currency was {} and is {currency}", before.as_deref().unwrap_or("none"));
        }
        Action::List => list(database).await?,
    }
    Ok(())
}

// A currency may be any that a bill names, and a bill may come later: it is taken, and said.
async fn tell_unneeded(database: &Database, month: &str, billing_currency: &str) -> anyhow::Result<()> {
    let mut conn = database.pools.jobs.acquire().await?;
    let Some(reporting) = rates::reporting_currency(&mut *conn).await? else { return Ok(()) };
    let unneeded = rates::entered_for_nothing(&mut conn, &reporting).await?;
    let is_it = |one: &EnteredRate| {
        one.billing_month().to_string() == month.trim()
            && one.billing_currency.eq_ignore_ascii_case(billing_currency.trim())
    };
    if let Some(one) = unneeded.iter().find(|one| is_it(one)) {
        println!("  no bill of {} is in {}: nothing is converted by it", one.billing_month(), one.billing_currency);
    }
    Ok(())
}

async fn list(database: &Database) -> anyhow::Result<()> {
    let mut conn = database.pools.jobs.acquire().await?;
    let currency = rates::reporting_currency(&mut *conn).await?.context("no reporting currency is set")?;
    let needed = rates::needed(&mut conn).await?;
    // Mistyped ones are found only where they are listed as well.
    for one in rates::entered_for_nothing(&mut conn, &currency).await? {
        let (month, value) = (one.billing_month(), one.rate.normalized().to_plain_string());
        println!("{month}\t{}\t{value}\t{currency}\tentered\tno bill needs it", one.billing_currency);
    }
    let (Some(first), Some(last)) = (needed.last(), needed.first()) else { return Ok(()) };
    let (first, last) = (BillingPeriod::containing(first.month), BillingPeriod::containing(last.month));
    let known = rates::into(&mut conn, &currency, first, last).await?;
    for one in needed.iter().filter(|one| one.billing_currency != currency) {
        let month = BillingPeriod::containing(one.month);
        let rate = known.get(month, &one.billing_currency);
        let value = rate.map_or_else(|| "missing".into(), |rate| rate.value.normalized().to_plain_string());
        let origin = match rate.map(|rate| &rate.origin) {
            Some(RateOrigin::Entered) => "entered".into(),
            Some(RateOrigin::Market(day)) => format!("reference rate of {day}"),
            None => String::new(),
        };
        let state = if one.is_closed { "closed" } else { "open" };
        println!("{month}\t{}\t{value}\t{currency}\t{origin}\t{state}", one.billing_currency);
    }
    Ok(())
}
