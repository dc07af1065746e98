//! What rules give to a team and to no service of it: an entry of its own, so that every page can show it.

use sqlx::PgConnection;

/// A team and the entry that holds its cost without a service.
#[derive(Debug, Clone)]
pub struct TeamWithShare {
    /// The team.
    pub team_id: i64,
    /// Its address.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// The entry, where there is one already.
    pub service_id: Option<i64>,
    /// What the entry is called, or will be.
    pub share_name: String,
}

/// All teams by name.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<TeamWithShare>> {
    sqlx::query_as!(
        TeamWithShare,
        r#"SELECT t.team_id, t.slug, t.name, s.service_id AS "service_id?",
                  coalesce(s.name, t.name || ', no service') AS "share_name!"
           FROM team t LEFT JOIN service s ON s.share_of_team_id = t.team_id
           ORDER BY lower(t.name), t.team_id"#
    )
    .fetch_all(conn)
    .await
}

/// Adds the entry of each of these teams that has none, and puts every entry with its team. Gives the number of those
/// added.
pub async fn add_missing(conn: &mut PgConnection, team_ids: &[i64]) -> sqlx::Result<u64> {
    // A person may have taken the short name already; then the team's number makes another.
    let added = sqlx::query!(
        "INSERT INTO service (slug, name, team_id, origin, share_of_team_id)
         SELECT CASE WHEN EXISTS (SELECT FROM service s WHERE s.slug = 'team-' || left(t.slug, 80))
                     THEN 'team-' || left(t.slug, 80) || '-' || t.team_id ELSE 'team-' || left(t.slug, 80) END,
             left(t.name, 180) || ', no service', t.team_id, 'rule', t.team_id
         FROM team t
         WHERE t.team_id = ANY($1) AND NOT EXISTS (SELECT FROM service s WHERE s.share_of_team_id = t.team_id)
         ORDER BY t.team_id",
        team_ids,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE service SET team_id = share_of_team_id WHERE share_of_team_id IS NOT NULL
             AND team_id IS DISTINCT FROM share_of_team_id"
    )
    .execute(conn)
    .await?;
    Ok(added.rows_affected())
}

/// Takes the entries away that hold nothing: no charge is theirs, no figure, present, replaced or closed, is under
/// them, and neither a person, a sender nor a rule has given them anything. Gives their number.
pub async fn remove_unused(conn: &mut PgConnection) -> sqlx::Result<u64> {
    // Most have charges, which an index tells; only for others is it worth to look through all that there may be.
    let without_charges = sqlx::query_scalar!(
        "SELECT s.service_id FROM service s
         WHERE s.share_of_team_id IS NOT NULL AND s.tier IS NULL AND s.lifecycle = 'production'
           AND NOT EXISTS (SELECT FROM key_mapping x WHERE x.service_id = s.service_id)"
    )
    .fetch_all(&mut *conn)
    .await?;
    if without_charges.is_empty() {
        return Ok(0);
    }
    let removed = sqlx::query!(
        "DELETE FROM service s
         WHERE s.service_id = ANY($1)
           AND NOT EXISTS (SELECT FROM daily_cost x WHERE x.service_id = s.service_id)
           AND NOT EXISTS (SELECT FROM monthly_cost x WHERE x.service_id = s.service_id)
           AND NOT EXISTS (SELECT FROM closed_cost x WHERE x.service_id = s.service_id)
           AND NOT EXISTS (SELECT FROM month_adjustment_cost x WHERE x.service_id = s.service_id)
           AND NOT EXISTS (SELECT FROM mapping_rule x WHERE x.service_id = s.service_id)
           AND NOT EXISTS (SELECT FROM split x WHERE x.source_service_id = s.service_id
                               OR x.targets @> jsonb_build_array(jsonb_build_object('service_id', s.service_id)))
           AND NOT EXISTS (SELECT FROM service_alias x WHERE x.service_id = s.service_id)
           AND NOT EXISTS (SELECT FROM service_detail x WHERE x.service_id = s.service_id)
           AND NOT EXISTS (SELECT FROM service_plan x WHERE x.service_id = s.service_id)
           AND NOT EXISTS (SELECT FROM deployment_service x WHERE x.service_id = s.service_id)
           AND NOT EXISTS (SELECT FROM operational_event_service x WHERE x.service_id = s.service_id)
           AND NOT EXISTS (SELECT FROM metric_point x WHERE x.service_id = s.service_id)
           AND NOT EXISTS (SELECT FROM anomaly x WHERE x.service_id = s.service_id)",
        &without_charges,
    )
    .execute(conn)
    .await?;
    Ok(removed.rows_affected())
}
