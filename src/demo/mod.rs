//! The demo organisation: a made-up shop whose bills and webhooks go in by the front door.
//!
//! Everything is written to files: FOCUS bills, GitHub payloads, payloads of what else happened, traffic, and the truth
//! about which deployment changed which cost, for tests that compare findings with it. The same seed gives the same bytes.
//! Floats appear here only to make up quantities; every cost is an exact product of a quantity and a price.

#![expect(clippy::float_arithmetic, reason = "made-up quantities; costs are exact products")]

mod bill_line;
mod bills;
mod components;
mod cost_model;
mod deployments;
mod finance;
mod focus_file;
mod operations;
mod organisation;
mod payloads;
mod random;
mod usage;
mod utilization;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use std::path::{Path, PathBuf};

pub use deployments::Release;
pub use finance::{DemoInvoice, DemoInvoiceItem, DemoRate, DemoSplit, REPORTING_CURRENCY};

/// Calendar months that the bills cover; the last one is the running month.
const MONTH_COUNT: u32 = 13;

/// What was written, in the order in which it is handed in.
#[derive(Debug, Clone)]
pub struct DemoFiles {
    /// Bills; a month that appears twice was restated.
    pub bills: Vec<DemoBill>,
    /// Webhook requests of GitHub in time order, one JSON object a line: `{"sender": "…", "headers": {…}, "body": "…"}`.
    pub events: PathBuf,
    /// Number of these requests.
    pub event_count: usize,
    /// The same of senders that tell what else happened: incidents, flags, autoscaling.
    pub operations: PathBuf,
    /// Number of these requests.
    pub operation_count: usize,
    /// Operational events that somebody pinned.
    pub pins: Vec<DemoPin>,
    /// What is true of deployments and anomalies, for later tests of findings.
    pub truth: PathBuf,
    /// `date,service,requests`.
    pub traffic: PathBuf,
    /// `date,service,environment,percent`: how much of what is provided is used.
    pub utilization: PathBuf,
    /// Teams of the catalogue.
    pub teams: Vec<DemoTeam>,
    /// Services of the catalogue.
    pub services: Vec<DemoService>,
    /// Environments of the catalogue.
    pub environments: Vec<DemoEnvironment>,
    /// Rules beside the ones that every installation starts with.
    pub rules: Vec<DemoRule>,
    /// Shared costs, divided once the bills are in.
    pub splits: Vec<DemoSplit>,
    /// What the invoices of bills total.
    pub invoices: Vec<DemoInvoice>,
    /// Rates into [`REPORTING_CURRENCY`].
    pub rates: Vec<DemoRate>,
    /// First days of the months that finance has closed.
    pub closed_months: Vec<NaiveDate>,
}

/// One file of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoBill {
    /// Where it lies.
    pub path: PathBuf,
    /// `--source`.
    pub source: String,
    /// `--as-of`: when the provider wrote it.
    pub as_of: DateTime<Utc>,
    /// Charges in it.
    pub row_count: u64,
    /// First day of its billing month.
    pub month: NaiveDate,
    /// FOCUS InvoiceIssuerName.
    pub invoice_issuer_name: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The InvoiceId of its lines; `None` where its version of FOCUS has no such column.
    pub invoice_id: Option<String>,
    /// Σ BilledCost in 1e-14 of the currency.
    pub billed: i128,
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoTeam {
    /// Short name.
    pub slug: String,
    /// Name.
    pub name: String,
    /// Where finance books it.
    pub cost_center: String,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoService {
    /// Short name, as in tags and repositories.
    pub slug: String,
    /// The team that answers for it.
    pub team_slug: String,
    /// 1 is the most important.
    pub tier: i16,
}

/// An environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoEnvironment {
    /// Short name, as in tags.
    pub slug: String,
    /// Kind.
    pub kind: String,
}

/// An operational event that belongs elsewhere than rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoPin {
    /// Its title, which no other has.
    pub title: String,
    /// Where it belongs.
    pub service_slug: String,
    /// In which environment.
    pub environment_slug: String,
}

