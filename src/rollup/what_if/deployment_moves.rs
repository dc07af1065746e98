//! The deployments that would belong elsewhere, and the pipelines' runs that would be deployments, or none any more.

use super::{Side, is_by, side_of};
use crate::allocate::Assignment;
use crate::rollup::map_deployments::{self, DeploymentAssignment, DeploymentRow};
use crate::rollup::mapper::Mapper;
use crate::rollup::pipeline_deployments::{self, PipelineRules};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

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

/// What would move, the most first, and how many the rule in question would take.
pub(super) async fn ask(
    conn: &mut PgConnection,
    mapper: &Mapper,
    rule_id: Option<i64>,
    added: &mut BTreeMap<String, String>,
) -> anyhow::Result<(Vec<DeploymentMove>, i64)> {
    let pipelines = PipelineRules::of(mapper);
    let mut moves: BTreeMap<MoveKey, i64> = BTreeMap::new();
    let mut taken = 0;
    for row in map_deployments::rows(&mut *conn, None).await? {
        let assignment = map_deployments::assign(mapper, &row);
        let is_gone = row.is_run && !assignment.answers.iter().all(|answer| pipelines.make(answer));
        taken += i64::from(!is_gone && is_taken(rule_id, &assignment.answers));
        let to = if is_gone { (BTreeSet::new(), Side::Nobody) } else { sides(&assignment, added) };
        let from = sides_now(&row);
        if from != to {
            *moves.entry((row.repo, row.environment_raw, from, to)).or_default() += 1;
        }
    }
    for (repo, assignment) in pipeline_deployments::runs_that_would_be(conn, &pipelines).await? {
        let assignment = DeploymentAssignment { answers: vec![assignment] };
        taken += i64::from(is_taken(rule_id, &assignment.answers));
        let key = (repo, None, (BTreeSet::new(), Side::Nobody), sides(&assignment, added));
        *moves.entry(key).or_default() += 1;
    }
    let mut moves: Vec<DeploymentMove> = moves
        .into_iter()
        .map(|((repo, environment_raw, from, to), count)| DeploymentMove { repo, environment_raw, from, to, count })
        .collect();
    moves.sort_by_key(|one| std::cmp::Reverse(one.count));
    Ok((moves, taken))
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
