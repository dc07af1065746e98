//! List and contracted cost of Azure's lines, from unit prices: most exports have no such columns. A product is taken
//! only where quantity and effective price make the cost of the line, so that both are known to be of that quantity.

use super::columns::ABSENT;
use super::plan::Plan;
use super::row::Known;
use crate::focus::Decimal;
use crate::normalize::cells::{Cells, present, trimmed};

/// Exports cut quantities off at this decimal.
const QUANTITY_SCALE: u32 = 8;
/// And write costs as floating point numbers, of which so many digits are right.
const COST_DIGITS: u32 = 12;

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
        let (pricing, billing) = (trimmed(cells.get(self.pricing_currency)), trimmed(cells.get(self.billing_currency)));
        if pricing.is_empty() || pricing.eq_ignore_ascii_case(billing) {
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
    let mut difference = product.clone();
    difference -= cost;
    if difference.is_zero() {
        return true;
    }
    // Most costs are right to their digits: then the quantity need not be asked.
    let mut cut = &cost.abs() * &Decimal::new(1, COST_DIGITS);
    cut -= &difference.abs();
    if !cut.is_negative() {
        return true;
    }
    cut += &(&price.abs() * &Decimal::new(1, QUANTITY_SCALE));
    !cut.is_negative()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bigdecimal::BigDecimal;
    use proptest::prelude::*;

    fn makes_exactly(quantity: &BigDecimal, price: &BigDecimal, cost: &BigDecimal) -> bool {
        let quantity_cut = price.abs() * BigDecimal::new(1.into(), i64::from(QUANTITY_SCALE));
        let cost_cut = cost.abs() * BigDecimal::new(1.into(), i64::from(COST_DIGITS));
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
