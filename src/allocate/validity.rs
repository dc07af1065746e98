use crate::focus::DateRange;
use chrono::{Days, NaiveDate};

/// A day before every charge: where a mapping starts that always held.
pub const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(1, 1, 1).expect("it is a day");
/// A day after every charge: where a mapping ends that has no end.
pub const END_DAY: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("it is a day");

/// The charge days that a rule holds on, both ends included. Absent means without an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Validity {
    /// The first charge day.
    pub first_day: Option<NaiveDate>,
    /// The last charge day.
    pub last_day: Option<NaiveDate>,
}

impl Validity {
    /// Whether the end does not lie before the start.
    pub fn is_in_order(self) -> bool {
        match (self.first_day, self.last_day) {
            (Some(first), Some(last)) => first <= last,
            _ => true,
        }
    }

    /// Whether it holds on this day.
    pub fn holds_on(self, day: NaiveDate) -> bool {
        self.first_day.is_none_or(|first| first <= day) && self.last_day.is_none_or(|last| day <= last)
    }

    /// All days that it holds on; `None` where there is none.
    pub fn days(self) -> Option<DateRange> {
        let end = self.last_day.and_then(|last| last.checked_add_days(Days::new(1)));
        let start = self.first_day.map_or(FIRST_DAY, |first| first.max(FIRST_DAY));
        DateRange::new(start, end.map_or(END_DAY, |end| end.min(END_DAY)))
    }

    /// The days on which something changes: the first, and the one after the last.
    pub fn bounds(self) -> impl Iterator<Item = NaiveDate> {
        let end = self.last_day.and_then(|last| last.checked_add_days(Days::new(1)));
        self.first_day.into_iter().chain(end).filter(|day| *day > FIRST_DAY && *day < END_DAY)
    }

    /// In words: `charges from 2026-10-01 to 2026-10-31`; empty where it always holds.
    pub fn in_words(self) -> String {
        match (self.first_day, self.last_day) {
            (None, None) => String::new(),
            (Some(first), None) => format!("charges from {first} on"),
            (None, Some(last)) => format!("charges up to {last}"),
            (Some(first), Some(last)) => format!("charges from {first} to {last}"),
        }
    }
}

/// All days there can be.
pub fn all_days() -> DateRange {
    DateRange::new(FIRST_DAY, END_DAY).expect("the first day lies before the last")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn both_ends_are_included_and_bounds_tell_where_something_changes() {
        let october = Validity { first_day: Some(day("2026-10-01")), last_day: Some(day("2026-10-31")) };
        assert!(october.holds_on(day("2026-10-01")) && october.holds_on(day("2026-10-31")));
        assert!(!october.holds_on(day("2026-09-30")) && !october.holds_on(day("2026-11-01")));
        assert_eq!(october.bounds().collect::<Vec<_>>(), [day("2026-10-01"), day("2026-11-01")]);
        assert!(Validity::default().holds_on(FIRST_DAY) && Validity::default().bounds().next().is_none());
        assert_eq!(october.days(), DateRange::new(day("2026-10-01"), day("2026-11-01")));
        assert_eq!(Validity::default().days(), Some(all_days()));
        let one_day = Validity { first_day: Some(day("2026-10-01")), last_day: Some(day("2026-10-01")) };
        assert!(one_day.is_in_order() && one_day.holds_on(day("2026-10-01")));
        assert!(!Validity { first_day: Some(day("2026-10-02")), last_day: Some(day("2026-10-01")) }.is_in_order());
    }
}
