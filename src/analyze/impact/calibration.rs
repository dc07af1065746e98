//! By how much the model's intervals are stretched so that they hold what they promise.

use serde::{Deserialize, Serialize};

/// Factors by which the two sides of an interval are stretched, learnt from placebos: days without a release, with and
/// without a known effect put in. To be kept as it serializes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// For answers with fewer than fourteen complete days after the release.
    pub(super) provisional: Sides,
    /// For settled answers.
    pub(super) settled: Sides,
}

/// The factors of the side away from zero and of the side towards it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sides {
    pub(super) outer: Factors,
    pub(super) inner: Factors,
}

/// The factor of a side is the product of one of each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Factors {
    /// By the probability of an effect.
    pub(super) probability: [f64; 6],
    /// By the distance to the nearest other release, in days.
    pub(super) neighbour: [f64; 4],
    /// By the noise of a day.
    pub(super) noise: [f64; 4],
}
