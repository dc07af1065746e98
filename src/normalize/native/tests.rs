//! What native exports do to their readers, one test each, on small made-up files.

mod aws;
mod azure;
mod gcp;
mod groups;
mod oci;

use crate::normalize::{Charge, Rejection, Row, open};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FixedLenByteArrayType, Int32Type, Int64Type};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// What reading a file gives.
struct Read {
    format: String,
    shown: Vec<String>,
    rejections: Vec<Rejection>,
    warnings: Vec<String>,
}

/// Reads a file and shows each charge by `look`.
fn read(text: &str, look: impl Fn(&Charge<'_>) -> String) -> Read {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    read_file(file.path(), look)
}

fn read_file(path: &Path, look: impl Fn(&Charge<'_>) -> String) -> Read {
    let mut bill = open(path).unwrap();
    assert!(bill.missing_mandatory().is_empty(), "{:?}", bill.missing_mandatory());
    let (mut shown, mut rejections) = (Vec::new(), Vec::new());
    while let Some(row) = bill.next_row().unwrap() {
        match row {
            Row::Charge(charge) => shown.push(look(&charge)),
            Row::Rejected(rejection) => rejections.push(rejection),
        }
    }
    Read { format: bill.format(), shown, rejections, warnings: bill.warnings() }
}

/// A cell of a Parquet file.
#[derive(Clone, Copy)]
enum Cell {
    Text(&'static str),
    /// Milliseconds since 1970.
    Moment(i64),
    /// Days since 1970.
    Day(i32),
    Double(f64),
    /// The digits of a DECIMAL in 16 bytes.
    Decimal(i128),
    /// The keys of an OPTIONAL MAP, which are REQUIRED; the next cell holds as many values.
    Keys(&'static [&'static str]),
    /// The values of the map, which are OPTIONAL.
    Values(&'static [&'static str]),
}

/// A Parquet file of one row. All columns of the schema are OPTIONAL and have a cell; a map has one for its keys and one
/// for its values.
fn parquet_row(schema: &str, cells: &[Cell]) -> tempfile::NamedTempFile {
    const THERE: Option<&[i16]> = Some(&[1]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let output = std::fs::File::create(file.path()).unwrap();
    let mut writer = SerializedFileWriter::new(output, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for cell in cells {
        let mut column = group.next_column().unwrap().unwrap();
        let written = match *cell {
            Cell::Text(text) => column.typed::<ByteArrayType>().write_batch(&[ByteArray::from(text)], THERE, None),
            Cell::Moment(moment) => column.typed::<Int64Type>().write_batch(&[moment], THERE, None),
            Cell::Day(day) => column.typed::<Int32Type>().write_batch(&[day], THERE, None),
            Cell::Double(number) => column.typed::<DoubleType>().write_batch(&[number], THERE, None),
            Cell::Decimal(digits) => {
                let digits = ByteArray::from(digits.to_be_bytes().to_vec());
                column.typed::<FixedLenByteArrayType>().write_batch(&[digits.into()], THERE, None)
            }
            Cell::Keys(texts) => write_entries(&mut column, texts, 2),
            Cell::Values(texts) => write_entries(&mut column, texts, 3),
        };
        written.unwrap();
        column.close().unwrap();
    }
    assert!(group.next_column().unwrap().is_none());
    group.close().unwrap();
    writer.close().unwrap();
    file
}

/// Writes one column of a map; each text is there at this level of definition, the first one begins the row.
fn write_entries(
    column: &mut SerializedColumnWriter<'_>,
    texts: &[&str],
    level: i16,
) -> parquet::errors::Result<usize> {
    let values: Vec<ByteArray> = texts.iter().map(|text| ByteArray::from(*text)).collect();
    let levels = vec![level; texts.len()];
    let repeats: Vec<i16> = (0..texts.len()).map(|place| i16::from(place > 0)).collect();
    column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), Some(&repeats))
}

/// The four costs, `-` for null.
fn costs(charge: &Charge<'_>) -> String {
    let costs = [&charge.billed_cost, &charge.effective_cost, &charge.list_cost, &charge.contracted_cost];
    costs.map(|cost| cost.as_ref().map_or("-".into(), ToString::to_string)).join(" ")
}

fn attribute<'a>(charge: &Charge<'a>, name: &str) -> Option<&'a str> {
    charge.attributes().find(|(own, _)| *own == name).map(|(_, value)| value)
}

fn tags(charge: &Charge<'_>) -> String {
    serde_json::Value::Object(charge.tag_map()).to_string()
}
