//! What releases did to cost, in short: the newest answers, how many there are of each, and what is said behind a mover.

use crate::store::anomaly_between::AnomalyBetween;
use crate::store::effect_digest::{AnsweredRelease, FindingCounts};
use crate::store::service_costs::ServiceCost;
use crate::web::display::{decimals, signed};
use crate::web::effects::{Answer, Mark};
use crate::web::parts::Figure;
use crate::web::query::View;
use bigdecimal::Zero;

/// A row of the newest findings.
pub struct Finding {
    pub href: String,
    pub version: String,
    /// "checkout-api, 10 Nov".
    pub place: String,
    pub mark: Mark,
    /// "Provisional, 5 of 14 complete days" while that may change; with how many it is shared, if with any.
    pub phase: String,
    /// Over 30 days.
    pub amount: String,
    pub interval: String,
}

pub fn rows(newest: &[AnsweredRelease]) -> Vec<Finding> {
    let row = |release: &AnsweredRelease| {
        let answer = Answer::from(&release.effect);
        Finding {
            href: format!("/deployments/{}", release.effect.deployment_id),
            version: version(release.version.as_deref(), release.effect.deployment_id),
            place: format!("{}, {}", release.service_name, release.effect.release_date.format("%-d %b")),
            mark: answer.mark(),
            phase: phase(&answer),
            amount: answer.amount_30_days().unwrap_or_else(|| "not known".into()),
            interval: answer.interval_30_days().unwrap_or_default(),
        }
    };
    newest.iter().map(row).collect()
}

fn phase(answer: &Answer) -> String {
    let phase = (answer.phase != "settled").then(|| answer.phase_words());
    [phase, answer.shared_note()].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// "41 of 58", with what was found.
pub fn figure(counts: &FindingCounts, days: String) -> Figure {
    let value = if counts.all() == 0 { "none".into() } else { format!("{} of {}", counts.measured(), counts.all()) };
    let parts = [
        (counts.increase, "increase"),
        (counts.decrease, "decrease"),
        (counts.no_material_change, "no material change"),
        (counts.cannot_tell, "cannot tell"),
    ];
    let said: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    Figure::plain(format!("Releases measured, {days}"), value, said.join(", "))
}

/// What is behind a service's change.
pub struct Cause {
    pub text: String,
    pub href: String,
}

/// The largest open anomaly of a service in these days that moved its cost the way it went: where no release explains it.
pub fn unusual(service: &ServiceCost, open: &[AnomalyBetween]) -> Option<Cause> {
    let change = &service.cost - &service.cost_before;
    let one = open
        .iter()
        .filter(|one| one.service_id == service.service_id && one.billing_currency == service.currency)
        .filter(|one| one.excess.sign() == change.sign())
        .max_by(|left, right| left.excess.abs().cmp(&right.excess.abs()))?;
    let amount = signed(&one.excess, &service.currency, decimals(&service.currency, &one.excess.abs()));
    Some(Cause {
        text: format!("Anomaly A-{}, {amount} against what was expected", one.anomaly_id),
        href: format!("/anomalies/{}", one.anomaly_id),
    })
}

/// Where no cause is known: what else there is to say.
pub fn other_cause(service: &ServiceCost, view: &View) -> Cause {
    let text = if service.cost_before.is_zero() { "New in these days" } else { "See why" };
    Cause { text: text.into(), href: view.link("/why", &[("service", &service.slug)]) }
}

fn version(version: Option<&str>, deployment_id: i64) -> String {
    version.map_or_else(|| format!("deployment {deployment_id}"), str::to_owned)
}
