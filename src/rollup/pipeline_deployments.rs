//! A pipeline that succeeded is a deployment only where a rule says so: one that looks at the pipeline, and with
//! which the run has both a service and an environment. Where whoever deployed told of that deployment as well, the run is
//! none besides.

use super::events::settle;
use super::mapper::{self, Mapper};
use super::told_already::{self, ToldAlready, ToldDeployment, ToldRun};
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
/// What a run's deployment is called by, before the run's own id.
const RUN_PREFIX: &str = "workflow_run/";

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

    /// Whether a rule looks at the pipeline.
    pub fn are_any(&self) -> bool {
        !self.looking.is_empty()
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

    /// Whether a rule looks at the pipeline.
    pub fn are_any(&self) -> bool {
        self.0.is_some()
    }

    /// The deployment that this run is: its start, and its end once it has one. Attempts of one run are attempts of one
    /// deployment. Whether it is told already shows once all that came with it was mapped.
    pub fn deployments_of(&self, source_name: &str, run: &Event) -> Vec<Event> {
        let is_one = |mapper: &Mapper| PipelineRules::of(mapper).assign(source_name, run).is_some();
        if self.0.as_ref().is_some_and(is_one) { statuses(run) } else { Vec::new() }
    }
}

/// Makes deployments of the stored runs that a rule makes one now, and takes away those that no rule makes any more or
/// that are told already. All that was told of a run tells of its deployment, so that it comes out as if the rule had been
/// there from the start. Returns how many came or went, or are told by others than before.
pub(super) async fn derive_again(conn: &mut PgConnection, mapper: &Mapper) -> anyhow::Result<usize> {
    locks::lock_events(&mut *conn).await?;
    derive(conn, mapper, None).await
}

/// The same for these attempts at runs, and for those that deployments may tell of which are no longer, or not yet were,
/// as they are given. The caller holds the lock of events, and has mapped what was told.
pub(super) async fn derive_beside(
    conn: &mut PgConnection,
    mut attempts: BTreeSet<Attempt>,
    changed: &[ToldDeployment],
) -> anyhow::Result<()> {
    if attempts.is_empty() && changed.is_empty() {
        return Ok(());
    }
    // What was mapped since may have added names.
    let Some(mapper) = RunRules::load(&mut *conn).await?.0 else { return Ok(()) };
    let beside = told_already::attempts_beside(&mut *conn, changed).await?;
    attempts.extend(beside.into_iter().map(|(source_id, run_id, number)| (source_id, external_id(&run_id), number)));
    if attempts.is_empty() {
        return Ok(());
    }
    derive(conn, &mapper, Some(&attempts)).await.map(drop)
}

