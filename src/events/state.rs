//! How a deployment stands, from everything that was told of it, in whatever order it came and however often.

use super::{Event, Status};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeSet;

/// In progress for longer than this is stale.
const STALE_AFTER: TimeDelta = TimeDelta::days(1);

/// Whether nobody said for more than a day how a deployment ended. It is shown so, and counts for nothing.
pub fn is_stale(status: &str, status_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    status == Status::InProgress.as_str() && status_at < now - STALE_AFTER
}

/// One status as it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What was told, with the facts that came with it.
    pub event: Event,
    /// When it came. Decides only between two that nothing else tells apart.
    pub received_at: DateTime<Utc>,
}

/// A deployment as its statuses make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// The facts, the latest known of each.
    pub facts: Event,
    /// How it stands.
    pub status: Status,
    /// Since when.
    pub status_at: DateTime<Utc>,
    /// When it was first heard of.
    pub created_at: DateTime<Utc>,
    /// When it began: the first status "in progress", else its creation; no later than the first step of a canary.
    pub started_at: DateTime<Utc>,
    /// When it went live: the first success of the last attempt. For one that failed, when it did.
    pub finished_at: Option<DateTime<Utc>>,
    /// One, and one more for each start after an end.
    pub attempts: i32,
    /// A time among these is that of receipt.
    pub time_is_received: bool,
}

/// Orders the statuses by time, rank, the sender's number, and derives the deployment. Nothing told, nothing derived.
pub fn derive(told: &[Told]) -> Option<Derived> {
    let mut order: Vec<(DateTime<Utc>, &Told)> = told.iter().map(|one| (effective_at(one, told), one)).collect();
    order.sort_by_key(|(at, told)| {
        let event = &told.event;
        (*at, rank(told), event.sequence, event.status_raw.as_deref(), told.received_at)
    });
    let known = || order.iter().filter_map(|(at, told)| Some((known_status(told)?, *at)));
    let course = course(known());
    let (status, status_at) = course.stands.or_else(|| Some((Status::Unknown, order.last()?.0)))?;
    let first = order.iter().map(|(at, told)| told.event.created_at.unwrap_or(*at)).min()?;
    let in_progress = known().find(|(status, _)| *status == Status::InProgress);
    // A sender may tell of start and end at once.
    let told_start = order.iter().filter_map(|(_, told)| told.event.started_at).min();
    let order: Vec<&Told> = order.iter().map(|(_, told)| *told).collect();
    let facts = facts(&order);
    let began = in_progress.map(|(_, at)| at).or(told_start).unwrap_or(first);
    Some(Derived {
        // Traffic that went to it says that it had begun.
        started_at: facts.steps.first().map_or(began, |step| began.min(step.at)),
        facts,
        status,
        status_at,
        created_at: first,
        finished_at: course.finished_at(),
        attempts: course.attempts,
        time_is_received: order.iter().any(|told| told.event.time_is_received && known_status(told).is_some()),
    })
}

fn occurred_at(told: &Told) -> DateTime<Utc> {
    told.event.occurred_at.unwrap_or(told.received_at)
}

fn rank(told: &Told) -> u8 {
    told.event.status.unwrap_or(Status::Unknown).rank()
}

// The sender's clock and ours differ. Where a status has no time of its own, its receipt stands for it; a start then
// lies no later than an end that was told after it, and an end no earlier than a start that was told before it.
fn effective_at(one: &Told, all: &[Told]) -> DateTime<Utc> {
    let at = occurred_at(one);
    if !one.event.time_is_received || known_status(one).is_none() {
        return at;
    }
    let is_open = |told: &Told| rank(told) < Status::Succeeded.rank();
    let others = all.iter().filter(|told| !told.event.time_is_received && known_status(told).is_some());
    if is_open(one) {
        let ends = others.filter(|told| !is_open(told) && told.received_at > one.received_at);
        ends.map(occurred_at).fold(at, DateTime::min)
    } else {
        let starts = others.filter(|told| is_open(told) && told.received_at <= one.received_at);
        starts.map(occurred_at).fold(at, DateTime::max)
    }
}

fn known_status(told: &Told) -> Option<Status> {
    told.event.status.filter(|status| *status != Status::Unknown)
}

// What the statuses come to, in order.
struct Course {
    stands: Option<(Status, DateTime<Utc>)>,
    attempts: i32,
    // Of the last attempt.
    success: Option<DateTime<Utc>>,
    other_end: Option<DateTime<Utc>>,
}

impl Course {
    fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.success.or(self.other_end)
    }
}

