//! What can go wrong, each as one sentence that says what to do.

use crate::store::full_disk;
use std::io;
use std::path::{Path, PathBuf};

/// Why the cluster cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Nothing is installed.
    #[error(
        "no PostgreSQL server was found: install one (Debian and Ubuntu: apt-get install postgresql), or set \
         COSTWAKE_POSTGRES_BIN to the folder with its programs, or set DATABASE_URL to use a running server"
    )]
    NoBinaries,
    /// COSTWAKE_POSTGRES_BIN is wrong.
    #[error(
        "COSTWAKE_POSTGRES_BIN is {folder}, which has no initdb, postgres and pg_ctl: set it to the folder that has"
    )]
    NotBinaries {
        /// The setting.
        folder: PathBuf,
    },
    /// Only versions that are too old.
    #[error(
        "PostgreSQL {newest} is too old: Costwake needs {} or newer, install it and start again",
        super::binaries::OLDEST_MAJOR
    )]
    TooOld {
        /// The newest that was found.
        newest: u32,
    },
    /// No client programs for a server.
    #[error(
        "the server is PostgreSQL {major}, and no pg_dump of that version is installed: install it (Debian and \
         Ubuntu: apt-get install postgresql-client-{major}), or set COSTWAKE_POSTGRES_BIN to the folder that has it"
    )]
    NoClient {
        /// The server's version.
        major: u32,
    },
    /// The data needs another version than those installed.
    #[error(
        "the data in {folder} was written by PostgreSQL {major}, and its programs are not installed (found: \
         {found}): install it (Debian and Ubuntu: apt-get install postgresql-{major}), or set \
         COSTWAKE_POSTGRES_BIN to their folder"
    )]
    WrongMajor {
        /// The cluster.
        folder: PathBuf,
        /// Its version.
        major: u32,
        /// The versions that are there.
        found: String,
    },
    /// The disk is full.
    #[error(
        "the disk that holds {path} is full: free some space on it and start again; nothing that was saved is lost"
    )]
    DiskFull {
        /// What could not be written.
        path: PathBuf,
    },
    /// Not allowed.
    #[error(
        "may not {action} {path}: run Costwake as the owner of its data directory, or set COSTWAKE_DATA_DIR to a folder you own"
    )]
    NotAllowed {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// The folder holds something else.
    #[error("{folder} is not a PostgreSQL cluster: move it away, or set COSTWAKE_DATA_DIR to another folder")]
    NotACluster {
        /// The folder.
        folder: PathBuf,
    },
    /// A second server.
    #[error(
        "another costwake serve already runs on {data_dir}: stop it first, or set COSTWAKE_DATA_DIR to another folder"
    )]
    AlreadyServing {
        /// The data directory.
        data_dir: PathBuf,
    },
    /// There is no cluster.
    #[error("there is no database in {folder} to upgrade: one that is made anew is of the newest PostgreSQL installed")]
    NothingToUpgrade {
        /// Where it would be.
        folder: PathBuf,
    },
    /// Only the cluster's own version, or older ones.
    #[error(
        "the data in {folder} is of PostgreSQL {major}, and no newer one is installed: install it (Debian and Ubuntu: \
         apt-get install postgresql-{} or newer; https://apt.postgresql.org has them all), or set \
         COSTWAKE_POSTGRES_BIN to the folder with its programs",
        major + 1
    )]
    NothingNewer {
        /// The cluster.
        folder: PathBuf,
        /// Its version.
        major: u32,
    },
    /// Other commands run.
    #[error("other costwake commands use the database in {data_dir}: let them end, and start again")]
    InUse {
        /// The data directory.
        data_dir: PathBuf,
    },
    /// Root without anyone to drop to.
    #[error(
        "PostgreSQL does not run as root, and there is no other user to run it as: create one named postgres (useradd --system postgres)"
    )]
    NoUser,
    /// A program could not be run at all.
    #[error("could not run {program}: {reason}")]
    NotRun {
        /// The program.
        program: String,
        /// The system's reason.
        reason: String,
    },
    /// Something else, in the words of PostgreSQL.
    #[error("PostgreSQL could not {action}: {reason} (more in {log})")]
    Failed {
        /// `start`, `stop`, `create the cluster`.
        action: &'static str,
        /// Its last words.
        reason: String,
        /// Where it writes.
        log: PathBuf,
    },
    /// There is no cluster, and none could be made: what was begun is gone, and with it whatever else was said.
    #[error("PostgreSQL could not create the cluster: {reason}")]
    NotMade {
        /// Its last words.
        reason: String,
    },
    /// Something else with a file.
    #[error("could not {action} {path}: {reason}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
}

