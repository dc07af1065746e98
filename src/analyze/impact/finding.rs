//! From an estimate to a finding.

#![expect(clippy::float_arithmetic, reason = "shares of cost")]

use super::{Finding, Reason};

/// The least probability of an effect with which one is claimed.
const CLAIM_PROBABILITY: f64 = 0.99;
/// The least share of cost that is claimed.
pub(super) const CLAIM_SHARE: f64 = 0.05;
/// Days to the nearest other release below which nothing is claimed.
const CLAIM_DISTANCE: i32 = 2;
/// The share of cost within which the interval must lie for "no material change".
const QUIET_SHARE: f64 = 0.1;
/// The probability of an effect below which nothing material is said to have changed.
const QUIET_PROBABILITY: f64 = 0.5;

/// What a finding is made from.
pub(super) struct Grounds {
    pub(super) estimate: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) before_per_day: f64,
    pub(super) probability: f64,
    pub(super) nearest: i32,
    pub(super) undoes_a_shift: bool,
}

/// What is said, and why. A claim's interval may reach zero: about one claim in ten is something else's doing, and an
/// interval that is honest about that has to say so.
pub(super) fn finding(grounds: &Grounds) -> (Finding, Reason) {
    let share = grounds.estimate.abs() / grounds.before_per_day;
    let likely = grounds.probability > CLAIM_PROBABILITY;
    let large = share > CLAIM_SHARE;
    if likely && large && grounds.nearest >= CLAIM_DISTANCE && !grounds.undoes_a_shift {
        let finding = if grounds.estimate > 0.0 { Finding::Increase } else { Finding::Decrease };
        return (finding, Reason::ClearEffect);
    }
    let reach = grounds.low.abs().max(grounds.high.abs());
    if reach <= QUIET_SHARE * grounds.before_per_day && grounds.probability < QUIET_PROBABILITY {
        return (Finding::NoMaterialChange, Reason::WithinATenth);
    }
    let reason = match () {
        () if likely && large && grounds.undoes_a_shift => Reason::UndoesAShift,
        () if likely && large => Reason::NeighbourTooNear,
        () if likely => Reason::TooSmallToClaim,
        () if grounds.probability >= QUIET_PROBABILITY => Reason::LikelyNotCertain,
        () => Reason::TooUncertain,
    };
    (Finding::CannotTell, reason)
}
