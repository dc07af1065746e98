//! The own cluster under users and rights of all kinds: root in a container, root who drops to another user, nobody.

use super::{Place, Server, signal, until};
use crate::support::skipped;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a stock container keeps from its root: looking into processes of other users.
const WITHOUT_TRACING: &[&str] = &["--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"];
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The same command, run by setpriv.
fn under(privileges: &[&str], command: &Command) -> Command {
    let mut under = Command::new("setpriv");
    under.args(privileges).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => under.env(name, value),
            None => under.env_remove(name),
        };
    }
    under
}

#[test]
fn root_that_may_not_trace_starts_joins_and_stops_the_cluster() {
    if !is_root() {
        return skipped("root without CAP_SYS_PTRACE: the tests do not run as root");
    }
    let place = Place::new();
    let command = |arguments: &[&str]| under(WITHOUT_TRACING, &place.costwake(arguments));
    for _ in 0..2 {
        let migrated = command(&["migrate"]).output().unwrap();
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        assert!(place.pid().is_none() && !place.is_running(), "the last one out stopped it");
    }
    let mut server = Server::of(command(&["serve"]));
    let pid = place.pid();
    // It looks after its cluster once a second.
    std::thread::sleep(Duration::from_millis(2500));
    assert!(command(&["migrate"]).output().unwrap().status.success(), "it joins");
    assert!(pid.is_some() && place.pid() == pid, "one server all along");

    signal("-KILL", pid.unwrap());
    until("a new server runs", || place.is_running() && place.pid() != pid);
    assert!(server.stop());
    assert!(place.pid().is_none(), "and its cluster with it");
}

#[test]
fn root_that_may_not_trace_still_sees_that_a_number_went_to_another_program() {
    if !is_root() {
        return skipped("a foreign pid file without CAP_SYS_PTRACE: the tests do not run as root");
    }
    let place = Place::new();
    drop(place.open());
    // A server of the same user, but of another cluster: only a look into it tells.
    let other = Place::new();
    let _other = other.open();
    fs::write(place.data_dir().join("postgres/postmaster.pid"), format!("{}\n", other.pid().unwrap())).unwrap();
    let migrated = under(WITHOUT_TRACING, &place.costwake(&["migrate"])).output().unwrap();
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    assert!(other.is_running(), "the other one is left alone");
}

