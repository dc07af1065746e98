//! What an answer rests on, part by part: by its fingerprints the next answer says which part is another. Pure.

use super::METHOD;
use crate::analyze::impact::{Calibration, Effect, History, Siblings};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::ops::Range;

/// Bytes of a digest that are kept of each part.
const PART_BYTES: usize = 8;
/// Bytes of the digest of all of them.
const WHOLE_BYTES: usize = 16;

/// A fingerprint of each part of what an answer is made from, and the days that they are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::jobs) struct Parts {
    first_day: NaiveDate,
    complete_to: NaiveDate,
    cost: String,
    traffic: String,
    replicas: String,
    siblings: String,
    releases: String,
    prices: String,
    notes: String,
    calibration: String,
    method: String,
}

/// What is kept of the parts with an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub parts: Parts,
    /// The answer that moves are measured against: the first settled one, then the last that was a revision. It stays
    /// while a bill is missing or fewer days are complete.
    pub told: Option<Told>,
    /// How far the answer had come, whether or not it waits again.
    #[serde(default)]
    pub reached: Option<Reached>,
}

/// A phase that is not left again for good: the answer may wait in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reached {
    Settled,
    Revised,
}

impl Reached {
    /// That a phase is.
    pub fn of(phase: &str) -> Option<Self> {
        match phase {
            "settled" => Some(Self::Settled),
            "revised" => Some(Self::Revised),
            _ => None,
        }
    }
}

/// A settled or revised answer. Units of the currency a day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Told {
    pub per_day: f64,
    pub low: f64,
    pub high: f64,
}

impl From<&Effect> for Told {
    fn from(effect: &Effect) -> Self {
        Self { per_day: effect.per_day, low: effect.low, high: effect.high }
    }
}

/// The fingerprint of what intervals are stretched by: the same for every answer of a run.
pub(in crate::jobs) fn of_calibration(calibration: &Calibration) -> String {
    digest(&serde_json::to_vec(calibration).unwrap_or_default(), PART_BYTES)
}

/// The fingerprint of a text.
pub(super) fn of_text(text: &str) -> String {
    digest(text.as_bytes(), PART_BYTES)
}

impl Parts {
    /// Of everything that an estimate looks at.
    pub fn of(window: &History, calibration: &str) -> Self {
        let text = |text: String| digest(text.as_bytes(), PART_BYTES);
        let days = |days: Option<&[Option<f64>]>| of_numbers(days.unwrap_or_default().iter().copied());
        let siblings = window.siblings.iter().flat_map(|both| both.cost.iter().chain(&both.traffic));
        Self {
            first_day: window.first_day,
            complete_to: window.complete_to,
            cost: days(Some(&window.cost)),
            traffic: days(window.traffic.as_deref()),
            replicas: days(window.replicas.as_deref()),
            siblings: of_numbers(siblings.copied().map(Some)),
            releases: text(format!("{:?}", window.releases)),
            prices: text(format!("{:?}", window.price_events)),
            notes: text(format!("{:?}", window.notes)),
            calibration: calibration.to_owned(),
            method: METHOD.into(),
        }
    }

    /// Of all parts together.
    pub fn fingerprint(&self) -> String {
        digest(&serde_json::to_vec(self).unwrap_or_default(), WHOLE_BYTES)
    }

