//! How numbers are written. The only place where an amount is rounded.

#![expect(missing_docs, reason = "askama::filter_fn drops doc comments")]

use bigdecimal::{BigDecimal, RoundingMode};

/// A true minus: the width of a plus, read aloud as minus.
const MINUS: char = '\u{2212}';

/// `1234.5` as `1,234.50`; the currency is written beside it.
#[askama::filter_fn]
pub fn cents(amount: &BigDecimal, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(grouped(amount, 2))
}

/// `1234.5` as `1,235`.
#[askama::filter_fn]
pub fn whole(amount: &BigDecimal, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(grouped(amount, 0))
}

/// All digits, nothing rounded.
#[askama::filter_fn]
pub fn exact(amount: &BigDecimal, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(amount.normalized().to_plain_string().replace('-', "\u{2212}"))
}

/// `1234567` as `1,234,567`.
#[askama::filter_fn]
pub fn count(number: &i64, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(grouped(&BigDecimal::from(*number), 0))
}

/// Rounded half away from zero to `decimals`, with thousands separators and a true minus.
pub fn grouped(amount: &BigDecimal, decimals: i64) -> String {
    let rounded = amount.with_scale_round(decimals, RoundingMode::HalfUp);
    let text = rounded.abs().to_plain_string();
    let (digits, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::with_capacity(text.len() + text.len() / 3 + 4);
    if rounded.sign() == bigdecimal::num_bigint::Sign::Minus {
        out.push(MINUS);
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// `1 line`, `1,234 lines`.
pub fn lines(count: i64) -> String {
    if count == 1 { "1 line".into() } else { format!("{} lines", grouped(&count.into(), 0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped_and_minus_is_a_minus() {
        assert_eq!(grouped(&"-1234567.895".parse().unwrap(), 2), "\u{2212}1,234,567.90");
        assert_eq!(grouped(&"999.5".parse().unwrap(), 0), "1,000");
        assert_eq!(grouped(&"-0.004".parse().unwrap(), 2), "0.00");
    }
}
