use super::digits::{
    FIXED_DIGITS_MAX, FIXED_SCALE_MAX, PLAIN_DIGITS_MAX, SHORT_DIGITS_MAX, append_digits, fixed_mantissa, power_of_ten,
    product, write_digits,
};
use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::BigInt;
use std::fmt;
use std::ops::{AddAssign, Mul, Neg, SubAssign};

/// Longest text that is looked at, and most digits that a number may have when written without exponent.
const DIGITS_MAX: usize = 4096;

/// An exact decimal for the stream of a bill: `i128` fixed point at the text's own scale where that holds it,
/// [`BigDecimal`] where it does not. Both paths give the same digits; nothing is ever rounded or wrapped.
#[derive(Debug, Clone)]
pub struct Decimal(Digits);

#[derive(Debug, Clone)]
enum Digits {
    Fixed { mantissa: i128, scale: u32 },
    Big(Box<BigDecimal>),
}

/// Not a plain or scientific decimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDecimal {
    /// No digits at all.
    #[error("is empty")]
    Empty,
    /// A character that no number has: a currency sign, a thousands comma, `NaN`.
    #[error("is not a number like 1234.56 or 1.5E-7")]
    NotANumber,
    /// More digits than any bill needs.
    #[error("has more than 4,096 digits")]
    TooLong,
}

impl Decimal {
    /// Zero without decimals.
    pub const ZERO: Self = Self(Digits::Fixed { mantissa: 0, scale: 0 });

    /// `mantissa / 10^scale`.
    pub fn new(mantissa: i128, scale: u32) -> Self {
        if scale <= FIXED_SCALE_MAX {
            return Self(Digits::Fixed { mantissa, scale });
        }
        Self::big(BigDecimal::new(BigInt::from(mantissa), i64::from(scale)))
    }

    /// Reads `308.00`, `+.5`, `35.2E+3`, `1.5e-7`; keeps the scale that the text has. `-0` is zero.
    pub fn parse(text: &str) -> Result<Self, InvalidDecimal> {
        if let Some(plain) = Self::parse_plain(text.as_bytes()) {
            return Ok(plain);
        }
        let parts = Parts::of(text.as_bytes())?;
        if parts.digit_count <= 18 {
            let mantissa = i128::from(parts.small);
            let mantissa = if parts.negative { -mantissa } else { mantissa };
            if (0..=i64::from(FIXED_SCALE_MAX)).contains(&parts.scale) {
                return Ok(Self(Digits::Fixed { mantissa, scale: parts.scale as u32 }));
            }
            return Ok(Self::scaled(mantissa, parts.scale));
        }
        Ok(Self::parse_long(text, &parts))
    }

    /// The fixed-point parts `(mantissa, scale)`, where the fast path holds the number.
    pub fn fixed(&self) -> Option<(i128, u32)> {
        match self.0 {
            Digits::Fixed { mantissa, scale } => Some((mantissa, scale)),
            Digits::Big(_) => None,
        }
    }

    /// The number in so many decimals, where it has no more and the fast path holds it.
    #[inline]
    pub fn mantissa_at(&self, decimals: u32) -> Option<i128> {
        let (mantissa, scale) = self.fixed()?;
        match decimals.checked_sub(scale)? {
            0 => Some(mantissa),
            more => product(mantissa, power_of_ten(u64::from(more))?),
        }
    }

    /// The same number, digits and scale.
    pub fn to_big_decimal(&self) -> BigDecimal {
        match &self.0 {
            Digits::Fixed { mantissa, scale } => BigDecimal::new(BigInt::from(*mantissa), i64::from(*scale)),
            Digits::Big(value) => (**value).clone(),
        }
    }

    /// The same number without its sign.
    pub fn abs(&self) -> Self {
        if self.is_negative() { -self } else { self.clone() }
    }

    /// Whether it is less than zero.
    pub fn is_negative(&self) -> bool {
        match &self.0 {
            Digits::Fixed { mantissa, .. } => *mantissa < 0,
            Digits::Big(value) => value.sign() == bigdecimal::num_bigint::Sign::Minus,
        }
    }

    /// Whether it is zero at any scale.
    pub fn is_zero(&self) -> bool {
        match &self.0 {
            Digits::Fixed { mantissa, .. } => *mantissa == 0,
            Digits::Big(value) => value.sign() == bigdecimal::num_bigint::Sign::NoSign,
        }
    }

