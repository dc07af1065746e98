//! From an estimate to the answer that is kept: its phase, and what is different from the one before. Pure.

use super::histories::Key;
use super::hours::HourlyStart;
use super::parts::{Kept, Parts, Reached, Told};
use super::{METHOD, rollbacks};
use crate::analyze::impact::{
    self, Effect, Finding, Flag, FlagKind, History, Impact, Phase, Reason, Returned, UnitEffect,
};
use crate::store::effects::{LineDay, NewEffect, Standing};
use crate::store::service_measures::VolumeUnit;
use bigdecimal::{BigDecimal, FromPrimitive, ToPrimitive};
use chrono::NaiveDate;
use serde_json::{Value, json};

/// Digits after the point of an estimate: far finer than it is sure.
const ESTIMATE_DIGITS: i64 = 6;

/// What an answer is made from.
pub(super) struct Verdict<'a> {
    pub key: &'a Key,
    pub deployment_id: i64,
    /// The day of this release.
    pub release_date: NaiveDate,
    /// The answer, which other releases may share.
    pub impact: &'a Impact,
    /// What is said of this release's day alone, where others share the answer.
    pub alone: Option<&'a Impact>,
    pub asked_on: NaiveDate,
    pub publication_id: i64,
    pub fingerprint: &'a str,
    pub parts: &'a Parts,
    /// What the answer is made from.
    pub window: &'a History,
    /// The fingerprint of the calibration.
    pub calibrated: &'a str,
    /// What traffic is counted in.
    pub volume_unit: Option<&'a VolumeUnit>,
    /// From when on it counts, where hours of the bill place that.
    pub start: Option<&'a HourlyStart>,
    pub came_back: Option<Value>,
    /// The answer that stands.
    pub before: Option<&'a Standing>,
}

