//! Intervals on the sum, from how far forecasts went wrong before.

#![expect(clippy::float_arithmetic, reason = "shares and estimates")]

use super::rolling::Tried;
use serde::{Deserialize, Serialize};

/// The share of intervals that may miss.
const MISSES: f64 = 0.1;
/// How fast the level follows what became of intervals.
const PACE: f64 = 0.1;
/// Weight, in tries, of what is usual among all scopes in a scope's own scale.
const SHRINKAGE: f64 = 5.0;

/// The level of intervals, adapted to how many of them held what they promised. To be kept as it serializes, one for
/// each kind of scope and time of the month.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Adaptive {
    /// The share of past errors that an interval leaves out on both sides.
    misses: f64,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self { misses: MISSES }
    }
}

impl Adaptive {
    /// The level after some intervals were held against what came: wider where more of them missed than may.
    pub fn learn(self, held: usize, missed: usize) -> Self {
        if held + missed == 0 {
            return self;
        }
        let share = missed as f64 / (held + missed) as f64;
        Self { misses: (self.misses + PACE * (MISSES - share)).clamp(0.02, 0.2) }
    }
}

/// Errors of all scopes of a batch, each against its own scale.
pub(super) struct Pool {
    usual: f64,
    scores: Vec<f64>,
    misses: f64,
}

impl Pool {
    pub(super) fn of<'a>(tried: impl Iterator<Item = &'a Tried> + Clone, adaptive: &Adaptive) -> Self {
        let means: Vec<f64> = tried.clone().filter_map(Tried::past_error).collect();
        let mut pool = Self { usual: super::candidate::median(&means), scores: Vec::new(), misses: adaptive.misses };
        for tried in tried {
            let scale = pool.scale(tried);
            pool.scores.extend(tried.errors.iter().map(|error| error.abs() / scale));
        }
        pool.scores.sort_unstable_by(f64::total_cmp);
        pool
    }

    /// The size of a usual error of a scope, as a share of what was forecast.
    fn scale(&self, tried: &Tried) -> f64 {
        let own: f64 = tried.errors.iter().map(|error| error.abs()).sum();
        ((own + SHRINKAGE * self.usual) / (tried.errors.len() as f64 + SHRINKAGE)).max(1e-6)
    }

    /// Half the width of the interval of a sum, in units of the currency; none where nothing could be tried.
    ///
    /// Tries that overlap say the same thing several times: with few that do not, less may be left out.
    pub(super) fn half_width(&self, tried: &Tried) -> Option<f64> {
        let last = self.scores.len().checked_sub(1)?;
        let level = 1.0 - self.misses * tried.independent / (tried.independent + 4.0);
        let place = ((self.scores.len() as f64 + 1.0) * level).ceil() as usize;
        let score = self.scores[place.saturating_sub(1).min(last)];
        Some(score * self.scale(tried) * tried.stretch * tried.rest.abs())
    }
}
