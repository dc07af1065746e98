//! The number that joins an answer, its error page and its log lines.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

tokio::task_local! {
    static CURRENT: (String, bool);
}

/// Where this process began.
static FIRST: OnceLock<u64> = OnceLock::new();
static COUNT: AtomicU64 = AtomicU64::new(0);
/// Odd, so that all numbers come before one comes again; large, so that those after each other do not look alike.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A new id. It tells requests apart and is no secret: the operating system is asked for a random one once.
pub fn new() -> String {
    let first = FIRST.get_or_init(|| {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        u64::from_ne_bytes(bytes)
    });
    hex::encode(first.wrapping_add(COUNT.fetch_add(STEP, Ordering::Relaxed)).to_be_bytes())
}

/// Runs work under an id. `is_read` says that the request changes nothing, so that it may be sent again.
pub async fn with<T>(id: String, is_read: bool, work: impl Future<Output = T>) -> T {
    CURRENT.scope((id, is_read), work).await
}

/// The id of the request being worked on; empty outside of one.
pub fn current() -> String {
    CURRENT.try_with(|(id, _)| id.clone()).unwrap_or_default()
}

/// Whether the request being worked on changes nothing; false outside of one.
pub fn is_read() -> bool {
    CURRENT.try_with(|(_, is_read)| *is_read).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_have_one_length_and_tell_requests_apart() {
        let ids: std::collections::HashSet<String> = (0..1000).map(|_| super::new()).collect();
        assert!(ids.len() == 1000 && ids.iter().all(|id| id.len() == 16));
    }
}
