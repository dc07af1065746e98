//! How a team delivers: how often, how long from a change to being live, how often it fails, how long until it is mended.

use crate::focus::DateRange;
use chrono::{DateTime, Duration, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// A deployment that went live in production, for one of its services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The deployment; it may serve several services.
    pub deployment_id: i64,
    /// The service.
    pub service_id: i64,
    /// The environment.
    pub environment_id: i64,
    /// When it went live.
    pub at: DateTime<Utc>,
    /// An earlier version came back.
    pub is_rollback: bool,
    /// The version was live already.
    pub is_noop: bool,
    /// When the commit that it deployed was merged or pushed, where that is known.
    pub committed_at: Option<DateTime<Utc>>,
}

/// A reason for which a deployment failed though it went live, beside that an earlier version came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The deployment.
    pub deployment_id: i64,
    /// Its service that failed.
    pub service_id: i64,
    /// An incident says so; else a revert, a hotfix, or somebody.
    pub is_incident: bool,
    /// The incident's start, else when the deployment went live.
    pub began_at: DateTime<Utc>,
    /// The incident's end, else when another deployment of the service took its place; none while it lasts.
    pub ended_at: Option<DateTime<Utc>>,
    /// It lasts no longer, but its end was never told.
    pub is_end_unknown: bool,
}

impl Failure {
    fn mended(&self) -> Mended {
        match self.ended_at {
            Some(end) => Mended::After((end - self.began_at).max(Duration::zero())),
            None if self.is_end_unknown => Mended::NotTold,
            None => Mended::NotYet,
        }
    }
}

/// When a failed change was mended. Of several failures of one change the last of this order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mended {
    /// At some time that nobody told.
    NotTold,
    /// So long after it failed.
    After(Duration),
    /// It is not.
    NotYet,
}

/// The four figures of a period, each with what it was made from. What has nothing to be made from is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Deployments that brought a version which was not live before.
    pub change_count: usize,
    /// Days of the period.
    pub day_count: u32,
    /// From the commit to being live, the median.
    pub lead_time: Option<Duration>,
    /// Changes whose commit is known.
    pub lead_count: usize,
    /// Changes that failed.
    pub failure_count: usize,
    /// Of these, those whose failure is not over.
    pub open_count: usize,
    /// Of these, those whose failure is over since nobody knows when.
    pub unknown_count: usize,
    /// How long a failure took, the median.
    pub restore_time: Option<Duration>,
}

impl Delivery {
    /// The figures of the changes that went live in a period. `live` reaches past its end, as far as is known: a change
    /// may be taken back later. Those of one instant came in the order in which they are given: a row's number would be
    /// that of arrival.
    pub fn of(live: &[Live], failures: &[Failure], days: DateRange) -> Self {
        let mut places: BTreeMap<(i64, i64), Vec<&Live>> = BTreeMap::new();
        for one in live {
            places.entry((one.service_id, one.environment_id)).or_default().push(one);
        }
        let mut changes: BTreeMap<i64, Option<Duration>> = BTreeMap::new();
        let mut restored: BTreeMap<i64, Duration> = BTreeMap::new();
        for place in places.values_mut() {
            place.sort_by_key(|one| one.at);
            // A repetition of what is live changes nothing, so neither does it end a failure.
            let steps: Vec<&&Live> = place.iter().filter(|one| !one.is_noop).collect();
            for (index, one) in steps.iter().enumerate() {
                let day = one.at.date_naive();
                if one.is_rollback || day < days.start() || day >= days.end() {
                    continue;
                }
                // A commit that is younger than its deployment was told wrongly.
                let lead =
                    one.committed_at.map(|committed| one.at - committed).filter(|lead| *lead >= Duration::zero());
                let known = changes.entry(one.deployment_id).or_insert(lead);
                *known = (*known).max(lead);
                if let Some(next) = steps.get(index + 1).filter(|next| next.is_rollback) {
                    let time = next.at - one.at;
                    let known = restored.entry(one.deployment_id).or_insert(time);
                    *known = time.max(*known);
                }
            }
        }
        let times = restore_times(&changes, &restored, failures);
        let count = |mended: Mended| times.values().filter(|one| **one == mended).count();
        let told = |mended: &Mended| match mended {
            Mended::After(time) => Some(*time),
            Mended::NotTold | Mended::NotYet => None,
        };
        let leads: Vec<Duration> = changes.values().flatten().copied().collect();
        Self {
            change_count: changes.len(),
            day_count: days.day_count(),
            lead_count: leads.len(),
            lead_time: median(leads),
            failure_count: times.len(),
            open_count: count(Mended::NotYet),
            unknown_count: count(Mended::NotTold),
            restore_time: median(times.values().filter_map(told).collect()),
        }
    }
}

