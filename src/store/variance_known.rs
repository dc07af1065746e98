//! Which days of two compared periods are known: complete, and billed by every source and billing account.

use crate::focus::{BillingPeriod, DateRange};
use crate::store::freshness::Freshness;
use crate::store::known_days::KnownDays;
use chrono::{Days, NaiveDate};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How far the bills of a comparison reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The first day that is not complete yet.
    pub end: NaiveDate,
    /// Sources and billing accounts whose bills lack days that others have.
    pub lacking: Vec<LackingBill>,
    days: Arc<KnownDays>,
}

/// A source that lacks days which others have, or a billing account of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LackingBill {
    /// The source.
    pub source_id: i64,
    /// The billing account, where it is not all of the source.
    pub account: Option<String>,
    /// Its name.
    pub name: String,
    /// The first day without it, where it is late.
    pub since: Option<NaiveDate>,
    /// Billing periods without it between others.
    pub gaps: Vec<BillingPeriod>,
}

impl LackingBill {
    // Complete days of a range without it.
    fn day_count(&self, days: DateRange) -> u32 {
        let late = self.since.and_then(|since| DateRange::new(days.start().max(since), days.end()));
        let is_before = |end: &NaiveDate| self.since.is_none_or(|since| *end <= since);
        let gaps = self.gaps.iter().map(|gap| gap.days()).filter(|gap| is_before(&gap.end()));
        let within = gaps.filter_map(|gap| DateRange::new(days.start().max(gap.start()), days.end().min(gap.end())));
        late.into_iter().chain(within).map(DateRange::day_count).sum()
    }
}

/// The bills that lack days, as the lists that `lacking_bills` of the database takes.
pub(super) struct LackingLists {
    pub source_ids: Vec<i64>,
    pub accounts: Vec<String>,
    /// Whether it is all of the source, whatever the account.
    pub is_whole: Vec<bool>,
    /// The first day without it; of one that is not late, the first day that is not complete.
    pub since: Vec<NaiveDate>,
}

impl Known {
    /// What bills say; before the first bill every day before `end` counts as known.
    pub fn of(bills: &Freshness, end: NaiveDate) -> Self {
        let end = bills.complete_to().map_or(end, |last| last + Days::new(1));
        let mut lacking: BTreeMap<(i64, Option<String>), LackingBill> = BTreeMap::new();
        let mut of = |source_id: i64, account: &Option<String>, name: &str, since, gap: Option<BillingPeriod>| {
            let bill = lacking.entry((source_id, account.clone())).or_insert_with(|| LackingBill {
                source_id,
                account: account.clone(),
                name: name.to_owned(),
                since: None,
                gaps: Vec::new(),
            });
            bill.since = bill.since.or(since);
            bill.gaps.extend(gap);
        };
        for late in bills.late() {
            let since = late.complete_to + Days::new(1);
            if since < end {
                of(late.source_id, &late.account, &late.name, Some(since), None);
            }
        }
        for gap in bills.known.gaps() {
            of(gap.source_id, &gap.account, &gap.name, None, Some(gap.period));
        }
        let mut lacking: Vec<LackingBill> = lacking.into_values().collect();
        inherit(&mut lacking);
        Self { end, lacking, days: bills.known_own.clone() }
    }

    /// The complete days of a range; `None` where it has none.
    pub fn complete(&self, days: DateRange) -> Option<DateRange> {
        DateRange::new(days.start(), days.end().min(self.end))
    }

    /// Days of a range that are not complete yet.
    pub fn to_come(&self, days: DateRange) -> u32 {
        days.day_count() - self.complete(days).map_or(0, DateRange::day_count)
    }

    /// The bill of a line that lacks days, by its place from 1 on.
    pub fn lacking_bill(&self, place: i64) -> Option<&LackingBill> {
        self.lacking.get(usize::try_from(place).ok()?.checked_sub(1)?)
    }

    /// Complete days of a range that the bill of a line lacks.
    pub fn lacking_days(&self, place: Option<i64>, days: DateRange) -> u32 {
        let bill = place.and_then(|place| self.lacking_bill(place));
        bill.zip(self.complete(days)).map_or(0, |(bill, days)| bill.day_count(days))
    }

    /// Days of a range on which everything that bills a service in this currency is known.
    pub fn known_of(&self, service_id: i64, currency: &str, days: DateRange) -> u32 {
        self.known_from(days.start(), (service_id, currency), days)
    }

    /// Those of them that lie after `day`.
    pub fn known_after(&self, day: NaiveDate, service_id: i64, currency: &str, days: DateRange) -> u32 {
        self.known_from(day + Days::new(1), (service_id, currency), days)
    }

    /// Whether a day is one of a range on which everything that bills a service in this currency is known.
    pub fn is_known_on(&self, day: NaiveDate, service_id: i64, currency: &str, days: DateRange) -> bool {
        days.start() <= day && day < days.end().min(self.end) && self.days.is_known(service_id, currency, day)
    }

