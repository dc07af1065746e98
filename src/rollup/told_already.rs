//! Which runs of pipelines are told as deployments already, by whoever deployed: a rule makes no second deployment of
//! these. It is worked out from what is known of both, so that it is no matter which of them was told first.
//!
//! The list of pipelines without a rule, `store::unmapped::pipelines`, asks the database the same of runs that are
//! nobody's yet: a change of one is a change of both.

use super::mapper::Mapper;
use crate::allocate::{self, Assignment, Target};
use crate::events::Event;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a run deploys ends so long before or after the run itself at most: others carry out what it asked for.
const APART_MAX: TimeDelta = TimeDelta::hours(1);
/// Of a commit, what the index of runs holds. Senders cut hashes, to no less than that.
const HASH_HEAD: usize = 8;

type Place = (Target, Target);

/// A deployment that was told as one: not made of a run by a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ToldDeployment {
    pub(super) deployment_id: i64,
    pub(super) services: Vec<Target>,
    pub(super) environment: Option<Target>,
    shas: Vec<String>,
    version: Option<String>,
    started_at: DateTime<Utc>,
    at: DateTime<Utc>,
}

/// Those of these numbers, and those that ended, began or were heard of in this time.
pub(super) async fn load(
    conn: &mut PgConnection,
    deployment_ids: Option<&[i64]>,
    (from, to): (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
) -> sqlx::Result<Vec<ToldDeployment>> {
    let rows = sqlx::query!(
        r#"SELECT d.deployment_id, d.environment_id, d.version,
                  coalesce(d.started_at, d.created_at) AS "started_at!",
                  coalesce(d.finished_at, d.started_at, d.created_at) AS "at!",
                  coalesce((SELECT array_agg(x.service_id ORDER BY x.service_id) FROM deployment_service x
                            WHERE x.deployment_id = d.deployment_id), '{}') AS "service_ids!",
                  CASE WHEN d.sha IS NOT NULL THEN ARRAY[d.sha]
                       ELSE coalesce((SELECT array_agg(k.sha ORDER BY k.sha) FROM deployment_commit k
                                      WHERE k.deployment_id = d.deployment_id), '{}') END AS "shas!"
           FROM deployment d JOIN event_source s USING (event_source_id)
           WHERE NOT (s.kind <> 'api' AND d.external_id LIKE 'workflow\_run/%')
             AND ($1::bigint[] IS NULL OR d.deployment_id = ANY($1))
             AND ($2::timestamptz IS NULL OR coalesce(d.finished_at, d.started_at, d.created_at) >= $2)
             AND ($3::timestamptz IS NULL OR coalesce(d.finished_at, d.started_at, d.created_at) <= $3)"#,
        deployment_ids,
        from,
        to,
    )
    .fetch_all(conn)
    .await?;
    let told = rows.into_iter().map(|row| ToldDeployment {
        deployment_id: row.deployment_id,
        services: row.service_ids.into_iter().map(Target::Known).collect(),
        environment: row.environment_id.map(Target::Known),
        shas: row.shas,
        version: row.version,
        started_at: row.started_at,
        at: row.at,
    });
    Ok(told.collect())
}

/// Those that are not the same before and after: as they were, and as they are.
pub(super) fn changed(before: Vec<ToldDeployment>, after: Vec<ToldDeployment>) -> Vec<ToldDeployment> {
    let mut before: HashMap<i64, ToldDeployment> = before.into_iter().map(|one| (one.deployment_id, one)).collect();
    let mut changed = Vec::new();
    for one in after {
        match before.remove(&one.deployment_id) {
            Some(old) if old == one => {}
            old => changed.extend(old.into_iter().chain([one])),
        }
    }
    changed.extend(before.into_values());
    changed
}

/// The attempts of runs that one of these deployments may tell of: event source, run and number. Some that it does not
/// tell of are among them.
pub(super) async fn attempts_beside(
    conn: &mut PgConnection,
    deployments: &[ToldDeployment],
) -> sqlx::Result<Vec<(i64, String, i64)>> {
    let shas: Vec<String> = deployments.iter().flat_map(|one| one.shas.iter().cloned()).collect();
    let (versions, have_sha): (Vec<String>, Vec<bool>) =
        deployments.iter().filter_map(|one| Some((one.version.clone()?, !one.shas.is_empty()))).unzip();
    let rows = sqlx::query!(
        r#"SELECT p.event_source_id AS "event_source_id!", p.run_id AS "run_id!", p.attempt AS "attempt!"
           FROM unnest($1::text[]) AS t (sha) JOIN pipeline_run p ON left(p.sha, 8) = left(t.sha, 8)
           UNION
           SELECT p.event_source_id, p.run_id, p.attempt
           FROM unnest($2::text[], $3::boolean[]) AS t (version, has_sha)
           JOIN pipeline_run p ON p.facts ->> 'version' = t.version
           WHERE p.sha IS NULL OR NOT t.has_sha"#,
        &shas,
        &versions,
        &have_sha,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.event_source_id, row.run_id, row.attempt)).collect())
}

