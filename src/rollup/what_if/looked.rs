//! The days that the amounts of a preview are of.

use super::Asked;
use crate::allocate::FIRST_DAY;
use crate::focus::DateRange;
use chrono::Days;

/// Amounts are of no more days than these.
const DAYS_MAX: u32 = 400;

/// The shorter and the longer range where those asked for are not the days in question: what changes hands, or else what
/// the rule takes, does so from a first day on or up to a last one. Both end with the last of these days.
pub(super) fn days(asked: &[Asked], (recent, long): (DateRange, DateRange)) -> Option<(DateRange, DateRange)> {
    let moved = span(asked.iter().filter(|one| one.move_index.is_some()));
    let days = moved.or_else(|| span(asked.iter().filter(|one| one.is_taken)))?;
    others(days, (recent, long))
}

fn span<'a>(asked: impl Iterator<Item = &'a Asked>) -> Option<DateRange> {
    asked.map(|one| one.days).reduce(DateRange::spanning)
}

fn others(days: DateRange, (recent, long): (DateRange, DateRange)) -> Option<(DateRange, DateRange)> {
    let is_from_ever = days.start() <= FIRST_DAY;
    if is_from_ever && days.end() >= long.end() {
        return None;
    }
    let end = days.end().min(long.end());
    let before = |day_count: u32| end.checked_sub_days(Days::new(u64::from(day_count)));
    let start = if is_from_ever { before(long.day_count())? } else { days.start().max(before(DAYS_MAX)?) };
    // Days that are all still to come have no cost in whatever range.
    Some((DateRange::new(start.max(before(recent.day_count())?), end)?, DateRange::new(start, end)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocate::{END_DAY, all_days};
    use chrono::NaiveDate;

    #[test]
    fn amounts_are_of_the_days_in_question() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let range = |start: &str, end: &str| DateRange::new(day(start), day(end)).unwrap();
        let last = day("2026-11-27");
        let usual = (DateRange::days_to(last, 30), DateRange::days_to(last, 90));
        assert_eq!(others(all_days(), usual), None);
        let january = range("2026-01-05", "2026-01-21");
        assert_eq!(others(january, usual), Some((january, january)));
        let up_to = DateRange::new(FIRST_DAY, day("2026-09-01")).unwrap();
        assert_eq!(others(up_to, usual), Some((range("2026-08-02", "2026-09-01"), range("2026-06-03", "2026-09-01"))));
        let from = DateRange::new(day("2025-12-01"), END_DAY).unwrap();
        assert_eq!(others(from, usual), Some((usual.0, range("2025-12-01", "2026-11-28"))));
        let from = DateRange::new(day("2020-01-01"), END_DAY).unwrap();
        assert_eq!(others(from, usual).map(|(_, long)| long.day_count()), Some(DAYS_MAX));
        assert_eq!(others(DateRange::new(day("2027-01-01"), END_DAY).unwrap(), usual), None, "still to come");
    }
}
