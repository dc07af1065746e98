//! What workloads are for: a stated goal for the units of a metric of a service.

use super::limits;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Goals that are kept at most.
pub const GOAL_COUNT_MAX: i64 = 10_000;

/// A stated goal. No money, so no scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadGoal {
    /// The service.
    pub service_id: i64,
    /// Its address.
    pub service_slug: String,
    /// What the unit is.
    pub metric: String,
    /// `latency`, `cost` or `weight`.
    pub goal: String,
    /// Weight of cost in percent, where both count.
    pub cost_percent: Option<i16>,
    /// The metric that tells how long a unit takes, where one was named.
    pub duration_metric: Option<String>,
    /// Who said so last.
    pub stated_by: String,
    /// When.
    pub stated_at: DateTime<Utc>,
}

/// The goals of these services; of all where none is named.
pub async fn list(conn: &mut PgConnection, service_ids: Option<&[i64]>) -> sqlx::Result<Vec<WorkloadGoal>> {
    let rows = sqlx::query_as!(
        WorkloadGoal,
        "SELECT g.service_id, s.slug AS service_slug, g.metric, g.goal, g.cost_percent, g.duration_metric, g.stated_by,
                g.stated_at
         FROM workload_goal g JOIN service s USING (service_id)
         WHERE $1::bigint[] IS NULL OR g.service_id = ANY($1)
         ORDER BY s.slug, g.metric LIMIT $2",
        service_ids,
        GOAL_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, GOAL_COUNT_MAX, "stated goals")
}

/// States a goal, or another one.
pub async fn put(conn: &mut PgConnection, goal: &WorkloadGoal) -> sqlx::Result<()> {
    let others = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM workload_goal WHERE (service_id, metric) <> ($1, $2)"#,
        goal.service_id,
        goal.metric,
    );
    limits::room(others.fetch_one(&mut *conn).await?, GOAL_COUNT_MAX, "goals")?;
    sqlx::query!(
        "INSERT INTO workload_goal (service_id, metric, goal, cost_percent, duration_metric, stated_by, stated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (service_id, metric) DO UPDATE SET goal = excluded.goal, cost_percent = excluded.cost_percent,
             duration_metric = excluded.duration_metric, stated_by = excluded.stated_by, stated_at = excluded.stated_at",
        goal.service_id,
        goal.metric,
        goal.goal,
        goal.cost_percent,
        goal.duration_metric,
        goal.stated_by,
        goal.stated_at
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Takes a goal back. False where none was stated.
pub async fn delete(conn: &mut PgConnection, service_id: i64, metric: &str) -> sqlx::Result<bool> {
    let done = sqlx::query!("DELETE FROM workload_goal WHERE service_id = $1 AND metric = $2", service_id, metric)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}
