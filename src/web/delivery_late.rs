//! What a delivery that waits would change in closed months: a section of its receipt and of the page that asks.

use super::{display, filters};
use crate::focus::BillingPeriod;
use crate::store::receipts::{LateDifference, LateMonth, Receipt};
use askama::Template;
use bigdecimal::{BigDecimal, Signed};
use std::collections::BTreeMap;

/// Rows of a month on a page; the others stand in one row together, and one by one in the JSON.
const ROW_COUNT: usize = 100;

/// The section: one table a closed month, every digit, with a total for each currency.
#[derive(Clone, Default, Template)]
#[template(path = "partials/late.html")]
pub struct LateSection {
    months: Vec<Month>,
}

impl askama::filters::HtmlSafe for LateSection {}

#[derive(Clone)]
struct Month {
    closed: BillingPeriod,
    booked: BillingPeriod,
    rows: Vec<Row>,
    totals: Vec<Row>,
}

#[derive(Clone)]
struct Row {
    name: String,
    charge_category: String,
    currency: String,
    lines: i64,
    amounts: [String; 4],
}

impl LateSection {
    /// The section of a receipt; nothing where it changes no closed month.
    pub fn new(receipt: &Receipt) -> Self {
        Self { months: receipt.closed_months.iter().map(month).collect() }
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.months.is_empty()
    }
}

/// "September 2026 and October 2026": the closed months that a waiting delivery changes.
pub fn closed_labels(receipt: &Receipt) -> String {
    labels(receipt.closed_months.iter().map(|month| BillingPeriod::containing(month.closed_month)))
}

/// The open months that its difference would be booked to.
pub fn booked_labels(receipt: &Receipt) -> String {
    labels(receipt.closed_months.iter().map(|month| BillingPeriod::containing(month.booked_month)))
}

/// Months in words, each once.
pub fn labels(months: impl Iterator<Item = BillingPeriod>) -> String {
    let mut labels: Vec<String> = months.map(BillingPeriod::label).collect();
    labels.dedup();
    labels.join(" and ")
}

fn month(late: &LateMonth) -> Month {
    let mut totals: BTreeMap<&str, Sums> = BTreeMap::new();
    let mut rest: BTreeMap<&str, (usize, Sums)> = BTreeMap::new();
    for (index, one) in late.differences.iter().enumerate() {
        let currency = one.billing_currency.as_deref().unwrap_or_default();
        totals.entry(currency).or_default().add(one);
        if index >= ROW_COUNT {
            let (count, sums) = rest.entry(currency).or_default();
            *count += 1;
            sums.add(one);
        }
    }
    let mut rows: Vec<Row> = late.differences.iter().take(ROW_COUNT).map(row).collect();
    rows.extend(rest.into_iter().map(|(currency, (count, sums))| sums.row(format!("{count} more rows"), currency)));
    Month {
        closed: BillingPeriod::containing(late.closed_month),
        booked: BillingPeriod::containing(late.booked_month),
        rows,
        totals: totals.into_iter().map(|(currency, sums)| sums.row("All of it".into(), currency)).collect(),
    }
}

fn row(one: &LateDifference) -> Row {
    let currency = one.billing_currency.as_deref().unwrap_or_default();
    let mut sums = Sums::default();
    sums.add(one);
    Row { charge_category: one.charge_category.clone(), ..sums.row(one.service_words().to_owned(), currency) }
}

#[derive(Default)]
struct Sums {
    lines: i64,
    costs: [BigDecimal; 4],
}

impl Sums {
    fn add(&mut self, one: &LateDifference) {
        self.lines += one.rows;
        for (sum, cost) in self.costs.iter_mut().zip(one.costs.each()) {
            *sum += cost.clone().unwrap_or_default();
        }
    }

    fn row(&self, name: String, currency: &str) -> Row {
        let text = |cost: &BigDecimal| {
            let plus = if cost.is_positive() { "+" } else { "" };
            format!("{plus}{}", display::money_exact(cost, currency))
        };
        Row {
            name,
            charge_category: String::new(),
            currency: if currency.is_empty() { "none".into() } else { currency.to_owned() },
            lines: self.lines,
            amounts: [0, 1, 2, 3].map(|index| text(&self.costs[index])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::receipts::FocusCosts;

    fn difference(service: &str, cost: &str) -> LateDifference {
        let cost: Option<BigDecimal> = cost.parse().ok();
        LateDifference {
            service: Some(service.into()),
            is_mapped: true,
            charge_category: "Usage".into(),
            billing_currency: Some("USD".into()),
            rows: 1,
            costs: FocusCosts::of([0; 4].map(|_| cost.clone())),
        }
    }

    #[test]
    fn what_is_not_listed_is_in_the_total_and_in_a_row_of_its_own() {
        let differences: Vec<LateDifference> =
            (0..ROW_COUNT + 2).map(|number| difference(&format!("s{number}"), "0.01")).collect();
        let late = LateMonth {
            closed_month: "2026-09-01".parse().unwrap(),
            booked_month: "2026-10-01".parse().unwrap(),
            differences,
        };
        let month = month(&late);
        assert_eq!(month.rows.len(), ROW_COUNT + 1);
        let last = month.rows.last().unwrap();
        assert_eq!((last.name.as_str(), last.lines, last.amounts[1].as_str()), ("2 more rows", 2, "+$0.02"));
        assert_eq!((month.totals[0].lines, month.totals[0].amounts[0].as_str()), (102, "+$1.02"));
    }
}
