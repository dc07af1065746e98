//! Daily cost as a chart, a legend that is a table, and a table of every day: one set a currency.

use super::charts::{BarSeries, Buckets, DayBars, Event, Marker, position};
use super::display::{Compared, Delta, decimals, figures, money, shown};
use super::drill;
use super::query::{Span, range_label};
use crate::focus::{BillingPeriod, DateRange};
use askama::Template;
use bigdecimal::{BigDecimal, Zero};
use chrono::{Days, NaiveDate};
use std::collections::HashMap;

/// Cost of one series on one day.
#[derive(Debug, Clone, Copy)]
pub struct Point<'a> {
    /// The charge day.
    pub day: NaiveDate,
    /// Which series.
    pub series: usize,
    /// `BillingCurrency`.
    pub currency: &'a str,
    /// Exact.
    pub cost: &'a BigDecimal,
}

/// One colour of the stack, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// What people call it.
    pub label: String,
    /// The address behind the label, or nothing.
    pub href: String,
    /// A class of the style sheet without its prefix.
    pub class: &'static str,
}

/// What the charts of a page have in common.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    /// The days.
    pub span: &'a Span,
    /// In order.
    pub currencies: &'a [String],
    /// Deployments above the bars.
    pub markers: &'a [Marker],
    /// "By environment".
    pub caption: &'a str,
    /// "daily cost by environment of checkout-api".
    pub subject: &'a str,
    /// The lines behind the days (`drill::lines`); empty where the reader may not open them.
    pub charges_href: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct LegendRow {
    series: Series,
    /// The column of the table of days.
    column: usize,
    day: String,
    cost: String,
    delta: Delta,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct DayRow {
    label: String,
    href: String,
    cells: Vec<String>,
    total: String,
    /// "partial", "provisional"; empty where the day is complete.
    status: &'static str,
}

impl DayRow {
    // "Thu 19 Nov, partial".
    fn head(&self) -> String {
        if self.status.is_empty() { self.label.clone() } else { format!("{}, {}", self.label, self.status) }
    }
}

/// The chart of one currency with its tables. Written into a template as it is.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/daily.html")]
pub struct Daily {
    index: usize,
    /// "EUR", where the page has several currencies.
    currency_note: String,
    chart: DayBars,
    summary: String,
    caption: String,
    day_head: String,
    period_head: String,
    legend: Vec<LegendRow>,
    /// What rounding leaves between the rows and the total.
    rounding: Option<(String, Delta)>,
    total: LegendRow,
    /// The lines behind the total; may be empty.
    total_href: String,
    heads: Vec<String>,
    rows: Vec<DayRow>,
    scrub_start: Option<usize>,
    /// Whether some days are hatched.
    has_arriving: bool,
    notice: String,
}

impl askama::filters::HtmlSafe for Daily {}

// Beside the charts: what reads a page's days alone knows none.
impl Span {
    /// The bars of its charts.
    pub fn buckets(&self) -> Buckets {
        Buckets::new(self.chart, self.complete_to)
    }
}

impl Daily {
    /// Adds a lane below the axis with what else happened.
    pub fn with_events(mut self, events: &[Event], span: &Span) -> Self {
        self.chart = self.chart.with_events(events, &span.buckets());
        self
    }

    fn total_column(&self) -> usize {
        self.heads.len() + 1
    }
}

/// What a day says that no bill tells of yet.
const NOT_YET: &str = "not yet";
/// A series that had cost so many days before the first incomplete one is waited for on the days after. What ended earlier
/// costs nothing on them.
const AWAITED_DAYS: u64 = 7;

/// Which cells of the days are not known yet, because their bill is late or still arriving. They are no zeros.
struct Unknown {
    /// Of each bar.
    statuses: Vec<&'static str>,
    /// By column and bar: waited for, and without any charge.
    cells: Vec<Vec<bool>>,
    /// By bar: whether any column has a charge.
    has_charges: Vec<bool>,
    /// The bar from which on a late source is not there.
    late_from: Option<usize>,
    /// The first bar whose billing period lacks a bill.
    gap: Option<usize>,
}

impl Unknown {
    fn new(points: &[Point], column_of: &HashMap<usize, usize>, buckets: &Buckets, span: &Span) -> Self {
        let status = |range: &DateRange| Some(span.day_status(range.last_day())).filter(|status| *status != "complete");
        let statuses: Vec<&'static str> =
            buckets.ranges().iter().map(|range| status(range).unwrap_or_default()).collect();
        let after_complete = span.complete_to + Days::new(1);
        let first = span.partial_from.map_or(after_complete, |first| first.min(after_complete));
        // Where the chart shows nothing that is known, everything on it is waited for.
        let mut is_awaited = vec![first <= span.chart.start(); column_of.len()];
        let is_open: Vec<bool> = statuses.iter().map(|status| !status.is_empty()).collect();
        let mut cells = vec![is_open; column_of.len()];
        let mut has_charges = vec![false; buckets.len()];
        for point in points {
            let column = column_of[&point.series];
            is_awaited[column] |= point.day < first && first <= point.day + Days::new(AWAITED_DAYS);
            if let Some(bucket) = buckets.index_of(point.day) {
                cells[column][bucket] = false;
                has_charges[bucket] = true;
            }
        }
        for (cells, _) in cells.iter_mut().zip(is_awaited).filter(|(_, is_awaited)| !is_awaited) {
            cells.fill(false);
        }
        let is_late = |day: NaiveDate| span.partial_from.is_some_and(|first| first <= day);
        let last_days = || buckets.ranges().iter().map(|range| range.last_day());
        let late_from = last_days().position(|day| day <= span.complete_to && is_late(day));
        let gap = last_days().position(|day| day <= span.complete_to && span.is_gap(day));
        Self { statuses, cells, has_charges, late_from, gap }
    }

    fn is_cell(&self, column: usize, bucket: usize) -> bool {
        self.cells[column][bucket]
    }

    // Nothing of the day is known.
    fn is_total(&self, bucket: usize) -> bool {
        !self.has_charges[bucket] && self.cells.iter().any(|cells| cells[bucket])
    }

    // Where a late source, or a bill that lacks between others, leaves out days that are counted as they stand.
    fn sentence(&self, buckets: &Buckets) -> Option<String> {
        let start = |bar: usize| buckets.ranges()[bar].start();
        let late = self.late_from.map(|bar| {
            let since = start(bar).format("%a %-d %b");
            format!("A source is late: from {since} on, what it bills is not known yet, and counts as nothing so far.")
        });
        let gap = self.gap.map(|bar| {
            let month = BillingPeriod::containing(buckets.ranges()[bar].last_day()).label();
            format!("A bill for {month} is not there: what it bills is not known, and counts as nothing so far.")
        });
        let all: Vec<String> = late.into_iter().chain(gap).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }
}

/// One set a currency.
pub fn charts(points: &[Point], series: &[Series], setting: &Setting) -> Vec<Daily> {
    let several = setting.currencies.len() > 1;
    setting
        .currencies
        .iter()
        .enumerate()
        .map(|(index, currency)| {
            let own: Vec<Point> = points.iter().filter(|point| point.currency == currency).copied().collect();
            chart(index, currency, &own, series, setting, several)
        })
        .collect()
}

fn chart(
    index: usize,
    currency: &str,
    points: &[Point],
    all_series: &[Series],
    setting: &Setting,
    several: bool,
) -> Daily {
    let span = setting.span;
    let buckets = span.buckets();
    // A series without cost in this currency has no row.
    let kept: Vec<usize> =
        (0..all_series.len()).filter(|series| points.iter().any(|point| point.series == *series)).collect();
    let column_of: HashMap<usize, usize> = kept.iter().enumerate().map(|(column, series)| (*series, column)).collect();
    let mut matrix = vec![vec![BigDecimal::zero(); buckets.len()]; kept.len()];
    let mut compared = vec![Compared::default(); kept.len()];
    for point in points {
        let column = column_of[&point.series];
        if let Some(bucket) = buckets.index_of(point.day) {
            matrix[column][bucket] += point.cost;
        }
        for (is_now, range) in [(true, span.days), (false, span.before)] {
            if range.start() <= point.day && point.day < range.end() {
                compared[column].add(is_now, currency, point.cost);
            }
        }
    }
    let last = buckets.provisional_from().saturating_sub(1);
    let charges_href = setting.charges_href;
    let unknown = Unknown::new(points, &column_of, &buckets, span);
    let rows = day_rows(&matrix, &unknown, &buckets, currency, charges_href);
    let (legend, rounding, total) = legend(&kept, all_series, &compared, &rows, last, (currency, span));
    let bars: Vec<BarSeries> = kept
        .iter()
        .zip(&matrix)
        .map(|(series, values)| BarSeries {
            class: format!("f-{}", all_series[*series].class),
            values: values.iter().map(position).collect(),
        })
        .collect();
    let is_first_day_of_period = (span.chart.start() < span.days.start()).then(|| buckets.index_of(span.days.start()));
    let mut drawn = DayBars::new("Deployments on the chart", currency, &buckets, &bars, setting.markers)
        .with_boundary(is_first_day_of_period.flatten(), &buckets);
    // The script reads one table; with several currencies the tables stand by themselves.
    let has_scrub = !several && !rows.is_empty();
    if has_scrub {
        drawn = drawn.with_scrub();
    }
    Daily {
        index,
        currency_note: if several { currency.to_owned() } else { String::new() },
        chart: drawn,
        summary: summary(setting, &buckets, &unknown, &total.cost),
        caption: setting.caption.to_owned(),
        day_head: rows.get(last).map(DayRow::head).unwrap_or_default(),
        period_head: span.short_label(),
        legend,
        rounding,
        total,
        total_href: total_href(charges_href, currency, several, span),
        heads: kept.iter().map(|series| all_series[*series].label.clone()).collect(),
        rows,
        scrub_start: has_scrub.then_some(last),
        has_arriving: span.provisional().is_some(),
        notice: notice(span, &unknown, &buckets),
    }
}

// The lines of the whole period; of one currency where there are several. A day's say each currency by itself.
fn total_href(charges_href: &str, currency: &str, several: bool, span: &Span) -> String {
    match (charges_href, several) {
        ("", _) => String::new(),
        (lines, true) => drill::on(&format!("{lines}&cur={currency}"), span.days),
        (lines, false) => drill::on(lines, span.days),
    }
}

fn day_rows(
    matrix: &[Vec<BigDecimal>],
    unknown: &Unknown,
    buckets: &Buckets,
    currency: &str,
    charges_href: &str,
) -> Vec<DayRow> {
    let sum = |bucket: usize| -> BigDecimal { matrix.iter().map(|values| &values[bucket]).sum() };
    let totals: Vec<BigDecimal> = (0..buckets.len()).map(sum).collect();
    let largest = totals.iter().map(BigDecimal::abs).max().unwrap_or_default();
    let decimals = decimals(currency, &largest);
    let row = |bucket: usize| {
        let values: Vec<BigDecimal> = matrix.iter().map(|values| values[bucket].clone()).collect();
        let shown = shown(&values, &totals[bucket], decimals);
        let range = buckets.ranges()[bucket];
        let cell = |(column, value): (usize, &BigDecimal)| match unknown.is_cell(column, bucket) {
            true => NOT_YET.to_owned(),
            false => money(value, currency, decimals),
        };
        DayRow {
            label: buckets.label(bucket),
            href: if charges_href.is_empty() { String::new() } else { drill::on(charges_href, range) },
            cells: shown.iter().enumerate().map(cell).collect(),
            total: match unknown.is_total(bucket) {
                true => NOT_YET.to_owned(),
                false => money(&totals[bucket], currency, decimals),
            },
            status: unknown.statuses[bucket],
        }
    };
    (0..buckets.len()).map(row).collect()
}

fn legend(
    kept: &[usize],
    series: &[Series],
    compared: &[Compared],
    rows: &[DayRow],
    last: usize,
    (currency, span): (&str, &Span),
) -> (Vec<LegendRow>, Option<(String, Delta)>, LegendRow) {
    let columns = figures(&[currency.to_owned()], compared, None).compared(span.is_compared());
    let day = |column: usize| rows.get(last).map(|row| row.cells[column].clone()).unwrap_or_default();
    let mut legend: Vec<LegendRow> = Vec::with_capacity(kept.len());
    for (column, index) in kept.iter().enumerate() {
        let line = columns.rows[column].first();
        legend.push(LegendRow {
            series: series[*index].clone(),
            column: column + 1,
            day: day(column),
            cost: line.map_or_else(|| money(&BigDecimal::zero(), currency, 0), |line| line.cost.clone()),
            delta: match line {
                Some(line) => line.delta.clone(),
                None if span.is_compared() => Delta::amount(&BigDecimal::zero(), currency, 0),
                None => Delta::unknown(),
            },
        });
    }
    // As the stack stands: the topmost first.
    legend.reverse();
    let total = LegendRow {
        series: Series { label: "Total".into(), href: String::new(), class: "" },
        column: kept.len() + 1,
        day: rows.get(last).map(|row| row.total.clone()).unwrap_or_default(),
        cost: columns.total[0].cost.clone(),
        delta: columns.total[0].delta.clone(),
    };
    let rounding = columns.rounding.into_iter().next().map(|line| (line.cost, line.delta));
    (legend, rounding, total)
}

fn summary(setting: &Setting, buckets: &Buckets, unknown: &Unknown, total: &str) -> String {
    let span = setting.span;
    let each = if buckets.is_weekly() { "Each bar is a week. " } else { "" };
    let markers = match setting.markers.len() {
        0 => "no deployment marked".into(),
        1 => "one deployment marked".into(),
        count => format!("{count} deployments marked"),
    };
    let shaded = match setting.markers.iter().filter(|marker| marker.from < marker.index).count() {
        0 => String::new(),
        1 => " One deployment is shaded from its start to its finish.".into(),
        count => format!(" {count} deployments are shaded from start to finish."),
    };
    let arriving = span
        .provisional()
        .map(|range| format!(" Bills for {} are still arriving.", range_label(range)))
        .unwrap_or_default();
    let not_yet = unknown.sentence(buckets).map(|sentence| format!(" {sentence}")).unwrap_or_default();
    format!(
        "Stacked bars of {} from {}, with {markers}.{shaded} {each}The {} add up to {total}.{arriving}{not_yet} All values are in the table below the chart.",
        setting.subject,
        range_label(span.chart),
        span.label(),
    )
}

fn notice(span: &Span, unknown: &Unknown, buckets: &Buckets) -> String {
    let arriving = span.provisional().map(|range| {
        let days = match range.day_count() {
            1 => "The hatched day is".into(),
            count => format!("The {count} hatched days are"),
        };
        format!(
            "Bills are complete to {}. {days} part of what will arrive and left out of totals.",
            span.complete_to.format("%a %-d %b")
        )
    });
    let sentences: Vec<String> = arriving.into_iter().chain(unknown.sentence(buckets)).collect();
    sentences.join(" ")
}
