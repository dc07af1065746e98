use super::super::charts::{BandPoint, BarSeries, Buckets, DayBars, Event, Leads, Level, Marker, Shape, position};
use super::super::comparison::{Around, Averages};
use super::super::context_events::ContextEvents;
use super::super::deployment_marker::{LIST, deployment_marker, first_bar};
use super::super::display::{decimals, money, signed};
use super::super::drill;
use super::super::query::range_label;
use super::export::lifted;
use crate::focus::DateRange;
use crate::store::deployment_costs::{FigureChange, ServiceDayCost};
use crate::store::deployment_marks::MarkedDeployment;
use crate::store::effects::{LineDay, ServiceLine};
use crate::store::freshness::Freshness;
use bigdecimal::BigDecimal;
use chrono::{Days, NaiveDate};
use std::collections::BTreeMap;

/// The chart of one currency with its table of days.
pub struct BeforeAfter {
    /// `BillingCurrency`.
    pub currency: String,
    pub chart: DayBars,
    pub summary: String,
    pub rows: Vec<DayRow>,
    pub has_provisional: bool,
    /// Whether the deployment took days, which are on neither side.
    pub has_rollout: bool,
    /// Whether the estimate leaves out a day of one of the sides, as it does those of others that share its answer.
    pub has_left_out: bool,
    /// Whether the line of what was expected is drawn.
    pub has_line: bool,
}

/// One day.
pub struct DayRow {
    pub label: String,
    /// The lines of the day; empty where they are of several services.
    pub href: String,
    pub cost: String,
    /// What the line says of it; empty where there is no line on it.
    pub expected: String,
    /// `$90 to $110`, the band around the line.
    pub band: String,
    /// What lies above the line, or below it.
    pub above: String,
    /// Where it lies in the plain comparison, and whether the estimate leaves it out.
    pub side: String,
}

/// What all currencies have in common.
pub struct Setting<'a> {
    pub around: &'a Around,
    pub shown: DateRange,
    /// The bars of the days shown.
    pub buckets: &'a Buckets,
    pub label: &'a str,
    pub others: &'a [MarkedDeployment],
    /// The day it began, where it took days until it went live.
    pub started_on: Option<NaiveDate>,
    pub figure_changes: &'a [FigureChange],
    pub context: &'a ContextEvents,
    /// The lines of the deployment's service in its environment; empty where there are several.
    pub lines_href: &'a str,
    pub shows_bills: bool,
    /// What cost would have been without the deployment, by service.
    pub lines: &'a [ServiceLine],
}

/// A day on which it was on its way, before the one on which it went live.
const ROLLOUT: &str = "rollout";
/// A day that the line passes over: another deployment that shares its answer, or a bill that does not tell of it.
const LEFT_OUT: &str = "left out of the estimate";

/// Which side of the deployment a day lies on.
pub fn side(around: &Around, day: NaiveDate) -> &'static str {
    let holds = |side: Option<DateRange>| side.is_some_and(|side| side.start() <= day && day < side.end());
    match day {
        _ if day == around.day => "day of the deployment",
        _ if around.began <= day && day < around.day => ROLLOUT,
        _ if holds(around.before) => "before",
        _ if holds(around.after) => "after",
        _ if day < around.day || around.after.is_some_and(|after| day < after.start()) => "no bill",
        _ => "provisional",
    }
}

/// The days of the charts: as far as bills go.
pub fn shown(around: &Around, bills: &Freshness) -> DateRange {
    let complete_to = bills.complete_to().unwrap_or(around.day);
    let last = bills.last_charge_date().unwrap_or(complete_to).max(around.day);
    let whole = around.whole();
    DateRange::new(whole.start(), whole.end().min(last + Days::new(1))).unwrap_or(whole)
}

/// One chart a currency.
pub fn charts(days: &[ServiceDayCost], setting: &Setting) -> Vec<BeforeAfter> {
    let mut by_currency: BTreeMap<&str, BTreeMap<NaiveDate, BigDecimal>> = BTreeMap::new();
    for day in days {
        *by_currency.entry(&day.currency).or_default().entry(day.charge_date).or_default() += &day.cost;
    }
    by_currency.iter().map(|(currency, costs)| chart(currency, costs, setting)).collect()
}

// Where a day is drawn: days of a side that the line passes over are not looked at by the estimate.
fn side_of_line(around: &Around, line: &BTreeMap<NaiveDate, LineDay>, day: NaiveDate) -> &'static str {
    let is_within = line.first_key_value().is_some_and(|(first, _)| *first < day)
        && line.last_key_value().is_some_and(|(last, _)| day < *last);
    match side(around, day) {
        "before" | "after" if is_within && !line.contains_key(&day) => LEFT_OUT,
        side => side,
    }
}

