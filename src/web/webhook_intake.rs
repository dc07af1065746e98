//! Stores what senders post, many requests in one commit. While two batches are on their way to the disk the next
//! gathers, so that a flood costs few commits, and a lone request waits for nobody.

use super::{Error, webhooks::READ_EVENTS_JOB};
use crate::events::Headers;
use crate::store::event_deliveries::{self, NewDelivery, Stored};
use crate::store::event_sources::{self, EventSource};
use crate::store::seal::Key;
use crate::store::{INTAKE_CONNECTIONS, Pools, jobs};
use chrono::{DateTime, Utc};
use serde_json::json;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for the next commit. More are told to come again: a sender waits no longer than for two commits.
const WAITING_MAX: usize = 80;
/// Requests of one commit.
const BATCH_MAX: usize = 80;
/// Batches at once: one is made ready while the database works on the other.
const WRITERS: u32 = INTAKE_CONNECTIONS;
/// A connection that the database ended fails at once.
const AGAIN_WITHIN: Duration = Duration::from_millis(500);
/// What one is told that finds no place.
const RETRY_AFTER_SECONDS: u64 = 1;

/// A request whose sender is proven.
#[derive(Debug)]
pub struct Proven {
    /// Who sent it, as it was when the proof was made.
    pub source: Arc<EventSource>,
    /// It carries a signature where a plain token would do.
    pub is_signed: bool,
    /// Same key, same delivery.
    pub dedupe_key: String,
    /// The sender's name of the event.
    pub event_name: String,
    /// Without secrets.
    pub headers: Headers,
    /// Without credentials in addresses.
    pub body: Vec<u8>,
    /// Hexadecimal SHA-256 of the body as it came.
    pub body_sha256: String,
    /// When it came.
    pub received_at: DateTime<Utc>,
}

/// How storing one ended.
#[derive(Debug)]
pub enum Taken {
    /// Committed.
    Stored(Stored),
    /// Its source was changed meanwhile, so that nothing was stored: it is to be proven again.
    SourceChanged(Box<Proven>),
}

struct Waiting {
    request: Proven,
    answer: oneshot::Sender<Result<Taken, Error>>,
}

/// The way in, and the sources as they were last read.
#[derive(Debug, Default)]
pub struct Intake {
    writer: Mutex<Option<mpsc::Sender<Waiting>>>,
    sources: Mutex<HashMap<String, Arc<EventSource>>>,
    key: Mutex<Option<(Mark, Key)>>,
}

impl Intake {
    /// Stores a request; committed when this returns. An error where too many wait, or the database does not answer.
    pub async fn store(&self, pools: &Pools, request: Proven) -> Result<Taken, Error> {
        let (answer, answered) = oneshot::channel();
        let full = |_| Error::TooMany { retry_after_seconds: RETRY_AFTER_SECONDS };
        self.writer(pools).try_send(Waiting { request, answer }).map_err(full)?;
        answered.await.map_err(|_| Error::Unavailable)?
    }

    // One that ended, by a bug of ours, is begun anew: the next request must not suffer from the last.
    fn writer(&self, pools: &Pools) -> mpsc::Sender<Waiting> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = writer.as_ref().filter(|writer| !writer.is_closed()) {
            return writer.clone();
        }
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
        for _ in 0..WRITERS {
            tokio::spawn(write(pools.clone(), Arc::clone(&receiver)));
        }
        writer.insert(sender).clone()
    }

    /// The key of this file, as it was last loaded where the file is the same: reading it for each request costs more than
    /// the proof.
    pub async fn key(&self, path: &Path, load: impl Future<Output = Result<Key, Error>>) -> Result<Key, Error> {
        let mark = mark_of(path);
        let known = self.key.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, key)) = known.filter(|(known, _)| mark == Some(*known)) {
            return Ok(key);
        }
        let key = load.await?;
        let mut known = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        *known = mark.map(|mark| (mark, key.clone()));
        Ok(key)
    }

    /// The source of this name as it was last read. It may have changed: [`Self::store`] looks before it stores.
    pub fn known(&self, name: &str) -> Option<Arc<EventSource>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Keeps a source as it was just read.
    pub fn keep(&self, source: &Arc<EventSource>) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.insert(source.name.clone(), Arc::clone(source));
    }

    /// Forgets a source that changed.
    pub fn forget(&self, name: &str) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

// Which file it is, and when it or who may read it was changed last.
type Mark = (u64, i64, i64);

fn mark_of(path: &Path) -> Option<Mark> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

// Ends with the last way in.
async fn write(pools: Pools, waiting: Arc<tokio::sync::Mutex<mpsc::Receiver<Waiting>>>) {
    loop {
        let batch = gather(&mut *waiting.lock().await, BATCH_MAX).await;
        if batch.is_empty() {
            return;
        }
        let (requests, answers): (Vec<Proven>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.request, waiting.answer)).unzip();
        for (result, answer) in commit(&pools, requests).await.into_iter().zip(answers) {
            // A sender that hung up is not told; what it sent is stored.
            let _ = answer.send(result);
        }
    }
}

