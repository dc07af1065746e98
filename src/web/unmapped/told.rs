//! What senders told and no rule gives to anybody: deployments, pipelines, operational events.

use super::super::rules::form::{ConditionFields, RuleForm};
use super::super::suggestions::{Suggester, Suggestion};
use super::{equals, reason};
use crate::rollup::mapped_keys::tag;
use crate::store::mapping_rules::MappingRule;
use crate::store::operational_events::kind_in_words;
use crate::store::unmapped::{self, UnmappedDeployments, UnmappedEvents, UnmappedPipeline};
use chrono::{DateTime, Utc};

/// Deployments of one kind.
pub struct DeploymentRow {
    pub source: String,
    pub repo: String,
    pub environment: String,
    pub services: String,
    /// `stage: Deploy`: what rules can look at beside names.
    pub hints: Vec<String>,
    pub lacks: &'static str,
    pub reason: String,
    pub count: i64,
    pub last_id: i64,
    pub last_at: DateTime<Utc>,
    pub rule_url: String,
    pub suggestion: Option<Suggestion>,
}

/// Runs of one pipeline.
pub struct PipelineRow {
    pub pipeline: UnmappedPipeline,
    pub rule_url: String,
}

/// Operational events of one kind.
pub struct EventRow {
    pub source: String,
    pub kind: &'static str,
    pub services: String,
    pub environment: String,
    /// Why no service has them.
    pub reason: String,
    pub count: i64,
    pub last_title: String,
    pub last_at: DateTime<Utc>,
    pub rule_url: String,
}

/// What deployments lack, and why no service has them.
pub fn lacks(row: &UnmappedDeployments, stored: &[MappingRule]) -> (&'static str, String) {
    let value = |name: &str| match name {
        "service" => row.service_unmapped.first().or(row.service_raw.first()).cloned(),
        "environment" => row.environment_raw.clone(),
        "repo" => row.repo.clone(),
        _ => None,
    };
    let lacks = match (row.lacks_service, row.lacks_environment) {
        (true, true) => "a service and an environment",
        (true, false) => "a service",
        _ => "an environment",
    };
    (lacks, if row.lacks_service { reason(row.service_rule_id, stored, value) } else { String::new() })
}

/// Deployments with what is known of them, and the rule that would take exactly these.
pub fn deployment_row(row: &UnmappedDeployments, stored: &[MappingRule], suggester: &Suggester) -> DeploymentRow {
    let (lacks, reason) = lacks(row, stored);
    DeploymentRow {
        source: row.source_name.clone(),
        repo: row.repo.clone().unwrap_or_else(|| "no repository".into()),
        environment: row.environment_raw.clone().unwrap_or_else(|| "not named".into()),
        services: if row.service_raw.is_empty() { "not named".into() } else { row.service_raw.join(", ") },
        hints: hints(row).map(|(key, value)| format!("{key}: {value}")).collect(),
        lacks,
        reason,
        count: row.deployment_count,
        last_id: row.last_deployment_id,
        last_at: row.last_at,
        rule_url: deployment_rule(row).url("/rules/new"),
        suggestion: row
            .repo
            .as_deref()
            .filter(|_| row.lacks_service)
            .and_then(|repo| suggester.of_repository(repo, telling(row))),
    }
}

fn hints(row: &UnmappedDeployments) -> impl Iterator<Item = (&'static str, String)> {
    unmapped::HINTS.into_iter().filter_map(|key| Some((key, tag(&row.hints, key)?.into_owned())))
}

// Where the sender does not name the service or the environment, its pipeline and stage tell what it is: without them a
// rule about the repository would take its builds and tests too.
fn telling(row: &UnmappedDeployments) -> Vec<ConditionFields> {
    if !row.service_raw.is_empty() && row.environment_raw.is_some() {
        return Vec::new();
    }
    let condition = |(key, value): (&str, String)| match key {
        "pipeline" => equals(key, &value),
        _ => equals(&format!("tag:{key}"), &value),
    };
    hints(row).filter_map(condition).collect()
}

fn deployment_rule(row: &UnmappedDeployments) -> RuleForm {
    let mut conditions = Vec::new();
    conditions.extend(row.repo.as_deref().and_then(|repo| equals("repo", repo)));
    conditions.extend(telling(row));
    // Where some of its services are known, the rule is about the one that is not.
    if row.service_unmapped.len() < row.service_raw.len() {
        conditions.extend(row.service_unmapped.first().and_then(|service| equals("service", service)));
    }
    if row.lacks_environment {
        conditions.extend(row.environment_raw.as_deref().and_then(|raw| equals("environment", raw)));
    }
    if conditions.is_empty() {
        conditions.extend(row.service_raw.first().and_then(|service| equals("service", service)));
        conditions.extend(equals("source", &row.source_name));
    }
    RuleForm { applies_to: "deployments".into(), conditions, place: "last".into(), ..RuleForm::default() }
}

// By name and repository: the path of its file is not sent with each run.
/// A pipeline with the rule that would make its runs deployments.
pub fn pipeline_row(pipeline: UnmappedPipeline) -> PipelineRow {
    let mut conditions: Vec<_> = equals("pipeline", &pipeline.name).into_iter().collect();
    conditions.extend(pipeline.repo.as_deref().and_then(|repo| equals("repo", repo)));
    let form = RuleForm { applies_to: "deployments".into(), conditions, place: "last".into(), ..RuleForm::default() };
    PipelineRow { rule_url: form.url("/rules/new"), pipeline }
}

/// Operational events with the rule that would give them to a service.
pub fn event_row(row: &UnmappedEvents, stored: &[MappingRule]) -> EventRow {
    let value = |name: &str| match name {
        "service" => row.service_raw.first().cloned(),
        "environment" => row.environment_raw.clone(),
        "repo" => row.repo.clone(),
        _ => None,
    };
    EventRow {
        source: row.source_name.clone(),
        kind: kind_in_words(&row.kind),
        services: if row.service_raw.is_empty() { "not named".into() } else { row.service_raw.join(", ") },
        environment: row.environment_raw.clone().unwrap_or_else(|| "not named".into()),
        reason: reason(row.service_rule_id, stored, value),
        count: row.event_count,
        last_title: row.last_title.clone(),
        last_at: row.last_at,
        rule_url: event_rule(row).url("/rules/new"),
    }
}

// By the name that was sent where there is one, else by what else tells these from others of the source.
fn event_rule(row: &UnmappedEvents) -> RuleForm {
    let mut conditions: Vec<_> = equals("source", &row.source_name).into_iter().collect();
    match row.service_raw.first() {
        Some(service) => conditions.extend(equals("service", service)),
        None => {
            conditions.extend(row.repo.as_deref().and_then(|repo| equals("repo", repo)));
            conditions.extend(row.environment_raw.as_deref().and_then(|raw| equals("environment", raw)));
        }
    }
    RuleForm { applies_to: "deployments".into(), conditions, place: "last".into(), ..RuleForm::default() }
}
