//! The blocking half of a load: rows of a bill become COPY bytes, charge groups and sums, in bounded memory.

mod joined;
#[cfg(test)]
mod tests;

use super::aggregate::{Costs, DayKey, DaySums, Sums};
use super::azure_beside::Other;
use super::azure_join::{self, AzureJoin, MARK, Pass, Side};
use super::fingerprint::CellsHash;
use super::group_rows::{GroupRows, StagedRows};
use super::import::{ImportError, Limits};
use super::invoice_sums::InvoiceSums;
use super::key_attributes::KeyAttributes;
use super::scopes::Scopes;
use crate::focus::Decimal;
use crate::normalize::{self, Bill, BillError, Charge, Format, Rejection, Row};
use crate::sources::senders_name;
use crate::store::copy_binary::CopyBuffer;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;
use uuid::Uuid;

/// Bytes of charges that travel to the database at once.
const CHUNK_BYTES: usize = 512 * 1024;
/// Rows between two reports of progress.
const PROGRESS_ROWS: i64 = 16_384;
/// One in so many rows is timed, to tell what adding up costs.
const TIMED_ROWS: i64 = 64;
const CHARGE_COLUMNS: i16 = 14;

/// What a file lacks so badly that its rows cannot be counted at all.
pub(super) const ESSENTIAL_COLUMNS: [&str; 7] = [
    "BilledCost",
    "EffectiveCost",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
];

/// What goes to the connection that loads charges.
pub(super) enum ChargeBytes {
    Rows(Vec<u8>),
    /// Without it the stream broke off, and nothing of it may be kept.
    End,
}

/// How progress is told: rows, bytes read, bytes in all.
pub(super) type ProgressFn = dyn Fn(u64, u64, u64) + Send + Sync;

/// What to read, and where to.
pub(super) struct Plan {
    pub paths: Vec<PathBuf>,
    /// What they are, where their columns do not show it.
    pub format: Option<Format>,
    /// The side of a bill that they hold, and the lines of the other one that counts already.
    pub beside: Option<(Side, Arc<Other>)>,
    pub first_generation_id: i64,
    pub limits: Limits,
    pub charges: Sender<ChargeBytes>,
    pub staged: Sender<StagedRows>,
    pub progress: Arc<ProgressFn>,
}

/// What a file was found to hold.
#[derive(Default)]
pub(super) struct Found {
    pub format: String,
    /// What its columns show it to be, where somebody named another format.
    pub overruled: Option<Format>,
    pub missing_columns: Vec<String>,
    pub extra_columns: Vec<String>,
    pub columns: Vec<String>,
    pub warnings: Vec<String>,
    pub row_count: i64,
    pub rejected_row_count: i64,
    /// The first ones.
    pub rejections: Vec<Rejection>,
    /// Sums of all that can be read of their amounts, by currency.
    pub rejected_totals: BTreeMap<String, Sums>,
    pub scopes: Scopes,
    /// Whether the files are the two exports of an Azure bill.
    pub has_both_exports: bool,
    /// Sums by scope and currency, counted apart from the daily ones.
    pub totals: Vec<((u16, u16), Sums)>,
    /// Sums by invoice.
    pub invoices: InvoiceSums,
    /// Daily sums that were not set aside.
    pub days: Vec<(DayKey, Sums)>,
    /// What [`DayKey::rollup_key`] stands for.
    pub rollup_keys: Vec<(Uuid, i32)>,
    /// Whether daily sums were set aside in the database.
    pub has_partial_days: bool,
    /// Estimated from samples.
    pub adding_up: Duration,
}

impl Found {
    /// Whether not one of its rows could be read.
    pub fn is_all_rejected(&self) -> bool {
        self.row_count > 0 && self.rejected_row_count == self.row_count
    }

    /// Columns without which nothing can be counted.
    pub fn lacks_essentials(&self) -> Vec<&str> {
        let missing = self.missing_columns.iter().map(String::as_str);
        missing.filter(|column| ESSENTIAL_COLUMNS.contains(column)).collect()
    }
}

/// What the rows of one group of cells come to.
#[derive(Clone, Copy)]
struct Group {
    group_id: Uuid,
    rollup_key: u32,
    sub_account_key: i32,
    invoice: u32,
    /// The scope of its last row.
    scope: u16,
}

struct Reader {
    plan: Plan,
    found: Found,
    counts_charges: bool,
    line_offset: u64,
    /// Name of the file that is read now.
    part: String,
    /// Whether that holds lines of an earlier delivery: they are counted here and are no rows of this one.
    is_beside: bool,
    totals: FxHashMap<(u16, u16), Sums>,
    days: DaySums,
    cells_hash: CellsHash,
    groups: FxHashMap<u128, Group>,
    rollup_key_places: FxHashMap<Uuid, u32>,
    group_rows: GroupRows,
    charges: CopyBuffer,
    measures: String,
    join: AzureJoin,
}

