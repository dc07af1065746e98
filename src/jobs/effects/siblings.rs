//! How the other services moved, by month: what [`SiblingSpan`] gives, for all of them at once. Pure.

#![expect(clippy::float_arithmetic, reason = "a median of estimates")]

use super::histories::{ByPlace, Costs, Key, index, of_place};
use crate::analyze::impact::SiblingSpan;
use crate::focus::{BillingPeriod, DateRange};
use chrono::NaiveDate;
use std::collections::{BTreeMap, HashMap};

/// How the others moved around the releases of one month.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Monthly {
    /// The day of the first entry.
    pub first_day: NaiveDate,
    /// Of cost.
    pub cost: Vec<f64>,
    /// Of traffic; empty where too few others have any.
    pub traffic: Vec<f64>,
}

/// By month and key, for the months in which something was released.
pub(super) fn of(
    costs: &Costs,
    traffic: &ByPlace,
    range: DateRange,
    months: impl Iterator<Item = BillingPeriod>,
) -> BTreeMap<BillingPeriod, HashMap<Key, Monthly>> {
    months.map(|month| (month, of_month(costs, traffic, range, month))).collect()
}

fn of_month(costs: &Costs, traffic: &ByPlace, range: DateRange, month: BillingPeriod) -> HashMap<Key, Monthly> {
    let Some(span) = SiblingSpan::of(month, range) else { return HashMap::new() };
    let from = index(range, span.days.start()).unwrap_or_default();
    let days = from..from + span.days.day_count() as usize;
    let mut currencies: HashMap<&str, Vec<&Key>> = HashMap::new();
    for key in costs.keys() {
        currencies.entry(&key.billing_currency).or_default().push(key);
    }
    let mut all = HashMap::new();
    for keys in currencies.values() {
        let cost: Vec<Option<&[Option<f64>]>> = keys.iter().map(|key| costs[*key].0.get(days.clone())).collect();
        let moved: Vec<Option<&[Option<f64>]>> =
            keys.iter().map(|key| of_place(traffic, key)?.get(days.clone())).collect();
        let (cost, moved) = (span.of_each(&cost), span.of_each(&moved));
        for ((key, cost), moved) in keys.iter().zip(cost).zip(moved) {
            if let Some(cost) = cost {
                let traffic = moved.unwrap_or_default();
                all.insert((*key).clone(), Monthly { first_day: span.days.start(), cost, traffic });
            }
        }
    }
    all
}

/// The middle value; `None` of nothing.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[count / 2]),
        count => Some((values[count / 2 - 1] + values[count / 2]) / 2.0),
    }
}
