use super::bill_line::{COST_SCALE, decimal};
use super::components;
use super::cost_model::Anomaly;
use super::organisation::{ENVIRONMENTS, SERVICES, ServicePlan};
use super::random::{pick, sha, stream};
use super::usage::{self, Usage};
use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc, Weekday};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use std::path::Path;

/// A deployment of one version to one environment, and what it truly does to cost.
#[derive(Debug, Clone)]
pub struct Release {
    /// GitHub's deployment id.
    pub external_id: i64,
    /// Index into the services.
    pub service: usize,
    /// Index into the environments.
    pub environment: usize,
    /// `v2026.11.3`.
    pub version: String,
    /// Deployed commit.
    pub sha: String,
    /// When the deployment was asked for; it runs three minutes later and ends nine minutes after that.
    pub created_at: DateTime<Utc>,
    /// Whether it went live.
    pub succeeded: bool,
    /// Pull requests that it ships; the last one is the deployed commit.
    pub changes: Vec<Change>,
    /// What it does to cost.
    pub effect: Option<Effect>,
}

/// A merged pull request.
#[derive(Debug, Clone)]
pub struct Change {
    /// Number in the repository.
    pub number: i64,
    /// Title.
    pub title: String,
    /// Merge commit.
    pub sha: String,
    /// Login.
    pub author: &'static str,
    /// When it was merged.
    pub merged_at: DateTime<Utc>,
}

/// A lasting change of what is used each day.
#[derive(Debug, Clone, Copy)]
pub struct Effect {
    /// Index into the service's components.
    pub component: usize,
    /// In 1e-4 of the component's unit.
    pub quantity_a_day: i128,
}

impl Release {
    /// When it was live, or had failed.
    pub fn finished_at(&self) -> DateTime<Utc> {
        self.created_at + TimeDelta::minutes(12)
    }
}

const AUTHORS: [&str; 6] = ["payments-ci", "catalog-bot", "platform-ci", "data-ci", "release-bot", "deps-bot"];
const ORDINARY: [&str; 12] = [
    "Validate postal codes before quoting",
    "Retry idempotent calls once",
    "Update the HTTP client",
    "Return problem details on 422",
    "Move feature flags to the new store",
    "Split the settings page",
    "Fix rounding of partial refunds",
    "Add an index for open orders",
    "Remove the unused v1 endpoint",
    "Trace the upstream call",
    "Localise date formats",
    "Tidy the nightly job",
];
const RAISING: [&str; 5] = [
    "Score every request synchronously",
    "Raise the replica floor for peak hours",
    "Log decision and reason at info level",
    "Keep two warm copies in each zone",
    "Re-rank with the larger model",
];
const LOWERING: [&str; 5] = [
    "Cache sessions for thirty minutes",
    "Batch writes to the event log",
    "Compress cross-zone traffic",
    "Scale to zero at night",
    "Drop debug metrics",
];
/// All releases together lower a component by no more than this part of its usual cost, so that each counts in full.
const LOWERED_MAX: f64 = 0.4;
/// An effect on a service's cost in production that is smaller is none.
const SHARE_MIN: f64 = 0.01;
/// Services that go to staging the day before.
const STAGED: [&str; 3] = ["checkout-api", "search-api", "payment-gateway"];

/// Every deployment of the period, in time order.
pub fn plan(first_day: NaiveDate, last_day: NaiveDate, seed: u64) -> Vec<Release> {
    let mut releases = Vec::new();
    for (index, service) in SERVICES.iter().enumerate() {
        releases.extend(plan_service(index, service, first_day, last_day, seed));
    }
    releases.sort_by_key(|release| (release.created_at, release.service));
    for (position, release) in releases.iter_mut().enumerate() {
        release.external_id = 1_840_000_000 + 7 * position as i64;
    }
    releases
}

fn plan_service(
    index: usize,
    service: &ServicePlan,
    first_day: NaiveDate,
    last_day: NaiveDate,
    seed: u64,
) -> Vec<Release> {
    let mut random = stream(seed, &format!("releases of {}", service.slug));
    let mut releases = Vec::new();
    let mut moved = vec![0.0; components::of(service.cloud, service.workload).len()];
    let mut pull_request = random.random_range(400..2200);
    let mut version_number = (first_day.year(), first_day.month(), 0);
    // The release that the tour of the demo opens: recent, clear, with days enough after it.
    let showcase = (service.slug == "checkout-api").then(|| showcase_day(last_day));
    for day in first_day.iter_days().take_while(|day| *day <= last_day) {
        let is_showcase = showcase == Some(day);
        let chance = service.releases_a_month / 21.0;
        let is_weekend = matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
        let released = random.random::<f64>() < chance;
        let near_showcase = showcase.is_some_and(|shown| (day - shown).num_days().abs() <= 10);
        if is_weekend || !(is_showcase || (released && !near_showcase)) {
            continue;
        }
        version_number = if (version_number.0, version_number.1) == (day.year(), day.month()) {
            (version_number.0, version_number.1, version_number.2 + 1)
        } else {
            (day.year(), day.month(), 1)
        };
        let version = format!("v{}.{}.{}", version_number.0, version_number.1, version_number.2);
        let effect = effect_of(&mut random, service, day, first_day, is_showcase, &mut moved);
        let release = release(&mut random, index, day, version, effect, &mut pull_request, is_showcase);
        if STAGED.contains(&service.slug) {
            releases.push(staging_of(&release));
        }
        releases.push(release);
    }
    releases
}

