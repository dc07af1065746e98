use super::charge::Row;
use super::error::BillError;
use super::focus_parquet::ParquetRows;
use super::format::Format;
use super::header::{COLUMNS_MAX, Header};
use super::json_lines::JsonLines;
use super::native::Native;
use super::reading::{Reading, rejection};
use super::recognize;
use super::records::{Record, Records};
use crate::sources::{Progress, SourceFile};
use std::io::{self, Cursor, Read};
use std::path::Path;

/// Bytes of JSON that are looked at for how it is laid out.
const JSON_LOOKED_AT: u64 = 64 * 1024;

/// A bill whose columns are understood and whose rows are read one by one.
pub struct Bill {
    format: Format,
    header: Header,
    /// What makes FOCUS rows of the file's own, where it is not FOCUS.
    native: Option<Native>,
    overruled: Option<Format>,
    container: &'static str,
    rows: Rows,
    reading: Reading,
    file_bytes: u64,
    progress: Progress,
}

enum Rows {
    Csv(Records<Box<dyn Read + Send>>),
    JsonLines(JsonLines<Box<dyn Read + Send>>),
    Parquet(ParquetRows),
}

/// Opens a bill: CSV, JSON lines or Parquet, plain or packed by gzip or zstd, told by its bytes and columns.
///
/// Only the column names are read here; a file that is something else is refused with what it looks like.
pub fn open(path: &Path) -> Result<Bill, BillError> {
    open_as(path, None)
}

/// Opens a bill of a format that someone who knows it has named.
pub fn open_as(path: &Path, format: Option<Format>) -> Result<Bill, BillError> {
    let mut source = SourceFile::open(path)?;
    if source.head.starts_with(b"PAR1") {
        return Bill::of_parquet(path, source, format);
    }
    if source.head.is_empty() {
        return Err(BillError::Empty);
    }
    let head = source.head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&source.head).trim_ascii_start();
    let (is_object, may_be_array) = (head.starts_with(b"{"), head.starts_with(b"["));
    if is_object || may_be_array {
        let mut begin = Vec::new();
        let looked = source.content.by_ref().take(JSON_LOOKED_AT).read_to_end(&mut begin);
        refuse_spread_json(&begin)?;
        // Of a file that breaks off in here its lines before that are read all the same.
        let rest: Box<dyn Read + Send> = match looked {
            Ok(_) => source.content,
            Err(error) => Box::new(BrokenOff(Some(error))),
        };
        source.content = Box::new(Cursor::new(begin).chain(rest));
    }
    if is_object {
        return Bill::of_json_lines(source, format);
    }
    Bill::of_csv(source, format)
}

/// What could not be read any further.
struct BrokenOff(Option<io::Error>);

impl Read for BrokenOff {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.take().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()))
    }
}

fn refuse_spread_json(begin: &[u8]) -> Result<(), BillError> {
    let begin = begin.strip_prefix(b"\xef\xbb\xbf").unwrap_or(begin).trim_ascii_start();
    let Some(filter) = spread_json(begin) else { return Ok(()) };
    // The first member of Google Cloud's; of other JSON it is not the layout that is wrong.
    let is_export = memchr::memmem::find(begin, b"\"billing_account_id\"").is_some();
    let looks_like = "JSON".to_owned();
    Err(if is_export { BillError::NotJsonLines { filter } } else { BillError::NotABill { looks_like } })
}

/// What takes the objects out of JSON that does not have one on each line: an array of them, or one whose first line does
/// not end it. Nothing where it is no such JSON.
fn spread_json(head: &[u8]) -> Option<&'static str> {
    if let Some(inner) = head.strip_prefix(b"[") {
        return inner.trim_ascii_start().starts_with(b"{").then_some(".[]");
    }
    let end = head.iter().position(|byte| *byte == b'\n')?;
    let first_line = head[..end].trim_ascii_end();
    (first_line.starts_with(b"{") && !first_line.ends_with(b"}")).then_some(".")
}

