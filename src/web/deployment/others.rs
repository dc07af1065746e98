//! What else its services had deployed in the days around it.

use super::super::deployed::newest_note;
use super::super::effects::Answer;
use super::effect::{FlagRow, flags};
use crate::focus::DateRange;
use crate::store::deployment_beside::{self, Beside};
use crate::store::deployment_list::ListedDeployment;
use crate::store::deployment_marks::{self, MarkedDeployment};
use crate::store::effects::{self, EffectRow};
use crate::store::{Scope, Snapshot};
use chrono::NaiveDate;

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

    /// Those of the service in its environment that are claimed to have changed its cost: beside flags that name them
    /// already, and releases that share the answer.
    pub async fn claimed(
        &self,
        snapshot: &mut Snapshot,
        scope: &Scope,
        main: &EffectRow,
    ) -> sqlx::Result<Vec<FlagRow>> {
        let here = self.marked.iter().filter(|one| one.environment_id == main.environment_id);
        let ids: Vec<i64> = here.map(|one| one.deployment_id).collect();
        let answers = effects::briefs(snapshot, scope, &ids, Some(main.service_id)).await?;
        let mut told = effects::shared_with(main.joint.as_ref());
        told.extend(flags(main).into_iter().flat_map(|flag| flag.deployments));
        // What was released on one day has one answer.
        let told_too = answers.iter().filter(|row| told.contains(&row.deployment_id)).map(|row| row.release_date);
        let mut days: Vec<NaiveDate> = told_too.chain([main.release_date]).collect();
        let mut rows = Vec::new();
        for row in answers.iter().filter(|row| row.billing_currency == main.billing_currency) {
            let answer = Answer::from(row);
            if !answer.is_claimed() || told.contains(&row.deployment_id) || days.contains(&row.release_date) {
                continue;
            }
            days.push(row.release_date);
            told.extend(&answer.shared_with);
            let amount = answer.amount();
            rows.push(FlagRow {
                name: "Another release",
                detail: format!("of the same service in these days, with a finding of its own, {}", row.finding),
                has_amount: amount.is_some(),
                amount: amount.unwrap_or_else(|| "not known".into()),
                deployments: vec![row.deployment_id],
            });
        }
        Ok(rows)
    }

    /// One of them by its version.
    pub fn label_of(&self, deployment_id: i64) -> String {
        let other = self.marked.iter().find(|one| one.deployment_id == deployment_id);
        other.map_or_else(|| format!("deployment {deployment_id}"), MarkedDeployment::label)
    }
}