// A status below an end that comes after it begins a new attempt. Being superseded ends nothing, and what failed or
// was called off was never live, so that it cannot be superseded: senders say so of whatever is not the latest.
fn course(order: impl Iterator<Item = (Status, DateTime<Utc>)>) -> Course {
    let mut course = Course { stands: None, attempts: 1, success: None, other_end: None };
    let mut has_ended = false;
    for (status, at) in order {
        match status {
            Status::Succeeded => _ = course.success.get_or_insert(at),
            Status::Failed | Status::Canceled => _ = course.other_end.get_or_insert(at),
            Status::Superseded => {}
            Status::Unknown | Status::Pending | Status::InProgress => {
                if has_ended {
                    course.attempts += 1;
                    (course.success, course.other_end) = (None, None);
                }
            }
        }
        has_ended = status.rank() >= Status::Succeeded.rank();
        let failed = matches!(course.stands, Some((Status::Failed | Status::Canceled, _)));
        if status != Status::Superseded || !failed {
            course.stands = Some((status, at));
        }
    }
    course
}

pub(super) fn facts(order: &[&Told]) -> Event {
    let mut facts = Event::default();
    for told in order {
        let event = &told.event;
        let texts = [
            (&mut facts.repo, &event.repo),
            (&mut facts.repo_url, &event.repo_url),
            (&mut facts.environment, &event.environment),
            (&mut facts.environment_kind, &event.environment_kind),
            (&mut facts.service_hint, &event.service_hint),
            (&mut facts.artifact, &event.artifact),
            (&mut facts.sha, &event.sha),
            (&mut facts.version, &event.version),
            (&mut facts.reference, &event.reference),
            (&mut facts.url, &event.url),
            (&mut facts.api_url, &event.api_url),
            (&mut facts.environment_url, &event.environment_url),
            (&mut facts.actor, &event.actor),
            (&mut facts.title, &event.title),
            (&mut facts.pipeline, &event.pipeline),
            (&mut facts.path, &event.path),
            (&mut facts.deployment_kind, &event.deployment_kind),
            (&mut facts.strategy, &event.strategy),
            (&mut facts.group_id, &event.group_id),
        ];
        for (known, new) in texts {
            if new.is_some() {
                known.clone_from(new);
            }
        }
        if !event.services.is_empty() {
            let mut seen = BTreeSet::new();
            facts.services = event.services.iter().filter(|name| seen.insert(*name)).cloned().collect();
        }
        facts.attributes.extend(event.attributes.clone());
        if !event.commits.is_empty() {
            facts.commits.clone_from(&event.commits);
        }
        facts.steps.extend(event.steps.iter().cloned());
    }
    // Each is told once, or all of them again with the next.
    facts.steps.sort();
    facts.steps.dedup();
    facts
}

