//! One file becomes one delivery: read, loaded aside, checked, and counted in one short transaction, or not at all.
//!
//! A charge that spans several days counts on the day of its `ChargePeriodStart`. One that lies outside its billing
//! period (a correction) counts on its own day in daily figures and in its bill in monthly ones.

use super::azure_beside::OneSide;
use super::control_totals::ControlTotals;
use super::file_hash::Sha256Hex;
use super::load::{self, Load};
use super::publish::{self, Publishing};
use super::request::{source_name_fault, version_fault};
use super::retention::{self, Begun};
use super::timings::{Phase, Timings};
use super::unread::{Stamps, remedy, told};
use super::{LedgerError, decision};
use crate::normalize::{BillError, Format};
use crate::store::deliveries::{self, NewDelivery};
use crate::store::jobs::Fence;
use crate::store::receipts::{self, Receipt};
use crate::store::{Pools, generations, joined_exports, locks};
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

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
    /// The version that a manifest or an object carries, and which of them: `manifest` or `object`.
    pub version: Option<(DateTime<Utc>, &'static str)>,
    /// What tells the export from others of the same source, each of which is a scope of its own; empty where there
    /// are none.
    pub export: String,
    /// Files that lie in the same folder: it takes the place of none of them without a decision.
    pub lies_beside: Vec<String>,
    /// The month of which a manifest proves that the files are all of their export: an account that is not in them
    /// any more counts as zero.
    pub snapshot_of: Option<NaiveDate>,
    /// The rows that a manifest promises: where the files hold others, the delivery waits for a decision.
    pub expected_rows: Option<i64>,
    /// What the sender says that the files hold: where they hold something else, the delivery waits too.
    pub control: ControlTotals,
    /// Whether a bill that another source counts is counted here too; otherwise it waits for a decision.
    pub is_counted_elsewhere_too: bool,
    /// Deliveries of the same command or form, which it must not replace without a decision.
    pub together: Vec<i64>,
    /// The delivery that waits for this file, where it was handed in before it is read.
    pub delivery_id: Option<i64>,
    /// The job on whose behalf this happens: a worker that lost it cannot publish.
    pub fence: Option<Fence>,
    /// Ends the import, cleanly, where it is cancelled before the last step.
    pub stop: Option<CancellationToken>,
    /// Bounds of memory.
    pub limits: Limits,
    /// Gets the words for what is being done.
    pub phase: Option<watch::Sender<&'static str>>,
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
    /// What happens at that moment instead, for example to the database; only tests set it.
    pub instead_of_dying: Option<fn()>,
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
        Self {
            groups_max: 800_000,
            rollup_keys_max: 450_000,
            day_sums_max: 300_000,
            dies_at: None,
            instead_of_dying: None,
        }
    }
}

impl Limits {
    pub(super) fn dies_after_rows(&self, rows: i64) -> bool {
        self.dies_at == Some(Stage::Rows(rows)) && self.dies()
    }

    pub(super) fn die_at(&self, stage: Stage) -> Result<(), ImportError> {
        if self.dies_at == Some(stage) && self.dies() { Err(ImportError::Died) } else { Ok(()) }
    }

