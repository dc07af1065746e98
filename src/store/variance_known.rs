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
    /// Sources that are late, in order of names, then billing accounts that are while their source is not.
    pub late: Vec<LateSource>,
    /// Services of which a late source makes a material part, each with the first day without it.
    pub missing_since: BTreeMap<i64, NaiveDate>,
}

/// A source that lacks days which others have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateSource {
    /// The source.
    pub source_id: i64,
    /// The billing account, where it is not all of the source.
    pub account: Option<String>,
    /// Its name.
    pub name: String,
    /// The first day without it.
    pub since: NaiveDate,
}

impl Known {
    /// What bills say; before the first bill every day before `end` counts as known.
    pub fn of(bills: &Freshness, end: NaiveDate) -> Self {
        let end = bills.complete_to().map_or(end, |last| last + Days::new(1));
        let late = bills.late().map(|source| LateSource {
            source_id: source.source_id,
            account: source.account.clone(),
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

    /// Complete days of a range on which this source is missing, or this late billing account of it.
    pub fn lacking(&self, source_id: i64, late_account: Option<&str>, days: DateRange) -> u32 {
        let is_it = |late: &&LateSource| (late.source_id, late.account.as_deref()) == (source_id, late_account);
        let since = self.late.iter().find(is_it).map(|late| late.since);
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

    /// The late sources as lists of a query.
    pub(super) fn late_lists(&self) -> LateLists {
        LateLists {
            source_ids: self.late.iter().map(|late| late.source_id).collect(),
            are_accounts: self.late.iter().map(|late| late.account.is_some()).collect(),
            accounts: self.late.iter().map(|late| late.account.clone().unwrap_or_default()).collect(),
            since: self.late.iter().map(|late| late.since).collect(),
        }
    }
}

/// Late sources, a place of each list one.
pub(super) struct LateLists {
    pub(super) source_ids: Vec<i64>,
    /// Whether it is a billing account and not all of its source.
    pub(super) are_accounts: Vec<bool>,
    pub(super) accounts: Vec<String>,
    /// The first day without it.
    pub(super) since: Vec<NaiveDate>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a source of which one account is late, the others are there.
    #[test]
    fn a_late_account_lacks_its_own_days_only() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let late = |source_id, account: Option<&str>, since| LateSource {
            source_id,
            account: account.map(str::to_owned),
            name: String::new(),
            since: day(since),
        };
        let known = Known {
            end: day("2026-11-21"),
            late: vec![late(1, None, "2026-11-16"), late(2, Some("B"), "2026-11-01")],
            missing_since: BTreeMap::new(),
        };
        let november = DateRange::new(day("2026-11-01"), day("2026-12-01")).unwrap();
        let lacking = |source_id, account| known.lacking(source_id, account, november);
        assert_eq!((lacking(1, None), lacking(2, Some("B")), lacking(2, None), lacking(3, None)), (5, 20, 0, 0));
    }
}
