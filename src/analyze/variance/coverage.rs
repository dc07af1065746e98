//! What commitments take off the price of usage. What a commitment covers of a SKU and what it does not are one thing that
//! is bought, so that its beginning or end is no mix of a dear line and a cheap one: how much of it is covered, and at which
//! discount, is the factor of commitments.

#![expect(clippy::float_arithmetic, reason = "a share that LMDI is told; amounts stay exact")]

use super::lmdi::Factor;
use super::service::{float, is_above_zero};
use super::{Line, Place, Side};
use bigdecimal::{BigDecimal, Zero};
use std::collections::{BTreeMap, BTreeSet};

/// Significant digits of a price that is worked out.
const PRICE_DIGITS: u64 = 30;

/// What is bought of one SKU at standard prices, covered or not, or one line of anything else, in both periods.
#[derive(Debug, Clone)]
pub(super) struct Bought {
    /// In the period.
    pub now: Paid,
    /// In the one that it is compared with.
    pub before: Paid,
    /// As of [`Line`].
    pub product: i64,
    /// As of [`Line`].
    pub lacking_days: (u32, u32),
    /// As of [`Line`].
    pub is_once: bool,
    /// All of it is under commitment and nothing tells what it costs without one: what its price does is the commitment's.
    pub is_only_committed: bool,
}

/// What was paid for it in one period.
#[derive(Debug, Clone)]
pub(super) struct Paid {
    /// Sums; what a part of it does not say is not given. ContractedCost is that without a commitment.
    pub side: Side,
    /// What it would have cost without commitments, after all other discounts.
    pub without: BigDecimal,
    /// Whether a commitment covers some of it.
    pub is_covered: bool,
}

impl Bought {
    pub fn change(&self) -> BigDecimal {
        &self.now.side.cost - &self.before.side.cost
    }

    // A line by itself, priced as it says.
    fn alone(line: &Line, is_only_committed: bool) -> Self {
        let paid = |side: &Side| Paid { side: side.clone(), without: side.cost.clone(), is_covered: false };
        Self {
            now: paid(&line.now),
            before: paid(&line.before),
            product: line.product,
            lacking_days: line.lacking_days,
            is_once: line.is_once,
            is_only_committed,
        }
    }

    // The lines of one SKU together. `None` where no commitment covers any of it, or where nothing tells what the covered
    // part costs without one.
    fn together(lines: &[&Line]) -> Option<Self> {
        let first = lines.first()?;
        if !lines.iter().any(|line| line.is_committed()) {
            return None;
        }
        let now: Vec<Part<'_>> = lines.iter().map(|line| (&line.now, line.is_committed())).collect();
        let before: Vec<Part<'_>> = lines.iter().map(|line| (&line.before, line.is_committed())).collect();
        // Without a SKU these may be many things, of which no one has the price of another.
        let price = |parts: &[Part<'_>]| if first.sku == 0 { None } else { uncovered_price(parts) };
        let (price_now, price_before) = (price(&now), price(&before));
        Some(Self {
            now: paid(&now, price_now.as_ref().or(price_before.as_ref()))?,
            before: paid(&before, price_before.as_ref().or(price_now.as_ref()))?,
            product: first.product,
            lacking_days: first.lacking_days,
            is_once: lines.iter().any(|line| line.is_once),
            is_only_committed: false,
        })
    }
}

// One SKU of one bill: product, SKU, the days that lack.
type Sku = (i64, i64, (u32, u32));

// One line in one period, and whether a commitment covers it.
type Part<'a> = (&'a Side, bool);

/// In which of both periods each SKU of a service is charged for, covered or not: the part of it that a commitment covers
/// begins and ends with the commitment, and lacks no bill by that.
pub(super) struct Charged(BTreeMap<(Place, Sku), (bool, bool)>);

impl Charged {
    pub fn of(lines: &[Line]) -> Self {
        let mut skus: BTreeMap<(Place, Sku), (bool, bool)> = BTreeMap::new();
        for line in lines.iter().filter(|line| line.proven_cause().is_none()) {
            let Some(sku) = known_sku(line) else { continue };
            let periods = skus.entry((line.place, sku)).or_default();
            periods.0 |= line.is_charged(&line.now);
            periods.1 |= line.is_charged(&line.before);
        }
        Self(skus)
    }

    /// Now and before: the SKU of the line, or the line by itself.
    pub fn in_periods(&self, line: &Line) -> (bool, bool) {
        let of_sku = known_sku(line).and_then(|sku| self.0.get(&(line.place, sku))).copied();
        of_sku.unwrap_or_else(|| (line.is_charged(&line.now), line.is_charged(&line.before)))
    }
}

// Lines without a SKU may be many things, and none of them tells of another.
fn known_sku(line: &Line) -> Option<Sku> {
    (line.sku != 0 && line.has_standard_price()).then(|| sku_of(line))
}

fn sku_of(line: &Line) -> Sku {
    (line.product, line.sku, line.lacking_days)
}

