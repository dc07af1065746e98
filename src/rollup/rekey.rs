//! Keys charge groups again when a rule looks at a tag, or at something of single lines, that rollup keys do not carry yet.
//!
//! The one kind of rule change that reads charges: the lines of the touched keys are added up once more, in SQL.

use super::fingerprint::Fingerprint;
use super::key_attributes::KeyAttributes;
use super::{json, mapped_keys, mapping_details};
use crate::allocate::{self, Condition, Details, Rules};
use crate::store::{locks, own_plan};
use anyhow::ensure;
use futures_util::TryStreamExt;
use serde_json::Value;
use sqlx::PgConnection;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

const UPDATE_BATCH: usize = 10_000;

/// The attributes of single lines that have a column of their own in charge groups. All others stand in `attributes`.
const DETAIL_COLUMNS: [&str; 4] = [allocate::RESOURCE_ID, "resource_name", "resource_type", "charge_description"];

/// What was keyed again.
#[derive(Debug, Default)]
pub(super) struct Rekeyed {
    /// Charge groups that have another key now.
    pub group_count: u64,
    /// Services and environments of the old and the new keys.
    pub pairs: BTreeSet<(i64, i64)>,
    /// Generations whose level 2 was added up again.
    pub generation_ids: BTreeSet<i64>,
}

/// A group that gets another key, and the key that it has.
pub(super) struct GroupChange {
    sub_account_key: i32,
    pub group_id: Uuid,
    pub old_key_id: Uuid,
    pub new_key_id: Uuid,
    pub mapping_tags: Value,
}

struct GroupRow {
    sub_account_key: i32,
    group_id: Uuid,
    tags: Value,
    resource_id: Option<String>,
    resource_name: Option<String>,
    resource_type: Option<String>,
    charge_description: Option<String>,
    attributes: Value,
    rollup_key_id: Uuid,
    provider_name: Option<String>,
    invoice_issuer_name: Option<String>,
    billing_account_id: String,
    sub_account_id: Option<String>,
    sub_account_name: Option<String>,
    service_category: Option<String>,
    service_name: Option<String>,
    region_id: Option<String>,
    sku_id: Option<String>,
    charge_category: Option<String>,
    charge_class: Option<String>,
    pricing_category: Option<String>,
    commitment_discount_status: Option<String>,
    mapping_tags: Value,
}

/// Adds what the rules look at to what keys carry, and keys the groups that have it. Nothing to do in the usual case.
pub(super) async fn rekey(conn: &mut PgConnection, rules: &Rules) -> anyhow::Result<Rekeyed> {
    let new_tag_keys = new_tag_keys(&mut *conn, rules).await?;
    let new_details = mapping_details::new_ones(&mut *conn, rules).await?;
    if new_tag_keys.is_empty() && new_details.is_empty() {
        return Ok(Rekeyed::default());
    }
    locks::tell_progress(&mut *conn, "waiting for a load to end").await?;
    locks::lock_keys(&mut *conn).await?;
    sqlx::query!(
        "INSERT INTO mapping_tag_key (tag_key) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING",
        &new_tag_keys
    )
    .execute(&mut *conn)
    .await?;
    locks::tell_progress(&mut *conn, "looking for it in charge groups").await?;
    let changes = group_changes(&mut *conn, &new_tag_keys, &new_details).await?;
    mapping_details::insert(&mut *conn, &new_details).await?;
    apply(conn, &changes).await
}

/// Gives groups that lie under a key of rules of the past the one of the present rules. Nothing to do in the usual case;
/// otherwise the caller, who holds the lock of the ledger, maps everything again.
pub(super) async fn put_right(conn: &mut PgConnection) -> anyhow::Result<Rekeyed> {
    if misplaced(&mut *conn).await?.is_empty() {
        return Ok(Rekeyed::default());
    }
    locks::lock_mapping(&mut *conn).await?;
    locks::lock_keys(&mut *conn).await?;
    let changes = misplaced(&mut *conn).await?;
    apply(conn, &changes).await
}

