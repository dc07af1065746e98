//! Whether a deployment counts as a failed change, and by which evidence: as its page says it.

use crate::store::change_failures::ChangeFailure;
use crate::web::deployment::{failure_sentence, safe_url};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// Whether it counts as a failed change.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ChangeFailed {
    /// `null` where it did not go live: it is no change of what is live, so neither did it fail as one.
    pub failed: Option<bool>,
    /// Why, the earliest first; empty where nothing says so. What is disputed does not count.
    pub evidence: Vec<FailureEvidence>,
}

impl ChangeFailed {
    /// The answer of these reasons, for a deployment that went live or did not.
    pub(super) fn of(went_live: bool, failures: &[ChangeFailure]) -> Self {
        let evidence: Vec<FailureEvidence> = failures.iter().map(FailureEvidence::of).collect();
        let counts = failures.iter().any(|failure| !failure.is_disputed);
        Self { failed: went_live.then_some(counts), evidence }
    }
}

/// One reason.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct FailureEvidence {
    /// `rollback`, `hotfix`, `incident`, `revert` or `marked`.
    pub reason: String,
    /// The same in a sentence.
    pub sentence: String,
    /// When that was.
    pub at: DateTime<Utc>,
    /// The deployment that went back, or brought the hotfix.
    pub deployment_id: Option<i64>,
    /// The version that it went back to.
    pub version: Option<String>,
    /// The incident: its page is `/events/` and this number.
    pub event_id: Option<i64>,
    /// The title of the incident, or of the change that reverted or mended it.
    pub title: Option<String>,
    /// The page of that at its sender.
    pub url: Option<String>,
    /// Who marked it.
    pub marked_by: Option<String>,
    /// What they wrote.
    pub note: Option<String>,
    /// Somebody said that it did not fail for this reason.
    pub is_disputed: bool,
}

impl FailureEvidence {
    fn of(failure: &ChangeFailure) -> Self {
        Self {
            reason: failure.reason.clone(),
            sentence: failure_sentence(failure),
            at: failure.failed_at,
            deployment_id: failure.deployment_id,
            version: failure.version.clone(),
            event_id: failure.operational_event_id,
            title: failure.title.clone(),
            url: safe_url(failure.url.as_deref()).map(str::to_owned),
            marked_by: failure.marked_by.clone(),
            note: failure.note.clone(),
            is_disputed: failure.is_disputed,
        }
    }
}
