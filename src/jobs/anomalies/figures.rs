//! From an episode to what is kept of it: exact amounts against what was expected, the parts that make it, evidence. Pure.

#![expect(clippy::float_arithmetic, reason = "estimates")]

use super::life::Episode;
use crate::analyze::anomaly::{AnomalyKind, ExpectedDay, expected_days, releases_beside};
use crate::analyze::impact::{History, Note, NoteKind, ReleaseDay};
use crate::focus::DateRange;
use crate::jobs::effects::verdict::estimate;
use crate::store::anomalies::{Subject, WrittenAnomaly};
use crate::store::anomaly_watch::{ExactDay, PartCost};
use bigdecimal::{BigDecimal, RoundingMode, Zero};
use chrono::{Days, NaiveDate};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Days before that the chart shows, and that parts are compared with.
const CHART_DAYS_BEFORE: u64 = 42;
const PART_DAYS_BEFORE: u64 = 28;
/// Days after an end that the chart shows.
const CHART_DAYS_AFTER: u64 = 14;
/// Parts that are named; the others are one row.
const PART_COUNT_MAX: usize = 8;
/// Days before the begin in which what is no release may have caused it.
const NEAR_DAYS: i64 = 3;
const ESTIMATE_DIGITS: i64 = 6;

/// The days that the chart shows.
pub(super) fn chart_days(episode: &Episode, complete_to: NaiveDate) -> DateRange {
    let start = episode.anomaly.start - Days::new(CHART_DAYS_BEFORE);
    let end = complete_to.min(episode.anomaly.end + Days::new(CHART_DAYS_AFTER)).max(episode.anomaly.end);
    DateRange::new(start, end + Days::new(1)).unwrap_or_else(|| DateRange::days_to(end, 1))
}

/// The days before and those of the anomaly, whose parts are compared.
pub(super) fn part_days(episode: &Episode) -> Option<(DateRange, DateRange)> {
    let start = episode.anomaly.start;
    let before = DateRange::new(start - Days::new(PART_DAYS_BEFORE), start)?;
    Some((before, DateRange::new(start, episode.anomaly.end + Days::new(1))?))
}

/// What is kept of an episode. `idle_days` are those of the environment's policy.
pub(super) fn written(
    subject: &Subject,
    episode: &Episode,
    history: &History,
    idle_days: i32,
    exact: &[ExactDay],
    parts: &[PartCost],
    publication_id: i64,
) -> WrittenAnomaly {
    let (start, end) = (episode.anomaly.start, episode.anomaly.end);
    let known = start.iter_days().take_while(|day| *day <= end).filter(|day| is_known(history, *day));
    let day_count = i32::try_from(known.count().max(1)).unwrap_or(i32::MAX);
    let told = exact.iter().filter(|day| is_known(history, day.charge_date));
    let actual: BTreeMap<NaiveDate, &BigDecimal> = told.map(|day| (day.charge_date, &day.usage)).collect();
    let expected = expected(episode, history, &actual, exact.last().map_or(end, |day| day.charge_date.max(end)));
    let own = |day: &NaiveDate| start <= *day && *day <= end;
    let actual_total: BigDecimal = actual.iter().filter(|(day, _)| own(day)).map(|(_, cost)| *cost).sum();
    let of_days: Vec<&Expected> = expected.values().filter(|one| own(&one.day)).collect();
    let expected_total: BigDecimal = of_days.iter().map(|one| &one.expected).sum();
    let mean = |pick: fn(&Expected) -> &Option<BigDecimal>| -> Option<BigDecimal> {
        let all: Option<BigDecimal> = of_days.iter().map(|one| pick(one).clone()).sum();
        all.map(|sum| rounded(sum / BigDecimal::from(day_count)))
    };
    let (state, close_reason) = episode.state.words();
    WrittenAnomaly {
        subject: subject.clone(),
        kind: kind_key(episode.anomaly.kind, subject),
        state,
        close_reason,
        start_date: start,
        end_date: end,
        found_on: episode.found_on,
        publication_id,
        day_count,
        expected_low: mean(|one| &one.low),
        expected_high: mean(|one| &one.high),
        evidence: evidence(episode, history, idle_days),
        parts: part_rows(parts, day_count, &actual_total, &expected_total),
        days: chart_rows(&actual, &expected, start),
        actual_total,
        expected_total,
    }
}

