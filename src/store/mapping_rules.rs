//! The ordered mapping rules as they are stored. `allocate` gives them their meaning.

use super::limits;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::collections::HashMap;

/// Positions leave room, so that most moves touch one row.
const POSITION_STEP: i32 = 10;
/// More rules than this are a mistake of a script: they cannot be added, so that all are read and asked.
pub const RULE_COUNT_MAX: i64 = 5_000;

/// What the audit log calls a rule that was deleted; its details hold the rule.
pub const DELETED: &str = "rule.deleted";
/// What the audit log calls a rule that was put back.
pub const RESTORED: &str = "rule.restored";
const DELETED_COUNT_MAX: i64 = 20;

/// A rule's content, without its place and its author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleValues {
    /// `charges`, `deployments` or `both`.
    pub applies_to: String,
    /// `[{"attribute", "operator", "value"}]`.
    pub conditions: serde_json::Value,
    /// The fixed service.
    pub service_id: Option<i64>,
    /// The fixed environment.
    pub environment_id: Option<i64>,
    /// The attribute that names the service.
    pub service_from_attribute: Option<String>,
    /// The attribute that names the environment.
    pub environment_from_attribute: Option<String>,
    /// The fixed team.
    #[serde(default)]
    pub team_id: Option<i64>,
    /// The attribute that names the team.
    #[serde(default)]
    pub team_from_attribute: Option<String>,
    /// `[{"dimension", "value" or "from_attribute"}]`.
    #[serde(default = "no_dimensions")]
    pub dimensions: serde_json::Value,
    /// The first charge day that it holds on.
    #[serde(default)]
    pub first_day: Option<NaiveDate>,
    /// The last charge day that it holds on.
    #[serde(default)]
    pub last_day: Option<NaiveDate>,
    /// Whether a name that the catalogue lacks is added.
    pub adds_to_catalogue: bool,
    /// Why the rule is there.
    pub note: String,
}

fn no_dimensions() -> serde_json::Value {
    serde_json::json!([])
}

impl Default for RuleValues {
    /// A rule for charges that says nothing yet.
    fn default() -> Self {
        Self {
            applies_to: "charges".into(),
            conditions: serde_json::json!([]),
            service_id: None,
            environment_id: None,
            service_from_attribute: None,
            environment_from_attribute: None,
            team_id: None,
            team_from_attribute: None,
            dimensions: no_dimensions(),
            first_day: None,
            last_day: None,
            adds_to_catalogue: false,
            note: String::new(),
        }
    }
}

/// A stored rule.
#[derive(Debug, Clone)]
pub struct MappingRule {
    /// Its row.
    pub mapping_rule_id: i64,
    /// Its place; lower is asked first.
    pub position: i32,
    /// Its content.
    pub values: RuleValues,
    /// The fixed service's name.
    pub service_name: Option<String>,
    /// The fixed environment's name.
    pub environment_name: Option<String>,
    /// The fixed team's name.
    pub team_name: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Where a new rule goes, or an old one moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before all others: it wins over all of them.
    First,
    /// After all others: it takes what they leave.
    Last,
    /// One up.
    Up,
    /// One down.
    Down,
    /// At this place of the list, from 1; what was there moves down.
    Number(usize),
}

/// Every rule, in the order in which they are asked.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<MappingRule>> {
    let rows = sqlx::query!(
        r#"SELECT r.mapping_rule_id, r.position, r.applies_to, r.conditions, r.service_id, r.environment_id,
                  r.service_from_attribute, r.environment_from_attribute, r.adds_to_catalogue, r.note,
                  r.team_id, r.team_from_attribute, r.dimensions, r.first_day, r.last_day,
                  r.created_by, r.created_at, s.name AS "service_name?", e.name AS "environment_name?",
                  t.name AS "team_name?"
           FROM mapping_rule r
           LEFT JOIN service s ON s.service_id = r.service_id
           LEFT JOIN environment e ON e.environment_id = r.environment_id
           LEFT JOIN team t ON t.team_id = r.team_id
           ORDER BY r.position LIMIT $1"#,
        RULE_COUNT_MAX
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| MappingRule {
            mapping_rule_id: r.mapping_rule_id,
            position: r.position,
            values: RuleValues {
                applies_to: r.applies_to,
                conditions: r.conditions,
                service_id: r.service_id,
                environment_id: r.environment_id,
                service_from_attribute: r.service_from_attribute,
                environment_from_attribute: r.environment_from_attribute,
                team_id: r.team_id,
                team_from_attribute: r.team_from_attribute,
                dimensions: r.dimensions,
                first_day: r.first_day,
                last_day: r.last_day,
                adds_to_catalogue: r.adds_to_catalogue,
                note: r.note,
            },
            service_name: r.service_name,
            environment_name: r.environment_name,
            team_name: r.team_name,
            created_by: r.created_by,
            created_at: r.created_at,
        })
        .collect())
}

