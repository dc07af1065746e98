use super::components::{self, Component};
use super::deployments::Release;
use super::organisation::{ENVIRONMENTS, SERVICES, Workload};
use super::random::{noise, stream};
use chrono::{Datelike, Days, NaiveDate, Timelike, Weekday};
use std::io::Write;
use std::path::Path;

/// Days on which a service costs more for a reason that is no deployment.
#[derive(Debug, Clone)]
pub struct Anomaly {
    pub service: usize,
    pub component: usize,
    pub first_day: NaiveDate,
    pub day_count: u64,
    pub factor: f64,
    pub cause: &'static str,
}

/// Three anomalies: two that ended, one that still runs.
pub fn anomalies(last_day: NaiveDate) -> Vec<Anomaly> {
    let index = |slug: &str| SERVICES.iter().position(|service| service.slug == slug).expect("a service of the demo");
    vec![
        Anomaly {
            service: index("warehouse-etl"),
            component: 0,
            first_day: last_day - Days::new(9),
            day_count: 10,
            factor: 1.9,
            cause: "The nightly job runs twice.",
        },
        Anomaly {
            service: index("payment-gateway"),
            component: 3,
            first_day: last_day - Days::new(47),
            day_count: 8,
            factor: 3.2,
            cause: "Traffic crossed regions after a routing mistake.",
        },
        Anomaly {
            service: index("ci-runners"),
            component: 0,
            first_day: last_day - Days::new(130),
            day_count: 5,
            factor: 2.4,
            cause: "A stuck queue kept runners alive.",
        },
    ]
}

/// What each service truly costs a day, by environment and component, before any price list is applied.
pub struct CostModel {
    pub first_day: NaiveDate,
    pub last_day: NaiveDate,
    /// By service, day, environment, component: units of the cloud's currency, but for what releases changed.
    costs: Vec<Vec<Vec<Vec<f64>>>>,
    /// The same for what releases changed: quantities, so that a release changes each day by the same amount.
    released: Vec<Vec<Vec<Vec<i128>>>>,
    /// By service and day: requests.
    traffic: Vec<Vec<u64>>,
}

impl CostModel {
    pub fn new(
        first_day: NaiveDate,
        last_day: NaiveDate,
        seed: u64,
        releases: &[Release],
        anomalies: &[Anomaly],
    ) -> Self {
        let mut model = Self { first_day, last_day, costs: Vec::new(), released: Vec::new(), traffic: Vec::new() };
        for service in 0..SERVICES.len() {
            let traffic = model.traffic_of(service, seed);
            model.costs.push(model.costs_of(service, seed, &traffic, anomalies));
            model.released.push(model.released_of(service, releases));
            model.traffic.push(traffic);
        }
        model
    }

    /// Cost of one component in one environment on one day, never negative, but for what releases changed.
    pub fn cost(&self, service: usize, day: NaiveDate, environment: usize, component: usize) -> f64 {
        self.costs[service][(day - self.first_day).num_days() as usize][environment][component]
    }

    /// What releases added to that until then, in 1e-4 of the component's unit.
    pub fn released(&self, service: usize, day: NaiveDate, environment: usize, component: usize) -> i128 {
        self.released[service][(day - self.first_day).num_days() as usize][environment][component]
    }

    /// Cost of a service on a day, all environments, but for what releases changed.
    pub fn daily_total(&self, service: usize, day: NaiveDate) -> f64 {
        self.costs[service][(day - self.first_day).num_days() as usize].iter().flatten().sum()
    }

    pub fn days(&self) -> impl Iterator<Item = NaiveDate> + use<> {
        let last_day = self.last_day;
        self.first_day.iter_days().take_while(move |day| *day <= last_day)
    }

    /// `date,service,requests`.
    pub fn write_traffic(&self, path: &Path) -> anyhow::Result<()> {
        let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
        writeln!(file, "date,service,requests")?;
        for (index, day) in self.days().enumerate() {
            for (service, traffic) in SERVICES.iter().zip(&self.traffic) {
                writeln!(file, "{day},{},{}", service.slug, traffic[index])?;
            }
        }
        Ok(file.flush()?)
    }

