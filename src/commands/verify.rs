//! `costwake verify`: all invariants over all data.

use super::database;
use crate::config::Config;
use crate::patience::Patience;
use crate::rollup::verify;
use std::process::ExitCode;

/// Exit codes: 0 when every check holds, 1 otherwise.
#[derive(clap::Args)]
pub struct Arguments {
    /// Print one JSON object a check.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    let database = database::open(config).await?;
    database::sweep(&database).await;
    let patience = Patience::shown("Checking all totals");
    // One snapshot: a delivery that is published meanwhile is seen by all checks or by none.
    let mut snapshot = database.pools.jobs.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let checks = verify::verify(&mut snapshot).await?;
    snapshot.commit().await?;
    drop(patience);
    database.close().await;
    for check in &checks {
        if arguments.json {
            println!("{}", serde_json::to_string(check)?);
            continue;
        }
        let word = if check.differences.is_empty() { "ok   " } else { "WRONG" };
        println!("{word} {:>9} checked  {}", check.checked, check.name);
        for difference in &check.differences {
            println!("      {difference}");
        }
    }
    let holds = checks.iter().all(|check| check.differences.is_empty());
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