// A day that lacks a bill has no figure to hold against what was expected. Days before the history count as known.
fn is_known(history: &History, day: NaiveDate) -> bool {
    history.index_of(day).is_none_or(|index| history.cost[index].is_some())
}

struct Expected {
    day: NaiveDate,
    expected: BigDecimal,
    low: Option<BigDecimal>,
    high: Option<BigDecimal>,
}

// An idle environment should cost nothing. Where the days before do not say what was expected, or say the opposite of what
// was found, what was found is taken off what came.
fn expected(
    episode: &Episode,
    history: &History,
    actual: &BTreeMap<NaiveDate, &BigDecimal>,
    last: NaiveDate,
) -> BTreeMap<NaiveDate, Expected> {
    let anomaly = &episode.anomaly;
    let zero = BigDecimal::zero;
    let days = |day: NaiveDate| {
        day.iter_days().take_while(|day| *day <= anomaly.end).filter(move |day| is_known(history, *day))
    };
    if anomaly.kind == AnomalyKind::Idle {
        return days(anomaly.start)
            .map(|day| (day, Expected { day, expected: zero(), low: Some(zero()), high: Some(zero()) }))
            .collect();
    }
    let mut line = expected_days(history, anomaly.start, last);
    line.retain(|one| is_known(history, one.day));
    if agrees(&line, episode, actual) {
        return line.iter().map(|one| (one.day, from_line(one))).collect();
    }
    let less = estimate(anomaly.amount_per_day);
    let cost = |day: &NaiveDate| actual.get(day).map_or_else(zero, |cost| (*cost).clone());
    days(anomaly.start)
        .map(|day| (day, Expected { day, expected: rounded(cost(&day) - &less), low: None, high: None }))
        .collect()
}

fn from_line(one: &ExpectedDay) -> Expected {
    let (low, high) = (Some(estimate(one.low)), Some(estimate(one.high)));
    Expected { day: one.day, expected: estimate(one.expected), low, high }
}

fn agrees(line: &[ExpectedDay], episode: &Episode, actual: &BTreeMap<NaiveDate, &BigDecimal>) -> bool {
    let anomaly = &episode.anomaly;
    let own = line.iter().filter(|one| anomaly.start <= one.day && one.day <= anomaly.end);
    let excess: f64 = own.map(|one| actual.get(&one.day).map_or(0.0, |cost| number(cost)) - one.expected).sum();
    !line.is_empty() && (excess > 0.0) == (anomaly.share > 0.0)
}

fn number(amount: &BigDecimal) -> f64 {
    bigdecimal::ToPrimitive::to_f64(amount).unwrap_or_default()
}

fn rounded(amount: BigDecimal) -> BigDecimal {
    amount.with_scale_round(ESTIMATE_DIGITS, RoundingMode::HalfUp).normalized()
}

fn text(amount: &BigDecimal) -> String {
    amount.normalized().to_plain_string()
}

fn chart_rows(
    actual: &BTreeMap<NaiveDate, &BigDecimal>,
    expected: &BTreeMap<NaiveDate, Expected>,
    start: NaiveDate,
) -> Value {
    let first = start - Days::new(CHART_DAYS_BEFORE);
    let rows = actual.range(first..).map(|(day, cost)| {
        let one = expected.get(day);
        let of = |pick: fn(&Expected) -> Option<&BigDecimal>| one.and_then(pick).map(text);
        json!({
            "day": day, "actual": text(cost), "expected": of(|one| Some(&one.expected)),
            "low": of(|one| one.low.as_ref()), "high": of(|one| one.high.as_ref()),
        })
    });
    rows.collect()
}

