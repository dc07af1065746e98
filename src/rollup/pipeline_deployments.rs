//! A pipeline that succeeded is a deployment only where a rule says so: one that looks at the pipeline, and with
//! which the run has both a service and an environment.

use super::events::settle;
use super::mapper::{self, Mapper};
use crate::allocate::{self, Assignment, Target};
use crate::events::{self, Event, EventKind, Status};
use crate::store::deployments::Touched;
use crate::store::event_sources::API_SOURCE;
use crate::store::{deployments, event_tellings, locks, mapping_rules};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The attribute that a rule must look at.
const PIPELINE: &str = "pipeline";
/// Of what was told of runs, how much is in memory at once.
const TELLINGS_AT_ONCE: usize = 500;

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

/// Makes deployments of the stored runs that a rule makes one now, and takes away those that no rule makes any more. All
/// that was told of a run tells of its deployment, so that it comes out as if the rule had been there from the start.
/// Returns how many came or went, or are told by others than before.
pub(super) async fn derive_again(conn: &mut PgConnection, mapper: &Mapper) -> anyhow::Result<usize> {
    locks::lock_events(&mut *conn).await?;
    let rules = PipelineRules::of(mapper);
    let mut told_by = told_by(conn).await?;
    if rules.looking.is_empty() && told_by.is_empty() {
        return Ok(0);
    }
    let mut touched = Vec::new();
    let mut event_telling_ids = Vec::new();
    for (attempt, tellings) in tellings_by_attempt(runs_that_are(conn, &rules).await?) {
        let before = told_by.remove(&attempt);
        if before.as_ref() == Some(&tellings.event_delivery_ids) {
            continue;
        }
        if before.is_some() {
            touched.extend(forget(conn, &attempt).await?);
        }
        event_telling_ids.extend(tellings.event_telling_ids);
    }
    for attempt in told_by.keys() {
        touched.extend(forget(conn, attempt).await?);
    }
    event_telling_ids.sort_unstable();
    touched.extend(tell(conn, &event_telling_ids).await?);
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
    let is: HashSet<(i64, String)> =
        told_by(conn).await?.into_keys().map(|(source_id, external_id, _)| (source_id, external_id)).collect();
    // Of all that was told of one, what was told last says whose it would be.
    let mut would_be: HashMap<(i64, String), Run> = HashMap::new();
    for run in runs_that_are(conn, rules).await? {
        let (source_id, external_id, _) = run.attempt.clone();
        let key = (source_id, external_id);
        let is_older = |known: &Run| run.received_at < known.received_at;
        if !is.contains(&key) && !would_be.get(&key).is_some_and(is_older) {
            would_be.insert(key, run);
        }
    }
    Ok(would_be.into_values().map(|run| (run.repo, run.assignment)).collect())
}

// An attempt of a deployment: its source, its id there, and the attempt's number.
type Attempt = (i64, String, i64);

// What one delivery told of a run.
struct Run {
    attempt: Attempt,
    event_telling_id: i64,
    event_delivery_id: i64,
    received_at: DateTime<Utc>,
    repo: Option<String>,
    assignment: Assignment,
}

// What was told of one attempt.
#[derive(Default)]
struct Tellings {
    event_telling_ids: Vec<i64>,
    event_delivery_ids: BTreeSet<i64>,
}

fn tellings_by_attempt(runs: Vec<Run>) -> HashMap<Attempt, Tellings> {
    let mut by_attempt: HashMap<Attempt, Tellings> = HashMap::new();
    for run in runs {
        let tellings = by_attempt.entry(run.attempt).or_default();
        tellings.event_telling_ids.push(run.event_telling_id);
        tellings.event_delivery_ids.insert(run.event_delivery_id);
    }
    by_attempt
}

// All that was told of runs and that these rules make a deployment. There may be much more than that, so that it passes
// one by one.
async fn runs_that_are(conn: &mut PgConnection, rules: &PipelineRules<'_>) -> sqlx::Result<Vec<Run>> {
    let mut found = Vec::new();
    if rules.looking.is_empty() {
        return Ok(found);
    }
    let mut told = sqlx::query!(
        r#"SELECT t.event_telling_id, t.event_delivery_id, e.event_source_id, e.received_at, s.name AS source_name,
                  t.facts AS "facts: Json<Event>"
           FROM event_telling t JOIN event_delivery e USING (event_delivery_id) JOIN event_source s USING (event_source_id)
           WHERE t.kind = 'pipeline_run'"#
    )
    .fetch(conn);
    while let Some(row) = told.try_next().await? {
        let event = row.facts.0;
        let Some(assignment) = rules.assign(&row.source_name, &event) else { continue };
        let (external_id, sequence) = identity(&event);
        found.push(Run {
            attempt: (row.event_source_id, external_id, sequence),
            event_telling_id: row.event_telling_id,
            event_delivery_id: row.event_delivery_id,
            received_at: row.received_at,
            repo: event.repo,
            assignment,
        });
    }
    Ok(found)
}

// The attempts that are deployments now, and which deliveries told of each.
async fn told_by(conn: &mut PgConnection) -> sqlx::Result<HashMap<Attempt, BTreeSet<i64>>> {
    let rows = sqlx::query!(
        r#"SELECT d.event_source_id AS "event_source_id!", d.external_id AS "external_id!", t.sequence AS "sequence!",
                  t.event_delivery_id, r.event_delivery_id AS "repeated_by?"
           FROM deployment d JOIN event_source s USING (event_source_id) JOIN deployment_status t USING (deployment_id)
           LEFT JOIN deployment_status_repeat r USING (deployment_status_id)
           WHERE s.kind <> 'api' AND d.external_id LIKE 'workflow\_run/%'"#
    )
    .fetch_all(conn)
    .await?;
    let mut told_by: HashMap<Attempt, BTreeSet<i64>> = HashMap::new();
    for row in rows {
        let deliveries = told_by.entry((row.event_source_id, row.external_id, row.sequence)).or_default();
        deliveries.extend(row.event_delivery_id);
        deliveries.extend(row.repeated_by);
    }
    Ok(told_by)
}

// Tells of deployments what was told of their runs.
async fn tell(conn: &mut PgConnection, event_telling_ids: &[i64]) -> sqlx::Result<Vec<Touched>> {
    let mut touched = Vec::new();
    for ids in event_telling_ids.chunks(TELLINGS_AT_ONCE) {
        for told in event_tellings::of_ids(&mut *conn, ids).await? {
            for event in statuses(&told.event) {
                let (source_id, delivery_id) = (told.event_source_id, told.event_delivery_id);
                touched.push(deployments::tell(&mut *conn, source_id, delivery_id, &event, told.received_at).await?);
            }
        }
    }
    Ok(touched)
}

async fn forget(conn: &mut PgConnection, attempt: &Attempt) -> sqlx::Result<Vec<Touched>> {
    let (event_source_id, external_id, sequence) = attempt;
    deployments::forget_attempt(conn, *event_source_id, external_id, *sequence).await
}

pub(super) fn attribute<'a>(run: &'a Event, source_name: &'a str, name: &str) -> Option<Cow<'a, str>> {
    if let Some(key) = allocate::tag_key(name) {
        // As the deployment that it may be has it.
        let kind = run.environment_kind.as_ref().filter(|_| key == events::ENVIRONMENT_KIND);
        return kind.or_else(|| run.attributes.get(key)).map(|value| Cow::Borrowed(value.as_str()));
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
