//! The answers about releases to production in short, for the start page: the newest ones, and how many there are of
//! each finding. What failed after all, or turned out to deploy the version that was there, keeps its last answer and is no
//! release any more.

use super::Scope;
use crate::focus::DateRange;
use crate::store::effects::EffectBrief;
use sqlx::PgConnection;

/// A release and what is said of it.
#[derive(Debug, Clone)]
pub struct AnsweredRelease {
    /// The version of its newest deployment.
    pub version: Option<String>,
    /// The service.
    pub service_name: String,
    /// The answer in the currency in which the service costs most.
    pub effect: EffectBrief,
}

/// The newest releases that have been measured, one an answer (of a day or of several that share it), service and
/// environment, within the scope.
pub async fn newest(conn: &mut PgConnection, scope: &Scope, limit: i64) -> sqlx::Result<Vec<AnsweredRelease>> {
    let rows = sqlx::query!(
        r#"SELECT * FROM (
               SELECT DISTINCT ON (e.effect_date, e.service_id, e.environment_id)
                      e.deployment_id AS "deployment_id!", e.service_id AS "service_id!",
                      e.billing_currency AS "billing_currency!", e.release_date AS "release_date!",
                      e.phase AS "phase!", e.finding AS "finding!", e.reason AS "reason!",
                      e.days_after AS "days_after!", e.per_day, e.per_day_low, e.per_day_high,
                      e.per_30_days, e.per_30_days_low, e.per_30_days_high, e.before_per_day,
                      e.flags AS "flags!", e.joint, d.version, s.name AS service_name
               FROM current_deployment_effect e
               JOIN deployment d ON d.deployment_id = e.deployment_id AND d.environment_id = e.environment_id
               JOIN deployment_service ds ON ds.deployment_id = e.deployment_id AND ds.service_id = e.service_id
               JOIN service s ON s.service_id = e.service_id
               JOIN environment v ON v.environment_id = e.environment_id AND v.kind = 'production'
               WHERE e.phase <> 'measuring' AND d.status IN ('succeeded', 'superseded') AND NOT ds.is_noop
                 AND ($1::bigint[] IS NULL OR s.team_id = ANY($1))
               ORDER BY e.effect_date DESC, e.service_id, e.environment_id, e.before_per_day DESC NULLS LAST,
                        e.release_date DESC, e.deployment_id DESC
           ) release
           ORDER BY "release_date!" DESC, "deployment_id!" DESC LIMIT $2"#,
        scope.team_ids(),
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| AnsweredRelease {
            version: row.version,
            service_name: row.service_name,
            effect: EffectBrief {
                deployment_id: row.deployment_id,
                service_id: row.service_id,
                billing_currency: row.billing_currency,
                release_date: row.release_date,
                phase: row.phase,
                finding: row.finding,
                reason: row.reason,
                days_after: row.days_after,
                per_day: row.per_day,
                per_day_low: row.per_day_low,
                per_day_high: row.per_day_high,
                per_30_days: row.per_30_days,
                per_30_days_low: row.per_30_days_low,
                per_30_days_high: row.per_30_days_high,
                before_per_day: row.before_per_day,
                flags: row.flags,
                joint: row.joint,
            },
        })
        .collect())
}

/// How many releases there were on some days, by what is said of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the findings")]
pub struct FindingCounts {
    pub increase: i64,
    pub decrease: i64,
    pub no_material_change: i64,
    pub cannot_tell: i64,
    pub measuring: i64,
}

impl FindingCounts {
    /// Releases that have been measured.
    pub fn measured(&self) -> i64 {
        self.increase + self.decrease + self.no_material_change + self.cannot_tell
    }

    /// All of them.
    pub fn all(&self) -> i64 {
        self.measured() + self.measuring
    }
}

/// Counts releases on these days within the scope, one an answer, service and environment. A release with a finding in any
/// currency counts as that finding.
pub async fn counts(conn: &mut PgConnection, scope: &Scope, days: DateRange) -> sqlx::Result<FindingCounts> {
    sqlx::query_as!(
        FindingCounts,
        r#"SELECT count(*) FILTER (WHERE finding = 1) AS "increase!", count(*) FILTER (WHERE finding = 2) AS "decrease!",
                  count(*) FILTER (WHERE finding = 4) AS "no_material_change!",
                  count(*) FILTER (WHERE finding = 3) AS "cannot_tell!", count(*) FILTER (WHERE finding = 5) AS "measuring!"
           FROM (
               SELECT min(CASE WHEN e.phase = 'measuring' THEN 5 WHEN e.finding = 'increase' THEN 1
                               WHEN e.finding = 'decrease' THEN 2 WHEN e.finding = 'cannot-tell' THEN 3
                               ELSE 4 END) AS finding
               FROM current_deployment_effect e
               JOIN deployment d ON d.deployment_id = e.deployment_id AND d.environment_id = e.environment_id
               JOIN deployment_service ds ON ds.deployment_id = e.deployment_id AND ds.service_id = e.service_id
               JOIN service s ON s.service_id = e.service_id
               JOIN environment v ON v.environment_id = e.environment_id AND v.kind = 'production'
               WHERE e.effect_date >= $1 AND e.effect_date < $2 AND d.status IN ('succeeded', 'superseded')
                 AND NOT ds.is_noop AND ($3::bigint[] IS NULL OR s.team_id = ANY($3))
               GROUP BY e.effect_date, e.service_id, e.environment_id
           ) release"#,
        days.start(),
        days.end(),
        scope.team_ids()
    )
    .fetch_one(conn)
    .await
}
