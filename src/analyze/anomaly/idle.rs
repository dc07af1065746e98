//! Environments that cost and that nobody uses.

#![expect(clippy::float_arithmetic, reason = "estimates in units of the currency")]

use super::{Anomaly, AnomalyKind};
use crate::analyze::impact::History;

/// When an environment is idle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Idle {
    /// So many days without use are told.
    pub days: usize,
    /// The share of the usual traffic below which there is no use.
    pub traffic_share: f64,
    /// The share of the usual cost above which it still costs.
    pub cost_share: f64,
}

impl Default for Idle {
    fn default() -> Self {
        Self { days: 7, traffic_share: 0.01, cost_share: 0.5 }
    }
}

/// Days that say what is usual.
const USUAL_DAYS: usize = 28;

/// The stretch of days up to the last complete one in which nobody used the environment and it cost what it does, once it
/// is long enough. None where traffic is not known.
pub fn idle(history: &History, policy: &Idle) -> Option<Anomaly> {
    let traffic = history.traffic.as_ref()?;
    let end = history.index_of(history.complete_to)?;
    let used = |index: usize| traffic.get(index).copied().flatten();
    let mut start = end + 1;
    let level = |upto: usize, value: &dyn Fn(usize) -> Option<f64>| {
        let mut known: Vec<f64> = (upto.saturating_sub(USUAL_DAYS)..upto).filter_map(value).collect();
        known.sort_unstable_by(f64::total_cmp);
        (known.len() >= 7).then(|| known[known.len() / 2])
    };
    // What is usual is what the days before the stretch say: the stretch itself must not lower it.
    let recent: Vec<f64> = traffic.iter().take(end + 1).flatten().copied().collect();
    let most = recent.iter().rev().take(4 * USUAL_DAYS).copied().fold(0.0, f64::max);
    while start > 0 && used(start - 1).is_some_and(|units| units <= policy.traffic_share * most) {
        start -= 1;
    }
    if end + 1 - start < policy.days.max(1) {
        return None;
    }
    let usual = level(start, &used)?;
    let cost = |index: usize| history.cost.get(index).copied().flatten();
    let usual_cost = level(start, &cost)?;
    let during: Vec<f64> = (start..=end).filter_map(cost).collect();
    let mean = during.iter().sum::<f64>() / during.len().max(1) as f64;
    let still_costs = usual > 0.0 && usual_cost > 0.0 && mean > policy.cost_share * usual_cost;
    still_costs.then(|| Anomaly {
        kind: AnomalyKind::Idle,
        start: history.day_at(start),
        end: history.complete_to,
        amount_per_day: mean,
        share: mean / usual_cost,
    })
}
