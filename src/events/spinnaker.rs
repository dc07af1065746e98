//! Spinnaker's Echo REST listener: pipelines, and builds that Igor sees. A run is a deployment only by a rule.

use super::fields::{Fields, joined, status_of};
use super::{Event, EventError, EventKind, Status, clean};

/// Reads one event.
pub(super) fn read(fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    Ok(vec![match fields.word("/details/type") {
        "build" => build(&fields)?,
        "orca:pipeline:starting" | "orca:pipeline:complete" | "orca:pipeline:failed" => pipeline(&fields)?,
        "" => return Err(EventError::Unfit("details.type is missing: this is no event of Echo".into())),
        other => fields.ignored(&format!("\"{other}\" events are not used")),
    }])
}

// Spinnaker writes milliseconds as texts.
fn build(fields: &Fields<'_>) -> Result<Event, EventError> {
    let of = fields.at("/content/project/lastBuild");
    let mut event = Event { kind: EventKind::PipelineRun, ..Event::default() };
    let name = fields
        .text("/content/project/name")
        .ok_or_else(|| EventError::Unfit("content.project.name is missing".into()))?;
    let number = of.id("/number")?;
    event.external_id = Some(joined(&[&fields.text("/content/master").unwrap_or_default(), &name, &number]));
    let is_building = of.is_true("/building");
    let status = if is_building { Status::InProgress } else { status_of(of.word("/result")) };
    (event.status, event.status_raw) = (Some(status), of.text("/result"));
    event.version = Some(number);
    event.started_at = of.time("/timestamp", &mut event);
    let duration_ms = of.number("/duration").unwrap_or(0);
    event.finished_at = event
        .started_at
        .filter(|_| status.is_terminal())
        .and_then(|start| start.checked_add_signed(chrono::TimeDelta::try_milliseconds(duration_ms)?));
    event.occurred_at = event.finished_at.or(event.started_at);
    event.url = of.url("/url");
    event.pipeline = Some(name.clone());
    event.service_hint = Some(name);
    Ok(event)
}

fn pipeline(fields: &Fields<'_>) -> Result<Event, EventError> {
    let of = fields.at("/content/execution");
    let mut event = Event { kind: EventKind::PipelineRun, ..Event::default() };
    event.external_id = Some(of.id("/id").or_else(|_| fields.id("/content/executionId"))?);
    event.service_hint = of.text("/application").or_else(|| fields.text("/details/application"));
    event.pipeline = of.text("/name");
    let status = status_of(of.word("/status"));
    (event.status, event.status_raw) = (Some(status), of.text("/status"));
    event.started_at = of.time("/startTime", &mut event);
    event.finished_at = of.time("/endTime", &mut event).filter(|_| status.is_terminal());
    event.occurred_at = event.finished_at.or(event.started_at);
    event.actor = of.text("/authentication/user");
    event.version = of.text("/trigger/buildInfo/number").or_else(|| of.text("/trigger/tag"));
    event.sha = of.sha("/trigger/hash").or_else(|| of.sha("/trigger/buildInfo/scm/0/sha1"));
    event.reference = of.text("/trigger/branch");
    event.url = of.url("/trigger/buildInfo/url");
    event.title = of.text("/trigger/type").and_then(|kind| clean::text(&format!("started by {kind}")));
    of.keep("application", "/application", &mut event);
    // Where it goes stands in the stages: account and cluster of the first that deploys.
    if let Some(stage) = of.list("/stages").find(|stage| stage.has("/context/account")) {
        stage.keep("account", "/context/account", &mut event);
        stage.keep("cluster", "/context/cluster", &mut event);
    }
    Ok(event)
}
