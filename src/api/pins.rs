//! What pins of deployments and of operational events say and take alike: all but the number of what is pinned.

use super::body::parse;
use super::catalogue::present;
use super::error::Result;
use crate::store::pins::Pin;
use crate::web::pin_places::Asked;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Where a deployment or an operational event is to stay; what is absent is as it is now.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewPin {
    /// Short names of its services, one at least.
    pub services: Option<Vec<String>>,
    /// Short name of its environment; `null` for none, which is any of an operational event.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub environment: Option<Option<String>>,
}

impl NewPin {
    /// What a body asks for: without one, what is pinned is the present match.
    pub(super) fn read(body: &[u8]) -> Result<Self> {
        if says_anything(body) { parse(body) } else { Ok(Self::default()) }
    }
}

impl From<NewPin> for Asked {
    fn from(new: NewPin) -> Self {
        Self { services: new.services, environment: new.environment }
    }
}

// Clients that always send one send nothing with `{}` and `null`.
fn says_anything(body: &[u8]) -> bool {
    !matches!(body.trim_ascii(), b"" | b"{}" | b"null")
}

/// A match that somebody pinned.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PinnedMatch {
    /// The id that its sender gave; of an operational event the key that this makes.
    pub id: String,
    /// The event source.
    pub source: String,
    /// Short name of the environment that it stays in; null for none, which is any of an operational event.
    pub environment: Option<String>,
    /// Short names of the services that it stays with.
    pub services: Vec<String>,
    /// Who pinned it.
    pub pinned_by: String,
    /// When.
    pub pinned_at: DateTime<Utc>,
}

impl<Id> From<Pin<Id>> for PinnedMatch {
    fn from(pin: Pin<Id>) -> Self {
        Self {
            id: pin.external_id,
            source: pin.source_name,
            environment: pin.environment_slug,
            services: pin.service_slugs,
            pinned_by: pin.pinned_by,
            pinned_at: pin.pinned_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::says_anything;

    #[test]
    fn only_a_body_that_asks_for_something_says_anything() {
        for nothing in ["", " \n", "{}", "null"] {
            assert!(!says_anything(nothing.as_bytes()), "{nothing}");
        }
        for something in [r#"{"services":["payments"]}"#, "[]", "x"] {
            assert!(says_anything(something.as_bytes()), "{something}");
        }
    }
}
