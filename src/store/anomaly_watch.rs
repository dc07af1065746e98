//! What the search for anomalies reads beside the series of effects, and how far it is.

use super::anomalies::Subject;
use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use std::collections::HashMap;

/// Rows that are read at most.
const ROW_COUNT_MAX: i64 = 20_000_000;

/// What one kind of cost of a team's services was on one day.
#[derive(Debug, Clone, PartialEq)]
pub struct TeamDay {
    /// The team.
    pub team_id: i64,
    /// FOCUS ServiceCategory.
    pub service_category: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The charge day.
    pub charge_date: NaiveDate,
    /// EffectiveCost of usage, for estimates only.
    pub usage: f64,
}

/// Daily usage of teams for these kinds of cost, previews left out.
pub async fn team_days(conn: &mut PgConnection, categories: &[String], range: DateRange) -> sqlx::Result<Vec<TeamDay>> {
    sqlx::query_as!(
        TeamDay,
        r#"SELECT s.team_id AS "team_id!", k.service_category AS "service_category!", d.billing_currency, d.charge_date,
                  sum(d.effective_cost)::double precision AS "usage!"
           FROM daily_cost_by_key d
           JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           JOIN rollup_key k USING (sub_account_key, rollup_key_id)
           JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
               AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
           JOIN service s ON s.service_id = m.service_id
           LEFT JOIN environment e ON e.environment_id = m.environment_id
           WHERE is_charge_part('used', k.charge_category, k.charge_class, k.commitment_discount_status, k.pricing_category)
             AND k.service_category = ANY($1) AND s.team_id IS NOT NULL
             AND coalesce(e.kind, '') <> 'preview' AND d.charge_date >= $2 AND d.charge_date < $3
           GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4 LIMIT $4"#,
        categories,
        range.start(),
        range.end(),
        ROW_COUNT_MAX
    )
    .fetch_all(conn)
    .await
}

/// Usage on one day, exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExactDay {
    /// The charge day.
    pub charge_date: NaiveDate,
    /// EffectiveCost of usage.
    pub usage: BigDecimal,
}

/// Exact usage of a series by day: from services and environments, or from a team's kind of cost.
pub async fn exact_days(conn: &mut PgConnection, subject: &Subject, range: DateRange) -> sqlx::Result<Vec<ExactDay>> {
    if subject.team_id == 0 {
        return sqlx::query_as!(
            ExactDay,
            r#"SELECT d.charge_date, sum(d.effective_cost) AS "usage!"
               FROM daily_cost d JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
               WHERE d.service_id = $1 AND d.environment_id = $2 AND d.billing_currency = $3 AND d.split_id = 0
                 AND d.is_used AND d.charge_date >= $4 AND d.charge_date < $5
               GROUP BY 1 ORDER BY 1 LIMIT 10000"#,
            subject.service_id,
            subject.environment_id,
            subject.billing_currency,
            range.start(),
            range.end()
        )
        .fetch_all(conn)
        .await;
    }
    sqlx::query_as!(
        ExactDay,
        r#"SELECT d.charge_date, sum(d.effective_cost) AS "usage!"
           FROM daily_cost_by_key d
           JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           JOIN rollup_key k USING (sub_account_key, rollup_key_id)
           JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
               AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
           JOIN service s ON s.service_id = m.service_id
           LEFT JOIN environment e ON e.environment_id = m.environment_id
           WHERE s.team_id = $1 AND k.service_category = $2 AND d.billing_currency = $3
             AND is_charge_part('used', k.charge_category, k.charge_class, k.commitment_discount_status, k.pricing_category)
             AND coalesce(e.kind, '') <> 'preview' AND d.charge_date >= $4 AND d.charge_date < $5
           GROUP BY 1 ORDER BY 1 LIMIT 10000"#,
        subject.team_id,
        subject.service_category,
        subject.billing_currency,
        range.start(),
        range.end()
    )
    .fetch_all(conn)
    .await
}

/// A group of charges on both sides of the begin of an anomaly; exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartCost {
    /// FOCUS ResourceId; empty for charges that name none.
    pub resource_id: String,
    /// FOCUS ResourceName, where the bill gives it; for a team the service that it belongs to.
    pub name: Option<String>,
    /// FOCUS ServiceName.
    pub service_name: Option<String>,
    /// FOCUS RegionId.
    pub region_id: Option<String>,
    /// Usage of the days before.
    pub before: BigDecimal,
    /// Usage of the days of the anomaly.
    pub during: BigDecimal,
}

