//! Teams as their pages head them.

use super::catalogue::ENTRY_READ_MAX;
use super::{Scope, limits};
use sqlx::PgConnection;

/// A team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamHead {
    /// The team.
    pub team_id: i64,
    /// Its address.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// Who pays.
    pub cost_center: Option<String>,
    /// Services that it owns.
    pub service_count: i64,
    /// Deployments of its services that went live, ever.
    pub deployment_count: i64,
}

/// The teams of a scope, by name.
pub async fn list(conn: &mut PgConnection, scope: &Scope) -> sqlx::Result<Vec<TeamHead>> {
    let rows = sqlx::query_as!(
        TeamHead,
        r#"SELECT t.team_id, t.slug, t.name, t.cost_center,
                  (SELECT count(*) FROM service s WHERE s.team_id = t.team_id) AS "service_count!",
                  (SELECT count(DISTINCT ds.deployment_id) FROM deployment_service ds
                   JOIN service s ON s.service_id = ds.service_id
                   JOIN deployment d ON d.deployment_id = ds.deployment_id
                   WHERE s.team_id = t.team_id AND d.status IN ('succeeded', 'superseded')) AS "deployment_count!"
           FROM team t WHERE $1::bigint[] IS NULL OR t.team_id = ANY($1)
           ORDER BY lower(t.name), t.team_id LIMIT $2"#,
        scope.team_ids(),
        ENTRY_READ_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ENTRY_READ_MAX, "teams")
}

/// A team by its address, whoever asks: a name is no secret, its money is.
pub async fn get(conn: &mut PgConnection, slug: &str) -> sqlx::Result<Option<TeamHead>> {
    sqlx::query_as!(
        TeamHead,
        r#"SELECT t.team_id, t.slug, t.name, t.cost_center,
                  (SELECT count(*) FROM service s WHERE s.team_id = t.team_id) AS "service_count!",
                  (SELECT count(DISTINCT ds.deployment_id) FROM deployment_service ds
                   JOIN service s ON s.service_id = ds.service_id
                   JOIN deployment d ON d.deployment_id = ds.deployment_id
                   WHERE s.team_id = t.team_id AND d.status IN ('succeeded', 'superseded')) AS "deployment_count!"
           FROM team t WHERE t.slug = $1"#,
        slug
    )
    .fetch_optional(conn)
    .await
}
