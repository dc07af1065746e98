//! The queue: leases, retries, and workers that come back from the dead.

use super::{Line, assert_clean, bill, figures, file, request};
use crate::support;
use costwake::jobs::Worker;
use costwake::rollup::{ImportOptions, import_with};
use costwake::store::jobs::{self, Lane};
use serde_json::json;
use sqlx::PgPool;
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
