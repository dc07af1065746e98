//! By how much the model's intervals are stretched so that they hold what they promise.

#![expect(clippy::float_arithmetic, reason = "factors of intervals")]

use super::{Phase, Raw};
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
}

/// The factors of the side away from zero and of the side towards it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sides {
    outer: Factors,
    inner: Factors,
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

/// Factors by the probability of an effect alone.
fn by_probability(probability: [f64; 6]) -> Factors {
    Factors { probability, neighbour: [1.0; 4], noise: [1.0; 4] }
}

impl Default for Calibration {
    /// The factors that belong to `Model::default`. They were fitted to worlds with known truth; fitted to two of three
    /// worlds, they hold on the third what `docs/method.md` says.
    fn default() -> Self {
        Self {
            probability_edges: [0.25, 0.45, 0.7, 0.95, 0.9999],
            provisional: Sides {
                outer: by_probability([0.6, 0.75, 1.0, 1.05, 1.95, 2.15]),
                inner: by_probability([0.95, 0.95, 1.1, 1.45, 2.05, 3.15]),
            },
            settled: Sides {
                outer: by_probability([0.7, 0.7, 0.7, 1.0, 1.5, 3.65]),
                inner: by_probability([0.85, 0.95, 1.1, 1.75, 2.45, 3.5]),
            },
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
            },
        }
    }

    /// The 90 % interval of an effect, in units of the currency a day: the model's own, given that there is an effect,
    /// each side stretched; it always holds the estimate.
    pub(super) fn interval(&self, phase: Phase, raw: &Raw) -> (f64, f64) {
        let sides = if phase == Phase::Settled { &self.settled } else { &self.provisional };
        let factor = |factors: &Factors| {
            factors.probability[class(raw.probability, &self.probability_edges)]
                * factors.neighbour[class(f64::from(raw.nearest), &NEIGHBOUR_EDGES)]
                * factors.noise[class(raw.noise, &NOISE_EDGES)]
        };
        let (outer, inner) = (factor(&sides.outer), factor(&sides.inner));
        let (above, below) = if raw.given_mean >= 0.0 { (outer, inner) } else { (inner, outer) };
        let (low, high) = (raw.given_low, raw.given_high);
        (
            (raw.given_mean - below * (raw.given_mean - low)).min(raw.estimate),
            (raw.given_mean + above * (high - raw.given_mean)).max(raw.estimate),
        )
    }
}

/// How many edges a value reaches.
fn class(value: f64, edges: &[f64]) -> usize {
    edges.iter().filter(|edge| value >= **edge).count()
}
