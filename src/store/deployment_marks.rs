//! Deployments that went live, as charts mark them, and how many there are: all of some days, however few of them a list
//! shows. They show no money, so these reads take no scope.

use super::deployment_list::label_of;
use super::limits;
use crate::focus::DateRange;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

/// Deployments of one chart that are read at once.
const MARK_COUNT_MAX: i64 = 200_000;
const WHAT: &str = "deployments on the chart";

/// A deployment that went live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkedDeployment {
    /// The deployment.
    pub deployment_id: i64,
    /// When it went live, as far as it is known.
    pub at: DateTime<Utc>,
    /// When it began, where that is known and was before it went live.
    pub started_at: Option<DateTime<Utc>>,
    /// `deploy`, `rollback`, …
    pub kind: String,
    /// What was deployed.
    pub version: Option<String>,
    /// The commit.
    pub sha: Option<String>,
    /// 0 where no rule names one.
    pub environment_id: i64,
    /// What people call it; the sender's word where no rule names one.
    pub environment_name: Option<String>,
    /// Whether that is one of production.
    pub is_production: bool,
    /// Names of its services in order; empty where they were asked for.
    pub service_names: Vec<String>,
}

impl MarkedDeployment {
    /// The version, else the short commit, else the number.
    pub fn label(&self) -> String {
        label_of(self.deployment_id, self.version.as_deref(), self.sha.as_deref())
    }

    /// The day it went live.
    pub fn day(&self) -> NaiveDate {
        self.at.date_naive()
    }
}

/// Whose deployments. What is `None` is not restricted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Whose<'a> {
    /// Into this environment.
    pub environment_id: Option<i64>,
    /// Into environments of this kind.
    pub environment_kind: Option<&'a str>,
    /// Of a service of this team.
    pub team_id: Option<i64>,
}

/// All that went live on these days, in order of time.
pub async fn list(conn: &mut PgConnection, whose: Whose<'_>, days: DateRange) -> sqlx::Result<Vec<MarkedDeployment>> {
    let rows = sqlx::query_as!(
        MarkedDeployment,
        r#"
        SELECT
            d.deployment_id AS "deployment_id!", coalesce(d.finished_at, d.started_at, d.created_at) AS "at!",
            CASE WHEN d.started_at < d.finished_at THEN d.started_at END AS "started_at?",
            d.kind AS "kind!", d.version AS "version?", d.sha AS "sha?", coalesce(d.environment_id, 0) AS "environment_id!",
            coalesce(e.name, d.environment_raw) AS "environment_name?",
            coalesce(e.kind = 'production', false) AS "is_production!",
            coalesce((SELECT array_agg(service.name ORDER BY service.name)
                      FROM deployment_service ds JOIN service ON service.service_id = ds.service_id
                      WHERE ds.deployment_id = d.deployment_id), '{}') AS "service_names!"
        FROM deployment d
        LEFT JOIN environment e ON e.environment_id = d.environment_id
        WHERE d.standing IN ('succeeded', 'superseded')
          AND ($1::bigint IS NULL OR d.environment_id = $1)
          AND ($2::text IS NULL OR e.kind = $2)
          AND ($3::bigint IS NULL OR EXISTS (
                SELECT 1 FROM deployment_service ds JOIN service ON service.service_id = ds.service_id
                WHERE ds.deployment_id = d.deployment_id AND service.team_id = $3))
          AND coalesce(d.finished_at, d.started_at, d.created_at) >= $4::date::timestamp AT TIME ZONE 'UTC'
          AND coalesce(d.finished_at, d.started_at, d.created_at) < $5::date::timestamp AT TIME ZONE 'UTC'
        ORDER BY 2, 1
        LIMIT $6
        "#,
        whose.environment_id,
        whose.environment_kind,
        whose.team_id,
        days.start(),
        days.end(),
        MARK_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, MARK_COUNT_MAX, WHAT)
}

