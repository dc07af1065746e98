//! Rollup keys as rules see them, and writing down what the rules say of them.

use super::key_attributes::DETAIL_MARK;
use super::mapper::Mapper;
use crate::allocate::{self, Assignment, DatedAssignment, DimensionValue};
use crate::focus::DateRange;
use crate::store::catalogue::team_share;
use chrono::NaiveDate;
use futures_util::{Stream, TryStreamExt};
use sqlx::PgConnection;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

const UPDATE_BATCH: usize = 10_000;

/// A rollup key: the attributes that rules look at, and what they said of it last.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the column of that name")]
pub struct RollupKey {
    pub sub_account_key: i32,
    pub rollup_key_id: Uuid,
    pub provider_name: Option<String>,
    pub invoice_issuer_name: Option<String>,
    pub billing_account_id: String,
    pub sub_account_id: Option<String>,
    pub sub_account_name: Option<String>,
    pub service_category: Option<String>,
    pub service_name: Option<String>,
    pub region_id: Option<String>,
    pub sku_id: Option<String>,
    pub charge_category: Option<String>,
    pub charge_class: Option<String>,
    pub pricing_category: Option<String>,
    pub commitment_discount_status: Option<String>,
    pub mapping_tags: serde_json::Value,
    pub is_mapped: bool,
}

/// Who a key belonged to on some charge days, when the rules were asked last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyMapping {
    /// The charge days.
    pub days: DateRange,
    /// The service; 0 for none.
    pub service_id: i64,
    /// The environment; 0 for none.
    pub environment_id: i64,
    /// The rule that named the service.
    pub service_rule_id: Option<i64>,
    /// The rule that named the environment.
    pub environment_rule_id: Option<i64>,
    /// Values of dimensions.
    pub dimensions: BTreeMap<String, DimensionValue>,
}

/// A key whose mapping changes, and what it becomes.
#[derive(Debug)]
pub struct KeyChange {
    /// The key's distribution column.
    pub sub_account_key: i32,
    /// The key.
    pub rollup_key_id: Uuid,
    /// Who it belonged to, by charge day; empty for a new key.
    pub stored: Vec<KeyMapping>,
    /// What the rules say of it now, by charge day.
    pub answers: Vec<DatedAssignment>,
}

/// Service and environment on some days.
type DatedPair = (DateRange, (i64, i64));

impl KeyChange {
    /// What the rules say of it, whatever the day.
    pub fn assignments(&self) -> impl Iterator<Item = &Assignment> {
        self.answers.iter().map(|one| &one.assignment)
    }

    /// The services and environments that it had; 0 for none.
    pub fn before(&self) -> Vec<DatedPair> {
        merged(self.stored.iter().map(|one| (one.days, (one.service_id, one.environment_id))))
    }

    /// The services and environments that it gets, after [`Mapper::add_missing`].
    pub fn after(&self, mapper: &Mapper) -> Vec<DatedPair> {
        merged(self.answers.iter().map(|one| (one.days, pair(&one.assignment, mapper))))
    }
}

fn pair(assignment: &Assignment, mapper: &Mapper) -> (i64, i64) {
    let service = mapper.service_id(assignment.service.as_ref());
    let environment = mapper.environment_id(assignment.environment.as_ref());
    (service.unwrap_or(0), environment.unwrap_or(0))
}

// Ranges that follow each other and say the same are one.
fn merged(all: impl Iterator<Item = DatedPair>) -> Vec<DatedPair> {
    let mut merged: Vec<DatedPair> = Vec::new();
    for (days, pair) in all {
        match merged.last_mut() {
            Some((last, same)) if *same == pair && last.end() == days.start() => {
                *last = DateRange::new(last.start(), days.end()).unwrap_or(*last);
            }
            _ => merged.push((days, pair)),
        }
    }
    merged
}

/// Which keys to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those that a load has just brought.
    NotMappedYet,
}

impl RollupKey {
    /// The attribute of that name, as rules write it. A tag's key is taken in any case of letters.
    pub fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Some(key) = allocate::tag_key(name) {
            return tag(&self.mapping_tags, key);
        }
        let value = match name {
            "provider_name" => self.provider_name.as_deref(),
            "invoice_issuer_name" => self.invoice_issuer_name.as_deref(),
            "billing_account_id" => Some(self.billing_account_id.as_str()),
            "sub_account_id" => self.sub_account_id.as_deref(),
            "sub_account_name" => self.sub_account_name.as_deref(),
            "service_category" => self.service_category.as_deref(),
            "service_name" => self.service_name.as_deref(),
            "region_id" => self.region_id.as_deref(),
            "sku_id" => self.sku_id.as_deref(),
            "charge_category" => self.charge_category.as_deref(),
            "charge_class" => self.charge_class.as_deref(),
            "pricing_category" => self.pricing_category.as_deref(),
            "commitment_discount_status" => self.commitment_discount_status.as_deref(),
            detail if allocate::is_detail(detail) => {
                return tag(&self.mapping_tags, &format!("{DETAIL_MARK}{detail}"));
            }
            _ => None,
        };
        value.map(Cow::Borrowed)
    }
}

