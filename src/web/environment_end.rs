//! What an environment cost after its end, as its page and the list show it.

use super::display::{decimals, money, shown};
use crate::store::environment_ends::{CostAfterEnd, EnvironmentEnd};
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A service that cost something after the end.
pub(super) struct Row {
    pub name: String,
    /// Its page; empty where there is none.
    pub href: String,
    pub first_charge_date: NaiveDate,
    pub last_charge_date: NaiveDate,
    pub charge_count: i64,
    pub cost: String,
}

/// The end of an environment, and what came after it.
pub(super) struct End {
    pub end: EnvironmentEnd,
    /// The last day that any cost lies on is not yet over the end.
    pub is_over: bool,
    pub rows: Vec<Row>,
    /// One a currency.
    pub totals: Vec<String>,
}

impl End {
    /// Rows of one currency are rounded so that they add up to their total.
    pub(super) fn new(end: EnvironmentEnd, today: NaiveDate, costs: &[CostAfterEnd]) -> Self {
        let currencies: BTreeSet<&str> = costs.iter().map(|cost| cost.currency.as_str()).collect();
        let (mut rows, mut totals) = (Vec::new(), Vec::new());
        for currency in currencies {
            let of: Vec<&CostAfterEnd> = costs.iter().filter(|cost| cost.currency == currency).collect();
            let values: Vec<BigDecimal> = of.iter().map(|cost| cost.cost.clone()).collect();
            let total: BigDecimal = values.iter().sum();
            let places = decimals(currency, &total);
            for (cost, value) in of.into_iter().zip(shown(&values, &total, places)) {
                rows.push(row(cost, money(&value, currency, places)));
            }
            totals.push(money(&total, currency, places));
        }
        Self { is_over: end.last_day < today && !end.is_refused, end, rows, totals }
    }

    /// `It ended on 12 Nov 2026, as its sender told.`
    pub(super) fn sentence(&self) -> String {
        let day = self.end.last_day.format("%-d %b %Y");
        if let (true, Some(by), Some(at)) = (self.end.is_refused, &self.end.refused_by, self.end.refused_through) {
            let said = at.format("%-d %b %Y %H:%M");
            return format!("Its sender told that it ended on {day}. {by} said at {said} UTC that it still runs.");
        }
        let why = if self.end.is_told { "as its sender told" } else { "as the catalogue says" };
        let verb = if self.is_over { "ended" } else { "ends" };
        format!("It {verb} on {day}, {why}.")
    }
}

fn row(cost: &CostAfterEnd, amount: String) -> Row {
    let is_named = !cost.service_slug.is_empty();
    Row {
        name: if cost.service_id == 0 { "Not allocated".into() } else { cost.service_name.clone() },
        href: if is_named { format!("/services/{}", cost.service_slug) } else { String::new() },
        first_charge_date: cost.first_charge_date,
        last_charge_date: cost.last_charge_date,
        charge_count: cost.charge_count,
        cost: amount,
    }
}

/// The ends of all environments that have one with what each cost afterwards.
pub(super) fn by_environment(
    ends: Vec<EnvironmentEnd>,
    today: NaiveDate,
    costs: Vec<CostAfterEnd>,
) -> HashMap<i64, End> {
    let mut by_id: BTreeMap<i64, Vec<CostAfterEnd>> = BTreeMap::new();
    for cost in costs {
        by_id.entry(cost.environment_id).or_default().push(cost);
    }
    let end = |end: EnvironmentEnd| {
        let costs = by_id.remove(&end.environment_id).unwrap_or_default();
        (end.environment_id, End::new(end, today, &costs))
    };
    ends.into_iter().filter(|end| !end.is_refused).map(end).collect()
}
