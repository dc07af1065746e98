//! Rollup keys as rules see them, and writing down what the rules say of them.

use super::key_attributes::RESOURCE_TAG;
use super::mapper::Mapper;
use crate::allocate::{self, Assignment};
use futures_util::{Stream, TryStreamExt};
use sqlx::PgConnection;
use std::borrow::Cow;
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
    pub mapping_tags: serde_json::Value,
    pub service_id: i64,
    pub environment_id: i64,
    pub service_rule_id: Option<i64>,
    pub environment_rule_id: Option<i64>,
    pub is_mapped: bool,
}

/// A key whose mapping changes, and what it becomes.
#[derive(Debug)]
pub struct KeyChange {
    /// The key's distribution column.
    pub sub_account_key: i32,
    /// The key.
    pub rollup_key_id: Uuid,
    /// The service and environment that it had; 0 for none.
    pub before: (i64, i64),
    /// What the rules say of it now.
    pub assignment: Assignment,
}

impl KeyChange {
    /// The service and environment that it gets, after [`Mapper::add_missing`].
    pub fn after(&self, mapper: &Mapper) -> (i64, i64) {
        let service = mapper.service_id(self.assignment.service.as_ref());
        let environment = mapper.environment_id(self.assignment.environment.as_ref());
        (service.unwrap_or(0), environment.unwrap_or(0))
    }
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
            allocate::RESOURCE_ID => return tag(&self.mapping_tags, RESOURCE_TAG),
            _ => None,
        };
        value.map(Cow::Borrowed)
    }

    /// Whether this is what the key is mapped to already.
    pub fn has(&self, assignment: &Assignment) -> bool {
        let known = |target: &Option<allocate::Target>| match target {
            None | Some(allocate::Target::NotFound(_)) => Some(0),
            Some(target) => target.known(),
        };
        self.is_mapped
            && known(&assignment.service) == Some(self.service_id)
            && known(&assignment.environment) == Some(self.environment_id)
            && assignment.service_rule_id == self.service_rule_id
            && assignment.environment_rule_id == self.environment_rule_id
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
                mapping_tags, service_id, environment_id, service_rule_id, environment_rule_id, is_mapped
         FROM rollup_key WHERE $1 OR NOT is_mapped",
        which == Which::All,
    )
    .fetch(conn)
}

/// Asks the rules about the keys, row by row, and collects those whose answer is new.
pub async fn changes(conn: &mut PgConnection, mapper: &Mapper, which: Which) -> sqlx::Result<(u64, Vec<KeyChange>)> {
    let mut keys = std::pin::pin!(keys(conn, which));
    let (mut asked, mut changes) = (0, Vec::new());
    while let Some(key) = keys.try_next().await? {
        asked += 1;
        let assignment = allocate::assign(&mapper.charges, |name| key.attribute(name));
        if !key.has(&assignment) {
            let RollupKey { sub_account_key, rollup_key_id, service_id, environment_id, .. } = key;
            changes.push(KeyChange {
                sub_account_key,
                rollup_key_id,
                before: (service_id, environment_id),
                assignment,
            });
        }
    }
    Ok((asked, changes))
}

/// Writes the new answers, in batches.
pub async fn apply(conn: &mut PgConnection, mapper: &Mapper, changes: &[KeyChange]) -> sqlx::Result<()> {
    for batch in changes.chunks(UPDATE_BATCH) {
        let sub_account_keys: Vec<i32> = batch.iter().map(|change| change.sub_account_key).collect();
        let rollup_key_ids: Vec<Uuid> = batch.iter().map(|change| change.rollup_key_id).collect();
        let answers = || batch.iter().map(|change| &change.assignment);
        let (services, environments): (Vec<i64>, Vec<i64>) = batch.iter().map(|change| change.after(mapper)).unzip();
        let service_rules: Vec<Option<i64>> = answers().map(|a| a.service_rule_id).collect();
        let environment_rules: Vec<Option<i64>> = answers().map(|a| a.environment_rule_id).collect();
        sqlx::query!(
            "UPDATE rollup_key k SET service_id = n.service_id, environment_id = n.environment_id,
                 service_rule_id = n.service_rule_id, environment_rule_id = n.environment_rule_id, is_mapped = true
             FROM unnest($1::integer[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
                 AS n (sub_account_key, rollup_key_id, service_id, environment_id, service_rule_id, environment_rule_id)
             WHERE k.sub_account_key = n.sub_account_key AND k.rollup_key_id = n.rollup_key_id",
            &sub_account_keys,
            &rollup_key_ids,
            &services,
            &environments,
            service_rules.as_slice() as &[Option<i64>],
            environment_rules.as_slice() as &[Option<i64>],
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
