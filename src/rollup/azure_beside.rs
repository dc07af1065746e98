//! The other export of an Azure bill, which came as a delivery of its own before: its lines are taken out of the ledger
//! and joined with those of the file that is read.
//!
//! What is joined is a new generation of the newer delivery. The one before stays behind it, so that taking the newer
//! one back leaves what counted before.

use super::azure_join::{self, BillKey, FROM_BOTH, MARK, Side};
use super::focus_row::Columns;
use super::import::ImportError;
use crate::background;
use crate::normalize::Format;
use crate::store::charges::ChargeFilter;
use crate::store::focus_export::{self, ExportedCharge, ExtraColumns};
use crate::store::joined_exports::{self, Held};
use crate::store::{Pools, Scope, billers, locks};
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::TryStreamExt;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::NamedTempFile;

/// Who provides and invoices such a bill, as sources know it.
const BILLER: &str = "microsoft";

/// A delivery that holds one export of bills, and what is joined with it.
pub(super) struct OneSide {
    pub side: Side,
    /// The lines of the other export, where it counts already.
    pub other: Option<Arc<Other>>,
    /// The bills that the files hold.
    bills: BTreeSet<BillKey>,
}

/// Lines of the ledger, written out to be read beside a file.
pub(super) struct Other {
    pub file: NamedTempFile,
    /// The columns that differ from line to line.
    pub measures: Vec<String>,
    /// The bills that they are of.
    pub bills: Arc<BTreeSet<BillKey>>,
    /// The source that they count in.
    pub source_id: i64,
    held: Vec<Held>,
}

impl OneSide {
    /// `None` where the files are no export of one side. Two exports of a bill are not read at once, because each would
    /// miss the other: the next one waits until the connection that comes along is closed.
    pub async fn of(
        pools: &Pools,
        paths: &[PathBuf],
        format: Option<Format>,
        named_source: Option<&str>,
        export: &str,
    ) -> Result<Option<(Self, PgConnection)>, ImportError> {
        let paths = paths.to_vec();
        // What is wrong with the file is told by whoever reads it.
        let found = background::spawn(move || azure_join::one_side(&paths, format).ok().flatten());
        let Some((side, bills)) = found.await.context("looking at the file")? else { return Ok(None) };
        let mut lock = pools.jobs.acquire().await?.detach();
        locks::lock_azure_exports(&mut lock).await?;
        let mut conn = pools.jobs.acquire().await?;
        let source_id = source_of(&mut conn, named_source, &bills).await?;
        let other = Other::of(&mut conn, source_id, export, side.other(), &bills).await?.map(Arc::new);
        Ok(Some((Self { side, other, bills }, lock)))
    }

    /// What is joined where the files turned out to be of this source, which may have changed while they were read.
    pub async fn join_in(&mut self, pools: &Pools, source_id: Option<i64>, export: &str) -> Result<(), ImportError> {
        let mut conn = pools.jobs.acquire().await?;
        self.other = Other::of(&mut conn, source_id, export, self.side.other(), &self.bills).await?.map(Arc::new);
        Ok(())
    }

    /// Says of a generation of the delivery what it holds.
    pub async fn note(
        &self,
        conn: &mut PgConnection,
        generation_id: i64,
        bill: (&str, NaiveDate),
        delivery: (i64, DateTime<Utc>),
    ) -> sqlx::Result<()> {
        joined_exports::insert(&mut *conn, generation_id, self.side.name(), delivery.0, delivery.1).await?;
        let held = self.other.iter().flat_map(|other| &other.held);
        let mut same = held.filter(|held| (held.billing_account_id.as_str(), held.billing_period_start) == bill);
        if let Some(held) = same.next() {
            let name = self.side.other().name();
            joined_exports::insert(conn, generation_id, name, held.delivery_id, held.version_at).await?;
        }
        Ok(())
    }
}