async fn derive(conn: &mut PgConnection, mapper: &Mapper, only: Option<&BTreeSet<Attempt>>) -> anyhow::Result<usize> {
    let rules = PipelineRules::of(mapper);
    let mut told_by = told_by(conn, only).await?;
    if rules.looking.is_empty() && told_by.is_empty() {
        return Ok(0);
    }
    let by_attempt = tellings_by_attempt(runs_that_are(conn, &rules, only).await?);
    let bounds = told_already::bounds(by_attempt.values().map(|tellings| &tellings.told));
    // Without a time there is no run that something could be told of.
    let told_already = match bounds {
        (None, _) => ToldAlready::default(),
        bounds => ToldAlready::of(told_already::load(conn, None, bounds).await?),
    };
    let mut touched = Vec::new();
    let mut event_telling_ids = Vec::new();
    for (attempt, tellings) in by_attempt {
        // One that is a deployment still is forgotten below, with those that no rule makes one.
        if told_already.has(&tellings.told) {
            continue;
        }
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
    if touched.is_empty() && event_telling_ids.is_empty() {
        return Ok(0);
    }
    event_telling_ids.sort_unstable();
    touched.extend(tell(conn, &event_telling_ids).await?);
    settle(conn, &touched).await?;
    Ok(touched.iter().map(|one| one.deployment_id).collect::<HashSet<_>>().len())
}

/// The runs that are no deployment and that these rules look at.
#[derive(Debug, Default)]
pub(super) struct WouldBe {
    /// Those that would be one: the repository of each, and whose it would be.
    pub(super) made: Vec<(Option<String>, Assignment)>,
    /// Those that would be none, because whoever deployed told of the deployment.
    pub(super) told_already: Vec<Assignment>,
}

/// The runs that are no deployment and would be one by these rules, where this was told as deployments.
pub(super) async fn runs_that_would_be(
    conn: &mut PgConnection,
    rules: &PipelineRules<'_>,
    told_already: &ToldAlready,
) -> anyhow::Result<WouldBe> {
    if rules.looking.is_empty() {
        return Ok(WouldBe::default());
    }
    let is: HashSet<(i64, String)> =
        told_by(conn, None).await?.into_keys().map(|(source_id, external_id, _)| (source_id, external_id)).collect();
    let mut attempts: HashMap<Attempt, ToldRun> = HashMap::new();
    // Of all that was told of one, what was told last says whose it would be.
    let mut would_be: HashMap<(i64, String), Run> = HashMap::new();
    for run in runs_that_are(conn, rules, None).await? {
        let (source_id, external_id, _) = run.attempt.clone();
        let key = (source_id, external_id);
        if is.contains(&key) {
            continue;
        }
        attempts.entry(run.attempt.clone()).or_default().add(run.told.clone());
        let is_older = |known: &Run| run.received_at < known.received_at;
        if !would_be.get(&key).is_some_and(is_older) {
            would_be.insert(key, run);
        }
    }
    // A run is told already where each of its attempts is.
    let is_made: HashSet<(i64, String)> = attempts
        .into_iter()
        .filter(|(_, run)| !told_already.has(run))
        .map(|((source_id, external_id, _), _)| (source_id, external_id))
        .collect();
    let mut answer = WouldBe::default();
    for (key, run) in would_be {
        if is_made.contains(&key) {
            answer.made.push((run.repo, run.assignment));
        } else {
            answer.told_already.push(run.assignment);
        }
    }
    Ok(answer)
}

/// An attempt of a deployment: its source, its id there, and the attempt's number.
pub(super) type Attempt = (i64, String, i64);

// What one delivery told of a run.
struct Run {
    attempt: Attempt,
    event_telling_id: i64,
    event_delivery_id: i64,
    received_at: DateTime<Utc>,
    repo: Option<String>,
    assignment: Assignment,
    told: ToldRun,
}

// What was told of one attempt.
#[derive(Default)]
struct Tellings {
    event_telling_ids: Vec<i64>,
    event_delivery_ids: BTreeSet<i64>,
    told: ToldRun,
}

fn tellings_by_attempt(runs: Vec<Run>) -> HashMap<Attempt, Tellings> {
    let mut by_attempt: HashMap<Attempt, Tellings> = HashMap::new();
    for run in runs {
        let tellings = by_attempt.entry(run.attempt).or_default();
        tellings.event_telling_ids.push(run.event_telling_id);
        tellings.event_delivery_ids.insert(run.event_delivery_id);
        tellings.told.add(run.told);
    }
    by_attempt
}

// All that was told of runs, or of these attempts, and that these rules make a deployment. There may be much more than
// that, so that it passes one by one.
async fn runs_that_are(
    conn: &mut PgConnection,
    rules: &PipelineRules<'_>,
    only: Option<&BTreeSet<Attempt>>,
) -> sqlx::Result<Vec<Run>> {
    let mut found = Vec::new();
    if rules.looking.is_empty() {
        return Ok(found);
    }
    let ids = match only {
        Some(attempts) => Some(telling_ids(&mut *conn, attempts).await?),
        None => None,
    };
    let mut told = sqlx::query!(
        r#"SELECT t.event_telling_id, t.event_delivery_id, e.event_source_id, e.received_at, s.name AS source_name,
                  t.facts AS "facts: Json<Event>"
           FROM event_telling t JOIN event_delivery e USING (event_delivery_id) JOIN event_source s USING (event_source_id)
           WHERE t.kind = 'pipeline_run' AND ($1::bigint[] IS NULL OR t.event_telling_id = ANY($1))"#,
        ids.as_deref(),
    )
    .fetch(conn);
    while let Some(row) = told.try_next().await? {
        let event = row.facts.0;
        let Some(assignment) = rules.assign(&row.source_name, &event) else { continue };
        let attempt = attempt_of(row.event_source_id, &event);
        if only.is_some_and(|only| !only.contains(&attempt)) {
            continue;
        }
        found.push(Run {
            attempt,
            event_telling_id: row.event_telling_id,
            event_delivery_id: row.event_delivery_id,
            received_at: row.received_at,
            told: ToldRun::of(rules.mapper, &event, &assignment),
            repo: event.repo,
            assignment,
        });
    }
    Ok(found)
}

// What was told of these attempts, and perhaps of others of the same runs. The number of the first is not always sent.
async fn telling_ids(conn: &mut PgConnection, attempts: &BTreeSet<Attempt>) -> sqlx::Result<Vec<i64>> {
    let mut places = Vec::new();
    let mut keys = Vec::new();
    for (source_id, external_id, number) in attempts {
        let run_id = external_id.strip_prefix(RUN_PREFIX).unwrap_or(external_id);
        for key in [run_id.to_owned(), format!("{run_id}/{number}")] {
            places.push(source_id.to_string());
            keys.push(key);
        }
    }
    sqlx::query_scalar!(
        "SELECT t.event_telling_id
         FROM (SELECT DISTINCT place, external_id FROM unnest($1::text[], $2::text[]) AS k (place, external_id)) k
         JOIN event_telling t ON t.kind = 'pipeline_run' AND t.place = k.place AND t.external_id = k.external_id",
        &places,
        &keys,
    )
    .fetch_all(conn)
    .await
}

// The attempts, or which of these, that are deployments now, and which deliveries told of each.
async fn told_by(
    conn: &mut PgConnection,
    only: Option<&BTreeSet<Attempt>>,
) -> sqlx::Result<HashMap<Attempt, BTreeSet<i64>>> {
    let external_ids: Option<Vec<String>> =
        only.map(|attempts| attempts.iter().map(|(_, external_id, _)| external_id.clone()).collect());
    let source_ids: Option<Vec<i64>> = only.map(|attempts| attempts.iter().map(|(source_id, ..)| *source_id).collect());
    let rows = sqlx::query!(
        r#"SELECT d.event_source_id AS "event_source_id!", d.external_id AS "external_id!", t.sequence AS "sequence!",
                  t.event_delivery_id, r.event_delivery_id AS "repeated_by?"
           FROM deployment d JOIN event_source s USING (event_source_id) JOIN deployment_status t USING (deployment_id)
           LEFT JOIN deployment_status_repeat r USING (deployment_status_id)
           WHERE s.kind <> 'api' AND d.external_id LIKE 'workflow\_run/%'
             AND ($1::bigint[] IS NULL OR d.event_source_id = ANY($1) AND d.external_id = ANY($2::text[]))"#,
        source_ids.as_deref(),
        external_ids.as_deref(),
    )
    .fetch_all(conn)
    .await?;
    let mut told_by: HashMap<Attempt, BTreeSet<i64>> = HashMap::new();
    for row in rows {
        let attempt = (row.event_source_id, row.external_id, row.sequence);
        if only.is_some_and(|only| !only.contains(&attempt)) {
            continue;
        }
        let deliveries = told_by.entry(attempt).or_default();
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
    (external_id(id), attempt)
}

/// What the deployment that this run may be is called.
pub(super) fn external_id(run_id: &str) -> String {
    format!("{RUN_PREFIX}{run_id}")
}

/// The attempt that this run is.
pub(super) fn attempt_of(event_source_id: i64, run: &Event) -> Attempt {
    let (external_id, sequence) = identity(run);
    (event_source_id, external_id, sequence)
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
