//! Releases beside the begin of something that moved cost: what may have caused it, and what only lies before.

use crate::analyze::impact::{ReleaseDay, groups};
use chrono::NaiveDate;

/// Days before within which a release may have caused it.
const NEAR_DAYS: i64 = 3;
/// What lies nearer before the begin of another cannot be told from it by days.
const APART_DAYS: i64 = 2;

/// Releases beside a day, in the order in which they were given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Beside<'a> {
    /// Those that may have caused what began on the day.
    pub causes: Vec<&'a ReleaseDay>,
    /// Those that went live in the days before, while on the day itself another one was on its way: that one is put first,
    /// and these are named as before it, no more.
    pub before: Vec<&'a ReleaseDay>,
}

/// The releases beside a day: of three days before to one after it, and those that were on their way.
pub fn releases_beside(releases: &[ReleaseDay], day: NaiveDate) -> Beside<'_> {
    let on_their_way: Vec<&ReleaseDay> = releases.iter().filter(|release| release.is_on_its_way(day)).collect();
    let began = on_their_way.iter().map(|release| release.began()).min();
    let is_near = |release: &&ReleaseDay| {
        release.is_on_its_way(day) || (-NEAR_DAYS..=1).contains(&(release.day - day).num_days())
    };
    // Of what shares an answer, as by a third one between them, none is put behind another.
    let is_asked = |days: &Vec<NaiveDate>| on_their_way.iter().any(|release| days.contains(&release.day));
    let together: Vec<NaiveDate> = groups(releases).into_iter().filter(is_asked).flatten().collect();
    let is_before = |release: &&ReleaseDay| {
        let is_apart = began.is_some_and(|began| (began - release.day).num_days() >= APART_DAYS);
        is_apart && !together.contains(&release.day)
    };
    let (before, causes) = releases.iter().filter(is_near).partition(is_before);
    Beside { causes, before }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(index: u64) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 1).unwrap() + chrono::Days::new(index)
    }

    /// Of days on which rollouts began and went live, by number.
    fn beside(rollouts: &[(u64, u64)], on: u64) -> (Vec<i64>, Vec<i64>) {
        let release = |(number, (began, live)): (usize, &(u64, u64))| ReleaseDay {
            day: day(*live),
            deployment_ids: vec![number as i64],
            share_before: None,
            rollout_from: (began < live).then(|| day(*began)),
        };
        let releases: Vec<ReleaseDay> = rollouts.iter().enumerate().map(release).collect();
        let found = releases_beside(&releases, day(on));
        let ids = |of: &[&ReleaseDay]| of.iter().flat_map(|one| one.deployment_ids.clone()).collect();
        (ids(&found.causes), ids(&found.before))
    }

    #[test]
    fn the_one_that_was_on_its_way_is_put_before_those_that_were_over() {
        // A release, and two days later a canary of six days, on the first of which cost moved.
        assert_eq!(beside(&[(8, 8), (10, 16)], 10), (vec![1], vec![0]));
        assert_eq!(beside(&[(8, 8), (10, 16)], 11), (vec![1], vec![0]));
        assert_eq!(beside(&[(8, 8), (10, 16)], 9), (vec![0], vec![]), "it had not begun");
        assert_eq!(beside(&[(9, 9), (10, 16)], 11), (vec![0, 1], vec![]), "within a day they share an answer");
        assert_eq!(beside(&[(4, 8), (10, 16)], 10), (vec![1], vec![0]), "of one that took days itself");
        assert_eq!(beside(&[(8, 8), (10, 16), (4, 12)], 11), (vec![0, 1, 2], vec![]), "it was within another");
        assert_eq!(beside(&[(8, 8), (10, 10)], 10), (vec![1], vec![0]), "one day is one as well");
    }

    #[test]
    fn what_shares_an_answer_with_the_one_on_its_way_is_not_put_behind_it() {
        assert_eq!(beside(&[(8, 8), (9, 9), (10, 10)], 10), (vec![0, 1, 2], vec![]));
        assert_eq!(beside(&[(8, 8), (9, 9), (10, 14)], 12), (vec![1, 2], vec![]), "the first is four days away");
        assert_eq!(beside(&[(7, 7), (9, 9), (10, 10)], 10), (vec![1, 2], vec![0]), "two days before the second");
    }

    #[test]
    fn three_days_before_and_one_after_are_near_and_rollouts_on_all_of_their_days() {
        let days =
            |rollout: (u64, u64)| -> Vec<u64> { (0..20).filter(|on| beside(&[rollout], *on).0 == [0]).collect() };
        assert_eq!(days((10, 10)), [9, 10, 11, 12, 13]);
        assert_eq!(days((5, 10)), (5..=13).collect::<Vec<u64>>());
    }
}