    /// `-0.147171330000000000`: what nearly all amounts are, of at most 38 digits. `None` where it is anything else,
    /// which [`Self::parse`] may read.
    #[inline]
    pub fn parse_plain(text: &[u8]) -> Option<Self> {
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let (whole, decimals) = match digits.iter().take(SHORT_DIGITS_MAX).position(|byte| *byte == b'.') {
            Some(point) => (&digits[..point], &digits[point + 1..]),
            None => (digits, &digits[..0]),
        };
        let mantissa = match whole.len() + decimals.len() {
            count if !(1..=PLAIN_DIGITS_MAX).contains(&count) => return None,
            count if count > SHORT_DIGITS_MAX => fixed_mantissa(whole, decimals)?,
            _ => i128::from(append_digits(append_digits(0, whole)?, decimals)?),
        };
        let mantissa = if digits.len() < text.len() { -mantissa } else { mantissa };
        Some(Self(Digits::Fixed { mantissa, scale: decimals.len() as u32 }))
    }

    fn parse_long(text: &str, parts: &Parts) -> Self {
        let unsigned = text.trim_start_matches(['+', '-']);
        let number = unsigned.split(['e', 'E']).next().unwrap_or_default();
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        if let Some(mantissa) = fixed_mantissa(whole.as_bytes(), decimals.as_bytes()) {
            return Self::scaled(if parts.negative { -mantissa } else { mantissa }, parts.scale);
        }
        let digits = format!("{whole}{decimals}");
        let mantissa: BigInt = digits.parse().expect("only ASCII digits are left");
        Self::big(plain(if parts.negative { -mantissa } else { mantissa }, parts.scale))
    }

    /// A negative scale is a number of zeros to append.
    fn scaled(mantissa: i128, scale: i64) -> Self {
        let fixed = match u32::try_from(scale) {
            Ok(scale) => (scale <= FIXED_SCALE_MAX).then_some((mantissa, scale)),
            Err(_) if mantissa == 0 => Some((0, 0)),
            Err(_) => power_of_ten(scale.unsigned_abs()).and_then(|power| mantissa.checked_mul(power)).map(|m| (m, 0)),
        };
        match fixed {
            Some((mantissa, scale)) => Self(Digits::Fixed { mantissa, scale }),
            None => Self::big(plain(BigInt::from(mantissa), scale)),
        }
    }

    fn big(value: BigDecimal) -> Self {
        Self(Digits::Big(Box::new(value)))
    }
}

/// Exact: where the fixed point would overflow, the sum moves to [`BigDecimal`].
impl AddAssign<&Decimal> for Decimal {
    fn add_assign(&mut self, other: &Decimal) {
        if let (Digits::Fixed { mantissa, scale }, Digits::Fixed { mantissa: added, scale: added_scale }) =
            (&mut self.0, &other.0)
            && let Some((sum, sum_scale)) = fixed_sum(*mantissa, *scale, *added, *added_scale)
        {
            *mantissa = sum;
            *scale = sum_scale;
            return;
        }
        *self = Self::big(self.to_big_decimal() + other.to_big_decimal());
    }
}

/// Exact, as addition is.
impl SubAssign<&Decimal> for Decimal {
    fn sub_assign(&mut self, other: &Decimal) {
        *self += &-other;
    }
}

/// Exact: where the fixed point would overflow, the product moves to [`BigDecimal`].
impl Mul for &Decimal {
    type Output = Decimal;

    fn mul(self, other: &Decimal) -> Decimal {
        if let (Some((left, left_scale)), Some((right, right_scale))) = (self.fixed(), other.fixed())
            && let Some(product) = product(left, right)
        {
            return Decimal::new(product, left_scale + right_scale);
        }
        Decimal::big(self.to_big_decimal() * other.to_big_decimal())
    }
}

/// Exact: the one number of `i128` without a counterpart moves to [`BigDecimal`].
impl Neg for &Decimal {
    type Output = Decimal;

    fn neg(self) -> Decimal {
        match &self.0 {
            Digits::Fixed { mantissa, scale } => match mantissa.checked_neg() {
                Some(mantissa) => Decimal(Digits::Fixed { mantissa, scale: *scale }),
                None => Decimal::big(-self.to_big_decimal()),
            },
            Digits::Big(value) => Decimal::big(-(**value).clone()),
        }
    }
}

/// By value, whatever the scale: `1.0` equals `1.00`.
impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.to_big_decimal() == other.to_big_decimal()
    }
}

/// All digits, never an exponent.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Digits::Fixed { mantissa, scale: 0 } => write!(f, "{mantissa}"),
            Digits::Fixed { mantissa, scale } => {
                let mut buffer = [b'0'; FIXED_DIGITS_MAX];
                let digits = write_digits(&mut buffer, mantissa.unsigned_abs(), *scale as usize + 1);
                let (whole, decimals) = digits.split_at(digits.len() - *scale as usize);
                for part in [if *mantissa < 0 { "-" } else { "" }, whole, ".", decimals] {
                    f.write_str(part)?;
                }
                Ok(())
            }
            Digits::Big(value) => f.write_str(&value.to_plain_string()),
        }
    }
}

