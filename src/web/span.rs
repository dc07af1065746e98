//! The days of a page: what figures are made of, what they are compared with, and what of it is complete.

use super::query::{Period, Versus};
use crate::focus::{BillingPeriod, DateRange};
use chrono::{Datelike, Days, Months, NaiveDate};

/// The days of a page, once it is known how far the bills are complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// What figures are made of: complete days only.
    pub days: DateRange,
    /// What they are compared with.
    pub before: DateRange,
    /// What charts show: the comparison where it lies directly before, the days, and those still arriving.
    pub chart: DateRange,
    /// The last complete day.
    pub complete_to: NaiveDate,
    /// The first day that lacks a late source of this cost.
    pub partial_from: Option<NaiveDate>,
    period: Period,
    versus: Versus,
}

impl Span {
    pub(super) fn new(
        period: Period,
        versus: Versus,
        complete_to: NaiveDate,
        last_charge_date: NaiveDate,
    ) -> Option<Self> {
        let asked = match period {
            Period::LastDays(count) => DateRange::days_to(complete_to, count),
            Period::TwelveMonths => {
                DateRange::new(complete_to - Months::new(12) + Days::new(1), complete_to + Days::new(1))?
            }
            Period::MonthToDate => {
                DateRange::new(BillingPeriod::containing(complete_to).first_day(), complete_to + Days::new(1))?
            }
            Period::Month(month) => month.days(),
            Period::Days(range) => range,
        };
        let days = DateRange::new(asked.start(), asked.end().min(complete_to + Days::new(1)))?;
        let before = match (versus, period) {
            (Versus::PreviousYear, _) => {
                DateRange::new(days.start() - Months::new(12), days.last_day() - Months::new(12) + Days::new(1))?
            }
            (Versus::Month(month), _) => up_to(month.days(), complete_to)?,
            (Versus::Days(days), _) => up_to(days, complete_to)?,
            (Versus::Previous, Period::MonthToDate | Period::Month(_)) => same_days_of_month_before(days, asked)?,
            (Versus::Previous, _) => days.previous(),
        };
        let is_relative = matches!(period, Period::LastDays(_) | Period::TwelveMonths | Period::MonthToDate);
        let end = if is_relative { (last_charge_date + Days::new(1)).max(days.end()) } else { asked.end() };
        let arriving_to = end.min((last_charge_date + Days::new(1)).max(days.end()));
        let start = match (versus, period) {
            (Versus::Previous, Period::LastDays(count)) if count <= 90 => before.start(),
            _ => days.start(),
        };
        let chart = DateRange::new(start, arriving_to)?;
        Some(Self { days, before, chart, complete_to, partial_from: None, period, versus })
    }

    /// "30 complete days", "October 2026", "1 to 20 Nov 2026, partial".
    pub fn label(&self) -> String {
        match self.period {
            Period::LastDays(_) if !self.is_partial() => format!("{} complete days", self.days.day_count()),
            _ if self.is_partial() => format!("{}, partial", self.days_label()),
            _ => self.days_label(),
        }
    }

    /// "30 days", "October 2026": for what no bill tells.
    pub fn days_label(&self) -> String {
        match self.period {
            Period::LastDays(_) => format!("{} days", self.days.day_count()),
            Period::TwelveMonths => "12 months".into(),
            Period::Month(month) if month.days() == self.days => month.label(),
            _ => range_label(self.days),
        }
    }

    /// Whether the figures lack a late source on some of the days.
    pub fn is_partial(&self) -> bool {
        self.partial_from.is_some_and(|first| first < self.days.end())
    }