/// Usage of a series by resource, service of the provider and region, on both sides. Read from the lines, whose index
/// finds the charge groups of the services.
pub async fn parts(
    conn: &mut PgConnection,
    subject: &Subject,
    before: DateRange,
    during: DateRange,
) -> sqlx::Result<Vec<PartCost>> {
    let generations = sqlx::query_scalar!(
        "SELECT generation_id FROM generation
         WHERE state = 'current' AND has_charges AND first_charge_date < $2 AND last_charge_date >= $1",
        before.start(),
        during.end(),
    )
    .fetch_all(&mut *conn)
    .await?;
    sqlx::query_as!(
        PartCost,
        r#"SELECT coalesce(cg.resource_id, '') AS "resource_id!",
                  CASE WHEN $3::bigint = 0 THEN max(cg.resource_name) ELSE max(s.name) END AS name, k.service_name, k.region_id,
                  coalesce(sum(c.effective_cost) FILTER (WHERE c.charge_period_start < $8::date::timestamp AT TIME ZONE 'UTC'), 0)
                      AS "before!",
                  coalesce(sum(c.effective_cost) FILTER (WHERE c.charge_period_start >= $9::date::timestamp AT TIME ZONE 'UTC'), 0)
                      AS "during!"
           FROM key_mapping m
           JOIN rollup_key k USING (sub_account_key, rollup_key_id)
           JOIN service s ON s.service_id = m.service_id
           LEFT JOIN environment e ON e.environment_id = m.environment_id
           JOIN charge_group cg ON cg.rollup_key_id = k.rollup_key_id AND cg.sub_account_key = k.sub_account_key
           JOIN charge c ON c.group_id = cg.group_id AND c.sub_account_key = cg.sub_account_key
           WHERE is_charge_part('used', k.charge_category, k.charge_class, k.commitment_discount_status, k.pricing_category)
             AND ($1::bigint = 0 OR (m.service_id = $1 AND m.environment_id = $2))
             AND ($3::bigint = 0 OR (s.team_id = $3 AND k.service_category = $4 AND coalesce(e.kind, '') <> 'preview'))
             AND c.billing_currency = $5 AND c.generation_id = ANY($6)
             AND (c.charge_period_start AT TIME ZONE 'UTC')::date >= m.first_day
             AND (c.charge_period_start AT TIME ZONE 'UTC')::date < m.end_day
             AND ((c.charge_period_start >= $7::date::timestamp AT TIME ZONE 'UTC'
                   AND c.charge_period_start < $8::date::timestamp AT TIME ZONE 'UTC')
               OR (c.charge_period_start >= $9::date::timestamp AT TIME ZONE 'UTC'
                   AND c.charge_period_start < $10::date::timestamp AT TIME ZONE 'UTC'))
           GROUP BY coalesce(cg.resource_id, ''), k.service_name, k.region_id
           ORDER BY 1, 3, 4 LIMIT 100000"#,
        subject.service_id,
        subject.environment_id,
        subject.team_id,
        subject.service_category,
        subject.billing_currency,
        &generations,
        before.start(),
        before.end(),
        during.start(),
        during.end(),
    )
    .fetch_all(conn)
    .await
}

/// What a series was last looked at with.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Whose series.
    pub subject: Subject,
    /// Of all inputs.
    pub fingerprint: String,
    /// The last complete day that was looked at.
    pub looked_to: NaiveDate,
    /// Usage of the days up to `looked_to`, in order.
    pub costs: Vec<Option<f64>>,
}

/// All that is watched.
pub async fn watched(conn: &mut PgConnection) -> sqlx::Result<Vec<Watched>> {
    let rows = sqlx::query!(
        r#"SELECT service_id, environment_id, team_id, service_category, billing_currency, fingerprint, looked_to,
                  costs AS "costs!: Vec<Option<f64>>"
           FROM anomaly_watch LIMIT $1"#,
        ROW_COUNT_MAX
    )
    .fetch_all(conn)
    .await?;
    let watched = rows.into_iter().map(|row| Watched {
        subject: Subject {
            service_id: row.service_id,
            environment_id: row.environment_id,
            team_id: row.team_id,
            service_category: row.service_category,
            billing_currency: row.billing_currency,
        },
        fingerprint: row.fingerprint,
        looked_to: row.looked_to,
        costs: row.costs,
    });
    Ok(watched.collect())
}

