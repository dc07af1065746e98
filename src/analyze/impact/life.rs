//! How answers follow each other: revised, and come back after a rollback.

#![expect(clippy::float_arithmetic, reason = "estimates, not amounts of a bill")]

use super::Effect;

/// Whether a newer answer about the same release is a revision: it moved by more than half of the older interval's
/// width. The interval and the amount of the older answer, in units of the currency a day.
pub fn is_revision((low, high): (f64, f64), per_day: f64, after: &Effect) -> bool {
    (after.per_day - per_day).abs() > (high - low) / 2.0
}

/// What a rollback did about the effect of the release that it takes back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CameBack {
    /// Whether the cost came back, as far as can be told.
    pub answer: Returned,
    /// Effect of the rollback as a share of the release's effect, with the sign turned: 1 is all of it.
    pub share: f64,
}

/// Whether the cost came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returned {
    /// By at least three quarters of what the release did.
    Yes,
    /// By a quarter to three quarters.
    Partly,
    /// By less than a quarter.
    No,
    /// The release's own effect, or what the rollback did, is too uncertain.
    CannotTell,
}

/// Compares the effect of a release with that of the rollback that took it back.
pub fn came_back(release: &Effect, rollback: &Effect) -> CameBack {
    let share = if release.per_day == 0.0 { 0.0 } else { -rollback.per_day / release.per_day };
    let clear = release.low > 0.0 || release.high < 0.0;
    let needed = release.per_day.abs() * 0.5;
    let answer = match (rollback.high - rollback.low) / 2.0 {
        _ if !clear => Returned::CannotTell,
        half_width if half_width > needed => Returned::CannotTell,
        _ if share >= 0.75 => Returned::Yes,
        _ if share >= 0.25 => Returned::Partly,
        _ => Returned::No,
    };
    CameBack { answer, share }
}
