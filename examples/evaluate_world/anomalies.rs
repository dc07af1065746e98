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
pub fn opened(world: &World, model: &Model) -> Vec<Opened> {
    let mut all = Vec::new();
    for service in 0..world.services.len() {
        for environment in world.services[service].environments.keys() {
            let mut open: Vec<Opened> = Vec::new();
            for asked_on in FIRST_DAY..world.days {
                for anomaly in found(world, service, environment, asked_on, model) {
                    let known = open.iter_mut().find(|one| same_cause(&one.anomaly, &anomaly, SAME_CAUSE_DAYS));
                    match known {
                        Some(known) => known.anomaly.end = known.anomaly.end.max(anomaly.end),
                        None => open.push(Opened {
                            service: world.services[service].name.clone(),
                            environment: environment.clone(),
                            opened_on: world.date(asked_on),
                            anomaly,
                        }),
                    }
                }
            }
            all.extend(open.into_iter().filter(|one| one.anomaly.kind != AnomalyKind::Drop));
        }
    }
    all
}

fn found(world: &World, service: usize, environment: &str, asked_on: usize, model: &Model) -> Vec<Anomaly> {
    let complete = asked_on - COMPLETE_AGE;
    if environment == "prod" {
        let history = effects::history(world, service, complete + 1, asked_on, model);
        return detect(&history, model, &Sensitivity::default());
    }
    let subject = &world.services[service];
    let history = History {
        first_day: world.first_day,
        cost: subject.visible(environment, 0, asked_on),
        complete_to: world.date(complete),
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
