//! Sources: places that are read, the push API, and how both are set up.

mod append;
mod broken_disk;
mod exports;
mod fake_store;
mod faulty_stores;
mod killed;
mod layouts;
mod pages;
mod push;
pub mod push_sockets;
mod queue;
mod setup;
mod stores;
mod tokens;
mod unread;

use crate::ledger::{Line, bill};
use crate::support;
use bigdecimal::BigDecimal;
use chrono::Utc;
use costwake::config::Config;
use costwake::jobs::Worker;
use costwake::sources::kind::{Kind, LateBills, Layout};
use costwake::sources::place::{Credentials, Place};
use costwake::sources::setting::Setting;
use costwake::store::jobs::Lane;
use costwake::store::seal::Key;
use costwake::store::source_reads::{self, ReadRow};
use costwake::store::source_settings;
use costwake::web::source_change::{self, By};
use sqlx::PgPool;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// A data directory with a folder that sources may read, and the settings for both.
pub struct Home {
    /// Both go with it.
    pub folder: tempfile::TempDir,
    /// The settings.
    pub config: Config,
}

impl Home {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bills")).unwrap();
        let data_dir = folder.path().to_str().unwrap();
        let config = support::config(&["--data-dir", data_dir, "--outgoing-networks", "127.0.0.0/8"]);
        Self { folder, config }
    }

    /// Where the files of sources lie.
    pub fn bills(&self) -> PathBuf {
        self.folder.path().join("bills")
    }

    /// Writes a file there.
    pub fn put(&self, key: &str, bytes: impl AsRef<[u8]>) {
        let path = self.bills().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Sets when a file was written, minutes ago.
    pub fn age(&self, key: &str, minutes: u64) {
        let file = std::fs::File::options().write(true).open(self.bills().join(key)).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(minutes * 60)).unwrap();
    }

    pub fn key(&self) -> Key {
        Key::load_or_create(&self.config.key_file()).unwrap()
    }

    /// Sets a source up.
    pub async fn add(&self, pool: &PgPool, setting: &Setting, credentials: &Credentials) -> i64 {
        let mut transaction = pool.begin().await.unwrap();
        let source_id = source_change::add(&mut transaction, &self.key(), setting, credentials, &by()).await.unwrap();
        transaction.commit().await.unwrap();
        source_id
    }

    /// A source that reads the folder.
    pub async fn add_folder(&self, pool: &PgPool, name: &str, layout: Layout) -> i64 {
        self.add(pool, &folder_setting(name, layout, &self.bills()), &Credentials::default()).await
    }

    /// A worker that takes one job at a time.
    pub fn worker(&self, pool: &PgPool) -> Worker {
        let (lane, stop) = (Lane::Imports, CancellationToken::new());
        Worker { pools: support::pools(pool), config: self.config.clone(), lane, stop }
    }

    /// Reads a source now. Nothing may stay behind on the disk.
    pub async fn read(&self, pool: &PgPool, source_id: i64) -> ReadRow {
        let source = source_settings::get(pool, source_id).await.unwrap().unwrap();
        let mut transaction = pool.begin().await.unwrap();
        let job_id = source_change::read_now(&mut transaction, &source, &by()).await.unwrap();
        transaction.commit().await.unwrap();
        assert!(self.worker(pool).take(job_id).await.unwrap());
        let spool = self.folder.path().join("spool");
        assert!(!spool.exists() || std::fs::read_dir(spool).unwrap().next().is_none(), "fetched files stayed");
        source_reads::list(pool, source_id, 1).await.unwrap().remove(0)
    }
}

pub fn by() -> By {
    By { actor: "ann".into(), from: "192.0.2.7".into(), now: Utc::now() }
}

pub fn folder_setting(name: &str, layout: Layout, folder: &Path) -> Setting {
    Setting {
        name: name.into(),
        kind: Kind::Directory,
        layout,
        restatement: layout.restatements()[0],
        format: None,
        place: Place { prefix: folder.to_str().unwrap().into(), ..Place::default() },
        schedule: None,
        expected_every_hours: None,
        late_bills: LateBills::Hold,
    }
}

/// A FOCUS file of October with one line.
pub fn october(cost: &str) -> String {
    bill(&[Line::of("2026-10", 3, "shop", cost)])
}

/// What counts of a source: lines and BilledCost.
pub async fn counted(pool: &PgPool, source: &str) -> (i64, BigDecimal) {
    sqlx::query_as(
        "SELECT coalesce(sum(m.charge_count), 0)::bigint, coalesce(sum(m.billed_cost), 0)
         FROM monthly_cost m JOIN generation g USING (generation_id) JOIN source s USING (source_id)
         WHERE g.state = 'current' AND s.name = $1",
    )
    .bind(source)
    .fetch_one(pool)
    .await
    .unwrap()
}

pub async fn assert_counts(pool: &PgPool, source: &str, lines: i64, cost: &str) {
    assert_eq!(counted(pool, source).await, (lines, cost.parse().unwrap()), "{source}");
}

/// State and reason of a delivery.
pub async fn delivery(pool: &PgPool, delivery_id: i64) -> (String, String) {
    sqlx::query_as("SELECT state, coalesce(reason, '') FROM delivery WHERE delivery_id = $1")
        .bind(delivery_id)
        .fetch_one(pool)
        .await
        .unwrap()
}

/// The real bills, where they are.
pub fn real_bills() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("COSTWAKE_SHARED").map_or(beside, PathBuf::from).join("data/billing");
    if shared.is_dir() {
        return Some(shared);
    }
    support::skipped("sources that deliver real bills, because ../shared/data/billing is not here");
    None
}
