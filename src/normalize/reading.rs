use super::cells::{Cells, present, trimmed};
use super::charge::{Charge, RejectedAmounts, Rejection, Row};
use super::error::BillError;
use super::header::{Header, Slot};
use super::native::{Known, Native};
use super::tags::{self, Readable};
use super::timestamp::{self, LastDay};
use super::warnings::Warnings;
use crate::focus::Decimal;
use chrono::{DateTime, Utc};
use std::cell::OnceCell;

/// Longest value that a rejection repeats.
const VALUE_CHARS_MAX: usize = 200;

/// Bytes at the end of a moment in which two clocks of a day differ.
const CLOCK_BYTES: usize = 8;

/// What is known of a row that no adapter made.
static NOTHING: Known = Known::NOTHING;

/// Turns the cells of rows into charges. Remembers what rows have in common, and counts what must be warned of.
#[derive(Default)]
pub(super) struct Reading {
    pub warnings: Warnings,
    moments: [Moment; 4],
    known_tags: Readable,
}

/// The last text of a period column: most rows repeat it, or its day.
#[derive(Default)]
struct Moment {
    text: String,
    read: DateTime<Utc>,
    day: LastDay,
}

impl Moment {
    /// What a cell says that says the same, or another clock of the same day.
    #[inline]
    fn again(&self, cell: &str) -> Option<DateTime<Utc>> {
        // Clocks differ at their end, which is looked at before all is compared.
        let is_same =
            cell.as_bytes().last_chunk::<CLOCK_BYTES>() == self.text.as_bytes().last_chunk() && cell == self.text;
        if is_same && !cell.is_empty() { Some(self.read) } else { self.day.read(cell) }
    }

    // A bound is more than its day and its clock: another clock of the same day may belong to another month.
    fn set(&mut self, cell: &str, read: DateTime<Utc>, is_bound: bool) {
        self.text.clear();
        self.text.push_str(cell);
        self.read = read;
        if !is_bound {
            self.day.set(cell);
        }
    }
}

