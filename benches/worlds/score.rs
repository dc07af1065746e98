//! Scores answers about a generated world against what is true of it.

#![expect(clippy::float_arithmetic, reason = "scores")]

use super::{
    anomalies, effects, forecasts,
    generator::{Course, Generated},
    world::World,
};
use costwake::analyze::impact::{Finding, Impact};
use std::collections::HashMap;

/// One answer beside its truth, as shares of the cost of the 14 days before.
struct Scored {
    /// Of which service, and on which day.
    service: usize,
    day: usize,
    truth: f64,
    estimate: f64,
    /// Half the width of the interval, and whether it holds the truth.
    half: f64,
    held: bool,
    finding: Finding,
    nothing: bool,
}

/// Figures of one question about many releases. Shares are between 0 and 1.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    pub releases: usize,
    /// Mean error against that of always saying zero.
    pub mean_error: f64,
    /// Median error of effects of at least 2 % of cost, as a share of cost.
    pub median_error: f64,
    pub coverage: f64,
    pub half_width: f64,
    /// Of effects of 10 % and more, those that are found with the right sign.
    pub found: f64,
    pub large: usize,
    /// Of findings, those that are false; and how many findings there are.
    pub wrong: f64,
    pub findings: usize,
    /// Of releases that did nothing, those with a finding; and how many did nothing.
    pub on_nothing: f64,
    pub nothing: usize,
    pub cannot_tell: f64,
    /// Bursts of releases of which one alone did something, and those in which it is ranked first.
    pub bursts: usize,
    pub attributed: usize,
}

/// The answers about every release of a world: "settled" first, then "early".
pub fn effects_of(truth: &Generated, answers: &[effects::Answer]) -> [Figures; 2] {
    let by_name: HashMap<&str, _> = truth.releases.iter().map(|release| (release.name.as_str(), release)).collect();
    let mut scored: [Vec<Scored>; 2] = Default::default();
    for answer in answers {
        let release = by_name[answer.deployment.as_str()];
        let is_settled = answer.asked == "settled";
        let actual = if is_settled { release.effect.0 } else { release.effect.1 };
        let nothing = release.planned.course == Course::Nothing;
        let place = (release.service, release.planned.day);
        scored[usize::from(!is_settled)].extend(scored_of(place, &answer.impact, actual, release.before, nothing));
    }
    scored.map(|scored| figures(&scored))
}

/// The answers that releases within a day of each other share, against what these did together.
pub fn joint_of(truth: &Generated, answers: &[effects::JointAnswer]) -> [Figures; 2] {
    let by_names: HashMap<&[String], _> = truth.groups.iter().map(|group| (group.releases.as_slice(), group)).collect();
    let mut scored: [Vec<Scored>; 2] = Default::default();
    for answer in answers {
        let Some(group) = by_names.get(answer.deployments.as_slice()) else { continue };
        let is_settled = answer.asked == "settled";
        let actual = if is_settled { group.effect.0 } else { group.effect.1 };
        let place = (answer.service, answer.last);
        let one = scored_of(place, &answer.impact, actual, group.before, group.did_nothing);
        scored[usize::from(!is_settled)].extend(one);
    }
    scored.map(|scored| figures(&scored))
}

fn scored_of(place: (usize, usize), impact: &Impact, actual: f64, before: f64, nothing: bool) -> Option<Scored> {
    let effect = impact.effect.filter(|_| before > 0.0)?;
    Some(Scored {
        service: place.0,
        day: place.1,
        truth: actual / before,
        estimate: effect.per_day / before,
        half: (effect.high - effect.low) / 2.0 / before,
        held: effect.low <= actual && actual <= effect.high,
        finding: impact.finding,
        nothing,
    })
}

fn figures(scored: &[Scored]) -> Figures {
    let error = |one: &Scored| (one.estimate - one.truth).abs();
    let is_finding = |one: &&Scored| matches!(one.finding, Finding::Increase | Finding::Decrease);
    let is_right = |one: &Scored| {
        let up = one.finding == Finding::Increase;
        is_finding(&one) && one.truth.abs() >= 0.005 && (one.truth > 0.0) == up
    };
    let large: Vec<&Scored> = scored.iter().filter(|one| one.truth.abs() >= 0.1).collect();
    let findings: Vec<&Scored> = scored.iter().filter(is_finding).collect();
    let nothing: Vec<&Scored> = scored.iter().filter(|one| one.nothing).collect();
    let zero: f64 = scored.iter().map(|one| one.truth.abs()).sum();
    let bursts = attribution(scored);
    Figures {
        releases: scored.len(),
        mean_error: scored.iter().map(error).sum::<f64>() / zero.max(1e-12),
        median_error: median(scored.iter().filter(|one| one.truth.abs() >= 0.02).map(error).collect()),
        coverage: share(scored.iter().map(|one| one.held)),
        half_width: median(scored.iter().map(|one| one.half).collect()),
        found: share(large.iter().map(|one| is_right(one))),
        large: large.len(),
        wrong: share(findings.iter().map(|one| !is_right(one))),
        findings: findings.len(),
        on_nothing: share(nothing.iter().map(is_finding)),
        nothing: nothing.len(),
        cannot_tell: share(scored.iter().map(|one| one.finding == Finding::CannotTell)),
        bursts: bursts.len(),
        attributed: bursts.into_iter().filter(|right| *right).count(),
    }
}

