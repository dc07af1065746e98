//! How answers follow each other: revised, and come back after a rollback.

#![expect(clippy::float_arithmetic, reason = "estimates, not amounts of a bill")]

use super::Effect;

/// Whether a newer answer about the same release is a revision: it moved by more than half of the older interval's
/// width. The interval and the amount of the older answer, in units of the currency a day.
pub fn is_revision((low, high): (f64, f64), per_day: f64, after: &Effect) -> bool {
    (after.per_day - per_day).abs() > (high - low) / 2.0
}

/// What a rollback did about the effect of the releases that it takes back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CameBack {
    /// Whether the cost came back, as far as can be told.
    pub answer: Returned,
    /// Effect of the rollback as a share of theirs together, with the sign turned: 1 is all of it.
    pub share: f64,
}

/// Whether the cost came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returned {
    /// By at least three quarters of what they did.
    Yes,
    /// By a quarter to three quarters.
    Partly,
    /// By less than a quarter.
    No,
    /// What they did, or what the rollback did, is too uncertain.
    CannotTell,
}

/// Compares what releases did together with the effect of the rollback that took them back. Each answer has an error of
/// its own, so that those of several add up as squares.
pub fn came_back(releases: &[Effect], rollback: &Effect) -> CameBack {
    let per_day: f64 = releases.iter().map(|one| one.per_day).sum();
    let reach = |side: fn(&Effect) -> f64| releases.iter().map(side).fold(0.0, f64::hypot);
    let (down, up) = (reach(|one| one.per_day - one.low), reach(|one| one.high - one.per_day));
    let share = if per_day == 0.0 { 0.0 } else { -rollback.per_day / per_day };
    let clear = per_day - down > 0.0 || per_day + up < 0.0;
    let needed = per_day.abs() * 0.5;
    let answer = match (rollback.high - rollback.low) / 2.0 {
        _ if !clear => Returned::CannotTell,
        half_width if half_width > needed => Returned::CannotTell,
        _ if share >= 0.75 => Returned::Yes,
        _ if share >= 0.25 => Returned::Partly,
        _ => Returned::No,
    };
    CameBack { answer, share }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(per_day: f64, reach: f64) -> Effect {
        Effect {
            per_day,
            low: per_day - reach,
            high: per_day + reach,
            before_per_day: 1000.0,
            relative: per_day / 1000.0,
            relative_low: (per_day - reach) / 1000.0,
            relative_high: (per_day + reach) / 1000.0,
            probability: 0.9,
            per_unit: None,
        }
    }

    /// The dear one on Monday, one that did nothing on Thursday: the rollback took back both.
    #[test]
    fn a_rollback_is_held_against_all_that_it_took_back() {
        let (dear, nothing, back) = (effect(100.0, 20.0), effect(1.0, 15.0), effect(-95.0, 20.0));
        assert_eq!(came_back(&[nothing], &back).answer, Returned::CannotTell);
        let both = came_back(&[dear, nothing], &back);
        assert_eq!(both.answer, Returned::Yes);
        assert!((both.share - 95.0 / 101.0).abs() < 1e-12, "{both:?}");
        // Two that undo each other leave nothing that could come back.
        assert_eq!(came_back(&[dear, effect(-100.0, 20.0)], &effect(0.0, 20.0)).answer, Returned::CannotTell);
        assert_eq!(came_back(&[dear, effect(60.0, 20.0)], &back).answer, Returned::Partly);
        assert_eq!(came_back(&[dear], &effect(-10.0, 20.0)).answer, Returned::No);
    }
}
