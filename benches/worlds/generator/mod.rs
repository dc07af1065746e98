//! Worlds of services, releases and bills, with what is true of them: of another make-up than those of
//! `../shared/bench`, so that the estimators are tuned to neither. The same seed gives the same world to the last byte.
//!
//! Nothing here is taken from the estimators' model: costs are machines, stored amounts, jobs and requests times prices;
//! noise comes back to its mean and has rare bursts; a release multiplies what a request takes, adds machines, or costs
//! for some days only.

#![expect(clippy::float_arithmetic, reason = "made-up costs")]

mod files;
mod plan;
mod random;
mod service;

use chrono::NaiveDate;
use costwake::analyze::impact::{ReleaseDay, groups};
pub use plan::{Course, MakeUp, Planned};
use random::Random;
use service::{Blueprint, Days};

/// How large a world is and what it is made of.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub services: usize,
    pub days: usize,
}

/// A world with its truth.
pub struct Generated {
    pub first_day: NaiveDate,
    pub services: Vec<GeneratedService>,
    pub releases: Vec<TrueRelease>,
    pub groups: Vec<TrueGroup>,
    pub events: Vec<(usize, String, &'static str, String)>,
    pub anomalies: Vec<TrueAnomaly>,
}

/// An environment: its name, usage cost a day, requests a day where they are measured.
pub type Environment = (&'static str, Vec<f64>, Option<Vec<f64>>);

pub struct GeneratedService {
    pub name: String,
    pub team: String,
    pub archetype: &'static str,
    pub category: &'static str,
    pub environments: Vec<Environment>,
    /// The share of each day that is visible at the ages of 0, 1 and 2 days.
    pub visible: Vec<[f64; 3]>,
}

/// A release with what it did.
pub struct TrueRelease {
    pub name: String,
    pub service: usize,
    pub planned: Planned,
    /// Mean of the effect over the 14 and the 5 days after, in USD a day, and mean cost of the 14 days before.
    pub effect: (f64, f64),
    pub before: f64,
}

/// Releases within a day of each other, of which bills by the day tell one answer, with what they did together.
pub struct TrueGroup {
    /// Their names, in order of time.
    pub releases: Vec<String>,
    /// Whether none of them did anything.
    pub did_nothing: bool,
    /// Mean of the effect over the 14 and the 5 days after the last, in USD a day, and mean cost of the 14 days before
    /// the first.
    pub effect: (f64, f64),
    pub before: f64,
}

/// Something that costs and is no release.
pub struct TrueAnomaly {
    pub service: usize,
    pub environment: &'static str,
    pub start: usize,
    pub end: usize,
    pub kind: &'static str,
    pub size: f64,
}

/// Makes a world.
pub fn generate(make_up: MakeUp, seed: u64, size: Size) -> Generated {
    let first_day = NaiveDate::from_ymd_opt(2025, 9, 1).unwrap_or_default();
    let market = service::market(&mut Random::of(seed, "market"), size.days);
    let mut world = Generated {
        first_day,
        services: Vec::new(),
        releases: Vec::new(),
        groups: Vec::new(),
        events: price_events(&mut Random::of(seed, "prices"), size.days),
        anomalies: Vec::new(),
    };
    for index in 0..size.services {
        let name = format!("{}-{index:02}", make_up.word());
        let mut random = Random::of(seed, &name);
        let blueprint = Blueprint::draw(&mut random, index, make_up);
        let days = Days::draw(&mut random, &blueprint, size.days, &market, &world.events);
        let releases = plan::releases(&mut random, make_up, size.days);
        let anomalies = plan::anomalies(&mut random, index, size.days, &releases);
        let production = days.cost(&blueprint, &releases, &[], &anomalies);
        let without = |places: &[usize]| days.cost(&blueprint, &releases, places, &anomalies);
        let named = |place: usize| format!("{name}-{place:03}");
        for (place, planned) in releases.iter().enumerate() {
            world.releases.push(TrueRelease {
                name: named(place),
                service: index,
                planned: planned.clone(),
                effect: effect_after(planned.day, &production, &without(&[place])),
                before: mean_before(planned.day, &production),
            });
        }
        for places in grouped(&releases) {
            let of = |place: &usize| &releases[*place];
            let (Some(first), Some(last)) = (places.first().map(of), places.last().map(of)) else { continue };
            world.groups.push(TrueGroup {
                releases: places.iter().map(|place| named(*place)).collect(),
                did_nothing: places.iter().map(of).all(|release| release.course == Course::Nothing),
                effect: effect_after(last.day, &production, &without(&places)),
                before: mean_before(first.day, &production),
            });
        }
        world.anomalies.extend(anomalies);
        let mut environments = vec![("prod", production, days.measured_requests())];
        environments.extend(service::other_environments(
            &mut random,
            &blueprint,
            size.days,
            index,
            &mut world.anomalies,
        ));
        world.services.push(GeneratedService {
            team: format!("team{}", index % 4),
            archetype: blueprint.archetype.word(),
            category: blueprint.archetype.category(),
            environments,
            visible: (0..size.days).map(|_| random.visible(make_up)).collect(),
            name,
        });
    }
    world
}

// The mean of what was added over the 14 and the 5 days after a day.
fn effect_after(day: usize, with: &[f64], without: &[f64]) -> (f64, f64) {
    let mean = |count: usize| {
        let (from, to) = ((day + 1).min(with.len()), (day + 1 + count).min(with.len()));
        (from..to).map(|day| with[day] - without[day]).sum::<f64>() / (to - from).max(1) as f64
    };
    (mean(14), mean(5))
}

// Mean cost of the 14 days before a day.
fn mean_before(day: usize, cost: &[f64]) -> f64 {
    let from = day.saturating_sub(14);
    cost[from..day].iter().sum::<f64>() / (day - from).max(1) as f64
}

// The places of releases that share an answer, which is no part of how it is found.
fn grouped(releases: &[Planned]) -> Vec<Vec<usize>> {
    let date = |day: usize| NaiveDate::default() + chrono::Days::new(day as u64);
    let release = |one: &Planned| ReleaseDay {
        day: date(one.day),
        deployment_ids: Vec::new(),
        share_before: None,
        rollout_from: None,
    };
    let of_days = |days: Vec<NaiveDate>| -> Vec<usize> {
        (0..releases.len()).filter(|place| days.contains(&date(releases[*place].day))).collect()
    };
    let days = groups(&releases.iter().map(release).collect::<Vec<_>>());
    days.into_iter().filter(|days| days.len() > 1).map(of_days).collect()
}

/// Changes of price, known by day and category: what they are is for the estimator to find.
fn price_events(random: &mut Random, days: usize) -> Vec<(usize, String, &'static str, String)> {
    let categories = ["Compute", "Storage", "Databases"];
    (0..2)
        .map(|index| {
            let day = random.between(days / 3 + index * days / 4, days / 3 + (index + 1) * days / 4);
            (day, String::new(), "price_change", categories[random.between(0, categories.len())].to_owned())
        })
        .collect()
}
