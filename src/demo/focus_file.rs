use crate::focus::columns::Version;
use crate::parquet_table::{Kind, ParquetTable};
use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

enum Output {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(output) => output.write(bytes),
            Self::Gzip(output) => output.write(bytes),
            Self::Zstd(output) => output.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(output) => output.flush(),
            Self::Gzip(output) => output.flush(),
            Self::Zstd(output) => output.flush(),
        }
    }
}

enum Table {
    Csv(Box<csv::Writer<Output>>),
    Parquet(Box<ParquetTable<BufWriter<File>>>),
}

/// A FOCUS file being written: CSV, compressed as its name says, or Parquet.
pub struct FocusFile {
    table: Table,
    /// Those of its version, in the order of the alphabet.
    columns: Vec<&'static str>,
    row_count: u64,
}

impl FocusFile {
    /// A name that ends in `.gz` or `.zst` is compressed so, `.parquet` is Parquet.
    pub fn create(path: &Path, version: Version) -> anyhow::Result<Self> {
        let file = BufWriter::new(File::create(path).with_context(|| format!("{} cannot be written", path.display()))?);
        let mut columns = version.columns();
        columns.sort_unstable();
        let names = columns.iter().copied();
        let output = match path.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") => {
                let table = ParquetTable::new(file, names.map(|name| (name, kind(name))))?;
                return Ok(Self { table: Table::Parquet(Box::new(table)), columns, row_count: 0 });
            }
            Some("gz") => Output::Gzip(GzEncoder::new(file, Compression::fast())),
            Some("zst") => Output::Zstd(zstd::Encoder::new(file, 3)?),
            _ => Output::Plain(file),
        };
        let mut output = csv::Writer::from_writer(output);
        output.write_record(names)?;
        Ok(Self { table: Table::Csv(Box::new(output)), columns, row_count: 0 })
    }

    /// Writes a row; a column that is not named is empty.
    pub fn write(&mut self, cells: &[(&str, &str)]) -> anyhow::Result<()> {
        let cell = |name: &str| cells.iter().find(|(column, _)| *column == name).map_or("", |(_, value)| *value);
        let record = self.columns.iter().map(|name| cell(name));
        match &mut self.table {
            Table::Csv(output) => output.write_record(record)?,
            Table::Parquet(output) => output.write_row(record)?,
        }
        self.row_count += 1;
        Ok(())
    }

    /// Ends the file and tells its rows.
    pub fn finish(self) -> anyhow::Result<u64> {
        let output = match self.table {
            Table::Csv(output) => output,
            Table::Parquet(output) => {
                output.finish()?.flush()?;
                return Ok(self.row_count);
            }
        };
        let inner = output.into_inner().map_err(|error| anyhow::anyhow!("the bill was not written: {error}"))?;
        match inner {
            Output::Plain(mut output) => output.flush()?,
            Output::Gzip(output) => output.finish()?.flush()?,
            Output::Zstd(output) => output.finish()?.flush()?,
        }
        Ok(self.row_count)
    }
}

/// As the cost exports of cloud providers have them.
fn kind(name: &str) -> Kind {
    let ends_with = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ends_with(&["Cost", "UnitPrice", "Quantity"]) {
        Kind::Decimal { scale: 14 }
    } else if ends_with(&["PeriodStart", "PeriodEnd"]) {
        Kind::Milliseconds
    } else {
        Kind::Text
    }
}
