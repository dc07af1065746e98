//! One file becomes one delivery: read, loaded aside, checked, and counted in one short transaction, or not at all.
//!
//! A charge that spans several days counts on the day of its `ChargePeriodStart`. One that lies outside its billing
//! period (a correction) counts on its own day in daily figures and in its bill in monthly ones.

use super::LedgerError;
use super::load::{self, Load};
use super::publish::{self, Publishing};
use super::retention::{self, Begun};
use super::timings::{Phase, Timings};
use crate::normalize::{BillError, Format};
use crate::sources::Fingerprint;
use crate::store::Pools;
use crate::store::deliveries::{self, NewDelivery};
use crate::store::jobs::Fence;
use crate::store::locks;
use crate::store::receipts::{self, Receipt};
use anyhow::Context;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};

/// Imports at a time in one process: each holds two connections and its share of memory.
static IMPORTS: Semaphore = Semaphore::const_new(2);

/// A file to take in.
#[derive(Debug, Clone)]
pub struct ImportRequest {
    /// Where it lies.
    pub path: PathBuf,
    /// The name under which it was handed in.
    pub file_name: String,
    /// The source it belongs to; where `None` the file's provider and billing account name it.
    pub source: Option<String>,
    /// What orders deliveries of one scope, where it is not the time of receipt.
    pub as_of: Option<DateTime<Utc>>,
    /// Who handed it in.
    pub received_by: String,
    /// The time of receipt.
    pub now: DateTime<Utc>,
}

/// What an import may also be told.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// What the files are, where their columns do not show it.
    pub format: Option<Format>,
    /// More files that belong to the same delivery, read after the first.
    pub more_parts: Vec<PathBuf>,
    /// The delivery that waits for this file, where it was handed in before it is read.
    pub delivery_id: Option<i64>,
    /// The job on whose behalf this happens: a worker that lost it cannot publish.
    pub fence: Option<Fence>,
    /// Bounds of memory.
    pub limits: Limits,
}

/// How much a load keeps in memory before it sets something aside. The defaults stay below 256 MiB.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Charge groups that are remembered.
    pub groups_max: usize,
    /// Rollup keys that are remembered.
    pub rollup_keys_max: usize,
    /// Daily sums.
    pub day_sums_max: usize,
    /// Where the import dies as if it were killed; only tests set it.
    pub dies_at: Option<Stage>,
}

/// A moment at which an import can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// After this many rows.
    Rows(i64),
    /// Everything was sent; nothing is checked.
    Checks,
    /// Loaded aside; nothing is added up.
    Rollups,
    /// Everything is done but the commit.
    BeforeCommit,
    /// It is visible; nobody was told.
    AfterCommit,
}

impl Default for Limits {
    fn default() -> Self {
        Self { groups_max: 800_000, rollup_keys_max: 450_000, day_sums_max: 300_000, dies_at: None }
    }
}

impl Limits {
    pub(super) fn dies_after_rows(&self, rows: i64) -> bool {
        self.dies_at == Some(Stage::Rows(rows))
    }

    pub(super) fn die_at(&self, stage: Stage) -> Result<(), ImportError> {
        if self.dies_at == Some(stage) { Err(ImportError::Died) } else { Ok(()) }
    }
}

/// Why an import ended.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is not, or not wholly, a bill.
    #[error(transparent)]
    Bill(#[from] BillError),
    /// More scopes than a delivery can hold.
    #[error(
        "The file holds more than 4,096 pairs of billing account and billing period. Split it, for example by month."
    )]
    TooManyScopes,
    /// More currencies than there can be.
    #[error("The file holds more than 65,536 different values of BillingCurrency.")]
    TooManyCurrencies,
    /// The other side of a load went away; its own error says why.
    #[error("the load was interrupted")]
    Interrupted,
    /// The rules that decide what is kept apart changed while the file was read.
    #[error("the mapping rules changed while the file was read")]
    RulesChanged,
    /// What is stored does not add up to what was read.
    #[error("{0}")]
    Difference(String),
    /// A test let it die.
    #[error("died")]
    Died,
    /// The database.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl ImportError {
    /// Whether the file is at fault: such a delivery is refused, and trying again would not help.
    fn is_of_the_file(&self) -> bool {
        match self {
            Self::Bill(error) => !matches!(error, BillError::Io(_)),
            Self::TooManyScopes | Self::TooManyCurrencies => true,
            _ => false,
        }
    }
}

