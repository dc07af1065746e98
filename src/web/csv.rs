//! Tables as CSV: exact amounts, and text that a spreadsheet cannot mistake for a formula.

use super::error::{Error, Result};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use std::borrow::Cow;

/// The header of an answer whose cells say what they are, for [`super::beside`] alone: it never leaves the service.
pub const TYPED_CELLS: &str = "x-costwake-typed-cells";
/// What a typed cell begins with: a text, an amount or a count, or nothing known.
pub const TEXT: u8 = b'T';
/// An amount or a count.
pub const AMOUNT: u8 = b'N';
const EMPTY: u8 = b'E';
/// The header of a file that has only the first of the rows that there are: how many, and how to have the others. No
/// row says it, or a program would take it for data.
pub const CUT: &str = "x-costwake-cut";

tokio::task_local! {
    static TYPED: ();
}

/// Runs a handler so that each cell of its table begins with what it is, unguarded: for another form of it.
pub async fn typed<T>(work: impl Future<Output = T>) -> T {
    TYPED.scope((), work).await
}

fn is_typed() -> bool {
    TYPED.try_with(|()| ()).is_ok()
}

/// A cell: text is guarded, a number is written as it is.
#[derive(Debug, Clone)]
pub enum Cell<'a> {
    /// Anything that came from a bill, a person or a name.
    Text(Cow<'a, str>),
    /// An amount or a quantity with all its digits.
    Amount(&'a BigDecimal),
    /// A count or a line number.
    Count(i64),
    /// Not known.
    Empty,
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Cell<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Cell<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<&'a Option<String>> for Cell<'a> {
    fn from(text: &'a Option<String>) -> Self {
        text.as_deref().map_or(Self::Empty, Self::from)
    }
}

impl<'a> From<&'a BigDecimal> for Cell<'a> {
    fn from(amount: &'a BigDecimal) -> Self {
        Self::Amount(amount)
    }
}

impl<'a> From<&'a Option<BigDecimal>> for Cell<'a> {
    fn from(amount: &'a Option<BigDecimal>) -> Self {
        amount.as_ref().map_or(Self::Empty, Self::Amount)
    }
}

impl From<Option<NaiveDate>> for Cell<'_> {
    fn from(day: Option<NaiveDate>) -> Self {
        day.map_or(Self::Empty, |day| day.to_string().into())
    }
}

impl From<i64> for Cell<'_> {
    fn from(count: i64) -> Self {
        Self::Count(count)
    }
}

/// A table under construction.
#[derive(Default)]
pub struct Table {
    bytes: Vec<u8>,
    is_typed: bool,
    cut: Option<(usize, String)>,
}

impl Table {
    /// A table with these columns.
    pub fn new(columns: &[&str]) -> Self {
        let mut table = Self { is_typed: is_typed(), ..Self::default() };
        let cells: Vec<Cell<'_>> = columns.iter().map(|name| Cell::from(*name)).collect();
        table.row(&cells);
        table
    }

    /// Adds a row.
    pub fn row(&mut self, cells: &[Cell<'_>]) {
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                self.bytes.push(b',');
            }
            if self.is_typed {
                write_typed(&mut self.bytes, cell);
            } else {
                write_cell(&mut self.bytes, cell);
            }
        }
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// What was written since the last call: a stream takes it row by row.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Says that these are only the first rows: in a header, and in the name of the file.
    pub fn cut(&mut self, row_count: usize, note: String) {
        self.cut = Some((row_count, note));
    }

    /// The finished file, offered for download under this name.
    pub fn into_response(self, file_name: &str) -> Response {
        let body = axum::body::Body::from(self.bytes);
        let Some((row_count, note)) = self.cut else { return response(body, file_name) };
        let (stem, _) = split_suffix(file_name);
        let mut response = response(body, &format!("{stem}-first-{row_count}.csv"));
        let note = HeaderValue::from_str(&note).unwrap_or(HeaderValue::from_static("yes"));
        response.headers_mut().insert(HeaderName::from_static(CUT), note);
        response
    }
}

/// A CSV answer with this body.
pub fn response(body: axum::body::Body, file_name: &str) -> Response {
    let safe: String = file_name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' })
        .collect();
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{safe}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    if is_typed() {
        headers.insert(HeaderName::from_static(TYPED_CELLS), HeaderValue::from_static("yes"));
    }
    response
}

