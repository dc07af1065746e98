//! `costwake import`: files into deliveries, a receipt each.

use super::database;
use super::stop_signal::StopSignal;
use crate::config::Config;
use crate::normalize::Format;
use crate::patience::Patience;
use crate::rollup::control_totals::ControlTotals;
use crate::rollup::{ImportOptions, ImportRequest, import_with};
use crate::store::receipts::{FocusCosts, LateDifference, LateMonth, Movement, Receipt, Total};
use crate::store::rejected_totals::RejectedTotal;
use crate::store::replacements::{Moved, Replacement};
use crate::store::{Pools, temporary_files};
use anyhow::{Context, ensure};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Lists of lines and of services on a receipt are cut here; the page and the JSON have more. Totals never are.
const SHOWN_MAX: usize = 10;

/// Exit codes: 0 when every file is published or unchanged, 2 when any is quarantined or refused, 1 on failure.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where the bills come from [default: provider and billing account, as the file has them].
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Print one JSON object a line instead of text.
    #[arg(long)]
    json: bool,
    /// What the file's version is, like 2026-10-31 or 2026-10-31T06:00:00Z [default: now]. An older version than
    /// the one that is counted is refused.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    as_of: Option<DateTime<Utc>>,
    /// All files are parts of one bill. Otherwise each is a bill of its own, and one that would take the place of
    /// another of these files waits for a decision.
    #[arg(long)]
    parts: bool,
    /// Count the bills also where another source counts the same billing account and period; otherwise such a file
    /// waits for a decision.
    #[arg(long)]
    counted_elsewhere_too: bool,
    /// The rows of a bill: one that has others waits for a decision.
    #[arg(long, value_name = "ROWS")]
    expect_rows: Option<i64>,
    /// The BilledCost of a bill, like "1164784.69 USD", once a currency: one that holds another waits for a decision.
    #[arg(long, value_name = "AMOUNT CURRENCY", value_parser = expected_cost)]
    expect_billed_cost: Vec<(String, String)>,
    /// What the files are, where their columns do not show it: focus, aws-cur, aws-cur-2, azure, google-cloud, oci.
    #[arg(long, value_name = "FORMAT", value_parser = clap::value_parser!(Format))]
    format: Option<Format>,
    /// Bills, as FOCUS or as AWS, Azure, Google Cloud and Oracle write them: CSV, .csv.gz, .csv.zst, Parquet; Google
    /// Cloud's also as JSON lines.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    let mut told_to_stop = StopSignal::listen()?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        told_to_stop.wait().await;
        stopping.cancel();
    });
    temporary_files::keep_in(&config.data_dir());
    let opened = stop.run_until_cancelled(database::open(config)).await;
    let database = opened.context("stopped before it was done")??;
    // Where only the command line is used, nobody else clears up after imports that were killed.
    database::sweep(&database).await;
    let mut code = 0_u8;
    let mut together = Vec::new();
    let groups: Vec<&[PathBuf]> =
        if arguments.parts { vec![&arguments.files] } else { arguments.files.chunks(1).collect() };
    for files in groups {
        if stop.is_cancelled() {
            code = 1;
            break;
        }
        match import(&database.pools, &arguments, files, &together, &stop).await {
            Ok(receipt) => {
                together.push(receipt.delivery_id);
                if arguments.json {
                    println!("{}", serde_json::to_string(&receipt)?);
                } else {
                    print!("{}", text(&receipt));
                }
                match receipt.state.as_str() {
                    "published" | "unchanged" => {}
                    "failed" => code = 1,
                    _ if code == 0 => code = 2,
                    _ => {}
                }
            }
            Err(error) => {
                let complaint = complaint(files, &error);
                eprintln!("costwake: {complaint}");
                if arguments.json {
                    println!("{}", unread(files, &complaint));
                }
                code = 1;
            }
        }
    }
    database.close().await;
    Ok(ExitCode::from(code))
}

/// In place of a receipt, in its form: whoever reads one object a line finds each file.
fn unread(files: &[PathBuf], complaint: &str) -> serde_json::Value {
    json!({
        "file": handed_in_as(files),
        "format": null,
        "source": null,
        "delivery_id": null,
        "state": "failed",
        "reason": complaint,
        "rows": 0,
        "rejected_rows": 0,
        "billing_periods": [],
        "totals": [],
    })
}

fn handed_in_as(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().map(|file| name(file)).collect();
    names.join(" + ")
}

