use super::charge::{Rejection, Row};
use super::error::BillError;
use super::focus_parquet::ParquetRows;
use super::header::{COLUMNS_MAX, Header};
use super::native::Native;
use super::reading::{Reading, rejection};
use super::recognize::{self, Kind};
use super::records::{Record, Records};
use crate::sources::{Progress, SourceFile};
use std::io::Read;
use std::path::Path;

/// A bill whose columns are understood and whose rows are read one by one.
pub struct Bill {
    header: Header,
    /// What makes FOCUS rows of the file's own, where it is not FOCUS.
    native: Option<Native>,
    container: &'static str,
    rows: Rows,
    reading: Reading,
    file_bytes: u64,
    progress: Progress,
}

enum Rows {
    Csv(Records<Box<dyn Read + Send>>),
    Parquet(ParquetRows),
}

/// Opens a bill: CSV, `.csv.gz`, `.csv.zst` or Parquet, told by its bytes.
///
/// Only the column names are read here; a file that is something else is refused with what it looks like.
pub fn open(path: &Path) -> Result<Bill, BillError> {
    let source = SourceFile::open(path)?;
    if source.head.starts_with(b"PAR1") {
        return Bill::of_parquet(path, source);
    }
    if source.head.is_empty() {
        return Err(BillError::Empty);
    }
    Bill::of_csv(source)
}

/// The columns of the rows, and what makes them where the file is not FOCUS.
fn understood(names: &[String]) -> Result<(Header, Option<Native>), BillError> {
    if names.len() > COLUMNS_MAX {
        return Err(BillError::OutOfBounds(format!("it has more than {COLUMNS_MAX} columns")));
    }
    match recognize::kind(names) {
        Kind::Focus => Ok((Header::of(names)?, None)),
        Kind::Native(format) => {
            let (native, header) = Native::of(format, names);
            Ok((header, Some(native)))
        }
        Kind::Other(looks_like) => Err(BillError::NotABill { looks_like }),
    }
}

impl Bill {
    fn of_csv(source: SourceFile) -> Result<Self, BillError> {
        let mut records = Records::new(source.content);
        let names: Vec<String> = match records.next()? {
            None => return Err(BillError::Empty),
            Some(Record::Unreadable { reason, .. }) => {
                return Err(BillError::Malformed(format!("it does not begin with column names ({reason})")));
            }
            Some(Record::Cells { cells, .. }) => {
                (0..cells.spans.len()).map(|column| cells.get(column).to_owned()).collect()
            }
        };
        let (header, native) = understood(&names)?;
        Ok(Self {
            header,
            native,
            container: "CSV",
            rows: Rows::Csv(records),
            reading: Reading::default(),
            file_bytes: source.file_bytes,
            progress: source.progress,
        })
    }

    fn of_parquet(path: &Path, source: SourceFile) -> Result<Self, BillError> {
        if source.is_compressed {
            return Err(BillError::Malformed(
                "it is a Parquet file inside another compression; unpack it first".into(),
            ));
        }
        let (rows, names) = ParquetRows::open(path)?;
        let (mut header, native) = understood(&names)?;
        header.warnings.extend(rows.warnings(&names));
        Ok(Self {
            header,
            native,
            container: "Parquet",
            rows: Rows::Parquet(rows),
            reading: Reading::default(),
            file_bytes: source.file_bytes,
            progress: source.progress,
        })
    }

    /// The next row, or `None` behind the last. An error ends the file: what was read before it is no whole bill.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, BillError> {
        let Self { header, native, rows, reading, .. } = self;
        let (line, cells) = match rows {
            Rows::Csv(records) => match records.next()? {
                None => return Ok(None),
                Some(Record::Cells { line, cells }) => (line, cells),
                Some(Record::Unreadable { line, value, reason }) => {
                    let rejected: Rejection = rejection(line, "", &value, reason.to_owned());
                    return Ok(Some(Row::Rejected(rejected)));
                }
            },
            Rows::Parquet(rows) => {
                let row_count = rows.row_count.max(1);
                let Some((line, cells)) = rows.next()? else {
                    self.progress.set(self.file_bytes);
                    return Ok(None);
                };
                if line % 1024 == 0 {
                    self.progress.set(self.file_bytes / 100 * (line * 100 / row_count).min(100));
                }
                (line, cells)
            }
        };
        let Some(native) = native else { return Ok(Some(reading.row(header, line, cells))) };
        Ok(Some(match native.row(header, line, cells) {
            Ok(cells) => reading.row(header, line, cells),
            Err(rejection) => Row::Rejected(rejection),
        }))
    }

    /// `FOCUS 1.2 CSV`, `AWS CUR CSV`.
    pub fn format(&self) -> String {
        match &self.native {
            None => format!("FOCUS {} {}", self.header.version.label(), self.container),
            Some(native) => format!("{} {}", native.format.label(), self.container),
        }
    }

    /// The version of FOCUS that the columns show, such as `1.2` or `1.0-preview`; that of the made rows where the
    /// file is not FOCUS.
    pub fn version(&self) -> &'static str {
        self.header.version.label()
    }

    /// All columns in the file's order, under their FOCUS names where they have one.
    pub fn columns(&self) -> &[String] {
        &self.header.names
    }

    /// Columns that FOCUS does not know, `x_` and others. Their values are attributes or measures of a charge.
    pub fn extra_columns(&self) -> &[String] {
        &self.header.extra_columns
    }

    /// Columns that a bill cannot do without and this file lacks: such a file is quarantined.
    pub fn missing_mandatory(&self) -> Vec<&'static str> {
        self.header.missing_mandatory()
    }

    /// Whether the file has a column of this FOCUS name.
    pub fn has_column(&self, name: &str) -> bool {
        self.header.has(name)
    }

    /// What a reader of the receipt should know: of the columns at once, of the rows read so far.
    pub fn warnings(&self) -> Vec<String> {
        self.header.warnings.iter().cloned().chain(self.reading.warnings.sentences()).collect()
    }

    /// Size of the file as delivered.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Bytes of the delivered file that were read; may be asked from another thread.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }
}
