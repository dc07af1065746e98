//! What services cost, kept between requests. Cost changes only with a publication, so its number makes what
//! is kept exact: a newer publication empties it. Whether a person may see a service is decided before. What else an answer
//! shows or depends on and a publication does not tell (owners, names, the order of rules) is a part of its question.
//!
//! All that a page reads is kept beside it for as long as nothing at all is written, which two views of the database
//! that see the same transactions prove. Where bills or webhooks stream in, that is no time, and pages read again.

use super::material::Readings;
use crate::store::freshness::Freshness;
use crate::store::moved_by_rules::MovedByRule;
use crate::store::savings::PlaceCostRow;
use crate::store::service_costs::{Bought, ServiceDay};
use crate::store::variance_costs::{Sums, VarianceLine};
use crate::web::overview::MainCause;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Reads that are kept at once.
const ENTRY_COUNT_MAX: usize = 64;
/// Whole readings that are kept at once.
const READING_COUNT_MAX: usize = 32;
/// Counts of what is unmapped that are kept at once: one for each last day and kind of reader.
const UNMAPPED_COUNT_MAX: usize = 8;
/// Main causes of what moved that are kept at once: of seven services for each period, basis and kind of reader.
const MAIN_CAUSE_COUNT_MAX: usize = 256;
/// Longer ones are read anew: with this, all that is kept stays below 64 MiB.
const ROW_COUNT_MAX: usize = 3_000;

/// Kept reads of all service pages.
#[derive(Debug, Default)]
pub struct KeptCosts {
    /// Cost by day.
    pub days: KeptRows<ServiceDay>,
    /// What was bought.
    pub bought: KeptRows<Bought>,
    /// What rules moved.
    pub moved: KeptRows<MovedByRule>,
    /// What a change of spend is explained from.
    pub variance_lines: KeptRows<VarianceLine>,
    /// The sums that the causes add up to.
    pub variance_sums: KeptRows<Sums>,
    /// What savings are found from.
    pub place_costs: KeptRows<PlaceCostRow>,
    /// How far bills are complete, by what a view of the database saw.
    pub bills: Kept<String, Freshness, 1>,
    /// How many rows are unmapped, by what a view of the database saw.
    pub unmapped: Kept<String, i64, UNMAPPED_COUNT_MAX>,
    /// How many of them are charges, by the last publication.
    pub unmapped_charges: Kept<i64, i64, UNMAPPED_COUNT_MAX>,
    /// All that a service's page is read from, by what a view of the database saw
    /// ([`crate::store::freshness::Freshness::seen`]).
    pub readings: Kept<String, Readings, READING_COUNT_MAX>,
    /// What the change of a service is mostly made of, by what a view of the database saw.
    pub main_causes: Kept<String, MainCause, MAIN_CAUSE_COUNT_MAX>,
}

/// Rows of one kind, by the last publication.
pub type KeptRows<T> = Kept<i64, Vec<T>, ENTRY_COUNT_MAX>;

/// What was read, by what was asked, all of one state of the data; `COUNT_MAX` answers at once.
pub struct Kept<S, T, const COUNT_MAX: usize>(Mutex<Entries<S, T>>);

struct Entries<S, T> {
    state: S,
    answers: HashMap<String, Arc<T>>,
}

/// A state of the data that answers are exact for.
pub trait DataState: Default + PartialEq {
    /// Whether it tells anything at all.
    fn is_known(&self) -> bool;
    /// Whether what is kept of `kept` gives way to it.
    fn takes_over_from(&self, kept: &Self) -> bool;
}

/// A publication: a slow reader of an older one keeps nothing; before the first nothing is exact.
impl DataState for i64 {
    fn is_known(&self) -> bool {
        *self != 0
    }

    fn takes_over_from(&self, kept: &Self) -> bool {
        self > kept
    }
}

/// What a view saw. Which of two is newer cannot be told: the last reader's is kept.
impl DataState for String {
    fn is_known(&self) -> bool {
        !self.is_empty()
    }

    fn takes_over_from(&self, kept: &Self) -> bool {
        self != kept
    }
}

impl<S: DataState, T, const COUNT_MAX: usize> Default for Kept<S, T, COUNT_MAX> {
    fn default() -> Self {
        Self(Mutex::new(Entries { state: S::default(), answers: HashMap::new() }))
    }
}

impl<S, T, const COUNT_MAX: usize> std::fmt::Debug for Kept<S, T, COUNT_MAX> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Kept").finish_non_exhaustive()
    }
}

impl<S: DataState, T, const COUNT_MAX: usize> Kept<S, T, COUNT_MAX> {
    /// What was read for this question in this state.
    pub fn get(&self, state: &S, question: &str) -> Option<Arc<T>> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.answers.get(question).filter(|_| entries.state == *state).cloned()
    }

    /// Keeps it; `row_count` are its rows of cost.
    pub fn keep(&self, state: S, question: String, answer: &Arc<T>, row_count: usize) {
        if !state.is_known() || row_count > ROW_COUNT_MAX {
            return;
        }
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_newer = state.takes_over_from(&entries.state);
        if !is_newer && state != entries.state {
            return;
        }
        if is_newer || entries.answers.len() >= COUNT_MAX {
            *entries = Entries { state, answers: HashMap::new() };
        }
        entries.answers.insert(question, Arc::clone(answer));
    }
}

impl<T> KeptRows<T> {
    /// What was read for this question when `publication_id` was the last publication, or reads it.
    pub async fn get_or_read(
        &self,
        publication_id: i64,
        question: String,
        read: impl Future<Output = sqlx::Result<Vec<T>>>,
    ) -> sqlx::Result<Arc<Vec<T>>> {
        if let Some(rows) = self.get(&publication_id, &question) {
            return Ok(rows);
        }
        let rows = Arc::new(read.await?);
        self.keep(publication_id, question, &rows, rows.len());
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_newer_publication_empties_it_and_an_older_view_is_not_kept() {
        let kept = KeptRows::default();
        let read = |publication_id, value| kept.get_or_read(publication_id, "q".into(), async move { Ok(vec![value]) });
        assert_eq!(*read(1, 10).await.unwrap(), [10]);
        assert_eq!(*read(1, 11).await.unwrap(), [10]);
        assert_eq!(*read(2, 20).await.unwrap(), [20]);
        assert_eq!(*read(1, 12).await.unwrap(), [12]);
        assert_eq!(*read(2, 21).await.unwrap(), [20]);
    }

    #[test]
    fn what_another_view_saw_empties_it() {
        let kept = Kept::<String, i32, 2>::default();
        let keep = |seen: &str, question: &str| kept.keep(seen.into(), question.into(), &Arc::new(1), 1);
        keep("", "a");
        assert!(kept.get(&String::new(), "a").is_none(), "a view that is not known keeps nothing");
        keep("7", "a");
        keep("7", "b");
        assert!(kept.get(&"7".into(), "a").is_some() && kept.get(&"7".into(), "b").is_some());
        keep("7", "c");
        assert!(kept.get(&"7".into(), "a").is_none() && kept.get(&"7".into(), "c").is_some(), "no more than two");
        keep("6", "a");
        assert!(kept.get(&"7".into(), "c").is_none() && kept.get(&"6".into(), "a").is_some());
    }
}
