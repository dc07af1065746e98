//! Shared costs as the oracle sees them: a source's cost of a day goes to others, to the last digit, or stays.

use super::{Cell, NOBODY, Oracle, Place, Sums};
use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::BigInt;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A split that comes and goes. Each stands after those that bring cost to its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    /// What nobody has goes to "search" and "billing" in fixed parts, from a day on.
    Nobody,
    /// What "billing" costs goes to all in proportion to their own EffectiveCost of the day.
    Billing,
    /// What "search" costs goes to all who have cost in the same environment on the day, up to a day.
    Search,
}

/// The first charge day of [`Split::Nobody`], and the last one of [`Split::Search`]: on one day both hold.
const DAY_OF_BOTH: &str = "2026-10-02";
/// Shares are counted at the amount's own decimal places, and at no fewer than these.
const PLACES_MIN: i64 = 10;
/// As many decimal places as any cost of the model has.
const WEIGHT_PLACES: i64 = 20;

impl Split {
    pub const ALL: [Self; 3] = [Self::Nobody, Self::Billing, Self::Search];

    /// The split as the API is told it.
    pub fn told(self) -> Value {
        let mut told = match self {
            Self::Nobody => json!({
                "method": "fixed",
                "targets": [{ "service": "search", "percent": "37.5" }, { "service": "billing", "percent": "62.5" }],
                "first_day": DAY_OF_BOTH,
            }),
            Self::Billing => json!({ "source": "billing", "method": "direct-cost" }),
            Self::Search => json!({
                "source": "search",
                "method": "even",
                "by_environment": true,
                "last_day": DAY_OF_BOTH,
            }),
        };
        told["name"] = json!(self.name());
        told["reason"] = json!("The model wants it.");
        told
    }

    fn name(self) -> &'static str {
        match self {
            Self::Nobody => "Of nobody",
            Self::Billing => "Of billing",
            Self::Search => "Of search",
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::Nobody => NOBODY,
            Self::Billing => "billing",
            Self::Search => "search",
        }
    }

    fn holds_on(self, day: &str) -> bool {
        match self {
            Self::Nobody => day >= DAY_OF_BOTH,
            Self::Billing => true,
            Self::Search => day <= DAY_OF_BOTH,
        }
    }

    // What its source has of its own, and what the splits before it brought there. A share of nothing lends the sum
    // none of its decimal places: so values are added, and not references, which would lend them.
    fn pool(self, own: &BTreeMap<Cell, Sums>, shared: &BTreeMap<Cell, Sums>) -> BTreeMap<Place, [BigDecimal; 4]> {
        let mut pool: BTreeMap<Place, [BigDecimal; 4]> = BTreeMap::new();
        for (cell, (_, costs)) in own.iter().chain(shared) {
            if cell.service == self.source() && self.holds_on(&cell.place.day) {
                for (sum, cost) in pool.entry(cell.place.clone()).or_default().iter_mut().zip(costs) {
                    *sum += cost.clone();
                }
            }
        }
        pool
    }

    // Who gets a share of the cost of a place, and in which proportion: nobody where there is nothing to divide by. Of
    // equal remainders the older service of the catalogue gets one; "shop" is the youngest here, so that the alphabet
    // says the same of any that get shares together.
    fn weights(
        self,
        place: &Place,
        own: &BTreeMap<Cell, Sums>,
        divided: &BTreeSet<&'static str>,
    ) -> Vec<(String, BigDecimal)> {
        if self == Self::Nobody {
            return vec![("search".to_owned(), BigDecimal::from(375)), ("billing".to_owned(), BigDecimal::from(625))];
        }
        // Who has cost in an environment has it in whatever currency; what cost is divided by is of its own.
        let is_there = |one: &Place| {
            let is_same = if self == Self::Search {
                one.environment == place.environment
            } else {
                one.currency == place.currency
            };
            one.day == place.day && is_same
        };
        let mut costs: BTreeMap<(String, String), BigDecimal> = BTreeMap::new();
        for (cell, sums) in own.iter().filter(|(cell, _)| is_there(&cell.place)) {
            if cell.service != NOBODY && !divided.contains(cell.service.as_str()) {
                *costs.entry((cell.service.clone(), cell.place.currency.clone())).or_default() += &sums.1[1];
            }
        }
        costs.retain(|_, cost| *cost > BigDecimal::default());
        let weight = |cost: BigDecimal| if self == Self::Search { BigDecimal::from(1) } else { cost };
        let weights: BTreeMap<String, BigDecimal> =
            costs.into_iter().map(|((service, _), cost)| (service, weight(cost))).collect();
        weights.into_iter().collect()
    }
}

impl Oracle {
    /// Adds a split, or takes it away where it is there.
    pub fn change_split(&mut self, split: Split) {
        if !self.splits.remove(&split) {
            self.splits.insert(split);
        }
    }

    /// What splits make of own cost: the shares, and an exact negative at the source.
    pub(super) fn shared(&self, own: &BTreeMap<Cell, Sums>) -> BTreeMap<Cell, Sums> {
        let mut shared: BTreeMap<Cell, Sums> = BTreeMap::new();
        // In the order in which they are listed, which is the one in which they feed each other.
        for split in self.splits.iter().copied() {
            for (place, costs) in split.pool(own, &shared) {
                let holding = self.splits.iter().filter(|one| one.holds_on(&place.day));
                let divided: BTreeSet<&'static str> = holding.map(|one| one.source()).collect();
                let (services, weights): (Vec<String>, Vec<BigDecimal>) =
                    split.weights(&place, own, &divided).into_iter().unzip();
                let cell =
                    |service: &str| Cell { split: split.name(), service: service.to_owned(), place: place.clone() };
                for (column, cost) in costs.iter().enumerate() {
                    for (service, share) in services.iter().zip(shares(cost, &weights)) {
                        shared.entry(cell(split.source())).or_default().1[column] -= share.clone();
                        shared.entry(cell(service)).or_default().1[column] += share;
                    }
                }
            }
        }
        shared.retain(|_, sums| *sums != Sums::default());
        shared
    }
}

// Exact: in whole units of the last place, of which what is left over goes to the largest remainders, of equal ones to
// the first.
fn shares(cost: &BigDecimal, weights: &[BigDecimal]) -> Vec<BigDecimal> {
    if *cost == BigDecimal::default() || weights.is_empty() {
        return Vec::new();
    }
    let places = cost.fractional_digit_count().max(PLACES_MIN);
    let whole = |number: &BigDecimal, places: i64| number.with_scale(places).into_bigint_and_exponent().0;
    let units = whole(cost, places);
    let weights: Vec<BigInt> = weights.iter().map(|weight| whole(weight, WEIGHT_PLACES)).collect();
    let all: BigInt = weights.iter().sum();
    let mut parts: Vec<BigInt> = weights.iter().map(|weight| &units * weight / &all).collect();
    let mut left = &units - parts.iter().sum::<BigInt>();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|index| Reverse((&units * &weights[*index] % &all).magnitude().clone()));
    let unit = BigInt::from(if *cost < BigDecimal::default() { -1_i32 } else { 1_i32 });
    for index in order {
        if left == BigInt::default() {
            break;
        }
        parts[index] += &unit;
        left -= &unit;
    }
    parts.into_iter().map(|part| BigDecimal::new(part, places)).collect()
}
