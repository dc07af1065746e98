//! The line that the cost would have followed without the release.

#![expect(clippy::float_arithmetic, reason = "estimates for a chart")]

use super::{Effect, ExpectedDay, Model, Seen, fit::Fit, window::Window};

/// Before the release, what the model expected of each day from those before it; after it, the actual cost less the
/// effect, spread over the days as the courses say, so that the mean of what lies between both lines is the estimate.
pub(super) fn expected(
    seen: Seen<'_>,
    day: chrono::NaiveDate,
    window: &Window,
    fit: &Fit,
    model: &Model,
    effect: &Effect,
) -> Vec<ExpectedDay> {
    let profile = profile(window, fit, model);
    let level = super::window::median(&window.cost[..window.before]);
    let mut line = Vec::with_capacity(window.days.len());
    for (at, days) in window.days.iter().enumerate() {
        let date = day + chrono::Duration::days(i64::from(*days));
        let actual = window.cost[at] - window.offset;
        let (expected, low, high) = if *days < 1 {
            let (log, deviation) = fit.one_day_ahead[at];
            let of = |log: f64| (level * log.clamp(-20.0, 20.0).exp() - window.offset).max(0.0);
            (of(log), of(log - 1.645 * deviation), of(log + 1.645 * deviation))
        } else {
            let share = profile[at];
            (actual - effect.per_day * share, actual - effect.high * share, actual - effect.low * share)
        };
        let known = seen.history.index_of(date).and_then(|index| seen.cost(index));
        line.push(ExpectedDay { day: date, actual: known, expected, low, high });
    }
    line
}

/// How the effect is spread over the days: 1 on average over the days after the release that have a figure.
fn profile(window: &Window, fit: &Fit, model: &Model) -> Vec<f64> {
    let courses = model.shapes.iter().zip(&fit.posterior.courses);
    let mut profile: Vec<f64> = window
        .days
        .iter()
        .zip(&window.cost)
        .map(|(day, cost)| {
            let share: f64 = courses.clone().map(|((shape, _), weight)| weight * shape.share(*day, 0.0)).sum();
            if *day > 0 { share * cost } else { 0.0 }
        })
        .collect();
    let after = window.days_after().max(1) as f64;
    let mean = profile.iter().sum::<f64>() / after;
    for (value, day) in profile.iter_mut().zip(&window.days) {
        *value = match () {
            () if *day < 1 => 0.0,
            () if mean > 0.0 => *value / mean,
            () => 1.0,
        };
    }
    profile
}
