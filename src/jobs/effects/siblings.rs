//! How the other services moved: what [`SiblingSpan`] gives around each day that is asked about, for all that are asked
//! about it at once. Pure.

#![expect(clippy::float_arithmetic, reason = "a median of estimates")]

use super::histories::{ByPlace, Costs, Key, index, of_place};
use super::in_parallel;
use crate::analyze::impact::SiblingSpan;
use crate::focus::DateRange;
use chrono::NaiveDate;
use std::collections::{BTreeMap, HashMap};

/// How the others moved around a day, or around those of a month.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Around {
    /// The day of the first entry.
    pub first_day: NaiveDate,
    /// Of cost.
    pub cost: Vec<f64>,
    /// Of traffic; empty where too few others have any.
    pub traffic: Vec<f64>,
}

/// The services that are each other's others: of one currency. Places of the same service are not.
struct Peers<'a> {
    places: HashMap<&'a Key, usize>,
    services: Vec<i64>,
    cost: Vec<Option<&'a [Option<f64>]>>,
    traffic: Vec<Option<&'a [Option<f64>]>>,
}

/// By key and day, for those that are asked about on each of these days, with the span that it has. A key has no entry of
/// a day on which too few others are known.
pub(super) fn of(
    costs: &Costs,
    traffic: &ByPlace,
    range: DateRange,
    asked: &BTreeMap<NaiveDate, Vec<Key>>,
    span: impl Fn(NaiveDate) -> Option<SiblingSpan>,
) -> HashMap<Key, BTreeMap<NaiveDate, Around>> {
    let currencies = peers(costs, traffic);
    let spans: Vec<(NaiveDate, SiblingSpan, &Vec<Key>)> =
        asked.iter().filter_map(|(day, keys)| Some((*day, span(*day)?, keys))).collect();
    let told = in_parallel(&spans, |(_, span, keys)| within(&currencies, range, span, keys));
    let mut all: HashMap<Key, BTreeMap<NaiveDate, Around>> = HashMap::new();
    for ((day, ..), told) in spans.iter().zip(told) {
        for (key, around) in told {
            all.entry(key.clone()).or_default().insert(*day, around);
        }
    }
    all
}

fn peers<'a>(costs: &'a Costs, traffic: &'a ByPlace) -> HashMap<&'a str, Peers<'a>> {
    let mut currencies: HashMap<&str, Peers<'_>> = HashMap::new();
    for (key, (usage, _)) in costs {
        let peers = currencies.entry(&key.billing_currency).or_insert_with(|| Peers {
            places: HashMap::new(),
            services: Vec::new(),
            cost: Vec::new(),
            traffic: Vec::new(),
        });
        peers.places.insert(key, peers.cost.len());
        peers.services.push(key.service_id);
        peers.cost.push(Some(usage));
        peers.traffic.push(of_place(traffic, key).map(Vec::as_slice));
    }
    currencies
}

fn within<'a>(
    currencies: &HashMap<&str, Peers<'_>>,
    range: DateRange,
    span: &SiblingSpan,
    keys: &'a [Key],
) -> Vec<(&'a Key, Around)> {
    let from = index(range, span.days.start()).unwrap_or_default();
    let days = from..from + span.days.day_count() as usize;
    let mut all = Vec::new();
    for (currency, peers) in currencies {
        let own = keys.iter().filter(|key| key.billing_currency == *currency);
        let (wanted, keys): (Vec<usize>, Vec<&Key>) =
            own.filter_map(|key| Some((peers.places.get(key).copied()?, key))).unzip();
        if wanted.is_empty() {
            continue;
        }
        let of_each = |series: &[Option<&[Option<f64>]>]| {
            let cut: Vec<_> = series.iter().map(|whole| (*whole)?.get(days.clone())).collect();
            span.of_each(&cut, &peers.services, &wanted)
        };
        let (cost, traffic) = (of_each(&peers.cost), of_each(&peers.traffic));
        for ((key, cost), traffic) in keys.into_iter().zip(cost).zip(traffic) {
            if let Some(cost) = cost {
                all.push((key, Around { first_day: span.days.start(), cost, traffic: traffic.unwrap_or_default() }));
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