/// One rule.
pub async fn get(conn: &mut PgConnection, mapping_rule_id: i64) -> sqlx::Result<Option<MappingRule>> {
    Ok(list(conn).await?.into_iter().find(|rule| rule.mapping_rule_id == mapping_rule_id))
}

/// Adds a rule at its place and gives its id. The caller holds the mapping lock.
pub async fn insert(
    conn: &mut PgConnection,
    values: &RuleValues,
    place: Place,
    created_by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<i64> {
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM mapping_rule"#).fetch_one(&mut *conn).await?;
    limits::room(count, RULE_COUNT_MAX, "rules")?;
    // Positions are unique: a new rule starts behind all others and is then moved.
    let id = sqlx::query_scalar!(
        "INSERT INTO mapping_rule (position, applies_to, conditions, service_id, environment_id,
             service_from_attribute, environment_from_attribute, adds_to_catalogue, note, created_by, created_at,
             team_id, team_from_attribute, dimensions, first_day, last_day)
         SELECT coalesce(max(position), 0) + $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16
         FROM mapping_rule
         RETURNING mapping_rule_id",
        POSITION_STEP,
        values.applies_to,
        values.conditions,
        values.service_id,
        values.environment_id,
        values.service_from_attribute,
        values.environment_from_attribute,
        values.adds_to_catalogue,
        values.note,
        created_by,
        now,
        values.team_id,
        values.team_from_attribute,
        values.dimensions,
        values.first_day,
        values.last_day,
    )
    .fetch_one(&mut *conn)
    .await?;
    if place != Place::Last {
        shift(conn, id, place).await?;
    }
    Ok(id)
}

