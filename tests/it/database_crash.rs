//! The database is stopped at once (as by `pg_ctl stop -m immediate`), or one of its processes is killed, while a bill
//! is imported (F12, F13).

use crate::ledger::{assert_clean, figures, file, october, request};
use crate::support;
use axum::http::StatusCode;
use costwake::rollup::import::{Limits, Stage};
use costwake::rollup::{ImportOptions, import_with, retention};
use costwake::store::embedded::Cluster;
use costwake::store::{MIGRATIONS, Pools};
use costwake::web::{self, AppState};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// From the start of the recovery to pages; `serve` notices a death within a fraction of a second.
const READY_AGAIN_MAX: Duration = Duration::from_secs(10);

static CLUSTER_FOLDER: OnceLock<PathBuf> = OnceLock::new();

// What pg_ctl sends for "immediate"; the server is gone when this returns.
fn stop_at_once() {
    let pid_file = CLUSTER_FOLDER.get().unwrap().join("postmaster.pid");
    let pid = std::fs::read_to_string(&pid_file).unwrap().lines().next().unwrap().to_owned();
    assert!(Command::new("kill").args(["-QUIT", &pid]).status().unwrap().success());
    let began = Instant::now();
    while std::path::Path::new(&format!("/proc/{pid}")).exists() && began.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

// As the system does where memory is short: the server then ends all connections and starts anew by itself.
fn kill_a_process() {
    let pid_file = CLUSTER_FOLDER.get().unwrap().join("postmaster.pid");
    let pid = std::fs::read_to_string(&pid_file).unwrap().lines().next().unwrap().to_owned();
    let children = Command::new("pgrep").args(["-P", &pid, "-f", "costwake"]).output().unwrap();
    let children = String::from_utf8(children.stdout).unwrap();
    let child = children.split_whitespace().last().expect("the import is connected");
    assert!(Command::new("kill").args(["-KILL", child]).status().unwrap().success());
    std::thread::sleep(Duration::from_millis(300));
}

async fn import(pools: &Pools, source: &str, text: &str, limits: Limits) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let request = request(file(folder.path(), text), Some(source), None);
    let options = ImportOptions { limits, is_counted_elsewhere_too: true, ..ImportOptions::default() };
    import_with(pools, request, options, |_, _, _| {}).await.ok().map(|receipt| receipt.state)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stops_at_once_loses_nothing_and_everything_goes_on_after() {
    let place = tempfile::tempdir().unwrap();
    let data_dir = place.path().join("data");
    let cluster = Cluster::open(&data_dir, None).unwrap();
    CLUSTER_FOLDER.set(cluster.folder()).unwrap();
    cluster.create_database().await.unwrap();
    let pools = Pools::connect_lazy(cluster.connect_options());
    MIGRATIONS.run(&pools.jobs).await.unwrap();
    let state = AppState::new(support::config(&["--data-dir", data_dir.to_str().unwrap()]), pools.clone()).unwrap();
    let mut app = support::app(pools.jobs.clone()).await;
    app.router = web::router(state.clone());
    let stages = [Stage::Rows(50), Stage::Checks, Stage::Rollups, Stage::BeforeCommit, Stage::AfterCommit];
    let ends: [(&str, fn()); 2] = [("stopped", stop_at_once), ("killed", kill_a_process)];
    for (stage, (how, end)) in stages.into_iter().flat_map(|stage| ends.map(|end| (stage, end))) {
        let source = format!("{how} at {stage:?}");
        assert_eq!(import(&pools, &source, &october("1.25", 40), Limits::default()).await.unwrap(), "published");
        let old = figures(&pools.jobs, &source).await;
        let limits = Limits { dies_at: Some(stage), instead_of_dying: Some(end), ..Limits::default() };
        let ended = import(&pools, &source, &october("2.75", 100), limits).await;
        // One that holds no transaction open goes on with a new connection after a killed process.
        let may_go_on = stage == Stage::AfterCommit || how == "killed" && stage == Stage::Rollups;
        assert!(ended.is_none() || may_go_on, "{source}: {ended:?}");
        // After a killed process the server is back before anyone asks.
        if how == "stopped" {
            assert_eq!(app.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE, "{source}");
        }
        let began = Instant::now();
        cluster.ensure_running().unwrap();
        while app.get("/readyz").await.status != StatusCode::OK {
            assert!(began.elapsed() < READY_AGAIN_MAX, "{source}: not ready again");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let is_new = ended.is_some() || stage == Stage::AfterCommit;
        assert_eq!(figures(&pools.jobs, &source).await == old, !is_new, "{source}");
        retention::sweep(&pools, "2026-11-21T10:00:00Z".parse().unwrap()).await.unwrap();
        assert_clean(&pools.jobs).await;
        let again = import(&pools, &source, &october("2.75", 100), Limits::default()).await;
        assert_eq!(again.unwrap(), if is_new { "unchanged" } else { "published" }, "{source}");
        assert_ne!(figures(&pools.jobs, &source).await, old, "{source}");
        assert_clean(&pools.jobs).await;
    }
}
