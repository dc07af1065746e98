//! A table as an XLSX workbook: the same cells as its CSV, typed. Rows go to disk as they come, so that memory stays
//! small however long the table is.

use super::csv::{AMOUNT, TEXT};
use bigdecimal::BigDecimal;
use rust_xlsxwriter::{Format, Workbook, Worksheet};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

/// Rows of a sheet with its header: what spreadsheets hold. What is more goes to another sheet.
const SHEET_ROWS_MAX: u32 = 1_048_576;
/// UTF-16 units of a cell at most.
const CELL_UNITS_MAX: usize = 32_767;
/// Digits that a spreadsheet keeps of a number. One with more is written as text, so that none is lost.
const NUMBER_DIGITS_MAX: usize = 15;
/// Characters of a column's width.
const WIDTH_MIN: usize = 10;
const WIDTH_MAX: usize = 40;

/// What the Notes sheet says: a word, and what it is.
pub type Notes = Vec<(String, String)>;

/// What was not written as it is.
#[derive(Debug, Default)]
struct Counts {
    rows: u64,
    long_numbers: u64,
    cut_texts: u64,
}

/// Writes the typed cells of [`super::csv::typed`] as a workbook into a file without a name in this folder, which is
/// open at its begin.
pub fn write(cells: impl Read, notes: Notes, folder: &Path) -> anyhow::Result<File> {
    let mut workbook = Workbook::new();
    workbook.set_tempdir(folder)?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(cells);
    let mut records = reader.byte_records();
    let header = records.next().transpose()?.unwrap_or_default();
    let (mut counts, mut record, mut number) = (Counts::default(), records.next().transpose()?, 1);
    loop {
        let name = if number == 1 { "Rows".to_owned() } else { format!("Rows {number}") };
        let sheet = begin(&mut workbook, &name, &header)?;
        let mut row = 1;
        while let Some(cells) = record.take_if(|_| row < SHEET_ROWS_MAX) {
            for (column, cell) in (0..).zip(cells.iter()) {
                put(sheet, row, column, cell, &mut counts)?;
            }
            counts.rows += 1;
            row += 1;
            record = records.next().transpose()?;
        }
        if record.is_none() {
            break;
        }
        number += 1;
    }
    add_notes(&mut workbook, notes, &counts)?;
    let mut file = tempfile::tempfile_in(folder)?;
    workbook.save_to_writer(std::io::BufWriter::new(&mut file))?;
    file.rewind()?;
    Ok(file)
}

// A sheet with its header: it stays in sight, and on every page that is printed.
fn begin<'a>(workbook: &'a mut Workbook, name: &str, header: &csv::ByteRecord) -> anyhow::Result<&'a mut Worksheet> {
    let bold = Format::new().set_bold();
    let sheet = workbook.add_worksheet_with_constant_memory()?;
    sheet.set_name(name)?;
    sheet.set_landscape().set_print_fit_to_pages(1, 0);
    sheet.set_freeze_panes(1, 0)?.set_repeat_rows(0, 0)?;
    for (column, cell) in (0..).zip(header.iter()) {
        let text = String::from_utf8_lossy(cell.get(1..).unwrap_or_default());
        let width = u32::try_from((text.chars().count() + 2).clamp(WIDTH_MIN, WIDTH_MAX))?;
        sheet.set_column_width(column, width)?;
        sheet.write_string_with_format(0, column, text, &bold)?;
    }
    Ok(sheet)
}

fn put(sheet: &mut Worksheet, row: u32, column: u16, cell: &[u8], counts: &mut Counts) -> anyhow::Result<()> {
    let Some((kind, text)) = cell.split_first() else { return Ok(()) };
    let text = std::str::from_utf8(text)?;
    match *kind {
        AMOUNT => match number(text) {
            Some(number) => sheet.write_number(row, column, number)?,
            None => {
                counts.long_numbers += 1;
                sheet.write_string(row, column, text)?
            }
        },
        TEXT => {
            let fitting = fitting(text);
            counts.cut_texts += u64::from(fitting.len() < text.len());
            sheet.write_string(row, column, fitting.replace(is_unwritable, "\u{fffd}"))?
        }
        _ => return Ok(()),
    };
    Ok(())
}

// Characters that XML cannot hold.
fn is_unwritable(character: char) -> bool {
    matches!(character, '\u{fffe}' | '\u{ffff}') || (character < ' ' && !matches!(character, '\t' | '\n' | '\r'))
}

/// A number whose digits a spreadsheet keeps all.
fn number(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    if digits > NUMBER_DIGITS_MAX {
        return None;
    }
    let (exact, number): (BigDecimal, f64) = (text.parse().ok()?, text.parse().ok()?);
    let is_kept = number.is_finite() && number.to_string().parse::<BigDecimal>().ok()? == exact;
    is_kept.then_some(number)
}

// As much of a text as a cell holds.
fn fitting(text: &str) -> &str {
    let mut units = 0;
    for (index, character) in text.char_indices() {
        units += character.len_utf16();
        if units > CELL_UNITS_MAX {
            return &text[..index];
        }
    }
    text
}

