//! Temporary files are made in the data directory. The system's own place for them is memory on many machines, and what
//! is set aside of a bill may be more than there is.

use super::private_file;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How the names of our files begin, as `tempfile` gives them. The folder may be someone else's as well: where `/var` or
/// a home is the data directory, their `tmp` was there before.
const PREFIX: &[u8] = b".tmp";

/// What nobody wrote to for so long is of a process that was killed: all others delete theirs.
const AGE_MIN: Duration = Duration::from_secs(24 * 3600);

/// Has this process make its temporary files in the data directory, and deletes what others left there. Where that cannot
/// be they are made where the system has them: most commands need none.
pub fn keep_in(data_dir: &Path) {
    match made(data_dir) {
        Ok(folder) => {
            // The first one stays: a process has one data directory.
            let _ = tempfile::env::override_temp_dir(&folder);
            delete_old(data_dir);
        }
        Err(error) => tracing::warn!(
            "Temporary files are made in {}, because {} cannot be used: {error}",
            std::env::temp_dir().display(),
            folder_of(data_dir).display()
        ),
    }
}

/// Deletes what killed processes left.
pub fn delete_old(data_dir: &Path) {
    let folder = folder_of(data_dir);
    if refuse_link(&folder).is_err() {
        return;
    }
    let Ok(entries) = fs::read_dir(&folder) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().as_bytes().starts_with(PREFIX)) {
        let written = entry.metadata().and_then(|about| about.modified()).ok();
        if written.and_then(|at| at.elapsed().ok()).is_some_and(|age| age >= AGE_MIN) {
            // Gone is gone: another process may sweep as well.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn folder_of(data_dir: &Path) -> PathBuf {
    data_dir.join("tmp")
}

// For its owner only. A file shows that it can be written to.
fn made(data_dir: &Path) -> io::Result<PathBuf> {
    let folder = folder_of(data_dir);
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    refuse_link(&folder)?;
    private_file::give(&File::open(&folder)?, data_dir)?;
    tempfile::tempfile_in(&folder)?;
    Ok(folder)
}

// Root gives the folder away and deletes in it: not in whatever place a link leads to.
fn refuse_link(folder: &Path) -> io::Result<()> {
    if fs::symlink_metadata(folder)?.is_dir() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::NotADirectory, "it is no folder itself"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::SystemTime;

    fn write_hours_ago(path: PathBuf, hours: u64) {
        let file = File::create(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
    }

    #[test]
    fn the_folder_is_private_and_only_old_files_of_ours_are_deleted() {
        let place = tempfile::tempdir().unwrap();
        let data_dir = place.path().join("data");
        delete_old(&data_dir);
        let folder = made(&data_dir).unwrap();
        assert_eq!(made(&data_dir).unwrap(), folder, "a second time");
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        for (name, hours) in [(".tmp-new", 23), (".tmp-old", 25), ("letter", 25)] {
            write_hours_ago(folder.join(name), hours);
        }
        delete_old(&data_dir);
        let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".tmp-new", "letter"]);
        let taken = place.path().join("file");
        fs::write(&taken, "no folder").unwrap();
        assert!(made(&taken).is_err());
    }

    #[test]
    fn a_link_to_another_folder_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let elsewhere = place.path().join("elsewhere");
        let data_dir = place.path().join("data");
        fs::create_dir(&elsewhere).unwrap();
        fs::create_dir(&data_dir).unwrap();
        write_hours_ago(elsewhere.join(".tmp-old"), 25);
        symlink(&elsewhere, folder_of(&data_dir)).unwrap();
        assert_eq!(made(&data_dir).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        delete_old(&data_dir);
        assert!(elsewhere.join(".tmp-old").exists());
    }
}
