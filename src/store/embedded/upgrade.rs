//! Moving the cluster to a newer PostgreSQL: pg_upgrade copies it beside its place, then the two are swapped. The old
//! folder stays as it was until the new one has proved itself.

use super::binaries::Binaries;
use super::error::{Doing, EmbeddedError};
use super::locks::{Gate, Holder};
use super::owner::Owner;
use super::{NAME, existing_major, make_data_dir, server};
use crate::patience::Patience;
use std::fs;
use std::path::{Path, PathBuf};

const OLD_PREFIX: &str = "postgres.old-";
/// Where pg_upgrade works: its sockets and scripts.
const WORK: &str = "postgres.upgrade";

/// A cluster that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    /// Its version before.
    pub from: u32,
    /// Its version now.
    pub to: u32,
    /// What it was before.
    pub old_folder: PathBuf,
}

/// Moves the cluster to the newest PostgreSQL that is installed, or to the one that the setting names. Only while
/// nothing is served. Blocks.
pub fn upgrade(data_dir: &Path, postgres_bin: Option<&Path>) -> Result<Upgraded, EmbeddedError> {
    make_data_dir(data_dir)?;
    let data_dir = fs::canonicalize(data_dir).doing("open", data_dir)?;
    let _gate = Gate::enter(&data_dir)?;
    take_back(&data_dir)?;
    let folder = data_dir.join("postgres");
    let from = existing_major(&folder)?.ok_or_else(|| EmbeddedError::NothingToUpgrade { folder: folder.clone() })?;
    let (old, new) = Binaries::for_upgrade(postgres_bin, from, &folder)?;
    if !Holder::join(&data_dir)?.was_last() {
        return Err(EmbeddedError::InUse { data_dir });
    }
    let upgrade = Upgrade { owner: Owner::of(&data_dir, &folder)?, data_dir, folder, old, new };
    let copied = upgrade.copy();
    // Of no use to anyone, also where it failed.
    let _ = fs::remove_dir_all(upgrade.data_dir.join(WORK));
    if copied.is_err() {
        let _ = fs::remove_dir_all(upgrade.unfinished());
    }
    copied?;
    let old_folder = upgrade.swap(from)?;
    Ok(Upgraded { from, to: upgrade.new.major, old_folder })
}

/// What earlier upgrades left.
pub fn old_folders(data_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data_dir).into_iter().flatten().flatten();
    let is_old = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(OLD_PREFIX);
    entries.filter(|entry| is_old(&entry.file_name())).map(|entry| entry.path()).collect()
}

/// Removes what earlier upgrades left; gives what that was. Only while the cluster is in its place.
pub fn remove_old(data_dir: &Path) -> Result<Vec<PathBuf>, EmbeddedError> {
    if existing_major(&data_dir.join("postgres"))?.is_none() {
        return Ok(Vec::new());
    }
    let folders = old_folders(data_dir);
    for folder in &folders {
        fs::remove_dir_all(folder).doing("remove", folder)?;
    }
    Ok(folders)
}

/// After an upgrade that was killed between its two moves: what it was before is the cluster. Only while the gate
/// is held.
pub(super) fn take_back(data_dir: &Path) -> Result<(), EmbeddedError> {
    let folder = data_dir.join("postgres");
    if folder.exists() {
        return Ok(());
    }
    let major = |path: &PathBuf| existing_major(path).ok().flatten();
    let Some(newest) = old_folders(data_dir).into_iter().filter(|path| major(path).is_some()).max_by_key(major) else {
        return Ok(());
    };
    fs::rename(&newest, &folder).doing("move", &newest)
}

struct Upgrade {
    data_dir: PathBuf,
    folder: PathBuf,
    owner: Owner,
    old: Binaries,
    new: Binaries,
}

impl Upgrade {
    fn unfinished(&self) -> PathBuf {
        self.data_dir.join("postgres.new")
    }

    fn copy(&self) -> Result<(), EmbeddedError> {
        let sockets = server::socket_folder(&self.folder);
        // pg_upgrade wants a cluster that was stopped well, which one left by a crash is only after a start.
        server::start(&self.folder, &sockets, &self.owner, &self.old)?;
        server::stop(&self.folder, &self.owner, &self.old)?;

        let unfinished = self.unfinished();
        server::init(&unfinished, &self.owner, &self.new)?;
        for name in ["postgresql.conf", "costwake.conf"] {
            let text = fs::read_to_string(self.folder.join(name)).doing("read", &self.folder.join(name))?;
            server::write(&unfinished.join(name), &text, &self.owner)?;
        }
        let work = self.data_dir.join(WORK);
        let _ = fs::remove_dir_all(&work);
        server::make_private(&work, &self.owner)?;
        self.run_pg_upgrade(&unfinished, &work)?;
        let _ = fs::remove_dir_all(unfinished.join("pg_upgrade_output.d"));
        Ok(())
    }

    // It copies; linking would be quicker, but the old cluster could not be started again.
    fn run_pg_upgrade(&self, unfinished: &Path, work: &Path) -> Result<(), EmbeddedError> {
        let _patience = Patience::logged("Copying the database to the newer PostgreSQL");
        let folders = [self.folder.as_path(), unfinished, work];
        let sockets = server::socket_folder(work);
        if !sockets.starts_with(work) {
            server::make_private(&sockets, &self.owner)?;
        }
        let mut command = self.owner.command_with(&folders, &self.new.program("pg_upgrade"));
        command.arg("--old-bindir").arg(&self.old.folder).arg("--new-bindir").arg(&self.new.folder);
        command.arg("--old-datadir").arg(self.owner.name_of(&folders, 0));
        command.arg("--new-datadir").arg(self.owner.name_of(&folders, 1));
        let sockets = if sockets.starts_with(work) { self.owner.name_of(&folders, 2) } else { sockets };
        command.arg("--socketdir").arg(&sockets).args(["--username", NAME, "--jobs=2"]);
        command.args([format!("--old-port={}", server::PORT), format!("--new-port={}", server::PORT)]);
        // It writes scripts to where it is run.
        command.current_dir(work);
        let log = self.data_dir.join("upgrade.log");
        match server::run(&mut command)? {
            Ok(()) => Ok(()),
            Err(said) => {
                let _ = fs::write(&log, &said);
                Err(EmbeddedError::upgrade(&self.folder, &log, &said))
            }
        }
    }

    fn swap(&self, from: u32) -> Result<PathBuf, EmbeddedError> {
        let old = self.data_dir.join(format!("{OLD_PREFIX}{from}"));
        fs::rename(&self.folder, &old).doing("move", &self.folder)?;
        fs::rename(self.unfinished(), &self.folder).doing("move", &self.unfinished())?;
        Ok(old)
    }
}
