//! Anomalies in words, the same on every page and in the API.

#![expect(clippy::float_arithmetic, reason = "thresholds, no amounts")]

use super::super::display::{decimals, money, signed};
use crate::store::anomaly_lists::ListedAnomaly;
use bigdecimal::BigDecimal;

/// Kinds in the address, and what people read.
pub const KINDS: [(&str, &str); 8] = [
    ("spike", "Spike"),
    ("faster-than-traffic", "Cost faster than traffic"),
    ("without-release", "Up without a deployment"),
    ("after-release", "Up after a deployment"),
    ("idle", "Idle environment"),
    ("transfer-above-baseline", "Transfer above the team\u{2019}s baseline"),
    ("storage-above-baseline", "Storage above the team\u{2019}s baseline"),
    ("drop", "Drop worth knowing"),
];

/// States in the address, and what people read. `open` holds acknowledged ones, `closed` all that are not open.
pub const STATES: [(&str, &str); 7] = [
    ("open", "Open"),
    ("closed", "Closed"),
    ("acknowledged", "Acknowledged"),
    ("explained", "Explained"),
    ("planned", "Planned"),
    ("false-alarm", "False alarm"),
    ("all", "All"),
];

/// What people read for a kind.
pub fn kind_label(kind: &str) -> &'static str {
    KINDS.iter().find(|(key, _)| *key == kind).map_or("Anomaly", |(_, label)| label)
}

/// What people read for a state, with the reason for which nobody closed it.
pub fn state_label(one: &ListedAnomaly) -> &'static str {
    match (one.state.as_str(), one.close_reason.as_deref()) {
        ("open", _) => "Not acknowledged",
        ("acknowledged", _) => "Acknowledged",
        ("explained", _) => "Explained",
        ("planned", _) => "Planned",
        ("false-alarm", _) => "False alarm",
        (_, Some("new-normal")) => "Closed: the new normal",
        (_, Some("withdrawn")) => "Withdrawn by a restated bill or a change that came in later",
        _ => "Closed: it ended",
    }
}

/// `checkout-api`, `checkout-api, staging`, or the team.
pub fn subject(one: &ListedAnomaly) -> String {
    match (&one.service_name, &one.environment_name) {
        (Some(service), Some(environment)) if environment != "production" => format!("{service}, {environment}"),
        (Some(service), _) => service.clone(),
        _ => format!("Team {}", one.team_name.as_deref().unwrap_or("not known")),
    }
}

/// `A-117`.
pub fn number(one: &ListedAnomaly) -> String {
    format!("A-{}", one.anomaly_id)
}

/// What came above what was expected, as a dashboard shows it.
pub fn excess(one: &ListedAnomaly) -> String {
    let excess = one.excess();
    money(&excess, &one.billing_currency, decimals(&one.billing_currency, &excess))
}

/// The mean of its days.
pub fn per_day(amount: &BigDecimal, one: &ListedAnomaly) -> BigDecimal {
    (amount / BigDecimal::from(one.day_count)).with_prec(20)
}

/// `+$328`.
pub fn excess_per_day(one: &ListedAnomaly) -> String {
    let amount = per_day(&one.excess(), one);
    signed(&amount, &one.billing_currency, decimals(&one.billing_currency, &amount))
}

/// `Since 14 Nov, +$328 a day. Payments. Cost faster than traffic`.
pub fn sub(one: &ListedAnomaly) -> String {
    let team = one.team_name.as_deref().map(|team| format!(" {team}.")).unwrap_or_default();
    let kind = kind_label(&one.kind);
    if one.is_open() {
        return format!("Since {}, {} a day.{team} {kind}", one.start_date.format("%-d %b"), excess_per_day(one));
    }
    let why = match one.state.as_str() {
        "closed" => format!("{}. {kind}", state_label(one)),
        _ if one.last_reason.is_empty() => format!("{}. {kind}", state_label(one)),
        _ => format!("{}: {}", state_label(one), one.last_reason),
    };
    let days = if one.start_date == one.end_date {
        one.start_date.format("%-d %b").to_string()
    } else {
        format!("{} to {}", one.start_date.format("%-d %b"), one.end_date.format("%-d %b"))
    };
    format!("{days}.{team} {why}")
}

/// What happened, in a sentence that needs no page around it.
pub fn sentence(one: &ListedAnomaly) -> String {
    let currency = &one.billing_currency;
    let excess = one.excess();
    let amount = |value: &BigDecimal| money(&value.abs(), currency, decimals(currency, value));
    let days = if one.day_count == 1 { "1 day".into() } else { format!("{} days", one.day_count) };
    let subject = match (&one.service_name, &one.environment_name) {
        (Some(service), Some(environment)) => format!("{service} in {environment}"),
        (Some(service), None) => service.clone(),
        _ => {
            let what = if one.service_category == "Storage" { "Storage" } else { "Transfer" };
            format!("{what} of team {}", one.team_name.as_deref().unwrap_or("not known"))
        }
    };
    let per_day = per_day(&excess, one);
    let ahead = if one.is_open() && one.day_count > 1 {
        let month = (&per_day * BigDecimal::from(30)).with_prec(20);
        let verb = if one.is_drop() { "saves" } else { "adds" };
        format!(" If nothing changes it {verb} {} per 30 days.", amount(&month))
    } else {
        String::new()
    };
    match one.kind.as_str() {
        "idle" => {
            let policy = match one.evidence["idle_days"].as_i64() {
                None => String::new(),
                Some(1) => "; its environment\u{2019}s policy is 1 day".into(),
                Some(days) => format!("; its environment\u{2019}s policy is {days} days"),
            };
            format!("{subject} cost {} in {days} in which nobody used it{policy}.{ahead}", amount(&one.actual_total))
        }
        "drop" => format!("{subject} cost {} less than expected in {days}.{ahead}", amount(&excess)),
        _ => format!("{subject} cost {} more than expected in {days}.{ahead}", amount(&excess)),
    }
}

/// What a lesson is about.
pub fn lesson_label(lesson: &str) -> &'static str {
    match lesson {
        "spike" => "Spikes",
        "drop" => "Drops",
        "idle" => "Idle environments",
        "baseline" => "Above the team\u{2019}s baseline",
        _ => "Shifts",
    }
}

/// The lesson that an answer about this kind teaches.
pub fn lesson_of(kind: &str) -> &'static str {
    match kind {
        "spike" => "spike",
        "drop" => "drop",
        "idle" => "idle",
        "transfer-above-baseline" | "storage-above-baseline" => "baseline",
        _ => "shift",
    }
}

/// What must be there now before something of this lesson is told.
pub fn threshold(lesson: &str, false_alarms: i64, right: i64) -> String {
    let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    let taught = crate::analyze::anomaly::Sensitivity::default().taught(count(false_alarms), count(right));
    let percent = |share: f64| format!("{:.0}%", share * HUNDRED);
    let usual = crate::analyze::anomaly::Sensitivity::default();
    match lesson {
        "spike" => format!(
            "{} and {:.1} standard deviations above what was expected",
            percent(taught.spike_share),
            taught.spike_deviations
        ),
        "idle" => {
            let days = f64::from(crate::store::catalogue::environment::IDLE_DAYS);
            let now = days * taught.shift_share / usual.shift_share;
            format!("{now:.0} days without use where the environment\u{2019}s policy says {days:.0}")
        }
        _ => format!("a lasting change of {}", percent(taught.shift_share)),
    }
}

const HUNDRED: f64 = 100.0;