/// Why a file was not read to its end, and what was found up to there.
pub(super) struct Unread {
    pub error: ImportError,
    pub found: Box<Found>,
}

/// Reads the files of one delivery to the end.
pub(super) fn read(plan: Plan, key_attributes: KeyAttributes) -> Result<Found, Unread> {
    let mut reader = Reader::new(plan, key_attributes);
    match read_files(&mut reader).and_then(|()| reader.finish()) {
        Ok(()) => Ok(reader.found),
        Err(error) => {
            reader.found.totals = reader.totals.into_iter().collect();
            Err(Unread { error, found: Box::new(reader.found) })
        }
    }
}

fn read_files(reader: &mut Reader) -> Result<(), ImportError> {
    let bytes_total = reader.plan.paths.iter().filter_map(|path| path.metadata().ok()).map(|data| data.len()).sum();
    if let Some((side, other)) = reader.plan.beside.clone() {
        return joined::read_beside(reader, side, &other, bytes_total);
    }
    if let Some(sides) = azure_join::sides(&reader.plan.paths, reader.plan.format)? {
        reader.found.has_both_exports = true;
        return joined::read_parts(reader, &sides, bytes_total);
    }
    let (mut bytes_before, mut empty, mut have_column_names) = (0, Vec::new(), false);
    for path in reader.plan.paths.clone() {
        let mut bill = match normalize::open_as(&path, reader.plan.format) {
            // The other parts tell whether it may be.
            Err(BillError::Empty) if reader.plan.paths.len() > 1 => {
                empty.push(path);
                continue;
            }
            opened => opened?,
        };
        reader.file(&path, &mut bill, bytes_before, bytes_total)?;
        reader.found.warnings.extend(bill.warnings());
        bytes_before += bill.file_bytes();
        have_column_names |= bill.has_column_names();
    }
    check_empty(&mut reader.found, &empty, have_column_names)
}

// Of no lines of JSON nothing is written. Any other file begins with column names, and one without them broke off.
fn check_empty(found: &mut Found, empty: &[PathBuf], have_column_names: bool) -> Result<(), ImportError> {
    let Some(first) = empty.first().map(|path| senders_name(path)) else { return Ok(()) };
    if found.format.is_empty() {
        return Err(BillError::Empty.into());
    }
    if have_column_names {
        return Err(BillError::Malformed(format!("{first} is empty: not even column names stand in it")).into());
    }
    found.warnings.push(match empty.len() {
        1 => format!("{first} is empty, and so has no rows."),
        count => format!("{first} and {} more of the files are empty, and so have no rows.", count - 1),
    });
    Ok(())
}

impl Reader {
    fn new(plan: Plan, key_attributes: KeyAttributes) -> Self {
        let mut charges = CopyBuffer::with_capacity(CHUNK_BYTES + 64 * 1024);
        charges.header();
        Self {
            group_rows: GroupRows::new(key_attributes),
            plan,
            found: Found::default(),
            counts_charges: true,
            line_offset: 0,
            part: String::new(),
            is_beside: false,
            totals: FxHashMap::default(),
            days: DaySums::default(),
            cells_hash: CellsHash::new(),
            groups: FxHashMap::default(),
            rollup_key_places: FxHashMap::default(),
            charges,
            measures: String::new(),
            join: AzureJoin::new(),
        }
    }

    fn file(&mut self, path: &Path, bill: &mut Bill, bytes_before: u64, bytes_total: u64) -> Result<(), ImportError> {
        self.part = senders_name(path);
        let extra_before = self.found.extra_columns.clone();
        if !self.is_beside {
            self.describe(bill);
        }
        // Another file may have other columns in another order: the same cells would mean something else.
        self.groups.clear();
        self.rows(bill, bytes_before, bytes_total)?;
        let unmet = bill.unmet_columns();
        let is_kept = |column: &String| extra_before.contains(column) || !unmet.contains(&column.as_str());
        self.found.extra_columns.retain(is_kept);
        Ok(())
    }

    // The parts of a delivery should be alike; what any of them lacks, the delivery lacks.
    fn describe(&mut self, bill: &Bill) {
        let found = &mut self.found;
        if found.format.is_empty() {
            found.format = bill.format();
            found.overruled = bill.overruled();
        }
        for column in bill.missing_mandatory() {
            if !found.missing_columns.iter().any(|known| known == column) {
                found.missing_columns.push(column.to_owned());
            }
        }
        for column in bill.extra_columns() {
            if !found.extra_columns.contains(column) {
                found.extra_columns.push(column.clone());
            }
        }
        for column in bill.columns() {
            if !found.columns.contains(column) {
                found.columns.push(column.clone());
            }
        }
        self.counts_charges = found.lacks_essentials().is_empty();
    }

