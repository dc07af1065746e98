//! Cost that leaves what explains it little by little: a leak, or cost that grows away from its traffic.
//!
//! No single day stands out, and noise whose level may drift explains such a rise as well as a rise does. So the whole
//! rise is held against all that may have happened without one: for each day on which it may have begun, the evidence of
//! a slope from then on, over every kind of noise, against the evidence without. That is what a cumulative sum of what
//! was missed adds up, with the noise taken into account.

#![expect(clippy::float_arithmetic, reason = "probabilities")]

use super::{
    Model,
    design::{Design, Role},
    regression::{self, Noise, Scratch},
    window::Window,
};

/// A rise that is still going on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slope {
    /// The day on which it began, counted as the window counts.
    pub(super) day: i32,
    /// What it has come to, in log cost.
    pub(super) size: f64,
    /// Logarithm of how much more likely the days are with it.
    pub(super) log_factor: f64,
}

/// Days before the last one on which a rise may have begun: sooner, and it would be a shift.
const BEGINS: [i32; 7] = [49, 42, 35, 28, 21, 16, 11];
/// Standard deviation of what a rise comes to.
const SLOPE_SD: f64 = 0.3;
/// A shift that was found within so many days may be the rise itself, told badly.
const SHIFT_DAYS: i32 = 56;

/// The likeliest rise up to the last day of the window, if there is one with a chance.
pub(super) fn slope(window: &Window, design: &Design, model: &Model) -> Option<Slope> {
    let last = *window.days.last()?;
    let first = *window.days.first()?;
    let begins: Vec<i32> = BEGINS.into_iter().map(|days| last - days).filter(|day| *day > first + 14).collect();
    let ramps: Vec<Vec<f64>> = begins.iter().map(|begin| ramp(&window.days, *begin, last)).collect();
    let kept: Vec<_> = design
        .base
        .iter()
        .filter(|column| !matches!(column.role, Role::Shift(day) if day > last - SHIFT_DAYS))
        .collect();
    // What is explained is column 0.
    let columns: Vec<(usize, f64)> = kept.iter().enumerate().map(|(place, column)| (place + 1, column.sd)).collect();
    let mut kinds = regression::kinds(model);
    let mut scratch = Scratch::default();
    let all = || {
        std::iter::once(design.target.as_slice())
            .chain(kept.iter().map(|column| column.values.as_slice()))
            .chain(ramps.iter().map(Vec::as_slice))
    };
    let mut variance = None;
    for kind in &mut kinds {
        kind.start(&window.days, variance, all());
        kind.evidence(&columns, &mut scratch);
        variance = Some(kind.variance);
    }
    let without = weighed(&mut kinds, &columns, &mut scratch).0;
    let mut likeliest: Option<Slope> = None;
    for (place, begin) in begins.iter().enumerate() {
        let mut with = columns.clone();
        with.push((columns.len() + 1 + place, SLOPE_SD));
        let (weight, size) = weighed(&mut kinds, &with, &mut scratch);
        let log_factor = weight - without;
        if likeliest.is_none_or(|other| log_factor > other.log_factor) {
            likeliest = Some(Slope { day: *begin, size, log_factor });
        }
    }
    likeliest.filter(|slope| slope.log_factor > 0.0)
}

/// The logarithm of the evidence over all kinds of noise, and the last coefficient under the likeliest.
fn weighed(kinds: &mut [Noise], columns: &[(usize, f64)], scratch: &mut Scratch) -> (f64, f64) {
    let mut weights = Vec::with_capacity(kinds.len());
    let (mut highest, mut size) = (f64::NEG_INFINITY, 0.0);
    for kind in kinds {
        let evidence = kind.evidence(columns, scratch);
        let weight = evidence.log_likelihood + kind.log_prior;
        weights.push(weight);
        if weight > highest {
            (highest, size) = (weight, evidence.coefficients.last().copied().unwrap_or(0.0));
        }
    }
    let sum: f64 = weights.iter().map(|weight| (weight - highest).exp()).sum();
    (highest + sum.ln(), size)
}

/// Nothing before a day, and evenly from there to one on the last.
fn ramp(days: &[i32], begin: i32, last: i32) -> Vec<f64> {
    let length = f64::from(last - begin).max(1.0);
    days.iter().map(|day| f64::from((day - begin).max(0)) / length).collect()
}
