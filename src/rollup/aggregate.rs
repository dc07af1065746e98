//! Adds up charges by key and day while they stream by. Exact: sums that outgrow `i128` go on as big decimals.

use crate::focus::Decimal;
use rustc_hash::FxHashMap;

/// `BilledCost`, `EffectiveCost`, `ListCost`, `ContractedCost`.
pub(super) type Costs<'a> = [Option<&'a Decimal>; 4];

/// A row count, the sums of the four cost columns, and the sum of `PricingQuantity`.
#[derive(Debug, Clone)]
pub(super) struct Sums {
    pub count: i64,
    pub costs: [Decimal; 4],
    pub quantity: Decimal,
    /// Which of the costs any row had.
    is_told: [bool; 4],
}

impl Sums {
    pub const ZERO: Self = Self {
        count: 0,
        costs: [Decimal::ZERO, Decimal::ZERO, Decimal::ZERO, Decimal::ZERO],
        quantity: Decimal::ZERO,
        is_told: [false; 4],
    };

    pub fn add(&mut self, costs: &Costs<'_>) {
        self.count += 1;
        for (index, cost) in costs.iter().enumerate() {
            if let Some(cost) = cost {
                self.costs[index] += cost;
                self.is_told[index] = true;
            }
        }
    }

    /// The sum of the rows that have this cost; where it is null on all of them it is not known, which is no zero.
    pub fn told_cost(&self, index: usize) -> Option<&Decimal> {
        self.is_told[index].then(|| &self.costs[index])
    }
}

/// What a daily sum is kept by. The numbers point into the lists of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct DayKey {
    pub scope: u16,
    pub currency: u16,
    pub rollup_key: u32,
    /// Days since 1970-01-01.
    pub day: i32,
}

/// The daily sums of a load, or of the part of it since they were last set aside.
#[derive(Debug, Default)]
pub(super) struct DaySums {
    places: FxHashMap<DayKey, u32>,
    sums: Vec<(DayKey, Sums)>,
    // Consecutive rows of a bill often share their key and day.
    last: Option<(DayKey, u32)>,
}

impl DaySums {
    #[inline]
    pub fn add(&mut self, key: DayKey, costs: &Costs<'_>, quantity: Option<&Decimal>) {
        let place = match self.last {
            Some((last, place)) if last == key => place,
            _ => {
                let next = self.sums.len() as u32;
                let place = *self.places.entry(key).or_insert(next);
                if place == next {
                    self.sums.push((key, Sums::ZERO));
                }
                self.last = Some((key, place));
                place
            }
        };
        let sums = &mut self.sums[place as usize].1;
        sums.add(costs);
        if let Some(quantity) = quantity {
            sums.quantity += quantity;
        }
    }

    pub fn len(&self) -> usize {
        self.sums.len()
    }

    /// Everything so far, leaving nothing.
    pub fn take(&mut self) -> Vec<(DayKey, Sums)> {
        self.last = None;
        self.places.clear();
        std::mem::take(&mut self.sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_kept_apart_and_exact() {
        let key = |day| DayKey { scope: 0, currency: 0, rollup_key: 7, day };
        let number = |text| Decimal::parse(text).unwrap();
        let mut days = DaySums::default();
        days.add(key(1), &[Some(&number("0.1")), Some(&number("1E-30")), None, None], Some(&number("2.5")));
        days.add(key(2), &[Some(&number("5")), Some(&number("5")), None, None], None);
        let large = number("170141183460469231731687303715884105727");
        days.add(key(1), &[Some(&number("0.2")), Some(&large), None, None], Some(&number("1")));
        assert_eq!(days.len(), 2);
        let sums = days.take();
        assert_eq!(sums[0].1.costs[0].to_string(), "0.3");
        assert_eq!(
            sums[0].1.costs[1].to_string(),
            "170141183460469231731687303715884105727.000000000000000000000000000001"
        );
        assert_eq!((sums[0].1.count, sums[0].1.quantity.to_string().as_str()), (2, "3.5"));
        assert_eq!(days.len(), 0);
    }

    #[test]
    fn a_cost_that_no_row_has_is_not_zero() {
        let (one, zero) = (Decimal::parse("1.5").unwrap(), Decimal::ZERO);
        let mut sums = Sums::ZERO;
        sums.add(&[Some(&one), Some(&one), None, None]);
        sums.add(&[Some(&one), Some(&one), None, Some(&zero)]);
        let told = [0, 1, 2, 3].map(|index| sums.told_cost(index).map_or("null".to_owned(), Decimal::to_string));
        assert_eq!(told, ["3.0", "3.0", "null", "0"]);
    }
}
