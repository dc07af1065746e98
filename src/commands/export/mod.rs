//! `costwake export focus`: lines of bills as a FOCUS 1.2 file, from which they can be imported again.

mod file;
mod parquet;
mod which;

use super::database;
use crate::config::Config;
use crate::patience::Patience;
use crate::rollup::focus_row::{Columns, Sums};
use crate::store::focus_export::{self, ExportTotal};
use crate::store::{Scope, Snapshot};
use anyhow::ensure;
use file::ExportFile;
use futures_util::TryStreamExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use which::FocusArguments;

/// What to export.
#[derive(clap::Args)]
pub struct Arguments {
    /// The form.
    #[command(subcommand)]
    form: Form,
}

#[derive(clap::Subcommand)]
enum Form {
    /// FOCUS 1.2 cost and usage, as CSV or Parquet.
    Focus(FocusArguments),
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    let Form::Focus(arguments) = arguments.form;
    ensure!(!arguments.file.exists(), "{} exists: name another file", arguments.file.display());
    let database = database::open(config).await?;
    let written = write(&database.pools.jobs, &arguments).await;
    database.close().await;
    match written {
        Ok(written) => {
            file::keep(&arguments.file)?;
            print(&arguments.file, &written);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            file::discard(&arguments.file);
            Err(error)
        }
    }
}

/// What became of an export.
struct Written {
    totals: Vec<ExportTotal>,
    /// What its reader should know.
    notes: Vec<String>,
}

fn print(file: &Path, Written { totals, notes }: &Written) {
    let rows: i64 = totals.iter().map(|total| total.charge_count).sum();
    println!("{}: FOCUS 1.2, {rows} rows, as the rollups say to the last digit", file.display());
    for total in totals {
        println!(
            "  {}  BilledCost {}  EffectiveCost {}  ({} rows)",
            total.billing_currency,
            total.billed_cost.to_plain_string(),
            total.effective_cost.to_plain_string(),
            total.charge_count
        );
    }
    for note in notes {
        println!("  {note}.");
    }
}

// One snapshot: a bill that is restated meanwhile is exported as it was, whole.
async fn write(pool: &sqlx::PgPool, arguments: &FocusArguments) -> anyhow::Result<Written> {
    let mut snapshot: Snapshot = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let filter = arguments.filter(&mut snapshot).await?;
    let scope = Scope::everything();
    let generation_ids = focus_export::generations(&mut snapshot, &filter).await?;
    let extra = focus_export::extra_columns(&mut snapshot, &scope, &generation_ids).await?;
    let columns = Columns::new(&extra);
    let mut file = ExportFile::create(&arguments.file, columns.header())?;
    let count = Arc::new(AtomicI64::new(0));
    let _patience = Patience::new({
        let count = count.clone();
        move |lasted| eprintln!("  {} rows written: {} s", count.load(Ordering::Relaxed), lasted.as_secs())
    });
    focus_export::plan_for_each(&mut snapshot).await?;
    let mut sums = Sums::default();
    let mut row = Vec::new();
    for generation_id in &generation_ids {
        let mut charges = std::pin::pin!(focus_export::charges(&mut snapshot, &scope, &filter, *generation_id));
        while let Some(charge) = charges.try_next().await? {
            columns.row(&charge, &mut row)?;
            file.write(&row)?;
            sums.add(&charge)?;
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
    let totals = focus_export::totals(&mut snapshot, &scope, &filter, &generation_ids).await?;
    snapshot.commit().await?;
    let written = sums.into_totals();
    ensure!(
        written == totals,
        "The lines do not add up to what the pages show; nothing was exported. Run `costwake verify`. Lines: \
         {written:?}. Rollups: {totals:?}"
    );
    ensure!(!written.is_empty(), "no line that counts now meets these conditions, so nothing was written");
    let notes = file.finish()?;
    Ok(Written { totals, notes })
}