/// Opens lines of the ledger that were written out as CSV under the names that they are kept by. `measures` are those
/// columns that differ from line to line.
pub fn open_lines(path: &Path, measures: &[String]) -> Result<Bill, BillError> {
    let source = SourceFile::open(path)?;
    let mut records = Records::new(source.content);
    let Some(Record::Cells { cells, .. }) = records.next()? else { return Err(BillError::Empty) };
    let names: Vec<String> = (0..cells.spans.len()).map(|column| cells.get(column).to_owned()).collect();
    records.skips_blank_lines = true;
    let is_measure: Vec<bool> = names.iter().map(|name| measures.contains(name)).collect();
    let header = Header::of_lines(names, &is_measure);
    let columns = Understood { format: Format::Focus, header, native: None, overruled: None };
    Ok(Bill::of(columns, "CSV", Rows::Csv(records), source.file_bytes, source.progress))
}

/// The columns of a file once they are understood.
struct Understood {
    format: Format,
    header: Header,
    native: Option<Native>,
    overruled: Option<Format>,
}

/// Makes sense of the columns, as the format that was named or the one that they show.
fn understood(names: &[String], format: Option<Format>, in_order: bool) -> Result<Understood, BillError> {
    if names.len() > COLUMNS_MAX {
        return Err(BillError::OutOfBounds(format!("it has more than {COLUMNS_MAX} columns")));
    }
    let shown = recognize::format(names);
    let overruled = shown.as_ref().ok().copied().filter(|shown| format.is_some_and(|named| named != *shown));
    let format = match format {
        Some(format) => format,
        None => shown.map_err(|looks_like| match looks_like.as_str() {
            recognize::OPENSHIFT | recognize::OPENCOST => BillError::ClusterUsage { looks_like },
            recognize::INVOICE_DETAIL | recognize::INVOICE_LIST => BillError::Invoices { looks_like },
            _ => BillError::NotABill { looks_like },
        })?,
    };
    Ok(match Native::of(format, names, in_order)? {
        Some((native, header)) => Understood { format, header, native: Some(native), overruled },
        None => Understood { format, header: Header::of(names)?, native: None, overruled },
    })
}

impl Bill {
    fn of_csv(source: SourceFile, format: Option<Format>) -> Result<Self, BillError> {
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
        records.skips_blank_lines = names.len() > 1;
        let columns = understood(&names, format, true)?;
        Ok(Self::of(columns, "CSV", Rows::Csv(records), source.file_bytes, source.progress))
    }

    fn of_json_lines(source: SourceFile, format: Option<Format>) -> Result<Self, BillError> {
        let lines = JsonLines::open(source.content)?;
        let (Some(lines), None | Some(Format::GcpBilling)) = (lines, format) else {
            return Err(BillError::NotABill { looks_like: "JSON".to_owned() });
        };
        let names = JsonLines::<Box<dyn Read + Send>>::names();
        let columns = understood(&names, Some(Format::GcpBilling), false)?;
        Ok(Self::of(columns, "JSON lines", Rows::JsonLines(lines), source.file_bytes, source.progress))
    }

    fn of_parquet(path: &Path, source: SourceFile, format: Option<Format>) -> Result<Self, BillError> {
        if source.is_compressed {
            return Err(BillError::Malformed(
                "it is a Parquet file inside another compression; unpack it first".into(),
            ));
        }
        let (rows, names) = ParquetRows::open(path)?;
        let mut columns = understood(&names, format, true)?;
        columns.header.warnings.extend(rows.warnings(&names));
        Ok(Self::of(columns, "Parquet", Rows::Parquet(rows), source.file_bytes, source.progress))
    }

    fn of(columns: Understood, container: &'static str, rows: Rows, file_bytes: u64, progress: Progress) -> Self {
        let Understood { format, header, native, overruled } = columns;
        Self { format, header, native, overruled, container, rows, reading: Reading::default(), file_bytes, progress }
    }

