//! What a service was used for, and what a unit of it cost: beside the cost of the same days.

use super::super::display::{Delta, Reading, change_shown, minor_units, money, percent_change};
use super::super::mapping_change::{self, MappingChange};
use super::super::query::Span;
use super::super::unit_costs::no_cost;
use super::super::{AppState, ClientAddress, Error, Principal, Result, metrics as metric_pages};
use super::loaded::Loaded;
use super::unit_chart::{Days, UnitChart};
use crate::analyze::unit_cost::{UnitCost, billed, runs};
use crate::analyze::unit_economics::{Comparison, Side, compare};
use crate::focus::DateRange;
use crate::store::freshness::Freshness;
use crate::store::known_days::Lacking;
use crate::store::metric_points::{self, MetricDay};
use crate::store::metrics::{self, Metric};
use crate::store::service_costs::ServiceHead;
use crate::store::{Snapshot, catalogue, workload_goals};
use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, One, Zero};
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
    let has_builds = has_unit && read.iter().any(|(metric, _, _)| metric.is_of_builds());
    let goals = match has_builds {
        true => workload_goals::list(&mut *snapshot, Some(&[service.service_id])).await?,
        false => Vec::new(),
    };
    for (metric, row, chart) in &mut read {
        let is_named = metric.metric == chosen || goals.iter().any(|goal| goal.metric == metric.metric);
        if !metric.is_told_beside(has_unit, is_named) {
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
        for currency in &days.currencies {
            let usage = billed(usage.clone(), |day| span.has_bill(day) && !lacking.has(currency, day));
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
    let usage = billed(usage_by_day(metric, known), |day| span.has_bill(day) && !lacking.has(currency, day));
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
    unit_line(&compare(before, now), units, currency)
}

// Both sides as they are shown. A change within its noise has no colour, as in "What a unit costs".
fn unit_line(sides: &Comparison, units: i32, currency: &str) -> Option<UnitLine> {
    let (now, before) = (sides.after.per(units), sides.before.per(units));
    let is_told = [&sides.after, &sides.before].iter().any(|side| side.has_too_few_units());
    let largest = [&now, &before].into_iter().flatten().map(BigDecimal::abs).max();
    // Too little on both sides is told too.
    let larger = largest.or(is_told.then(BigDecimal::zero))?;
    let digits = unit_decimals(&larger, currency);
    let text = |cost: &Option<BigDecimal>, side: &Side| {
        cost.as_ref().map_or_else(|| no_cost(side).to_owned(), |cost| money(cost, currency, digits))
    };
    let delta = now.as_ref().zip(before.as_ref()).map(|(now, before)| {
        let relative = percent_change(&(now - before), before).map(|text| format!("({text})")).unwrap_or_default();
        let delta = Delta::amount(&change_shown(now, before, digits), currency, digits);
        Delta { relative, reading: reading(sides), ..delta }
    });
    Some(UnitLine { now: text(&now, &sides.after), before: text(&before, &sides.before), delta })
}

// As goals are judged: the same where all of the interval lies within 2 %.
fn reading(sides: &Comparison) -> Reading {
    match (sides.relative, sides.change) {
        (Some(share), _) if share.is_immaterial() => Reading::Same,
        (_, Some(change)) if change.is_clear() => Reading::Moved,
        _ => Reading::NotClear,
    }
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

    // Ten days of a side: what one costs, and how many units are used on it.
    fn side(days: &[(i64, i64)]) -> Side {
        let first = NaiveDate::from_ymd_opt(2026, 10, 1).unwrap();
        let range = DateRange::days_to(first + chrono::Days::new(days.len() as u64 - 1), days.len() as u32);
        let of = |pick: fn(&(i64, i64)) -> i64| -> BTreeMap<NaiveDate, BigDecimal> {
            range.days().zip(days).map(|(day, one)| (day, BigDecimal::new(pick(one).into(), 2))).collect()
        };
        let (costs, usage) = (of(|one| one.0), of(|one| one.1 * 100));
        Side::of(range, &costs, &usage)
    }

    fn line(before: &[(i64, i64)], now: &[(i64, i64)]) -> Option<UnitLine> {
        unit_line(&compare(side(before), side(now)), 1, "USD")
    }

    #[test]
    fn small_unit_costs_keep_digits_that_say_something() {
        let shown = |cents: i64, units: i64| line(&[(0, 0); 10], &[(cents, units); 10]).unwrap().now;
        assert_eq!(shown(24_400, 10), "$24.40");
        assert_eq!(shown(244, 10), "$0.244");
        assert_eq!(shown(123, 1_000), "$0.00123");
        assert_eq!(shown(0, 10), "$0.00");
        assert!(line(&[(100, 0); 10], &[(100, 0); 10]).is_none(), "nothing was used");
    }

    #[test]
    fn a_change_is_told_the_same_or_not_clear() {
        let told = |before: &[(i64, i64)], now: &[(i64, i64)]| {
            let delta = line(before, now).unwrap().delta.unwrap();
            (delta.amount.clone(), delta.word())
        };
        let steady = [(2_000, 10); 10];
        assert_eq!(told(&steady, &[(3_000, 10); 10]), ("+$1.00".into(), "more"));
        assert_eq!(told(&steady, &[(2_010, 10); 10]), ("+$0.01".into(), "the same"));
        // 3.8 % more on days that differ by half.
        let swings: Vec<(i64, i64)> =
            [1_000, 3_152, 1_500, 2_652, 2_076, 1_200, 2_952, 1_800, 2_352, 2_076].map(|cents| (cents, 10)).into();
        assert_eq!(told(&steady, &swings), ("+$0.08".into(), "not clear"));
    }

    #[test]
    fn a_few_runs_are_too_few_to_tell_what_one_costs() {
        let mut few = [(450_000, 0); 10];
        (few[2].1, few[7].1) = (1, 1);
        let told = line(&few, &few).unwrap();
        assert_eq!((told.now.as_str(), told.before.as_str()), ("too few to tell", "too few to tell"));
        assert!(told.delta.is_none());
    }
}
