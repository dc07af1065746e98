//! Loads a file aside: charges into a partition of their own, groups and keys into theirs, daily sums by key.
//!
//! The charges' connection keeps one transaction open from the first row to the last check: killed anywhere before
//! its commit, nothing of them is there. Groups and keys are named by their content, so they may be there early.

use super::azure_beside::OneSide;
use super::azure_join::Side;
use super::control_totals::ControlTotals;
use super::decision::{Outcome, Tally, Version};
use super::file_hash::Sha256Hex;
use super::import::{Clock, ImportError, Limits, Stage};
use super::key_attributes::KeyAttributes;
use super::reader::{self, ChargeBytes, Found, Plan, ProgressFn, Unread};
use super::timings::{Phase, Timings};
use super::unread::{self, Stamps};
use super::{CountedAlready, bill_source, gone, late, partition, staging, statistics, verify};
use crate::background;
use crate::normalize::Format;
use crate::store::deliveries::{self, Content, Rejection, Total};
use crate::store::generations::{self, Gone, NewGeneration};
use crate::store::late_bills::Newer;
use crate::store::{Pools, invoices, joined_exports, locks, rejected_totals, same_subscription};
use anyhow::Context;
use bigdecimal::{BigDecimal, Zero};
use chrono::{DateTime, Days, NaiveDate, Utc};
use sqlx::{Connection, PgConnection};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc::{self, Receiver};

/// COPY chunks under way between the reader and the database.
const CHUNKS_UNDER_WAY: usize = 6;

pub(super) struct Load<'a> {
    pub pools: &'a Pools,
    pub delivery_id: i64,
    pub paths: &'a [PathBuf],
    pub stamps: &'a Stamps,
    pub format: Option<Format>,
    /// The one export of Azure bills that it is.
    pub one_side: Option<&'a OneSide>,
    pub named_source: Option<&'a str>,
    pub version_at: DateTime<Utc>,
    pub version_basis: &'a str,
    /// The object that the delivery stands for where its source appends, else its export.
    pub append_object: &'a str,
    /// The month of which a manifest proves that the files are all of their export.
    pub snapshot_of: Option<NaiveDate>,
    /// The rows that the manifest promises.
    pub expected_rows: Option<i64>,
    /// What the sender says that the files hold.
    pub control: &'a ControlTotals,
    /// Deliveries of the same command or form, and files that lie in the same folder.
    pub together: &'a [i64],
    pub lies_beside: &'a [String],
    pub limits: Limits,
    pub clock: Clock,
    pub progress: Arc<ProgressFn>,
    pub timings: &'a Timings,
}

/// How a load ended.
pub(super) enum Ending {
    /// Loaded aside, and to be counted.
    Ready { row_count: i64 },
    /// Refused, unchanged or quarantined: the delivery says so already.
    Closed,
}

/// What is to become of a file that was read to its end.
enum Verdict {
    Refused(String),
    Unchanged(String),
    Quarantined(String),
    Publish,
}

