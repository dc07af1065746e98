//! What a restore that was killed leaves: at whatever step that was, data and key belong together again afterwards.
//!
//! 1. What is in the database is put aside, even if that is nothing.
//! 2. The backup's key is written beside the key file, where it waits.
//! 3. The backup is brought in.
//! 4. What was put aside is dropped. In the same transaction the database notes that its key waits.
//! 5. The key that waits takes the place of the key file, and the note is dropped.
//!
//! As long as something is aside, it and the key file are what counts. Once nothing is, a key that waits is the data's
//! where the database says so. It notes from the first step on which key that is: databases may share a key file, and a
//! key that waits for another one is left alone. A key that gives way may be another one's, too, and is kept.
//! All of it happens under the claim of `store::backup`.

use crate::store::backup::{self, Note};
use crate::store::private_file;
use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::NamedTempFile;

/// How often, and how many times, connections that load a backup are looked for: 10 s in all.
const LOADERS_LOOK_EVERY: Duration = Duration::from_millis(100);
const LOADERS_LOOKS_MAX: u32 = 100;
/// Hexadecimal digits that tell one key from another.
const FINGERPRINT_CHARS: usize = 16;

/// What became of a restore that was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All is as it was before.
    TakenBack,
    /// The backup was in; its key is in its place now.
    Finished,
}

/// Ends what a killed restore left, in a database that the connection has claimed. `None` where there is nothing.
pub async fn settle(claim: &mut PgConnection, key_file: &Path) -> anyhow::Result<Option<Ending>> {
    if !is_cut(&mut *claim).await? {
        return Ok(None);
    }
    end_loaders(&mut *claim).await?;
    if backup::is_set_aside(&mut *claim).await? {
        // The key goes first: without anything aside nobody would know any more whose it is.
        if is_key(&waiting(key_file), backup::noted_key(&mut *claim, Note::Aside).await?.as_deref()) {
            forget_key(key_file)?;
        }
        backup::put_back(claim).await?;
        return Ok(Some(Ending::TakenBack));
    }
    let due = backup::noted_key(&mut *claim, Note::Due).await?;
    if is_key(&waiting(key_file), due.as_deref()) {
        name_key(key_file)?;
    } else if !is_key(key_file, due.as_deref()) {
        // Nothing has taken its place here: that may come with another key file.
        let path = key_file.display();
        tracing::warn!("The key of the restored data is missing: it is not {path}, and does not wait there");
        return Ok(None);
    }
    backup::key_is_named(claim).await?;
    Ok(Some(Ending::Finished))
}

/// Whether this database says that a restore is under way, or was cut off.
pub async fn is_cut(conn: &mut PgConnection) -> anyhow::Result<bool> {
    Ok(backup::is_set_aside(&mut *conn).await? || backup::is_key_due(&mut *conn).await?)
}

// What a killed restore had begun to load would else come in after all.
async fn end_loaders(claim: &mut PgConnection) -> anyhow::Result<()> {
    for _ in 0..LOADERS_LOOKS_MAX {
        if backup::end_loaders(&mut *claim).await? == 0 {
            return Ok(());
        }
        tokio::time::sleep(LOADERS_LOOK_EVERY).await;
    }
    anyhow::bail!(
        "a restore that was cut off still loads its backup, and the database does not end that: end its connections \
         named {}, and start again",
        backup::LOADER
    )
}

/// Tells of a key that waits for another database.
pub fn warn_of_foreign_key(key_file: &Path) {
    if key_waits(key_file) {
        tracing::warn!("{}", foreign_key(key_file));
    }
}

/// A restore would take the place of a key that waits for another database.
pub fn refuse_foreign_key(key_file: &Path) -> anyhow::Result<()> {
    ensure!(!key_waits(key_file), foreign_key(key_file));
    Ok(())
}

fn foreign_key(key_file: &Path) -> String {
    let path = waiting(key_file);
    format!(
        "{} is the key of a backup that was restored into another database: run a command on that one, or move the \
         file away",
        path.display()
    )
}

fn key_waits(key_file: &Path) -> bool {
    waiting(key_file).exists()
}

/// What tells a key from another, and says nothing of it.
pub fn fingerprint(key: &[u8]) -> String {
    let mut digits = hex::encode(Sha256::digest(key));
    digits.truncate(FINGERPRINT_CHARS);
    digits
}

fn is_key(path: &Path, noted: Option<&str>) -> bool {
    noted.is_some_and(|noted| fs::read(path).is_ok_and(|key| fingerprint(&key) == noted))
}

