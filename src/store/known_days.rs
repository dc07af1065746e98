//! Which days of which service the bills tell: effects, anomalies, forecasts and causes take no other day for known. A
//! day without a figure is a day without cost only where it is known.

use super::bill_gaps::Gap;
use crate::focus::{BillingPeriod, DateRange};
use chrono::{Days, NaiveDate};
use std::collections::{BTreeMap, BTreeSet};

/// A day by service and FOCUS BillingCurrency: a source that is late in one currency leaves those of another known.
pub type MissingSince = BTreeMap<i64, BTreeMap<String, NaiveDate>>;

/// The days that lack a bill which makes a material part of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownDays {
    /// The first complete day without a late source or billing account.
    missing_since: MissingSince,
    /// Billing periods without a bill between others, by service and FOCUS BillingCurrency.
    without_bill: BTreeMap<i64, BTreeMap<String, BTreeSet<BillingPeriod>>>,
    /// All billing periods that lack a bill, whatever it makes of a service.
    gaps: Vec<Gap>,
}

impl KnownDays {
    /// What late sources and gaps leave.
    pub fn new(missing_since: MissingSince, gaps: Vec<Gap>) -> Self {
        let mut without_bill: BTreeMap<i64, BTreeMap<String, BTreeSet<BillingPeriod>>> = BTreeMap::new();
        for gap in gaps.iter().filter(|gap| gap.is_daily) {
            for (service_id, currency) in &gap.material {
                let of_service = without_bill.entry(*service_id).or_default();
                of_service.entry(currency.clone()).or_default().insert(gap.period);
            }
        }
        Self { missing_since, without_bill, gaps }
    }

    /// The first complete day without a late source that makes a material part of this service in this currency.
    pub fn missing_since(&self, service_id: i64, currency: &str) -> Option<NaiveDate> {
        self.missing_since.get(&service_id)?.get(currency).copied()
    }

    /// All billing periods that lack a bill.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Whether everything that bills this service in this currency tells of this day, which lies in the reach of bills:
    /// what [`has_bill`](super::freshness::Freshness::has_bill) asks is another thing.
    pub fn is_known(&self, service_id: i64, currency: &str, day: NaiveDate) -> bool {
        let is_missing = self.missing_since(service_id, currency).is_some_and(|since| since <= day);
        let gaps = self.gaps_of(service_id, currency);
        !is_missing && gaps.is_none_or(|gaps| !gaps.contains(&BillingPeriod::containing(day)))
    }

    fn gaps_of(&self, service_id: i64, currency: &str) -> Option<&BTreeSet<BillingPeriod>> {
        self.without_bill.get(&service_id)?.get(currency)
    }

    /// The first billing period without a bill of this service in this currency that holds one of these days.
    pub fn first_gap(&self, service_id: i64, currency: &str, days: DateRange) -> Option<BillingPeriod> {
        let gaps = self.gaps_of(service_id, currency)?;
        gaps.range(BillingPeriod::containing(days.start())..=BillingPeriod::containing(days.last_day())).next().copied()
    }

    /// How many of these days are known.
    pub fn count(&self, service_id: i64, currency: &str, days: DateRange) -> u32 {
        let all = days.start().iter_days().take_while(|day| *day < days.end());
        u32::try_from(all.filter(|day| self.is_known(service_id, currency, *day)).count()).unwrap_or(u32::MAX)
    }

    /// Takes the figures of days that are not known out of a series of this service in this currency, whose first entry is
    /// of this day.
    pub fn blank(&self, service_id: i64, currency: &str, first_day: NaiveDate, figures: &mut [Option<f64>]) {
        if !self.missing_since.contains_key(&service_id) && !self.without_bill.contains_key(&service_id) {
            return;
        }
        for (place, figure) in figures.iter_mut().enumerate() {
            if !self.is_known(service_id, currency, first_day + Days::new(place as u64)) {
                *figure = None;
            }
        }
    }
}

/// The days that lack a bill which makes a material part of some services together, as
/// [`Freshness::lacking`](super::freshness::Freshness::lacking) weighs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lacking {
    /// The first complete day without a late source or billing account, by FOCUS BillingCurrency.
    pub missing_since: BTreeMap<String, NaiveDate>,
    /// Billing periods without a bill between others, by the same.
    pub without_bill: BTreeMap<String, BTreeSet<BillingPeriod>>,
}

