//! Shared costs as they are stored. `allocate` gives them their meaning, `rollup::splits` works them out.

use super::limits;
use super::mapping_rule_versions::Author;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

/// More splits than this are a mistake of a script: they cannot be added, so that all are read and applied.
pub const SPLIT_COUNT_MAX: i64 = 1_000;

/// A split's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitValues {
    /// What people call it.
    pub name: String,
    /// Whose cost is divided; 0 for what is not allocated.
    pub source_service_id: i64,
    /// `even`, `fixed`, `direct-cost` or `metric`.
    pub method: String,
    /// The metric's name.
    pub metric: Option<String>,
    /// `[{"service_id", "percent"}]`.
    pub targets: serde_json::Value,
    /// Whether each environment's cost is divided by what happened in that environment.
    pub by_environment: bool,
    /// The first charge day that it holds on.
    pub first_day: Option<NaiveDate>,
    /// The last charge day that it holds on.
    pub last_day: Option<NaiveDate>,
}

/// A stored split.
#[derive(Debug, Clone)]
pub struct StoredSplit {
    /// Its row.
    pub split_id: i64,
    /// Its content.
    pub values: SplitValues,
    /// How often it was saved.
    pub version: i32,
    /// Who changed it last.
    pub changed_by: String,
    /// When.
    pub changed_at: DateTime<Utc>,
    /// Why.
    pub reason: String,
}

/// Every split, in the order in which they were made.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<StoredSplit>> {
    let rows = sqlx::query!(
        r#"SELECT s.split_id, s.name, s.source_service_id, s.method, s.metric, s.targets, s.by_environment, s.first_day,
                  s.last_day, s.created_by, s.created_at, v.version AS "version?", v.changed_by AS "changed_by?",
                  v.changed_at AS "changed_at?", v.reason AS "reason?"
           FROM split s
           LEFT JOIN LATERAL (SELECT version, changed_by, changed_at, reason FROM split_version x
                              WHERE x.split_id = s.split_id ORDER BY version DESC LIMIT 1) v ON true
           ORDER BY s.split_id LIMIT $1"#,
        SPLIT_COUNT_MAX
    )
    .fetch_all(conn)
    .await?;
    let split = rows.into_iter().map(|row| StoredSplit {
        split_id: row.split_id,
        values: SplitValues {
            name: row.name,
            source_service_id: row.source_service_id,
            method: row.method,
            metric: row.metric,
            targets: row.targets,
            by_environment: row.by_environment,
            first_day: row.first_day,
            last_day: row.last_day,
        },
        version: row.version.unwrap_or(1),
        changed_by: row.changed_by.unwrap_or(row.created_by),
        changed_at: row.changed_at.unwrap_or(row.created_at),
        reason: row.reason.unwrap_or_default(),
    });
    Ok(split.collect())
}

/// Adds a split and gives its id.
pub async fn insert(conn: &mut PgConnection, values: &SplitValues, author: Author<'_>) -> sqlx::Result<i64> {
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM split"#).fetch_one(&mut *conn).await?;
    limits::room(count, SPLIT_COUNT_MAX, "shared costs")?;
    let split_id = sqlx::query_scalar!(
        "INSERT INTO split (name, source_service_id, method, metric, targets, by_environment, first_day, last_day,
             created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING split_id",
        values.name,
        values.source_service_id,
        values.method,
        values.metric,
        values.targets,
        values.by_environment,
        values.first_day,
        values.last_day,
        author.login,
        author.now,
    )
    .fetch_one(&mut *conn)
    .await?;
    keep(conn, split_id, values, "added", author).await?;
    Ok(split_id)
}

/// Replaces a split's content. False where there is no such split.
pub async fn update(
    conn: &mut PgConnection,
    split_id: i64,
    values: &SplitValues,
    author: Author<'_>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE split SET name = $2, source_service_id = $3, method = $4, metric = $5, targets = $6,
             by_environment = $7, first_day = $8, last_day = $9
         WHERE split_id = $1",
        split_id,
        values.name,
        values.source_service_id,
        values.method,
        values.metric,
        values.targets,
        values.by_environment,
        values.first_day,
        values.last_day,
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    keep(conn, split_id, values, "changed", author).await?;
    Ok(true)
}

