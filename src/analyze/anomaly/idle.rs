//! Environments that cost and that nobody uses.

#![expect(clippy::float_arithmetic, reason = "estimates in units of the currency")]

use super::{Anomaly, AnomalyKind};
use crate::analyze::impact::History;
use chrono::NaiveDate;

/// When an environment is idle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Idle {
    /// So many days without use are told.
    pub days: usize,
    /// The share of the usual traffic of a day with use, up to which there is none.
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
/// Of them, so many at least.
const USUAL_DAYS_MIN: usize = 7;
/// Days back within which what is usual is looked for.
pub const LOOKED_DAYS: usize = 4 * USUAL_DAYS;
/// Days at the end that say whether it still costs.
const LAST_DAYS: usize = 7;

/// What an environment without use is held against: kept with the anomaly, since no look back tells it for ever.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rest {
    /// Units of traffic a day up to which nobody uses it.
    pub no_use: f64,
    /// What a day cost before, in units of the currency.
    pub usual_cost: f64,
}

/// The stretch of days up to the last complete one in which nobody used the environment and it cost what it does, once it
/// is long enough, and what it is held against. None where traffic is not known.
pub fn idle(history: &History, policy: &Idle) -> Option<(Anomaly, Rest)> {
    let traffic = history.traffic.as_ref()?;
    let end = history.index_of(history.complete_to)?;
    let (start, no_use) = unused(&traffic[..traffic.len().min(end + 1)], policy.traffic_share)?;
    if end + 1 - start < policy.days.max(1) {
        return None;
    }
    let usual = level(traffic, start)?;
    let usual_cost = level(&history.cost, start)?;
    let during: Vec<f64> = (start..=end).filter_map(|index| history.cost.get(index).copied().flatten()).collect();
    let mean = mean(&during);
    let still_costs = usual > 0.0 && usual_cost > 0.0 && mean > policy.cost_share * usual_cost;
    let anomaly = Anomaly {
        kind: AnomalyKind::Idle,
        start: history.day_at(start),
        end: history.complete_to,
        amount_per_day: mean,
        share: mean / usual_cost,
    };
    still_costs.then_some((anomaly, Rest { no_use, usual_cost }))
}

/// Up to how many units a day there was no use from `since` on, by the days before. None where too few of them are known.
pub fn no_use(history: &History, since: NaiveDate, policy: &Idle) -> Option<f64> {
    let traffic = history.traffic.as_ref()?;
    let start = history.index_of(since)?;
    let looked_from = (history.index_of(history.complete_to)? + 1).saturating_sub(LOOKED_DAYS);
    share_of_use(traffic.get(looked_from..start)?, policy.traffic_share)
}

/// Whether an environment that nobody used from `since` on still rests and costs, held against what was usual when it
/// was found: the days that told so leave the history in time. A day without traffic says nothing of use.
pub fn still_idle(history: &History, since: NaiveDate, rest: &Rest, policy: &Idle) -> bool {
    let Some(traffic) = history.traffic.as_ref() else { return false };
    let Some(end) = history.index_of(history.complete_to) else { return false };
    let first = history.index_of(since).unwrap_or_default();
    let is_long = (history.complete_to - since).num_days() + 1 >= policy.days as i64;
    // A day of use further back has ended it then.
    let recent = first.max((end + 1).saturating_sub(policy.days.max(USUAL_DAYS)));
    let mut units = traffic.get(recent..=end).unwrap_or_default().iter().flatten().peekable();
    let nobody_used_it = units.peek().is_some() && units.all(|units| *units <= rest.no_use);
    let known: Vec<f64> = history.cost.iter().take(end + 1).skip(first).flatten().copied().collect();
    let still_costs = mean(&known[known.len().saturating_sub(LAST_DAYS)..]) > policy.cost_share * rest.usual_cost;
    is_long && nobody_used_it && still_costs
}

// The longest stretch of days at the end on which there was no use, by its first day, and up to how many units a day that
// is: a share of what the days with use before the stretch show in the middle, so that neither a load test of one day nor
// the stretch itself says what is usual. A day that is not known ends it.
fn unused(traffic: &[Option<f64>], share: f64) -> Option<(usize, f64)> {
    let looked_from = traffic.len().saturating_sub(LOOKED_DAYS);
    let most = traffic[looked_from..].iter().flatten().copied().fold(0.0, f64::max);
    let (mut found, mut highest) = (None, 0.0_f64);
    for start in (looked_from..traffic.len()).rev() {
        let Some(units) = traffic[start] else { break };
        highest = highest.max(units);
        // No middle is more than the most.
        if highest > share * most {
            break;
        }
        if let Some(no_use) = share_of_use(&traffic[looked_from..start], share).filter(|no_use| highest <= *no_use) {
            found = Some((start, no_use));
        }
    }
    found
}

// Of what these days with use show in the middle; none where there are too few.
fn share_of_use(traffic: &[Option<f64>], share: f64) -> Option<f64> {
    let used: Vec<f64> = traffic.iter().flatten().copied().filter(|units| *units > 0.0).collect();
    middle(used, USUAL_DAYS_MIN).map(|usual| share * usual)
}

// The middle of the days before a place; none where too few of them are known.
fn level(days: &[Option<f64>], upto: usize) -> Option<f64> {
    let before = days.get(upto.saturating_sub(USUAL_DAYS)..upto)?;
    middle(before.iter().flatten().copied().collect(), USUAL_DAYS_MIN)
}

fn middle(mut known: Vec<f64>, least: usize) -> Option<f64> {
    known.sort_unstable_by(f64::total_cmp);
    (known.len() >= least).then(|| known[known.len() / 2])
}

fn mean(days: &[f64]) -> f64 {
    days.iter().sum::<f64>() / days.len().max(1) as f64
}
