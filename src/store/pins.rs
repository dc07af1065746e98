//! What pins of deployments and of operational events have in common: by which rules something was matched, and who said
//! that it stays so.

use chrono::{DateTime, Utc};

/// How a deployment or an operational event came to its services and environment.
#[derive(Debug, Clone, Default)]
pub struct Matching {
    /// The rule that named the services.
    pub service_rule_id: Option<i64>,
    /// What it says of itself; none where it is gone by now.
    pub service_rule_note: Option<String>,
    /// The rule that named the environment.
    pub environment_rule_id: Option<i64>,
    /// What it says of itself; none where it is gone by now.
    pub environment_rule_note: Option<String>,
    /// Who pinned it.
    pub pinned_by: Option<String>,
    /// When.
    pub pinned_at: Option<DateTime<Utc>>,
}

/// Where a deployment or an operational event belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PinPlace {
    /// Its services, in order of id.
    pub service_ids: Vec<i64>,
    /// Its environment; where there is none, any for an operational event, and one that is not known for a deployment.
    pub environment_id: Option<i64>,
}

/// A match that somebody pinned. `Id` numbers the deployment or operational event: of an event there may be none.
#[derive(Debug, Clone)]
pub struct Pin<Id> {
    /// The number of the deployment or operational event.
    pub subject_id: Id,
    /// The id that its sender gave.
    pub external_id: String,
    /// Who told of it.
    pub source_name: String,
    /// Short name of its environment.
    pub environment_slug: Option<String>,
    /// Short names of its services.
    pub service_slugs: Vec<String>,
    /// Who pinned it.
    pub pinned_by: String,
    /// When.
    pub pinned_at: DateTime<Utc>,
}
