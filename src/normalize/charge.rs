use super::cells::{Cells, present};
use super::header::{Header, Role, Slot};
use super::native::Native;
use super::tags;
use crate::focus::Decimal;
use chrono::{DateTime, Utc};
use std::cell::OnceCell;
use std::ops::Deref;

/// One row of a bill under FOCUS names, borrowed from the reader's buffer until the next row is asked for.
///
/// A field is `None` where the file says null, or lacks the column. Of the fields that a row is rejected without
/// (two costs, currency, four periods) that leaves only the second case.
#[derive(Debug, Clone)]
pub struct Charge<'a> {
    /// 1-based physical line of a CSV file (its header is line 1), 1-based row of a Parquet file.
    pub line: u64,
    /// `BilledCost`: as invoiced.
    pub billed_cost: Option<Decimal>,
    /// `EffectiveCost`: amortized.
    pub effective_cost: Option<Decimal>,
    /// `ListCost`.
    pub list_cost: Option<Decimal>,
    /// `ContractedCost`.
    pub contracted_cost: Option<Decimal>,
    /// `PricingQuantity`.
    pub pricing_quantity: Option<Decimal>,
    /// `ConsumedQuantity`.
    pub consumed_quantity: Option<Decimal>,
    /// `BillingCurrency` as it stands.
    pub billing_currency: Option<&'a str>,
    /// `BillingPeriodStart`.
    pub billing_period_start: Option<DateTime<Utc>>,
    /// `BillingPeriodEnd`, exclusive.
    pub billing_period_end: Option<DateTime<Utc>>,
    /// `ChargePeriodStart`.
    pub charge_period_start: Option<DateTime<Utc>>,
    /// `ChargePeriodEnd`, exclusive.
    pub charge_period_end: Option<DateTime<Utc>>,
    /// `BillingAccountId`, leading zeros and all.
    pub billing_account_id: Option<&'a str>,
    // Elsewhere, because charges are moved.
    pub(super) texts: OnceCell<Box<Texts<'a>>>,
    /// Those of the record, and what was made of them for this line alone.
    pub(super) cells: Cells<'a>,
    pub(super) header: &'a Header,
    /// What makes of the record that which its group shares, where the file is not FOCUS.
    pub(super) native: Option<&'a Native>,
    pub(super) has_unreadable_tags: bool,
}

/// What the charges of a group share: looked up once it is asked for, because of most rows the group is known and
/// nothing is asked.
#[derive(Debug, Clone)]
pub struct Texts<'a> {
    /// `ServiceProviderName`, `ProviderName` or `Provider`, the first that is filled.
    pub provider_name: Option<&'a str>,
    /// `InvoiceIssuerName`.
    pub invoice_issuer_name: Option<&'a str>,
    /// `SubAccountId`.
    pub sub_account_id: Option<&'a str>,
    /// `SubAccountName`.
    pub sub_account_name: Option<&'a str>,
    /// `ServiceCategory`.
    pub service_category: Option<&'a str>,
    /// `ServiceName`: the provider's product, such as "Amazon Elastic Compute Cloud".
    pub service_name: Option<&'a str>,
    /// `RegionId`.
    pub region_id: Option<&'a str>,
    /// `SkuId`.
    pub sku_id: Option<&'a str>,
    /// `ChargeCategory`.
    pub charge_category: Option<&'a str>,
    /// `ChargeClass`: `Correction`, or none.
    pub charge_class: Option<&'a str>,
    /// `PricingCategory`.
    pub pricing_category: Option<&'a str>,
    /// `CommitmentDiscountStatus`: `Used` or `Unused`.
    pub commitment_discount_status: Option<&'a str>,
    /// `ResourceId`.
    pub resource_id: Option<&'a str>,
    /// `ResourceName`.
    pub resource_name: Option<&'a str>,
    /// `ResourceType`.
    pub resource_type: Option<&'a str>,
    /// `ChargeDescription`.
    pub charge_description: Option<&'a str>,
    /// `Tags` as text that [`Charge::tag_map`] can read; `None` where they cannot be read.
    pub tags: Option<&'a str>,
    /// `Tags` as they stand, where they cannot be read.
    pub unreadable_tags: Option<&'a str>,
}

impl<'a> Texts<'a> {
    fn of(header: &Header, cells: &Cells<'a>, has_unreadable_tags: bool) -> Self {
        let slots = &header.slots;
        let text = |slot: Slot| slot.text(cells);
        let mended = |slot: Slot| header.mended_text(slot, cells);
        let (tags, unreadable_tags) = match text(slots.tags) {
            unreadable if has_unreadable_tags => (None, unreadable),
            readable => (readable, None),
        };
        Self {
            provider_name: text(slots.provider_name),
            invoice_issuer_name: text(slots.invoice_issuer_name),
            sub_account_id: text(slots.sub_account_id),
            sub_account_name: text(slots.sub_account_name),
            service_category: text(slots.service_category),
            service_name: text(slots.service_name),
            region_id: text(slots.region_id),
            sku_id: text(slots.sku_id),
            charge_category: mended(slots.charge_category),
            charge_class: mended(slots.charge_class),
            pricing_category: mended(slots.pricing_category),
            commitment_discount_status: mended(slots.commitment_discount_status)
                .or_else(|| used_or_unused(text(slots.charge_subcategory))),
            resource_id: text(slots.resource_id),
            resource_name: text(slots.resource_name),
            resource_type: text(slots.resource_type),
            charge_description: text(slots.charge_description),
            tags,
            unreadable_tags,
        }
    }
}

/// 1.0-preview told used from unused commitments here.
fn used_or_unused(subcategory: Option<&str>) -> Option<&'static str> {
    match subcategory?.trim() {
        text if text.eq_ignore_ascii_case("Used Commitment") => Some("Used"),
        text if text.eq_ignore_ascii_case("Unused Commitment") => Some("Unused"),
        _ => None,
    }
}

