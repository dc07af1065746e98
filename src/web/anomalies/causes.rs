//! What stands beside the begin of an anomaly, each with its amount where one is known; the rows add up to what it cost.

#![expect(clippy::float_arithmetic, reason = "a percentage of traffic, no amount")]

use super::super::display::{decimals, shown, signed};
use super::super::effects::Answer;
use crate::analyze::anomaly::{Beside, releases_beside};
use crate::analyze::impact::{ReleaseDay, rollout_from};
use crate::store::anomaly_lists::ListedAnomaly;
use crate::store::deployment_marks::MarkedDeployment;
use crate::store::effects::{EffectBrief, shared_with};
use crate::store::service_measures::VolumeAround;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use serde_json::Value;

/// A row of the table.
pub struct CauseRow {
    /// `Deployment v2026.11.5`.
    pub label: String,
    /// Where it leads, or nothing.
    pub href: String,
    /// What is known of it.
    pub note: String,
    /// `Likely`, `Near in time`, `Before it`, `Ruled out`.
    pub verdict: &'static str,
    /// Of the colour and shape: `up`, `down` or `flat`.
    pub class: &'static str,
    /// `+$2,148`, or a word.
    pub amount: String,
}

/// The table and the one that is likely, for the sentence above.
pub struct Causes {
    /// What was looked at.
    pub rows: Vec<CauseRow>,
    /// What none of them explains.
    pub rest: String,
    /// What it cost.
    pub total: String,
    /// `v2026.11.5` and where it leads.
    pub likely: Option<(String, String)>,
}

struct Found {
    row: CauseRow,
    amount: Option<BigDecimal>,
}

/// Deployments near a begin, the newest first.
pub struct Near<'a> {
    /// Those that may have caused it.
    causes: Vec<&'a MarkedDeployment>,
    /// Those that were over when another one was on its way.
    before: Vec<&'a MarkedDeployment>,
}

impl<'a> Near<'a> {
    /// Those near a day, of what is marked on the chart. `repeated` are those that brought nothing new: they are named,
    /// and put none before them.
    pub fn of(marked: &'a [MarkedDeployment], repeated: &[i64], day: NaiveDate) -> Self {
        let release = |deployment: &MarkedDeployment| ReleaseDay {
            day: deployment.day(),
            deployment_ids: vec![deployment.deployment_id],
            share_before: None,
            rollout_from: deployment.started_at.and_then(|began| rollout_from(began, deployment.at)),
        };
        let (again, releases): (Vec<ReleaseDay>, Vec<ReleaseDay>) =
            marked.iter().map(release).partition(|one| one.deployment_ids.iter().any(|id| repeated.contains(id)));
        let Beside { mut causes, before } = releases_beside(&releases, day);
        causes.extend(again.iter().flat_map(|one| releases_beside(std::slice::from_ref(one), day).causes));
        let pick = |of: &[&ReleaseDay]| -> Vec<&'a MarkedDeployment> {
            let is_one = |one: &&MarkedDeployment| of.iter().any(|own| own.deployment_ids == [one.deployment_id]);
            marked.iter().rev().filter(is_one).collect()
        };
        Self { causes: pick(&causes), before: pick(&before) }
    }
}

/// Looks through what was noted when it was found, and what releases near its begin are estimated to have done. `volume` is
/// what is known by now of the days, where nothing was when it was found.
pub fn causes(one: &ListedAnomaly, near: &Near<'_>, effects: &[EffectBrief], volume: Option<&VolumeAround>) -> Causes {
    let excess = one.excess();
    let mut found: Vec<Found> = near.causes.iter().map(|deployment| of_deployment(one, deployment, effects)).collect();
    count_once(&mut found, &near.causes, effects);
    found.extend(near.before.iter().copied().map(of_earlier));
    found.extend(of_list(one, "rules").map(|rule| of_move(one, rule, &RULE)));
    found.extend(of_list(one, "retags").map(|retag| of_move(one, retag, &RETAG)));
    found.extend(of_list(one, "prices").map(of_price));
    found.push(if one.is_of_team() { of_team() } else { of_traffic(kept_traffic(one), volume) });
    // Only what goes the same way takes a part of it, and no more than there is.
    let mut rest = excess.clone();
    for one in &mut found {
        let fits = one.amount.as_ref().is_some_and(|amount| amount.sign() == rest.sign() && amount.abs() <= rest.abs());
        if !fits && one.amount.is_some() {
            let all = one.amount.take().filter(|amount| amount.sign() == rest.sign());
            one.amount = all.map(|_| rest.clone());
        }
        rest -= one.amount.clone().unwrap_or_default();
    }
    let digits = decimals(&one.billing_currency, &excess);
    let mut values: Vec<BigDecimal> = found.iter().map(|one| one.amount.clone().unwrap_or_default()).collect();
    values.push(rest);
    let mut amounts = shown(&values, &excess, digits);
    let text = |amount: &BigDecimal| signed(amount, &one.billing_currency, digits);
    let rest = text(&amounts.pop().unwrap_or_default());
    let likely =
        found.iter().find(|one| one.row.verdict == "Likely").map(|one| (one.row.label.clone(), one.row.href.clone()));
    let rows = found.into_iter().zip(&amounts).map(|(one, amount)| CauseRow {
        amount: if one.amount.is_some() { text(amount) } else { one.row.amount.clone() },
        ..one.row
    });
    Causes { rows: rows.collect(), rest, total: text(&excess), likely }
}

