//! What one unit costs: cost over usage, of those days only for which both are known.

use crate::focus::DateRange;
use bigdecimal::{BigDecimal, Zero};
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// Cost and usage of the same days. Kept apart and exact: whoever shows the quotient rounds it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitCost {
    /// What the days cost, in the currency of the costs that were given.
    pub cost: BigDecimal,
    /// What was used on them, in the metric's unit.
    pub usage: BigDecimal,
    /// How many days that are.
    pub day_count: usize,
    /// Days of the range whose usage, or part of whose cost, is not known: neither their cost is counted.
    pub unknown_days: Vec<NaiveDate>,
}

impl UnitCost {
    /// Of the days of a range. Bills are complete for them, so that a day without cost cost nothing; a day without usage
    /// is not known.
    pub fn of(
        days: DateRange,
        costs: &BTreeMap<NaiveDate, BigDecimal>,
        usage: &BTreeMap<NaiveDate, BigDecimal>,
    ) -> Self {
        let mut all = Self::default();
        for day in days.days() {
            let Some(used) = usage.get(&day) else {
                all.unknown_days.push(day);
                continue;
            };
            all.day_count += 1;
            all.usage += used;
            if let Some(cost) = costs.get(&day) {
                all.cost += cost;
            }
        }
        all
    }

    /// The cost of so many units; none where nothing was used or nothing is known.
    pub fn per(&self, units: i32) -> Option<BigDecimal> {
        (!self.usage.is_zero()).then(|| &self.cost * BigDecimal::from(units) / &self.usage)
    }
}

/// Usage of the days whose bills are all there (`is_billed`): a day without the bill of a late source, or within a gap of
/// one, has no unit cost, since part of its cost is not known, nor has one that no bill tells of at all.
pub fn billed(
    mut usage: BTreeMap<NaiveDate, BigDecimal>,
    is_billed: impl Fn(NaiveDate) -> bool,
) -> BTreeMap<NaiveDate, BigDecimal> {
    usage.retain(|day, _| is_billed(*day));
    usage
}

/// Days in a row, written as first and last.
pub fn runs(days: &[NaiveDate]) -> Vec<(NaiveDate, NaiveDate)> {
    let mut runs: Vec<(NaiveDate, NaiveDate)> = Vec::new();
    for day in days {
        match runs.last_mut() {
            Some((_, last)) if last.succ_opt() == Some(*day) => *last = *day,
            _ => runs.push((*day, *day)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 10, number).unwrap()
    }

    fn values(pairs: &[(u32, &str)]) -> BTreeMap<NaiveDate, BigDecimal> {
        pairs.iter().map(|(number, value)| (day(*number), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_day_without_usage_takes_its_cost_with_it_and_one_without_cost_was_free() {
        let days = DateRange::new(day(1), day(5)).unwrap();
        let costs = values(&[(1, "10"), (2, "20"), (3, "99")]);
        let usage = values(&[(1, "1000"), (2, "2000"), (4, "3000")]);
        let unit = UnitCost::of(days, &costs, &usage);
        assert_eq!((unit.cost.clone(), unit.usage.clone(), unit.day_count), (30.into(), 6000.into(), 3));
        assert_eq!(unit.unknown_days, [day(3)]);
        assert_eq!(unit.per(1000), Some(5.into()));
    }

    #[test]
    fn nothing_used_and_nothing_known_have_no_unit_cost() {
        let days = DateRange::new(day(1), day(3)).unwrap();
        let costs = values(&[(1, "10")]);
        assert_eq!(UnitCost::of(days, &costs, &values(&[(1, "0"), (2, "0")])).per(1000), None);
        assert_eq!(UnitCost::of(days, &costs, &values(&[])).per(1000), None);
    }

    #[test]
    fn a_day_without_a_bill_is_not_known_although_its_usage_is() {
        let days = DateRange::new(day(1), day(5)).unwrap();
        let costs = values(&[(1, "10"), (2, "10")]);
        let used = values(&[(1, "1000"), (2, "1000"), (3, "1000"), (4, "1000")]);
        let unit = UnitCost::of(days, &costs, &billed(used.clone(), |one| one < day(3)));
        assert_eq!((unit.per(1000), unit.unknown_days), (Some(10.into()), vec![day(3), day(4)]));
        let unit = UnitCost::of(days, &costs, &billed(used.clone(), |one| one >= day(2) && one < day(3)));
        assert_eq!((unit.per(1000), unit.unknown_days), (Some(10.into()), vec![day(1), day(3), day(4)]));
        // No bill between others: what these days cost is no zero.
        let costs = values(&[(1, "10"), (4, "10")]);
        let unit = UnitCost::of(days, &costs, &billed(used, |one| one == day(1) || one == day(4)));
        assert_eq!((unit.per(1000), unit.unknown_days), (Some(10.into()), vec![day(2), day(3)]));
    }

    #[test]
    fn days_in_a_row_are_one() {
        let found = runs(&[day(1), day(2), day(4), day(6), day(7)]);
        assert_eq!(found, [(day(1), day(2)), (day(4), day(4)), (day(6), day(7))]);
    }

    proptest! {
        /// The quotient times the usage is the cost, to far more digits than a page shows.
        #[test]
        fn the_quotient_is_exact_as_far_as_digits_go(cost in 0u64..u64::MAX, usage in 1u64..u64::MAX) {
            let days = DateRange::new(day(1), day(2)).unwrap();
            let one = |value: u64| BTreeMap::from([(day(1), BigDecimal::from(value))]);
            let unit = UnitCost::of(days, &one(cost), &one(usage));
            let back = unit.per(1).unwrap() * BigDecimal::from(usage);
            let difference = (back - BigDecimal::from(cost)).abs();
            prop_assert!(difference < "1e-40".parse::<BigDecimal>().unwrap());
        }
    }
}