pub(super) async fn load(load: &Load<'_>, sha256: &mut Sha256Hex) -> Result<Ending, ImportError> {
    let mut charges = load.pools.jobs.acquire().await?;
    let mut side = load.pools.jobs.acquire().await?;
    let rules_before = staging::rules_fingerprint(&mut side).await?;
    let key_attributes = KeyAttributes::load(&mut side).await?;
    staging::clear_partial_days(&mut side).await?;

    let mut transaction = charges.begin().await?;
    partition::create(&mut transaction, load.delivery_id).await?;
    let streaming = stream(load, &mut transaction, &mut side, key_attributes, &rules_before);
    let mut found = match load.timings.of(Phase::ParseAndLoad, streaming).await {
        Ok(found) => found,
        Err(Unread { error, found }) => {
            transaction.rollback().await?;
            if error.is_of_the_file() {
                unread::keep(&mut side, load, *found, &sha256.get().await?).await?;
            }
            return Err(error);
        }
    };
    load.stamps.check(load.paths)?;
    load.timings.add(Phase::AddingUp, found.adding_up);
    load.limits.die_at(Stage::Checks)?;

    let sha256 = sha256.get().await?;
    let source_id = bill_source::source(&mut side, load.named_source, &found).await?;
    if let Some(source_id) = source_id {
        found.warnings.extend(bill_source::warnings(&mut side, source_id, &found).await?);
    }
    let joined = load.one_side.and_then(|one| one.other.as_ref());
    if joined.is_some_and(|other| Some(other.source_id) != source_id) {
        return Err(ImportError::OfAnotherSource(source_id));
    }
    let gone = gone::find(&mut side, load, &found, source_id).await?;
    found.warnings.extend(gone.iter().map(gone::words));
    let verdict = verdict(&mut side, load, &found, source_id, &gone, &sha256).await?;
    let has_scopes = !found.scopes.list().is_empty() || !gone.is_empty();
    let loads = matches!(verdict, Verdict::Publish | Verdict::Quarantined(_)) && has_scopes;
    let (state, reason) = match &verdict {
        Verdict::Refused(reason) => ("refused", Some(reason.as_str())),
        Verdict::Unchanged(reason) => ("unchanged", Some(reason.as_str())),
        Verdict::Quarantined(reason) => ("quarantined", Some(reason.as_str())),
        Verdict::Publish => ("loading", None),
    };
    if !loads || !found.lacks_essentials().is_empty() {
        transaction.rollback().await?;
        let mut transaction = side.begin().await?;
        keep_content(&mut transaction, load, &found, source_id, &sha256).await?;
        deliveries::finish(&mut *transaction, load.delivery_id, state, reason, load.clock.now()).await?;
        transaction.commit().await?;
        return Ok(Ending::Closed);
    }
    locks::share_keys(&mut transaction).await?;
    if staging::rules_fingerprint(&mut side).await? != rules_before {
        return Err(ImportError::RulesChanged);
    }
    keep_content(&mut transaction, load, &found, source_id, &sha256).await?;
    let source_id = source_id.context("a file with scopes has a source")?;
    insert_generations(&mut transaction, load, source_id, &found).await?;
    insert_gone(&mut transaction, load, source_id, found.scopes.list().len(), &gone).await?;
    let sums = found.invoices.rows(load.delivery_id, |currency| found.scopes.currency_name(currency).to_owned());
    invoices::insert_sums(&mut transaction, &sums).await?;
    let (indexed, days) = tokio::join!(
        load.timings.of(Phase::Index, partition::finish(&mut transaction, load.delivery_id)),
        load.timings.of(Phase::DailySums, staging::write_days(&mut side, load.delivery_id, &found))
    );
    indexed?;
    days?;
    let checking = load.timings.of(Phase::Verify, check(&mut transaction, load.delivery_id));
    let (checked, ()) = tokio::join!(checking, statistics::of_loaded(&mut side));
    checked?;
    load.timings.of(Phase::DailySums, sums_by_subscription(&mut transaction, load.delivery_id, &found)).await?;
    if let Verdict::Quarantined(reason) = &verdict {
        let twice = CountedAlready::of(&mut transaction, load.delivery_id).await?.reason();
        let reasons: Vec<&str> = std::iter::once(reason.as_str()).chain(twice.as_deref()).collect();
        let (reason, now) = (reasons.join(" "), load.clock.now());
        deliveries::finish(&mut *transaction, load.delivery_id, state, Some(&reason), now).await?;
        deliveries::note_faulty(&mut *transaction, load.delivery_id).await?;
    }
    transaction.commit().await?;
    if state != "quarantined" {
        return Ok(Ending::Ready { row_count: found.row_count });
    }
    // It waits already: that is no reason for the import to fail.
    if let Err(error) = replace_waiting(load, &mut side).await {
        tracing::warn!("Older deliveries than {} could not be closed: {error}", load.delivery_id);
    }
    Ok(Ending::Closed)
}

// Of several faulty ones only the newest is asked about. What is whole waits on: it may be the better one.
async fn replace_waiting(load: &Load<'_>, conn: &mut PgConnection) -> sqlx::Result<()> {
    let mut transaction = conn.begin().await?;
    locks::lock_ledger(&mut transaction).await?;
    let own = generations::of_delivery(&mut *transaction, load.delivery_id).await?;
    let own: Vec<i64> = own.iter().map(|scope| scope.generation_id).collect();
    let Load { delivery_id, together, lies_beside, .. } = *load;
    let newer = Newer { delivery_id, generation_ids: &own, is_whole: false, together, lies_beside };
    late::replace_waiting(&mut transaction, newer, load.clock.now()).await?;
    transaction.commit().await
}