/// The groups whose key is not the one that the present rules give them; nothing is written. Within a transaction.
pub(super) async fn misplaced(conn: &mut PgConnection) -> anyhow::Result<Vec<GroupChange>> {
    let attributes = KeyAttributes::load(&mut *conn).await?;
    changes_of(conn, &attributes, &Asked { is_everything: true, ..Asked::default() }).await
}

async fn apply(conn: &mut PgConnection, changes: &[GroupChange]) -> anyhow::Result<Rekeyed> {
    if changes.is_empty() {
        return Ok(Rekeyed::default());
    }
    insert_keys(&mut *conn, changes).await?;
    point_groups(&mut *conn, changes).await?;
    let key_ids: BTreeSet<Uuid> = changes.iter().flat_map(|change| [change.old_key_id, change.new_key_id]).collect();
    let key_ids: Vec<Uuid> = key_ids.into_iter().collect();
    let generation_ids = generations_of(&mut *conn, &key_ids).await?;
    for (index, generation_id) in generation_ids.iter().enumerate() {
        let progress = format!("reading charge lines: bill {} of {}", index + 1, generation_ids.len());
        locks::tell_progress(&mut *conn, &progress).await?;
        rebuild_by_key(&mut *conn, *generation_id, &key_ids).await?;
    }
    let generation_ids = with_daily_costs(&mut *conn, &generation_ids).await?;
    let pairs = pairs_of(conn, &key_ids).await?;
    Ok(Rekeyed { group_count: changes.len() as u64, pairs, generation_ids })
}

/// The tag keys that rules look at and keys do not carry.
pub(super) async fn new_tag_keys(conn: &mut PgConnection, rules: &Rules) -> sqlx::Result<Vec<String>> {
    let wanted: Vec<String> = rules.tag_keys().into_iter().collect();
    // Letters are the same here where they are to `mapped_keys::tag`: those of ASCII, whatever the database's locale.
    // The tags that the standard asks for are kept apart too.
    sqlx::query_scalar!(
        r#"SELECT DISTINCT ON (lower(w COLLATE "C")) w AS "tag_key!"
           FROM (SELECT unnest($1::text[]) AS w UNION ALL SELECT tag_key FROM tag_rule
                 UNION ALL SELECT unnest(aliases) FROM tag_rule) wanted
           WHERE NOT EXISTS (SELECT FROM mapping_tag_key m
                             WHERE lower(m.tag_key COLLATE "C") = lower(w COLLATE "C"))"#,
        &wanted
    )
    .fetch_all(conn)
    .await
}

/// Which groups would get another key if these were kept apart too; nothing is written. Within a transaction.
pub(super) async fn group_changes(
    conn: &mut PgConnection,
    new_tag_keys: &[String],
    new_details: &[Condition],
) -> anyhow::Result<Vec<GroupChange>> {
    let mut tag_keys = sqlx::query_scalar!("SELECT tag_key FROM mapping_tag_key").fetch_all(&mut *conn).await?;
    tag_keys.extend(new_tag_keys.iter().filter(|key| !tag_keys.contains(key)).cloned().collect::<Vec<_>>());
    let mut details = mapping_details::list(&mut *conn).await?;
    details.extend_from_slice(new_details);
    let attributes = KeyAttributes::of(tag_keys, &details)?;
    let [resource_ids, resource_names, resource_types, descriptions] = held_values(&mut *conn, new_details).await?;
    let asked = Asked {
        tag_keys: new_tag_keys.iter().map(|key| key.to_ascii_lowercase()).collect(),
        resource_ids,
        resource_names,
        resource_types,
        descriptions,
        is_everything: new_details.iter().any(|one| !DETAIL_COLUMNS.contains(&one.attribute.as_str())),
    };
    changes_of(conn, &attributes, &asked).await
}

/// Which groups may have another key: those with one of these.
#[derive(Default)]
struct Asked {
    tag_keys: Vec<String>,
    resource_ids: Vec<String>,
    resource_names: Vec<String>,
    resource_types: Vec<String>,
    descriptions: Vec<String>,
    is_everything: bool,
}