impl Reading {
    /// One row as a charge, or why it is none; `native` is what made it, where the file is not FOCUS. This is what the
    /// reader of a file gives, because a charge that is wrapped up later is moved once more, and it is large.
    pub fn row<'a>(
        &mut self,
        header: &'a Header,
        native: Option<&'a Native>,
        line: u64,
        cells: Cells<'a>,
    ) -> Result<Option<Row<'a>>, BillError> {
        let known = native.map_or(&NOTHING, Native::known);
        Ok(Some(match self.charge(header, native, known, RowCells { line, cells }) {
            Ok(charge) => Row::Charge(charge),
            Err(mut rejection) => {
                rejection.amounts = readable_amounts(header, known, cells);
                Row::Rejected(header.named(rejection))
            }
        }))
    }

    fn charge<'a>(
        &mut self,
        header: &'a Header,
        native: Option<&'a Native>,
        known: &Known,
        row: RowCells<'a>,
    ) -> Result<Charge<'a>, Rejection> {
        let RowCells { line, cells } = row;
        if cells.count() != header.roles.len() {
            return Err(ragged(header.roles.len(), line, cells));
        }
        let slots = &header.slots;
        let text = |slot: Slot| slot.text(&cells);
        row.check_lengths(header)?;
        let has_unreadable_tags = known.has_unreadable_tags || self.is_unreadable(text(slots.tags));
        let billed_cost = match &known.billed_cost {
            None => row.cost(slots.billed_cost, "BilledCost")?,
            known => known.clone(),
        };
        let effective_cost = match row.again(slots.effective_cost, slots.billed_cost, &billed_cost) {
            None => row.cost(slots.effective_cost, "EffectiveCost")?,
            again => again,
        };
        let list_cost = known.list_cost.clone().or_else(|| self.optional_cost(row, slots.list_cost, "ListCost"));
        let contracted_cost = known
            .contracted_cost
            .clone()
            .or_else(|| row.again(slots.contracted_cost, slots.billed_cost, &billed_cost))
            .or_else(|| self.optional_cost(row, slots.contracted_cost, "ContractedCost"));
        let pricing_quantity = self.optional(row, slots.pricing_quantity, "PricingQuantity");
        let consumed_quantity = known
            .consumed_quantity
            .clone()
            .or_else(|| row.again(slots.consumed_quantity, slots.pricing_quantity, &pricing_quantity))
            .or_else(|| self.optional(row, slots.consumed_quantity, "ConsumedQuantity"));
        let billing_currency = row.required(slots.billing_currency, "BillingCurrency", |text| Ok(trimmed(text)))?;
        let mut moment = |index: usize, slot: Slot, column: &str| match known.moments[index] {
            None => self.moment(index, row, slot, column),
            known => Ok(known),
        };
        let billing_period_start = moment(0, slots.billing_period_start, "BillingPeriodStart")?;
        let billing_period_end = moment(1, slots.billing_period_end, "BillingPeriodEnd")?;
        let charge_period_start = moment(2, slots.charge_period_start, "ChargePeriodStart")?;
        let charge_period_end = moment(3, slots.charge_period_end, "ChargePeriodEnd")?;
        row.check_order(slots.charge_period_end, "Charge", charge_period_start, charge_period_end)?;
        row.check_order(slots.billing_period_end, "Billing", billing_period_start, billing_period_end)?;
        let billing_account_id = text(slots.billing_account_id);
        let has_no_account = billing_account_id.is_none() && !slots.billing_account_id.is_absent();
        self.warnings.of_row(line, has_unreadable_tags, has_no_account, billing_currency);
        // Made last: a charge that is looked at before it is handed out is moved once more, and it is large.
        Ok(Charge {
            line,
            billed_cost,
            effective_cost,
            list_cost,
            contracted_cost,
            pricing_quantity,
            consumed_quantity,
            billing_currency,
            billing_period_start,
            billing_period_end,
            charge_period_start,
            charge_period_end,
            billing_account_id,
            texts: OnceCell::new(),
            cells,
            header,
            native,
            has_unreadable_tags,
        })
    }

    fn moment(
        &mut self,
        index: usize,
        row: RowCells<'_>,
        slot: Slot,
        column: &str,
    ) -> Result<Option<DateTime<Utc>>, Rejection> {
        let cell = row.cells.get(slot.first);
        let last = &mut self.moments[index];
        if let Some(read) = last.again(cell) {
            return Ok(Some(read));
        }
        // A billing period is the provider's label: the month that it means, whatever the zone.
        let is_bound = column.starts_with("Billing");
        let read_text = if is_bound { timestamp::read_bound } else { timestamp::read };
        let read = row.required(slot, column, |text| {
            read_text(trimmed(text)).ok_or_else(|| "is not a moment like 2026-10-01T00:00:00Z".to_owned())
        })?;
        if let Some(read) = read {
            last.set(cell, read, is_bound);
        }
        Ok(read)
    }

    fn optional_cost(&mut self, row: RowCells<'_>, slot: Slot, column: &'static str) -> Option<Decimal> {
        if slot.is_absent() {
            return None;
        }
        let plain = row.plain(slot);
        if plain.is_none() && present(row.cells.get(slot.first)).is_none() {
            self.warnings.null(column);
            return None;
        }
        plain.or_else(|| self.other_optional(row, slot, column))
    }

    #[inline]
    fn optional(&mut self, row: RowCells<'_>, slot: Slot, column: &'static str) -> Option<Decimal> {
        row.plain(slot).or_else(|| self.other_optional(row, slot, column))
    }

    fn other_optional(&mut self, row: RowCells<'_>, slot: Slot, column: &'static str) -> Option<Decimal> {
        let text = present(row.cells.get(slot.first))?;
        let value = Decimal::parse(trimmed(text));
        if value.is_err() {
            self.warnings.unreadable(column, row.line);
        }
        value.ok()
    }

    fn is_unreadable(&mut self, tags: Option<&str>) -> bool {
        tags.is_some_and(|tags| !self.known_tags.is(tags, || tags::can_be_read(tags)))
    }
}

fn amount(text: &str) -> Result<Decimal, String> {
    Decimal::parse(trimmed(text)).map_err(|error| error.to_string())
}

/// A line that has more or fewer cells than the header.
pub(super) fn ragged(expected: usize, line: u64, cells: Cells<'_>) -> Rejection {
    let found = cells.spans.len();
    rejection(line, "", cells.text.trim_end(), format!("the line has {found} cells, the header {expected}"))
}