// When each failed change was mended. What an incident tells is nearer to what people felt than when versions went live;
// of several incidents, or services, the longest counts. An incident of which no end was told tells nothing of it.
fn restore_times(
    changes: &BTreeMap<i64, Option<Duration>>,
    restored: &BTreeMap<i64, Duration>,
    failures: &[Failure],
) -> BTreeMap<i64, Mended> {
    let mut times: BTreeMap<i64, Mended> = BTreeMap::new();
    let known = || failures.iter().filter(|failure| changes.contains_key(&failure.deployment_id));
    for failure in known().filter(|failure| failure.is_incident) {
        let mended = times.entry(failure.deployment_id).or_insert(Mended::NotTold);
        *mended = failure.mended().max(*mended);
    }
    for (deployment_id, time) in restored {
        let mended = times.entry(*deployment_id).or_insert(Mended::NotTold);
        if *mended == Mended::NotTold {
            *mended = Mended::After(*time);
        }
    }
    let is_told = |(id, mended): (&i64, &Mended)| (*mended != Mended::NotTold).then_some(*id);
    let told: BTreeSet<i64> = times.iter().filter_map(is_told).collect();
    for failure in known().filter(|failure| !failure.is_incident) {
        let mended = times.entry(failure.deployment_id).or_insert(Mended::NotTold);
        if !told.contains(&failure.deployment_id) {
            *mended = failure.mended().max(*mended);
        }
    }
    times
}

