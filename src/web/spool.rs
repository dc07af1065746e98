//! Uploaded files on disk until a job has read them: `<data directory>/spool`.

use super::{Error, Result};
use crate::sources::held::Held;
use crate::sources::spooled_name;
use axum::body::Body;
use axum::extract::multipart::Field;
use axum::http::StatusCode;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tokio::fs;
use tokio::io::AsyncWriteExt;

/// Longer names are cut.
const NAME_CHARS_MAX: usize = 200;

/// A file that was received whole and is on disk. It is deleted when dropped, unless [`Self::keep`] was called.
#[derive(Debug)]
pub struct Spooled {
    /// Where it lies.
    pub path: PathBuf,
    /// What its sender calls it.
    pub file_name: String,
    /// Its size.
    pub file_bytes: i64,
    is_kept: bool,
    // Until it is written down who looks after the file, the clean-up must not take it for what a dead process left.
    _held: Held,
}

impl Spooled {
    /// From here on a job looks after the file.
    pub fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        if !self.is_kept {
            // A request that was cut off leaves nothing behind; a file that is gone already is as good.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Writes a part of a form to disk, to the last byte and through to the platter.
pub async fn receive(folder: &Path, mut field: Field<'_>) -> Result<Spooled> {
    let file_name = clean_name(field.file_name().unwrap_or_default());
    let (mut spooled, mut file) = create(folder, file_name).await?;
    while let Some(chunk) = field.chunk().await.map_err(|error| form_error(&error))? {
        file.write_all(&chunk).await.map_err(|error| disk_error(&error))?;
        spooled.file_bytes += chunk.len() as i64;
    }
    finish(folder, file).await?;
    Ok(spooled)
}

/// Writes a body, which its sender calls so, to disk, to the last byte and through to the platter. Gives its SHA-256 too,
/// in hexadecimal.
pub async fn receive_body(folder: &Path, name: &str, body: Body) -> Result<(Spooled, String)> {
    let (mut spooled, mut file) = create(folder, clean_name(name)).await?;
    let mut hash = Sha256::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| body_error(&error))?;
        hash.update(&chunk);
        file.write_all(&chunk).await.map_err(|error| disk_error(&error))?;
        spooled.file_bytes += chunk.len() as i64;
    }
    finish(folder, file).await?;
    Ok((spooled, hex::encode(hash.finalize())))
}

async fn create(folder: &Path, file_name: String) -> Result<(Spooled, fs::File)> {
    let path = folder.join(spooled_name(&crate::store::seal::random(), &file_name));
    let (folder, to) = (folder.to_owned(), path.clone());
    let made = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(folder)?;
        Held::create(&to)
    });
    let made = made.await.map_err(|error| Error::Internal(error.into()))?;
    let (file, held) = made.map_err(|error| disk_error(&error))?;
    Ok((Spooled { path, file_name, file_bytes: 0, is_kept: false, _held: held }, fs::File::from_std(file)))
}

async fn finish(folder: &Path, mut file: fs::File) -> Result<()> {
    file.flush().await.map_err(|error| disk_error(&error))?;
    file.sync_all().await.map_err(|error| disk_error(&error))?;
    // The name of the file must survive a power cut as well as its bytes.
    let parent = fs::File::open(folder).await.map_err(|error| disk_error(&error))?;
    parent.sync_all().await.map_err(|error| disk_error(&error))
}

fn body_error(error: &axum::Error) -> Error {
    if is_too_large(error) {
        return Error::Invalid("The body is larger than this address takes: send it in parts.".into());
    }
    Error::Invalid("The body broke off before its end. Nothing of it was kept; send it again.".into())
}

/// Whether a body was cut off because it is larger than its address takes.
pub fn is_too_large(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(at) = cause {
        if at.to_string() == "length limit exceeded" {
            return true;
        }
        cause = at.source();
    }
    false
}

/// A multipart form that broke off, was not one, or was too large.
pub fn form_error(error: &axum::extract::multipart::MultipartError) -> Error {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Error::Invalid(
            "The upload is larger than this page takes (8 GiB). Split it by month, or run costwake import FILE on the server.".into(),
        );
    }
    Error::Invalid("The upload broke off before its end. Nothing of it was kept; send it again.".into())
}

/// What Linux answers where a disk reports a fault.
const EIO: i32 = 5;

fn disk_error(error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::NoRoom(
            "The server's disk is full. Nothing of the upload was kept; make room in the data directory and send it again.".into(),
        ),
        std::io::ErrorKind::FileTooLarge => Error::NoRoom(
            "The server may not write a file of this size (ulimit -f). Nothing of the upload was kept; raise the limit or send it in smaller parts.".into(),
        ),
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => Error::NoRoom(
            "The server may not write to its data directory (COSTWAKE_DATA_DIR). Nothing of the upload was kept.".into(),
        ),
        _ if error.raw_os_error() == Some(EIO) => {
            tracing::error!("The disk reports a fault while an upload is written: {error}");
            Error::NoRoom(
                "The server's disk reports a fault. Nothing of the upload was kept; look at the disk of the data directory, then send it again.".into(),
            )
        }
        _ => Error::Internal(anyhow::anyhow!("writing an upload: {error}")),
    }
}

/// The last part of a path, without control characters.
fn clean_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
    let clean = clean.trim();
    if clean.is_empty() { "upload".into() } else { clean.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_senders_name_never_chooses_a_path() {
        assert_eq!(clean_name("../../etc/passwd"), "passwd");
        assert_eq!(clean_name("C:\\bills\\october.csv"), "october.csv");
        assert_eq!(clean_name("\u{0}\r\n"), "upload");
    }
}
