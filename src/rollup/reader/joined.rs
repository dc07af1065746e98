//! Reads the two costs of an Azure bill, which are two sets of files.

use super::{ImportError, Reader};
use crate::normalize::{self, AZURE_ONE_COST, Bill};
use crate::rollup::azure_beside::Other;
use crate::rollup::azure_join::{Pass, Side};
use std::path::PathBuf;

/// A file of one side.
struct Part<'a> {
    path: PathBuf,
    side: Side,
    /// Lines that the ledger has already, where it is no delivered file.
    other: Option<&'a Other>,
}

/// Reads files of both sides, which came as one delivery.
pub(super) fn read_parts(reader: &mut Reader, sides: &[Side], bytes_total: u64) -> Result<(), ImportError> {
    let paths = reader.plan.paths.clone().into_iter();
    let parts: Vec<Part<'_>> = paths.zip(sides).map(|(path, side)| Part { path, side: *side, other: None }).collect();
    read(reader, &parts, bytes_total)
}

/// Reads files of one side, and the lines of the other one that the ledger has.
pub(super) fn read_beside(reader: &mut Reader, side: Side, other: &Other, bytes_total: u64) -> Result<(), ImportError> {
    let paths = reader.plan.paths.clone().into_iter();
    let mut parts: Vec<Part<'_>> = paths.map(|path| Part { path, side, other: None }).collect();
    parts.push(Part { path: other.file.path().to_owned(), side: side.other(), other: Some(other) });
    reader.join.bills = Some(other.bills.clone());
    read(reader, &parts, bytes_total)
}

/// Reads actual files, then amortized ones, then what is left of the actual ones.
fn read(reader: &mut Reader, parts: &[Part<'_>], bytes_total: u64) -> Result<(), ImportError> {
    let mut lines = vec![0; parts.len()];
    let mut bytes_read = 0;
    // Actual files are read twice.
    for (pass, side) in
        [(Pass::Remember, Side::Actual), (Pass::Amortized, Side::Amortized), (Pass::Actual, Side::Actual)]
    {
        reader.join.pass = pass;
        for (place, part) in parts.iter().enumerate() {
            if part.side != side {
                continue;
            }
            let mut bill = match part.other {
                Some(other) => normalize::open_lines(&part.path, &other.measures)?,
                None => normalize::open_as(&part.path, reader.plan.format)?,
            };
            reader.is_beside = part.other.is_some();
            // Lines are counted through the files in the order in which they were given.
            reader.line_offset = lines[..place].iter().sum();
            let before = reader.line_offset;
            reader.file(&part.path, &mut bill, bytes_read, bytes_total)?;
            lines[place] = reader.line_offset - before;
            if pass != Pass::Remember && part.other.is_none() {
                bytes_read += bill.file_bytes();
                warn(reader, &bill);
            }
        }
    }
    reader.is_beside = false;
    reader.join.check()?;
    let sentence = reader.join.sentence();
    reader.found.warnings.push(sentence);
    Ok(())
}

fn warn(reader: &mut Reader, bill: &Bill) {
    for warning in bill.warnings() {
        if warning != AZURE_ONE_COST && !reader.found.warnings.contains(&warning) {
            reader.found.warnings.push(warning);
        }
    }
}
