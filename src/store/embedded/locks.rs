//! Three locks in the data directory, all the kernel's, so that they end with the process that holds them.

use super::error::{Doing, EmbeddedError};
use crate::patience::Patience;
use crate::store::private_file;
use std::fs::{File, OpenOptions, TryLockError};
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

fn lock_file(path: &Path) -> Result<File, EmbeddedError> {
    let file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).doing("write", path)?;
    private_file::give(&file, private_file::folder_of(path)).doing("change the owner of", path)?;
    Ok(file)
}
