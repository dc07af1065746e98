//! Says of each deployment which services and which environment it belongs to.

use super::map_operational_events;
use super::mapped_keys::tag;
use super::mapper::Mapper;
use crate::allocate::{self, Assignment, Entry, EnvironmentKind, Target};
use crate::events::ENVIRONMENT_KIND;
use crate::store::deployment_history::{self, Places};
use crate::store::locks;
use crate::store::pins::PinPlace;
use sqlx::PgConnection;
use std::borrow::Cow;

/// A deployment as rules see it, and what they said of it last.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is the column of that name")]
pub struct DeploymentRow {
    pub deployment_id: i64,
    pub source_name: String,
    pub repo: Option<String>,
    pub git_ref: Option<String>,
    pub environment_raw: Option<String>,
    pub service_raw: Vec<String>,
    pub attributes: serde_json::Value,
    pub environment_id: Option<i64>,
    pub environment_rule_id: Option<i64>,
    pub service_rule_id: Option<i64>,
    pub service_unmapped: Vec<String>,
    pub service_ids: Vec<i64>,
    /// It is one because a rule says so of a pipeline's run.
    pub is_run: bool,
}

/// What the rules say of a deployment. Several services where the event names several.
#[derive(Debug, PartialEq, Eq)]
pub struct DeploymentAssignment {
    /// One answer for each service that the event names; one in all where it names none.
    pub answers: Vec<Assignment>,
}

/// Maps these deployments by the present rules and writes it down. Whoever records a deployment calls it in the same
/// transaction, and judges its neighbors in time afterwards. Returns the ids of those that moved.
pub async fn map_deployments(conn: &mut PgConnection, deployment_ids: &[i64]) -> anyhow::Result<Vec<i64>> {
    locks::share_mapping(conn).await?;
    let mut mapper = Mapper::load(conn).await?;
    let rows = rows(conn, Some(deployment_ids)).await?;
    let answers = answers(conn, &mut mapper, &rows).await?;
    for (row, answer) in rows.iter().zip(&answers) {
        write(conn, row, answer).await?;
    }
    if mapper.entries_added() > 0 {
        map_operational_events::map_naming_added(conn, &mapper).await?;
    }
    Ok(moved(&rows, &answers))
}

/// Maps all deployments again. Those that moved, and those beside them where they were and where they are now, are
/// judged again: what was a repetition or a rollback there.
pub(super) async fn map_all(conn: &mut PgConnection, mapper: &mut Mapper) -> anyhow::Result<Vec<i64>> {
    locks::lock_events(conn).await?;
    let rows = rows(conn, None).await?;
    let answers = answers(conn, mapper, &rows).await?;
    let moved = moved(&rows, &answers);
    let mut places = Places::default();
    deployment_history::add_places(conn, &mut places, &moved).await?;
    for (row, answer) in rows.iter().zip(&answers) {
        write(conn, row, answer).await?;
    }
    deployment_history::add_places(conn, &mut places, &moved).await?;
    deployment_history::judge_places(conn, &places, &moved).await?;
    Ok(moved)
}

/// Moves a deployment where somebody pins it, and judges it and those beside it there and where it was: what was a
/// repetition or a rollback. No rule decides about it then. Whoever calls it holds the lock of events.
pub async fn move_to(conn: &mut PgConnection, deployment_id: i64, place: PinPlace) -> sqlx::Result<()> {
    let mut places = Places::default();
    deployment_history::add_places(conn, &mut places, &[deployment_id]).await?;
    let answer = Answer {
        environment_id: place.environment_id,
        environment_rule_id: None,
        service_rule_id: None,
        service_unmapped: Vec::new(),
        service_ids: place.service_ids,
    };
    write_answer(conn, deployment_id, &answer).await?;
    deployment_history::add_places(conn, &mut places, &[deployment_id]).await?;
    deployment_history::judge_places(conn, &places, &[deployment_id]).await
}

