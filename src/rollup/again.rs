//! Tries again what the database ended because of others: the transaction was taken back as a whole, so nothing of it
//! has happened.

use super::LedgerError;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How often something is tried in all.
const TRIES_MAX: u32 = 6;
const WAIT_MS_FIRST: u64 = 20;
const WAIT_MS_MAX: u64 = 500;

/// The tries of one piece of work.
#[derive(Debug, Default)]
pub(super) struct Tries(u32);

impl Tries {
    /// Whether it is worth another try. Waits a while first, longer each time and never as long as somebody else who
    /// lost at the same moment.
    pub async fn another(&mut self, may_pass: bool) -> bool {
        self.0 += 1;
        if !may_pass || self.0 >= TRIES_MAX {
            return false;
        }
        tracing::info!(tries = self.0, "A change met others and is tried again");
        tokio::time::sleep(wait(self.0)).await;
        true
    }
}

/// Between half of a doubling time and the whole.
pub(super) fn wait(tries: u32) -> Duration {
    let whole = (WAIT_MS_FIRST << tries.min(10)).min(WAIT_MS_MAX);
    let random = RandomState::new().hash_one(tries);
    Duration::from_millis(whole / 2 + random % (whole / 2 + 1))
}

/// Whether the database ended a transaction only because of others: 40001 is for what cannot be put in an order, 40P01
/// for a deadlock, 55P03 for a lock that did not come free in time.
pub(super) fn may_pass(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| matches!(&*code, "40001" | "40P01" | "55P03"))
}

impl LedgerError {
    /// Whether it may go through at the next try.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Database(error) => may_pass(error),
            Self::Other(error) => error.downcast_ref().is_some_and(may_pass),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn waits_grow_stay_bounded_and_differ() {
        for tries in 1..40 {
            let whole = Duration::from_millis((WAIT_MS_FIRST << tries.min(10)).min(WAIT_MS_MAX));
            let waits: BTreeSet<Duration> = (0..60).map(|_| wait(tries)).collect();
            assert!(waits.iter().all(|wait| *wait >= whole / 2 && *wait <= whole), "{tries}: {waits:?}");
            assert!(waits.len() > 5, "{tries}: {waits:?}");
        }
    }
}
