//! Reads a world: the files that an estimator may see, and none with the truth.

#![expect(clippy::float_arithmetic, reason = "made-up costs")]

use chrono::NaiveDate;
use costwake::analyze::impact::SiblingSpan;
use costwake::focus::{BillingPeriod, DateRange};
use flate2::read::GzDecoder;
use serde::de::DeserializeOwned;
use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    fs::File,
    io::Read,
    path::Path,
};

/// Days after which all of a day's cost has arrived.
pub const COMPLETE_AGE: usize = 3;

/// A world of services with their days. Days and services are places in lists.
pub struct World {
    pub first_day: NaiveDate,
    pub days: usize,
    pub services: Vec<Service>,
    pub deployments: Vec<Deployment>,
    pub events: Vec<Event>,
}

pub struct Service {
    pub name: String,
    pub team: String,
    /// The category of most of its usage in production.
    pub category: String,
    pub environments: BTreeMap<String, Series>,
    /// The share of a day's cost that is visible at the age of 0, 1 and 2 days, by day.
    completeness: Vec<[f64; COMPLETE_AGE]>,
}

/// Usage cost, as it settles, and traffic of one service in one environment.
#[derive(Default, Clone)]
pub struct Series {
    pub cost: Vec<Option<f64>>,
    pub traffic: Option<Vec<Option<f64>>>,
    /// How the others moved in each month, by levels from before it: for anomalies.
    pub siblings: BTreeMap<BillingPeriod, SiblingDays>,
}

/// How the others moved, from a day on.
#[derive(Clone)]
pub struct SiblingDays {
    pub first: usize,
    pub cost: Vec<f64>,
    /// Empty where too few others have any.
    pub traffic: Vec<f64>,
}

pub struct Deployment {
    pub name: String,
    pub service: usize,
    pub day: usize,
    /// The hour of the day at which it was there, where the world tells it.
    pub hour: Option<f64>,
}

pub struct Event {
    pub day: usize,
    pub kind: String,
    pub category: String,
}

#[derive(serde::Deserialize)]
struct ServiceRow {
    service: String,
    team: String,
}

#[derive(serde::Deserialize)]
struct CostRow {
    date: NaiveDate,
    service: String,
    environment: String,
    service_category: String,
    charge_category: String,
    cost_final: f64,
}

#[derive(serde::Deserialize)]
struct CompletenessRow {
    date: NaiveDate,
    service: String,
    frac_age0: f64,
    frac_age1: f64,
    frac_age2: f64,
}

#[derive(serde::Deserialize)]
struct TrafficRow {
    date: NaiveDate,
    service: String,
    environment: String,
    requests: Option<f64>,
}

#[derive(serde::Deserialize)]
struct DeploymentRow {
    deployment: String,
    service: String,
    date: NaiveDate,
    #[serde(default)]
    hour: Option<f64>,
}

#[derive(serde::Deserialize)]
struct EventRow {
    date: NaiveDate,
    event: String,
    category: String,
}

