//! What the model says before intervals are stretched and findings are made.

use super::{fit::Fit, window::Window};

/// What the model says of one release, in units of the currency a day where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Raw {
    /// The mean of the effect.
    pub(crate) estimate: f64,
    /// The probability of an effect.
    pub(crate) probability: f64,
    /// The mean given that there is an effect.
    pub(crate) given_mean: f64,
    /// Its 5 % quantile.
    pub(crate) given_low: f64,
    /// Its 95 % quantile.
    pub(crate) given_high: f64,
    /// Standard deviation of a day's noise, in log cost.
    pub(crate) noise: f64,
    /// Days to the nearest other release, from rollout to rollout: 0 where they overlap; 99 without.
    pub(crate) nearest: i32,
    /// How likely the likeliest of the near neighbours did something; 0 without.
    pub(crate) neighbour: f64,
    /// Mean cost of the 14 days before.
    pub(crate) before_per_day: f64,
    /// Whether the effect only takes back a shift that no release explains.
    pub(crate) undoes_a_shift: bool,
}

impl Raw {
    pub(super) fn of(window: &Window, fit: &Fit) -> Self {
        let posterior = &fit.posterior;
        Self {
            estimate: posterior.estimate,
            probability: posterior.probability,
            given_mean: posterior.given.mean,
            given_low: posterior.given.quantile(0.05),
            given_high: posterior.given.quantile(0.95),
            noise: posterior.noise,
            nearest: window.nearest,
            neighbour: posterior.neighbours.iter().copied().fold(0.0, f64::max),
            before_per_day: window.before_per_day,
            undoes_a_shift: fit.undoes_a_shift(),
        }
    }
}
