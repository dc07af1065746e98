//! Writes rows of text as Parquet: exact decimals, moments and text, in bounded memory. Null is an empty cell.

use anyhow::Context;
use chrono::DateTime;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use std::io::Write;
use std::sync::Arc;

/// Most digits of a DECIMAL in 16 bytes, which every reader of Parquet knows.
pub const DECIMAL_DIGITS_MAX: u32 = 38;

/// Cells that are kept before they are written as a row group.
const GROUP_BYTES: usize = 32 * 1024 * 1024;

/// Values that are handed to the encoder at once.
const BATCH_VALUES: usize = 1024;

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Numbers with up to so many decimal places, and 38 digits in all.
    Decimal {
        /// Decimal places.
        scale: u32,
    },
    /// Moments such as `2026-10-01T00:00:00Z`, in milliseconds, UTC.
    Milliseconds,
    /// The same in microseconds.
    Microseconds,
    /// Text, whatever it says.
    Text,
}

/// A Parquet file being written.
pub struct ParquetTable<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Vec<Column>,
    group_bytes: usize,
}

struct Column {
    name: String,
    values: Values,
    /// 0 where a cell is null.
    levels: Vec<i16>,
}

enum Values {
    Decimal {
        scale: u32,
        values: Vec<i128>,
    },
    Moment {
        ticks_a_millisecond: i64,
        values: Vec<i64>,
    },
    /// One after the other, and where each ends.
    Text {
        bytes: Vec<u8>,
        ends: Vec<usize>,
    },
}

impl<W: Write + Send> ParquetTable<W> {
    /// Begins a file with these columns.
    pub fn new<'a>(file: W, columns: impl Iterator<Item = (&'a str, Kind)>) -> anyhow::Result<Self> {
        let (mut fields, mut own) = (Vec::new(), Vec::new());
        for (name, kind) in columns {
            fields.push(Arc::new(field(name, kind)?));
            own.push(Column { name: name.to_owned(), values: Values::of(kind), levels: Vec::new() });
        }
        let schema = Arc::new(Type::group_type_builder("bill").with_fields(fields).build()?);
        let compression = Compression::ZSTD(ZstdLevel::default());
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        Ok(Self { writer: SerializedFileWriter::new(file, schema, properties)?, columns: own, group_bytes: 0 })
    }

    /// Cells in the order of the columns; an empty one is null. An error where a cell is not of its column's kind.
    pub fn write_row<'a>(&mut self, cells: impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            column.levels.push(i16::from(!cell.is_empty()));
            self.group_bytes += size_of::<i16>();
            if !cell.is_empty() {
                let bytes = column.values.push(cell).with_context(|| format!("{}: {cell}", column.name))?;
                self.group_bytes += bytes;
            }
        }
        if self.group_bytes >= GROUP_BYTES { self.end_group() } else { Ok(()) }
    }

    /// Ends the file and gives it back, flushed as far as this knows.
    pub fn finish(mut self) -> anyhow::Result<W> {
        self.end_group()?;
        Ok(self.writer.into_inner()?)
    }

    fn end_group(&mut self) -> anyhow::Result<()> {
        if self.columns.iter().all(|column| column.levels.is_empty()) {
            return Ok(());
        }
        let mut rows = self.writer.next_row_group()?;
        for column in &mut self.columns {
            let mut output = rows.next_column()?.context("the schema has a column for each")?;
            column.write(&mut output)?;
            output.close()?;
        }
        rows.close()?;
        self.group_bytes = 0;
        Ok(())
    }
}

impl Column {
    /// Writes what is kept, and keeps nothing of it.
    fn write(&mut self, output: &mut SerializedColumnWriter<'_>) -> anyhow::Result<()> {
        let levels = std::mem::take(&mut self.levels);
        match &mut self.values {
            Values::Decimal { values, .. } => {
                let values = std::mem::take(values);
                let value = |at: usize| FixedLenByteArray::from(values[at].to_be_bytes().to_vec());
                write_batches::<FixedLenByteArrayType>(output, &levels, value)
            }
            Values::Moment { values, .. } => {
                let values = std::mem::take(values);
                write_batches::<Int64Type>(output, &levels, |at| values[at])
            }
            Values::Text { bytes, ends } => {
                let (bytes, ends) = (ByteArray::from(std::mem::take(bytes)), std::mem::take(ends));
                let start = |at: usize| at.checked_sub(1).map_or(0, |before| ends[before]);
                let value = |at: usize| bytes.slice(start(at), ends[at] - start(at));
                write_batches::<ByteArrayType>(output, &levels, value)
            }
        }
    }
}