/// Takes a file in and says what became of it. An error means that nothing is known of the file: it was not counted.
pub async fn import_file(
    pools: &Pools,
    request: ImportRequest,
    progress: impl Fn(u64, u64, u64) + Send + Sync + 'static,
) -> anyhow::Result<Receipt> {
    import_with(pools, request, ImportOptions::default(), progress).await
}

/// The same with options.
pub async fn import_with(
    pools: &Pools,
    request: ImportRequest,
    options: ImportOptions,
    progress: impl Fn(u64, u64, u64) + Send + Sync + 'static,
) -> anyhow::Result<Receipt> {
    let _permit = IMPORTS.acquire().await.context("imports are closed")?;
    let paths: Vec<PathBuf> = std::iter::once(&request.path).chain(&options.more_parts).cloned().collect();
    let mut file_bytes = 0;
    for path in &paths {
        let metadata = tokio::fs::metadata(path).await.with_context(|| format!("cannot read {}", path.display()))?;
        file_bytes += metadata.len() as i64;
    }
    let mut alive = pools.jobs.acquire().await?.detach();
    let Some(begun) = begin(pools, &mut alive, &request, &options, file_bytes).await? else {
        let delivery_id = options.delivery_id.unwrap_or_default();
        return receipts::get(&mut alive, delivery_id).await?.context("the delivery has no receipt");
    };
    let clock = Clock { received_at: request.now, started: Instant::now() };
    let progress = Arc::new(progress);
    let delivery_id = begun.delivery_id;
    let timings = Timings::default();
    let import = Import { pools, request, options, paths, begun, file_bytes, progress, clock, timings };
    match import.run().await {
        Ok(()) => {}
        Err(ImportError::Died) => anyhow::bail!("died"),
        Err(error) if error.is_of_the_file() => {
            import.finish("refused", Some(&error.to_string())).await?;
        }
        Err(error) => {
            // The database may be away; then the sweep finds the delivery.
            let _ = retention::discard(pools, delivery_id).await;
            let _ = import.finish("failed", Some(&format!("The import failed: {error}."))).await;
            return Err(error.into());
        }
    }
    let mut conn = pools.jobs.acquire().await?;
    receipts::get(&mut conn, delivery_id).await?.context("the delivery has no receipt")
}

// The connection holds a lock for as long as it lives: a load whose lock is free is dead. None where the delivery
// was dealt with before, by a worker whose answer was lost.
async fn begin(
    pools: &Pools,
    alive: &mut PgConnection,
    request: &ImportRequest,
    options: &ImportOptions,
    file_bytes: i64,
) -> anyhow::Result<Option<Begun>> {
    if let Some(delivery_id) = options.delivery_id {
        return retention::resume_delivery(pools, alive, delivery_id).await;
    }
    let version_at = request.as_of.unwrap_or(request.now);
    let new = NewDelivery {
        file_name: &request.file_name,
        file_bytes,
        named_source: request.source.as_deref(),
        version_at,
        version_basis: if request.as_of.is_some() { "as-of" } else { "receipt" },
        received_at: request.now,
        received_by: &request.received_by,
    };
    let delivery_id = retention::begin_delivery(alive, &new).await?;
    Ok(Some(Begun { delivery_id, version_at }))
}

struct Import<'a> {
    pools: &'a Pools,
    request: ImportRequest,
    options: ImportOptions,
    paths: Vec<PathBuf>,
    begun: Begun,
    file_bytes: i64,
    progress: Arc<super::reader::ProgressFn>,
    clock: Clock,
    timings: Timings,
}