/// The error with the path of the file, which some errors name themselves: of several parts that is the one at fault.
fn complaint(files: &[PathBuf], error: &anyhow::Error) -> String {
    let said = format!("{error:#}");
    let is_named = files.iter().any(|file| said.contains(&format!(" {}: ", file.display())));
    if is_named { said } else { format!("{}: {said}", files[0].display()) }
}

async fn import(
    pools: &Pools,
    arguments: &Arguments,
    files: &[PathBuf],
    together: &[i64],
    stop: &CancellationToken,
) -> anyhow::Result<Receipt> {
    let (first, more) = files.split_first().context("no file was named")?;
    for file in files {
        let path = file.display();
        ensure!(!file.is_dir(), "The file could not be read: {path}: It is a folder, name the files in it.");
    }
    let request = ImportRequest {
        path: first.clone(),
        file_name: handed_in_as(files),
        source: arguments.source.clone(),
        as_of: arguments.as_of,
        received_by: "command line".to_owned(),
        now: Utc::now(),
    };
    let (told, phase) = watch::channel("");
    let options = ImportOptions {
        format: arguments.format,
        more_parts: more.to_vec(),
        is_counted_elsewhere_too: arguments.counted_elsewhere_too,
        together: together.to_vec(),
        control: ControlTotals {
            rows: arguments.expect_rows,
            billed_cost: arguments.expect_billed_cost.iter().cloned().collect(),
        },
        stop: Some(stop.clone()),
        phase: Some(told),
        ..ImportOptions::default()
    };
    let read = Arc::new(Mutex::new((0, 0)));
    let progress = {
        let read = read.clone();
        move |rows: u64, bytes: u64, total: u64| {
            let percent = (bytes * 100).checked_div(total).unwrap_or(0).min(100);
            *read.lock().unwrap_or_else(PoisonError::into_inner) = (percent, rows);
        }
    };
    let file_name = request.file_name.clone();
    let _patience = Patience::new(move |lasted| {
        let (percent, rows) = *read.lock().unwrap_or_else(PoisonError::into_inner);
        let doing = *phase.borrow();
        let doing = if doing.is_empty() { "looking at the file" } else { doing };
        eprintln!("  {file_name}: {doing}, {percent} % read, {rows} rows: {} s", lasted.as_secs());
    });
    import_with(pools, request, options, progress).await
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

// "1164784.69 USD": the currency and the amount.
fn expected_cost(text: &str) -> Result<(String, String), String> {
    let (amount, currency) = text.trim().rsplit_once(' ').ok_or("say amount and currency, like \"1164784.69 USD\"")?;
    let one = ControlTotals { billed_cost: [(currency.to_owned(), amount.to_owned())].into(), ..Default::default() };
    one.fault().map_or_else(|| Ok((currency.to_owned(), amount.to_owned())), Err)
}

fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment.to_utc());
    }
    let midnight = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|date| date.and_hms_opt(0, 0, 0));
    let moment = midnight.or_else(|| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").ok());
    moment.map(|moment| moment.and_utc()).ok_or_else(|| "write it like 2026-10-31T06:00:00Z".to_owned())
}

/// The receipt as people read it.
pub(super) fn text(receipt: &Receipt) -> String {
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "{words}").unwrap_or_default();
    let format = receipt.format.as_deref().unwrap_or("not read");
    line(format!("{}: {} (delivery {}, {format})", receipt.file, receipt.state, receipt.delivery_id));
    if let Some(reason) = &receipt.reason {
        line(format!("  {reason}"));
    }
    if let Some(source) = &receipt.source {
        line(format!("  source    {source}"));
    }
    line(format!("  rows      {} ({} could not be read)", receipt.rows, receipt.rejected_rows));
    for missing in &receipt.rejected_totals {
        line(rejected_line(missing));
    }
    receipt.totals.iter().for_each(|total| line(total_line(total)));
    for movement in receipt.movements.iter().filter(|movement| !movement.replaced_delivery_ids.is_empty()) {
        line(movement_line(movement));
    }
    replaced_lines(receipt).into_iter().for_each(&mut line);
    for month in &receipt.closed_months {
        line(late_line(month));
        month.differences.iter().take(SHOWN_MAX).for_each(|one| line(difference_line(one)));
        more(&mut line, month.differences.len());
    }
    if receipt.state == "quarantined" {
        let id = receipt.delivery_id;
        let is_unread = receipt.rows > 0 && receipt.rejected_rows == receipt.rows;
        let accept = match crate::rollup::cannot_accept(&receipt.missing_columns) {
            None if !is_unread => format!("costwake delivery accept {id}, or "),
            _ => String::new(),
        };
        line(format!("  finance decides: {accept}costwake delivery withdraw {id}"));
    }
    for rejection in receipt.rejections.iter().take(SHOWN_MAX) {
        line(format!("  line {}: {} (“{}”)", rejection.line, rejection.reason, rejection.value));
    }
    more(&mut line, receipt.rejections.len());
    for warning in &receipt.warnings {
        line(format!("  note: {warning}"));
    }
    if !receipt.extra_columns.is_empty() {
        line(format!("  kept as well: {}", receipt.extra_columns.join(", ")));
    }
    text
}

