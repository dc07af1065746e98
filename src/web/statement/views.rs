//! The two views of a month, and what lies between them. Pure.

use super::Asked;
use super::comparison::{Known, NOT_BILLED};
use crate::focus::BillingPeriod;
use crate::store::month_closing::MovedSince;
use crate::store::shifted_costs::ShiftedCost;
use crate::store::statements::MonthView;
use crate::web::display::{self, Delta};
use bigdecimal::BigDecimal;
use chrono::NaiveDate;

/// A named row between the two totals.
#[derive(Debug, Clone)]
pub struct Between {
    /// "Billed in October for September: corrections".
    pub name: String,
    /// Lines behind it.
    pub charge_count: i64,
    /// What it adds on the way from the one total to the other.
    pub amount: Delta,
    /// The lines.
    pub href: String,
}

/// Both totals of a month and the way from the one to the other, which adds up as shown.
#[derive(Debug, Clone)]
pub struct Views {
    /// What the invoices say.
    pub billed: String,
    /// What was used.
    pub charged: String,
    /// Charged less billed.
    pub difference: Delta,
    /// What of it lies between use and invoice; `None` where nothing does.
    pub used: Option<Delta>,
    /// What of it arrived, or moved into or out of the scope, after the month was closed: it is no use beyond the invoices.
    pub after_closing: Option<Delta>,
    /// Whether they differ at all.
    pub is_equal: bool,
    /// What makes the difference.
    pub rows: Vec<Between>,
}

impl Views {
    /// The same with what is known of the currency alone. Without a bill of the month what was used is known only where
    /// other bills tell of it.
    pub(super) fn known(self, view: MonthView, known: &Known) -> Self {
        let is_charged = match view {
            MonthView::BillingPeriod => known.invoiced || !self.is_equal,
            MonthView::ChargeDay => known.now,
        };
        let text = |is_known: bool, text: String| if is_known { text } else { NOT_BILLED.into() };
        Self { billed: text(known.invoiced, self.billed), charged: text(is_charged, self.charged), ..self }
    }
}

/// From the total of the shown view and what is shifted, both totals.
pub fn views(
    asked: &Asked,
    shown_total: &BigDecimal,
    shifted: &[ShiftedCost],
    moved: &[MovedSince],
    currency: &str,
) -> Views {
    let (month, basis_key) = (asked.month, asked.basis.key());
    let decimals = display::minor_units(currency);
    let shifted: Vec<&ShiftedCost> = shifted.iter().filter(|row| row.billing_currency == currency).collect();
    let moved = moved.iter().find(|one| one.billing_currency == currency);
    let mut signed: Vec<BigDecimal> = shifted
        .iter()
        .map(|row| if row.billing_month == month.first_day() { -row.cost.clone() } else { row.cost.clone() })
        .collect();
    signed.extend(moved.map(|one| one.cost.clone()));
    let difference: BigDecimal = signed.iter().sum();
    let (billed, charged) = match asked.view {
        MonthView::BillingPeriod => (shown_total.clone(), shown_total + &difference),
        MonthView::ChargeDay => (shown_total - &difference, shown_total.clone()),
    };
    let round = |amount: &BigDecimal| amount.with_scale_round(decimals, bigdecimal::RoundingMode::HalfUp);
    let amounts = display::shown(&signed, &(round(&charged) - round(&billed)), decimals);
    let used: BigDecimal = amounts.iter().take(shifted.len()).sum();
    let used = (!shifted.is_empty()).then(|| Delta::amount(&used, currency, decimals));
    let after_closing = moved.zip(amounts.last()).map(|(one, amount)| Between {
        name: "Arrived or moved after closing".into(),
        charge_count: one.charge_count,
        amount: Delta::amount(amount, currency, decimals),
        href: format!("/finance/history?month={month}"),
    });
    let is_equal = signed.is_empty();
    let rows = shifted.iter().zip(amounts).map(|(row, amount)| Between {
        name: name(month, row),
        charge_count: row.charge_count,
        amount: Delta::amount(&amount, currency, decimals),
        href: lines(row, currency, basis_key),
    });
    Views {
        billed: display::money(&billed, currency, decimals),
        charged: display::money(&charged, currency, decimals),
        difference: Delta::amount(&(round(&charged) - round(&billed)), currency, decimals),
        is_equal,
        used,
        after_closing: after_closing.as_ref().map(|row| row.amount.clone()),
        rows: rows.chain(after_closing).collect(),
    }
}

