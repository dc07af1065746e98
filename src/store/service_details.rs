//! What the catalogue says of a service beyond its own row: product, cost center, repositories, runbook.

use super::Scope;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

/// The details of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceDetail {
    /// The service.
    pub service_id: i64,
    /// Where finance books it, where that is not its team's.
    pub cost_center: Option<String>,
    /// What is sold.
    pub product: Option<String>,
    /// As `owner/name`.
    pub repositories: Vec<String>,
    /// Where to look when it is down: an http or https address.
    pub runbook: Option<String>,
    /// The name of the description that it came from last.
    pub described_by: Option<String>,
}

/// The details of all services that have some.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<ServiceDetail>> {
    sqlx::query_as!(
        ServiceDetail,
        "SELECT service_id, cost_center, product, repositories, runbook, described_by FROM service_detail"
    )
    .fetch_all(conn)
    .await
}

/// The details of a service; empty ones where it has none.
pub async fn get(conn: &mut PgConnection, service_id: i64) -> sqlx::Result<ServiceDetail> {
    let found = find(conn, service_id).await?;
    Ok(found.unwrap_or_else(|| ServiceDetail { service_id, ..ServiceDetail::default() }))
}

/// The details of a service; none where nobody said any.
pub async fn find(conn: &mut PgConnection, service_id: i64) -> sqlx::Result<Option<ServiceDetail>> {
    sqlx::query_as!(
        ServiceDetail,
        "SELECT service_id, cost_center, product, repositories, runbook, described_by FROM service_detail
         WHERE service_id = $1",
        service_id
    )
    .fetch_optional(conn)
    .await
}

/// Keeps details instead of those that were there.
pub async fn put(conn: &mut PgConnection, detail: &ServiceDetail, by: &str, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO service_detail (service_id, cost_center, product, repositories, runbook, described_by, changed_by,
             changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (service_id) DO UPDATE SET cost_center = excluded.cost_center, product = excluded.product,
             repositories = excluded.repositories, runbook = excluded.runbook, described_by = excluded.described_by,
             changed_by = excluded.changed_by, changed_at = excluded.changed_at",
        detail.service_id,
        detail.cost_center,
        detail.product,
        &detail.repositories,
        detail.runbook,
        detail.described_by,
        by,
        now,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The days on which a service has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CostReach {
    /// The first day on which the service has a row of cost, shared cost included.
    pub first_day: Option<NaiveDate>,
    /// The last such day.
    pub last_day: Option<NaiveDate>,
}

/// Where the cost of a service begins and ends.
pub async fn cost_reach(conn: &mut PgConnection, scope: &Scope, service_id: i64) -> sqlx::Result<CostReach> {
    sqlx::query_as!(
        CostReach,
        r#"SELECT min(d.charge_date) AS first_day, max(d.charge_date) AS last_day
           FROM daily_cost d
           JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           JOIN service s ON s.service_id = d.service_id
           WHERE d.service_id = $1 AND ($2::bigint[] IS NULL OR s.team_id = ANY($2))"#,
        service_id,
        scope.team_ids(),
    )
    .fetch_one(conn)
    .await
}
