//! Releases as pages list them. A release is no deployment: it says that a version exists, not where it runs.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// A release.
#[derive(Debug, Clone)]
pub struct ListedRelease {
    /// `owner/name`.
    pub repo: String,
    /// The tag.
    pub tag: String,
    /// Its name.
    pub title: Option<String>,
    /// `published`, `released`, `created`, `deleted` and so on.
    pub state: String,
    /// Not meant for everyone.
    pub prerelease: bool,
    /// When it was published, or was heard of.
    pub at: DateTime<Utc>,
    /// Its page at the sender.
    pub url: Option<String>,
    /// The newest deployment of this version, where one was seen.
    pub deployment_id: Option<i64>,
}

/// The releases of the repositories that the service was deployed from, the newest first. The deployment is one of
/// this service, of the version that the tag names (with or without a "v" before it), of the tag itself or of its commit.
pub async fn of_service(conn: &mut PgConnection, service_id: i64, limit: i64) -> sqlx::Result<Vec<ListedRelease>> {
    sqlx::query_as!(
        ListedRelease,
        r#"WITH own AS (SELECT d.deployment_id, d.repo, d.version, d.sha, d.status,
                               regexp_replace(d.ref, '^refs/tags/', '') AS tag
                        FROM deployment_service ds JOIN deployment d USING (deployment_id)
                        WHERE ds.service_id = $1 AND d.repo IS NOT NULL)
           SELECT r.repo, r.tag, r.title, r.state, r.prerelease,
                  coalesce(r.published_at, r.state_at, r.facts_received_at) AS "at!", r.url,
                  (SELECT max(o.deployment_id) FROM own o
                   WHERE o.repo = r.repo AND (ltrim(lower(o.version), 'v') = ltrim(lower(r.tag), 'v') OR o.sha = r.sha
                       OR o.tag = r.tag))
                      AS deployment_id
           FROM release r WHERE r.repo IN (SELECT repo FROM own)
           ORDER BY 6 DESC, r.release_id DESC LIMIT $2"#,
        service_id,
        limit
    )
    .fetch_all(conn)
    .await
}

/// The releases of a deployment's version, tag or commit. A release that was made from a branch has no commit.
pub async fn of_deployment(
    conn: &mut PgConnection,
    deployment_id: i64,
    limit: i64,
) -> sqlx::Result<Vec<ListedRelease>> {
    sqlx::query_as!(
        ListedRelease,
        r#"SELECT r.repo, r.tag, r.title, r.state, r.prerelease,
                  coalesce(r.published_at, r.state_at, r.facts_received_at) AS "at!", r.url,
                  NULL::bigint AS deployment_id
           FROM deployment d JOIN release r ON r.repo = d.repo
               AND (ltrim(lower(d.version), 'v') = ltrim(lower(r.tag), 'v') OR r.sha = d.sha
                   OR r.tag = regexp_replace(d.ref, '^refs/tags/', ''))
           WHERE d.deployment_id = $1
           ORDER BY 6 DESC, r.release_id DESC LIMIT $2"#,
        deployment_id,
        limit
    )
    .fetch_all(conn)
    .await
}

/// A release that was found.
#[derive(Debug, Clone)]
pub struct FoundRelease {
    /// The release.
    pub release: ListedRelease,
    /// The service that was deployed last from its repository.
    pub service_slug: Option<String>,
}

/// Releases by tag or name, the newest first. `text` is a pattern.
pub(super) async fn find(conn: &mut PgConnection, text: &str, limit: i64) -> sqlx::Result<Vec<FoundRelease>> {
    let rows = sqlx::query!(
        r#"SELECT r.repo, r.tag, r.title, r.state, r.prerelease,
                  coalesce(r.published_at, r.state_at, r.facts_received_at) AS "at!", r.url,
                  (SELECT max(d.deployment_id) FROM deployment d
                   WHERE d.repo = r.repo AND (ltrim(lower(d.version), 'v') = ltrim(lower(r.tag), 'v') OR d.sha = r.sha
                       OR r.tag = regexp_replace(d.ref, '^refs/tags/', '')))
                      AS deployment_id,
                  (SELECT s.slug FROM deployment d JOIN deployment_service ds USING (deployment_id)
                   JOIN service s USING (service_id)
                   WHERE d.repo = r.repo ORDER BY d.deployment_id DESC, s.slug LIMIT 1) AS service_slug
           FROM release r WHERE r.tag ILIKE '%' || $1 || '%' OR r.title ILIKE '%' || $1 || '%'
           ORDER BY 6 DESC, r.release_id DESC LIMIT $2"#,
        text,
        limit
    )
    .fetch_all(conn)
    .await?;
    let found = rows.into_iter().map(|row| FoundRelease {
        release: ListedRelease {
            repo: row.repo,
            tag: row.tag,
            title: row.title,
            state: row.state,
            prerelease: row.prerelease,
            at: row.at,
            url: row.url,
            deployment_id: row.deployment_id,
        },
        service_slug: row.service_slug,
    });
    Ok(found.collect())
}