// Three hands: one thread reads, one connection takes charges, the other what they share.
async fn stream(
    load: &Load<'_>,
    charges: &mut PgConnection,
    side: &mut PgConnection,
    key_attributes: KeyAttributes,
    rules: &str,
) -> Result<Found, Unread> {
    let (charge_sender, charge_receiver) = mpsc::channel(CHUNKS_UNDER_WAY);
    let (staged_sender, staged_receiver) = mpsc::channel(2);
    let plan = Plan {
        paths: load.paths.to_vec(),
        format: load.format,
        beside: load.one_side.and_then(|one| Some((one.side, one.other.clone()?))),
        first_generation_id: generations::first_id(load.delivery_id),
        limits: load.limits,
        charges: charge_sender,
        staged: staged_sender,
        progress: load.progress.clone(),
    };
    let reading = background::spawn(move || reader::read(plan, key_attributes));
    let (copied, staged, found) = tokio::join!(
        copy_charges(charges, load.delivery_id, charge_receiver),
        staging::take(side, staged_receiver, rules, load.timings),
        reading
    );
    let failed = |error: ImportError| Unread { error, found: Box::default() };
    let found = found.context("reading the file").map_err(|error| failed(error.into()))?;
    // Where the database ended it, the reader only saw that nobody listened.
    if found.as_ref().is_err_and(|unread| !matches!(unread.error, ImportError::Interrupted)) {
        return found;
    }
    copied.map_err(failed)?;
    staged.map_err(failed)?;
    found
}

async fn copy_charges(
    conn: &mut PgConnection,
    delivery_id: i64,
    mut chunks: Receiver<ChargeBytes>,
) -> Result<(), ImportError> {
    let statement = partition::copy_statement(delivery_id);
    let mut copy = conn.copy_in_raw(&statement).await?;
    while let Some(chunk) = chunks.recv().await {
        match chunk {
            ChargeBytes::Rows(bytes) => {
                copy.send(bytes).await?;
            }
            ChargeBytes::End => {
                copy.finish().await?;
                return Ok(());
            }
        }
    }
    copy.abort("the file could not be read to its end").await?;
    Ok(())
}

async fn verdict(
    conn: &mut PgConnection,
    load: &Load<'_>,
    found: &Found,
    source_id: Option<i64>,
    gone: &[Gone],
    sha256: &str,
) -> Result<Verdict, ImportError> {
    if found.row_count == 0 && gone.is_empty() {
        let reason = "The file has no rows: a delivery replaces its scope, and this one names none.";
        return Ok(Verdict::Refused(reason.to_owned()));
    }
    let version = Version { at: load.version_at, basis: load.version_basis, sha256: Some(sha256) };
    let mut tally = Tally::default();
    let has_none_gone = gone.is_empty();
    let held = found.scopes.list().iter().map(|scope| (&scope.billing_account_id, scope.billing_period_start));
    let gone = gone.iter().map(|gone| (&gone.billing_account_id, gone.billing_period_start));
    for (account, period) in held.chain(gone) {
        let Some(source_id) = source_id else { break };
        let object = load.append_object;
        let one_side = load.one_side.map(|one| one.side.name());
        let current = generations::current(&mut *conn, source_id, account, period, object, one_side).await?;
        tally.add(account, period, current, &version);
    }
    match tally.outcome() {
        Outcome::Refused(reason) => return Ok(Verdict::Refused(reason)),
        Outcome::Unchanged(reason) => {
            // Nothing is to be decided, since the bytes count: whoever announced something else must not take them for it.
            let differences = load.control.differences(None, found.row_count, &held_cost(found, load.one_side));
            if !differences.is_empty() {
                return Ok(Verdict::Refused([vec![reason], differences].concat().join(" ")));
            }
            let same = tally.same_generation_ids();
            if generations::renew(&mut *conn, &same, load.version_at).await? < same.len() {
                return Err(ImportError::Overtaken);
            }
            joined_exports::renew(&mut *conn, sha256, load.version_at).await?;
            return Ok(Verdict::Unchanged(reason));
        }
        Outcome::Counts(_) => {}
    }
    Ok(match quarantine_reason(found, load) {
        // There is nothing that could be decided about.
        Some(reason) if found.is_all_rejected() && found.lacks_essentials().is_empty() && has_none_gone => {
            Verdict::Refused(reason)
        }
        Some(reason) => Verdict::Quarantined(reason),
        None => Verdict::Publish,
    })
}

