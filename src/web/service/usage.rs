//! What a service was used for, and what a unit of it cost: beside the cost of the same days.

use super::super::display::{Delta, Direction, change_shown, minor_units, money, percent_change};
use super::super::mapping_change::{self, MappingChange};
use super::super::query::Span;
use super::super::{AppState, ClientAddress, Error, Principal, Result, metrics as metric_pages};
use super::loaded::Loaded;
use super::unit_chart::{Days, UnitChart};
use crate::analyze::unit_cost::{UnitCost, billed, runs};
use crate::analyze::unit_economics::{Side, compare};
use crate::focus::DateRange;
use crate::store::freshness::Freshness;
use crate::store::known_days::Lacking;
use crate::store::metric_points::{self, MetricDay};
use crate::store::metrics::{self, Metric};
use crate::store::service_costs::ServiceHead;
use crate::store::{Snapshot, catalogue};
use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, One};
use chrono::NaiveDate;
use serde::Deserialize;
use serde_json::json;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Runs of days without a value that are written out.
const RUNS_SHOWN_MAX: usize = 4;
/// Decimals of a unit cost below one: so many digits that say something.
const SIGNIFICANT_DIGITS: i64 = 3;

/// The section of the service's page.
#[derive(Clone, Default, Template)]
#[template(path = "partials/usage.html")]
pub(super) struct UsageSection {
    slug: String,
    rows: Vec<UsageRow>,
    /// Of the chosen metric, else of the best unit that is known on most days.
    chart: Option<UnitChart>,
    /// The metric that was chosen for the service; empty where none was.
    chosen: String,
    choices: Vec<String>,
    can_choose: bool,
    label: String,
    before_label: String,
}

impl askama::filters::HtmlSafe for UsageSection {}

/// One metric.
#[derive(Clone)]
pub(super) struct UsageRow {
    /// Its name.
    pub metric: String,
    href: String,
    /// In the period of the page.
    pub value: String,
    value_before: String,
    unit: String,
    /// `Unit cost per 1,000 requests`; empty where none can be.
    pub per: String,
    /// One a currency.
    pub costs: Vec<UnitLine>,
    note: String,
    /// Days of the page's period on which it is known.
    known_days: usize,
}

/// A unit cost in one currency.
#[derive(Clone)]
pub struct UnitLine {
    /// In the period of the page.
    pub now: String,
    /// In the period that it is compared with.
    pub before: String,
    /// The change, where both are known.
    pub delta: Option<Delta>,
}

impl UsageSection {
    /// The chosen metric's row, else that of the best unit whose cost is known on most days.
    pub fn main(&self) -> Option<&UsageRow> {
        let chosen = self.rows.iter().find(|row| row.metric == self.chosen && !row.costs.is_empty());
        chosen.or_else(|| self.rows.iter().find(|row| !row.costs.is_empty()))
    }
}

/// Reads usage of the page's days.
pub(super) async fn read(
    snapshot: &mut Snapshot,
    service: &ServiceHead,
    span: &Span,
    days: &Loaded,
    can_choose: bool,
    bills: &Freshness,
) -> Result<UsageSection> {
    let all: BTreeMap<String, Metric> =
        metrics::list(&mut *snapshot).await?.into_iter().map(|metric| (metric.metric.clone(), metric)).collect();
    let job_minutes = metrics::job_minutes(&mut *snapshot).await?;
    let (start, end) = (span.days.start().min(span.before.start()), span.days.end().max(span.before.end()));
    let both = DateRange::new(start, end).unwrap_or(span.days);
    let names = metric_points::of_service(&mut *snapshot, service.service_id, both).await?;
    let chosen = metrics::unit_metric(&mut *snapshot, service.service_id).await?.unwrap_or_default();
    let lacking = bills.lacking(&[service.service_id]);
    let (mut read, mut has_unit) = (Vec::new(), false);
    for metric in names.iter().filter_map(|name| all.get(name)) {
        let id = service.service_id;
        let known = metric_points::daily(&mut *snapshot, &metric.metric, id, days.environment_id, both).await?;
        let row = row(metric, &known, span, days, &lacking);
        has_unit |= metric.is_unit(&job_minutes) && !row.costs.is_empty();
        read.push((metric, row, chart(metric, &known, span, days, &lacking)));
    }
    for (metric, row, chart) in &mut read {
        // All that a service costs is not the cost of building it, where something else that it does has a unit cost.
        if has_unit && metric.is_of_builds() && metric.metric != chosen {
            row.costs.clear();
            *chart = None;
        }
    }
    let rank = |metric: &Metric| metric.unit_rank(&job_minutes);
    read.sort_by_key(|(metric, row, _)| (row.costs.is_empty(), rank(metric), Reverse(row.known_days)));
    let charts = read.iter().filter_map(|(metric, _, chart)| Some((*metric, chart.as_ref()?)));
    let chart = charts.min_by_key(|(metric, chart)| (chart.metric != chosen, rank(metric), Reverse(chart.known_days)));
    let chart = chart.map(|(_, chart)| chart.clone());
    Ok(UsageSection {
        slug: service.slug.clone(),
        rows: read.into_iter().map(|(_, row, _)| row).collect(),
        chart,
        chosen,
        choices: all.into_values().filter(Metric::has_unit_cost).map(|metric| metric.metric).collect(),
        can_choose,
        label: span.label(),
        before_label: span.before_label(),
    })
}

