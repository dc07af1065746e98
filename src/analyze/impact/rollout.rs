//! Days on which a release was on its way: they lie neither before it nor after.

use super::History;
use chrono::{Days, NaiveDate};
use std::ops::RangeInclusive;

/// Days of one rollout that are left out at most, the last ones: what waited longer for somebody's approval changed
/// nothing meanwhile.
pub const ROLLOUT_DAYS_MAX: u64 = 14;

/// From which day on a rollout that began and finished on these days is left out. `None` where both are one day.
pub fn rollout_from(began: NaiveDate, finished: NaiveDate) -> Option<NaiveDate> {
    (began < finished).then(|| began.max(finished - Days::new(ROLLOUT_DAYS_MAX)))
}

impl History {
    /// The first day of the rollout of what was released on this day: the day itself where it took no longer.
    pub fn began(&self, day: NaiveDate) -> NaiveDate {
        let own = self.releases.iter().filter(|release| release.day == day);
        own.filter_map(|release| release.rollout_from).fold(day, NaiveDate::min)
    }

    /// Takes the figures of these days away: part of their cost is of what was there before, part of the release, and
    /// nobody knows which.
    pub(super) fn leave_out(&mut self, days: RangeInclusive<NaiveDate>) {
        let (first, last) = days.into_inner();
        for day in first.iter_days().take_while(|day| *day <= last) {
            if let Some(index) = self.index_of(day) {
                self.cost[index] = None;
            }
        }
    }
}
