//! 128-bit names of what charges share, so that a loader needs no look-up to know whether it has met it before.

use crate::normalize::Charge;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The first 128 bits of the SHA-256 over texts, each with its length in front.
pub(super) struct Fingerprint(Sha256);

impl Fingerprint {
    pub fn new() -> Self {
        Self(Sha256::new())
    }

    pub fn text(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    // A length that no text has stands for null.
    pub fn text_or_null(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.0.update(u64::MAX.to_le_bytes()),
        }
    }

    fn key_columns(&mut self, charge: &Charge<'_>) {
        self.text_or_null(charge.provider_name);
        self.text_or_null(charge.invoice_issuer_name);
        self.text(charge.billing_account_id.unwrap_or_default());
        self.text_or_null(charge.sub_account_id);
        self.text_or_null(charge.sub_account_name);
        self.text_or_null(charge.service_category);
        self.text_or_null(charge.service_name);
        self.text_or_null(charge.region_id);
        self.text_or_null(charge.sku_id);
        self.text_or_null(charge.charge_category);
        self.text_or_null(charge.charge_class);
        self.text_or_null(charge.pricing_category);
        self.text_or_null(charge.commitment_discount_status);
    }

    pub fn finish(self) -> Uuid {
        let digest = self.0.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Uuid::from_bytes(bytes)
    }
}

/// Names the group-making cells of charges within one import. Not by SHA-256, which costs as much as reading the
/// row: by a seeded hash of 128 bits. The seed is drawn for each import, so that no file can aim at a collision.
pub(super) struct CellsHash {
    seed: u64,
    bytes: Vec<u8>,
}

impl CellsHash {
    pub fn new() -> Self {
        Self { seed: getrandom::u64().expect("the system has random numbers"), bytes: Vec::with_capacity(2048) }
    }

    pub fn of(&mut self, charge: &Charge<'_>) -> u128 {
        charge.group_bytes(&mut self.bytes);
        xxhash_rust::xxh3::xxh3_128_with_seed(&self.bytes, self.seed)
    }
}

/// What rollups keep apart.
pub(super) fn of_rollup_key(charge: &Charge<'_>, mapping_tags: &str) -> Uuid {
    let mut fingerprint = Fingerprint::new();
    fingerprint.key_columns(charge);
    fingerprint.text(mapping_tags);
    fingerprint.finish()
}

/// What charges of one group share: the columns of a rollup key and all others. The tags that rules look at are no
/// part by themselves: a group keeps its name when a rule looks at another one.
pub(super) fn of_group(charge: &Charge<'_>, tags: &str, attributes: &str) -> Uuid {
    let mut fingerprint = Fingerprint::new();
    fingerprint.key_columns(charge);
    fingerprint.text_or_null(charge.resource_id);
    fingerprint.text_or_null(charge.resource_name);
    fingerprint.text_or_null(charge.resource_type);
    fingerprint.text_or_null(charge.charge_description);
    fingerprint.text(tags);
    fingerprint.text(attributes);
    fingerprint.finish()
}

/// The distribution column: the same for all charges of a sub account, on every machine and in every release.
pub(super) fn sub_account_key(sub_account_id: Option<&str>) -> i32 {
    let digest = Sha256::digest(sub_account_id.unwrap_or_default().as_bytes());
    i32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}
