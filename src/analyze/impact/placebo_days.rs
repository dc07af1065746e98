//! Which days may be asked as placebos, and what is known of them when they are: one rule for what an organisation learns
//! from its own days, and for the worlds on which that is measured. Pure.

use super::{HISTORY_DAYS_MIN, History, SETTLED_DAYS};
use chrono::{Datelike, Days, NaiveDate};

/// Days to the nearest release.
const DISTANCE_DAYS: i64 = 3;

/// Days from one placebo of a series to the next, in turn one to learn from and one to tell by. Few of their days are
/// shared, and either kind comes to every weekday: sixteen days later it is two weekdays on.
const STEP_DAYS: i32 = 8;

/// Complete days after a placebo's day that the provisional question is asked with: one more than the least, so that it
/// stands for the answers of that week.
const PROVISIONAL_DAYS: u32 = 4;

/// What a placebo is for. Factors that were learnt from a day would flatter the rate that is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceboPurpose {
    /// How much wider or narrower intervals have to be here.
    Learn,
    /// How often the method is wrong here.
    Tell,
}

impl PlaceboPurpose {
    /// Whether a day is for it: a matter of the calendar, so that a day changes sides with no bill.
    fn holds(self, day: NaiveDate) -> bool {
        let offset = if self == Self::Learn { 0 } else { STEP_DAYS };
        day.num_days_from_ce().rem_euclid(2 * STEP_DAYS) == offset
    }
}

/// The days of a history that may be asked: with as many days before and after them as a settled answer has, no release
/// near, and no bill missing.
pub fn placebo_days(history: &History, purpose: PlaceboPurpose) -> Vec<NaiveDate> {
    let Some(first) = history.cost.iter().position(Option::is_some) else { return Vec::new() };
    let first = history.day_at(first) + Days::new(u64::from(HISTORY_DAYS_MIN));
    let last = history.complete_to - Days::new(u64::from(SETTLED_DAYS));
    // A rollout may move the cost on each of its days.
    let is_apart = |day: &NaiveDate| {
        history.releases.iter().all(|release| {
            (release.began() - *day).num_days() >= DISTANCE_DAYS || (*day - release.day).num_days() >= DISTANCE_DAYS
        })
    };
    let all = first.iter_days().take_while(|day| *day <= last).filter(|day| purpose.holds(*day));
    all.filter(is_apart).filter(|day| !history.lacks_bill(&[*day])).collect()
}

/// The last complete days with which a placebo is asked: as a settled answer, and as a provisional one.
pub fn placebo_asked_to(day: NaiveDate) -> [NaiveDate; 2] {
    [SETTLED_DAYS, PROVISIONAL_DAYS].map(|days| day + Days::new(u64::from(days)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::impact::ReleaseDay;
    use std::collections::BTreeSet;

    fn first_day() -> NaiveDate {
        "2026-01-01".parse().unwrap()
    }

    // 240 days, of which the 101st has a release.
    fn history() -> History {
        let released = first_day() + Days::new(100);
        History {
            first_day: first_day(),
            cost: vec![Some(1.0); 240],
            complete_to: first_day() + Days::new(239),
            traffic: None,
            siblings: None,
            replicas: None,
            releases: vec![ReleaseDay {
                day: released,
                deployment_ids: vec![1],
                share_before: None,
                rollout_from: None,
            }],
            price_events: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn placebos_come_to_every_weekday_and_none_both_teaches_and_tells() {
        let (mut history, first_day) = (history(), first_day());
        let released = history.releases[0].day;
        let [learnt, told] =
            [PlaceboPurpose::Learn, PlaceboPurpose::Tell].map(|purpose| placebo_days(&history, purpose));
        for days in [&learnt, &told] {
            let weekdays: BTreeSet<u32> = days.iter().map(|day| day.weekday().num_days_from_monday()).collect();
            assert_eq!(weekdays.len(), 7, "{days:?}");
            assert!(days.iter().all(|day| (*day - released).num_days().abs() >= DISTANCE_DAYS), "{days:?}");
            assert!(days.first() >= Some(&(first_day + Days::new(28))), "{days:?}");
            assert!(days.last() <= Some(&(first_day + Days::new(225))), "{days:?}");
        }
        let apart = |one: &NaiveDate| told.iter().all(|other| (*one - *other).num_days().abs() >= 8);
        assert!(learnt.iter().all(apart), "{learnt:?} {told:?}");
        // More days in front, as when older bills come in, change no day's side.
        history.first_day = first_day - Days::new(5);
        history.cost = vec![Some(1.0); 245];
        let again = placebo_days(&history, PlaceboPurpose::Learn);
        assert!(learnt.iter().all(|day| again.contains(day)), "{again:?}");
    }

    #[test]
    fn a_day_that_lacks_a_bill_or_its_answer_is_not_asked() {
        let mut history = history();
        let all = placebo_days(&history, PlaceboPurpose::Learn);
        let asked = all[all.len() / 2];
        // A bill is missing on the last day of its settled answer.
        let last = history.index_of(placebo_asked_to(asked)[0]).unwrap();
        history.cost[last] = None;
        assert!(!placebo_days(&history, PlaceboPurpose::Learn).contains(&asked));
        history.cost[last] = Some(1.0);
        // As long as that day is not complete, it is not asked either.
        history.complete_to = placebo_asked_to(asked)[0] - Days::new(1);
        assert!(!placebo_days(&history, PlaceboPurpose::Learn).contains(&asked));
        history.complete_to = placebo_asked_to(asked)[0];
        assert_eq!(placebo_days(&history, PlaceboPurpose::Learn).last(), Some(&asked));
    }

    #[test]
    fn a_placebo_is_asked_settled_and_with_four_days() {
        let day = first_day();
        assert_eq!(placebo_asked_to(day), [day + Days::new(14), day + Days::new(4)]);
    }
}
