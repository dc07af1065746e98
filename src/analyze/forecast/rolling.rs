//! Tries the candidates on the past: from earlier days, over as many days as are asked now.

#![expect(clippy::float_arithmetic, reason = "estimates")]

use super::{Candidate, HISTORY_DAYS_MIN, NOWCAST_SHARE_MIN, NoForecast, Question, candidate};
use crate::analyze::impact::SETTLED_DAYS;
use chrono::NaiveDate;

/// Days between the past days that are tried.
const ORIGIN_STEP: usize = 4;
/// The most of them.
const ORIGINS_MAX: usize = 24;
/// Days that must lie before each.
const ORIGIN_HISTORY: usize = 42;
/// Days after a release before which its answer cannot have settled: who asked on a past day knew of no sooner one.
const KNOWN_AFTER_DAYS: usize = SETTLED_DAYS as usize;
/// Another candidate must do better than the first by this share: with few tries, differences are mostly luck.
const BETTER_BY: f64 = 0.1;

/// A scope with its candidates tried.
pub(super) struct Tried {
    pub(super) known: f64,
    pub(super) incomplete: f64,
    pub(super) rest: f64,
    pub(super) candidate: Candidate,
    /// Errors of the chosen candidate from each past day, as shares of what was forecast.
    pub(super) errors: Vec<f64>,
    /// Days between two past days that share no day forecast, as a part of the days between the tries.
    pub(super) independent: f64,
    /// By how much errors over the days asked are larger than those over the days tried.
    pub(super) stretch: f64,
}

/// A part with its days filled.
struct Filled {
    days: Vec<f64>,
    restarts: Vec<usize>,
}

impl Tried {
    pub(super) fn of(question: &Question) -> Result<Self, NoForecast> {
        let place = |day: NaiveDate| (day - question.first_day).num_days();
        let complete = usize::try_from(place(question.complete_to) + 1).unwrap_or(0);
        let parts: Vec<Filled> = question.parts.iter().filter_map(|part| filled(question, part, complete)).collect();
        let figures = |part: &super::Part| part.cost.iter().take(complete).flatten().count();
        let days = question.parts.iter().map(figures).max().unwrap_or(0);
        let end = parts.iter().map(|part| part.days.len()).max().unwrap_or(0);
        if days < HISTORY_DAYS_MIN || end < HISTORY_DAYS_MIN {
            return Err(NoForecast::HistoryTooShort { days });
        }
        let asked = (place(question.from).max(0) as usize)..(place(question.to) + 1).max(0) as usize;
        let sum = |from: usize, to: usize| -> f64 {
            parts
                .iter()
                .map(|part| part.days.get(from.min(to)..to.min(part.days.len())).map_or(0.0, |days| days.iter().sum()))
                .sum()
        };
        let ahead = asked.end.saturating_sub(end);
        let (known, incomplete) =
            (sum(asked.start, asked.end.min(complete)), sum(asked.start.max(complete), asked.end.min(end)));
        let skipped = asked.start.saturating_sub(end);
        let forecast = |upto: usize, days: usize| -> [f64; 3] {
            let mut sums = [0.0; 3];
            for part in &parts {
                // A part that ended or began is forecast from its own days.
                let history = &part.days[..upto.min(part.days.len())];
                if history.len() < 14 {
                    continue;
                }
                let is_known = |day: &usize| upto == end || day + KNOWN_AFTER_DAYS < upto;
                let restarts: Vec<usize> = part.restarts.iter().copied().filter(is_known).collect();
                for (sum, value) in sums.iter_mut().zip(candidate::sums(history, days, &restarts)) {
                    *sum += value;
                }
            }
            sums
        };
        let tries = tries(&forecast, &sum, end, ahead);
        let best = best(&tries.forecasts, &tries.actuals);
        let rest = forecast(end, ahead)[best] - if skipped > 0 { forecast(end, skipped)[best] } else { 0.0 };
        let errors = tries
            .forecasts
            .iter()
            .zip(&tries.actuals)
            .filter(|(sums, _)| sums[best] > 0.0)
            .map(|(sums, actual)| (actual - sums[best]) / sums[best])
            .collect();
        let candidate = Candidate::ALL[best];
        Ok(Self { known, incomplete, rest, candidate, errors, independent: tries.independent, stretch: tries.stretch })
    }