impl World {
    /// Reads the files of a folder, plain or with `.gz`.
    pub fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let costs: Vec<CostRow> = rows(folder, "cost_daily.csv")?;
        let dates = || costs.iter().map(|row| row.date);
        let (first_day, last) = dates().min().zip(dates().max()).ok_or("cost_daily.csv has no rows")?;
        let days = usize::try_from((last - first_day).num_days())? + 1;
        let mut world = Self { first_day, days, services: Vec::new(), deployments: Vec::new(), events: Vec::new() };
        for row in rows::<ServiceRow>(folder, "services.csv")? {
            world.services.push(Service {
                name: row.service,
                team: row.team,
                category: String::new(),
                environments: BTreeMap::new(),
                completeness: vec![[1.0; COMPLETE_AGE]; days],
            });
        }
        world.add_costs(&costs)?;
        let places = world.places();
        for row in rows::<CompletenessRow>(folder, "completeness.csv")? {
            if let (Some(service), Some(day)) = (places.get(&row.service), world.place_of(row.date)) {
                world.services[*service].completeness[day] = [row.frac_age0, row.frac_age1, row.frac_age2];
            }
        }
        for row in rows::<TrafficRow>(folder, "traffic.csv")? {
            let (Some(service), Some(day)) = (places.get(&row.service), world.place_of(row.date)) else { continue };
            let series = world.services[*service].environments.entry(row.environment).or_default();
            series.traffic.get_or_insert_with(|| vec![None; days])[day] = row.requests;
        }
        for row in rows::<DeploymentRow>(folder, "deployments.csv")? {
            let (Some(service), Some(day)) = (places.get(&row.service), world.place_of(row.date)) else { continue };
            let hour = row.hour;
            world.deployments.push(Deployment { name: row.deployment, service: *service, day, hour });
        }
        for row in rows::<EventRow>(folder, "events.csv")? {
            let Some(day) = world.place_of(row.date) else { continue };
            world.events.push(Event { day, kind: row.event, category: row.category });
        }
        world.add_siblings();
        Ok(world)
    }

    fn add_costs(&mut self, costs: &[CostRow]) -> Result<(), Box<dyn Error>> {
        let places = self.places();
        let mut categories: HashMap<(usize, &str), usize> = HashMap::new();
        for row in costs.iter().filter(|row| row.charge_category == "Usage") {
            let (Some(service), Some(day)) = (places.get(&row.service), self.place_of(row.date)) else { continue };
            let series = self.services[*service].environments.entry(row.environment.clone()).or_default();
            if series.cost.is_empty() {
                series.cost = vec![None; self.days];
            }
            *series.cost[day].get_or_insert(0.0) += row.cost_final;
            if row.environment == "prod" {
                *categories.entry((*service, &row.service_category)).or_default() += 1;
            }
        }
        for (place, service) in self.services.iter_mut().enumerate() {
            let of_service = categories.iter().filter(|((service, _), _)| *service == place);
            if let Some(((_, category), _)) = of_service.max_by_key(|(_, count)| **count) {
                service.category = (*category).to_owned();
            }
        }
        Ok(())
    }

    // As the job does: production among itself, and all other environments among themselves.
    fn add_siblings(&mut self) {
        let Some(known) = DateRange::new(self.first_day, self.date(self.days)) else { return };
        let last = BillingPeriod::containing(known.last_day());
        let months = std::iter::successors(Some(BillingPeriod::containing(self.first_day)), |month| Some(month.next()));
        for month in months.take_while(|month| *month <= last) {
            if let Some(span) = SiblingSpan::of_month(month, known) {
                self.add_siblings_of(month, &span, true);
                self.add_siblings_of(month, &span, false);
            }
        }
    }

    fn add_siblings_of(&mut self, month: BillingPeriod, span: &SiblingSpan, in_production: bool) {
        let peers = self.peers(in_production);
        let all: Vec<usize> = (0..peers.len()).collect();
        let told = self.siblings_of(span, &peers, &all);
        for ((service, name), told) in peers.into_iter().zip(told) {
            let Some((told, series)) = told.zip(self.services[service].environments.get_mut(&name)) else { continue };
            series.siblings.insert(month, told);
        }
    }

    /// How the others moved around a day, as it is known when another is the last complete one: for effects, as the job
    /// takes it.
    pub fn siblings_around(
        &self,
        (service, environment): (usize, &str),
        day: usize,
        complete: usize,
    ) -> Option<SiblingDays> {
        let known = DateRange::new(self.first_day, self.date(complete + 1))?;
        let span = SiblingSpan::around(self.date(day), known)?;
        let peers = self.peers(environment == "prod");
        let own = peers.iter().position(|(other, name)| *other == service && name == environment)?;
        self.siblings_of(&span, &peers, &[own]).pop().flatten()
    }

    fn peers(&self, in_production: bool) -> Vec<(usize, String)> {
        let named = |(service, subject): (usize, &Service)| {
            let names: Vec<String> = subject.environments.keys().cloned().collect();
            names.into_iter().map(move |name| (service, name))
        };
        let all = self.services.iter().enumerate().flat_map(named);
        all.filter(|(_, name)| (name == "prod") == in_production).collect()
    }

    fn siblings_of(&self, span: &SiblingSpan, peers: &[(usize, String)], wanted: &[usize]) -> Vec<Option<SiblingDays>> {
        let Some(first) = self.place_of(span.days.start()) else { return vec![None; wanted.len()] };
        let days = first..first + span.days.day_count() as usize;
        let owners: Vec<usize> = peers.iter().map(|(service, _)| *service).collect();
        let of_each = |pick: fn(&Series) -> Option<&Vec<Option<f64>>>| {
            let own = |(service, name): &(usize, String)| pick(&self.services[*service].environments[name]);
            let series: Vec<Option<&[Option<f64>]>> = peers.iter().map(|one| own(one)?.get(days.clone())).collect();
            span.of_each(&series, &owners, wanted)
        };
        let told = of_each(cost_of).into_iter().zip(of_each(traffic_of));
        told.map(|(cost, traffic)| Some(SiblingDays { first, cost: cost?, traffic: traffic.unwrap_or_default() }))
            .collect()
    }

    fn places(&self) -> HashMap<String, usize> {
        self.services.iter().enumerate().map(|(place, service)| (service.name.clone(), place)).collect()
    }

    /// The day of a date, where it is one of the world's.
    pub fn place_of(&self, date: NaiveDate) -> Option<usize> {
        usize::try_from((date - self.first_day).num_days()).ok().filter(|day| *day < self.days)
    }

    /// The date of a day.
    pub fn date(&self, day: usize) -> NaiveDate {
        self.first_day + chrono::Days::new(day as u64)
    }
}

impl Service {
    /// Cost of one environment from `first` on, as the bills said it on the day `asked`.
    pub fn visible(&self, environment: &str, first: usize, asked: usize) -> Vec<Option<f64>> {
        let Some(series) = self.environments.get(environment) else { return Vec::new() };
        let last = asked.min(series.cost.len().saturating_sub(1));
        (first..=last).map(|day| series.cost[day].map(|cost| cost * self.visible_share(day, asked - day))).collect()
    }

    /// The share of a day's cost that is visible at an age.
    pub fn visible_share(&self, day: usize, age: usize) -> f64 {
        self.completeness[day].get(age).copied().unwrap_or(1.0)
    }
}

fn cost_of(series: &Series) -> Option<&Vec<Option<f64>>> {
    Some(&series.cost)
}

fn traffic_of(series: &Series) -> Option<&Vec<Option<f64>>> {
    series.traffic.as_ref()
}

fn rows<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Vec<T>, Box<dyn Error>> {
    let plain = folder.join(name);
    let input: Box<dyn Read> = if plain.exists() {
        Box::new(File::open(plain)?)
    } else {
        let packed = folder.join(format!("{name}.gz"));
        Box::new(GzDecoder::new(File::open(&packed).map_err(|error| format!("{}: {error}", packed.display()))?))
    };
    let mut reader = csv::Reader::from_reader(input);
    reader.deserialize().map(|row| row.map_err(|error| format!("{name}: {error}").into())).collect()
}
