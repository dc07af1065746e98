//! F17: the disk of the write-ahead log is full, and PostgreSQL stops itself. The service says so while that lasts,
//! nothing that was acknowledged is lost, and with room again everything goes on.

use crate::ledger::{assert_clean, figures, file, october, request};
use crate::support;
use axum::http::StatusCode;
use costwake::rollup::{ImportOptions, import_with, retention};
use costwake::store::embedded::Cluster;
use costwake::store::{MIGRATIONS, Pools};
use costwake::web::{self, AppState};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A file system for the log alone; it goes away with the value.
struct LogDisk(PathBuf);

impl LogDisk {
    // None where this process may not mount one.
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        fs::create_dir(folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"]).arg(folder);
        let is_mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        is_mounted.then(|| Self(folder.to_owned()))
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for LogDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Moves the log of a cluster that does not run to the disk.
fn move_log(cluster_folder: &Path, disk: &LogDisk) {
    let log = cluster_folder.join("pg_wal");
    let owner = fs::metadata(&log).unwrap();
    chown(&disk.0, Some(owner.uid()), Some(owner.gid())).unwrap();
    fs::set_permissions(&disk.0, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(Command::new("cp").args(["-a"]).arg(log.join(".")).arg(&disk.0).status().unwrap().success());
    fs::remove_dir_all(&log).unwrap();
    std::os::unix::fs::symlink(&disk.0, &log).unwrap();
    std::os::unix::fs::lchown(&log, Some(owner.uid()), Some(owner.gid())).unwrap();
}

async fn import(pools: &Pools, text: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let request = request(file(folder.path(), text), Some("acme"), None);
    import_with(pools, request, ImportOptions::default(), |_, _, _| {}).await.ok().map(|receipt| receipt.state)
}

/// A bill whose lines share nothing, so that its groups and keys fill the log.
fn large() -> String {
    let mut number = 0;
    let lines = october("2.75", 40_000);
    lines
        .lines()
        .map(|line| {
            number += 1;
            line.replace("Some use", &format!("Use number {number} {}", "of many ".repeat(40))) + "\n"
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_log_stops_writing_and_loses_nothing() {
    let place = tempfile::tempdir().unwrap();
    // The server's user walks through it to the log.
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data_dir = place.path().join("data");
    let cluster = Cluster::open(&data_dir, None).unwrap();
    cluster.create_database().await.unwrap();
    let folder = cluster.folder();
    drop(cluster);
    let Some(disk) = LogDisk::mount(&place.path().join("log"), "96m") else {
        return support::skipped("a full disk of the log, because this process may not mount a small one");
    };
    move_log(&folder, &disk);
    let cluster = Cluster::open(&data_dir, None).unwrap();
    let pools = Pools::connect_lazy(cluster.connect_options());
    MIGRATIONS.run(&pools.jobs).await.unwrap();
    assert_eq!(import(&pools, &october("1.25", 40)).await.unwrap(), "published");
    let old = figures(&pools.jobs, "acme").await;
    // By itself it may come back with the little room that its last segment has, before anything was looked at.
    sqlx::query("ALTER SYSTEM SET restart_after_crash = off").execute(&pools.jobs).await.unwrap();
    sqlx::query("SELECT pg_reload_conf()").execute(&pools.jobs).await.unwrap();
    let state = AppState::new(support::config(&["--data-dir", data_dir.to_str().unwrap()]), pools.clone()).unwrap();
    let mut app = support::app(pools.jobs.clone()).await;
    app.router = web::router(state);
    let reader = app.browser(costwake::store::Role::Finance, false, &[]).await;
    assert_eq!(reader.get("/services?period=2026-10").await.status, StatusCode::OK);

    // Somebody else's file takes the room that is left; then the bill comes.
    let filler = disk.0.join("filler");
    let _ = std::io::copy(&mut std::io::repeat(0), &mut fs::File::create(&filler).unwrap());
    let new = large();
    assert_eq!(import(&pools, &new).await, None, "the log does not hold it");
    assert_eq!(app.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(app.get("/healthz").await.status.is_success(), "the process itself is well");
    let page = reader.get("/services?period=2026-10").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.body);
    assert!(page.body.contains("Your figures are safe"), "{}", page.body);
    let write = reader.post_form("/finance/statements/2026-10/close", &[("reason", "Done.")]).await;
    assert_eq!(write.status, StatusCode::SERVICE_UNAVAILABLE, "{}", write.body);

    disk.grow("600m");
    let began = Instant::now();
    while app.get("/readyz").await.status != StatusCode::OK {
        assert!(began.elapsed() < Duration::from_secs(60), "not ready again");
        let _ = cluster.ensure_running();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(figures(&pools.jobs, "acme").await, old);
    retention::sweep(&pools, "2026-11-21T10:00:00Z".parse().unwrap()).await.unwrap();
    assert_clean(&pools.jobs).await;
    assert_eq!(import(&pools, &new).await.unwrap(), "published");
    assert_ne!(figures(&pools.jobs, "acme").await, old);
    assert_eq!(reader.get("/services?period=2026-10").await.status, StatusCode::OK);
    assert_clean(&pools.jobs).await;
}