#[test]
fn a_user_without_rights_runs_a_cluster_of_its_own() {
    if !is_root() {
        return skipped("a cluster of another user: the tests do not run as root");
    }
    let place = Place::new();
    fs::set_permissions(place.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Where the tests were built may be out of reach for others.
    let program = place.0.path().join("costwake");
    fs::copy(env!("CARGO_BIN_EXE_costwake"), &program).unwrap();
    fs::create_dir(place.data_dir()).unwrap();
    chown(place.data_dir(), Some(NOBODY), Some(NOBODY)).unwrap();
    let as_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"];
    let mut command = under(&as_nobody, &place.costwake_of(&program, &["migrate"]));
    let migrated = command.env("HOME", "/nonexistent").output().unwrap();
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    assert!(!place.is_running());
    assert_eq!(fs::metadata(place.data_dir().join("postgres")).unwrap().uid(), NOBODY);

    // Root takes it over as it is: the server stays nobody's.
    let cluster = place.open();
    assert_eq!(fs::metadata(format!("/proc/{}", place.pid().unwrap())).unwrap().uid(), NOBODY);
    drop(cluster);
    assert!(place.pid().is_none());
}

/// The service that runs as that user must be able to read the key, and to take the locks.
#[test]
fn what_root_makes_in_the_data_directory_belongs_to_its_owner() {
    if !is_root() {
        return skipped("files of root in a data directory of another user: the tests do not run as root");
    }
    let (from, place) = (Place::new(), Place::new());
    fs::create_dir(from.data_dir()).unwrap();
    let key = from.data_dir().join("key");
    fs::write(&key, [5; 32]).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let file = from.0.path().join("costwake.backup");
    assert!(from.costwake(&["backup", file.to_str().unwrap()]).status().unwrap().success());

    fs::create_dir(place.data_dir()).unwrap();
    chown(place.data_dir(), Some(NOBODY), Some(NOBODY)).unwrap();
    let restored = place.costwake(&["restore", file.to_str().unwrap()]).output().unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    for name in ["key", "cluster.lock", "holders.lock", "serve.lock", "jobs.lock", "postgres"] {
        assert_eq!(fs::metadata(place.data_dir().join(name)).unwrap().uid(), NOBODY, "{name}");
    }
}

/// A file system of this size; it goes away with the value.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(folder: &'a Path, size: &str) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"]).arg(folder);
        mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_named_and_the_cluster_comes_back_when_there_is_room() {
    let place = Place::new();
    let data_dir = place.data_dir();
    let Some(tiny) = SmallDisk::mount(&data_dir, "12m") else {
        return skipped("a full disk: no file system of its own can be mounted here");
    };
    let said = |arguments: &[&str]| {
        let output = place.costwake(arguments).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (done, text) = said(&["migrate"]);
    assert!(!done && text.contains("is full: free some space on it and start again"), "{text}");
    assert!(!data_dir.join("postgres.new").exists(), "what was begun is taken away");
    drop(tiny);

    // Room for the cluster, and none for its database, or none for the schema.
    for size in ["38m", "39m", "40m", "43m"] {
        let _narrow = SmallDisk::mount(&data_dir, size).unwrap();
        let (done, text) = said(&["migrate"]);
        assert!(!done && text.contains("is full: free some space on it and start again"), "{size}: {text}");
    }

    let _small = SmallDisk::mount(&data_dir, "160m").unwrap();
    assert!(said(&["migrate"]).0);
    let filler = data_dir.join("filler");
    // Whatever is left, to the last byte.
    let _ = std::io::copy(&mut std::io::repeat(0), &mut fs::File::create(&filler).unwrap());
    let (done, text) = said(&["migrate"]);
    assert!(!done && text.contains("is full: free some space on it and start again"), "{text}");
    fs::remove_file(&filler).unwrap();
    let (done, text) = said(&["migrate"]);
    assert!(done, "{text}");
}

#[test]
fn two_commands_that_make_the_cluster_at_once_both_succeed() {
    let place = Place::new();
    let start = || place.costwake(&["migrate"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let both = [start(), start()];
    for one in both {
        let output = one.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(place.pid().is_none(), "the last one out stopped it");
    assert!(!place.data_dir().join("postgres.new").exists());
}

#[test]
fn a_folder_without_programs_is_named_and_nothing_is_made() {
    let place = Place::new();
    let empty = place.0.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let output = place.costwake(&["serve"]).env("COSTWAKE_POSTGRES_BIN", &empty).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    let expected = format!("COSTWAKE_POSTGRES_BIN is {}, which has no initdb, postgres and pg_ctl", empty.display());
    assert!(text.contains(&expected), "{text}");
    assert!(!place.data_dir().join("postgres").exists());
}

#[test]
fn a_taken_port_is_told_before_anything_is_made() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for arguments in [["serve", "--metrics-listen"], ["demo", "--listen"], ["serve", "--listen"]] {
        let output = place.costwake(&arguments).arg(&address).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(&address), "{text}");
        assert!(!place.data_dir().join("postgres").exists(), "{arguments:?}: no cluster was made");
    }
}

#[test]
fn a_command_that_waits_for_another_one_says_so() {
    let place = Place::new();
    drop(place.open());
    let gate = fs::File::options().write(true).open(place.data_dir().join("cluster.lock")).unwrap();
    gate.lock().unwrap();
    let mut waiting = place.costwake(&["migrate"]).env("RUST_LOG", "info").stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(waiting.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told = lines.any(|line| line.contains("Waiting for another command that starts or stops the database cluster"));
    drop(gate);
    assert!(told && waiting.wait().unwrap().success());
}
