//! Requests to event sources that were refused: counted in memory, written down every few seconds, and told on pages.
//!
//! Anyone can post to a source. So a flood of requests that prove nothing costs a counter each, and a row a source and day
//! in all; what is taken never passes here. Nothing of a request is kept but when it came and why it was refused.

use super::{detached, moments};
use crate::events::{Proof, Sender, Unproven};
use crate::store::Pools;
use crate::store::event_refusals::{self, Recent, Refused};
use crate::store::event_sources::EventSource;
use chrono::{DateTime, NaiveDate, Utc};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// What was counted is written at once, and then at most this often.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// What was refused since it was written last.
#[derive(Debug, Default)]
pub struct Refusals {
    counted: Mutex<Counted>,
    /// Held while something is on its way to the database: who waits for it finds there what was counted before.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Counted {
    /// As few as there are sources, and days since the database answered last.
    by_day: HashMap<(i64, NaiveDate), Refused>,
    writer: Option<JoinHandle<()>>,
}

impl Counted {
    fn add(&mut self, new: Refused) {
        let counted = self.by_day.entry((new.event_source_id, new.day)).or_insert(Refused { count: 0, ..new });
        counted.count = counted.count.saturating_add(new.count);
        counted.first_at = counted.first_at.min(new.first_at);
        if new.last_at >= counted.last_at {
            (counted.last_at, counted.last_reason) = (new.last_at, new.last_reason);
        }
    }
}

impl Refusals {
    /// Counts a request; it is written down by and by.
    pub fn count(self: &Arc<Self>, pools: &Pools, event_source_id: i64, reason: Unproven, now: DateTime<Utc>) {
        let (day, at) = (now.date_naive(), now);
        let refused = Refused { event_source_id, day, count: 1, first_at: at, last_at: at, last_reason: reason };
        let mut counted = self.counted();
        counted.add(refused);
        // One that ended, by a bug of ours, is begun anew.
        if counted.writer.as_ref().is_none_or(JoinHandle::is_finished) {
            counted.writer = Some(tokio::spawn(Arc::clone(self).write_by_and_by(pools.clone())));
        }
    }

    // Ends where nothing was counted meanwhile.
    async fn write_by_and_by(self: Arc<Self>, pools: Pools) {
        loop {
            self.write(&pools).await;
            tokio::time::sleep(WRITE_EVERY).await;
            let mut counted = self.counted();
            if counted.by_day.is_empty() {
                counted.writer = None;
                return;
            }
        }
    }

    /// Writes down what was counted so far; returns when it is there. What the database does not take is kept for the next
    /// time.
    pub async fn write(self: &Arc<Self>, pools: &Pools) {
        let (refusals, pools) = (Arc::clone(self), pools.clone());
        detached(async move {
            let _writing = refusals.writing.lock().await;
            let taken = std::mem::take(&mut refusals.counted().by_day);
            let all: Vec<Refused> = taken.into_values().collect();
            if all.is_empty() {
                return;
            }
            let added = add(&pools, &all).await;
            match added {
                Ok(()) => all.iter().for_each(log),
                Err(error) => {
                    tracing::warn!(error = %error, "Refused requests could not be written down; they are kept for now");
                    let mut counted = refusals.counted();
                    all.into_iter().for_each(|one| counted.add(one));
                }
            }
        })
        .await;
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn add(pools: &Pools, all: &[Refused]) -> sqlx::Result<()> {
    let mut connection = pools.web.acquire().await?;
    event_refusals::add(&mut connection, all).await
}

fn log(refused: &Refused) {
    let (id, count, reason) = (refused.event_source_id, refused.count, refused.last_reason.key());
    tracing::warn!(
        event_source.id = id,
        refused.count = count,
        refused.reason = reason,
        "Requests to event source {id} were refused: {count}, the last for {reason}"
    );
}

/// What a page says of requests that a source was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// How many, since when, and why the last.
    pub sentence: String,
    /// What to look at.
    pub question: &'static str,
    /// Nothing was taken since the last of them.
    pub is_open: bool,
}

/// Says it of this source.
pub fn note(source: &EventSource, recent: &Recent) -> Note {
    let proof = Sender::of(&source.kind).map_or(Proof::Token, |sender| sender.proof);
    let reason = Unproven::of(&recent.last_reason).unwrap_or(Unproven::Wrong);
    let (first, last) = (moments::moment(&recent.first_at), moments::moment(&recent.last_at));
    let words = reason.words(proof);
    let sentence = match recent.count {
        1 => format!("1 request was refused, {last}: {words}."),
        count if first == last => format!("{count} requests were refused, {last}: {words}."),
        count => format!("{count} requests were refused since {first}, the last {last}: {words}."),
    };
    let question = match reason {
        Unproven::Missing => "Was the secret entered at the sender?",
        Unproven::Wrong | Unproven::UnknownToken => {
            "Is the secret the one that was shown when the source was set up, or when it got a new one?"
        }
        Unproven::TooOld => "Is the sender's clock right, and the one of this server?",
    };
    let is_open = source.last_received_at.is_none_or(|received| received < recent.last_at);
    Note { sentence, question, is_open }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(id: i64, second: i64, reason: Unproven) -> Refused {
        let at = DateTime::from_timestamp(second, 0).unwrap();
        Refused { event_source_id: id, day: at.date_naive(), count: 1, first_at: at, last_at: at, last_reason: reason }
    }

    #[test]
    fn a_flood_is_one_row_a_source_and_day() {
        let mut counted = Counted::default();
        for second in [50, 10, 90, 30] {
            let reason = if second == 90 { Unproven::Wrong } else { Unproven::Missing };
            counted.add(refused(1, second, reason));
        }
        counted.add(refused(2, 5, Unproven::TooOld));
        counted.add(refused(1, 86_400, Unproven::Missing));
        assert_eq!(counted.by_day.len(), 3);
        let first = counted.by_day.values().find(|one| one.count == 4).unwrap();
        let seconds = (first.first_at.timestamp(), first.last_at.timestamp());
        assert_eq!((seconds, first.last_reason), ((10, 90), Unproven::Wrong));
    }
}
