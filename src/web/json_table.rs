//! A table as JSON: the same cells as its CSV. Every number is a string, so that no reader rounds it; what is not known
//! is null. Rows go to disk as they come, a line each.

use super::csv::{AMOUNT, TEXT};
use super::workbook::Notes;
use serde_json::Value;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, Write};
use std::path::Path;

/// Writes the typed cells of [`super::csv::typed`] as one object into a file without a name in this folder, which is
/// open at its begin. The notes stand last, because they say how many rows there are.
pub fn write(cells: impl Read, mut notes: Notes, folder: &Path) -> anyhow::Result<File> {
    let mut file = tempfile::tempfile_in(folder)?;
    let mut out = BufWriter::new(&mut file);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(cells);
    let mut records = reader.byte_records();
    let header = records.next().transpose()?.unwrap_or_default();
    out.write_all(b"{\n\"columns\": ")?;
    put(&mut out, &header)?;
    out.write_all(b",\n\"rows\": [")?;
    let mut count: u64 = 0;
    for record in records {
        out.write_all(if count == 0 { b"\n" } else { b",\n" })?;
        put(&mut out, &record?)?;
        count += 1;
    }
    notes.push(("Rows".into(), count.to_string()));
    notes.push(("Numbers".into(), "All are strings with every digit".into()));
    out.write_all(b"\n],\n\"notes\": [")?;
    for (index, (name, value)) in notes.into_iter().enumerate() {
        out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut out, &serde_json::json!({"name": name, "value": value}))?;
    }
    out.write_all(b"\n]\n}\n")?;
    out.flush()?;
    drop(out);
    file.rewind()?;
    Ok(file)
}

fn put(out: &mut impl Write, record: &csv::ByteRecord) -> anyhow::Result<()> {
    let cells = record.iter().map(value).collect::<Result<Vec<Value>, _>>()?;
    Ok(serde_json::to_writer(out, &cells)?)
}

fn value(cell: &[u8]) -> Result<Value, std::str::Utf8Error> {
    match cell.split_first() {
        Some((&(TEXT | AMOUNT), text)) => Ok(std::str::from_utf8(text)?.into()),
        _ => Ok(Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_back(cells: &str) -> Value {
        let folder = tempfile::tempdir().unwrap();
        let file = write(cells.as_bytes(), vec![("Page".into(), "/x".into())], folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing stays on the disk");
        serde_json::from_reader(file).unwrap()
    }

    #[test]
    fn every_number_is_a_string_with_its_digits() {
        let table = read_back("TName,TCost,TLines\r\nTa,N12345678901234567890.123456789,N3\r\n\"T=\"\"1\n\",E,T\r\n");
        assert_eq!(table["columns"], json!(["Name", "Cost", "Lines"]));
        assert_eq!(table["rows"], json!([["a", "12345678901234567890.123456789", "3"], ["=\"1\n", null, ""]]));
        assert_eq!(table["notes"][0], json!({"name": "Page", "value": "/x"}));
        assert_eq!(table["notes"][1], json!({"name": "Rows", "value": "2"}));
    }

    #[test]
    fn a_table_without_rows_is_one() {
        assert_eq!(read_back("TName\r\n")["rows"], json!([]));
        assert_eq!(read_back("")["columns"], json!([]));
    }
}
