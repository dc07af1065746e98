//! Says what is being waited for, once it lasts.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

const FIRST_AFTER: Duration = Duration::from_secs(2);
const THEN_EVERY: Duration = Duration::from_secs(15);

/// Tells after two seconds and then every fifteen, until it is dropped.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct Patience(#[expect(dead_code, reason = "its end ends the thread")] Sender<()>);

impl Patience {
    /// `tell` gets how long it has lasted.
    pub fn new(tell: impl Fn(Duration) + Send + 'static) -> Self {
        Self::with(FIRST_AFTER, THEN_EVERY, tell)
    }

    /// A line of a command: "checking all totals: 17 s".
    pub fn shown(what: &'static str) -> Self {
        Self::new(move |lasted| eprintln!("  {what}: {} s", lasted.as_secs()))
    }

    /// A line of the log, for what a server waits for too.
    pub fn logged(what: &'static str) -> Self {
        Self::new(move |lasted| tracing::info!("{what}: {} s", lasted.as_secs()))
    }

    fn with(first: Duration, then: Duration, tell: impl Fn(Duration) + Send + 'static) -> Self {
        let (end, ended) = channel::<()>();
        let began = Instant::now();
        std::thread::spawn(move || {
            let mut wait = first;
            while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                tell(began.elapsed());
                wait = then;
            }
        });
        Self(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_and_what_ended_is_not() {
        let (told, tells) = channel();
        let tick = Duration::from_millis(5);
        let patience = Patience::with(tick, tick, move |lasted| told.send(lasted).unwrap_or_default());
        let first = tells.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(tells.recv_timeout(Duration::from_secs(10)).unwrap() > first);
        drop(patience);
        // The thread ends, and with it what it tells to.
        while tells.recv_timeout(Duration::from_secs(10)).is_ok() {}
        assert_eq!(tells.recv_timeout(Duration::from_secs(10)), Err(RecvTimeoutError::Disconnected));
    }
}