#[expect(clippy::float_arithmetic, reason = "positions on a screen")]
fn chart(currency: &str, costs: &BTreeMap<NaiveDate, BigDecimal>, setting: &Setting) -> BeforeAfter {
    let Setting { around, shown, buckets, .. } = *setting;
    let value = |day: NaiveDate| costs.get(&day).map(position).unwrap_or_default();
    let mut line = line(setting.lines, currency);
    let sides: Vec<(NaiveDate, &str)> = shown.days().map(|day| (day, side_of_line(around, &line, day))).collect();
    let series = |class: &str, keep: &[&str]| BarSeries {
        class: class.into(),
        values: sides.iter().map(|(day, side)| if keep.contains(side) { value(*day) } else { 0.0 }).collect(),
    };
    let cost = |day: NaiveDate| costs.get(&day).cloned().unwrap_or_default();
    let expected: BTreeMap<NaiveDate, [BigDecimal; 3]> =
        line.iter().map(|(day, one)| (*day, lifted(one, &cost(*day)))).collect();
    // The line is of usage; the bars hold tax, credits and shared costs too.
    for (day, one) in &mut line {
        let lift = one.actual.map_or(0.0, |actual| value(*day) - actual);
        (one.expected, one.low, one.high) = (one.expected + lift, one.low + lift, one.high + lift);
    }
    let above = |day: NaiveDate| line.get(&day).map_or(0.0, |one| (value(day) - one.expected).max(0.0));
    // What lies above the expected line after the deployment is painted: the effect as an area.
    let mut after = series("f-production", &["after", "provisional"]);
    let mut excess = BarSeries { class: "f-excess".into(), values: vec![0.0; after.values.len()] };
    for ((day, after), excess) in shown.days().zip(&mut after.values).zip(&mut excess.values) {
        *excess = above(day).min(*after);
        *after -= *excess;
    }
    let on_neither = series("f-out", &[ROLLOUT, LEFT_OUT, "day of the deployment"]);
    let bars = [series("f-before", &["before"]), on_neither, after, excess];
    let band: Vec<BandPoint> = line
        .values()
        .filter_map(|one| {
            let index = buckets.index_of(one.day)?;
            Some(BandPoint { index, value: one.expected, low: one.low, high: one.high })
        })
        .collect();
    let averages = Averages::over(around, costs.iter().map(|(day, cost)| (*day, currency, cost)));
    // The line says more than averages of the sides.
    let levels = if band.is_empty() { levels(&averages, around, buckets) } else { Vec::new() };
    let events = events(setting, buckets);
    let chart =
        DayBars::new("Deployments and events on the chart", currency, buckets, &bars, &markers(setting, buckets))
            .with_levels(&levels, &bars, buckets)
            .with_band(&band, &bars, buckets)
            .with_events(&events, buckets);
    let digits = decimals(currency, &costs.values().map(BigDecimal::abs).max().unwrap_or_default());
    let text = |amount: &BigDecimal| money(amount, currency, digits);
    let row = |day: NaiveDate| {
        let ends = expected.get(&day);
        let above = ends.map(|[expected, ..]| cost(day) - expected);
        DayRow {
            label: day.format("%a %-d %b %Y").to_string(),
            href: match (setting.lines_href, DateRange::new(day, day + Days::new(1))) {
                ("", _) | (_, None) => String::new(),
                (lines, Some(day)) => drill::on(&format!("{lines}&cur={currency}"), day),
            },
            cost: text(&cost(day)),
            expected: ends.map_or_else(String::new, |[expected, ..]| text(expected)),
            band: ends.map_or_else(String::new, |[_, low, high]| format!("{} to {}", text(low), text(high))),
            above: above.map_or_else(String::new, |above| signed(&above, currency, digits)),
            side: match side_of_line(around, &line, day) {
                LEFT_OUT => format!("{}, {LEFT_OUT}", side(around, day)),
                side => side.to_owned(),
            },
        }
    };
    BeforeAfter {
        currency: currency.to_owned(),
        summary: format!(
            "Daily cost from {}: pale bars before the deployment of {}, full bars after it, with {}.{} All values are in the table below.",
            range_label(shown),
            around.day.format("%-d %B %Y"),
            if band.is_empty() {
                "the average of each side as a line"
            } else {
                "the usage expected without it as a line"
            },
            began(setting)
        ),
        rows: shown.days().map(row).collect(),
        has_provisional: buckets.provisional_from() < buckets.len(),
        has_rollout: around.has_rollout(),
        has_left_out: sides.iter().any(|(_, side)| *side == LEFT_OUT),
        has_line: !band.is_empty(),
        chart,
    }
}

