//! The tag standard as it is stored.

use super::limits;
use super::mapping_rule_versions::Author;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Tag rules that are kept at most, as many as [`list`] reads.
pub const RULE_COUNT_MAX: i64 = 500;

/// A stored tag rule.
#[derive(Debug, Clone)]
pub struct StoredTagRule {
    /// Its row.
    pub tag_rule_id: i64,
    /// Its content.
    pub values: TagRuleValues,
    /// Who changed it last.
    pub changed_by: String,
    /// When.
    pub changed_at: DateTime<Utc>,
    /// Why.
    pub reason: String,
}

/// A tag rule's content.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TagRuleValues {
    /// The key.
    pub tag_key: String,
    /// Other keys that count.
    pub aliases: Vec<String>,
    /// The kinds of environment that it is asked of; none means everywhere.
    pub environment_kinds: Vec<String>,
    /// `[{"value", "aliases"}]`; none means any.
    pub allowed_values: serde_json::Value,
    /// Whether a value has to be written in the very letters.
    pub is_exact_case: bool,
}

/// Every tag rule by key.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<StoredTagRule>> {
    let rows =
        sqlx::query!("SELECT * FROM tag_rule ORDER BY lower(tag_key) LIMIT $1", RULE_COUNT_MAX).fetch_all(conn).await?;
    let rule = rows.into_iter().map(|row| StoredTagRule {
        tag_rule_id: row.tag_rule_id,
        values: TagRuleValues {
            tag_key: row.tag_key,
            aliases: row.aliases,
            environment_kinds: row.environment_kinds,
            allowed_values: row.allowed_values,
            is_exact_case: row.is_exact_case,
        },
        changed_by: row.changed_by,
        changed_at: row.changed_at,
        reason: row.reason,
    });
    Ok(rule.collect())
}

/// Adds a tag rule, or replaces the one of this id. None where its key is asked for already, or there is no such id.
pub async fn save(
    conn: &mut PgConnection,
    tag_rule_id: Option<i64>,
    values: &TagRuleValues,
    author: Author<'_>,
) -> sqlx::Result<Option<i64>> {
    let is_taken = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM tag_rule WHERE lower(tag_key) = lower($1) AND tag_rule_id IS DISTINCT FROM $2)
               AS "is_taken!""#,
        values.tag_key,
        tag_rule_id,
    )
    .fetch_one(&mut *conn)
    .await?;
    if is_taken {
        return Ok(None);
    }
    if let Some(id) = tag_rule_id {
        return sqlx::query_scalar!(
            "UPDATE tag_rule SET tag_key = $2, aliases = $3, environment_kinds = $4, allowed_values = $5,
                 is_exact_case = $6, changed_by = $7, changed_at = $8, reason = $9
             WHERE tag_rule_id = $1 RETURNING tag_rule_id",
            id,
            values.tag_key,
            &values.aliases,
            &values.environment_kinds,
            values.allowed_values,
            values.is_exact_case,
            author.login,
            author.now,
            author.reason,
        )
        .fetch_optional(conn)
        .await;
    }
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM tag_rule"#).fetch_one(&mut *conn).await?;
    limits::room(count, RULE_COUNT_MAX, "tag rules")?;
    sqlx::query_scalar!(
        "INSERT INTO tag_rule (tag_key, aliases, environment_kinds, allowed_values, is_exact_case, changed_by,
             changed_at, reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING tag_rule_id",
        values.tag_key,
        &values.aliases,
        &values.environment_kinds,
        values.allowed_values,
        values.is_exact_case,
        author.login,
        author.now,
        author.reason,
    )
    .fetch_one(conn)
    .await
    .map(Some)
}

/// Takes a tag rule away. False where there is none.
pub async fn delete(conn: &mut PgConnection, tag_rule_id: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!("DELETE FROM tag_rule WHERE tag_rule_id = $1", tag_rule_id).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}
