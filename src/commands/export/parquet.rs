//! An export as Parquet. A DECIMAL column has one scale in the whole file, which only the last row tells: rows are
//! set aside, packed, while the kinds of their columns are found, and written from there.

use super::file::buffered;
use crate::focus::Decimal;
use crate::parquet_table::{DECIMAL_DIGITS_MAX, Kind, ParquetTable};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Decimal places of a column in which no row has a number.
const SCALE_OF_NONE: u32 = 10;

/// A Parquet file whose rows are still set aside.
pub(super) struct ParquetExport {
    file: BufWriter<File>,
    rows_path: PathBuf,
    rows: csv::Writer<zstd::stream::write::Encoder<'static, BufWriter<File>>>,
    columns: Vec<Column>,
    /// A number as it is written, without exponent.
    number: String,
}

struct Column {
    name: String,
    is_number: bool,
    is_moment: bool,
    /// Most digits before and behind the point; none before the first number.
    digits: Option<(u32, u32)>,
    /// Why a column of numbers is text.
    as_text: Option<&'static str>,
}

impl ParquetExport {
    /// Begins a file with these columns; its rows are set aside in another one.
    pub fn create<'a>(file: &Path, rows: &Path, header: impl Iterator<Item = &'a str>) -> anyhow::Result<Self> {
        let encoder = zstd::stream::write::Encoder::new(buffered(rows)?, 1)?;
        Ok(Self {
            file: buffered(file)?,
            rows_path: rows.to_owned(),
            rows: csv::Writer::from_writer(encoder),
            columns: header.map(Column::of).collect(),
            number: String::new(),
        })
    }

    /// Sets a row aside.
    pub fn write(&mut self, row: &[String]) -> anyhow::Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(row) {
            self.rows.write_field(column.note(cell, &mut self.number))?;
        }
        Ok(self.rows.write_record(None::<&[u8]>)?)
    }

    /// Writes the file, and says which numbers had to become text.
    pub fn finish(self) -> anyhow::Result<Vec<String>> {
        let Self { file, rows_path, rows, columns, .. } = self;
        let encoder = rows.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?;
        encoder.finish()?.flush()?;
        let kinds = columns.iter().map(|column| (column.name.as_str(), column.kind()));
        let mut table = ParquetTable::new(file, kinds)?;
        let decoder = zstd::stream::read::Decoder::new(File::open(&rows_path)?)?;
        let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(BufReader::new(decoder));
        let mut row = csv::StringRecord::new();
        while rows.read_record(&mut row)? {
            table.write_row(row.iter())?;
        }
        let mut file = table.finish()?;
        file.flush()?;
        file.get_ref().sync_all()?;
        std::fs::remove_file(rows_path)?;
        let told = columns.iter().filter_map(|column| Some((&column.name, column.why_text()?)));
        Ok(told.map(|(name, why)| format!("{name} is text, because {why}")).collect())
    }
}

impl Column {
    fn of(name: &str) -> Self {
        let ends_with = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        Self {
            name: name.to_owned(),
            is_number: ends_with(&["Cost", "UnitPrice", "Quantity"]),
            is_moment: ["BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"]
                .contains(&name),
            digits: None,
            as_text: None,
        }
    }

    /// Looks at a cell, and gives back how it is set aside: a number without exponent.
    fn note<'a>(&mut self, cell: &'a str, number: &'a mut String) -> &'a str {
        if !self.is_number || cell.is_empty() {
            return cell;
        }
        let Ok(value) = Decimal::parse(cell) else {
            self.as_text = Some("not all of its values are numbers");
            return cell;
        };
        *number = value.to_string();
        let (whole, decimals) = number.split_once('.').unwrap_or((number.as_str(), ""));
        let whole = whole.trim_start_matches(['-', '0']).len() as u32;
        let decimals = decimals.len() as u32;
        let (most_whole, most_decimals) = self.digits.unwrap_or((0, 0));
        self.digits = Some((most_whole.max(whole), most_decimals.max(decimals)));
        number
    }

    fn why_text(&self) -> Option<&'static str> {
        let (whole, decimals) = self.digits.unwrap_or_default();
        self.as_text.or((whole + decimals > DECIMAL_DIGITS_MAX).then_some("38 digits are not enough for its values"))
    }

    fn kind(&self) -> Kind {
        if self.is_moment {
            Kind::Microseconds
        } else if self.is_number && self.why_text().is_none() {
            Kind::Decimal { scale: self.digits.map_or(SCALE_OF_NONE, |(_, decimals)| decimals) }
        } else {
            Kind::Text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, cells: &[&str]) -> Kind {
        let mut column = Column::of(name);
        for cell in cells {
            column.note(cell, &mut String::new());
        }
        column.kind()
    }

    #[test]
    fn numbers_are_decimals_where_their_digits_fit() {
        assert_eq!(kind("BilledCost", &["-12.50", "", "1e-7", "000123"]), Kind::Decimal { scale: 7 });
        assert_eq!(kind("BilledCost", &["0.12345678901234567890123456789012345678"]), Kind::Decimal { scale: 38 });
        assert_eq!(kind("BilledCost", &["0.12345678901234567890123456789012345678", "1"]), Kind::Text);
        assert_eq!(kind("ListUnitPrice", &["$3"]), Kind::Text);
        assert_eq!(kind("ListUnitPrice", &[]), Kind::Decimal { scale: SCALE_OF_NONE });
        assert_eq!(kind("BillingAccountId", &["00123"]), Kind::Text);
        assert_eq!(kind("ChargePeriodStart", &["2026-10-01T00:00:00Z"]), Kind::Microseconds);
        let mut column = Column::of("ContractedCost");
        assert_eq!(column.note("1.5E-7", &mut String::new()), "0.00000015");
    }
}