async fn changes_of(
    conn: &mut PgConnection,
    attributes: &KeyAttributes,
    asked: &Asked,
) -> anyhow::Result<Vec<GroupChange>> {
    // A plan for any values would compare each group with all of these, one after the other.
    own_plan::begin(&mut *conn).await?;
    let mut groups = sqlx::query_as!(
        GroupRow,
        r#"SELECT g.sub_account_key, g.group_id, g.tags, g.resource_id, g.resource_name, g.resource_type,
                g.charge_description, g.attributes, k.rollup_key_id, k.provider_name,
                k.invoice_issuer_name, k.billing_account_id, k.sub_account_id, k.sub_account_name, k.service_category,
                k.service_name, k.region_id, k.sku_id, k.charge_category, k.charge_class, k.pricing_category,
                k.commitment_discount_status, k.mapping_tags
         FROM charge_group g
         JOIN rollup_key k USING (sub_account_key, rollup_key_id)
         WHERE (cardinality($1::text[]) > 0 AND jsonb_typeof(g.tags) = 'object'
                AND EXISTS (SELECT FROM jsonb_object_keys(g.tags) t WHERE lower(t COLLATE "C") = ANY($1)))
            OR g.resource_id = ANY($2) OR g.resource_name = ANY($3) OR g.resource_type = ANY($4)
            OR g.charge_description = ANY($5) OR $6
         ORDER BY g.group_id"#,
        &asked.tag_keys,
        &asked.resource_ids,
        &asked.resource_names,
        &asked.resource_types,
        &asked.descriptions,
        asked.is_everything,
    )
    .fetch(&mut *conn);
    let mut changes = Vec::new();
    while let Some(mut group) = groups.try_next().await? {
        // As the loader has them: what lies within a tag is in another order in `jsonb`.
        json::storable(&mut group.tags);
        let mapping_tags = Value::Object(attributes.mapping_tags(&group.tags, |name| group.detail(name)));
        if mapping_tags != group.mapping_tags {
            changes.push(GroupChange {
                sub_account_key: group.sub_account_key,
                group_id: group.group_id,
                old_key_id: group.rollup_key_id,
                new_key_id: fingerprint(&group, &mapping_tags.to_string()),
                mapping_tags,
            });
        }
    }
    drop(groups);
    own_plan::end(conn).await?;
    Ok(changes)
}

// By attribute of `DETAIL_COLUMNS`, the values that one of these conditions holds for, in one scan. Each is asked about
// once, and only groups that have one can get another key: to fetch all groups and look takes ten times as long.
async fn held_values(conn: &mut PgConnection, new_details: &[Condition]) -> anyhow::Result<[Vec<String>; 4]> {
    let details = Details::compile(new_details)?;
    let mut held = <[Vec<String>; 4]>::default();
    let mut asked = details.attributes();
    asked.retain(|attribute| DETAIL_COLUMNS.contains(attribute));
    if asked.is_empty() {
        return Ok(held);
    }
    let asked: Vec<String> = asked.into_iter().map(str::to_owned).collect();
    let mut values = sqlx::query!(
        r#"SELECT DISTINCT v.attribute AS "attribute!", v.value AS "value!"
           FROM charge_group g
           CROSS JOIN LATERAL (VALUES ('resource_id', g.resource_id), ('resource_name', g.resource_name),
               ('resource_type', g.resource_type), ('charge_description', g.charge_description)) v (attribute, value)
           WHERE v.attribute = ANY($1::text[]) AND v.value IS NOT NULL"#,
        &asked
    )
    .fetch(conn);
    while let Some(row) = values.try_next().await? {
        let own = DETAIL_COLUMNS.into_iter().zip(&mut held).find(|(attribute, _)| *attribute == row.attribute);
        if let Some((attribute, own)) = own
            && details.keep(attribute, &row.value)
        {
            own.push(row.value);
        }
    }
    Ok(held)
}

