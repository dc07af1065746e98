//! Unit costs of workloads on two sides: what is read for the pages of a deployment and of a service, for CSV and the API.

use super::resources::{Resource, is_of_runs, minutes_of, of_runs};
use crate::analyze::unit_cost::billed;
use crate::analyze::unit_economics::{
    Comparison, Figure, Goal, Measure, Side, Verdict, compare, mean, relative, taken, verdict,
};
use crate::focus::DateRange;
use crate::store::freshness::Freshness;
use crate::store::metric_points::{self, MetricDay};
use crate::store::metrics::{self, Metric};
use crate::store::run_resources;
use crate::store::workload_goals::{self, WorkloadGoal};
use crate::store::{Snapshot, deployment_costs::ServedService};
use bigdecimal::{BigDecimal, ToPrimitive, Zero};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

/// Cost by service, currency and day, for the days of both sides.
pub type ServiceCosts = BTreeMap<(i64, String), Days>;

/// Values by day.
pub(super) type Days = BTreeMap<NaiveDate, BigDecimal>;

/// The units of one metric of one service, in one currency.
#[derive(Debug, Clone)]
pub struct Workload {
    /// The service.
    pub service: ServedService,
    /// What the unit is.
    pub metric: Metric,
    /// FOCUS BillingCurrency.
    pub currency: String,
    /// Both sides.
    pub comparison: Comparison,
    /// How long a unit takes.
    pub duration: Result<Duration, NoDuration>,
    /// What it used, of runs and jobs.
    pub resources: Vec<Resource>,
    /// What was stated.
    pub goal: Option<WorkloadGoal>,
    /// What the change is for the goal; `None` without one.
    pub verdict: Option<Verdict>,
}

/// How long a unit took on both sides.
#[derive(Debug, Clone)]
pub struct Duration {
    /// The metric that tells.
    pub metric: String,
    /// Of its values.
    pub unit: String,
    /// Whether it is of one run: minutes of the runs over how many they were. Else it is the mean of a day.
    pub is_per_run: bool,
    /// Before.
    pub before: Figure,
    /// After.
    pub after: Figure,
    /// The change as a share.
    pub relative: Option<Figure>,
}

/// Why nobody knows how long a unit takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoDuration {
    /// No metric tells, or not on enough days of both sides.
    NotKnown,
    /// There are runs, and on no day of either side minutes of them: nobody told any, or a run of each day told no start.
    NoMinutes,
    /// There are some, on fewer than three days of a side.
    FewMinutes,
}

impl Workload {
    /// How cost and duration of a unit moved.
    pub fn measure(&self) -> Measure {
        let latency = self.duration.as_ref().ok().and_then(|duration| duration.relative);
        Measure { cost: self.comparison.relative, latency }
    }

    /// The stated goal as the method knows it.
    pub fn stated(&self) -> Option<Goal> {
        let goal = self.goal.as_ref()?;
        Goal::new(&goal.goal, goal.cost_percent)
    }
}

/// Where the workloads are, and on which days.
#[derive(Debug, Clone, Copy)]
pub struct Sides {
    /// Of all environments where it is `None`.
    pub environment_id: Option<i64>,
    /// The days before.
    pub before: DateRange,
    /// The days after.
    pub after: DateRange,
}

impl Sides {
    fn whole(self) -> DateRange {
        let (start, end) = (self.before.start().min(self.after.start()), self.before.end().max(self.after.end()));
        DateRange::new(start, end).unwrap_or(self.after)
    }
}

