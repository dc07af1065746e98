//! Teams: who owns services, and which cost center pays.

use super::{CatalogueError, ENTRY_READ_MAX, NamedEntry, check_free, check_room, check_slug, checked_name};
use crate::store::limits;
use sqlx::PgConnection;

/// A team.
#[derive(Debug, Clone)]
pub struct Team {
    /// Its row.
    pub team_id: i64,
    /// Its address; never changes.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// The cost center that pays.
    pub cost_center: Option<String>,
    /// Services that it owns.
    pub service_count: i64,
    /// People who see its money as members.
    pub member_count: i64,
}

/// What can be changed of a team.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TeamValues {
    /// What people call it.
    pub name: String,
    /// The cost center that pays.
    pub cost_center: Option<String>,
}

impl Team {
    /// What can be changed of it, as it stands.
    pub fn values(&self) -> TeamValues {
        TeamValues { name: self.name.clone(), cost_center: self.cost_center.clone() }
    }
}

impl TeamValues {
    /// What the audit log keeps.
    pub fn details(&self) -> serde_json::Value {
        serde_json::json!({ "name": self.name, "cost_center": self.cost_center })
    }
}

/// All teams by name.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<Team>> {
    let rows = sqlx::query_as!(
        Team,
        r#"SELECT t.team_id, t.slug, t.name, t.cost_center,
                  (SELECT count(*) FROM service s WHERE s.team_id = t.team_id) AS "service_count!",
                  (SELECT count(*) FROM user_team u WHERE u.team_id = t.team_id) AS "member_count!"
           FROM team t ORDER BY lower(t.name), t.team_id LIMIT $1"#,
        ENTRY_READ_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ENTRY_READ_MAX, "teams")
}

/// The team of that address.
pub async fn get(conn: &mut PgConnection, slug: &str) -> sqlx::Result<Option<Team>> {
    sqlx::query_as!(
        Team,
        r#"SELECT t.team_id, t.slug, t.name, t.cost_center,
                  (SELECT count(*) FROM service s WHERE s.team_id = t.team_id) AS "service_count!",
                  (SELECT count(*) FROM user_team u WHERE u.team_id = t.team_id) AS "member_count!"
           FROM team t WHERE t.slug = $1"#,
        slug
    )
    .fetch_optional(conn)
    .await
}

/// Adds a team.
pub async fn insert(conn: &mut PgConnection, slug: &str, values: &TeamValues) -> Result<i64, CatalogueError> {
    let name = checked_name(&values.name)?;
    check_slug(slug)?;
    let taken = names(conn).await?;
    check_room(&taken, "teams")?;
    check_free(&taken, None, [slug, name].into_iter())?;
    let added = sqlx::query_scalar!(
        "INSERT INTO team (slug, name, cost_center) VALUES ($1, $2, $3) RETURNING team_id",
        slug,
        name,
        cost_center(values)?,
    );
    Ok(added.fetch_one(conn).await?)
}

/// Changes a team.
pub async fn update(conn: &mut PgConnection, team_id: i64, values: &TeamValues) -> Result<(), CatalogueError> {
    let name = checked_name(&values.name)?;
    check_free(&names(conn).await?, Some(team_id), std::iter::once(name))?;
    sqlx::query!(
        "UPDATE team SET name = $2, cost_center = $3 WHERE team_id = $1",
        team_id,
        name,
        cost_center(values)?,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes a team away: its services belong to no team then, its members see no money through it.
pub async fn delete(conn: &mut PgConnection, team_id: i64) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM team WHERE team_id = $1", team_id).execute(conn).await.map(drop)
}

fn cost_center(values: &TeamValues) -> Result<Option<&str>, CatalogueError> {
    let text = values.cost_center.as_deref().map(str::trim).filter(|text| !text.is_empty());
    text.map(checked_name).transpose()
}

async fn names(conn: &mut PgConnection) -> sqlx::Result<Vec<NamedEntry>> {
    sqlx::query_as!(
        NamedEntry,
        r#"SELECT name AS "name!", id AS "id!" FROM (
               SELECT 1 AS rank, slug AS name, team_id AS id FROM team
               UNION ALL SELECT 2, name, team_id FROM team) AS n ORDER BY rank, id"#
    )
    .fetch_all(conn)
    .await
}