// Each part is expected to go on as in the four weeks before; what weekdays, traffic and the level make of that is a row,
// so that the rows add up to the totals.
fn part_rows(parts: &[PartCost], day_count: i32, actual_total: &BigDecimal, expected_total: &BigDecimal) -> Value {
    let is_expected = !expected_total.is_zero();
    let usual = |part: &PartCost| {
        let all = &part.before * BigDecimal::from(day_count) / BigDecimal::from(PART_DAYS_BEFORE);
        if is_expected { rounded(all) } else { BigDecimal::zero() }
    };
    let mut ranked: Vec<(&PartCost, BigDecimal)> = parts.iter().map(|part| (part, usual(part))).collect();
    ranked.sort_by_key(|(part, usual)| std::cmp::Reverse((&part.during - usual).abs()));
    // One other is named too: its row is no longer than one that names nothing.
    let named = if ranked.len() <= PART_COUNT_MAX + 1 { ranked.len() } else { PART_COUNT_MAX };
    let mut rows: Vec<Value> = ranked[..named]
        .iter()
        .map(|(part, usual)| {
            json!({
                "resource_id": part.resource_id, "name": part.name, "service_name": part.service_name,
                "region_id": part.region_id, "expected": text(usual), "actual": text(&part.during),
            })
        })
        .collect();
    let sum = |ranked: &[(&PartCost, BigDecimal)]| -> (BigDecimal, BigDecimal) {
        (ranked.iter().map(|(_, usual)| usual).sum(), ranked.iter().map(|(part, _)| &part.during).sum())
    };
    let mut row = |name: String, (expected, actual): (BigDecimal, BigDecimal)| {
        if !expected.is_zero() || !actual.is_zero() {
            rows.push(json!({ "resource_id": "", "name": name, "expected": text(&expected), "actual": text(&actual) }));
        }
    };
    if ranked.len() > named {
        row(format!("{} others", ranked.len() - named), sum(&ranked[named..]));
    }
    let (expected, actual) = sum(&ranked);
    row("Weekdays, traffic and level".into(), (expected_total - expected, actual_total - actual));
    Value::Array(rows)
}

fn evidence(episode: &Episode, history: &History, idle_days: i32) -> Value {
    let anomaly = &episode.anomaly;
    let near = |day: NaiveDate| (-NEAR_DAYS..=1).contains(&(day - anomaly.start).num_days());
    let beside = releases_beside(&history.releases, anomaly.start);
    let ids = |releases: &[&ReleaseDay]| -> Vec<i64> {
        releases.iter().flat_map(|release| release.deployment_ids.iter().copied()).collect()
    };
    let prices: Vec<Value> = history
        .price_events
        .iter()
        .filter(|event| near(event.day))
        .map(|event| {
            json!({
                "day": event.day, "kind": format!("{:?}", event.kind),
                "log_ratio": event.size.map(|size| size.log_ratio), "is_expected": event.size.is_some(),
            })
        })
        .collect();
    let moves = |kind: NoteKind| -> Vec<Value> {
        let own = history.notes.iter().filter(|note| note.kind == kind && near(note.day));
        let amount = |note: &Note| note.amount_per_day.map(|amount| text(&estimate(amount)));
        own.map(|note| json!({ "day": note.day, "amount_per_day": amount(note) })).collect()
    };
    let (rules, retags) = (moves(NoteKind::AllocationRule), moves(NoteKind::Retagging));
    let traffic = traffic(history, anomaly.start, anomaly.end);
    let rest = episode.rest.filter(|_| anomaly.kind == AnomalyKind::Idle);
    json!({
        "share": anomaly.share, "deployment_ids": ids(&beside.causes),
        "deployment_ids_before": ids(&beside.before), "prices": prices, "rules": rules, "retags": retags,
        "traffic_share": traffic, "knows_traffic": history.traffic.is_some(),
        "idle_days": (anomaly.kind == AnomalyKind::Idle).then_some(idle_days),
        "no_use_units": rest.map(|rest| rest.no_use),
        "usual_cost": rest.map(|rest| text(&estimate(rest.usual_cost))),
    })
}

