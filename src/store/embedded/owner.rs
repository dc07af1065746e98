//! Whom the server runs as. PostgreSQL refuses to be root, so as root it runs as another user.

use super::error::{Doing, EmbeddedError};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The user and group of the cluster's files and processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    user: u32,
    group: u32,
    /// Whether Costwake is root and the server is not.
    drops: bool,
}

// Opens the folders as root and hands them on as file descriptors 9, 8 and 7; the server, which may not enter the
// folders above them (a home directory, one from mktemp), reaches them through that and needs no wider permissions.
const WITH_FOLDERS: &str = r#"exec 9<"$1" 8<"$2" 7<"$3"; shift 3; exec "$@""#;
const FOLDERS: [&str; 3] = ["/proc/self/fd/9", "/proc/self/fd/8", "/proc/self/fd/7"];

impl Owner {
    /// Whoever owns the cluster; for a new one whoever owns the data directory, else "postgres" or "nobody".
    pub(super) fn of(data_dir: &Path, cluster: &Path) -> Result<Self, EmbeddedError> {
        let me = effective_ids().doing("read", Path::new("/proc/self/status"))?;
        let existing = fs::metadata(cluster).or_else(|_| fs::metadata(data_dir)).doing("open", data_dir)?;
        if me.0 != 0 {
            let owner = Self { user: me.0, group: me.1, drops: false };
            let foreign = existing.uid() != me.0;
            return if foreign {
                Err(EmbeddedError::NotAllowed { action: "use", path: cluster.to_owned() })
            } else {
                Ok(owner)
            };
        }
        if existing.uid() != 0 {
            return Ok(Self { user: existing.uid(), group: existing.gid(), drops: true });
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let named = |name| ids_of(&users, name);
        let (user, group) = named("postgres").or_else(|| named("nobody")).ok_or(EmbeddedError::NoUser)?;
        Ok(Self { user, group, drops: true })
    }

    /// A user who is somebody else.
    #[cfg(test)]
    pub(super) fn for_test(user: u32) -> Self {
        Self { user, group: user, drops: true }
    }

    /// Whether this is the user's number.
    pub(super) fn is(&self, user: u32) -> bool {
        self.user == user
    }

    /// Gives a file or folder to the user.
    pub(super) fn give(&self, path: &Path) -> Result<(), EmbeddedError> {
        if self.drops {
            chown(path, Some(self.user), Some(self.group)).doing("change the owner of", path)
        } else {
            Ok(())
        }
    }

    /// The program, run as the user; `folder` is what [`Self::name`] names to it.
    pub(super) fn command(&self, folder: &Path, program: &Path) -> Command {
        self.command_with(&[folder, folder, folder], program)
    }

    /// The same with several folders, which [`Self::name_of`] names.
    pub(super) fn command_with(&self, folders: &[&Path; 3], program: &Path) -> Command {
        let mut command = if self.drops {
            let mut command = Command::new("sh");
            command.args(["-c", WITH_FOLDERS, "sh"]).args(folders).arg("setpriv");
            command.arg(format!("--reuid={}", self.user)).arg(format!("--regid={}", self.group)).arg("--clear-groups");
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        // Messages are matched by their English text; settings of the caller are not the cluster's.
        command.current_dir("/").env("LC_ALL", "C").env_remove("PGDATA").env_remove("PGPORT").env_remove("PGOPTIONS");
        command
    }

    /// How a command made by [`Self::command`] names its folder.
    pub(super) fn name<'a>(&self, folder: &'a Path) -> &'a Path {
        if self.drops { Path::new(FOLDERS[0]) } else { folder }
    }

    /// How a command made by [`Self::command_with`] names one of its folders.
    pub(super) fn name_of(&self, folders: &[&Path; 3], index: usize) -> PathBuf {
        if self.drops { PathBuf::from(FOLDERS[index]) } else { folders[index].to_owned() }
    }
}

/// The effective user and group of this process.
fn effective_ids() -> std::io::Result<(u32, u32)> {
    let status = fs::read_to_string("/proc/self/status")?;
    let effective = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    effective("Uid:").zip(effective("Gid:")).ok_or_else(|| std::io::Error::other("no user in it"))
}

/// The user and group of a line of /etc/passwd.
fn ids_of(users: &str, name: &str) -> Option<(u32, u32)> {
    let mut lines = users.lines().map(|line| line.split(':'));
    let mut fields = lines.find(|fields| fields.clone().next() == Some(name))?.skip(2);
    fields.next()?.parse().ok().zip(fields.next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::ids_of;

    #[test]
    fn users_are_found() {
        let users = "root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104::/var/lib/postgresql:/bin/bash\n";
        assert_eq!(ids_of(users, "postgres"), Some((101, 104)));
        assert_eq!(ids_of(users, "nobody"), None);
    }
}