/// The day of the release that the tour of the demo opens.
pub fn showcase_day(last_day: NaiveDate) -> NaiveDate {
    working_day_before(last_day - Days::new(13))
}

fn working_day_before(mut day: NaiveDate) -> NaiveDate {
    while matches!(day.weekday(), Weekday::Sat | Weekday::Sun) {
        day = day - Days::new(1);
    }
    day
}

// One production release in six changes cost, two thirds of those upwards.
fn effect_of(
    random: &mut ChaCha8Rng,
    service: &ServicePlan,
    day: NaiveDate,
    first_day: NaiveDate,
    is_showcase: bool,
    moved: &mut [f64],
) -> Option<Effect> {
    let (has_effect, rises, size) =
        (random.random::<f64>() < 0.16, random.random::<f64>() < 0.66, random.random_range(0.05..0.16));
    let parts = components::of(service.cloud, service.workload);
    let component = random.random_range(0..parts.len().min(3));
    if !has_effect && !is_showcase {
        return None;
    }
    let months = (day - first_day).num_days() as f64 / 30.4;
    let production_cost = service.daily_cost * ENVIRONMENTS[0].2 * (1.0 + service.monthly_growth).powf(months);
    let share: f64 = match (is_showcase, rises) {
        (true, _) => 0.135,
        (false, true) => size,
        (false, false) => -size * 0.8,
    };
    let part = &parts[component];
    let share = share.max(-LOWERED_MAX * part.share - moved[component]);
    if share.abs() < SHARE_MIN {
        return None;
    }
    moved[component] += share;
    let quantity_a_day = (production_cost * share / part.unit_price as f64 * 1e14).round() as i128;
    Some(Effect { component, quantity_a_day })
}

fn release(
    random: &mut ChaCha8Rng,
    service: usize,
    day: NaiveDate,
    version: String,
    effect: Option<Effect>,
    pull_request: &mut i64,
    is_showcase: bool,
) -> Release {
    let created_at = day.and_hms_opt(random.random_range(8..16), random.random_range(0..60), 0);
    let created_at = created_at.expect("an hour of the day").and_utc();
    let change_count = random.random_range(1..=4);
    let mut changes = Vec::new();
    for position in 0..change_count {
        *pull_request += random.random_range(1..6);
        let telling = position == 0;
        let title = match effect {
            Some(effect) if telling && effect.quantity_a_day > 0 => pick(random, &RAISING),
            Some(_) if telling => pick(random, &LOWERING),
            _ => pick(random, &ORDINARY),
        };
        let hours_before = (change_count - position) * random.random_range(2..9);
        changes.push(Change {
            number: *pull_request,
            title: (*title).to_owned(),
            sha: sha(random),
            author: AUTHORS[random.random_range(0..AUTHORS.len())],
            merged_at: created_at - TimeDelta::hours(hours_before),
        });
    }
    changes.sort_by_key(|change| change.merged_at);
    let failed = random.random::<f64>() < 0.04 && effect.is_none() && !is_showcase;
    let sha = changes.last().expect("at least one change").sha.clone();
    Release { external_id: 0, service, environment: 0, version, sha, created_at, succeeded: !failed, changes, effect }
}

fn staging_of(release: &Release) -> Release {
    Release {
        environment: 1,
        created_at: release.created_at - TimeDelta::minutes(95),
        succeeded: true,
        effect: None,
        changes: Vec::new(),
        ..release.clone()
    }
}

/// Writes what is true: the change of daily cost of every deployment, zero where there is none.
pub fn write_truth(path: &Path, releases: &[Release], anomalies: &[Anomaly]) -> anyhow::Result<()> {
    let deployments: Vec<_> = releases
        .iter()
        .map(|release| {
            let service = &SERVICES[release.service];
            let change = release.effect.map_or_else(Usage::default, |effect| {
                usage::of_effect(service, release.environment, effect.component, effect.quantity_a_day)
            });
            json!({
                "external_id": release.external_id.to_string(),
                "service": service.slug,
                "environment": ENVIRONMENTS[release.environment].0,
                "version": release.version,
                "succeeded": release.succeeded,
                "finished_at": release.finished_at(),
                // From the day after it; its own day has the part after it.
                "change_per_day": {
                    "BilledCost": decimal(change.billed, COST_SCALE),
                    "EffectiveCost": decimal(change.effective, COST_SCALE),
                    "ListCost": decimal(change.list, COST_SCALE),
                },
                "billing_currency": super::bills::currency(service.cloud),
            })
        })
        .collect();
    let anomalies: Vec<_> = anomalies
        .iter()
        .map(|anomaly| {
            json!({
                "service": SERVICES[anomaly.service].slug,
                "first_day": anomaly.first_day,
                "days": anomaly.day_count,
                "factor": anomaly.factor.to_string(),
                "cause": anomaly.cause,
            })
        })
        .collect();
    let truth = json!({ "deployments": deployments, "anomalies": anomalies });
    Ok(std::fs::write(path, serde_json::to_string_pretty(&truth)?)?)
}