fn row(metric: &Metric, known: &[MetricDay], span: &Span, days: &Loaded, lacking: &Lacking) -> UsageRow {
    let usage = usage_by_day(metric, known);
    let mut costs = Vec::new();
    if metric.has_unit_cost() {
        let usage = billed(usage.clone(), |day| span.has_bill(day) && !lacking.has(day));
        for currency in &days.currencies {
            let by_day = costs_by_day(days, currency);
            costs.extend(compared(span, &by_day, &usage, metric.unit_cost_per, currency));
        }
    }
    let of_range = UnitCost::of(span.days, &BTreeMap::new(), &usage);
    UsageRow {
        metric: metric.metric.clone(),
        href: metric_pages::href(&metric.metric),
        value: total(metric, &usage, span.days),
        value_before: total(metric, &usage, span.before),
        unit: metric.unit.clone(),
        per: per(metric),
        costs,
        note: unknown(&of_range, span.days),
        known_days: span.days.days().filter(|day| usage.contains_key(day)).count(),
    }
}

// Part of a day's sum is less than the day; part of a mean is still one.
fn usage_by_day(metric: &Metric, known: &[MetricDay]) -> BTreeMap<NaiveDate, BigDecimal> {
    let usable = known.iter().filter(|day| day.is_whole || metric.over_hours != "sum");
    usable.map(|day| (day.charge_date, day.value.clone())).collect()
}

// Of the first currency of the page: bars of two would not be of one height.
fn chart(metric: &Metric, known: &[MetricDay], span: &Span, days: &Loaded, lacking: &Lacking) -> Option<UnitChart> {
    let currency = days.currencies.first().filter(|_| metric.has_unit_cost())?;
    let usage = billed(usage_by_day(metric, known), |day| span.has_bill(day) && !lacking.has(day));
    let costs = costs_by_day(days, currency);
    let units = metric.unit_cost_per;
    let of = Days { range: span.days, costs: &costs, usage: &usage, units, currency };
    UnitChart::new(&metric.metric, per(metric), &of)
}

/// `per 1,000 requests`.
pub fn per(metric: &Metric) -> String {
    let unit = if metric.unit.is_empty() { metric.metric.as_str() } else { metric.unit.as_str() };
    if metric.unit_cost_per == 1 {
        return format!("per unit of {unit}");
    }
    format!("per {} {unit}", super::super::filters::grouped(&metric.unit_cost_per.into(), 0))
}

fn costs_by_day(days: &Loaded, currency: &str) -> BTreeMap<NaiveDate, BigDecimal> {
    let mut costs: BTreeMap<NaiveDate, BigDecimal> = BTreeMap::new();
    for row in days.kept().filter(|row| row.currency == currency) {
        *costs.entry(row.charge_date).or_default() += &row.cost;
    }
    costs
}

/// What so many units cost in the period of a page and before it; none where neither is known.
pub fn compared(
    span: &Span,
    costs: &BTreeMap<NaiveDate, BigDecimal>,
    usage: &BTreeMap<NaiveDate, BigDecimal>,
    units: i32,
    currency: &str,
) -> Option<UnitLine> {
    let [before, now] = [span.before, span.days].map(|days| Side::of(days, costs, usage));
    let sides = compare(before, now);
    let is_clear = sides.change.is_some_and(|change| change.is_clear());
    unit_line(sides.after.unit.per(units), sides.before.unit.per(units), is_clear, currency)
}