    /// What is another than it was, in words, on the days that the answer before knew. `now` is what the newer answer
    /// looks at: days that became complete since are said elsewhere. Where it knows fewer days, what is kept of the answer
    /// before is of more, and says nothing of those that are left: that days are missing is all that is told of them.
    pub fn changed_to(&self, now: &History, calibration: &str) -> Vec<&'static str> {
        let is_shorter = now.complete_to < self.complete_to;
        let is_later = now.complete_to > self.complete_to;
        let is_longer = now.first_day < self.first_day;
        let now = Self::of(&within(now, self.first_day, self.complete_to), calibration);
        let parts = [
            (
                &self.cost,
                &now.cost,
                "the cost of its days is another: bills were restated, or rules gave it other cost",
            ),
            (&self.traffic, &now.traffic, "traffic of its days came in later or was corrected"),
            (&self.replicas, &now.replicas, "replicas of its days came in later or were corrected"),
            (&self.siblings, &now.siblings, "the other services moved otherwise than was known"),
            (
                &self.releases,
                &now.releases,
                "releases near it, or the hours from which on they count, are others than were known",
            ),
            (&self.prices, &now.prices, "changes of price or commitment are others than were known"),
            (&self.notes, &now.notes, "credits, fees, launches, rules or tags are others than were known"),
            (&self.calibration, &now.calibration, "intervals were calibrated anew"),
            (&self.method, &now.method, "the method is a newer one"),
        ];
        // How the others moved is told about a level that every new day shifts: with new days that is no news.
        let longer = is_longer.then_some("bills of earlier days came in");
        let shorter =
            is_shorter.then_some("its last days are not known any more: a bill of them is late or was taken back");
        let is_of_days =
            |before: &String| !std::ptr::eq(before, &self.calibration) && !std::ptr::eq(before, &self.method);
        let is_news = |before: &String, now: &String| {
            before != now
                && !((is_later || is_longer) && std::ptr::eq(before, &self.siblings))
                && !(is_shorter && is_of_days(before))
        };
        let others = parts.into_iter().filter(|(before, now, _)| is_news(before, now)).map(|(.., words)| words);
        longer.into_iter().chain(shorter).chain(others).collect()
    }
}

// The same history as it would have been asked about when only these days were known.
fn within(history: &History, first: NaiveDate, last: NaiveDate) -> History {
    let first = first.max(history.first_day);
    // A release long after the last bill lies behind all days that are known.
    if first == history.first_day && last == history.complete_to {
        return history.clone();
    }
    let day = |number: i64| usize::try_from(number).unwrap_or_default();
    let known = day((first - history.first_day).num_days())..day((last - history.first_day).num_days() + 1);
    History {
        first_day: first,
        complete_to: history.complete_to.min(last),
        cost: cut(&history.cost, &known),
        traffic: history.traffic.as_ref().map(|days| cut(days, &known)),
        replicas: history.replicas.as_ref().map(|days| cut(days, &known)),
        siblings: history
            .siblings
            .as_ref()
            .map(|both| Siblings { cost: cut(&both.cost, &known), traffic: cut(&both.traffic, &known) }),
        releases: history.releases.iter().filter(|one| first <= one.day && one.began() <= last).cloned().collect(),
        price_events: history.price_events.iter().filter(|one| first <= one.day && one.day <= last).cloned().collect(),
        notes: history
            .notes
            .iter()
            .filter(|one| one.last_day.unwrap_or(one.day) >= first && one.day <= last)
            .cloned()
            .collect(),
    }
}

fn cut<T: Copy>(days: &[T], known: &Range<usize>) -> Vec<T> {
    days.iter().copied().take(known.end).skip(known.start).collect()
}

// No figure and every figure differ.
fn of_numbers(days: impl Iterator<Item = Option<f64>>) -> String {
    let bytes: Vec<u8> = days
        .flat_map(|day| std::iter::once(u8::from(day.is_some())).chain(day.unwrap_or_default().to_bits().to_le_bytes()))
        .collect();
    digest(&bytes, PART_BYTES)
}

fn digest(bytes: &[u8], length: usize) -> String {
    hex::encode(&Sha256::digest(bytes)[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    // Answers are kept with these: other bytes would have all of them worked out again.
    #[test]
    fn the_bytes_of_a_fingerprint_stay() {
        let known = |figure: f64| [&[1_u8][..], &figure.to_le_bytes()].concat();
        let lacks = vec![0_u8; 9];
        let siblings = [1.5, -2.0, 0.25];
        let of_siblings = digest(&siblings.map(known).concat(), PART_BYTES);
        assert_eq!(of_numbers(siblings.into_iter().map(Some)), of_siblings);
        let of_gaps = digest(&[known(0.0), lacks, known(3.0)].concat(), PART_BYTES);
        assert_eq!(of_numbers([Some(0.0), None, Some(3.0)].into_iter()), of_gaps);
        assert_eq!(of_numbers(std::iter::empty()), digest(&[], PART_BYTES));
        assert_eq!(cut(&[1, 2, 3], &(1..9)), [2, 3]);
    }
}
