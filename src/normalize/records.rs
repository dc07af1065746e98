//! Splits a CSV stream into records in bounded memory.
//!
//! The `csv` crate has no limit on a record: an unclosed quote reads the rest of the file into memory. This splitter
//! has one, knows the physical line of each record, borrows cells instead of copying them, and is checked against
//! the `csv` crate by a property test.

use super::cells::Cells;
use super::error::BillError;
use super::header::COLUMNS_MAX;
use super::split::{Outcome, Split};
use memchr::memchr;
use std::io::Read;

/// Longest record, quotes and line ends included.
pub(super) const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// Reads the records of a CSV stream one by one.
pub(super) struct Records<R> {
    input: R,
    buffer: Vec<u8>,
    /// Where the next record starts, and where the read bytes end.
    start: usize,
    filled: usize,
    at_end: bool,
    /// Physical line on which the next record starts.
    line: u64,
    /// Whether lines of nothing but blanks are passed over, as empty ones are.
    pub skips_blank_lines: bool,
    /// Whether a NUL byte was read: it is looked for in all that is read at once, and only then in each record.
    has_nul: bool,
    record: Split,
}

/// One record, or why it is none.
pub(super) enum Record<'a> {
    Cells { line: u64, cells: Cells<'a> },
    Unreadable { line: u64, value: String, reason: &'static str },
}

impl<R: Read> Records<R> {
    pub fn new(input: R) -> Self {
        Self {
            input,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            filled: 0,
            at_end: false,
            line: 1,
            skips_blank_lines: false,
            has_nul: false,
            record: Split::default(),
        }
    }

    /// The next record; empty lines are passed over.
    pub fn next(&mut self) -> Result<Option<Record<'_>>, BillError> {
        loop {
            let Some((start, line)) = self.advance()? else { return Ok(None) };
            let is_empty_line = matches!(self.record.spans[..], [only] if only.start == only.end && only.start == 0);
            if !(is_empty_line || self.skips_blank_lines && self.is_blank_line(start)) {
                return Ok(Some(self.finish(start, line)));
            }
        }
    }

    fn is_blank_line(&self, start: usize) -> bool {
        let is_one_cell = self.record.spans.len() == 1;
        is_one_cell && self.buffer[start..start + self.record.length].iter().all(u8::is_ascii_whitespace)
    }

    /// Finds the next record and steps over it.
    fn advance(&mut self) -> Result<Option<(usize, u64)>, BillError> {
        loop {
            if self.at_end && self.start == self.filled {
                return Ok(None);
            }
            match self.record.split(&self.buffer[self.start..self.filled], self.at_end) {
                Outcome::Complete if self.record.length <= RECORD_BYTES_MAX => {
                    let found = (self.start, self.line);
                    self.start += self.record.length;
                    self.line += self.record.line_count;
                    return Ok(Some(found));
                }
                Outcome::NeedsMore if self.filled - self.start <= RECORD_BYTES_MAX => self.fill()?,
                Outcome::TooManyColumns => {
                    let reason = format!("line {} has more than {COLUMNS_MAX} columns", self.line);
                    return Err(BillError::OutOfBounds(reason));
                }
                Outcome::Complete | Outcome::NeedsMore => {
                    let reason =
                        format!("the record on line {} is longer than 1 MiB; is a quote not closed?", self.line);
                    return Err(BillError::OutOfBounds(reason));
                }
            }
        }
    }

    /// Moves what is left to the front and reads until the buffer is full.
    fn fill(&mut self) -> Result<(), BillError> {
        let is_first = self.filled == 0;
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let read_from = self.filled;
        while self.filled < self.buffer.len() {
            match self.input.read(&mut self.buffer[self.filled..]) {
                Ok(0) => {
                    self.at_end = true;
                    break;
                }
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.has_nul |= memchr(0, &self.buffer[read_from..self.filled]).is_some();
        if is_first { self.skip_byte_order_mark() } else { Ok(()) }
    }

    fn skip_byte_order_mark(&mut self) -> Result<(), BillError> {
        match &self.buffer[..self.filled] {
            [0xef, 0xbb, 0xbf, ..] => self.start = 3,
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                return Err(BillError::Malformed("it is UTF-16 text; save it as UTF-8".into()));
            }
            _ => {}
        }
        Ok(())
    }

    /// Mends doubled quotes in place and checks the text.
    fn finish(&mut self, start: usize, line: u64) -> Record<'_> {
        let bytes = &mut self.buffer[start..start + self.record.length];
        self.record.mend(bytes);
        let Split { spans, quoted_columns, fault, .. } = &self.record;
        let reason = match std::str::from_utf8(bytes) {
            Err(_) => "the line is not UTF-8 text",
            Ok(_) if self.has_nul && memchr(0, bytes).is_some() => "the line has a NUL byte",
            Ok(text) => match *fault {
                None => return Record::Cells { line, cells: Cells::of(text, spans, quoted_columns) },
                Some(fault) => fault,
            },
        };
        let value = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).trim_end().replace('\0', "\u{fffd}");
        Record::Unreadable { line, value, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &[u8]) -> Result<Vec<(u64, Vec<String>)>, String> {
        let mut records = Records::new(text);
        let mut found = Vec::new();
        while let Some(record) = records.next().map_err(|error| error.to_string())? {
            match record {
                Record::Cells { line, cells } => {
                    found.push((line, (0..cells.spans.len()).map(|column| cells.get(column).to_owned()).collect()));
                }
                Record::Unreadable { line, reason, .. } => found.push((line, vec![format!("! {reason}")])),
            }
        }
        Ok(found)
    }

    fn lines(text: &str) -> Vec<String> {
        let records = all(text.as_bytes()).unwrap();
        records.into_iter().map(|(line, cells)| format!("{line}: {}", cells.join("|"))).collect()
    }

    #[test]
    fn quotes_line_ends_and_byte_order_mark() {
        assert_eq!(lines("\u{feff}a,b\r\n\"1,\"\"2\"\"\",\n"), ["1: a|b", "2: 1,\"2\"|"]);
        assert_eq!(lines("a\r\rb"), ["1: a", "3: b"]);
        assert_eq!(lines("a,\"x\ny\"\n\n\nb,c"), ["1: a|x\ny", "5: b|c"]);
        assert_eq!(lines("\"é\"\"é\",x\"y"), ["1: é\"é|x\"y"]);
        assert_eq!(lines("\"\"\n,"), ["1: ", "2: |"]);
        assert!(lines("").is_empty() && lines("\n\r\n").is_empty());
    }

    #[test]
    fn a_faulty_line_is_named_and_the_next_is_read() {
        assert_eq!(lines("\"a\"b,c\nd,e"), ["1: ! text stands behind a closing quote", "2: d|e"]);
        assert_eq!(lines("a,b\n\"c,d\ne"), ["1: a|b", "2: ! a quote is opened and never closed"]);
        assert_eq!(lines("a\0b\nc"), ["1: ! the line has a NUL byte", "2: c"]);
        let latin = all(b"caf\xe9,1\nb,2\n").unwrap();
        assert_eq!(latin[0].1, ["! the line is not UTF-8 text"]);
        assert!(all(b"\xff\xfea\0").unwrap_err().contains("UTF-16"));
    }

    /// It is looked for in what is read at once, not line by line.
    #[test]
    fn a_nul_byte_is_found_in_whichever_buffer() {
        let text = "a,b\n".repeat(100_000) + "c\0,d\n" + &"e,f\n".repeat(100_000);
        let records = all(text.as_bytes()).unwrap();
        assert_eq!(records.len(), 200_001);
        let faulty: Vec<_> = records.into_iter().filter(|(_, cells)| cells.len() == 1).collect();
        assert_eq!(faulty, [(100_001, vec!["! the line has a NUL byte".to_owned()])]);
    }

    /// I03: an endless line, a million columns and an unclosed quote end within the buffer's bounds.
    #[test]
    fn endless_records_end_in_bounded_memory() {
        let endless = |byte: u8| Records::new(std::io::repeat(byte).take(1 << 30));
        let mut one_line = endless(b'x');
        assert!(one_line.next().err().unwrap().to_string().contains("longer than 1 MiB"));
        assert!(one_line.buffer.len() <= 4 * RECORD_BYTES_MAX);
        assert!(endless(b',').next().err().unwrap().to_string().contains("more than 2000 columns"));
        let mut unclosed = Records::new((&b"a,b\n\""[..]).chain(std::io::repeat(b'\n').take(1 << 30)));
        unclosed.next().unwrap();
        assert!(unclosed.next().err().unwrap().to_string().contains("line 2 is longer than 1 MiB"));
        assert!(unclosed.buffer.len() <= 4 * RECORD_BYTES_MAX);
    }

    /// Cells that end exactly at a refill are put together again.
    #[test]
    fn records_across_buffers_are_whole() {
        let row = format!("{},\"{}\"\r\n", "é".repeat(37), "a\"\"b\n".repeat(50));
        let text = row.repeat(20_000);
        let records = all(text.as_bytes()).unwrap();
        assert_eq!(records.len(), 20_000);
        assert!(records.iter().all(|(_, cells)| cells[0] == "é".repeat(37) && cells[1] == "a\"b\n".repeat(50)));
        assert_eq!(records[19_999].0, 19_999 * 51 + 1);
    }

    fn cell() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z0-9 .]{0,12}",
            "[^\",\r\n\0\u{feff}]{0,6}",
            "[a\",\n\ré]{0,8}".prop_map(|text| format!("\"{}\"", text.replace('"', "\"\"")))
        ]
    }

    proptest! {
        #[test]
        fn records_equal_those_of_the_csv_crate(
            rows in proptest::collection::vec(proptest::collection::vec(cell(), 1..6), 0..8),
            end in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")],
        ) {
            let text = rows.iter().map(|row| row.join(",")).collect::<Vec<_>>().join(end);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
            let expected: Vec<Vec<String>> =
                reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
            let found: Vec<Vec<String>> = all(text.as_bytes()).unwrap().into_iter().map(|(_, cells)| cells).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