impl Import<'_> {
    async fn run(&self) -> Result<(), ImportError> {
        let paths = self.paths.clone();
        let mut sha256 = Sha256Hex::Running(spawn_blocking(move || fingerprint(&paths)));
        // Only a file of a size that was met before can be the same again: all others are hashed beside the load.
        if deliveries::any_of_size(&self.pools.jobs, self.file_bytes).await?
            && self.is_unchanged(&sha256.get().await?).await?
        {
            return Ok(());
        }
        loop {
            match load::load(&self.load(), &mut sha256).await {
                Ok(load::Ending::Ready { row_count }) => return self.publish(row_count).await,
                Ok(load::Ending::Closed) => return Ok(()),
                Err(ImportError::RulesChanged) => {
                    tracing::info!("The rules changed during an import; it starts again.")
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn load(&self) -> Load<'_> {
        Load {
            pools: self.pools,
            delivery_id: self.begun.delivery_id,
            paths: &self.paths,
            format: self.options.format,
            named_source: self.request.source.as_deref(),
            version_at: self.begun.version_at,
            limits: self.options.limits,
            clock: self.clock,
            progress: self.progress.clone(),
            timings: &self.timings,
        }
    }

    async fn is_unchanged(&self, sha256: &str) -> Result<bool, ImportError> {
        let named = self.request.source.as_deref();
        let mut transaction = self.pools.jobs.begin().await?;
        locks::lock_ledger(&mut transaction).await?;
        let Some(earlier) = deliveries::current_with_same_bytes(&mut *transaction, sha256, named).await? else {
            return Ok(false);
        };
        deliveries::copy_content(&mut transaction, earlier, self.begun.delivery_id).await?;
        let reason = publish::same_bytes(earlier);
        let now = self.clock.now();
        deliveries::finish(&mut *transaction, self.begun.delivery_id, "unchanged", Some(&reason), now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn publish(&self, row_count: i64) -> Result<(), ImportError> {
        self.options.limits.die_at(Stage::Rollups)?;
        let publishing = Publishing {
            delivery_id: self.begun.delivery_id,
            kind: "publish",
            by: &self.request.received_by,
            now: self.clock.now(),
            fence: self.options.fence,
            limits: self.options.limits,
            timings: &self.timings,
        };
        match self.timings.of(Phase::Publish, publish::publish(self.pools, &publishing)).await {
            Ok(publish::Published::Yes) => {
                self.options.limits.die_at(Stage::AfterCommit)?;
                self.timings.log(self.begun.delivery_id, row_count, self.clock.started.elapsed());
                // Not part of the import: what it frees, the sweep would free too.
                if let Err(error) = retention::drop_old_charges(self.pools).await {
                    tracing::warn!("Old charges could not be dropped yet: {error}");
                }
                Ok(())
            }
            Ok(publish::Published::No { state, reason }) => {
                retention::discard(self.pools, self.begun.delivery_id).await?;
                Ok(self.finish(state, Some(&reason)).await?)
            }
            Err(LedgerError::Died) => Err(ImportError::Died),
            Err(LedgerError::Difference(difference)) => Err(ImportError::Difference(difference)),
            Err(error) => Err(ImportError::Other(error.into())),
        }
    }

    async fn finish(&self, state: &str, reason: Option<&str>) -> sqlx::Result<()> {
        deliveries::finish(&self.pools.jobs, self.begun.delivery_id, state, reason, self.clock.now()).await
    }
}

/// The time of receipt and what has passed since: the clock is not read below the commands and jobs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    received_at: DateTime<Utc>,
    started: Instant,
}

impl Clock {
    pub fn now(&self) -> DateTime<Utc> {
        self.received_at + chrono::Duration::from_std(self.started.elapsed()).unwrap_or_default()
    }
}

/// The hash of the bytes, which is made beside the load.
pub(super) enum Sha256Hex {
    Running(JoinHandle<Result<String, ImportError>>),
    Done(String),
}

impl Sha256Hex {
    pub async fn get(&mut self) -> Result<String, ImportError> {
        if let Self::Running(handle) = self {
            *self = Self::Done(handle.await.context("hashing the file")??);
        }
        let Self::Done(sha256) = self else { unreachable!("it was just done") };
        Ok(sha256.clone())
    }
}

fn fingerprint(paths: &[PathBuf]) -> Result<String, ImportError> {
    let mut sha256 = Vec::new();
    for path in paths {
        sha256.push(Fingerprint::of(path).map_err(BillError::Io)?.sha256);
    }
    // Parts are one delivery, so their hashes are hashed; a single file keeps its own.
    match sha256.as_slice() {
        [one] => Ok(one.clone()),
        several => {
            use sha2::{Digest, Sha256};
            Ok(hex::encode(Sha256::digest(several.join("\n"))))
        }
    }
}
