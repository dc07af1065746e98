//! Merged pull requests and pushed commits, and which of them a deployment brought.

use crate::events::{Commit, Event};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

const CHANGES_MAX: i64 = 200;

/// A pull request or a commit.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its number.
    pub change_id: i64,
    /// `owner/name`.
    pub repo: String,
    /// `owner/name#7` or the commit's hash.
    pub external_id: String,
    /// The merge commit, or the commit.
    pub sha: Option<String>,
    /// Title or first line.
    pub title: String,
    /// Login or name.
    pub author: Option<String>,
    /// `merged`, `pushed` or `abandoned`.
    pub state: String,
    /// When it was merged, made or closed.
    pub happened_at: DateTime<Utc>,
    /// Its page.
    pub url: Option<String>,
}

/// Records a closed pull request, so that the order in which it was told is no matter. What was told last of it holds:
/// closed again later, or labelled after it was merged. It was merged once, so that of several times the first was it.
pub async fn upsert(
    conn: &mut PgConnection,
    repo: &str,
    event: &Event,
    happened_at: DateTime<Utc>,
    received_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO change (repo, external_id, sha, title, author, state, happened_at, url, is_hotfix, reverts,
             facts_at, facts_received_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (repo, external_id) DO UPDATE SET sha = excluded.sha, title = excluded.title,
             author = excluded.author, state = excluded.state, url = excluded.url, is_hotfix = excluded.is_hotfix,
             reverts = excluded.reverts, facts_at = excluded.facts_at, facts_received_at = excluded.facts_received_at,
             happened_at = CASE WHEN change.state = 'merged' AND excluded.state = 'merged'
                                THEN least(change.happened_at, excluded.happened_at) ELSE excluded.happened_at END
         WHERE change.facts_at IS NULL
            OR (change.facts_at, change.facts_received_at) <= (excluded.facts_at, excluded.facts_received_at)",
        repo,
        event.external_id,
        event.sha,
        event.title.as_deref().unwrap_or_default(),
        event.actor,
        event.status_raw,
        happened_at,
        event.url,
        event.is_hotfix,
        &event.reverts,
        event.occurred_at.unwrap_or(happened_at),
        received_at,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE change SET happened_at = $4
         WHERE repo = $1 AND external_id = $2 AND state = 'merged' AND $3 = 'merged' AND happened_at > $4",
        repo,
        event.external_id,
        event.status_raw,
        happened_at,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Records pushed commits. A commit never changes, so one that is there stays until what told of it is read again.
pub async fn insert_commits(
    conn: &mut PgConnection,
    repo: &str,
    commits: &[Commit],
    pushed_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let shas: Vec<String> = commits.iter().map(|commit| commit.sha.clone()).collect();
    let titles: Vec<String> = commits.iter().map(|commit| commit.title.clone().unwrap_or_default()).collect();
    let authors: Vec<Option<String>> = commits.iter().map(|commit| commit.author.clone()).collect();
    let times: Vec<DateTime<Utc>> = commits.iter().map(|commit| commit.happened_at.unwrap_or(pushed_at)).collect();
    let urls: Vec<Option<String>> = commits.iter().map(|commit| commit.url.clone()).collect();
    // A list of lists would be one list to the database.
    let reverts: Vec<String> = commits.iter().map(|commit| commit.reverts.join(" ")).collect();
    sqlx::query!(
        "INSERT INTO change (repo, external_id, sha, title, author, state, happened_at, url, reverts)
         SELECT $1, sha, sha, title, author, 'pushed', happened_at, url, string_to_array(reverts, ' ')
         FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::text[])
             AS c (sha, title, author, happened_at, url, reverts)
         ON CONFLICT (repo, external_id) DO NOTHING",
        repo,
        &shas,
        &titles,
        &authors as &[Option<String>],
        &times,
        &urls as &[Option<String>],
        &reverts,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Deletes the rows of these pull requests and commits, repository and id by repository and id.
pub async fn delete(conn: &mut PgConnection, repos: &[String], external_ids: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM change c USING unnest($1::text[], $2::text[]) AS gone (repo, external_id)
         WHERE c.repo = gone.repo AND c.external_id = gone.external_id",
        repos,
        external_ids
    )
    .execute(conn)
    .await
    .map(drop)
}

/// What a deployment brought, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct ChangeList {
    /// The deployment that was live before; without one no list can be made.
    pub previous_deployment_id: Option<i64>,
    /// Pull requests and commits since then, newest first.
    pub changes: Vec<Change>,
    /// There are more than are listed.
    pub is_cut: bool,
}

/// The changes of the deployment's repositories between the deployment of the same service and environment that
/// was live before it, and itself, repository by repository. Where the deployed commit is known, its own time bounds the
/// list, else the time at which the deployment was made. A first deployment has no list: it did not bring all of history.
pub async fn changes_of(conn: &mut PgConnection, deployment_id: i64) -> sqlx::Result<ChangeList> {
    let previous = sqlx::query_scalar!(
        "SELECT p.deployment_id
         FROM deployment d
         JOIN deployment_service ds USING (deployment_id)
         JOIN deployment p ON p.environment_id = d.environment_id AND p.deployment_id <> d.deployment_id
             AND p.status IN ('succeeded', 'superseded')
             AND p.finished_at < coalesce(d.finished_at, d.started_at, d.created_at)
         JOIN deployment_service ps ON ps.deployment_id = p.deployment_id AND ps.service_id = ds.service_id
         WHERE d.deployment_id = $1
         ORDER BY p.finished_at DESC, p.deployment_id DESC LIMIT 1",
        deployment_id
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(previous_deployment_id) = previous else { return Ok(ChangeList::default()) };
    // A commit that is the merge of a listed pull request, or names it in its title, is that pull request.
    let mut changes = sqlx::query_as!(
        Change,
        "WITH place AS (
             SELECT d.deployment_id, r.repo FROM deployment d
             CROSS JOIN (SELECT repo FROM deployment WHERE deployment_id = $1
                         UNION SELECT repo FROM deployment_commit WHERE deployment_id = $1) r
             WHERE d.deployment_id IN ($1, $2) AND r.repo <> ''),
         known AS (SELECT p.deployment_id, p.repo, built_at(p.deployment_id, p.repo) AS at FROM place p)
         SELECT c.change_id, c.repo, c.external_id, c.sha, c.title, c.author, c.state, c.happened_at, c.url
         FROM change c
         JOIN known until ON until.deployment_id = $1 AND until.repo = c.repo
         JOIN known after ON after.deployment_id = $2 AND after.repo = c.repo
         WHERE c.happened_at > after.at AND c.happened_at <= until.at AND c.state IN ('merged', 'pushed')
           AND NOT (c.state = 'pushed' AND EXISTS (
               SELECT FROM change m WHERE m.repo = c.repo AND m.state = 'merged'
                 AND (m.sha = c.sha OR right(c.title, length(m.external_id) - length(m.repo) + 2)
                                       = '(' || substr(m.external_id, length(m.repo) + 1) || ')'
                      OR c.title LIKE 'Merge pull request ' || substr(m.external_id, length(m.repo) + 1) || ' %')))
         ORDER BY c.happened_at DESC, c.change_id DESC LIMIT $3",
        deployment_id,
        previous_deployment_id,
        CHANGES_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    let is_cut = changes.len() as i64 > CHANGES_MAX;
    changes.truncate(CHANGES_MAX as usize);
    Ok(ChangeList { previous_deployment_id: Some(previous_deployment_id), changes, is_cut })
}

/// A commit that was deployed, with what its repository told of it.
#[derive(Debug, Clone)]
pub struct DeployedCommit {
    /// `owner/name`; empty where the sender does not say.
    pub repo: String,
    /// As the sender gives it, cut or whole.
    pub sha: String,
    /// Title or first line, where a repository told of it.
    pub title: Option<String>,
    /// When it was merged or made.
    pub happened_at: Option<DateTime<Utc>>,
    /// Its page.
    pub url: Option<String>,
}

impl DeployedCommit {
    /// The repository, or that it is not known.
    pub fn repo_shown(&self) -> &str {
        if self.repo.is_empty() { "repository not told" } else { &self.repo }
    }
}

/// The commits that were deployed, by repository.
pub async fn commits_of(conn: &mut PgConnection, deployment_id: i64, limit: i64) -> sqlx::Result<Vec<DeployedCommit>> {
    sqlx::query_as!(
        DeployedCommit,
        r#"SELECT k.repo, k.sha, c.title AS "title?", c.happened_at AS "happened_at?", c.url AS "url?"
           FROM deployment_commit k
           LEFT JOIN LATERAL (
               SELECT c.title, c.happened_at, c.url FROM change c
               WHERE is_same_commit(c.sha, k.sha) AND (k.repo = '' OR c.repo = k.repo) AND c.state <> 'abandoned'
               ORDER BY c.state, c.change_id LIMIT 1) c ON true
           WHERE k.deployment_id = $1 ORDER BY k.repo, k.sha LIMIT $2"#,
        deployment_id,
        limit
    )
    .fetch_all(conn)
    .await
}
