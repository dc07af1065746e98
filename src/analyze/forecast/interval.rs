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
/// Intervals held against what came, of which fewer say nothing.
pub const RECORD_MIN: usize = 10;
/// Weight, in such intervals, of that nothing has to be widened.
const RECORD_SHRINKAGE: f64 = 10.0;
/// The most that they widen others by.
const WIDENING_MAX: f64 = 8.0;

/// The level of intervals, adapted to how many of them held what they promised. To be kept as it serializes, one for
/// each kind of scope and time of the month.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Adaptive {
    /// The share of past errors that an interval leaves out on both sides.
    misses: f64,
    /// By how much intervals are wider than past errors say; worked out anew each time.
    #[serde(skip, default = "not_widened")]
    widening: f64,
}

fn not_widened() -> f64 {
    1.0
}

impl Default for Adaptive {
    fn default() -> Self {
        Self { misses: MISSES, widening: not_widened() }
    }
}

impl Adaptive {
    /// The level after some intervals were held against what came: wider where more of them missed than may.
    pub fn learn(self, held: usize, missed: usize) -> Self {
        if held + missed == 0 {
            return self;
        }
        let share = missed as f64 / (held + missed) as f64;
        Self { misses: (self.misses + PACE * (MISSES - share)).clamp(0.02, 0.2), ..self }
    }

    /// The same level, of intervals that are wider by a factor.
    pub fn widened(self, widening: f64) -> Self {
        Self { widening, ..self }
    }
}

/// By how much wider intervals have to be so that nine in ten of those that were held against what came would have held.
/// Errors that were tried on the past are of usage in bills that are all there: taxes, credits and restated bills miss
/// by more than any of them, so that no choice among those errors is wide enough. `scores` are the distances of what
/// came from what was said, each as a share of half the interval before it was widened. 1 where too few are known to tell,
/// and where enough held.
pub fn widening(scores: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = scores.iter().copied().filter(|score| score.is_finite()).collect();
    if sorted.len() < RECORD_MIN {
        return not_widened();
    }
    sorted.sort_unstable_by(f64::total_cmp);
    let count = sorted.len() as f64;
    let place = ((count + 1.0) * (1.0 - MISSES)).ceil() as usize;
    let score = sorted[place.clamp(1, sorted.len()) - 1];
    score.max(1.0).powf(count / (count + RECORD_SHRINKAGE)).min(WIDENING_MAX)
}

/// Errors of all scopes of a batch, each against its own scale.
pub(super) struct Pool {
    usual: f64,
    scores: Vec<f64>,
    misses: f64,
    pub(super) widening: f64,
}

impl Pool {
    pub(super) fn of<'a>(tried: impl Iterator<Item = &'a Tried> + Clone, adaptive: &Adaptive) -> Self {
        let means: Vec<f64> = tried.clone().filter_map(Tried::past_error).collect();
        let usual = super::candidate::median(&means);
        let mut pool = Self { usual, scores: Vec::new(), misses: adaptive.misses, widening: adaptive.widening };
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
        Some(score * self.scale(tried) * tried.stretch * self.widening * tried.expected.abs())
    }
}