/// What a deployment's row is to hold.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    environment_id: Option<i64>,
    environment_rule_id: Option<i64>,
    service_rule_id: Option<i64>,
    service_unmapped: Vec<String>,
    service_ids: Vec<i64>,
}

async fn answers(conn: &mut PgConnection, mapper: &mut Mapper, rows: &[DeploymentRow]) -> anyhow::Result<Vec<Answer>> {
    let assigned: Vec<DeploymentAssignment> = rows.iter().map(|row| assign(mapper, row)).collect();
    let mut named = Vec::new();
    for (row, one) in rows.iter().zip(&assigned) {
        let kind = row.environment_kind();
        named.extend(one.answers.iter().map(|answer| (answer, kind)));
    }
    mapper.add_missing_of_kinds(conn, &named).await?;
    let answer = |(row, assignment): (&DeploymentRow, &DeploymentAssignment)| {
        let first = assignment.first();
        Answer {
            environment_id: first.and_then(|one| mapper.environment_id(one.environment.as_ref())),
            environment_rule_id: first.and_then(|one| one.environment_rule_id),
            service_rule_id: assignment.answers.iter().find_map(|one| one.service_rule_id),
            service_unmapped: assignment.unmapped_of(&row.service_raw, mapper),
            service_ids: assignment.service_ids(mapper),
        }
    };
    Ok(rows.iter().zip(&assigned).map(answer).collect())
}

fn moved(rows: &[DeploymentRow], answers: &[Answer]) -> Vec<i64> {
    let is_moved = |(row, answer): &(&DeploymentRow, &Answer)| {
        (answer.environment_id, &answer.service_ids) != (row.environment_id, &row.service_ids)
    };
    rows.iter().zip(answers).filter(is_moved).map(|(row, _)| row.deployment_id).collect()
}

/// The deployments with these ids, or all of them, without those whose match is pinned.
pub async fn rows(conn: &mut PgConnection, deployment_ids: Option<&[i64]>) -> sqlx::Result<Vec<DeploymentRow>> {
    rows_of(conn, deployment_ids, false).await
}

/// The deployments whose match is pinned: rules are asked about them only to tell what pins keep from a rule.
pub async fn pinned_rows(conn: &mut PgConnection) -> sqlx::Result<Vec<DeploymentRow>> {
    rows_of(conn, None, true).await
}

async fn rows_of(
    conn: &mut PgConnection,
    deployment_ids: Option<&[i64]>,
    are_pinned: bool,
) -> sqlx::Result<Vec<DeploymentRow>> {
    sqlx::query_as!(
        DeploymentRow,
        r#"SELECT d.deployment_id, s.name AS source_name, d.repo, d.ref AS git_ref, d.environment_raw, d.service_raw,
                  d.attributes, d.environment_id, d.environment_rule_id, d.service_rule_id,
                  d.service_unmapped,
                  coalesce((SELECT array_agg(ds.service_id ORDER BY ds.service_id) FROM deployment_service ds
                            WHERE ds.deployment_id = d.deployment_id), '{}') AS "service_ids!",
                  s.kind <> 'api' AND d.external_id LIKE 'workflow\_run/%' AS "is_run!"
           FROM deployment d JOIN event_source s USING (event_source_id)
           WHERE ($1::bigint[] IS NULL OR d.deployment_id = ANY($1))
             AND $2::boolean = EXISTS (SELECT FROM deployment_pin p WHERE p.deployment_id = d.deployment_id)
           ORDER BY d.deployment_id"#,
        deployment_ids,
        are_pinned
    )
    .fetch_all(conn)
    .await
}

/// What the rules say of a deployment. A service that its event names is asked about by itself.
pub fn assign(mapper: &Mapper, row: &DeploymentRow) -> DeploymentAssignment {
    row.ask(|service| allocate::assign(&mapper.deployments, |name| row.attribute(name, service)))
}