impl KeyMapping {
    /// Whether this is what the rules say now.
    fn is(&self, answer: &DatedAssignment) -> bool {
        let known = |target: &Option<allocate::Target>| match target {
            None | Some(allocate::Target::NotFound(_)) => Some(0),
            Some(target) => target.known(),
        };
        let assignment = &answer.assignment;
        self.days == answer.days
            && known(&assignment.service) == Some(self.service_id)
            && known(&assignment.environment) == Some(self.environment_id)
            && assignment.service_rule_id == self.service_rule_id
            && assignment.environment_rule_id == self.environment_rule_id
            && assignment.dimensions == self.dimensions
    }
}

/// A tag's value as text; the exact key first, then the key in other letters.
pub fn tag<'a>(tags: &'a serde_json::Value, key: &str) -> Option<Cow<'a, str>> {
    let tags = tags.as_object()?;
    let other_case = || tags.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value);
    match tags.get(key).or_else(other_case)? {
        serde_json::Value::String(text) => Some(Cow::Borrowed(text)),
        serde_json::Value::Null => None,
        other => Some(Cow::Owned(other.to_string())),
    }
}

/// The keys, one by one.
pub fn keys(conn: &mut PgConnection, which: Which) -> impl Stream<Item = sqlx::Result<RollupKey>> {
    sqlx::query_as!(
        RollupKey,
        "SELECT sub_account_key, rollup_key_id, provider_name, invoice_issuer_name, billing_account_id,
                sub_account_id, sub_account_name, service_category, service_name, region_id, sku_id, charge_category,
                charge_class, pricing_category, commitment_discount_status, mapping_tags, is_mapped
         FROM rollup_key WHERE $1 OR NOT is_mapped",
        which == Which::All,
    )
    .fetch(conn)
}

/// Who every key belongs to, in order of days.
pub async fn mappings(conn: &mut PgConnection) -> sqlx::Result<HashMap<Uuid, Vec<KeyMapping>>> {
    let mut rows = sqlx::query!(
        "SELECT rollup_key_id, first_day, end_day, service_id, environment_id, service_rule_id, environment_rule_id,
                dimensions
         FROM key_mapping ORDER BY rollup_key_id, first_day"
    )
    .fetch(conn);
    let mut mappings: HashMap<Uuid, Vec<KeyMapping>> = HashMap::new();
    while let Some(row) = rows.try_next().await? {
        let Some(days) = DateRange::new(row.first_day, row.end_day) else { continue };
        mappings.entry(row.rollup_key_id).or_default().push(KeyMapping {
            days,
            service_id: row.service_id,
            environment_id: row.environment_id,
            service_rule_id: row.service_rule_id,
            environment_rule_id: row.environment_rule_id,
            dimensions: serde_json::from_value(row.dimensions).map_err(|error| sqlx::Error::Decode(error.into()))?,
        });
    }
    Ok(mappings)
}

/// Asks the rules about the keys, row by row, and collects those whose answer is new.
pub async fn changes(conn: &mut PgConnection, mapper: &Mapper, which: Which) -> sqlx::Result<(u64, Vec<KeyChange>)> {
    let mut stored = match which {
        Which::All => mappings(&mut *conn).await?,
        Which::NotMappedYet => HashMap::new(),
    };
    let mut keys = std::pin::pin!(keys(conn, which));
    let (mut asked, mut changes) = (0, Vec::new());
    while let Some(key) = keys.try_next().await? {
        asked += 1;
        let answers = allocate::assign_by_day(&mapper.charges, |name| key.attribute(name));
        let stored = stored.remove(&key.rollup_key_id).unwrap_or_default();
        let is_same = stored.len() == answers.len() && stored.iter().zip(&answers).all(|(one, answer)| one.is(answer));
        if !(key.is_mapped && is_same) {
            let RollupKey { sub_account_key, rollup_key_id, .. } = key;
            changes.push(KeyChange { sub_account_key, rollup_key_id, stored, answers });
        }
    }
    Ok((asked, changes))
}

/// The same, after each team that the rules give something without a service has the entry that holds it. Other teams
/// get none: it would stand empty among their services.
pub async fn changes_with_teams(
    conn: &mut PgConnection,
    mapper: &mut Mapper,
    which: Which,
) -> anyhow::Result<(u64, Vec<KeyChange>)> {
    let (asked, changes) = changes(&mut *conn, mapper, which).await?;
    if !mapper.charges.names_teams() {
        return Ok((asked, changes));
    }
    let team_ids = mapper.teams_without_entry(changes.iter().flat_map(KeyChange::assignments));
    if team_share::add_missing(&mut *conn, &team_ids).await? == 0 {
        return Ok((asked, changes));
    }
    *mapper = Mapper::load(&mut *conn).await?;
    Ok(self::changes(conn, mapper, which).await?)
}

