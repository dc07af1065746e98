//! The days of an anomaly: what came, what was expected, and the parts that make the difference.

#![expect(clippy::float_arithmetic, reason = "positions on a screen")]

use super::super::charts::{BandPoint, BarSeries, Buckets, ChangeBar, DayBars, Event, Marker, position};
use super::super::context_events::ContextEvents;
use super::super::deployment_marker::{LIST, deployment_marker};
use super::super::display::{decimals, money, shown, signed};
use super::super::drill;
use super::super::query::NONE;
use crate::focus::DateRange;
use crate::store::anomaly_lists::{AnomalyDetail, ListedAnomaly};
use crate::store::deployment_marks::MarkedDeployment;
use bigdecimal::{BigDecimal, Zero};
use chrono::{Days, NaiveDate};
use serde_json::Value;

/// A day as it is kept.
pub struct Day {
    pub day: NaiveDate,
    pub actual: BigDecimal,
    pub expected: Option<BigDecimal>,
    low: Option<BigDecimal>,
    high: Option<BigDecimal>,
}

/// Reads the days; what cannot be read is left out.
pub fn days(detail: &AnomalyDetail) -> Vec<Day> {
    let amount = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).and_then(|text| text.parse().ok());
    let day = |row: &Value| {
        Some(Day {
            day: row.get("day")?.as_str()?.parse().ok()?,
            actual: amount(row, "actual")?,
            expected: amount(row, "expected"),
            low: amount(row, "low"),
            high: amount(row, "high"),
        })
    };
    detail.days.as_array().into_iter().flatten().filter_map(day).collect()
}

/// The chart with its table.
pub struct AnomalyChart {
    pub chart: DayBars,
    pub summary: String,
    pub rows: Vec<DayRow>,
    pub has_band: bool,
}

/// A row of the table.
pub struct DayRow {
    pub label: String,
    /// The lines of the day; empty where they cannot be narrowed to the anomaly.
    pub href: String,
    pub actual: String,
    pub expected: String,
    pub above: String,
    pub side: &'static str,
}

/// The bars of the chart. `None` where no days are kept.
pub fn buckets(days: &[Day]) -> Option<Buckets> {
    let (first, last) = (days.first()?.day, days.last()?.day);
    Some(Buckets::new(DateRange::new(first, last + Days::new(1))?, last))
}

/// Draws the days. `None` where none are kept.
pub fn chart(
    one: &ListedAnomaly,
    days: &[Day],
    marked: &[MarkedDeployment],
    context: &ContextEvents,
    lines_href: &str,
) -> Option<AnomalyChart> {
    let (first, last) = (days.first()?.day, days.last()?.day);
    let buckets = buckets(days)?;
    let is_own = |day: NaiveDate| one.start_date <= day && day <= one.end_date;
    let mut before = BarSeries { class: "f-before".into(), values: vec![0.0; buckets.len()] };
    let mut usual = BarSeries { class: "f-production".into(), values: vec![0.0; buckets.len()] };
    let mut excess = BarSeries { class: "f-excess".into(), values: vec![0.0; buckets.len()] };
    let mut band = Vec::new();
    for day in days {
        let Some(index) = buckets.index_of(day.day) else { continue };
        let actual = position(&day.actual);
        if is_own(day.day) {
            let above =
                day.expected.as_ref().map_or(0.0, |expected| (actual - position(expected)).max(0.0)).min(actual);
            usual.values[index] = actual - above;
            excess.values[index] = above;
        } else {
            before.values[index] = actual;
        }
        if let (Some(value), Some(low), Some(high)) = (&day.expected, &day.low, &day.high) {
            band.push(BandPoint { index, value: position(value), low: position(low), high: position(high) });
        }
    }
    let bars = [before, usual, excess];
    let events: Vec<Event> = context.on_chart(&buckets);
    let currency = &one.billing_currency;
    let chart =
        DayBars::new("Deployments and events on the chart", currency, &buckets, &bars, &markers(one, marked, &buckets))
            .with_band(&band, &bars, &buckets)
            .with_events(&events, &buckets);
    Some(AnomalyChart {
        chart,
        summary: format!(
            "Daily usage cost from {} to {}. From {} on, what lies above the expected line is the anomaly. All values are in the table below.",
            first.format("%-d %B"),
            last.format("%-d %B %Y"),
            one.start_date.format("%-d %B")
        ),
        rows: rows(one, days, is_own, lines_href),
        has_band: band.len() > 1,
    })
}

