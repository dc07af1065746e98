//! A bill as Parquet: exact decimals, moments and text, as the cost exports of cloud providers have them.

use anyhow::Context;
use chrono::DateTime;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;

const SCALE: usize = 14;

/// Rows in memory, by column, until the file is ended: a demo's bill is small.
pub struct ParquetTable {
    file: BufWriter<File>,
    columns: Vec<Column>,
}

struct Column {
    name: &'static str,
    values: Values,
    /// 0 where a cell is null.
    levels: Vec<i16>,
}

enum Values {
    Decimal(Vec<FixedLenByteArray>),
    Moment(Vec<i64>),
    Text(Vec<ByteArray>),
}

impl ParquetTable {
    pub fn new(file: BufWriter<File>, names: impl Iterator<Item = &'static str>) -> Self {
        let column = |name| Column { name, values: Values::for_column(name), levels: Vec::new() };
        Self { file, columns: names.map(column).collect() }
    }

    /// Cells in the order of the columns; an empty one is null.
    pub fn write_row<'a>(&mut self, cells: impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            column.levels.push(i16::from(!cell.is_empty()));
            if !cell.is_empty() {
                column.values.push(cell).with_context(|| format!("{}: {cell}", column.name))?;
            }
        }
        Ok(())
    }

    pub fn finish(self) -> anyhow::Result<()> {
        let fields: String =
            self.columns.iter().map(|column| format!("optional {};\n", column.values.field(column.name))).collect();
        let schema = Arc::new(parse_message_type(&format!("message bill {{ {fields} }}"))?);
        let compression = Compression::ZSTD(ZstdLevel::default());
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        let mut writer = SerializedFileWriter::new(self.file, schema, properties)?;
        let mut rows = writer.next_row_group()?;
        for column in &self.columns {
            let mut output = rows.next_column()?.context("the schema has a column for each")?;
            column.values.write(&mut output, &column.levels)?;
            output.close()?;
        }
        rows.close()?;
        writer.close()?;
        Ok(())
    }
}

impl Values {
    fn for_column(name: &str) -> Self {
        let ends_with = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if ends_with(&["Cost", "UnitPrice", "Quantity"]) {
            Self::Decimal(Vec::new())
        } else if ends_with(&["PeriodStart", "PeriodEnd"]) {
            Self::Moment(Vec::new())
        } else {
            Self::Text(Vec::new())
        }
    }

    fn field(&self, name: &str) -> String {
        match self {
            Self::Decimal(_) => format!("fixed_len_byte_array(16) {name} (DECIMAL(38, {SCALE}))"),
            Self::Moment(_) => format!("int64 {name} (TIMESTAMP(MILLIS, true))"),
            Self::Text(_) => format!("byte_array {name} (STRING)"),
        }
    }

    fn push(&mut self, cell: &str) -> anyhow::Result<()> {
        match self {
            Self::Decimal(values) => values.push(unscaled(cell)?.to_be_bytes().to_vec().into()),
            Self::Moment(values) => values.push(DateTime::parse_from_rfc3339(cell)?.timestamp_millis()),
            Self::Text(values) => values.push(cell.into()),
        }
        Ok(())
    }

    fn write(&self, output: &mut SerializedColumnWriter<'_>, levels: &[i16]) -> anyhow::Result<()> {
        match self {
            Self::Decimal(values) => output.typed::<FixedLenByteArrayType>().write_batch(values, Some(levels), None)?,
            Self::Moment(values) => output.typed::<Int64Type>().write_batch(values, Some(levels), None)?,
            Self::Text(values) => output.typed::<ByteArrayType>().write_batch(values, Some(levels), None)?,
        };
        Ok(())
    }
}

/// `-123.45` is `-12345` and twelve zeros.
fn unscaled(text: &str) -> anyhow::Result<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    anyhow::ensure!(fraction.len() <= SCALE, "it has more than {SCALE} decimal places");
    Ok(format!("{whole}{fraction:0<SCALE$}").parse()?)
}

#[cfg(test)]
mod tests {
    use super::unscaled;

    #[test]
    fn decimals_keep_their_digits() {
        assert_eq!(unscaled("-123.45").unwrap(), -12_345_000_000_000_000);
        assert_eq!(unscaled("-0.00000000000001").unwrap(), -1);
        assert_eq!(unscaled("7").unwrap(), 700_000_000_000_000);
        assert!(unscaled("0.000000000000001").is_err());
    }
}
