//! What a unit of a service cost on each day, as bars: days whose usage is not known are hatched, not empty.

use super::super::charts::{MonthBar, MonthBars, position};
use super::super::display::money;
use super::usage::unit_decimals;
use crate::analyze::unit_cost::UnitCost;
use crate::analyze::unit_economics::Side;
use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use chrono::{Datelike, NaiveDate};
use std::collections::BTreeMap;

/// More days than this are too thin to tell apart.
const DAYS_MAX: usize = 100;
/// A day on the axis is written so often.
const LABEL_EVERY: usize = 7;

/// The chart with what is written beside it.
#[derive(Clone)]
pub(in crate::web) struct UnitChart {
    pub metric: String,
    /// `per 1,000 requests`.
    pub per: String,
    pub bars: MonthBars,
    /// Each day with its unit cost, or that nothing was used or known.
    pub days: Vec<(String, String)>,
    pub has_unknown: bool,
    /// Days that have a unit cost.
    pub known_days: usize,
}

/// Cost and usage of days in one currency.
pub(in crate::web) struct Days<'a> {
    pub range: DateRange,
    pub costs: &'a BTreeMap<NaiveDate, BigDecimal>,
    pub usage: &'a BTreeMap<NaiveDate, BigDecimal>,
    pub units: i32,
    pub currency: &'a str,
}

impl UnitChart {
    /// None where fewer than two days have a unit cost, units are too few to tell, or the days are too many.
    pub(in crate::web) fn new(metric: &str, per: String, days: &Days<'_>) -> Option<Self> {
        let all: Vec<(NaiveDate, Option<BigDecimal>)> = days.range.days().map(|day| (day, days.on(day))).collect();
        let known: Vec<&BigDecimal> = all.iter().filter_map(|(_, cost)| cost.as_ref()).collect();
        let has_too_few = Side::of(days.range, days.costs, days.usage).has_too_few_units();
        if known.len() < 2 || all.len() > DAYS_MAX || has_too_few {
            return None;
        }
        let largest = known.iter().map(|cost| cost.abs()).max()?;
        let decimals = unit_decimals(&largest, days.currency);
        // Nothing used is known, and has no unit cost.
        let is_known = |day: &NaiveDate| days.usage.contains_key(day);
        let bar = |(index, (day, cost)): (usize, &(NaiveDate, Option<BigDecimal>))| MonthBar {
            label: if index % LABEL_EVERY == 0 { label(*day, index) } else { String::new() },
            value: cost.as_ref().map(position).unwrap_or_default(),
            is_provisional: !is_known(day),
            is_open: true,
        };
        let bars: Vec<MonthBar> = all.iter().enumerate().map(bar).collect();
        let written = |day: &NaiveDate, cost: &Option<BigDecimal>| match cost {
            Some(cost) => money(cost, days.currency, decimals),
            None if is_known(day) => "nothing used".to_owned(),
            None => "not known".to_owned(),
        };
        Some(Self {
            metric: metric.to_owned(),
            per,
            bars: MonthBars::new(&bars, days.currency),
            has_unknown: all.iter().any(|(day, _)| !is_known(day)),
            known_days: known.len(),
            days: all.iter().map(|(day, cost)| (day.format("%-d %b %Y").to_string(), written(day, cost))).collect(),
        })
    }
}

impl Days<'_> {
    fn on(&self, day: NaiveDate) -> Option<BigDecimal> {
        UnitCost::of(DateRange::days_to(day, 1), self.costs, self.usage).per(self.units)
    }
}

fn label(day: NaiveDate, index: usize) -> String {
    if index == 0 || day.day() <= LABEL_EVERY as u32 {
        day.format("%-d %b").to_string()
    } else {
        day.format("%-d").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_no_zero() {
        let day = |number: u32| NaiveDate::from_ymd_opt(2026, 10, number).unwrap();
        let of = |pairs: &[(u32, &str)]| -> BTreeMap<NaiveDate, BigDecimal> {
            pairs.iter().map(|(number, value)| (day(*number), value.parse().unwrap())).collect()
        };
        let (costs, usage) = (of(&[(1, "10"), (2, "20"), (3, "30")]), of(&[(1, "5"), (3, "0"), (4, "8")]));
        let range = DateRange::days_to(day(4), 4);
        let days = Days { range, costs: &costs, usage: &usage, units: 1, currency: "USD" };
        let chart = UnitChart::new("runs", "per run".into(), &days).unwrap();
        let written: Vec<&str> = chart.days.iter().map(|(_, cost)| cost.as_str()).collect();
        assert_eq!(written, ["$2.00", "not known", "nothing used", "$0.00"]);
        assert!(chart.has_unknown);
        let one = Days { range: DateRange::days_to(day(1), 1), ..days };
        assert!(UnitChart::new("runs", String::new(), &one).is_none());
    }
}
