//! What a unit cost before and after, how sure that is, and which part of cost follows the volume. Pure.
//!
//! The unit cost itself is exact: cost over usage of the days for which both are known. Floats say how sure it is: the
//! interval of a quotient by linearization, the fixed and the variable part by regression of daily cost on daily usage,
//! both with errors that may depend on each other from day to day.

#![expect(clippy::float_arithmetic, reason = "intervals and fits; unit costs are exact quotients")]

mod goal;
mod regression;
#[cfg(test)]
mod tests;

pub use goal::{Goal, Measure, Verdict, verdict};
pub use regression::{CannotTell, FixedVariable, VariableShare, split, variable_share};

use super::unit_cost::UnitCost;
use crate::focus::DateRange;
use bigdecimal::{BigDecimal, ToPrimitive};
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// A figure with its 90 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// The estimate.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Figure {
    /// Whether the interval leaves out zero.
    pub fn is_clear(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }

    fn around(value: f64, error: f64, degrees: f64) -> Self {
        let reach = error * t_quantile(degrees);
        Self { value, low: value - reach, high: value + reach }
    }
}

/// One day for which cost and usage are known. Cost in units of the currency, usage in the metric's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KnownDay {
    /// What it cost.
    pub cost: f64,
    /// What was used.
    pub usage: f64,
}

/// Days on which something is used, and units that are used on them, below which a side says nothing of what one costs.
const HANDFUL: usize = 5;

/// Why the cost of one unit has no interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoInterval {
    /// Fewer than three days have both cost and usage.
    TooFewDays,
    /// There are such days, and nothing was used on them.
    NothingUsed,
    /// Fewer than five units on fewer than five days: the quotient is what the whole service cost over a few of them.
    TooFewUnits,
    /// The days differ by so much that it would reach below zero, where no cost does.
    BelowZero,
}

impl NoInterval {
    /// In JSON and CSV.
    pub fn key(self) -> &'static str {
        match self {
            Self::TooFewDays => "too-few-days",
            Self::NothingUsed => "nothing-used",
            Self::TooFewUnits => "too-few-units",
            Self::BelowZero => "below-zero",
        }
    }

    /// For people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::TooFewDays => "fewer than three days of a side have cost and usage",
            Self::NothingUsed => "nothing was used on the days of a side",
            Self::TooFewUnits => "fewer than five units on fewer than five days of a side",
            Self::BelowZero => "cannot tell: days of a side differ so much that its interval would reach below zero",
        }
    }
}

/// The days of one side.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// Exact sums, and the days that are not known.
    pub unit: UnitCost,
    /// Cost of one unit with its interval, or why none can be told.
    pub per_unit: Result<Figure, NoInterval>,
    /// The fixed and the variable part of its daily cost, or why they cannot be told.
    pub parts: Result<FixedVariable, CannotTell>,
}

impl Side {
    /// The side of a range. Bills are complete for its days.
    pub fn of(
        days: DateRange,
        costs: &BTreeMap<NaiveDate, BigDecimal>,
        usage: &BTreeMap<NaiveDate, BigDecimal>,
    ) -> Self {
        let known = known_days(days, costs, usage);
        Self { unit: UnitCost::of(days, costs, usage), per_unit: per_unit(&known), parts: split(&known) }
    }

    /// The exact cost of so many units; `None` where nothing was used, and where it was too little to tell.
    pub fn per(&self, units: i32) -> Option<BigDecimal> {
        self.unit.per(units).filter(|_| !self.has_too_few_units())
    }

    /// Whether something was used, and too little to tell what a unit of it costs.
    pub fn has_too_few_units(&self) -> bool {
        self.per_unit == Err(NoInterval::TooFewUnits)
    }

    /// Whether it says anything of what a unit costs, be it that this cannot be told.
    pub fn is_told(&self) -> bool {
        !matches!(self.per_unit, Err(NoInterval::TooFewDays | NoInterval::NothingUsed))
    }

    fn usage_a_day(&self) -> Option<f64> {
        let days = self.unit.day_count as f64;
        self.unit.usage.to_f64().filter(|usage| *usage > 0.0 && days > 0.0).map(|usage| usage / days)
    }
}

/// Two sides beside each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Before.
    pub before: Side,
    /// After.
    pub after: Side,
    /// Cost of one unit after less before.
    pub change: Option<Figure>,
    /// The same as a share of before.
    pub relative: Option<Figure>,
    /// The part of the change that the other volume alone makes: the fixed part from before, spread over more or fewer
    /// units. The rest of the change is none of volume. `None` where the parts from before cannot be told.
    pub from_volume: Option<f64>,
}

/// Compares both sides.
pub fn compare(before: Side, after: Side) -> Comparison {
    let both = before.per_unit.ok().zip(after.per_unit.ok());
    let change = both.map(|(before, after)| difference(after, before));
    let relative = both.and_then(|(before, after)| relative(after, before));
    let from_volume = before
        .parts
        .as_ref()
        .ok()
        .zip(before.usage_a_day().zip(after.usage_a_day()))
        .map(|(parts, (was, is))| parts.fixed_per_day.value * (1.0 / is - 1.0 / was));
    Comparison { before, after, change, relative, from_volume }
}

