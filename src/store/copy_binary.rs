//! PostgreSQL's binary COPY format: rows written straight into the bytes that the server reads.
//!
//! Binary, because it loads several times faster than text, and because NUMERIC then needs no detour by text:
//! the digits that the bill gave are the digits that are stored, with their scale.

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::Sign;
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

/// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL's clock starts.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Days from the first day of the year 1 to 2000-01-01.
const POSTGRES_EPOCH_DAY: i32 = 730_120;
const POSTGRES_EPOCH_UNIX_DAY: i32 = 10_957;
const NUMERIC_POSITIVE: u16 = 0x0000;
const NUMERIC_NEGATIVE: u16 = 0x4000;
/// Digits after the decimal point that NUMERIC can hold.
pub const NUMERIC_SCALE_MAX: i64 = 16_383;
/// Digits before the decimal point that NUMERIC can hold.
pub const NUMERIC_INTEGER_DIGITS_MAX: i64 = 131_072;
const MANTISSA_DIGITS: usize = 40;

/// More digits than NUMERIC holds: 131,072 before and 16,383 after the decimal point.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a number has more digits than can be stored")]
pub struct NumericOverflow;

/// Rows in the making. The fields of a row follow its [`row`](Self::row) call in the order of the columns.
#[derive(Debug, Default)]
pub struct CopyBuffer {
    bytes: Vec<u8>,
}

impl CopyBuffer {
    /// Room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    /// The signature that a COPY stream starts with.
    pub fn header(&mut self) {
        self.bytes.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
        self.bytes.extend_from_slice(&[0; 8]);
    }

    /// The mark that a COPY stream ends with.
    pub fn trailer(&mut self) {
        self.bytes.extend_from_slice(&(-1i16).to_be_bytes());
    }

    /// Starts a row.
    pub fn row(&mut self, column_count: i16) {
        self.bytes.extend_from_slice(&column_count.to_be_bytes());
    }

    /// A row that was written elsewhere, its column count in front.
    pub fn whole_row(&mut self, row: &[u8]) {
        self.bytes.extend_from_slice(row);
    }

    /// SQL NULL of any type.
    pub fn null(&mut self) {
        self.bytes.extend_from_slice(&(-1i32).to_be_bytes());
    }

    /// `boolean`.
    pub fn boolean(&mut self, value: bool) {
        self.field(&[u8::from(value)]);
    }

    /// `integer`.
    pub fn int4(&mut self, value: i32) {
        self.field(&value.to_be_bytes());
    }

    /// `bigint`.
    pub fn int8(&mut self, value: i64) {
        self.field(&value.to_be_bytes());
    }

    /// `text`. PostgreSQL knows no NUL character; it is written as U+FFFD.
    pub fn text(&mut self, value: &str) {
        if value.contains('\0') {
            self.field(value.replace('\0', "\u{fffd}").as_bytes());
        } else {
            self.field(value.as_bytes());
        }
    }