    fn dies(&self) -> bool {
        self.instead_of_dying.map(|act| act()).is_none()
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
    /// What the file is the same as stopped counting meanwhile.
    #[error("what is counted changed while the file was read")]
    Overtaken,
    /// It was joined with lines of another source than the one that it belongs to.
    #[error("another source holds the bill by now")]
    OfAnotherSource(Option<i64>),
    /// The file is not whole yet.
    #[error("The file changed while it was read, so it was still being written. Hand it in again once it is complete.")]
    StillWritten,
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
    pub(super) fn is_of_the_file(&self) -> bool {
        match self {
            Self::Bill(error) => !matches!(error, BillError::Io(_)),
            Self::TooManyScopes | Self::TooManyCurrencies | Self::StillWritten => true,
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
    // Of a delivery that came in before, the name was looked at then.
    let named = request.source.as_deref().filter(|_| options.delivery_id.is_none());
    let fault = match named {
        Some(name) => source_name_fault(&mut *pools.jobs.acquire().await?, name).await?,
        None => None,
    };
    let fault = fault.or_else(|| request.as_of.and_then(|as_of| version_fault(as_of, request.now)));
    if let Some(fault) = fault {
        anyhow::bail!(fault);
    }
    let _permit = IMPORTS.acquire().await.context("imports are closed")?;
    let paths: Vec<PathBuf> = std::iter::once(&request.path).chain(&options.more_parts).cloned().collect();
    let stamps = Stamps::of(&paths)?;
    let mut file_bytes = 0;
    for path in &paths {
        let metadata = tokio::fs::metadata(path).await.with_context(|| format!("cannot read {}", path.display()))?;
        file_bytes += metadata.len() as i64;
    }
    let mut alive = pools.jobs.acquire().await?.detach();
    let begun = begin(pools, &mut alive, &request, &options, file_bytes).await;
    let Some(begun) = begun.map_err(|error| told(error.into()))? else {
        let delivery_id = options.delivery_id.unwrap_or_default();
        return receipts::get(&mut alive, delivery_id).await?.context("the delivery has no receipt");
    };
    let clock = Clock { received_at: request.now, started: Instant::now() };
    let progress = Arc::new(progress);
    let delivery_id = begun.delivery_id;
    let timings = Timings::telling(options.phase.clone());
    let import = Import { pools, request, options, paths, stamps, begun, file_bytes, progress, clock, timings };
    let stop = import.options.stop.clone().unwrap_or_default();
    // Boxed: it is large, and callers nest it in futures of their own.
    match stop.run_until_cancelled(Box::pin(import.run())).await {
        None => {
            let reason = "It was stopped before all of it was read; nothing of it is counted. Hand the file in again.";
            give_up(pools, delivery_id, reason, import.clock.now()).await?;
        }
        Some(Ok(())) => {}
        Some(Err(ImportError::Died)) => anyhow::bail!("died"),
        Some(Err(error)) if error.is_of_the_file() => {
            import.finish("refused", Some(&error.to_string())).await?;
        }
        Some(Err(error)) => {
            let failed = || format!("The import failed: {}.", error.to_string().trim_end_matches('.'));
            let reason = remedy(&error).map_or_else(failed, str::to_owned);
            tracing::debug!(delivery.id = delivery_id, "An import failed: {error:?}");
            // Where the database is away, the sweep finds the delivery.
            if give_up(pools, delivery_id, &reason, import.clock.now()).await.unwrap_or(true) {
                count("failed", 0);
                return Err(told(error));
            }
        }
    }
    let mut conn = pools.jobs.acquire().await?;
    let receipt = receipts::get(&mut conn, delivery_id).await?.context("the delivery has no receipt")?;
    count(&receipt.state, receipt.rows);
    Ok(receipt)
}

// False where the delivery came to its end after all: of its last step only the answer was lost.
async fn give_up(pools: &Pools, delivery_id: i64, reason: &str, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let is_unfinished = deliveries::fail_unfinished(&pools.jobs, delivery_id, reason, now).await?;
    if is_unfinished {
        retention::discard(pools, delivery_id).await?;
    }
    Ok(is_unfinished)
}

// Labels come from a fixed set; what takes a delivery back meanwhile is not how its import ended.
fn count(state: &str, rows: i64) {
    let known = ["published", "unchanged", "quarantined", "refused", "failed"];
    let state = known.into_iter().find(|known| *known == state).unwrap_or("other");
    metrics::counter!("costwake_deliveries_total", "state" => state).increment(1);
    metrics::counter!("costwake_charges_read_total").increment(rows.unsigned_abs());
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
    let (version_at, version_basis) = match (request.as_of, options.version) {
        (Some(as_of), _) => (as_of, "as-of"),
        (None, Some(version)) => version,
        (None, None) => (request.now, "receipt"),
    };
    let new = NewDelivery {
        file_name: &request.file_name,
        file_bytes,
        named_source: request.source.as_deref(),
        version_at,
        version_basis,
        export: &options.export,
        received_at: request.now,
        received_by: &request.received_by,
    };
    Ok(Some(retention::begin_delivery(alive, &new).await?))
}

struct Import<'a> {
    pools: &'a Pools,
    request: ImportRequest,
    options: ImportOptions,
    paths: Vec<PathBuf>,
    stamps: Stamps,
    begun: Begun,
    file_bytes: i64,
    progress: Arc<super::reader::ProgressFn>,
    clock: Clock,
    timings: Timings,
}

impl Import<'_> {
    async fn run(&self) -> Result<(), ImportError> {
        let mut sha256 = Sha256Hex::of(&self.paths);
        // Only a file of a size that was met before can be the same again: all others are hashed beside the load.
        if deliveries::any_of_size(&self.pools.jobs, self.file_bytes).await?
            && self.is_unchanged(&sha256.get().await?).await?
        {
            return Ok(());
        }
        let (named_source, append_object) = (self.request.source.as_deref(), &self.begun.append_object);
        let mut one_side = None;
        // Files that add up stand by themselves.
        if *append_object == self.options.export {
            one_side = OneSide::of(self.pools, &self.paths, self.options.format, named_source, append_object).await?;
        }
        // The connection holds a lock until it goes away.
        let (mut one_side, _lock) = one_side.unzip();
        loop {
            let again = match load::load(&self.load(one_side.as_ref()), &mut sha256).await {
                Ok(load::Ending::Ready { row_count }) => return self.publish(row_count).await,
                Ok(load::Ending::Closed) => return Ok(()),
                Err(again) => again,
            };
            let other_source = match &again {
                ImportError::RulesChanged | ImportError::Overtaken => None,
                ImportError::OfAnotherSource(source_id) => Some(*source_id),
                _ => return Err(again),
            };
            tracing::info!("An import starts again: {again}.");
            // Read with the same lines again, it would end so again.
            if let (Some(source_id), Some(one_side)) = (other_source, &mut one_side) {
                one_side.join_in(self.pools, source_id, append_object).await?;
            }
        }
    }

    fn load<'a>(&'a self, one_side: Option<&'a OneSide>) -> Load<'a> {
        Load {
            one_side,
            pools: self.pools,
            delivery_id: self.begun.delivery_id,
            paths: &self.paths,
            stamps: &self.stamps,
            format: self.options.format,
            named_source: self.request.source.as_deref(),
            version_at: self.begun.version_at,
            version_basis: &self.begun.version_basis,
            append_object: &self.begun.append_object,
            snapshot_of: self.options.snapshot_of,
            expected_rows: self.options.expected_rows,
            control: &self.options.control,
            together: &self.options.together,
            lies_beside: &self.options.lies_beside,
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
        let append_object = &self.begun.append_object;
        let month = self.options.snapshot_of;
        let same_bytes = deliveries::current_with_same_bytes(&mut *transaction, sha256, named, append_object, month);
        let Some(earlier) = same_bytes.await? else {
            return Ok(false);
        };
        deliveries::copy_content(&mut transaction, earlier, self.begun.delivery_id).await?;
        let (rows, billed_cost) = deliveries::held(&mut transaction, self.begun.delivery_id).await?;
        // Whoever announced something else is refused, by what the files themselves hold: they are read for that.
        if !self.options.control.differences(None, rows, &billed_cost).is_empty() {
            return Ok(false);
        }
        // A manifest is no announcement of its sender: what counts is what they hold, and the receipt says it.
        let differences = self.options.control.differences(self.options.expected_rows, rows, &billed_cost);
        let reason = [vec![decision::same_bytes(earlier)], differences].concat().join(" ");
        generations::renew_delivery(&mut *transaction, earlier, self.begun.version_at).await?;
        joined_exports::renew(&mut *transaction, sha256, self.begun.version_at).await?;
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
            counts_beside: self.options.is_counted_elsewhere_too,
            together: &self.options.together,
            lies_beside: &self.options.lies_beside,
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
            Ok(publish::Published::Held) => Ok(()),
            Ok(publish::Published::No { state, reason }) => {
                retention::discard(self.pools, self.begun.delivery_id).await?;
                Ok(self.finish(state, Some(&reason)).await?)
            }
            Err(LedgerError::Died) => Err(ImportError::Died),
            Err(LedgerError::Difference(difference)) => Err(ImportError::Difference(difference)),
            Err(LedgerError::Overtaken) => Err(ImportError::Overtaken),
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