impl<'a> Deref for Charge<'a> {
    type Target = Texts<'a>;

    fn deref(&self) -> &Texts<'a> {
        self.texts.get_or_init(|| Box::new(Texts::of(self.header, &self.whole_cells(), self.has_unreadable_tags)))
    }
}

impl<'a> Charge<'a> {
    /// Every other column that says what was charged, under its FOCUS or own name, nulls left out: unit prices,
    /// units, names, `x_` columns, and `x_unreadable_tags`.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let (header, cells) = (self.header, self.whole_cells());
        let others = header.attributes.iter().filter_map(move |&(column, place)| {
            let value = present(cells.get(place))?;
            Some((header.names[column].as_str(), header.mended(place, value)))
        });
        others.chain(self.unreadable_tags.map(|text| ("x_unreadable_tags", text)))
    }

    /// Every other cost or quantity of the row, such as `CommitmentDiscountQuantity` or `x_BilledCostInUsd`.
    /// They differ from row to row, so they are no part of what charges share.
    pub fn measures(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let (header, cells) = (self.header, self.cells);
        header.measures.iter().filter_map(move |&(column, place)| {
            let value = present(cells.get(place))?;
            // Most measures of most native lines are zero, and a zero says no more than nothing does.
            let is_told = !(header.zeros_say_nothing && says_nothing(value));
            is_told.then(|| (header.names[column].as_str(), value))
        })
    }

    /// Writes what the columns that make up a charge group say into `to`, for hashing. Two rows of one file with
    /// equal bytes have equal cells there and share their group, without anything being named or parsed; two with
    /// equal cells may still differ in how they are quoted.
    pub fn group_bytes(&self, to: &mut Vec<u8>) {
        let (header, cells) = (self.header, self.cells);
        to.clear();
        let bounded = cells.bounded.iter().filter(|place| header.roles.get(usize::from(**place)) == Some(&Role::Group));
        // Cells that lie anywhere in the text are told one by one.
        if header.group_runs.is_empty() {
            for &place in bounded {
                let cell = cells.bytes(usize::from(place));
                let mut length = [0; LENGTH_BYTES_MAX];
                let count = write_length(&mut length, u32::from(place), cell.len() as u32);
                to.extend_from_slice(&length[..count]);
                to.extend_from_slice(cell);
            }
            return;
        }
        // The text between two cells is copied too: a run of columns is one copy instead of many. Behind each run
        // stands a line end, which no cell has whose end is not told below.
        for &(first, last) in &header.group_runs {
            to.extend_from_slice(cells.between(first, last));
            to.push(b'\n');
        }
        // Where a cell ends is part of what it says. Quoted text can look like a border, and some records have none:
        // of these cells the lengths are told. How many these are stands last, so that they cannot be taken for text.
        let lengths_from = to.len();
        to.resize(lengths_from + cells.bounded.len() * LENGTH_BYTES_MAX, 0);
        let (mut at, mut count) = (lengths_from, 0_u32);
        for &place in bounded {
            at += write_length(&mut to[at..], u32::from(place), cells.length(usize::from(place)));
            count += 1;
        }
        to.truncate(at);
        to.extend_from_slice(&count.to_le_bytes());
    }

    /// The cells of the record and all that is made of it.
    fn whole_cells(&self) -> Cells<'a> {
        self.native.map_or(self.cells, |native| native.whole(self.cells))
    }

    /// The tags as a flat object; empty where there are none or they cannot be read.
    pub fn tag_map(&self) -> serde_json::Map<String, serde_json::Value> {
        self.tags.and_then(|text| tags::read(text).ok()).unwrap_or_default()
    }
}

fn says_nothing(value: &str) -> bool {
    match value.as_bytes() {
        [b'0' | b'.', ..] => value.bytes().all(|byte| matches!(byte, b'0' | b'.')),
        b"[]" | b"{}" => true,
        _ => false,
    }
}

/// Most bytes that [`write_length`] takes.
const LENGTH_BYTES_MAX: usize = 12;

/// The place and the length of a cell in one word, or in three where it is longer than a CSV record can be; how many
/// bytes these are.
#[inline]
fn write_length(to: &mut [u8], place: u32, length: u32) -> usize {
    const LENGTH_BITS: u32 = 20;
    if length >> LENGTH_BITS == 0 {
        to[..4].copy_from_slice(&(place << LENGTH_BITS | length).to_le_bytes());
        return 4;
    }
    // No file has as many columns as the place that these bits say.
    for (word, bytes) in [u32::MAX, place, length].into_iter().zip(to.chunks_exact_mut(4)) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    LENGTH_BYTES_MAX
}

/// A row that could not be read, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    /// As [`Charge::line`].
    pub line: u64,
    /// The FOCUS column, or empty where the line as a whole is at fault.
    pub column: String,
    /// What stands there, cut at 200 characters.
    pub value: String,
    /// A sentence for the receipt.
    pub reason: String,
    /// What can be read of its amounts all the same; `None` where nothing can.
    pub amounts: Option<Box<RejectedAmounts>>,
}

/// Amounts of a row that cannot be counted: a receipt tells what is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct RejectedAmounts {
    /// BilledCost.
    pub billed_cost: Option<Decimal>,
    /// EffectiveCost.
    pub effective_cost: Option<Decimal>,
    /// BillingCurrency; empty where the row has none.
    pub currency: String,
}

/// One data row of a bill.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "nearly every row is a charge, and a box for each would cost more")]
pub enum Row<'a> {
    /// A row that can be counted.
    Charge(Charge<'a>),
    /// A row that cannot.
    Rejected(Rejection),
}
