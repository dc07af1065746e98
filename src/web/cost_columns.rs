//! What the cost columns of a file are called: by the FOCUS column of the chosen cost, as in the API and in statements.
//! Which days they are of stands in each row and in the name of the file, so that saved files can be told apart.

use super::csv::Cell;
use super::query::Span;
use crate::focus::{CostBasis, DateRange};

/// The last columns: the days of the cost, and those that it is compared with.
const DAYS: [&str; 4] = ["FirstDay", "LastDay", "BeforeFirstDay", "BeforeLastDay"];

/// The cost columns of one file.
#[derive(Debug)]
pub struct CostColumns {
    /// `EffectiveCost`.
    pub cost: &'static str,
    /// `EffectiveCostBefore`.
    pub before: String,
    reporting: String,
    span: Option<Span>,
}

impl CostColumns {
    /// Of this cost on these days; `None` where no bill tells of any.
    pub fn new(basis: CostBasis, span: Option<Span>) -> Self {
        let cost = basis.focus_column();
        Self { cost, before: format!("{cost}Before"), reporting: format!("Reporting{cost}"), span }
    }

    /// Of the file's own columns all that it has: with the cost in the reporting currency where one is set, and the days.
    pub fn all<'a>(&'a self, own: &[&'a str], is_rated: bool) -> Vec<&'a str> {
        let mut columns = own.to_vec();
        if is_rated {
            columns.extend(self.reporting());
        }
        columns.extend(DAYS);
        columns
    }

    /// The columns of the cost in the reporting currency.
    pub fn reporting(&self) -> [&str; 2] {
        ["ReportingCurrency", &self.reporting]
    }

    /// The cells of the days.
    pub fn days(&self) -> [Cell<'static>; 4] {
        let of = |days: Option<DateRange>, end: fn(DateRange) -> chrono::NaiveDate| Cell::from(days.map(end));
        let (now, before) = (self.span.map(|span| span.days), self.span.and_then(|span| span.known(span.before)));
        [
            of(now, DateRange::start),
            of(now, DateRange::last_day),
            of(before, DateRange::start),
            of(before, DateRange::last_day),
        ]
    }

    /// `services-EffectiveCost-2026-10-01..2026-10-31.csv`.
    pub fn file_name(&self, stem: &str) -> String {
        let days = self.span.map(|span| format!("-{}", span.fixed())).unwrap_or_default();
        format!("{stem}-{}{days}.csv", self.cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_that_no_bill_tells_of_has_a_name_and_no_days() {
        let columns = CostColumns::new(CostBasis::List, None);
        assert_eq!(columns.file_name("teams"), "teams-ListCost.csv");
        let all = columns.all(&["Team", columns.cost, &columns.before], true);
        let reporting = ["ReportingCurrency", "ReportingListCost"];
        assert_eq!(all, [&["Team", "ListCost", "ListCostBefore"][..], &reporting, &DAYS].concat());
        assert!(columns.days().iter().all(|cell| matches!(cell, Cell::Empty)));
    }
}
