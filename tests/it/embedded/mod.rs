//! The own cluster: started, joined, stopped by the last one out, and recovered after every kind of crash.
//! Each test makes a real cluster in a folder of its own.

mod no_settings;
mod priority;
mod rights;
mod upgrade;

use costwake::store::embedded::{Cluster, EmbeddedError, ServeLock};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, Row};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder that nobody but this user may enter, as mktemp makes it; the data directory lies below.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn data_dir(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn open(&self) -> Cluster {
        Cluster::open(&self.data_dir(), None).unwrap()
    }

    fn pid(&self) -> Option<u32> {
        let text = fs::read_to_string(self.data_dir().join("postgres/postmaster.pid")).ok()?;
        text.lines().next()?.parse().ok()
    }

    fn is_running(&self) -> bool {
        self.pid().is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists())
    }

    /// Whether the server says that it takes connections.
    fn is_ready(&self) -> bool {
        let file = fs::read_to_string(self.data_dir().join("postgres/postmaster.pid")).unwrap_or_default();
        file.lines().nth(7).is_some_and(|status| status.trim() == "ready")
    }

    fn costwake(&self, arguments: &[&str]) -> Command {
        self.costwake_of(Path::new(env!("CARGO_BIN_EXE_costwake")), arguments)
    }

    fn costwake_of(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env_remove("DATABASE_URL").env("COSTWAKE_DATA_DIR", self.data_dir());
        command.env("COSTWAKE_METRICS_LISTEN", "off").env("COSTWAKE_LISTEN", "127.0.0.1:0");
        command
    }

    fn serve(&self) -> Server {
        Server::of(self.costwake(&["serve"]))
    }
}

/// `costwake serve`; a test that failed half-way does not leave it behind.
struct Server(Child);

impl Server {
    fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("http://127.0.0.1:")), "the server says where it is");
        // The rest is read away, so that the server never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }

    fn stop(&mut self) -> bool {
        signal("-TERM", self.0.id());
        self.0.wait().unwrap().success()
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// Nor its cluster.
impl Drop for Place {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            signal("-QUIT", pid);
        }
    }
}

