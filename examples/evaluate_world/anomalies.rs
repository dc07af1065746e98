//! Looks for anomalies on every day of the world, as someone would who looks each morning.

use super::{
    effects,
    world::{COMPLETE_AGE, World},
};
use chrono::NaiveDate;
use costwake::analyze::{
    anomaly::{Anomaly, AnomalyKind, Idle, Sensitivity, detect, idle, same_cause},
    impact::{History, Model},
};

/// Days of the world before the first that is looked at.
const FIRST_DAY: usize = 56;
/// Days after the end of an anomaly within which what is found belongs to it.
const SAME_CAUSE_DAYS: i64 = 14;

/// An anomaly that was opened, and where.
pub struct Opened {
    pub service: String,
    pub environment: String,
    pub opened_on: NaiveDate,
    pub anomaly: Anomaly,
}

/// All anomalies that cost money, in the order in which they are opened; drops are worth knowing and no alarm.
#[derive(Default)]
pub struct Looked {
    /// Looked for by movements in production and by idleness elsewhere: what the figures of docs/method.md are of.
    pub apart: Vec<Opened>,
    /// Both in every environment, as the product does.
    pub everywhere: Vec<Opened>,
}

/// Looks at every service in every environment on every day.
pub fn looked(world: &World, model: &Model) -> Looked {
    let mut all = Looked::default();
    for service in 0..world.services.len() {
        for environment in world.services[service].environments.keys() {
            let (mut apart, mut everywhere) = (Vec::new(), Vec::new());
            for asked_on in FIRST_DAY..world.days {
                let moved = moved(world, service, environment, asked_on, model);
                let idle = unused(world, service, environment, asked_on);
                let place = (world.services[service].name.as_str(), environment.as_str());
                let of_one = if environment == "prod" { moved.clone() } else { idle.clone() };
                follow(&mut apart, place, world.date(asked_on), of_one);
                follow(&mut everywhere, place, world.date(asked_on), moved.into_iter().chain(idle).collect());
            }
            let is_told = |one: &Opened| one.anomaly.kind != AnomalyKind::Drop;
            all.apart.extend(apart.into_iter().filter(is_told));
            all.everywhere.extend(everywhere.into_iter().filter(is_told));
        }
    }
    all
}

// What is found belongs to an anomaly that is open, or opens one.
fn follow(open: &mut Vec<Opened>, (service, environment): (&str, &str), opened_on: NaiveDate, found: Vec<Anomaly>) {
    for anomaly in found {
        match open.iter_mut().find(|one| same_cause(&one.anomaly, &anomaly, SAME_CAUSE_DAYS)) {
            Some(known) => known.anomaly.end = known.anomaly.end.max(anomaly.end),
            None => open.push(Opened {
                service: service.to_owned(),
                environment: environment.to_owned(),
                opened_on,
                anomaly,
            }),
        }
    }
}

// Spikes, shifts and slow rises.
fn moved(world: &World, service: usize, environment: &str, asked_on: usize, model: &Model) -> Vec<Anomaly> {
    let next = asked_on - COMPLETE_AGE + 1;
    let history = match environment {
        "prod" => effects::history(world, service, next, asked_on, model),
        _ => effects::bare_history(world, (service, environment), next, asked_on, model),
    };
    detect(&history, model, &Sensitivity::default())
}

fn unused(world: &World, service: usize, environment: &str, asked_on: usize) -> Vec<Anomaly> {
    let subject = &world.services[service];
    let history = History {
        first_day: world.first_day,
        cost: subject.visible(environment, 0, asked_on),
        complete_to: world.date(asked_on - COMPLETE_AGE),
        traffic: subject.environments[environment].traffic.as_ref().map(|traffic| traffic[..=asked_on].to_vec()),
        siblings: None,
        replicas: None,
        releases: Vec::new(),
        price_events: Vec::new(),
        notes: Vec::new(),
    };
    idle(&history, &Idle::default()).map(|(one, _)| one).into_iter().collect()
}

/// The word of the answers' file.
pub fn word(kind: AnomalyKind) -> &'static str {
    match kind {
        AnomalyKind::Spike => "spike",
        AnomalyKind::FasterThanTraffic => "faster_than_traffic",
        AnomalyKind::WithoutRelease => "without_release",
        AnomalyKind::AfterRelease => "after_release",
        AnomalyKind::Idle => "idle",
        AnomalyKind::Drop => "drop",
    }
}
