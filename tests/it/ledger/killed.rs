//! Processes that die by SIGKILL at a chosen moment: in each stage of an import, and in each step of the clean-up.

use super::{assert_clean, figures, file, import_as_of, october, request, time};
use crate::support;
use costwake::rollup::import::{Limits, Stage};
use costwake::rollup::{ImportOptions, import_with, retention};
use sqlx::{AssertSqlSafe, ConnectOptions, PgPool};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const STAGES: [Stage; 5] = [Stage::Rows(50), Stage::Checks, Stage::Rollups, Stage::BeforeCommit, Stage::AfterCommit];
const KILL: i32 = 9;
const WAIT_MAX: Duration = Duration::from_secs(60);
/// What the process of [`dies_where_it_is_told`] reads: the stage's place, the database, the source, the file.
const TOLD: &str = "COSTWAKE_TEST_DIES_AT";

// The locks of loads: one that died has none once the database noticed.
const HELD: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

// What nobody counts and nobody works on any more.
async fn orphans(pool: &PgPool) -> i64 {
    let sql = "SELECT (SELECT count(*) FROM pg_class c WHERE c.relname ~ '^charge_d[0-9]+$' AND c.relkind = 'r'
                         AND NOT EXISTS (SELECT FROM generation g
                                         WHERE 'charge_d' || g.delivery_id = c.relname AND g.has_charges))
                    + (SELECT count(*) FROM daily_cost_by_key d
                       WHERE NOT EXISTS (SELECT FROM generation g
                                         WHERE g.generation_id = d.generation_id AND g.has_charges))
                    + (SELECT count(*) FROM generation WHERE state IN ('loading', 'ready'))
                    + (SELECT count(*) FROM delivery WHERE state = 'loading')";
    support::count(pool, sql).await
}

fn kill_oneself() {
    let _ = Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status();
    std::thread::sleep(WAIT_MAX);
}

/// The process that [`f03_to_f07_an_import_killed_at_each_stage_leaves_the_old_or_the_new`] starts; without being told
/// where to die there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn dies_where_it_is_told() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let [stage, address, source, path] = told.split('|').collect::<Vec<_>>()[..] else { panic!("{told}") };
    let pool = PgPool::connect(address).await.unwrap();
    let stage = STAGES[stage.parse::<usize>().unwrap()];
    let limits = Limits { dies_at: Some(stage), instead_of_dying: Some(kill_oneself), ..Limits::default() };
    let options = ImportOptions { limits, ..ImportOptions::default() };
    let request = request(path.into(), Some(source), None);
    let outcome = import_with(&support::pools(&pool), request, options, |_, _, _| {}).await;
    panic!("{stage:?} did not end it: {outcome:?}");
}

fn die(stage: usize, pool: &PgPool, source: &str, path: &Path) {
    let address = pool.connect_options().to_url_lossy();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "ledger::killed::dies_where_it_is_told"]);
    command.env(TOLD, format!("{stage}|{address}|{source}|{}", path.display()));
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.signal(), Some(KILL), "{status}");
}