// Both sides as they are shown. A change within its noise has no colour, as in "What a unit costs".
fn unit_line(now: Option<BigDecimal>, before: Option<BigDecimal>, is_clear: bool, currency: &str) -> Option<UnitLine> {
    let larger = [&now, &before].into_iter().flatten().map(BigDecimal::abs).max()?;
    let digits = unit_decimals(&larger, currency);
    let text = |side: &Option<BigDecimal>| {
        side.as_ref().map_or_else(|| "not known".to_owned(), |cost| money(cost, currency, digits))
    };
    let delta = now.as_ref().zip(before.as_ref()).map(|(now, before)| {
        let relative = percent_change(&(now - before), before).map(|text| format!("({text})")).unwrap_or_default();
        let delta = Delta::amount(&change_shown(now, before, digits), currency, digits);
        Delta { relative, direction: if is_clear { delta.direction } else { Direction::Flat }, ..delta }
    });
    Some(UnitLine { now: text(&now), before: text(&before), delta })
}

/// Decimals of a unit cost: below one, as many as show three digits that are not zero.
pub fn unit_decimals(larger: &BigDecimal, currency: &str) -> i64 {
    if larger.sign() == Sign::NoSign || *larger >= BigDecimal::one() {
        return minor_units(currency).max(2);
    }
    let (digits, scale) = larger.as_bigint_and_exponent();
    let leading_zeros = scale - digits.to_string().trim_start_matches('-').len() as i64;
    (leading_zeros + SIGNIFICANT_DIGITS).clamp(2, 12)
}

/// The values of the known days of a range as one, as the metric combines them.
pub(super) fn total(metric: &Metric, usage: &BTreeMap<NaiveDate, BigDecimal>, days: DateRange) -> String {
    let values: Vec<&BigDecimal> = usage.range(days.start()..days.end()).map(|(_, value)| value).collect();
    if values.is_empty() {
        return "not known".into();
    }
    let sum: BigDecimal = values.iter().copied().sum();
    metric_pages::written(&match metric.over_hours.as_str() {
        "sum" => sum,
        "max" => values.into_iter().max().cloned().unwrap_or_default(),
        _ => sum / BigDecimal::from(values.len() as i64),
    })
}

fn unknown(unit: &UnitCost, days: DateRange) -> String {
    if unit.unknown_days.is_empty() {
        return String::new();
    }
    let runs = runs(&unit.unknown_days);
    let text = |(first, last): &(NaiveDate, NaiveDate)| match first == last {
        true => first.format("%-d %b").to_string(),
        false => format!("{} to {}", first.format("%-d %b"), last.format("%-d %b")),
    };
    let shown: Vec<String> = runs.iter().take(RUNS_SHOWN_MAX).map(text).collect();
    let more = if runs.len() > RUNS_SHOWN_MAX { " and more" } else { "" };
    format!(
        "{} of {} days are known; {}{more} are left out, with their cost",
        unit.day_count,
        days.day_count(),
        shown.join(", ")
    )
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ChoiceForm {
    metric: String,
}

/// Chooses the metric that the service's unit cost is shown for.
pub(super) async fn choose(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
    Form(form): Form<ChoiceForm>,
) -> Result<Response> {
    let to = format!("/services/{slug}#h-usage");
    mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let service = catalogue::service::get(change.conn(), &slug).await?.ok_or(Error::NotFound)?;
        let metric = Some(form.metric.as_str()).filter(|metric| !metric.is_empty());
        if let Some(metric) = metric {
            let known = metrics::get(change.conn(), metric).await?;
            if !known.is_some_and(|metric| metric.has_unit_cost()) {
                return Err(Error::Invalid(
                    "A unit cost needs a metric whose values add up and whose meaning is stated.".into(),
                ));
            }
        }
        metrics::set_unit_metric(change.conn(), service.service_id, metric).await?;
        change.audit("service.unit_metric_chosen", &slug, json!({ "metric": metric })).await?;
        change.finish_without_remap().await
    })
    .await?;
    Ok(Redirect::to(&to).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_unit_costs_keep_digits_that_say_something() {
        let shown = |text: &str| {
            let cost: BigDecimal = text.parse().unwrap();
            unit_line(Some(cost), None, false, "USD").unwrap().now
        };
        assert_eq!(shown("24.4049"), "$24.40");
        assert_eq!(shown("0.24404"), "$0.244");
        assert_eq!(shown("0.0012345"), "$0.00123");
        assert_eq!(shown("0"), "$0.00");
        assert!(unit_line(None, None, false, "USD").is_none());
        let line =
            |is_clear| unit_line(Some("3".parse().unwrap()), Some("2".parse().unwrap()), is_clear, "USD").unwrap();
        let delta = line(true).delta.unwrap();
        assert_eq!((delta.amount.as_str(), delta.direction), ("+$1.00", Direction::Up));
        let noise = line(false).delta.unwrap();
        assert_eq!((noise.amount.as_str(), noise.direction), ("+$1.00", Direction::Flat), "told, without a colour");
    }
}