// Each end has its own reach, so that the interval of a difference has too.
fn difference(after: Figure, before: Figure) -> Figure {
    let value = after.value - before.value;
    let up = (after.high - after.value).hypot(before.value - before.low);
    let down = (after.value - after.low).hypot(before.high - before.value);
    Figure { value, low: value - down, high: value + up }
}

/// The change of a figure as a share of what it was, on logarithms, so that minus a half and plus one undo each other.
pub fn relative(after: Figure, before: Figure) -> Option<Figure> {
    if before.value <= 0.0 || after.value <= 0.0 {
        return None;
    }
    let reach = |one: Figure| ((one.high - one.low) / 2.0) / one.value;
    let (value, reach) = ((after.value / before.value).ln(), reach(after).hypot(reach(before)));
    Some(Figure { value: value.exp() - 1.0, low: (value - reach).exp() - 1.0, high: (value + reach).exp() - 1.0 })
}

fn known_days(
    days: DateRange,
    costs: &BTreeMap<NaiveDate, BigDecimal>,
    usage: &BTreeMap<NaiveDate, BigDecimal>,
) -> Vec<KnownDay> {
    days.days()
        .filter_map(|day| {
            let used = usage.get(&day)?.to_f64()?;
            let cost = costs.get(&day).map_or(Some(0.0), ToPrimitive::to_f64)?;
            Some(KnownDay { cost, usage: used })
        })
        .collect()
}

/// How much of something a unit took, such as minutes of a run. Unlike a cost, which a service has without any run too,
/// few runs tell it as well. `None` below three days.
pub fn taken(
    days: DateRange,
    amounts: &BTreeMap<NaiveDate, BigDecimal>,
    units: &BTreeMap<NaiveDate, BigDecimal>,
) -> Option<Figure> {
    quotient(&known_days(days, amounts, units)).ok()
}

/// Mean of a metric that is not added up, such as latency, with its interval. `None` below three days.
pub fn mean(values: &[f64]) -> Option<Figure> {
    let known: Vec<KnownDay> = values.iter().map(|value| KnownDay { cost: *value, usage: 1.0 }).collect();
    quotient(&known).ok()
}

// No interval of it reaches below zero, where no day cost less than nothing: a credit may.
fn per_unit(days: &[KnownDay]) -> Result<Figure, NoInterval> {
    let used = days.iter().filter(|day| day.usage > 0.0);
    let usage: f64 = days.iter().map(|day| day.usage).sum();
    if usage > 0.0 && usage < HANDFUL as f64 && used.count() < HANDFUL {
        return Err(NoInterval::TooFewUnits);
    }
    let figure = quotient(days)?;
    let is_impossible = figure.low < 0.0 && days.iter().all(|day| day.cost >= 0.0);
    if is_impossible { Err(NoInterval::BelowZero) } else { Ok(figure) }
}

// The quotient of two sums: its error is that of the mean of what each day lies off it.
fn quotient(days: &[KnownDay]) -> Result<Figure, NoInterval> {
    let usage: f64 = days.iter().map(|day| day.usage).sum();
    if days.len() < 3 {
        return Err(NoInterval::TooFewDays);
    }
    if usage <= 0.0 {
        return Err(NoInterval::NothingUsed);
    }
    let value = days.iter().map(|day| day.cost).sum::<f64>() / usage;
    let off: Vec<f64> = days.iter().map(|day| day.cost - value * day.usage).collect();
    let count = days.len() as f64;
    let variance = long_run_variance(&off) * count / (count - 1.0);
    Ok(Figure::around(value, (variance * count).sqrt() / usage, count - 1.0))
}

/// How far a value may hang on the one before it: above this, a few weeks say nothing.
const MEMORY_MAX: f64 = 0.9;

/// The variance that the mean of values around zero has, times their number: neighbours are alike, so that it is larger
/// than that of one value. An autoregression of the first order, with its bias in short series put right; values that
/// alternate are never taken for surer than independent ones.
pub(super) fn long_run_variance(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let covariance = |by: usize| values.iter().zip(&values[by..]).map(|(a, b)| a * b).sum::<f64>() / count;
    let own = covariance(0);
    if own <= 0.0 {
        return 0.0;
    }
    let seen = covariance(1) / own;
    let memory = (seen + (1.0 + 3.0 * seen) / count).clamp(0.0, MEMORY_MAX);
    own * (1.0 + memory) / (1.0 - memory)
}

/// 95 % quantile of Student's t (Cornish and Fisher), within a hundredth from four degrees on.
pub(super) fn t_quantile(degrees: f64) -> f64 {
    let (z, n) = (1.644_853_6, degrees.max(1.0));
    let (z3, z5, z7) = (z * z * z, z * z * z * z * z, z * z * z * z * z * z * z);
    z + (z3 + z) / (4.0 * n)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * n * n)
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * n * n * n)
}
