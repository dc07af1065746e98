//! Azure's actual and amortized cost of one bill, joined: BilledCost of the one, EffectiveCost of the other.
//!
//! The two come as parts of one delivery, or one after the other as deliveries of one source (`azure_beside`).
//!
//! An export has one cost, and its rows have no key. A row that stands in both exports becomes one charge; what
//! stands in one of them only (a commitment where it was bought, the part of it that a day used) keeps the other cost
//! at zero. So the sum of each cost is that of its export, whatever could be matched.

use super::azure_waiting::WaitingRows;
use super::import::ImportError;
use super::json;
use crate::focus::Decimal;
use crate::normalize::{self, BillError, Charge, Format, Row};
use crate::sources::senders_name;
use anyhow::Context;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

/// What failed where a temporary file did.
const ASIDE: &str = "setting rows of the actual export aside in a temporary file";

/// Which cost a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// As invoiced: commitments where they were bought.
    Actual,
    /// Commitments where they were used.
    Amortized,
}

impl Side {
    /// What the database calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Actual => "actual",
            Self::Amortized => "amortized",
        }
    }

    /// The other export of the bill.
    pub fn other(self) -> Self {
        match self {
            Self::Actual => Self::Amortized,
            Self::Amortized => Self::Actual,
        }
    }
}

/// Billing account and first instant of the billing period, in seconds: one bill.
pub(super) type BillKey = (String, i64);

/// The measure of a joined line that tells in which export it stands, and its values.
pub(super) const MARK: &str = "x_CostsFrom";
pub(super) const FROM_BOTH: &str = "both exports";

/// The value for what stands in one export only.
pub(super) fn only_from(side: Side) -> &'static str {
    match side {
        Side::Actual => "actual export",
        Side::Amortized => "amortized export",
    }
}

/// The side of each file, where they are the two costs of one bill; `None` where they are not, or are one of them
/// only. An error where a file could be either.
pub(super) fn sides(paths: &[PathBuf], format: Option<Format>) -> Result<Option<Vec<Side>>, BillError> {
    if paths.len() < 2 {
        return Ok(None);
    }
    let mut sides = Vec::with_capacity(paths.len());
    for path in paths {
        let mut bill = match normalize::open_as(path, format) {
            // Whether it may be is for whoever reads all of them.
            Err(BillError::Empty) => return Ok(None),
            opened => opened?,
        };
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
            senders_name(path)
        ))),
    }
}

/// The one side that all files hold, and their bills; `None` where they are no such export, or do not tell.
pub(super) fn one_side(
    paths: &[PathBuf],
    format: Option<Format>,
) -> Result<Option<(Side, BTreeSet<BillKey>)>, BillError> {
    let (mut bills, mut found) = (BTreeSet::new(), None);
    for path in paths {
        let mut bill = normalize::open_as(path, format)?;
        if bill.kind() != Format::AzureExport {
            return Ok(None);
        }
        let mut tells = Tells::default();
        while let Some(row) = bill.next_row()? {
            let Row::Charge(charge) = row else { continue };
            tells.look(&charge);
            let (account, period) = bill_of(&charge);
            if !bills.iter().any(|(known, start)| known == account && *start == period) {
                bills.insert((account.to_owned(), period));
            }
        }
        match (tells.side().or_else(|| side_by_name(path)), found) {
            (Some(side), Some(other)) if side != other => return Ok(None),
            (Some(side), _) => found = Some(side),
            (None, _) => {}
        }
    }
    Ok(found.map(|side| (side, bills)))
}

fn bill_of<'a>(charge: &Charge<'a>) -> (&'a str, i64) {
    let start = charge.billing_period_start.unwrap_or_default().timestamp();
    (charge.billing_account_id.unwrap_or_default(), start)
}

/// The first row that only one of the two exports can have tells it.
fn side_by_rows(bill: &mut normalize::Bill) -> Result<Option<Side>, BillError> {
    let mut tells = Tells::default();
    while let Some(row) = bill.next_row()? {
        let Row::Charge(charge) = row else { continue };
        tells.look(&charge);
        if tells.certain.is_some() {
            break;
        }
    }
    Ok(tells.side())
}

/// What rows tell of the export that they stand in.
#[derive(Default)]
struct Tells {
    certain: Option<Side>,
    has_free_usage: bool,
}

impl Tells {
    fn look(&mut self, charge: &Charge<'_>) {
        if self.certain.is_some() {
            return;
        }
        if charge.commitment_discount_status == Some("Unused") {
            self.certain = Some(Side::Amortized);
            return;
        }
        // Exports without PricingModel say of a commitment only which one it is.
        let is_committed = match charge.pricing_category {
            Some(category) => category == "Committed",
            None => charge.attributes().any(|(name, _)| name == "CommitmentDiscountId"),
        };
        if !is_committed {
            return;
        }
        match charge.charge_category {
            Some("Purchase" | "Credit") => self.certain = Some(Side::Actual),
            Some("Usage") if charge.billed_cost.as_ref().is_some_and(|cost| !cost.is_zero()) => {
                self.certain = Some(Side::Amortized);
            }
            Some("Usage") => self.has_free_usage = true,
            _ => {}
        }
    }

    fn side(&self) -> Option<Side> {
        self.certain.or(self.has_free_usage.then_some(Side::Actual))
    }
}

