//! The main cause of what moved: the largest cause of "why spend changed" for the same service and days, in its words.

use super::findings::Cause;
use crate::store::costs::CostFilter;
use crate::store::deployment_list::label_of;
use crate::store::freshness::Freshness;
use crate::store::service_costs::ServiceCost;
use crate::store::{Scope, Snapshot, deployment_lists, effects};
use crate::web::AppState;
use crate::web::display::{decimals, signed};
use crate::web::query::{Span, View};
use crate::web::why::{self, Explained, LeadingRelease};
use bigdecimal::Zero;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Deployments of one answer that are named; more are counted.
const NAME_COUNT_MAX: usize = 3;

/// What a service's change is mostly made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MainCause {
    /// "More traffic, +$3,193", "Releases v1 and v2 together, +$486".
    text: String,
    /// Of releases: one of their deployments.
    deployment_id: Option<i64>,
}

/// The main causes of the services that moved most.
#[derive(Default)]
pub struct MainCauses(BTreeMap<i64, Arc<MainCause>>);

impl MainCauses {
    /// Those of services that cost something in both periods. What `/why` reads is read once for each of them; the answers
    /// are kept for as long as nothing at all is written.
    pub async fn read(
        app: &AppState,
        bills: &Freshness,
        snapshot: &mut Snapshot,
        scope: &Scope,
        (filter, span): (&CostFilter, &Span),
        services: &[&ServiceCost],
    ) -> sqlx::Result<Self> {
        let mut causes = BTreeMap::new();
        if !span.is_compared() || span.overlaps() {
            return Ok(Self::default());
        }
        let kept = &app.kept_costs.main_causes;
        for service in services {
            // All of it is new, which needs no other cause.
            if service.cost_before.is_zero() {
                continue;
            }
            let own = CostFilter { service_id: Some(service.service_id), ..filter.clone() };
            // Which sources are late depends on the day.
            let today = app.now().date_naive();
            let question = format!("{} {scope:?} {own:?} {:?} {today}", service.currency, span.before);
            if let Some(cause) = kept.get(&bills.seen, &question) {
                causes.insert(service.service_id, cause);
                continue;
            }
            let why = why::read(app, bills, snapshot, scope, why::by_day(&own, span.before), None).await?;
            let explained = why.changes.iter().find(|one| one.currency == service.currency);
            if let Some(cause) = main_cause(snapshot, scope, explained).await? {
                let cause = Arc::new(cause);
                kept.keep(bills.seen.clone(), question, &cause, 1);
                causes.insert(service.service_id, cause);
            }
        }
        Ok(Self(causes))
    }

    /// That of a service, where releases are it.
    pub fn release_of(&self, service: &ServiceCost, view: &View) -> Option<Cause> {
        let is_release = self.0.get(&service.service_id).is_some_and(|cause| cause.deployment_id.is_some());
        self.of(service, view).filter(|_| is_release)
    }

    /// That of a service, with the way to what it rests on.
    pub fn of(&self, service: &ServiceCost, view: &View) -> Option<Cause> {
        let cause = self.0.get(&service.service_id)?;
        let href = match cause.deployment_id {
            Some(id) => format!("/deployments/{id}"),
            None => view.link("/why", &[("service", &service.slug)]),
        };
        Some(Cause { text: cause.text.clone(), href })
    }
}

async fn main_cause(
    snapshot: &mut Snapshot,
    scope: &Scope,
    explained: Option<&Explained>,
) -> sqlx::Result<Option<MainCause>> {
    let Some(one) = explained else { return Ok(None) };
    let digits = decimals(&one.currency, &one.now.abs().max(one.before.abs()));
    let Some((row, amount)) = one.largest(digits) else { return Ok(None) };
    let amount = signed(&amount, &one.currency, digits);
    let Some(leading) = &row.leading else {
        return Ok(Some(MainCause { text: format!("{}, {amount}", row.label), deployment_id: None }));
    };
    let (names, more) = names(snapshot, scope, leading, &one.currency).await?;
    let text = format!("{}, {amount}", named(leading, &row.label, &names, more));
    Ok(Some(MainCause { text, deployment_id: Some(leading.deployment_id) }))
}

// What the deployments of an answer are called, the earliest first, and how many are not named.
async fn names(
    snapshot: &mut Snapshot,
    scope: &Scope,
    leading: &LeadingRelease,
    currency: &str,
) -> sqlx::Result<(Vec<String>, usize)> {
    let own = [leading.deployment_id];
    let answers = effects::briefs(snapshot, scope, &own, Some(leading.service_id)).await?;
    let answer = answers.iter().find(|answer| answer.billing_currency == currency);
    let partners = answer.map(|answer| effects::shared_with(answer.joint.as_ref())).unwrap_or_default();
    let more = (partners.len() + 1).saturating_sub(NAME_COUNT_MAX);
    let mut rows = Vec::new();
    for id in own.into_iter().chain(partners).take(NAME_COUNT_MAX) {
        rows.extend(deployment_lists::get(snapshot, id).await?);
    }
    rows.sort_by_key(|row| row.finished_at.or(row.started_at).unwrap_or(row.created_at));
    let mut names: Vec<String> =
        rows.iter().map(|row| label_of(row.deployment_id, row.version.as_deref(), row.sha.as_deref())).collect();
    // A version that went out twice has one name.
    names.dedup();
    Ok((names, more))
}

// "Release v1 in staging, with 1 other release", "Releases v1 and v2 together", "Less added by releases: v1".
fn named(leading: &LeadingRelease, label: &str, names: &[String], more: usize) -> String {
    let mut parts = names.to_vec();
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    let is_joint = parts.len() > 1;
    let last = parts.pop().unwrap_or_default();
    let listed = if parts.is_empty() { last } else { format!("{} and {last}", parts.join(", ")) };
    let head = match (leading.is_less_of_it, is_joint) {
        (true, _) => format!("{label}: "),
        (false, true) => "Releases ".into(),
        (false, false) => "Release ".into(),
    };
    let place = leading.elsewhere.as_ref().map(|place| format!(" in {place}")).unwrap_or_default();
    let together = if is_joint { " together" } else { "" };
    let others = match leading.other_count {
        0 => String::new(),
        1 => ", with 1 other release".into(),
        count => format!(", with {count} other releases"),
    };
    format!("{head}{listed}{place}{together}{others}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What shares an answer is named together: the days do not tell one of them from the other.
    #[test]
    fn releases_of_one_answer_are_named_together() {
        let alone =
            LeadingRelease { deployment_id: 78, service_id: 1, elsewhere: None, other_count: 0, is_less_of_it: false };
        let said = |leading: &LeadingRelease, names: &[&str], more| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            named(leading, "Less added by releases", &names, more)
        };
        assert_eq!(said(&alone, &["v3"], 0), "Release v3");
        assert_eq!(said(&alone, &["v3", "v4"], 0), "Releases v3 and v4 together");
        assert_eq!(said(&alone, &["v3", "v4", "v5"], 2), "Releases v3, v4, v5 and 2 more together");
        let elsewhere = LeadingRelease { elsewhere: Some("Staging".into()), other_count: 1, ..alone.clone() };
        assert_eq!(said(&elsewhere, &["v3"], 0), "Release v3 in Staging, with 1 other release");
        let over = LeadingRelease { is_less_of_it: true, ..alone };
        assert_eq!(said(&over, &["v3"], 0), "Less added by releases: v3");
    }
}