fn signal(name: &str, pid: u32) {
    let _ = Command::new("sh").args(["-c", "kill \"$1\" \"$2\" 2>/dev/null", "sh", name, &pid.to_string()]).status();
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "not within 60 s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

async fn connect(cluster: &Cluster) -> PgConnection {
    cluster.create_database().await.unwrap();
    cluster.connect_options().connect().await.unwrap()
}

async fn setting(connection: &mut PgConnection, name: &'static str) -> String {
    let row = connection.fetch_one(sqlx::query("SELECT current_setting($1)").bind(name)).await.unwrap();
    row.get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_made_safe_and_the_last_one_out_stops_it() {
    let place = Place::new();
    let first = place.open();
    let mut connection = connect(&first).await;
    for (name, expected) in [
        ("data_checksums", "on"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("jit", "off"),
    ] {
        assert_eq!(setting(&mut connection, name).await, expected, "{name}");
    }
    connection.close().await.unwrap();

    let second = place.open();
    drop(first);
    assert!(place.is_running(), "somebody still uses it");
    connect(&second).await.close().await.unwrap();
    drop(second);
    assert!(!place.is_running(), "nobody uses it");
    assert!(place.pid().is_none(), "it was stopped cleanly");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_comes_back_with_everything_that_was_committed() {
    let place = Place::new();
    let cluster = place.open();
    let mut connection = connect(&cluster).await;
    connection.execute("CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 1000)").await.unwrap();
    signal("-KILL", place.pid().unwrap());
    until("the server is gone", || !place.is_running());

    cluster.ensure_running().unwrap();
    let mut connection = connect(&cluster).await;
    let row = connection.fetch_one("SELECT count(*) FROM kept").await.unwrap();
    assert_eq!(row.get::<i64, _>(0), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pid_file_whose_number_went_to_another_program_is_no_obstacle() {
    let place = Place::new();
    drop(place.open());
    let file = place.data_dir().join("postgres/postmaster.pid");
    fs::write(&file, format!("{}\n", std::process::id())).unwrap();
    let cluster = place.open();
    connect(&cluster).await.close().await.unwrap();
    assert_ne!(place.pid(), Some(std::process::id()));
}

#[test]
fn a_second_serve_refuses_and_other_commands_join() {
    let place = Place::new();
    let mut server = place.serve();
    let second = place.costwake(&["serve"]).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success());
    assert!(said.contains("another costwake serve already runs on") && said.contains("stop it first"), "{said}");

    let server_pid = place.pid();
    assert!(place.costwake(&["migrate"]).output().unwrap().status.success());
    assert_eq!(place.pid(), server_pid, "the command used the running server and left it running");

    assert!(server.stop(), "told to stop, it ends well");
    assert!(place.pid().is_none(), "and its cluster with it");
}

#[test]
fn a_terminal_that_is_closed_stops_it_as_well() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    if u64::from_str_radix(ignored, 16).unwrap() & 1 == 1 {
        return crate::support::skipped(
            "a closed terminal: these tests run under nohup, and what they start with them",
        );
    }
    let place = Place::new();
    let mut server = place.serve();
    signal("-HUP", server.0.id());
    assert!(server.0.wait().unwrap().success(), "it ends by itself");
    assert!(place.pid().is_none(), "and its cluster with it");
}

#[test]
fn a_killed_serve_leaves_a_cluster_that_the_next_command_adopts() {
    let place = Place::new();
    let mut server = place.serve();
    server.kill();
    assert!(place.is_running(), "nothing told the cluster to stop");
    assert!(place.costwake(&["migrate"]).output().unwrap().status.success());
    assert!(!place.is_running(), "the command joined it and was the last one out");

    let mut server = place.serve();
    let cluster_pid = place.pid().unwrap();
    server.kill();
    signal("-KILL", cluster_pid);
    until("the cluster is gone", || !place.is_running());
    assert!(place.costwake(&["migrate"]).output().unwrap().status.success());
}

#[test]
fn serve_starts_a_cluster_again_that_was_killed_under_it() {
    let place = Place::new();
    let mut server = place.serve();
    let killed = place.pid().unwrap();
    let began = Instant::now();
    signal("-KILL", killed);
    until("a new server is ready", || place.is_ready() && place.pid() != Some(killed));
    // Some seconds at rest, and several times that beside other work.
    assert!(began.elapsed() < Duration::from_secs(40), "the cluster was away for {:?}", began.elapsed());
    assert!(server.stop());
    assert!(place.pid().is_none());
}

/// A backend in the middle of a long statement does not notice that its server is gone, and holds its memory.
#[tokio::test(flavor = "multi_thread")]
async fn serve_starts_a_cluster_again_that_was_killed_under_a_long_statement() {
    let place = Place::new();
    let mut server = place.serve();
    let cluster = place.open();
    let mut conn = connect(&cluster).await;
    let statement = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b";
    let long = tokio::spawn(async move { conn.execute(statement).await.map(|_| ()) });
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(!long.is_finished());
    let killed = place.pid().unwrap();
    signal("-KILL", killed);
    until("a new server runs", || place.is_running() && place.pid() != Some(killed));
    assert!(long.await.unwrap().is_err());
    drop(cluster);
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_running_server_does_not_grow_without_bound() {
    let place = Place::new();
    let cluster = place.open();
    let log = place.data_dir().join("postgres/server.log");
    fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(&vec![b'x'; 11 << 20]).unwrap();
    cluster.ensure_running().unwrap();
    assert!(fs::metadata(log.with_extension("log.old")).unwrap().len() > 10 << 20, "what was said is kept once");

    connect(&cluster).await.execute("SELECT no_such_column").await.unwrap_err();
    until("the server goes on in it", || fs::read(&log).unwrap().windows(14).any(|word| word == b"no_such_column"));
    assert!(fs::metadata(&log).unwrap().len() < 1 << 20);
}

#[test]
fn a_path_that_is_too_long_for_a_socket_still_works() {
    let place = Place::new();
    let long = place.0.path().join("d".repeat(60)).join("e".repeat(60));
    let cluster = Cluster::open(&long, None).unwrap();
    let sockets = cluster.socket_folder();
    assert!(!sockets.starts_with(&long) && sockets.join(".s.PGSQL.5432").exists(), "{}", sockets.display());
    drop(cluster);
    fs::remove_dir(&sockets).unwrap();
}

#[test]
fn what_is_missing_or_wrong_is_said_with_what_to_do() {
    let place = Place::new();
    let insecure = place.costwake(&["serve", "--public-url", "ftp://x"]).output().unwrap();
    let said = String::from_utf8_lossy(&insecure.stderr);
    assert!(!insecure.status.success());
    assert!(said.contains("COSTWAKE_PUBLIC_URL is ftp://x: it must start with"), "{said}");
    assert!(!place.data_dir().exists(), "nothing was started for it");
    for (name, value, told) in [
        ("COSTWAKE_OUTGOING_NETWORKS", "foo", "foo is no address and no network"),
        ("COSTWAKE_SOURCE_FOLDERS", "/,rel", "rel is not a whole path"),
        ("RUST_LOG", "costwake=loud", "RUST_LOG is costwake=loud, which is no filter"),
        ("DATABASE_URL", "mysql://x", "DATABASE_URL is not a PostgreSQL address"),
    ] {
        let wrong = place.costwake(&["serve"]).env(name, value).output().unwrap();
        let said = String::from_utf8_lossy(&wrong.stderr);
        assert!(!wrong.status.success() && said.contains(told), "{name}: {said}");
        assert!(!place.data_dir().join("postgres").exists(), "nothing was started for it");
    }

    let nowhere = place.costwake(&["migrate", "--postgres-bin", "/nowhere"]).output().unwrap();
    let said = String::from_utf8_lossy(&nowhere.stderr);
    assert!(said.contains("COSTWAKE_POSTGRES_BIN is /nowhere, which has no initdb"), "{said}");

    fs::create_dir_all(place.data_dir().join("postgres")).unwrap();
    fs::write(place.data_dir().join("postgres/PG_VERSION"), "9\n").unwrap();
    let error = Cluster::open(&place.data_dir(), None).unwrap_err().to_string();
    assert!(error.contains("was written by PostgreSQL 9, and its programs are not installed"), "{error}");
    assert!(error.contains("apt-get install postgresql-9"), "{error}");

    fs::remove_file(place.data_dir().join("postgres/PG_VERSION")).unwrap();
    fs::write(place.data_dir().join("postgres/letter.txt"), "not a cluster").unwrap();
    let error = Cluster::open(&place.data_dir(), None).unwrap_err();
    assert!(matches!(error, EmbeddedError::NotACluster { .. }), "{error}");
}

/// As files of an environment have them.
#[test]
fn settings_that_are_empty_are_not_set() {
    let place = Place::new();
    let mut command = place.costwake(&["migrate"]);
    for name in ["DATABASE_URL", "COSTWAKE_LISTEN", "COSTWAKE_METRICS_LISTEN", "COSTWAKE_KEY_FILE", "RUST_LOG"] {
        command.env(name, "");
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(place.data_dir().join("postgres").exists());
    // Somebody may have meant the data of another directory.
    assert!(said.contains("Making a database cluster of PostgreSQL"), "{said}");
    let nobody = place.costwake(&["user", "list"]).output().unwrap();
    assert!(nobody.status.success() && nobody.stdout.is_empty());
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("Nobody is there yet"));
}

#[test]
fn pages_and_jobs_may_be_served_by_two_processes() {
    let place = Place::new();
    let pages = ServeLock::take(&place.data_dir(), true, false).unwrap();
    let _jobs = ServeLock::take(&place.data_dir(), false, true).unwrap();
    assert!(matches!(ServeLock::take(&place.data_dir(), true, true), Err(EmbeddedError::AlreadyServing { .. })));
    drop(pages);
    assert!(ServeLock::take(&place.data_dir(), true, false).is_ok());
}
