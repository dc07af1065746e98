use super::cells::{Cells, present, trimmed};
use super::charge::{Charge, RejectedAmounts, Rejection, Row};
use super::header::{Header, Slot};
use super::warnings::Warnings;
use super::{tags, timestamp};
use crate::focus::Decimal;
use chrono::{DateTime, Utc};
use rustc_hash::FxHashMap;
use std::cell::OnceCell;

/// Longest value that a rejection repeats.
const VALUE_CHARS_MAX: usize = 200;

/// Longest values, in bytes, of what the database keeps in the keys of its indexes; no provider comes near.
const KEY_BYTES_MAX: usize = 400;
const RESOURCE_ID_BYTES_MAX: usize = 2_000;

/// Tag texts that are remembered as readable or not.
const KNOWN_TAGS_MAX: usize = 65_536;

/// Turns the cells of rows into charges. Remembers what rows have in common, and counts what must be warned of.
#[derive(Default)]
pub(super) struct Reading {
    pub warnings: Warnings,
    moments: [Moment; 4],
    known_tags: FxHashMap<u64, bool>,
}

/// The last text of a period column: most rows repeat it.
#[derive(Default)]
struct Moment {
    text: String,
    read: DateTime<Utc>,
}

impl Reading {
    /// One row as a charge, or why it is none.
    pub fn row<'a>(&mut self, header: &'a Header, line: u64, cells: Cells<'a>) -> Row<'a> {
        match self.charge(header, line, cells) {
            Ok(charge) => Row::Charge(charge),
            Err(mut rejection) => {
                rejection.amounts = readable_amounts(header, cells);
                Row::Rejected(header.named(rejection))
            }
        }
    }

    fn charge<'a>(&mut self, header: &'a Header, line: u64, cells: Cells<'a>) -> Result<Charge<'a>, Rejection> {
        if cells.count() != header.roles.len() {
            return Err(ragged(header.roles.len(), line, cells));
        }
        let slots = &header.slots;
        let text = |slot: Slot| slot.text(&cells);
        let row = RowCells { line, cells };
        row.check_lengths(header)?;
        let (tags, unreadable_tags) = self.tags(text(slots.tags));
        let billed_cost = row.required(slots.billed_cost, "BilledCost", amount)?;
        let effective_cost = match row.again(slots.effective_cost, slots.billed_cost, &billed_cost) {
            None => row.required(slots.effective_cost, "EffectiveCost", amount)?,
            again => again,
        };
        let list_cost = self.optional_cost(row, slots.list_cost, "ListCost");
        let contracted_cost = row
            .again(slots.contracted_cost, slots.billed_cost, &billed_cost)
            .or_else(|| self.optional_cost(row, slots.contracted_cost, "ContractedCost"));
        let pricing_quantity = self.optional(row, slots.pricing_quantity, "PricingQuantity");
        let consumed_quantity = row
            .again(slots.consumed_quantity, slots.pricing_quantity, &pricing_quantity)
            .or_else(|| self.optional(row, slots.consumed_quantity, "ConsumedQuantity"));
        let billing_currency = row.required(slots.billing_currency, "BillingCurrency", |text| Ok(trimmed(text)))?;
        let billing_period_start = self.moment(0, row, slots.billing_period_start, "BillingPeriodStart")?;
        let billing_period_end = self.moment(1, row, slots.billing_period_end, "BillingPeriodEnd")?;
        let charge_period_start = self.moment(2, row, slots.charge_period_start, "ChargePeriodStart")?;
        let charge_period_end = self.moment(3, row, slots.charge_period_end, "ChargePeriodEnd")?;
        row.check_order(slots.charge_period_end, "Charge", charge_period_start, charge_period_end)?;
        row.check_order(slots.billing_period_end, "Billing", billing_period_start, billing_period_end)?;
        let billing_account_id = text(slots.billing_account_id);
        let has_no_account = billing_account_id.is_none() && !slots.billing_account_id.is_absent();
        self.warnings.of_row(line, unreadable_tags.is_some(), has_no_account, billing_currency);
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
            provider_name: text(slots.provider_name),
            invoice_issuer_name: text(slots.invoice_issuer_name),
            billing_account_id,
            charge_category: header.mended_text(slots.charge_category, &cells),
            tags,
            unreadable_tags,
            texts: OnceCell::new(),
            cells,
            header,
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
        if !slot.is_absent() && !cell.is_empty() && cell == last.text {
            return Ok(Some(last.read));
        }
        // A billing period is the provider's label: the month that it means, whatever the zone.
        let read_text = if column.starts_with("Billing") { timestamp::read_bound } else { timestamp::read };
        let read = row.required(slot, column, |text| {
            read_text(trimmed(text)).ok_or_else(|| "is not a moment like 2026-10-01T00:00:00Z".to_owned())
        })?;
        if let Some(read) = read {
            last.text.clear();
            last.text.push_str(cell);
            last.read = read;
        }
        Ok(read)
    }

    fn optional_cost(&mut self, row: RowCells<'_>, slot: Slot, column: &'static str) -> Option<Decimal> {
        if !slot.is_absent() && present(row.cells.get(slot.first)).is_none() {
            self.warnings.null(column);
            return None;
        }
        self.optional(row, slot, column)
    }

    fn optional(&mut self, row: RowCells<'_>, slot: Slot, column: &'static str) -> Option<Decimal> {
        let text = present(row.cells.get(slot.first))?;
        let value = Decimal::parse(trimmed(text));
        if value.is_err() {
            self.warnings.unreadable(column, row.line);
        }
        value.ok()
    }

    fn tags<'a>(&mut self, text: Option<&'a str>) -> (Option<&'a str>, Option<&'a str>) {
        let Some(text) = text else { return (None, None) };
        if self.known_tags.len() > KNOWN_TAGS_MAX {
            self.known_tags.clear();
        }
        let hash = std::hash::BuildHasher::hash_one(&rustc_hash::FxBuildHasher, text);
        if *self.known_tags.entry(hash).or_insert_with(|| tags::is_plain(text) || tags::read(text).is_ok()) {
            return (Some(text), None);
        }
        (None, Some(text))
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
fn readable_amounts(header: &Header, cells: Cells<'_>) -> Option<Box<RejectedAmounts>> {
    if cells.count() != header.roles.len() {
        return None;
    }
    let text = |slot: Slot| present(cells.get(slot.first)).map(trimmed);
    let cost = |slot: Slot| Decimal::parse(text(slot)?).ok();
    let slots = &header.slots;
    let (billed_cost, effective_cost) = (cost(slots.billed_cost), cost(slots.effective_cost));
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
        let slots = &header.slots;
        let bounds = [
            (slots.billing_account_id, KEY_BYTES_MAX),
            (slots.billing_currency, KEY_BYTES_MAX),
            (slots.provider_name, KEY_BYTES_MAX),
            (slots.charge_category, KEY_BYTES_MAX),
            (slots.resource_id, RESOURCE_ID_BYTES_MAX),
        ];
        for (slot, bytes_max) in bounds {
            // The second column is looked at where the first is null.
            for place in [slot.first, slot.second] {
                if self.cells.length(place) as usize > bytes_max {
                    let (name, cell) = (header.name_at(place), self.cells.get(place));
                    return Err(rejection(self.line, name, cell, format!("{name} is longer than {bytes_max} bytes")));
                }
            }
        }
        Ok(())
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
        Err(rejection(self.line, &column, self.cells.get(end_slot.first), reason))
    }
}
