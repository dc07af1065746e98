//! The plain comparison around a deployment: average cost a day before and after. Not an estimate: nothing is
//! said of causes, and nothing of days that are not complete.

use crate::analyze::impact;
use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use chrono::{DateTime, Days, NaiveDate, Utc};
use std::collections::BTreeMap;

/// Complete days on each side in tables: a week each, so that both have the same weekdays.
pub const WEEK: u32 = 7;
/// Complete days on each side on a deployment's own page, where there are as many.
pub const FOUR_WEEKS: u32 = 28;

/// Complete days after which something is said of a deployment: the first estimate, as long as one is waited for, else
/// the plain comparison of a week. All pages that count days say the same.
pub fn days_needed(environment_kind: Option<&str>, is_noop: bool, days_after: u32) -> u32 {
    let is_estimated = !is_noop && environment_kind.is_some_and(|kind| kind != "preview");
    if is_estimated && days_after < impact::PROVISIONAL_DAYS { impact::PROVISIONAL_DAYS } else { WEEK }
}

/// The day on which a deployment began that took days until it went live: from there on its days are neither before nor
/// after, as in estimates.
pub fn rollout_from(started_at: Option<DateTime<Utc>>, live_at: DateTime<Utc>) -> Option<NaiveDate> {
    impact::rollout_from(started_at?, live_at)
}

/// The day on which it began, however long ago, where it took days until it went live.
pub fn earlier_start(started_at: Option<DateTime<Utc>>, live_at: DateTime<Utc>) -> Option<NaiveDate> {
    started_at.filter(|start| impact::took_days(*start, live_at)).map(|start| start.date_naive())
}

/// The days around a deployment; those from its start to the day on which it went live belong to neither side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Around {
    /// The day on which it began; the day of the deployment where it took no longer.
    pub began: NaiveDate,
    /// The day of the deployment.
    pub day: NaiveDate,
    /// The days before it that bills tell of; `None` where there is none.
    pub before: Option<DateRange>,
    /// The complete days after it that bills tell of; `None` while there is none.
    pub after: Option<DateRange>,
    /// How many days are wanted on each side.
    pub wanted: u32,
}

impl Around {
    /// Up to `wanted` days on each side, of which those before the first bill do not count, and of those after it none after
    /// `complete_to`: what they cost is not known. `rollout_from` is the day on which it began, where that is an earlier one.
    pub fn new(
        day: NaiveDate,
        rollout_from: Option<NaiveDate>,
        bills_from: Option<NaiveDate>,
        complete_to: NaiveDate,
        wanted: u32,
    ) -> Self {
        let began = rollout_from.map_or(day, |first| first.min(day));
        let billed = |start: NaiveDate, end| DateRange::new(bills_from.map_or(start, |first| first.max(start)), end);
        let (wanted_days, next) = (Days::new(u64::from(wanted)), day + Days::new(1));
        let end = (next + wanted_days).min(complete_to + Days::new(1));
        Self { began, day, before: billed(began - wanted_days, began), after: billed(next, end), wanted }
    }

    /// Days before the deployment that bills tell of.
    pub fn days_before(&self) -> u32 {
        self.before.map_or(0, DateRange::day_count)
    }

    /// Complete days after the deployment.
    pub fn days_after(&self) -> u32 {
        self.after.map_or(0, DateRange::day_count)
    }

    /// Everything from the first day before to the last wanted day after.
    pub fn whole(&self) -> DateRange {
        let first = self.before.map_or(self.began, DateRange::start);
        let days = (self.day - first).num_days().unsigned_abs() as u32 + 1 + self.wanted;
        DateRange::days_to(self.day + Days::new(u64::from(self.wanted)), days)
    }

    /// The same, but no further than today: of what happened nothing is later.
    pub fn until(&self, today: NaiveDate) -> DateRange {
        let whole = self.whole();
        DateRange::new(whole.start(), whole.end().min(today + Days::new(1))).unwrap_or(whole)
    }

    /// Whether it took days, which are on neither side.
    pub fn has_rollout(&self) -> bool {
        self.began < self.day
    }

    /// "9 days before against 28 after".
    pub fn days_label(&self) -> String {
        format!("{} days before against {} after", self.days_before(), self.days_after())
    }
}

/// Average cost a day on both sides, by currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Averages {
    before: BTreeMap<String, BigDecimal>,
    after: BTreeMap<String, BigDecimal>,
    /// Rows behind each currency, for their order.
    counts: BTreeMap<String, usize>,
}

/// The average before and after, in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Average {
    /// `BillingCurrency`.
    pub currency: String,
    /// A day, before.
    pub before: BigDecimal,
    /// A day, after.
    pub after: BigDecimal,
}

impl Averages {
    /// Averages over the days of both sides; a day without a charge counts as zero.
    pub fn over<'a>(around: &Around, costs: impl Iterator<Item = (NaiveDate, &'a str, &'a BigDecimal)>) -> Self {
        let mut sums = Self::default();
        for (day, currency, cost) in costs {
            let holds = |side: Option<DateRange>| side.is_some_and(|side| side.start() <= day && day < side.end());
            let side = if holds(around.before) {
                &mut sums.before
            } else if holds(around.after) {
                &mut sums.after
            } else {
                continue;
            };
            *side.entry(currency.to_owned()).or_default() += cost;
            *sums.counts.entry(currency.to_owned()).or_default() += 1;
        }
        for (side, days) in [(&mut sums.before, around.days_before()), (&mut sums.after, around.days_after())] {
            for sum in side.values_mut() {
                *sum = average(sum, days);
            }
        }
        sums
    }

    /// One row a currency that has cost on either side, the one with most rows first.
    pub fn rows(&self) -> Vec<Average> {
        let mut currencies: Vec<&String> = self.counts.keys().collect();
        let size = |side: &BTreeMap<String, BigDecimal>, currency: &String| {
            side.get(currency).map(BigDecimal::abs).unwrap_or_default()
        };
        // The larger number only decides the order; amounts of two currencies are never compared otherwise.
        currencies.sort_by_key(|currency| {
            let size = size(&self.before, currency) + size(&self.after, currency);
            (std::cmp::Reverse((self.counts[*currency], size)), *currency)
        });
        let value =
            |side: &BTreeMap<String, BigDecimal>, currency: &String| side.get(currency).cloned().unwrap_or_default();
        let row = |currency: &String| Average {
            currency: currency.clone(),
            before: value(&self.before, currency),
            after: value(&self.after, currency),
        };
        currencies.into_iter().map(row).collect()
    }
}

