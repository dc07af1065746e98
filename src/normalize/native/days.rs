//! Days as native exports write them, and the periods that follow from them.

use crate::normalize::recent::Recent;
use crate::normalize::timestamp;
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};

/// More than a month has, for each way to tell which of them is meant.
const REMEMBERED: usize = 64;

/// Bytes of `2026-05-31` and of `05/31/2026`, as which nearly all exports write a day.
const DAY_BYTES: usize = 10;

/// What follows from one text of a day.
#[derive(Default)]
pub(super) struct Day {
    /// The day's own midnight, and the next.
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// The first midnight of its month, and of the next.
    pub month_start: DateTime<Utc>,
    pub month_end: DateTime<Utc>,
}

/// The days of one column: most lines repeat one of a month's.
pub(super) struct Days {
    usual: Box<[Usual; REMEMBERED]>,
    others: Recent<Day>,
}

/// A text of ten bytes, and its day.
#[derive(Default)]
struct Usual {
    text: Option<[u8; DAY_BYTES]>,
    day: Day,
}

impl Default for Days {
    fn default() -> Self {
        Self { usual: Box::new(std::array::from_fn(|_| Usual::default())), others: Recent::new(REMEMBERED) }
    }
}

impl Days {
    /// The day of a cell, where it is one.
    #[inline]
    pub fn read(&mut self, cell: &str) -> Option<&Day> {
        let Some(text) = cell.as_bytes().as_array::<DAY_BYTES>() else {
            return self.others.of(cell, |day| read_day(cell.trim()).is_some_and(|read| day.set(read)));
        };
        let usual = &mut self.usual[place(text)];
        if usual.text != Some(*text) {
            usual.text = None;
            if !usual.day.set(read_day(cell.trim())?) {
                return None;
            }
            usual.text = Some(*text);
        }
        Some(&usual.day)
    }

    /// The first day of a month `202611`. A column has months or days.
    pub fn read_month(&mut self, cell: &str) -> Option<&Day> {
        self.others.of(cell, |day| read_month(cell.trim()).is_some_and(|read| day.set(read)))
    }
}

/// A place of its own for each day of a month: in each of both forms two of these digits are the day, and the others are
/// the same in the whole month.
fn place(text: &[u8; DAY_BYTES]) -> usize {
    let [_, _, _, us_tens, us_ones, _, _, _, tens, ones] = text.map(usize::from);
    ((us_tens + tens) * 10 + us_ones + ones) % REMEMBERED
}

impl Day {
    fn set(&mut self, day: NaiveDate) -> bool {
        let Some(end) = day.succ_opt() else { return false };
        let month_start = day - chrono::Days::new(u64::from(day.day0()));
        let month_end = month_start + chrono::Months::new(1);
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        *self = Self {
            start: midnight(day),
            end: midnight(end),
            month_start: midnight(month_start),
            month_end: midnight(month_end),
        };
        true
    }
}

fn read_month(text: &str) -> Option<NaiveDate> {
    let (year, month) = text.split_at_checked(4).filter(|_| text.len() == 6)?;
    timestamp::read(&format!("{year}-{month}-01")).map(|moment| moment.date_naive())
}

/// `2026-05-31`, whatever clock follows, or `05/31/2026` and `5/31/2026`: the month first.
fn read_day(text: &str) -> Option<NaiveDate> {
    if let Some(moment) = timestamp::read(text) {
        return Some(moment.date_naive());
    }
    let mut parts = text.splitn(3, '/');
    let (month, day, year) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !(1..=2).contains(&month.len()) || !(1..=2).contains(&day.len()) || year.len() != 4 {
        return None;
    }
    if !is_number(month) || !is_number(day) || !is_number(year) {
        return None;
    }
    timestamp::read(&format!("{year}-{month:0>2}-{day:0>2}")).map(|moment| moment.date_naive())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cell: &str) -> String {
        let mut days = Days::default();
        let Some(day) = days.read(cell) else { return "none".into() };
        [day.start, day.end, day.month_start, day.month_end].map(|moment| moment.format("%F").to_string()).join(" ")
    }

    #[test]
    fn days_in_each_writing_are_read() {
        for cell in ["02/29/2024", "2/29/2024", "2024-02-29", "2024-02-29T07:00:00Z"] {
            assert_eq!(shown(cell), "2024-02-29 2024-03-01 2024-02-01 2024-03-01", "{cell}");
        }
        assert_eq!(shown("12/31/2025"), "2025-12-31 2026-01-01 2025-12-01 2026-01-01");
        for cell in ["", "31/12/2025", "2/30/2024", "3/1/21", "+1/01/2024", "1/1/2024 5", "2024/01/01"] {
            assert_eq!(shown(cell), "none", "{cell}");
        }
    }

    /// Those of a month are remembered side by side, whatever was read before; what is no day is not remembered.
    #[test]
    fn days_are_those_of_their_texts() {
        let mut days = Days::default();
        let iso = |month: u32, day: u32| format!("2026-{month:02}-{day:02}");
        let us = |month: u32, day: u32| format!("{month:02}/{day:02}/2026");
        for _ in 0..2 {
            for (month, day) in (1..=12).flat_map(|month| (0..=32).map(move |day| (month, day))) {
                let expected = NaiveDate::from_ymd_opt(2026, month, day);
                for text in [iso(month, day), us(month, day)] {
                    assert_eq!(days.read(&text).map(|read| read.start.date_naive()), expected, "{text}");
                }
            }
            assert!(days.read(&"\0".repeat(DAY_BYTES)).is_none() && days.read("2026-05-é").is_none());
        }
        for form in [&iso as &dyn Fn(u32, u32) -> String, &us] {
            let mut places: Vec<usize> =
                (1..=31).map(|day| place(form(5, day).as_bytes().as_array().unwrap())).collect();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), 31);
        }
    }

    #[test]
    fn months_are_read() {
        let mut months = Days::default();
        let month = months.read_month("202612").unwrap();
        let shown = [month.month_start, month.month_end].map(|moment| moment.to_rfc3339());
        assert_eq!(shown, ["2026-12-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"]);
        assert!(["202613", "2026-1", ""].into_iter().all(|cell| months.read_month(cell).is_none()));
    }
}
