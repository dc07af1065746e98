//! What a run or a job used beside what it cost: quantities of the bill, minutes, and how full its machines were.

use super::read::{Days, Sides, Workload, mean_of};
use super::table::decimal;
use super::words::share_text;
use crate::analyze::unit_economics::{Figure, relative, taken};
use crate::store::metrics::Metric;
use crate::store::run_resources::BoughtDay;
use crate::web::metrics::written;
use std::collections::BTreeMap;

/// One thing that runs used, on both sides.
#[derive(Debug, Clone)]
pub struct Resource {
    /// A service of the provider, or a metric.
    pub name: String,
    /// `Hours`, `minutes`, `%`.
    pub unit: String,
    /// Whether it is of one run; else it is the mean of a day.
    pub is_per_run: bool,
    /// Before.
    pub before: Option<Figure>,
    /// After.
    pub after: Option<Figure>,
    /// The change as a share.
    pub relative: Option<Figure>,
}

/// Whether what a metric counts are runs or jobs, which use something until they end.
pub(super) fn is_of_runs(metric: &Metric) -> bool {
    matches!(metric.meaning.as_str(), "pipeline-runs" | "training-jobs")
}

/// What one run used. All that a service used is taken to be of its runs, as its cost is.
pub(super) fn of_runs(
    metric: &Metric,
    own: &[&Metric],
    usage: &BTreeMap<&str, Days>,
    runs: &Days,
    bought: &[BoughtDay],
    sides: Sides,
) -> Vec<Resource> {
    let mut quantities: BTreeMap<(&str, &str), Days> = BTreeMap::new();
    for day in bought {
        let of_one = quantities.entry((day.bought.as_str(), day.pricing_unit.as_str())).or_default();
        of_one.insert(day.charge_date, day.quantity.clone());
    }
    let mut all: Vec<Resource> = quantities
        .iter()
        .map(|((bought, unit), days)| per_run((*bought).to_owned(), (*unit).to_owned(), days, runs, sides))
        .collect();
    if let Some(minutes) = minutes_of(metric, own)
        && let Some(days) = usage.get(minutes.metric.as_str())
    {
        let both: Days = runs.iter().filter(|(day, _)| days.contains_key(day)).map(|(d, v)| (*d, v.clone())).collect();
        all.push(per_run(minutes.metric.clone(), minutes.unit.clone(), days, &both, sides));
    }
    let means = own.iter().filter(|one| matches!(one.meaning.as_str(), "utilization" | "replicas"));
    all.extend(means.filter_map(|one| mean(one, usage.get(one.metric.as_str())?, sides)));
    // One side alone says nothing of what changed.
    all.retain(|one| one.before.is_some() && one.after.is_some());
    all
}

fn per_run(name: String, unit: String, used: &Days, runs: &Days, sides: Sides) -> Resource {
    let (before, after) = (taken(sides.before, used, runs), taken(sides.after, used, runs));
    let relative = before.zip(after).and_then(|(before, after)| relative(after, before));
    Resource { name, unit, is_per_run: true, before, after, relative }
}

fn mean(metric: &Metric, values: &Days, sides: Sides) -> Option<Resource> {
    let (before, after) = (mean_of(values, sides.before)?, mean_of(values, sides.after)?);
    Some(Resource {
        name: metric.metric.clone(),
        unit: metric.unit.clone(),
        is_per_run: false,
        before: Some(before),
        after: Some(after),
        relative: relative(after, before),
    })
}

/// The minutes of `pipeline_runs` and `training_jobs`, which are counted beside them.
pub(super) fn minutes_of<'a>(metric: &Metric, own: &[&'a Metric]) -> Option<&'a Metric> {
    let (kind, _) = metric.metric.rsplit_once('_')?;
    let name = format!("{kind}_minutes");
    own.iter().copied().find(|one| one.metric == name && one.is_summed())
}

/// One thing that a run used, or how long it took, as a row.
#[derive(Debug, Clone)]
pub struct ResourceRow {
    /// "training_jobs".
    pub metric: String,
    /// "Amazon EC2".
    pub name: String,
    /// "Hours a run", "%, mean of a day".
    pub unit: String,
    /// `3.2`.
    pub before: String,
    /// The same after.
    pub after: String,
    /// `+8.0%`.
    pub change: String,
}

