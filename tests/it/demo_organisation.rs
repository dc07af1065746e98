//! The demo organisation's bills and webhooks, as the front door reads them.

use bigdecimal::BigDecimal;
use chrono::{Datelike, NaiveDate};
use costwake::events::{self, EventKind, Headers};
use costwake::focus::Decimal;
use costwake::normalize::{Charge, Row, open};
use std::collections::{BTreeMap, BTreeSet};

fn amount(cost: &Option<Decimal>) -> BigDecimal {
    cost.as_ref().expect("the demo organisation's bills have every cost").to_big_decimal()
}

/// What a demo should show, found in the bills themselves.
#[derive(Default)]
struct Seen {
    rows: u64,
    untagged_rows: u64,
    versions: BTreeSet<String>,
    categories: BTreeSet<String>,
    providers: BTreeSet<String>,
    corrections: u64,
    /// Billed by month and currency, the last version of each bill only.
    months: BTreeMap<(String, String), BigDecimal>,
    /// Fee of the savings plan less the effective cost of what it covered.
    plan: BigDecimal,
}

impl Seen {
    fn take(&mut self, charge: &Charge<'_>, is_last_version: bool) {
        let month = charge.billing_period_start.expect("there is a billing period").date_naive();
        self.rows += 1;
        self.untagged_rows += u64::from(charge.tag_map().is_empty());
        self.categories.insert(charge.charge_category.unwrap_or_default().to_owned());
        self.providers.insert(charge.provider_name.unwrap_or_default().to_owned());
        let day = charge.charge_period_start.expect("there is a charge period").date_naive();
        assert_eq!(day < month, charge.charge_class == Some("Correction"), "line {}", charge.line);
        self.corrections += u64::from(charge.charge_class.is_some());
        if !is_last_version {
            return;
        }
        let currency = charge.billing_currency.expect("there is a currency").to_owned();
        *self.months.entry((month.format("%Y-%m").to_string(), currency)).or_default() += amount(&charge.billed_cost);
        if charge.charge_category == Some("Purchase") {
            self.plan += amount(&charge.billed_cost);
        }
        if charge.commitment_discount_status.is_some() {
            self.plan -= amount(&charge.effective_cost);
        }
    }
}

#[test]
fn every_bill_is_read_without_a_rejection_or_warning() {
    let folder = tempfile::tempdir().unwrap();
    let today = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
    let files = costwake::demo::generate(folder.path(), today, 1).unwrap();
    let mut seen = Seen::default();
    for (index, bill) in files.bills.iter().enumerate() {
        let mut read = open(&bill.path).unwrap();
        seen.versions.insert(read.version().to_owned());
        assert!(read.missing_mandatory().is_empty(), "{}: {:?}", bill.path.display(), read.missing_mandatory());
        let mut scope = String::new();
        let rows_before = seen.rows;
        let is_last_version = !bill.path.to_string_lossy().contains("-first.");
        while let Some(row) = read.next_row().unwrap() {
            let Row::Charge(charge) = row else { panic!("{}: {row:?}", bill.path.display()) };
            scope = format!("{:?} {:?}", charge.billing_account_id, charge.billing_period_start);
            seen.take(&charge, is_last_version);
        }
        assert_eq!(seen.rows - rows_before, bill.row_count, "{}", bill.path.display());
        assert!(read.warnings().is_empty(), "{}: {:?}", bill.path.display(), read.warnings());
        assert!(!scope.is_empty());
        assert!(index == 0 || files.bills[index - 1].as_of <= bill.as_of, "bills come in the order of their versions");
    }
    check(&seen);
}

fn check(seen: &Seen) {
    assert!((50_000..400_000).contains(&seen.rows), "{} rows", seen.rows);
    assert!(seen.versions.len() >= 2, "{:?}", seen.versions);
    assert_eq!(seen.providers.len(), 5, "{:?}", seen.providers);
    let categories: Vec<&str> = seen.categories.iter().map(String::as_str).collect();
    assert_eq!(categories, ["Credit", "Purchase", "Tax", "Usage"]);
    assert!(seen.corrections > 0);
    let untagged_percent = seen.untagged_rows * 100 / seen.rows;
    assert!((1..=10).contains(&untagged_percent), "{untagged_percent} % of the rows have no tag");
    let months: BTreeSet<&str> = seen.months.keys().map(|(month, _)| month.as_str()).collect();
    assert_eq!(months.len(), 13);
    for month in months {
        let closed = NaiveDate::parse_from_str(&format!("{month}-01"), "%Y-%m-%d").unwrap().month() != 11;
        let dollars = &seen.months[&(month.to_owned(), "USD".to_owned())];
        assert!(!closed || *dollars > 500_000, "{month}: {dollars} USD");
        assert!(seen.months.contains_key(&(month.to_owned(), "EUR".to_owned())), "{month} has no bill in EUR");
    }
    assert_eq!(seen.plan, BigDecimal::from(0), "what the savings plan covered and left unused adds up to its fee");
}

