//! Twelve months and more as bars, and as the table behind them. Pure.

use crate::focus::BillingPeriod;
use crate::store::booked_costs::BookedCost;
use crate::store::statements::MonthTotal;
use crate::web::charts::{MonthBar, MonthBars, position};
use crate::web::display;
use bigdecimal::{BigDecimal, Zero};

/// One month of the table behind a chart.
#[derive(Debug, Clone)]
pub struct Month {
    /// `October 2026`.
    pub label: String,
    /// The statement of that month.
    pub href: String,
    /// "actual", "still arriving", "adjustments only" or "no bill".
    pub kind: &'static str,
    /// `$1,264,604.45`, or nothing.
    pub amount: String,
}

/// A chart of months in one currency.
#[derive(Debug, Clone)]
pub struct Year {
    /// The bars.
    pub chart: MonthBars,
    /// Oldest first.
    pub months: Vec<Month>,
    /// The chart in words.
    pub summary: String,
    /// Whether a month is hatched.
    pub has_open: bool,
    /// Whether one month is marked.
    pub has_current: bool,
    /// What the months are without what is booked to them: "Net cost", "List cost".
    pub total_name: &'static str,
    /// Whether something is booked to a month for closed ones: figures of months are with it.
    pub has_booked: bool,
}

impl Year {
    /// What the figures of the months are: "Net cost", "List cost and adjustments booked".
    pub fn figure_name(&self) -> String {
        figure_name(self.total_name, self.has_booked)
    }
}

/// The months of a chart.
pub struct Span {
    /// The last one.
    pub last: BillingPeriod,
    /// How many.
    pub count: u32,
    /// The one that is marked.
    pub current: Option<BillingPeriod>,
    /// "Net cost", "List cost".
    pub total_name: &'static str,
}

/// Bars and table of a span of months, each with what is booked to it. Months that `is_open` names are hatched.
pub fn year(
    totals: &[MonthTotal],
    booked: &[BookedCost],
    currency: &str,
    span: &Span,
    is_open: impl Fn(BillingPeriod) -> bool,
    href: impl Fn(BillingPeriod) -> String,
) -> Year {
    let mut all: Vec<BillingPeriod> =
        std::iter::successors(Some(span.last), |month| Some(month.previous())).take(span.count as usize).collect();
    all.reverse();
    let decimals = display::minor_units(currency);
    let (mut bars, mut months, mut has_booked) = (Vec::new(), Vec::new(), false);
    for month in all {
        let total = totals.iter().find(|total| total.month == month.first_day() && total.billing_currency == currency);
        let is_arriving = total.is_some() && is_open(month);
        let is_of_month = |one: &&BookedCost| one.booked_month == month.first_day() && one.billing_currency == currency;
        let late: BigDecimal = booked.iter().filter(is_of_month).map(|one| &one.cost).sum();
        let is_late = !late.is_zero();
        has_booked |= is_late;
        let cost =
            (total.is_some() || is_late).then(|| total.map(|total| total.cost.clone()).unwrap_or_default() + late);
        bars.push(MonthBar {
            // Twelve fit side by side without the year; the table below has it.
            label: month.first_day().format("%b").to_string(),
            value: cost.as_ref().map(position).unwrap_or_default(),
            is_provisional: is_arriving,
            is_open: span.current == Some(month),
        });
        months.push(Month {
            label: month.label(),
            href: href(month),
            kind: match (total.is_some(), is_arriving) {
                (false, _) if is_late => "adjustments only",
                (false, _) => "no bill",
                (true, true) => "still arriving",
                (true, false) => "actual",
            },
            amount: cost.map(|cost| display::money(&cost, currency, decimals)).unwrap_or_default(),
        });
    }
    Year {
        chart: MonthBars::new(&bars, currency),
        summary: summary(&months, &figure_name(span.total_name, has_booked)),
        has_open: months.iter().any(|month| month.kind == "still arriving"),
        has_current: span.current.is_some(),
        total_name: span.total_name,
        has_booked,
        months,
    }
}

fn figure_name(total_name: &str, has_booked: bool) -> String {
    if has_booked { format!("{total_name} and adjustments booked") } else { total_name.to_owned() }
}

fn summary(months: &[Month], figure_name: &str) -> String {
    let mut known = months.iter().filter(|month| !month.amount.is_empty());
    match (known.next(), known.next_back()) {
        (Some(first), Some(last)) => {
            format!("{figure_name} by month: {} in {}, {} in {}.", first.amount, first.label, last.amount, last.label)
        }
        (Some(only), None) => format!("{} in {}.", only.amount, only.label),
        _ => "No bill in these months.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_without_a_bill_is_said_and_has_no_figure() {
        let total = |month: &str, cost: &str| MonthTotal {
            month: month.parse().unwrap(),
            billing_currency: "USD".into(),
            cost: cost.parse().unwrap(),
            tax: 0.into(),
            credit: 0.into(),
            unallocated: 0.into(),
            charge_count: 1,
        };
        let totals = [total("2026-10-01", "300"), total("2026-08-01", "150")];
        let last: BillingPeriod = "2026-10".parse().unwrap();
        let span = Span { last, count: 3, current: Some(last), total_name: "Net cost" };
        let year = year(&totals, &[], "USD", &span, |month| month == last, |month| month.to_string());
        let seen: Vec<String> =
            year.months.iter().map(|month| format!("{} {} {}", month.href, month.kind, month.amount)).collect();
        assert_eq!(seen, ["2026-08 actual $150.00", "2026-09 no bill ", "2026-10 still arriving $300.00"]);
        assert_eq!(year.summary, "Net cost by month: $150.00 in August 2026, $300.00 in October 2026.");
    }

    #[test]
    fn what_is_booked_to_a_month_is_in_its_bar() {
        let total = MonthTotal {
            month: "2026-09-01".parse().unwrap(),
            billing_currency: "USD".into(),
            cost: "150".parse().unwrap(),
            tax: 0.into(),
            credit: 0.into(),
            unallocated: 0.into(),
            charge_count: 1,
        };
        let booked = |month: &str, currency: &str, cost: &str| BookedCost {
            booked_month: month.parse().unwrap(),
            closed_month: "2026-07-01".parse().unwrap(),
            billing_currency: currency.into(),
            charge_count: 1,
            cost: cost.parse().unwrap(),
        };
        let booked =
            [booked("2026-09-01", "USD", "2.5"), booked("2026-10-01", "USD", "-1"), booked("2026-10-01", "EUR", "7")];
        let span = Span { last: "2026-10".parse().unwrap(), count: 2, current: None, total_name: "List cost" };
        let year = year(&[total], &booked, "USD", &span, |_| false, |month| month.to_string());
        let seen: Vec<String> = year.months.iter().map(|month| format!("{} {}", month.kind, month.amount)).collect();
        assert_eq!(seen, ["actual $152.50", "adjustments only \u{2212}$1.00"]);
        assert!(year.has_booked && year.summary.starts_with("List cost and adjustments booked by month"));
    }
}