fn of_list<'a>(one: &'a ListedAnomaly, key: &str) -> impl Iterator<Item = &'a Value> {
    one.evidence.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn day_of(value: &Value) -> String {
    let day = value.get("day").and_then(Value::as_str).and_then(|day| day.parse::<NaiveDate>().ok());
    day.map(|day| day.format("%-d %b").to_string()).unwrap_or_default()
}

fn of_deployment(one: &ListedAnomaly, deployment: &MarkedDeployment, effects: &[EffectBrief]) -> Found {
    let effect = effects.iter().find(|effect| {
        effect.deployment_id == deployment.deployment_id && effect.billing_currency == one.billing_currency
    });
    let at = deployment.at.format("%-d %b %H:%M UTC");
    let same_way = effect.filter(|effect| Answer::from(*effect).is_claimed() && goes_with(effect, &one.excess()));
    let own = effect.map(|effect| own_estimate(effect, &one.excess()));
    let (verdict, class, said) = own.unwrap_or_else(|| ("Near in time", "flat", "not estimated".into()));
    Found {
        row: CauseRow {
            label: deployment.label(),
            href: format!("/deployments/{}", deployment.deployment_id),
            note: format!("Went live {at}; {said}"),
            verdict,
            class,
            amount: "not told apart".into(),
        },
        amount: same_way
            .and_then(|effect| effect.per_day.as_ref())
            .map(|per_day| per_day * BigDecimal::from(one.day_count)),
    }
}

// Another one was on its way when it began: that one is asked, and this one is told of only.
fn of_earlier(deployment: &MarkedDeployment) -> Found {
    let at = deployment.at.format("%-d %b %H:%M UTC");
    Found {
        row: CauseRow {
            label: deployment.label(),
            href: format!("/deployments/{}", deployment.deployment_id),
            note: format!("Went live {at}; when it began, another deployment was on its way"),
            verdict: "Before it",
            class: "flat",
            amount: "not put to it".into(),
        },
        amount: None,
    }
}

fn goes_with(effect: &EffectBrief, excess: &BigDecimal) -> bool {
    effect.per_day.as_ref().is_some_and(|per_day| per_day.sign() == excess.sign())
}

// What a release's own answer says about being the cause: verdict, class and words.
fn own_estimate(effect: &EffectBrief, excess: &BigDecimal) -> (&'static str, &'static str, String) {
    let answer = Answer::from(effect);
    let claimed = answer.amount().filter(|_| answer.is_claimed());
    match (claimed, effect.finding.as_str()) {
        (Some(_), _) if goes_with(effect, excess) => ("Likely", "up", "its own estimate goes the same way".into()),
        (Some(amount), _) => ("Ruled out", "flat", format!("its own estimate goes the other way, {amount} a day")),
        (None, _) if effect.phase == "measuring" => {
            ("Near in time", "flat", "its own estimate is not there yet".into())
        }
        (None, "no-material-change") => ("Ruled out", "flat", "its own estimate is no material change".into()),
        (None, _) => ("Near in time", "flat", "its own estimate cannot tell".into()),
    }
}

// Deployments that share an answer have the same amount, and it is there once.
fn count_once(found: &mut [Found], near: &[&MarkedDeployment], effects: &[EffectBrief]) {
    let shared = |deployment: &MarkedDeployment| {
        let own = effects.iter().find(|effect| effect.deployment_id == deployment.deployment_id);
        own.map(|effect| shared_with(effect.joint.as_ref())).unwrap_or_default()
    };
    for place in 1..near.len().min(found.len()) {
        let others = shared(near[place]);
        let is_counted = |before: usize| others.contains(&near[before].deployment_id) && found[before].amount.is_some();
        if (0..place).any(is_counted) {
            found[place].amount = None;
            found[place].row.amount = "in the answer that it shares".into();
        }
    }
}

/// How something that gave the service other cost is told: what it is, where it leads, and what it did.
struct MoveWords {
    label: &'static str,
    href: &'static str,
    did: &'static str,
}

const RULE: MoveWords =
    MoveWords { label: "Allocation rule", href: "/rules", did: "Rules gave this service other cost" };
