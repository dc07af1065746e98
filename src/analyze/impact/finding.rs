//! From an estimate to a finding.

#![expect(clippy::float_arithmetic, reason = "shares of cost")]

use super::{Effect, Finding, Raw, Reason};

/// The least probability of an effect with which one is claimed.
const CLAIM_PROBABILITY: f64 = 0.9;
/// The least share of cost that is claimed.
pub(super) const CLAIM_SHARE: f64 = 0.05;
/// Days to the nearest other release, from rollout to rollout, below which nothing is claimed.
const CLAIM_DISTANCE: i32 = 2;
/// The share of cost within which the interval must lie for "no material change".
const QUIET_SHARE: f64 = 0.1;
/// The probability of an effect below which nothing material is said to have changed.
const QUIET_PROBABILITY: f64 = 0.5;

/// What is said, and why. A claim's interval may reach zero: about one claim in ten is something else's doing, and an
/// interval that is honest about that has to say so.
pub(super) fn finding(raw: &Raw, effect: &Effect) -> (Finding, Reason) {
    let share = effect.per_day.abs() / raw.before_per_day;
    let likely = raw.probability > CLAIM_PROBABILITY;
    let large = share > CLAIM_SHARE;
    if likely && large && raw.nearest >= CLAIM_DISTANCE && !raw.undoes_a_shift {
        let finding = if effect.per_day > 0.0 { Finding::Increase } else { Finding::Decrease };
        return (finding, Reason::ClearEffect);
    }
    let reach = effect.low.abs().max(effect.high.abs());
    if reach <= QUIET_SHARE * raw.before_per_day && raw.probability < QUIET_PROBABILITY {
        return (Finding::NoMaterialChange, Reason::WithinATenth);
    }
    let reason = match () {
        () if likely && large && raw.undoes_a_shift => Reason::UndoesAShift,
        () if likely && large => Reason::NeighbourTooNear,
        () if likely => Reason::TooSmallToClaim,
        () if raw.probability >= QUIET_PROBABILITY => Reason::LikelyNotCertain,
        () => Reason::TooUncertain,
    };
    (Finding::CannotTell, reason)
}

/// The smallest size, in log cost, that would have been claimed, given how precisely the days tell a size: the one whose
/// Bayes factor makes even odds of an effect a claim's.
pub(super) fn smallest_visible(information: f64, effect_sd: f64) -> f64 {
    let information = information.max(1e-6);
    let odds = (CLAIM_PROBABILITY / (1.0 - CLAIM_PROBABILITY)).ln();
    let spread = 1.0 + effect_sd * effect_sd * information;
    let deviations = ((odds + 0.5 * spread.ln()) * 2.0 * spread / (spread - 1.0).max(1e-9)).sqrt();
    (deviations / information.sqrt()).max(CLAIM_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlikely_effect_is_uncertain_wherever_its_interval_lies() {
        let raw = Raw {
            estimate: 2.0,
            probability: 0.3,
            given_mean: 30.0,
            given_low: 5.0,
            given_high: 60.0,
            noise: 0.05,
            nearest: 99,
            neighbour: 0.0,
            before_per_day: 200.0,
            undoes_a_shift: false,
        };
        for (low, high, said) in [
            (-40.0, 60.0, (Finding::CannotTell, Reason::TooUncertain)),
            // Cut at the estimate, it leaves zero out.
            (2.0, 60.0, (Finding::CannotTell, Reason::TooUncertain)),
            (2.0, 15.0, (Finding::NoMaterialChange, Reason::WithinATenth)),
        ] {
            assert_eq!(finding(&raw, &Effect::of(&raw, 2.0, (low, high))), said, "{low} to {high}");
        }
    }
}
