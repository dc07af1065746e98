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
use std::collections::BTreeSet;

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

    /// What may stand behind an answer: its flags, of which other releases are told by their own standing answers, and
    /// those of the service in its environment that are claimed to have changed its cost, beside flags that name them
    /// already, and releases that share the answer.
    pub async fn flags(&self, snapshot: &mut Snapshot, scope: &Scope, main: &EffectRow) -> sqlx::Result<Vec<FlagRow>> {
        let mut rows = flags(main);
        let named: Vec<i64> = rows.iter().flat_map(|flag| flag.deployments.iter().copied()).collect();
        let here = self.marked.iter().filter(|one| one.environment_id == main.environment_id);
        let ids: BTreeSet<i64> = here.map(|one| one.deployment_id).chain(named.iter().copied()).collect();
        let ids: Vec<i64> = ids.into_iter().collect();
        let answers = effects::briefs(snapshot, scope, &ids, Some(main.service_id)).await?;
        for row in rows.iter_mut().filter(|row| !row.deployments.is_empty()) {
            tell_by_own_answer(row, &answers, &main.billing_currency);
        }
        let mut told = effects::shared_with(main.joint.as_ref());
        told.extend(named);
        rows.extend(untold(&answers, &main.billing_currency, main.release_date, told).into_iter().map(flag));
        Ok(rows)
    }

    /// One of them by its version.
    pub fn label_of(&self, deployment_id: i64) -> String {
        let other = self.marked.iter().find(|one| one.deployment_id == deployment_id);
        other.map_or_else(|| format!("deployment {deployment_id}"), MarkedDeployment::label)
    }
}

// What the days of one answer put to another release is no answer about that one: its page says something else, perhaps
// that it did nothing. So its own answer is told where there is one, and beside it what the estimate here takes off.
fn tell_by_own_answer(row: &mut FlagRow, answers: &[EffectBrief], currency: &str) {
    let is_own =
        |brief: &&EffectBrief| row.deployments.contains(&brief.deployment_id) && brief.billing_currency == currency;
    let own = answers.iter().filter(is_own).map(Answer::from).find(|answer| answer.phase != "measuring");
    let Some((own, amount)) = own.and_then(|own| own.amount().map(|amount| (own, amount))) else {
        row.detail.push_str("; it has no answer of its own, and this is what the estimate here takes off for it");
        return;
    };
    let whose = if own.shared_with.is_empty() { "its own answer" } else { "the answer that it shares" };
    let interval = own.interval_told().map(|text| format!(", {text}")).unwrap_or_default();
    let here = std::mem::replace(&mut row.amount, amount);
    let finding = own.finding_word().to_lowercase();
    row.detail
        .push_str(&format!("; {whose} is \"{finding}\"{interval}, and the estimate here takes off {here} for it"));
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

    /// The page of the other release says that it did nothing to speak of: a flag beside this one must not say that it did.
    #[test]
    fn another_release_is_told_by_its_own_answer() {
        let flagged = || FlagRow {
            name: "Another release",
            detail: "of the same service, near this one, 15 Oct 2026".into(),
            amount: "\u{2212}$118".into(),
            has_amount: true,
            deployments: vec![73],
        };
        let own = EffectBrief {
            finding: "no-material-change".into(),
            reason: "within-a-tenth".into(),
            per_day: Some((-4).into()),
            per_day_low: Some((-15).into()),
            per_day_high: Some(3.into()),
            ..answer(73, "2026-10-15", &[])
        };
        let told = |answers: &[EffectBrief], currency: &str| {
            let mut row = flagged();
            tell_by_own_answer(&mut row, answers, currency);
            (row.amount, row.detail)
        };
        let (amount, detail) = told(std::slice::from_ref(&own), "USD");
        assert_eq!(amount, Answer::from(&own).amount().unwrap());
        assert!(detail.contains("; its own answer is \"no material change\", "), "{detail}");
        assert!(detail.ends_with(", and the estimate here takes off \u{2212}$118 for it"), "{detail}");
        let shared = EffectBrief { joint: Some(json!({ "deployment_ids": [78] })), ..own.clone() };
        assert!(told(&[shared], "USD").1.contains("; the answer that it shares is "));
        let measuring = EffectBrief { phase: "measuring".into(), per_day: None, ..own.clone() };
        for (answers, currency) in [(vec![], "USD"), (vec![own], "EUR"), (vec![measuring], "USD")] {
            let (amount, detail) = told(&answers, currency);
            assert_eq!(amount, "\u{2212}$118");
            assert!(detail.contains("it has no answer of its own"), "{detail}");
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