impl Verdict<'_> {
    /// The answer to keep.
    pub fn into_effect(self) -> NewEffect {
        let impact = self.impact;
        let phase = self.phase();
        let reached = Reached::of(phase).or_else(|| self.reached());
        let kept = Kept { parts: self.parts.clone(), told: self.told(phase), reached };
        let effect = impact.effect.as_ref();
        let amount = |pick: fn(&Effect) -> f64| effect.map(|effect| estimate(pick(effect)));
        NewEffect {
            deployment_id: self.deployment_id,
            service_id: self.key.service_id,
            environment_id: self.key.environment_id,
            billing_currency: self.key.billing_currency.clone(),
            release_date: self.release_date,
            effect_date: impact.day,
            asked_on: self.asked_on,
            publication_id: self.publication_id,
            phase,
            finding: finding_key(impact.finding),
            reason: reason_key(impact.reason),
            days_before: impact.days_before,
            days_after: impact.days_after,
            horizon_days: impact.horizon_days,
            per_day: amount(|effect| effect.per_day),
            per_day_low: amount(|effect| effect.low),
            per_day_high: amount(|effect| effect.high),
            before_per_day: amount(|effect| effect.before_per_day),
            smallest_visible: impact.smallest_visible_per_day.map(estimate),
            probability: effect.map(|effect| effect.probability),
            per_unit: effect.and_then(|effect| effect.per_unit.as_ref()).map(|own| unit(own, self.volume_unit)),
            flags: impact.flags.iter().map(|one| flag(one, self.volume_unit)).collect(),
            joint: self.is_joint().then(|| joint(self.deployment_id, impact, self.alone)),
            what_changed: self.before.map(|before| self.what_changed(before)).unwrap_or_default(),
            came_back: self.came_back,
            hourly_start: self.start.filter(|_| effect.is_some()).map(hourly_start),
            method: METHOD.into(),
            fingerprint: self.fingerprint.to_owned(),
            parts: serde_json::to_value(kept).unwrap_or_default(),
            supersedes: self.before.map(|before| before.deployment_effect_id),
            line: line(impact),
        }
    }

    // A settled answer that a restatement moves by more than half of its interval is revised, and stays so, also where
    // a bill was taken back before the restated one came.
    fn phase(&self) -> &'static str {
        match (self.impact.phase, self.reached()) {
            // What was told for good is taken back for good, until cost is there again.
            (Phase::Measuring, Some(_)) if self.is_lost() => "revised",
            (Phase::Measuring, _) => "measuring",
            (Phase::Provisional, _) => "provisional",
            (Phase::Settled, Some(Reached::Revised)) => "revised",
            (Phase::Settled, Some(Reached::Settled)) if self.is_moved() => "revised",
            (Phase::Settled, _) => "settled",
        }
    }

    // How far the answers before had come.
    fn reached(&self) -> Option<Reached> {
        let before = self.before?;
        Reached::of(&before.phase).or_else(|| kept(before)?.reached)
    }

    fn is_lost(&self) -> bool {
        self.impact.reason == Reason::CostGone
    }

    fn is_joint(&self) -> bool {
        self.impact.deployment_ids.len() > 1
    }

    // Against the answer that was told last, not the one that stands: many small moves add up.
    fn is_moved(&self) -> bool {
        match (self.told_before(), &self.impact.effect) {
            (Some(before), Some(after)) => impact::is_revision((before.low, before.high), before.per_day, after),
            (None, None) => false,
            _ => true,
        }
    }

    // An answer that waits has no amount that was told for good, or one of those before it.
    fn told_before(&self) -> Option<Told> {
        let before = self.before?;
        let own = || Reached::of(&before.phase).and_then(|_| told_of(before));
        kept(before).and_then(|kept| kept.told).or_else(own)
    }

    // What the next answer is measured against.
    fn told(&self, phase: &str) -> Option<Told> {
        let own = self.impact.effect.as_ref().map(Told::from);
        match self.reached() {
            _ if Reached::of(phase).is_none() => self.told_before(),
            Some(_) if !self.is_moved() => self.told_before().or(own),
            _ => own,
        }
    }

    fn what_changed(&self, before: &Standing) -> String {
        let mut changes = match (before.reason == reason_key(Reason::CostGone), self.is_lost()) {
            (false, true) => vec!["no bill tells of its cost any more".to_owned()],
            (true, false) => vec!["bills tell of its cost again".to_owned()],
            _ => self.changed_parts(before),
        };
        if before.finding != finding_key(self.impact.finding) {
            let (from, to) = (finding_words(&before.finding), finding_words(finding_key(self.impact.finding)));
            changes.push(format!("the finding changed from {from} to {to}"));
        }
        changes.join("; ")
    }

    fn changed_parts(&self, before: &Standing) -> Vec<String> {
        let mut changes: Vec<String> = Vec::new();
        let days = i64::from(self.impact.days_after) - i64::from(before.days_after);
        match days {
            0 => {}
            1 => changes.push("one more day became complete".into()),
            days if days > 1 => changes.push(format!("{days} more days became complete")),
            _ => changes.push("fewer days are complete".into()),
        }
        match (before.is_joint, self.is_joint()) {
            (false, true) => changes.push("another release within a day shares the answer".into()),
            (true, false) => changes.push("no other release shares the answer any more".into()),
            _ => {}
        }
        changes.extend(rollbacks::change(&before.fingerprint, self.fingerprint).map(str::to_owned));
        match kept(before) {
            Some(kept) => {
                let parts = kept.parts.changed_to(self.window, self.calibrated);
                changes.extend(parts.into_iter().map(str::to_owned));
            }
            // An answer from before the parts were kept.
            None => changes.push("what it rests on is another".into()),
        }
        if changes.is_empty() {
            // Days that became complete say so themselves.
            let is_of_undone = rollbacks::is_made_anew(&before.fingerprint, self.fingerprint);
            let undone = "what is known of the releases that it took back is another";
            changes.push(if is_of_undone { undone } else { "which releases share an answer is another" }.into());
        }
        changes
    }
}

fn kept(before: &Standing) -> Option<Kept> {
    serde_json::from_str(&before.parts).ok()
}

// Of an answer from before it was kept what was told.
fn told_of(before: &Standing) -> Option<Told> {
    let number = |amount: &Option<BigDecimal>| amount.as_ref().and_then(ToPrimitive::to_f64);
    Some(Told {
        per_day: number(&before.per_day)?,
        low: number(&before.per_day_low)?,
        high: number(&before.per_day_high)?,
    })
}

pub(in crate::jobs) fn estimate(value: f64) -> BigDecimal {
    let rounded = BigDecimal::from_f64(value).unwrap_or_default();
    rounded.with_scale_round(ESTIMATE_DIGITS, bigdecimal::RoundingMode::HalfUp).normalized()
}

fn unit(unit: &UnitEffect, volume: Option<&VolumeUnit>) -> Value {
    json!({
        "metric": volume.map(|volume| &volume.metric), "unit": volume.map(|volume| &volume.unit),
        "unit_cost_per": volume.map(|volume| volume.unit_cost_per),
        "per_unit": unit.per_unit, "low": unit.low, "high": unit.high, "before": unit.before,
        "units_per_day": unit.units_per_day,
    })
}