/// What is known of an attempt at a run that a rule makes a deployment.
#[derive(Debug, Clone, Default)]
pub(super) struct ToldRun {
    places: BTreeSet<Place>,
    shas: BTreeSet<String>,
    versions: BTreeSet<String>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl ToldRun {
    /// What one delivery told of it.
    pub(super) fn of(mapper: &Mapper, run: &Event, assignment: &Assignment) -> Self {
        let service = named(assignment.service.as_ref(), mapper.service_id(assignment.service.as_ref()));
        let environment =
            named(assignment.environment.as_ref(), mapper.environment_id(assignment.environment.as_ref()));
        let has_ended = run.status.is_some_and(|status| status.is_terminal());
        Self {
            places: service.zip(environment).into_iter().collect(),
            shas: run.sha.iter().cloned().collect(),
            versions: run.version.iter().cloned().collect(),
            started_at: run.started_at,
            finished_at: run.finished_at.or(run.occurred_at).filter(|_| has_ended),
        }
    }

    /// With what another told, in whatever order.
    pub(super) fn add(&mut self, other: Self) {
        self.places.extend(other.places);
        self.shas.extend(other.shas);
        self.versions.extend(other.versions);
        self.started_at = self.started_at.into_iter().chain(other.started_at).min();
        self.finished_at = self.finished_at.into_iter().chain(other.finished_at).max();
    }

    /// The time in which a deployment that tells of it ended; without an end while the run goes on.
    fn bounds(&self) -> Option<(DateTime<Utc>, Option<DateTime<Utc>>)> {
        let before_end = self.finished_at.map(|end| end - APART_MAX);
        let from = self.started_at.into_iter().chain(before_end).min()?;
        Some((from, self.finished_at.map(|end| end + APART_MAX)))
    }

    fn is_told_by(&self, deployment: &ToldDeployment) -> bool {
        let began_in = self.started_at.is_some_and(|start| deployment.started_at >= start);
        let is_within = began_in && self.finished_at.is_none_or(|end| deployment.at <= end);
        let is_near = self.finished_at.is_some_and(|end| (deployment.at - end).abs() <= APART_MAX);
        (is_within || is_near) && self.is_of_same(deployment)
    }

    // The same commit; where one of both lacks it, the same version.
    fn is_of_same(&self, deployment: &ToldDeployment) -> bool {
        if self.shas.is_empty() || deployment.shas.is_empty() {
            return deployment.version.as_ref().is_some_and(|version| self.versions.contains(version));
        }
        deployment.shas.iter().any(|sha| self.shas.iter().any(|own| is_same_commit(own, sha)))
    }
}

/// The time in which deployments that tell of these runs ended.
pub(super) fn bounds<'a>(runs: impl Iterator<Item = &'a ToldRun>) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
    let all: Vec<_> = runs.filter_map(ToldRun::bounds).collect();
    let from = all.iter().map(|(from, _)| *from).min();
    // One that goes on leaves all of them without an end.
    let to = all.iter().map(|(_, to)| *to).collect::<Option<Vec<_>>>();
    (from, to.and_then(|to| to.into_iter().max()))
}

/// What was told as a deployment, by whose and where it is, and by time.
#[derive(Debug, Default)]
pub(super) struct ToldAlready(HashMap<Place, BTreeMap<DateTime<Utc>, Vec<ToldDeployment>>>);

impl ToldAlready {
    /// These deployments.
    pub(super) fn of(deployments: Vec<ToldDeployment>) -> Self {
        let mut told = Self::default();
        for one in deployments {
            let Some(environment) = &one.environment else { continue };
            for service in &one.services {
                let by_time = told.0.entry((service.clone(), environment.clone())).or_default();
                by_time.entry(one.at).or_default().push(one.clone());
            }
        }
        told
    }

