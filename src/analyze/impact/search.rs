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
/// Kinds beside one that is less likely than this are not looked at at all.
const BESIDE: f64 = 7.0;

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
) -> Likeliest {
    let candidates = candidate_days(window);
    let mut likeliest = begin(window, design, kinds, start, scratch);
    for _ in 0..ROUNDS {
        let (best, evidence) = (likeliest.index, &likeliest.evidence);
        let mut added = Vec::new();
        if let Some(day) = shift(window, &mut kinds[best], start, evidence, &candidates, model.shift_log_factor) {
            let values = step(&window.days, day, 1.0);
            added.push(Column { role: Role::Shift(day), values, sd: SHIFT_VARIANCE.sqrt() });
        } else {
            for at in outliers(&kinds[best], start, evidence, model.outlier_deviations) {
                let mut values = vec![0.0; window.days.len()];
                values[at] = 1.0;
                added.push(Column { role: Role::Outlier(window.days[at]), values, sd: OUTLIER_SD });
            }
        }
        if added.is_empty() {
            return likeliest;
        }
        for noise in kinds.iter_mut().filter(|noise| !noise.ruled_out) {
            noise.add(added.iter().map(|column| column.values.as_slice()));
        }
        for column in added {
            start.push((design.place_of_base(design.base.len()), column.sd));
            design.base.push(column);
        }
        likeliest = compared(kinds, start, scratch);
    }
    likeliest
}

/// The kind of noise with the highest posterior.
#[derive(Default)]
pub(super) struct Likeliest {
    /// Its place among the kinds.
    pub(super) index: usize,
    /// What it says.
    pub(super) evidence: Evidence,
    highest: f64,
    /// Logarithms of how likely each kind is.
    pub(super) weights: Vec<f64>,
}

/// Compares the kinds of noise that were started. Kinds that are far less likely than the likeliest are ruled out.
fn compared(kinds: &mut [Noise], columns: &[(usize, f64)], scratch: &mut Scratch) -> Likeliest {
    let mut found = Likeliest::none(kinds.len());
    for (index, noise) in kinds.iter_mut().enumerate().filter(|(_, noise)| !noise.ruled_out) {
        found.look_at(index, noise, columns, scratch);
    }
    found.rule_out(kinds)
}

/// Starts kinds of noise, from the middle of their grid on: those beside kinds that are likely. How likely a kind is
/// changes slowly over the grid, so that what lies beyond an unlikely one is less likely still.
fn begin(
    window: &Window,
    design: &Design,
    kinds: &mut [Noise],
    columns: &[(usize, f64)],
    scratch: &mut Scratch,
) -> Likeliest {
    let mut found = Likeliest::none(kinds.len());
    let middle =
        kinds.iter().map(|noise| noise.place).fold((0, 0), |all, place| (all.0.max(place.0), all.1.max(place.1)));
    let mut next: Vec<(usize, Option<f64>)> = (0..kinds.len())
        .filter(|kind| kinds[*kind].place == (middle.0 / 2, middle.1 / 2))
        .map(|kind| (kind, None))
        .collect();
    while let Some((index, variance)) = next.pop() {
        if kinds[index].is_started() {
            continue;
        }
        kinds[index].start(&window.days, variance, design.early_columns());
        found.look_at(index, &mut kinds[index], columns, scratch);
        if found.weights[index] > found.highest - BESIDE {
            let (row, column) = kinds[index].place;
            let beside = |noise: &Noise| noise.place.0.abs_diff(row) <= 1 && noise.place.1.abs_diff(column) <= 1;
            let variance = Some(kinds[index].variance);
            next.extend(
                (0..kinds.len())
                    .filter(|kind| !kinds[*kind].is_started() && beside(&kinds[*kind]))
                    .map(|kind| (kind, variance)),
            );
        }
    }
    found.rule_out(kinds)
}

impl Likeliest {
    fn none(kinds: usize) -> Self {
        Self { highest: f64::NEG_INFINITY, weights: vec![f64::NEG_INFINITY; kinds], ..Self::default() }
    }

    fn look_at(&mut self, index: usize, noise: &mut Noise, columns: &[(usize, f64)], scratch: &mut Scratch) {
        let evidence = noise.evidence(columns, scratch);
        let weight = evidence.log_likelihood + noise.log_prior;
        self.weights[index] = weight;
        if weight > self.highest {
            (self.highest, self.index, self.evidence) = (weight, index, evidence);
        }
    }

    fn rule_out(self, kinds: &mut [Noise]) -> Self {
        for (noise, weight) in kinds.iter_mut().zip(&self.weights) {
            noise.ruled_out |= *weight < self.highest - RULED_OUT;
        }
        self
    }
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
    noise: &mut Noise,
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
    for (day, column) in candidates.iter().zip(whitened.chunks_exact(window.days.len())) {
        let first = column.iter().position(|value| *value != 0.0).unwrap_or(0);
        for (value, (other, sd)) in right.iter_mut().zip(columns) {
            *value = sd * dot(&noise.column(*other)[first..], &column[first..]);
        }
        evidence.factor.solve_lower(&mut right);
        let information = ((dot(column, column) - dot(&right, &right)) / variance).max(1e-9);
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
