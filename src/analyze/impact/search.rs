//! Finds what nobody announced: odd days, and shifts of the level.

#![expect(clippy::float_arithmetic, reason = "residuals")]

use super::{
    Model,
    cholesky::dot,
    design::{Column, Design, Role, step},
    regression::{Evidence, Noise, Scratch},
    window::{Window, median},
};

/// How often outliers and shifts are looked for.
const ROUNDS: usize = 3;
/// The most odd days that one round takes.
const OUTLIERS_A_ROUND: usize = 6;
/// Variance of the size of a shift.
const SHIFT_VARIANCE: f64 = 0.04;
/// Standard deviation of an odd day.
const OUTLIER_SD: f64 = 0.5;

/// A kind of noise that is less likely than the likeliest by more than this (natural logarithm) is not looked at again.
const RULED_OUT: f64 = 12.0;

/// Adds the columns of odd days and unannounced shifts to the design and to each kind of noise. `start` is the list of
/// columns of the first pass, with their standard deviations: the base, a step of the release, steps and pulses of near
/// neighbours.
pub(super) fn unannounced(
    window: &Window,
    design: &mut Design,
    model: &Model,
    kinds: &mut [Noise],
    start: &mut Vec<(usize, f64)>,
    scratch: &mut Scratch,
) {
    let candidates = candidate_days(window);
    for _ in 0..ROUNDS {
        let (best, evidence) = best_noise(kinds, start, scratch);
        let mut added = Vec::new();
        if let Some(day) = shift(window, &kinds[best], start, &evidence, &candidates, model.shift_log_factor) {
            let values = step(&window.days, day, 1.0);
            added.push(Column { role: Role::Shift(day), values, sd: SHIFT_VARIANCE.sqrt() });
        } else {
            for at in outliers(&kinds[best], start, &evidence, model.outlier_deviations) {
                let mut values = vec![0.0; window.days.len()];
                values[at] = 1.0;
                added.push(Column { role: Role::Outlier(window.days[at]), values, sd: OUTLIER_SD });
            }
        }
        if added.is_empty() {
            return;
        }
        for noise in kinds.iter_mut().filter(|noise| !noise.ruled_out) {
            noise.add(added.iter().map(|column| column.values.as_slice()));
        }
        for column in added {
            start.push((design.place_of_base(design.base.len()), column.sd));
            design.base.push(column);
        }
    }
}

/// The kind of noise with the highest posterior, and what it says. Kinds that are far less likely are ruled out.
pub(super) fn best_noise(kinds: &mut [Noise], columns: &[(usize, f64)], scratch: &mut Scratch) -> (usize, Evidence) {
    let mut best: Option<(usize, f64, Evidence)> = None;
    let mut weights = vec![f64::NEG_INFINITY; kinds.len()];
    for (index, noise) in kinds.iter_mut().enumerate().filter(|(_, noise)| !noise.ruled_out) {
        let evidence = noise.evidence(columns, scratch);
        let weight = evidence.log_likelihood + noise.log_prior;
        weights[index] = weight;
        if best.as_ref().is_none_or(|(_, highest, _)| weight > *highest) {
            best = Some((index, weight, evidence));
        }
    }
    let Some((index, highest, evidence)) = best else { return Default::default() };
    for (noise, weight) in kinds.iter_mut().zip(weights) {
        noise.ruled_out |= weight < highest - RULED_OUT;
    }
    (index, evidence)
}

/// Days on which a shift may begin: not beside a release, this one or another, nor at the ends.
fn candidate_days(window: &Window) -> Vec<i32> {
    let (Some(first), Some(last)) = (window.days.first(), window.days.last()) else { return Vec::new() };
    (first + 4..last - 1)
        .filter(|day| !(-3..=3).contains(day) && window.others.iter().all(|(other, _)| (day - other).abs() > 1))
        .collect()
}

/// The day whose shift has the highest Bayes factor given all else, if that is high enough.
fn shift(
    window: &Window,
    noise: &Noise,
    columns: &[(usize, f64)],
    evidence: &Evidence,
    candidates: &[i32],
    least: f64,
) -> Option<i32> {
    let steps: Vec<Vec<f64>> = candidates.iter().map(|day| step(&window.days, *day, 1.0)).collect();
    let whitened = noise.whitened(steps.iter().map(Vec::as_slice));
    let residual = noise.residual(columns, evidence);
    let variance = evidence.variance;
    let mut highest: Option<(f64, i32)> = None;
    let mut right = vec![0.0; columns.len()];
    for (day, column) in candidates.iter().zip(&whitened) {
        let first = column.iter().position(|value| *value != 0.0).unwrap_or(0);
        for (value, (other, sd)) in right.iter_mut().zip(columns) {
            *value = sd * dot(&noise.column(*other)[first..], &column[first..]) / variance;
        }
        evidence.factor.solve_lower(&mut right);
        let information = (dot(column, column) / variance - dot(&right, &right)).max(1e-9);
        let score = dot(&column[first..], &residual[first..]) / variance;
        let spread = 1.0 + SHIFT_VARIANCE * information;
        let log_factor = -0.5 * spread.ln() + 0.5 * score * score * SHIFT_VARIANCE / spread;
        if highest.is_none_or(|(value, _)| log_factor > value) {
            highest = Some((log_factor, *day));
        }
    }
    highest.filter(|(value, _)| *value > least).map(|(_, day)| day)
}

/// The days whose whitened residuals are far out, by robust standard deviations; the farthest first.
fn outliers(noise: &Noise, columns: &[(usize, f64)], evidence: &Evidence, least: f64) -> Vec<usize> {
    let sizes: Vec<f64> = noise.residual(columns, evidence).into_iter().map(f64::abs).collect();
    let deviation = 1.4826 * median(&sizes) + 1e-6;
    let mut far: Vec<usize> = (0..sizes.len()).filter(|at| sizes[*at] > least * deviation).collect();
    far.sort_by(|left, right| sizes[*right].total_cmp(&sizes[*left]));
    far.truncate(OUTLIERS_A_ROUND);
    far
}
