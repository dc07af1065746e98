//! What the estimate is made from: the days of one service in one environment, and what is known to have happened.

use super::SETTLED_DAYS;
use chrono::{Days, NaiveDate};

/// Days before a release whose cost tells what it was: without one of them a change may have come before the release.
const DAYS_BEFORE: u64 = 7;

/// The days of one service in one environment, in one currency.
///
/// All series start on `first_day` and are as long as `cost`; an entry a day, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The day of the first entry of every series.
    pub first_day: NaiveDate,
    /// Usage cost a day (charge category Usage, one cost column) in units of the currency. `None` is a day without a
    /// figure; a day that cost nothing is `Some(0.0)`.
    pub cost: Vec<Option<f64>>,
    /// The last day on which the bills are complete. Later entries of `cost` are looked at by no estimate.
    pub complete_to: NaiveDate,
    /// Requests, orders, runs or jobs a day, where they are known. `None` within is a day without a figure.
    pub traffic: Option<Vec<Option<f64>>>,
    /// How the other services moved, as logarithms.
    pub siblings: Option<Siblings>,
    /// Running replicas or machines a day (mean of the day), where they are known.
    pub replicas: Option<Vec<Option<f64>>>,
    /// Every day on which something of this service was released to this environment, in any order. A rollback is a
    /// release too.
    pub releases: Vec<ReleaseDay>,
    /// Changes of price or commitment that may concern this service.
    pub price_events: Vec<PriceEvent>,
    /// What else is known to have happened.
    pub notes: Vec<Note>,
}

/// Logarithms of what the other services did, an entry for each day of the history; only movements count, no levels.
#[derive(Debug, Clone, PartialEq)]
pub struct Siblings {
    /// Trimmed mean over the other services of log cost about its median.
    pub cost: Vec<f64>,
    /// The same of log traffic; empty where fewer than two of them have any.
    pub traffic: Vec<f64>,
}

/// What was released on one day: one unit, since bills know only days.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseDay {
    /// The day (UTC) on which it reached the environment.
    pub day: NaiveDate,
    /// The deployments of that day, by id.
    pub deployment_ids: Vec<i64>,
    /// The share of that day that lay before the release, 0 to 1, where an hour is known; else half of it is assumed. Of
    /// what such a day usually costs, where hours of the bill tell that, else of the clock.
    pub share_before: Option<f64>,
    /// The day on which its rollout began, where that is an earlier one: the first of several, and of the last
    /// [`super::ROLLOUT_DAYS_MAX`] days at most.
    pub rollout_from: Option<NaiveDate>,
}

/// A change of price or commitment.
#[derive(Debug, Clone, PartialEq)]
pub struct PriceEvent {
    /// The first day on which it counts.
    pub day: NaiveDate,
    /// Which of them it is.
    pub kind: PriceEventKind,
    /// By how much this service's cost is expected to change, where that is known or was learnt from other services.
    pub size: Option<KnownSize>,
}

/// Kinds of price events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PriceEventKind {
    /// A list or contracted price changed.
    PriceChange,
    /// A commitment began.
    CommitmentStart,
    /// A commitment ended.
    CommitmentEnd,
}

/// A relative change and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KnownSize {
    /// Natural logarithm of cost after ÷ cost before: -0.105 is 10 % less.
    pub log_ratio: f64,
    /// Standard deviation of `log_ratio`.
    pub log_ratio_sd: f64,
}

/// Something that happened to the service or its bill and is no release.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// The day on which it began.
    pub day: NaiveDate,
    /// The last day of it, where it has one: launches do.
    pub last_day: Option<NaiveDate>,
    /// What it was.
    pub kind: NoteKind,
    /// What it moved, in units of the currency a day, where that is known (the credit's own amount; of a rule or a tag
    /// the mean over the week from its day on).
    pub amount_per_day: Option<f64>,
}

/// Kinds of notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// A launch or campaign: what it moved is estimated beside the release.
    Launch,
    /// A credit, refund or fee on the bill.
    CreditOrFee,
    /// An allocation rule or split changed what belongs to this service.
    AllocationRule,
    /// Resources got other tags, and with them another service.
    Retagging,
}

impl NoteKind {
    /// Whether it gave the service cost of another, or another its cost, from its day on.
    pub fn moves_cost(self) -> bool {
        matches!(self, Self::AllocationRule | Self::Retagging)
    }
}

impl History {
    /// The index of a day in the series, where it lies in them.
    pub fn index_of(&self, day: NaiveDate) -> Option<usize> {
        let days = (day - self.first_day).num_days();
        usize::try_from(days).ok().filter(|index| *index < self.cost.len())
    }

    /// The day of an entry.
    pub fn day_at(&self, index: usize) -> NaiveDate {
        self.first_day + Days::new(index as u64)
    }

    /// Whether a bill is missing of the days that an answer about releases on these days rests on: the week before the
    /// first of them began, and the complete ones of those asked. After its first figure a history lacks only days that
    /// are not known.
    pub fn lacks_bill(&self, days: &[NaiveDate]) -> bool {
        let began = days.iter().map(|day| self.began(*day)).min();
        let (Some(first), Some(last)) = (began, days.last()) else { return false };
        let asked = first - Days::new(DAYS_BEFORE)..=self.complete_to.min(*last + Days::new(u64::from(SETTLED_DAYS)));
        let begins = self.cost.iter().position(Option::is_some).unwrap_or(self.cost.len());
        let later = self.cost.iter().enumerate().skip(begins);
        later.filter(|(_, cost)| cost.is_none()).any(|(index, _)| asked.contains(&self.day_at(index)))
    }

    /// The deployments of a day.
    pub(super) fn deployments_of(&self, day: NaiveDate) -> Vec<i64> {
        self.releases
            .iter()
            .filter(|release| release.day == day)
            .flat_map(|release| release.deployment_ids.clone())
            .collect()
    }
}
