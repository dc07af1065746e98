//! The queue: leases, retries, and workers that come back from the dead.

use super::{Line, assert_clean, bill, figures, file, import_as_of, request, time};
use crate::support;
use costwake::jobs::Worker;
use costwake::rollup::{ImportOptions, import_with};
use costwake::store::jobs::{self, Lane};
use costwake::store::{sources, uploads};
use serde_json::json;
use sqlx::{ConnectOptions, PgPool};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

fn worker(pool: &PgPool, lane: Lane, data_dir: &str) -> Worker {
    let config = support::config(&["--data-dir", data_dir]);
    Worker { pools: support::pools(pool), config, lane, stop: CancellationToken::new() }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_upload_is_read_once_and_its_file_goes(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), &bill(&[Line::of("2026-10", 3, "shop", "1.5")]));
    let payload = json!({ "path": path, "file_name": "bill.csv", "source": "acme", "received_by": "ann" });
    let mut conn = pool.acquire().await.unwrap();
    let job_id = jobs::enqueue(&mut conn, "import_upload", "1", &payload).await.unwrap();
    assert_eq!(jobs::enqueue(&mut conn, "import_upload", "2", &json!({})).await.unwrap(), job_id + 1);
    let worker = worker(&pool, Lane::Imports, folder.path().to_str().unwrap());
    assert!(worker.take_one().await.unwrap());
    assert_eq!(figures(&pool, "acme").await.len(), 3);
    assert!(!path.exists());
    // The second has no payload that can be read: it fails, and is tried again later.
    assert!(worker.take_one().await.unwrap());
    assert!(!worker.take_one().await.unwrap());
    let failed = jobs::find(&pool, "import_upload", "2").await.unwrap().unwrap();
    assert_eq!(failed.state, "waiting");
    assert!(failed.last_error.unwrap().contains("payload"));
    assert_clean(&pool).await;
}

/// F29: a worker that lost its lease while it was frozen cannot publish.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_zombie_cannot_publish(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), &bill(&[Line::of("2026-10", 3, "shop", "1.5")]));
    let payload = json!({ "path": path, "file_name": "bill.csv", "source": "acme", "received_by": "ann" });
    jobs::enqueue(&mut pool.acquire().await.unwrap(), "import_upload", "1", &payload).await.unwrap();
    let zombie = jobs::lease(&pool, Lane::Imports, 60).await.unwrap().unwrap();
    assert!(jobs::lease(&pool, Lane::Imports, 60).await.unwrap().is_none());
    sqlx::query("UPDATE job SET leased_until = now() - interval '1 second'").execute(&pool).await.unwrap();
    let heir = jobs::lease(&pool, Lane::Imports, 60).await.unwrap().unwrap();
    assert!(heir.fencing_token > zombie.fencing_token);

    let import = |job: &jobs::Job| {
        let options = ImportOptions { fence: Some(job.fence()), ..ImportOptions::default() };
        let request = request(path.clone(), Some("acme"), None);
        let pools = support::pools(&pool);
        async move { import_with(&pools, request, options, |_, _, _| {}).await }
    };
    let error = import(&zombie).await.unwrap_err();
    assert!(error.to_string().contains("taken this job over"), "{error}");
    assert!(!jobs::heartbeat(&pool, zombie.fence(), 60, "").await.unwrap());
    assert!(figures(&pool, "acme").await.is_empty());
    assert_eq!(import(&heir).await.unwrap().state, "published");
    assert_eq!(figures(&pool, "acme").await.len(), 3);
    assert_clean(&pool).await;
}

