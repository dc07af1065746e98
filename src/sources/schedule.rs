//! When a source is read by itself: every so many minutes or hours, or once a day. All in UTC.

use chrono::{DateTime, Days, Duration, NaiveTime, Utc};
use std::fmt;
use std::str::FromStr;

/// Shorter would only ask the store for the same again.
const MINUTES_MIN: u32 = 5;
/// A week.
const MINUTES_MAX: u32 = 7 * 24 * 60;
const HELP: &str =
    "Write it as \"every 30 minutes\", \"every 6 hours\" (5 minutes to 7 days) or \"daily at 06:00\" (UTC).";

/// When a source is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// This many minutes after the last time.
    EveryMinutes(u32),
    /// Once a day at this time, UTC.
    DailyAt(NaiveTime),
}

impl Schedule {
    /// The next time after `now`. Times that went by while nothing ran are not made up for.
    pub fn next_after(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::EveryMinutes(minutes) => now + Duration::minutes(i64::from(minutes)),
            Self::DailyAt(time) => {
                let today = now.date_naive().and_time(time).and_utc();
                if today > now { today } else { today.checked_add_days(Days::new(1)).unwrap_or(today) }
            }
        }
    }

    /// Hours between two times.
    pub fn hours(self) -> i32 {
        match self {
            Self::EveryMinutes(minutes) => i32::try_from(minutes.div_ceil(60)).unwrap_or(1),
            Self::DailyAt(_) => 24,
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EveryMinutes(60) => f.write_str("every 1 hour"),
            Self::EveryMinutes(minutes) if minutes % 60 == 0 => write!(f, "every {} hours", minutes / 60),
            Self::EveryMinutes(minutes) => write!(f, "every {minutes} minutes"),
            Self::DailyAt(time) => write!(f, "daily at {}", time.format("%H:%M")),
        }
    }
}

impl FromStr for Schedule {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["daily", "at", time] | ["daily", time] => {
                NaiveTime::parse_from_str(time, "%H:%M").map(Self::DailyAt).map_err(|_| HELP)
            }
            ["every", count, unit] => {
                let count: u32 = count.parse().map_err(|_| HELP)?;
                let minutes = match *unit {
                    "minutes" | "minute" => Some(count),
                    "hours" | "hour" => count.checked_mul(60),
                    "days" | "day" => count.checked_mul(24 * 60),
                    _ => None,
                };
                let is_fit = |minutes: &u32| (MINUTES_MIN..=MINUTES_MAX).contains(minutes);
                minutes.filter(is_fit).map(Self::EveryMinutes).ok_or(HELP)
            }
            _ => Err(HELP),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn words_and_times() {
        for (text, shown) in [
            ("every 30 minutes", "every 30 minutes"),
            ("Every  6 Hours", "every 6 hours"),
            ("every 60 minutes", "every 1 hour"),
            ("every 1 day", "every 24 hours"),
            ("daily at 06:05", "daily at 06:05"),
        ] {
            let schedule: Schedule = text.parse().unwrap();
            assert_eq!(schedule.to_string(), shown);
            assert_eq!(shown.parse(), Ok(schedule));
        }
        for text in ["", "every 1 minute", "every 8 days", "every 99999999999 hours", "daily at 25:00", "at noon"] {
            assert_eq!(text.parse::<Schedule>(), Err(HELP), "{text}");
        }
    }

    #[test]
    fn the_next_time_lies_ahead() {
        let daily: Schedule = "daily at 06:00".parse().unwrap();
        assert_eq!(daily.next_after(at("2026-11-20T05:59:59Z")), at("2026-11-20T06:00:00Z"));
        assert_eq!(daily.next_after(at("2026-11-20T06:00:00Z")), at("2026-11-21T06:00:00Z"));
        let often: Schedule = "every 90 minutes".parse().unwrap();
        assert_eq!(often.next_after(at("2026-11-20T23:00:00Z")), at("2026-11-21T00:30:00Z"));
        assert_eq!((daily.hours(), often.hours()), (24, 2));
    }
}