/// How long a run took and what it used, of a workload of runs; of the first currency only, since it is of none.
pub fn rows(workloads: &[Workload]) -> Vec<ResourceRow> {
    let mut rows = Vec::new();
    for (index, one) in workloads.iter().enumerate() {
        let is_same = |other: &Workload| {
            (other.service.service_id, &other.metric.metric) == (one.service.service_id, &one.metric.metric)
        };
        if one.resources.is_empty() || workloads[..index].iter().any(is_same) {
            continue;
        }
        let took = one.duration.as_ref().ok().map(|took| Resource {
            name: took.metric.clone(),
            unit: took.unit.clone(),
            is_per_run: took.is_per_run,
            before: Some(took.before),
            after: Some(took.after),
            relative: took.relative,
        });
        // The minutes of a run are said once.
        let others = one.resources.iter().filter(|other| took.as_ref().is_none_or(|took| took.name != other.name));
        rows.extend(took.iter().chain(others).map(|resource| row(&one.metric.metric, resource)));
    }
    rows
}

fn row(metric: &str, one: &Resource) -> ResourceRow {
    let text =
        |side: Option<Figure>| side.map_or_else(|| "not known".to_owned(), |figure| written(&decimal(figure.value)));
    let unit = if one.is_per_run { format!("{} a run", one.unit) } else { format!("{}, mean of a day", one.unit) };
    let change = match one.relative {
        Some(change) if change.is_clear() => share_text(change.value),
        Some(change) => format!("{}, within its noise", share_text(change.value)),
        None => "not known".into(),
    };
    ResourceRow {
        metric: metric.to_owned(),
        name: one.name.clone(),
        unit,
        before: text(one.before),
        after: text(one.after),
        change,
    }
}

/// What a run used on one side, in one cell: "Amazon EC2: 3.2 Hours; training_minutes: 41 minutes".
pub(super) fn cell(resources: &[Resource], side: fn(&Resource) -> Option<Figure>) -> String {
    let known = resources
        .iter()
        .filter_map(|one| Some(format!("{}: {} {}", one.name, decimal(side(one)?.value).to_plain_string(), one.unit)));
    known.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::focus::DateRange;
    use bigdecimal::BigDecimal;
    use chrono::{Days as Later, NaiveDate};

    /// Twelve hours are bought a day before, eighteen after, for three runs; half an hour a run becomes three quarters.
    #[test]
    fn a_run_used_what_the_bill_and_the_metrics_say() {
        let first: NaiveDate = "2026-10-01".parse().unwrap();
        let day = |index: u64| first + Later::new(index);
        let range = |from, to| DateRange::new(day(from), day(to)).unwrap();
        let sides = Sides { environment_id: None, before: range(0, 10), after: range(10, 20) };
        let daily = |before: i64, after: i64| -> Days {
            (0..20).map(|index| (day(index), BigDecimal::from(if index < 10 { before } else { after }))).collect()
        };
        let runs = daily(3, 3);
        let hours = daily(12, 18);
        let bought: Vec<BoughtDay> = hours
            .iter()
            .map(|(day, quantity)| BoughtDay {
                bought: "Machines".into(),
                pricing_unit: "Hours".into(),
                charge_date: *day,
                quantity: quantity.clone(),
            })
            .collect();
        let (jobs, minutes, used) = (
            Metric::example("training_jobs", "training-jobs", "sum"),
            Metric { unit: "minutes".into(), ..Metric::example("training_minutes", "other", "sum") },
            Metric { unit: "%".into(), ..Metric::example("gpu", "utilization", "mean") },
        );
        // Minutes of a day that nobody counted are not none.
        let mut known = daily(90, 135);
        known.remove(&day(3));
        let usage =
            BTreeMap::from([("training_jobs", runs.clone()), ("training_minutes", known), ("gpu", daily(40, 60))]);
        let own = [&used, &jobs, &minutes];
        let told = of_runs(&jobs, &own, &usage, &runs, &bought, sides);
        let value = |one: Option<Figure>| one.map(|one| one.value);
        let rows: Vec<_> = told
            .iter()
            .map(|one| (one.name.as_str(), one.unit.as_str(), value(one.before), value(one.after)))
            .collect();
        assert_eq!(
            rows,
            [
                ("Machines", "Hours", Some(4.0), Some(6.0)),
                ("training_minutes", "minutes", Some(30.0), Some(45.0)),
                ("gpu", "%", Some(40.0), Some(60.0)),
            ]
        );
        assert_eq!(cell(&told[..1], |one| one.after), "Machines: 6 Hours");
        assert_eq!(row("training_jobs", &told[0]).unit, "Hours a run");
        assert!(is_of_runs(&jobs) && !is_of_runs(&used));
    }
}
