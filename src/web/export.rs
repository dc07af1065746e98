//! Downloads that are too long for memory. The database fills a file on disk at its own pace and is free again;
//! the client takes the file at its own pace, from the first byte on while the rest is still being written.

use super::error::{Error, Result};
use axum::body::Body;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Exports that read from the database at once; each holds a connection that pages need too.
const READERS_MAX: usize = 4;
/// Exports at once of one person, those included that their client is still taking: fewer than the readers, so
/// that nobody takes all of them.
const PER_PERSON_MAX: usize = 3;
/// Exports at once; each is a file of at most [`BYTES_MAX`].
const TOTAL_MAX: usize = 24;
/// No export is longer: it breaks off, so that nobody takes a part for the whole.
pub const BYTES_MAX: usize = 128 << 20;
const WAIT: Duration = Duration::from_secs(5);
const CHUNK_BYTES: u64 = 64 << 10;

/// Places for exports.
#[derive(Clone)]
pub struct Places {
    readers: Arc<Semaphore>,
    by_person: Arc<Mutex<HashMap<i64, usize>>>,
}

impl Default for Places {
    fn default() -> Self {
        Self { readers: Arc::new(Semaphore::new(READERS_MAX)), by_person: Arc::default() }
    }
}

impl Places {
    /// A place for an export of this person, and the right to read from the database. Waits a moment for it.
    pub async fn enter(&self, user_id: i64) -> Result<(Place, OwnedSemaphorePermit)> {
        let place = self.place(user_id).ok_or(Error::Busy { retry_after_seconds: 30 })?;
        let reader = tokio::time::timeout(WAIT, self.readers.clone().acquire_owned()).await;
        let reader = reader.ok().and_then(std::result::Result::ok);
        Ok((place, reader.ok_or(Error::Busy { retry_after_seconds: WAIT.as_secs() })?))
    }

    /// Exports that are under way, those included that their client is still taking.
    pub fn under_way(&self) -> usize {
        self.by_person.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    fn place(&self, user_id: i64) -> Option<Place> {
        let mut counts = self.by_person.lock().unwrap_or_else(PoisonError::into_inner);
        let (own, total) = (counts.get(&user_id).copied().unwrap_or_default(), counts.values().sum::<usize>());
        if own >= PER_PERSON_MAX || total >= TOTAL_MAX {
            return None;
        }
        counts.insert(user_id, own + 1);
        Some(Place { by_person: self.by_person.clone(), user_id })
    }
}

/// An export that is under way. It ends when this is dropped.
pub struct Place {
    by_person: Arc<Mutex<HashMap<i64, usize>>>,
    user_id: i64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.by_person.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.user_id) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.user_id);
            }
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    written: u64,
    is_whole: bool,
}

/// The end of the file that is written to. Dropped before [`Self::finish`], the client's connection is closed
/// without its end, so that nobody takes a part for the whole.
pub struct Spool {
    file: File,
    progress: watch::Sender<Progress>,
}

impl Spool {
    /// A file without a name in this folder, and the body that follows what is written to it. The place is given
    /// back when the body ends.
    pub async fn create(folder: &Path, place: Place) -> Result<(Self, Body)> {
        let (file, reader) = unnamed(folder).await.map_err(|error| {
            Error::Internal(anyhow::Error::from(error).context(format!("writing a download to {}", folder.display())))
        })?;
        let (progress, watched) = watch::channel(Progress::default());
        let following = Following { file: reader, read: 0, progress: watched, _place: place };
        let stream = futures_util::stream::try_unfold(following, |mut following| async move {
            let chunk = following.next().await?;
            Ok::<_, io::Error>(chunk.map(|chunk| (chunk, following)))
        });
        Ok((Self { file, progress }, Body::from_stream(stream)))
    }

    /// Adds bytes. Fails where the client is gone or the disk is full.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.progress.is_closed() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.file.write_all(bytes).await?;
        self.file.flush().await?;
        self.progress.send_modify(|progress| progress.written += bytes.len() as u64);
        Ok(())
    }

    /// All is written.
    pub fn finish(self) {
        self.progress.send_modify(|progress| progress.is_whole = true);
    }
}

// It has a name only between these lines; whatever happens later, nothing is left behind.
async fn unnamed(folder: &Path) -> io::Result<(File, File)> {
    fs::create_dir_all(folder).await?;
    loop {
        let path = folder.join(format!("{}.export", super::secret::random()));
        let writer = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).await?;
        let reader = File::open(&path).await;
        // The clean-up may have been quicker: then there is no name to take away, and perhaps nothing to read.
        let _ = fs::remove_file(&path).await;
        match reader {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            reader => return Ok((writer, reader?)),
        }
    }
}

struct Following {
    file: File,
    read: u64,
    progress: watch::Receiver<Progress>,
    _place: Place,
}

impl Following {
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let Progress { written, is_whole } = *self.progress.borrow_and_update();
            if self.read < written {
                let mut chunk = Vec::new();
                let wanted = (written - self.read).min(CHUNK_BYTES);
                (&mut self.file).take(wanted).read_to_end(&mut chunk).await?;
                self.read += chunk.len() as u64;
                return if chunk.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Some(chunk)) };
            }
            if is_whole {
                return Ok(None);
            }
            self.progress.changed().await.map_err(|_| io::Error::other("the export broke off"))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn place() -> Place {
        Places::default().enter(1).await.unwrap().0
    }

    #[tokio::test]
    async fn a_body_follows_the_file_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, body) = Spool::create(folder.path(), place().await).await.unwrap();
        let taking = tokio::spawn(axum::body::to_bytes(body, usize::MAX));
        let block = vec![7; 100_000];
        for _ in 0..5 {
            spool.write(&block).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        spool.finish();
        assert_eq!(taking.await.unwrap().unwrap().len(), 500_000);
    }

    #[tokio::test]
    async fn a_file_that_breaks_off_is_not_taken_for_whole_and_one_that_nobody_takes_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, body) = Spool::create(folder.path(), place().await).await.unwrap();
        spool.write(b"half").await.unwrap();
        drop(spool);
        assert!(axum::body::to_bytes(body, usize::MAX).await.is_err());
        let (mut spool, body) = Spool::create(folder.path(), place().await).await.unwrap();
        drop(body);
        assert_eq!(spool.write(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn one_person_leaves_places_for_others() {
        let places = Places::default();
        let mut taken = Vec::new();
        for _ in 0..PER_PERSON_MAX {
            taken.push(places.enter(1).await.unwrap());
        }
        assert!(matches!(places.enter(1).await, Err(Error::Busy { .. })));
        assert!(places.enter(2).await.is_ok());
        taken.pop();
        assert!(places.enter(1).await.is_ok());
    }
}
