//! What the catalogue says of a service beyond its own row: product, cost center, repositories, runbook.

use chrono::{DateTime, Utc};
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