/// What the files hold of what their sender can announce, by currency.
fn held_cost(found: &Found, one_side: Option<&OneSide>) -> BTreeMap<String, BigDecimal> {
    // The one cost of an amortized export is EffectiveCost, whether joined or alone: BilledCost is of the actual export.
    let is_amortized = one_side.is_some_and(|one| one.side == Side::Amortized);
    let mut held: BTreeMap<String, BigDecimal> = BTreeMap::new();
    for ((_, currency), sums) in &found.totals {
        let [billed, effective, ..] = &sums.costs;
        let cost = if is_amortized { effective } else { billed };
        let currency = found.scopes.currency_name(*currency).to_owned();
        *held.entry(currency).or_default() += cost.to_big_decimal();
    }
    // A currency that only the export beside it has is none of its own: it costs nothing on this side.
    if one_side.is_some_and(|one| one.other.is_some()) {
        held.retain(|_, cost| !cost.is_zero());
    }
    held
}

fn quarantine_reason(found: &Found, load: &Load<'_>) -> Option<String> {
    let held = held_cost(found, load.one_side);
    let mut reasons = load.control.differences(load.expected_rows, found.row_count, &held);
    let overruled = found.overruled.filter(|_| !found.missing_columns.is_empty() || found.rejected_row_count > 0);
    if let (Some(shown), Some(named)) = (overruled, load.format) {
        reasons.push(format!(
            "Its columns are those of {}, and it was read as {} because that format was named: hand it in again without a \
             format, or as {}.",
            shown.label(),
            named.label(),
            shown.name()
        ));
    } else if !found.missing_columns.is_empty() {
        reasons.push(format!("The file lacks {}.", found.missing_columns.join(", ")));
    }
    if found.rejected_row_count > 0 {
        let (count, of) = (found.rejected_row_count, found.row_count);
        reasons.push(format!("{count} of {of} rows could not be read."));
    }
    if reasons.is_empty() {
        return None;
    }
    let essential = found.lacks_essentials();
    reasons.push(if overruled.is_some() && !essential.is_empty() {
        "Read so, nothing of it can be counted.".to_owned()
    } else if found.is_all_rejected() && essential.is_empty() {
        "Nothing of it can be counted.".to_owned()
    } else if essential.is_empty() {
        "Nothing of it is counted until someone accepts it.".to_owned()
    } else {
        format!("Without {} nothing of it can be counted.", essential.join(", "))
    });
    Some(reasons.join(" "))
}

pub(super) async fn keep_content(
    conn: &mut PgConnection,
    load: &Load<'_>,
    found: &Found,
    source_id: Option<i64>,
    sha256: &str,
) -> Result<(), ImportError> {
    let content = Content {
        source_id,
        content_sha256: sha256,
        format: Some(found.format.as_str()).filter(|format| !format.is_empty()),
        row_count: found.row_count,
        rejected_row_count: found.rejected_row_count,
        missing_columns: &found.missing_columns,
        extra_columns: &found.extra_columns,
        columns: &found.columns,
        warnings: &found.warnings,
    };
    deliveries::set_content(&mut *conn, load.delivery_id, &content).await?;
    let totals: Vec<Total> = found
        .totals
        .iter()
        .map(|((scope, currency), sums)| {
            let scope = &found.scopes.list()[*scope as usize];
            let cost = |index: usize| sums.costs[index].to_big_decimal();
            // By the rows, not by the header: a column that is there and empty, and a cost that a format derives where
            // it can, say no more than an absent column does.
            let cost_if_told = |index: usize| sums.told_cost(index).map(|cost| cost.to_big_decimal());
            Total {
                billing_account_id: scope.billing_account_id.clone(),
                billing_period_start: scope.billing_period_start,
                billing_currency: found.scopes.currency_name(*currency).to_owned(),
                row_count: sums.count,
                billed_cost: cost(0),
                effective_cost: cost(1),
                list_cost: cost_if_told(2),
                contracted_cost: cost_if_told(3),
            }
        })
        .collect();
    deliveries::insert_totals(&mut *conn, load.delivery_id, &totals).await?;
    let rejections: Vec<Rejection> = found
        .rejections
        .iter()
        .map(|rejection| Rejection {
            line: rejection.line as i64,
            column_name: rejection.column.clone(),
            value: rejection.value.clone(),
            reason: rejection.reason.clone(),
        })
        .collect();
    deliveries::insert_rejections(&mut *conn, load.delivery_id, &rejections).await?;
    for (currency, sums) in &found.rejected_totals {
        let [billed, effective] = [0, 1].map(|index| sums.costs[index].to_big_decimal());
        rejected_totals::insert(&mut *conn, load.delivery_id, currency, sums.count, &billed, &effective).await?;
    }
    Ok(())
}