/// Takes a split away; its versions stay.
pub async fn delete(conn: &mut PgConnection, split: &StoredSplit, author: Author<'_>) -> sqlx::Result<()> {
    keep(&mut *conn, split.split_id, &split.values, "deleted", author).await?;
    sqlx::query!("DELETE FROM split WHERE split_id = $1", split.split_id).execute(conn).await.map(drop)
}

async fn keep(
    conn: &mut PgConnection,
    split_id: i64,
    values: &SplitValues,
    action: &str,
    author: Author<'_>,
) -> sqlx::Result<()> {
    let content = serde_json::to_value(values).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query!(
        "INSERT INTO split_version (split_id, version, action, content, changed_by, changed_at, reason)
         SELECT $1, coalesce((SELECT max(version) FROM split_version WHERE split_id = $1), 0) + 1, $2, $3, $4, $5, $6",
        split_id,
        action,
        content,
        author.login,
        author.now,
        author.reason,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// A state that a split was in.
#[derive(Debug, Clone)]
pub struct SplitVersion {
    /// From 1.
    pub version: i32,
    /// `added`, `changed` or `deleted`.
    pub action: String,
    /// The content.
    pub values: SplitValues,
    /// Who made it so.
    pub changed_by: String,
    /// When.
    pub changed_at: DateTime<Utc>,
    /// Why.
    pub reason: String,
}

/// What the audit log calls a deleted split that was put back, as a new one.
pub const RESTORED: &str = "split.restored";
/// More deleted splits than these are not listed: the last ones are.
const DELETED_COUNT_MAX: i64 = 20;

/// A split that can be put back.
#[derive(Debug, Clone)]
pub struct DeletedSplit {
    /// The split that it was.
    pub split_id: i64,
    /// The version that says that it was deleted, with its last content.
    pub version: i32,
    /// What people called it.
    pub name: String,
    /// Who deleted it.
    pub changed_by: String,
    /// When.
    pub changed_at: DateTime<Utc>,
    /// Why.
    pub reason: String,
}

/// The splits that were deleted last and not put back since, the newest first.
pub async fn recently_deleted(conn: &mut PgConnection) -> sqlx::Result<Vec<DeletedSplit>> {
    sqlx::query_as!(
        DeletedSplit,
        r#"SELECT v.split_id, v.version, coalesce(v.content ->> 'name', '') AS "name!", v.changed_by, v.changed_at,
                  v.reason
           FROM split_version v
           WHERE v.action = 'deleted'
             AND NOT EXISTS (SELECT FROM split s WHERE s.split_id = v.split_id)
             AND NOT EXISTS (SELECT FROM audit_log a WHERE a.action = $1
                             AND a.details ->> 'deleted_split_id' = v.split_id::text)
           ORDER BY v.changed_at DESC, v.split_id DESC LIMIT $2"#,
        RESTORED,
        DELETED_COUNT_MAX,
    )
    .fetch_all(conn)
    .await
}

/// Every state of a split, the newest first. Empty where there never was such a split.
pub async fn versions(conn: &mut PgConnection, split_id: i64) -> sqlx::Result<Vec<SplitVersion>> {
    let rows = sqlx::query!(
        "SELECT version, action, content, changed_by, changed_at, reason FROM split_version WHERE split_id = $1
         ORDER BY version DESC LIMIT 1000",
        split_id
    )
    .fetch_all(conn)
    .await?;
    let version = |row: (serde_json::Value, SplitVersionHead)| {
        let values = serde_json::from_value(row.0).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let (version, action, changed_by, changed_at, reason) = row.1;
        Ok(SplitVersion { version, action, values, changed_by, changed_at, reason })
    };
    rows.into_iter()
        .map(|row| version((row.content, (row.version, row.action, row.changed_by, row.changed_at, row.reason))))
        .collect()
}

type SplitVersionHead = (i32, String, String, DateTime<Utc>, String);
