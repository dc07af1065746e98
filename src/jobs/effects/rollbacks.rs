//! Whether the cost came back with a rollback: it is compared with all that it took back, which may be several releases.

use super::histories::Series;
use super::parts::{self, Parts};
use super::{Asked, WENT_BACK, histories, verdict};
use crate::analyze::impact::{self, Effect, Impact, ReleaseDay};
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Parts the fingerprint of what a rollback is made from and the releases that it took back.
const TOOK_BACK: char = '~';
/// Parts those from the fingerprint of what is said of them.
const MADE_FROM: char = '@';

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
        let days = days_before(series, release.day, undone);
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
        for question in questions(series, days) {
            let effect = match question[..] {
                [day] => {
                    let of_day = known.entry(day).or_insert_with(|| {
                        let window = histories::window(series, day);
                        histories::estimated(&window, &[day], self.model, self.calibration)
                    });
                    of_day.effect
                }
                [.., last] => {
                    let window = histories::window(series, last);
                    histories::estimated(&window, &question, self.model, self.calibration).effect
                }
                [] => continue,
            };
            effects.push(effect?);
        }
        Some(effects)
    }
}

// The days before one on which something of this was released.
fn days_before<'a>(series: &'a Series, day: NaiveDate, undone: &[i64]) -> Vec<&'a ReleaseDay> {
    let is_undone = |one: &&ReleaseDay| one.day < day && one.deployment_ids.iter().any(|id| undone.contains(id));
    series.history.releases.iter().filter(is_undone).collect()
}

// By which days it is asked what these did: those that share an answer together, each other day by itself.
fn questions(series: &Series, days: &[NaiveDate]) -> Vec<Vec<NaiveDate>> {
    let mut questions = Vec::new();
    for group in impact::groups(&series.history.releases) {
        let own: Vec<NaiveDate> = group.iter().copied().filter(|day| days.contains(day)).collect();
        if own.len() == group.len() {
            questions.push(own);
        } else {
            questions.extend(own.into_iter().map(|day| vec![day]));
        }
    }
    questions
}

/// The fingerprint of one deployment's answer. Whether it went back, over which releases, and what is said of these is asked
/// of rollbacks alone: answers about others stand when a mark comes or goes. What a release did that was taken back rests on
/// days before those that the answer about the rollback looks at.
pub(super) fn own_fingerprint(series: &Series, deployment_id: i64, fingerprint: &str) -> String {
    let Some(undone) = series.rollbacks.get(&deployment_id) else { return fingerprint.to_owned() };
    let ids: Vec<String> = undone.iter().map(i64::to_string).collect();
    format!(
        "{fingerprint}{TOOK_BACK}{}{MADE_FROM}{}{WENT_BACK}",
        ids.join(","),
        made_from(series, deployment_id, undone)
    )
}

// By how much intervals are stretched is in the fingerprint of the rollback itself.
fn made_from(series: &Series, deployment_id: i64, undone: &[i64]) -> String {
    let is_own = |one: &&ReleaseDay| one.deployment_ids.contains(&deployment_id);
    let Some(day) = series.history.releases.iter().find(is_own).map(|one| one.day) else { return String::new() };
    let days: Vec<NaiveDate> = days_before(series, day, undone).iter().map(|one| one.day).collect();
    let of_question = |question: &Vec<NaiveDate>| {
        let window = histories::window(series, *question.last()?);
        Some(format!("{question:?} {}", Parts::of(&window, "").fingerprint()))
    };
    let all: Vec<String> = questions(series, &days).iter().filter_map(of_question).collect();
    parts::of_text(&all.join(" "))
}

/// What is different in this, in words, from one fingerprint to the next.
pub(super) fn change(before: &str, now: &str) -> Option<&'static str> {
    match (before.strip_suffix(WENT_BACK), now.strip_suffix(WENT_BACK)) {
        (None, Some(_)) => Some("it is known to be a rollback"),
        (Some(_), None) => Some("it is no rollback any more"),
        (Some(before), Some(now)) => match (taken_back(before), taken_back(now)) {
            (Some((before, _)), Some((now, _))) if before != now => Some("it took back other releases than was known"),
            // Before `impact-17` one release that was taken back had no name here.
            _ => None,
        },
        (None, None) => None,
    }
}

/// Whether what was said of the releases that were taken back rests on something else now.
pub(super) fn is_made_anew(before: &str, now: &str) -> bool {
    let made_from = |text: &str| Some(taken_back(text.strip_suffix(WENT_BACK)?)?.1.to_owned());
    made_from(before).zip(made_from(now)).is_some_and(|(before, now)| before != now)
}

// The ids of what was taken back, and what is said of them was made from.
fn taken_back(text: &str) -> Option<(&str, &str)> {
    let (_, all) = text.split_once(TOOK_BACK)?;
    Some(all.split_once(MADE_FROM).unwrap_or((all, "")))
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
            ("ab~@e-back", "ab~1@f-back", Some("it took back other releases than was known")),
            ("ab~1,2@e-back", "ab~1,2,3@f-back", Some("it took back other releases than was known")),
            ("ab~1,2@e-back", "cd~1,2@e-back", None),
            ("ab~1,2@e-back", "ab~1,2@f-back", None),
            // As they were kept before.
            ("ab-back", "ab~1@f-back", None),
            ("ab~1,2-back", "ab~1,2@f-back", None),
            ("ab~1,2-back", "ab~1,3@f-back", Some("it took back other releases than was known")),
        ] {
            assert_eq!(change(before, now), words, "{before} {now}");
        }
        assert!(is_made_anew("ab~1@e-back", "ab~1@f-back"));
        assert!(!is_made_anew("ab~1@e-back", "cd~1@e-back") && !is_made_anew("ab", "ab"));
    }
}