async fn insert_generations(
    conn: &mut PgConnection,
    load: &Load<'_>,
    source_id: i64,
    found: &Found,
) -> Result<(), ImportError> {
    let delivery_id = load.delivery_id;
    for (ordinal, scope) in found.scopes.list().iter().enumerate() {
        let biller_names = scope.biller_names();
        let rows = found.totals.iter().filter(|((place, _), _)| *place as usize == ordinal);
        let new = NewGeneration {
            generation_id: generations::first_id(delivery_id) + ordinal as i64,
            delivery_id,
            source_id,
            billing_account_id: &scope.billing_account_id,
            billing_period_start: scope.billing_period_start,
            billing_period_end: scope.billing_period_end,
            charge_count: rows.map(|(_, sums)| sums.count).sum(),
            first_charge_date: Some(unix_day(scope.first_day)),
            last_charge_date: Some(unix_day(scope.last_day)),
            biller_names: &biller_names,
            append_object: load.append_object,
            has_hourly_charges: scope.has_hourly_charges,
        };
        generations::insert_ready(&mut *conn, &new).await?;
        let delivery = (delivery_id, load.version_at);
        if let Some(one_side) = load.one_side {
            let bill = (scope.billing_account_id.as_str(), scope.billing_period_start);
            one_side.note(&mut *conn, new.generation_id, bill, delivery).await?;
        } else if found.has_both_exports {
            for side in [Side::Actual, Side::Amortized] {
                joined_exports::insert(&mut *conn, new.generation_id, side.name(), delivery.0, delivery.1).await?;
            }
        }
    }
    Ok(())
}

async fn insert_gone(
    conn: &mut PgConnection,
    load: &Load<'_>,
    source_id: i64,
    scope_count: usize,
    gone: &[Gone],
) -> Result<(), ImportError> {
    for (place, gone) in gone.iter().enumerate() {
        let new = NewGeneration {
            generation_id: generations::first_id(load.delivery_id) + (scope_count + place) as i64,
            delivery_id: load.delivery_id,
            source_id,
            billing_account_id: &gone.billing_account_id,
            billing_period_start: gone.billing_period_start,
            billing_period_end: gone.billing_period_end,
            charge_count: 0,
            first_charge_date: None,
            last_charge_date: None,
            biller_names: &gone.biller_names,
            append_object: load.append_object,
            has_hourly_charges: false,
        };
        generations::insert_ready(&mut *conn, &new).await?;
        if let Some(one_side) = load.one_side {
            let bill = (gone.billing_account_id.as_str(), gone.billing_period_start);
            one_side.note(&mut *conn, new.generation_id, bill, (load.delivery_id, load.version_at)).await?;
        }
    }
    Ok(())
}

fn unix_day(day: i32) -> NaiveDate {
    let epoch = NaiveDate::default();
    if day < 0 {
        epoch - Days::new(u64::from(day.unsigned_abs()))
    } else {
        epoch + Days::new(u64::from(day.unsigned_abs()))
    }
}

// What tells whether a bill of another billing account holds the same cost.
async fn sums_by_subscription(conn: &mut PgConnection, delivery_id: i64, found: &Found) -> sqlx::Result<()> {
    let ids: Vec<i64> = (generations::first_id(delivery_id)..).take(found.scopes.list().len()).collect();
    same_subscription::add_up(conn, &ids).await
}

// What was counted while reading and what lies in the partition must be the same.
async fn check(conn: &mut PgConnection, delivery_id: i64) -> Result<(), ImportError> {
    let differences = verify::differences_of_delivery(conn, delivery_id, &["charge"]).await?;
    if let Some(difference) = differences.first() {
        return Err(ImportError::Difference(difference.clone()));
    }
    Ok(())
}