fn flag(flag: &Flag, volume: Option<&VolumeUnit>) -> Value {
    let mut told = json!({
        "kind": flag_key(flag.kind), "amount_per_day": flag.amount_per_day.map(|amount| estimate(amount).to_plain_string()),
        "day": flag.day, "deployment_ids": flag.deployment_ids,
    });
    if let Some(volume) = volume.filter(|_| flag.kind == FlagKind::Traffic) {
        told["metric"] = json!(volume.metric);
    }
    told
}

/// With whom the answer is shared, and what is said of this release's day alone where there are several days.
fn joint(deployment_id: i64, impact: &Impact, alone: Option<&Impact>) -> Value {
    let others: Vec<i64> = impact.deployment_ids.iter().copied().filter(|id| *id != deployment_id).collect();
    let days = if impact.joint_days.is_empty() { std::slice::from_ref(&impact.day) } else { &impact.joint_days };
    let effect = alone.and_then(|alone| alone.effect.as_ref());
    let own = |pick: fn(&Effect) -> f64| effect.map(|effect| estimate(pick(effect)).to_plain_string());
    json!({
        "days": days, "deployment_ids": others, "own_per_day": own(|effect| effect.per_day),
        "own_low": own(|effect| effect.low), "own_high": own(|effect| effect.high),
    })
}

fn hourly_start(start: &HourlyStart) -> Value {
    json!({ "at": start.at, "share_after": estimate(start.share_after).to_f64() })
}

fn line(impact: &Impact) -> Value {
    let days: Vec<LineDay> = impact
        .expected
        .iter()
        .map(|one| LineDay { day: one.day, actual: one.actual, expected: one.expected, low: one.low, high: one.high })
        .collect();
    serde_json::to_value(days).unwrap_or_default()
}

fn finding_key(finding: Finding) -> &'static str {
    match finding {
        Finding::Increase => "increase",
        Finding::Decrease => "decrease",
        Finding::NoMaterialChange => "no-material-change",
        Finding::CannotTell => "cannot-tell",
    }
}

fn finding_words(key: &str) -> String {
    format!("\u{201c}{}\u{201d}", key.replace('-', " "))
}

fn reason_key(reason: Reason) -> &'static str {
    match reason {
        Reason::ClearEffect => "clear-effect",
        Reason::WithinATenth => "within-a-tenth",
        Reason::TooFewDaysAfter => "too-few-days-after",
        Reason::ShortHistory => "short-history",
        Reason::NoCostBefore => "no-cost-before",
        Reason::TooUncertain => "too-uncertain",
        Reason::LikelyNotCertain => "likely-not-certain",
        Reason::TooSmallToClaim => "too-small-to-claim",
        Reason::NeighbourTooNear => "neighbour-too-near",
        Reason::UndoesAShift => "undoes-a-shift",
        Reason::BillMissing => "bill-missing",
        Reason::CostGone => "cost-gone",
    }
}

fn flag_key(kind: FlagKind) -> &'static str {
    match kind {
        FlagKind::Traffic => "traffic",
        FlagKind::Neighbour => "neighbour",
        FlagKind::Autoscaling => "autoscaling",
        FlagKind::CreditOrFee => "credit-or-fee",
        FlagKind::PriceOrCommitment => "price-or-commitment",
        FlagKind::IncompleteDays => "incomplete-days",
        FlagKind::Launch => "launch",
        FlagKind::ShiftBefore => "shift-before",
        FlagKind::SiblingsMoved => "siblings-moved",
        FlagKind::AllocationRule => "allocation-rule",
        FlagKind::Retagging => "retagging",
    }
}

