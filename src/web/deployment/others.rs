//! What else its services had deployed in the days around it.

use super::super::deployed::newest_note;
use super::super::effects::Answer;
use super::effect::{FlagRow, flags};
use crate::focus::DateRange;
use crate::store::deployment_beside::{self, Beside};
use crate::store::deployment_list::ListedDeployment;
use crate::store::deployment_marks::{self, MarkedDeployment};
use crate::store::effects::{self, EffectBrief, EffectRow};
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
        Ok(untold(&answers, &main.billing_currency, main.release_date, told).into_iter().map(flag).collect())
    }

    /// One of them by its version.
    pub fn label_of(&self, deployment_id: i64) -> String {
        let other = self.marked.iter().find(|one| one.deployment_id == deployment_id);
        other.map_or_else(|| format!("deployment {deployment_id}"), MarkedDeployment::label)
    }
}

fn flag(row: &EffectBrief) -> FlagRow {
    let answer = Answer::from(row);
    let amount = answer.amount();
    let whose = match answer.shared_with.is_empty() {
        true => "a finding of its own",
        false => "one finding for all that share it",
    };
    let mut deployments = vec![row.deployment_id];
    deployments.extend(&answer.shared_with);
    FlagRow {
        name: "Another release",
        detail: format!("of the same service in these days, with {whose}, {}", row.finding),
        has_amount: amount.is_some(),
        amount: amount.unwrap_or_else(|| "not known".into()),
        deployments,
    }
}

// Of the claimed answers in a currency those that nothing tells yet, each once: what shares an answer with a deployment
// that is told, or was released on its day, has that answer.
fn untold<'a>(
    answers: &'a [EffectBrief],
    currency: &str,
    release_date: NaiveDate,
    mut told: Vec<i64>,
) -> Vec<&'a EffectBrief> {
    let partners = |row: &EffectBrief| effects::shared_with(row.joint.as_ref());
    let named: Vec<&EffectBrief> = answers.iter().filter(|row| told.contains(&row.deployment_id)).collect();
    let mut days: Vec<NaiveDate> = named.iter().map(|row| row.release_date).chain([release_date]).collect();
    told.extend(named.into_iter().flat_map(partners));
    let mut untold = Vec::new();
    for row in answers.iter().filter(|row| row.billing_currency == currency && Answer::from(*row).is_claimed()) {
        let mut own = partners(row);
        own.push(row.deployment_id);
        if days.contains(&row.release_date) || own.iter().any(|id| told.contains(id)) {
            continue;
        }
        days.push(row.release_date);
        told.extend(own);
        untold.push(row);
    }
    untold
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn answer(deployment_id: i64, released: &str, shared_with: &[i64]) -> EffectBrief {
        EffectBrief {
            deployment_id,
            service_id: 1,
            billing_currency: "USD".into(),
            release_date: day(released),
            phase: "settled".into(),
            finding: "increase".into(),
            reason: "clear-effect".into(),
            days_after: 14,
            per_day: Some(384.into()),
            per_day_low: None,
            per_day_high: None,
            per_30_days: None,
            per_30_days_low: None,
            per_30_days_high: None,
            before_per_day: None,
            flags: json!([]),
            joint: (!shared_with.is_empty()).then(|| json!({ "deployment_ids": shared_with })),
        }
    }

    /// Two releases of two days share one answer: a flag that names one of them tells of both.
    #[test]
    fn an_answer_that_several_share_is_told_once() {
        let answers = [answer(73, "2026-10-15", &[78]), answer(78, "2026-10-16", &[73])];
        let released = day("2026-10-25");
        let ids = |told: &[i64]| -> Vec<i64> {
            let rows = untold(&answers, "USD", released, told.to_vec());
            rows.into_iter().map(|row| row.deployment_id).collect()
        };
        assert_eq!(ids(&[78]), Vec::<i64>::new(), "the flag names the later one");
        assert_eq!(ids(&[73]), Vec::<i64>::new());
        assert_eq!(ids(&[]), [73]);
        assert_eq!(flag(&answers[0]).deployments, [73, 78]);
        // One that is not among the answers read is told of by its partner all the same.
        assert!(untold(&answers[..1], "USD", released, vec![78]).is_empty());
        let apart = [answer(73, "2026-10-15", &[]), answer(78, "2026-10-18", &[])];
        assert_eq!(untold(&apart, "USD", released, Vec::new()).len(), 2);
    }
}
