//! What an entry answers to, and entries that come from names in bills and events.

use sqlx::PgConnection;

/// A name and the entry that it stands for. Slugs come first, then names, then aliases, each by id: the first counts.
#[derive(Debug)]
pub struct NamedEntry {
    /// A slug, a name or an alias.
    pub name: String,
    /// The entry.
    pub id: i64,
}

/// A service that a rule adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewService {
    /// Its address.
    pub slug: String,
    /// As the bill or the event wrote it.
    pub name: String,
}

/// An environment that a rule adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEnvironment {
    /// Its address.
    pub slug: String,
    /// As the bill or the event wrote it.
    pub name: String,
    /// What the name suggests.
    pub kind: String,
}

/// All names of services.
pub async fn service_names(conn: &mut PgConnection) -> sqlx::Result<Vec<NamedEntry>> {
    sqlx::query_as!(
        NamedEntry,
        r#"SELECT name AS "name!", id AS "id!" FROM (
               SELECT 1 AS rank, slug AS name, service_id AS id FROM service
               UNION ALL SELECT 2, name, service_id FROM service
               UNION ALL SELECT 3, alias, service_id FROM service_alias) AS n
           ORDER BY rank, id"#
    )
    .fetch_all(conn)
    .await
}

/// All names of environments.
pub async fn environment_names(conn: &mut PgConnection) -> sqlx::Result<Vec<NamedEntry>> {
    sqlx::query_as!(
        NamedEntry,
        r#"SELECT name AS "name!", id AS "id!" FROM (
               SELECT 1 AS rank, slug AS name, environment_id AS id FROM environment
               UNION ALL SELECT 2, name, environment_id FROM environment
               UNION ALL SELECT 3, alias, environment_id FROM environment_alias) AS n
           ORDER BY rank, id"#
    )
    .fetch_all(conn)
    .await
}

/// Adds services that are not there yet and gives the id of each slug. Two writers at once add one.
pub async fn add_services(conn: &mut PgConnection, new: &[NewService]) -> sqlx::Result<Vec<(String, i64)>> {
    let slugs: Vec<String> = new.iter().map(|one| one.slug.clone()).collect();
    let names: Vec<String> = new.iter().map(|one| one.name.clone()).collect();
    sqlx::query!(
        "INSERT INTO service (slug, name, origin)
         SELECT slug, name, 'rule' FROM unnest($1::text[], $2::text[]) AS n (slug, name) ORDER BY slug
         ON CONFLICT (slug) DO NOTHING",
        &slugs,
        &names,
    )
    .execute(&mut *conn)
    .await?;
    let rows =
        sqlx::query!("SELECT slug, service_id FROM service WHERE slug = ANY($1)", &slugs).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.slug, row.service_id)).collect())
}

/// Adds environments that are not there yet and gives the id of each slug. Two writers at once add one.
pub async fn add_environments(conn: &mut PgConnection, new: &[NewEnvironment]) -> sqlx::Result<Vec<(String, i64)>> {
    let slugs: Vec<String> = new.iter().map(|one| one.slug.clone()).collect();
    let names: Vec<String> = new.iter().map(|one| one.name.clone()).collect();
    let kinds: Vec<String> = new.iter().map(|one| one.kind.clone()).collect();
    sqlx::query!(
        "INSERT INTO environment (slug, name, kind, origin)
         SELECT slug, name, kind, 'rule' FROM unnest($1::text[], $2::text[], $3::text[]) AS n (slug, name, kind)
         ORDER BY slug
         ON CONFLICT (slug) DO NOTHING",
        &slugs,
        &names,
        &kinds,
    )
    .execute(&mut *conn)
    .await?;
    let rows = sqlx::query!("SELECT slug, environment_id FROM environment WHERE slug = ANY($1)", &slugs)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.slug, row.environment_id)).collect())
}
