//! What senders told and no rule gives to anybody: deployments, pipelines, operational events.

use super::super::context_events::page_of;
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
    /// Somebody pinned it: what takes the pin away is offered instead of a rule, which would not move it.
    pub is_pinned: bool,
    pub rule_url: String,
    pub suggestion: Option<Suggestion>,
}

/// Runs of one pipeline.
pub struct PipelineRow {
    pub pipeline: UnmappedPipeline,
    /// A rule takes exactly its runs already: what it does not name is still lacking.
    pub has_rule: bool,
    pub rule_url: String,
    pub suggestion: Option<Suggestion>,
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
    pub last_href: String,
    pub last_title: String,
    pub last_at: DateTime<Utc>,
    pub rule_url: String,
    pub suggestion: Option<Suggestion>,
}

/// What deployments lack, and why no service has them, or why no rule changes that.
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
    let reason = match &row.pinned_by {
        Some(by) => format!("pinned by {by}: rules do not move it"),
        None if row.lacks_service => reason(row.service_rule_id, stored, value),
        None => String::new(),
    };
    (lacks, reason)
}

/// Deployments with what is known of them, and the rule that would take exactly these.
pub fn deployment_row(row: &UnmappedDeployments, stored: &[MappingRule], suggester: &Suggester) -> DeploymentRow {
    let (lacks, reason) = lacks(row, stored);
    let is_pinned = row.pinned_deployment_id.is_some();
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
        is_pinned,
        rule_url: deployment_rule(row).url("/rules/new"),
        suggestion: deployment_suggestion(row, suggester).filter(|_| row.lacks_service && !is_pinned),
    }
}

// What the sender calls the service comes before the repository, which may have several; its pipeline, app or namespace
// after it.
fn deployment_suggestion(row: &UnmappedDeployments, suggester: &Suggester) -> Option<Suggestion> {
    let repo = row.repo.as_deref();
    let mut more: Vec<_> = repo.and_then(|repo| equals("repo", repo)).into_iter().collect();
    more.extend(telling(row));
    let named = if row.service_unmapped.is_empty() { &row.service_raw } else { &row.service_unmapped };
    let hints = hints(row).filter_map(|(key, value)| match key {
        "pipeline" => Some(("pipeline", value)),
        "app" => Some(("tag:app", value)),
        "namespace" => Some(("tag:namespace", value)),
        _ => None,
    });
    let by_service = suggester.of_name(named.iter().map(|name| ("service", name.clone())), &more);
    by_service
        .or_else(|| repo.and_then(|repo| suggester.of_repository(repo, telling(row))))
        .or_else(|| suggester.of_name(hints, &more))
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

/// A pipeline with the rule that would make its runs deployments: by name and repository, since the path of its file is
/// not sent with each run. Where such a rule is there and the runs lack an environment still, it is not suggested again.
pub fn pipeline_row(pipeline: UnmappedPipeline, stored: &[MappingRule], suggester: &Suggester) -> PipelineRow {
    let mut conditions: Vec<_> = equals("pipeline", &pipeline.name).into_iter().collect();
    conditions.extend(pipeline.repo.as_deref().and_then(|repo| equals("repo", repo)));
    let has_rule = stored.iter().any(|rule| RuleForm::of(rule, None, None, None).conditions == conditions);
    let told = Some(("pipeline", pipeline.name.clone())).filter(|_| !has_rule);
    let suggestion = suggester.of_name(told, &conditions);
    let form = RuleForm { applies_to: "deployments".into(), conditions, place: "last".into(), ..RuleForm::default() };
    PipelineRow { rule_url: form.url("/rules/new"), pipeline, has_rule, suggestion }
}

/// What a sender told of an operational event that rules can look at.
pub struct EventNames<'a> {
    pub source: &'a str,
    pub services: &'a [String],
    pub environment: Option<&'a str>,
    pub repo: Option<&'a str>,
}

impl EventNames<'_> {
    /// Why no service has it; the rule is the one that named a service.
    pub fn reason(&self, service_rule_id: Option<i64>, stored: &[MappingRule]) -> String {
        let value = |name: &str| match name {
            "service" => self.services.first().cloned(),
            "environment" => self.environment.map(str::to_owned),
            "repo" => self.repo.map(str::to_owned),
            _ => None,
        };
        reason(service_rule_id, stored, value)
    }

    /// The form of a rule that would give it to a service: by the name that was sent where there is one, else by what else
    /// tells these from others of the source.
    pub fn rule_url(&self) -> String {
        let mut conditions: Vec<_> = equals("source", self.source).into_iter().collect();
        match self.services.first() {
            Some(service) => conditions.extend(equals("service", service)),
            None => {
                conditions.extend(self.repo.and_then(|repo| equals("repo", repo)));
                conditions.extend(self.environment.and_then(|environment| equals("environment", environment)));
            }
        }
        let form =
            RuleForm { applies_to: "deployments".into(), conditions, place: "last".into(), ..RuleForm::default() };
        form.url("/rules/new")
    }
}

fn event_names(row: &UnmappedEvents) -> EventNames<'_> {
    EventNames {
        source: &row.source_name,
        services: &row.service_raw,
        environment: row.environment_raw.as_deref(),
        repo: row.repo.as_deref(),
    }
}

/// Why no service has these operational events.
pub fn event_reason(row: &UnmappedEvents, stored: &[MappingRule]) -> String {
    event_names(row).reason(row.service_rule_id, stored)
}

/// Operational events with the rule that would give them to a service.
pub fn event_row(row: &UnmappedEvents, stored: &[MappingRule], suggester: &Suggester) -> EventRow {
    let source = || equals("source", &row.source_name).into_iter().collect::<Vec<_>>();
    let by_name = suggester.of_name(row.service_raw.iter().map(|name| ("service", name.clone())), &source());
    let by_repository = || suggester.of_repository(row.repo.as_deref()?, source());
    EventRow {
        source: row.source_name.clone(),
        kind: kind_in_words(&row.kind),
        services: if row.service_raw.is_empty() { "not named".into() } else { row.service_raw.join(", ") },
        environment: row.environment_raw.clone().unwrap_or_else(|| "not named".into()),
        reason: event_reason(row, stored),
        count: row.event_count,
        last_href: page_of(row.last_id),
        last_title: row.last_title.clone(),
        last_at: row.last_at,
        rule_url: event_names(row).rule_url(),
        suggestion: by_name.or_else(by_repository),
    }
}
