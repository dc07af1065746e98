//! Every state that a mapping rule was in: who made it so, when and why.

use super::mapping_rules::{MappingRule, RuleValues};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// What was done to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the word itself")]
pub enum Action {
    Added,
    Changed,
    Moved,
    Deleted,
    Restored,
}

impl Action {
    /// The word that the database carries.
    pub fn key(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Moved => "moved",
            Self::Deleted => "deleted",
            Self::Restored => "restored",
        }
    }
}

/// A state that a rule was in.
#[derive(Debug, Clone)]
pub struct RuleVersion {
    /// From 1.
    pub version: i32,
    /// `added`, `changed`, `moved`, `deleted` or `restored`.
    pub action: String,
    /// The content.
    pub values: RuleValues,
    /// The names of what it pointed at then.
    pub names: TargetNames,
    /// Its place in the list, from 1.
    pub place: i32,
    /// Who made it so.
    pub changed_by: String,
    /// When.
    pub changed_at: DateTime<Utc>,
    /// Why.
    pub reason: String,
}

/// The names of what a rule pointed at, kept because entries may go.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each is the name of that target")]
pub struct TargetNames {
    pub service_name: Option<String>,
    pub environment_name: Option<String>,
    pub team_name: Option<String>,
}

impl TargetNames {
    /// Those of a stored rule.
    pub fn of(rule: &MappingRule) -> Self {
        Self {
            service_name: rule.service_name.clone(),
            environment_name: rule.environment_name.clone(),
            team_name: rule.team_name.clone(),
        }
    }
}

/// Who changes a rule, when and why.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    /// The login.
    pub login: &'a str,
    /// When.
    pub now: DateTime<Utc>,
    /// Why; never blank.
    pub reason: &'a str,
}

/// Keeps the rule as it is now, under the next number.
pub async fn keep(conn: &mut PgConnection, rule: &MappingRule, action: Action, author: Author<'_>) -> sqlx::Result<()> {
    let names = TargetNames::of(rule);
    let unreadable = |error: serde_json::Error| sqlx::Error::Encode(error.into());
    let mut content = serde_json::to_value(&rule.values).map_err(unreadable)?;
    content["names"] = serde_json::to_value(&names).map_err(unreadable)?;
    sqlx::query!(
        "INSERT INTO mapping_rule_version (mapping_rule_id, version, action, content, place, changed_by, changed_at,
             reason)
         SELECT $1, coalesce((SELECT max(version) FROM mapping_rule_version WHERE mapping_rule_id = $1), 0) + 1, $2, $3,
             (SELECT count(*) FROM mapping_rule WHERE position <= $4), $5, $6, $7",
        rule.mapping_rule_id,
        action.key(),
        content,
        rule.position,
        author.login,
        author.now,
        author.reason,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Every state of a rule, the newest first. Empty where there never was such a rule.
pub async fn list(conn: &mut PgConnection, mapping_rule_id: i64) -> sqlx::Result<Vec<RuleVersion>> {
    let rows = sqlx::query!(
        "SELECT version, action, content, place, changed_by, changed_at, reason FROM mapping_rule_version
         WHERE mapping_rule_id = $1 ORDER BY version DESC LIMIT 1000",
        mapping_rule_id
    )
    .fetch_all(conn)
    .await?;
    let unreadable = |error: serde_json::Error| sqlx::Error::Decode(error.into());
    rows.into_iter()
        .map(|row| {
            let names = row.content.get("names").cloned().unwrap_or_else(|| serde_json::json!({}));
            Ok(RuleVersion {
                version: row.version,
                action: row.action,
                values: serde_json::from_value(row.content).map_err(unreadable)?,
                names: serde_json::from_value(names).map_err(unreadable)?,
                place: row.place,
                changed_by: row.changed_by,
                changed_at: row.changed_at,
                reason: row.reason,
            })
        })
        .collect()
}

/// When each rule was changed last, by whom and how often: by id.
pub async fn latest(conn: &mut PgConnection) -> sqlx::Result<Vec<(i64, i32, String, DateTime<Utc>)>> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT ON (mapping_rule_id) mapping_rule_id, version, changed_by, changed_at
           FROM mapping_rule_version ORDER BY mapping_rule_id, version DESC"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.mapping_rule_id, row.version, row.changed_by, row.changed_at)).collect())
}
