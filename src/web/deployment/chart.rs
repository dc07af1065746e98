use super::super::charts::{BarSeries, Buckets, DayBars, Event, Level, Marker, Shape, position};
use super::super::comparison::{Around, Averages};
use super::super::context_events::ContextEvents;
use super::super::display::{decimals, money};
use super::super::query::range_label;
use crate::focus::DateRange;
use crate::store::deployment_costs::{FigureChange, ServiceDayCost};
use crate::store::deployment_list::ListedDeployment;
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
    pub has_events: bool,
}

/// One day.
pub struct DayRow {
    pub label: String,
    pub cost: String,
    pub side: &'static str,
}

/// What all currencies have in common.
pub struct Setting<'a> {
    pub around: &'a Around,
    pub label: &'a str,
    pub others: &'a [ListedDeployment],
    pub figure_changes: &'a [FigureChange],
    pub context: &'a ContextEvents,
    pub bills: &'a Freshness,
    pub shows_bills: bool,
}

/// Which side of the deployment a day lies on.
pub fn side(around: &Around, day: NaiveDate) -> &'static str {
    match day {
        _ if day < around.day => "before",
        _ if day == around.day => "day of the deployment",
        _ if around.after.is_some_and(|after| day < after.end()) => "after",
        _ => "provisional",
    }
}

/// One chart a currency.
pub fn charts(days: &[ServiceDayCost], setting: &Setting) -> Vec<BeforeAfter> {
    let mut by_currency: BTreeMap<&str, BTreeMap<NaiveDate, BigDecimal>> = BTreeMap::new();
    for day in days {
        *by_currency.entry(&day.currency).or_default().entry(day.charge_date).or_default() += &day.cost;
    }
    by_currency.iter().map(|(currency, costs)| chart(currency, costs, setting)).collect()
}

fn chart(currency: &str, costs: &BTreeMap<NaiveDate, BigDecimal>, setting: &Setting) -> BeforeAfter {
    let around = setting.around;
    let complete_to = setting.bills.complete_to().unwrap_or(around.day);
    let last = setting.bills.last_charge_date().unwrap_or(complete_to).max(around.day);
    let whole = around.whole();
    let shown = DateRange::new(whole.start(), whole.end().min(last + Days::new(1))).unwrap_or(whole);
    let buckets = Buckets::new(shown, complete_to);
    let value = |day: NaiveDate| costs.get(&day).map(position).unwrap_or_default();
    let series = |class: &str, keep: &[&str]| BarSeries {
        class: class.into(),
        values: shown.days().map(|day| if keep.contains(&side(around, day)) { value(day) } else { 0.0 }).collect(),
    };
    let bars = [
        series("f-before", &["before"]),
        series("f-out", &["day of the deployment"]),
        series("f-production", &["after", "provisional"]),
    ];
    let averages = Averages::over(around, costs.iter().map(|(day, cost)| (*day, currency, cost)));
    let levels = levels(&averages, around, &buckets);
    let events = events(setting, &buckets);
    let chart =
        DayBars::new("Deployments and events on the chart", currency, &buckets, &bars, &markers(setting, &buckets))
            .with_levels(&levels, &bars, &buckets)
            .with_events(&events, &buckets);
    let digits = decimals(currency, &costs.values().map(BigDecimal::abs).max().unwrap_or_default());
    let rows = shown.days().map(|day| DayRow {
        label: day.format("%a %-d %b %Y").to_string(),
        cost: money(&costs.get(&day).cloned().unwrap_or_default(), currency, digits),
        side: side(around, day),
    });
    BeforeAfter {
        currency: currency.to_owned(),
        summary: format!(
            "Daily cost from {}: pale bars before the deployment of {}, full bars after it, with the average of each side as a line. All values are in the table below.",
            range_label(shown),
            around.day.format("%-d %B %Y")
        ),
        rows: rows.collect(),
        has_provisional: buckets.provisional_from() < buckets.len(),
        has_events: !events.is_empty(),
        chart,
    }
}

fn levels(averages: &Averages, around: &Around, buckets: &Buckets) -> Vec<Level> {
    let Some(average) = averages.rows().into_iter().next() else { return Vec::new() };
    let day = buckets.index_of(around.day).unwrap_or_default();
    let mut levels = vec![Level { from: 0, to: day, value: position(&average.before) }];
    if around.after.is_some() {
        levels.push(Level { from: day + 1, to: buckets.provisional_from(), value: position(&average.after) });
    }
    levels
}

fn markers(setting: &Setting, buckets: &Buckets) -> Vec<Marker> {
    let mut markers: Vec<Marker> = setting
        .others
        .iter()
        .filter_map(|one| {
            let day = one.at.date_naive();
            Some(Marker {
                index: buckets.index_of(day)?,
                href: format!("/deployments/{}", one.deployment_id),
                cluster_href: format!("/deployments?period={day}..{}", day + Days::new(3)),
                name: one.label(),
                details: format!(
                    "{}, {}",
                    one.environment_name.as_deref().unwrap_or("environment not known"),
                    one.at.format("%-d %b %H:%M UTC")
                ),
                shape: if one.kind == "rollback" { Shape::Rollback } else { Shape::Plain },
            })
        })
        .collect();
    markers.extend(buckets.index_of(setting.around.day).map(|index| Marker {
        index,
        href: "#h-res".into(),
        cluster_href: String::new(),
        name: setting.label.to_owned(),
        details: format!("this deployment, {}", setting.around.day.format("%-d %b %Y")),
        shape: Shape::This,
    }));
    markers
}

fn events(setting: &Setting, buckets: &Buckets) -> Vec<Event> {
    let event = |change: &FigureChange| {
        Some(Event {
            index: buckets.index_of(change.published_at.date_naive())?,
            href: match change.delivery_id.filter(|_| setting.shows_bills) {
                Some(id) => format!("/deliveries/{id}"),
                None => "#h-else".into(),
            },
            label: format!("Context, {}: {}", change.published_at.format("%-d %b"), super::sentence(change)),
        })
    };
    let context = setting.context.on_chart(buckets, "#h-else");
    setting.figure_changes.iter().filter_map(event).chain(context).collect()
}
