//! Which process serves the cluster. Root in a container may not look into another user's process (it lacks
//! CAP_SYS_PTRACE), so that what it cannot see is asked for as the cluster's owner, and taken for the server in doubt.

use super::owner::Owner;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What the number in the pid file stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    /// No pid file, or its process has ended.
    Gone,
    /// The server of this cluster.
    Server,
    /// Another program, which got the number after a crash.
    Foreign,
}

impl Process {
    /// Looks closely: where rights are missing another program is run as the owner.
    pub(super) fn of(folder: &Path, owner: &Owner) -> Self {
        Self::look(folder, owner, |pid| works_in_as_owner(pid, owner))
    }

    /// Costs no other program, and may take another server of the same user for this one.
    pub(super) fn seems(folder: &Path, owner: &Owner) -> Self {
        Self::look(folder, owner, |_| None)
    }

    fn look(folder: &Path, owner: &Owner, ask: impl Fn(u32) -> Option<PathBuf>) -> Self {
        let Some(pid) = pid_in_file(folder) else { return Self::Gone };
        let Ok(folder) = fs::canonicalize(folder) else { return Self::Gone };
        let works_in = match fs::read_link(format!("/proc/{pid}/cwd")) {
            Ok(works_in) => Some(works_in),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                if !may_be_server(pid, owner) {
                    return Self::Foreign;
                }
                ask(pid)
            }
            // What has ended but is not yet waited for has no folder; PostgreSQL would take it for running.
            Err(_) if Path::new(&format!("/proc/{pid}")).exists() => return Self::Foreign,
            Err(_) => return Self::Gone,
        };
        match works_in {
            Some(works_in) if works_in != folder => Self::Foreign,
            // Unknown counts as the server: the pid file of a live one must never be removed.
            _ => Self::Server,
        }
    }
}

/// Tells the backends to end that a killed server left behind: in the middle of a long statement they do not notice by
/// themselves, and no new server starts beside them. To be called only where no server runs.
pub(super) fn end_orphans(folder: &Path, owner: &Owner) {
    let Ok(folder) = fs::canonicalize(folder) else { return };
    let works_here = |pid: &u32| {
        let works_in = fs::read_link(format!("/proc/{pid}/cwd")).ok().or_else(|| works_in_as_owner(*pid, owner));
        works_in.is_some_and(|works_in| works_in == folder)
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let orphans: Vec<u32> = pids.filter(|pid| is_named_server(*pid, owner)).filter(works_here).collect();
    if orphans.is_empty() {
        return;
    }
    tracing::warn!("Ending {} processes of a database server that was killed", orphans.len());
    let mut kill = owner.command(Path::new("/"), Path::new("sh"));
    kill.args(["-c", "kill -TERM \"$@\"", "sh"]).args(orphans.iter().map(ToString::to_string));
    // Those that ended meanwhile are no fault.
    let _ = kill.output();
}

/// Whether the server says in its pid file that it takes connections.
pub(super) fn is_ready(folder: &Path) -> bool {
    let text = fs::read_to_string(folder.join("postmaster.pid")).unwrap_or_default();
    text.lines().nth(7).is_some_and(|status| status.trim() == "ready")
}

fn pid_in_file(folder: &Path) -> Option<u32> {
    fs::read_to_string(folder.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
}

fn is_named_server(pid: u32, owner: &Owner) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| is_server_of(&status, owner))
}

/// By what everybody may see of a process: its name and its user.
fn may_be_server(pid: u32, owner: &Owner) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status")).map_or(true, |status| is_server_of(&status, owner))
}

fn is_server_of(status: &str, owner: &Owner) -> bool {
    let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let user = field("Uid:").and_then(|ids| ids.split_whitespace().nth(1)?.parse().ok());
    field("Name:") == Some("postgres") && user.is_some_and(|user| owner.is(user))
}

/// A process may see where others of its user work.
fn works_in_as_owner(pid: u32, owner: &Owner) -> Option<PathBuf> {
    let mut readlink = owner.command(Path::new("/"), Path::new("readlink"));
    let output = readlink.arg(format!("/proc/{pid}/cwd")).output().ok()?;
    let works_in = String::from_utf8(output.stdout).ok()?;
    let works_in = works_in.strip_suffix('\n').filter(|path| path.starts_with('/'))?;
    output.status.success().then(|| PathBuf::from(works_in))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_by_name_and_user() {
        let owner = Owner::for_test(101);
        assert!(is_server_of("Name:\tpostgres\nUid:\t101\t101\t101\t101\n", &owner));
        assert!(!is_server_of("Name:\tpostgres\nUid:\t0\t0\t0\t0\n", &owner));
        assert!(!is_server_of("Name:\tcostwake\nUid:\t101\t101\t101\t101\n", &owner));
    }
}
