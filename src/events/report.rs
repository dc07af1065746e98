//! An event as `costwake events read` prints it.

use super::{Event, EventKind};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// One object for a delivery; where it told of several things, the first's keys and all of them as `items`.
pub fn report(events: &[Event]) -> Value {
    let mut object = events.first().map(object).unwrap_or_default();
    if events.len() > 1 {
        object.insert("items".into(), events.iter().map(|event| Value::Object(self::object(event))).collect());
    }
    Value::Object(object)
}

fn object(event: &Event) -> Map<String, Value> {
    let is_ignored = event.kind == EventKind::Ignore;
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
