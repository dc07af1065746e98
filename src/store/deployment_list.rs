//! Deployments as pages list them. A deployment shows no money, so these reads take no scope.

use super::Scope;
use crate::events;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

const REPOSITORIES_SHOWN: usize = 3;
/// What is said of a deployment that brought nothing new.
pub const SAME_VERSION: &str = "the same version again";

/// A deployment in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDeployment {
    /// The deployment.
    pub deployment_id: i64,
    /// When it went live, as far as it is known.
    pub at: DateTime<Utc>,
    /// When it began, where that is known and was before it went live.
    pub started_at: Option<DateTime<Utc>>,
    /// The sender gave no time: it is that of receipt.
    pub time_is_received: bool,
    /// `succeeded`, `failed`, …
    pub status: String,
    /// Since when.
    pub status_at: DateTime<Utc>,
    /// `deploy`, `rollback`, …
    pub kind: String,
    /// Its version was live already, for each of its services.
    pub is_noop: bool,
    /// What was deployed, as `owner/name@commit`, in order.
    pub commits: Vec<String>,
    /// What was deployed.
    pub version: Option<String>,
    /// The commit.
    pub sha: Option<String>,
    /// What it is about.
    pub title: Option<String>,
    /// Who or what started it.
    pub actor: Option<String>,
    /// Where the code lies.
    pub repo: Option<String>,
    /// 0 where no rule names one.
    pub environment_id: i64,
    /// The environment's address.
    pub environment_slug: Option<String>,
    /// What people call it; the sender's word where no rule names one.
    pub environment_name: Option<String>,
    /// `production`, …
    pub environment_kind: Option<String>,
    /// Addresses of its services, in order of names.
    pub service_slugs: Vec<String>,
    /// Names of its services, in the same order.
    pub service_names: Vec<String>,
}

impl ListedDeployment {
    /// The version, else the short commit, else the number.
    pub fn label(&self) -> String {
        label_of(self.deployment_id, self.version.as_deref(), self.sha.as_deref())
    }

    /// Where the code lies: the repositories of all commits, else the one that its sender names.
    pub fn repositories(&self) -> Vec<&str> {
        let mut found: Vec<&str> =
            self.commits.iter().filter_map(|commit| commit.rsplit_once('@')).map(|(repo, _)| repo).collect();
        found.extend(self.repo.as_deref());
        found.retain(|repo| !repo.is_empty());
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The first of [`Self::repositories`], and how many more there are.
    pub fn repositories_shown(&self) -> String {
        let all = self.repositories();
        let shown = all[..all.len().min(REPOSITORIES_SHOWN)].join(", ");
        match all.len() - all.len().min(REPOSITORIES_SHOWN) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    }

    /// How it came to be, beside a plain deployment: `rollback`, `config sync`, `the same version again`.
    pub fn remarks(&self) -> Vec<String> {
        let kind = (self.kind != "deploy").then(|| self.kind.replace('_', " "));
        kind.into_iter().chain(self.is_noop.then(|| SAME_VERSION.to_owned())).collect()
    }

    /// Whether nobody said for more than a day how it ended.
    pub fn is_stale(&self, now: &DateTime<Utc>) -> bool {
        events::is_stale(&self.status, self.status_at, *now)
    }

    /// Whether it went live at all.
    pub fn went_live(&self) -> bool {
        not_live(&self.status).is_none()
    }

    /// Why it has no effect, where it did not go live.
    pub fn not_live(&self) -> Option<&'static str> {
        not_live(&self.status)
    }
}

/// Why a deployment with this state has no effect: said alike wherever one would stand. Nothing of what went live.
pub fn not_live(status: &str) -> Option<&'static str> {
    match status {
        "succeeded" | "superseded" => None,
        "pending" | "in_progress" => Some("not live yet"),
        _ => Some("did not go live: nothing to compare"),
    }
}

/// The version of a deployment, else its short commit, else its number.
pub fn label_of(deployment_id: i64, version: Option<&str>, sha: Option<&str>) -> String {
    match (version, sha) {
        (Some(version), _) if !version.is_empty() => version.to_owned(),
        (_, Some(sha)) if !sha.is_empty() => sha.chars().take(7).collect(),
        _ => format!("Deployment {deployment_id}"),
    }
}

/// Which deployments. What is `None` is not restricted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeploymentFilter {
    /// One that serves this service; `Some(0)`: one that no rule maps to any.
    pub service_id: Option<i64>,
    /// Into this environment; `Some(0)`: one that no rule maps to any.
    pub environment_id: Option<i64>,
    /// Of a service of this team.
    pub team_id: Option<i64>,
    /// With this state.
    pub status: Option<String>,
    /// From this day on.
    pub from: Option<NaiveDate>,
    /// Before this day.
    pub until: Option<NaiveDate>,
    /// Older than this one: the next page.
    pub older_than: Option<(DateTime<Utc>, i64)>,
    /// With this answer about its effect (`measuring`: none yet) on the cost of a service within the scope. What did not go
    /// live, or deployed what was there, has none.
    pub finding: Option<(String, Scope)>,
}