    fn traffic_of(&self, service: usize, seed: u64) -> Vec<u64> {
        let plan = &SERVICES[service];
        let mut random = stream(seed, &format!("traffic of {}", plan.slug));
        let requests_a_dollar = if plan.workload == Workload::Web { 21_000.0 } else { 3_500.0 };
        self.days()
            .map(|day| {
                let growth = (1.0 + plan.monthly_growth).powf(self.months(day));
                let level = plan.daily_cost * requests_a_dollar * growth * weekday_factor(day, plan.workload, 0);
                (level * (1.0 + noise(&mut random, 0.03)) * season(day)) as u64
            })
            .collect()
    }

    fn costs_of(&self, service: usize, seed: u64, traffic: &[u64], anomalies: &[Anomaly]) -> Vec<Vec<Vec<f64>>> {
        let plan = &SERVICES[service];
        let parts = components::of(plan.cloud, plan.workload);
        let mut random = stream(seed, &format!("cost of {}", plan.slug));
        let mean_traffic = traffic.iter().sum::<u64>() as f64 / traffic.len() as f64;
        let mut by_day: Vec<Vec<Vec<f64>>> = Vec::new();
        for (index, day) in self.days().enumerate() {
            let load = traffic[index] as f64 / mean_traffic;
            let mut by_environment = Vec::new();
            for (environment, (_, _, share)) in ENVIRONMENTS.iter().enumerate() {
                let level = plan.daily_cost * share * (1.0 + plan.monthly_growth).powf(self.months(day));
                let rhythm = weekday_factor(day, plan.workload, environment);
                let cost_of = |part: &Component, jitter: f64| {
                    let follows = if environment == 0 { part.follows_traffic } else { 0.0 };
                    let elastic = 1.0 - follows + follows * load;
                    level * part.share * elastic * (1.0 + (rhythm - 1.0) * (1.0 - follows)) * (1.0 + jitter)
                };
                by_environment.push(parts.iter().map(|part| cost_of(part, noise(&mut random, 0.025))).collect());
            }
            by_day.push(by_environment);
        }
        self.apply_anomalies(service, anomalies, &mut by_day);
        by_day
    }

    // A release counts from the minute it is live: its own day only in part.
    fn released_of(&self, service: usize, releases: &[Release]) -> Vec<Vec<Vec<i128>>> {
        let plan = &SERVICES[service];
        let nothing = vec![vec![0; components::of(plan.cloud, plan.workload).len()]; ENVIRONMENTS.len()];
        let mut by_day: Vec<Vec<Vec<i128>>> = self.days().map(|_| nothing.clone()).collect();
        for release in releases.iter().filter(|release| release.service == service && release.succeeded) {
            let Some(effect) = release.effect else { continue };
            let live = release.finished_at();
            let first = (live.date_naive() - self.first_day).num_days() as usize;
            let seconds_left = 86_400 - i128::from(live.num_seconds_from_midnight());
            for (offset, day) in by_day.iter_mut().skip(first).enumerate() {
                let seconds = if offset == 0 { seconds_left } else { 86_400 };
                day[release.environment][effect.component] += effect.quantity_a_day * seconds / 86_400;
            }
        }
        by_day
    }

    fn apply_anomalies(&self, service: usize, anomalies: &[Anomaly], by_day: &mut [Vec<Vec<f64>>]) {
        for anomaly in anomalies.iter().filter(|anomaly| anomaly.service == service) {
            for day in anomaly.first_day.iter_days().take(anomaly.day_count as usize) {
                let Some(costs) = by_day.get_mut((day - self.first_day).num_days() as usize) else { break };
                costs[0][anomaly.component] *= anomaly.factor;
            }
        }
    }

    fn months(&self, day: NaiveDate) -> f64 {
        (day - self.first_day).num_days() as f64 / 30.4
    }
}

/// Weekends are quiet outside production, and in production for work that people start.
pub fn weekday_factor(day: NaiveDate, workload: Workload, environment: usize) -> f64 {
    let weekend = matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
    match (weekend, environment, workload) {
        (false, ..) => 1.0,
        (true, 0, Workload::Web | Workload::Edge) => 0.91,
        (true, 0, _) => 0.80,
        (true, ..) => 0.42,
    }
}

// The shop sells more in November and December.
fn season(day: NaiveDate) -> f64 {
    match day.month() {
        11 => 1.05,
        12 => 1.09,
        1 => 0.96,
        _ => 1.0,
    }
}