/// Every workload of these services that has usage on the days of both sides: one a service, metric and currency. Runs of
/// pipelines are one only where somebody chose them or stated a goal for them, or nothing else has a unit cost.
pub async fn workloads(
    conn: &mut Snapshot,
    services: &[ServedService],
    sides: Sides,
    costs: &ServiceCosts,
    bills: &Freshness,
) -> sqlx::Result<Vec<Workload>> {
    let known: BTreeMap<String, Metric> =
        metrics::list(conn).await?.into_iter().map(|metric| (metric.metric.clone(), metric)).collect();
    let job_minutes = metrics::job_minutes(conn).await?;
    let ids: Vec<i64> = services.iter().map(|service| service.service_id).collect();
    let goals = workload_goals::list(conn, Some(&ids)).await?;
    let mut all = Vec::new();
    for service in services {
        let names = metric_points::of_service(conn, service.service_id, sides.whole()).await?;
        let own: Vec<&Metric> = names.iter().filter_map(|name| known.get(name)).collect();
        let mut usage = BTreeMap::new();
        for metric in &own {
            let id = service.service_id;
            let days = metric_points::daily(conn, &metric.metric, id, sides.environment_id, sides.whole()).await?;
            usage.insert(metric.metric.as_str(), whole_days(metric, days));
        }
        let bought = match own.iter().any(|metric| is_of_runs(metric)) {
            true => run_resources::daily(conn, service.service_id, sides.environment_id, sides.whole()).await?,
            false => Vec::new(),
        };
        let currencies: BTreeSet<&String> =
            costs.keys().filter(|(id, _)| *id == service.service_id).map(|(_, currency)| currency).collect();
        let lacking = bills.lacking(&[service.service_id]);
        let (mut told, mut has_unit) = (Vec::<Workload>::new(), false);
        for metric in own.iter().filter(|metric| metric.has_unit_cost()) {
            let goal = goals.iter().find(|goal| goal.service_id == service.service_id && goal.metric == metric.metric);
            let duration = duration(metric, &own, goal, &usage, sides);
            let told_of = &usage[metric.metric.as_str()];
            let used = billed(told_of.clone(), |day| bills.has_bill(day) && !lacking.has_any(day));
            // Also where it is known on too few days to be compared.
            has_unit |= metric.is_unit(&job_minutes) && used.values().any(|value| !value.is_zero());
            let resources = match is_of_runs(metric) {
                true => of_runs(metric, &own, &usage, &used, &bought, sides),
                false => Vec::new(),
            };
            for currency in &currencies {
                let key = (service.service_id, (*currency).clone());
                let costs = &costs[&key];
                let used = billed(told_of.clone(), |day| bills.has_bill(day) && !lacking.has(currency, day));
                let side = |days| Side::of(days, costs, &used);
                let comparison = compare(side(sides.before), side(sides.after));
                if !comparison.before.is_told() && !comparison.after.is_told() {
                    continue;
                }
                let mut one = Workload {
                    service: service.clone(),
                    metric: (*metric).clone(),
                    currency: (*currency).clone(),
                    comparison,
                    duration: duration.clone(),
                    resources: resources.clone(),
                    goal: goal.cloned(),
                    verdict: None,
                };
                one.verdict = one.stated().map(|goal| verdict(goal, &one.measure()));
                told.push(one);
            }
        }
        if has_unit && told.iter().any(|one| one.metric.is_of_builds()) {
            let chosen = metrics::unit_metric(conn, service.service_id).await?;
            let is_chosen = |one: &Workload| chosen.as_ref() == Some(&one.metric.metric);
            told.retain(|one| one.metric.is_told_beside(has_unit, one.goal.is_some() || is_chosen(one)));
        }
        all.append(&mut told);
    }
    Ok(all)
}

// Part of a day's sum is less than the day; part of a mean is still one.
fn whole_days(metric: &Metric, days: Vec<MetricDay>) -> Days {
    let usable = days.into_iter().filter(|day| day.is_whole || metric.over_hours != "sum");
    usable.map(|day| (day.charge_date, day.value)).collect()
}

/// The mean of the days of one side.
pub(super) fn mean_of(values: &Days, days: DateRange) -> Option<Figure> {
    let days: Vec<f64> = values.range(days.start()..days.end()).filter_map(|(_, value)| value.to_f64()).collect();
    mean(&days)
}

// By the metric that was named with the goal; else runs and jobs by their own minutes, since what requests of the service
// wait for says nothing of them, and all other units by latency.
fn duration(
    metric: &Metric,
    own: &[&Metric],
    goal: Option<&WorkloadGoal>,
    usage: &BTreeMap<&str, Days>,
    sides: Sides,
) -> Result<Duration, NoDuration> {
    let named = goal.and_then(|goal| goal.duration_metric.as_deref());
    let told = match named {
        // It may mean something else since the goal was stated.
        Some(name) => own.iter().find(|metric| metric.metric == name && metric.tells_duration()),
        None if is_of_runs(metric) => return duration_of_runs(metric, own, usage, sides),
        None => own.iter().find(|metric| metric.meaning == "latency"),
    };
    let told = told.ok_or(NoDuration::NotKnown)?;
    let values = usage.get(told.metric.as_str()).ok_or(NoDuration::NotKnown)?;
    let (before, after) = (mean_of(values, sides.before), mean_of(values, sides.after));
    let (before, after) = before.zip(after).ok_or(NoDuration::NotKnown)?;
    Ok(Duration {
        metric: told.metric.clone(),
        unit: told.unit.clone(),
        is_per_run: false,
        before,
        after,
        relative: relative(after, before),
    })
}