#[test]
fn every_webhook_is_read_and_tells_of_the_deployments_of_the_truth() {
    let folder = tempfile::tempdir().unwrap();
    let today = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
    let files = costwake::demo::generate(folder.path(), today, 1).unwrap();
    let received_at = today.and_hms_opt(0, 0, 0).unwrap().and_utc();
    let mut deployments = BTreeMap::new();
    let mut last = None;
    for line in std::fs::read_to_string(&files.events).unwrap().lines() {
        let request: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(request["sender"], "github");
        let headers = request["headers"].as_object().unwrap();
        let headers = Headers::redacted(headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
        let body = request["body"].as_str().unwrap();
        for event in events::read("github", &headers, body.as_bytes(), received_at).unwrap() {
            assert_ne!(event.kind, EventKind::Ignore, "{:?}: {body}", event.reason);
            assert!(!event.time_is_received, "a time of {body} could not be read");
            assert!(event.occurred_at <= Some(received_at), "{body} lies in the future");
            assert!(event.repo.as_deref().is_some_and(|repo| repo.starts_with("acme-shop/")), "{body}");
            last = last.max(event.occurred_at);
            if event.kind == EventKind::Deployment {
                let (id, environment) = (event.external_id.clone().unwrap(), event.environment.clone().unwrap());
                deployments.entry(id).or_insert(environment);
            }
        }
    }
    let truth: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&files.truth).unwrap()).unwrap();
    let truth = truth["deployments"].as_array().unwrap();
    assert_eq!(deployments.len(), truth.len());
    for deployment in truth {
        let environment = &deployments[deployment["external_id"].as_str().unwrap()];
        assert_eq!(environment, deployment["environment"].as_str().unwrap());
    }
    assert!(last > received_at.checked_sub_days(chrono::Days::new(14)), "the last deployment is old: {last:?}");
}

/// Each is read, lies in the past and beside what the demo has, and belongs where a rule or a pin can put it.
#[test]
fn every_operational_event_is_read_and_one_service_is_not_known() {
    let folder = tempfile::tempdir().unwrap();
    let today = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
    let files = costwake::demo::generate(folder.path(), today, 1).unwrap();
    let received_at = today.and_hms_opt(0, 0, 0).unwrap().and_utc();
    let (mut kinds, mut keys) = (BTreeMap::new(), BTreeSet::new());
    let (mut titles, mut unknown) = (BTreeMap::new(), BTreeSet::new());
    let text = std::fs::read_to_string(&files.operations).unwrap();
    assert_eq!(text.lines().count(), files.operation_count);
    for line in text.lines() {
        let request: serde_json::Value = serde_json::from_str(line).unwrap();
        let (sender, body) = (request["sender"].as_str().unwrap(), request["body"].as_str().unwrap());
        for event in events::read(sender, &Headers::default(), body.as_bytes(), received_at).unwrap() {
            assert!(event.kind.is_context(), "{:?}: {body}", event.kind);
            assert!(!event.time_is_received && event.occurred_at < Some(received_at), "{body}");
            // Of a plan, forecasts would know.
            assert!(!matches!(event.status_raw.as_deref(), Some("launch" | "redesign" | "release-window")), "{body}");
            keys.insert(format!("{sender} {}", event.key().unwrap()));
            kinds.insert(event.kind.as_str(), sender.to_owned());
            titles.insert(event.title.clone().unwrap(), event.environment.clone());
            let named = event.services.iter().chain(&event.service_hint);
            let is_known = |name: &String| files.services.iter().any(|service| service.slug == *name);
            let is_ruled = files.rules.iter().any(|rule| {
                let tag = rule.attribute.strip_prefix("tag:").and_then(|name| event.attributes.get(name));
                rule.applies_to == "deployments" && tag == Some(&rule.value)
            });
            unknown.extend(named.filter(|name| !is_known(name) && !is_ruled).cloned());
        }
    }
    let told: Vec<&str> = kinds.keys().copied().collect();
    assert_eq!(told, ["feature_flag", "incident", "infra_change", "marker", "scale"]);
    assert!((15..40).contains(&keys.len()), "{} events", keys.len());
    assert_eq!(unknown, BTreeSet::from(["storefront-legacy".to_owned()]));
    for pin in &files.pins {
        assert_eq!(titles.get(&pin.title), Some(&Some(pin.environment_slug.clone())), "{}", pin.title);
        assert!(files.services.iter().any(|service| service.slug == pin.service_slug), "{pin:?}");
    }
}