async fn source_of(
    conn: &mut PgConnection,
    named_source: Option<&str>,
    bills: &BTreeSet<BillKey>,
) -> sqlx::Result<Option<i64>> {
    match named_source {
        Some(name) => joined_exports::source_named(conn, name).await,
        None => billers::source_of(conn, &accounts_of(bills), &[BILLER.to_owned()]).await,
    }
}

fn accounts_of(bills: &BTreeSet<BillKey>) -> Vec<String> {
    bills.iter().map(|(account, _)| account.clone()).collect()
}

impl Other {
    async fn of(
        conn: &mut PgConnection,
        source_id: Option<i64>,
        export: &str,
        side: Side,
        bills: &BTreeSet<BillKey>,
    ) -> Result<Option<Self>, ImportError> {
        let accounts = accounts_of(bills);
        let months: Vec<NaiveDate> = bills.iter().map(|(_, start)| day_of(*start)).collect();
        let Some(source_id) = source_id else { return Ok(None) };
        let held = joined_exports::held(&mut *conn, source_id, export, side.name(), &accounts, &months).await?;
        if held.is_empty() {
            return Ok(None);
        }
        let generation_ids: Vec<i64> = held.iter().map(|held| held.generation_id).collect();
        let mut extra = focus_export::extra_columns(&mut *conn, &Scope::everything(), &generation_ids).await?;
        extra.names.retain(|name| name != MARK);
        let measures = joined_exports::measure_names(&mut *conn, &generation_ids).await?;
        let file = written(conn, &held, side, &extra).await?;
        let bills = held.iter().map(|held| (held.billing_account_id.clone(), midnight(held.billing_period_start)));
        Ok(Some(Self { file, measures, bills: Arc::new(bills.collect()), source_id, held }))
    }
}

fn day_of(seconds: i64) -> NaiveDate {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().date_naive()
}

fn midnight(day: NaiveDate) -> i64 {
    day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp()
}

/// The lines of one export as a file, which goes away with the value.
async fn written(
    conn: &mut PgConnection,
    held: &[Held],
    side: Side,
    extra: &ExtraColumns,
) -> Result<NamedTempFile, ImportError> {
    let columns = Columns::as_kept(extra);
    let file = NamedTempFile::with_suffix(".csv").context("making a file for the lines of the other export")?;
    let mut writer = csv::Writer::from_writer(file.as_file());
    writer.write_record(columns.header()).context("writing the lines of the other export")?;
    let (scope, filter) = (Scope::everything(), ChargeFilter::default());
    let mut row = Vec::new();
    for held in held {
        let mut lines = std::pin::pin!(focus_export::charges(&mut *conn, &scope, &filter, held.generation_id));
        let mut count = 0;
        while let Some(mut charge) = lines.try_next().await? {
            count += 1;
            if held.is_joined && !has_stood(&charge, side)? {
                continue;
            }
            let cost = match side {
                Side::Actual => charge.billed_cost.clone(),
                Side::Amortized => charge.effective_cost.clone(),
            };
            (charge.billed_cost, charge.effective_cost) = (cost.clone(), cost);
            columns.row(&charge, &mut row)?;
            writer.write_record(&row).context("writing the lines of the other export")?;
        }
        if count != held.charge_count {
            let of = held.delivery_id;
            return Err(ImportError::Difference(format!(
                "Delivery {of} has {} lines, and {count} of them could be read again.",
                held.charge_count
            )));
        }
    }
    writer.flush().context("writing the lines of the other export")?;
    drop(writer);
    Ok(file)
}

/// Whether a line of both exports stood in this one.
fn has_stood(charge: &ExportedCharge, side: Side) -> Result<bool, ImportError> {
    let measures = charge.measures.as_deref().unwrap_or("{}");
    let measures: serde_json::Value = serde_json::from_str(measures).context("reading what a line is from")?;
    let mark = measures.get(MARK).and_then(serde_json::Value::as_str);
    Ok(mark.is_some_and(|mark| mark == FROM_BOTH || mark == azure_join::only_from(side)))
}
