//! Stores what senders post, many requests in one commit. While a batch is on its way to the disk the next gathers, so
//! that a flood costs few commits, and a lone request waits for nobody.

use super::Error;
use crate::events::Headers;
use crate::store::event_deliveries::{NewDelivery, Stored};
use crate::store::event_intake::{self, Incoming};
use crate::store::event_sources::{EventSource, SealedSecrets};
use crate::store::seal::{Key, KeyId, SealError};
use crate::store::{INTAKE_CONNECTIONS, Pools};
use axum::body::Bytes;
use chrono::{DateTime, Utc};
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use std::collections::HashMap;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{MutexGuard, Semaphore, mpsc, oneshot};

/// Requests that wait for the next commit. More are told to come again: a sender waits no longer than for two of each writer.
const WAITING_MAX: usize = 80;
/// Requests of one commit: a third of those that are proven or stored at once, so that there are enough for as many commits
/// as there may be at once. Where one takes most of them, what is left is too few to go beside it, and a core rests.
const BATCH_MAX: usize = 24;
/// With so many a batch goes its way beside others. A commit costs the same for one and for many, so that fewer wait for
/// the end of another and go with those that come until then.
const BATCH_ENOUGH: usize = 16;
/// A batch that takes longer is held up by something, which keeps no other waiting.
const HELD_UP_AFTER: Duration = Duration::from_millis(50);
/// Batches at once: one is made ready while the database works on another and the disk on a third.
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
    pub body: Bytes,
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

/// What the writers share.
struct Queue {
    waiting: tokio::sync::Mutex<mpsc::Receiver<Waiting>>,
    /// A permit for each batch that is on its way.
    writing: Semaphore,
}

/// The way in, and the sources as they were last read, with their secrets.
#[derive(Debug, Default)]
pub struct Intake {
    writer: Mutex<Option<mpsc::Sender<Waiting>>>,
    sources: Mutex<HashMap<String, Arc<EventSource>>>,
    key: Mutex<Option<(Mark, Key)>>,
    opened: Mutex<HashMap<i64, Opened>>,
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
        let queue = Queue { waiting: tokio::sync::Mutex::new(receiver), writing: Semaphore::new(WRITERS as usize) };
        let queue = Arc::new(queue);
        for _ in 0..WRITERS {
            tokio::spawn(write(pools.clone(), Arc::clone(&queue)));
        }
        writer.insert(sender).clone()
    }

    /// The key of this file, as it was last loaded where the file is the same: reading it for each request costs more than
    /// the proof.
    pub async fn key<F>(&self, path: &Path, load: impl FnOnce() -> F) -> Result<Key, Error>
    where
        F: Future<Output = Result<Key, Error>>,
    {
        let mark = mark_of(path);
        let known = self.key.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, key)) = known.filter(|(known, _)| mark == Some(*known)) {
            return Ok(key);
        }
        let key = Box::pin(load()).await?;
        let mut known = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        *known = mark.map(|mark| (mark, key.clone()));
        Ok(key)
    }

    /// The secrets of a source that are valid now, as they were last opened where what is sealed and the key are the same:
    /// opening them for each request costs as much as the proof.
    pub fn secrets(&self, source: &EventSource, key: &Key, now: DateTime<Utc>) -> Result<Arc<[Vec<u8>]>, SealError> {
        let sealed = source.sealed_secrets(now);
        let id = source.event_source_id;
        let known = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = known.get(&id).filter(|opened| opened.is_of(key, sealed)) {
            return Ok(Arc::clone(&opened.secrets));
        }
        drop(known);
        let secrets: Arc<[Vec<u8>]> = source.secrets(key, now)?.into();
        let opened =
            Opened { key: key.id(), sealed: sealed.map(|one| one.map(<[u8]>::to_vec)), secrets: Arc::clone(&secrets) };
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(id, opened);
        Ok(secrets)
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

/// Secrets of a source that were opened.
struct Opened {
    /// By which key.
    key: KeyId,
    /// As they are kept.
    sealed: SealedSecrets<Vec<u8>>,
    secrets: Arc<[Vec<u8>]>,
}

impl Opened {
    fn is_of(&self, key: &Key, sealed: SealedSecrets<&[u8]>) -> bool {
        self.key == key.id() && self.sealed.each_ref().map(Option::as_deref) == sealed
    }
}

// Secrets are never printed.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

// Which file it is, and when it or who may read it was changed last.
type Mark = (u64, i64, i64);

fn mark_of(path: &Path) -> Option<Mark> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

/// A writer's connection, kept while there is work: giving it back and taking it asks the database whether it still works.
type Kept = Option<PoolConnection<Postgres>>;

// Ends with the last way in.
async fn write(pools: Pools, queue: Arc<Queue>) {
    let mut kept = None;
    loop {
        let mut waiting = take_turn(&queue, &mut kept).await;
        let mut batch = gather(&mut waiting, BATCH_MAX).await;
        if batch.is_empty() {
            return;
        }
        let _ = tokio::time::timeout(HELD_UP_AFTER, fill(&mut batch, &mut waiting, &queue.writing)).await;
        // There are as many permits as writers.
        let Ok(_on_its_way) = queue.writing.acquire().await else { return };
        drop(waiting);
        let (requests, answers): (Vec<Proven>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.request, waiting.answer)).unzip();
        for (result, answer) in commit(&pools, &mut kept, requests).await.into_iter().zip(answers) {
            // A sender that hung up is not told; what it sent is stored.
            let _ = answer.send(result);
        }
    }
}