// What waits, at least one; nothing once the last way in is gone.
//
// The first request wakes the writer before those that came with it had their turn: each commit would be of one. So they
// get it first. That lasts only while there is work; a lone request waits for nobody.
async fn gather<T>(waiting: &mut mpsc::Receiver<T>, count_max: usize) -> Vec<T> {
    let mut batch = Vec::new();
    if waiting.recv_many(&mut batch, count_max).await == 0 {
        return batch;
    }
    tokio::task::yield_now().await;
    while batch.len() < count_max
        && let Ok(next) = waiting.try_recv()
    {
        batch.push(next);
    }
    batch
}

// Where the whole does not go in, each is tried for itself: one must not keep the others out.
async fn commit(pools: &Pools, requests: Vec<Proven>) -> Vec<Result<Taken, Error>> {
    let places: Vec<&Proven> = requests.iter().collect();
    let results = match commit_all(pools, &places).await {
        Ok(stored) => stored.into_iter().map(Ok).collect(),
        Err(_) => {
            let mut results = Vec::new();
            for place in places {
                results.push(commit_one(pools, place).await);
            }
            results
        }
    };
    let taken = requests.into_iter().zip(results).map(|(request, result)| {
        result.map(|stored| stored.map_or_else(|| Taken::SourceChanged(Box::new(request)), Taken::Stored))
    });
    taken.collect()
}

// As often as there are connections, and once more: the database may have ended all of them since they were used, and some
// senders send but once. What takes long fails for another reason.
async fn commit_one(pools: &Pools, request: &Proven) -> Result<Option<Stored>, Error> {
    let began = Instant::now();
    for _ in 0..INTAKE_CONNECTIONS {
        match commit_all(pools, &[request]).await {
            Err(_) if began.elapsed() < AGAIN_WITHIN => {}
            result => return result.map(|mut stored| stored.remove(0)),
        }
    }
    commit_all(pools, &[request]).await.map(|mut stored| stored.remove(0))
}

// `None` for one whose source has changed.
async fn commit_all(pools: &Pools, requests: &[&Proven]) -> Result<Vec<Option<Stored>>, Error> {
    let mut transaction = pools.intake.begin().await?;
    let mut ids: Vec<i64> = requests.iter().map(|request| request.source.event_source_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let now = event_sources::by_ids(&mut transaction, &ids).await?;
    let fits = |request: &&&Proven| {
        now.get(&request.source.event_source_id).is_some_and(|now| now.takes_like(&request.source))
    };
    let fitting: Vec<&&Proven> = requests.iter().filter(fits).collect();
    let new: Vec<NewDelivery<'_>> = fitting.iter().map(|request| new_delivery(request)).collect();
    let stored = event_deliveries::insert_all(&mut transaction, &new).await?;
    if stored.iter().any(|stored| stored.is_new) {
        jobs::enqueue(&mut transaction, READ_EVENTS_JOB, "", &json!({})).await?;
    }
    let signed: Vec<i64> = fitting
        .iter()
        .filter(|request| request.is_signed)
        .map(|request| request.source.event_source_id)
        .filter(|id| now.get(id).is_some_and(|source| source.signed_since.is_none()))
        .collect();
    if let Some(first) = fitting.iter().map(|request| request.received_at).min().filter(|_| !signed.is_empty()) {
        event_sources::signed(&mut transaction, &signed, first).await?;
    }
    let remembered: Vec<i64> = new
        .iter()
        .filter(|new| {
            now.get(&new.event_source_id).is_some_and(|source| source.should_remember_receipt(new.received_at))
        })
        .map(|new| new.event_source_id)
        .collect();
    if let Some(last) = new.iter().map(|new| new.received_at).max().filter(|_| !remembered.is_empty()) {
        event_sources::received(&mut transaction, &remembered, last).await?;
    }
    transaction.commit().await?;
    let mut stored = stored.into_iter();
    Ok(requests.iter().map(|request| if fits(&request) { stored.next() } else { None }).collect())
}

fn new_delivery(request: &Proven) -> NewDelivery<'_> {
    NewDelivery {
        event_source_id: request.source.event_source_id,
        dedupe_key: &request.dedupe_key,
        event_name: &request.event_name,
        headers: json!(request.headers),
        body: &request.body,
        body_sha256: &request.body_sha256,
        received_at: request.received_at,
    }
}

#[cfg(test)]
mod tests {
    use super::gather;
    use tokio::sync::mpsc;

    /// Requests that are ready at once go into one commit, though the first of them wakes the writer.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_comes_together_is_gathered_together() {
        let (sender, mut waiting) = mpsc::channel(20);
        let gathered = tokio::spawn(async move {
            let mut counts = Vec::new();
            loop {
                let batch = gather(&mut waiting, 12).await;
                if batch.is_empty() {
                    return counts;
                }
                counts.push(batch.len());
            }
        });
        let senders = tokio::spawn(async move {
            for number in 0..20 {
                let sender = sender.clone();
                tokio::spawn(async move { sender.try_send(number).unwrap() });
            }
        });
        senders.await.unwrap();
        assert_eq!(gathered.await.unwrap(), [12, 8]);
    }

    /// A lone request is not kept waiting for others.
    #[tokio::test]
    async fn a_lone_request_waits_for_nobody() {
        let (sender, mut waiting) = mpsc::channel(2);
        sender.try_send(1).unwrap();
        assert_eq!(gather(&mut waiting, 2).await, [1]);
        drop(sender);
        assert!(gather(&mut waiting, 2).await.is_empty());
    }
}
