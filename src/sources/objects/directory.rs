//! A folder of the server: only below the folders that the settings name, and never out of them by a link.

use super::OBJECTS_MAX;
use super::error::PlaceError;
use crate::sources::layout::Object;
use chrono::{DateTime, Utc};
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tokio::task::spawn_blocking;

/// Folders in folders.
const DEPTH_MAX: usize = 20;

/// A folder with bills.
#[derive(Debug, Clone)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(super) fn open(folder: &str, allowed: &[PathBuf]) -> Result<Self, PlaceError> {
        let names: Vec<String> = allowed.iter().map(|path| path.display().to_string()).collect();
        let root = Path::new(folder).canonicalize().map_err(|error| of_io(&error, Path::new(folder)))?;
        let is_below = |top: &PathBuf| top.canonicalize().is_ok_and(|top| root.starts_with(top));
        if !allowed.iter().any(is_below) {
            return Err(PlaceError::lasting(
                format!("{folder} does not lie in a folder that sources may read ({}).", names.join(", ")),
                "Put the bills there, or have an administrator of the server name the folder in \
                 COSTWAKE_SOURCE_FOLDERS.",
            ));
        }
        if !root.is_dir() {
            return Err(PlaceError::lasting(format!("{folder} is not a folder."), "Enter the folder of the files."));
        }
        Ok(Self { root })
    }

    pub(super) async fn list(&self) -> Result<Vec<Object>, PlaceError> {
        let root = self.root.clone();
        blocking(move || {
            let mut objects = Vec::new();
            walk(&root, &root, 0, &mut objects)?;
            Ok(objects)
        })
        .await
    }

    pub(super) async fn head(&self, object: &Object) -> Result<String, PlaceError> {
        let path = self.root.join(&object.key);
        blocking(move || {
            let metadata = path.symlink_metadata().map_err(|error| of_io(&error, &path))?;
            Ok(etag(&metadata))
        })
        .await
    }

    pub(super) async fn read(&self, object: &Object) -> Result<Vec<u8>, PlaceError> {
        let (path, object) = (self.root.join(&object.key), object.clone());
        blocking(move || {
            let mut bytes = Vec::new();
            copy(&path, &object, &mut bytes)?;
            Ok(bytes)
        })
        .await
    }

    pub(super) async fn fetch(&self, object: &Object, to: &Path) -> Result<(), PlaceError> {
        let (path, object, to) = (self.root.join(&object.key), object.clone(), to.to_owned());
        blocking(move || {
            let mut file = File::create_new(&to).map_err(|error| of_spool(&error))?;
            copy(&path, &object, &mut file)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PlaceError> + Send + 'static,
) -> Result<T, PlaceError> {
    let ended = || PlaceError::passing("Reading the folder was cut off.", "It is tried again.");
    spawn_blocking(work).await.unwrap_or_else(|_| Err(ended()))
}

// Links are not followed, below the folder itself: they could lead anywhere.
fn walk(root: &Path, folder: &Path, depth: usize, objects: &mut Vec<Object>) -> Result<(), PlaceError> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).map_err(|error| of_io(&error, folder))? {
        let entry = entry.map_err(|error| of_io(&error, folder))?;
        let path = entry.path();
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // It went between the two looks.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(of_io(&error, &path)),
        };
        if metadata.is_dir() {
            walk(root, &path, depth + 1, objects)?;
        } else if metadata.is_file()
            && let Some(key) = path.strip_prefix(root).ok().and_then(Path::to_str)
        {
            if objects.len() == OBJECTS_MAX {
                return Err(too_many());
            }
            let modified = metadata.modified().map_or_else(|_| DateTime::UNIX_EPOCH, DateTime::<Utc>::from);
            objects.push(Object { key: key.to_owned(), bytes: metadata.len(), etag: etag(&metadata), modified });
        }
    }
    Ok(())
}

