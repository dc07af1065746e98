//! Unit costs of workloads on two sides: what is read for the pages of a deployment and of a service, for CSV and the API.

use super::resources::{Resource, is_of_runs, of_runs};
use crate::analyze::unit_cost::billed;
use crate::analyze::unit_economics::{
    Comparison, Figure, Goal, Measure, Side, Verdict, compare, mean, relative, verdict,
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
    /// How long a unit takes, where a metric tells.
    pub duration: Option<Duration>,
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
    /// The mean of the days before.
    pub before: Figure,
    /// The mean of the days after.
    pub after: Figure,
    /// The change as a share.
    pub relative: Option<Figure>,
}

impl Workload {
    /// How cost and duration of a unit moved.
    pub fn measure(&self) -> Measure {
        let latency = self.duration.as_ref().and_then(|duration| duration.relative);
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
        for metric in own.iter().filter(|metric| metric.is_summed()) {
            let goal = goals.iter().find(|goal| goal.service_id == service.service_id && goal.metric == metric.metric);
            let duration = duration(&own, goal, &usage, sides);
            let is_billed = |day| bills.has_bill(day) && !lacking.has(day);
            let used = billed(usage[metric.metric.as_str()].clone(), is_billed);
            // Also where it is known on too few days to be compared.
            has_unit |= metric.is_unit(&job_minutes) && used.values().any(|value| !value.is_zero());
            let resources = match is_of_runs(metric) {
                true => of_runs(metric, &own, &usage, &used, &bought, sides),
                false => Vec::new(),
            };
            for currency in &currencies {
                let key = (service.service_id, (*currency).clone());
                let costs = &costs[&key];
                let side = |days| Side::of(days, costs, &used);
                let comparison = compare(side(sides.before), side(sides.after));
                if comparison.before.per_unit.is_none() && comparison.after.per_unit.is_none() {
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
            told.retain(|one| !one.metric.is_of_builds() || one.goal.is_some() || is_chosen(one));
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

fn duration(
    own: &[&Metric],
    goal: Option<&WorkloadGoal>,
    usage: &BTreeMap<&str, Days>,
    sides: Sides,
) -> Option<Duration> {
    let named = goal.and_then(|goal| goal.duration_metric.as_deref());
    let metric = match named {
        // It may mean something else since the goal was stated.
        Some(name) => own.iter().find(|metric| metric.metric == name && metric.tells_duration())?,
        None => own.iter().find(|metric| metric.meaning == "latency")?,
    };
    let values = usage.get(metric.metric.as_str())?;
    let (before, after) = (mean_of(values, sides.before)?, mean_of(values, sides.after)?);
    Some(Duration {
        metric: metric.metric.clone(),
        unit: metric.unit.clone(),
        before,
        after,
        relative: relative(after, before),
    })
}