// The turn to gather. Who has to wait, for it or for a request, keeps no connection meanwhile.
async fn take_turn<'q>(queue: &'q Queue, kept: &mut Kept) -> MutexGuard<'q, mpsc::Receiver<Waiting>> {
    if let Ok(waiting) = queue.waiting.try_lock()
        && !waiting.is_empty()
    {
        return waiting;
    }
    *kept = None;
    queue.waiting.lock().await
}

// What waits, at least one; nothing once the last way in is gone.
//
// The first request wakes the writer before those that came with it had their turn: each commit would be of one. So they
// get it first, and so do others for as long as there are any that come meanwhile. A lone request waits for nobody.
async fn gather<T>(waiting: &mut mpsc::Receiver<T>, count_max: usize) -> Vec<T> {
    let mut batch = Vec::new();
    if waiting.recv_many(&mut batch, count_max).await == 0 {
        return batch;
    }
    let mut count = 0;
    while batch.len() > count && batch.len() < count_max.min(BATCH_ENOUGH) {
        count = batch.len();
        tokio::task::yield_now().await;
        while batch.len() < count_max
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
    }
    batch
}

// While another batch is on its way, more may join, until they are enough.
async fn fill<T>(batch: &mut Vec<T>, waiting: &mut mpsc::Receiver<T>, writing: &Semaphore) {
    while batch.len() < BATCH_ENOUGH {
        let room = BATCH_ENOUGH - batch.len();
        tokio::select! {
            biased;
            // All of the permits are there only where nobody writes.
            _ = writing.acquire_many(WRITERS) => return,
            count = waiting.recv_many(batch, room) => if count == 0 { return },
        }
    }
}

// Where some do not go in together, their halves are tried, and the halves of these: one that cannot be stored keeps no
// other out, and is found by few statements. Where it took long to fail each half may take as long, and each is tried for
// itself.
async fn commit(pools: &Pools, kept: &mut Kept, requests: Vec<Proven>) -> Vec<Result<Taken, Error>> {
    let places: Vec<&Proven> = requests.iter().collect();
    let mut results = Vec::with_capacity(places.len());
    // What is not tried yet, the first of it last.
    let mut parts = vec![places.as_slice()];
    while let Some(part) = parts.pop() {
        let began = Instant::now();
        match commit_part(pools, kept, part).await {
            Ok(stored) => results.extend(stored.into_iter().map(Ok)),
            Err(error) if part.len() == 1 => results.push(Err(error)),
            Err(_) => {
                let count = if began.elapsed() < AGAIN_WITHIN { part.len().div_ceil(2) } else { 1 };
                parts.extend(part.chunks(count).rev());
            }
        }
    }
    let taken = requests.into_iter().zip(results).map(|(request, result)| {
        result.map(|stored| stored.map_or_else(|| Taken::SourceChanged(Box::new(request)), Taken::Stored))
    });
    taken.collect()
}

// One alone as often as there are connections, and once more: the database may have ended all of them since they were
// used, and some senders send but once. What takes long fails for another reason.
async fn commit_part(pools: &Pools, kept: &mut Kept, part: &[&Proven]) -> Result<Vec<Option<Stored>>, Error> {
    let began = Instant::now();
    let mut more_tries = if part.len() == 1 { INTAKE_CONNECTIONS } else { 0 };
    loop {
        match commit_all(pools, kept, part).await {
            Err(_) if more_tries > 0 && began.elapsed() < AGAIN_WITHIN => more_tries -= 1,
            result => return result,
        }
    }
}

// `None` for one whose source has changed. A connection on which something failed is given back: there it is asked whether
// it still works.
async fn commit_all(pools: &Pools, kept: &mut Kept, requests: &[&Proven]) -> Result<Vec<Option<Stored>>, Error> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => pools.intake.acquire().await?,
    };
    let incoming: Vec<Incoming<'_>> = requests.iter().map(|request| incoming(request)).collect();
    let stored = event_intake::store(&mut connection, &incoming).await?;
    *kept = Some(connection);
    Ok(stored)
}

