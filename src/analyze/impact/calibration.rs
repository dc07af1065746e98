//! By how much the model's intervals are stretched so that they hold what they promise.

#![expect(clippy::float_arithmetic, reason = "factors of intervals")]

use super::{Phase, Placebo, Raw, SETTLED_DAYS};
use serde::{Deserialize, Serialize};

/// Factors by which the two sides of an interval are stretched. To be kept as it serializes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Where the classes of the probability of an effect begin.
    probability_edges: [f64; 5],
    /// For answers with fewer than fourteen complete days after the release.
    provisional: Sides,
    /// For settled answers.
    settled: Sides,
    /// How many placebos of an organisation's own were asked for it; 0 as it is shipped.
    #[serde(default)]
    placebo_count: usize,
}

/// The factors of the side away from zero and of the side towards it, and what else an answer is told by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sides {
    outer: Factors,
    inner: Factors,
    /// By which power of its own width an interval is narrowed: those of noisy services are wider than they need be, those
    /// of quiet ones narrower. 0 leaves them as they are.
    width_power: f64,
    odds: Odds,
}

/// How the odds of an effect become the share of it that is told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Odds {
    power: f64,
    factor: f64,
}

impl Odds {
    /// The share that is told is the probability itself.
    const PLAIN: Self = Self { power: 1.0, factor: 1.0 };

    /// The share of an effect that is told, against its probability.
    fn told(self, probability: f64) -> f64 {
        if self == Self::PLAIN || probability <= 0.0 || probability >= 1.0 {
            return 1.0;
        }
        let odds = self.factor * (probability / (1.0 - probability)).powf(self.power);
        // Odds beyond all numbers are certainty.
        let share = if odds.is_finite() { odds / (1.0 + odds) } else { 1.0 };
        share / probability
    }
}

/// The factor of a side is the product of one of each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Factors {
    /// By the probability of an effect.
    probability: [f64; 6],
    /// By the distance to the nearest other release, in days.
    neighbour: [f64; 4],
    /// By the noise of a day.
    noise: [f64; 4],
}

/// Where the other classes of the factors begin.
const NEIGHBOUR_EDGES: [f64; 3] = [1.5, 2.5, 7.5];
const NOISE_EDGES: [f64; 3] = [0.025, 0.05, 0.12];

/// The half-width of an interval, as a share of cost, that is neither narrowed nor widened.
const USUAL_WIDTH: f64 = 0.08;
/// How far an interval is narrowed or widened by its own width, as a factor.
const NARROWED_MOST: f64 = 2.0;

/// Factors by the probability of an effect alone.
fn by_probability(probability: [f64; 6]) -> Factors {
    Factors { probability, neighbour: [1.0; 4], noise: [1.0; 4] }
}

impl Default for Calibration {
    /// The factors that belong to `Model::default`. They were fitted to worlds with known truth of two makers; what they
    /// hold on worlds that they were not fitted to, `docs/method.md` says.
    fn default() -> Self {
        Self {
            probability_edges: [0.25, 0.45, 0.7, 0.95, 0.9999],
            provisional: Sides {
                outer: by_probability([0.6, 0.75, 1.0, 1.05, 1.95, 2.15]),
                inner: by_probability([0.95, 0.95, 1.1, 1.45, 2.05, 3.15]),
                width_power: 0.2,
                // With few days every probability is near the one beforehand: taken as it is, it would tell too little.
                odds: Odds { power: 1.9, factor: 2.2 },
            },
            settled: Sides {
                outer: by_probability([0.7, 0.7, 0.7, 0.67, 1.05, 2.5]),
                inner: by_probability([0.85, 0.95, 1.1, 1.9, 2.7, 2.5]),
                width_power: 0.15,
                odds: Odds::PLAIN,
            },
            placebo_count: 0,
        }
    }
}

