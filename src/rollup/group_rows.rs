//! Rows of `charge_group` and `rollup_key` in the making.

use super::key_attributes::KeyAttributes;
use super::{fingerprint, json};
use crate::allocate;
use crate::normalize::Charge;
use crate::store::copy_binary::CopyBuffer;
use serde_json::Value;
use std::borrow::Cow;
use uuid::Uuid;

/// Bytes of groups that are staged at once.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;

/// Rows of one table in COPY's binary format, each by itself: those that are stored already can be left out.
#[derive(Debug, Default)]
pub(super) struct KeyedRows {
    bytes: Vec<u8>,
    rows: Vec<KeyedRow>,
}

/// What names a row, and where it ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyedRow {
    pub sub_account_key: i32,
    pub id: Uuid,
    start: usize,
    end: usize,
}

impl KeyedRows {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows in the order of their keys, each once: two loads that insert the same ones never wait crosswise.
    pub fn in_order(&self) -> Vec<KeyedRow> {
        let mut rows = self.rows.clone();
        rows.sort_unstable_by_key(|row| (row.sub_account_key, row.id));
        rows.dedup_by_key(|row| (row.sub_account_key, row.id));
        rows
    }

    /// A whole COPY stream of these rows.
    pub fn copy_stream(&self, rows: &[KeyedRow]) -> Vec<u8> {
        let mut stream = CopyBuffer::with_capacity(self.bytes.len() + 64);
        stream.header();
        for row in rows {
            stream.whole_row(&self.bytes[row.start..row.end]);
        }
        stream.trailer();
        stream.take()
    }
}

/// What a load writes beside its charges.
#[derive(Debug, Default)]
pub(super) struct StagedRows {
    pub rollup_keys: KeyedRows,
    pub groups: KeyedRows,
    /// A whole COPY stream of daily sums; empty where there are none.
    pub days: Vec<u8>,
}

/// What a charge's group comes to.
pub(super) struct GroupNames {
    pub group_id: Uuid,
    pub rollup_key_id: Uuid,
    pub sub_account_key: i32,
}

pub(super) struct GroupRows {
    key_attributes: KeyAttributes,
    rollup_keys: RowsInTheMaking,
    groups: RowsInTheMaking,
    attributes: String,
}

impl GroupRows {
    pub fn new(key_attributes: KeyAttributes) -> Self {
        Self {
            key_attributes,
            rollup_keys: RowsInTheMaking::default(),
            groups: RowsInTheMaking::default(),
            attributes: String::new(),
        }
    }

    /// Writes the charge's group, and its rollup key unless that one is known already.
    pub fn write(&mut self, charge: &Charge<'_>, is_known: impl FnOnce(Uuid) -> bool) -> GroupNames {
        let mut tags = Value::Object(charge.tag_map());
        json::storable(&mut tags);
        let mut pairs: Vec<(&str, &str)> = charge.attributes().collect();
        pairs.sort_unstable();
        let detail = |attribute: &str| detail(charge, &pairs, attribute);
        let mapping_tags = Value::Object(self.key_attributes.mapping_tags(&tags, detail)).to_string();
        let tags = tags.to_string();
        json::of_pairs(&mut self.attributes, pairs.iter().copied());
        let rollup_key_id = fingerprint::of_rollup_key(charge, &mapping_tags);
        let names = GroupNames {
            group_id: fingerprint::of_group(charge, &tags, &self.attributes),
            rollup_key_id,
            sub_account_key: fingerprint::sub_account_key(charge.sub_account_id),
        };
        if !is_known(rollup_key_id) {
            self.rollup_key(charge, &names, &mapping_tags);
        }
        self.group(charge, &names, &tags);
        names
    }

    fn rollup_key(&mut self, charge: &Charge<'_>, names: &GroupNames, mapping_tags: &str) {
        let to = &mut self.rollup_keys.buffer;
        let start = to.len();
        to.row(16);
        to.int4(names.sub_account_key);
        to.uuid(names.rollup_key_id);
        to.text_or_null(charge.provider_name);
        to.text_or_null(charge.invoice_issuer_name);
        to.text(charge.billing_account_id.unwrap_or_default());
        to.text_or_null(charge.sub_account_id);
        to.text_or_null(charge.sub_account_name);
        to.text_or_null(charge.service_category);
        to.text_or_null(charge.service_name);
        to.text_or_null(charge.region_id);
        to.text_or_null(charge.sku_id);
        to.text_or_null(charge.charge_category);
        to.text_or_null(charge.charge_class);
        to.text_or_null(charge.pricing_category);
        to.text_or_null(charge.commitment_discount_status);
        to.jsonb(mapping_tags);
        self.rollup_keys.named(names.sub_account_key, names.rollup_key_id, start);
    }

    fn group(&mut self, charge: &Charge<'_>, names: &GroupNames, tags: &str) {
        let to = &mut self.groups.buffer;
        let start = to.len();
        to.row(9);
        to.int4(names.sub_account_key);
        to.uuid(names.group_id);
        to.uuid(names.rollup_key_id);
        to.text_or_null(charge.resource_id);
        to.text_or_null(charge.resource_name);
        to.text_or_null(charge.resource_type);
        to.text_or_null(charge.charge_description);
        to.jsonb(tags);
        to.text(if self.attributes.is_empty() { "{}" } else { &self.attributes });
        self.groups.named(names.sub_account_key, names.group_id, start);
    }

    /// The rows so far, once they are worth a round trip.
    pub fn take_full(&mut self) -> Option<StagedRows> {
        (self.groups.buffer.len() + self.rollup_keys.buffer.len() >= CHUNK_BYTES).then(|| self.take())
    }

    /// The rows so far.
    pub fn take(&mut self) -> StagedRows {
        StagedRows { rollup_keys: self.rollup_keys.take(), groups: self.groups.take(), days: Vec::new() }
    }
}

/// What a line says of an attribute that keys do not carry by themselves. A column is taken in any case of letters.
fn detail<'a>(charge: &Charge<'a>, pairs: &[(&'a str, &'a str)], attribute: &str) -> Option<Cow<'a, str>> {
    let value = match attribute {
        allocate::RESOURCE_ID => charge.resource_id,
        "resource_name" => charge.resource_name,
        "resource_type" => charge.resource_type,
        "charge_description" => charge.charge_description,
        _ => {
            let name = allocate::column_name(attribute)?;
            let exact = pairs.iter().find(|(column, _)| *column == name);
            let found = exact.or_else(|| pairs.iter().find(|(column, _)| column.eq_ignore_ascii_case(name)));
            found.map(|(_, value)| *value)
        }
    };
    value.map(Cow::Borrowed)
}

#[derive(Debug, Default)]
struct RowsInTheMaking {
    buffer: CopyBuffer,
    rows: Vec<KeyedRow>,
}

impl RowsInTheMaking {
    fn named(&mut self, sub_account_key: i32, id: Uuid, start: usize) {
        self.rows.push(KeyedRow { sub_account_key, id, start, end: self.buffer.len() });
    }

    fn take(&mut self) -> KeyedRows {
        KeyedRows { bytes: self.buffer.take(), rows: std::mem::take(&mut self.rows) }
    }
}