fn rows(one: &ListedAnomaly, days: &[Day], is_own: impl Fn(NaiveDate) -> bool, lines_href: &str) -> Vec<DayRow> {
    let currency = &one.billing_currency;
    let highest = days.iter().map(|day| day.actual.abs()).max().unwrap_or_default();
    let digits = decimals(currency, &highest);
    let row = |day: &Day| DayRow {
        label: day.day.format("%a %-d %b %Y").to_string(),
        href: match (lines_href, DateRange::new(day.day, day.day + Days::new(1))) {
            ("", _) | (_, None) => String::new(),
            (lines, Some(day)) => drill::on(lines, day),
        },
        actual: money(&day.actual, currency, digits),
        expected: day
            .expected
            .as_ref()
            .map_or_else(|| "not known".into(), |expected| money(expected, currency, digits)),
        above: day
            .expected
            .as_ref()
            .map_or_else(String::new, |expected| signed(&(&day.actual - expected), currency, digits)),
        side: match () {
            () if is_own(day.day) => "anomaly",
            () if day.day < one.start_date => "before",
            () => "after",
        },
    };
    days.iter().map(row).collect()
}

fn markers(one: &ListedAnomaly, marked: &[MarkedDeployment], buckets: &Buckets) -> Vec<Marker> {
    let list_href = one.service_slug.as_ref().map_or_else(|| LIST.to_owned(), |slug| format!("{LIST}?service={slug}"));
    marked.iter().filter_map(|one| deployment_marker(one, buckets, &list_href)).collect()
}

/// A group of charges.
pub struct PartRow {
    pub name: String,
    /// Its lines on the days of the anomaly; may be empty.
    pub href: String,
    pub note: String,
    pub bar: ChangeBar,
    pub expected: String,
    pub actual: String,
    pub above: String,
}

/// The parts with their totals; every column adds up as shown.
pub struct Parts {
    pub rows: Vec<PartRow>,
    pub expected: String,
    pub actual: String,
    pub above: String,
}

/// The groups of charges that make the difference.
pub fn parts(one: &ListedAnomaly, detail: &AnomalyDetail, lines_href: &str) -> Parts {
    let kept: Vec<&Value> = detail.parts.as_array().into_iter().flatten().collect();
    let amount = |row: &Value, key: &str| -> BigDecimal {
        row.get(key).and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or_else(BigDecimal::zero)
    };
    let expected: Vec<BigDecimal> = kept.iter().map(|row| amount(row, "expected")).collect();
    let actual: Vec<BigDecimal> = kept.iter().map(|row| amount(row, "actual")).collect();
    let above: Vec<BigDecimal> = actual.iter().zip(&expected).map(|(actual, expected)| actual - expected).collect();
    let (currency, excess) = (&one.billing_currency, one.excess());
    let digits = decimals(currency, &one.actual_total.abs().max(one.expected_total.abs()));
    let expected_shown = shown(&expected, &one.expected_total, digits);
    let actual_shown = shown(&actual, &one.actual_total, digits);
    let above_shown = shown(&above, &excess, digits);
    let bars = ChangeBar::rows(&above.iter().map(position).collect::<Vec<_>>());
    let rows = kept.iter().zip(bars).enumerate().map(|(index, (row, bar))| {
        let (name, note) = names(row);
        PartRow {
            name,
            href: part_href(one, row, lines_href),
            note,
            bar,
            expected: money(&expected_shown[index], currency, digits),
            actual: money(&actual_shown[index], currency, digits),
            above: signed(&above_shown[index], currency, digits),
        }
    });
    Parts {
        rows: rows.collect(),
        expected: money(&one.expected_total, currency, digits),
        actual: money(&one.actual_total, currency, digits),
        above: signed(&excess, currency, digits),
    }
}

// What several parts make together, and what weekdays, traffic and the level make of them, has no lines of its own: a part
// says of which service of the provider it is, even where the bill does not.
fn part_href(one: &ListedAnomaly, row: &Value, lines_href: &str) -> String {
    if row.get("service_name").is_none() {
        return String::new();
    }
    let Some(days) = DateRange::new(one.start_date, one.end_date + Days::new(1)).filter(|_| !lines_href.is_empty())
    else {
        return String::new();
    };
    let text = |key: &str| row.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let or_none = |key: &str| text(key).unwrap_or(NONE);
    let mut narrowed = vec![("resource", or_none("resource_id")), ("bought", or_none("service_name"))];
    narrowed.extend(text("region_id").map(|region| ("region", region)));
    let narrowed = serde_urlencoded::to_string(narrowed).unwrap_or_default();
    drill::on(&format!("{lines_href}&{narrowed}"), days)
}

fn names(row: &Value) -> (String, String) {
    let text = |key: &str| row.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let what: Vec<&str> = [text("service_name"), text("region_id")].into_iter().flatten().collect();
    let what = what.join(", ");
    match (text("name"), text("resource_id")) {
        (Some(name), Some(id)) if name != id => (name.to_owned(), format!("{what} {id}").trim().to_owned()),
        (Some(name), _) => (name.to_owned(), what),
        (None, Some(id)) => (id.to_owned(), what),
        (None, None) => ("Charges that name no resource".into(), what),
    }
}