impl Calibration {
    /// The factors that belong to `Model::reference`.
    pub fn reference() -> Self {
        Self {
            probability_edges: [0.25, 0.45, 0.7, 0.95, 0.995],
            provisional: Sides {
                outer: Factors {
                    probability: [0.795, 0.73, 1.018, 0.893, 1.124, 1.803],
                    neighbour: [0.817, 0.962, 1.005, 0.936],
                    noise: [1.201, 0.856, 0.929, 0.981],
                },
                inner: Factors {
                    probability: [0.725, 0.912, 1.128, 1.376, 3.087, 4.432],
                    neighbour: [1.078, 1.148, 0.972, 0.975],
                    noise: [1.284, 0.98, 0.806, 0.811],
                },
                width_power: 0.0,
                odds: Odds::PLAIN,
            },
            settled: Sides {
                outer: Factors {
                    probability: [0.77, 0.592, 1.108, 1.011, 1.164, 1.54],
                    neighbour: [0.764, 0.985, 0.986, 0.873],
                    noise: [1.004, 1.002, 0.932, 0.629],
                },
                inner: Factors {
                    probability: [0.773, 0.908, 1.139, 1.432, 2.022, 5.022],
                    neighbour: [1.94, 1.069, 0.979, 1.15],
                    noise: [1.204, 1.032, 0.932, 0.793],
                },
                width_power: 0.0,
                odds: Odds::PLAIN,
            },
            placebo_count: 0,
        }
    }

    /// The effect that is told with so many complete days after the release, in units of the currency a day: what it is
    /// given that there is one, times a share that grows with how likely it is.
    pub(super) fn estimate(&self, days_after: u32, raw: &Raw) -> f64 {
        blended(days_after, |phase| self.estimate_as(phase, raw))
    }

    /// The 90 % interval of an effect with so many complete days, in units of the currency a day: the model's own, given
    /// that there is an effect, each side stretched; it always holds the estimate.
    pub(super) fn interval(&self, days_after: u32, raw: &Raw) -> (f64, f64) {
        let end = |pick: fn((f64, f64)) -> f64| blended(days_after, |phase| pick(self.interval_as(phase, raw)));
        (end(|(low, _)| low), end(|(_, high)| high))
    }

    fn estimate_as(&self, phase: Phase, raw: &Raw) -> f64 {
        raw.estimate * self.of(phase).odds.told(raw.probability)
    }

    fn interval_as(&self, phase: Phase, raw: &Raw) -> (f64, f64) {
        let sides = self.of(phase);
        let (low, high) = (raw.given_low, raw.given_high);
        let width = ((high - low) / 2.0 / raw.before_per_day / USUAL_WIDTH).max(1e-6);
        let narrowed = width.powf(-sides.width_power).clamp(1.0 / NARROWED_MOST, NARROWED_MOST);
        let factor = |factors: &Factors| {
            factors.probability[class(raw.probability, &self.probability_edges)]
                * factors.neighbour[class(f64::from(raw.nearest), &NEIGHBOUR_EDGES)]
                * factors.noise[class(raw.noise, &NOISE_EDGES)]
                * narrowed
        };
        let (outer, inner) = (factor(&sides.outer), factor(&sides.inner));
        let (above, below) = if raw.given_mean >= 0.0 { (outer, inner) } else { (inner, outer) };
        let estimate = self.estimate_as(phase, raw);
        (
            (raw.given_mean - below * (raw.given_mean - low)).min(estimate),
            (raw.given_mean + above * (high - raw.given_mean)).max(estimate),
        )
    }

    fn of(&self, phase: Phase) -> &Sides {
        if phase == Phase::Settled { &self.settled } else { &self.provisional }
    }
}

/// Complete days after a release to which an answer is told as a provisional one. From then on it becomes the settled one
/// in equal parts: as one step from the thirteenth day to the fourteenth the whole difference would look like news.
const PROVISIONAL_TO_DAYS: u32 = 11;

/// What is told of an answer with so many complete days, from what is told of a provisional and of a settled one. Ends of
/// intervals that both hold their estimate hold the estimate between them.
fn blended(days_after: u32, told: impl Fn(Phase) -> f64) -> f64 {
    let days = days_after.clamp(PROVISIONAL_TO_DAYS, SETTLED_DAYS) - PROVISIONAL_TO_DAYS;
    let settled = f64::from(days) / f64::from(SETTLED_DAYS - PROVISIONAL_TO_DAYS);
    match days_after {
        0..=PROVISIONAL_TO_DAYS => told(Phase::Provisional),
        SETTLED_DAYS.. => told(Phase::Settled),
        _ => (1.0 - settled) * told(Phase::Provisional) + settled * told(Phase::Settled),
    }
}

