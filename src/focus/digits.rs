//! Digits of numbers within `i128`: read, written and multiplied, each exactly or not at all.

/// Most decimals of the fast path: 10^38 is the largest power of ten within `i128`.
pub(super) const FIXED_SCALE_MAX: u32 = 38;

const POWERS_OF_TEN: [i128; FIXED_SCALE_MAX as usize + 1] = {
    let mut powers = [1; FIXED_SCALE_MAX as usize + 1];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// Most digits of which each number is within `u64`.
pub(super) const SHORT_DIGITS_MAX: usize = 19;
/// Most digits of which each number is within `i128`.
pub(super) const PLAIN_DIGITS_MAX: usize = FIXED_SCALE_MAX as usize;
/// Most digits that a number within `i128` has, and as many as one with most decimals has with the zero before them.
pub(super) const FIXED_DIGITS_MAX: usize = PLAIN_DIGITS_MAX + 1;

#[inline]
pub(super) fn power_of_ten(exponent: u64) -> Option<i128> {
    POWERS_OF_TEN.get(usize::try_from(exponent).ok()?).copied()
}

/// Exact, or `None`. Most factors are so small that their product needs no check, which is the slow part of it.
#[inline]
pub(super) fn product(left: i128, right: i128) -> Option<i128> {
    match (i64::try_from(left), i64::try_from(right)) {
        (Ok(left), Ok(right)) => Some(i128::from(left).wrapping_mul(i128::from(right))),
        _ => left.checked_mul(right),
    }
}

/// The digits of a number as one, where that holds them.
pub(super) fn fixed_mantissa(whole: &[u8], decimals: &[u8]) -> Option<i128> {
    let mut mantissa = 0_i128;
    for digits in [whole, decimals].into_iter().flat_map(|part| part.chunks(SHORT_DIGITS_MAX)) {
        let value = i128::from(append_digits(0, digits)?);
        mantissa = mantissa.checked_mul(POWERS_OF_TEN[digits.len()])?.checked_add(value)?;
    }
    Some(mantissa)
}

/// A number with these digits behind its own; both together are at most [`SHORT_DIGITS_MAX`].
#[inline]
pub(super) fn append_digits(mut value: u64, mut digits: &[u8]) -> Option<u64> {
    while let Some((eight, rest)) = digits.split_first_chunk() {
        value = value * 100_000_000 + eight_digits(*eight)?;
        digits = rest;
    }
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

/// Eight digits at once: neighbours become numbers of two digits, these of four, these of eight.
#[inline]
fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    let text = u64::from_le_bytes(digits);
    // The upper half of each byte is that of a digit, and no lower half goes beyond nine.
    let is_digits = text & text.wrapping_add(0x0606_0606_0606_0606) & 0xf0f0_f0f0_f0f0_f0f0 == 0x3030_3030_3030_3030;
    if !is_digits {
        return None;
    }
    let ones = text & 0x0f0f_0f0f_0f0f_0f0f;
    let twos = (ones.wrapping_mul(10 << 8 | 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(10_000 << 32 | 1) >> 32)
}

/// Writes a number at the end of zeros, and gives its digits, of which there are at least so many.
pub(super) fn write_digits(zeros: &mut [u8; FIXED_DIGITS_MAX], mut number: u128, digits_min: usize) -> &str {
    let mut at = zeros.len();
    while number > 0 {
        // Divisions of 128 bits are slow: nineteen digits are taken off by one.
        let part_at = at.saturating_sub(SHORT_DIGITS_MAX);
        let mut part = (number % POWERS_OF_TEN[SHORT_DIGITS_MAX].unsigned_abs()) as u64;
        number /= POWERS_OF_TEN[SHORT_DIGITS_MAX].unsigned_abs();
        while part > 0 {
            at -= 1;
            zeros[at] = b'0' + (part % 10) as u8;
            part /= 10;
        }
        if number > 0 {
            at = part_at;
        }
    }
    let from = at.min(zeros.len() - digits_min);
    std::str::from_utf8(&zeros[from..]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn eight_digits_are_read_as_one_by_one(digits in "[0-9]{8}", other: u8, place in 0..8_usize) {
            let mut bytes: [u8; 8] = digits.as_bytes().try_into().unwrap();
            prop_assert_eq!(eight_digits(bytes), digits.parse().ok());
            bytes[place] = other;
            prop_assert_eq!(eight_digits(bytes).is_some(), other.is_ascii_digit());
        }

        #[test]
        fn products_are_those_of_wide_numbers(left: i128, right: i64, other: i64) {
            prop_assert_eq!(product(left, i128::from(right)), left.checked_mul(i128::from(right)));
            prop_assert_eq!(product(i128::from(other), i128::from(right)), Some(i128::from(other) * i128::from(right)));
        }

        #[test]
        fn written_digits_are_those_of_the_number(number: u128, shift in 0..128_u32, digits_min in 1..=39_usize) {
            let number = (number >> 1) >> shift.min(126);
            let mut zeros = [b'0'; FIXED_DIGITS_MAX];
            prop_assert_eq!(write_digits(&mut zeros, number, digits_min), format!("{number:0digits_min$}"));
        }
    }
}
