//! Asks for the effect of every deployment, settled and early.

#![expect(clippy::float_arithmetic, reason = "shares of a day")]

use super::world::{COMPLETE_AGE, SiblingDays, World};
use chrono::NaiveDate;
use costwake::analyze::impact::{
    Calibration, Finding, History, Impact, Model, PlaceboPurpose, PriceEvent, PriceEventKind, PricedService,
    ReleaseDay, Siblings, estimate, estimate_joint, groups, placebo, placebo_asked_to, placebo_days,
    pooled_commitment_size, pooled_price_size,
};
use costwake::focus::BillingPeriod;
use std::collections::{BTreeMap, BTreeSet};

/// A deployment is asked about when so many days lie before it.
const HISTORY_DAYS: usize = 63;
/// ... and so many after it.
const FUTURE_DAYS: usize = 18;
/// The names of the questions, and how many days after the deployment each is asked.
const QUESTIONS: [(&str, usize); 2] = [("settled", 17), ("early", 6)];

/// An answer, and whom it is about.
pub struct Answer {
    pub deployment: String,
    pub asked: &'static str,
    pub impact: Impact,
}

/// Answers both questions about each deployment that is scored, with the calibration that there was on the day asked.
pub fn answers<'a>(world: &World, model: &Model, calibration: impl Fn(usize) -> &'a Calibration) -> Vec<Answer> {
    let mut answers = Vec::new();
    for deployment in &world.deployments {
        if deployment.day < HISTORY_DAYS || deployment.day + FUTURE_DAYS >= world.days {
            continue;
        }
        for (asked, age) in QUESTIONS {
            let asked_on = deployment.day + age;
            let history = asked_history(world, deployment.service, deployment.day, asked_on, model);
            let impact = estimate(&history, world.date(deployment.day), model, calibration(asked_on));
            answers.push(Answer { deployment: deployment.name.clone(), asked, impact });
        }
    }
    answers
}

/// An answer that releases within a day of each other share, and whom it is about.
pub struct JointAnswer {
    /// In order of time.
    pub deployments: Vec<String>,
    pub service: usize,
    /// The day of the last of them.
    pub last: usize,
    pub asked: &'static str,
    pub impact: Impact,
}

/// Answers both questions about each group of releases that share an answer, so many days after the last of them: what
/// the product tells of these, instead of what each did alone.
pub fn joint_answers<'a>(
    world: &World,
    model: &Model,
    calibration: impl Fn(usize) -> &'a Calibration,
) -> Vec<JointAnswer> {
    let mut answers = Vec::new();
    for service in 0..world.services.len() {
        let own: Vec<_> = world.deployments.iter().filter(|one| one.service == service).collect();
        let release = |day: usize| ReleaseDay {
            day: world.date(day),
            deployment_ids: Vec::new(),
            share_before: None,
            rollout_from: None,
        };
        let releases: Vec<ReleaseDay> = own.iter().map(|one| release(one.day)).collect();
        for days in groups(&releases).into_iter().filter(|days| days.len() > 1) {
            let places: BTreeSet<usize> = days.iter().filter_map(|day| world.place_of(*day)).collect();
            let (Some(first), Some(last)) = (places.first().copied(), places.last().copied()) else { continue };
            if first < HISTORY_DAYS || last + FUTURE_DAYS >= world.days {
                continue;
            }
            let mut members: Vec<_> = own.iter().filter(|one| places.contains(&one.day)).collect();
            members.sort_by_key(|one| one.day);
            for (asked, age) in QUESTIONS {
                let history = asked_history(world, service, last, last + age, model);
                let impact = estimate_joint(&history, &days, model, calibration(last + age));
                let deployments = members.iter().map(|one| one.name.clone()).collect();
                answers.push(JointAnswer { deployments, service, last, asked, impact });
            }
        }
    }
    answers
}

/// A release whose settled answer claims a change.
pub struct Claim {
    pub service: usize,
    /// The day of the release; of the last of several that share the answer.
    pub day: NaiveDate,
    /// The first day of the world on which that answer is there.
    from: usize,
}

