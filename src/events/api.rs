//! Deployments that a CI job posts to the API, or mends there later, and jobs that ran. The body was checked when it came.

use super::clean;
use super::fields::{Fields, joined};
use super::{Commit, Event, EventError, EventKind, Headers, Status, Step};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// Says that a body mends a deployment instead of recording one, or is of a job that ran.
pub const EVENT_HEADER: &str = "x-costwake-event";
/// The deployment's identity within the source.
pub const EXTERNAL_ID_HEADER: &str = "x-costwake-external-id";

/// Reads one body. What began and ended gives two events, so that both go through the same state machine.
pub(super) fn read(headers: &Headers, root: &Value, received_at: DateTime<Utc>) -> Result<Vec<Event>, EventError> {
    let Some(fields) = root.as_object() else { return Err(EventError::Unfit("the body is not an object".into())) };
    if headers.get(EVENT_HEADER) == Some("job_run") {
        return job_run(headers, Fields::new(root, received_at)).map(|event| vec![event]);
    }
    let is_update = headers.get(EVENT_HEADER) == Some("deployment_update");
    let text = |name: &str| fields.get(name).and_then(Value::as_str).and_then(clean::text);
    let mut event = Event { kind: EventKind::Deployment, ..Event::default() };
    event.external_id = headers.get(EXTERNAL_ID_HEADER).map(str::to_owned).or_else(|| text("id"));
    event.environment = text("environment");
    if event.environment.is_none() && !is_update {
        return Err(EventError::Unfit("environment is missing".into()));
    }
    event.services = text("service").into_iter().collect();
    let services = fields.get("services").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    event.services.extend(services.iter().filter_map(Value::as_str).filter_map(clean::text));
    event.version = text("version");
    event.reference = text("ref");
    event.commits = commits(fields.get("commits"));
    event.sha = event.commits.first().map(|commit| commit.sha.clone());
    event.repo = text("repo").or_else(|| event.commits.first().map(|c| c.repo.clone()).filter(|repo| !repo.is_empty()));
    event.actor = text("actor");
    event.title = text("title");
    event.url = text("url").as_deref().and_then(clean::url);
    event.environment_url = text("environment_url").as_deref().and_then(clean::url);
    event.strategy = text("strategy");
    event.deployment_kind = text("kind");
    event.group_id = text("group_id");
    event.steps = steps(fields.get("steps"), received_at);
    if let Some(Value::Object(attributes)) = fields.get("attributes") {
        let pairs = attributes.iter().map(|(key, value)| {
            clean::text(key).zip(clean::text(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        });
        event.attributes = pairs.flatten().collect();
        event.pipeline = event.attributes.get("pipeline").cloned();
        event.path = event.attributes.get("path").cloned();
    }
    Ok(statuses(event, fields, is_update, received_at))
}

// It has neither a pipeline around it nor an environment, so that no rule makes it a deployment.
fn job_run(headers: &Headers, fields: Fields<'_>) -> Result<Event, EventError> {
    let id = headers.get(EXTERNAL_ID_HEADER).map_or_else(|| fields.id("/id"), |id| Ok(id.to_owned()))?;
    let mut event = Event { kind: EventKind::PipelineRun, ..Event::default() };
    event.external_id = Some(joined(&["job_run", &id]));
    event.pipeline = fields.text("/name");
    event.services = fields.text("/service").into_iter().collect();
    event.repo = fields.name("/repo");
    let status = fields.text("/status").unwrap_or_else(|| Status::Succeeded.as_str().into());
    event.status = Some(Status::parse(&status).unwrap_or(Status::Unknown));
    event.status_raw = Some(status);
    event.started_at = fields.time("/started_at", &mut event);
    event.finished_at = Some(fields.needed_time("/finished_at", &mut event));
    event.occurred_at = event.finished_at;
    event.url = fields.url("/url");
    fields.keep_attributes("/labels", &mut event);
    Ok(event)
}

fn statuses(
    event: Event,
    fields: &serde_json::Map<String, Value>,
    is_update: bool,
    received_at: DateTime<Utc>,
) -> Vec<Event> {
    let time = |name: &str| fields.get(name).and_then(|value| clean::time(value, received_at));
    let told = |status: Status, word: &str, at: Option<(DateTime<Utc>, bool)>| {
        let (at, is_received) = at.unwrap_or((received_at, true));
        Event {
            status: Some(status),
            status_raw: Some(word.to_owned()),
            occurred_at: Some(at),
            finished_at: status.is_terminal().then_some(at),
            started_at: if status == Status::InProgress { Some(at) } else { time("started_at").map(|(at, _)| at) },
            time_is_received: is_received,
            ..event.clone()
        }
    };
    let word = fields.get("status").and_then(Value::as_str).and_then(clean::text);
    let (start, finish) = (time("started_at"), time("finished_at"));
    let status = match word.as_deref() {
        Some(word) => Some(Status::parse(word).unwrap_or(Status::Unknown)),
        None if is_update && finish.is_none() => None,
        None => Some(Status::Succeeded),
    };
    let word = word.unwrap_or_else(|| status.map_or("details", Status::as_str).to_owned());
    // The start first, so that the last of the list tells how it stands.
    let mut events = Vec::new();
    if let Some(start) = start.filter(|_| status != Some(Status::InProgress)) {
        events.push(told(Status::InProgress, "started", Some(start)));
    }
    match status {
        Some(Status::InProgress) => events.push(told(Status::InProgress, &word, start)),
        Some(Status::Pending) => events.push(told(Status::Pending, &word, None)),
        Some(status) => events.push(told(status, &word, finish)),
        // Details only: an unknown status never changes how a deployment stands.
        None => events.push(told(Status::Unknown, &word, None)),
    }
    events
}

fn steps(value: Option<&Value>, received_at: DateTime<Utc>) -> Vec<Step> {
    let steps = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let step = |step: &Value| {
        let (at, _) = clean::time(step.get("at")?, received_at)?;
        Some(Step { at, weight_percent: step.get("weight_percent")?.as_i64()? })
    };
    steps.iter().filter_map(step).collect()
}

fn commits(value: Option<&Value>) -> Vec<Commit> {
    let commits = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let commit = |commit: &Value| {
        let sha = clean::text(commit.get("sha")?.as_str()?)?.to_ascii_lowercase();
        let repo = commit.get("repo").and_then(Value::as_str).and_then(clean::text).unwrap_or_default();
        Some(Commit { repo, sha, ..Commit::default() })
    };
    commits.iter().filter_map(commit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_all(root: &Value) -> Vec<Event> {
        read(&Headers::default(), root, "2026-03-01T12:00:00Z".parse().unwrap()).unwrap()
    }

    #[test]
    fn start_and_end_are_two_statuses() {
        let events = read_all(&json!({
            "service": "checkout", "environment": "production", "version": "1.2",
            "started_at": 1772272800, "finished_at": "2026-02-28T10:05:00Z",
            "commits": [{"repo": "acme/shop", "sha": "ABCDEF12"}]
        }));
        let told: Vec<_> =
            events.iter().map(|event| (event.status.unwrap(), event.occurred_at.unwrap().to_rfc3339())).collect();
        assert_eq!(
            told,
            [
                (Status::InProgress, "2026-02-28T10:00:00+00:00".to_owned()),
                (Status::Succeeded, "2026-02-28T10:05:00+00:00".to_owned())
            ]
        );
        assert_eq!(events[1].sha.as_deref(), Some("abcdef12"));
        assert_eq!(events[1].repo.as_deref(), Some("acme/shop"));
    }

    #[test]
    fn a_job_that_ran_is_a_run_with_a_duration() {
        let mut headers = Headers::default();
        headers.insert(EVENT_HEADER, "job_run");
        headers.insert(EXTERNAL_ID_HEADER, "train-7");
        let body = json!({"id": "train-7", "name": "train-ranker", "service": "ranker", "labels": {"mode": "train"},
            "started_at": 1772272800, "finished_at": "2026-02-28T11:30:00Z", "url": "javascript:alert(1)"});
        let event = read(&headers, &body, "2026-03-01T12:00:00Z".parse().unwrap()).unwrap().remove(0);
        assert_eq!((event.kind, event.status), (EventKind::PipelineRun, Some(Status::Succeeded)));
        assert_eq!((event.key(), event.pipeline.as_deref()), (Some("job_run/train-7"), Some("train-ranker")));
        assert_eq!(event.finished_at.unwrap() - event.started_at.unwrap(), chrono::TimeDelta::minutes(90));
        assert!(!event.is_job(), "it is no part of another run");
        assert_eq!((event.attributes["mode"].as_str(), event.url), ("train", None));
    }

    #[test]
    fn the_environment_is_never_guessed() {
        assert!(read(&Headers::default(), &json!({"service": "a"}), Utc::now()).is_err());
    }
}
