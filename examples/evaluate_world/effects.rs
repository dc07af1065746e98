//! Asks for the effect of every deployment, settled and early.

#![expect(clippy::float_arithmetic, reason = "shares of a day")]

use super::world::{COMPLETE_AGE, World};
use costwake::analyze::impact::{
    Calibration, Finding, History, Impact, Model, PriceEvent, PriceEventKind, PricedService, ReleaseDay, Siblings,
    estimate, placebo, pooled_commitment_size, pooled_price_size, sibling_index,
};

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
            let history = history(world, deployment.service, deployment.day, asked_on, model);
            let impact = estimate(&history, world.date(deployment.day), model, calibration(asked_on));
            answers.push(Answer { deployment: deployment.name.clone(), asked, impact });
        }
    }
    answers
}

/// Placebo days lie so far from any release.
const PLACEBO_DISTANCE_DAYS: usize = 3;

/// The calibration that a world's own placebos give, one a week for each service, as the days up to `until` say.
pub fn learnt(world: &World, until: usize, model: &Model, shipped: &Calibration) -> Calibration {
    let (mut placebos, mut asked) = (Vec::new(), 0);
    for service in 0..world.services.len() {
        let releases: Vec<usize> =
            world.deployments.iter().filter(|one| one.service == service).map(|one| one.day).collect();
        for (place, day) in (HISTORY_DAYS..until.saturating_sub(FUTURE_DAYS)).step_by(7).enumerate() {
            if releases.iter().any(|release| release.abs_diff(day) < PLACEBO_DISTANCE_DAYS) {
                continue;
            }
            for (_, age) in QUESTIONS {
                asked += 1;
                let history = history(world, service, day, day + age, model);
                placebos.extend(placebo(&history, world.date(day), place + service, model));
            }
        }
    }
    shipped.learnt(&placebos, asked)
}

/// What is known of a service in production on a day, as far back as the model looks.
pub fn history(world: &World, service: usize, day: usize, asked_on: usize, model: &Model) -> History {
    let first = day.saturating_sub(model.history_days as usize);
    let complete = asked_on - COMPLETE_AGE;
    let subject = &world.services[service];
    let production = subject.environments.get("prod");
    let releases = world
        .deployments
        .iter()
        .enumerate()
        .filter(|(_, other)| other.service == service && (first..=asked_on).contains(&other.day));
    // Of several on one day, the first hour counts.
    let mut by_day: std::collections::BTreeMap<usize, (Vec<i64>, Option<f64>)> = std::collections::BTreeMap::new();
    for (id, other) in releases {
        let (ids, hour) = by_day.entry(other.day).or_default();
        ids.push(id as i64);
        *hour = other.hour.map(|other| hour.unwrap_or(other).min(other)).or(*hour);
    }
    History {
        first_day: world.date(first),
        cost: subject.visible("prod", first, asked_on),
        complete_to: world.date(complete),
        traffic: production
            .and_then(|series| series.traffic.as_ref())
            .map(|traffic| traffic[first..=asked_on.min(world.days - 1)].to_vec()),
        siblings: Some(siblings(world, service, first, asked_on, complete.min(day + 14))),
        replicas: None,
        releases: by_day
            .into_iter()
            .map(|(day, (deployment_ids, hour))| ReleaseDay {
                day: world.date(day),
                deployment_ids,
                share_before: hour.map(|hour| hour / 24.0),
            })
            .collect(),
        price_events: price_events(world, service, first, complete),
        notes: Vec::new(),
    }
}

fn siblings(world: &World, service: usize, first: usize, asked_on: usize, last: usize) -> Siblings {
    let others = || world.services.iter().enumerate().filter(|(other, _)| *other != service);
    let production = |other: usize| world.services[other].environments.get("prod");
    let costs: Vec<&[Option<f64>]> =
        others().filter_map(|(other, _)| Some(&production(other)?.cost[first..=last])).collect();
    let traffics: Vec<&[Option<f64>]> = others()
        .filter_map(|(other, _)| Some(&production(other)?.traffic.as_ref()?[first..=last]))
        .filter(|traffic| traffic.iter().all(Option::is_some))
        .collect();
    let days = asked_on + 1 - first;
    let padded = |mut index: Vec<f64>| {
        index.resize(days, 0.0);
        index
    };
    let traffic = if traffics.len() < 2 { Vec::new() } else { padded(sibling_index(&traffics)) };
    Siblings { cost: padded(sibling_index(&costs)), traffic }
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