const RETAG: MoveWords =
    MoveWords { label: "Tags", href: "", did: "Resources got other tags, and this service other cost with them," };

fn of_move(one: &ListedAnomaly, moved: &Value, words: &MoveWords) -> Found {
    let per_day = moved.get("amount_per_day").and_then(Value::as_str).and_then(|text| text.parse::<BigDecimal>().ok());
    let amount = per_day.map(|per_day| per_day * BigDecimal::from(one.day_count));
    let fits = amount.as_ref().is_some_and(|amount| amount.sign() == one.excess().sign());
    Found {
        row: CauseRow {
            label: words.label.into(),
            href: words.href.into(),
            note: format!("{} from {} on", words.did, day_of(moved)),
            verdict: if fits { "Likely" } else { "Ruled out" },
            class: if fits { "up" } else { "flat" },
            amount: "goes the other way".into(),
        },
        amount: amount.filter(|_| fits),
    }
}

fn of_price(price: &Value) -> Found {
    let what = match price.get("kind").and_then(Value::as_str) {
        Some("CommitmentStart") => "A commitment began to cover more",
        Some("CommitmentEnd") => "A commitment covers less",
        _ => "A price changed",
    };
    // Anomalies that were written before the line knew prices do not say it.
    let is_expected = price.get("is_expected").and_then(Value::as_bool).unwrap_or_default();
    let (size, amount) = match is_expected {
        true => ("its known size is part of what was expected", "in what was expected"),
        false => ("how much it moved is not known", "not told apart"),
    };
    Found {
        row: CauseRow {
            label: what.into(),
            href: String::new(),
            note: format!("On {}; {size}", day_of(price)),
            verdict: "Near in time",
            class: "flat",
            amount: amount.into(),
        },
        amount: None,
    }
}

// A team's kind of cost is held against its own past only.
fn of_team() -> Found {
    Found {
        row: CauseRow {
            label: "Deployments and traffic".into(),
            href: String::new(),
            note: "Known by service: the cost of a team is held against its own past only".into(),
            verdict: "Not looked at",
            class: "flat",
            amount: "not looked at".into(),
        },
        amount: None,
    }
}

/// What was noted of traffic when it was found: 0.1 is a tenth more.
pub fn kept_traffic(one: &ListedAnomaly) -> Option<f64> {
    one.evidence.get("traffic_share").and_then(Value::as_f64)
}

// What was noted is of the day on which it was noted: values that came in since are told as such, and never as not known.
fn of_traffic(kept: Option<f64>, volume: Option<&VolumeAround>) -> Found {
    let note = match (kept, volume.map(|volume| (volume.before.filter(|before| *before > 0.0), volume.from))) {
        (Some(share), _) => format!(
            "{} on these days against the two weeks before; what follows from it is part of what was expected",
            share_text(share)
        ),
        (None, Some((Some(before), Some(from)))) => format!(
            "{} on these days against the two weeks before, as is known by now; it was not known when this anomaly was last looked at",
            share_text(from / before - 1.0)
        ),
        (None, Some((_, Some(_)))) => {
            "Known on these days, and nothing in the two weeks before that they could be held against".into()
        }
        (None, Some((_, None))) => "Known in the two weeks before, but not on these days".into(),
        (None, None) => "Not known for this service on these days: send requests, orders, runs or jobs".into(),
    };
    let is_known_since = kept.is_none() && volume.is_some();
    let (verdict, amount) = match (kept.is_some(), is_known_since) {
        (true, _) => ("Ruled out", "in what was expected"),
        (false, true) => ("Not looked at", "not told apart"),
        (false, false) => ("Not known", "not known"),
    };
    Found {
        row: CauseRow {
            label: "Traffic".into(),
            href: String::new(),
            note: note.replace('-', "\u{2212}"),
            verdict,
            class: "flat",
            amount: amount.into(),
        },
        amount: None,
    }
}

