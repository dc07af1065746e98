//! The demo's data directory: emptied at each start, and never one that holds anything else.

use crate::store::embedded::Cluster;
use anyhow::{Context, bail};
use std::fs;
use std::path::Path;

const MARKER: &str = "this-is-a-demo";
/// Held while the folder is emptied, or of no weight.
const LOCKS: [&str; 4] = ["serve.lock", "jobs.lock", "cluster.lock", "holders.lock"];

/// Refuses a folder with somebody's data.
pub fn may_take(data_dir: &Path) -> anyhow::Result<()> {
    let Ok(mut entries) = fs::read_dir(data_dir) else { return Ok(()) };
    let is_lock = |name: &std::ffi::OsStr| LOCKS.iter().any(|lock| name == *lock);
    let holds_data = entries.any(|entry| entry.is_ok_and(|entry| !is_lock(&entry.file_name())));
    if holds_data && !data_dir.join(MARKER).exists() {
        bail!(
            "{} holds data that is not a demo's, and the demo begins with an empty folder: name another one with \
             --data-dir",
            data_dir.display()
        );
    }
    Ok(())
}

/// Empties a demo's folder and marks it as one.
pub async fn clear(data_dir: &Path, postgres_bin: Option<&Path>) -> anyhow::Result<()> {
    if data_dir.join("postgres/postmaster.pid").exists() {
        // Left by a demo that was killed: joining it and leaving stops it.
        let (data_dir, postgres_bin) = (data_dir.to_owned(), postgres_bin.map(Path::to_owned));
        let stopped = tokio::task::spawn_blocking(move || Cluster::open(&data_dir, postgres_bin.as_deref()).map(drop));
        if let Err(error) = stopped.await? {
            tracing::warn!("The demo's last cluster was not stopped: {error}");
        }
    }
    for entry in fs::read_dir(data_dir).with_context(|| format!("could not open {}", data_dir.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if LOCKS.iter().any(|lock| name == *lock) || name == MARKER {
            continue;
        }
        let removed =
            if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
        removed.with_context(|| format!("could not remove {}", entry.path().display()))?;
    }
    fs::write(data_dir.join(MARKER), "costwake demo empties this folder at each start.\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_demo_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        assert!(may_take(folder.path()).is_ok(), "an empty folder");
        fs::write(folder.path().join("serve.lock"), "").unwrap();
        assert!(may_take(folder.path()).is_ok(), "nothing but a lock");
        fs::write(folder.path().join("key"), "precious").unwrap();
        assert!(may_take(folder.path()).unwrap_err().to_string().contains("holds data that is not a demo's"));

        fs::write(folder.path().join(MARKER), "").unwrap();
        may_take(folder.path()).unwrap();
        clear(folder.path(), None).await.unwrap();
        assert!(!folder.path().join("key").exists() && folder.path().join(MARKER).exists());
    }
}