fn incoming(request: &Proven) -> Incoming<'_> {
    Incoming { new: new_delivery(request), source: &request.source, is_signed: request.is_signed }
}

fn new_delivery(request: &Proven) -> NewDelivery<'_> {
    NewDelivery {
        event_source_id: request.source.event_source_id,
        dedupe_key: &request.dedupe_key,
        event_name: &request.event_name,
        headers: &request.headers,
        body: &request.body,
        body_sha256: &request.body_sha256,
        received_at: request.received_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::seal::Place;
    use chrono::TimeDelta;
    use futures_util::FutureExt;
    use std::pin::pin;

    /// Secrets are opened once, and anew where what is sealed, the key, or what is valid is another.
    #[test]
    fn opened_secrets_are_those_that_are_sealed_now() {
        let (intake, now) = (Intake::default(), Utc::now());
        let (key, other_key) = (Key::from_bytes([1; 32]), Key::from_bytes([2; 32]));
        let sealed =
            |column, secret: &str| key.seal(Place { table: "event_source", row: 7, column }, secret.as_bytes());
        let mut source = EventSource {
            event_source_id: 7,
            name: "shop".into(),
            kind: "github".into(),
            secret_current_sealed: Some(sealed("secret_current_sealed", "second")),
            secret_previous_sealed: Some(sealed("secret_previous_sealed", "first")),
            secret_previous_valid_until: Some(now + TimeDelta::hours(1)),
            signed_since: None,
            plain_token_allowed: false,
            enabled: true,
            created_at: now,
            last_received_at: None,
            last_error: None,
        };
        let both = intake.secrets(&source, &key, now).unwrap();
        assert_eq!(*both, [b"second".to_vec(), b"first".to_vec()]);
        assert!(Arc::ptr_eq(&both, &intake.secrets(&source.clone(), &key, now).unwrap()), "they were opened again");
        assert_eq!(*intake.secrets(&source, &key, now + TimeDelta::hours(1)).unwrap(), [b"second".to_vec()]);
        assert_eq!(*intake.secrets(&source, &key, now).unwrap(), *both);
        assert!(matches!(intake.secrets(&source, &other_key, now), Err(SealError::OtherKey { .. })));
        source.secret_current_sealed = Some(sealed("secret_current_sealed", "third"));
        assert_eq!(intake.secrets(&source, &key, now).unwrap()[0], b"third");
        source.secret_current_sealed = None;
        source.secret_previous_sealed = None;
        assert!(intake.secrets(&source, &key, now).unwrap().is_empty());
        assert!(!format!("{intake:?}").contains("second"));
    }

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

    /// Those that come one after the other, each while the writer waits for the one before, go into one commit too, until
    /// they are enough.
    #[test]
    fn those_that_come_one_after_the_other_are_gathered_together() {
        for (come, gathered) in [(5, 5), (BATCH_MAX, BATCH_ENOUGH)] {
            let (sender, mut waiting) = mpsc::channel(BATCH_MAX);
            let mut batch = pin!(gather(&mut waiting, BATCH_MAX));
            let mut done = None;
            for number in 0..come {
                sender.try_send(number).unwrap();
                done = batch.as_mut().now_or_never();
                if done.is_some() {
                    break;
                }
            }
            let done = done.or_else(|| batch.now_or_never());
            assert_eq!(done, Some((0..gathered).collect::<Vec<_>>()));
        }
    }

    /// Beside a batch that is on its way another gathers, until it is enough or the first is done.
    #[test]
    fn a_batch_gathers_while_another_is_on_its_way() {
        let (sender, mut waiting) = mpsc::channel(BATCH_MAX);
        let writing = Semaphore::new(WRITERS as usize);
        let mut batch = vec![0];
        fill(&mut batch, &mut waiting, &writing).now_or_never().expect("nobody writes");

        {
            let first = writing.try_acquire().unwrap();
            let mut filling = pin!(fill(&mut batch, &mut waiting, &writing));
            sender.try_send(1).unwrap();
            assert!(filling.as_mut().now_or_never().is_none());
            drop(first);
            filling.now_or_never().expect("the first is done");
        }
        assert_eq!(batch, [0, 1]);

        let _first = writing.try_acquire().unwrap();
        for number in 2..BATCH_MAX {
            sender.try_send(number).unwrap();
        }
        fill(&mut batch, &mut waiting, &writing).now_or_never().expect("it is enough");
        assert_eq!(batch.len(), BATCH_ENOUGH);
        // The next writer finds a permit.
        assert!(writing.try_acquire().is_ok());
    }
}