    /// "complete", "partial", "provisional": what is known of a day.
    pub fn day_status(&self, day: NaiveDate) -> &'static str {
        if day > self.complete_to {
            "provisional"
        } else if self.partial_from.is_some_and(|first| first <= day) {
            "partial"
        } else {
            "complete"
        }
    }

    /// "the 30 days before", "September 2026", "the same days a year before".
    pub fn before_label(&self) -> String {
        match (self.versus, self.period) {
            (Versus::PreviousYear, _) => "the same days a year before".into(),
            (Versus::Month(month), _) if month.days() == self.before => month.label(),
            (Versus::Month(_) | Versus::Days(_), _) => range_label(self.before),
            (_, Period::MonthToDate | Period::Month(_)) => {
                let month = BillingPeriod::containing(self.before.start());
                if month.days() == self.before { month.label() } else { format!("{} before", range_label(self.before)) }
            }
            _ => format!("the {} days before", self.days.day_count()),
        }
    }

    /// Whether the days are compared with others that were named.
    pub fn names_both(&self) -> bool {
        matches!(self.versus, Versus::Month(_) | Versus::Days(_))
    }

    /// Whether a day lies in both periods.
    pub fn overlaps(&self) -> bool {
        self.days.start() < self.before.end() && self.before.start() < self.days.end()
    }

    /// "30 days", for the head of a column.
    pub fn short_label(&self) -> String {
        match self.period {
            Period::LastDays(_) | Period::Days(_) => format!("{} days", self.days.day_count()),
            Period::TwelveMonths => "12 months".into(),
            Period::MonthToDate => "To date".into(),
            Period::Month(month) => month.first_day().format("%b %Y").to_string(),
        }
    }

    /// "30 days to 20 Nov against 30 before".
    pub fn comparison_label(&self) -> String {
        format!("{} against {}", range_label(self.days), range_label(self.before))
    }

    /// The days as a fixed period of an address, so that a shared link does not drift.
    pub fn fixed(&self) -> String {
        format!("{}..{}", self.days.start(), self.days.last_day())
    }

    /// Whether the period moves with time.
    pub fn is_relative(&self) -> bool {
        !matches!(self.period, Period::Month(_) | Period::Days(_))
    }

    /// Days on the chart that are still arriving.
    pub fn provisional(&self) -> Option<DateRange> {
        DateRange::new(self.days.end(), self.chart.end())
    }
}

fn up_to(days: DateRange, complete_to: NaiveDate) -> Option<DateRange> {
    DateRange::new(days.start(), days.end().min(complete_to + Days::new(1)))
}

fn same_days_of_month_before(days: DateRange, asked: DateRange) -> Option<DateRange> {
    let month = BillingPeriod::containing(days.start()).previous().days();
    if days == asked && days.end() == BillingPeriod::containing(days.start()).days().end() {
        return Some(month);
    }
    DateRange::new(month.start(), (month.start() + Days::new(u64::from(days.day_count()))).min(month.end()))
}

/// `1 to 20 Nov 2026`, `28 Oct to 20 Nov 2026`.
pub fn range_label(range: DateRange) -> String {
    let (first, last) = (range.start(), range.last_day());
    if first == last {
        return first.format("%-d %b %Y").to_string();
    }
    let head = match (first.year() == last.year(), first.month() == last.month()) {
        (true, true) => "%-d",
        (true, false) => "%-d %b",
        (false, _) => "%-d %b %Y",
    };
    format!("{} to {}", first.format(head), last.format("%-d %b %Y"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn days_still_arriving_are_shown_and_not_counted() {
        let span = Span::new(Period::LastDays(30), Versus::Previous, day("2026-11-20"), day("2026-11-22")).unwrap();
        assert_eq!((span.days.start(), span.days.last_day()), (day("2026-10-22"), day("2026-11-20")));
        assert_eq!((span.chart.start(), span.chart.last_day()), (day("2026-09-22"), day("2026-11-22")));
        assert_eq!(span.provisional().map(|range| range.day_count()), Some(2));
    }

    #[test]
    fn days_without_a_late_source_are_called_partial() {
        let span = Span::new(Period::LastDays(30), Versus::Previous, day("2026-11-20"), day("2026-11-22")).unwrap();
        assert_eq!((span.label().as_str(), span.day_status(day("2026-11-19"))), ("30 complete days", "complete"));
        let span = Span { partial_from: Some(day("2026-11-19")), ..span };
        assert_eq!(span.label(), "30 days, partial");
        let status = ["2026-11-18", "2026-11-19", "2026-11-20", "2026-11-21"].map(|text| span.day_status(day(text)));
        assert_eq!(status, ["complete", "partial", "partial", "provisional"]);
    }

    #[test]
    fn a_month_is_compared_with_the_month_before() {
        let full = Span::new(
            Period::Month("2026-10".parse().unwrap()),
            Versus::Previous,
            day("2026-11-20"),
            day("2026-11-22"),
        );
        let full = full.unwrap();
        assert_eq!((full.before.start(), full.before.last_day()), (day("2026-09-01"), day("2026-09-30")));
        assert_eq!((full.label(), full.before_label()), ("October 2026".into(), "September 2026".into()));
        let open = Span::new(Period::MonthToDate, Versus::Previous, day("2026-11-20"), day("2026-11-22")).unwrap();
        assert_eq!((open.before.start(), open.before.last_day()), (day("2026-10-01"), day("2026-10-20")));
        assert!(
            Span::new(
                Period::Month("2027-01".parse().unwrap()),
                Versus::Previous,
                day("2026-11-20"),
                day("2026-11-22")
            )
            .is_none()
        );
    }
}
