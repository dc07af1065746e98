//! How something that stands beside deployments and cost (an incident, a flag, a change of infrastructure) went,
//! from everything that was told of it, in whatever order it came and however often.

use super::state::facts;
use super::{Event, EventKind, Status, Told};
use chrono::{DateTime, Utc};

/// An operational event as all that was told makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The facts, the latest known of each.
    pub facts: Event,
    /// What it is.
    pub kind: EventKind,
    /// The sender's latest word.
    pub status: String,
    /// The latest severity.
    pub severity: Option<String>,
    /// One line for people.
    pub title: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was over; of what happened at one moment, that moment. Nothing while it lasts.
    pub ended_at: Option<DateTime<Utc>>,
    /// A time among these is that of receipt.
    pub time_is_received: bool,
}

/// Orders what was told by time and derives the event. Nothing told, nothing derived.
pub fn derive_context(told: &[Told]) -> Option<Context> {
    let mut order: Vec<&Told> = told.iter().collect();
    order.sort_by_key(|told| {
        let event = &told.event;
        (at(told), event.finished_at.is_some(), event.sequence, event.status_raw.as_deref(), told.received_at)
    });
    let last = *order.last()?;
    let kind = last.event.kind;
    let earliest = order.iter().map(|told| told.event.started_at.unwrap_or_else(|| at(told))).min()?;
    let (started_at, ended_at) = match kind {
        EventKind::Incident | EventKind::InfraChange => (earliest, end_of(&order)),
        EventKind::Marker => (earliest, last.event.finished_at.or(Some(earliest))),
        EventKind::Environment => (earliest, is_gone(&last.event).then(|| at(last))),
        _ => (at(last), Some(at(last))),
    };
    let facts = facts(&order);
    let status = last.event.status_raw.clone().or_else(|| Some(last.event.status?.as_str().to_owned()));
    Some(Context {
        kind,
        status: status.unwrap_or_else(|| "unknown".into()),
        severity: order.iter().rev().find_map(|told| told.event.severity.clone()),
        title: title(&facts, kind),
        started_at,
        // An end before the start is two clocks that differ.
        ended_at: ended_at.map(|end| end.max(started_at)),
        time_is_received: order.iter().any(|told| told.event.time_is_received),
        facts,
    })
}

// What was told to be over stays over since then, however often it is mentioned again; what was told to last after that
// was opened again. As of deployments, the first success counts, else the first end.
fn end_of(order: &[&Told]) -> Option<DateTime<Utc>> {
    let ends = || order.iter().rev().map_while(|told| Some((told.event.status, told.event.finished_at?)));
    let success = ends().filter(|(status, _)| *status == Some(Status::Succeeded)).map(|(_, end)| end).min();
    success.or_else(|| ends().map(|(_, end)| end).min())
}

// An environment, or a service of it.
fn is_gone(environment: &Event) -> bool {
    matches!(environment.status_raw.as_deref(), Some("deleted" | "stopped" | "removed"))
}

fn at(told: &Told) -> DateTime<Utc> {
    told.event.occurred_at.unwrap_or(told.received_at)
}

fn title(facts: &Event, kind: EventKind) -> String {
    let named = facts.title.clone().or_else(|| facts.service_hint.clone()).or_else(|| facts.services.first().cloned());
    named.unwrap_or_else(|| kind.as_str().replace('_', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn minute(number: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_772_000_000 + number * 60, 0).unwrap()
    }

    fn incident(word: &str, number: i64) -> Told {
        let event = Event {
            kind: EventKind::Incident,
            status_raw: Some(word.into()),
            occurred_at: Some(minute(number)),
            finished_at: (word == "resolved").then(|| minute(number)),
            title: (number % 2 == 0).then(|| format!("title {number}")),
            ..Event::default()
        };
        Told { event, received_at: minute(1000) }
    }

    #[test]
    fn what_was_opened_again_has_no_end() {
        let mut all = vec![incident("resolved", 5), incident("triggered", 1)];
        let over = derive_context(&all).unwrap();
        assert_eq!((over.started_at, over.ended_at, over.status.as_str()), (minute(1), Some(minute(5)), "resolved"));
        all.push(incident("triggered", 9));
        let open = derive_context(&all).unwrap();
        assert_eq!((open.started_at, open.ended_at), (minute(1), None));
        assert_eq!(derive_context(&[]), None);
    }

    #[test]
    fn what_is_mentioned_again_after_its_end_ended_when_it_did() {
        let mut all = vec![incident("triggered", 0), incident("resolved", 30), incident("resolved", 21_600)];
        let over = derive_context(&all).unwrap();
        assert_eq!((over.ended_at, over.status.as_str()), (Some(minute(30)), "resolved"));
        // Of what was opened again, the first end after that.
        all.extend([incident("triggered", 30_000), incident("resolved", 30_010), incident("resolved", 30_020)]);
        all.reverse();
        assert_eq!(derive_context(&all).unwrap().ended_at, Some(minute(30_010)));
    }

    #[test]
    fn a_change_that_failed_and_then_went_through_was_over_when_it_did() {
        let change = |status: Status, number: i64| {
            let mut told = incident("resolved", number);
            (told.event.kind, told.event.status) = (EventKind::InfraChange, Some(status));
            told
        };
        let mut all = vec![change(Status::Failed, 1), change(Status::Failed, 2)];
        assert_eq!(derive_context(&all).unwrap().ended_at, Some(minute(1)));
        all.extend([change(Status::Succeeded, 5), change(Status::Succeeded, 9)]);
        assert_eq!(derive_context(&all).unwrap().ended_at, Some(minute(5)));
    }

    proptest! {
        #[test]
        fn any_order_and_repetition_gives_the_same(
            (all, mixed) in prop::collection::vec((prop::sample::select(vec!["triggered", "acknowledged", "resolved"]),
                0i64..8), 1..8).prop_flat_map(|all| {
                let all: Vec<Told> = all.iter().map(|(word, number)| incident(word, *number)).collect();
                let repeated: Vec<Told> = all.iter().chain(&all[..all.len() / 2]).cloned().collect();
                (Just(all), Just(repeated).prop_shuffle())
            })
        ) {
            prop_assert_eq!(derive_context(&all), derive_context(&mixed));
        }
    }
}