#[cfg(test)]
mod tests {
    use super::super::Step;
    use super::*;
    use proptest::prelude::*;
    use std::slice;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_772_000_000 + minute * 60, 0).unwrap()
    }

    fn told(status: Status, minute: i64) -> Told {
        let event = Event {
            status: Some(status),
            status_raw: Some(status.as_str().into()),
            occurred_at: Some(at(minute)),
            created_at: Some(at(0)),
            sequence: minute,
            version: (minute % 3 == 0).then(|| minute.to_string()),
            ..Event::default()
        };
        Told { event, received_at: at(1000) }
    }

    #[test]
    fn a_plain_course() {
        let all = [told(Status::Pending, 0), told(Status::InProgress, 1), told(Status::Succeeded, 4)];
        let derived = derive(&all).unwrap();
        assert_eq!((derived.status, derived.attempts), (Status::Succeeded, 1));
        assert_eq!((derived.started_at, derived.finished_at), (at(1), Some(at(4))));
    }

    #[test]
    fn a_canary_that_is_told_at_its_end_began_with_its_first_step() {
        let mut end = told(Status::Succeeded, 90);
        end.event.created_at = None;
        let step = |minute, weight_percent| Step { at: at(minute), weight_percent };
        end.event.steps = vec![step(60, 50), step(20, 5)];
        let derived = derive(slice::from_ref(&end)).unwrap();
        assert_eq!((derived.started_at, derived.finished_at), (at(20), Some(at(90))));
        let all = [told(Status::InProgress, 10), end];
        assert_eq!(derive(&all).unwrap().started_at, at(10), "what was told to begin earlier did");
    }

    #[test]
    fn inactive_never_moves_the_end_and_an_early_latecomer_changes_nothing() {
        let mut all = vec![told(Status::Succeeded, 4), told(Status::Superseded, 90)];
        assert_eq!(derive(&all).unwrap().finished_at, Some(at(4)));
        assert_eq!(derive(&all).unwrap().status, Status::Superseded);
        all.push(told(Status::InProgress, 2));
        assert_eq!((derive(&all).unwrap().status, derive(&all).unwrap().attempts), (Status::Superseded, 1));
        assert_eq!(derive(&all).unwrap().started_at, at(2));
    }

    #[test]
    fn a_second_run_after_a_failure_is_a_new_attempt() {
        let all = [
            told(Status::InProgress, 1),
            told(Status::Failed, 2),
            told(Status::Pending, 10),
            told(Status::InProgress, 11),
            told(Status::Succeeded, 14),
            told(Status::Succeeded, 15),
        ];
        let derived = derive(&all).unwrap();
        assert_eq!((derived.status, derived.attempts, derived.finished_at), (Status::Succeeded, 2, Some(at(14))));
        let running = derive(&all[..4]).unwrap();
        assert_eq!((running.status, running.attempts, running.finished_at), (Status::InProgress, 2, None));
    }

    #[test]
    fn what_failed_is_never_superseded() {
        let mut all = vec![told(Status::Failed, 4), told(Status::Superseded, 9)];
        let derived = derive(&all).unwrap();
        assert_eq!((derived.status, derived.status_at, derived.finished_at), (Status::Failed, at(4), Some(at(4))));
        all.push(told(Status::Canceled, 6));
        assert_eq!(derive(&all).unwrap().status, Status::Canceled);
        // The success of an earlier attempt does not make the failed one live; a later success does.
        all.extend([told(Status::Succeeded, 1), told(Status::InProgress, 2)]);
        assert_eq!(derive(&all).unwrap().status, Status::Canceled);
        all.push(told(Status::Succeeded, 8));
        let derived = derive(&all).unwrap();
        assert_eq!((derived.status, derived.finished_at), (Status::Superseded, Some(at(8))));
    }

    #[test]
    fn a_time_of_receipt_yields_to_times_that_were_told() {
        let received = |status: Status, minute: i64| {
            let mut told = told(status, minute);
            told.event.time_is_received = true;
            Told { received_at: at(minute), ..told }
        };
        let sent =
            |status: Status, minute: i64, received: i64| Told { received_at: at(received), ..told(status, minute) };
        // The sender's clock is two minutes behind.
        let all = [received(Status::InProgress, 6), sent(Status::Succeeded, 5, 7)];
        let derived = derive(&all).unwrap();
        assert_eq!((derived.status, derived.attempts), (Status::Succeeded, 1));
        assert_eq!((derived.started_at, derived.finished_at), (at(5), Some(at(5))));
        // And ahead.
        let all = [sent(Status::InProgress, 9, 7), received(Status::Succeeded, 8)];
        let derived = derive(&all).unwrap();
        assert_eq!((derived.status, derived.attempts, derived.finished_at), (Status::Succeeded, 1, Some(at(9))));
        // A second attempt without times stays one.
        let all = [received(Status::InProgress, 1), sent(Status::Failed, 5, 6), received(Status::InProgress, 10)];
        let derived = derive(&all).unwrap();
        assert_eq!((derived.status, derived.attempts), (Status::InProgress, 2));
    }

    #[test]
    fn at_one_instant_the_rank_decides() {
        let all = [told(Status::Succeeded, 4), told(Status::InProgress, 4), told(Status::Pending, 4)];
        assert_eq!(derive(&all).unwrap().status, Status::Succeeded);
        assert_eq!(derive(&all).unwrap().attempts, 1);
    }

    #[test]
    fn an_unknown_word_never_hides_what_is_known() {
        let all = [told(Status::Succeeded, 4), told(Status::Unknown, 9)];
        assert_eq!(derive(&all).unwrap().status, Status::Succeeded);
        assert_eq!(derive(slice::from_ref(&all[1])).unwrap().status, Status::Unknown);
        assert_eq!(derive(&[]), None);
    }

    fn any_told() -> impl Strategy<Value = Told> {
        let statuses = vec![
            Status::Unknown,
            Status::Pending,
            Status::InProgress,
            Status::Succeeded,
            Status::Failed,
            Status::Canceled,
            Status::Superseded,
        ];
        (prop::sample::select(statuses), 0i64..12).prop_map(|(status, minute)| told(status, minute))
    }

    proptest! {
        // F36: order and repetition do not matter.
        #[test]
        fn any_order_and_repetition_gives_the_same(
            (all, mixed) in prop::collection::vec(any_told(), 1..12).prop_flat_map(|all| {
                let repeated: Vec<_> = all.iter().chain(&all[..all.len() / 2]).cloned().collect();
                (Just(all), Just(repeated).prop_shuffle())
            })
        ) {
            prop_assert_eq!(derive(&all), derive(&mixed));
        }
    }
}
