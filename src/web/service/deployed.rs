//! The deployments on the page of a service: the newest as a table, all of the chart's days as its marks, and what is
//! said of their effects.

use super::super::deployed::newest_note;
use super::super::query::{Span, range_label};
use super::DEPLOYMENT_ROW_COUNT_MAX;
use crate::focus::DateRange;
use crate::store::deployment_list::{self, ListedDeployment};
use crate::store::deployment_marks::{self, MarkedDeployment};
use crate::store::effects::{self, EffectBrief};
use crate::store::{Scope, Snapshot};
use std::sync::Arc;

/// What is read of the deployments of a service.
#[derive(Clone)]
pub(super) struct Deployed {
    /// The days of the table.
    listed_on: DateRange,
    /// How many there are on them.
    count: i64,
    /// The newest of them.
    pub listed: Vec<ListedDeployment>,
    /// All that went live on the days of the chart, in order of time.
    pub marked: Arc<Vec<MarkedDeployment>>,
    /// What is said of the effects of both.
    pub effects: Vec<EffectBrief>,
}

impl Deployed {
    /// Reads those of a service. Where its cost is not shown there is no `span`, and neither marks nor effects.
    pub async fn read(
        snapshot: &mut Snapshot,
        scope: &Scope,
        service_id: i64,
        listed_on: DateRange,
        span: Option<&Span>,
    ) -> sqlx::Result<Self> {
        let (from, until) = (listed_on.start(), listed_on.end());
        let limit = DEPLOYMENT_ROW_COUNT_MAX as i64 + 1;
        let mut listed = deployment_list::of_service(snapshot, service_id, from, until, limit).await?;
        let count = match listed.len() > DEPLOYMENT_ROW_COUNT_MAX {
            true => deployment_marks::count_of_service(snapshot, service_id, listed_on).await?,
            false => listed.len() as i64,
        };
        listed.truncate(DEPLOYMENT_ROW_COUNT_MAX);
        let (mut marked, mut answers) = (Vec::new(), Vec::new());
        if let Some(span) = span {
            marked = deployment_marks::of_services(snapshot, &[service_id], span.chart).await?;
            let own = listed.iter().map(|one| one.deployment_id);
            let mut ids: Vec<i64> = own.chain(marked.iter().map(|one| one.deployment_id)).collect();
            ids.sort_unstable();
            ids.dedup();
            answers = effects::briefs(snapshot, scope, &ids, Some(service_id)).await?;
        }
        Ok(Self { listed_on, count, listed, marked: Arc::new(marked), effects: answers })
    }

    /// That there are none, or which of them the table lacks.
    pub fn note(&self) -> String {
        match self.count {
            0 => format!("No deployments seen from {}.", range_label(self.listed_on)),
            count => newest_note(self.listed.len(), count, Some(self.listed_on)),
        }
    }
}
