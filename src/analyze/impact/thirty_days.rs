//! What an effect adds up to in 30 days. That is no thirty times its mean over the days asked: what was gone after three
//! days costs nothing after them, and what came little by little goes on at its height.

#![expect(clippy::float_arithmetic, reason = "estimates in units of the currency")]

use super::answer::holding_zero;
use super::{Calibration, Effect, Finding, Raw, Shape, mixture::Mixture, posterior::Posterior, window::mean};

/// Days that are added up.
const DAYS: usize = 30;

/// An effect over the 30 days after the release, with its 90 % interval, in units of the currency: the days asked, and the
/// others at what of it is there at their end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThirtyDays {
    /// The sum.
    pub amount: f64,
    /// Lower end of its 90 % interval.
    pub low: f64,
    /// Upper end of it.
    pub high: f64,
}

impl ThirtyDays {
    /// The sum as it is told beside this finding, as its mean is ([`Effect::told_as`]).
    pub(super) fn told_as(self, finding: Finding) -> Self {
        if finding != Finding::NoMaterialChange {
            return self;
        }
        let (low, high) = holding_zero((self.low, self.high));
        Self { low, high, ..self }
    }
}

/// How many days' mean of the days asked an effect of this course makes in 30 days: 30 for a step, as many as were asked
/// for what is gone at their end; what is gone later has the days until then too. A ramp is taken to stay where it is on the
/// last of these days: that it goes on rising none of them has shown.
pub(super) fn factor(shape: Shape, asked: &[f64]) -> f64 {
    let share = |day: usize| shape.share(day as i32, 1.0);
    let over: Vec<f64> = asked.iter().enumerate().map(|(index, cost)| share(index + 1) * cost).collect();
    let over = mean(&over);
    let there: f64 = (asked.len() + 1..=DAYS).map(|day| share(day).min(share(asked.len()))).sum();
    let others = if over > 0.0 { there * mean(asked) / over } else { 0.0 };
    asked.len() as f64 + others
}

/// The sum of an answer with so many complete days, whose mean over the days asked is `effect`. The interval is stretched
/// as that of the mean is: what was learnt of sums would be of days that are not there yet.
pub(super) fn of(
    raw: &Raw,
    posterior: &Posterior,
    (days_after, asked_count): (u32, u32),
    calibration: &Calibration,
    effect: &Effect,
) -> ThirtyDays {
    let given = Mixture::of(posterior.given_over_30_days.clone());
    let days = DAYS as f64;
    // As means a day of the 30, so that widths are shares of a day's cost.
    let raw = Raw {
        estimate: posterior.over_30_days / days,
        given_mean: given.mean / days,
        given_low: given.quantile(0.05) / days,
        given_high: given.quantile(0.95) / days,
        ..*raw
    };
    let (low, high) = calibration.interval(days_after, &raw);
    let sum = ThirtyDays { amount: days * calibration.estimate(days_after, &raw), low: days * low, high: days * high };
    with_the_days_asked(sum, f64::from(asked_count), (effect.low, effect.high))
}

/// Whatever the course, an effect adds up to what it did on the days asked and more of the same sign, never to the
/// opposite. Stretched by itself, an interval that is wide for what may be over would have a release that is sure to cost
/// more save money in 30 days. So an end of the mean's interval bounds that of the sum by the days asked.
fn with_the_days_asked(sum: ThirtyDays, asked: f64, (low, high): (f64, f64)) -> ThirtyDays {
    let (least, most) = (asked * low, asked * high);
    let low = if least >= 0.0 { sum.low.max(least) } else { sum.low.min(least) };
    let high = if most <= 0.0 { sum.high.min(most) } else { sum.high.max(most) };
    ThirtyDays { low: low.min(sum.amount), high: high.max(sum.amount), ..sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_the_sum_holds_the_days_asked_and_has_the_sign_of_the_mean() {
        let sum = |amount, low, high| ThirtyDays { amount, low, high };
        // It costs 77 to 204 more a day, and may be over after the five days: 385 at least.
        let claimed = with_the_days_asked(sum(4528.0, -3992.0, 5987.0), 5.0, (77.0, 204.0));
        assert_eq!(claimed, sum(4528.0, 385.0, 5987.0));
        let saved = with_the_days_asked(sum(-4528.0, -5987.0, 3992.0), 5.0, (-204.0, -77.0));
        assert_eq!(saved, sum(-4528.0, -5987.0, -385.0));
        // The days do not tell whether it costs more or less, so that 30 of them tell no more.
        let unclear = with_the_days_asked(sum(-244.0, -2750.0, -53.0), 5.0, (-60.0, 17.0));
        assert_eq!(unclear, sum(-244.0, -2750.0, 85.0));
        // Beside "no material change" both hold zero.
        let quiet = with_the_days_asked(sum(90.0, 40.0, 700.0), 5.0, (3.0, 20.0)).told_as(Finding::NoMaterialChange);
        assert_eq!(quiet, sum(90.0, 0.0, 700.0));
        assert_eq!(claimed.told_as(Finding::Increase), claimed);
        // The sum that is told stays within.
        assert_eq!(with_the_days_asked(sum(9.0, 5.0, 40.0), 14.0, (1.0, 3.0)), sum(9.0, 9.0, 42.0));
    }

    #[test]
    fn a_step_counts_on_all_days_a_pulse_on_its_own_and_a_ramp_at_its_height() {
        let fortnight = [100.0; 14];
        assert!((factor(Shape::Step, &fortnight) - 30.0).abs() < 1e-9);
        assert_eq!(factor(Shape::Pulse(3), &fortnight), 14.0);
        // The mean of 1 to 14 fourteenths is 15 of 28: sixteen days at the full height are 16 x 28 / 15 of them.
        assert!((factor(Shape::Ramp(14), &fortnight) - (14.0 + 16.0 * 28.0 / 15.0)).abs() < 1e-9);
        // With five days the others are as the fifth, by what such a day costs.
        let week = [90.0, 110.0, 100.0, 95.0, 105.0];
        assert!((factor(Shape::Step, &week) - 30.0).abs() < 1e-9);
        assert_eq!(factor(Shape::Pulse(2), &week), 5.0);
        let over = (90.0 + 2.0 * 110.0 + 3.0 * 100.0 + 4.0 * 95.0 + 5.0 * 105.0) / 14.0 / 5.0;
        assert!((factor(Shape::Ramp(14), &week) - (5.0 + 25.0 * (5.0 / 14.0) * 100.0 / over)).abs() < 1e-9);
        // Three days are not all of a pulse of five, of which the release's own day is one; the fourth is.
        assert_eq!(factor(Shape::Pulse(5), &[100.0; 3]), 4.0);
        assert_eq!(factor(Shape::Pulse(2), &[0.0, 110.0, 100.0, 95.0, 105.0]), 5.0, "it has no day with cost");
    }
}