fn name(month: BillingPeriod, row: &ShiftedCost) -> String {
    let what = match (row.is_shared, row.is_correction, row.billing_month < row.charge_month) {
        (true, ..) => "what splits moved",
        (false, true, _) => "corrections",
        (false, false, true) => "billed ahead",
        (false, false, false) => "late lines",
    };
    let label = |day: NaiveDate| BillingPeriod::containing(day).label();
    if row.billing_month == month.first_day() {
        format!("On this bill for {}: {what}", label(row.charge_month))
    } else {
        format!("For this month on the bill of {}: {what}", label(row.billing_month))
    }
}

fn lines(row: &ShiftedCost, currency: &str, basis_key: &str) -> String {
    let billing = BillingPeriod::containing(row.billing_month).to_string();
    let period = super::section::days_of(BillingPeriod::containing(row.charge_month));
    let class = match (row.is_shared, row.is_correction) {
        (true, _) => "shared",
        (false, true) => "correction",
        (false, false) => "other",
    };
    let query =
        [("period", period.as_str()), ("billing", &billing), ("class", class), ("cur", currency), ("basis", basis_key)];
    format!("/charges?{}", serde_urlencoded::to_string(query).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shift(billed: &str, charged: &str, is_correction: bool, cost: &str) -> ShiftedCost {
        ShiftedCost {
            billing_month: billed.parse().unwrap(),
            charge_month: charged.parse().unwrap(),
            is_correction,
            is_shared: false,
            billing_currency: "USD".into(),
            charge_count: 1,
            cost: cost.parse().unwrap(),
        }
    }

    #[test]
    fn corrections_and_late_lines_lead_from_the_invoices_to_the_usage() {
        let shifted =
            [shift("2026-10-01", "2026-09-01", true, "-5.005"), shift("2026-11-01", "2026-10-01", false, "2.004")];
        let october: BillingPeriod = "2026-10".parse().unwrap();
        let total = "100.001".parse().unwrap();
        let asked = |view| Asked {
            month: october,
            before: october.previous(),
            view,
            basis: crate::focus::CostBasis::default(),
            by: super::super::By::Team,
            currency: None,
        };
        let both = views(&asked(MonthView::BillingPeriod), &total, &shifted, &[], "USD");
        assert_eq!((both.billed.as_str(), both.charged.as_str()), ("$100.00", "$107.01"));
        let rows: Vec<String> = both.rows.iter().map(|row| format!("{} {}", row.name, row.amount.amount)).collect();
        assert_eq!(
            rows,
            [
                "On this bill for September 2026: corrections +$5.01",
                "For this month on the bill of November 2026: late lines +$2.00",
            ]
        );
        assert!(both.used.is_some() && both.after_closing.is_none());
        let charged = "107.010".parse().unwrap();
        let same = views(&asked(MonthView::ChargeDay), &charged, &shifted, &[], "USD");
        assert_eq!(same.billed, "$100.00");
    }

    #[test]
    fn what_arrived_after_closing_is_not_used_over_invoiced() {
        let october: BillingPeriod = "2026-10".parse().unwrap();
        let asked = Asked {
            month: october,
            before: october.previous(),
            view: MonthView::BillingPeriod,
            basis: crate::focus::CostBasis::default(),
            by: super::super::By::Team,
            currency: None,
        };
        let moved = [MovedSince { billing_currency: "USD".into(), charge_count: 1, cost: "1.06".parse().unwrap() }];
        let total = "0.77".parse().unwrap();
        let text = |delta: Option<Delta>| delta.map(|delta| delta.amount).unwrap_or_default();
        let late = views(&asked, &total, &[], &moved, "USD");
        assert_eq!(
            (text(late.used), text(late.after_closing), late.charged),
            (String::new(), "+$1.06".into(), "$1.83".into())
        );
        let shifted = [shift("2026-11-01", "2026-10-01", false, "2.004")];
        let both = views(&asked, &total, &shifted, &moved, "USD");
        assert_eq!((text(both.used), text(both.after_closing)), ("+$2.00".into(), "+$1.06".into()));
    }
}