/// Few values at a time are made into what the encoder takes: it needs far more room than they do here.
fn write_batches<T: DataType>(
    output: &mut SerializedColumnWriter<'_>,
    levels: &[i16],
    value: impl Fn(usize) -> T::T,
) -> anyhow::Result<()> {
    let mut next = 0;
    let mut batch = Vec::with_capacity(BATCH_VALUES);
    for levels in levels.chunks(BATCH_VALUES) {
        let count = levels.iter().filter(|level| **level == 1).count();
        batch.clear();
        batch.extend((next..next + count).map(&value));
        next += count;
        output.typed::<T>().write_batch(&batch, Some(levels), None)?;
    }
    Ok(())
}

impl Values {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Decimal { scale } => Self::Decimal { scale, values: Vec::new() },
            Kind::Milliseconds => Self::Moment { ticks_a_millisecond: 1, values: Vec::new() },
            Kind::Microseconds => Self::Moment { ticks_a_millisecond: 1000, values: Vec::new() },
            Kind::Text => Self::Text { bytes: Vec::new(), ends: Vec::new() },
        }
    }

    /// Keeps a cell, and says how many bytes that takes.
    fn push(&mut self, cell: &str) -> anyhow::Result<usize> {
        match self {
            Self::Decimal { scale, values } => {
                values.push(unscaled(cell, *scale)?);
                Ok(size_of::<i128>())
            }
            Self::Moment { ticks_a_millisecond, values } => {
                let moment = DateTime::parse_from_rfc3339(cell)?;
                values.push(if *ticks_a_millisecond == 1 {
                    moment.timestamp_millis()
                } else {
                    moment.timestamp_micros()
                });
                Ok(size_of::<i64>())
            }
            Self::Text { bytes, ends } => {
                bytes.extend_from_slice(cell.as_bytes());
                ends.push(bytes.len());
                Ok(cell.len() + size_of::<usize>())
            }
        }
    }
}

fn field(name: &str, kind: Kind) -> anyhow::Result<Type> {
    let of = |physical, logical| {
        Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(Some(logical))
    };
    let moment = |unit| of(Physical::INT64, LogicalType::timestamp(true, unit));
    let field = match kind {
        Kind::Decimal { scale } => {
            let (scale, precision) = (scale.cast_signed(), DECIMAL_DIGITS_MAX.cast_signed());
            of(Physical::FIXED_LEN_BYTE_ARRAY, LogicalType::decimal(scale, precision))
                .with_length(16)
                .with_precision(precision)
                .with_scale(scale)
        }
        Kind::Milliseconds => moment(TimeUnit::MILLIS),
        Kind::Microseconds => moment(TimeUnit::MICROS),
        Kind::Text => of(Physical::BYTE_ARRAY, LogicalType::String),
    };
    Ok(field.build()?)
}

/// `-123.45` at a scale of 4 is `-1234500`.
fn unscaled(text: &str, scale: u32) -> anyhow::Result<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let width = scale as usize;
    anyhow::ensure!(fraction.len() <= width, "it has more than {scale} decimal places");
    Ok(format!("{whole}{fraction:0<width$}").parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    #[test]
    fn decimals_keep_their_digits() {
        assert_eq!(unscaled("-123.45", 14).unwrap(), -12_345_000_000_000_000);
        assert_eq!(unscaled("-0.00000000000001", 14).unwrap(), -1);
        assert_eq!(unscaled("7", 14).unwrap(), 700_000_000_000_000);
        assert!(unscaled("0.000000000000001", 14).is_err());
    }

    /// What is kept is bounded: a large file has several row groups, and each row is in one of them.
    #[test]
    fn rows_are_written_in_groups() {
        let file = tempfile::tempfile().unwrap();
        let columns = [("Cost", Kind::Decimal { scale: 2 }), ("odd name/with.signs", Kind::Text)];
        let mut table = ParquetTable::new(file.try_clone().unwrap(), columns.into_iter()).unwrap();
        let text = "x".repeat(64 * 1024);
        for row in 0..1100 {
            let cost = if row % 2 == 0 { String::new() } else { format!("-{row}.25") };
            table.write_row([cost.as_str(), text.as_str()].into_iter()).unwrap();
        }
        assert!(table.group_bytes < GROUP_BYTES);
        table.finish().unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        assert_eq!(reader.num_row_groups(), 3);
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        assert_eq!(rows.len(), 1100);
        assert!(rows[1098].starts_with("{Cost: null"), "{}", &rows[1098][..40]);
        assert!(rows[1099].starts_with("{Cost: -1099.25"), "{}", &rows[1099][..40]);
    }
}
