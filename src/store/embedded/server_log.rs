//! The server's log: one file and the one before it, neither of which grows without bound.

use super::error::{Doing, EmbeddedError};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

/// More than this goes to the file of before.
const BYTES_MAX: u64 = 10 << 20;

/// Where the server writes.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

fn before(folder: &Path) -> PathBuf {
    folder.join("server.log.old")
}

/// Begins a new file; only while the server does not run.
pub(super) fn renew(folder: &Path) -> Result<(), EmbeddedError> {
    let path = path(folder);
    if path.exists() { fs::rename(&path, before(folder)).doing("rename", &path) } else { Ok(()) }
}

/// Empties a large file under the running server, which appends to it: what it writes next stands at the beginning.
/// (PostgreSQL's own collector would bound it by time only, and hide why a start failed in a second file.)
pub(super) fn shorten(folder: &Path) -> Result<(), EmbeddedError> {
    let path = path(folder);
    if fs::metadata(&path).map_or(0, |metadata| metadata.len()) <= BYTES_MAX {
        return Ok(());
    }
    // Where there is no room for a copy, room is what is needed.
    if fs::copy(&path, before(folder)).is_err() {
        let _ = fs::remove_file(before(folder));
    }
    OpenOptions::new().write(true).truncate(true).open(&path).map(drop).doing("shorten", &path)
}
