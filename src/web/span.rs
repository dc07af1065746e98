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
    /// The first day that any bill tells of; `None` where the days are not those of bills.
    pub bills_from: Option<NaiveDate>,
    /// Billing periods that a source lacks between others.
    gaps: MonthSet,
    /// Billing periods of which there is no bill at all between others.
    unbilled: MonthSet,
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
        Some(Self {
            days,
            before,
            chart,
            complete_to,
            partial_from: None,
            bills_from: None,
            gaps: MonthSet::default(),
            unbilled: MonthSet::default(),
            period,
            versus,
        })
    }

    /// The days of what is listed beside the chart: those of the chart, and until today where it goes as far as bills do,
    /// because what happens is known before its bill.
    pub fn listed(&self, last_charge_date: Option<NaiveDate>, today: NaiveDate) -> DateRange {
        let goes_on = last_charge_date.is_none_or(|last| last < self.chart.end());
        let end = if goes_on { self.chart.end().max(today + Days::new(1)) } else { self.chart.end() };
        DateRange::new(self.chart.start(), end).unwrap_or(self.chart)
    }

    /// "30 complete days", "October 2026", "1 to 20 Nov 2026, partial".
    pub fn label(&self) -> String {
        match self.period {
            _ if self.is_partial() => format!("{}, partial", self.days_label()),
            _ if self.billed_day_count() < self.days.day_count() => match self.bills_from {
                Some(first) if self.days.start() < first => {
                    format!("{}, bills from {}", self.days_label(), first.format("%-d %b %Y"))
                }
                _ => self.days_label(),
            },
            Period::LastDays(_) => format!("{} complete days", self.days.day_count()),
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

    pub(super) fn with_gaps(
        self,
        gaps: impl Iterator<Item = BillingPeriod>,
        unbilled: impl Iterator<Item = BillingPeriod>,
    ) -> Self {
        let last = BillingPeriod::containing(self.complete_to);
        Self { gaps: MonthSet::new(last, gaps), unbilled: MonthSet::new(last, unbilled), ..self }
    }

    /// Whether the figures lack a late source on some of the days, or a bill between others.
    pub fn is_partial(&self) -> bool {
        self.partial_from.is_some_and(|first| first < self.days.end()) || self.gaps.first_of(self.days).is_some()
    }

    /// Whether a source lacks its bill of this day between others.
    pub fn is_gap(&self, day: NaiveDate) -> bool {
        self.gaps.has(BillingPeriod::containing(day))
    }

    /// "complete", "partial", "provisional": what is known of a day.
    pub fn day_status(&self, day: NaiveDate) -> &'static str {
        if day > self.complete_to {
            "provisional"
        } else if self.partial_from.is_some_and(|first| first <= day) || self.is_gap(day) {
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

    /// Whether bills tell of all days that these are compared with. Where they do not, what a day before cost is not
    /// known: it is no zero, and there is no change.
    pub fn is_compared(&self) -> bool {
        self.bills_from.is_none_or(|first| first <= self.before.start()) && self.without_bill().is_none()
    }

    // The first billing period without any bill that lies on either side.
    fn without_bill(&self) -> Option<BillingPeriod> {
        self.unbilled.first_of(self.before).or_else(|| self.unbilled.first_of(self.days))
    }

    /// A change, or what was before; `None` where there is no comparison.
    pub fn known<T>(&self, change: T) -> Option<T> {
        self.is_compared().then_some(change)
    }

    /// "no bills before 1 October 2026, so nothing to compare with": what stands in the place of a change; `None` where
    /// there is a comparison.
    pub fn no_comparison(&self) -> Option<String> {
        let lacking = match (self.bills_from, self.without_bill()) {
            (Some(first), _) if self.before.start() < first => format!("before {}", first.format("%-d %B %Y")),
            (_, Some(month)) => format!("for {}", month.label()),
            _ => return None,
        };
        Some(format!("no bills {lacking}, so nothing to compare with"))
    }

    /// "from 2 to 31 Oct 2026 against the 30 days before": how a sentence about a change ends.
    pub fn sides(&self) -> String {
        match self.no_comparison() {
            Some(why) => format!("from {}: {why}", range_label(self.days)),
            None => format!("from {} against {}", range_label(self.days), self.before_label()),
        }
    }

    /// How many of the days bills tell of: what averages a day are over.
    pub fn billed_day_count(&self) -> u32 {
        self.days.days().filter(|day| self.has_bill(*day)).count() as u32
    }

    /// Whether any bill tells of this day.
    pub fn has_bill(&self, day: NaiveDate) -> bool {
        self.bills_from.is_none_or(|first| first <= day) && !self.unbilled.has(BillingPeriod::containing(day))
    }

    /// The first day from which on bills tell of all days to this one, of two months at least, and the last complete one to
    /// which they do.
    pub fn billed_around(&self, day: NaiveDate) -> (Option<NaiveDate>, NaiveDate) {
        let month = BillingPeriod::containing(day);
        let before = [month, month.previous()].into_iter().find(|month| self.unbilled.has(*month));
        let from = before.map(|month| month.next().first_day());
        let next = month.next();
        let to = if self.unbilled.has(next) { next.first_day() - Days::new(1) } else { self.complete_to };
        (self.bills_from.max(from), to.min(self.complete_to))
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

    /// "22 Oct to 20 Nov 2026 against 22 Sep to 21 Oct 2026", or why there is no comparison.
    pub fn comparison_label(&self) -> String {
        match self.no_comparison() {
            Some(why) => format!("{}; {why}", range_label(self.days)),
            None => self.both_label(),
        }
    }

    /// "22 Oct to 20 Nov 2026 against 22 Sep to 21 Oct 2026", whatever bills tell of them.
    pub fn both_label(&self) -> String {
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

/// Billing periods, counted back from the last complete day's: a bit each, for ten years.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct MonthSet {
    last: i32,
    back: u128,
}

impl MonthSet {
    fn new(last: BillingPeriod, months: impl Iterator<Item = BillingPeriod>) -> Self {
        let none = Self { last: number(last), back: 0 };
        months.fold(none, |all, month| Self { back: all.back | all.bit(month), ..all })
    }

    fn bit(&self, month: BillingPeriod) -> u128 {
        u32::try_from(self.last - number(month)).ok().and_then(|back| 1u128.checked_shl(back)).unwrap_or_default()
    }

    fn has(&self, month: BillingPeriod) -> bool {
        self.back & self.bit(month) != 0
    }

    // The first of them that has a day in this range.
    fn first_of(&self, days: DateRange) -> Option<BillingPeriod> {
        let first = BillingPeriod::containing(days.start());
        let all = std::iter::successors(Some(first), |month| Some(month.next()));
        all.take_while(|month| month.first_day() < days.end()).find(|month| self.has(*month))
    }
}

fn number(month: BillingPeriod) -> i32 {
    month.first_day().year() * 12 + month.first_day().month0() as i32
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
    fn what_is_listed_goes_on_until_today_where_the_chart_goes_as_far_as_bills() {
        let (last, today) = (Some(day("2026-11-22")), day("2026-11-24"));
        let span = Span::new(Period::LastDays(30), Versus::Previous, day("2026-11-20"), day("2026-11-22")).unwrap();
        assert_eq!(span.listed(last, today).last_day(), today);
        let march = Period::Month("2026-03".parse().unwrap());
        let span = Span::new(march, Versus::Previous, day("2026-11-20"), day("2026-11-22")).unwrap();
        assert_eq!(span.listed(last, today), span.chart);
        assert_eq!(span.chart.last_day(), day("2026-03-31"));
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
    fn days_that_no_bill_tells_of_are_no_comparison() {
        let october = Span::new(Period::LastDays(30), Versus::Previous, day("2026-10-31"), day("2026-10-31")).unwrap();
        assert_eq!((october.before.start(), october.is_compared()), (day("2026-09-02"), true));
        let first = Span { bills_from: Some(day("2026-10-01")), ..october };
        let why = "no bills before 1 October 2026, so nothing to compare with";
        assert_eq!((first.no_comparison().as_deref(), first.known("+2,900%")), (Some(why), None));
        assert_eq!(first.sides(), format!("from 2 to 31 Oct 2026: {why}"));
        assert_eq!(first.comparison_label(), format!("2 to 31 Oct 2026; {why}"));
        assert_eq!((first.label().as_str(), first.billed_day_count()), ("30 complete days", 30));
        let whole = Span { bills_from: Some(day("2026-09-02")), ..october };
        assert_eq!((whole.no_comparison(), whole.known("+2%")), (None, Some("+2%")));
        assert_eq!(whole.sides(), "from 2 to 31 Oct 2026 against the 30 days before");
        let inside = Span { bills_from: Some(day("2026-10-22")), ..october };
        assert_eq!((inside.label().as_str(), inside.billed_day_count()), ("30 days, bills from 22 Oct 2026", 10));
        let later = Span { bills_from: Some(day("2026-11-01")), ..october };
        assert_eq!(later.billed_day_count(), 0);
    }

    #[test]
    fn days_of_a_billing_period_that_lacks_are_partial_and_no_zeros() {
        let months = |text: &str| -> Vec<BillingPeriod> {
            text.split_whitespace().map(|month| month.parse().unwrap()).collect()
        };
        let span = Span::new(Period::LastDays(30), Versus::Previous, day("2026-11-20"), day("2026-11-20")).unwrap();
        let partial = span.with_gaps(months("2026-10").into_iter(), months("").into_iter());
        assert_eq!((partial.label().as_str(), partial.is_compared()), ("30 days, partial", true));
        let status = ["2026-09-30", "2026-10-01", "2026-10-31", "2026-11-01"].map(|text| partial.day_status(day(text)));
        assert_eq!(status, ["complete", "partial", "partial", "complete"]);
        let none = span.with_gaps(months("2026-10").into_iter(), months("2026-10").into_iter());
        assert_eq!(none.no_comparison().unwrap(), "no bills for October 2026, so nothing to compare with");
        assert_eq!((none.is_compared(), none.billed_day_count()), (false, 20));
        assert_eq!(none.billed_around(day("2026-11-10")), (Some(day("2026-11-01")), day("2026-11-20")));
        assert_eq!(none.billed_around(day("2026-09-20")), (None, day("2026-09-30")));
        let old = span.with_gaps(months("2024-10 1990-01").into_iter(), months("2024-10").into_iter());
        assert_eq!((old.is_partial(), old.is_compared(), old.label().as_str()), (false, true, "30 complete days"));
        assert!(old.is_gap(day("2024-10-31")) && !old.is_gap(day("2024-11-01")) && !old.is_gap(day("2027-01-01")));
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
