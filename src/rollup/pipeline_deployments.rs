//! A pipeline that succeeded is a deployment only where a rule says so: one that looks at the pipeline, and with
//! which the run has both a service and an environment.

use super::mapper::Mapper;
use crate::allocate::{self, Assignment, Target};
use crate::events::{Event, EventKind, Status};
use crate::store::mapping_rules::{self, MappingRule};
use sqlx::PgConnection;
use std::borrow::Cow;

/// The attribute that a rule must look at.
const PIPELINE: &str = "pipeline";

/// The deployment that this run is by the present rules: its start, and its end once it has one. Attempts of one
/// run are attempts of one deployment.
pub async fn deployments_of(conn: &mut PgConnection, source_name: &str, run: &Event) -> anyhow::Result<Vec<Event>> {
    let rules = mapping_rules::list(&mut *conn).await?;
    let about_pipelines: Vec<i64> =
        rules.iter().filter(|rule| looks_at_pipeline(rule)).map(|rule| rule.mapping_rule_id).collect();
    if about_pipelines.is_empty() {
        return Ok(Vec::new());
    }
    let mapper = Mapper::load(conn).await?;
    let assignment = allocate::assign(&mapper.deployments, |name| attribute(run, source_name, name));
    let says_so = [assignment.service_rule_id, assignment.environment_rule_id]
        .iter()
        .flatten()
        .any(|rule_id| about_pipelines.contains(rule_id));
    Ok(if says_so && is_whole(&assignment) { statuses(run) } else { Vec::new() })
}

fn looks_at_pipeline(rule: &MappingRule) -> bool {
    let conditions = rule.values.conditions.as_array().map_or(&[][..], Vec::as_slice);
    conditions.iter().any(|condition| condition["attribute"] == PIPELINE)
}

fn is_whole(assignment: &Assignment) -> bool {
    let is_named = |target: &Option<Target>| matches!(target, Some(Target::Known(_) | Target::Add(_)));
    is_named(&assignment.service) && is_named(&assignment.environment)
}

fn attribute<'a>(run: &'a Event, source_name: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let value = match name {
        PIPELINE => run.pipeline.as_deref(),
        "path" => run.path.as_deref(),
        "repo" => run.repo.as_deref(),
        "ref" => run.reference.as_deref(),
        "source" => Some(source_name),
        _ => None,
    };
    value.map(Cow::Borrowed)
}

fn statuses(run: &Event) -> Vec<Event> {
    // `run/attempt`: the attempt orders the statuses and is no part of the identity.
    let id = run.external_id.as_deref().unwrap_or_default();
    let (id, attempt) = id.rsplit_once('/').unwrap_or((id, "1"));
    let told = |status: Status, at| Event {
        kind: EventKind::Deployment,
        external_id: Some(format!("workflow_run/{id}")),
        sequence: attempt.parse().unwrap_or(1),
        status: Some(status),
        occurred_at: at,
        ..run.clone()
    };
    let start = told(Status::InProgress, run.started_at.or(run.occurred_at));
    let end = run.status.filter(|status| status.is_terminal()).map(|status| told(status, run.finished_at));
    std::iter::once(start).chain(end).collect()
}
