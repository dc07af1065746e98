//! Making, starting and stopping the server, by initdb and pg_ctl.

use super::binaries::Binaries;
use super::error::{Doing, EmbeddedError};
use super::owner::Owner;
use super::process::{self, Process};
use super::{NAME, server_log, settings_file};
use crate::patience::Patience;
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The part of the log that commands show too.
const PATIENCE: &str = "costwake::patience";

/// Names the socket file; no network port is opened.
pub(super) const PORT: u16 = 5432;

// The system's limit for the path of a socket, its end marker included.
const SOCKET_PATH_BYTES_MAX: usize = 108;
const SOCKET_FILE_BYTES: usize = "/.s.PGSQL.5432".len() + 1;
// Reading back the log after a crash may take minutes.
const START_SECONDS_MAX: &str = "900";
const STOP_SECONDS_MAX: &str = "120";
const ORPHANS_WAIT: Duration = Duration::from_secs(20);
const ORPHANS_PATIENCE: Duration = Duration::from_millis(200);

/// Makes a cluster beside its place and moves it there when it is whole.
pub(super) fn create(data_dir: &Path, owner: &Owner, binaries: &Binaries) -> Result<(), EmbeddedError> {
    // Of a command it is told too, which may have been meant for the data of another directory.
    tracing::info!(target: PATIENCE, "Making a database cluster of PostgreSQL {} in {}", binaries.major, data_dir.display());
    let unfinished = data_dir.join("postgres.new");
    let folder = data_dir.join("postgres");
    init(&unfinished, owner, binaries)?;
    write(&unfinished.join("postgresql.conf"), settings_file::MAIN, owner)?;
    if folder.exists() {
        fs::remove_dir(&folder).doing("replace", &folder)?;
    }
    fs::rename(&unfinished, &folder).doing("move", &unfinished)
}

/// Runs initdb in a new folder, in place of what is there.
pub(super) fn init(folder: &Path, owner: &Owner, binaries: &Binaries) -> Result<(), EmbeddedError> {
    if folder.exists() {
        fs::remove_dir_all(folder).doing("remove", folder)?;
    }
    make_private(folder, owner)?;
    let mut initdb = owner.command(folder, &binaries.program("initdb"));
    initdb.arg("--pgdata").arg(owner.name(folder)).args(["--username", NAME, "--encoding=UTF8"]);
    initdb.args(["--locale=C.UTF-8", "--data-checksums", "--auth-local=trust", "--auth-host=reject"]);
    if let Err(said) = run(&mut initdb)? {
        // What initdb began is of no use, and may be what filled the disk.
        let error = EmbeddedError::initdb(folder, &said);
        let _ = fs::remove_dir_all(folder);
        return Err(error);
    }
    Ok(())
}