/// What the rules say of an operational event, which adds nothing to the catalogue: names that are not known leave it to
/// later rules.
pub(super) fn assign_known(mapper: &Mapper, row: &DeploymentRow) -> DeploymentAssignment {
    let is_known = |entry, target: &Target| match entry {
        Entry::Service => mapper.service_id(Some(target)).is_some(),
        Entry::Environment => mapper.environment_id(Some(target)).is_some(),
    };
    row.ask(|service| allocate::assign_known(&mapper.deployments, is_known, |name| row.attribute(name, service)))
}

impl DeploymentRow {
    fn ask(&self, ask: impl Fn(Option<&str>) -> Assignment) -> DeploymentAssignment {
        let answers = match self.service_raw.as_slice() {
            [] => vec![ask(None)],
            named => named.iter().map(|service| ask(Some(service))).collect(),
        };
        DeploymentAssignment { answers }
    }

    fn environment_kind(&self) -> Option<EnvironmentKind> {
        self.attributes.get(ENVIRONMENT_KIND)?.as_str().and_then(EnvironmentKind::told)
    }

    fn attribute<'a>(&'a self, name: &str, service: Option<&'a str>) -> Option<Cow<'a, str>> {
        if let Some(key) = allocate::tag_key(name) {
            return tag(&self.attributes, key);
        }
        let value = match name {
            "service" => service,
            "environment" => self.environment_raw.as_deref(),
            "repo" => self.repo.as_deref(),
            "ref" => self.git_ref.as_deref(),
            "source" => Some(self.source_name.as_str()),
            // Senders that know a path or a pipeline put it among the attributes.
            "path" | "pipeline" => return tag(&self.attributes, name),
            _ => None,
        };
        value.map(Cow::Borrowed)
    }
}

impl DeploymentAssignment {
    /// The first answer decides the environment, and which rule is shown.
    pub fn first(&self) -> Option<&Assignment> {
        self.answers.first()
    }

    /// Its services without repeats, in order of id.
    pub fn service_ids(&self, mapper: &Mapper) -> Vec<i64> {
        let mut ids: Vec<i64> =
            self.answers.iter().filter_map(|answer| mapper.service_id(answer.service.as_ref())).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    // The names that were asked about, one answer each, and that no service was found for.
    fn unmapped_of(&self, named: &[String], mapper: &Mapper) -> Vec<String> {
        let pairs = named.iter().zip(&self.answers);
        let lacking = pairs.filter(|(_, answer)| mapper.service_id(answer.service.as_ref()).is_none());
        lacking.map(|(name, _)| name.clone()).collect()
    }
}

async fn write(conn: &mut PgConnection, row: &DeploymentRow, answer: &Answer) -> sqlx::Result<()> {
    let as_it_is = Answer {
        environment_id: row.environment_id,
        environment_rule_id: row.environment_rule_id,
        service_rule_id: row.service_rule_id,
        service_unmapped: row.service_unmapped.clone(),
        service_ids: row.service_ids.clone(),
    };
    if *answer == as_it_is {
        return Ok(());
    }
    write_answer(conn, row.deployment_id, answer).await
}

async fn write_answer(conn: &mut PgConnection, deployment_id: i64, answer: &Answer) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE deployment SET environment_id = $2, environment_rule_id = $3, service_rule_id = $4,
             service_unmapped = $5
         WHERE deployment_id = $1",
        deployment_id,
        answer.environment_id,
        answer.environment_rule_id,
        answer.service_rule_id,
        &answer.service_unmapped,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "DELETE FROM deployment_service WHERE deployment_id = $1 AND NOT service_id = ANY($2)",
        deployment_id,
        &answer.service_ids,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO deployment_service (deployment_id, service_id) SELECT $1, unnest($2::bigint[])
         ON CONFLICT DO NOTHING",
        deployment_id,
        &answer.service_ids,
    )
    .execute(conn)
    .await
    .map(drop)
}