fn share_text(share: f64) -> String {
    let percent = (share * 100.0).round();
    match percent == 0.0 {
        true if share == 0.0 => "0%".to_owned(),
        true => "<1%".to_owned(),
        false => format!("{percent:+.0}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};

    fn marked(deployment_id: i64, began: Option<&str>, live: &str) -> MarkedDeployment {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        MarkedDeployment {
            deployment_id,
            at: at(live),
            started_at: began.map(at),
            kind: "deploy".into(),
            version: Some(format!("v{deployment_id}")),
            sha: None,
            environment_id: 1,
            environment_name: None,
            is_production: true,
            service_names: Vec::new(),
        }
    }

    fn ids(near: &Near<'_>) -> (Vec<i64>, Vec<i64>) {
        let ids = |of: &[&MarkedDeployment]| of.iter().map(|one| one.deployment_id).collect::<Vec<i64>>();
        (ids(&near.causes), ids(&near.before))
    }

    /// As for the estimates: the same version once more is nothing new, so that the one before it stays asked.
    #[test]
    fn a_repetition_puts_no_deployment_before_it() {
        let marked = [marked(1, None, "2026-11-08T10:00:00Z"), marked(2, None, "2026-11-10T10:00:00Z")];
        let near = |repeated: &[i64]| ids(&Near::of(&marked, repeated, "2026-11-10".parse().unwrap()));
        assert_eq!(near(&[]), (vec![2], vec![1]));
        assert_eq!(near(&[2]), (vec![2, 1], vec![]));
    }

    #[test]
    fn a_deployment_before_a_canary_is_named_and_not_put_to_what_began_within_it() {
        let marked = [
            marked(1, None, "2026-11-08T10:00:00Z"),
            marked(2, Some("2026-11-10T09:00:00Z"), "2026-11-16T09:00:00Z"),
            marked(3, None, "2026-11-20T09:00:00Z"),
        ];
        let near = |text: &str| ids(&Near::of(&marked, &[], text.parse().unwrap()));
        assert_eq!(near("2026-11-11"), (vec![2], vec![1]));
        assert_eq!(near("2026-11-09"), (vec![1], vec![]), "before the canary began");
        assert_eq!(near("2026-11-19"), (vec![3, 2], vec![]), "the newest first");
        let row = of_earlier(&marked[0]).row;
        assert_eq!((row.label.as_str(), row.verdict, row.href.as_str()), ("v1", "Before it", "/deployments/1"));
    }

    #[test]
    fn traffic_that_came_in_after_it_was_noted_is_not_told_as_unknown() {
        let said = |kept: Option<f64>, around: Option<(Option<f64>, Option<f64>)>| {
            let volume = around.map(|(before, from)| VolumeAround { before, from });
            let row = of_traffic(kept, volume.as_ref()).row;
            format!("{}: {}", row.verdict, row.note)
        };
        let known = said(Some(0.02), None);
        assert!(known.starts_with("Ruled out: +2% on these days against"), "{known}");
        let since = said(None, Some((Some(100.0), Some(97.0))));
        assert!(
            since.starts_with(
                "Not looked at: \u{2212}3% on these days against the two weeks before, as is known by now"
            )
        );
        assert!(since.ends_with("it was not known when this anomaly was last looked at"), "{since}");
        for half in [said(None, Some((Some(100.0), None))), said(None, Some((None, Some(97.0))))] {
            assert!(half.starts_with("Not looked at: Known ") && !half.contains("send requests"), "{half}");
        }
        assert!(said(None, None).starts_with("Not known: Not known for this service on these days: send"));
    }

    #[test]
    fn a_price_is_in_what_was_expected_where_its_size_is_known() {
        let said = |price: Value| {
            let row = of_price(&price).row;
            format!("{}: {}", row.note, row.amount)
        };
        let known =
            serde_json::json!({ "day": "2026-11-08", "kind": "PriceChange", "log_ratio": 0.1, "is_expected": true });
        assert_eq!(said(known), "On 8 Nov; its known size is part of what was expected: in what was expected");
        let unknown = serde_json::json!({ "day": "2026-11-08", "kind": "CommitmentEnd", "log_ratio": null });
        assert_eq!(said(unknown), "On 8 Nov; how much it moved is not known: not told apart");
    }

    #[test]
    fn a_release_near_by_is_told_with_what_its_own_estimate_says() {
        let said = |phase: &str, finding: &str, per_day: Option<i64>| {
            let effect = EffectBrief {
                deployment_id: 7,
                service_id: 1,
                billing_currency: "USD".into(),
                release_date: NaiveDate::from_ymd_opt(2026, 11, 8).unwrap(),
                phase: phase.into(),
                finding: finding.into(),
                reason: String::new(),
                days_after: 14,
                per_day: per_day.map(BigDecimal::from),
                per_day_low: None,
                per_day_high: None,
                per_30_days: None,
                per_30_days_low: None,
                per_30_days_high: None,
                before_per_day: None,
                flags: Value::Null,
                joint: None,
            };
            let (verdict, _, words) = own_estimate(&effect, &BigDecimal::from(900));
            format!("{verdict}: {words}")
        };
        assert_eq!(said("settled", "increase", Some(60)), "Likely: its own estimate goes the same way");
        let other_way = said("settled", "decrease", Some(-60));
        assert!(other_way.starts_with("Ruled out: its own estimate goes the other way, "), "{other_way}");
        assert!(other_way.contains("$60") && !other_way.contains("cannot tell"), "{other_way}");
        assert_eq!(said("settled", "no-material-change", Some(2)), "Ruled out: its own estimate is no material change");
        assert_eq!(said("settled", "cannot-tell", Some(20)), "Near in time: its own estimate cannot tell");
        assert_eq!(said("measuring", "cannot-tell", None), "Near in time: its own estimate is not there yet");
    }
}
