//! The plain comparison around a deployment: average cost a day before and after. Not an estimate: nothing is
//! said of causes, and nothing of days that are not complete.

use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use chrono::{Days, NaiveDate};
use std::collections::BTreeMap;

/// Complete days on each side in tables: a week each, so that both have the same weekdays.
pub const WEEK: u32 = 7;
/// Complete days on each side on a deployment's own page, where there are as many.
pub const FOUR_WEEKS: u32 = 28;

/// The days around a deployment; its own day belongs to neither side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Around {
    /// The day of the deployment.
    pub day: NaiveDate,
    /// The days before it.
    pub before: DateRange,
    /// The complete days after it; `None` while there is none.
    pub after: Option<DateRange>,
    /// How many complete days are wanted after it.
    pub wanted: u32,
}

impl Around {
    /// Up to `wanted` days on each side, of which those after `complete_to` do not count.
    pub fn new(day: NaiveDate, complete_to: NaiveDate, wanted: u32) -> Self {
        let start = day + Days::new(1);
        let end = (start + Days::new(u64::from(wanted))).min(complete_to + Days::new(1));
        Self { day, before: DateRange::days_to(day - Days::new(1), wanted), after: DateRange::new(start, end), wanted }
    }

    /// Complete days after the deployment.
    pub fn days_after(&self) -> u32 {
        self.after.map_or(0, DateRange::day_count)
    }

    /// Everything from the first day before to the last wanted day after.
    pub fn whole(&self) -> DateRange {
        let last = self.day + Days::new(u64::from(self.wanted));
        DateRange::new(self.before.start(), last + Days::new(1)).unwrap_or(self.before)
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
            let side = if around.before.start() <= day && day < around.before.end() {
                &mut sums.before
            } else if around.after.is_some_and(|after| after.start() <= day && day < after.end()) {
                &mut sums.after
            } else {
                continue;
            };
            *side.entry(currency.to_owned()).or_default() += cost;
            *sums.counts.entry(currency.to_owned()).or_default() += 1;
        }
        for (side, days) in [(&mut sums.before, around.before.day_count()), (&mut sums.after, around.days_after())] {
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
    fn the_day_itself_and_incomplete_days_count_on_neither_side() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let around = Around::new(day("2026-11-10"), day("2026-11-13"), WEEK);
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
}
