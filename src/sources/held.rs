//! Files and folders on disk that a process works on. They are held by a lock that goes with the process, so that a
//! clean-up tells what is being written from what a killed process left.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The hold on a file or a folder. It ends when this is dropped, and when the process dies.
#[derive(Debug)]
pub struct Held {
    _file: File,
}

impl Held {
    // Where the disk knows no locks the clean-up goes by age.
    fn of(file: File) -> Self {
        while file.lock().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {}
        Self { _file: file }
    }

    /// Makes a file and holds it. It waits for a clean-up that is looking at it just then.
    pub fn create(path: &Path) -> io::Result<(File, Self)> {
        loop {
            let file = File::create_new(path)?;
            let held = Self::of(file.try_clone()?);
            // A clean-up may have taken it away before the lock was there.
            if path.exists() {
                return Ok((file, held));
            }
        }
    }

    /// Makes a folder, with those above it, and holds it.
    pub fn create_folder(path: &Path) -> io::Result<Self> {
        loop {
            std::fs::create_dir_all(path)?;
            match File::open(path) {
                Ok(folder) => {
                    let held = Self::of(folder);
                    if path.exists() {
                        return Ok(held);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// What lies in a folder and no process holds. The caller holds it now, so that nobody else begins with it. Where the
/// disk knows no locks it is what nobody wrote to for `age_min`.
pub fn left_behind(folder: &Path, age_min: Duration) -> Vec<(PathBuf, Held)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let free = entries.flatten().filter_map(|entry| {
        let file = File::open(entry.path()).ok()?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return None,
            Err(TryLockError::Error(_)) => {
                let age = entry.metadata().ok()?.modified().ok()?.elapsed().ok()?;
                if age < age_min {
                    return None;
                }
            }
        }
        Some((entry.path(), Held { _file: file }))
    });
    free.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let left = left_behind(folder, Duration::ZERO);
        let mut names: Vec<String> =
            left.iter().map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_what_nobody_holds_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (file, held) = Held::create(&folder.path().join("upload")).unwrap();
        let read = Held::create_folder(&folder.path().join("read")).unwrap();
        std::fs::write(folder.path().join("old"), "half").unwrap();
        assert_eq!(names(folder.path()), ["old"]);
        drop(file);
        assert_eq!(names(folder.path()), ["old"], "the hold outlives the file that is written to");
        drop(read);
        assert_eq!(names(folder.path()), ["old", "read"]);
        drop(held);
        let left = left_behind(folder.path(), Duration::ZERO);
        assert_eq!(left.len(), 3);
        assert!(left_behind(folder.path(), Duration::ZERO).is_empty(), "one clean-up at a time");
    }

    #[test]
    fn a_name_that_is_taken_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upload");
        let _held = Held::create(&path).unwrap();
        assert_eq!(Held::create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
