//! A pipeline that succeeded is a deployment only where a rule says so: one that looks at the pipeline, and with
//! which the run has both a service and an environment.

use super::events::settle;
use super::mapper::{self, Mapper};
use crate::allocate::{self, Assignment, Target};
use crate::events::{self, Event, EventKind, Status};
use crate::store::event_sources::API_SOURCE;
use crate::store::{deployments, locks, mapping_rules};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::borrow::Cow;
use std::collections::HashSet;

/// The attribute that a rule must look at.
const PIPELINE: &str = "pipeline";

/// The rules, and which of them look at the pipeline.
pub struct PipelineRules<'a> {
    mapper: &'a Mapper,
    looking: HashSet<i64>,
    // Those that look at the job too: only they make a deployment of a job that names no environment.
    looking_at_job: HashSet<i64>,
}

impl<'a> PipelineRules<'a> {
    /// These rules.
    pub fn of(mapper: &'a Mapper) -> Self {
        let looking_at_job = mapper.deployments.looking_at(&format!("{}{}", allocate::TAG_PREFIX, events::JOB));
        Self { mapper, looking: mapper.deployments.looking_at(PIPELINE), looking_at_job }
    }

    /// Whether this answer makes a run a deployment.
    pub fn make(&self, assignment: &Assignment) -> bool {
        let is_named = |target: &Option<Target>| matches!(target, Some(Target::Known(_) | Target::Add(_)));
        let mut by = [assignment.service_rule_id, assignment.environment_rule_id].into_iter().flatten();
        by.any(|rule_id| self.looking.contains(&rule_id))
            && is_named(&assignment.service)
            && is_named(&assignment.environment)
    }

    fn looks_at_job(&self, assignment: &Assignment) -> bool {
        let mut by = [assignment.service_rule_id, assignment.environment_rule_id].into_iter().flatten();
        by.any(|rule_id| self.looking_at_job.contains(&rule_id))
    }

    // Whose deployment the run is, where it is one.
    fn assign(&self, source_name: &str, run: &Event) -> Option<Assignment> {
        // What the API tells of a job that ran is no pipeline: a deployment is told there as one.
        if source_name == API_SOURCE {
            return None;
        }
        let assignment = allocate::assign(&self.mapper.deployments, |name| attribute(run, source_name, name));
        let is_part = run.is_job() && run.environment.is_none();
        let is_meant = !is_part || self.looks_at_job(&assignment);
        Some(assignment).filter(|assignment| is_meant && self.make(assignment))
    }
}

/// The present rules for many runs; none where none of them looks at the pipeline.
pub struct RunRules(Option<Mapper>);

impl RunRules {
    /// Reads them. The caller holds a lock that keeps them as they are.
    pub async fn load(conn: &mut PgConnection) -> anyhow::Result<Self> {
        let rules = mapper::rules_of(&mapping_rules::list(&mut *conn).await?)?;
        if !rules.iter().flat_map(|rule| &rule.conditions).any(|condition| condition.attribute == PIPELINE) {
            return Ok(Self(None));
        }
        Ok(Self(Some(Mapper::compile(&rules, mapper::catalogue_names(conn).await?)?)))
    }

    /// The deployment that this run is: its start, and its end once it has one. Attempts of one run are attempts of one
    /// deployment.
    pub fn deployments_of(&self, source_name: &str, run: &Event) -> Vec<Event> {
        let is_one = |mapper: &Mapper| PipelineRules::of(mapper).assign(source_name, run).is_some();
        if self.0.as_ref().is_some_and(is_one) { statuses(run) } else { Vec::new() }
    }
}

/// Makes deployments of the stored runs that a rule makes one now, and takes away those that no rule makes any more.
/// Returns how many came or went, or have another number of attempts.
pub(super) async fn derive_again(conn: &mut PgConnection, mapper: &Mapper) -> anyhow::Result<usize> {
    locks::lock_events(&mut *conn).await?;
    let rules = PipelineRules::of(mapper);
    let mut made = made(conn).await?;
    if rules.looking.is_empty() && made.is_empty() {
        return Ok(0);
    }
    let mut touched = Vec::new();
    for run in runs_that_are(conn, &rules).await? {
        if made.remove(&run.attempt()) {
            continue;
        }
        for event in statuses(&run.event) {
            let (source_id, delivery_id) = (run.event_source_id, run.event_delivery_id);
            touched.push(deployments::tell(&mut *conn, source_id, delivery_id, &event, run.received_at).await?);
        }
    }
    for (event_source_id, external_id, sequence) in made {
        touched.extend(deployments::forget_attempt(&mut *conn, event_source_id, &external_id, sequence).await?);
    }
    settle(conn, &touched).await?;
    Ok(touched.iter().map(|one| one.deployment_id).collect::<HashSet<_>>().len())
}