/// Lets a backup's key wait beside the key file, where no other one does.
pub fn let_key_wait(key: NamedTempFile, key_file: &Path) -> anyhow::Result<()> {
    let path = waiting(key_file);
    key.persist_noclobber(&path).with_context(|| format!("could not write {}", path.display()))?;
    keep_names(key_file).with_context(|| format!("could not write {}", path.display()))
}

/// Gives the key that waits its place. What was there before is kept: another database may be sealed with it.
pub fn name_key(key_file: &Path) -> anyhow::Result<()> {
    let kept = keep_replaced(key_file);
    if let Some(kept) = kept.with_context(|| format!("could not keep {}: {}", key_file.display(), by_hand(key_file)))? {
        let path = kept.display();
        tracing::warn!("The key that was there before is {path} now: delete it where no other database uses it");
    }
    let named = fs::rename(waiting(key_file), key_file).and_then(|()| keep_names(key_file));
    named.with_context(|| format!("could not write {}: {}", key_file.display(), by_hand(key_file)))
}

// Named by its content, so that keeping it twice is keeping it once. None where there was none.
fn keep_replaced(key_file: &Path) -> io::Result<Option<PathBuf>> {
    let key = match fs::read(key_file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        key => key?,
    };
    // What waits may have gone already: then this is the key itself.
    if !key_waits(key_file) {
        return Ok(None);
    }
    let path = beside(key_file, &format!("replaced-{}", fingerprint(&key)));
    private_file::write_aside(&path, &mut key.as_slice())?.persist(&path)?;
    keep_names(key_file)?;
    Ok(Some(path))
}

fn by_hand(key_file: &Path) -> String {
    format!("the key of the data that is there now is {}, move it there", waiting(key_file).display())
}

fn forget_key(key_file: &Path) -> anyhow::Result<()> {
    let path = waiting(key_file);
    match fs::remove_file(&path).and_then(|()| keep_names(key_file)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not take {} away", path.display()))
        }
        _ => Ok(()),
    }
}

fn waiting(key_file: &Path) -> PathBuf {
    beside(key_file, "restoring")
}

fn beside(key_file: &Path, what: &str) -> PathBuf {
    let mut name = key_file.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    name.into()
}

// The database is on disk once it says so: names of files must be, too, before the next step.
fn keep_names(key_file: &Path) -> io::Result<()> {
    File::open(private_file::folder_of(key_file))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_waits_until_it_is_named_or_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let key_file = folder.path().join("key");
        fs::write(&key_file, b"old").unwrap();
        let new = || private_file::write_aside(&key_file, &mut &b"new"[..]).unwrap();
        forget_key(&key_file).unwrap();
        assert!(!key_waits(&key_file));
        let_key_wait(new(), &key_file).unwrap();
        assert!(key_waits(&key_file) && fs::read(&key_file).unwrap() == b"old");
        forget_key(&key_file).unwrap();
        assert!(!key_waits(&key_file) && fs::read(&key_file).unwrap() == b"old");
        let_key_wait(new(), &key_file).unwrap();
        name_key(&key_file).unwrap();
        assert!(!key_waits(&key_file) && fs::read(&key_file).unwrap() == b"new");
        let kept = beside(&key_file, &format!("replaced-{}", fingerprint(b"old")));
        assert_eq!(fs::read(kept).unwrap(), b"old");
        let lost = name_key(&key_file).unwrap_err().to_string();
        assert!(lost.contains("key.restoring, move it there"), "{lost}");
        refuse_foreign_key(&key_file).unwrap();
        let_key_wait(new(), &key_file).unwrap();
        assert!(let_key_wait(new(), &key_file).is_err(), "that of another database waits");
        let foreign = refuse_foreign_key(&key_file).unwrap_err().to_string();
        assert!(foreign.contains("key.restoring is the key of a backup"), "{foreign}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_key_is_known_by_what_was_noted() {
        let folder = tempfile::tempdir().unwrap();
        let key_file = folder.path().join("key");
        let noted = fingerprint(b"new");
        assert_eq!((noted.len(), noted == fingerprint(b"old")), (FINGERPRINT_CHARS, false));
        assert!(!is_key(&key_file, Some(&noted)), "no file");
        fs::write(&key_file, b"new").unwrap();
        assert!(is_key(&key_file, Some(&noted)) && !is_key(&key_file, None));
        assert!(!is_key(&key_file, Some("standard public schema")));
    }
}
