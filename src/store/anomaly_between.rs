//! Open anomalies of services on the days of a comparison, each with what it adds to them.

use super::{Scope, limits};
use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// Anomalies that are read at most.
const ANOMALY_COUNT_MAX: i64 = 10_000;

/// Whose anomalies.
#[derive(Debug, Clone, Copy, Default)]
pub struct Whose<'a> {
    /// Of this service.
    pub service_id: Option<i64>,
    /// In this environment; 0 for cost without one.
    pub environment_id: Option<i64>,
    /// Of services of this team; 0 for those without one.
    pub team_id: Option<i64>,
    /// FOCUS BillingCurrency.
    pub currency: Option<&'a str>,
}

/// An open anomaly of a service, of which some days lie in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnomalyBetween {
    /// The anomaly.
    pub anomaly_id: i64,
    /// The service.
    pub service_id: i64,
    /// Its name.
    pub service_name: String,
    /// The environment; 0 for cost without one.
    pub environment_id: i64,
    /// Its name, unless it is production.
    pub elsewhere: Option<String>,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// Its first day.
    pub start_date: NaiveDate,
    /// What came above what was expected of its days that lie in the period; an estimate, below zero for a drop.
    pub excess: BigDecimal,
}

/// Those that wait for an answer or an end, the largest first. An environment without use is none of them: what it costs
/// is no change.
pub async fn list(
    conn: &mut PgConnection,
    scope: &Scope,
    whose: Whose<'_>,
    days: DateRange,
) -> sqlx::Result<Vec<AnomalyBetween>> {
    let rows = sqlx::query_as!(
        AnomalyBetween,
        r#"SELECT a.anomaly_id AS "anomaly_id!", s.service_id AS "service_id!", s.name AS "service_name!",
                  coalesce(a.environment_id, 0) AS "environment_id!",
                  CASE WHEN v.kind <> 'production' THEN v.name END AS elsewhere,
                  a.billing_currency AS "billing_currency!", a.start_date AS "start_date!", d.excess AS "excess!"
           FROM anomaly a
           JOIN service s ON s.service_id = a.service_id
           LEFT JOIN environment v ON v.environment_id = a.environment_id
           CROSS JOIN LATERAL (
               SELECT sum((one ->> 'actual')::numeric - (one ->> 'expected')::numeric) AS excess
               FROM jsonb_array_elements(a.days) one
               WHERE (one ->> 'day')::date BETWEEN greatest(a.start_date, $1::date) AND a.end_date
                 AND (one ->> 'day')::date < $2
           ) d
           WHERE a.state IN ('open', 'acknowledged') AND a.kind <> 'idle' AND a.end_date >= $1 AND a.start_date < $2
             AND d.excess <> 0
             AND ($3::bigint[] IS NULL OR s.team_id = ANY($3)) AND ($4::bigint IS NULL OR s.service_id = $4)
             AND ($5::bigint IS NULL OR coalesce(a.environment_id, 0) = $5)
             AND ($6::bigint IS NULL OR coalesce(s.team_id, 0) = $6)
             AND ($7::text IS NULL OR a.billing_currency = $7)
           ORDER BY abs(d.excess) DESC, a.anomaly_id LIMIT $8"#,
        days.start(),
        days.end(),
        scope.team_ids(),
        whose.service_id,
        whose.environment_id,
        whose.team_id,
        whose.currency,
        ANOMALY_COUNT_MAX + 1
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ANOMALY_COUNT_MAX, "open anomalies")
}
