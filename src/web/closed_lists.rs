//! Values of an address that FOCUS lists. No input or output: addresses are read without a database.

use super::error::{Error, Result};

/// What FOCUS calls the categories of charges: known also where no bill has one of them.
pub(super) const CHARGE_CATEGORIES: [&str; 5] = ["Adjustment", "Credit", "Purchase", "Tax", "Usage"];

/// FOCUS CommitmentDiscountStatus.
const COMMITMENT_STATUSES: [&str; 2] = ["Used", "Unused"];

/// FOCUS PricingCategory, and what is left of a commitment: providers may have further ones.
const PRICING_CATEGORIES: [&str; 5] = ["Standard", "Dynamic", "Committed", "Other", "Unused"];

/// A value as FOCUS writes it, letter case aside. One that no list has stays as it is: providers have their own
/// categories, which the bills are looked up for. So does any currency: a bill may have one that differs from a listed one
/// by letter case alone.
///
/// # Errors
/// Where a list is complete and does not have it.
pub(super) fn canonical(key: &str, value: &str) -> Result<String> {
    let of = |list: &[&str]| list.iter().find(|one| one.eq_ignore_ascii_case(value)).map(|one| (*one).to_owned());
    match key {
        "charge" => Ok(of(&CHARGE_CATEGORIES).unwrap_or_else(|| value.to_owned())),
        "pricing" => Ok(of(&PRICING_CATEGORIES).unwrap_or_else(|| value.to_owned())),
        "commitment_status" => of(&COMMITMENT_STATUSES).ok_or_else(|| {
            Error::Invalid(format!("{key}={value} is not known. Allowed: {}.", COMMITMENT_STATUSES.join(", ")))
        }),
        _ => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_lists_are_read_as_the_list_writes_them() {
        let read = |key, value| canonical(key, value).map_err(|error| error.to_string());
        assert_eq!(read("charge", "usage"), Ok("Usage".into()));
        assert_eq!(read("pricing", "standard"), Ok("Standard".into()));
        assert_eq!(read("charge", "Rental"), Ok("Rental".into()), "a provider's own");
        assert_eq!(read("cur", "eur"), Ok("eur".into()), "the bills know how it is written");
        assert_eq!(read("commitment_status", "UNUSED"), Ok("Unused".into()));
        let refused = "commitment_status=spare is not known. Allowed: Used, Unused.";
        assert_eq!(read("commitment_status", "spare"), Err(refused.into()));
    }
}
