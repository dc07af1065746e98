//! Releases that bills of days cannot tell apart: which they are, and one answer for all of them.

use super::{Calibration, History, Impact, Model, ReleaseDay, estimate};
use chrono::NaiveDate;

/// Days between two releases within which bills of days cannot tell them apart.
const NOT_SEPARABLE_DAYS: i64 = 1;
/// Days that the releases of one answer lie apart at most. Who releases every day for months gets an answer a week, not
/// one for all time; the ends of such weeks cannot be told apart either, and their answers say so.
const LONGEST_DAYS: i64 = 6;

/// The days on which something was released, in groups, in order of time: releases within a day of the one before share
/// one answer.
pub fn groups(releases: &[ReleaseDay]) -> Vec<Vec<NaiveDate>> {
    let mut days: Vec<NaiveDate> = releases.iter().map(|release| release.day).collect();
    days.sort_unstable();
    days.dedup();
    let mut groups: Vec<Vec<NaiveDate>> = Vec::new();
    for day in days {
        let since = |other: Option<&NaiveDate>| other.map_or(i64::MAX, |other| (day - *other).num_days());
        match groups.last_mut() {
            Some(group) if since(group.last()) <= NOT_SEPARABLE_DAYS && since(group.first()) <= LONGEST_DAYS => {
                group.push(day);
            }
            _ => groups.push(vec![day]),
        }
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
    merged.releases.push(ReleaseDay { day: last, deployment_ids, share_before: None, rollout_from: None });
    merged.leave_out(days.iter().map(|day| history.began(*day)).fold(last, NaiveDate::min)..=last);
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

    #[test]
    fn releases_within_a_day_of_each_other_share_an_answer_and_no_more_than_a_week_does() {
        assert_eq!(grouped(&[]), Vec::<Vec<NaiveDate>>::new());
        assert_eq!(grouped(&[9, 3, 4, 6]), [days(&[3, 4]), days(&[6]), days(&[9])]);
        assert_eq!(grouped(&[1, 2, 3]), [days(&[1, 2, 3])]);
        let every_day: Vec<u64> = (0..16).collect();
        assert_eq!(grouped(&every_day), [days(&every_day[..7]), days(&every_day[7..14]), days(&every_day[14..])]);
    }
}
