//! Services: what costs are followed by.

use super::{
    CatalogueError, ENTRY_READ_MAX, check_free, check_room, check_slug, checked_aliases, checked_name, service_names,
};
use crate::store::{deployment_pins, limits, operational_event_pins};
use sqlx::PgConnection;

/// The lifecycles, in the order of a menu.
pub const LIFECYCLES: [&str; 3] = ["experimental", "production", "deprecated"];

/// A service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its row.
    pub service_id: i64,
    /// Its address; never changes.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// The address of the team that owns it.
    pub team_slug: Option<String>,
    /// The team that owns it.
    pub team_name: Option<String>,
    /// 1 is the most important.
    pub tier: Option<i16>,
    /// `experimental`, `production` or `deprecated`.
    pub lifecycle: String,
    /// `user`, `rule` or `api`.
    pub origin: String,
    /// Other names, lower case.
    pub aliases: Vec<String>,
}

/// What can be changed of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceValues {
    /// What people call it.
    pub name: String,
    /// The address of the team that owns it.
    pub team_slug: Option<String>,
    /// 1 is the most important.
    pub tier: Option<i16>,
    /// `experimental`, `production` or `deprecated`.
    pub lifecycle: String,
    /// Other names.
    pub aliases: Vec<String>,
}

impl Default for ServiceValues {
    fn default() -> Self {
        Self { name: String::new(), team_slug: None, tier: None, lifecycle: "production".into(), aliases: Vec::new() }
    }
}

impl Service {
    /// What can be changed of it, as it stands.
    pub fn values(&self) -> ServiceValues {
        ServiceValues {
            name: self.name.clone(),
            team_slug: self.team_slug.clone(),
            tier: self.tier,
            lifecycle: self.lifecycle.clone(),
            aliases: self.aliases.clone(),
        }
    }
}

impl ServiceValues {
    /// What the audit log keeps.
    pub fn details(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name,
            "team": self.team_slug,
            "tier": self.tier,
            "lifecycle": self.lifecycle,
            "aliases": self.aliases,
        })
    }
}

/// All services by name.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<Service>> {
    let rows = sqlx::query_as!(
        Service,
        r#"SELECT s.service_id, s.slug, s.name, t.slug AS "team_slug?", t.name AS "team_name?", s.tier, s.lifecycle,
                  s.origin, coalesce((SELECT array_agg(a.alias ORDER BY a.alias) FROM service_alias a
                                      WHERE a.service_id = s.service_id), '{}') AS "aliases!"
           FROM service s LEFT JOIN team t ON t.team_id = s.team_id
           ORDER BY lower(s.name), s.service_id LIMIT $1"#,
        ENTRY_READ_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ENTRY_READ_MAX, "services")
}

/// The service of that address.
pub async fn get(conn: &mut PgConnection, slug: &str) -> sqlx::Result<Option<Service>> {
    sqlx::query_as!(
        Service,
        r#"SELECT s.service_id, s.slug, s.name, t.slug AS "team_slug?", t.name AS "team_name?", s.tier, s.lifecycle,
                  s.origin, coalesce((SELECT array_agg(a.alias ORDER BY a.alias) FROM service_alias a
                                      WHERE a.service_id = s.service_id), '{}') AS "aliases!"
           FROM service s LEFT JOIN team t ON t.team_id = s.team_id WHERE s.slug = $1"#,
        slug
    )
    .fetch_optional(conn)
    .await
}

/// Adds a service. `origin` is `user` or `api`.
pub async fn insert(
    conn: &mut PgConnection,
    slug: &str,
    values: &ServiceValues,
    origin: &str,
) -> Result<i64, CatalogueError> {
    let checked = check(conn, slug, None, values).await?;
    check_slug(slug)?;
    let service_id = sqlx::query_scalar!(
        "INSERT INTO service (slug, name, team_id, tier, lifecycle, origin) VALUES ($1, $2, $3, $4, $5, $6)
         RETURNING service_id",
        slug,
        checked.name,
        checked.team_id,
        values.tier,
        values.lifecycle,
        origin,
    )
    .fetch_one(&mut *conn)
    .await?;
    replace_aliases(conn, service_id, &checked.aliases).await?;
    Ok(service_id)
}

/// Changes a service.
pub async fn update(conn: &mut PgConnection, service: &Service, values: &ServiceValues) -> Result<(), CatalogueError> {
    let checked = check(conn, &service.slug, Some(service.service_id), values).await?;
    sqlx::query!(
        "UPDATE service SET name = $2, team_id = $3, tier = $4, lifecycle = $5 WHERE service_id = $1",
        service.service_id,
        checked.name,
        checked.team_id,
        values.tier,
        values.lifecycle,
    )
    .execute(&mut *conn)
    .await?;
    Ok(replace_aliases(conn, service.service_id, &checked.aliases).await?)
}

/// Takes a service away, with its other names, the rules that name it as such and the pins of deployments and operational
/// events that name no other.
pub async fn delete(conn: &mut PgConnection, service_id: i64) -> sqlx::Result<()> {
    deployment_pins::forget_service(&mut *conn, service_id).await?;
    operational_event_pins::forget_service(&mut *conn, service_id).await?;
    sqlx::query!("DELETE FROM service WHERE service_id = $1", service_id).execute(conn).await.map(drop)
}

struct Checked {
    name: String,
    team_id: Option<i64>,
    aliases: Vec<String>,
}

async fn check(
    conn: &mut PgConnection,
    slug: &str,
    own_id: Option<i64>,
    values: &ServiceValues,
) -> Result<Checked, CatalogueError> {
    let name = checked_name(&values.name)?.to_owned();
    let aliases = checked_aliases(&values.aliases, &name, slug)?;
    if values.tier.is_some_and(|tier| !(1..=9).contains(&tier)) {
        return Err(CatalogueError::BadTier);
    }
    if !LIFECYCLES.contains(&values.lifecycle.as_str()) {
        return Err(CatalogueError::BadLifecycle);
    }
    let wanted = [slug, &name].into_iter().chain(aliases.iter().map(String::as_str));
    let taken = service_names(&mut *conn).await?;
    if own_id.is_none() {
        check_room(&taken, "services")?;
    }
    check_free(&taken, own_id, wanted)?;
    let team_id = match values.team_slug.as_deref().filter(|slug| !slug.is_empty()) {
        None => None,
        Some(team) => {
            let found = sqlx::query_scalar!("SELECT team_id FROM team WHERE slug = $1", team).fetch_optional(conn);
            Some(found.await?.ok_or_else(|| CatalogueError::NoTeam(team.chars().take(60).collect()))?)
        }
    };
    Ok(Checked { name, team_id, aliases })
}

async fn replace_aliases(conn: &mut PgConnection, service_id: i64, aliases: &[String]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM service_alias WHERE service_id = $1 AND NOT alias = ANY($2)", service_id, aliases)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "INSERT INTO service_alias (alias, service_id) SELECT alias, $1 FROM unnest($2::text[]) alias
         ON CONFLICT DO NOTHING",
        service_id,
        aliases
    )
    .execute(conn)
    .await
    .map(drop)
}