/// F29 as it happens: the program is stopped in the middle of an import, another worker does the job, and the program
/// goes on.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_program_that_was_frozen_cannot_publish(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<Line> = (0..60_000).map(|n| Line::of("2026-10", 1 + n % 28, "shop", "0.25")).collect();
    let path = file(folder.path(), &bill(&lines));
    let payload = json!({ "path": path, "file_name": "bill.csv", "source": "acme", "received_by": "ann" });
    jobs::enqueue(&mut pool.acquire().await.unwrap(), "import_upload", "1", &payload).await.unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_costwake"));
    program.env("DATABASE_URL", pool.connect_options().to_url_lossy().to_string());
    program.args(["serve", "--jobs-only", "--metrics-listen", "off", "--data-dir"]).arg(folder.path());
    let mut program = Killed(program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    until(&pool, "SELECT count(*) FROM delivery WHERE state = 'loading'", 1).await;
    program.signal("-STOP");
    let frozen = "SELECT count(*) FROM delivery WHERE state = 'loading'";
    assert_eq!(support::count(&pool, frozen).await, 1, "it was stopped before its end");
    sqlx::query("UPDATE job SET leased_until = now() - interval '1 second'").execute(&pool).await.unwrap();
    let heir = worker(&pool, Lane::Imports, folder.path().to_str().unwrap());
    assert!(heir.take_one().await.unwrap());
    let published = "SELECT count(*) FROM delivery WHERE state = 'published'";
    assert_eq!((support::count(&pool, published).await, support::count(&pool, frozen).await), (1, 1));
    let figures_of_the_heir = figures(&pool, "acme").await;

    program.signal("-CONT");
    until(&pool, frozen, 0).await;
    assert_eq!(support::count(&pool, published).await, 1);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM publication").await, 1);
    assert_eq!(figures(&pool, "acme").await, figures_of_the_heir);
    assert_eq!(jobs::find(&pool, "import_upload", "1").await.unwrap().unwrap().state, "done");
    assert!(program.0.try_wait().unwrap().is_none(), "it lost a job, not its life");
    assert_clean(&pool).await;
}

/// A program that does not outlive its test.
struct Killed(Child);

