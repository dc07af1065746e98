//! How far the answers about deployments are, and how often the method is wrong on days without a release.

use super::impact_series::Environments;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

/// What answers are made from, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The last publication; 0 before the first.
    pub publication_id: i64,
    /// Changes with each deployment that comes, goes, moves, changes state, or turns out to be a rollback or to deploy what
    /// was there; with each kind of an environment; with values of metrics by day, what metrics mean and which are chosen as
    /// units; with each launch that is registered or told; and with what is learned and set of sources. Asked every few
    /// seconds: what it looks at is small, counted or has an index.
    pub deployment_mark: String,
}

/// What there is to answer from now.
pub async fn mark(conn: &mut PgConnection) -> sqlx::Result<Mark> {
    let reach = reach_mark(&mut *conn).await?;
    let row = sqlx::query!(
        r#"SELECT coalesce((SELECT max(publication_id) FROM publication), 0) AS "publication_id!",
                  coalesce((SELECT max(deployment_status_id) FROM deployment_status), 0) || '/'
                  || (SELECT concat_ws('/', count(*), sum(hash_record_extended(ROW(deployment_id, environment_id, status,
                          kind, kind_told, created_at, started_at, finished_at, time_is_received), 0)))
                      FROM deployment) || '/'
                  || (SELECT concat_ws('/', count(*), sum(hash_record_extended(ROW(deployment_id, service_id, is_noop,
                          is_rollback), 0)))
                      FROM deployment_service) || '/'
                  || (SELECT change_count FROM usage_change) || '/'
                  || coalesce((SELECT md5(string_agg(concat_ws(' ', metric, meaning, unit), ' ' ORDER BY metric))
                               FROM metric), '')
                  || '/' || coalesce((SELECT md5(string_agg(service_id || ' ' || metric, ' ' ORDER BY service_id))
                                      FROM service_unit_metric), '')
                  || '/' || (SELECT count(*) FROM metric_reach) || '/'
                  || coalesce((SELECT md5(string_agg(environment_id || kind, ' ' ORDER BY environment_id))
                               FROM environment), '') || '/'
                  || (SELECT count(*) || '/' || count(removed_at) FROM service_plan) || '/'
                  || (SELECT concat_ws('/', count(*), sum(hash_record_extended(ROW(o.operational_event_id, s.service_id,
                          o.status, o.title, o.started_at, o.ended_at), 0)))
                      FROM operational_event o JOIN operational_event_service s USING (operational_event_id)
                      WHERE o.kind = 'marker') AS "deployment_mark!""#
    )
    .fetch_one(conn)
    .await?;
    Ok(Mark { publication_id: row.publication_id, deployment_mark: format!("{} {reach}", row.deployment_mark) })
}

/// Changes with what tells how far bills are complete and is no bill: how long days of a source keep arriving, which is
/// learned after its bill was published, and how a source is set up.
pub(super) async fn reach_mark(conn: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar!(
        r#"SELECT coalesce((SELECT md5(string_agg(concat_ws(' ', source_id, settles_after_days), ' ' ORDER BY source_id))
                            FROM source_settling), '')
                  || '/' || coalesce((SELECT md5(string_agg(concat_ws(' ', source_id, kind, expected_every_hours), ' '
                                          ORDER BY source_id)) FROM source_setting), '') AS "mark!""#
    )
    .fetch_one(conn)
    .await
}

/// The last time that all answers were brought up to date.
#[derive(Debug, Clone)]
pub struct Run {
    /// What they were made from.
    pub mark: Mark,
    /// By which method.
    pub method: String,
    /// When.
    pub ran_at: DateTime<Utc>,
    /// Releases that have an answer.
    pub release_count: i64,
    /// Of them, those whose inputs had changed.
    pub computed_count: i64,
}

/// The last run; `None` before the first.
pub async fn last(conn: &mut PgConnection) -> sqlx::Result<Option<Run>> {
    let row = sqlx::query!(
        "SELECT publication_id, deployment_mark, method, ran_at, release_count, computed_count FROM effect_run"
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Run {
        mark: Mark { publication_id: row.publication_id, deployment_mark: row.deployment_mark },
        method: row.method,
        ran_at: row.ran_at,
        release_count: row.release_count,
        computed_count: row.computed_count,
    }))
}

/// Notes a run.
pub async fn note(conn: &mut PgConnection, run: &Run) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO effect_run (publication_id, deployment_mark, method, ran_at, release_count, computed_count)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (is_the_one) DO UPDATE SET publication_id = excluded.publication_id,
             deployment_mark = excluded.deployment_mark, method = excluded.method, ran_at = excluded.ran_at,
             release_count = excluded.release_count, computed_count = excluded.computed_count",
        run.mark.publication_id,
        run.mark.deployment_mark,
        run.method,
        run.ran_at,
        run.release_count,
        run.computed_count
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Holds off another process until the transaction ends. False where one is at it.
pub async fn try_lock(conn: &mut PgConnection) -> sqlx::Result<bool> {
    // "effects" in ASCII: a number that nothing else locks.
    sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock(28540414711194739) AS "locked!""#).fetch_one(conn).await
}

/// What was learnt from placebos.
#[derive(Debug, Clone)]
pub struct StoredCalibration {
    /// As the method keeps it.
    pub constants: Value,
    /// The method that learnt it.
    pub method: String,
    /// Placebos asked.
    pub placebo_count: i64,
    /// Of them, claimed to be an increase or a decrease.
    pub claimed_count: i64,
    /// Of them, with an interval that leaves out zero.
    pub outside_count: i64,
    /// How strongly the claimed ones were claimed: the probability of an effect of each.
    pub claimed_probabilities: Vec<f64>,
    /// When.
    pub computed_at: DateTime<Utc>,
}

impl StoredCalibration {
    /// How many placebos were claimed at least as strongly as something with this probability of an effect.
    pub fn claimed_as_strongly(&self, probability: f64) -> i64 {
        self.claimed_probabilities.iter().filter(|placebo| **placebo >= probability).count() as i64
    }
}

/// What was learnt last in these environments; `None` before.
pub async fn calibration(
    conn: &mut PgConnection,
    environments: Environments,
) -> sqlx::Result<Option<StoredCalibration>> {
    sqlx::query_as!(
        StoredCalibration,
        "SELECT constants, method, placebo_count, claimed_count, outside_count, claimed_probabilities, computed_at
         FROM effect_calibration WHERE environments = $1",
        environments.key()
    )
    .fetch_optional(conn)
    .await
}

/// Keeps what was learnt in these environments.
pub async fn keep_calibration(
    conn: &mut PgConnection,
    environments: Environments,
    learnt: &StoredCalibration,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO effect_calibration (environments, constants, method, placebo_count, claimed_count, outside_count,
             claimed_probabilities, computed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (environments) DO UPDATE SET constants = excluded.constants, method = excluded.method,
             placebo_count = excluded.placebo_count, claimed_count = excluded.claimed_count,
             outside_count = excluded.outside_count, claimed_probabilities = excluded.claimed_probabilities,
             computed_at = excluded.computed_at",
        environments.key(),
        learnt.constants,
        learnt.method,
        learnt.placebo_count,
        learnt.claimed_count,
        learnt.outside_count,
        &learnt.claimed_probabilities,
        learnt.computed_at
    )
    .execute(conn)
    .await?;
    Ok(())
}