    fn known_from(&self, first: NaiveDate, (service_id, currency): (i64, &str), days: DateRange) -> u32 {
        let days = DateRange::new(days.start().max(first), days.end().min(self.end));
        days.map_or(0, |days| self.days.count(service_id, currency, days))
    }

    /// The bills that lack days, in the order of [`Self::lacking_bill`].
    pub(super) fn lists(&self) -> LackingLists {
        let all = || self.lacking.iter();
        LackingLists {
            source_ids: all().map(|bill| bill.source_id).collect(),
            accounts: all().map(|bill| bill.account.clone().unwrap_or_default()).collect(),
            is_whole: all().map(|bill| bill.account.is_none()).collect(),
            since: all().map(|bill| bill.since.unwrap_or(self.end)).collect(),
        }
    }
}

// An account lacks what its whole source lacks too.
fn inherit(lacking: &mut [LackingBill]) {
    let whole: Vec<LackingBill> = lacking.iter().filter(|bill| bill.account.is_none()).cloned().collect();
    for bill in lacking.iter_mut().filter(|bill| bill.account.is_some()) {
        if let Some(source) = whole.iter().find(|source| source.source_id == bill.source_id) {
            bill.since = bill.since.into_iter().chain(source.since).min();
            bill.gaps.extend(&source.gaps);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::bill_gaps::Gap;
    use crate::store::freshness::SourceReach;
    use chrono::DateTime;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn month(text: &str) -> BillingPeriod {
        text.parse().unwrap()
    }

    fn source(account: Option<&str>, complete_to: &str) -> SourceReach {
        SourceReach {
            source_id: 1,
            name: account.map_or("acme".into(), |account| format!("acme, account {account}")),
            account: account.map(str::to_owned),
            bills_from: day("2026-08-01"),
            complete_to: day(complete_to),
            last_charge_date: day(complete_to),
            read_at: DateTime::UNIX_EPOCH,
            is_daily: true,
            settles_after_days: None,
            has_rhythm: true,
        }
    }

    fn gap(account: Option<&str>, period: &str) -> Gap {
        Gap {
            source_id: 1,
            name: "acme".into(),
            account: account.map(str::to_owned),
            period: month(period),
            beside: [month(period).previous(), month(period).next()],
            is_daily: true,
            services: vec![(7, None)],
            material: vec![(7, "USD".into())],
            material_own: vec![(7, "USD".into())],
        }
    }

    /// Account B has no bill since November, the source none for September; B makes a small part of all.
    #[test]
    fn a_late_account_and_gaps_lack_days_each_for_its_own_lines() {
        let gaps = vec![gap(None, "2026-09"), gap(Some("C"), "2026-10")];
        let bills = Freshness {
            sources: vec![source(None, "2026-11-19")],
            late_accounts: vec![source(Some("B"), "2026-10-31")],
            known: Arc::new(KnownDays::new(BTreeMap::new(), gaps.clone())),
            known_own: Arc::new(KnownDays::new(BTreeMap::new(), gaps)),
            ..Freshness::default()
        };
        let known = Known::of(&bills, day("2026-12-01"));
        assert_eq!(known.end, day("2026-11-20"));
        let accounts: Vec<Option<&str>> = known.lacking.iter().map(|bill| bill.account.as_deref()).collect();
        assert_eq!(accounts, [None, Some("B"), Some("C")]);
        let days = ["2026-09", "2026-10", "2026-11"].map(|text| month(text).days());
        let lacking = |place| days.map(|days| known.lacking_days(place, days));
        assert_eq!(lacking(Some(1)), [30, 0, 0]);
        assert_eq!(lacking(Some(2)), [30, 0, 19], "complete days only");
        assert_eq!(lacking(Some(3)), [30, 31, 0]);
        assert_eq!((lacking(None), lacking(Some(4))), ([0, 0, 0], [0, 0, 0]));
        let lists = known.lists();
        assert_eq!(
            (lists.accounts, lists.is_whole),
            (["", "B", "C"].map(str::to_owned).to_vec(), vec![true, false, false])
        );
        assert_eq!(lists.since, [known.end, day("2026-11-01"), known.end]);
        assert_eq!(days.map(|days| known.known_of(7, "USD", days)), [0, 0, 19]);
        assert_eq!(known.known_after(day("2026-11-10"), 7, "USD", days[2]), 9);
        let is_known = |text, month| known.is_known_on(day(text), 7, "USD", month);
        assert!(is_known("2026-11-19", days[2]) && !is_known("2026-11-20", days[2]), "complete days only");
        assert!(!is_known("2026-11-19", days[1]) && !is_known("2026-09-30", days[0]), "of the range, and billed");
    }
}