/// Traffic of the days against the two weeks before: 0.1 is a tenth more.
fn traffic(history: &History, start: NaiveDate, end: NaiveDate) -> Option<f64> {
    let traffic = history.traffic.as_ref()?;
    let mean = |from: NaiveDate, to: NaiveDate| {
        let days = from.iter_days().take_while(|day| *day <= to);
        let known: Vec<f64> = days.filter_map(|day| traffic[history.index_of(day)?]).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    let before = mean(start - Days::new(14), start - Days::new(1)).filter(|before| *before > 0.0)?;
    Some(mean(start, end)? / before - 1.0)
}

fn kind_key(kind: AnomalyKind, subject: &Subject) -> &'static str {
    match (kind, subject.service_category.as_str()) {
        (_, "Networking") => "transfer-above-baseline",
        (_, "Storage") => "storage-above-baseline",
        (AnomalyKind::Spike, _) => "spike",
        (AnomalyKind::FasterThanTraffic, _) => "faster-than-traffic",
        (AnomalyKind::WithoutRelease, _) => "without-release",
        (AnomalyKind::AfterRelease, _) => "after-release",
        (AnomalyKind::Idle, _) => "idle",
        (AnomalyKind::Drop, _) => "drop",
    }
}

/// The kind of a kept anomaly. One of a team's kind of cost is a shift where its kind is not told apart.
pub(super) fn kind_of(key: &str) -> AnomalyKind {
    match key {
        "spike" => AnomalyKind::Spike,
        "faster-than-traffic" => AnomalyKind::FasterThanTraffic,
        "after-release" => AnomalyKind::AfterRelease,
        "idle" => AnomalyKind::Idle,
        "drop" => AnomalyKind::Drop,
        _ => AnomalyKind::WithoutRelease,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> BigDecimal {
        text.parse().unwrap()
    }

    fn made(count: i32) -> Vec<PartCost> {
        let part = |number: i32| PartCost {
            resource_id: format!("vm-{number}"),
            name: None,
            service_name: Some("Machines".into()),
            region_id: None,
            before: decimal("28.0000000001") * BigDecimal::from(number),
            during: decimal("7.123456789012345") * BigDecimal::from(number * number),
        };
        (0..count).map(part).collect()
    }

    #[test]
    fn one_part_that_is_left_is_named_and_no_other() {
        let rows = part_rows(&made(9), 5, &decimal("1000"), &decimal("321.5"));
        let rows = rows.as_array().unwrap();
        assert!(rows[..9].iter().all(|row| row["resource_id"].as_str().unwrap().starts_with("vm-")), "{rows:?}");
        assert_eq!((rows.len(), rows[9]["name"].as_str()), (10, Some("Weekdays, traffic and level")));
    }

    #[test]
    fn parts_add_up_to_the_totals_whatever_they_are() {
        let parts = made(12);
        let actual: BigDecimal = parts.iter().map(|part| &part.during).sum();
        let rows = part_rows(&parts, 5, &actual, &decimal("321.5"));
        let rows = rows.as_array().unwrap();
        let sum = |key: &str| -> BigDecimal { rows.iter().map(|row| decimal(row[key].as_str().unwrap())).sum() };
        assert_eq!((sum("actual"), sum("expected")), (actual, decimal("321.5")));
        assert_eq!(rows.len(), PART_COUNT_MAX + 2);
        assert_eq!((rows[0]["resource_id"].as_str(), rows[8]["name"].as_str()), (Some("vm-11"), Some("4 others")));
    }
}