/// Starts the server, or waits for one that is starting. Only while the gate is held.
pub(super) fn start(folder: &Path, sockets: &Path, owner: &Owner, binaries: &Binaries) -> Result<(), EmbeddedError> {
    let began = Instant::now();
    let log = server_log::path(folder);
    // A cluster that was stopped well starts at once.
    let _patience =
        Patience::logged("Waiting for the database cluster, which reads back its log after it did not end well");
    loop {
        match Process::of(folder, owner) {
            Process::Server if process::is_ready(folder) => return server_log::shorten(folder),
            Process::Server => {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
            // PostgreSQL would take the other program for a running server.
            Process::Foreign => remove_pid_file(folder)?,
            Process::Gone => {}
        }
        prepare(folder, sockets, owner, binaries)?;
        let mut pg_ctl = owner.command(folder, &binaries.program("pg_ctl"));
        pg_ctl
            .args(["start", "--silent", "--wait", "--timeout", START_SECONDS_MAX, "--pgdata"])
            .arg(owner.name(folder));
        pg_ctl.arg("--log").arg(owner.name(folder).join("server.log"));
        let Err(said) = run(&mut pg_ctl)? else {
            return Ok(());
        };
        let said = said + &fs::read_to_string(&log).unwrap_or_default();
        // Backends of a killed server end by themselves where they wait, and are told to where they work; until then its
        // memory is in use.
        if said.contains("pre-existing shared memory block") && began.elapsed() < ORPHANS_WAIT {
            if began.elapsed() > ORPHANS_PATIENCE {
                process::end_orphans(folder, owner);
            }
            std::thread::sleep(Duration::from_millis(100));
            continue;
        }
        // A server without room for its log says nothing.
        room_in(folder)?;
        return Err(EmbeddedError::said("start", folder, &log, &said));
    }
}

/// The folder of the socket, the settings, and a new log.
fn prepare(folder: &Path, sockets: &Path, owner: &Owner, binaries: &Binaries) -> Result<(), EmbeddedError> {
    make_private(sockets, owner)?;
    let named_sockets = if sockets.starts_with(folder) { Path::new("socket") } else { sockets };
    let packs_by_lz4 = packs_by_lz4(folder, owner, binaries)?;
    let settings = settings_file::text(named_sockets, settings_file::memory_bytes(), packs_by_lz4);
    write(&folder.join("costwake.conf"), &settings, owner)?;
    server_log::renew(folder)
}

// Whether this build of PostgreSQL has lz4, which it can be built without: it would not start with a setting it does
// not know. Asked without the cluster's own settings, which may not be written yet.
fn packs_by_lz4(folder: &Path, owner: &Owner, binaries: &Binaries) -> Result<bool, EmbeddedError> {
    let mut postgres = owner.command(folder, &binaries.program("postgres"));
    postgres.args(settings_file::PACKS_BY_LZ4).args(["-c", "config_file=/dev/null", "-D"]).arg(owner.name(folder));
    Ok(run(&mut postgres)?.is_ok())
}

/// Stops the server after a checkpoint; sessions that are open are ended.
pub(super) fn stop(folder: &Path, owner: &Owner, binaries: &Binaries) -> Result<(), EmbeddedError> {
    let mut pg_ctl = owner.command(folder, &binaries.program("pg_ctl"));
    pg_ctl.args(["stop", "--silent", "--wait", "--mode=fast", "--timeout", STOP_SECONDS_MAX, "--pgdata"]);
    pg_ctl.arg(owner.name(folder));
    run(&mut pg_ctl)?.map_err(|said| EmbeddedError::said("stop", folder, &server_log::path(folder), &said))
}

/// A folder for the socket inside the cluster, or elsewhere where its path would be too long for a socket.
pub(super) fn socket_folder(folder: &Path) -> PathBuf {
    let inside = folder.join("socket");
    if inside.as_os_str().len() + SOCKET_FILE_BYTES <= SOCKET_PATH_BYTES_MAX {
        return inside;
    }
    let hash = hex::encode(&Sha256::digest(folder.as_os_str().as_bytes())[..8]);
    Path::new("/tmp").join(format!("costwake-{hash}"))
}

/// Whether a little can be written.
pub(super) fn room_in(folder: &Path) -> Result<(), EmbeddedError> {
    let path = folder.join("costwake.room");
    let written = fs::write(&path, [0; 64 << 10]).doing("write", folder);
    let _ = fs::remove_file(&path);
    written
}

fn remove_pid_file(folder: &Path) -> Result<(), EmbeddedError> {
    let path = folder.join("postmaster.pid");
    fs::remove_file(&path).doing("remove", &path)
}

/// A folder that only the server's user may enter.
pub(super) fn make_private(folder: &Path, owner: &Owner) -> Result<(), EmbeddedError> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => owner.give(folder),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(folder).doing("open", folder)?;
            let is_ours = found.is_dir() && found.mode() & 0o077 == 0 && owner.is(found.uid());
            if is_ours { Ok(()) } else { Err(EmbeddedError::NotAllowed { action: "use", path: folder.to_owned() }) }
        }
        Err(error) => Err(EmbeddedError::io("create", folder, &error)),
    }
}

pub(super) fn write(path: &Path, text: &str, owner: &Owner) -> Result<(), EmbeddedError> {
    fs::write(path, text).doing("write", path)?;
    owner.give(path)
}

/// Runs a program to its end; the inner `Err` holds what it said when it failed.
pub(super) fn run(command: &mut Command) -> Result<Result<(), String>, EmbeddedError> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| EmbeddedError::NotRun {
        program: command.get_program().to_string_lossy().into_owned(),
        reason: error.to_string(),
    })?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Ok(if output.status.success() { Ok(()) } else { Err(said.into_owned()) })
}