/// The last part of a path without `.csv`, and whether it had it. A page and its CSV share one route.
pub fn split_suffix(last: &str) -> (&str, bool) {
    match last.strip_suffix(".csv") {
        Some(stem) => (stem, true),
        None => (last, false),
    }
}

/// The last part of a path that is a number, with or without `.csv`.
pub fn split_id(last: &str) -> Result<(i64, bool)> {
    let (stem, is_csv) = split_suffix(last);
    let id = stem.parse().ok().filter(|id| *id > 0).ok_or(Error::NotFound)?;
    Ok((id, is_csv))
}

fn write_cell(out: &mut Vec<u8>, cell: &Cell<'_>) {
    match cell {
        Cell::Text(text) => write_text(out, text),
        // The database pads decimals to groups of four; the digits are the same without.
        Cell::Amount(amount) => out.extend_from_slice(amount.normalized().to_plain_string().as_bytes()),
        Cell::Count(count) => out.extend_from_slice(count.to_string().as_bytes()),
        Cell::Empty => {}
    }
}

fn write_typed(out: &mut Vec<u8>, cell: &Cell<'_>) {
    match cell {
        Cell::Text(text) => {
            out.extend_from_slice(&[b'"', TEXT]);
            out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        }
        Cell::Amount(_) | Cell::Count(_) => {
            out.push(AMOUNT);
            write_cell(out, cell);
        }
        Cell::Empty => out.push(EMPTY),
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    let guard = if starts_formula(text) { "'" } else { "" };
    let needs_quotes = !guard.is_empty() || text.contains([',', '"', '\n', '\r', ';', '\t']);
    if !needs_quotes {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(guard.as_bytes());
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

// Spreadsheets take = + - @ for the start of a formula, the full-width forms of them too, and skip blanks
// and control characters before it.
fn starts_formula(text: &str) -> bool {
    let is_skipped = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
    text.starts_with(['\t', '\r', '\n'])
        || text.trim_start_matches(is_skipped).starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_back(table: Table) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(table.bytes.as_slice());
        reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn s29_known_attacks_are_text() {
        let attacks = [
            "=cmd|' /C calc'!A0",
            "+1+1",
            "-2+3",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            " =1",
            "\u{feff}=1",
            "＝1",
            "＠x",
            "=HYPERLINK(\"https://example.com\",\"x\")",
        ];
        for attack in attacks {
            let mut table = Table::default();
            table.row(&[attack.into()]);
            assert_eq!(read_back(table), [[format!("'{attack}")]]);
        }
    }

    #[test]
    fn s29_numbers_stay_numbers() {
        let amount: BigDecimal = "-0.00000000012300".parse().unwrap();
        let mut table = Table::new(&["cost"]);
        table.row(&[(&amount).into()]);
        assert_eq!(table.bytes, b"cost\r\n-0.000000000123\r\n");
    }

    proptest! {
        // Whatever the text, it comes back whole, and never starts like a formula.
        #[test]
        fn s29_text_cells_come_back_guarded(texts in prop::collection::vec("[\\PC\t\r\n=+@,\"'-]{0,12}", 2..5)) {
            let mut table = Table::default();
            let cells: Vec<Cell<'_>> = texts.iter().map(Cell::from).collect();
            table.row(&cells);
            let rows = read_back(table);
            // A row of nothing but one empty cell would be a blank line; two cells and more are not.
            prop_assert_eq!(rows.len(), 1);
            for (text, cell) in texts.iter().zip(&rows[0]) {
                prop_assert!(!starts_formula(cell));
                prop_assert_eq!(cell.strip_prefix('\'').filter(|_| starts_formula(text)).unwrap_or(cell), text);
            }
        }

        // Amounts are written with every digit and without a guard.
        #[test]
        fn s29_amounts_are_exact(digits in any::<i64>(), scale in 0i64..18) {
            let amount = BigDecimal::new(digits.into(), scale);
            let mut table = Table::default();
            table.row(&[(&amount).into(), Cell::Empty]);
            let rows = read_back(table);
            prop_assert_eq!(rows[0][0].parse::<BigDecimal>().unwrap(), amount);
        }
    }
}
