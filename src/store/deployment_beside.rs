//! The other deployments of the services of a deployment. However many services it has, and however often they are
//! deployed, all of them are looked at.

use super::deployment_list::ListedDeployment;
use crate::focus::DateRange;
use sqlx::PgConnection;

/// Which of the others: those that went live on these days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beside {
    /// The deployment whose services they serve too.
    pub deployment_id: i64,
    /// The days.
    pub days: DateRange,
    /// Only those that changed something in this environment.
    pub changed_in: Option<i64>,
}

/// The newest first, at most `limit`.
pub async fn list(conn: &mut PgConnection, beside: Beside, limit: i64) -> sqlx::Result<Vec<ListedDeployment>> {
    sqlx::query_as!(
        ListedDeployment,
        r#"
        SELECT
            d.deployment_id AS "deployment_id!", coalesce(d.finished_at, d.started_at, d.created_at) AS "at!",
            d.time_is_received AS "time_is_received!",
            CASE WHEN d.started_at < d.finished_at THEN d.started_at END AS "started_at?",
            d.standing AS "status!",
            CASE WHEN d.standing = d.status THEN d.status_at ELSE d.superseded_at END AS "status_at!",
            d.kind AS "kind!", d.version AS "version?", d.sha AS "sha?", d.title AS "title?", d.actor AS "actor?",
            d.repo AS "repo?", s.is_noop AS "is_noop!",
            c.commits AS "commits!",
            coalesce(d.environment_id, 0) AS "environment_id!", e.slug AS "environment_slug?",
            coalesce(e.name, d.environment_raw) AS "environment_name?", e.kind AS "environment_kind?",
            s.slugs AS "service_slugs!", s.names AS "service_names!"
        FROM deployment d
        LEFT JOIN environment e ON e.environment_id = d.environment_id
        CROSS JOIN LATERAL (
            SELECT coalesce(array_agg(service.slug ORDER BY service.name), '{}') AS slugs,
                coalesce(array_agg(service.name ORDER BY service.name), '{}') AS names,
                coalesce(bool_and(ds.is_noop), false) AS is_noop
            FROM deployment_service ds JOIN service ON service.service_id = ds.service_id
            WHERE ds.deployment_id = d.deployment_id
        ) s
        CROSS JOIN LATERAL (
            SELECT coalesce(array_agg(k.repo || '@' || k.sha ORDER BY k.repo, k.sha), '{}') AS commits
            FROM deployment_commit k WHERE k.deployment_id = d.deployment_id
        ) c
        WHERE d.deployment_id <> $1
          AND d.deployment_id IN (
                SELECT other.deployment_id FROM deployment_service own
                JOIN deployment_service other ON other.service_id = own.service_id WHERE own.deployment_id = $1)
          AND d.standing IN ('succeeded', 'superseded')
          AND coalesce(d.finished_at, d.started_at, d.created_at) >= $2::date::timestamp AT TIME ZONE 'UTC'
          AND coalesce(d.finished_at, d.started_at, d.created_at) < $3::date::timestamp AT TIME ZONE 'UTC'
          AND ($4::bigint IS NULL OR (d.environment_id = $4 AND d.kind <> 'config_sync' AND NOT s.is_noop))
        ORDER BY 2 DESC, 1 DESC
        LIMIT $5
        "#,
        beside.deployment_id,
        beside.days.start(),
        beside.days.end(),
        beside.changed_in,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// How many there are.
pub async fn count(conn: &mut PgConnection, beside: Beside) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        SELECT count(*) AS "count!"
        FROM deployment d
        WHERE d.deployment_id <> $1
          AND d.deployment_id IN (
                SELECT other.deployment_id FROM deployment_service own
                JOIN deployment_service other ON other.service_id = own.service_id WHERE own.deployment_id = $1)
          AND d.standing IN ('succeeded', 'superseded')
          AND coalesce(d.finished_at, d.started_at, d.created_at) >= $2::date::timestamp AT TIME ZONE 'UTC'
          AND coalesce(d.finished_at, d.started_at, d.created_at) < $3::date::timestamp AT TIME ZONE 'UTC'
          AND ($4::bigint IS NULL OR (d.environment_id = $4 AND d.kind <> 'config_sync'
                AND EXISTS (SELECT 1 FROM deployment_service ds
                            WHERE ds.deployment_id = d.deployment_id AND NOT ds.is_noop)))
        "#,
        beside.deployment_id,
        beside.days.start(),
        beside.days.end(),
        beside.changed_in,
    )
    .fetch_one(conn)
    .await
}
