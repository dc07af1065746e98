//! Shared costs: what one service's cost is divided among others by, exactly, so that every total stays.
//!
//! A split moves all of a service's cost of a day: a positive row for each that gets a share and an exact negative at
//! the origin. Where there is nothing to divide by, the cost stays where it is and is told.

mod order;
mod plan;
mod shares;
#[cfg(test)]
mod tests;
mod trace;

pub use plan::{ALL_ENVIRONMENTS, Costs, Day, Drivers, Moved, Plan, RowKey, SourceRow, Stayed};
pub use shares::{PLACES_MIN, shares, whole_weights};
pub use trace::{Part, Step, follow};

use super::validity::Validity;
use bigdecimal::{BigDecimal, Zero};
use std::collections::BTreeSet;

/// What is not allocated, as a source.
pub const NOT_ALLOCATED: i64 = 0;
const TARGET_COUNT_MAX: usize = 500;
const NAME_CHARS_MAX: usize = 200;

/// What a cost is divided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// The same share for each; by environment, or where nobody is named, for each that has cost there in whatever
    /// currency.
    Even,
    /// A percentage for each; they add up to 100. By environment those who have cost there, in whatever currency, share
    /// in proportion to them.
    Fixed,
    /// In proportion to the own `EffectiveCost` of each on that day, in the same currency.
    DirectCost,
    /// In proportion to a usage metric of each on that day.
    Metric(String),
}

impl Method {
    /// The word that it is stored with.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Fixed => "fixed",
            Self::DirectCost => "direct-cost",
            Self::Metric(_) => "metric",
        }
    }

    /// The method of that word; a metric has a name.
    pub fn from_key(key: &str, metric: Option<&str>) -> Option<Self> {
        Some(match (key, metric) {
            ("even", _) => Self::Even,
            ("fixed", _) => Self::Fixed,
            ("direct-cost", _) => Self::DirectCost,
            ("metric", Some(metric)) => Self::Metric(metric.to_owned()),
            _ => return None,
        })
    }
}

/// Who gets a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitTarget {
    /// The service.
    pub service_id: i64,
    /// Of a fixed split: how many of 100.
    pub percent: Option<BigDecimal>,
}

/// A rule that divides a service's cost among others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Its row.
    pub split_id: i64,
    /// What people call it.
    pub name: String,
    /// Whose cost is divided; [`NOT_ALLOCATED`] for what no rule gives to a service.
    pub source: i64,
    /// By what.
    pub method: Method,
    /// Among whom; empty for every service that has cost of its own and is not divided itself.
    pub targets: Vec<SplitTarget>,
    /// Whether each environment's cost is divided by what happened in that environment.
    pub by_environment: bool,
    /// The charge days that it holds on.
    pub validity: Validity,
}

/// Why a split cannot be kept. Each message says what to do.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SplitError {
    #[error("A split needs a name of at most {NAME_CHARS_MAX} visible characters.")]
    BadName,
    #[error("The percentages add up to {0}, not to 100. Change one of them.")]
    NotAHundred(String),
    #[error("Each service of a split by fixed percentages needs a percentage above 0.")]
    NoPercent,
    #[error("Only a split by fixed percentages has percentages.")]
    PercentWithoutUse,
    #[error("A split by fixed percentages names the services that get a share.")]
    FixedForEveryone,
    #[error("A split divides a service's cost among others: take the service itself from the list.")]
    GivesToItself,
    #[error("A service is listed twice among those that get a share.")]
    Twice,
    #[error("A split has at most {TARGET_COUNT_MAX} services that get a share.")]
    TooManyTargets,
    #[error("A split by a metric needs the metric's name.")]
    NoMetric,
    #[error("The last day of a split lies before its first day.")]
    EndsBeforeItStarts,
    #[error("“{0}” and “{1}” divide the same cost on the same days. Give one of them other days.")]
    SameSource(String, String),
    #[error(
        "The splits go round in a loop: {0}. Take one of these services out, or give one of the splits other days."
    )]
    Loop(String),
}

impl Split {
    /// Whether the split can be kept by itself.
    pub fn check(&self) -> Result<(), SplitError> {
        let name = self.name.trim();
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
            return Err(SplitError::BadName);
        }
        if !self.validity.is_in_order() {
            return Err(SplitError::EndsBeforeItStarts);
        }
        if self.targets.len() > TARGET_COUNT_MAX {
            return Err(SplitError::TooManyTargets);
        }
        let ids: BTreeSet<i64> = self.targets.iter().map(|target| target.service_id).collect();
        if ids.len() < self.targets.len() {
            return Err(SplitError::Twice);
        }
        if ids.contains(&self.source) {
            return Err(SplitError::GivesToItself);
        }
        match &self.method {
            Method::Fixed => return self.check_percentages(),
            Method::Metric(name) if name.trim().is_empty() => return Err(SplitError::NoMetric),
            _ => {}
        }
        if self.targets.iter().any(|target| target.percent.is_some()) {
            return Err(SplitError::PercentWithoutUse);
        }
        Ok(())
    }

    fn check_percentages(&self) -> Result<(), SplitError> {
        if self.targets.is_empty() {
            return Err(SplitError::FixedForEveryone);
        }
        let percents: Option<Vec<&BigDecimal>> = self.targets.iter().map(|target| target.percent.as_ref()).collect();
        let percents = percents.filter(|all| all.iter().all(|one| **one > BigDecimal::zero()));
        let sum: BigDecimal = percents.ok_or(SplitError::NoPercent)?.into_iter().sum();
        if (&sum - BigDecimal::from(100)).is_zero() {
            return Ok(());
        }
        Err(SplitError::NotAHundred(sum.normalized().to_plain_string()))
    }
}
