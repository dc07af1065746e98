//! Three locks in the data directory, all the kernel's, so that they end with the process that holds them.

use super::error::{Doing, EmbeddedError};
use crate::patience::Patience;
use crate::store::{private_file, seal};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Held while the server is started or stopped, so that nobody joins a server that is about to go.
#[derive(Debug)]
pub(super) struct Gate(#[expect(dead_code, reason = "held for its lock")] File);

impl Gate {
    pub(super) fn enter(data_dir: &Path) -> Result<Self, EmbeddedError> {
        let path = data_dir.join("cluster.lock");
        let file = lock_file(&path)?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            let _patience = Patience::logged("Waiting for another command that starts or stops the database cluster");
            file.lock().doing("lock", &path)?;
        }
        Ok(Self(file))
    }
}

/// Held shared by every process that uses the cluster.
#[derive(Debug)]
pub(super) struct Holder(File);

impl Holder {
    /// Only while the gate is held.
    pub(super) fn join(data_dir: &Path) -> Result<Self, EmbeddedError> {
        let path = data_dir.join("holders.lock");
        let file = lock_file(&path)?;
        file.lock_shared().doing("lock", &path)?;
        Ok(Self(file))
    }

    /// Whether nobody else holds it. Only while the gate is held.
    pub(super) fn was_last(self) -> bool {
        self.0.unlock().is_ok() && self.0.try_lock().is_ok()
    }
}

/// Held by `costwake serve`: one server a data directory, or one for pages and one for jobs.
#[derive(Debug)]
pub struct ServeLock(#[expect(dead_code, reason = "held for its locks")] Vec<File>);

impl ServeLock {
    /// Takes the part of the pages, of the jobs, or both; refuses where another server has it.
    pub fn take(data_dir: &Path, pages: bool, jobs: bool) -> Result<Self, EmbeddedError> {
        super::make_data_dir(data_dir)?;
        let mut files = Vec::new();
        for (name, wanted) in [("serve.lock", pages), ("jobs.lock", jobs)] {
            if !wanted {
                continue;
            }
            let path = data_dir.join(name);
            let file = lock_file(&path)?;
            match file.try_lock() {
                Ok(()) => files.push(file),
                Err(TryLockError::WouldBlock) => {
                    return Err(EmbeddedError::AlreadyServing { data_dir: data_dir.to_owned() });
                }
                Err(TryLockError::Error(error)) => return Err(EmbeddedError::io("lock", &path, &error)),
            }
        }
        Ok(Self(files))
    }
}

/// Whether a server does the work in the background with this data directory, as the kernel's list of locks says: whoever
/// tried the lock would stand in the way of one that starts. In a container the list has the container's own processes.
pub fn works_in_background(data_dir: &Path) -> Result<bool, EmbeddedError> {
    let (path, locks) = (data_dir.join("jobs.lock"), Path::new("/proc/locks"));
    let Ok(file) = fs::metadata(&path) else { return Ok(false) };
    let inode = file.ino().to_string();
    let is_of_it = |word: &str| word.rsplit_once(':').is_some_and(|(_, end)| end == inode);
    let list = fs::read_to_string(locks).doing("read", locks)?;
    Ok(list.lines().any(|line| line.contains(" FLOCK ") && line.split_whitespace().any(is_of_it)))
}

/// A number above zero that tells this data directory from others, also where it is seen under another path or from
/// another machine: what it is made from is kept there.
pub fn data_dir_number(data_dir: &Path) -> Result<i32, EmbeddedError> {
    let path = data_dir.join("identity");
    if !path.exists() {
        let random = hex::encode(seal::random::<16>());
        let aside = private_file::write_aside(&path, &mut random.as_bytes()).doing("write", &path)?;
        // Two may make it at once: the first one counts.
        match aside.persist_noclobber(&path) {
            Err(failed) if failed.error.kind() != ErrorKind::AlreadyExists => {
                return Err(EmbeddedError::io("write", &path, &failed.error));
            }
            _ => {}
        }
    }
    let digest = Sha256::digest(fs::read(&path).doing("read", &path)?);
    let number = digest.iter().take(4).fold(0, |number: u32, byte| (number << 8) | u32::from(*byte));
    Ok((number >> 1).max(1).cast_signed())
}

fn lock_file(path: &Path) -> Result<File, EmbeddedError> {
    let file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).doing("write", path)?;
    private_file::give(&file, private_file::folder_of(path)).doing("change the owner of", path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_works_in_the_background_is_seen() {
        let data_dir = tempfile::tempdir().unwrap();
        assert!(!works_in_background(data_dir.path()).unwrap());
        let pages = ServeLock::take(data_dir.path(), true, false).unwrap();
        let jobs = ServeLock::take(data_dir.path(), false, true).unwrap();
        assert!(works_in_background(data_dir.path()).unwrap());
        drop(jobs);
        assert!(!works_in_background(data_dir.path()).unwrap());
        drop(pages);
    }

    #[test]
    fn a_data_directory_keeps_its_number() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let number = data_dir_number(first.path()).unwrap();
        assert!(number > 0);
        assert_eq!(data_dir_number(first.path()).unwrap(), number);
        assert_ne!(data_dir_number(second.path()).unwrap(), number);
    }
}