/// A rejection whose value is short enough to be shown.
pub(super) fn rejection(line: u64, column: &str, value: &str, reason: String) -> Rejection {
    let value = value.chars().take(VALUE_CHARS_MAX).collect();
    Rejection { line, column: column.to_owned(), value, reason, amounts: None }
}

// Of a line with other cells than the header nothing is where it should be.
fn readable_amounts(header: &Header, known: &Known, cells: Cells<'_>) -> Option<Box<RejectedAmounts>> {
    if cells.count() != header.roles.len() {
        return None;
    }
    let text = |slot: Slot| present(cells.get(slot.first)).map(trimmed);
    let cost = |slot: Slot| Decimal::parse(text(slot)?).ok();
    let slots = &header.slots;
    let billed_cost = known.billed_cost.clone().or_else(|| cost(slots.billed_cost));
    let is_one_cost = slots.effective_cost.first == slots.billed_cost.first;
    let effective_cost = if is_one_cost { billed_cost.clone() } else { cost(slots.effective_cost) };
    let currency = text(slots.billing_currency).unwrap_or_default().to_owned();
    let is_any = billed_cost.is_some() || effective_cost.is_some();
    is_any.then(|| Box::new(RejectedAmounts { billed_cost, effective_cost, currency }))
}

#[derive(Clone, Copy)]
struct RowCells<'a> {
    line: u64,
    cells: Cells<'a>,
}

impl<'a> RowCells<'a> {
    /// A cost or quantity that is written plainly, as nearly all are: such a cell is neither null nor unreadable.
    #[inline]
    fn plain(self, slot: Slot) -> Option<Decimal> {
        Decimal::parse_plain(self.cells.bytes(slot.first))
    }

    /// A cost that a row cannot do without, unless the file as a whole lacks it.
    #[inline]
    fn cost(self, slot: Slot, column: &str) -> Result<Option<Decimal>, Rejection> {
        match self.plain(slot) {
            None => self.required(slot, column, amount),
            plain => Ok(plain),
        }
    }

    /// The value of a column that a row cannot do without, unless the file as a whole lacks it.
    fn required<T>(
        self,
        slot: Slot,
        column: &str,
        read: impl FnOnce(&'a str) -> Result<T, String>,
    ) -> Result<Option<T>, Rejection> {
        if slot.is_absent() {
            return Ok(None);
        }
        let cell = self.cells.get(slot.first);
        let value = present(cell).ok_or_else(|| "is null".to_owned()).and_then(read);
        value.map(Some).map_err(|reason| rejection(self.line, column, cell, format!("{column} {reason}")))
    }

    /// What was read of another column already, where this one has its cell: many exports have one cost.
    fn again(self, slot: Slot, other: Slot, read: &Option<Decimal>) -> Option<Decimal> {
        let is_same = self.cells.span(slot.first) == self.cells.span(other.first);
        if is_same { read.clone() } else { None }
    }

    fn check_lengths(self, header: &Header) -> Result<(), Rejection> {
        let is_too_long = |(place, bytes_max): &&(usize, u32)| self.cells.length(*place) > *bytes_max;
        let Some(&(place, bytes_max)) = header.bounds.iter().find(is_too_long) else { return Ok(()) };
        let (name, cell) = (header.name_at(place), self.cells.get(place));
        Err(rejection(self.line, name, cell, format!("{name} is longer than {bytes_max} bytes")))
    }

    fn check_order(
        self,
        end_slot: Slot,
        period: &str,
        start: Option<DateTime<Utc>>,
        end: Option<DateTime<Utc>>,
    ) -> Result<(), Rejection> {
        let (Some(start), Some(end)) = (start, end) else { return Ok(()) };
        if start <= end {
            return Ok(());
        }
        let column = format!("{period}PeriodEnd");
        let reason = format!("{column} lies before {period}PeriodStart");
        // What an adapter knows stands in no cell.
        let value = match self.cells.get(end_slot.first) {
            "" => end.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            cell => cell.to_owned(),
        };
        Err(rejection(self.line, &column, &value, reason))
    }
}
