//! What rules and tags moved, as steps of known size: cost that came from other services or went to them.

#![expect(clippy::float_arithmetic, reason = "logarithms of cost")]

use super::{History, window::mean};
use chrono::NaiveDate;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Known days before a step whose mean cost is what it was a step from: a week, as its amount is the mean of one.
const LEVEL_DAYS: usize = 7;
/// How well that level is known, in log cost.
const LEVEL_LOG_SD: f64 = 0.03;
/// Of a step that leaves nearly nothing the size is known no worse than so.
const LOG_SD_MAX: f64 = 0.5;
/// Smaller steps are none.
const LOG_RATIO_MIN: f64 = 0.003;
/// Steps of a window that have a column, the largest: resources may change hands every day.
const COUNT_MAX: usize = 12;

/// A step that rules or tags made on a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Move {
    /// Its first day, counted from the release.
    pub(super) day: i32,
    /// Natural logarithm of cost after ÷ cost before.
    pub(super) log_ratio: f64,
    /// Standard deviation of `log_ratio`.
    pub(super) log_ratio_sd: f64,
}

/// The steps on some days of a window, in order of time. `days` are counted from the release, and `cost` is of each;
/// `floor` is the least cost of which a logarithm is taken.
///
/// Bills tell the amount and not the share, so the share is of what the service cost before: what a release did in the
/// same days is then no part of it.
pub(super) fn moves(
    history: &History,
    release: NaiveDate,
    days: &[i32],
    cost: &[f64],
    floor: f64,
    within: RangeInclusive<i32>,
) -> Vec<Move> {
    let amounts = amounts(history, release);
    // A step that came earlier in the same week is part of what this one is a step from.
    let moved_between = |day: i32, step: i32| amounts.range(day + 1..step).map(|(_, amount)| amount).sum::<f64>();
    let level = |step: i32| {
        let before = days.partition_point(|day| *day < step);
        let week = days[..before].iter().zip(cost).skip(before.saturating_sub(LEVEL_DAYS));
        mean(&week.map(|(day, cost)| cost + moved_between(*day, step)).collect::<Vec<f64>>())
    };
    let steps = amounts.range(within).filter_map(|(day, amount)| {
        let before = level(*day).max(floor);
        let after = (before + amount).max(floor);
        let log_ratio = (after / before).ln();
        // What is unknown of the level is all that is unknown of what is left of it.
        let log_ratio_sd = (LEVEL_LOG_SD * (amount.abs() / after).max(1.0)).min(LOG_SD_MAX);
        let is_one = log_ratio.is_finite() && log_ratio.abs() >= LOG_RATIO_MIN;
        is_one.then_some(Move { day: *day, log_ratio, log_ratio_sd })
    });
    let mut steps: Vec<Move> = steps.collect();
    steps.sort_by(|left, right| right.log_ratio.abs().total_cmp(&left.log_ratio.abs()));
    steps.truncate(COUNT_MAX);
    steps.sort_by_key(|step| step.day);
    steps
}

/// What all rules and tags of a day moved together, by day.
fn amounts(history: &History, release: NaiveDate) -> BTreeMap<i32, f64> {
    let mut amounts = BTreeMap::new();
    for note in history.notes.iter().filter(|note| note.kind.moves_cost()) {
        let amount = note.amount_per_day.filter(|amount| amount.is_finite());
        if let (Ok(day), Some(amount)) = (i32::try_from((note.day - release).num_days()), amount) {
            *amounts.entry(day).or_insert(0.0) += amount;
        }
    }
    amounts
}

#[cfg(test)]
mod tests {
    use super::super::{Note, NoteKind};
    use super::*;

    fn steps(cost: &[f64], notes: &[(i64, f64)]) -> Vec<Move> {
        let release = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        let first = -(cost.len() as i32) + 10;
        let history = History {
            first_day: release + chrono::Duration::days(i64::from(first)),
            cost: cost.iter().copied().map(Some).collect(),
            complete_to: release + chrono::Days::new(9),
            traffic: None,
            siblings: None,
            replicas: None,
            releases: Vec::new(),
            price_events: Vec::new(),
            notes: notes
                .iter()
                .map(|(day, amount)| Note {
                    day: release + chrono::Duration::days(*day),
                    last_day: None,
                    kind: if *amount > 0.0 { NoteKind::AllocationRule } else { NoteKind::Retagging },
                    amount_per_day: Some(*amount),
                })
                .collect(),
        };
        let days: Vec<i32> = (first..10).collect();
        moves(&history, release, &days, cost, 0.2, first + 4..=9)
    }

    #[test]
    fn a_step_is_a_share_of_what_the_service_cost_before_it() {
        let flat = [200.0; 40];
        let [up, down] = [60.0, -60.0].map(|amount| steps(&flat, &[(1, amount)])[0]);
        assert!((up.log_ratio - 1.3_f64.ln()).abs() < 1e-12 && (up.log_ratio_sd - 0.03).abs() < 1e-12, "{up:?}");
        assert!((down.log_ratio - 0.7_f64.ln()).abs() < 1e-12 && (down.log_ratio_sd - 0.03).abs() < 1e-12, "{down:?}");
        // The second of a week is one from what the first left.
        let both = steps(&flat, &[(1, 60.0), (3, 52.0), (1, 40.0), (-40, 9.0), (12, 9.0), (5, 0.1)]);
        assert_eq!(both.iter().map(|step| step.day).collect::<Vec<_>>(), [1, 3]);
        assert!((both[0].log_ratio - 1.5_f64.ln()).abs() < 1e-12, "{both:?}");
        let before = (5.0 * 300.0 + 2.0 * 200.0) / 7.0;
        assert!((both[1].log_ratio - (1.0_f64 + 52.0 / before).ln()).abs() < 1e-12, "{both:?}");
        // All that it cost went: what is left is the least that has a logarithm, and how much that is nobody knows.
        let all = steps(&flat, &[(1, -200.0)])[0];
        assert!((all.log_ratio - 0.001_f64.ln()).abs() < 1e-12 && all.log_ratio_sd == 0.5, "{all:?}");
        assert_eq!(steps(&flat, &[]), []);
    }
}
