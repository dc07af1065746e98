use bigdecimal::num_bigint::{BigInt, BigUint, Sign};
use bigdecimal::{BigDecimal, Zero};
use std::cmp::Reverse;

/// Shares are counted at the amount's own scale, and at no fewer decimal places than this: so the last digit of a
/// share of a few cents is worth nothing that anybody could see.
pub const PLACES_MIN: i64 = 10;

/// Divides an amount in proportion to weights, exactly: the shares add up to the amount, none is of the other sign,
/// and none differs from its exact proportion by a whole unit of the last place. What is left over goes to the largest
/// remainders, of equal ones to the first. `None` where no weight is above zero: there is nothing to divide by.
pub fn shares(amount: &BigDecimal, weights: &[BigUint]) -> Option<Vec<BigDecimal>> {
    let whole: BigUint = weights.iter().sum();
    if whole.is_zero() {
        return None;
    }
    if amount.is_zero() {
        return Some(vec![BigDecimal::zero(); weights.len()]);
    }
    let places = amount.fractional_digit_count().max(PLACES_MIN);
    let (units, _) = amount.with_scale(places).into_bigint_and_exponent();
    let (sign, units) = units.into_parts();
    let mut parts = Vec::with_capacity(weights.len());
    let mut remainders: Vec<(Reverse<BigUint>, usize)> = Vec::with_capacity(weights.len());
    let mut left = units.clone();
    for (index, weight) in weights.iter().enumerate() {
        let product = &units * weight;
        let part = &product / &whole;
        remainders.push((Reverse(product - &part * &whole), index));
        left -= &part;
        parts.push(part);
    }
    remainders.sort();
    // Fewer units are left than there are remainders above zero.
    let mut winners = remainders.into_iter();
    while !left.is_zero() {
        let Some((_, index)) = winners.next() else { break };
        parts[index] += 1u32;
        left -= 1u32;
    }
    let share = |part: BigUint| {
        let sign = if part.is_zero() { Sign::NoSign } else { sign };
        BigDecimal::new(BigInt::from_biguint(sign, part), places)
    };
    Some(parts.into_iter().map(share).collect())
}

/// Weights in whole numbers, in the same proportion; what is below zero weighs nothing.
pub fn whole_weights(weights: &[BigDecimal]) -> Vec<BigUint> {
    let places = weights.iter().map(BigDecimal::fractional_digit_count).max().unwrap_or(0).max(0);
    let whole = |weight: &BigDecimal| {
        let (digits, _) = weight.with_scale(places).into_bigint_and_exponent();
        digits.to_biguint().unwrap_or_default()
    };
    weights.iter().map(whole).collect()
}