/// Days between releases of one burst at most.
const BURST_DAYS: usize = 5;

// Of each burst in which one release did 10 % or more and no other more than 3 %: whether it is ranked first, as
// `../shared/bench/score.py` has it.
fn attribution(scored: &[Scored]) -> Vec<bool> {
    let mut sorted: Vec<&Scored> = scored.iter().collect();
    sorted.sort_by_key(|one| (one.service, one.day));
    let is_near = |left: &&Scored, right: &&Scored| left.service == right.service && right.day - left.day <= BURST_DAYS;
    let told = sorted.chunk_by(is_near).filter(|burst| burst.len() > 1).filter_map(|burst| {
        let large: Vec<&Scored> = burst.iter().copied().filter(|one| one.truth.abs() >= 0.1).collect();
        let [large] = large.as_slice() else { return None };
        let others = burst.iter().filter(|one| !std::ptr::eq(**one, *large));
        if others.clone().any(|one| one.truth.abs() > 0.03) {
            return None;
        }
        let rank = |one: &Scored| one.estimate.abs() / one.half.max(1e-9);
        Some(others.clone().all(|one| rank(one) <= rank(large)))
    });
    told.collect()
}

/// What became of anomalies.
#[derive(Debug, Clone, Default)]
pub struct AnomalyFigures {
    pub planted: usize,
    pub found: usize,
    pub wrong: usize,
    /// False ones for 100 days of a service.
    pub wrong_per_100_days: f64,
}

/// Of anomalies that were opened. What begins within forty days of a release that did 15 % and more is the release's.
pub fn anomalies_of(world: &World, truth: &Generated, opened: &[anomalies::Opened]) -> AnomalyFigures {
    let day = |date: chrono::NaiveDate| (date - world.first_day).num_days();
    let meets = |one: &anomalies::Opened, planted: &super::generator::TrueAnomaly, slack: i64| {
        one.service == truth.services[planted.service].name
            && one.environment == planted.environment
            && day(one.anomaly.end) >= planted.start as i64
            && day(one.anomaly.start) <= planted.end as i64 + slack
    };
    let explained = |one: &anomalies::Opened| {
        one.environment == "prod"
            && truth.releases.iter().any(|release| {
                let since = day(one.anomaly.start) - release.planned.day as i64;
                truth.services[release.service].name == one.service
                    && release.effect.0.abs() > 0.15 * release.before
                    && (0..=40).contains(&since)
            })
    };
    let found = truth.anomalies.iter().filter(|planted| opened.iter().any(|one| meets(one, planted, 1))).count();
    let wrong = opened
        .iter()
        .filter(|one| !truth.anomalies.iter().any(|planted| meets(one, planted, 3)) && !explained(one))
        .count();
    let days = (world.services.len() * world.days.saturating_sub(56)).max(1);
    let wrong_per_100_days = 100.0 * wrong as f64 / days as f64;
    AnomalyFigures { planted: truth.anomalies.len(), found, wrong, wrong_per_100_days }
}

/// How good forecasts of months were.
#[derive(Debug, Clone, Default)]
pub struct ForecastFigures {
    pub asked: usize,
    pub median_error: f64,
    pub coverage: f64,
}

/// Forecasts by kind of scope and day of the month on which it was asked, by one who knows these claims.
pub fn forecasts_of(world: &World, claims: &[effects::Claim]) -> Vec<(String, ForecastFigures)> {
    let mut groups: std::collections::BTreeMap<String, Vec<(f64, bool)>> = std::collections::BTreeMap::new();
    for answer in forecasts::answers(world, claims) {
        let actual = answer.actual;
        let forecast = &answer.forecast;
        let held = forecast.low.is_some_and(|low| low <= actual) && forecast.high.is_some_and(|high| actual <= high);
        let key = format!("{} on day {}", answer.scope_kind, chrono::Datelike::day(&answer.asked_on));
        groups.entry(key).or_default().push(((forecast.point / actual - 1.0).abs(), held));
    }
    let figures = |answers: Vec<(f64, bool)>| ForecastFigures {
        asked: answers.len(),
        coverage: share(answers.iter().map(|(_, held)| *held)),
        median_error: median(answers.into_iter().map(|(error, _)| error).collect()),
    };
    groups.into_iter().map(|(key, answers)| (key, figures(answers))).collect()
}

/// The share of what is true; 0 of nothing.
fn share(values: impl Iterator<Item = bool>) -> f64 {
    let (count, held) = values.fold((0_usize, 0_usize), |all, held| (all.0 + 1, all.1 + usize::from(held)));
    held as f64 / count.max(1) as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
