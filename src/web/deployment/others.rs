//! What else its services had deployed in the days around it.

use super::super::deployed::newest_note;
use crate::focus::DateRange;
use crate::store::Snapshot;
use crate::store::deployment_beside::{self, Beside};
use crate::store::deployment_list::ListedDeployment;
use crate::store::deployment_marks::{self, MarkedDeployment};

/// Listed on the page.
const ROW_COUNT_MAX: usize = 100;

/// The other deployments of its services that went live.
#[derive(Debug, Clone, Default)]
pub struct Others {
    /// The newest.
    pub listed: Vec<ListedDeployment>,
    /// Which of them the list lacks; may be empty.
    pub note: String,
    /// All, in order of time: for the chart, and for what the page calls them.
    pub marked: Vec<MarkedDeployment>,
}

impl Others {
    /// Reads those of these days.
    pub async fn read(
        snapshot: &mut Snapshot,
        deployment_id: i64,
        service_ids: &[i64],
        days: DateRange,
    ) -> sqlx::Result<Self> {
        if service_ids.is_empty() {
            return Ok(Self::default());
        }
        let beside = Beside { deployment_id, days, changed_in: None };
        let listed = deployment_beside::list(snapshot, beside, ROW_COUNT_MAX as i64).await?;
        let mut marked = deployment_marks::of_services(snapshot, service_ids, days).await?;
        marked.retain(|one| one.deployment_id != deployment_id);
        let note = newest_note(listed.len(), marked.len() as i64, Some(days));
        Ok(Self { listed, note, marked })
    }

    /// One of them by its version.
    pub fn label_of(&self, deployment_id: i64) -> String {
        let other = self.marked.iter().find(|one| one.deployment_id == deployment_id);
        other.map_or_else(|| format!("deployment {deployment_id}"), MarkedDeployment::label)
    }
}