pub(super) fn too_many() -> PlaceError {
    PlaceError::lasting(
        format!("More than {OBJECTS_MAX} objects lie there."),
        "Enter a narrower prefix or folder, one export each.",
    )
}

fn etag(metadata: &Metadata) -> String {
    format!("{:x}-{:x}-{:x}.{:x}", metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

fn copy(path: &Path, object: &Object, to: &mut impl Write) -> Result<(), PlaceError> {
    let before = path.symlink_metadata().map_err(|error| of_io(&error, path))?;
    if !before.is_file() || etag(&before) != object.etag {
        return Err(PlaceError::changed(&object.key));
    }
    let mut file = File::open(path).map_err(|error| of_io(&error, path))?;
    let mut buffer = vec![0; 256 * 1024];
    let mut copied = 0_u64;
    loop {
        let count = file.read(&mut buffer).map_err(|error| of_io(&error, path))?;
        if count == 0 {
            break;
        }
        copied += count as u64;
        if copied > object.bytes {
            return Err(PlaceError::changed(&object.key));
        }
        to.write_all(&buffer[..count]).map_err(|error| of_spool(&error))?;
    }
    let after = file.metadata().map_err(|error| of_io(&error, path))?;
    if copied != object.bytes || etag(&after) != object.etag {
        return Err(PlaceError::changed(&object.key));
    }
    Ok(())
}

fn of_io(error: &io::Error, path: &Path) -> PlaceError {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            PlaceError::lasting(format!("{path} does not exist."), "Make the folder, or change the source's.")
        }
        io::ErrorKind::PermissionDenied => PlaceError::lasting(
            format!("The server may not read {path}."),
            "Give the user that Costwake runs as the right to read it.",
        ),
        _ => PlaceError::passing(format!("{path} could not be read: {error}."), "It is tried again."),
    }
}

/// What keeps a file from being written aside.
pub(super) fn of_spool(error: &io::Error) -> PlaceError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => PlaceError::passing(
            "The server's disk is full.",
            "Make room in the data directory; the read is tried again.",
        ),
        _ => PlaceError::passing(
            format!("A file could not be written to the data directory: {error}."),
            "Check that the server may write there; the read is tried again.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_is_read_and_nothing_outside_of_it() {
        let top = tempfile::tempdir().unwrap();
        let bills = top.path().join("bills");
        std::fs::create_dir_all(bills.join("a/b")).unwrap();
        std::fs::write(bills.join("a/b/x.csv"), "1,2").unwrap();
        std::fs::write(top.path().join("secret"), "hush").unwrap();
        std::os::unix::fs::symlink(top.path().join("secret"), bills.join("link.csv")).unwrap();
        std::os::unix::fs::symlink(top.path(), bills.join("up")).unwrap();
        let allowed = [bills.clone()];
        for outside in [top.path().to_owned(), bills.join("up"), bills.join("..")] {
            let error = Directory::open(outside.to_str().unwrap(), &allowed).unwrap_err();
            assert!(error.remedy.contains("COSTWAKE_SOURCE_FOLDERS"), "{}: {error}", outside.display());
        }
        let directory = Directory::open(bills.to_str().unwrap(), &allowed).unwrap();
        let objects = directory.list().await.unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!((objects[0].key.as_str(), objects[0].bytes), ("a/b/x.csv", 3));
        assert_eq!(directory.read(&objects[0]).await.unwrap(), b"1,2");

        std::fs::write(bills.join("a/b/x.csv"), "1,2,3").unwrap();
        let error = directory.fetch(&objects[0], &top.path().join("copy")).await.unwrap_err();
        assert!(error.is_change, "{error}");
        std::fs::remove_file(bills.join("a/b/x.csv")).unwrap();
        std::os::unix::fs::symlink(top.path().join("secret"), bills.join("a/b/x.csv")).unwrap();
        assert!(directory.read(&objects[0]).await.unwrap_err().is_change, "a link took its place");
    }
}