/// The runs that are no deployment and would be one by these rules: the repository of each, and whose it would be.
pub(super) async fn runs_that_would_be(
    conn: &mut PgConnection,
    rules: &PipelineRules<'_>,
) -> anyhow::Result<Vec<(Option<String>, Assignment)>> {
    if rules.looking.is_empty() {
        return Ok(Vec::new());
    }
    let made: HashSet<(i64, String)> =
        made(conn).await?.into_iter().map(|(source_id, external_id, _)| (source_id, external_id)).collect();
    let mut seen = made;
    let mut found = Vec::new();
    for run in runs_that_are(conn, rules).await? {
        let (source_id, external_id, _) = run.attempt();
        if seen.insert((source_id, external_id)) {
            found.extend(rules.assign(&run.source_name, &run.event).map(|assignment| (run.event.repo, assignment)));
        }
    }
    Ok(found)
}

// An attempt of a deployment: its source, its id there, and the attempt's number.
type Attempt = (i64, String, i64);

struct Run {
    event_source_id: i64,
    source_name: String,
    event_delivery_id: i64,
    received_at: DateTime<Utc>,
    event: Event,
}

impl Run {
    fn attempt(&self) -> Attempt {
        let (external_id, attempt) = identity(&self.event);
        (self.event_source_id, external_id, attempt)
    }
}

// The stored runs that these rules make a deployment. There may be many more than those, so that they pass one by one.
async fn runs_that_are(conn: &mut PgConnection, rules: &PipelineRules<'_>) -> sqlx::Result<Vec<Run>> {
    let mut runs = sqlx::query!(
        r#"SELECT p.event_source_id, s.name AS source_name, p.event_delivery_id, p.received_at, p.started_at,
                  p.facts AS "facts: Json<Event>"
           FROM pipeline_run p JOIN event_source s USING (event_source_id) ORDER BY p.pipeline_run_id"#
    )
    .fetch(conn);
    let mut found = Vec::new();
    while let Some(row) = runs.try_next().await? {
        if rules.assign(&row.source_name, &row.facts.0).is_some() {
            found.push(Run {
                event_source_id: row.event_source_id,
                source_name: row.source_name,
                event_delivery_id: row.event_delivery_id,
                received_at: row.received_at,
                // The end may have been told without the start.
                event: Event { started_at: row.started_at, ..row.facts.0 },
            });
        }
    }
    Ok(found)
}

// The attempts that are deployments now.
async fn made(conn: &mut PgConnection) -> sqlx::Result<HashSet<Attempt>> {
    let rows = sqlx::query!(
        r"SELECT DISTINCT d.event_source_id, d.external_id, t.sequence
          FROM deployment d JOIN event_source s USING (event_source_id) JOIN deployment_status t USING (deployment_id)
          WHERE s.kind <> 'api' AND d.external_id LIKE 'workflow\_run/%'"
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.event_source_id, row.external_id, row.sequence)).collect())
}

pub(super) fn attribute<'a>(run: &'a Event, source_name: &'a str, name: &str) -> Option<Cow<'a, str>> {
    if let Some(key) = allocate::tag_key(name) {
        return run.attributes.get(key).map(|value| Cow::Borrowed(value.as_str()));
    }
    let value = match name {
        PIPELINE => run.pipeline.as_deref(),
        "path" => run.path.as_deref(),
        "repo" => run.repo.as_deref(),
        "ref" => run.reference.as_deref(),
        "environment" => run.environment.as_deref(),
        "service" => run.services.first().map(String::as_str),
        "source" => Some(source_name),
        _ => None,
    };
    value.map(Cow::Borrowed)
}

// The attempt orders the statuses and is no part of the identity.
fn identity(run: &Event) -> (String, i64) {
    let (id, attempt) = run.run();
    (format!("workflow_run/{id}"), attempt)
}

fn statuses(run: &Event) -> Vec<Event> {
    let (external_id, sequence) = identity(run);
    let told = |status: Status, at| Event {
        kind: EventKind::Deployment,
        external_id: Some(external_id.clone()),
        object_key: None,
        attempt: None,
        sequence,
        status: Some(status),
        occurred_at: at,
        ..run.clone()
    };
    let start = told(Status::InProgress, run.started_at.or(run.occurred_at));
    let end = run.status.filter(|status| status.is_terminal()).map(|status| told(status, run.finished_at));
    std::iter::once(start).chain(end).collect()
}