impl Claim {
    /// Whether it is known on a day of the world.
    pub fn stands_on(&self, day: usize) -> bool {
        day >= self.from
    }
}

/// What settled answers claim, as the product tells it: of releases within a day of each other together. Forecasts start
/// anew at no other.
pub fn claims(world: &World, answers: &[Answer], joint: &[JointAnswer]) -> Vec<Claim> {
    let grouped: BTreeSet<&str> = joint.iter().flat_map(|one| &one.deployments).map(String::as_str).collect();
    let places: BTreeMap<&str, (usize, usize)> =
        world.deployments.iter().map(|one| (one.name.as_str(), (one.service, one.day))).collect();
    let alone = answers.iter().filter(|one| !grouped.contains(one.deployment.as_str())).filter_map(|one| {
        let (service, day) = places.get(one.deployment.as_str())?;
        Some((*service, *day, one.asked, one.impact.finding))
    });
    let shared = joint.iter().map(|one| (one.service, one.last, one.asked, one.impact.finding));
    let [(settled, settled_age), _] = QUESTIONS;
    let claimed = alone
        .chain(shared)
        .filter(|(_, _, asked, finding)| *asked == settled && matches!(finding, Finding::Increase | Finding::Decrease));
    claimed.map(|(service, day, ..)| Claim { service, day: world.date(day), from: day + settled_age }).collect()
}

/// The calibration that a world's own placebos give, on the days that the product would ask, as the days before `until`
/// say.
pub fn learnt(world: &World, until: usize, model: &Model, shipped: &Calibration) -> Calibration {
    let (mut placebos, mut place) = (Vec::new(), 0);
    for service in 0..world.services.len() {
        for day in placebo_days(&all_known(world, service, until.saturating_sub(1)), PlaceboPurpose::Learn) {
            let asked_to = placebo_asked_to(day);
            let places = [day, asked_to[0], asked_to[1]].map(|day| world.place_of(day));
            let [Some(at), Some(settled), Some(provisional)] = places else { continue };
            for last in [settled, provisional] {
                let history = asked_history(world, service, at, last + COMPLETE_AGE, model);
                placebos.extend(placebo(&history, day, place, model));
            }
            place += 1;
        }
    }
    shipped.learnt(&placebos, 2 * place)
}

/// All days of a service in production and its releases, as they are known on a day: what tells which days may be asked.
fn all_known(world: &World, service: usize, asked_on: usize) -> History {
    History {
        first_day: world.date(0),
        cost: world.services[service].visible("prod", 0, asked_on),
        complete_to: world.date(asked_on.saturating_sub(COMPLETE_AGE)),
        traffic: None,
        siblings: None,
        replicas: None,
        releases: releases(world, service, 0, asked_on),
        price_events: Vec::new(),
        notes: Vec::new(),
    }
}

/// What is known of a service in production when the effect of a day is asked: how the others moved is told around it.
pub fn asked_history(world: &World, service: usize, day: usize, asked_on: usize, model: &Model) -> History {
    let complete = asked_on - COMPLETE_AGE;
    let first = day.saturating_sub(model.history_days as usize);
    let told = world.siblings_around((service, "prod"), day, complete);
    let siblings = told.and_then(|told| siblings(&told, first..=complete, asked_on));
    History { siblings, ..history(world, service, day, asked_on, model) }
}

/// What is known of a service in production on a day, as far back as the model looks. How the others moved is told of
/// its month.
pub fn history(world: &World, service: usize, day: usize, asked_on: usize, model: &Model) -> History {
    let first = day.saturating_sub(model.history_days as usize);
    let complete = asked_on - COMPLETE_AGE;
    History {
        releases: releases(world, service, first, asked_on),
        price_events: price_events(world, service, first, complete),
        ..bare_history(world, (service, "prod"), day, asked_on, model)
    }
}

