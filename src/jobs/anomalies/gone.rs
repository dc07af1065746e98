//! Anomalies whose series is in no bill any more: a source was removed, its bills were withdrawn, or a rule gave all of its
//! cost to another. Nobody looks at such a series, so that what is kept of it would stay as it was told. Pure.

use super::life::State;
use super::{KeptAnomaly, Watched};
use crate::store::anomalies::Subject;
use chrono::NaiveDate;
use std::collections::HashSet;

/// An anomaly that is to be closed as it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub anomaly_id: i64,
    pub state_before: &'static str,
    pub reason: &'static str,
    pub sentence: &'static str,
}

const WITHDRAWN: &str = "Withdrawn: a bill that was removed or restated, or a changed rule, took away all cost that it was \
                         found in.";
const ENDED: &str = "It ended: nothing is known to have been charged since.";

/// Those that wait for an answer or an end and whose series costs nothing on all days that are looked at, which begin on
/// `looked_from`. What they were found in is taken away where it lay on one of these days; where it lies before them, it
/// is over.
pub(super) fn closed(kept: &[KeptAnomaly], there: &HashSet<&Subject>, looked_from: NaiveDate) -> Vec<Closed> {
    let gone = kept.iter().filter(|one| !there.contains(&one.subject));
    let running = gone.filter_map(|one| {
        let state = State::parse(&one.state, one.close_reason.as_deref());
        state.is_running().then(|| (one, state.words().0))
    });
    let close = running.map(|(one, state_before)| {
        let is_before = one.end_date < looked_from;
        let (reason, sentence) = if is_before { ("ended", ENDED) } else { ("withdrawn", WITHDRAWN) };
        Closed { anomaly_id: one.anomaly_id, state_before, reason, sentence }
    });
    close.collect()
}

/// Whose series is not there to be looked at: should it come back with the same days, they are looked at as those of a new
/// one.
pub(super) fn unwatched(watched: &[Watched], there: &HashSet<&Subject>) -> Vec<Subject> {
    watched.iter().map(|one| &one.subject).filter(|subject| !there.contains(subject)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn subject(service_id: i64) -> Subject {
        Subject {
            service_id,
            environment_id: 1,
            team_id: 0,
            service_category: String::new(),
            billing_currency: "USD".into(),
        }
    }

    fn kept(anomaly_id: i64, service_id: i64, state: &str, end: &str) -> KeptAnomaly {
        KeptAnomaly {
            anomaly_id,
            subject: subject(service_id),
            kind: "without-release".into(),
            state: state.into(),
            close_reason: (state == "closed").then(|| "ended".into()),
            start_date: day("2026-01-01"),
            end_date: day(end),
            found_on: day(end),
            planned_until: None,
            share: 0.5,
            amount_per_day: 40.0,
            no_use_units: None,
            usual_cost: None,
        }
    }

    #[test]
    fn what_runs_and_has_no_series_any_more_is_closed_and_answers_stand() {
        let all = [
            kept(1, 7, "open", "2026-11-18"),
            kept(2, 8, "open", "2026-11-18"),
            kept(3, 8, "acknowledged", "2026-11-18"),
            kept(4, 8, "open", "2026-03-01"),
            kept(5, 8, "explained", "2026-11-18"),
            kept(6, 8, "planned", "2026-11-18"),
            kept(7, 8, "closed", "2026-11-18"),
        ];
        let seven = subject(7);
        let there = HashSet::from([&seven]);
        let told: Vec<(i64, &str, &str)> = closed(&all, &there, day("2026-05-22"))
            .iter()
            .map(|one| (one.anomaly_id, one.state_before, one.reason))
            .collect();
        assert_eq!(told, [(2, "open", "withdrawn"), (3, "acknowledged", "withdrawn"), (4, "open", "ended")]);
    }

    #[test]
    fn a_series_that_is_not_there_is_watched_no_more() {
        let watched = |service_id| Watched {
            subject: subject(service_id),
            fingerprint: String::new(),
            looked_to: day("2026-11-18"),
            costs: Vec::new(),
        };
        let seven = subject(7);
        let gone = unwatched(&[watched(7), watched(8)], &HashSet::from([&seven]));
        assert_eq!(gone, [subject(8)]);
    }
}