    /// Whether one of them is what this run deployed.
    pub(super) fn has(&self, run: &ToldRun) -> bool {
        let Some((from, to)) = run.bounds() else { return false };
        let beside = run.places.iter().filter_map(|place| self.0.get(place)).flat_map(|by_time| by_time.range(from..));
        beside
            .filter(|(at, _)| to.is_none_or(|to| **at <= to))
            .any(|(_, all)| all.iter().any(|one| run.is_told_by(one)))
    }
}

/// Whom a rule names, so that the same is the same whether the catalogue has it already or not.
pub(super) fn named(target: Option<&Target>, id: Option<i64>) -> Option<Target> {
    match (target?, id) {
        (Target::NotFound(_), _) => None,
        (_, Some(id)) => Some(Target::Known(id)),
        (Target::Add(name), None) => Some(Target::Add(allocate::slug(name))),
        (Target::Known(id), None) => Some(Target::Known(*id)),
    }
}

// As `is_same_commit` of the database.
fn is_same_commit(one: &str, other: &str) -> bool {
    let head = |sha: &str| sha.chars().take(HASH_HEAD).collect::<String>();
    head(one) == head(other) && (one.starts_with(other) || other.starts_with(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        "2026-03-01T10:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(minute)
    }

    fn deployment(sha: Option<&str>, version: Option<&str>, started: i64, ended: i64) -> ToldDeployment {
        ToldDeployment {
            deployment_id: 1,
            services: vec![Target::Known(1)],
            environment: Some(Target::Known(2)),
            shas: sha.map(str::to_owned).into_iter().collect(),
            version: version.map(str::to_owned),
            started_at: at(started),
            at: at(ended),
        }
    }

    // From minute 0 to 10, of service 1 in environment 2.
    fn run(sha: Option<&str>, version: Option<&str>) -> ToldRun {
        ToldRun {
            places: BTreeSet::from([(Target::Known(1), Target::Known(2))]),
            shas: sha.map(str::to_owned).into_iter().collect(),
            versions: version.map(str::to_owned).into_iter().collect(),
            started_at: Some(at(0)),
            finished_at: Some(at(10)),
        }
    }

    fn is_told(run: &ToldRun, deployment: ToldDeployment) -> bool {
        ToldAlready::of(vec![deployment]).has(run)
    }

    #[test]
    fn a_run_is_told_by_a_deployment_in_its_time_or_an_hour_from_its_end() {
        let own = run(Some("aaaaaaaaaa"), None);
        for (started, ended, expected) in
            [(1, 9, true), (0, 10, true), (-5, 9, true), (11, 70, true), (11, 71, false), (-200, -51, false)]
        {
            let told = deployment(Some("aaaaaaaaaa"), None, started, ended);
            assert_eq!(is_told(&own, told), expected, "{started} to {ended}");
        }
        let mut long = own.clone();
        long.finished_at = Some(at(600));
        let within = || deployment(Some("aaaaaaaaaa"), None, 1, 9);
        assert!(is_told(&long, within()));
        assert!(!is_told(&long, deployment(Some("aaaaaaaaaa"), None, -1, 9)), "it began before the run");
        long.finished_at = None;
        assert!(is_told(&long, within()), "the run goes on");
        long.started_at = None;
        assert!(!is_told(&long, within()), "nobody knows when it was");
    }

    #[test]
    fn of_the_same_commit_or_else_of_the_same_version_and_of_the_same_place() {
        let told = |sha, version| deployment(sha, version, 1, 9);
        let both = run(Some("aaaaaaaaaa"), Some("1.2"));
        assert!(is_told(&both, told(Some("aaaaaaaa"), None)), "cut");
        assert!(!is_told(&both, told(Some("aaaaaaab"), Some("1.2"))), "both have a commit: the version is no matter");
        assert!(is_told(&both, told(None, Some("1.2"))));
        assert!(!is_told(&both, told(None, Some("1.3"))));
        assert!(!is_told(&run(Some("aaaaaaaaaa"), None), told(None, None)), "neither says of what it is");
        assert!(is_told(&run(None, Some("1.2")), told(Some("aaaaaaaa"), Some("1.2"))));
        let mut elsewhere = told(Some("aaaaaaaaaa"), None);
        elsewhere.environment = Some(Target::Known(3));
        assert!(!is_told(&both, elsewhere));
        let mut of_another = told(Some("aaaaaaaaaa"), None);
        of_another.services = vec![Target::Known(7)];
        assert!(!is_told(&both, of_another));
    }
}