fn add_notes(workbook: &mut Workbook, mut notes: Notes, counts: &Counts) -> anyhow::Result<()> {
    notes.push(("Rows".into(), counts.rows.to_string()));
    notes.push((
        "Numbers".into(),
        match counts.long_numbers {
            0 => format!("All are numbers; none has more than {NUMBER_DIGITS_MAX} digits"),
            count => format!(
                "{count} with more than {NUMBER_DIGITS_MAX} digits are written as text, because a spreadsheet would \
                 round them"
            ),
        },
    ));
    if counts.cut_texts > 0 {
        let words = format!("{} are cut at {CELL_UNITS_MAX} characters; the CSV has them whole", counts.cut_texts);
        notes.push(("Texts".into(), words));
    }
    let sheet = workbook.add_worksheet();
    sheet.set_name("Notes")?;
    sheet.set_column_width(0, 24)?.set_column_width(1, 100)?;
    let bold = Format::new().set_bold();
    for (row, (word, what)) in (0..).zip(&notes) {
        sheet.write_string_with_format(row, 0, fitting(word).replace(is_unwritable, "\u{fffd}"), &bold)?;
        sheet.write_string(row, 1, fitting(what).replace(is_unwritable, "\u{fffd}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use calamine::{Data, Reader, Xlsx};

    fn read_back(cells: &str) -> (Vec<Vec<Data>>, Vec<Vec<Data>>) {
        let folder = tempfile::tempdir().unwrap();
        let file = write(cells.as_bytes(), vec![("Page".into(), "/x".into())], folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing stays on the disk");
        let mut book: Xlsx<_> = Xlsx::new(std::io::BufReader::new(file)).unwrap();
        let mut rows = |name: &str| -> Vec<Vec<Data>> {
            book.worksheet_range(name).unwrap().rows().map(<[Data]>::to_vec).collect()
        };
        (rows("Rows"), rows("Notes"))
    }

    #[test]
    fn numbers_are_typed_where_no_digit_is_lost() {
        assert_eq!(number("0.1"), Some(0.1));
        assert_eq!(number("-123456789012.345"), Some(-123_456_789_012.345));
        assert_eq!(number("0.000000000000000000012"), Some(1.2e-20));
        assert_eq!(number("1234567890.123456"), None, "sixteen digits");
        assert_eq!(number("12345678901234567"), None);
        let (rows, notes) = read_back("TName,TCost,TLines\r\nTa,N1.5,N3\r\nTb,N1234567890.123456,E\r\n");
        let text = |text: &str| Data::String(text.into());
        assert_eq!(rows[0], [text("Name"), text("Cost"), text("Lines")]);
        assert_eq!(rows[1], [text("a"), Data::Float(1.5), Data::Float(3.0)]);
        assert_eq!(rows[2], [text("b"), text("1234567890.123456"), Data::Empty]);
        assert_eq!(notes[0], [text("Page"), text("/x")]);
        assert!(notes[2][1].to_string().starts_with("1 with more than 15 digits are written as text"));
    }

    /// S29: whatever begins like a formula is a text, unchanged.
    #[test]
    fn s29_attacks_are_texts() {
        for attack in
            ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "=HYPERLINK(\"https://example.com\",\"x\")", "＝1"]
        {
            let (rows, _) = read_back(&format!("TName,TCost\r\n\"T{}\",N-1\r\n", attack.replace('"', "\"\"")));
            assert_eq!(rows[1], [Data::String(attack.into()), Data::Float(-1.0)]);
        }
        let (rows, _) = read_back("TName\r\n\"T\u{b}\u{ffff}\t=1\"\r\n");
        assert!(rows[1][0].to_string().ends_with("\u{fffd}\t=1"), "{:?}", rows[1]);
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_and_said_so() {
        let (rows, notes) = read_back(&format!("TName\r\nT{}\r\n", "ä".repeat(40_000)));
        assert_eq!(rows[1][0].to_string().chars().count(), CELL_UNITS_MAX);
        assert!(notes.last().unwrap()[1].to_string().starts_with("1 are cut"));
    }

    /// Typed rows that are made while they are read, and stand nowhere as a whole.
    struct Rows {
        line: std::io::Cursor<Vec<u8>>,
        made: u32,
    }

    const ROWS: u32 = SHEET_ROWS_MAX + 5_000;

    impl Read for Rows {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.line.read(buffer)?;
            if count > 0 || self.made == ROWS {
                return Ok(count);
            }
            let n = self.made;
            self.made += 1;
            let row = format!("T2026-10-01,TService {n},T/subscriptions/{n}/machines/vm-{n},TUSD,N{n}.25,N{n}\r\n");
            self.line = std::io::Cursor::new(row.into_bytes());
            self.line.read(buffer)
        }
    }

    fn peak_mebibytes() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
    }

    /// More rows than a sheet holds and five times what a CSV of charges has, in a process of its own: what other
    /// tests hold does not count.
    #[test]
    fn more_than_a_million_rows_take_little_memory() {
        const CHILD: &str = "COSTWAKE_TEST_OF_WORKBOOK_MEMORY";
        if std::env::var_os(CHILD).is_none() {
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            command.args(["more_than_a_million_rows_take_little_memory", "--nocapture"]).env(CHILD, "yes");
            assert!(command.status().unwrap().success());
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let header = std::io::Cursor::new(b"TDay,TService,TResource,TCurrency,TCost,TLines\r\n".to_vec());
        let file = write(Rows { line: header, made: 0 }, Vec::new(), folder.path()).unwrap();
        let (bytes, peak) = (file.metadata().unwrap().len(), peak_mebibytes());
        println!("{ROWS} rows are {bytes} bytes; at most {peak} MiB were held");
        assert!(bytes > 10_000_000 && peak < 64, "{bytes} bytes, {peak} MiB");
    }
}