/// Writes the new answers, in batches.
pub async fn apply(conn: &mut PgConnection, mapper: &Mapper, changes: &[KeyChange]) -> anyhow::Result<()> {
    for batch in changes.chunks(UPDATE_BATCH) {
        let sub_account_keys: Vec<i32> = batch.iter().map(|change| change.sub_account_key).collect();
        let rollup_key_ids: Vec<Uuid> = batch.iter().map(|change| change.rollup_key_id).collect();
        sqlx::query!(
            "DELETE FROM key_mapping m USING unnest($1::integer[], $2::uuid[]) AS n (sub_account_key, rollup_key_id)
             WHERE m.sub_account_key = n.sub_account_key AND m.rollup_key_id = n.rollup_key_id",
            &sub_account_keys,
            &rollup_key_ids,
        )
        .execute(&mut *conn)
        .await?;
        insert(&mut *conn, mapper, batch).await?;
        sqlx::query!(
            "UPDATE rollup_key k SET is_mapped = true
             FROM unnest($1::integer[], $2::uuid[]) AS n (sub_account_key, rollup_key_id)
             WHERE k.sub_account_key = n.sub_account_key AND k.rollup_key_id = n.rollup_key_id AND NOT k.is_mapped",
            &sub_account_keys,
            &rollup_key_ids,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

async fn insert(conn: &mut PgConnection, mapper: &Mapper, batch: &[KeyChange]) -> anyhow::Result<()> {
    let rows = || batch.iter().flat_map(|change| change.answers.iter().map(move |answer| (change, answer)));
    let sub_account_keys: Vec<i32> = rows().map(|(change, _)| change.sub_account_key).collect();
    let rollup_key_ids: Vec<Uuid> = rows().map(|(change, _)| change.rollup_key_id).collect();
    let (first_days, end_days): (Vec<NaiveDate>, Vec<NaiveDate>) =
        rows().map(|(_, answer)| (answer.days.start(), answer.days.end())).unzip();
    let (services, environments): (Vec<i64>, Vec<i64>) =
        rows().map(|(_, answer)| pair(&answer.assignment, mapper)).unzip();
    let service_rules: Vec<Option<i64>> = rows().map(|(_, answer)| answer.assignment.service_rule_id).collect();
    let environment_rules: Vec<Option<i64>> = rows().map(|(_, answer)| answer.assignment.environment_rule_id).collect();
    let dimensions = rows().map(|(_, answer)| serde_json::to_value(&answer.assignment.dimensions));
    let dimensions: Vec<serde_json::Value> = dimensions.collect::<Result<_, _>>()?;
    sqlx::query!(
        "INSERT INTO key_mapping (sub_account_key, rollup_key_id, first_day, end_day, service_id, environment_id,
             service_rule_id, environment_rule_id, dimensions)
         SELECT * FROM unnest($1::integer[], $2::uuid[], $3::date[], $4::date[], $5::bigint[], $6::bigint[],
             $7::bigint[], $8::bigint[], $9::jsonb[])",
        &sub_account_keys,
        &rollup_key_ids,
        &first_days,
        &end_days,
        &services,
        &environments,
        service_rules.as_slice() as &[Option<i64>],
        environment_rules.as_slice() as &[Option<i64>],
        &dimensions,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives new keys the mapping of the old ones that they come from.
pub(super) async fn copy_mapping(
    conn: &mut PgConnection,
    sub_account_keys: &[i32],
    old: &[Uuid],
    new: &[Uuid],
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO key_mapping (sub_account_key, rollup_key_id, first_day, end_day, service_id, environment_id,
             service_rule_id, environment_rule_id, dimensions)
         SELECT m.sub_account_key, n.new_id, m.first_day, m.end_day, m.service_id, m.environment_id,
             m.service_rule_id, m.environment_rule_id, m.dimensions
         FROM unnest($1::integer[], $2::uuid[], $3::uuid[]) AS n (sub_account_key, old_id, new_id)
         JOIN key_mapping m ON m.sub_account_key = n.sub_account_key AND m.rollup_key_id = n.old_id
         WHERE NOT EXISTS (SELECT FROM key_mapping x
                           WHERE x.sub_account_key = n.sub_account_key AND x.rollup_key_id = n.new_id)
         ON CONFLICT DO NOTHING",
        sub_account_keys,
        old,
        new,
    )
    .execute(conn)
    .await
    .map(drop)
}
