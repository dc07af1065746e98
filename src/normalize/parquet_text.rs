//! Values of a Parquet file as text.
//!
//! DECIMAL and integers give their exact digits. A DOUBLE gives its shortest text that reads back as the same
//! DOUBLE: the one place where a float becomes money, and the receipt says so.

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::BigInt;
use chrono::{DateTime, Days, NaiveDate, SecondsFormat, Utc};
use parquet::basic::{LogicalType, TimeUnit, Type as PhysicalType};
use parquet::data_type::Decimal;
use parquet::record::Field;
use serde_json::Value;
use std::fmt::Write;

/// What the schema says of a column beyond its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    /// Nanoseconds since 1970, which the record reader gives as plain integers.
    Nanoseconds,
    Other,
}

impl Kind {
    pub fn of(field: &parquet::schema::types::Type) -> Self {
        if !field.is_primitive() {
            return Self::Other;
        }
        match (field.get_physical_type(), field.get_basic_info().logical_type_ref()) {
            (PhysicalType::FLOAT | PhysicalType::DOUBLE, _) => Self::Float,
            (PhysicalType::INT64, Some(LogicalType::Timestamp(time))) if time.unit == TimeUnit::NANOS => {
                Self::Nanoseconds
            }
            _ => Self::Other,
        }
    }
}

/// Appends a value; a null appends nothing.
pub(super) fn write_cell(text: &mut String, field: &Field, kind: Kind) {
    match field {
        Field::Null => {}
        Field::Str(value) => text.push_str(&value.replace('\0', "\u{fffd}")),
        Field::Long(nanoseconds) if kind == Kind::Nanoseconds => {
            write_moment(text, Some(DateTime::from_timestamp_nanos(*nanoseconds)));
        }
        Field::TimestampMillis(value) => write_moment(text, DateTime::from_timestamp_millis(*value)),
        Field::TimestampMicros(value) => write_moment(text, DateTime::from_timestamp_micros(*value)),
        Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) => {
            let _ = write!(text, "{}", json(field));
        }
        scalar => text.push_str(&scalar_text(scalar)),
    }
}

fn write_moment(text: &mut String, moment: Option<DateTime<Utc>>) {
    // A moment out of range stays empty, and the row is rejected for it.
    if let Some(moment) = moment {
        text.push_str(&moment.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    }
}

fn scalar_text(field: &Field) -> String {
    match field {
        Field::Bool(value) => value.to_string(),
        Field::Byte(value) => value.to_string(),
        Field::Short(value) => value.to_string(),
        Field::Int(value) => value.to_string(),
        Field::Long(value) => value.to_string(),
        Field::UByte(value) => value.to_string(),
        Field::UShort(value) => value.to_string(),
        Field::UInt(value) => value.to_string(),
        Field::ULong(value) => value.to_string(),
        Field::Float16(value) => value.to_string(),
        Field::Float(value) => value.to_string(),
        Field::Double(value) => value.to_string(),
        Field::Decimal(value) => decimal_text(value),
        Field::Bytes(value) => match std::str::from_utf8(value.data()) {
            Ok(text) => text.replace('\0', "\u{fffd}"),
            Err(_) => hex::encode(value.data()),
        },
        Field::Date(days) => date_text(*days),
        Field::TimeMillis(value) => value.to_string(),
        Field::TimeMicros(value) => value.to_string(),
        other => other.to_string(),
    }
}

fn decimal_text(value: &Decimal) -> String {
    let digits = BigInt::from_signed_bytes_be(value.data());
    BigDecimal::new(digits, i64::from(value.scale())).to_plain_string()
}

fn date_text(days_since_1970: i32) -> String {
    let first = NaiveDate::default();
    let days = Days::new(u64::from(days_since_1970.unsigned_abs()));
    let date = if days_since_1970 < 0 { first.checked_sub_days(days) } else { first.checked_add_days(days) };
    date.map(|date| date.to_string()).unwrap_or_default()
}

/// Maps and structs are objects, lists are arrays, numbers keep their text.
fn json(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::Bool(*value),
        Field::Group(row) => row
            .get_column_iter()
            .map(|(name, value)| (name.clone(), json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Field::MapInternal(map) => {
            let entries = map.entries().iter().map(|(key, value)| (scalar_text_or_str(key), json(value)));
            entries.collect::<serde_json::Map<_, _>>().into()
        }
        Field::ListInternal(list) => list.elements().iter().map(json).collect::<Vec<_>>().into(),
        Field::Str(_) | Field::Bytes(_) => Value::String(scalar_text_or_str(field)),
        number => {
            let mut text = String::new();
            write_cell(&mut text, number, Kind::Other);
            serde_json::from_str::<serde_json::Number>(&text).map_or(Value::String(text), Value::Number)
        }
    }
}

fn scalar_text_or_str(field: &Field) -> String {
    match field {
        Field::Str(value) => value.replace('\0', "\u{fffd}"),
        other => scalar_text(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::data_type::ByteArray;

    fn cell(field: &Field, kind: Kind) -> String {
        let mut text = String::new();
        write_cell(&mut text, field, kind);
        text
    }

    #[test]
    fn numbers_give_their_exact_or_shortest_text() {
        let fixed = Decimal::from_bytes(ByteArray::from(BigInt::from(-12_345).to_signed_bytes_be()), 38, 10);
        assert_eq!(cell(&Field::Decimal(fixed), Kind::Other), "-0.0000012345");
        assert_eq!(cell(&Field::Decimal(Decimal::from_i32(30_800, 9, 2)), Kind::Other), "308.00");
        assert_eq!(cell(&Field::Decimal(Decimal::from_i64(-7, 18, 0)), Kind::Other), "-7");
        assert_eq!(cell(&Field::Double(0.1), Kind::Float), "0.1");
        assert_eq!(cell(&Field::Double(8e-7), Kind::Float), "0.0000008");
        assert_eq!(cell(&Field::Double(f64::NAN), Kind::Float), "NaN");
    }

    #[test]
    fn moments_are_read_at_every_resolution() {
        let expected = "2024-09-01T00:00:00Z";
        let seconds = 1_725_148_800;
        assert_eq!(cell(&Field::TimestampMillis(seconds * 1000), Kind::Other), expected);
        assert_eq!(cell(&Field::TimestampMicros(seconds * 1_000_000), Kind::Other), expected);
        assert_eq!(cell(&Field::Long(seconds * 1_000_000_000), Kind::Nanoseconds), expected);
        assert_eq!(cell(&Field::Date(19_967), Kind::Other), "2024-09-01");
        assert_eq!(cell(&Field::TimestampMillis(i64::MAX), Kind::Other), "");
    }
}