/// The word of whether a rollback brought the cost back.
pub(super) fn returned_key(returned: Returned) -> &'static str {
    match returned {
        Returned::Yes => "yes",
        Returned::Partly => "partly",
        Returned::No => "no",
        Returned::CannotTell => "cannot-tell",
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_arithmetic, reason = "made-up moves")]

    use super::*;
    use crate::analyze::impact::{Calibration, Model, ReleaseDay, estimate as estimated};
    use crate::jobs::effects::parts::of_calibration;
    use chrono::Days;

    fn history() -> History {
        let first_day: NaiveDate = "2026-06-01".parse().unwrap();
        let day = first_day + Days::new(84);
        History {
            first_day,
            cost: (0..99)
                .map(|index| Some(100.0 + f64::from(index * 7919 % 11) + if index > 84 { 40.0 } else { 0.0 }))
                .collect(),
            complete_to: first_day + Days::new(98),
            traffic: None,
            siblings: None,
            replicas: None,
            releases: vec![ReleaseDay { day, deployment_ids: vec![1], share_before: None, rollout_from: None }],
            price_events: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn standing(effect: &NewEffect) -> Standing {
        Standing {
            deployment_effect_id: 1,
            deployment_id: effect.deployment_id,
            service_id: effect.service_id,
            environment_id: effect.environment_id,
            billing_currency: effect.billing_currency.clone(),
            release_date: effect.release_date,
            asked_on: effect.asked_on,
            publication_id: effect.publication_id,
            phase: effect.phase.into(),
            finding: effect.finding.into(),
            reason: effect.reason.into(),
            days_after: 14,
            per_day: effect.per_day.clone(),
            per_day_low: effect.per_day_low.clone(),
            per_day_high: effect.per_day_high.clone(),
            before_per_day: effect.before_per_day.clone(),
            is_joint: false,
            fingerprint: effect.fingerprint.clone(),
            parts: effect.parts.to_string(),
        }
    }

    /// The phases that these answers have one after the other.
    fn phases(window: &History, impacts: &[Impact]) -> Vec<&'static str> {
        let calibrated = of_calibration(&Calibration::default());
        let parts = Parts::of(window, &calibrated);
        let key = Key { service_id: 1, environment_id: 7, billing_currency: "USD".into() };
        let mut before: Option<Standing> = None;
        let mut phases = Vec::new();
        for impact in impacts {
            let verdict = Verdict {
                key: &key,
                deployment_id: 1,
                release_date: impact.day,
                impact,
                alone: None,
                asked_on: window.complete_to,
                publication_id: 1,
                fingerprint: "",
                parts: &parts,
                window,
                calibrated: &calibrated,
                volume_unit: None,
                start: None,
                came_back: None,
                before: before.as_ref(),
            };
            let told = verdict.into_effect();
            phases.push(told.phase);
            before = Some(standing(&told));
        }
        phases
    }

    /// An answer, and a shift of it by a number of widths of its interval.
    fn answer(window: &History) -> (Impact, impl Fn(f64) -> Impact) {
        let impact = estimated(window, window.releases[0].day, &Model::default(), &Calibration::default());
        let first = impact.clone();
        let shifted = move |widths: f64| {
            let mut shifted = first.clone();
            let effect = shifted.effect.as_mut().unwrap();
            let by = widths * (effect.high - effect.low);
            (effect.per_day, effect.low, effect.high) = (effect.per_day + by, effect.low + by, effect.high + by);
            shifted
        };
        (impact, shifted)
    }

    /// Each move alone is less than half of the interval; together they are more, and are told once.
    #[test]
    fn small_moves_add_up_to_a_revision() {
        let window = history();
        let (first, shifted) = answer(&window);
        let moves = [first, shifted(0.3), shifted(0.6), shifted(0.9), shifted(1.2)];
        assert_eq!(phases(&window, &moves), ["settled", "settled", "revised", "revised", "revised"]);
    }

    /// A bill that is taken back, or one that is late, in between does not make it the first answer.
    #[test]
    fn an_answer_that_waited_is_revised_against_what_was_told() {
        let window = history();
        let (first, shifted) = answer(&window);
        let waits = impact::without_bill(&window, &[first.day]);
        let provisional = |mut impact: Impact| {
            impact.phase = Phase::Provisional;
            impact
        };
        let (near, far) = (shifted(0.3), shifted(-2.0));
        let cases: [(Vec<Impact>, &[&str]); 5] = [
            (vec![first.clone(), waits.clone(), far.clone()], &["settled", "measuring", "revised"]),
            (vec![first.clone(), waits.clone(), near.clone()], &["settled", "measuring", "settled"]),
            (
                vec![first.clone(), provisional(far.clone()), waits.clone(), far.clone(), waits.clone(), far.clone()],
                &["settled", "provisional", "measuring", "revised", "measuring", "revised"],
            ),
            // What was told while it was provisional was not for good.
            (vec![provisional(first.clone()), waits.clone(), far.clone()], &["provisional", "measuring", "settled"]),
            (vec![waits, first, far], &["measuring", "settled", "revised"]),
        ];
        for (answers, told) in cases {
            assert_eq!(phases(&window, &answers), told);
        }
    }
}