// The lock of a dead load goes with its connection, which the server notices a moment later.
pub(super) async fn sweep(pool: &PgPool) {
    let began = Instant::now();
    while orphans(pool).await > 0 {
        assert!(began.elapsed() < WAIT_MAX, "what the dead left was not swept");
        retention::sweep(&support::pools(pool), time("2026-11-21T10:00:00Z")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// F03 to F07: half of the lines sent, all sent, loaded, before the commit, after it and before anybody was told.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn f03_to_f07_an_import_killed_at_each_stage_leaves_the_old_or_the_new(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    for (number, stage) in STAGES.into_iter().enumerate() {
        let source = format!("source {number}");
        import_as_of(&pool, &source, &october("1.25", 40 + number as u32), 1).await;
        let old = figures(&pool, &source).await;
        let path = file(folder.path(), &october("2.75", 100 + number as u32));
        die(number, &pool, &source, &path);
        let is_new = stage == Stage::AfterCommit;
        assert_eq!(figures(&pool, &source).await == old, !is_new, "{stage:?}");
        assert_clean(&pool).await;
        sweep(&pool).await;
        assert_eq!(figures(&pool, &source).await == old, !is_new, "{stage:?}");
        let again = request(path, Some(&source), None);
        let again = import_with(&support::pools(&pool), again, ImportOptions::default(), |_, _, _| {}).await.unwrap();
        assert_eq!(again.state, if is_new { "unchanged" } else { "published" }, "{stage:?}");
        let lines = figures(&pool, &source).await.iter().filter(|figure| figure.starts_with("line")).count();
        assert_eq!(lines, 100 + number, "{stage:?}");
        assert_clean(&pool).await;
        super::withdraw_source(&pool, &source).await;
    }
}

fn verify(pool: &PgPool, folder: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.env("DATABASE_URL", pool.connect_options().to_url_lossy().to_string());
    command.env("COSTWAKE_DATA_DIR", folder).arg("verify");
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

async fn import_dying_at(pool: &PgPool, source: &str, text: &str, stage: Stage) -> i64 {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { dies_at: Some(stage), ..Limits::default() };
    let options = ImportOptions { limits, ..ImportOptions::default() };
    let request = request(file(folder.path(), text), Some(source), None);
    import_with(&support::pools(pool), request, options, |_, _, _| {}).await.unwrap_err();
    support::count(pool, "SELECT max(delivery_id) FROM delivery").await
}

/// F09: the clean-up dies at each of its steps, each of which waits for a lock that somebody else holds: what it marks as
/// failed, what it deletes of a dead load, and the lines of old generations. Readers see the same figures, and the next
/// clean-up ends what this one began.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn f09_a_clean_up_killed_at_each_step_is_ended_by_the_next(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let steps = [
        ("UPDATE delivery", "SELECT FROM delivery WHERE delivery_id = {dead} FOR UPDATE"),
        ("DELETE FROM generation", "SELECT FROM generation WHERE delivery_id = {dead} FOR UPDATE"),
        (
            "DELETE FROM daily_cost_by_key d",
            "SELECT FROM daily_cost_by_key WHERE generation_id / 4096 = {dead} FOR UPDATE",
        ),
        ("DROP TABLE IF EXISTS charge_d{dead}", "LOCK TABLE charge_d{dead} IN ACCESS SHARE MODE"),
        ("UPDATE generation", "SELECT FROM generation WHERE delivery_id = {old} FOR UPDATE"),
        ("DROP TABLE IF EXISTS charge_d{old}", "LOCK TABLE charge_d{old} IN ACCESS SHARE MODE"),
    ];
    for (number, (step, lock)) in steps.into_iter().enumerate() {
        // A load that died with all loaded aside, and lines of the generation before the last but one.
        let (rows, source) = (10 + number as u32, format!("source {number}"));
        let old = import_as_of(&pool, &source, &october("1.25", rows), 1).await.delivery_id;
        import_as_of(&pool, &source, &october("1.50", rows), 2).await;
        import_dying_at(&pool, &source, &october("1.75", rows), Stage::AfterCommit).await;
        let dead = import_dying_at(&pool, &source, &october("2.75", rows), Stage::BeforeCommit).await;
        let before = figures(&pool, &source).await;
        let began = Instant::now();
        while support::count(&pool, HELD).await > 0 {
            assert!(began.elapsed() < WAIT_MAX, "the lock of a dead load stays");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let named = |text: &str| text.replace("{dead}", &dead.to_string()).replace("{old}", &old.to_string());
        let (step, lock) = (named(step), named(lock));

        let mut holder = pool.begin().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *holder).await.unwrap();
        let mut child = verify(&pool, folder.path());
        let waits = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
               AND query LIKE '{step}%'"
        );
        let began = Instant::now();
        while sqlx::query_scalar::<_, i64>(AssertSqlSafe(waits.clone())).fetch_one(&pool).await.unwrap() == 0 {
            assert!(began.elapsed() < WAIT_MAX, "it does not wait at {step}");
            assert!(child.try_wait().unwrap().is_none(), "it ended before {step}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(figures(&pool, &source).await, before, "{step}");
        holder.rollback().await.unwrap();

        let began = Instant::now();
        while orphans(&pool).await > 0 {
            assert!(began.elapsed() < WAIT_MAX, "what was left at {step} is not swept");
            assert!(verify(&pool, folder.path()).wait().unwrap().success(), "{step}");
        }
        assert_eq!(figures(&pool, &source).await, before, "{step}");
        let state = format!("SELECT (state = 'failed')::int::bigint FROM delivery WHERE delivery_id = {dead}");
        assert_eq!(sqlx::query_scalar::<_, i64>(AssertSqlSafe(state)).fetch_one(&pool).await.unwrap(), 1, "{step}");
        assert_clean(&pool).await;
        let again = request(file(folder.path(), &october("2.75", rows)), Some(&source), None);
        let again = import_with(&support::pools(&pool), again, ImportOptions::default(), |_, _, _| {}).await.unwrap();
        assert_eq!(again.state, "published", "{step}: {:?}", again.reason);
        super::withdraw_source(&pool, &source).await;
    }
}
