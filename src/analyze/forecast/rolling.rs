//! Tries the candidates on the past: from earlier days, over as many days as are asked now.

#![expect(clippy::float_arithmetic, reason = "estimates")]

use super::{Candidate, HISTORY_DAYS_MIN, NOWCAST_SHARE_MIN, NoForecast, Question, candidate};
use crate::analyze::impact::SETTLED_DAYS;
use chrono::NaiveDate;
use std::ops::Range;

/// Days between the past days that are tried.
const ORIGIN_STEP: usize = 4;
/// The most of them.
const ORIGINS_MAX: usize = 24;
/// Days that must lie before each.
const ORIGIN_HISTORY: usize = 42;
/// Days that a part must have to be forecast.
const PART_DAYS_MIN: usize = 14;
/// Days after a release before which its answer cannot have settled: who asked on a past day knew of no sooner one.
const KNOWN_AFTER_DAYS: usize = SETTLED_DAYS as usize;
/// Another candidate must do better than the first by this share: with few tries, differences are mostly luck.
const BETTER_BY: f64 = 0.1;

/// A scope with its candidates tried.
pub(super) struct Tried {
    pub(super) known: f64,
    pub(super) incomplete: f64,
    /// What is expected of days asked whose bill is late, without what other bills show of them.
    pub(super) late: f64,
    pub(super) rest: f64,
    /// What errors are a share of: the rest, and all that is expected of days whose bill is late.
    pub(super) expected: f64,
    pub(super) candidate: Candidate,
    /// Errors of the chosen candidate from each past day, as shares of what was forecast.
    pub(super) errors: Vec<f64>,
    /// Days between two past days that share no day forecast, as a part of the days between the tries.
    pub(super) independent: f64,
    /// By how much errors over the days asked are larger than those over the days tried.
    pub(super) stretch: f64,
}

/// A part with its days filled, up to the last one that its bills tell of.
struct Filled {
    days: Vec<f64>,
    restarts: Vec<usize>,
    /// Days that other parts have and this one lacks, since its bill is late.
    lag: usize,
    /// Which of those are asked.
    asked: Range<usize>,
    /// What other bills show of those.
    shown: f64,
}

/// What the candidates say, each in its place.
#[derive(Clone, Copy, Default)]
struct Sums {
    /// Of days asked whose bill is late.
    late: [f64; 3],
    /// Of the days after all that are known.
    ahead: [f64; 3],
}

impl Sums {
    fn of(parts: &[Filled], upto: usize, days: usize, is_now: bool) -> Self {
        let mut all = Self::default();
        for sums in parts.iter().map(|part| part.sums(upto, days, is_now)) {
            all = Self { late: each(all.late, sums.late, 1.0), ahead: each(all.ahead, sums.ahead, 1.0) };
        }
        all
    }

    fn expected(self) -> [f64; 3] {
        each(self.late, self.ahead, 1.0)
    }
}

fn each(left: [f64; 3], right: [f64; 3], times: f64) -> [f64; 3] {
    std::array::from_fn(|place| left[place] + times * right[place])
}

impl Filled {
    /// Whether so much of it is known that it is forecast.
    fn is_forecast(&self) -> bool {
        self.days.len() >= PART_DAYS_MIN
    }

    /// What is expected of it when it is asked `upto` a day, as late as its bill is now.
    fn sums(&self, upto: usize, days: usize, is_now: bool) -> Sums {
        // A part that ended or began is forecast from its own days.
        let history = &self.days[..upto.saturating_sub(self.lag).min(self.days.len())];
        if history.len() < PART_DAYS_MIN {
            return Sums::default();
        }
        let is_known = |day: &usize| is_now || day + KNOWN_AFTER_DAYS < upto;
        let restarts: Vec<usize> = self.restarts.iter().copied().filter(is_known).collect();
        let sums = |days: usize| candidate::sums(history, days, &restarts);
        if self.lag == 0 {
            return Sums { late: [0.0; 3], ahead: sums(days) };
        }
        Sums {
            late: each(sums(self.asked.end), sums(self.asked.start), -1.0),
            ahead: each(sums(self.lag + days), sums(self.lag), -1.0),
        }
    }

    /// What came on days that were as late as its bill is now, before a past day.
    fn came_late(&self, upto: usize) -> f64 {
        let known = upto.saturating_sub(self.lag);
        self.days.get(known + self.asked.start..known + self.asked.end).map_or(0.0, |days| days.iter().sum())
    }

    fn came(&self, from: usize, to: usize) -> f64 {
        self.days.get(from.min(to)..to.min(self.days.len())).map_or(0.0, |days| days.iter().sum())
    }
}

