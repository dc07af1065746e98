//! Environments: where a service runs, and what for.

use super::{
    CatalogueError, ENTRY_READ_MAX, check_free, check_room, check_slug, checked_aliases, checked_name,
    environment_names,
};
use crate::store::limits;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// The kinds that the database accepts, in the order of a menu.
pub const KINDS: [&str; 6] = ["production", "staging", "test", "development", "preview", "other"];

/// Days without use that are told as an anomaly where nobody says another number.
pub const IDLE_DAYS: i32 = 7;
/// The most of them: before a longer rest too few days are looked at to know what is usual.
pub const IDLE_DAYS_MAX: i32 = 90;

/// An environment.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Its row.
    pub environment_id: i64,
    /// Its address; never changes.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub kind: String,
    /// When it ends, where somebody says so.
    pub last_day: Option<NaiveDate>,
    /// So many days without use are told as an anomaly.
    pub idle_days: i32,
    /// `user`, `rule` or `api`.
    pub origin: String,
    /// Other names, lower case.
    pub aliases: Vec<String>,
}

/// What can be changed of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentValues {
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub kind: String,
    /// When it ends: what it costs afterwards is listed.
    pub last_day: Option<NaiveDate>,
    /// So many days without use are told as an anomaly, 1 to [`IDLE_DAYS_MAX`].
    pub idle_days: i32,
    /// Other names.
    pub aliases: Vec<String>,
}

impl Environment {
    /// What can be changed of it, as it stands.
    pub fn values(&self) -> EnvironmentValues {
        let (name, kind, aliases) = (self.name.clone(), self.kind.clone(), self.aliases.clone());
        EnvironmentValues { name, kind, last_day: self.last_day, idle_days: self.idle_days, aliases }
    }
}

impl EnvironmentValues {
    /// What the audit log keeps.
    pub fn details(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name, "kind": self.kind, "last_day": self.last_day, "idle_days": self.idle_days,
            "aliases": self.aliases,
        })
    }
}

/// All environments by name.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<Environment>> {
    let rows = sqlx::query_as!(
        Environment,
        r#"SELECT e.environment_id, e.slug, e.name, e.kind, e.last_day, e.idle_days, e.origin,
                  coalesce((SELECT array_agg(a.alias ORDER BY a.alias) FROM environment_alias a
                            WHERE a.environment_id = e.environment_id), '{}') AS "aliases!"
           FROM environment e ORDER BY lower(e.name), e.environment_id LIMIT $1"#,
        ENTRY_READ_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ENTRY_READ_MAX, "environments")
}

/// The environment of that address.
pub async fn get(conn: &mut PgConnection, slug: &str) -> sqlx::Result<Option<Environment>> {
    sqlx::query_as!(
        Environment,
        r#"SELECT e.environment_id, e.slug, e.name, e.kind, e.last_day, e.idle_days, e.origin,
                  coalesce((SELECT array_agg(a.alias ORDER BY a.alias) FROM environment_alias a
                            WHERE a.environment_id = e.environment_id), '{}') AS "aliases!"
           FROM environment e WHERE e.slug = $1"#,
        slug
    )
    .fetch_optional(conn)
    .await
}

/// Adds an environment. `origin` is `user` or `api`.
pub async fn insert(
    conn: &mut PgConnection,
    slug: &str,
    values: &EnvironmentValues,
    origin: &str,
) -> Result<i64, CatalogueError> {
    let (name, aliases) = check(conn, slug, None, values).await?;
    check_slug(slug)?;
    let environment_id = sqlx::query_scalar!(
        "INSERT INTO environment (slug, name, kind, origin, last_day, idle_days) VALUES ($1, $2, $3, $4, $5, $6)
         RETURNING environment_id",
        slug,
        name,
        values.kind,
        origin,
        values.last_day,
        values.idle_days,
    )
    .fetch_one(&mut *conn)
    .await?;
    replace_aliases(conn, environment_id, &aliases).await?;
    Ok(environment_id)
}

/// Changes an environment.
pub async fn update(
    conn: &mut PgConnection,
    environment: &Environment,
    values: &EnvironmentValues,
) -> Result<(), CatalogueError> {
    let (name, aliases) = check(conn, &environment.slug, Some(environment.environment_id), values).await?;
    sqlx::query!(
        "UPDATE environment SET name = $2, kind = $3, last_day = $4, idle_days = $5 WHERE environment_id = $1",
        environment.environment_id,
        name,
        values.kind,
        values.last_day,
        values.idle_days,
    )
    .execute(&mut *conn)
    .await?;
    Ok(replace_aliases(conn, environment.environment_id, &aliases).await?)
}

/// Takes an environment away, with its other names and the rules that name it as such.
pub async fn delete(conn: &mut PgConnection, environment_id: i64) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM environment WHERE environment_id = $1", environment_id).execute(conn).await.map(drop)
}

async fn check(
    conn: &mut PgConnection,
    slug: &str,
    own_id: Option<i64>,
    values: &EnvironmentValues,
) -> Result<(String, Vec<String>), CatalogueError> {
    let name = checked_name(&values.name)?.to_owned();
    let aliases = checked_aliases(&values.aliases, &name, slug)?;
    if !KINDS.contains(&values.kind.as_str()) {
        return Err(CatalogueError::BadKind);
    }
    if !(1..=IDLE_DAYS_MAX).contains(&values.idle_days) {
        return Err(CatalogueError::BadIdleDays);
    }
    let wanted = [slug, &name].into_iter().chain(aliases.iter().map(String::as_str));
    let taken = environment_names(conn).await?;
    if own_id.is_none() {
        check_room(&taken, "environments")?;
    }
    check_free(&taken, own_id, wanted)?;
    Ok((name, aliases))
}

async fn replace_aliases(conn: &mut PgConnection, environment_id: i64, aliases: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM environment_alias WHERE environment_id = $1 AND NOT alias = ANY($2)",
        environment_id,
        aliases
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO environment_alias (alias, environment_id) SELECT alias, $1 FROM unnest($2::text[]) alias
         ON CONFLICT DO NOTHING",
        environment_id,
        aliases
    )
    .execute(conn)
    .await
    .map(drop)
}
