//! `costwake upgrade-database`: moves the own cluster to a newer PostgreSQL, and verifies every total.

use super::database;
use crate::config::Config;
use crate::patience::Patience;
use crate::rollup::verify;
use crate::store::embedded::{self, EmbeddedError, ServeLock, Upgraded};
use anyhow::{Context, bail};
use std::process::ExitCode;

/// To the newest that is installed, or to the one in COSTWAKE_POSTGRES_BIN. The disk must have room for both.
#[derive(clap::Args)]
pub struct Arguments {
    /// Remove what the database was before, once all totals hold; else the next `costwake serve` does.
    #[arg(long)]
    remove_old: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    if config.database_url.is_some() {
        bail!("DATABASE_URL names a server that is not Costwake's own: upgrade it the way it was installed");
    }
    let data_dir = config.data_dir();
    let _lock = ServeLock::take(&data_dir, true, true)?;
    let (folder, postgres_bin) = (data_dir.clone(), config.postgres_bin.clone());
    let upgrade = move || embedded::upgrade(&folder, postgres_bin.as_deref());
    let upgraded = match tokio::task::spawn_blocking(upgrade).await? {
        Ok(upgraded) => Some(upgraded),
        // Asked to tidy up after an earlier one.
        Err(EmbeddedError::NothingNewer { .. })
            if arguments.remove_old && !embedded::old_folders(&data_dir).is_empty() =>
        {
            None
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(upgraded) = &upgraded
        && !verified(config, upgraded).await?
    {
        return Ok(ExitCode::FAILURE);
    }
    if arguments.remove_old {
        for folder in embedded::remove_old(&data_dir)? {
            println!("Removed {}.", folder.display());
        }
    } else if let Some(upgraded) = upgraded {
        println!("What it was before is in {} until the next costwake serve.", upgraded.old_folder.display());
    }
    Ok(ExitCode::SUCCESS)
}

async fn verified(config: &Config, upgraded: &Upgraded) -> anyhow::Result<bool> {
    let database = database::open(config).await?;
    let patience = Patience::shown("Checking all totals");
    if let Some(cluster) = &database.cluster {
        // Statistics do not come along, and every plan would be a guess.
        cluster.analyze().await.context("could not collect statistics")?;
    }
    let mut snapshot = database.pools.jobs.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let checks = verify::verify(&mut snapshot).await?;
    snapshot.commit().await?;
    drop(patience);
    database.close().await;
    let differences: Vec<&String> = checks.iter().flat_map(|check| check.differences.iter()).collect();
    let (from, to) = (upgraded.from, upgraded.to);
    if differences.is_empty() {
        println!("Moved from PostgreSQL {from} to {to}. All {} checks of the totals hold.", checks.len());
        return Ok(true);
    }
    println!("Moved from PostgreSQL {from} to {to}, but the totals do not tie:");
    differences.iter().for_each(|difference| println!("  {difference}"));
    println!("What it was before is in {}: move it back to use it.", upgraded.old_folder.display());
    Ok(false)
}