// On days without a run none took any time: they say nothing of how long one takes.
fn duration_of_runs(
    metric: &Metric,
    own: &[&Metric],
    usage: &BTreeMap<&str, Days>,
    sides: Sides,
) -> Result<Duration, NoDuration> {
    let minutes = minutes_of(metric, own).ok_or(NoDuration::NoMinutes)?;
    let (Some(took), Some(runs)) = (usage.get(minutes.metric.as_str()), usage.get(metric.metric.as_str())) else {
        return Err(NoDuration::NoMinutes);
    };
    let timed: Days = runs
        .iter()
        .filter(|(day, runs)| !runs.is_zero() && took.contains_key(day))
        .map(|(day, runs)| (*day, runs.clone()))
        .collect();
    let is_told = |days: DateRange| timed.range(days.start()..days.end()).next().is_some();
    if !is_told(sides.before) && !is_told(sides.after) {
        return Err(NoDuration::NoMinutes);
    }
    let side = |days| taken(days, took, &timed);
    let (before, after) = side(sides.before).zip(side(sides.after)).ok_or(NoDuration::FewMinutes)?;
    Ok(Duration {
        metric: minutes.metric.clone(),
        unit: minutes.unit.clone(),
        is_per_run: true,
        before,
        after,
        relative: relative(after, before),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Days as Later;

    fn day(index: u64) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 10, 1).unwrap() + Later::new(index)
    }

    fn daily(before: i64, after: i64) -> Days {
        (0..20).map(|index| (day(index), BigDecimal::from(if index < 10 { before } else { after }))).collect()
    }

    /// Requests are answered faster since the release; a job takes 48 minutes and took 60. Days without one are no jobs of no
    /// length.
    #[test]
    fn jobs_take_what_their_own_minutes_say_and_requests_their_latency() {
        let range = |from, to| DateRange::new(day(from), day(to)).unwrap();
        let sides = Sides { environment_id: None, before: range(0, 10), after: range(10, 20) };
        let (requests, latency, jobs, minutes) = (
            Metric::example("requests", "requests", "sum"),
            Metric::example("latency", "latency", "mean"),
            Metric::example("training_jobs", "training-jobs", "sum"),
            Metric { unit: "minutes".into(), ..Metric::example("training_minutes", "other", "sum") },
        );
        let mut runs = daily(2, 3);
        let mut took = daily(120, 144);
        for quiet in [4, 15] {
            runs.insert(day(quiet), BigDecimal::zero());
            took.insert(day(quiet), BigDecimal::zero());
        }
        let all = BTreeMap::from([
            ("requests", daily(1000, 1000)),
            ("latency", daily(100, 50)),
            ("training_jobs", runs),
            ("training_minutes", took),
        ]);
        let own = [&requests, &latency, &jobs, &minutes];
        let of = |metric: &Metric, usage: &BTreeMap<&str, Days>| duration(metric, &own, None, usage, sides);
        let told = of(&jobs, &all).unwrap();
        assert_eq!((told.metric.as_str(), told.unit.as_str(), told.is_per_run), ("training_minutes", "minutes", true));
        assert_eq!((told.before.value, told.after.value), (60.0, 48.0));
        assert!(told.relative.is_some_and(|one| (one.value + 0.2).abs() < 1e-9 && one.is_clear()), "{told:?}");
        let told = of(&requests, &all).unwrap();
        assert_eq!((told.metric.as_str(), told.is_per_run, told.after.value), ("latency", false, 50.0));
        // Nobody told how long jobs took: latency says nothing of it.
        let mut unknown = all.clone();
        unknown.remove("training_minutes");
        assert_eq!(of(&jobs, &unknown).unwrap_err(), NoDuration::NoMinutes);
        // Nor of jobs that somebody counts under another name.
        let batches = Metric::example("batches", "training-jobs", "sum");
        assert_eq!(of(&batches, &all).unwrap_err(), NoDuration::NoMinutes);
        unknown.insert("training_minutes", all["training_minutes"].clone().into_iter().take(12).collect());
        assert_eq!(of(&jobs, &unknown).unwrap_err(), NoDuration::FewMinutes);
    }
}