impl Tried {
    pub(super) fn of(question: &Question) -> Result<Self, NoForecast> {
        let place = |day: NaiveDate| (day - question.first_day).num_days();
        let complete = usize::try_from(place(question.complete_to) + 1).unwrap_or(0);
        let mut parts: Vec<Filled> =
            question.parts.iter().filter_map(|part| filled(question, part, complete)).collect();
        let figures = |part: &super::Part| part.cost.iter().take(complete).flatten().count();
        let days = question.parts.iter().map(figures).max().unwrap_or(0);
        let longest = parts.iter().map(|part| part.days.len()).max().unwrap_or(0);
        if days < HISTORY_DAYS_MIN || longest < HISTORY_DAYS_MIN {
            return Err(NoForecast::HistoryTooShort { days });
        }
        let end = longest.max(complete);
        let asked = (place(question.from).max(0) as usize)..(place(question.to) + 1).max(0) as usize;
        for part in &mut parts {
            let known = part.days.len();
            part.lag = end - known;
            let last = asked.end.clamp(known, end) - known;
            part.asked = (asked.start.clamp(known, end) - known).min(last)..last;
        }
        let sum = |from: usize, to: usize| -> f64 { parts.iter().map(|part| part.came(from, to)).sum() };
        let ahead = asked.end.saturating_sub(end);
        let (known, incomplete) =
            (sum(asked.start, asked.end.min(complete)), sum(asked.start.max(complete), asked.end.min(end)));
        let skipped = asked.start.saturating_sub(end);
        let tries = tries(&parts, end, ahead);
        let best = best(&tries.forecasts, &tries.actuals);
        let now = Sums::of(&parts, end, ahead, true);
        let before = if skipped > 0 { Sums::of(&parts, end, skipped, true).ahead[best] } else { 0.0 };
        let rest = now.ahead[best] - before;
        let late = parts.iter().filter(|part| part.lag > 0).map(|part| {
            let expected = part.sums(end, 0, true).late[best];
            (expected - part.shown).max(0.0)
        });
        let errors = tries
            .forecasts
            .iter()
            .zip(&tries.actuals)
            .filter(|(sums, _)| sums[best] > 0.0)
            .map(|(sums, actual)| (actual - sums[best]) / sums[best])
            .collect();
        Ok(Self {
            known,
            incomplete,
            late: late.sum(),
            rest,
            expected: rest + now.late[best],
            candidate: Candidate::ALL[best],
            errors,
            independent: tries.independent,
            stretch: tries.stretch,
        })
    }

    /// The mean error, as a share of what was forecast.
    pub(super) fn past_error(&self) -> Option<f64> {
        let count = self.errors.len();
        (count > 0).then(|| self.errors.iter().map(|error| error.abs()).sum::<f64>() / count as f64)
    }
}

/// The days of a part from its first figure on, zeros before it left in place; incomplete days scaled up where nearly all of
/// them is visible. Missing days within have the figure of the week before, those from a late bill on are not there.
fn filled(question: &Question, part: &super::Part, complete: usize) -> Option<Filled> {
    part.cost.iter().position(Option::is_some)?;
    let place = |day: &NaiveDate| usize::try_from((*day - question.first_day).num_days()).ok();
    let late_from = part.late_from.map(|day| place(&day).unwrap_or(0)).filter(|from| *from < complete);
    let known = late_from.unwrap_or(complete);
    let mut days: Vec<f64> = Vec::with_capacity(complete + 3);
    for (place, cost) in part.cost.iter().enumerate().take(known) {
        let before = if place >= 7 { days[place - 7] } else { 0.0 };
        days.push(cost.filter(|cost| cost.is_finite()).unwrap_or(before).max(0.0));
    }
    while days.len() < known {
        days.push(if days.len() >= 7 { days[days.len() - 7] } else { 0.0 });
    }
    for (age, share) in question.visible_shares.iter().enumerate().filter(|_| late_from.is_none()) {
        match part.cost.get(complete + age).copied().flatten() {
            Some(cost) if *share >= NOWCAST_SHARE_MIN && cost.is_finite() => days.push(cost.max(0.0) / share),
            _ => break,
        }
    }
    let restarts = part.restarts.iter().filter_map(place).collect();
    Some(Filled { days, restarts, lag: 0, asked: 0..0, shown: part.shown.max(0.0) })
}

struct Tries {
    forecasts: Vec<[f64; 3]>,
    actuals: Vec<f64>,
    independent: f64,
    stretch: f64,
}

/// Forecasts from past days, with bills as late as they are now. Where the days asked are so many that the past holds too
/// few tries, fewer days are tried, and errors taken to grow with the square root of the days.
fn tries(parts: &[Filled], end: usize, ahead: usize) -> Tries {
    let forecast = || parts.iter().filter(|part| part.is_forecast());
    // The last day that all bills tell of: what came after it is not known.
    let settled = forecast().map(|part| part.days.len()).min().unwrap_or(end);
    let lag = end.saturating_sub(settled);
    let least = ORIGIN_HISTORY + lag;
    let tried = ahead.min(settled.saturating_sub(least + 2 * ORIGIN_STEP));
    let mut tries = Tries { forecasts: Vec::new(), actuals: Vec::new(), independent: 0.0, stretch: 1.0 };
    let is_late_asked = forecast().any(|part| !part.asked.is_empty());
    if tried == 0 && (ahead > 0 || !is_late_asked) {
        return tries;
    }
    if tried > 0 {
        tries.stretch = (ahead as f64 / tried as f64).sqrt();
    }
    let mut origin = settled - tried;
    while origin >= least && tries.forecasts.len() < ORIGINS_MAX {
        tries.forecasts.push(Sums::of(parts, origin, tried, false).expected());
        let came = parts.iter().map(|part| part.came(origin, origin + tried) + part.came_late(origin));
        tries.actuals.push(came.sum());
        origin -= ORIGIN_STEP;
    }
    let span = (tries.forecasts.len() * ORIGIN_STEP) as f64;
    tries.independent = (span / (tried + lag).max(ORIGIN_STEP) as f64).max(1.0);
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