/// All of these services that went live on these days, in order of time. Found by the services, so that a page of one
/// does not walk all deployments.
pub async fn of_services(
    conn: &mut PgConnection,
    service_ids: &[i64],
    days: DateRange,
) -> sqlx::Result<Vec<MarkedDeployment>> {
    let rows = sqlx::query_as!(
        MarkedDeployment,
        r#"
        SELECT
            d.deployment_id AS "deployment_id!", coalesce(d.finished_at, d.started_at, d.created_at) AS "at!",
            CASE WHEN d.started_at < d.finished_at THEN d.started_at END AS "started_at?",
            d.kind AS "kind!", d.version AS "version?", d.sha AS "sha?", coalesce(d.environment_id, 0) AS "environment_id!",
            coalesce(e.name, d.environment_raw) AS "environment_name?",
            coalesce(e.kind = 'production', false) AS "is_production!", '{}'::text[] AS "service_names!"
        FROM deployment d
        LEFT JOIN environment e ON e.environment_id = d.environment_id
        WHERE d.deployment_id IN (SELECT ds.deployment_id FROM deployment_service ds WHERE ds.service_id = ANY($1))
          AND d.standing IN ('succeeded', 'superseded')
          AND coalesce(d.finished_at, d.started_at, d.created_at) >= $2::date::timestamp AT TIME ZONE 'UTC'
          AND coalesce(d.finished_at, d.started_at, d.created_at) < $3::date::timestamp AT TIME ZONE 'UTC'
        ORDER BY 2, 1
        LIMIT $4
        "#,
        service_ids,
        days.start(),
        days.end(),
        MARK_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, MARK_COUNT_MAX, WHAT)
}

/// How many deployments there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeploymentCounts {
    /// However they stand.
    pub listed: i64,
    /// Those that went live.
    pub live: i64,
    /// Those of them that went to production.
    pub in_production: i64,
}

/// Counts them; on all days where none are given.
pub async fn count(
    conn: &mut PgConnection,
    whose: Whose<'_>,
    days: Option<DateRange>,
) -> sqlx::Result<DeploymentCounts> {
    sqlx::query_as!(
        DeploymentCounts,
        r#"
        SELECT count(*) AS "listed!",
            count(*) FILTER (WHERE d.standing IN ('succeeded', 'superseded')) AS "live!",
            count(*) FILTER (WHERE d.standing IN ('succeeded', 'superseded') AND e.kind = 'production') AS "in_production!"
        FROM deployment d
        LEFT JOIN environment e ON e.environment_id = d.environment_id
        WHERE ($1::bigint IS NULL OR d.environment_id = $1)
          AND ($2::text IS NULL OR e.kind = $2)
          AND ($3::bigint IS NULL OR EXISTS (
                SELECT 1 FROM deployment_service ds JOIN service ON service.service_id = ds.service_id
                WHERE ds.deployment_id = d.deployment_id AND service.team_id = $3))
          AND ($4::date IS NULL OR coalesce(d.finished_at, d.started_at, d.created_at) >= $4::date::timestamp AT TIME ZONE 'UTC')
          AND ($5::date IS NULL OR coalesce(d.finished_at, d.started_at, d.created_at) < $5::date::timestamp AT TIME ZONE 'UTC')
        "#,
        whose.environment_id,
        whose.environment_kind,
        whose.team_id,
        days.map(DateRange::start),
        days.map(DateRange::end),
    )
    .fetch_one(conn)
    .await
}

/// How many deployments of one service there are on these days, however they stand.
pub async fn count_of_service(conn: &mut PgConnection, service_id: i64, days: DateRange) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        SELECT count(*) AS "count!"
        FROM deployment_service ds
        JOIN deployment d ON d.deployment_id = ds.deployment_id
        WHERE ds.service_id = $1
          AND coalesce(d.finished_at, d.started_at, d.created_at) >= $2::date::timestamp AT TIME ZONE 'UTC'
          AND coalesce(d.finished_at, d.started_at, d.created_at) < $3::date::timestamp AT TIME ZONE 'UTC'
        "#,
        service_id,
        days.start(),
        days.end(),
    )
    .fetch_one(conn)
    .await
}