fn side_by_name(path: &Path) -> Option<Side> {
    let name = senders_name(path).to_lowercase();
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
    waiting: WaitingRows,
    /// Of the names of rows.
    seed: u64,
    bytes: Vec<u8>,
    /// The bills that are joined, where that is not all.
    pub bills: Option<Arc<BTreeSet<BillKey>>>,
    /// In which export the row stands that was admitted last, where its bill is joined.
    pub mark: Option<&'static str>,
    remembered: u64,
    matched: u64,
    apart_actual: u64,
    apart_amortized: u64,
}

impl AzureJoin {
    /// The seed is drawn for each import, so that no file can aim at two rows of one name.
    pub fn new() -> Self {
        Self { seed: getrandom::u64().expect("the system has random numbers"), ..Self::default() }
    }

    /// Whether a row is to be counted now. Its costs are set to those that it counts with.
    pub fn admits(&mut self, charge: &mut Charge<'_>) -> Result<bool, ImportError> {
        self.mark = None;
        // A bill of which only this export is there counts as it is.
        if self.pass != Pass::Plain && !self.is_joined(charge) {
            return Ok(self.pass != Pass::Remember);
        }
        match self.pass {
            Pass::Plain => Ok(true),
            Pass::Remember => {
                let name = self.name(charge, charge.billed_cost.as_ref());
                self.waiting.add(name).context(ASIDE)?;
                self.remembered += 1;
                Ok(false)
            }
            Pass::Amortized => {
                self.amortized(charge)?;
                Ok(true)
            }
            Pass::Actual => self.is_left(charge),
        }
    }

    fn is_joined(&self, charge: &Charge<'_>) -> bool {
        let Some(bills) = &self.bills else { return true };
        let (account, period) = bill_of(charge);
        bills.iter().any(|(known, start)| known == account && *start == period)
    }

    /// Usage that a commitment covers costs nothing in an actual export; everything else costs the same in both.
    fn amortized(&mut self, charge: &mut Charge<'_>) -> Result<(), ImportError> {
        self.mark = Some(FROM_BOTH);
        let own = self.name(charge, charge.effective_cost.as_ref());
        if self.take(own)? {
            return Ok(());
        }
        let free = self.name(charge, Some(&Decimal::ZERO));
        if !self.take(free)? {
            self.apart_amortized += 1;
            self.mark = Some(only_from(Side::Amortized));
        }
        charge.billed_cost = Some(Decimal::ZERO);
        Ok(())
    }

    fn take(&mut self, name: u128) -> Result<bool, ImportError> {
        let is_there = self.waiting.take(name).context(ASIDE)?;
        self.matched += u64::from(is_there);
        Ok(is_there)
    }

    fn is_left(&mut self, charge: &mut Charge<'_>) -> Result<bool, ImportError> {
        let name = self.name(charge, charge.billed_cost.as_ref());
        if !self.waiting.take(name).context(ASIDE)? {
            return Ok(false);
        }
        self.apart_actual += 1;
        self.mark = Some(only_from(Side::Actual));
        charge.effective_cost = Some(Decimal::ZERO);
        // The amortized export has the price of all usage: a second one would be counted twice.
        if charge.charge_category == Some("Usage") {
            charge.list_cost = None;
            charge.contracted_cost = None;
        }
        Ok(true)
    }

    /// Names what a row says but for its prices, which follow the cost, together with a cost. Of 128 bits with a seed
    /// that no file can know, no two rows that differ have one name.
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
        ];
        for text in texts {
            let text = text.unwrap_or_default();
            to.extend_from_slice(&(text.len() as u32).to_le_bytes());
            to.extend_from_slice(text.as_bytes());
        }
        // As the ledger keeps them: one of the two exports may come from there. Those that cannot be read are attributes.
        if charge.tags.is_some() {
            let mut tags = Value::Object(charge.tag_map());
            json::storable(&mut tags);
            to.extend_from_slice(tags.to_string().as_bytes());
        }
        number(to, charge.consumed_quantity.as_ref());
        number(to, cost);
        // In any order: the columns of the two exports need not stand alike.
        let mut attributes = 0;
        for (name, value) in charge.attributes().filter(|(name, _)| is_compared(name)) {
            let seed = xxh3_64_with_seed(name.as_bytes(), self.seed);
            attributes ^= xxh3_128_with_seed(value.as_bytes(), seed);
        }
        to.extend_from_slice(&attributes.to_le_bytes());
        xxh3_128_with_seed(to, self.seed)
    }

    /// Each row that waited was counted. One that did not come again, or came otherwise, was written to meanwhile.
    pub fn check(&self) -> Result<(), ImportError> {
        if self.remembered == self.matched + self.apart_actual { Ok(()) } else { Err(ImportError::StillWritten) }
    }

    /// What the receipt says of the join.
    pub fn sentence(&self) -> String {
        let Self { matched, apart_actual, apart_amortized, .. } = self;
        format!(
            "BilledCost is that of the actual export, EffectiveCost that of the amortized one: {matched} rows stand in \
             both and count once, {apart_actual} stand in the actual export only (EffectiveCost 0), {apart_amortized} in \
             the amortized one only (BilledCost 0)."
        )
    }
}

/// Prices follow the cost. What all rows of a bill have, or what follows from other columns, tells none apart; lines of
/// the ledger from before may call it otherwise.
fn is_compared(attribute: &str) -> bool {
    !attribute.ends_with("Price") && attribute != "SubAccountType" && !attribute.contains("ricingCurrency")
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