fn more(line: &mut impl FnMut(String), count: usize) {
    if count > SHOWN_MAX {
        line(format!("  … and {} more", count - SHOWN_MAX));
    }
}

fn total_line(total: &Total) -> String {
    format!(
        "  {} {:4}  {}  ({} rows)",
        total.billing_period.format("%Y-%m"),
        total.billing_currency.as_deref().unwrap_or("–"),
        costs(&total.costs),
        total.rows,
    )
}

fn rejected_line(missing: &RejectedTotal) -> String {
    format!(
        "  missing   {:4}  as far as can be read BilledCost {}  EffectiveCost {}  ({} of the rejected rows)",
        missing.billing_currency.as_deref().unwrap_or("–"),
        missing.BilledCost.to_plain_string(),
        missing.EffectiveCost.to_plain_string(),
        missing.rows,
    )
}

fn movement_line(movement: &Movement) -> String {
    let replaced: Vec<String> = movement.replaced_delivery_ids.iter().map(ToString::to_string).collect();
    format!(
        "  {} {:4}  moved by {}; replaces delivery {}",
        movement.billing_period.format("%Y-%m"),
        movement.billing_currency.as_deref().unwrap_or("–"),
        costs(&movement.costs),
        replaced.join(", "),
    )
}

/// What accepting a delivery that waits takes the place of; nothing where it cannot be accepted.
fn replaced_lines(receipt: &Receipt) -> Vec<String> {
    let replaced: Vec<&Replacement> =
        receipt.would_replace.iter().filter(|one| !one.replaced_delivery_ids.is_empty()).collect();
    if replaced.is_empty() || crate::rollup::cannot_accept(&receipt.missing_columns).is_some() {
        return Vec::new();
    }
    let mut lines = vec!["  accepted, it takes the place of what counts now:".to_owned()];
    lines.extend(replaced.into_iter().map(replaced_line));
    lines
}

fn replaced_line(one: &Replacement) -> String {
    let replaced: Vec<String> = one.replaced_delivery_ids.iter().map(ToString::to_string).collect();
    format!(
        "    {} {:4}  BilledCost {}  EffectiveCost {}  ({} rows, before {}); replaces delivery {}",
        one.billing_period.format("%Y-%m"),
        one.billing_currency.as_deref().unwrap_or("–"),
        moved(&one.BilledCost),
        moved(&one.EffectiveCost),
        one.rows_after,
        one.rows_before,
        replaced.join(", "),
    )
}

/// "12.5 becomes 3 (-9.5)".
fn moved(moved: &Moved) -> String {
    let Moved { before, after, change } = moved;
    let plus = if change > &BigDecimal::default() { "+" } else { "" };
    let [before, after, change] = [before, after, change].map(BigDecimal::to_plain_string);
    format!("{before} becomes {after} ({plus}{change})")
}

fn late_line(month: &LateMonth) -> String {
    format!(
        "  {} is closed; accepted, the difference is booked to {}:",
        month.closed_month.format("%Y-%m"),
        month.booked_month.format("%Y-%m"),
    )
}

fn difference_line(one: &LateDifference) -> String {
    format!(
        "    {}, {}, {}: {}  ({} rows)",
        one.service_words(),
        one.charge_category,
        one.billing_currency.as_deref().unwrap_or("–"),
        costs(&one.costs),
        one.rows,
    )
}

/// The four costs with all their digits.
fn costs(costs: &FocusCosts) -> String {
    let [billed, effective, list, contracted] =
        costs.each().map(|cost| cost.as_ref().map_or_else(|| "–".to_owned(), BigDecimal::to_plain_string));
    format!("BilledCost {billed}  EffectiveCost {effective}  ListCost {list}  ContractedCost {contracted}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_once() {
        let files = [PathBuf::from("a.csv"), PathBuf::from("b.csv")];
        let missing = anyhow::anyhow!("The file could not be read: b.csv: No such file or directory.");
        assert_eq!(complaint(&files, &missing), "The file could not be read: b.csv: No such file or directory.");
        assert_eq!(complaint(&files, &anyhow::anyhow!("The disk is full.")), "a.csv: The disk is full.");
    }
}
