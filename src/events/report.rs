//! Events as `costwake events read` prints them, and what is said of parts that could not be read.

use super::{Event, EventKind};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const UNREADABLE_NAMED_MAX: usize = 5;

/// One object for a delivery; where it told of several things, the first's keys and all of them as `items`.
pub fn report(events: &[Event]) -> Value {
    let mut object = events.first().map(object).unwrap_or_default();
    if events.len() > 1 {
        object.insert("items".into(), events.iter().map(|event| Value::Object(self::object(event))).collect());
    }
    Value::Object(object)
}

/// Which parts of a delivery could not be read, and why: the first few of them, and how many more there are. Nothing
/// where all could.
pub fn unreadable_parts(events: &[Event]) -> Option<String> {
    let mut reasons = events.iter().filter(|event| event.kind == EventKind::Unreadable);
    let reason = |event: &Event| event.reason.clone().unwrap_or_default();
    let named: Vec<String> = reasons.by_ref().take(UNREADABLE_NAMED_MAX).map(reason).collect();
    let more = match reasons.count() {
        0 => String::new(),
        count => format!("; and {count} more"),
    };
    (!named.is_empty()).then(|| format!("Not read, while the rest counts: {}{more}.", named.join("; ")))
}

fn object(event: &Event) -> Map<String, Value> {
    let is_ignored = matches!(event.kind, EventKind::Ignore | EventKind::Unreadable);
    // The moment of an event that has neither start nor end.
    let moment = event.occurred_at.filter(|_| !is_ignored && event.started_at.is_none() && event.finished_at.is_none());
    let status = event.status.map(|status| status.as_str().to_owned()).or_else(|| event.status_raw.clone());
    let fields = json!({
        "kind": event.kind,
        "repo": event.repo.clone().or_else(|| repositories(event)),
        "repo_url": event.repo_url,
        "services": event.services,
        "service_hint": event.services.first().or(event.service_hint.as_ref()),
        "environment": event.environment,
        "env_kind": event.environment_kind,
        "status": status,
        "status_raw": event.status_raw,
        "sha": event.sha.clone().or_else(|| commits(event)),
        "artifact": event.artifact,
        "version": event.version,
        "ref": event.reference,
        "external_id": event.external_id,
        "object_key": event.object_key,
        "started_at": event.started_at.map(written),
        "finished_at": event.finished_at.map(written),
        "occurred_at": moment.map(written),
        "time_is_received": event.time_is_received,
        "url": event.url.as_ref().or(event.api_url.as_ref()),
        "env_url": event.environment_url,
        "actor": event.actor,
        "title": event.title,
        "pipeline": event.pipeline,
        "severity": event.severity,
        "flag": event.flag,
        "prerelease": (event.kind == EventKind::Release).then_some(event.prerelease),
        "draft": (event.kind == EventKind::Release).then_some(event.draft),
        "commits": event.commits.len(),
        "reason": event.reason,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

// Of one deployment of several repositories.
fn repositories(event: &Event) -> Option<String> {
    let repos: BTreeSet<&str> = event.commits.iter().map(|commit| commit.repo.as_str()).collect();
    (repos.len() > 1).then(|| format!("{} repos", repos.len()))
}

fn commits(event: &Event) -> Option<String> {
    let is_deployed = event.kind == EventKind::Deployment && event.commits.len() > 1;
    let shas = || event.commits.iter().map(|commit| commit.sha.as_str()).collect::<Vec<_>>().join(",");
    is_deployed.then(shas)
}

fn written(time: DateTime<Utc>) -> String {
    let has_fraction = time.timestamp_subsec_micros() != 0;
    time.to_rfc3339_opts(if has_fraction { SecondsFormat::Micros } else { SecondsFormat::Secs }, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_could_not_be_read_are_named_and_counted() {
        let part =
            |kind: EventKind, number: usize| Event { kind, reason: Some(format!("part {number}")), ..Event::default() };
        let read = [part(EventKind::Ignore, 1), part(EventKind::Deployment, 2)];
        assert_eq!(unreadable_parts(&read), None);
        let mut events = read.to_vec();
        events.extend((3..10).map(|number| part(EventKind::Unreadable, number)));
        let said = unreadable_parts(&events).unwrap();
        assert_eq!(said, "Not read, while the rest counts: part 3; part 4; part 5; part 6; part 7; and 2 more.");
        assert_eq!(report(&events)["items"][2]["kind"], "unreadable");
        assert_eq!(report(&events)["items"][2]["reason"], "part 3");
    }
}
