//! Rules that say what runs of pipelines and their jobs do, and what came of each when runs were counted last.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Rules that an installation may have.
pub const RULES_MAX: i64 = 200;

/// A rule as it is kept.
#[derive(Debug, Clone)]
pub struct KeptRule {
    /// Its number; the first that fits counts.
    pub job_kind_rule_id: i64,
    /// Whose runs; of any source, for none.
    pub source_name: Option<String>,
    /// What must hold of a run or job, as `allocate` knows it.
    pub condition: Value,
    /// `training`, say.
    pub kind: String,
    /// How many runs and jobs of the last 92 days it fits, and none before they were counted with it.
    pub run_count: Option<i64>,
    /// How many of these belong to no service.
    pub unmapped_count: i64,
    /// Who said so.
    pub changed_by: String,
    /// When.
    pub changed_at: DateTime<Utc>,
    /// It was taken away, and can be put back.
    pub is_deleted: bool,
}

/// All rules in their order, with those that were taken away.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<KeptRule>> {
    sqlx::query_as!(
        KeptRule,
        r#"SELECT r.job_kind_rule_id, s.name AS "source_name?", r.condition, r.kind,
                  r.run_count, r.unmapped_count, r.changed_by, r.changed_at, r.deleted_at IS NOT NULL AS "is_deleted!"
           FROM job_kind_rule r LEFT JOIN event_source s USING (event_source_id) ORDER BY r.job_kind_rule_id"#
    )
    .fetch_all(conn)
    .await
}

/// Adds a rule. `None` where there are [`RULES_MAX`].
pub async fn add(
    conn: &mut PgConnection,
    event_source_id: Option<i64>,
    condition: &Value,
    kind: &str,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "INSERT INTO job_kind_rule (event_source_id, condition, kind, changed_by, changed_at)
         SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM job_kind_rule WHERE deleted_at IS NULL) < $6
         RETURNING job_kind_rule_id",
        event_source_id,
        condition,
        kind,
        by,
        now,
        RULES_MAX
    )
    .fetch_optional(conn)
    .await
}

/// Takes a rule away, or puts it back. False where there is none, or it is so already.
pub async fn set_deleted(
    conn: &mut PgConnection,
    job_kind_rule_id: i64,
    is_deleted: bool,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let set = sqlx::query!(
        "UPDATE job_kind_rule SET deleted_at = CASE WHEN $2 THEN $4::timestamptz END, run_count = NULL,
             unmapped_count = 0, changed_by = $3, changed_at = $4
         WHERE job_kind_rule_id = $1 AND (deleted_at IS NOT NULL) <> $2",
        job_kind_rule_id,
        is_deleted,
        by,
        now
    );
    Ok(set.execute(conn).await?.rows_affected() == 1)
}

/// Writes down how many runs each rule fits, and how many of these belong to no service. Those that are not among them fit
/// none.
pub async fn counted(conn: &mut PgConnection, by_rule: &BTreeMap<i64, (i64, i64)>) -> sqlx::Result<()> {
    let ids: Vec<i64> = by_rule.keys().copied().collect();
    let runs: Vec<i64> = by_rule.values().map(|(runs, _)| *runs).collect();
    let unmapped: Vec<i64> = by_rule.values().map(|(_, unmapped)| *unmapped).collect();
    sqlx::query!(
        "UPDATE job_kind_rule r SET run_count = coalesce(c.run_count, 0), unmapped_count = coalesce(c.unmapped_count, 0)
         FROM job_kind_rule o
         LEFT JOIN unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS c (id, run_count, unmapped_count)
             ON c.id = o.job_kind_rule_id
         WHERE r.job_kind_rule_id = o.job_kind_rule_id AND r.deleted_at IS NULL",
        &ids,
        &runs,
        &unmapped
    )
    .execute(conn)
    .await
    .map(drop)
}