/// The newest first, at most `limit`.
pub async fn list(
    conn: &mut PgConnection,
    filter: &DeploymentFilter,
    limit: i64,
) -> sqlx::Result<Vec<ListedDeployment>> {
    let (older_at, older_id) = filter.older_than.unzip();
    sqlx::query_as!(
        ListedDeployment,
        r#"
        SELECT
            d.deployment_id, coalesce(d.finished_at, d.started_at, d.created_at) AS "at!", d.time_is_received,
            CASE WHEN d.started_at < d.finished_at THEN d.started_at END AS "started_at?",
            d.standing AS status, CASE WHEN d.standing = d.status THEN d.status_at ELSE d.superseded_at END AS "status_at!",
            d.kind, d.version, d.sha, d.title, d.actor, d.repo, s.is_noop AS "is_noop!",
            c.commits AS "commits!",
            coalesce(d.environment_id, 0) AS "environment_id!", e.slug AS "environment_slug?",
            coalesce(e.name, d.environment_raw) AS environment_name, e.kind AS "environment_kind?",
            s.slugs AS "service_slugs!", s.names AS "service_names!"
        FROM deployment d
        LEFT JOIN environment e ON e.environment_id = d.environment_id
        CROSS JOIN LATERAL (
            SELECT coalesce(array_agg(service.slug ORDER BY service.name), '{}') AS slugs,
                coalesce(array_agg(service.name ORDER BY service.name), '{}') AS names,
                coalesce(bool_and(ds.is_noop), false) AS is_noop
            FROM deployment_service ds JOIN service ON service.service_id = ds.service_id
            WHERE ds.deployment_id = d.deployment_id
        ) s
        CROSS JOIN LATERAL (
            SELECT coalesce(array_agg(k.repo || '@' || k.sha ORDER BY k.repo, k.sha), '{}') AS commits
            FROM deployment_commit k WHERE k.deployment_id = d.deployment_id
        ) c
        WHERE ($1::bigint IS NULL OR d.deployment_id IN (SELECT deployment_id FROM deployment_service WHERE service_id = $1)
                OR ($1 = 0 AND NOT EXISTS (SELECT 1 FROM deployment_service ds WHERE ds.deployment_id = d.deployment_id)))
          AND ($2::bigint IS NULL OR coalesce(d.environment_id, 0) = $2)
          AND ($3::bigint IS NULL OR EXISTS (
                SELECT 1 FROM deployment_service ds JOIN service ON service.service_id = ds.service_id
                WHERE ds.deployment_id = d.deployment_id AND coalesce(service.team_id, 0) = $3))
          AND ($4::text IS NULL OR d.standing = $4)
          AND ($5::date IS NULL OR coalesce(d.finished_at, d.started_at, d.created_at) >= $5::date::timestamp AT TIME ZONE 'UTC')
          AND ($6::date IS NULL OR coalesce(d.finished_at, d.started_at, d.created_at) < $6::date::timestamp AT TIME ZONE 'UTC')
          AND ($10::text IS NULL OR EXISTS (
                SELECT 1 FROM current_deployment_effect f
                JOIN deployment_service fs ON fs.deployment_id = f.deployment_id AND fs.service_id = f.service_id
                JOIN service ON service.service_id = f.service_id
                WHERE f.deployment_id = d.deployment_id AND f.environment_id = d.environment_id
                  AND d.status IN ('succeeded', 'superseded') AND NOT fs.is_noop
                  AND (f.finding = $10 AND f.phase <> 'measuring' OR f.phase = $10)
                  AND ($11::bigint[] IS NULL OR service.team_id = ANY($11))))
          AND ($7::timestamptz IS NULL
                OR (coalesce(d.finished_at, d.started_at, d.created_at), d.deployment_id) < ($7, $8::bigint))
        ORDER BY coalesce(d.finished_at, d.started_at, d.created_at) DESC, d.deployment_id DESC
        LIMIT $9
        "#,
        filter.service_id,
        filter.environment_id,
        filter.team_id,
        filter.status,
        filter.from,
        filter.until,
        older_at,
        older_id,
        limit,
        filter.finding.as_ref().map(|(finding, _)| finding.as_str()),
        filter.finding.as_ref().and_then(|(_, scope)| scope.team_ids()),
    )
    .fetch_all(conn)
    .await
}

/// The deployments of one service in order of time, the newest first. Found by the service, so that a page of
/// one service does not walk all deployments.
pub async fn of_service(
    conn: &mut PgConnection,
    service_id: i64,
    from: NaiveDate,
    until: NaiveDate,
    limit: i64,
) -> sqlx::Result<Vec<ListedDeployment>> {
    sqlx::query_as!(
        ListedDeployment,
        r#"
        SELECT
            d.deployment_id, coalesce(d.finished_at, d.started_at, d.created_at) AS "at!", d.time_is_received,
            CASE WHEN d.started_at < d.finished_at THEN d.started_at END AS "started_at?",
            d.standing AS status, CASE WHEN d.standing = d.status THEN d.status_at ELSE d.superseded_at END AS "status_at!",
            d.kind, d.version, d.sha, d.title, d.actor, d.repo, ds.is_noop AS "is_noop!",
            c.commits AS "commits!",
            coalesce(d.environment_id, 0) AS "environment_id!", e.slug AS "environment_slug?",
            coalesce(e.name, d.environment_raw) AS environment_name, e.kind AS "environment_kind?",
            '{}'::text[] AS "service_slugs!", '{}'::text[] AS "service_names!"
        FROM deployment_service ds
        JOIN deployment d ON d.deployment_id = ds.deployment_id
        LEFT JOIN environment e ON e.environment_id = d.environment_id
        CROSS JOIN LATERAL (
            SELECT coalesce(array_agg(k.repo || '@' || k.sha ORDER BY k.repo, k.sha), '{}') AS commits
            FROM deployment_commit k WHERE k.deployment_id = d.deployment_id
        ) c
        WHERE ds.service_id = $1
          AND coalesce(d.finished_at, d.started_at, d.created_at) >= $2::date::timestamp AT TIME ZONE 'UTC'
          AND coalesce(d.finished_at, d.started_at, d.created_at) < $3::date::timestamp AT TIME ZONE 'UTC'
        ORDER BY 2 DESC, 1 DESC
        LIMIT $4
        "#,
        service_id,
        from,
        until,
        limit,
    )
    .fetch_all(conn)
    .await
}
