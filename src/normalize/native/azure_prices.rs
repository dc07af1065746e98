//! List and contracted cost of Azure's lines, from unit prices: most exports have no such columns. A product is taken
//! only where quantity and effective price make the cost of the line, so that both are known to be of that quantity.

use super::columns::ABSENT;
use super::plan::Plan;
use super::row::Known;
use crate::focus::Decimal;
use crate::normalize::cells::{Cells, present, trimmed};

/// Exports cut quantities off at the eighth decimal, and write costs as floating point numbers, of which twelve digits
/// are right. What a product differs from a cost by is compared with these in so many times its size, so that nothing is
/// divided: the cost itself, and the price at four decimals less.
const COST_DIGITS: u32 = 12;
const PRICE_DIGITS: u32 = 4;

/// The columns that prices are read from.
pub(super) struct Prices {
    cost: usize,
    quantity: usize,
    effective_price: usize,
    list_price: usize,
    contracted_price: usize,
    exchange_rate: usize,
    pricing_currency: usize,
    billing_currency: usize,
}

impl Prices {
    pub fn of(plan: &Plan, cost: usize) -> Self {
        let find = |keys: &[&str]| plan.native.find(keys);
        Self {
            cost,
            quantity: find(&["quantity", "usagequantity", "consumedquantity"]),
            effective_price: find(&["effectiveprice"]),
            list_price: find(&["paygprice"]),
            contracted_price: find(&["unitprice"]),
            exchange_rate: find(&["exchangeratepricingtobilling"]),
            pricing_currency: find(&["pricingcurrency", "pricingcurrencycode"]),
            billing_currency: find(&["billingcurrency", "billingcurrencycode", "currency"]),
        }
    }

    /// The column that a list cost comes from; `ABSENT` where none can be derived.
    pub fn list_column(&self) -> usize {
        self.if_derivable(self.list_price)
    }

    /// The same of a contracted cost.
    pub fn contracted_column(&self) -> usize {
        self.if_derivable(self.contracted_price)
    }

    fn if_derivable(&self, price: usize) -> usize {
        let needed = [self.cost, self.quantity, self.effective_price, price];
        if needed.contains(&ABSENT) { ABSENT } else { price }
    }

    /// What a line would have cost at list and at contracted prices, where that can be told, in its billing currency.
    /// What was read to tell it is known.
    pub fn derive(&self, cells: Cells<'_>, known: &mut Known) -> Option<[Option<Decimal>; 2]> {
        known.billed_cost = number(cells, self.cost);
        known.consumed_quantity = number(cells, self.quantity);
        let (cost, quantity) = (known.billed_cost.as_ref()?, known.consumed_quantity.as_ref()?);
        let effective_price = number(cells, self.effective_price)?;
        // From here on the quantity has the exchange rate in it: each product needs both.
        let converted = self.exchange_rate(cells)?.map(|rate| quantity * &rate);
        let quantity = converted.as_ref().unwrap_or(quantity);
        let product = &effective_price * quantity;
        if !makes(&product, &effective_price, cost) {
            return None;
        }
        let at = |price: usize| {
            // Most lines have one price only, under several names.
            let is_effective = cells.bytes(price) == cells.bytes(self.effective_price);
            let price = if is_effective { None } else { Some(number(cells, price)?) };
            // A price of zero beside a cost is one that the export does not know.
            let is_zero = price.as_ref().unwrap_or(&effective_price).is_zero();
            let is_known = cost.is_zero() || !is_zero;
            is_known.then(|| price.map_or_else(|| product.clone(), |price| &price * quantity))
        };
        Some([at(self.list_price), at(self.contracted_price)])
    }

    // Some(None) where prices are in the billing currency; None where they are not and no rate is given.
    fn exchange_rate(&self, cells: Cells<'_>) -> Option<Option<Decimal>> {
        let pricing = trimmed(cells.get(self.pricing_currency));
        if pricing.is_empty() || pricing.eq_ignore_ascii_case(trimmed(cells.get(self.billing_currency))) {
            return Some(None);
        }
        number(cells, self.exchange_rate).filter(|rate| !rate.is_zero()).map(Some)
    }
}

fn number(cells: Cells<'_>, column: usize) -> Option<Decimal> {
    if let Some(plain) = Decimal::parse_plain(cells.bytes(column)) {
        return Some(plain);
    }
    Decimal::parse(trimmed(present(cells.get(column))?)).ok()
}

/// Whether the product of a quantity and a price is a cost, but for digits that exports cut off.
fn makes(product: &Decimal, price: &Decimal, cost: &Decimal) -> bool {
    makes_within_fixed(product, price, cost).unwrap_or_else(|| {
        let times = |number: &Decimal, digits: u32| &number.abs() * &Decimal::new(10_i128.pow(digits), 0);
        let mut difference = product.clone();
        difference -= cost;
        let mut left = cost.abs();
        left += &times(price, PRICE_DIGITS);
        left -= &times(&difference, COST_DIGITS);
        !left.is_negative()
    })
}

/// The same of the numbers of nearly all lines, which are short; `None` where one on the way would not be.
fn makes_within_fixed(product: &Decimal, price: &Decimal, cost: &Decimal) -> Option<bool> {
    let scale = product.fixed()?.1.max(cost.fixed()?.1);
    let cost = cost.mantissa_at(scale)?;
    let difference = Decimal::new(product.mantissa_at(scale)?.checked_sub(cost)?, scale);
    let difference = difference.mantissa_at(scale + COST_DIGITS)?.checked_abs()?;
    let cost = cost.checked_abs()?;
    // Most costs are right to their digits: then the quantity need not be asked.
    if difference <= cost {
        return Some(true);
    }
    let cut = price.mantissa_at(scale + PRICE_DIGITS)?.checked_abs()?;
    Some(difference <= cost.checked_add(cut)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bigdecimal::BigDecimal;
    use proptest::prelude::*;

    fn makes_exactly(quantity: &BigDecimal, price: &BigDecimal, cost: &BigDecimal) -> bool {
        let quantity_cut = price.abs() * BigDecimal::new(1.into(), 8);
        let cost_cut = cost.abs() * BigDecimal::new(1.into(), 12);
        (price * quantity - cost).abs() <= quantity_cut + cost_cut
    }

    proptest! {
        /// Costs cut off at each digit: some of them are too far from the product, and some are not.
        #[test]
        fn what_makes_a_cost_is_told_as_by_numbers_of_any_length(
            quantity in "-?[0-9]{1,5}(\\.[0-9]{1,20})?", price in "[0-9]{1,3}(\\.[0-9]{1,20})?", scale in 0..24_i64,
        ) {
            let [quantity, price] = [quantity, price].map(|text| Decimal::parse(&text).unwrap());
            let exact = quantity.to_big_decimal() * price.to_big_decimal();
            let cost = Decimal::parse(&exact.with_scale(scale).to_plain_string()).unwrap();
            let expected = makes_exactly(&quantity.to_big_decimal(), &price.to_big_decimal(), &cost.to_big_decimal());
            prop_assert_eq!(makes(&(&price * &quantity), &price, &cost), expected);
        }
    }
}
