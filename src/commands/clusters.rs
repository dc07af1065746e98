//! `costwake clusters`: reports of how clusters were used, and the cost of their machines by namespace.

use super::database::{self, Database};
use crate::config::Config;
use crate::focus::BillingPeriod;
use crate::rollup::Person;
use crate::rollup::cluster_costs::{ClusterCosts, cluster_costs};
use crate::rollup::cluster_reports::{self, ClusterReportError, TakenReport, unit};
use crate::store::{Scope, cluster_usage};
use anyhow::{Context, ensure};
use chrono::{Months, Utc};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to do.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Take reports in. They replace what their clusters had for overlapping intervals, and change no total.
    Import {
        /// What OpenShift's operator uploads (the tar.gz or its tables), or OpenCost's allocations as JSON or CSV.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The cluster, where the file does not name it.
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
    },
    /// Show what the machines of each cluster cost by namespace: parts of charges that the bills have.
    Show {
        /// The month, such as 2026-10.
        #[arg(long)]
        month: BillingPeriod,
        /// Print one JSON object a cluster and kind of usage.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    let database = database::open(config).await?;
    let done = act(arguments.action, &database).await;
    database.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

async fn act(action: Action, database: &Database) -> anyhow::Result<()> {
    match action {
        Action::Import { files, cluster } => {
            for file in files {
                import(database, &file, cluster.as_deref()).await.with_context(|| file.display().to_string())?;
            }
            Ok(())
        }
        Action::Show { month, json } => show(database, month, json).await,
    }
}

async fn import(database: &Database, file: &Path, cluster: Option<&str>) -> anyhow::Result<()> {
    let file_name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let by = Person { login: "command line", address: "" };
    let pool = &database.pools.jobs;
    let taken = match cluster_reports::import(pool, file.to_owned(), &file_name, cluster, by, Utc::now()).await {
        Err(ClusterReportError::Unnamed) => {
            anyhow::bail!("the file does not name its cluster: say it with --cluster NAME")
        }
        taken => taken?,
    };
    print!("{}", told(&file_name, &taken));
    Ok(())
}

fn told(file_name: &str, taken: &TakenReport) -> String {
    let TakenReport { report, clusters, .. } = taken;
    let of = if clusters.is_empty() { String::new() } else { format!(" of {}", clusters.join(", ")) };
    let mut text = format!("{file_name}: {} rows{of}; no total of a bill changes\n", report.row_count);
    for (kind, sum) in report.sums() {
        text.push_str(&format!("  {} {}\n", sum.normalized().to_plain_string(), unit(kind.name())));
    }
    if report.unused_row_count > 0 {
        text.push_str(&format!("  {} rows split no cost: labels, GPUs, virtual machines\n", report.unused_row_count));
    }
    for note in taken.notes() {
        text.push_str(&format!("  {note}\n"));
    }
    text
}

async fn show(database: &Database, month: BillingPeriod, json: bool) -> anyhow::Result<()> {
    let (from, to) = (month.first_day(), month.first_day() + Months::new(1));
    let mut snapshot = database.pools.jobs.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let clusters = cluster_costs(&mut snapshot, &Scope::everything(), from, to).await?;
    let known = cluster_usage::clusters(&mut snapshot).await?;
    snapshot.commit().await?;
    if clusters.is_empty() {
        let known: Vec<String> = known
            .iter()
            .map(|(name, first, last)| format!("{name} from {} to {}", first.date_naive(), last.date_naive()))
            .collect();
        ensure!(!known.is_empty(), "no cluster was reported on: take a report in with `costwake clusters import FILE`");
        anyhow::bail!("no cluster was reported on in {month}; there is {}", known.join(", "));
    }
    for cluster in &clusters {
        if json {
            println!("{}", serde_json::to_string(cluster)?);
        } else {
            print!("{}", text(cluster));
        }
    }
    Ok(())
}

fn text(cluster: &ClusterCosts) -> String {
    let mut text = format!("{}, split by {}\n", cluster.cluster_id, unit(&cluster.kind));
    for (currency, total) in &cluster.totals {
        for (namespace, costs) in cluster.namespaces.get(currency).into_iter().flatten() {
            text.push_str(&format!(
                "  {namespace}: BilledCost {} {currency}, EffectiveCost {} {currency}\n",
                costs.BilledCost.normalized().to_plain_string(),
                costs.EffectiveCost.normalized().to_plain_string()
            ));
        }
        text.push_str(&format!(
            "  Together BilledCost {} {currency}, EffectiveCost {} {currency}: {} charges of the bills, split and not added\n",
            total.BilledCost.normalized().to_plain_string(),
            total.EffectiveCost.normalized().to_plain_string(),
            total.charges
        ));
    }
    for machine in &cluster.without_charge {
        let node = if machine.node.is_empty() { "a machine without a name" } else { &machine.node };
        let id = if machine.resource_id.is_empty() { "no id" } else { &machine.resource_id };
        text.push_str(&format!(
            "  {node} ({id}), {} days: the bills have no charge of it, so it counts nothing\n",
            machine.days
        ));
    }
    text
}
