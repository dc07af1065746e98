use crate::focus::DateRange;
use chrono::{Datelike, Days, NaiveDate, Weekday};

/// Longer ranges have a bar a week.
const DAY_BAR_COUNT_MAX: u32 = 130;
const WEEK_DAYS: u32 = 7;

/// The bars of a time axis: a day each, or a week each on long ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buckets {
    ranges: Vec<DateRange>,
    is_weekly: bool,
    /// The first bar that is still arriving, or the number of bars.
    provisional_from: usize,
}

/// A label under the axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DateTick {
    /// The bar it stands under.
    pub index: usize,
    /// `5 Oct`.
    pub label: String,
    /// Left out on narrow screens.
    pub is_minor: bool,
}

impl Buckets {
    /// The bars of `shown`; those after `complete_to` are still arriving.
    pub fn new(shown: DateRange, complete_to: NaiveDate) -> Self {
        let is_weekly = shown.day_count() > DAY_BAR_COUNT_MAX;
        let complete_end = (complete_to + Days::new(1)).clamp(shown.start(), shown.end());
        let mut ranges: Vec<DateRange> = if is_weekly {
            weeks_back_from(complete_end, shown.start())
        } else {
            DateRange::new(shown.start(), complete_end).map(single_days).unwrap_or_default()
        };
        let provisional_from = ranges.len();
        if let Some(arriving) = DateRange::new(complete_end, shown.end()) {
            if is_weekly { ranges.push(arriving) } else { ranges.extend(single_days(arriving)) }
        }
        Self { ranges, is_weekly, provisional_from }
    }

    /// Number of bars.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is no bar.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether a bar is a week.
    pub fn is_weekly(&self) -> bool {
        self.is_weekly
    }

    /// The days of each bar.
    pub fn ranges(&self) -> &[DateRange] {
        &self.ranges
    }

    /// The first bar that is still arriving; the number of bars where none is.
    pub fn provisional_from(&self) -> usize {
        self.provisional_from
    }

    /// Where a step begins and how many days it has, where time is cut into steps of one length: a bar is a step, the part of
    /// one that a chart begins within, or several that are still arriving. None where there is no bar.
    pub fn steps(&self) -> Option<(NaiveDate, u32)> {
        let first = self.ranges.first()?;
        match (self.is_weekly, self.provisional_from) {
            (false, _) => Some((first.start(), 1)),
            (true, 0) => Some((first.start(), WEEK_DAYS)),
            // The first week may be a part of one; its end is the end of one.
            (true, _) => Some((first.end() - Days::new(WEEK_DAYS.into()), WEEK_DAYS)),
        }
    }

    /// The bar of a day.
    pub fn index_of(&self, day: NaiveDate) -> Option<usize> {
        let index = self.ranges.partition_point(|range| range.end() <= day);
        self.ranges.get(index).filter(|range| range.start() <= day).map(|_| index)
    }

    /// `Thu 24 Sep`, or `24 Sep, 7 days`.
    pub fn label(&self, index: usize) -> String {
        let range = self.ranges[index];
        if self.is_weekly {
            let days = if range.day_count() == 1 { "day" } else { "days" };
            return format!("{}, {} {days}", range.start().format("%-d %b %Y"), range.day_count());
        }
        range.start().format("%a %-d %b").to_string()
    }

    pub(super) fn ticks(&self) -> Vec<DateTick> {
        let is_tick = |range: &DateRange| {
            if self.is_weekly {
                range.days().any(|day| day.day() == 1)
            } else {
                range.start().weekday() == Weekday::Mon
            }
        };
        let found = self.ranges.iter().enumerate().filter(|(_, range)| is_tick(range));
        let last = self.ranges.len().saturating_sub(1);
        let format = if self.is_weekly { "%b" } else { "%-d %b" };
        found
            .enumerate()
            .map(|(order, (index, range))| DateTick {
                index,
                label: if self.is_weekly { range.last_day().format(format) } else { range.start().format(format) }
                    .to_string(),
                is_minor: order % 2 == 1 || (self.provisional_from <= last && index + 8 > last),
            })
            // The word "provisional" stands at the right end.
            .filter(|tick| self.provisional_from > last || tick.index + 4 <= last || self.is_weekly)
            .collect()
    }
}

fn single_days(range: DateRange) -> Vec<DateRange> {
    range.days().map(|day| DateRange::days_to(day, 1)).collect()
}

// Whole weeks that end where the complete days end; the first may be shorter.
fn weeks_back_from(end: NaiveDate, start: NaiveDate) -> Vec<DateRange> {
    let mut weeks = Vec::new();
    let mut week_end = end;
    while week_end > start {
        let week_start = (week_end - Days::new(WEEK_DAYS.into())).max(start);
        weeks.extend(DateRange::new(week_start, week_end));
        week_end = week_start;
    }
    weeks.reverse();
    weeks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn long_ranges_have_a_bar_a_week_that_ends_with_the_complete_days() {
        let year = DateRange::new(day("2025-11-21"), day("2026-11-23")).unwrap();
        let buckets = Buckets::new(year, day("2026-11-20"));
        assert!(buckets.is_weekly());
        assert_eq!(buckets.provisional_from(), buckets.len() - 1);
        assert_eq!(buckets.ranges()[buckets.len() - 2].last_day(), day("2026-11-20"));
        let days: u32 = buckets.ranges().iter().map(|range| range.day_count()).sum();
        assert_eq!(days, year.day_count());
        assert_eq!(buckets.index_of(day("2026-11-22")), Some(buckets.len() - 1));
        assert_eq!(buckets.index_of(day("2026-11-23")), None);
    }

    /// No step lies on two bars, whatever day the chart begins on and however far days are complete.
    #[test]
    fn steps_end_where_bars_end() {
        for (start, complete_to) in [
            ("2026-11-01", "2026-11-20"),
            ("2025-11-21", "2026-11-20"),
            ("2025-11-22", "2026-11-20"),
            ("2025-11-22", "2026-11-23"),
            ("2025-11-22", "2025-11-02"),
        ] {
            let shown = DateRange::new(day(start), day("2026-11-23")).unwrap();
            let buckets = Buckets::new(shown, day(complete_to));
            let (origin, day_count) = buckets.steps().unwrap();
            assert!(origin <= shown.start(), "{start} to {complete_to}");
            let step_of = |day: NaiveDate| (day - origin).num_days() / i64::from(day_count);
            for (left, right) in shown.days().zip(shown.days().skip(1)) {
                let is_one_step = step_of(left) == step_of(right);
                let is_one_bar = buckets.index_of(left) == buckets.index_of(right);
                assert!(is_one_bar || !is_one_step, "{start} to {complete_to}: {left}");
            }
        }
        assert_eq!(Buckets { ranges: Vec::new(), is_weekly: false, provisional_from: 0 }.steps(), None);
    }
}
