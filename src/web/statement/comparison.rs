//! What is known of the two months that a statement compares, and whether they are compared. Pure.

use super::Asked;
use super::MonthState;
use crate::store::freshness::Freshness;
use crate::store::statements::{MonthView, StatementRow};
use std::collections::BTreeSet;

/// What stands in the place of what a month cost of which nothing is billed: it is not zero.
pub(in crate::web) const NOT_BILLED: &str = "not billed";

/// A month beside the one before, as far as bills tell of them.
pub(super) struct Comparison<'a> {
    pub asked: &'a Asked,
    pub state: &'a MonthState,
    /// Of both months.
    pub rows: &'a [StatementRow],
    /// What the whole organisation has: where the rows are of some teams, no row may be all that there is to know.
    billed: &'a Billed,
    /// Why what the month before cost is not known, or not whole.
    before_unknown: Option<String>,
}

/// The currencies that the whole organisation has in a month. Not asked for where the month is complete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Billed {
    /// In the asked view.
    pub shown: BTreeSet<String>,
    /// On the bills of the month.
    pub invoiced: BTreeSet<String>,
}

/// What is known of one currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// What the month before cost.
    pub before: bool,
    /// What the month costs, at least so far.
    pub now: bool,
    /// What the bills of the month say, at least so far. The same as `now` in the view by billing period.
    pub invoiced: bool,
    /// "no bills before 14 October 2026, so nothing to compare with": why the two are not compared.
    pub no_comparison: Option<String>,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(
        bills: &Freshness,
        asked: &'a Asked,
        state: &'a MonthState,
        rows: &'a [StatementRow],
        billed: &'a Billed,
    ) -> Self {
        Self { asked, state, rows, billed, before_unknown: before_unknown(bills, asked, rows) }
    }

    /// Why no currency is compared; `None` where those are that have bills.
    pub(super) fn no_comparison(&self) -> Option<String> {
        self.before_unknown.clone().or_else(|| self.state.has_no_bill().then(|| self.nothing_billed("")))
    }

    /// What is known of a currency. Nothing of it in a month whose bills are still to come is no fall to zero, although
    /// by charge day other bills may have lines of it.
    pub(super) fn of(&self, currency: &str) -> Known {
        let month = self.asked.month.first_day();
        let has_rows = self.rows.iter().any(|row| row.month == month && row.billing_currency == currency);
        let is_known = |billed: &BTreeSet<String>| {
            !self.state.has_no_bill() && (!self.state.is_open() || billed.contains(currency))
        };
        let now = has_rows || (is_known(&self.billed.shown) && is_known(&self.billed.invoiced));
        Known {
            before: self.before_unknown.is_none(),
            now,
            invoiced: is_known(&self.billed.invoiced),
            no_comparison: self
                .no_comparison()
                .or_else(|| (!now).then(|| self.nothing_billed(&format!("in {currency} ")))),
        }
    }

    fn nothing_billed(&self, in_currency: &str) -> String {
        let (month, yet) = (self.asked.month.label(), self.state.yet());
        format!("no bills {in_currency}for {month}{yet}, so nothing to compare with")
    }
}

impl Known {
    pub(super) fn is_compared(&self) -> bool {
        self.no_comparison.is_none()
    }
}

fn before_unknown(bills: &Freshness, asked: &Asked, rows: &[StatementRow]) -> Option<String> {
    let before = asked.before.days();
    if !before.days().any(|day| bills.has_bill(day)) {
        // A closed month stands although its bills were taken back. By charge day there are only the corrections of it
        // that came on other bills.
        let is_stated = rows.iter().any(|row| row.month != asked.month.first_day());
        let is_known = is_stated && asked.view == MonthView::BillingPeriod;
        return (!is_known).then(|| format!("no bills for {}, so nothing to compare with", asked.before.label()));
    }
    let first = bills.bills_from().filter(|first| before.start() < *first)?;
    Some(format!("no bills before {}, so nothing to compare with", first.format("%-d %B %Y")))
}

#[cfg(test)]
mod tests {
    use super::super::By;
    use super::*;
    use crate::focus::{BillingPeriod, CostBasis};

    fn row(month: &str, currency: &str) -> StatementRow {
        StatementRow::example(month, currency, "9")
    }

    // What is said of a currency of November beside October, where October is known.
    fn said(state: &MonthState, rows: &[StatementRow], billed: &[&str], currency: &str) -> (bool, String) {
        let november: BillingPeriod = "2026-11".parse().unwrap();
        let asked = Asked {
            month: november,
            before: november.previous(),
            view: MonthView::BillingPeriod,
            basis: CostBasis::default(),
            by: By::Service,
            currency: None,
        };
        let names: BTreeSet<String> = billed.iter().map(|&name| name.to_owned()).collect();
        let billed = Billed { shown: names.clone(), invoiced: names };
        let known = Comparison::new(&Freshness::default(), &asked, state, rows, &billed).of(currency);
        assert!(known.before && known.invoiced == known.now, "{known:?}");
        (known.now, known.no_comparison.unwrap_or_else(|| "compared".into()))
    }

    #[test]
    fn what_is_still_to_come_is_no_fall_to_zero() {
        let october = [row("2026-10-01", "USD"), row("2026-10-01", "EUR")];
        let none = "no bills for November 2026 yet, so nothing to compare with";
        assert_eq!(said(&MonthState::Running(Vec::new()), &october, &[], "USD"), (false, none.into()));
        let passed = MonthState::Unbilled(Vec::new());
        let none = "no bills for November 2026, so nothing to compare with";
        assert_eq!(said(&passed, &october, &[], "USD"), (false, none.into()));
        // One currency is billed, the other not yet.
        let running = MonthState::Running(vec![("aws".into(), "2026-11-15".parse().unwrap())]);
        let rows = [october.as_slice(), &[row("2026-11-01", "USD")]].concat();
        assert_eq!(said(&running, &rows, &["USD"], "USD"), (true, "compared".into()));
        let none = "no bills in EUR for November 2026 yet, so nothing to compare with";
        assert_eq!(said(&running, &rows, &["USD"], "EUR"), (false, none.into()));
        // A team may have nothing any more in a currency that others have, and a whole month may have none of one.
        assert_eq!(said(&running, &rows, &["EUR", "USD"], "EUR"), (true, "compared".into()));
        assert_eq!(
            said(&MonthState::BillsIn { billed: Vec::new(), other_count: 0 }, &rows, &[], "EUR"),
            (true, "compared".into())
        );
    }
}
