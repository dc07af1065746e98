//! Deployments that went live in production, each with the time of the commit that it brought. No money, so no scope.

use super::{limits, operational_events};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use sqlx::PgConnection;

/// More of them are not read: shares and medians of a part of them would be others.
const ROWS_MAX: i64 = 400_000;

/// A deployment that went live in production, for one of its services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveDeployment {
    /// The deployment.
    pub deployment_id: i64,
    /// The service.
    pub service_id: i64,
    /// The environment.
    pub environment_id: i64,
    /// When it went live.
    pub at: DateTime<Utc>,
    /// An earlier version came back, or its sender says so.
    pub is_rollback: bool,
    /// The version was live already.
    pub is_noop: bool,
    /// When its commit, of several the first that was new, was merged or pushed, where a repository told of it.
    pub committed_at: Option<DateTime<Utc>>,
}

/// Those of a service or of a team's services since a day, in order of time.
pub async fn in_production(
    conn: &mut PgConnection,
    service_id: Option<i64>,
    team_id: Option<i64>,
    since: NaiveDate,
) -> sqlx::Result<Vec<LiveDeployment>> {
    let rows = sqlx::query_as!(
        LiveDeployment,
        // As a place's history is judged: at one instant the sender's id decides, not which arrived first.
        r#"SELECT l.deployment_id AS "deployment_id!", l.service_id AS "service_id!",
                  l.environment_id AS "environment_id!", l.at AS "at!", l.is_rollback AS "is_rollback!",
                  l.is_noop AS "is_noop!", l.committed_at
           FROM (
             SELECT d.deployment_id, ds.service_id, d.environment_id, d.event_source_id, d.external_id,
                 coalesce(d.finished_at, d.started_at, d.created_at) AS at, ds.is_noop,
                 -- Its sender may know better than its neighbors: an older version than any that was told of here.
                 ds.is_rollback OR d.kind_told IS NOT DISTINCT FROM 'rollback' AS is_rollback,
                 -- Of several repositories those wait that the service did not have here before.
                 (SELECT coalesce(min(c.happened_at) FILTER (WHERE NOT EXISTS (
                             SELECT FROM deployment_commit bk JOIN deployment b USING (deployment_id)
                             JOIN deployment_service bs USING (deployment_id)
                             WHERE bk.sha = k.sha AND bk.repo = k.repo AND bs.service_id = ds.service_id
                               AND b.environment_id = d.environment_id AND b.status IN ('succeeded', 'superseded')
                               AND b.finished_at < d.finished_at)), min(c.happened_at))
                  FROM deployment_commit k
                  JOIN change c ON is_same_commit(c.sha, k.sha) AND c.state <> 'abandoned'
                      AND (k.repo = '' OR c.repo = k.repo)
                  WHERE k.deployment_id = d.deployment_id) AS committed_at
             FROM deployment d JOIN deployment_service ds USING (deployment_id)
             JOIN environment e ON e.environment_id = d.environment_id AND e.kind = 'production'
             JOIN service s ON s.service_id = ds.service_id
             WHERE d.status IN ('succeeded', 'superseded') AND d.kind IN ('deploy', 'rollback')
               AND ($1::bigint IS NULL OR ds.service_id = $1) AND ($2::bigint IS NULL OR s.team_id = $2)
               AND coalesce(d.finished_at, d.started_at, d.created_at) >= $3::date::timestamp AT TIME ZONE 'UTC'
             ORDER BY coalesce(d.finished_at, d.started_at, d.created_at) DESC, d.event_source_id DESC,
                 d.external_id DESC LIMIT $4) l
           ORDER BY l.at, l.event_source_id, l.external_id, l.service_id"#,
        service_id,
        team_id,
        since,
        ROWS_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ROWS_MAX, "deployments of services to production")
}

/// Why a deployment to production failed, beside that an earlier version came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveFailure {
    /// The deployment.
    pub deployment_id: i64,
    /// Its service that failed.
    pub service_id: i64,
    /// An incident says so; else a revert, a hotfix, or somebody.
    pub is_incident: bool,
    /// The incident's start, else when the deployment went live.
    pub began_at: DateTime<Utc>,
    /// The incident's end, else when another deployment of the service took its place.
    pub ended_at: Option<DateTime<Utc>>,
    /// An alert that is mentioned no more, although nobody told its end.
    pub is_end_unknown: bool,
}

/// The failures of these deployments: incidents, reverts, hotfixes and marks, as they are known at this time.
pub async fn failures(
    conn: &mut PgConnection,
    service_id: Option<i64>,
    team_id: Option<i64>,
    since: NaiveDate,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<LiveFailure>> {
    let service_ids = sqlx::query_scalar!(
        "SELECT service_id FROM service
         WHERE ($1::bigint IS NULL OR service_id = $1) AND ($2::bigint IS NULL OR team_id = $2)",
        service_id,
        team_id
    )
    .fetch_all(&mut *conn)
    .await?;
    let rows = sqlx::query_as!(
        LiveFailure,
        // Read whole before it is sorted: for the first rows alone, each deployment would be looked for among all failures.
        r#"SELECT failed.deployment_id AS "deployment_id!", failed.service_id AS "service_id!",
                  failed.is_incident AS "is_incident!", failed.began_at AS "began_at!", failed.ended_at,
                  failed.is_end_unknown AS "is_end_unknown!"
           FROM (
               SELECT f.deployment_id, f.service_id, f.reason = 'incident' AS is_incident,
                   coalesce(o.started_at, d.finished_at, d.created_at) AS began_at,
                   CASE WHEN f.reason = 'incident' THEN o.ended_at ELSE f.replaced_at END AS ended_at,
                   f.reason = 'incident' AND EXISTS (SELECT FROM lost_ends(o.operational_event_id, $4)) AS is_end_unknown
               FROM change_failures_of($1, $2) f
               JOIN deployment d ON d.deployment_id = f.deployment_id AND d.kind IN ('deploy', 'rollback')
               JOIN environment e ON e.environment_id = d.environment_id AND e.kind = 'production'
               LEFT JOIN operational_event o ON o.operational_event_id = f.operational_event_id
               WHERE f.reason <> 'rollback' OFFSET 0) failed
           ORDER BY 1, 2, 4 LIMIT $3"#,
        &service_ids,
        since.and_time(NaiveTime::MIN).and_utc(),
        ROWS_MAX + 1,
        operational_events::silent_since(now),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ROWS_MAX, "failed deployments of services to production")
}
