//! Whether the cost came back with a rollback: it is compared with all that it took back, which may be several releases.

use super::histories::Series;
use super::{Asked, WENT_BACK, histories, verdict};
use crate::analyze::impact::{self, Effect, Impact, ReleaseDay};
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Parts the fingerprint of what a rollback is made from and the releases that it took back, where these are several.
const TOOK_BACK: char = '~';

impl Asked<'_> {
    /// Of a rollback: whether it took back what the releases since the version that it went back to did. Deployments of a
    /// day are in the order of time.
    pub(super) fn came_back(
        &self,
        series: &Series,
        rollback: &Impact,
        (release, deployment_id): (&ReleaseDay, i64),
        known: &mut BTreeMap<NaiveDate, Impact>,
    ) -> Option<Value> {
        let undone = series.rollbacks.get(&deployment_id)?;
        let at = release.deployment_ids.iter().position(|id| *id == deployment_id)?;
        if let Some(taken_back) = at.checked_sub(1).and_then(|before| release.deployment_ids.get(before)) {
            // Bills know days: what came and went on one day is in no difference of two.
            return Some(json!({ "answer": "same-day", "share": null, "deployment_ids": [taken_back] }));
        }
        let is_undone = |id: &i64| undone.contains(id);
        let days: Vec<&ReleaseDay> = series
            .history
            .releases
            .iter()
            .filter(|one| one.day < release.day && one.deployment_ids.iter().any(is_undone))
            .collect();
        if days.is_empty() {
            return None;
        }
        if !days.iter().all(|one| one.deployment_ids.iter().all(is_undone)) {
            // The day holds what it went back to as well, and bills know days.
            return Some(json!({ "answer": "cannot-tell", "share": null, "deployment_ids": undone }));
        }
        let days: Vec<NaiveDate> = days.iter().map(|one| one.day).collect();
        let effects = self.of_days(series, &days, known)?;
        let answer = impact::came_back(&effects, rollback.effect.as_ref()?);
        Some(json!({
            "answer": verdict::returned_key(answer.answer), "share": answer.share, "deployment_ids": undone,
        }))
    }

    // What the releases of these days did: those that share an answer together, each other day by itself. None where one
    // of them has no estimate.
    fn of_days(
        &self,
        series: &Series,
        days: &[NaiveDate],
        known: &mut BTreeMap<NaiveDate, Impact>,
    ) -> Option<Vec<Effect>> {
        let mut effects = Vec::new();
        for group in impact::groups(&series.history.releases) {
            let own: Vec<NaiveDate> = group.iter().copied().filter(|day| days.contains(day)).collect();
            if let [_, .., last] = own[..]
                && own.len() == group.len()
            {
                let window = histories::window(series, last);
                effects.push(histories::estimated(&window, &own, self.model, self.calibration).effect?);
                continue;
            }
            for day in own {
                let of_day = known.entry(day).or_insert_with(|| {
                    let window = histories::window(series, day);
                    histories::estimated(&window, &[day], self.model, self.calibration)
                });
                effects.push(of_day.effect?);
            }
        }
        Some(effects)
    }
}

/// The fingerprint of one deployment's answer. Whether it went back, and over which releases, is asked of rollbacks alone:
/// answers about others stand when a mark comes or goes.
pub(super) fn own_fingerprint(series: &Series, deployment_id: i64, fingerprint: &str) -> String {
    match series.rollbacks.get(&deployment_id).map(Vec::as_slice) {
        None => fingerprint.to_owned(),
        Some([] | [_]) => format!("{fingerprint}{WENT_BACK}"),
        Some(several) => {
            let ids: Vec<String> = several.iter().map(i64::to_string).collect();
            format!("{fingerprint}{TOOK_BACK}{}{WENT_BACK}", ids.join(","))
        }
    }
}

/// What is different in this, in words, from one fingerprint to the next.
pub(super) fn change(before: &str, now: &str) -> Option<&'static str> {
    match (before.strip_suffix(WENT_BACK), now.strip_suffix(WENT_BACK)) {
        (None, Some(_)) => Some("it is known to be a rollback"),
        (Some(_), None) => Some("it is no rollback any more"),
        (Some(before), Some(now)) => {
            let undone = |text: &str| text.split_once(TOOK_BACK).map(|(_, ids)| ids.to_owned());
            (undone(before) != undone(now)).then_some("it took back other releases than was known")
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_back_is_news_of_its_own() {
        for (before, now, words) in [
            ("ab", "ab", None),
            ("ab", "ab-back", Some("it is known to be a rollback")),
            ("ab~1,2-back", "ab", Some("it is no rollback any more")),
            ("ab-back", "ab~1,2-back", Some("it took back other releases than was known")),
            ("ab~1,2-back", "ab~1,2,3-back", Some("it took back other releases than was known")),
            ("ab~1,2-back", "cd~1,2-back", None),
        ] {
            assert_eq!(change(before, now), words, "{before} {now}");
        }
    }
}
