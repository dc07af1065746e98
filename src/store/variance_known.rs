//! Which days of two compared periods are known: complete, and billed by every source.

use crate::focus::DateRange;
use crate::store::freshness::Freshness;
use chrono::{Days, NaiveDate};
use std::collections::BTreeMap;

/// How far the bills of a comparison reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The first day that is not complete yet.
    pub end: NaiveDate,
    /// Sources that are late, in order of names.
    pub late: Vec<LateSource>,
    /// Services of which a late source makes a material part, each with the first day without it.
    pub missing_since: BTreeMap<i64, NaiveDate>,
}

/// A source that lacks days which others have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateSource {
    /// The source.
    pub source_id: i64,
    /// Its name.
    pub name: String,
    /// The first day without it.
    pub since: NaiveDate,
}

impl Known {
    /// What bills say; before the first bill every day before `end` counts as known.
    pub fn of(bills: &Freshness, end: NaiveDate) -> Self {
        let end = bills.complete_to().map_or(end, |last| last + Days::new(1));
        // Lines are told apart by source only: of one of which a billing account is late, the others are there.
        let late = bills.late().filter(|source| source.account.is_none()).map(|source| LateSource {
            source_id: source.source_id,
            name: source.name.clone(),
            since: source.complete_to + Days::new(1),
        });
        Self { end, late: late.filter(|late| late.since < end).collect(), missing_since: bills.missing_since() }
    }

    /// The complete days of a range; `None` where it has none.
    pub fn complete(&self, days: DateRange) -> Option<DateRange> {
        DateRange::new(days.start(), days.end().min(self.end))
    }

    /// Days of a range that are not complete yet.
    pub fn to_come(&self, days: DateRange) -> u32 {
        days.day_count() - self.complete(days).map_or(0, DateRange::day_count)
    }

    /// Complete days of a range on which this source is missing.
    pub fn lacking(&self, source_id: i64, days: DateRange) -> u32 {
        let since = self.late.iter().find(|late| late.source_id == source_id).map(|late| late.since);
        let Some((since, days)) = since.zip(self.complete(days)) else { return 0 };
        DateRange::new(days.start().max(since), days.end()).map_or(0, DateRange::day_count)
    }

    /// Days of a range on which everything that bills a service is known.
    pub fn known_of(&self, service_id: i64, days: DateRange) -> u32 {
        self.known_from(days.start(), service_id, days)
    }

    /// Those of them that lie after `day`.
    pub fn known_after(&self, day: NaiveDate, service_id: i64, days: DateRange) -> u32 {
        self.known_from(day + Days::new(1), service_id, days)
    }

    fn known_from(&self, first: NaiveDate, service_id: i64, days: DateRange) -> u32 {
        let end = self.missing_since.get(&service_id).map_or(self.end, |since| self.end.min(*since));
        DateRange::new(days.start().max(first), days.end().min(end)).map_or(0, DateRange::day_count)
    }

    /// The late sources as two lists of a query.
    pub(super) fn late_sources(&self) -> (Vec<i64>, Vec<NaiveDate>) {
        self.late.iter().map(|late| (late.source_id, late.since)).unzip()
    }
}
