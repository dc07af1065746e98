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

/// What there is to work from now.
pub async fn mark(conn: &mut PgConnection, analysis: Analysis, method: &str) -> sqlx::Result<Mark> {
    let base = effect_runs::mark(&mut *conn).await?;
    let own = match analysis {
        Analysis::Anomalies => sqlx::query_scalar!(
            r#"SELECT coalesce((SELECT max(changed_at) FROM anomaly WHERE state NOT IN ('open', 'closed'))::text, '')
                       || '/' || coalesce((SELECT max(reset_at) FROM anomaly_lesson_reset)::text, '')
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
        .await?,
        Analysis::Forecasts => {
            sqlx::query_scalar!(
                r#"SELECT coalesce((SELECT max(deployment_effect_id) FROM deployment_effect), 0)
                       || '/' || coalesce((SELECT md5(string_agg(service_id || ' ' || coalesce(team_id, 0), ' '
                                           ORDER BY service_id)) FROM service), '') AS "mark!""#
            )
            .fetch_one(conn)
            .await?
        }
    };
    let input_mark = match analysis {
        Analysis::Anomalies => format!("{} {own}", base.deployment_mark),
        Analysis::Forecasts => own,
    };
    Ok(Mark { publication_id: base.publication_id, input_mark, method: method.to_owned() })
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
