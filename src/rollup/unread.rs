//! What a receipt still says of a file that could not be read to its end, and in which words an import fails.

use super::import::ImportError;
use super::load::{Load, keep_content};
use super::reader::Found;
use crate::normalize::BillError;
use sqlx::{Connection, PgConnection};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const INCOMPLETE: &str =
    "The file could not be read to its end: rows, totals and rejected lines are those up to there, and incomplete.";

/// Keeps hash, format, rows and totals of a file that is refused in its middle.
pub(super) async fn keep(
    conn: &mut PgConnection,
    load: &Load<'_>,
    mut found: Found,
    sha256: &str,
) -> Result<(), ImportError> {
    if found.row_count > 0 {
        found.warnings.push(INCOMPLETE.to_owned());
    }
    let mut transaction = conn.begin().await?;
    keep_content(&mut transaction, load, &found, None, sha256).await?;
    transaction.commit().await?;
    Ok(())
}

/// Size and time of change of files: other ones later mean that somebody still wrote to them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamps(Vec<(u64, Option<SystemTime>)>);

impl Stamps {
    pub fn of(paths: &[PathBuf]) -> Result<Self, BillError> {
        let stamp = |path: &PathBuf| {
            let metadata = path.metadata().map_err(|error| BillError::Io(named(path, &error)))?;
            Ok((metadata.len(), metadata.modified().ok()))
        };
        paths.iter().map(stamp).collect::<Result<_, BillError>>().map(Self)
    }

    pub fn check(&self, paths: &[PathBuf]) -> Result<(), ImportError> {
        if Self::of(paths)? == *self { Ok(()) } else { Err(ImportError::StillWritten) }
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The sentence for a failure that whoever runs the machine can mend; `None` for all others.
pub(super) fn remedy(error: &ImportError) -> Option<&'static str> {
    let (mut is_full, mut lacks_memory, mut meets_others) = (false, false, false);
    // The file's own error holds the system's in its sentence, not as its source.
    let mut cause: Option<&(dyn std::error::Error + 'static)> = match error {
        ImportError::Bill(BillError::Io(error)) => Some(error),
        error => Some(error),
    };
    while let Some(at) = cause {
        let database = at.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
        let code = database.and_then(sqlx::error::DatabaseError::code);
        let code = code.as_deref();
        let kind = at.downcast_ref::<io::Error>().map(io::Error::kind);
        let text = at.to_string();
        is_full |= code == Some("53100")
            || matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
            || text.contains("No space left on device")
            || text.contains("Disk quota exceeded");
        lacks_memory |= code == Some("53200");
        meets_others |= matches!(code, Some("40001" | "40P01" | "55P03"));
        cause = at.source();
    }
    match (is_full, lacks_memory, meets_others) {
        (true, ..) => Some(
            "The disk of the database is full: free some space on it and hand the file in again; nothing that was \
             saved is lost, and nothing of this file is counted.",
        ),
        (_, true, _) => Some(
            "The database ran out of memory: give it more, and hand the file in again; nothing of this file is \
             counted.",
        ),
        (.., true) => Some(
            "Other changes of the same figures stood in the way each time that it was tried: hand the file in again a \
             little later; nothing of this file is counted.",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_in_a_sentence() {
        let full = ImportError::Other(
            anyhow::anyhow!("could not extend file \"base/5/1\": No space left on device").context("reading the file"),
        );
        assert!(remedy(&full).unwrap().starts_with("The disk of the database is full"));
        let full = ImportError::Bill(BillError::Io(io::ErrorKind::StorageFull.into()));
        assert!(remedy(&full).is_some());
        assert!(remedy(&ImportError::Interrupted).is_none());
    }

    #[test]
    fn a_file_that_grows_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().join("bill.csv")];
        std::fs::write(&paths[0], "a").unwrap();
        let before = Stamps::of(&paths).unwrap();
        before.check(&paths).unwrap();
        std::fs::write(&paths[0], "ab").unwrap();
        assert!(matches!(before.check(&paths), Err(ImportError::StillWritten)));
    }
}
