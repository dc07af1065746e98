//! The database is stopped at once (as by `pg_ctl stop -m immediate`) while a bill is imported (F12).

use crate::ledger::{Line, assert_clean, bill, figures, file, request};
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

fn october(cost: &str, count: u32) -> String {
    bill(&(0..count).map(|n| Line::of("2026-10", 1 + n % 28, &format!("service-{}", n % 7), cost)).collect::<Vec<_>>())
}

async fn import(pools: &Pools, source: &str, text: &str, limits: Limits) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let request = request(file(folder.path(), text), Some(source), None);
    let options = ImportOptions { limits, ..ImportOptions::default() };
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
    for (number, stage) in stages.into_iter().enumerate() {
        let source = format!("source {number}");
        assert_eq!(import(&pools, &source, &october("1.25", 40), Limits::default()).await.unwrap(), "published");
        let old = figures(&pools.jobs, &source).await;
        let limits = Limits { dies_at: Some(stage), instead_of_dying: Some(stop_at_once), ..Limits::default() };
        let ended = import(&pools, &source, &october("2.75", 100), limits).await;
        assert!(ended.is_none() || stage == Stage::AfterCommit, "{stage:?}: {ended:?}");
        assert_eq!(app.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE, "{stage:?}");
        cluster.ensure_running().unwrap();
        let began = Instant::now();
        while app.get("/readyz").await.status != StatusCode::OK {
            assert!(began.elapsed() < Duration::from_secs(30), "{stage:?}: not ready again");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let is_new = stage == Stage::AfterCommit;
        assert_eq!(figures(&pools.jobs, &source).await == old, !is_new, "{stage:?}");
        retention::sweep(&pools, "2026-11-21T10:00:00Z".parse().unwrap()).await.unwrap();
        assert_clean(&pools.jobs).await;
        let again = import(&pools, &source, &october("2.75", 100), Limits::default()).await;
        assert_eq!(again.unwrap(), if is_new { "unchanged" } else { "published" }, "{stage:?}");
        assert_ne!(figures(&pools.jobs, &source).await, old, "{stage:?}");
        assert_clean(&pools.jobs).await;
    }
}
