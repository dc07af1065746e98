//! Reads the two costs of an Azure bill, which are two sets of files.

use super::{ImportError, Reader};
use crate::normalize::{self, AZURE_ONE_COST, Bill};
use crate::rollup::azure_join::{Pass, Side};

/// Reads actual files, then amortized ones, then what is left of the actual ones.
pub(super) fn read(reader: &mut Reader, sides: &[Side], bytes_total: u64) -> Result<(), ImportError> {
    let mut lines = vec![0; sides.len()];
    let mut bytes_read = 0;
    // Actual files are read twice.
    for (pass, side) in
        [(Pass::Remember, Side::Actual), (Pass::Amortized, Side::Amortized), (Pass::Actual, Side::Actual)]
    {
        reader.join.pass = pass;
        for (place, path) in reader.plan.paths.clone().iter().enumerate() {
            if sides[place] != side {
                continue;
            }
            let mut bill = normalize::open_as(path, reader.plan.format)?;
            // Lines are counted through the files in the order in which they were given.
            reader.line_offset = lines[..place].iter().sum();
            let before = reader.line_offset;
            reader.file(path, &mut bill, bytes_read, bytes_total)?;
            lines[place] = reader.line_offset - before;
            if pass != Pass::Remember {
                bytes_read += bill.file_bytes();
                warn(reader, &bill);
            }
        }
    }
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