// A new key has all of the old one but the tags, its mapping included: nothing has moved yet.
async fn insert_keys(conn: &mut PgConnection, changes: &[GroupChange]) -> sqlx::Result<()> {
    let unique: HashMap<Uuid, &GroupChange> = changes.iter().map(|change| (change.new_key_id, change)).collect();
    let mut unique: Vec<&GroupChange> = unique.into_values().collect();
    // One order for all writers, so that two cannot wait for each other.
    unique.sort_by_key(|change| change.new_key_id);
    for batch in unique.chunks(UPDATE_BATCH) {
        let sub_account_keys: Vec<i32> = batch.iter().map(|change| change.sub_account_key).collect();
        let old: Vec<Uuid> = batch.iter().map(|change| change.old_key_id).collect();
        let new: Vec<Uuid> = batch.iter().map(|change| change.new_key_id).collect();
        let tags: Vec<Value> = batch.iter().map(|change| change.mapping_tags.clone()).collect();
        sqlx::query!(
            "INSERT INTO rollup_key (sub_account_key, rollup_key_id, provider_name, invoice_issuer_name,
                 billing_account_id, sub_account_id, sub_account_name, service_category, service_name, region_id,
                 sku_id, charge_category, charge_class, pricing_category, commitment_discount_status, mapping_tags,
                 is_mapped)
             SELECT k.sub_account_key, n.new_id, k.provider_name, k.invoice_issuer_name,
                 k.billing_account_id, k.sub_account_id, k.sub_account_name, k.service_category, k.service_name,
                 k.region_id, k.sku_id, k.charge_category, k.charge_class, k.pricing_category,
                 k.commitment_discount_status, n.tags, k.is_mapped
             FROM unnest($1::integer[], $2::uuid[], $3::uuid[], $4::jsonb[])
                 AS n (sub_account_key, old_id, new_id, tags)
             JOIN rollup_key k ON k.sub_account_key = n.sub_account_key AND k.rollup_key_id = n.old_id
             ON CONFLICT DO NOTHING",
            &sub_account_keys,
            &old,
            &new,
            &tags,
        )
        .execute(&mut *conn)
        .await?;
        mapped_keys::copy_mapping(&mut *conn, &sub_account_keys, &old, &new).await?;
    }
    Ok(())
}