/// Puts together what a commitment covers of a SKU and what it does not. Costs before commitments (`is_before_commitments`)
/// know none.
pub(super) fn bought(lines: &[&Line], is_before_commitments: bool) -> Vec<Bought> {
    let once: BTreeSet<Sku> = lines.iter().filter(|line| line.is_once).filter_map(|line| known_sku(line)).collect();
    let mut of_one: BTreeMap<(Sku, bool), Vec<&Line>> = BTreeMap::new();
    let mut all = Vec::new();
    for line in lines.iter().copied() {
        if is_before_commitments || !line.has_standard_price() {
            all.push(Bought::alone(line, false));
        } else {
            // A line that begins or ends does not tell whether it is charged once in each period; the rest of its SKU does.
            let is_in_both = line.is_charged(&line.now) && line.is_charged(&line.before);
            let is_once = line.is_once || !is_in_both && known_sku(line).is_some_and(|sku| once.contains(&sku));
            of_one.entry((sku_of(line), is_once)).or_default().push(line);
        }
    }
    for lines in of_one.into_values() {
        match Bought::together(&lines) {
            Some(one) => all.push(one),
            None => all.extend(lines.into_iter().map(|line| Bought::alone(line, line.is_committed()))),
        }
    }
    all
}

/// The share of what each product would cost without commitments that is paid with them, now and before.
pub(super) fn usual_shares(all: &[Bought]) -> BTreeMap<i64, Factor> {
    let mut sums: BTreeMap<i64, [BigDecimal; 4]> = BTreeMap::new();
    for one in all {
        let [now, without_now, before, without_before] = sums.entry(one.product).or_default();
        *now += &one.now.side.cost;
        *without_now += &one.now.without;
        *before += &one.before.side.cost;
        *without_before += &one.before.without;
    }
    let of_product = |(product, [now, without_now, before, without_before]): (i64, [BigDecimal; 4])| {
        (product, Factor::new(share(&now, &without_now), share(&before, &without_before)))
    };
    sums.into_iter().map(of_product).collect()
}

fn share(paid: &BigDecimal, without: &BigDecimal) -> f64 {
    if without.is_zero() { 1.0 } else { float(paid) / float(without) }
}

// What one unit costs that no commitment covers.
fn uncovered_price(parts: &[Part<'_>]) -> Option<BigDecimal> {
    let own = parts
        .iter()
        .filter(|(side, is_committed)| !is_committed && is_above_zero(&side.cost) && is_above_zero(&side.quantity));
    let (mut cost, mut quantity) = (BigDecimal::zero(), BigDecimal::zero());
    for (side, _) in own {
        cost += &side.cost;
        quantity += &side.quantity;
    }
    is_above_zero(&quantity).then(|| (cost / quantity).with_prec(PRICE_DIGITS))
}

// `None` where nothing tells what a covered part costs without its commitment.
fn paid(parts: &[Part<'_>], price: Option<&BigDecimal>) -> Option<Paid> {
    let mut told: Vec<(&Side, BigDecimal, bool)> = Vec::new();
    for &(side, is_committed) in parts {
        let without = if is_committed { without_commitment(side, price)? } else { side.cost.clone() };
        if is_above_zero(&side.cost) || is_above_zero(&without) {
            told.push((side, without, is_committed));
        }
    }
    let contracted = told.iter().map(|(side, without, is_committed)| match is_committed {
        true => without,
        false => &side.contracted_cost,
    });
    let side = Side {
        cost: told.iter().map(|(side, ..)| &side.cost).sum(),
        effective_cost: told.iter().map(|(side, ..)| &side.effective_cost).sum(),
        list_cost: sum_told(told.iter().map(|(side, ..)| &side.list_cost)),
        contracted_cost: sum_told(contracted),
        quantity: sum_told(told.iter().map(|(side, ..)| &side.quantity)),
    };
    Some(Paid {
        side,
        without: told.iter().map(|(_, without, _)| without).sum(),
        is_covered: told.iter().any(|(.., is_committed)| *is_committed),
    })
}

// By its ContractedCost, which leaves commitments out; bills that give the price of the commitment there say nothing by it.
// That is the EffectiveCost, whatever the basis: as it is billed, what is covered may cost nothing.
// Else by what the rest of the SKU costs, else by ListCost.
fn without_commitment(side: &Side, price: Option<&BigDecimal>) -> Option<BigDecimal> {
    let contracted = &side.contracted_cost;
    if is_above_zero(contracted) && *contracted != side.effective_cost {
        return Some(contracted.clone());
    }
    match price.filter(|_| is_above_zero(&side.quantity)) {
        Some(price) => Some(price * &side.quantity),
        None if is_above_zero(&side.list_cost) => Some(side.list_cost.clone()),
        None => side.cost.is_zero().then(BigDecimal::zero),
    }
}

// Not given where one of the parts is not.
fn sum_told<'a>(parts: impl Iterator<Item = &'a BigDecimal> + Clone) -> BigDecimal {
    if parts.clone().all(is_above_zero) { parts.sum() } else { BigDecimal::zero() }
}
