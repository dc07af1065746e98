//! Releases that bills of days cannot tell apart: which they are, and one answer for all of them.

use super::{Calibration, History, Impact, Model, ReleaseDay, estimate};
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// Days between two releases within which bills of days cannot tell them apart.
const NOT_SEPARABLE_DAYS: i64 = 1;
/// Days that the releases of one answer lie apart at most. Who releases every day for months gets an answer a week, not
/// one for all time; the ends of such weeks cannot be told apart either, and their answers say so.
const LONGEST_DAYS: i64 = 6;

/// The days on which something was released, in groups, in order of time: releases within a day of the one before share
/// one answer. What took days is beside all of its days: what was released on one of them, or on the day before it began,
/// shares its answer.
pub fn groups(releases: &[ReleaseDay]) -> Vec<Vec<NaiveDate>> {
    let mut days: BTreeMap<NaiveDate, NaiveDate> = BTreeMap::new();
    for release in releases {
        let began = days.entry(release.day).or_insert(release.day);
        *began = release.began().min(*began);
    }
    let mut groups: Vec<Vec<NaiveDate>> = Vec::new();
    for (day, began) in days {
        let is_beside = |group: &mut Vec<NaiveDate>| {
            let since = |from: NaiveDate, other: Option<&NaiveDate>| other.map(|other| (from - *other).num_days());
            since(began, group.last()).is_some_and(|days| days <= NOT_SEPARABLE_DAYS)
                && since(day, group.first()).is_some_and(|days| days <= LONGEST_DAYS)
        };
        let mut own = vec![day];
        // A rollout may have begun before several groups that were over meanwhile.
        while let Some(group) = groups.pop_if(is_beside) {
            own = [group, own].concat();
        }
        groups.push(own);
    }
    groups
}

/// What the releases of one group did together to the cost of this service, as a mean over the days after the last of
/// them: actual cost less what the days would have cost without any of them. Of a single day it is [`estimate`].
///
/// The days from the first release, or from where the first of their rollouts began, to the last release are looked at
/// by nobody: they lie neither before nor after.
pub fn estimate_joint(history: &History, days: &[NaiveDate], model: &Model, calibration: &Calibration) -> Impact {
    let last = match days {
        [] => return estimate(history, history.complete_to, model, calibration),
        [day] => return estimate(history, *day, model, calibration),
        [.., last] => *last,
    };
    let mut merged = history.clone();
    let deployment_ids = days.iter().flat_map(|day| history.deployments_of(*day)).collect();
    merged.releases.retain(|release| !days.contains(&release.day));
    // As one that took all of these days, which are left out and from which the next release is counted.
    let began = days.iter().map(|day| history.began(*day)).min();
    merged.releases.push(ReleaseDay { day: last, deployment_ids, share_before: None, rollout_from: began });
    Impact { joint_days: days.to_vec(), ..estimate(&merged, last, model, calibration) }
}

#[cfg(test)]
mod tests {
    use super::{NaiveDate, ReleaseDay, groups};

    fn days(of: &[u64]) -> Vec<NaiveDate> {
        let first = NaiveDate::from_ymd_opt(2026, 1, 5).unwrap();
        of.iter().map(|day| first + chrono::Days::new(*day)).collect()
    }

    fn grouped(of: &[u64]) -> Vec<Vec<NaiveDate>> {
        let release =
            |day: NaiveDate| ReleaseDay { day, deployment_ids: vec![1], share_before: None, rollout_from: None };
        groups(&days(of).into_iter().map(release).collect::<Vec<_>>())
    }

    /// Of pairs of the day on which a rollout began and the one on which it went live.
    fn grouped_rollouts(of: &[(u64, u64)]) -> Vec<Vec<NaiveDate>> {
        let release = |(began, day): &(u64, u64)| {
            let both = days(&[*began, *day]);
            let rollout_from = (began < day).then_some(both[0]);
            ReleaseDay { day: both[1], deployment_ids: vec![1], share_before: None, rollout_from }
        };
        groups(&of.iter().map(release).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_released_beside_a_rollout_shares_its_answer() {
        assert_eq!(grouped_rollouts(&[(8, 8), (5, 10)]), [days(&[8, 10])]);
        assert_eq!(grouped_rollouts(&[(5, 10), (6, 6), (8, 8)]), [days(&[6, 8, 10])], "all of those meanwhile");
        assert_eq!(grouped_rollouts(&[(3, 7), (5, 10)]), [days(&[7, 10])]);
        assert_eq!(grouped_rollouts(&[(4, 4), (5, 10), (11, 11)]), [days(&[4, 10]), days(&[11])], "a week at most");
        assert_eq!(grouped_rollouts(&[(3, 3), (5, 10), (12, 12)]), [days(&[3]), days(&[10]), days(&[12])]);
        assert_eq!(grouped_rollouts(&[(3, 3), (1, 13)]), [days(&[3]), days(&[13])], "a week at most");
    }

    #[test]
    fn releases_within_a_day_of_each_other_share_an_answer_and_no_more_than_a_week_does() {
        assert_eq!(grouped(&[]), Vec::<Vec<NaiveDate>>::new());
        assert_eq!(grouped(&[9, 3, 4, 6]), [days(&[3, 4]), days(&[6]), days(&[9])]);
        assert_eq!(grouped(&[1, 2, 3]), [days(&[1, 2, 3])]);
        let every_day: Vec<u64> = (0..16).collect();
        assert_eq!(grouped(&every_day), [days(&every_day[..7]), days(&every_day[7..14]), days(&every_day[14..])]);
    }
}