    /// `text`, or NULL.
    pub fn text_or_null(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    /// `uuid`.
    pub fn uuid(&mut self, value: Uuid) {
        self.field(value.as_bytes());
    }

    /// `timestamptz`.
    pub fn timestamptz(&mut self, value: DateTime<Utc>) {
        self.int8(value.timestamp_micros() - POSTGRES_EPOCH_MICROS);
    }

    /// `date`.
    pub fn date(&mut self, value: NaiveDate) {
        self.int4(chrono::Datelike::num_days_from_ce(&value) - POSTGRES_EPOCH_DAY);
    }

    /// `date`, from days since 1970-01-01.
    pub fn unix_day(&mut self, days: i32) {
        self.int4(days - POSTGRES_EPOCH_UNIX_DAY);
    }

    /// `jsonb`, from JSON text.
    pub fn jsonb(&mut self, json: &str) {
        self.length(json.len() + 1);
        self.bytes.push(1);
        self.bytes.extend_from_slice(json.as_bytes());
    }

    /// `numeric`: `mantissa` / 10^`scale`, with `scale` digits after the decimal point.
    pub fn numeric_fixed(&mut self, mantissa: i128, scale: u32) {
        // Groups of four decimal digits; the decimal point stands between two groups.
        let mut groups = [0u16; MANTISSA_DIGITS / 4 + 2];
        let mut first = groups.len();
        let mut rest = mantissa.unsigned_abs();
        let odd = scale % 4;
        if odd != 0 && rest != 0 {
            // The last group is filled up with zeros on the right.
            let power = 10u128.pow(odd);
            first -= 1;
            groups[first] = ((rest % power) * 10u128.pow(4 - odd)) as u16;
            rest /= power;
        }
        while rest > u128::from(u64::MAX) {
            first -= 1;
            groups[first] = (rest % 10_000) as u16;
            rest /= 10_000;
        }
        let mut rest = rest as u64;
        while rest != 0 {
            first -= 1;
            groups[first] = (rest % 10_000) as u16;
            rest /= 10_000;
        }
        self.numeric_groups(&groups[first..], scale.div_ceil(4) as i32, mantissa < 0, scale as u16);
    }

    /// `numeric`, of any size that PostgreSQL can hold.
    pub fn numeric(&mut self, value: &BigDecimal) -> Result<(), NumericOverflow> {
        let (digits, scale) = value.as_bigint_and_scale();
        let magnitude = digits.magnitude().to_str_radix(10);
        let magnitude = if magnitude == "0" { "" } else { magnitude.as_str() };
        let integer_digits = magnitude.len() as i64 - scale;
        if scale > NUMERIC_SCALE_MAX || integer_digits > NUMERIC_INTEGER_DIGITS_MAX {
            return Err(NumericOverflow);
        }
        // A negative scale stands for zeros before the decimal point.
        let zeros_right = if scale < 0 { scale.unsigned_abs() as usize } else { (4 - (scale % 4) as usize) % 4 };
        let mut text = String::with_capacity(magnitude.len() + zeros_right + 4);
        if !magnitude.is_empty() {
            let length = magnitude.len() + zeros_right;
            text.extend(std::iter::repeat_n('0', (4 - length % 4) % 4));
            text.push_str(magnitude);
            text.extend(std::iter::repeat_n('0', zeros_right));
        }
        let groups: Vec<u16> = text
            .as_bytes()
            .chunks(4)
            .map(|four| four.iter().fold(0u16, |value, digit| value * 10 + u16::from(digit - b'0')))
            .collect();
        let scale = scale.max(0) as u16;
        self.numeric_groups(&groups, i32::from(scale.div_ceil(4)), digits.sign() == Sign::Minus, scale);
        Ok(())
    }

    // PostgreSQL stores neither leading nor trailing groups of zeros.
    fn numeric_groups(&mut self, groups: &[u16], fraction_groups: i32, negative: bool, scale: u16) {
        let leading = groups.iter().take_while(|group| **group == 0).count();
        let significant = &groups[leading..];
        let trailing = significant.iter().rev().take_while(|group| **group == 0).count();
        let stored = &significant[..significant.len() - trailing];
        let weight = if stored.is_empty() { 0 } else { significant.len() as i32 - fraction_groups - 1 };
        let sign = if negative && !stored.is_empty() { NUMERIC_NEGATIVE } else { NUMERIC_POSITIVE };
        self.length(8 + stored.len() * 2);
        self.bytes.extend_from_slice(&(stored.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(&(weight as i16).to_be_bytes());
        self.bytes.extend_from_slice(&sign.to_be_bytes());
        self.bytes.extend_from_slice(&scale.to_be_bytes());
        for group in stored {
            self.bytes.extend_from_slice(&group.to_be_bytes());
        }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes, leaving an empty buffer of the same capacity.
    pub fn take(&mut self) -> Vec<u8> {
        let capacity = self.bytes.capacity();
        std::mem::replace(&mut self.bytes, Vec::with_capacity(capacity))
    }

    fn field(&mut self, value: &[u8]) {
        self.length(value.len());
        self.bytes.extend_from_slice(value);
    }

    fn length(&mut self, length: usize) {
        // A field comes from a record of at most 1 MiB, so its length fits.
        let length = i32::try_from(length).expect("fields are shorter than 2 GiB");
        self.bytes.extend_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fixed(mantissa: i128, scale: u32) -> Vec<u8> {
        let mut buffer = CopyBuffer::default();
        buffer.numeric_fixed(mantissa, scale);
        buffer.take()
    }

    proptest! {
        #[test]
        fn both_encoders_write_the_same_bytes(mantissa: i128, shift in 0u32..127, scale in 0u32..39) {
            let mantissa = mantissa >> shift;
            let mut big = CopyBuffer::default();
            big.numeric(&BigDecimal::new(mantissa.into(), i64::from(scale))).unwrap();
            prop_assert_eq!(fixed(mantissa, scale), big.take());
        }
    }

    #[test]
    fn a_number_beyond_numeric_is_an_error() {
        let mut buffer = CopyBuffer::default();
        assert_eq!(buffer.numeric(&BigDecimal::new(1.into(), 16_384)), Err(NumericOverflow));
        assert_eq!(buffer.numeric(&BigDecimal::new(1.into(), -131_072)), Err(NumericOverflow));
    }
}
