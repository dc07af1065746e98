//! Connections that end, answers that are lost, and disks that are full while a bill is taken in.

use super::{assert_clean, figures, file, import_as_of, october, request, time, withdraw_source};
use crate::breaking_proxy::{Break, BreakingProxy};
use crate::support;
use costwake::rollup::{ImportOptions, import_with, retention};
use costwake::store::Pools;
use sqlx::PgPool;
use std::process::Command;
use std::time::Duration;

/// More than a statement after another, so that a run of the tests stays short; the offset makes runs differ.
/// `COSTWAKE_STATEMENTS_APART=1` breaks every one.
const STATEMENTS_APART: usize = 7;

fn statements_apart() -> usize {
    let given = std::env::var("COSTWAKE_STATEMENTS_APART").ok().and_then(|text| text.parse().ok());
    given.filter(|apart| *apart > 0).unwrap_or(STATEMENTS_APART)
}

async fn import(pools: &Pools, source: &str, text: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let request = request(file(folder.path(), text), Some(source), None);
    // Each source is another try of the same bill.
    let options = ImportOptions { is_counted_elsewhere_too: true, ..ImportOptions::default() };
    import_with(pools, request, options, |_, _, _| {}).await.ok().map(|receipt| receipt.state)
}

// Old or new, nothing left behind once swept, and handing the file in again ends with the new figures.
async fn assert_recovers(pool: &PgPool, source: &str, old: &[String], text: &str, moment: &str) {
    let pools = support::pools(pool);
    let found = figures(pool, source).await;
    for _ in 0..100 {
        retention::sweep(&pools, time("2026-11-21T10:00:00Z")).await.unwrap();
        if support::count(pool, "SELECT count(*) FROM delivery WHERE state = 'loading'").await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(figures(pool, source).await, found, "{moment}");
    assert_clean(pool).await;
    let state = import(&pools, source, text).await.unwrap();
    let is_new = found != old;
    assert_eq!(state, if is_new { "unchanged" } else { "published" }, "{moment}");
    let new = figures(pool, source).await;
    assert_ne!(new, old, "{moment}");
    assert!(!is_new || found == new, "{moment}: a mix");
    assert_clean(pool).await;
    withdraw_source(pool, source).await;
}

async fn broken_at(pool: &PgPool, at: Break) -> Option<bool> {
    let source = format!("{at:?}");
    import_as_of(pool, &source, &october("1.25", 40), 1).await;
    let old = figures(pool, &source).await;
    let proxy = BreakingProxy::start(pool, at)?;
    let pools = Pools::connect_lazy(proxy.options(pool));
    let new = october("2.75", 100);
    import(&pools, &source, &new).await;
    let has_broken = proxy.has_broken();
    drop(proxy);
    assert_recovers(pool, &source, &old, &new, &source).await;
    Some(has_broken)
}

/// F10 and F14: the connection ends at some statement of an import, at the seventh after that, and so on.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_connection_that_ends_at_any_statement_leaves_the_old_or_the_new(pool: PgPool) {
    let apart = statements_apart();
    let offset = std::process::id() as usize % apart;
    let mut broken = 0;
    for place in (0..).map(|turn| 1 + offset + turn * apart) {
        match broken_at(&pool, Break::AtStatement(place)).await {
            None => return support::skipped("broken connections, because the database has no Unix socket"),
            Some(false) => break,
            Some(true) => broken += 1,
        }
    }
    assert!(broken >= 4, "only {broken} connections were broken");
}

/// F15: the answer to a COMMIT is lost, each of an import's in turn. Trying again finds out what happened.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_lost_answer_to_a_commit_is_found_out_by_trying_again(pool: PgPool) {
    let mut broken = 0;
    for place in 1.. {
        match broken_at(&pool, Break::AfterCommit(place)).await {
            None => return support::skipped("lost answers, because the database has no Unix socket"),
            Some(false) => break,
            Some(true) => broken += 1,
        }
    }
    assert!(broken >= 2, "only {broken} answers were lost");
}

/// F14: an administrator ends all connections, again and again.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn ended_connections_leave_the_old_or_the_new(pool: PgPool) {
    let new = october("2.75", 4_000);
    for turn in 0..6_u64 {
        let source = format!("source {turn}");
        import_as_of(&pool, &source, &october("1.25", 40), 1).await;
        let old = figures(&pool, &source).await;
        let pools = Pools::connect_lazy(PgPool::connect_options(&pool).as_ref().clone());
        let importing = tokio::spawn({
            let (source, new) = (source.clone(), new.clone());
            async move { import(&pools, &source, &new).await }
        });
        tokio::time::sleep(Duration::from_millis(15 * turn)).await;
        support::count(
            &pool,
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
        )
        .await;
        importing.await.unwrap();
        assert_recovers(&pool, &source, &old, &new, &source).await;
    }
}

/// A file system of its own, so small that a bill does not fit.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// `None` where this process may not mount one.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=777");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        is_mounted.then_some(Self { folder })
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.folder.path()).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

const DISK_IS_FULL: &str = "The disk of the database is full: free some space on it and hand the file in again; nothing \
    that was saved is lost, and nothing of this file is counted.";

/// F16: the lines of a bill do not fit on the disk. The receipt says so, the old figures stay, and with space the
/// same file goes in.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_full_disk_fails_the_delivery_and_keeps_the_old_figures(pool: PgPool) {
    let Some(disk) = SmallDisk::mount("3m") else {
        return support::skipped("a full disk, because this process may not mount a small one");
    };
    let place = disk.folder.path().join("tables");
    std::fs::create_dir(&place).unwrap();
    let is_owned = Command::new("chown").arg("postgres:").arg(&place).status().is_ok_and(|status| status.success());
    assert!(is_owned, "the tablespace must belong to the database's user");
    let name = format!("small_{}", std::process::id());
    let run = async |statement: String| sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&pool).await.unwrap();
    run(format!("CREATE TABLESPACE {name} LOCATION '{}'", place.display())).await;
    import_as_of(&pool, "acme", &october("1.25", 40), 1).await;
    let old = figures(&pool, "acme").await;
    let database = pool.connect_options().get_database().unwrap().to_owned();
    run(format!("ALTER DATABASE \"{database}\" SET default_tablespace = {name}")).await;

    let pools = Pools::connect_lazy(pool.connect_options().as_ref().clone());
    let new = october("2.75", 40_000);
    let folder = tempfile::tempdir().unwrap();
    let handed_in = request(file(folder.path(), &new), Some("acme"), None);
    let error = import_with(&pools, handed_in, ImportOptions::default(), |_, _, _| {}).await.unwrap_err();
    // What the command line prints is the one sentence, and nothing of what the server said.
    assert_eq!(format!("{error:#}"), DISK_IS_FULL);
    let (state, reason): (String, String) =
        sqlx::query_as("SELECT state, reason FROM delivery ORDER BY delivery_id DESC LIMIT 1")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(state, "failed");
    assert_eq!(reason, DISK_IS_FULL);
    assert_eq!(figures(&pool, "acme").await, old);
    assert_clean(&pool).await;

    disk.grow("200m");
    assert_eq!(import(&pools, "acme", &new).await.unwrap(), "published");
    assert_ne!(figures(&pool, "acme").await, old);
    assert_clean(&pool).await;
    run(format!("ALTER DATABASE \"{database}\" RESET default_tablespace")).await;
    for table in ["charge_d2", "charge_d3"] {
        run(format!("DROP TABLE IF EXISTS {table}")).await;
    }
    run(format!("DROP TABLESPACE IF EXISTS {name}")).await;
}