    /// The next row, or `None` behind the last. An error ends the file: what was read before it is no whole bill.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, BillError> {
        let Self { header, native, rows, reading, .. } = self;
        let record = match rows {
            Rows::Csv(records) => records.next()?,
            Rows::JsonLines(lines) => lines.next()?,
            Rows::Parquet(rows) => {
                let row_count = rows.row_count.max(1);
                let Some((line, cells)) = rows.next()? else {
                    self.progress.set(self.file_bytes);
                    return Ok(None);
                };
                if line % 1024 == 0 {
                    self.progress.set(self.file_bytes / 100 * (line * 100 / row_count).min(100));
                }
                Some(Record::Cells { line, cells })
            }
        };
        let (line, cells) = match record {
            None => return Ok(None),
            Some(Record::Cells { line, cells }) => (line, cells),
            Some(Record::Unreadable { line, value, reason }) => {
                return Ok(Some(Row::Rejected(rejection(line, "", &value, reason.to_owned()))));
            }
        };
        let Some(native) = native else { return reading.row(header, None, line, cells) };
        if let Err(rejection) = native.read(line, cells) {
            return Ok(Some(Row::Rejected(rejection)));
        }
        let native = &*native;
        reading.row(header, Some(native), line, native.of_line(cells))
    }

    /// What the file is.
    pub fn kind(&self) -> Format {
        self.format
    }

    /// What its columns show it to be, where somebody named another format.
    pub fn overruled(&self) -> Option<Format> {
        self.overruled
    }

    /// `FOCUS 1.2 CSV`, `AWS CUR CSV`.
    pub fn format(&self) -> String {
        match self.format {
            Format::Focus => format!("FOCUS {} {}", self.header.version.label(), self.container),
            format => format!("{} {}", format.label(), self.container),
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

    /// Whether the file itself says what its columns are; lines of JSON do not.
    pub fn has_column_names(&self) -> bool {
        !matches!(self.rows, Rows::JsonLines(_))
    }

    /// Columns that FOCUS does not know, `x_` and others. Their values are attributes or measures of a charge.
    pub fn extra_columns(&self) -> &[String] {
        &self.header.extra_columns
    }

    /// Those of them that no row so far had a value of, where the file has no column names of its own: JSON lines.
    pub fn unmet_columns(&self) -> Vec<&str> {
        let Rows::JsonLines(lines) = &self.rows else { return Vec::new() };
        let unmet = lines.unmet_names();
        let is_unmet = |name: &&str| unmet.contains(&name.strip_prefix("x_").unwrap_or(name)) || unmet.contains(name);
        self.header.extra_columns.iter().map(String::as_str).filter(is_unmet).collect()
    }

    /// Columns that a bill cannot do without and this file lacks: such a file is quarantined.
    pub fn missing_mandatory(&self) -> Vec<&'static str> {
        self.header.missing_mandatory()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_without_an_object_a_line_is_told_by_its_first_bytes() {
        let cases: [(&str, Option<&str>); 8] = [
            ("[{\"cost\": 1}]", Some(".[]")),
            ("[\n  {\"cost\": 1}\n]", Some(".[]")),
            ("{\n  \"cost\": 1\n}", Some(".")),
            ("{\"cost\": 1,\r\n\"sku\": {}}", Some(".")),
            ("{\"cost\": 1}\r\n{\"cost\": 2}", None),
            // Longer than what is looked at.
            ("{\"cost\": 1", None),
            ("[Kosten],Datum\n", None),
            ("BilledCost\n", None),
        ];
        for (text, filter) in cases {
            assert_eq!(spread_json(text.as_bytes()), filter, "{text}");
        }
        let refused = |text: &str| refuse_spread_json(text.as_bytes()).map_err(|error| error.to_string());
        assert!(refused("\u{feff}[{\"billing_account_id\": \"A\"}]").unwrap_err().contains("one object a line"));
        assert!(refused("{\n \"data\": []\n}").unwrap_err().contains("it looks like JSON"));
        assert_eq!(refused("{\"billing_account_id\": \"A\"}\n"), Ok(()));
        let mut broken = Cursor::new(b"ab").chain(BrokenOff(Some(io::Error::other("cut"))));
        let mut read = Vec::new();
        assert_eq!(broken.read_to_end(&mut read).unwrap_err().to_string(), "cut");
        assert_eq!(read, b"ab");
        let said = BillError::NotJsonLines { filter: ".[]" }.to_string();
        assert!(said.contains("one object a line") && said.contains("`jq -c '.[]' FILE`"), "{said}");
    }
}
