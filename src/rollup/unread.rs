//! What a receipt still says of a file that could not be read to its end, and in which words an import fails.

use super::import::ImportError;
use super::load::{Load, keep_content};
use super::reader::Found;
use crate::normalize::BillError;
use crate::store::full_disk;
use crate::store::unread_files::INCOMPLETE;
use sqlx::error::DatabaseError;
use sqlx::{Connection, PgConnection};
use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

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

/// What is said of a failed import: the sentence with what to do where there is one, else what happened. Each is said
/// once: an error of the database carries its own text again as its source, which `{:#}` would repeat.
pub(super) fn told(error: ImportError) -> anyhow::Error {
    match (remedy(&error), error) {
        (Some(remedy), _) => anyhow::Error::msg(remedy),
        (None, ImportError::Other(error)) => error,
        (None, error) => anyhow::Error::msg(error.to_string()),
    }
}

/// The sentence for a failure that whoever runs the machine can mend; `None` for all others.
pub(super) fn remedy(error: &ImportError) -> Option<&'static str> {
    let (mut is_full, mut lacks_memory, mut meets_others) = (false, false, false);
    for at in causes(error) {
        let code = database_error(at).and_then(DatabaseError::code);
        let code = code.as_deref();
        let kind = at.downcast_ref::<io::Error>().map(io::Error::kind);
        let text = at.to_string();
        is_full |= code == Some("53100")
            || matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
            || full_disk::is_told(&text);
        lacks_memory |= code == Some("53200");
        meets_others |= matches!(code, Some("40001" | "40P01" | "55P03"));
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

/// The error that it is and what caused it, outermost first.
fn causes(error: &ImportError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let first: &(dyn StdError + 'static) = match error {
        // The file's own error holds the system's in its sentence, not as its source.
        ImportError::Bill(BillError::Io(error)) => error,
        // Transparent ones give their inner one's source as their own, and so skip what is opened here.
        ImportError::Database(error) => error,
        ImportError::Other(error) => &**error,
        error => error,
    };
    // References are errors too, whose source would live as long as they do.
    std::iter::successors(Some(first), |at| (**at).source())
}

/// What the server said. Below a transparent error that stands further down, only its box is met.
fn database_error<'a>(at: &'a (dyn StdError + 'static)) -> Option<&'a (dyn DatabaseError + 'static)> {
    match at.downcast_ref::<sqlx::Error>() {
        Some(error) => error.as_database_error(),
        None => at.downcast_ref::<Box<dyn DatabaseError>>().map(|error| &**error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::LedgerError;
    use sqlx::error::ErrorKind;
    use std::borrow::Cow;
    use std::fmt;

    /// What the server says, by its code.
    #[derive(Debug)]
    struct Said(&'static str);

    const NO_ROOM: &str = "could not extend file \"base/16384/16514\": wrote only 4096 of 8192 bytes at block 12";

    impl fmt::Display for Said {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{NO_ROOM} at line 492")
        }
    }

    impl StdError for Said {}

    impl DatabaseError for Said {
        fn message(&self) -> &str {
            NO_ROOM
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn said(code: &'static str) -> sqlx::Error {
        sqlx::Error::Database(Box::new(Said(code)))
    }

    #[test]
    fn the_code_of_the_database_decides_wherever_it_stands() {
        for (code, beginning) in [
            ("53100", "The disk of the database is full: free some space on it"),
            ("53200", "The database ran out of memory: give it more"),
            ("40001", "Other changes of the same figures stood in the way"),
            ("40P01", "Other changes of the same figures stood in the way"),
            ("55P03", "Other changes of the same figures stood in the way"),
        ] {
            for error in [
                ImportError::Database(said(code)),
                ImportError::Other(said(code).into()),
                ImportError::Other(anyhow::Error::from(said(code)).context("adding up")),
                ImportError::Other(LedgerError::Database(said(code)).into()),
                ImportError::Other(LedgerError::Other(said(code).into()).into()),
                ImportError::Other(anyhow::Error::from(ImportError::Database(said(code))).context("hashing")),
            ] {
                let words = format!("{:#}", told(error));
                assert!(words.starts_with(beginning) && !words.contains("could not extend"), "{code}: {words}");
            }
        }
    }

    #[test]
    fn what_has_no_remedy_is_said_once() {
        let words = format!("{:#}", told(ImportError::Database(said("XX000"))));
        assert_eq!(words.matches("could not extend").count(), 1, "{words}");
        let nested = anyhow::anyhow!("the thread ended").context("reading the file");
        assert_eq!(format!("{:#}", told(ImportError::Other(nested))), "reading the file: the thread ended");
    }

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