/// The share of intervals that hold the truth.
const HELD: f64 = 0.9;
/// Placebos of a class below which nothing is learnt from it.
const PLACEBOS_MIN: usize = 50;
/// Placebos that what was fitted to worlds with known truth counts for.
const PLACEBOS_BEFOREHAND: f64 = 150.0;
/// How far what is learnt may go from it, as a factor.
const LEARNT_MOST: f64 = 1.6;

impl Calibration {
    /// This calibration, as an organisation's own placebos change it: for each window (provisional, settled) and class of
    /// noise (which tells kinds of services apart), the factor with which nine in ten of its placebos would have been
    /// held, drawn towards what stands here by how few they are. Where a class has fewer than fifty, it stays as it is.
    /// Factors of neighbour's distance stay too: there are no placebos beside releases, and a factor of the far ones alone
    /// would tilt every comparison of near with far. `asked_count` is how many were asked, whether or not they had an
    /// answer.
    pub fn learnt(&self, placebos: &[Placebo], asked_count: usize) -> Self {
        let mut learnt = Self { placebo_count: asked_count, ..self.clone() };
        for phase in [Phase::Provisional, Phase::Settled] {
            let of_phase: Vec<&Placebo> = placebos.iter().filter(|placebo| placebo.phase == phase).collect();
            for place in 0..=NOISE_EDGES.len() {
                let of_class = of_phase.iter().filter(|one| class(one.raw.noise, &NOISE_EDGES) == place);
                let factor = learnt.factor_from(phase, of_class.copied());
                learnt.stretch(phase, |factors| &mut factors.noise[place], factor);
            }
        }
        learnt
    }

    /// How many placebos of an organisation's own were asked for it; 0 as it is shipped.
    pub fn placebo_count(&self) -> usize {
        self.placebo_count
    }

    fn factor_from<'a>(&self, phase: Phase, placebos: impl Iterator<Item = &'a Placebo>) -> f64 {
        let mut needed: Vec<f64> = placebos.map(|placebo| self.needed(phase, placebo)).collect();
        if needed.len() < PLACEBOS_MIN {
            return 1.0;
        }
        needed.sort_unstable_by(f64::total_cmp);
        let count = needed.len() as f64;
        let place = ((count + 1.0) * HELD).ceil() as usize;
        let factor = needed[place.min(needed.len()) - 1].max(1e-3);
        (factor.ln() * count / (count + PLACEBOS_BEFOREHAND)).exp().clamp(1.0 / LEARNT_MOST, LEARNT_MOST)
    }

    /// By how much the side of the interval on which the truth lies would have to be stretched to reach it.
    fn needed(&self, phase: Phase, placebo: &Placebo) -> f64 {
        let (low, high) = self.interval_as(phase, &placebo.raw);
        let middle = placebo.raw.given_mean;
        let (distance, side) = if placebo.truth < middle {
            (middle - placebo.truth, middle - low)
        } else {
            (placebo.truth - middle, high - middle)
        };
        distance / side.max(1e-9 * placebo.raw.before_per_day)
    }

    fn stretch(&mut self, phase: Phase, of: impl Fn(&mut Factors) -> &mut f64, factor: f64) {
        let sides = if phase == Phase::Settled { &mut self.settled } else { &mut self.provisional };
        *of(&mut sides.outer) *= factor;
        *of(&mut sides.inner) *= factor;
    }
}

/// How many edges a value reaches.
fn class(value: f64, edges: &[f64]) -> usize {
    edges.iter().filter(|edge| value >= **edge).count()
}

#[cfg(test)]
mod tests {
    use super::{Calibration, Phase, Placebo, Raw};

    fn placebos(count: usize, miss: f64) -> Vec<Placebo> {
        let raw = Raw {
            estimate: 0.0,
            probability: 0.3,
            given_mean: 0.0,
            given_low: -10.0,
            given_high: 10.0,
            noise: 0.03,
            nearest: 20,
            neighbour: 0.0,
            before_per_day: 100.0,
            undoes_a_shift: false,
        };
        (0..count).map(|at| Placebo { phase: Phase::Settled, raw, truth: miss * at as f64 / count as f64 }).collect()
    }