/// A sum over a number of days, to twenty digits; zero over no day.
pub fn average(sum: &BigDecimal, day_count: u32) -> BigDecimal {
    if day_count == 0 { BigDecimal::default() } else { sum.with_prec(20) / BigDecimal::from(day_count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_to_an_estimate_where_one_will_be_made() {
        let needed = days_needed;
        assert_eq!((needed(Some("production"), false, 0), needed(Some("staging"), false, 2)), (3, 3));
        assert_eq!(needed(Some("production"), false, 3), 7, "of the comparison, until the estimate is worked in");
        assert_eq!([needed(Some("preview"), false, 0), needed(None, false, 0)], [7, 7]);
        assert_eq!(needed(Some("production"), true, 0), 7, "the same version once more has no estimate");
    }

    #[test]
    fn the_day_itself_and_incomplete_days_count_on_neither_side() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let around = Around::new(day("2026-11-10"), None, Some(day("2026-10-01")), day("2026-11-13"), WEEK);
        assert_eq!(around.days_after(), 3);
        let one = BigDecimal::from(7);
        let costs = ["2026-11-02", "2026-11-03", "2026-11-09", "2026-11-10", "2026-11-11", "2026-11-14"];
        let days: Vec<NaiveDate> = costs.iter().map(|text| day(text)).collect();
        let averages = Averages::over(&around, days.iter().map(|day| (*day, "USD", &one)));
        let rows = averages.rows();
        assert_eq!(rows[0].before, BigDecimal::from(2));
        assert_eq!(
            rows[0].after.with_scale_round(2, bigdecimal::RoundingMode::HalfUp),
            "2.33".parse::<BigDecimal>().unwrap()
        );
    }

    #[test]
    fn days_of_a_rollout_count_on_neither_side() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let (began, live) = (day("2026-11-07"), day("2026-11-10"));
        let around = Around::new(live, Some(began), Some(day("2026-10-01")), day("2026-11-20"), WEEK);
        assert_eq!((around.days_before(), around.days_after(), around.has_rollout()), (7, 7, true));
        assert_eq!((around.whole().start(), around.whole().last_day()), (day("2026-10-31"), day("2026-11-17")));
        let cost = |one: NaiveDate| BigDecimal::from(if one < began { 10 } else { 16 });
        let days: Vec<(NaiveDate, BigDecimal)> = around.whole().days().map(|day| (day, cost(day))).collect();
        let rows = Averages::over(&around, days.iter().map(|(day, cost)| (*day, "USD", cost))).rows();
        assert_eq!((&rows[0].before, &rows[0].after), (&BigDecimal::from(10), &BigDecimal::from(16)));
    }

    #[test]
    fn what_only_went_over_midnight_took_no_days() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let live = at("2026-11-20T00:05:00Z");
        let days = |start: Option<DateTime<Utc>>| (rollout_from(start, live), earlier_start(start, live));
        assert_eq!(days(None), (None, None));
        assert_eq!(days(Some(at("2026-11-19T23:55:00Z"))), (None, None));
        let day = |text: &str| text.parse::<NaiveDate>().ok();
        assert_eq!(days(Some(at("2026-11-19T09:00:00Z"))), (day("2026-11-19"), day("2026-11-19")));
        assert_eq!(days(Some(at("2026-10-01T09:00:00Z"))), (day("2026-11-06"), day("2026-10-01")));
    }

    #[test]
    fn days_before_the_first_bill_are_no_days_without_cost() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let around = Around::new(day("2026-10-10"), None, Some(day("2026-10-01")), day("2026-11-20"), FOUR_WEEKS);
        assert_eq!((around.days_label().as_str(), around.wanted), ("9 days before against 28 after", 28));
        assert_eq!((around.whole().start(), around.whole().last_day()), (day("2026-10-01"), day("2026-11-07")));
        let until = |today: &str| around.until(day(today));
        assert_eq!(
            (until("2026-10-20").start(), until("2026-10-20").last_day()),
            (day("2026-10-01"), day("2026-10-20"))
        );
        assert_eq!(until("2026-12-01"), around.whole(), "long ago, nothing is cut");
        let cost = BigDecimal::from(1000);
        let days: Vec<NaiveDate> = around.whole().days().collect();
        let rows = Averages::over(&around, days.iter().map(|day| (*day, "USD", &cost))).rows();
        assert_eq!((&rows[0].before, &rows[0].after), (&cost, &cost));
        let first = Around::new(day("2026-10-01"), None, Some(day("2026-10-01")), day("2026-11-20"), FOUR_WEEKS);
        assert_eq!((first.before, first.days_after(), first.whole().start()), (None, 28, day("2026-10-01")));
        let earlier = Around::new(day("2026-09-20"), None, Some(day("2026-10-01")), day("2026-11-20"), FOUR_WEEKS);
        assert_eq!((earlier.days_before(), earlier.days_after()), (0, 18));
    }
}
