//! Which tags of a charge, and which other attributes of a line, go into its rollup key: what rules look at, and
//! nothing else.

use super::json;
use super::mapped_keys::tag;
use super::mapping_details;
use crate::allocate::{Condition, Details};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use std::borrow::Cow;

/// What is kept of single lines stands among a key's mapping tags under this and the attribute's name. No rule can
/// name a tag like this.
pub const DETAIL_MARK: char = '@';

/// The tags and values of lines that are kept apart.
#[derive(Debug)]
pub struct KeyAttributes {
    tag_keys: Vec<String>,
    details: Details,
    /// The attributes that `details` look at.
    looked_at: Vec<String>,
}

impl KeyAttributes {
    /// What rules look at now, or looked at once. A loader reads it once, before its first line.
    pub async fn load(conn: &mut PgConnection) -> anyhow::Result<Self> {
        let tag_keys = sqlx::query_scalar!("SELECT tag_key FROM mapping_tag_key").fetch_all(&mut *conn).await?;
        Self::of(tag_keys, &mapping_details::list(conn).await?)
    }

    /// These tags, and the values that these conditions hold for.
    pub(super) fn of(mut tag_keys: Vec<String>, details: &[Condition]) -> anyhow::Result<Self> {
        // Sorted here and not by the database, whose order of letters depends on its locale: the text is hashed.
        tag_keys.sort_unstable();
        let details = Details::compile(details)?;
        let looked_at = details.attributes().into_iter().map(str::to_owned).collect();
        Ok(Self { tag_keys, details, looked_at })
    }

    /// The part of a charge that goes into its key beside its own columns. A tag's key is taken in any case of
    /// letters; `detail` gives the value of an attribute of the line.
    pub fn mapping_tags<'a>(&self, tags: &Value, detail: impl Fn(&str) -> Option<Cow<'a, str>>) -> Map<String, Value> {
        let mut kept = Map::new();
        for attribute in &self.looked_at {
            if let Some(value) = detail(attribute).filter(|value| self.details.keep(attribute, value)) {
                let mut value = Value::from(value.into_owned());
                json::storable(&mut value);
                kept.insert(format!("{DETAIL_MARK}{attribute}"), value);
            }
        }
        for key in &self.tag_keys {
            if let Some(value) = tag(tags, key) {
                kept.insert(key.clone(), value.into_owned().into());
            }
        }
        kept
    }
}