    #[test]
    fn a_share_of_an_effect_is_told_that_grows_with_its_probability_and_never_exceeds_it() {
        let shipped = Calibration::default();
        let raw = |probability: f64| Raw { estimate: 10.0 * probability, probability, ..placebos(1, 0.0)[0].raw };
        for probability in [0.0, 1e-12, 0.2, 0.5, 0.9, 1.0 - 1e-15, 1.0] {
            // Settled answers tell the mean.
            assert_eq!(shipped.estimate_as(Phase::Settled, &raw(probability)), raw(probability).estimate);
            let told = shipped.estimate_as(Phase::Provisional, &raw(probability));
            assert!((0.0..=10.0 + 1e-9).contains(&told), "{told} at {probability}");
        }
        let told = |probability: f64| shipped.estimate_as(Phase::Provisional, &raw(probability));
        assert!(told(0.2) < 2.0 && told(0.5) > 5.0 && told(0.9) > told(0.5) && told(0.5) > told(0.2));
    }

    #[test]
    fn an_answer_becomes_the_settled_one_in_equal_parts() {
        let shipped = Calibration::default();
        let raw =
            Raw { estimate: 2.0, probability: 0.2, given_mean: 10.0, given_high: 30.0, ..placebos(1, 0.0)[0].raw };
        let told = |days: u32| {
            let (low, high) = shipped.interval(days, &raw);
            [shipped.estimate(days, &raw), low, high]
        };
        let of = |phase: Phase| {
            let (low, high) = shipped.interval_as(phase, &raw);
            [shipped.estimate_as(phase, &raw), low, high]
        };
        assert_eq!((told(3), told(11), told(14)), (of(Phase::Provisional), of(Phase::Provisional), of(Phase::Settled)));
        let days = [told(11), told(12), told(13), told(14)];
        for place in 0..3 {
            let third = (days[3][place] - days[0][place]) / 3.0;
            assert!(third.abs() > 0.01, "both are told otherwise: {days:?}");
            for pair in days.windows(2) {
                assert!((pair[1][place] - pair[0][place] - third).abs() < 1e-9, "{days:?}");
            }
        }
        assert!(days.iter().all(|[estimate, low, high]| low <= estimate && estimate <= high), "{days:?}");
    }

    #[test]
    fn wide_intervals_are_narrowed_and_narrow_ones_widened() {
        let shipped = Calibration::default();
        let width = |half: f64| {
            let raw = Raw { given_low: -half, given_high: half, ..placebos(1, 0.0)[0].raw };
            let (low, high) = shipped.interval_as(Phase::Settled, &raw);
            (high - low) / half
        };
        assert!(width(2.0) > width(8.0) && width(8.0) > width(40.0));
        // No further than by a factor of two either way.
        assert!((width(1e-6) / width(8.0) - 2.0).abs() < 1e-9 && (width(1e9) / width(8.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn few_placebos_change_nothing_and_many_that_miss_widen_what_they_are_about() {
        let shipped = Calibration::default();
        assert_eq!(shipped.learnt(&placebos(40, 40.0), 40), Calibration { placebo_count: 40, ..shipped.clone() });
        let learnt = shipped.learnt(&placebos(400, 40.0), 400);
        let width = |calibration: &Calibration, phase: Phase, noise: f64| {
            let raw = Raw { noise, ..placebos(1, 0.0)[0].raw };
            let (low, high) = calibration.interval_as(phase, &raw);
            high - low
        };
        assert!(width(&learnt, Phase::Settled, 0.03) > 1.2 * width(&shipped, Phase::Settled, 0.03));
        assert_eq!(width(&learnt, Phase::Provisional, 0.03), width(&shipped, Phase::Provisional, 0.03));
        // What misses by little narrows, and no further than it may.
        let narrow = shipped.learnt(&placebos(400, 2.0), 400);
        let ratio = width(&narrow, Phase::Settled, 0.03) / width(&shipped, Phase::Settled, 0.03);
        assert!(ratio < 0.9 && ratio > 0.3, "{ratio}");
    }
}
