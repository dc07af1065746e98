//! Days on which a release was on its way: they lie neither before nor after it.

use super::{History, ReleaseDay};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};

/// Days of one rollout that are left out at most, the last ones: what waited longer for somebody's approval changed
/// nothing meanwhile.
pub const ROLLOUT_DAYS_MAX: u64 = 14;
/// Hours that a release takes at least to have days of its own. Of a shorter one that only goes over midnight the hour says
/// enough.
const ROLLOUT_HOURS_MIN: i64 = 12;

/// Whether what began and finished at these moments took days: it went live on a later day, and not for midnight alone.
pub fn took_days(began: DateTime<Utc>, finished: DateTime<Utc>) -> bool {
    began.date_naive() < finished.date_naive() && finished - began >= TimeDelta::hours(ROLLOUT_HOURS_MIN)
}

/// From which day on a rollout that began and finished at these moments is left out. `None` where it took no days.
pub fn rollout_from(began: DateTime<Utc>, finished: DateTime<Utc>) -> Option<NaiveDate> {
    let longest = finished.date_naive() - Days::new(ROLLOUT_DAYS_MAX);
    took_days(began, finished).then(|| began.date_naive().max(longest))
}

impl ReleaseDay {
    /// The first day of its rollout: the day itself where it took no longer.
    pub fn began(&self) -> NaiveDate {
        self.rollout_from.map_or(self.day, |first| first.min(self.day))
    }

    /// Whether it was on its way on a day: from the first day of its rollout to the one on which it went live.
    pub fn is_on_its_way(&self, day: NaiveDate) -> bool {
        (self.began()..=self.day).contains(&day)
    }
}

impl History {
    /// The first day of the rollout of what was released on this day: the day itself where it took no longer.
    pub fn began(&self, day: NaiveDate) -> NaiveDate {
        let own = self.releases.iter().filter(|release| release.day == day);
        own.map(ReleaseDay::began).fold(day, NaiveDate::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_on_its_way_from_its_first_day_to_its_last() {
        let day = |number: u32| NaiveDate::from_ymd_opt(2026, 11, number).unwrap();
        let on_its_way = |rollout_from: Option<NaiveDate>| -> Vec<u32> {
            let release = ReleaseDay { day: day(9), deployment_ids: vec![1], share_before: None, rollout_from };
            (1..=30).filter(|number| release.is_on_its_way(day(*number))).collect()
        };
        assert_eq!(on_its_way(Some(day(6))), [6, 7, 8, 9]);
        assert_eq!(on_its_way(None), [9]);
    }

    #[test]
    fn a_rollout_takes_half_a_day_at_least_and_two_weeks_at_most() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let from = |began: &str, finished: &str| rollout_from(at(began), at(finished)).map(|day| day.to_string());
        let day = |text: &str| Some(text.to_owned());
        assert_eq!(from("2026-11-09T00:00:00Z", "2026-11-09T23:59:00Z"), None, "one day");
        assert_eq!(from("2026-11-09T23:55:00Z", "2026-11-10T00:05:00Z"), None, "ten minutes");
        assert_eq!(from("2026-11-09T18:00:00Z", "2026-11-10T05:59:59Z"), None);
        assert_eq!(from("2026-11-09T18:00:00Z", "2026-11-10T06:00:00Z"), day("2026-11-09"));
        assert_eq!(from("2026-11-06T09:00:00Z", "2026-11-09T08:00:00Z"), day("2026-11-06"));
        assert_eq!(from("2026-09-01T09:00:00Z", "2026-11-20T08:00:00Z"), day("2026-11-06"), "the last two weeks of it");
        assert_eq!(from("2026-11-10T09:00:00Z", "2026-11-09T08:00:00Z"), None, "a clock that is wrong");
    }
}