impl EmbeddedError {
    /// The sentence for a failed file operation.
    pub(super) fn io(action: &'static str, path: &Path, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::NotAllowed { action, path },
            _ => Self::Io { action, path, reason: error.to_string() },
        }
    }

    /// The sentence for what pg_upgrade said: its last words before it says that it failed.
    pub(super) fn upgrade(folder: &Path, log: &Path, text: &str) -> Self {
        let telling = |line: &&str| !line.is_empty() && !line.starts_with("Failure, exiting");
        let lines: Vec<&str> = text.lines().map(str::trim).filter(telling).collect();
        let last = lines[lines.len().saturating_sub(4)..].join(" ");
        match Self::said("upgrade the cluster, which stays as it was", folder, log, text) {
            Self::Failed { action, log, .. } => Self::Failed { action, reason: last, log },
            other => other,
        }
    }

    /// The sentence for what initdb said: its last words before it says that it cleans up.
    pub(super) fn initdb(folder: &Path, text: &str) -> Self {
        let telling = |line: &&str| !line.is_empty() && !line.contains("initdb: removing");
        let lines: Vec<&str> = text.lines().map(str::trim).filter(telling).collect();
        let last = lines[lines.len().saturating_sub(4)..].join(" ");
        match Self::said("create the cluster", folder, folder, text) {
            Self::Failed { .. } => Self::NotMade { reason: last },
            other => other,
        }
    }

    /// The sentence for what pg_ctl or the server's log said.
    pub(super) fn said(action: &'static str, folder: &Path, log: &Path, text: &str) -> Self {
        if full_disk::is_told(text) {
            return Self::DiskFull { path: folder.to_owned() };
        }
        if text.contains("Permission denied") || text.contains("has wrong ownership") {
            return Self::NotAllowed { action: "use", path: folder.to_owned() };
        }
        let telling = |line: &&str| ["FATAL:", "PANIC:", "error:"].iter().any(|word| line.contains(word));
        let line = text.lines().rev().find(telling).or_else(|| text.lines().rev().find(|line| !line.trim().is_empty()));
        let reason = line.unwrap_or("it gave no reason").trim();
        let reason = ["FATAL:", "PANIC:", "error:"]
            .iter()
            .find_map(|word| reason.split_once(word))
            .map_or(reason, |(_, said)| said.trim());
        Self::Failed { action, reason: reason.to_owned(), log: log.to_owned() }
    }
}

/// Names the file in the error of a file operation.
pub(super) trait Doing<T> {
    /// What was tried, on what.
    fn doing(self, action: &'static str, path: &Path) -> Result<T, EmbeddedError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, action: &'static str, path: &Path) -> Result<T, EmbeddedError> {
        self.map_err(|error| EmbeddedError::io(action, path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        EmbeddedError::said("start", Path::new("/d/postgres"), Path::new("/d/postgres/server.log"), text).to_string()
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let text = "FATAL:  could not write lock file \"postmaster.pid\": No space left on device";
        assert!(said(text).starts_with("the disk that holds /d/postgres is full: free some space"));
    }

    #[test]
    fn a_cluster_that_was_not_made_names_no_file_that_is_gone() {
        let text = "creating directory ... ok\ninitdb: error: invalid locale name \"C.UTF-8\"\n\
                    initdb: removing data directory \"/data/postgres.new\"\n";
        let error = EmbeddedError::initdb(Path::new("/data/postgres.new"), text).to_string();
        assert!(error.ends_with("initdb: error: invalid locale name \"C.UTF-8\""), "{error}");
        assert!(!error.contains("postgres.new"), "{error}");
    }

    #[test]
    fn the_last_fatal_line_is_the_reason() {
        let text = "LOG:  starting\n2026 FATAL:  bogus data in lock file\n2026 LOG:  database system is shut down\n";
        assert_eq!(said(text), "PostgreSQL could not start: bogus data in lock file (more in /d/postgres/server.log)");
    }
}
