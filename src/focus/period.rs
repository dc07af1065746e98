use chrono::{Datelike, Days, Months, NaiveDate};
use std::fmt;
use std::str::FromStr;

/// Whole UTC days, `start` inclusive, `end` exclusive, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateRange {
    start: NaiveDate,
    end: NaiveDate,
}

impl DateRange {
    /// The range, or `None` where it would be empty.
    pub fn new(start: NaiveDate, end: NaiveDate) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// The `day_count` whole days that end with `last_day`.
    pub fn days_to(last_day: NaiveDate, day_count: u32) -> Self {
        let end = last_day + Days::new(1);
        Self { start: end - Days::new(u64::from(day_count.max(1))), end }
    }

    /// First day.
    pub fn start(self) -> NaiveDate {
        self.start
    }

    /// The day after the last.
    pub fn end(self) -> NaiveDate {
        self.end
    }

    /// Last day.
    pub fn last_day(self) -> NaiveDate {
        self.end - Days::new(1)
    }

    /// Number of days.
    pub fn day_count(self) -> u32 {
        (self.end - self.start).num_days() as u32
    }

    /// The range of equal length that ends where this one starts.
    pub fn previous(self) -> Self {
        Self { start: self.start - Days::new(u64::from(self.day_count())), end: self.start }
    }

    /// From the earlier start to the later end, with whatever days lie between.
    pub fn spanning(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The days of both, or `None` where they have none together.
    pub fn common(self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// The calendar months of the range in order, the first and the last cut to it.
    pub fn months(self) -> Vec<Self> {
        let mut month = BillingPeriod::containing(self.start);
        let mut months = Vec::new();
        while month.first_day() < self.end {
            months.extend(month.days().common(self));
            month = month.next();
        }
        months
    }

    /// Every day in order.
    pub fn days(self) -> impl Iterator<Item = NaiveDate> {
        self.start.iter_days().take(self.day_count() as usize)
    }
}

/// A calendar month: the provider's label of a bill, written `2026-10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BillingPeriod(NaiveDate);

impl BillingPeriod {
    /// The month that holds `date`.
    pub fn containing(date: NaiveDate) -> Self {
        Self(date.with_day(1).expect("every month has a first day"))
    }

    /// The first and the last month that people may name: far from the ends of the calendar.
    pub fn supported() -> (Self, Self) {
        let month = |year: i32, month: u32| NaiveDate::from_ymd_opt(year, month, 1).map_or(Self(NaiveDate::MIN), Self);
        (month(1990, 1), month(2100, 12))
    }

    /// First day of the month.
    pub fn first_day(self) -> NaiveDate {
        self.0
    }

    /// The days of the month.
    pub fn days(self) -> DateRange {
        DateRange { start: self.0, end: self.next().0 }
    }

    /// The month after.
    pub fn next(self) -> Self {
        Self(self.0 + Months::new(1))
    }

    /// The month before.
    pub fn previous(self) -> Self {
        Self(self.0 - Months::new(1))
    }

    /// `October 2026`.
    pub fn label(self) -> String {
        self.0.format("%B %Y").to_string()
    }
}

impl fmt::Display for BillingPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m"))
    }
}

/// Not a month of the form `2026-10`.
#[derive(Debug, thiserror::Error)]
#[error("a month is written like 2026-10")]
pub struct InvalidMonth;

impl FromStr for BillingPeriod {
    type Err = InvalidMonth;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 7 {
            return Err(InvalidMonth);
        }
        NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").map(Self).map_err(|_| InvalidMonth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_half_open() {
        let month: BillingPeriod = "2024-02".parse().unwrap();
        assert_eq!(month.days().day_count(), 29);
        assert_eq!(month.previous().to_string(), "2024-01");
        assert!("2024-2".parse::<BillingPeriod>().is_err());
    }

    #[test]
    fn ranges_meet_and_span_and_fall_into_months() {
        let range = |start: &str, end: &str| DateRange::new(start.parse().unwrap(), end.parse().unwrap()).unwrap();
        let (first, second) = (range("2026-01-20", "2026-02-11"), range("2026-02-10", "2026-03-01"));
        assert_eq!(first.common(second), Some(range("2026-02-10", "2026-02-11")));
        assert_eq!(first.common(range("2026-02-11", "2026-03-01")), None);
        assert_eq!(first.spanning(second), range("2026-01-20", "2026-03-01"));
        assert_eq!(first.months(), [range("2026-01-20", "2026-02-01"), range("2026-02-01", "2026-02-11")]);
    }

    #[test]
    fn the_previous_range_ends_where_this_starts() {
        let range = DateRange::days_to(NaiveDate::from_ymd_opt(2026, 3, 30).unwrap(), 30);
        assert_eq!(range.previous().end(), range.start());
        assert_eq!(range.previous().day_count(), 30);
    }
}