    /// The mean error, as a share of what was forecast.
    pub(super) fn past_error(&self) -> Option<f64> {
        let count = self.errors.len();
        (count > 0).then(|| self.errors.iter().map(|error| error.abs()).sum::<f64>() / count as f64)
    }
}

/// The days of a part from its first figure on, zeros before it left in place; incomplete days scaled up where nearly all of
/// them is visible. Missing days within have the figure of the week before.
fn filled(question: &Question, part: &super::Part, complete: usize) -> Option<Filled> {
    part.cost.iter().position(Option::is_some)?;
    let mut days: Vec<f64> = Vec::with_capacity(complete + 3);
    for (place, cost) in part.cost.iter().enumerate().take(complete) {
        let before = if place >= 7 { days[place - 7] } else { 0.0 };
        days.push(cost.filter(|cost| cost.is_finite()).unwrap_or(before).max(0.0));
    }
    while days.len() < complete {
        days.push(if days.len() >= 7 { days[days.len() - 7] } else { 0.0 });
    }
    for (age, share) in question.visible_shares.iter().enumerate() {
        match part.cost.get(complete + age).copied().flatten() {
            Some(cost) if *share >= NOWCAST_SHARE_MIN && cost.is_finite() => days.push(cost.max(0.0) / share),
            _ => break,
        }
    }
    let place = |day: &NaiveDate| usize::try_from((*day - question.first_day).num_days()).ok();
    Some(Filled { days, restarts: part.restarts.iter().filter_map(place).collect() })
}

struct Tries {
    forecasts: Vec<[f64; 3]>,
    actuals: Vec<f64>,
    independent: f64,
    stretch: f64,
}

/// Forecasts from past days. Where the days asked are so many that the past holds too few tries, fewer days are tried, and
/// errors taken to grow with the square root of the days.
fn tries(
    forecast: &impl Fn(usize, usize) -> [f64; 3],
    sum: &impl Fn(usize, usize) -> f64,
    end: usize,
    ahead: usize,
) -> Tries {
    let longest = end.saturating_sub(ORIGIN_HISTORY + 2 * ORIGIN_STEP);
    let tried = ahead.min(longest);
    let mut tries = Tries { forecasts: Vec::new(), actuals: Vec::new(), independent: 0.0, stretch: 1.0 };
    if tried == 0 {
        return tries;
    }
    tries.stretch = (ahead as f64 / tried as f64).sqrt();
    let mut origin = end - tried;
    while origin >= ORIGIN_HISTORY && tries.forecasts.len() < ORIGINS_MAX {
        tries.forecasts.push(forecast(origin, tried));
        tries.actuals.push(sum(origin, origin + tried));
        origin -= ORIGIN_STEP;
    }
    let span = (tries.forecasts.len() * ORIGIN_STEP) as f64;
    tries.independent = (span / tried.max(ORIGIN_STEP) as f64).max(1.0);
    tries
}

/// The candidate with the least mean error, if it is clearly better than the first.
fn best(forecasts: &[[f64; 3]], actuals: &[f64]) -> usize {
    let error = |candidate: usize| -> f64 {
        forecasts.iter().zip(actuals).map(|(sums, actual)| (actual - sums[candidate]).abs()).sum()
    };
    let errors = [error(0), error(1), error(2)];
    let least = (0..3).min_by(|left, right| errors[*left].total_cmp(&errors[*right])).unwrap_or(0);
    if errors[least] < (1.0 - BETTER_BY) * errors[0] { least } else { 0 }
}
