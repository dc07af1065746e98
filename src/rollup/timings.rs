//! What an import spent its time on, for the log and for measurements.

use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A part of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Reading the file and loading its lines, at the same time.
    ParseAndLoad,
    /// Writing charge groups and keys, beside the former.
    Groups,
    /// Adding up while reading; a part of the first, estimated from samples.
    AddingUp,
    /// Indexing the lines and making them a part of the ledger.
    Index,
    /// Writing daily sums by key, beside the former.
    DailySums,
    /// Mapping new keys, and adding up by service.
    Rollup,
    /// Comparing sums.
    Verify,
    /// The whole transaction that makes it visible, rollup and comparison included.
    Publish,
}

const PHASES: usize = 8;

impl Phase {
    /// What a person waits for then; nothing for what happens beside something else.
    fn words(self) -> Option<&'static str> {
        match self {
            Self::ParseAndLoad => Some("reading"),
            Self::Index => Some("indexing lines"),
            Self::Rollup => Some("adding up by service"),
            Self::Verify => Some("comparing sums"),
            Self::Publish => Some("publishing"),
            Self::Groups | Self::AddingUp | Self::DailySums => None,
        }
    }
}

/// The time spent in each phase so far.
#[derive(Debug, Default)]
pub(super) struct Timings {
    times: Mutex<[Duration; PHASES]>,
    told: Option<watch::Sender<&'static str>>,
}

impl Timings {
    /// Each phase is told to `told` when it begins.
    pub fn telling(told: Option<watch::Sender<&'static str>>) -> Self {
        Self { told, ..Self::default() }
    }

    pub fn add(&self, phase: Phase, time: Duration) {
        let mut times = self.times.lock().expect("nobody panics while adding");
        times[phase as usize] += time;
    }

    pub async fn of<T>(&self, phase: Phase, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let before = self.told.as_ref().zip(phase.words()).map(|(told, words)| told.send_replace(words));
        let result = work.await;
        // One phase may be a part of another, which goes on then.
        if let Some((told, before)) = self.told.as_ref().zip(before) {
            told.send_replace(before);
        }
        self.add(phase, started.elapsed());
        result
    }

    /// One line in the log.
    pub fn log(&self, delivery_id: i64, rows: i64, total: Duration) {
        let times = *self.times.lock().expect("nobody panics while adding");
        let ms = |phase: Phase| times[phase as usize].as_millis() as u64;
        tracing::info!(
            delivery.id = delivery_id,
            rows,
            total_ms = total.as_millis() as u64,
            parse_and_load_ms = ms(Phase::ParseAndLoad),
            groups_ms = ms(Phase::Groups),
            adding_up_ms = ms(Phase::AddingUp),
            index_ms = ms(Phase::Index),
            daily_sums_ms = ms(Phase::DailySums),
            rollup_ms = ms(Phase::Rollup),
            verify_ms = ms(Phase::Verify),
            publish_ms = ms(Phase::Publish),
            "import finished"
        );
    }
}
