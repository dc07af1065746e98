//! Deployments as the API and pages list them: with the names that the catalogue gives, and page by page.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

/// How a deployment can stand.
pub const STANDINGS: [&str; 7] = ["pending", "in_progress", "succeeded", "failed", "canceled", "superseded", "unknown"];

/// Which deployments. Everything absent takes all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Slug of the service.
    pub service: Option<String>,
    /// Slug of the environment.
    pub environment: Option<String>,
    /// How it stands.
    pub status: Option<String>,
    /// `owner/name`.
    pub repo: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Effective from this time on.
    pub from: Option<DateTime<Utc>>,
    /// Effective before this time.
    pub until: Option<DateTime<Utc>>,
    /// Only those that lack a service or an environment.
    pub is_unmapped: bool,
    /// Only what follows this one, in the list's order.
    pub after: Option<(DateTime<Utc>, i64)>,
}

/// A service of a deployment.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[schema(as = DeploymentService)]
pub struct ServiceOf {
    /// Its short name.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// The version was live already.
    pub is_noop: bool,
    /// The version was live before another one.
    pub is_rollback: bool,
    /// When the next deployment of the service in this environment went live, or it was removed from there.
    pub superseded_at: Option<DateTime<Utc>>,
}

/// A commit of a deployment.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[schema(as = DeploymentCommit)]
pub struct CommitOf {
    /// `owner/name`.
    pub repo: String,
    /// Hash.
    pub sha: String,
}

/// A part of the traffic went to the new version.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[schema(as = DeploymentStep)]
pub struct StepOf {
    /// From when on.
    pub at: DateTime<Utc>,
    /// How much of it, in percent.
    pub weight_percent: i64,
}

/// A deployment.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the column of that name; see the migration")]
pub struct Row {
    pub deployment_id: i64,
    pub source_name: String,
    pub external_id: String,
    pub repo: Option<String>,
    pub environment_raw: Option<String>,
    pub service_raw: Vec<String>,
    pub service_unmapped: Vec<String>,
    pub attributes: serde_json::Value,
    pub environment_slug: Option<String>,
    pub environment_name: Option<String>,
    pub environment_kind: Option<String>,
    pub status: String,
    pub status_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub superseded_at: Option<DateTime<Utc>>,
    pub time_is_received: bool,
    pub attempts: i32,
    pub version: Option<String>,
    pub sha: Option<String>,
    pub git_ref: Option<String>,
    pub title: Option<String>,
    pub actor: Option<String>,
    pub url: Option<String>,
    pub environment_url: Option<String>,
    pub kind: String,
    pub strategy: Option<String>,
    pub steps: Json<Vec<StepOf>>,
    pub group_id: Option<String>,
    /// When it took effect, or was last heard of: the list's order.
    pub listed_at: DateTime<Utc>,
    pub services: Json<Vec<ServiceOf>>,
    pub commits: Json<Vec<CommitOf>>,
}

/// Deployments, the latest first.
pub async fn list(conn: &mut PgConnection, filter: &Filter, limit: i64) -> sqlx::Result<Vec<Row>> {
    select(conn, filter, None, limit).await
}

/// One deployment.
pub async fn get(conn: &mut PgConnection, deployment_id: i64) -> sqlx::Result<Option<Row>> {
    Ok(select(conn, &Filter::default(), Some(deployment_id), 1).await?.pop())
}

/// Whether any deployment is of this repository.
pub async fn has_repo(conn: &mut PgConnection, repo: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM deployment WHERE repo = $1) AS "has_repo!""#, repo)
        .fetch_one(conn)
        .await
}

/// The number of a deployment by the id that its sender gave.
pub async fn find_by_external_id(
    conn: &mut PgConnection,
    event_source_id: i64,
    external_id: &str,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "SELECT deployment_id FROM deployment WHERE event_source_id = $1 AND external_id = $2",
        event_source_id,
        external_id
    )
    .fetch_optional(conn)
    .await
}

async fn select(
    conn: &mut PgConnection,
    filter: &Filter,
    deployment_id: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    let (after_time, after_id) = filter.after.unzip();
    sqlx::query_as!(
        Row,
        r#"SELECT d.deployment_id, s.name AS source_name, d.external_id, d.repo, d.environment_raw, d.service_raw,
                  d.service_unmapped, d.attributes, e.slug AS "environment_slug?", e.name AS "environment_name?",
                  e.kind AS "environment_kind?", d.standing AS status,
                  CASE WHEN d.standing = d.status THEN d.status_at ELSE d.superseded_at END AS "status_at!", d.created_at, d.started_at, d.finished_at,
                  d.superseded_at, d.time_is_received, d.attempts, d.version, d.sha, d.ref AS git_ref, d.title,
                  d.actor, d.url, d.environment_url, d.kind, d.strategy, d.group_id,
                  d.steps AS "steps: Json<Vec<StepOf>>",
                  coalesce(d.finished_at, d.started_at, d.created_at) AS "listed_at!",
                  coalesce((SELECT jsonb_agg(jsonb_build_object('slug', v.slug, 'name', v.name,
                                'is_noop', ds.is_noop, 'is_rollback', ds.is_rollback,
                                'superseded_at', ds.superseded_at) ORDER BY v.slug)
                            FROM deployment_service ds JOIN service v USING (service_id)
                            WHERE ds.deployment_id = d.deployment_id), '[]') AS "services!: Json<Vec<ServiceOf>>",
                  coalesce((SELECT jsonb_agg(jsonb_build_object('repo', c.repo, 'sha', c.sha) ORDER BY c.repo, c.sha)
                            FROM deployment_commit c
                            WHERE c.deployment_id = d.deployment_id), '[]') AS "commits!: Json<Vec<CommitOf>>"
           FROM deployment d JOIN event_source s USING (event_source_id)
           LEFT JOIN environment e USING (environment_id)
           WHERE ($1::bigint IS NULL OR d.deployment_id = $1)
             AND ($2::text IS NULL OR EXISTS (SELECT FROM deployment_service ds JOIN service v USING (service_id)
                                              WHERE ds.deployment_id = d.deployment_id AND v.slug = $2))
             AND ($3::text IS NULL OR e.slug = $3)
             AND ($4::text IS NULL OR d.standing = $4)
             AND ($5::text IS NULL OR d.repo = $5)
             AND ($6::text IS NULL OR d.version = $6)
             AND ($7::timestamptz IS NULL OR coalesce(d.finished_at, d.started_at, d.created_at) >= $7)
             AND ($8::timestamptz IS NULL OR coalesce(d.finished_at, d.started_at, d.created_at) < $8)
             AND (NOT $9 OR d.environment_id IS NULL OR d.service_unmapped <> '{}'
                  OR NOT EXISTS (SELECT FROM deployment_service ds WHERE ds.deployment_id = d.deployment_id))
             AND ($10::timestamptz IS NULL
                  OR (coalesce(d.finished_at, d.started_at, d.created_at), d.deployment_id) < ($10, $11))
           ORDER BY coalesce(d.finished_at, d.started_at, d.created_at) DESC, d.deployment_id DESC LIMIT $12"#,
        deployment_id,
        filter.service,
        filter.environment,
        filter.status,
        filter.repo,
        filter.version,
        filter.from,
        filter.until,
        filter.is_unmapped,
        after_time,
        after_id,
        limit,
    )
    .fetch_all(conn)
    .await
}
