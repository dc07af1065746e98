//! Which PostgreSQL programs to use.

use super::error::EmbeddedError;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The PostgreSQL that the schema needs at least.
pub const OLDEST_MAJOR: u32 = 15;

/// What a cluster is run with, and what a dump is made with; the first tells its version.
const SERVER: &[&str] = &["postgres", "initdb", "pg_ctl"];
const UPGRADE: &[&str] = &["postgres", "initdb", "pg_ctl", "pg_upgrade", "pg_dump", "pg_dumpall", "pg_restore", "psql"];
const CLIENT: &[&str] = &["pg_dump", "pg_restore"];

/// A folder with the programs of one PostgreSQL version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The folder.
    pub folder: PathBuf,
    /// Its version.
    pub major: u32,
}

impl Binaries {
    /// The programs for an existing cluster of this major version, else the newest.
    pub(super) fn find(setting: Option<&Path>, major: Option<u32>, cluster: &Path) -> Result<Self, EmbeddedError> {
        let found = match setting {
            Some(folder) => {
                let binaries = Self::in_folder(folder, SERVER);
                vec![binaries.ok_or_else(|| EmbeddedError::NotBinaries { folder: folder.to_owned() })?]
            }
            None => Self::installed(SERVER),
        };
        choose(found, major, cluster)
    }

    /// The programs of a cluster's own major version, and of a newer one: the setting's, else the newest.
    pub(super) fn for_upgrade(
        setting: Option<&Path>,
        major: u32,
        cluster: &Path,
    ) -> Result<(Self, Self), EmbeddedError> {
        let named = setting.map(|folder| {
            let binaries = Self::in_folder(folder, UPGRADE);
            binaries.ok_or_else(|| EmbeddedError::NotBinaries { folder: folder.to_owned() })
        });
        let named = named.transpose()?;
        let mut found = Self::installed(UPGRADE);
        found.extend(named.clone());
        let old = choose(found.clone(), Some(major), cluster)?;
        let newer = named.filter(|binaries| binaries.major > major);
        let newer = newer.or_else(|| found.into_iter().max_by_key(|binaries| binaries.major));
        let is_newer = |binaries: &Self| binaries.major > major.max(OLDEST_MAJOR - 1);
        let new =
            newer.filter(is_newer).ok_or_else(|| EmbeddedError::NothingNewer { folder: cluster.to_owned(), major })?;
        Ok((old, new))
    }

    /// What is installed that a cluster can be run with and moved by, oldest first, each version once.
    pub fn all() -> Vec<Self> {
        let mut found = Self::installed(UPGRADE);
        found.sort_by_key(|binaries| binaries.major);
        found.dedup_by_key(|binaries| binaries.major);
        found
    }

    /// The client programs for a server of this version: `pg_dump` refuses a server newer than itself.
    pub fn for_server(setting: Option<&Path>, major: u32) -> Result<Self, EmbeddedError> {
        let named = setting.and_then(|folder| Self::in_folder(folder, CLIENT));
        let found = named.map_or_else(|| Self::installed(CLIENT), |binaries| vec![binaries]);
        let at_least = found.into_iter().filter(|binaries| binaries.major >= major);
        at_least.min_by_key(|binaries| binaries.major).ok_or(EmbeddedError::NoClient { major })
    }

    /// A program of this version.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn installed(programs: &[&str]) -> Vec<Self> {
        let mut folders = Vec::new();
        // Debian and Ubuntu, Fedora and RHEL.
        for (parent, prefix) in [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")] {
            let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
            let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
            folders.extend(named.map(|entry| entry.path().join("bin")).filter(|folder| folder.is_dir()));
        }
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        folders.iter().filter_map(|folder| Self::in_folder(folder, programs)).collect()
    }

    fn in_folder(folder: &Path, programs: &[&str]) -> Option<Self> {
        if !programs.iter().all(|name| folder.join(name).is_file()) {
            return None;
        }
        let output = Command::new(folder.join(programs.first()?)).arg("--version").output().ok()?;
        let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { folder: folder.to_owned(), major })
    }
}

fn choose(mut found: Vec<Binaries>, major: Option<u32>, cluster: &Path) -> Result<Binaries, EmbeddedError> {
    found.sort_by_key(|binaries| std::cmp::Reverse(binaries.major));
    let Some(newest) = found.first() else {
        // Data that is there decides which version to install: the newest could not read it.
        return Err(major.map_or(EmbeddedError::NoBinaries, |major| EmbeddedError::WrongMajor {
            folder: cluster.to_owned(),
            major,
            found: "none".to_owned(),
        }));
    };
    match major {
        None if newest.major < OLDEST_MAJOR => Err(EmbeddedError::TooOld { newest: newest.major }),
        None => Ok(newest.clone()),
        Some(major) => found.iter().find(|binaries| binaries.major == major).cloned().ok_or_else(|| {
            let mut versions: Vec<String> = found.iter().map(|binaries| binaries.major.to_string()).collect();
            versions.dedup();
            EmbeddedError::WrongMajor { folder: cluster.to_owned(), major, found: versions.join(", ") }
        }),
    }
}

/// From "postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)" or "… 19beta1".
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL)")?.1.trim_start();
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(majors: &[u32]) -> Vec<Binaries> {
        majors.iter().map(|&major| Binaries { folder: format!("/pg/{major}").into(), major }).collect()
    }

    #[test]
    fn a_new_cluster_takes_the_newest_and_an_old_one_its_own() {
        let cluster = Path::new("/d/postgres");
        assert_eq!(choose(of(&[15, 17, 16]), None, cluster).unwrap().major, 17);
        assert_eq!(choose(of(&[15, 17, 16]), Some(16), cluster).unwrap().major, 16);
        assert!(matches!(choose(of(&[14]), None, cluster), Err(EmbeddedError::TooOld { newest: 14 })));
        assert!(matches!(choose(of(&[]), None, cluster), Err(EmbeddedError::NoBinaries)));
    }

    #[test]
    fn a_missing_version_is_named() {
        let error = choose(of(&[15, 15, 17]), Some(16), Path::new("/d/postgres")).unwrap_err().to_string();
        assert!(error.contains("written by PostgreSQL 16"), "{error}");
        assert!(error.contains("(found: 17, 15)") && error.contains("apt-get install postgresql-16"), "{error}");
    }

    #[test]
    fn where_nothing_is_installed_the_version_of_the_data_is_named() {
        let error = choose(of(&[]), Some(15), Path::new("/d/postgres")).unwrap_err().to_string();
        assert!(error.contains("(found: none)") && error.contains("apt-get install postgresql-15"), "{error}");
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(major_of("sh: not found"), None);
    }
}
