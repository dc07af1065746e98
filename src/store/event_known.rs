//! What of the answers of a sender's API is known already: only the rest is stored.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::{HashMap, HashSet};

/// What was told of one deployment.
#[derive(Debug, Clone, Default)]
pub struct KnownDeployment {
    /// The sender's words and rising numbers.
    pub statuses: HashSet<(String, i64)>,
    /// When the last of them happened.
    pub last_at: Option<DateTime<Utc>>,
}

impl KnownDeployment {
    /// Whether its beginning was told apart from how it ended.
    pub fn has_start(&self) -> bool {
        self.statuses.iter().any(|(word, _)| word == "in_progress")
    }
}

/// What was told of these deployments of a source, by the sender's id; those that nobody told of are left out.
pub async fn deployments(
    conn: &mut PgConnection,
    event_source_id: i64,
    external_ids: &[String],
) -> sqlx::Result<HashMap<String, KnownDeployment>> {
    let rows = sqlx::query!(
        "SELECT d.external_id, s.status_raw, s.sequence, s.occurred_at
         FROM deployment d JOIN deployment_status s USING (deployment_id)
         WHERE d.event_source_id = $1 AND d.external_id = ANY($2)",
        event_source_id,
        external_ids
    )
    .fetch_all(conn)
    .await?;
    let mut known: HashMap<String, KnownDeployment> = HashMap::new();
    for row in rows {
        let deployment = known.entry(row.external_id).or_default();
        deployment.statuses.insert((row.status_raw, row.sequence));
        deployment.last_at = deployment.last_at.max(Some(row.occurred_at));
    }
    Ok(known)
}

/// How it is known of a deployment that it is not there any more: by a mark at its address.
#[derive(Debug, Clone, Copy)]
pub struct Gone<'a> {
    /// The addresses of the repository's deployments, up to their ids.
    pub path: &'a str,
    /// The mark.
    pub mark: &'a str,
}

/// The sender's ids of deployments of a repository of which more may be told, newest first: those made since a moment that
/// have not ended; after them, of `with_previews` those that stand in a preview without an end, however long ago they were made.
/// Not those that are gone.
pub async fn open_deployments(
    conn: &mut PgConnection,
    event_source_id: i64,
    repo: &str,
    since: DateTime<Utc>,
    with_previews: bool,
    gone: Gone<'_>,
    limit: i64,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT d.external_id AS "external_id!"
           FROM deployment d LEFT JOIN environment e ON e.environment_id = d.environment_id
           WHERE d.event_source_id = $1 AND d.repo = $2
             AND NOT EXISTS (SELECT FROM event_read_mark m
                             WHERE m.event_source_id = $1 AND m.address = $6 || d.external_id AND m.etag = $7)
             AND (d.created_at >= $3 AND d.status IN ('pending', 'in_progress', 'unknown')
                  OR $4::boolean AND d.standing = 'succeeded' AND e.kind = 'preview'
                     AND NOT EXISTS (SELECT FROM environment_end n
                                     WHERE n.environment_id = d.environment_id AND NOT coalesce(n.is_refused, false)))
           ORDER BY d.status IN ('pending', 'in_progress', 'unknown') DESC, d.created_at DESC, d.deployment_id DESC
           LIMIT $5"#,
        event_source_id,
        repo,
        since,
        with_previews,
        limit,
        gone.path,
        gone.mark
    )
    .fetch_all(conn)
    .await
}

/// What is known of a pull request or commit.
#[derive(Debug, Clone)]
pub struct KnownChange {
    /// `merged`, `pushed` or `abandoned`.
    pub state: String,
    /// A label says that it mends what is live.
    pub is_hotfix: bool,
}

/// How these pull requests and commits of a repository stand, by the sender's id; those that nobody told of are left out.
pub async fn changes(
    conn: &mut PgConnection,
    repo: &str,
    external_ids: &[String],
) -> sqlx::Result<HashMap<String, KnownChange>> {
    let rows = sqlx::query!(
        "SELECT external_id, state, is_hotfix FROM change WHERE repo = $1 AND external_id = ANY($2)",
        repo,
        external_ids
    )
    .fetch_all(conn)
    .await?;
    let known = rows.into_iter().map(|row| {
        let change = KnownChange { state: row.state, is_hotfix: row.is_hotfix };
        (row.external_id, change)
    });
    Ok(known.collect())
}
