//! The server's log: one file and the one before it, neither of which grows without bound.

use super::error::{Doing, EmbeddedError};
use crate::store::full_disk;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

/// More than this goes to the file of before.
const BYTES_MAX: u64 = 10 << 20;
/// So many say why the server ended.
const LAST_LINES: usize = 20;

/// Where the server writes.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

fn before(folder: &Path) -> PathBuf {
    folder.join("server.log.old")
}

/// Whether its last lines tell of a full disk.
pub(super) fn tells_of_full_disk(folder: &Path) -> bool {
    fs::read_to_string(path(folder)).is_ok_and(|text| ends_with_full_disk(&text))
}

// What lies further back may have been mended since.
fn ends_with_full_disk(text: &str) -> bool {
    text.lines().rev().take(LAST_LINES).any(full_disk::is_told)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_tell_how_the_disk_is_now() {
        let full = "2026 PANIC:  could not write to file \"pg_wal/xlogtemp.9\": No space left on device\n";
        let rest = |count: usize| "2026 LOG:  checkpoint complete\n".repeat(count);
        assert!(ends_with_full_disk(&(rest(90) + full + &rest(19))));
        assert!(!ends_with_full_disk(&(rest(90) + full + &rest(20))));
        assert!(!ends_with_full_disk(""));
    }
}
