//! What pins of deployments and of operational events say alike: all but the number of what is pinned.

use crate::store::pins::Pin;
use chrono::{DateTime, Utc};
use serde::Serialize;

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
