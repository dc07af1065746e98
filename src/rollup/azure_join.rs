//! Azure's actual and amortized cost of one bill, joined: BilledCost of the one, EffectiveCost of the other.
//!
//! An export has one cost, and its rows have no key. A row that stands in both exports becomes one charge; what
//! stands in one of them only (a commitment where it was bought, the part of it that a day used) keeps the other cost
//! at zero. So the sum of each cost is that of its export, whatever could be matched.

use crate::focus::Decimal;
use crate::normalize::{self, BillError, Charge, Format, Row};
use rustc_hash::FxHashMap;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

/// Different rows of actual exports that are remembered, about 100 MiB. Those behind them stand by themselves.
const ROWS_MAX: usize = 2_000_000;

/// Which cost a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// As invoiced: commitments where they were bought.
    Actual,
    /// Commitments where they were used.
    Amortized,
}

/// The side of each file, where they are the two costs of one bill; `None` where they are not, or are one of them
/// only. An error where a file could be either.
pub(super) fn sides(paths: &[PathBuf], format: Option<Format>) -> Result<Option<Vec<Side>>, BillError> {
    if paths.len() < 2 {
        return Ok(None);
    }
    let mut sides = Vec::with_capacity(paths.len());
    for path in paths {
        let mut bill = normalize::open_as(path, format)?;
        if bill.kind() != Format::AzureExport {
            return Ok(None);
        }
        sides.push(side_by_rows(&mut bill)?.or_else(|| side_by_name(path)));
    }
    if !sides.contains(&Some(Side::Actual)) || !sides.contains(&Some(Side::Amortized)) {
        return Ok(None);
    }
    let unknown = sides.iter().position(Option::is_none).and_then(|place| paths.get(place));
    match unknown {
        None => Ok(Some(sides.into_iter().flatten().collect())),
        Some(path) => Err(BillError::OutOfBounds(format!(
            "actual and amortized cost are to be joined, and {} may be either: no row of it has a commitment. Put \
             the word actual or amortized into its name",
            path.file_name().unwrap_or_default().to_string_lossy()
        ))),
    }
}

/// The first row that only one of the two exports can have tells it.
fn side_by_rows(bill: &mut normalize::Bill) -> Result<Option<Side>, BillError> {
    let mut has_free_usage = false;
    while let Some(row) = bill.next_row()? {
        let Row::Charge(charge) = row else { continue };
        if charge.pricing_category != Some("Committed") {
            continue;
        }
        match charge.charge_category {
            Some("Purchase" | "Credit") => return Ok(Some(Side::Actual)),
            _ if charge.commitment_discount_status == Some("Unused") => return Ok(Some(Side::Amortized)),
            Some("Usage") if charge.billed_cost.as_ref().is_some_and(|cost| !cost.is_zero()) => {
                return Ok(Some(Side::Amortized));
            }
            Some("Usage") => has_free_usage = true,
            _ => {}
        }
    }
    Ok(has_free_usage.then_some(Side::Actual))
}

fn side_by_name(path: &Path) -> Option<Side> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    match (name.contains("actual"), name.contains("amortized") || name.contains("amortised")) {
        (true, false) => Some(Side::Actual),
        (false, true) => Some(Side::Amortized),
        _ => None,
    }
}

/// What is done with the rows of the file that is read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// They are counted as they are: nothing is joined.
    #[default]
    Plain,
    /// Rows of an actual export are remembered and not counted yet.
    Remember,
    /// Rows of an amortized export are counted, those that were remembered with their actual cost.
    Amortized,
    /// Rows of an actual export that no amortized one had are counted.
    Actual,
}

/// The rows of actual exports that wait for their amortized ones.
#[derive(Default)]
pub(super) struct AzureJoin {
    pub pass: Pass,
    /// How many equal rows of actual exports wait, by what names them.
    waiting: FxHashMap<u128, u32>,
    bytes: Vec<u8>,
    not_remembered: u64,
    matched: u64,
    apart_actual: u64,
    apart_amortized: u64,
}

impl AzureJoin {
    /// Whether a row is to be counted now. Its costs are set to those that it counts with.
    pub fn admits(&mut self, charge: &mut Charge<'_>) -> bool {
        match self.pass {
            Pass::Plain => true,
            Pass::Remember => {
                self.remember(charge);
                false
            }
            Pass::Amortized => {
                self.amortized(charge);
                true
            }
            Pass::Actual => self.is_left(charge),
        }
    }

