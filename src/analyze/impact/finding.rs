//! From an estimate to a finding.

#![expect(clippy::float_arithmetic, reason = "shares of cost")]

use super::{Effect, Finding, Phase, Raw, Reason};
use bigdecimal::BigDecimal;

/// The least probability of an effect with which a settled answer claims one.
const CLAIM_PROBABILITY: f64 = 0.85;
/// The same of a provisional answer: with few days more of what is as likely as that turns out to be something else.
const CLAIM_PROBABILITY_PROVISIONAL: f64 = 0.9;
/// The least share of cost that is claimed.
const CLAIM_SHARE: f64 = 0.05;
/// Days to the nearest other release, from rollout to rollout, below which nothing is claimed.
const CLAIM_DISTANCE: i32 = 2;
/// The share of cost within which the interval must lie for "no material change".
const QUIET_SHARE: f64 = 0.1;
/// The probability of an effect below which nothing material is said to have changed.
const QUIET_PROBABILITY: f64 = 0.5;

/// The least probability of an effect with which an answer claims one.
pub fn claim_probability(phase: Phase) -> f64 {
    if phase == Phase::Settled { CLAIM_PROBABILITY } else { CLAIM_PROBABILITY_PROVISIONAL }
}

/// The smallest effect that is ever claimed of what cost `before_per_day`, however well the days tell it.
pub fn smallest_claimed(before_per_day: &BigDecimal) -> BigDecimal {
    before_per_day * BigDecimal::new(5.into(), 2)
}

/// What is said, and why. A claim's interval may reach zero: about one claim in eight is something else's doing, and an
/// interval that is honest about that has to say so.
pub(super) fn finding(raw: &Raw, effect: &Effect, phase: Phase) -> (Finding, Reason) {
    let share = effect.per_day.abs() / raw.before_per_day;
    let likely = raw.probability > claim_probability(phase);
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

/// The smallest size, in log cost, that could have been seen, given how precisely the days tell a size: the one whose Bayes
/// factor makes even odds of an effect a claim's. In quiet days it is less than the least share that is ever claimed.
pub(super) fn smallest_visible(information: f64, effect_sd: f64, phase: Phase) -> f64 {
    let information = information.max(1e-6);
    let probability = claim_probability(phase);
    let odds = (probability / (1.0 - probability)).ln();
    let spread = 1.0 + effect_sd * effect_sd * information;
    let deviations = ((odds + 0.5 * spread.ln()) * 2.0 * spread / (spread - 1.0).max(1e-9)).sqrt();
    deviations / information.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> Raw {
        Raw {
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
        }
    }

    #[test]
    fn a_provisional_answer_has_to_be_surer_to_claim() {
        let said = |probability: f64, phase: Phase| {
            let raw = Raw { estimate: 26.0, probability, ..raw() };
            finding(&raw, &Effect::of(&raw, 26.0, (-2.0, 60.0)), phase)
        };
        let claimed = (Finding::Increase, Reason::ClearEffect);
        let likely = (Finding::CannotTell, Reason::LikelyNotCertain);
        // An effect that is no claim yet is told as likely, whatever its size.
        for (probability, provisional, settled) in
            [(0.84, likely, likely), (0.88, likely, claimed), (0.92, claimed, claimed)]
        {
            assert_eq!(said(probability, Phase::Provisional), provisional, "{probability}");
            assert_eq!(said(probability, Phase::Settled), settled, "{probability}");
        }
        // What has to be surer has to be larger.
        let [provisional, settled] =
            [Phase::Provisional, Phase::Settled].map(|phase| smallest_visible(400.0, 0.12, phase));
        assert!(provisional > settled && settled > CLAIM_SHARE, "{provisional} {settled}");
    }

    /// Both bounds are told: what the noise lets see, and what is claimed of it.
    #[test]
    fn quiet_days_let_see_less_than_is_ever_claimed() {
        let quiet = smallest_visible(40_000.0, 0.12, Phase::Settled);
        assert!(quiet > 0.0 && quiet < CLAIM_SHARE, "{quiet}");
        let claimed = smallest_claimed(&BigDecimal::from(100));
        assert!((claimed.to_string().parse::<f64>().unwrap() - 100.0 * CLAIM_SHARE).abs() < 1e-9, "{claimed}");
    }

    #[test]
    fn an_unlikely_effect_is_uncertain_wherever_its_interval_lies() {
        let raw = raw();
        for (low, high, said) in [
            (-40.0, 60.0, (Finding::CannotTell, Reason::TooUncertain)),
            // Cut at the estimate, it leaves zero out.
            (2.0, 60.0, (Finding::CannotTell, Reason::TooUncertain)),
            (2.0, 15.0, (Finding::NoMaterialChange, Reason::WithinATenth)),
        ] {
            assert_eq!(finding(&raw, &Effect::of(&raw, 2.0, (low, high)), Phase::Settled), said, "{low} to {high}");
        }
    }
}
