//! What services cost, kept between requests. Cost changes only with a publication, so its number makes what
//! is kept exact: a newer publication empties it. Whether a person may see a service is decided before.
//!
//! All that a page reads is kept beside it for as long as nothing at all is written, which two views of the database
//! that see the same transactions prove. Where bills or webhooks stream in, that is no time, and pages read again.

use super::material::Readings;
use crate::store::moved_by_rules::MovedByRule;
use crate::store::savings::PlaceCostRow;
use crate::store::service_costs::{Bought, ServiceDay};
use crate::store::variance_costs::{Sums, VarianceLine};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Reads that are kept at once.
const ENTRY_COUNT_MAX: usize = 64;
/// Whole readings that are kept at once.
const READING_COUNT_MAX: usize = 32;
/// Longer ones are read anew: with this, all that is kept stays below 64 MiB.
const ROW_COUNT_MAX: usize = 3_000;

/// Kept reads of all service pages.
#[derive(Debug, Default)]
pub struct KeptCosts {
    /// Cost by day.
    pub days: Kept<ServiceDay>,
    /// What was bought.
    pub bought: Kept<Bought>,
    /// What rules moved.
    pub moved: Kept<MovedByRule>,
    /// What a change of spend is explained from.
    pub variance_lines: Kept<VarianceLine>,
    /// The sums that the causes add up to.
    pub variance_sums: Kept<Sums>,
    /// What savings are found from.
    pub place_costs: Kept<PlaceCostRow>,
    /// All that a service's page is read from.
    pub readings: KeptReadings,
}

/// Whole readings of service pages, all of one view of the database.
#[derive(Default)]
pub struct KeptReadings(Mutex<(String, HashMap<String, Arc<Readings>>)>);

impl std::fmt::Debug for KeptReadings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("KeptReadings").finish_non_exhaustive()
    }
}

impl KeptReadings {
    /// What was read for this question by a view that saw the same ([`crate::store::freshness::Freshness::seen`]).
    pub fn get(&self, seen: &str, question: &str) -> Option<Arc<Readings>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.1.get(question).filter(|_| kept.0 == seen).cloned()
    }

    /// Keeps it; `row_count` are its rows of cost.
    pub fn keep(&self, seen: String, question: String, read: &Arc<Readings>, row_count: usize) {
        if seen.is_empty() || row_count > ROW_COUNT_MAX {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != seen || kept.1.len() >= READING_COUNT_MAX {
            *kept = (seen, HashMap::new());
        }
        kept.1.insert(question, Arc::clone(read));
    }
}

/// Kept reads of one kind, by what was asked.
#[derive(Debug)]
pub struct Kept<T>(Mutex<Entries<T>>);

#[derive(Debug)]
struct Entries<T> {
    publication_id: i64,
    rows: HashMap<String, Arc<Vec<T>>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(Entries { publication_id: 0, rows: HashMap::new() }))
    }
}

impl<T> Kept<T> {
    /// What was read for this question when `publication_id` was the last publication, or reads it.
    pub async fn get_or_read(
        &self,
        publication_id: i64,
        question: String,
        read: impl Future<Output = sqlx::Result<Vec<T>>>,
    ) -> sqlx::Result<Arc<Vec<T>>> {
        if let Some(rows) = self.get(publication_id, &question) {
            return Ok(rows);
        }
        let rows = Arc::new(read.await?);
        self.keep(publication_id, question, &rows);
        Ok(rows)
    }

    fn get(&self, publication_id: i64, question: &str) -> Option<Arc<Vec<T>>> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.rows.get(question).filter(|_| entries.publication_id == publication_id).cloned()
    }

    fn keep(&self, publication_id: i64, question: String, rows: &Arc<Vec<T>>) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A slow reader of an older view keeps nothing; before the first publication nothing is exact.
        if publication_id < entries.publication_id || publication_id == 0 || rows.len() > ROW_COUNT_MAX {
            return;
        }
        if publication_id > entries.publication_id || entries.rows.len() >= ENTRY_COUNT_MAX {
            entries.rows.clear();
            entries.publication_id = publication_id;
        }
        entries.rows.insert(question, Arc::clone(rows));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_newer_publication_empties_it_and_an_older_view_is_not_kept() {
        let kept = Kept::default();
        let read = |publication_id, value| kept.get_or_read(publication_id, "q".into(), async move { Ok(vec![value]) });
        assert_eq!(*read(1, 10).await.unwrap(), [10]);
        assert_eq!(*read(1, 11).await.unwrap(), [10]);
        assert_eq!(*read(2, 20).await.unwrap(), [20]);
        assert_eq!(*read(1, 12).await.unwrap(), [12]);
        assert_eq!(*read(2, 21).await.unwrap(), [20]);
    }
}
