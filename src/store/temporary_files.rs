//! Temporary files are made in the data directory. The system's own place for them is memory on many machines, and what
//! is set aside of a bill may be more than there is.

use super::private_file;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What nobody wrote to for so long is of a process that was killed: all others delete theirs.
const AGE_MIN: Duration = Duration::from_secs(24 * 3600);

/// Has this process make its temporary files in the data directory, and deletes what others left there. Where that cannot
/// be they are made where the system has them: most commands need none.
pub fn keep_in(data_dir: &Path) {
    match made(data_dir) {
        // The first one stays: a process has one data directory.
        Ok(folder) => _ = tempfile::env::override_temp_dir(&folder),
        Err(error) => tracing::warn!(
            "Temporary files are made in {}, because {} cannot be used: {error}",
            std::env::temp_dir().display(),
            folder_of(data_dir).display()
        ),
    }
    delete_old(data_dir);
}

/// Deletes what killed processes left.
pub fn delete_old(data_dir: &Path) {
    let Ok(entries) = fs::read_dir(folder_of(data_dir)) else { return };
    for entry in entries.flatten() {
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
    private_file::give(&File::open(&folder)?, data_dir)?;
    tempfile::tempfile_in(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::time::SystemTime;

    #[test]
    fn the_folder_is_private_and_only_what_is_old_is_deleted() {
        let place = tempfile::tempdir().unwrap();
        let data_dir = place.path().join("data");
        delete_old(&data_dir);
        let folder = made(&data_dir).unwrap();
        assert_eq!(made(&data_dir).unwrap(), folder, "a second time");
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        for (name, hours) in [("new", 23), ("old", 25)] {
            let file = File::create(folder.join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
        }
        delete_old(&data_dir);
        let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["new"]);
        let taken = place.path().join("file");
        fs::write(&taken, "no folder").unwrap();
        assert!(made(&taken).is_err());
    }
}