fn began(setting: &Setting) -> String {
    let Some(start) = setting.started_on else { return String::new() };
    let left_out = match setting.around.began {
        began if began == start => "and on neither side".to_owned(),
        began => format!("and on neither side from {} on", began.format("%-d %B")),
    };
    format!(" It began on {}; the days from then on are shaded, {left_out}.", start.format("%-d %B"))
}

// Of several services the sum, on the days that all of them have; the edges of the bands are added up too, which is
// wider than they are together.
#[expect(clippy::float_arithmetic, reason = "positions on a screen")]
fn line(lines: &[ServiceLine], currency: &str) -> BTreeMap<NaiveDate, LineDay> {
    let own: Vec<&ServiceLine> =
        lines.iter().filter(|line| line.billing_currency == currency && !line.days.is_empty()).collect();
    let mut sums: BTreeMap<NaiveDate, (usize, LineDay)> = BTreeMap::new();
    for one in own.iter().flat_map(|line| &line.days) {
        let nothing = LineDay { day: one.day, actual: Some(0.0), expected: 0.0, low: 0.0, high: 0.0 };
        let (count, sum) = sums.entry(one.day).or_insert((0, nothing));
        *count += 1;
        sum.actual = sum.actual.zip(one.actual).map(|(sum, one)| sum + one);
        sum.expected += one.expected;
        sum.low += one.low;
        sum.high += one.high;
    }
    sums.into_iter().filter(|(_, (count, _))| *count == own.len()).map(|(day, (_, sum))| (day, sum)).collect()
}

fn levels(averages: &Averages, around: &Around, buckets: &Buckets) -> Vec<Level> {
    let Some(average) = averages.rows().into_iter().next() else { return Vec::new() };
    let day = buckets.index_of(around.day).unwrap_or_default();
    let began = buckets.index_of(around.began).unwrap_or_default();
    let mut levels = Vec::new();
    if around.before.is_some() {
        levels.push(Level { from: 0, to: began, value: position(&average.before) });
    }
    if let Some(after) = around.after {
        let first = buckets.index_of(after.start()).unwrap_or(day + 1);
        levels.push(Level { from: first, to: buckets.provisional_from(), value: position(&average.after) });
    }
    levels
}

fn markers(setting: &Setting, buckets: &Buckets) -> Vec<Marker> {
    let day = setting.around.day;
    let others = setting.others.iter().filter_map(|one| deployment_marker(one, buckets, LIST));
    let this = buckets.index_of(day).map(|index| Marker {
        index,
        from: first_bar(setting.started_on, index, buckets),
        day,
        href: "#h-res".into(),
        list_href: LIST.into(),
        name: setting.label.to_owned(),
        details: match setting.started_on {
            Some(start) => format!("this deployment, {} to {}", start.format("%-d %b"), day.format("%-d %b %Y")),
            None => format!("this deployment, {}", day.format("%-d %b %Y")),
        },
        shape: Shape::This,
    });
    others.chain(this).collect()
}

fn events(setting: &Setting, buckets: &Buckets) -> Vec<Event> {
    let event = |change: &FigureChange| {
        let leads = Leads::To(match change.delivery_id.filter(|_| setting.shows_bills) {
            Some(id) => format!("/deliveries/{id}"),
            None => "#h-else".into(),
        });
        let (at, sentence) = (change.published_at, super::figure_changes::sentence(change));
        let label = format!("Context, {}: {sentence}", at.format("%-d %b"));
        Some(Event::single(buckets.index_of(at.date_naive())?, leads, label))
    };
    let context = setting.context.on_chart(buckets);
    setting.figure_changes.iter().filter_map(event).chain(context).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::comparison::WEEK;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn days_of_a_side_that_the_line_passes_over_are_left_out() {
        let around = Around::new(day("2026-11-10"), None, Some(day("2026-10-01")), day("2026-11-20"), WEEK);
        let of = |text: &str| LineDay { day: day(text), actual: Some(1.0), expected: 1.0, low: 0.0, high: 2.0 };
        let line: BTreeMap<_, _> = ["2026-11-06", "2026-11-08", "2026-11-10", "2026-11-12", "2026-11-14"]
            .map(|text| (day(text), of(text)))
            .into();
        for (on, expected) in [
            ("2026-11-05", "before"),
            ("2026-11-06", "before"),
            ("2026-11-07", LEFT_OUT),
            ("2026-11-09", LEFT_OUT),
            ("2026-11-10", "day of the deployment"),
            ("2026-11-11", LEFT_OUT),
            ("2026-11-12", "after"),
            ("2026-11-15", "after"),
        ] {
            assert_eq!(side_of_line(&around, &line, day(on)), expected, "{on}");
        }
        assert_eq!(side_of_line(&around, &BTreeMap::new(), day("2026-11-09")), "before", "without a line");
    }
}