    fn rows(&mut self, bill: &mut Bill, bytes_before: u64, bytes_total: u64) -> Result<(), ImportError> {
        let progress = bill.progress();
        let mut last_line = 0;
        loop {
            let row = match bill.next_row() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => return Err(error.into()),
            };
            let is_counted_later = self.join.pass == Pass::Remember;
            self.found.row_count += i64::from(!is_counted_later && !self.is_beside);
            match row {
                Row::Charge(mut charge) => {
                    last_line = charge.line;
                    if self.join.admits(&mut charge)? {
                        self.charge(&charge)?;
                    }
                }
                Row::Rejected(rejection) if self.is_beside => {
                    let Rejection { column, reason, .. } = rejection;
                    return Err(ImportError::Difference(format!("A line of the other export: {column}, {reason}.")));
                }
                Row::Rejected(rejection) => {
                    last_line = rejection.line;
                    if !is_counted_later {
                        self.rejected(rejection);
                    }
                }
            }
            if is_counted_later {
                continue;
            }
            if self.found.row_count % PROGRESS_ROWS == 0 {
                (self.plan.progress)(self.found.row_count as u64, bytes_before + progress.bytes_read(), bytes_total);
            }
            if self.plan.limits.dies_after_rows(self.found.row_count) {
                return Err(ImportError::Died);
            }
        }
        self.line_offset += last_line;
        Ok(())
    }

    fn rejected(&mut self, mut rejection: Rejection) {
        self.found.rejected_row_count += 1;
        if let Some(amounts) = rejection.amounts.take() {
            let sums = self.found.rejected_totals.entry(amounts.currency).or_insert(Sums::ZERO);
            sums.add(&[amounts.billed_cost.as_ref(), amounts.effective_cost.as_ref(), None, None]);
        }
        if self.found.rejections.len() < crate::store::receipts::REJECTIONS_SHOWN_MAX as usize {
            // Lines of parts are counted through: which line of which part that is, is said as well.
            if self.plan.paths.len() > 1 {
                rejection.reason = format!("{} (line {} of {})", rejection.reason, rejection.line, self.part);
            }
            rejection.line += self.line_offset;
            self.found.rejections.push(rejection);
        }
    }

    fn charge(&mut self, charge: &Charge<'_>) -> Result<(), ImportError> {
        // The file has no such column: a total of no billing period says nothing.
        if charge.billing_period_start.is_none() {
            return Ok(());
        }
        let day = charge.charge_period_start.or(charge.billing_period_start).unwrap_or_default();
        let day = day.timestamp().div_euclid(86_400) as i32;
        let scope = self.found.scopes.scope(charge, day)?;
        let currency = self.found.scopes.currency(charge.billing_currency.unwrap_or_default())?;
        let costs: Costs<'_> = [
            charge.billed_cost.as_ref(),
            charge.effective_cost.as_ref(),
            charge.list_cost.as_ref(),
            charge.contracted_cost.as_ref(),
        ];
        self.totals.entry((scope, currency)).or_insert(Sums::ZERO).add(&costs);
        if !self.counts_charges {
            self.found.scopes.note_billers(scope, charge);
            return Ok(());
        }
        let group = self.group(charge, scope)?;
        self.found.invoices.add((scope, currency, group.invoice), charge.billed_cost.as_ref());
        let key = DayKey { scope, currency, rollup_key: group.rollup_key, day };
        if self.found.row_count % TIMED_ROWS == 0 {
            let start = Instant::now();
            self.days.add(key, &costs, charge.pricing_quantity.as_ref());
            self.found.adding_up += start.elapsed() * TIMED_ROWS as u32;
        } else {
            self.days.add(key, &costs, charge.pricing_quantity.as_ref());
        }
        self.encode(charge, scope, group)?;
        if self.charges.len() >= CHUNK_BYTES {
            let bytes = self.charges.take();
            self.plan.charges.blocking_send(ChargeBytes::Rows(bytes)).map_err(|_| ImportError::Interrupted)?;
        }
        let limits = &self.plan.limits;
        if self.days.len() >= limits.day_sums_max || self.found.rollup_keys.len() >= limits.rollup_keys_max {
            self.set_days_aside()?;
        }
        Ok(())
    }

    fn group(&mut self, charge: &Charge<'_>, scope: u16) -> Result<Group, ImportError> {
        let cells = self.cells_hash.of(charge);
        let known = self.groups.get_mut(&cells);
        // What its rows share is looked up for the first of a scope only.
        if known.as_ref().is_none_or(|group| group.scope != scope) {
            self.found.scopes.note_billers(scope, charge);
        }
        if let Some(group) = known {
            group.scope = scope;
            return Ok(*group);
        }
        if self.groups.len() >= self.plan.limits.groups_max {
            self.groups.clear();
        }
        let row = self.group_rows.write(charge, |rollup_key_id| self.rollup_key_places.contains_key(&rollup_key_id));
        let next = self.found.rollup_keys.len() as u32;
        let rollup_key = *self.rollup_key_places.entry(row.rollup_key_id).or_insert(next);
        if rollup_key == next {
            self.found.rollup_keys.push((row.rollup_key_id, row.sub_account_key));
        }
        if let Some(rows) = self.group_rows.take_full() {
            self.plan.staged.blocking_send(rows).map_err(|_| ImportError::Interrupted)?;
        }
        let invoice = self.found.invoices.invoice(charge);
        let group = Group { group_id: row.group_id, rollup_key, sub_account_key: row.sub_account_key, invoice, scope };
        self.groups.insert(cells, group);
        Ok(group)
    }

    fn encode(&mut self, charge: &Charge<'_>, scope: u16, group: Group) -> Result<(), ImportError> {
        let start = charge.charge_period_start.unwrap_or_default();
        let to = &mut self.charges;
        to.row(CHARGE_COLUMNS);
        to.int8(self.plan.first_generation_id + i64::from(scope));
        to.int4(group.sub_account_key);
        to.uuid(group.group_id);
        to.text(charge.billing_currency.unwrap_or_default());
        to.timestamptz(start);
        to.timestamptz(charge.charge_period_end.unwrap_or(start));
        number(to, Some(charge.billed_cost.as_ref().unwrap_or(&Decimal::ZERO)))?;
        number(to, Some(charge.effective_cost.as_ref().unwrap_or(&Decimal::ZERO)))?;
        number(to, charge.list_cost.as_ref())?;
        number(to, charge.contracted_cost.as_ref())?;
        number(to, charge.pricing_quantity.as_ref())?;
        number(to, charge.consumed_quantity.as_ref())?;
        let mark = self.join.mark.map(|mark| (MARK, mark));
        super::json::of_pairs(&mut self.measures, charge.measures().chain(mark));
        if self.measures.is_empty() {
            to.null();
        } else {
            to.text(&self.measures);
        }
        to.int8((charge.line + self.line_offset) as i64);
        Ok(())
    }

    // What was counted so far goes to the database, and counting starts anew: memory stays bounded.
    fn set_days_aside(&mut self) -> Result<(), ImportError> {
        self.found.has_partial_days = true;
        let days = self.days.take();
        let mut buffer = CopyBuffer::with_capacity(CHUNK_BYTES);
        for chunk in days.chunks(4096) {
            buffer.header();
            for (key, sums) in chunk {
                day_row(&mut buffer, self.plan.first_generation_id, &self.found, key, sums)?;
            }
            buffer.trailer();
            let rows = StagedRows { days: buffer.take(), ..StagedRows::default() };
            self.plan.staged.blocking_send(rows).map_err(|_| ImportError::Interrupted)?;
        }
        self.groups.clear();
        self.rollup_key_places.clear();
        self.found.rollup_keys.clear();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ImportError> {
        if self.found.has_partial_days {
            self.set_days_aside()?;
        }
        let rows = self.group_rows.take();
        self.plan.staged.blocking_send(rows).map_err(|_| ImportError::Interrupted)?;
        self.charges.trailer();
        for bytes in [ChargeBytes::Rows(self.charges.take()), ChargeBytes::End] {
            self.plan.charges.blocking_send(bytes).map_err(|_| ImportError::Interrupted)?;
        }
        self.found.warnings.extend(self.found.invoices.warning());
        self.found.days = self.days.take();
        self.found.totals = std::mem::take(&mut self.totals).into_iter().collect();
        Ok(())
    }
}

/// A row of `daily_cost_by_key`.
pub(super) fn day_row(
    to: &mut CopyBuffer,
    first_generation_id: i64,
    found: &Found,
    key: &DayKey,
    sums: &Sums,
) -> Result<(), ImportError> {
    let (rollup_key_id, sub_account_key) = found.rollup_keys[key.rollup_key as usize];
    to.row(11);
    to.int8(first_generation_id + i64::from(key.scope));
    to.int4(sub_account_key);
    to.uuid(rollup_key_id);
    to.unix_day(key.day);
    to.text(found.scopes.currency_name(key.currency));
    to.int8(sums.count);
    for cost in &sums.costs {
        number(to, Some(cost))?;
    }
    number(to, Some(&sums.quantity))
}

fn number(to: &mut CopyBuffer, value: Option<&Decimal>) -> Result<(), ImportError> {
    match value {
        None => to.null(),
        Some(value) => match value.fixed() {
            Some((mantissa, scale)) => to.numeric_fixed(mantissa, scale),
            None => to.numeric(&value.to_big_decimal()).map_err(|error| BillError::OutOfBounds(error.to_string()))?,
        },
    }
    Ok(())
}