/// The rules that came from descriptions and that nobody changed since: by id, the description's name.
pub async fn described(conn: &mut PgConnection) -> sqlx::Result<HashMap<i64, String>> {
    let rows = sqlx::query!(
        r#"SELECT mapping_rule_id, described_by AS "described_by!" FROM mapping_rule WHERE described_by IS NOT NULL"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.mapping_rule_id, row.described_by)).collect())
}

/// Remembers which description a rule came from.
pub async fn set_described_by(conn: &mut PgConnection, mapping_rule_id: i64, source: &str) -> sqlx::Result<()> {
    sqlx::query!("UPDATE mapping_rule SET described_by = $2 WHERE mapping_rule_id = $1", mapping_rule_id, source)
        .execute(conn)
        .await
        .map(drop)
}

/// Replaces a rule's content, which is a person's from then on; its place, author and id stay. False where there is
/// no such rule.
pub async fn update(conn: &mut PgConnection, mapping_rule_id: i64, values: &RuleValues) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE mapping_rule SET applies_to = $2, conditions = $3, service_id = $4, environment_id = $5,
             service_from_attribute = $6, environment_from_attribute = $7, adds_to_catalogue = $8, note = $9,
             team_id = $10, team_from_attribute = $11, dimensions = $12, first_day = $13, last_day = $14,
             described_by = NULL
         WHERE mapping_rule_id = $1",
        mapping_rule_id,
        values.applies_to,
        values.conditions,
        values.service_id,
        values.environment_id,
        values.service_from_attribute,
        values.environment_from_attribute,
        values.adds_to_catalogue,
        values.note,
        values.team_id,
        values.team_from_attribute,
        values.dimensions,
        values.first_day,
        values.last_day,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Moves a rule. False where there is no such rule.
pub async fn shift(conn: &mut PgConnection, mapping_rule_id: i64, place: Place) -> sqlx::Result<bool> {
    let before =
        sqlx::query_scalar!("SELECT mapping_rule_id FROM mapping_rule ORDER BY position").fetch_all(&mut *conn).await?;
    let Some(from) = before.iter().position(|id| *id == mapping_rule_id) else { return Ok(false) };
    let after = order_after(before, from, place);
    let positions: Vec<i32> = (1..).map(|number: i32| number * POSITION_STEP).take(after.len()).collect();
    // Two steps, because the unique index is checked row by row: first out of the way, then into place.
    sqlx::query!("UPDATE mapping_rule SET position = -position - 1").execute(&mut *conn).await?;
    sqlx::query!(
        "UPDATE mapping_rule r SET position = n.position
         FROM unnest($1::bigint[], $2::integer[]) AS n (mapping_rule_id, position)
         WHERE n.mapping_rule_id = r.mapping_rule_id",
        &after,
        &positions,
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// A list with the one at `from` moved to another place.
pub fn order_after<T>(mut ids: Vec<T>, from: usize, place: Place) -> Vec<T> {
    let id = ids.remove(from);
    let to = match place {
        Place::First => 0,
        Place::Last => ids.len(),
        Place::Up => from.saturating_sub(1),
        Place::Down => from + 1,
        Place::Number(number) => number.saturating_sub(1),
    };
    ids.insert(to.min(ids.len()), id);
    ids
}

/// Takes a rule away. False where there is no such rule.
pub async fn delete(conn: &mut PgConnection, mapping_rule_id: i64) -> sqlx::Result<bool> {
    let done =
        sqlx::query!("DELETE FROM mapping_rule WHERE mapping_rule_id = $1", mapping_rule_id).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

/// A rule that can be put back.
#[derive(Debug, Clone)]
pub struct DeletedRule {
    /// The row of the audit log that keeps it.
    pub audit_log_id: i64,
    /// The number that it had.
    pub mapping_rule_id: i64,
    /// When it was deleted.
    pub deleted_at: DateTime<Utc>,
    /// Who deleted it.
    pub deleted_by: String,
    /// The rule in words.
    pub summary: String,
    /// Its place in the list, from 1.
    pub number: usize,
    /// Its content.
    pub values: RuleValues,
}

/// The rules that were deleted last and not put back since, the newest first.
pub async fn recently_deleted(conn: &mut PgConnection) -> sqlx::Result<Vec<DeletedRule>> {
    let rows = sqlx::query!(
        "SELECT a.audit_log_id, a.happened_at, a.actor, a.subject, a.details FROM audit_log a
         WHERE a.action = $1
           AND NOT EXISTS (SELECT FROM audit_log r WHERE r.action = $2
                           AND r.details ->> 'deleted_audit_log_id' = a.audit_log_id::text)
         ORDER BY a.audit_log_id DESC LIMIT $3",
        DELETED,
        RESTORED,
        DELETED_COUNT_MAX,
    )
    .fetch_all(conn)
    .await?;
    let rule = |details: &serde_json::Value| serde_json::from_value(details.get("rule")?.clone()).ok();
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            Some(DeletedRule {
                audit_log_id: row.audit_log_id,
                mapping_rule_id: row.subject.parse().ok()?,
                deleted_at: row.happened_at,
                deleted_by: row.actor,
                summary: whole(row.details.get("summary")?.as_str()?),
                number: usize::try_from(row.details.get("number")?.as_u64()?).ok()?,
                values: rule(&row.details)?,
            })
        })
        .collect())
}

// The log is never changed: what was written of a rule without a condition begins with the arrow.
fn whole(summary: &str) -> String {
    if summary.starts_with(" → ") { format!("everything that is left{summary}") } else { summary.to_owned() }
}

/// The rule that a deleted one came back as.
pub async fn put_back_as(conn: &mut PgConnection, mapping_rule_id: i64) -> sqlx::Result<Option<i64>> {
    let subject = sqlx::query_scalar!(
        "SELECT r.subject FROM audit_log a
         JOIN audit_log r ON r.action = $3 AND r.details ->> 'deleted_audit_log_id' = a.audit_log_id::text
         WHERE a.action = $2 AND a.subject = $1 ORDER BY r.audit_log_id DESC LIMIT 1",
        mapping_rule_id.to_string(),
        DELETED,
        RESTORED,
    )
    .fetch_optional(conn)
    .await?;
    Ok(subject.and_then(|subject| subject.parse().ok()))
}

/// Whether the service, the environment and the team that a rule points at are there.
pub async fn targets_exist(conn: &mut PgConnection, values: &RuleValues) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT ($1::bigint IS NULL OR EXISTS (SELECT FROM service WHERE service_id = $1))
              AND ($2::bigint IS NULL OR EXISTS (SELECT FROM environment WHERE environment_id = $2))
              AND ($3::bigint IS NULL OR EXISTS (SELECT FROM team WHERE team_id = $3)) AS "exist!""#,
        values.service_id,
        values.environment_id,
        values.team_id,
    )
    .fetch_one(conn)
    .await
}

/// The keys of the tags that rules can look at without reading charges.
pub async fn tag_keys(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("SELECT tag_key FROM mapping_tag_key ORDER BY tag_key LIMIT 500").fetch_all(conn).await
}

#[cfg(test)]
mod tests {
    use super::{Place, order_after};

    #[test]
    fn a_moved_rule_keeps_the_order_of_the_others() {
        let after = |from, place| order_after(vec![1, 2, 3, 4], from, place);
        assert_eq!(after(2, Place::First), [3, 1, 2, 4]);
        assert_eq!(after(1, Place::Last), [1, 3, 4, 2]);
        assert_eq!(after(1, Place::Up), [2, 1, 3, 4]);
        assert_eq!(after(0, Place::Up), [1, 2, 3, 4]);
        assert_eq!(after(3, Place::Down), [1, 2, 3, 4]);
        assert_eq!(after(0, Place::Number(3)), [2, 3, 1, 4]);
        assert_eq!(after(0, Place::Number(99)), [2, 3, 4, 1]);
    }
}