/// Notes what a series was looked at with.
pub async fn watch(conn: &mut PgConnection, one: &Watched) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO anomaly_watch (service_id, environment_id, team_id, service_category, billing_currency, fingerprint,
            looked_to, costs)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (service_id, environment_id, team_id, service_category, billing_currency)
         DO UPDATE SET fingerprint = excluded.fingerprint, looked_to = excluded.looked_to, costs = excluded.costs",
        one.subject.service_id,
        one.subject.environment_id,
        one.subject.team_id,
        one.subject.service_category,
        one.subject.billing_currency,
        one.fingerprint,
        one.looked_to,
        &one.costs as &[Option<f64>]
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets what a series was looked at with: should it come again, it is a new one.
pub async fn forget(conn: &mut PgConnection, subject: &Subject) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM anomaly_watch
         WHERE service_id = $1 AND environment_id = $2 AND team_id = $3 AND service_category = $4
           AND billing_currency = $5",
        subject.service_id,
        subject.environment_id,
        subject.team_id,
        subject.service_category,
        subject.billing_currency
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The team of each service that has one.
pub async fn teams(conn: &mut PgConnection) -> sqlx::Result<HashMap<i64, i64>> {
    let rows = sqlx::query!(
        r#"SELECT service_id, team_id AS "team_id!" FROM service WHERE team_id IS NOT NULL LIMIT $1"#,
        ROW_COUNT_MAX
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.service_id, row.team_id)).collect())
}

/// How many days without use are told, of each environment.
pub async fn idle_days(conn: &mut PgConnection) -> sqlx::Result<HashMap<i64, i32>> {
    let rows = sqlx::query!("SELECT environment_id, idle_days FROM environment LIMIT $1", ROW_COUNT_MAX)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.environment_id, row.idle_days)).collect())
}

/// What was answered about anomalies of a service or team since its lessons were last forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lesson {
    /// The service; 0 for a team's.
    pub service_id: i64,
    /// The team; 0 for a service's.
    pub team_id: i64,
    /// `spike`, `shift`, `drop`, `idle`, `baseline`.
    pub lesson: String,
    /// Answered as a false alarm.
    pub false_alarm_count: i64,
    /// Answered as explained: it was right to tell.
    pub right_count: i64,
}

/// All lessons that answers teach.
pub async fn lessons(conn: &mut PgConnection) -> sqlx::Result<Vec<Lesson>> {
    sqlx::query_as!(
        Lesson,
        r#"WITH answered AS (
             SELECT coalesce(service_id, 0) AS service_id, coalesce(team_id, 0) AS team_id, state, changed_at,
                    CASE kind WHEN 'spike' THEN 'spike' WHEN 'drop' THEN 'drop' WHEN 'idle' THEN 'idle'
                        WHEN 'transfer-above-baseline' THEN 'baseline' WHEN 'storage-above-baseline' THEN 'baseline'
                        ELSE 'shift' END AS lesson
             FROM anomaly WHERE state IN ('false-alarm', 'explained')
           )
           SELECT a.service_id AS "service_id!", a.team_id AS "team_id!", a.lesson AS "lesson!",
                  count(*) FILTER (WHERE a.state = 'false-alarm') AS "false_alarm_count!",
                  count(*) FILTER (WHERE a.state = 'explained') AS "right_count!"
           FROM answered a
           LEFT JOIN anomaly_lesson_reset r ON r.service_id = a.service_id AND r.team_id = a.team_id
               AND r.lesson = a.lesson
           WHERE r.reset_at IS NULL OR a.changed_at > r.reset_at
           GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT 100000"#
    )
    .fetch_all(conn)
    .await
}

/// Forgets what answers taught so far.
pub async fn forget_lesson(
    conn: &mut PgConnection,
    (service_id, team_id): (i64, i64),
    lesson: &str,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO anomaly_lesson_reset (service_id, team_id, lesson, reset_at, reset_by) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (service_id, team_id, lesson) DO UPDATE SET reset_at = excluded.reset_at,
             reset_by = excluded.reset_by",
        service_id,
        team_id,
        lesson,
        now,
        by
    )
    .execute(conn)
    .await?;
    Ok(())
}