async fn point_groups(conn: &mut PgConnection, changes: &[GroupChange]) -> sqlx::Result<()> {
    for batch in changes.chunks(UPDATE_BATCH) {
        let sub_account_keys: Vec<i32> = batch.iter().map(|change| change.sub_account_key).collect();
        let group_ids: Vec<Uuid> = batch.iter().map(|change| change.group_id).collect();
        let new: Vec<Uuid> = batch.iter().map(|change| change.new_key_id).collect();
        sqlx::query!(
            "UPDATE charge_group g SET rollup_key_id = n.new_id
             FROM unnest($1::integer[], $2::uuid[], $3::uuid[]) AS n (sub_account_key, group_id, new_id)
             WHERE g.sub_account_key = n.sub_account_key AND g.group_id = n.group_id",
            &sub_account_keys,
            &group_ids,
            &new,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

// A generation whose lines are gone keeps the keys that it has. One that is not counted yet, because it waits to be
// accepted, is keyed again with the others.
async fn generations_of(conn: &mut PgConnection, key_ids: &[Uuid]) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "SELECT g.generation_id FROM generation g
         WHERE g.has_charges
           AND EXISTS (SELECT FROM charge c WHERE c.generation_id = g.generation_id)
           AND EXISTS (SELECT FROM daily_cost_by_key k
                       WHERE k.generation_id = g.generation_id AND k.rollup_key_id = ANY($1))
         ORDER BY g.generation_id",
        key_ids
    )
    .fetch_all(conn)
    .await
}

async fn with_daily_costs(conn: &mut PgConnection, generation_ids: &[i64]) -> sqlx::Result<BTreeSet<i64>> {
    let ids = sqlx::query_scalar!(
        r#"SELECT g AS "generation_id!" FROM unnest($1::bigint[]) g
           WHERE EXISTS (SELECT FROM daily_cost d WHERE d.generation_id = g)"#,
        generation_ids
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().collect())
}

async fn rebuild_by_key(conn: &mut PgConnection, generation_id: i64, key_ids: &[Uuid]) -> anyhow::Result<()> {
    let before = sums(&mut *conn, generation_id).await?;
    sqlx::query!(
        "DELETE FROM daily_cost_by_key WHERE generation_id = $1 AND rollup_key_id = ANY($2)",
        generation_id,
        key_ids,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO daily_cost_by_key (generation_id, sub_account_key, rollup_key_id, charge_date, billing_currency,
             charge_count, billed_cost, effective_cost, list_cost, contracted_cost, pricing_quantity)
         SELECT c.generation_id, c.sub_account_key, g.rollup_key_id, (c.charge_period_start AT TIME ZONE 'UTC')::date,
             c.billing_currency, count(*), sum(c.billed_cost), sum(c.effective_cost),
             coalesce(sum(c.list_cost), 0), coalesce(sum(c.contracted_cost), 0), coalesce(sum(c.pricing_quantity), 0)
         FROM charge c
         JOIN charge_group g USING (sub_account_key, group_id)
         WHERE c.generation_id = $1 AND g.rollup_key_id = ANY($2)
         GROUP BY 1, 2, 3, 4, 5",
        generation_id,
        key_ids,
    )
    .execute(&mut *conn)
    .await?;
    ensure!(
        sums(conn, generation_id).await? == before,
        "generation {generation_id} would not add up to what it was; nothing was changed. `costwake rebuild` adds it up anew \
         from its lines"
    );
    Ok(())
}

async fn sums(
    conn: &mut PgConnection,
    generation_id: i64,
) -> sqlx::Result<Vec<(String, i64, [bigdecimal::BigDecimal; 4])>> {
    let rows = sqlx::query!(
        r#"SELECT billing_currency, sum(charge_count)::bigint AS "charge_count!", sum(billed_cost) AS "billed!",
                  sum(effective_cost) AS "effective!", sum(list_cost) AS "list!", sum(contracted_cost) AS "contracted!"
           FROM daily_cost_by_key WHERE generation_id = $1 GROUP BY 1 ORDER BY 1"#,
        generation_id
    )
    .fetch_all(conn)
    .await?;
    let sums = rows.into_iter();
    Ok(sums.map(|r| (r.billing_currency, r.charge_count, [r.billed, r.effective, r.list, r.contracted])).collect())
}

async fn pairs_of(conn: &mut PgConnection, key_ids: &[Uuid]) -> sqlx::Result<BTreeSet<(i64, i64)>> {
    let rows = sqlx::query!(
        "SELECT DISTINCT service_id, environment_id FROM key_mapping WHERE rollup_key_id = ANY($1)",
        key_ids
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.service_id, row.environment_id)).collect())
}

impl GroupRow {
    fn detail(&self, attribute: &str) -> Option<Cow<'_, str>> {
        let text = match attribute {
            allocate::RESOURCE_ID => self.resource_id.as_deref(),
            "resource_name" => self.resource_name.as_deref(),
            "resource_type" => self.resource_type.as_deref(),
            "charge_description" => self.charge_description.as_deref(),
            _ => return mapped_keys::tag(&self.attributes, allocate::column_name(attribute)?),
        };
        text.map(Cow::Borrowed)
    }
}

// The loader's fingerprint, so that a bill read later meets the same key.
fn fingerprint(group: &GroupRow, mapping_tags: &str) -> Uuid {
    let mut fingerprint = Fingerprint::new();
    fingerprint.text_or_null(group.provider_name.as_deref());
    fingerprint.text_or_null(group.invoice_issuer_name.as_deref());
    fingerprint.text(&group.billing_account_id);
    fingerprint.text_or_null(group.sub_account_id.as_deref());
    fingerprint.text_or_null(group.sub_account_name.as_deref());
    fingerprint.text_or_null(group.service_category.as_deref());
    fingerprint.text_or_null(group.service_name.as_deref());
    fingerprint.text_or_null(group.region_id.as_deref());
    fingerprint.text_or_null(group.sku_id.as_deref());
    fingerprint.text_or_null(group.charge_category.as_deref());
    fingerprint.text_or_null(group.charge_class.as_deref());
    fingerprint.text_or_null(group.pricing_category.as_deref());
    fingerprint.text_or_null(group.commitment_discount_status.as_deref());
    fingerprint.text(mapping_tags);
    fingerprint.finish()
}