    fn remember(&mut self, charge: &Charge<'_>) {
        let name = self.name(charge, charge.billed_cost.as_ref());
        let is_full = self.waiting.len() >= ROWS_MAX;
        match self.waiting.get_mut(&name) {
            Some(count) => *count += 1,
            None if is_full => self.not_remembered += 1,
            None => {
                self.waiting.insert(name, 1);
            }
        }
    }

    /// Usage that a commitment covers costs nothing in an actual export; everything else costs the same in both.
    fn amortized(&mut self, charge: &mut Charge<'_>) {
        let own = self.name(charge, charge.effective_cost.as_ref());
        if self.take(own) {
            return;
        }
        let free = self.name(charge, Some(&Decimal::ZERO));
        if !self.take(free) {
            self.apart_amortized += 1;
        }
        charge.billed_cost = Some(Decimal::ZERO);
    }

    fn take(&mut self, name: u128) -> bool {
        match self.waiting.get_mut(&name) {
            Some(count) if *count > 0 => {
                *count -= 1;
                self.matched += 1;
                true
            }
            _ => false,
        }
    }

    fn is_left(&mut self, charge: &mut Charge<'_>) -> bool {
        let name = self.name(charge, charge.billed_cost.as_ref());
        // A row that was not remembered has no place here.
        if let Some(count) = self.waiting.get_mut(&name) {
            if *count == 0 {
                return false;
            }
            *count -= 1;
        }
        self.apart_actual += 1;
        charge.effective_cost = Some(Decimal::ZERO);
        // The amortized export has the price of all usage: a second one would be counted twice.
        if charge.charge_category == Some("Usage") {
            charge.list_cost = None;
        }
        true
    }

    /// Names what a row says but for its prices, which follow the cost, together with a cost.
    fn name(&mut self, charge: &Charge<'_>, cost: Option<&Decimal>) -> u128 {
        let to = &mut self.bytes;
        to.clear();
        let periods = [
            charge.billing_period_start,
            charge.billing_period_end,
            charge.charge_period_start,
            charge.charge_period_end,
        ];
        for moment in periods {
            to.extend_from_slice(&moment.unwrap_or_default().timestamp().to_le_bytes());
        }
        let texts = [
            charge.billing_account_id,
            charge.billing_currency,
            charge.sub_account_id,
            charge.service_name,
            charge.region_id,
            charge.sku_id,
            charge.charge_category,
            charge.pricing_category,
            charge.resource_id,
            charge.charge_description,
            charge.tags.or(charge.unreadable_tags),
        ];
        for text in texts {
            let text = text.unwrap_or_default();
            to.extend_from_slice(&(text.len() as u32).to_le_bytes());
            to.extend_from_slice(text.as_bytes());
        }
        number(to, charge.consumed_quantity.as_ref());
        number(to, cost);
        // In any order: the columns of the two exports need not stand alike.
        let mut attributes = 0;
        for (name, value) in charge.attributes().filter(|(name, _)| !name.ends_with("Price")) {
            attributes ^= xxh3_128_with_seed(value.as_bytes(), xxh3_64(name.as_bytes()));
        }
        to.extend_from_slice(&attributes.to_le_bytes());
        // Whoever aims at a collision moves a cost between two lines, never a sum.
        xxh3_128(to)
    }

    /// What the receipt says of the join.
    pub fn sentence(&self) -> String {
        let Self { matched, apart_actual, apart_amortized, not_remembered, .. } = self;
        let mut text = format!(
            "BilledCost is that of the actual export, EffectiveCost that of the amortized one: {matched} rows stand in \
             both and count once, {apart_actual} stand in the actual export only (EffectiveCost 0), {apart_amortized} in \
             the amortized one only (BilledCost 0)."
        );
        if *not_remembered > 0 {
            text.push_str(&format!(
                " {not_remembered} rows of the actual export were too many to look for in the other: they stand by \
                 themselves. The costs are exact all the same."
            ));
        }
        text
    }
}

/// The value, whatever its zeros.
fn number(to: &mut Vec<u8>, value: Option<&Decimal>) {
    match value.map(|value| (value, value.fixed())) {
        None => to.push(b'-'),
        Some((_, Some((mut mantissa, mut scale)))) => {
            while scale > 0 && mantissa % 10 == 0 {
                mantissa /= 10;
                scale -= 1;
            }
            to.extend_from_slice(&mantissa.to_le_bytes());
            to.extend_from_slice(&scale.to_le_bytes());
        }
        Some((value, None)) => to.extend_from_slice(value.to_big_decimal().normalized().to_string().as_bytes()),
    }
}
