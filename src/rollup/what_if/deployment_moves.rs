//! The deployments that would belong elsewhere, and the pipelines' runs that would be deployments, or none any more.

use super::{Side, is_by, side_of};
use crate::allocate::{Assignment, Target};
use crate::rollup::map_deployments::{self, DeploymentAssignment, DeploymentRow};
use crate::rollup::mapper::Mapper;
use crate::rollup::pipeline_deployments::{self, PipelineRules};
use crate::rollup::told_already::{self, ToldAlready, named};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Deployments of one kind that would belong elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentMove {
    /// `owner/name`.
    pub repo: Option<String>,
    /// As the sender names it.
    pub environment_raw: Option<String>,
    /// Services and environment now.
    pub from: (BTreeSet<Side>, Side),
    /// Services and environment then.
    pub to: (BTreeSet<Side>, Side),
    /// How many.
    pub count: i64,
}

type Sides = (BTreeSet<Side>, Side);
type MoveKey = (Option<String>, Option<String>, Sides, Sides);

/// What would become of deployments.
#[derive(Debug)]
pub(super) struct Answer {
    /// What would move, the most first.
    pub(super) moves: Vec<DeploymentMove>,
    /// How many the rule in question would take.
    pub(super) taken_count: i64,
    /// How many runs it would take more, were they not told as deployments already.
    pub(super) told_already_count: i64,
}

/// What would move, and what the rule in question would take.
pub(super) async fn ask(
    conn: &mut PgConnection,
    mapper: &Mapper,
    rule_id: Option<i64>,
    added: &mut BTreeMap<String, String>,
) -> anyhow::Result<Answer> {
    let pipelines = PipelineRules::of(mapper);
    let mut moves: BTreeMap<MoveKey, i64> = BTreeMap::new();
    let mut taken_count = 0;
    let mut places = HashMap::new();
    for row in map_deployments::rows(&mut *conn, None).await? {
        let assignment = map_deployments::assign(mapper, &row);
        let is_gone = row.is_run && !assignment.answers.iter().all(|answer| pipelines.make(answer));
        taken_count += i64::from(!is_gone && is_taken(rule_id, &assignment.answers));
        places.insert(row.deployment_id, targets(mapper, &assignment));
        let to = if is_gone { (BTreeSet::new(), Side::Nobody) } else { sides(&assignment, added) };
        let from = sides_now(&row);
        if from != to {
            *moves.entry((row.repo, row.environment_raw, from, to)).or_default() += 1;
        }
    }
    let told_already = if pipelines.are_any() { told_then(&mut *conn, places).await? } else { ToldAlready::default() };
    let runs = pipeline_deployments::runs_that_would_be(conn, &pipelines, &told_already).await?;
    let told_already_count =
        runs.told_already.iter().filter(|one| is_taken(rule_id, std::slice::from_ref(one))).count();
    for (repo, assignment) in runs.made {
        let assignment = DeploymentAssignment { answers: vec![assignment] };
        taken_count += i64::from(is_taken(rule_id, &assignment.answers));
        let key = (repo, None, (BTreeSet::new(), Side::Nobody), sides(&assignment, added));
        *moves.entry(key).or_default() += 1;
    }
    let mut moves: Vec<DeploymentMove> = moves
        .into_iter()
        .map(|((repo, environment_raw, from, to), count)| DeploymentMove { repo, environment_raw, from, to, count })
        .collect();
    moves.sort_by_key(|one| std::cmp::Reverse(one.count));
    Ok(Answer { moves, taken_count, told_already_count: told_already_count as i64 })
}

type Targets = (Vec<Target>, Option<Target>);

fn targets(mapper: &Mapper, assignment: &DeploymentAssignment) -> Targets {
    let service = |answer: &Assignment| named(answer.service.as_ref(), mapper.service_id(answer.service.as_ref()));
    let environment = assignment.first().and_then(|answer| answer.environment.as_ref());
    (assignment.answers.iter().filter_map(service).collect(), named(environment, mapper.environment_id(environment)))
}

// What was told as deployments, each where it would be then. One that is pinned stays where it is.
async fn told_then(conn: &mut PgConnection, mut places: HashMap<i64, Targets>) -> sqlx::Result<ToldAlready> {
    let mut told = told_already::load(conn, None, (None, None)).await?;
    for one in &mut told {
        if let Some((services, environment)) = places.remove(&one.deployment_id) {
            (one.services, one.environment) = (services, environment);
        }
    }
    Ok(ToldAlready::of(told))
}

/// How many deployments the rule in question would take if nobody had pinned them.
pub(super) async fn pinned_count(
    conn: &mut PgConnection,
    mapper: &Mapper,
    rule_id: Option<i64>,
) -> anyhow::Result<i64> {
    if rule_id.is_none() {
        return Ok(0);
    }
    let pinned = map_deployments::pinned_rows(conn).await?;
    let is_taken = |row: &&DeploymentRow| is_taken(rule_id, &map_deployments::assign(mapper, row).answers);
    Ok(pinned.iter().filter(is_taken).count() as i64)
}

fn is_taken(rule_id: Option<i64>, answers: &[Assignment]) -> bool {
    rule_id.is_some_and(|id| answers.iter().any(|answer| is_by(answer, id)))
}

fn sides_now(row: &DeploymentRow) -> Sides {
    let services = row.service_ids.iter().copied().map(Side::Known).collect();
    (services, row.environment_id.map_or(Side::Nobody, Side::Known))
}

fn sides(assignment: &DeploymentAssignment, added: &mut BTreeMap<String, String>) -> Sides {
    let environment = assignment.first().and_then(|answer| answer.environment.as_ref());
    let environment = side_of(environment, added);
    let services = assignment.answers.iter().map(|answer| side_of(answer.service.as_ref(), added));
    (services.filter(|side| *side != Side::Nobody).collect(), environment)
}