impl Killed {
    fn signal(&mut self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
        assert!(done.success(), "{signal}");
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn until(pool: &PgPool, sql: &'static str, wanted: i64) {
    let began = Instant::now();
    while support::count(pool, sql).await != wanted {
        assert!(began.elapsed() < Duration::from_secs(120), "{sql}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn upload(pool: &PgPool, path: &std::path::Path) -> i64 {
    let mut conn = pool.acquire().await.unwrap();
    let now = time("2026-11-20T10:00:00Z");
    let upload = sources::Upload {
        file_name: "bill.csv",
        file_bytes: 1,
        named_source: Some("acme"),
        received_by: "ann",
        version_at: now,
        version_basis: "receipt",
        now,
    };
    let delivery_id = sources::insert_upload(&mut conn, &upload).await.unwrap();
    let payload = json!({ "path": path, "file_name": "bill.csv", "source": "acme", "received_by": "ann",
        "delivery_id": delivery_id });
    jobs::enqueue(&mut conn, "import_upload", &delivery_id.to_string(), &payload).await.unwrap();
    delivery_id
}

async fn state_and_reason(pool: &PgPool, delivery_id: i64) -> (String, String) {
    sqlx::query_as("SELECT state, coalesce(reason, '') FROM delivery WHERE delivery_id = $1")
        .bind(delivery_id)
        .fetch_one(pool)
        .await
        .unwrap()
}

/// A file at which the server ends every time is given up, and its receipt says so.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_file_that_ends_the_server_is_given_up(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), &bill(&[Line::of("2026-10", 3, "shop", "1.5")]));
    let delivery_id = upload(&pool, &path).await;
    for attempt in 1..=jobs::ATTEMPTS_MAX {
        let job = jobs::lease(&pool, Lane::Imports, 60).await.unwrap().unwrap();
        assert_eq!(job.attempts, attempt);
        sqlx::query("UPDATE job SET leased_until = now() - interval '1 second'").execute(&pool).await.unwrap();
    }
    assert!(jobs::lease(&pool, Lane::Imports, 60).await.unwrap().is_none());
    let key = delivery_id.to_string();
    assert_eq!(jobs::find(&pool, "import_upload", &key).await.unwrap().unwrap().state, "failed");
    let (state, reason) = state_and_reason(&pool, delivery_id).await;
    assert_eq!(state, "failed");
    assert!(reason.contains("ended at each of 5 tries") && reason.contains("kept for 30 days"), "{reason}");
    assert!(path.exists());
}

/// What was acknowledged is not thrown away by an outage: it waits for someone who tries again, for a month.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_failed_upload_can_be_tried_again(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let worker = worker(&pool, Lane::Imports, folder.path().to_str().unwrap());
    let path = file(folder.path(), &bill(&[Line::of("2026-10", 3, "shop", "1.5")]));
    let delivery_id = upload(&pool, &path).await;
    let fails = async || {
        sqlx::query("ALTER TABLE rollup_key RENAME TO away").execute(&pool).await.unwrap();
        for _ in 0..jobs::ATTEMPTS_MAX {
            assert!(worker.take_one().await.unwrap());
            sqlx::query("UPDATE job SET run_after = now()").execute(&pool).await.unwrap();
        }
        sqlx::query("ALTER TABLE away RENAME TO rollup_key").execute(&pool).await.unwrap();
        assert!(!worker.take_one().await.unwrap());
        let (state, reason) = state_and_reason(&pool, delivery_id).await;
        assert_eq!(state, "failed");
        assert!(
            reason.starts_with("The import failed at every try") && reason.contains("kept for 30 days"),
            "{reason}"
        );
        assert!(path.exists());
    };
    fails().await;
    assert!(uploads::try_again(&mut pool.acquire().await.unwrap(), delivery_id).await.unwrap());
    assert!(!uploads::try_again(&mut pool.acquire().await.unwrap(), delivery_id).await.unwrap());
    fails().await;

    assert!(uploads::try_again(&mut pool.acquire().await.unwrap(), delivery_id).await.unwrap());
    assert!(worker.take_one().await.unwrap());
    assert_eq!(state_and_reason(&pool, delivery_id).await, ("published".into(), String::new()));
    assert!(!path.exists());
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_failed_upload_goes_after_a_month_and_its_receipt_says_so(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    std::fs::create_dir(&spool).unwrap();
    let path = file(&spool, "never read");
    let delivery_id = upload(&pool, &path).await;
    let job = jobs::lease(&pool, Lane::Imports, 60).await.unwrap().unwrap();
    sqlx::query("UPDATE job SET attempts = 5").execute(&pool).await.unwrap();
    assert!(jobs::fail(&pool, job.fence(), "no luck", 1).await.unwrap());
    uploads::fail(&pool, delivery_id, "no luck", time("2026-11-20T10:00:00Z")).await.unwrap();
    let worker = worker(&pool, Lane::Others, folder.path().to_str().unwrap());
    for (days, is_there) in [(29, true), (31, false)] {
        sqlx::query("UPDATE job SET finished_at = now() - make_interval(days => $1) WHERE kind = 'import_upload'")
            .bind(days)
            .execute(&pool)
            .await
            .unwrap();
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(days as u64 * 86_400);
        if is_there {
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        }
        jobs::enqueue(&mut pool.acquire().await.unwrap(), "sweep", "", &json!({})).await.unwrap();
        assert!(worker.take_one().await.unwrap());
        assert_eq!(path.exists(), is_there, "after {days} days");
    }
    let (_, reason) = state_and_reason(&pool, delivery_id).await;
    assert!(reason.contains("deleted after 30 days: upload it again"), "{reason}");
    assert!(!uploads::try_again(&mut pool.acquire().await.unwrap(), delivery_id).await.unwrap());
}

/// What a killed process left of temporary files goes after a day.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn old_temporary_files_are_swept(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    for (name, hours) in [(".tmpOld1.csv", 25), (".tmpNew1.csv", 1), ("of somebody else.csv", 25)] {
        let file = std::fs::File::create(temporary.join(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
    }
    jobs::enqueue(&mut pool.acquire().await.unwrap(), "sweep", "", &json!({})).await.unwrap();
    assert!(worker(&pool, Lane::Others, folder.path().to_str().unwrap()).take_one().await.unwrap());
    let is_there = |name: &str| temporary.join(name).exists();
    assert_eq!((is_there(".tmpOld1.csv"), is_there(".tmpNew1.csv")), (false, true));
    assert!(is_there("of somebody else.csv"));
}

/// What is asked for while it runs is done once more, and only once.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_job_asked_for_while_it_runs_follows(pool: PgPool) {
    let mut conn = pool.acquire().await.unwrap();
    let first = jobs::enqueue(&mut conn, "remap", "", &json!({})).await.unwrap();
    assert_eq!(jobs::enqueue(&mut conn, "remap", "", &json!({})).await.unwrap(), first);
    let running = jobs::lease(&mut *conn, Lane::Others, 60).await.unwrap().unwrap();
    jobs::enqueue(&mut conn, "remap", "", &json!({})).await.unwrap();
    jobs::enqueue(&mut conn, "remap", "", &json!({})).await.unwrap();
    jobs::finish(&mut conn, running.fence()).await.unwrap();
    let second = jobs::lease(&mut *conn, Lane::Others, 60).await.unwrap().unwrap();
    assert!(second.job_id > first);
    jobs::finish(&mut conn, second.fence()).await.unwrap();
    assert!(jobs::lease(&mut *conn, Lane::Others, 60).await.unwrap().is_none());
}

/// Months that are loaded one after another are looked at once they are all there; nothing else waits for them, and the
/// analyses no longer than half an hour.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn analyses_wait_for_loads_that_take_long(pool: PgPool) {
    let mut conn = pool.acquire().await.unwrap();
    import_as_of(&pool, "acme", &bill(&[Line::of("2026-10", 3, "shop", "1.5")]), 5).await;
    for kind in [jobs::SETTLE_EFFECTS, jobs::DETECT_ANOMALIES, jobs::FORECAST, "remap"] {
        jobs::enqueue(&mut conn, kind, "", &json!({})).await.unwrap();
    }
    // The state of the load, how long ago it began and ended in seconds, and how long the jobs wait; whether they wait on.
    let cases = [
        ("loading", 5, None, 0, false),
        ("loading", 60, None, 0, true),
        ("loading", 60, None, 1790, true),
        ("loading", 60, None, 1810, false),
        ("loading", 1810, None, 0, false),
        ("published", 9, Some(0), 0, false),
        ("published", 90, Some(40), 0, true),
        ("published", 90, Some(50), 0, false),
        ("published", 700, Some(110), 0, true),
        ("published", 700, Some(130), 0, false),
        ("failed", 60, Some(5), 0, false),
    ];
    for (state, began, ended, waiting, waits) in cases {
        let told = format!("{state}, {began} s, {ended:?}, jobs {waiting} s");
        sqlx::query(
            "UPDATE delivery SET state = $1, received_at = clock_timestamp() - make_interval(secs => $2),
                finished_at = clock_timestamp() - make_interval(secs => $3)",
        )
        .bind(state)
        .bind(f64::from(began))
        .bind(ended.map(f64::from))
        .execute(&mut *conn)
        .await
        .unwrap();
        sqlx::query("UPDATE job SET state = 'waiting', run_after = clock_timestamp() - make_interval(secs => $1)")
            .bind(f64::from(waiting))
            .execute(&mut *conn)
            .await
            .unwrap();
        let mut leased = Vec::new();
        while let Some(job) = jobs::lease(&mut *conn, Lane::Others, 60).await.unwrap() {
            leased.push(job.kind);
        }
        leased.sort_unstable();
        let all = [jobs::DETECT_ANOMALIES, jobs::FORECAST, "remap", jobs::SETTLE_EFFECTS];
        let expected: &[&str] = if waits { &["remap"] } else { &all };
        assert_eq!(leased, expected, "{told}");
    }
}

/// Who asks while a job ends waits for that, and then a new one waits; who asks first holds the end up, and a new one
/// follows it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_job_asked_for_while_it_ends_is_not_lost(pool: PgPool) {
    for asks_first in [false, true] {
        let first = jobs::enqueue(&mut pool.acquire().await.unwrap(), "remap", "", &json!({})).await.unwrap();
        let running = jobs::lease(&pool, Lane::Others, 60).await.unwrap().unwrap();
        assert_eq!(running.job_id, first);
        let (mut asking, mut ending) = (pool.begin().await.unwrap(), pool.begin().await.unwrap());
        if asks_first {
            jobs::enqueue(&mut asking, "remap", "", &json!({})).await.unwrap();
            let (ended, committed) = tokio::join!(jobs::finish(&mut ending, running.fence()), asking.commit());
            ended.and(committed).unwrap();
            ending.commit().await.unwrap();
        } else {
            jobs::finish(&mut ending, running.fence()).await.unwrap();
            let payload = json!({});
            let (asked, committed) = tokio::join!(jobs::enqueue(&mut asking, "remap", "", &payload), ending.commit());
            assert!(asked.unwrap() > first);
            committed.unwrap();
            asking.commit().await.unwrap();
        }
        let second = jobs::lease(&pool, Lane::Others, 60).await.unwrap().unwrap();
        assert!(second.job_id > first, "asked first: {asks_first}");
        jobs::finish(&mut pool.acquire().await.unwrap(), second.fence()).await.unwrap();
        assert!(jobs::lease(&pool, Lane::Others, 60).await.unwrap().is_none(), "asked first: {asks_first}");
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_other_kind_of_job_runs(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let worker = worker(&pool, Lane::Others, folder.path().to_str().unwrap());
    for kind in ["sweep", "remap", "normalize_events"] {
        jobs::enqueue(&mut pool.acquire().await.unwrap(), kind, "", &json!({})).await.unwrap();
        assert!(worker.take_one().await.unwrap());
        let job = jobs::find(&pool, kind, "").await.unwrap().unwrap();
        assert_eq!((job.state.as_str(), job.last_error), ("done", None), "{kind}");
    }
}
