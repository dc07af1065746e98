//! How far anomalies and forecasts are: what they were last made from.

use super::effect_runs;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Days that a search for anomalies reads: the longest history of an estimate before the first day that is looked at.
pub const ANOMALY_DAYS: u16 = 180;
/// Complete days end at most so many before the last charge by the hour: a late source and days that keep arriving hold
/// them back. It moves only with a publication, as what is in a mark has to.
const HELD_BACK_DAYS: u16 = 90;

/// What is worked out after each publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Analysis {
    /// Cost that nothing known explains.
    Anomalies,
    /// What months, quarters and years will cost.
    Forecasts,
}

impl Analysis {
    fn key(self) -> &'static str {
        match self {
            Self::Anomalies => "anomalies",
            Self::Forecasts => "forecasts",
        }
    }
}

/// What there is to work from, and by which method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The last publication; 0 before the first.
    pub publication_id: i64,
    /// Changes with everything else that is looked at.
    pub input_mark: String,
    /// The method.
    pub method: String,
}

/// What there is to work from now. Asked every few seconds: what it looks at is small or has an index.
pub async fn mark(conn: &mut PgConnection, analysis: Analysis, method: &str) -> sqlx::Result<Mark> {
    let (publication_id, input_mark) = match analysis {
        Analysis::Anomalies => of_anomalies(conn).await?,
        Analysis::Forecasts => of_forecasts(conn).await?,
    };
    Ok(Mark { publication_id, input_mark, method: method.to_owned() })
}

// All that effects are made from; what people answered, one event each, and where its lessons were forgotten; who owns
// services, from when on an environment is idle, and the hours of days with a release.
async fn of_anomalies(conn: &mut PgConnection) -> sqlx::Result<(i64, String)> {
    let base = effect_runs::mark(&mut *conn).await?;
    let own = sqlx::query_scalar!(
        r#"SELECT (SELECT count(*) FROM anomaly_event WHERE done_by <> '')
                   || '/' || coalesce((SELECT md5(string_agg(concat_ws(' ', service_id, team_id, lesson,
                                           extract(epoch FROM reset_at)), ' ' ORDER BY service_id, team_id, lesson))
                                       FROM anomaly_lesson_reset), '')
                   || '/' || coalesce((SELECT md5(string_agg(service_id || ' ' || coalesce(team_id, 0), ' '
                                           ORDER BY service_id)) FROM service), '')
                   || '/' || coalesce((SELECT md5(string_agg(environment_id || ' ' || idle_days, ' '
                                           ORDER BY environment_id)) FROM environment), '')
                   || '/' || (SELECT concat_ws('/', count(*), sum(hashtextextended(concat_ws(' ',
                                      service_id, environment_id, billing_currency, day, made_from), 0)))
                              FROM release_hours
                              WHERE hours <> '{}'
                                AND day >= coalesce((SELECT max(last_charge_date) - $1::int FROM generation
                                                     WHERE state = 'current' AND has_hourly_charges), '-infinity')
                             ) AS "mark!""#,
        i32::from(ANOMALY_DAYS + HELD_BACK_DAYS)
    )
    .fetch_one(conn)
    .await?;
    Ok((base.publication_id, format!("{} {own}", base.deployment_mark)))
}

// Answers about releases, of those that claim a change the ones that count: their deployment is live in production, and
// another version than before. Who owns services; what bills show of a day at which age.
async fn of_forecasts(conn: &mut PgConnection) -> sqlx::Result<(i64, String)> {
    let reach = effect_runs::reach_mark(&mut *conn).await?;
    let row = sqlx::query!(
        r#"SELECT coalesce((SELECT max(publication_id) FROM publication), 0) AS "publication_id!",
                  coalesce((SELECT max(deployment_effect_id) FROM deployment_effect), 0)
                  || '/' || (SELECT concat_ws('/', count(*), sum(hashint8extended(f.deployment_effect_id, 0)))
                             FROM current_deployment_effect f
                             JOIN environment e ON e.environment_id = f.environment_id AND e.kind = 'production'
                             JOIN deployment d
                                 ON d.deployment_id = f.deployment_id AND d.environment_id = f.environment_id
                             JOIN deployment_service ds
                                 ON ds.deployment_id = f.deployment_id AND ds.service_id = f.service_id
                             WHERE f.finding IN ('increase', 'decrease')
                               AND d.status IN ('succeeded', 'superseded') AND NOT ds.is_noop)
                  || '/' || coalesce((SELECT md5(string_agg(service_id || ' ' || coalesce(team_id, 0), ' '
                                          ORDER BY service_id)) FROM service), '')
                  || '/' || coalesce((SELECT md5(string_agg(concat_ws(' ', source_id, age_days, median_share), ' '
                                          ORDER BY source_id, age_days)) FROM source_completeness), '') AS "mark!""#
    )
    .fetch_one(conn)
    .await?;
    Ok((row.publication_id, format!("{} {reach}", row.mark)))
}

/// What it was last made from; `None` before the first run.
pub async fn last(conn: &mut PgConnection, analysis: Analysis) -> sqlx::Result<Option<Mark>> {
    sqlx::query_as!(
        Mark,
        "SELECT publication_id, input_mark, method FROM analysis_run WHERE analysis = $1",
        analysis.key()
    )
    .fetch_optional(conn)
    .await
}

/// Notes a run.
pub async fn note(conn: &mut PgConnection, analysis: Analysis, mark: &Mark, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO analysis_run (analysis, publication_id, input_mark, method, ran_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (analysis) DO UPDATE SET publication_id = excluded.publication_id,
             input_mark = excluded.input_mark, method = excluded.method, ran_at = excluded.ran_at",
        analysis.key(),
        mark.publication_id,
        mark.input_mark,
        mark.method,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Holds off another process that writes the same until the transaction ends. False where one is at it.
pub async fn try_lock(conn: &mut PgConnection, analysis: Analysis) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock(4, $1::integer) AS "locked!""#,
        if analysis == Analysis::Anomalies { 1 } else { 2 }
    )
    .fetch_one(conn)
    .await
}