impl Lacking {
    /// Whether a bill in any currency lacks on this day.
    pub fn has_any(&self, day: NaiveDate) -> bool {
        let period = BillingPeriod::containing(day);
        self.missing_since.values().any(|since| *since <= day)
            || self.without_bill.values().any(|periods| periods.contains(&period))
    }

    /// Whether a bill in this currency lacks on this day.
    pub fn has(&self, currency: &str, day: NaiveDate) -> bool {
        self.missing_since.get(currency).is_some_and(|since| *since <= day)
            || self.without_bill.get(currency).is_some_and(|gaps| gaps.contains(&BillingPeriod::containing(day)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn gap(is_daily: bool) -> Gap {
        let month = |text: &str| text.parse::<BillingPeriod>().unwrap();
        Gap {
            source_id: 1,
            name: "acme".into(),
            account: None,
            period: month("2026-10"),
            beside: [month("2026-09"), month("2026-11")],
            is_daily,
            services: vec![(7, None), (8, None)],
            material: vec![(7, "USD".into())],
            material_own: vec![(7, "USD".into())],
        }
    }

    #[test]
    fn days_of_a_gap_and_days_after_a_late_bill_are_not_known() {
        let late = BTreeMap::from([("USD".to_owned(), day("2026-11-19"))]);
        let known = KnownDays::new(BTreeMap::from([(9, late)]), vec![gap(true)]);
        let is_known = |service_id, text| known.is_known(service_id, "USD", day(text));
        assert!(is_known(7, "2026-09-30") && !is_known(7, "2026-10-01") && !is_known(7, "2026-10-31"));
        assert!(is_known(7, "2026-11-01") && is_known(8, "2026-10-15"), "of the other it is a small part");
        assert!(is_known(9, "2026-11-18") && !is_known(9, "2026-11-19"));
        assert!(known.is_known(9, "EUR", day("2026-11-19")) && known.missing_since(9, "EUR").is_none());
        let days = DateRange::new(day("2026-09-21"), day("2026-11-21")).unwrap();
        assert_eq!([7, 8, 9].map(|id| known.count(id, "USD", days)), [30, 61, 59]);
        assert_eq!(known.first_gap(7, "USD", days), Some("2026-10".parse().unwrap()));
        assert_eq!(
            (known.first_gap(8, "USD", days), known.first_gap(7, "USD", DateRange::days_to(day("2026-09-30"), 9))),
            (None, None)
        );
        assert!(known.is_known(7, "EUR", day("2026-10-15")) && known.first_gap(7, "EUR", days).is_none());
        let mut figures = vec![Some(1.0); 4];
        known.blank(7, "USD", day("2026-09-29"), &mut figures);
        assert_eq!(figures, [Some(1.0), Some(1.0), None, None]);
    }

    #[test]
    fn days_lack_a_bill_in_a_gap_and_since_one_is_late() {
        let october = BTreeSet::from(["2026-10".parse().unwrap()]);
        let without_bill = BTreeMap::from([("USD".to_owned(), october)]);
        let missing_since = BTreeMap::from([("USD".to_owned(), day("2026-11-19"))]);
        let lacking = Lacking { missing_since, without_bill };
        let days = ["2026-09-30", "2026-10-01", "2026-10-31", "2026-11-01", "2026-11-18", "2026-11-19"];
        assert_eq!(days.map(|text| lacking.has("USD", day(text))), [false, true, true, false, false, true]);
        let is_lacking_in_eur = |text: &str| lacking.has("EUR", day(text));
        assert!(!is_lacking_in_eur("2026-11-19") && !is_lacking_in_eur("2026-10-15"), "another currency is known");
        assert!(lacking.has_any(day("2026-11-19")) && !lacking.has_any(day("2026-11-18")));
        assert!(!Lacking::default().has("USD", day("2026-10-01")));
    }

    #[test]
    fn what_is_billed_on_one_day_leaves_the_others_known() {
        let known = KnownDays::new(BTreeMap::new(), vec![gap(false)]);
        assert!(known.is_known(7, "USD", day("2026-10-15")));
        assert_eq!(known.gaps().len(), 1);
    }
}