/// What is known of a service in any environment on a day, as far back as the model looks, but for releases and prices:
/// these worlds tell of them in production only.
pub fn bare_history(
    world: &World,
    (service, environment): (usize, &str),
    day: usize,
    asked_on: usize,
    model: &Model,
) -> History {
    let first = day.saturating_sub(model.history_days as usize);
    let complete = asked_on - COMPLETE_AGE;
    let subject = &world.services[service];
    let series = subject.environments.get(environment);
    let traffic = series.and_then(|series| series.traffic.as_ref());
    let month = BillingPeriod::containing(world.date(day.min(complete)));
    let of_month = series.and_then(|series| series.siblings.get(&month));
    History {
        first_day: world.date(first),
        cost: subject.visible(environment, first, asked_on),
        complete_to: world.date(complete),
        traffic: traffic.map(|traffic| traffic[first..=asked_on.min(world.days - 1)].to_vec()),
        siblings: of_month.and_then(|told| siblings(told, first..=complete, asked_on)),
        replicas: None,
        releases: Vec::new(),
        price_events: Vec::new(),
        notes: Vec::new(),
    }
}

fn releases(world: &World, service: usize, first: usize, asked_on: usize) -> Vec<ReleaseDay> {
    let releases = world
        .deployments
        .iter()
        .enumerate()
        .filter(|(_, other)| other.service == service && (first..=asked_on).contains(&other.day));
    // Of several on one day, the first hour counts.
    let mut by_day: BTreeMap<usize, (Vec<i64>, Option<f64>)> = BTreeMap::new();
    for (id, other) in releases {
        let (ids, hour) = by_day.entry(other.day).or_default();
        ids.push(id as i64);
        *hour = other.hour.map(|other| hour.unwrap_or(other).min(other)).or(*hour);
    }
    let release = |(day, (deployment_ids, hour)): (usize, (Vec<i64>, Option<f64>))| ReleaseDay {
        day: world.date(day),
        deployment_ids,
        share_before: hour.map(|hour| hour / 24.0),
        // The worlds tell no days on which one was on its way.
        rollout_from: None,
    };
    by_day.into_iter().map(release).collect()
}

// Days that are not complete are looked at by nobody.
fn siblings(told: &SiblingDays, known: std::ops::RangeInclusive<usize>, asked_on: usize) -> Option<Siblings> {
    let (first, last) = (known.start().checked_sub(told.first)?, known.end().checked_sub(told.first)?);
    let part = |index: &[f64]| {
        let mut part = index.get(first..=last)?.to_vec();
        part.resize(asked_on + 1 - known.start(), 0.0);
        Some(part)
    };
    Some(Siblings { cost: part(&told.cost)?, traffic: part(&told.traffic).unwrap_or_default() })
}

fn price_events(world: &World, service: usize, first: usize, complete: usize) -> Vec<PriceEvent> {
    let category = &world.services[service].category;
    let kind = |kind: &str| match kind {
        "price_change" => Some(PriceEventKind::PriceChange),
        "commitment_start" => Some(PriceEventKind::CommitmentStart),
        "commitment_end" => Some(PriceEventKind::CommitmentEnd),
        _ => None,
    };
    let others: Vec<PricedService<'_>> = world
        .services
        .iter()
        .enumerate()
        .filter(|(other, subject)| *other != service && subject.category == *category)
        .filter_map(|(_, subject)| subject.environments.get("prod"))
        .map(|series| PricedService { cost: &series.cost, traffic: series.traffic.as_deref(), share: 1.0 })
        .collect();
    world
        .events
        .iter()
        .filter(|event| (first..=complete).contains(&event.day) && event.category == *category)
        .filter_map(|event| {
            let kind = kind(&event.kind)?;
            let size = match kind {
                // These worlds give no quantities, so that the others have to say what a bill says of prices.
                PriceEventKind::PriceChange => Some(pooled_price_size(&others, event.day, complete)),
                // As the product does. Which share of a service is covered, these worlds do not say.
                _ => pooled_commitment_size(&others, 1.0, event.day, complete),
            };
            Some(PriceEvent { day: world.date(event.day), kind, size })
        })
        .collect()
}

/// The word of the answers' file.
pub fn word(finding: Finding) -> &'static str {
    match finding {
        Finding::Increase => "increase",
        Finding::Decrease => "decrease",
        Finding::NoMaterialChange => "no_material_change",
        Finding::CannotTell => "cannot_tell",
    }
}