fn fixed_sum(left: i128, left_scale: u32, right: i128, right_scale: u32) -> Option<(i128, u32)> {
    let (mut left, mut right) = (left, right);
    if left_scale < right_scale {
        left = product(left, power_of_ten(u64::from(right_scale - left_scale))?)?;
    } else if right_scale < left_scale {
        right = product(right, power_of_ten(u64::from(left_scale - right_scale))?)?;
    }
    Some((left.checked_add(right)?, left_scale.max(right_scale)))
}

fn plain(mantissa: BigInt, scale: i64) -> BigDecimal {
    let value = BigDecimal::new(mantissa, scale);
    if scale < 0 { value.with_scale(0) } else { value }
}

/// What one pass over the text finds.
struct Parts {
    negative: bool,
    /// Significant digits: leading zeros do not count.
    digit_count: usize,
    /// The digits as a number, right while there are at most 18 of them.
    small: u64,
    /// Decimals less the exponent.
    scale: i64,
}

impl Parts {
    fn of(text: &[u8]) -> Result<Self, InvalidDecimal> {
        if text.len() > DIGITS_MAX {
            return Err(InvalidDecimal::TooLong);
        }
        let (negative, digits) = match text {
            [] => return Err(InvalidDecimal::Empty),
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let (mut small, mut digit_count, mut seen) = (0_u64, 0_usize, 0_usize);
        let (mut point_at, mut exponent) = (None, 0_i64);
        for (index, &byte) in digits.iter().enumerate() {
            match byte {
                b'0'..=b'9' => {
                    seen += 1;
                    if byte != b'0' || digit_count > 0 {
                        digit_count += 1;
                    }
                    small = small.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                }
                b'.' if point_at.is_none() => point_at = Some(seen),
                b'e' | b'E' => {
                    exponent = read_exponent(&digits[index + 1..])?;
                    break;
                }
                _ => return Err(InvalidDecimal::NotANumber),
            }
        }
        if seen == 0 {
            return Err(InvalidDecimal::NotANumber);
        }
        let decimals = point_at.map_or(0, |at| seen - at) as i64;
        let scale = decimals - exponent;
        if scale > DIGITS_MAX as i64 || digit_count as i64 - scale > DIGITS_MAX as i64 {
            return Err(InvalidDecimal::TooLong);
        }
        Ok(Self { negative, digit_count, small, scale })
    }
}

fn read_exponent(text: &[u8]) -> Result<i64, InvalidDecimal> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(InvalidDecimal::NotANumber);
    }
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    let digits = &digits[zeros..];
    if digits.len() > 6 {
        return Err(InvalidDecimal::TooLong);
    }
    let value = digits.iter().fold(0_i64, |value, digit| value * 10 + i64::from(digit - b'0'));
    Ok(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(input: &str) -> String {
        Decimal::parse(input).map_or_else(|error| format!("{error:?}"), |value| value.to_string())
    }

    #[test]
    fn the_scale_of_the_text_is_kept() {
        assert_eq!(text("308.00"), "308.00");
        assert_eq!(text("-0.00"), "0.00");
        assert_eq!(text("+.5"), "0.5");
        assert_eq!(text("1e-0000007"), "0.0000001");
        assert_eq!(text("2E+00000000"), "2");
        assert_eq!(text("5."), "5");
        assert_eq!(text("1.5E-7"), "0.00000015");
        assert_eq!(text("35.2E+3"), "35200");
        assert_eq!(text("0e9"), "0");
        assert_eq!(text("-1e-40"), format!("-0.{}1", "0".repeat(39)));
    }

    /// N08: other spellings of numbers are refused, not guessed.
    #[test]
    fn what_is_not_a_number_is_refused() {
        for input in
            ["NaN", "inf", "$10", "1,234.56", "\u{2212}5", "1.2.3", "1e", "e5", ".", "-", "0x10", " 1", "1_000"]
        {
            assert_eq!(Decimal::parse(input), Err(InvalidDecimal::NotANumber), "{input}");
        }
        assert_eq!(Decimal::parse(""), Err(InvalidDecimal::Empty));
        assert_eq!(Decimal::parse("1e5000"), Err(InvalidDecimal::TooLong));
        assert_eq!(Decimal::parse("1e-999999999"), Err(InvalidDecimal::TooLong));
        assert_eq!(Decimal::parse(&"9".repeat(5000)), Err(InvalidDecimal::TooLong));
    }

    #[test]
    fn more_decimals_are_given_within_the_fast_path() {
        let at = |text: &str, decimals: u32| Decimal::parse(text).unwrap().mantissa_at(decimals);
        assert_eq!([at("-1.5", 1), at("-1.5", 4), at("0", 38)], [Some(-15), Some(-15_000), Some(0)]);
        assert_eq!([at("-1.5", 0), at("1.5", 38), at("1.5", 40)], [None, Some(15 * 10_i128.pow(37)), None]);
        assert_eq!([at("18", 37), at(&"9".repeat(50), 0)], [None, None]);
    }

    /// Literals that a 96-bit decimal truncates, rounds or refuses.
    #[test]
    fn long_literals_keep_every_digit() {
        for input in [
            "12345678901234567890.123456789012",
            "0.1234567890123456789012345678901",
            "79228162514264337593543950335.5",
            "16.2969321366366446274854190000",
            "0.00000000000001000000000000001",
            "99999999999999999999999999999999999999.99",
            "-170141183460469231731687303715884105728",
        ] {
            assert_eq!(text(input), input);
        }
    }

    /// N07: nothing wraps at the edge of the fixed point: what is larger goes on in more digits.
    #[test]
    fn a_sum_beyond_i128_moves_on_without_wrapping() {
        let mut sum = Decimal::new(i128::MAX, 0);
        sum += &Decimal::new(i128::MAX, 0);
        assert_eq!(sum.to_string(), "340282366920938463463374607431768211454");
        let least = Decimal::new(i128::MIN, 0);
        assert_eq!((-&least).to_string(), "170141183460469231731687303715884105728");
        let mut far = Decimal::new(i128::MAX, 0);
        far += &Decimal::parse("0.001").unwrap();
        assert_eq!(far.to_string(), "170141183460469231731687303715884105727.001");
    }

    /// N07: ten million of the largest lines, added up and taken away again.
    #[test]
    fn ten_million_of_the_largest_lines_add_up() {
        let line = Decimal::parse("170141183460469231731687303715884.105727").unwrap();
        let (mut sum, mut count) = (Decimal::ZERO, 0_u32);
        for _ in 0..10_000_000 {
            sum += &line;
            count += 1;
        }
        assert_eq!(count, 10_000_000);
        assert_eq!(sum.to_string(), "1701411834604692317316873037158841057270.000000");
        let back = Decimal::parse("-1701411834604692317316873037158841057270").unwrap();
        sum += &back;
        assert_eq!(sum.to_big_decimal(), BigDecimal::from(0));
    }

    /// N08: four hundred digits are a number like any other; five thousand are not.
    #[test]
    fn four_hundred_digits_are_all_kept() {
        let whole = "7".repeat(400);
        assert_eq!(text(&whole), whole);
        let small = format!("0.{}", "3".repeat(400));
        assert_eq!(text(&small), small);
    }

    fn literal() -> impl Strategy<Value = String> {
        ("[+-]?", "[0-9]{1,45}", "(\\.[0-9]{0,30})?", "([eE][+-]?[0-9]{1,2})?")
            .prop_map(|(a, b, c, d)| a + &b + &c + &d)
    }

    proptest! {
        #[test]
        fn the_fast_path_equals_the_exact_one(input in literal()) {
            let exact: BigDecimal = input.parse().unwrap();
            let value = Decimal::parse(&input).unwrap();
            prop_assert_eq!(value.to_big_decimal(), exact.clone());
            let shown: BigDecimal = value.to_string().parse().unwrap();
            prop_assert_eq!(shown, exact);
        }

        #[test]
        fn plain_numbers_keep_their_digits_and_their_scale(
            input in "-?[1-9][0-9]{0,24}(\\.[0-9]{1,24})?", small in "0\\.[0-9]{1,24}",
        ) {
            prop_assert_eq!(text(&input), input);
            prop_assert_eq!(text(&small), small);
        }

        #[test]
        fn sums_equal_the_exact_ones(inputs in proptest::collection::vec(literal(), 1..12)) {
            let mut sum = Decimal::ZERO;
            let mut exact = BigDecimal::from(0);
            for input in &inputs {
                sum += &Decimal::parse(input).unwrap();
                exact += input.parse::<BigDecimal>().unwrap();
            }
            prop_assert_eq!(sum.to_big_decimal(), exact);
        }

        #[test]
        fn differences_equal_the_exact_ones(left in literal(), right in literal()) {
            let (exact_left, exact_right): (BigDecimal, BigDecimal) = (left.parse().unwrap(), right.parse().unwrap());
            let (mut difference, right) = (Decimal::parse(&left).unwrap(), Decimal::parse(&right).unwrap());
            difference -= &right;
            prop_assert_eq!(difference.to_big_decimal(), exact_left - exact_right.clone());
            prop_assert_eq!((-&right).to_big_decimal(), -exact_right);
        }

        #[test]
        fn no_text_panics(input in "\\PC{0,40}") {
            let _ = Decimal::parse(&input);
        }
    }
}
