//! Launches, redesigns and release windows of services: registered here, or told by a sender as a marker of that name.

use super::limits;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

/// Plans that are read at most.
const PLAN_COUNT_MAX: i64 = 20_000;
/// Those of them that are registered here; senders may tell of as many.
pub const KEPT_COUNT_MAX: i64 = 10_000;
/// The longest title, in characters.
pub const TITLE_LENGTH_MAX: usize = 200;

/// A plan of a service. No money, so no scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePlan {
    /// Its number; `None` where a sender told of it.
    pub service_plan_id: Option<i64>,
    /// The service.
    pub service_id: i64,
    /// Its address.
    pub service_slug: String,
    /// `launch`, `redesign`, `release-window`.
    pub kind: String,
    /// What people call it.
    pub title: String,
    /// First day, UTC.
    pub first_day: NaiveDate,
    /// Last day, included.
    pub last_day: NaiveDate,
    /// Who registered it, or the source that told of it.
    pub added_by: String,
    /// When.
    pub added_at: DateTime<Utc>,
}

/// Plans that reach into these days or lie after them: of these services, or of all; the earliest first.
pub async fn list(
    conn: &mut PgConnection,
    service_ids: Option<&[i64]>,
    from: NaiveDate,
) -> sqlx::Result<Vec<ServicePlan>> {
    let rows = sqlx::query_as!(
        ServicePlan,
        r#"SELECT p.service_plan_id AS "service_plan_id?", p.service_id AS "service_id!", s.slug AS "service_slug!",
                  p.kind AS "kind!", p.title AS "title!", p.first_day AS "first_day!", p.last_day AS "last_day!",
                  p.added_by AS "added_by!", p.added_at AS "added_at!"
           FROM (
               SELECT service_plan_id, service_id, kind, title, first_day, last_day, added_by, added_at
               FROM service_plan WHERE removed_at IS NULL
               UNION ALL
               SELECT NULL, os.service_id, replace(lower(o.status), '_', '-'), left(o.title, 200),
                   (o.started_at AT TIME ZONE 'UTC')::date,
                   (coalesce(o.ended_at, o.started_at) AT TIME ZONE 'UTC')::date, source.name, o.started_at
               FROM operational_event o JOIN operational_event_service os USING (operational_event_id)
               JOIN event_source source USING (event_source_id)
               WHERE o.kind = 'marker' AND replace(lower(o.status), '_', '-') IN ('launch', 'redesign', 'release-window')
           ) p JOIN service s USING (service_id)
           WHERE p.last_day >= $2 AND ($1::bigint[] IS NULL OR p.service_id = ANY($1))
           ORDER BY p.first_day, p.service_id, p.kind, p.title LIMIT $3"#,
        service_ids,
        from,
        PLAN_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, PLAN_COUNT_MAX, "plans of services")
}

/// Registers a plan and gives its number.
pub async fn add(conn: &mut PgConnection, plan: &ServicePlan) -> sqlx::Result<i64> {
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM service_plan WHERE removed_at IS NULL"#);
    limits::room(count.fetch_one(&mut *conn).await?, KEPT_COUNT_MAX, "plans")?;
    sqlx::query_scalar!(
        "INSERT INTO service_plan (service_id, kind, title, first_day, last_day, added_by, added_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING service_plan_id",
        plan.service_id,
        plan.kind,
        plan.title,
        plan.first_day,
        plan.last_day,
        plan.added_by,
        plan.added_at,
    )
    .fetch_one(conn)
    .await
}

/// Takes a plan of a service back. False where there is none of this number.
pub async fn remove(
    conn: &mut PgConnection,
    service_id: i64,
    service_plan_id: i64,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE service_plan SET removed_by = $3, removed_at = $4
         WHERE service_plan_id = $2 AND service_id = $1 AND removed_at IS NULL",
        service_id,
        service_plan_id,
        by,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}
