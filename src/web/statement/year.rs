//! Twelve months and more as bars, and as the table behind them. Pure.

use crate::focus::BillingPeriod;
use crate::store::statements::MonthTotal;
use crate::web::charts::{MonthBar, MonthBars, position};
use crate::web::display;

/// One month of the table behind a chart.
#[derive(Debug, Clone)]
pub struct Month {
    /// `October 2026`.
    pub label: String,
    /// The statement of that month.
    pub href: String,
    /// "actual", "still arriving" or "no bill".
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
    /// What the figures are: "Net cost", "List cost".
    pub total_name: &'static str,
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

/// Bars and table of a span of months. Months that `is_open` names are hatched.
pub fn year(
    totals: &[MonthTotal],
    currency: &str,
    span: &Span,
    is_open: impl Fn(BillingPeriod) -> bool,
    href: impl Fn(BillingPeriod) -> String,
) -> Year {
    let mut all: Vec<BillingPeriod> =
        std::iter::successors(Some(span.last), |month| Some(month.previous())).take(span.count as usize).collect();
    all.reverse();
    let decimals = display::minor_units(currency);
    let (mut bars, mut months) = (Vec::new(), Vec::new());
    for month in all {
        let total = totals.iter().find(|total| total.month == month.first_day() && total.billing_currency == currency);
        let is_arriving = total.is_some() && is_open(month);
        bars.push(MonthBar {
            // Twelve fit side by side without the year; the table below has it.
            label: month.first_day().format("%b").to_string(),
            value: total.map(|total| position(&total.cost)).unwrap_or_default(),
            is_provisional: is_arriving,
            is_open: span.current == Some(month),
        });
        months.push(Month {
            label: month.label(),
            href: href(month),
            kind: match (total.is_some(), is_arriving) {
                (false, _) => "no bill",
                (true, true) => "still arriving",
                (true, false) => "actual",
            },
            amount: total.map(|total| display::money(&total.cost, currency, decimals)).unwrap_or_default(),
        });
    }
    Year {
        chart: MonthBars::new(&bars, currency),
        summary: summary(&months, span.total_name),
        has_open: months.iter().any(|month| month.kind == "still arriving"),
        has_current: span.current.is_some(),
        total_name: span.total_name,
        months,
    }
}

fn summary(months: &[Month], total_name: &str) -> String {
    let mut known = months.iter().filter(|month| !month.amount.is_empty());
    match (known.next(), known.next_back()) {
        (Some(first), Some(last)) => {
            format!("{total_name} by month: {} in {}, {} in {}.", first.amount, first.label, last.amount, last.label)
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
        let year = year(&totals, "USD", &span, |month| month == last, |month| month.to_string());
        let seen: Vec<String> =
            year.months.iter().map(|month| format!("{} {} {}", month.href, month.kind, month.amount)).collect();
        assert_eq!(seen, ["2026-08 actual $150.00", "2026-09 no bill ", "2026-10 still arriving $300.00"]);
        assert_eq!(year.summary, "Net cost by month: $150.00 in August 2026, $300.00 in October 2026.");
    }
}