/// The services that have a change, a failed one, or any deployment here.
pub fn services(live: &[Live]) -> BTreeSet<i64> {
    live.iter().map(|one| one.service_id).collect()
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort_unstable();
    let middle = times.len() / 2;
    let upper = *times.get(middle)?;
    if times.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = times[middle - 1];
    Some(lower + (upper - lower) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> DateTime<Utc> {
        "2026-10-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + Duration::hours(hour)
    }

    fn live(deployment_id: i64, service_id: i64, hour: i64) -> Live {
        let committed_at = Some(at(hour - 5));
        Live {
            deployment_id,
            service_id,
            environment_id: 1,
            at: at(hour),
            is_rollback: false,
            is_noop: false,
            committed_at,
        }
    }

    fn october() -> DateRange {
        DateRange::new("2026-10-01".parse().unwrap(), "2026-11-01".parse().unwrap()).unwrap()
    }

    #[test]
    fn a_change_that_is_taken_back_has_failed_and_the_rollback_is_no_change() {
        let back = Live { is_rollback: true, ..live(3, 1, 14) };
        let again = Live { is_noop: true, ..live(9, 1, 12) };
        let found = Delivery::of(&[live(1, 1, 6), live(2, 1, 10), again, back, live(4, 1, 30)], &[], october());
        assert_eq!((found.change_count, found.failure_count), (3, 1));
        assert_eq!(found.restore_time, Some(Duration::hours(4)));
        assert_eq!(found.lead_time, Some(Duration::hours(5)));
    }

    #[test]
    fn at_one_instant_the_order_that_is_given_decides() {
        // Whichever arrived first.
        for (first, second) in [(1, 2), (2, 1)] {
            let back = Live { is_rollback: true, ..live(second, 1, 6) };
            let found = Delivery::of(&[live(first, 1, 6), back], &[], october());
            assert_eq!((found.failure_count, found.restore_time), (1, Some(Duration::zero())));
        }
    }

    #[test]
    fn one_deployment_of_many_services_is_one_change() {
        let late = Live { committed_at: Some(at(1)), ..live(1, 2, 11) };
        let unknown = Live { committed_at: None, ..live(2, 1, 20) };
        let wrong = Live { committed_at: Some(at(99)), ..live(3, 1, 22) };
        let found = Delivery::of(&[live(1, 1, 10), late, unknown, wrong], &[], october());
        assert_eq!((found.change_count, found.lead_count), (3, 1));
        assert_eq!(found.lead_time, Some(Duration::hours(10)), "until its last service is live");
    }

    #[test]
    fn what_lies_outside_counts_only_as_what_took_a_change_back() {
        let last = live(1, 1, 31 * 24 - 1);
        let back = Live { is_rollback: true, ..live(2, 1, 31 * 24 + 1) };
        let found = Delivery::of(&[live(7, 1, -3), last, back, live(8, 1, 31 * 24 + 5)], &[], october());
        assert_eq!((found.change_count, found.failure_count), (1, 1));
        assert_eq!(found.restore_time, Some(Duration::hours(2)));
        let none = Delivery::of(&[], &[], october());
        assert_eq!((none.change_count, none.lead_time, none.restore_time), (0, None, None));
    }

    #[test]
    fn an_incident_a_revert_and_a_mark_are_failures_too() {
        let failure = |deployment_id, is_incident, began: i64, ended: Option<i64>| Failure {
            deployment_id,
            service_id: 1,
            is_incident,
            began_at: at(began),
            ended_at: ended.map(at),
            is_end_unknown: false,
        };
        let all = [
            live(1, 1, 10),
            live(2, 1, 20),
            live(3, 1, 30),
            live(4, 1, 40),
            Live { is_rollback: true, ..live(5, 1, 46) },
        ];
        let failures = [
            // Two incidents of one change: one failure, as long as the longer one.
            failure(1, true, 11, Some(12)),
            failure(1, true, 11, Some(14)),
            // Reverted by the next deployment, and one that lasts.
            failure(2, false, 20, Some(30)),
            failure(3, true, 31, None),
            // Rolled back after six hours, marked besides, and its incident took one.
            failure(4, false, 40, Some(46)),
            failure(4, true, 41, Some(42)),
            // Of a deployment that is no change of the period.
            failure(99, true, 1, Some(2)),
        ];
        let found = Delivery::of(&all, &failures, october());
        assert_eq!((found.change_count, found.failure_count, found.open_count), (4, 4, 1));
        // One, three and ten hours.
        assert_eq!(found.restore_time, Some(Duration::hours(3)));
        let rolled_back = Delivery::of(&all[3..], &failures[4..5], october());
        assert_eq!(rolled_back.restore_time, Some(Duration::hours(6)));
    }

    #[test]
    fn what_ended_nobody_knows_when_is_not_open_and_has_no_time() {
        let lost = |deployment_id| Failure {
            deployment_id,
            service_id: 1,
            is_incident: true,
            began_at: at(11),
            ended_at: None,
            is_end_unknown: true,
        };
        let found = |failures: &[Failure], more: &[Live]| {
            let mut all = vec![live(1, 1, 10)];
            all.extend_from_slice(more);
            let found = Delivery::of(&all, failures, october());
            (found.failure_count, found.open_count, found.unknown_count, found.restore_time)
        };
        assert_eq!(found(&[lost(1)], &[]), (1, 0, 1, None));
        // Another one tells when it was over, or that it is not; so does what took its place.
        let other = Failure { ended_at: Some(at(13)), is_end_unknown: false, ..lost(1) };
        assert_eq!(found(&[lost(1), other.clone()], &[]), (1, 0, 0, Some(Duration::hours(2))));
        let open = Failure { is_end_unknown: false, ..lost(1) };
        assert_eq!(found(&[open, lost(1), other.clone()], &[]), (1, 1, 0, None));
        let back = Live { is_rollback: true, ..live(2, 1, 15) };
        assert_eq!(found(&[lost(1)], &[back]), (1, 0, 0, Some(Duration::hours(5))));
        let reverted = Failure { is_incident: false, ..other };
        assert_eq!(found(&[lost(1), reverted], &[]), (1, 0, 0, Some(Duration::hours(2))));
    }

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        let hours = |all: &[i64]| median(all.iter().map(|hours| Duration::hours(*hours)).collect());
        assert_eq!(hours(&[1, 9, 3]), Some(Duration::hours(3)));
        assert_eq!(hours(&[4, 1, 2, 10]), Some(Duration::hours(3)));
    }
}
