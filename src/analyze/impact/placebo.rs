//! Questions whose answers are known: a day on which nothing was released, with nothing or a known effect put on it.

#![expect(clippy::float_arithmetic, reason = "estimates against what is known")]

use super::{History, Model, Phase, Raw, ReleaseDay, Seen, fit::Fit, window::Window};
use chrono::NaiveDate;

/// What the model says of an effect that is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placebo {
    pub(super) phase: Phase,
    pub(super) raw: Raw,
    /// The effect that was put there, in units of the currency a day.
    pub(super) truth: f64,
}

/// Sizes that are put on placebo days, in log cost, one after the other: as often nothing as something.
const SIZES: [f64; 12] = [0.0, 0.04, 0.0, -0.1, 0.0, 0.2, 0.0, -0.04, 0.0, 0.1, 0.0, -0.25];

/// Asks what a lasting effect did that is put on a day of a history without one. `place` counts the placebos of a batch:
/// it chooses the size. `None` where the day cannot be asked about.
pub fn placebo(history: &History, day: NaiveDate, place: usize, model: &Model) -> Option<Placebo> {
    let size = SIZES[place % SIZES.len()];
    let at = history.index_of(day)?;
    let mut changed = history.clone();
    for (index, cost) in changed.cost.iter_mut().enumerate().skip(at) {
        // Half of the day itself lies before.
        let share = if index == at { 0.5 } else { 1.0 };
        if let Some(cost) = cost {
            *cost *= (share * size).exp();
        }
    }
    // What a rule moves is an amount, and the steps of these days keep their share.
    for note in changed.notes.iter_mut().filter(|note| note.kind.moves_cost() && note.day > day) {
        note.amount_per_day = note.amount_per_day.map(|amount| amount * size.exp());
    }
    changed.releases.push(ReleaseDay { day, deployment_ids: Vec::new(), share_before: None, rollout_from: None });
    let window = Window::of(Seen::whole(&changed), day, model).ok()?;
    let raw = Raw::of(&window, &Fit::of(&window, model));
    let cost = super::window::mean(&window.asked) - window.offset;
    let truth = cost * (1.0 - (-size).exp());
    Some(Placebo { phase: Phase::of(window.days_after() as u32), raw, truth })
}
