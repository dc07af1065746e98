//! Finding a thing by a piece of its name.

use super::Scope;
use super::release_lists::{self, FoundRelease};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Something with an address.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The last part of its address: a slug or an id.
    pub key: String,
    /// Its name.
    pub name: String,
    /// What else tells it apart.
    pub detail: String,
}

/// `%` and `_` of the reader's text stand for themselves.
fn pattern(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// Services by name, slug or alias. Names are open to everyone; money is not shown here.
pub async fn services(conn: &mut PgConnection, text: &str, limit: i64) -> sqlx::Result<Vec<Hit>> {
    sqlx::query_as!(
        Hit,
        r#"SELECT s.slug AS key, s.name, coalesce(team.name, '') AS "detail!"
           FROM service s LEFT JOIN team ON team.team_id = s.team_id
           WHERE s.name ILIKE '%' || $1 || '%' OR s.slug ILIKE '%' || $1 || '%'
              OR EXISTS (SELECT 1 FROM service_alias a WHERE a.service_id = s.service_id AND a.alias LIKE lower($1) || '%')
           ORDER BY (lower(s.name) = lower($1)) DESC, position(lower($1) IN lower(s.name)), s.name LIMIT $2"#,
        pattern(text),
        limit
    )
    .fetch_all(conn)
    .await
}

/// Teams by name, slug or cost center.
pub async fn teams(conn: &mut PgConnection, text: &str, limit: i64) -> sqlx::Result<Vec<Hit>> {
    sqlx::query_as!(
        Hit,
        r#"SELECT slug AS key, name, coalesce('Cost center ' || cost_center, '') AS "detail!" FROM team
           WHERE name ILIKE '%' || $1 || '%' OR slug ILIKE '%' || $1 || '%' OR cost_center ILIKE $1 || '%'
           ORDER BY name LIMIT $2"#,
        pattern(text),
        limit
    )
    .fetch_all(conn)
    .await
}

/// Environments by name, slug, kind or alias.
pub async fn environments(conn: &mut PgConnection, text: &str, limit: i64) -> sqlx::Result<Vec<Hit>> {
    sqlx::query_as!(
        Hit,
        r#"SELECT e.slug AS key, e.name, e.kind AS detail FROM environment e
           WHERE e.name ILIKE '%' || $1 || '%' OR e.slug ILIKE '%' || $1 || '%' OR e.kind ILIKE $1 || '%'
              OR EXISTS (SELECT 1 FROM environment_alias a
                         WHERE a.environment_id = e.environment_id AND a.alias LIKE lower($1) || '%')
           ORDER BY e.name LIMIT $2"#,
        pattern(text),
        limit
    )
    .fetch_all(conn)
    .await
}

/// A deployment that was found.
#[derive(Debug, Clone)]
pub struct DeploymentHit {
    /// The deployment.
    pub deployment_id: i64,
    /// Version, title or commit.
    pub name: String,
    /// Its services.
    pub services: String,
    /// Where to.
    pub environment: String,
    /// When.
    pub happened_at: DateTime<Utc>,
}

/// Deployments by version, title, reference or the start of a commit, newest first.
pub async fn deployments(conn: &mut PgConnection, text: &str, limit: i64) -> sqlx::Result<Vec<DeploymentHit>> {
    sqlx::query_as!(
        DeploymentHit,
        r#"SELECT d.deployment_id, coalesce(d.version, d.title, left(d.sha, 10), d.external_id) AS "name!",
                  coalesce((SELECT string_agg(s.name, ', ' ORDER BY s.name) FROM deployment_service ds
                            JOIN service s ON s.service_id = ds.service_id WHERE ds.deployment_id = d.deployment_id),
                           d.repo, '') AS "services!",
                  coalesce(e.name, d.environment_raw, '') AS "environment!",
                  coalesce(d.finished_at, d.started_at, d.created_at) AS "happened_at!"
           FROM deployment d LEFT JOIN environment e ON e.environment_id = d.environment_id
           WHERE d.version ILIKE '%' || $1 || '%' OR d.title ILIKE '%' || $1 || '%' OR d.ref ILIKE '%' || $1 || '%'
              OR (length($1) >= 4 AND d.sha LIKE lower($1) || '%')
           ORDER BY coalesce(d.finished_at, d.started_at, d.created_at) DESC, d.deployment_id DESC LIMIT $2"#,
        pattern(text),
        limit
    )
    .fetch_all(conn)
    .await
}

/// Releases by tag or name, newest first.
pub async fn releases(conn: &mut PgConnection, text: &str, limit: i64) -> sqlx::Result<Vec<FoundRelease>> {
    release_lists::find(conn, &pattern(text), limit).await
}

/// Resources whose id or name starts so, within the scope. A bill names them, so a member finds the own only.
pub async fn resources(conn: &mut PgConnection, scope: &Scope, text: &str, limit: i64) -> sqlx::Result<Vec<Hit>> {
    sqlx::query_as!(
        Hit,
        r#"SELECT DISTINCT cg.resource_id AS "key!", coalesce(nullif(cg.resource_name, ''), cg.resource_id) AS "name!",
                  coalesce(service.name, 'Not allocated') AS "detail!"
           FROM charge_group cg
           JOIN rollup_key k ON k.sub_account_key = cg.sub_account_key AND k.rollup_key_id = cg.rollup_key_id
           -- Whose it is on the last days: rules that held before are not shown here.
           JOIN key_mapping m ON m.sub_account_key = k.sub_account_key AND m.rollup_key_id = k.rollup_key_id
               AND m.end_day = '9999-12-31'
           LEFT JOIN service ON service.service_id = m.service_id
           WHERE (cg.resource_id ILIKE $2 || '%' OR cg.resource_name ILIKE $2 || '%') AND cg.resource_id <> ''
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
           ORDER BY 2, 1 LIMIT $3"#,
        scope.team_ids(),
        pattern(text),
        limit
    )
    .fetch_all(conn)
    .await
}

/// Deliveries by file name, source or content hash.
pub async fn deliveries(conn: &mut PgConnection, text: &str, limit: i64) -> sqlx::Result<Vec<Hit>> {
    sqlx::query_as!(
        Hit,
        r#"SELECT d.delivery_id::text AS "key!", d.file_name AS name,
                  coalesce(source.name || ', ', '') || d.state AS "detail!"
           FROM delivery d LEFT JOIN source ON source.source_id = d.source_id
           WHERE d.file_name ILIKE '%' || $1 || '%' OR source.name ILIKE '%' || $1 || '%'
              OR (length($1) >= 8 AND d.content_sha256 LIKE lower($1) || '%') OR d.delivery_id::text = $1
           ORDER BY d.delivery_id DESC LIMIT $2"#,
        pattern(text),
        limit
    )
    .fetch_all(conn)
    .await
}

#[cfg(test)]
mod tests {
    use super::pattern;

    #[test]
    fn wildcards_of_the_reader_stand_for_themselves() {
        assert_eq!(pattern(r"100%_a\b"), r"100\%\_a\\b");
    }
}
