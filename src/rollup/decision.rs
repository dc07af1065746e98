//! What is to become of a delivery, scope by scope: what is newer than what is counted counts, the rest is listed.
//!
//! For deliveries that were given a version the outcome depends on their set alone, not on their order: the newest
//! version of a scope counts, and of two with the same version the one whose bytes have the greater hash.

use crate::store::generations::Current;
use chrono::{DateTime, NaiveDate, Utc};

/// Refused scopes that a receipt names.
const NAMED_MAX: usize = 5;

/// What orders a delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct Version<'a> {
    pub at: DateTime<Utc>,
    /// `receipt`: nobody gave it one, so the last one in wins where two are equal.
    pub basis: &'a str,
    pub sha256: Option<&'a str>,
}

/// What one scope says to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing newer is counted.
    Counts,
    /// These bytes are counted.
    Same,
    /// Something newer is counted.
    Older,
}

impl Decision {
    pub fn of(current: Option<&Current>, version: &Version<'_>) -> Self {
        let Some(current) = current else { return Self::Counts };
        let sha256 = current.content_sha256.as_deref();
        if sha256.is_some() && sha256 == version.sha256 {
            return Self::Same;
        }
        if current.is_newer_than(version.at, version.basis, version.sha256) { Self::Older } else { Self::Counts }
    }
}

/// The decisions on all scopes of a delivery.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counting: usize,
    same: Vec<Current>,
    refused: Vec<String>,
}

/// What the delivery as a whole comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Refused(String),
    Unchanged(String),
    /// With the scopes that are not counted, in words, where there are any.
    Counts(Option<String>),
}

impl Tally {
    pub fn add(
        &mut self,
        billing_account_id: &str,
        billing_period_start: NaiveDate,
        current: Option<Current>,
        version: &Version<'_>,
    ) -> Decision {
        let decision = Decision::of(current.as_ref(), version);
        match (decision, current) {
            (Decision::Same, Some(current)) => self.same.push(current),
            (Decision::Older, Some(current)) => {
                self.refused.push(older(billing_account_id, billing_period_start, &current, version.at));
            }
            _ => self.counting += 1,
        }
        decision
    }

    /// The generations that hold these bytes already.
    pub fn same_generation_ids(&self) -> Vec<i64> {
        self.same.iter().map(|current| current.generation_id).collect()
    }

    pub fn outcome(&self) -> Outcome {
        match (self.same.first(), self.counting) {
            (None, 0) if !self.refused.is_empty() => Outcome::Refused(self.refusals()),
            (Some(same), 0) => {
                let reason = same_bytes(same.delivery_id);
                let more = if self.refused.is_empty() { String::new() } else { format!(" {}", self.refusals()) };
                Outcome::Unchanged(reason + &more)
            }
            _ if self.refused.is_empty() => Outcome::Counts(None),
            _ => Outcome::Counts(Some(format!("Not all of it: {}", self.refusals()))),
        }
    }

    fn refusals(&self) -> String {
        let mut text = self.refused.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(" ");
        if self.refused.len() > NAMED_MAX {
            text.push_str(&format!(" The same holds for {} more.", self.refused.len() - NAMED_MAX));
        }
        text
    }
}

/// The reason on the receipt of a file that brings nothing new.
pub(super) fn same_bytes(delivery_id: i64) -> String {
    format!("The same bytes are counted already: delivery {delivery_id}.")
}

fn older(
    billing_account_id: &str,
    billing_period_start: NaiveDate,
    current: &Current,
    version_at: DateTime<Utc>,
) -> String {
    let account =
        if billing_account_id.is_empty() { String::new() } else { format!(" of account {billing_account_id}") };
    let why = if current.version_at == version_at {
        "and of two files with the same version only one can count (parts of one bill are imported together, with \
         --parts)"
            .to_owned()
    } else {
        format!("and this one is older ({})", version_at.format("%Y-%m-%d %H:%M:%S UTC"))
    };
    format!(
        "Billing period {}{account} is counted from delivery {} of {}, {why}.",
        billing_period_start.format("%Y-%m"),
        current.delivery_id,
        current.version_at.format("%Y-%m-%d %H:%M:%S UTC"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current(day: u32, sha256: &str) -> Current {
        let version_at = format!("2026-11-{day:02}T00:00:00Z").parse().unwrap();
        Current { generation_id: 1, delivery_id: 7, version_at, content_sha256: Some(sha256.into()) }
    }

    fn version(basis: &'static str, sha256: &'static str) -> Version<'static> {
        Version { at: "2026-11-05T00:00:00Z".parse().unwrap(), basis, sha256: Some(sha256) }
    }

    #[test]
    fn the_newer_counts_and_equals_are_told_apart_by_their_bytes() {
        let told = |current: Current, basis, sha256| Decision::of(Some(&current), &version(basis, sha256));
        assert_eq!(Decision::of(None, &version("as-of", "a")), Decision::Counts);
        assert_eq!(told(current(4, "b"), "as-of", "a"), Decision::Counts);
        assert_eq!(told(current(6, "b"), "as-of", "c"), Decision::Older);
        assert_eq!(told(current(6, "a"), "as-of", "a"), Decision::Same);
        assert_eq!(told(current(5, "b"), "as-of", "a"), Decision::Older);
        assert_eq!(told(current(5, "b"), "as-of", "c"), Decision::Counts);
        assert_eq!(told(current(5, "b"), "receipt", "a"), Decision::Counts);
    }

    #[test]
    fn only_what_is_older_is_refused() {
        let period = "2026-10-01".parse().unwrap();
        let outcome = |all: &[Option<Current>]| {
            let mut tally = Tally::default();
            for current in all {
                tally.add("A1", period, current.clone(), &version("as-of", "a"));
            }
            tally.outcome()
        };
        assert_eq!(outcome(&[None, Some(current(1, "x"))]), Outcome::Counts(None));
        let Outcome::Counts(Some(note)) = outcome(&[None, Some(current(6, "x"))]) else { panic!("not counted") };
        assert!(note.starts_with("Not all of it: Billing period 2026-10 of account A1 is counted from delivery 7"));
        assert!(matches!(outcome(&[Some(current(6, "x"))]), Outcome::Refused(_)));
        assert!(matches!(outcome(&[Some(current(6, "x")), Some(current(6, "a"))]), Outcome::Unchanged(_)));
    }
}
