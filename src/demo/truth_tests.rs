//! The truth against the bills: what a release changes is the difference of the lines with it and without it.

use super::*;
use crate::focus::Decimal;
use bigdecimal::BigDecimal;
use chrono::Timelike;
use std::collections::BTreeMap;
use std::io::Read;

const BASES: [&str; 3] = ["BilledCost", "EffectiveCost", "ListCost"];

/// By service, environment and day: the sums on each basis, from the CSV bills alone.
type Sums = BTreeMap<(String, String, String), [BigDecimal; 3]>;

fn sums(files: &DemoFiles) -> Sums {
    let mut sums = Sums::new();
    for bill in files.bills.iter().filter(|bill| !bill.path.to_string_lossy().contains("-first.")) {
        let file = std::fs::File::open(&bill.path).unwrap();
        let text: Box<dyn Read> = match bill.path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Box::new(flate2::read::GzDecoder::new(file)),
            Some("zst") => Box::new(zstd::Decoder::new(file).unwrap()),
            Some("csv") => Box::new(file),
            _ => continue,
        };
        let mut reader = csv::Reader::from_reader(text);
        let header = reader.headers().unwrap().clone();
        let column = |name: &str| header.iter().position(|known| known == name).unwrap();
        let (tags, day, costs) = (column("Tags"), column("ChargePeriodStart"), BASES.map(column));
        for record in reader.records().map(Result::unwrap) {
            let tags: serde_json::Value = serde_json::from_str(&record[tags]).unwrap_or_default();
            let tag = |name: &str| tags[name].as_str().unwrap_or_default().to_owned();
            let sum = sums.entry((tag("service"), tag("environment"), record[day][..10].to_owned())).or_default();
            for (sum, cost) in sum.iter_mut().zip(costs) {
                *sum += Decimal::parse(&record[cost]).unwrap().to_big_decimal();
            }
        }
    }
    sums
}

#[test]
fn the_truth_is_the_difference_of_the_lines_with_and_without_the_releases() {
    let last_day = NaiveDate::from_ymd_opt(2026, 3, 3).unwrap();
    let days = (first_of_month(last_day) - Months::new(MONTH_COUNT - 1), last_day);
    let releases = deployments::plan(days.0, days.1, 1);
    let without: Vec<Release> = releases.iter().cloned().map(|release| Release { effect: None, ..release }).collect();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let with = write(folders[0].path(), days, 1, &releases).unwrap();
    let truth: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&with.truth).unwrap()).unwrap();
    let (with, without) = (sums(&with), sums(&write(folders[1].path(), days, 1, &without).unwrap()));

    let truths: BTreeMap<String, [BigDecimal; 3]> = truth["deployments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|deployment| {
            let change = |basis: &str| deployment["change_per_day"][basis].as_str().unwrap().parse().unwrap();
            (deployment["external_id"].as_str().unwrap().to_owned(), BASES.map(change))
        })
        .collect();
    let of = |release: &Release, basis: usize| &truths[&release.external_id.to_string()][basis];
    let (mut compared, mut differing_bases) = (0, 0);
    for (key, sum) in &with {
        let live = |release: &&Release| {
            let service = organisation::SERVICES[release.service].slug;
            release.succeeded && service == key.0 && organisation::ENVIRONMENTS[release.environment].0 == key.1
        };
        let day: NaiveDate = key.2.parse().unwrap();
        let live: Vec<&Release> =
            releases.iter().filter(live).filter(|r| r.finished_at().date_naive() <= day).collect();
        // Its own day has a part of it only.
        if live.iter().any(|release| release.effect.is_some() && release.finished_at().date_naive() == day) {
            continue;
        }
        // What no release of theirs explains stays what it was: plan, monitoring, network, other services.
        let is_of_service = !key.0.is_empty();
        for (index, basis) in BASES.iter().enumerate().filter(|_| is_of_service) {
            let expected: BigDecimal = live.iter().map(|release| of(release, index)).sum();
            let difference = &sum[index] - &without[key][index];
            assert_eq!(difference, expected, "{key:?} {basis}");
            compared += usize::from(expected != 0);
        }
        differing_bases += usize::from(&sum[0] - &without[key][0] != &sum[1] - &without[key][1]);
    }
    assert!(compared > 1000, "{compared} days of services after a release");
    assert!(differing_bases > 0, "a release changes compute that the savings plan covers");
    assert!(releases.iter().any(|release| release.finished_at().hour() > 0));
}

#[test]
fn every_release_counts_in_full_whatever_the_seed() {
    let last_day = NaiveDate::from_ymd_opt(2026, 11, 22).unwrap();
    let first_day = first_of_month(last_day) - Months::new(MONTH_COUNT - 1);
    for seed in 1..=5 {
        let releases = deployments::plan(first_day, last_day, seed);
        let model = cost_model::CostModel::new(first_day, last_day, seed, &releases, &cost_model::anomalies(last_day));
        for (index, service) in organisation::SERVICES.iter().enumerate() {
            for day in model.days() {
                for component in 0..components::of(service.cloud, service.workload).len() {
                    let usages = usage::on_day(&model, index, day, 0, component, true);
                    assert!(usages.iter().all(|usage| usage.quantity > 1), "{} {day} {component} {seed}", service.slug);
                }
            }
        }
    }
}

#[test]
fn the_savings_plan_covers_the_same_services_every_day() {
    let last_day = NaiveDate::from_ymd_opt(2026, 11, 22).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = generate(folder.path(), last_day + Days::new(1), 1).unwrap();
    let mut covered: BTreeMap<String, std::collections::BTreeSet<String>> = BTreeMap::new();
    for bill in files.bills.iter().filter(|bill| bill.source == "aws-acme") {
        if bill.path.to_string_lossy().contains("-first.") {
            continue;
        }
        let file = flate2::read::GzDecoder::new(std::fs::File::open(&bill.path).unwrap());
        let mut reader = csv::Reader::from_reader(file);
        let header = reader.headers().unwrap().clone();
        let column = |name: &str| header.iter().position(|known| known == name).unwrap();
        let columns = ["CommitmentDiscountStatus", "ResourceName", "ChargePeriodStart"].map(column);
        for record in reader.records().map(Result::unwrap) {
            let [status, resource, day] = columns.map(|column| record[column].to_owned());
            if status == "Used" {
                covered.entry(day).or_default().insert(resource);
            }
        }
    }
    let first = covered.values().next().unwrap();
    assert!(first.len() == 10 && covered.len() > 365, "{first:?} on {} days", covered.len());
    assert!(covered.values().all(|resources| resources == first));
}
