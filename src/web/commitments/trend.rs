//! Commitments over time: by day with a chart, and by month.

use crate::focus::{BillingPeriod, CostBasis, DateRange};
use crate::store::charges::ChargePart;
use crate::store::commitment_costs::CommitmentDay;
use crate::web::charts::{self, BarSeries, Buckets, DayBars};
use crate::web::{display, drill, moves};
use bigdecimal::BigDecimal;
use chrono::{Months, NaiveDate};
use std::collections::{BTreeMap, BTreeSet};

/// Months that are shown, the one of the last day included.
const MONTH_COUNT: u32 = 12;

/// Some days in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The days; those of a month only as far as they are asked about.
    pub days: DateRange,
    /// The sums, on the first of the days.
    pub sums: CommitmentDay,
}

/// The months that are shown with the one of a last day: from the first day of the earliest.
pub fn months_to(last_day: NaiveDate) -> DateRange {
    let first = BillingPeriod::containing(last_day - Months::new(MONTH_COUNT - 1)).first_day();
    DateRange::new(first, last_day.succ_opt().unwrap_or(last_day)).unwrap_or_else(|| DateRange::days_to(last_day, 1))
}

/// Days as they are, one a step.
pub fn by_day(days: Vec<CommitmentDay>) -> Vec<Step> {
    days.into_iter().map(|sums| Step { days: DateRange::days_to(sums.day, 1), sums }).collect()
}

/// Days added up by calendar month.
pub fn by_month(days: &[CommitmentDay], range: DateRange) -> Vec<Step> {
    let mut sums: BTreeMap<(BillingPeriod, &str), CommitmentDay> = BTreeMap::new();
    for one in days {
        let month = BillingPeriod::containing(one.day);
        let sum = sums.entry((month, one.currency.as_str())).or_insert_with(|| CommitmentDay {
            day: one.day,
            currency: one.currency.clone(),
            used: BigDecimal::default(),
            unused: BigDecimal::default(),
            covered: BigDecimal::default(),
            usage: BigDecimal::default(),
            purchased: BigDecimal::default(),
        });
        sum.used += &one.used;
        sum.unused += &one.unused;
        sum.covered += &one.covered;
        sum.usage += &one.usage;
        sum.purchased += &one.purchased;
    }
    let step = |((month, _), sums): ((BillingPeriod, &str), CommitmentDay)| {
        let (first, end) = (month.first_day().max(range.start()), month.next().first_day().min(range.end()));
        Step { days: DateRange::new(first, end).unwrap_or_else(|| DateRange::days_to(sums.day, 1)), sums }
    };
    sums.into_iter().map(step).collect()
}

/// A row of a table over time.
pub(super) struct TrendRow {
    pub label: String,
    /// Its days, for the page of them.
    pub period: String,
    pub amortized: String,
    pub used: String,
    pub used_href: String,
    pub unused: String,
    pub unused_href: String,
    pub utilization: String,
    pub covered: String,
    pub covered_href: String,
    pub usage: String,
    pub usage_href: String,
    pub coverage: String,
}

/// The newest first.
pub(super) fn rows(steps: &[Step], label: impl Fn(&DateRange) -> String) -> Vec<TrendRow> {
    let currencies: BTreeSet<&str> = steps.iter().map(|step| step.sums.currency.as_str()).collect();
    let row = |step: &Step| {
        let sums = &step.sums;
        let whole = &sums.used + &sums.unused;
        // Rounded so that used and unused add up to the amortized cost as shown.
        let digits = display::minor_units(&sums.currency);
        let shown = display::shown(&[sums.used.clone(), sums.unused.clone()], &whole, digits);
        let text = |amount: &BigDecimal| moves::text(amount, &sums.currency);
        let lines = |conditions: &[(&str, &str)]| {
            drill::on(&drill::lines_of(&[conditions, &[("cur", sums.currency.as_str())]].concat()), step.days)
        };
        let of_part = |part: ChargePart| lines(&[("part", part.key()), ("basis", CostBasis::List.key())]);
        let currency = if currencies.len() > 1 { format!(", {}", sums.currency) } else { String::new() };
        TrendRow {
            label: label(&step.days) + &currency,
            period: format!("{}..{}", step.days.start(), step.days.last_day()),
            amortized: text(&whole),
            used: shown.first().map(text).unwrap_or_default(),
            unused: shown.get(1).map(text).unwrap_or_default(),
            used_href: lines(&[("commitment_status", "Used")]),
            unused_href: lines(&[("commitment_status", "Unused")]),
            utilization: display::percent(&sums.used, &whole).unwrap_or_else(|| "no cost".into()),
            covered: text(&sums.covered),
            covered_href: of_part(ChargePart::Covered),
            usage: text(&sums.usage),
            usage_href: of_part(ChargePart::Committed),
            coverage: display::percent(&sums.covered, &sums.usage).unwrap_or_else(|| "no list prices".into()),
        }
    };
    steps.iter().rev().map(row).collect()
}

/// Used and unused cost by day, a chart for each currency.
pub(super) fn charts(steps: &[Step], days: DateRange) -> Vec<(String, DayBars)> {
    let buckets = Buckets::new(days, days.last_day());
    let currencies: BTreeSet<&str> = steps.iter().map(|step| step.sums.currency.as_str()).collect();
    let chart = |currency: &str| {
        let (mut used, mut unused) =
            (vec![BigDecimal::default(); buckets.len()], vec![BigDecimal::default(); buckets.len()]);
        for step in steps.iter().filter(|step| step.sums.currency == currency) {
            if let Some(place) = buckets.index_of(step.days.start()) {
                used[place] += &step.sums.used;
                unused[place] += &step.sums.unused;
            }
        }
        let series = [(USED_CLASS, used), (UNUSED_CLASS, unused)].map(|(class, values)| BarSeries {
            class: format!("f-{class}"),
            values: values.iter().map(charts::position).collect(),
        });
        (currency.to_owned(), DayBars::new("Used and unused cost by day", currency, &buckets, &series, &[]))
    };
    currencies.into_iter().map(chart).collect()
}

/// The colour of what was used.
pub(super) const USED_CLASS: &str = "production";
/// The colour of what was left unused.
pub(super) const UNUSED_CLASS: &str = "staging";

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: &str, used: &str, unused: &str) -> CommitmentDay {
        CommitmentDay {
            day: day.parse().unwrap(),
            currency: "USD".into(),
            used: used.parse().unwrap(),
            unused: unused.parse().unwrap(),
            covered: "3".parse().unwrap(),
            usage: "4".parse().unwrap(),
            purchased: BigDecimal::default(),
        }
    }

    #[test]
    fn months_are_the_sums_of_their_days() {
        let days =
            [day("2026-09-30", "1.005", "0.1"), day("2026-10-01", "2", "0"), day("2026-10-20", "0.0000001", "-1")];
        let range = months_to("2026-10-20".parse().unwrap());
        assert_eq!(
            (range.start().to_string(), range.last_day().to_string()),
            ("2025-11-01".into(), "2026-10-20".into())
        );
        let months = by_month(&days, range);
        let shown: Vec<String> = months
            .iter()
            .map(|step| {
                let sums = &step.sums;
                format!("{} {} {} {} {}", step.days.start(), step.days.last_day(), sums.used, sums.unused, sums.usage)
            })
            .collect();
        assert_eq!(shown, ["2026-09-01 2026-09-30 1.005 0.1 4", "2026-10-01 2026-10-20 2.0000001 -1 8"]);
    }
}