/// A mapping rule on one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoRule {
    /// `charges`, or `deployments` and what stands beside them.
    pub applies_to: String,
    /// Attribute that the rule looks at.
    pub attribute: String,
    /// `equals`, `prefix`, `glob`, `one-of` or `present`.
    pub operator: String,
    /// What it compares with.
    pub value: String,
    /// The service that they go to.
    pub service_slug: Option<String>,
    /// The environment.
    pub environment_slug: Option<String>,
    /// Why.
    pub note: String,
}

/// Writes the organisation's files into `folder`, with figures up to the day before `today`.
pub fn generate(folder: &Path, today: NaiveDate, seed: u64) -> anyhow::Result<DemoFiles> {
    let last_day = today - Days::new(1);
    let first_day = first_of_month(last_day) - Months::new(MONTH_COUNT - 1);
    let releases = deployments::plan(first_day, last_day, seed);
    write(folder, (first_day, last_day), seed, &releases)
}

fn write(
    folder: &Path,
    (first_day, last_day): (NaiveDate, NaiveDate),
    seed: u64,
    releases: &[Release],
) -> anyhow::Result<DemoFiles> {
    let anomalies = cost_model::anomalies(last_day);
    let model = cost_model::CostModel::new(first_day, last_day, seed, releases, &anomalies);

    std::fs::create_dir_all(folder)?;
    let bills = bills::write(folder, &model, seed)?;
    let invoices = finance::invoices(&bills, last_day);
    let events = folder.join("events.jsonl");
    let event_count = payloads::write(&events, releases, seed)?;
    let operations = folder.join("operations.jsonl");
    let operation_count = operations::write(&operations, releases, &anomalies, last_day)?;
    let truth = folder.join("truth.json");
    deployments::write_truth(&truth, releases, &anomalies)?;
    let traffic = folder.join("traffic.csv");
    model.write_traffic(&traffic)?;
    let utilization = folder.join("utilization.csv");
    utilization::write(&utilization, &model, seed)?;
    Ok(DemoFiles {
        bills,
        events,
        event_count,
        operations,
        operation_count,
        pins: operations::pins(),
        truth,
        traffic,
        utilization,
        teams: organisation::teams(),
        services: organisation::services(),
        environments: organisation::environments(),
        rules: organisation::rules(),
        splits: organisation::splits(),
        invoices,
        rates: finance::rates(first_day, last_day),
        closed_months: finance::closed_months(first_day, last_day),
    })
}

fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).expect("every month has a first day")
}

#[cfg(test)]
mod truth_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn digest(folder: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        files.iter().map(|path| (name(path), hex::encode(Sha256::digest(std::fs::read(path).unwrap())))).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let today = NaiveDate::from_ymd_opt(2026, 3, 4).unwrap();
        let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        for (folder, seed) in folders.iter().zip([7, 7, 8]) {
            generate(folder.path(), today, seed).unwrap();
        }
        assert_eq!(digest(folders[0].path()), digest(folders[1].path()));
        assert_ne!(digest(folders[0].path()), digest(folders[2].path()));
    }

    #[test]
    fn the_truth_names_deployments_that_the_webhooks_tell_of() {
        let folder = tempfile::tempdir().unwrap();
        let today = NaiveDate::from_ymd_opt(2026, 3, 4).unwrap();
        let files = generate(folder.path(), today, 1).unwrap();
        let truth: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&files.truth).unwrap()).unwrap();
        let events = std::fs::read_to_string(&files.events).unwrap();
        assert_eq!(events.lines().count(), files.event_count);
        let deployments = truth["deployments"].as_array().unwrap();
        assert!((250..=450).contains(&deployments.len()), "{} deployments", deployments.len());
        for deployment in deployments {
            let id = format!("\\\"id\\\":{}", deployment["external_id"].as_str().unwrap());
            assert!(events.contains(&id), "{deployment}");
        }
    }
}
