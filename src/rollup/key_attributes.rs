//! Which tags of a charge, and which resources, go into its rollup key: what rules look at, and nothing else.

use super::mapped_keys::tag;
use super::mapper::Mapper;
use crate::allocate::Rules;
use serde_json::{Map, Value};
use sqlx::PgConnection;

/// Where the resource stands among a key's mapping tags, for the few resources that a rule looks at. No rule can
/// name a tag like this.
pub const RESOURCE_TAG: &str = "@resource_id";

/// The tags and resources that are kept apart.
#[derive(Debug)]
pub struct KeyAttributes {
    tag_keys: Vec<String>,
    rules: Rules,
}

impl KeyAttributes {
    /// What rules look at now. A loader reads it once, before its first line.
    pub async fn load(conn: &mut PgConnection) -> anyhow::Result<Self> {
        let tag_keys = sqlx::query_scalar!("SELECT tag_key FROM mapping_tag_key").fetch_all(&mut *conn).await?;
        let rules = Mapper::load(conn).await?.charges;
        Ok(Self::of(tag_keys, rules))
    }

    /// These tags, and the resources that these rules look at.
    pub(super) fn of(mut tag_keys: Vec<String>, rules: Rules) -> Self {
        // Sorted here and not by the database, whose order of letters depends on its locale: the text is hashed.
        tag_keys.sort_unstable();
        Self { tag_keys, rules }
    }

    /// The part of a charge's tags that goes into its key. A tag's key is taken in any case of letters.
    pub fn mapping_tags(&self, tags: &Value, resource_id: Option<&str>) -> Map<String, Value> {
        let mut kept = Map::new();
        if let Some(resource) = resource_id.filter(|resource| self.rules.looks_at_resource(resource)) {
            kept.insert(RESOURCE_TAG.to_owned(), resource.into());
        }
        for key in &self.tag_keys {
            if let Some(value) = tag(tags, key) {
                kept.insert(key.clone(), value.into_owned().into());
            }
        }
        kept
    }
}
