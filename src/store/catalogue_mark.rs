//! What tells one state of the catalogue from another. Owners, names and kinds can change without a publication, so what
//! is kept by publication and shows them or depends on them is kept by this too.

use sqlx::PgConnection;

/// Changes with the name and the team of a service, with the name and the cost center of its team, and with the name and
/// the kind of an environment. Addresses never change.
pub async fn mark(conn: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar!(
        r#"SELECT md5(coalesce(string_agg(format('%s %s %L %L %L', s.service_id, s.team_id, s.name, team.name,
                   team.cost_center), ',' ORDER BY s.service_id), '')
               || coalesce((SELECT string_agg(format('%s %s %L', e.environment_id, e.kind, e.name), ','
                                              ORDER BY e.environment_id)
                            FROM environment e), '')) AS "mark!"
           FROM service s LEFT JOIN team ON team.team_id = s.team_id"#
    )
    .fetch_one(conn)
    .await
}
