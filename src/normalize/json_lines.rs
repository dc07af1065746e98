//! Lines of JSON as records: Google Cloud's billing export, as BigQuery writes it.

use super::error::BillError;
use super::json_members::Members;
use super::json_scan::Scanner;
use super::records::{RECORD_BYTES_MAX, Record};
use std::io::{BufRead, BufReader, Read};

/// The members of a line of the detailed export. Others are kept together, as one attribute.
const NAMES: [&str; 57] = [
    "billing_account_id",
    "invoice.month",
    "invoice.publisher_type",
    "cost_type",
    "service.id",
    "service.description",
    "sku.id",
    "sku.description",
    "usage_start_time",
    "usage_end_time",
    "project.id",
    "project.number",
    "project.name",
    "project.labels",
    "project.ancestry_numbers",
    "project.ancestors",
    "labels",
    "system_labels",
    "tags",
    "location.location",
    "location.country",
    "location.region",
    "location.zone",
    "resource.name",
    "resource.global_name",
    "price.effective_price",
    "price.effective_price_default",
    "price.list_price",
    "price.list_price_consumption_model",
    "price.effective_price_consumption_model",
    "price.tier_start_amount",
    "price.unit",
    "price.pricing_unit_quantity",
    "subscription.instance_id",
    "cost",
    "cost_at_list",
    "cost_at_list_consumption_model",
    "cost_at_effective_price_default",
    "currency",
    "currency_conversion_rate",
    "usage.amount",
    "usage.unit",
    "usage.amount_in_pricing_units",
    "usage.pricing_unit",
    "credits",
    "adjustment_info.id",
    "adjustment_info.description",
    "adjustment_info.mode",
    "adjustment_info.type",
    "consumption_model.id",
    "consumption_model.description",
    "transaction_type",
    "seller_name",
    "export_time",
    "partition_date",
    "partition_time",
    "_PARTITIONTIME",
];

/// What stands for the members that no name is known for.
const OTHERS: &str = "x_other_members";

/// Reads the objects of a file, one a line.
pub(super) struct JsonLines<R> {
    input: BufReader<R>,
    line: u64,
    bytes: Vec<u8>,
    members: Members,
    scanner: Scanner,
    /// Which members any line had a value of.
    is_met: Vec<bool>,
    /// The first line was read to see what the file is, and is to be handed out.
    is_pending: bool,
}

impl<R: Read> JsonLines<R> {
    /// `None` where the first line is no line of such an export.
    pub fn open(input: R) -> Result<Option<Self>, BillError> {
        let mut lines = Self {
            input: BufReader::with_capacity(256 * 1024, input),
            line: 0,
            bytes: Vec::new(),
            members: Members::of(&NAMES),
            scanner: Scanner::default(),
            is_met: vec![false; NAMES.len() + 1],
            is_pending: true,
        };
        let is_export = lines.read_line()?
            && lines.scan().is_ok()
            && ["billing_account_id", "cost", "usage_start_time"].iter().all(|name| lines.has(name));
        Ok(is_export.then_some(lines))
    }

    /// The columns of the records.
    pub fn names() -> Vec<String> {
        NAMES.iter().chain([&OTHERS]).map(|name| (*name).to_owned()).collect()
    }

    /// The columns that no line so far had a value of: members are not written where they are null.
    pub fn unmet_names(&self) -> Vec<&'static str> {
        let names = NAMES.iter().copied().chain([OTHERS]);
        names.zip(&self.is_met).filter(|(_, is_met)| !**is_met).map(|(name, _)| name).collect()
    }

    /// The next record; empty lines are passed over.
    pub fn next(&mut self) -> Result<Option<Record<'_>>, BillError> {
        if !std::mem::take(&mut self.is_pending) && !self.read_line()? {
            return Ok(None);
        }
        let line = self.line;
        Ok(Some(match self.scan() {
            Ok(()) => {
                let cells = self.scanner.cells();
                for place in cells.bounded {
                    self.is_met[usize::from(*place)] = true;
                }
                Record::Cells { line, cells }
            }
            Err(reason) => {
                let shown = &self.bytes[..self.bytes.len().min(400)];
                let value = String::from_utf8_lossy(shown).trim_end().replace('\0', "\u{fffd}");
                Record::Unreadable { line, value, reason }
            }
        }))
    }

    /// Reads a line that is not empty; false behind the last.
    fn read_line(&mut self) -> Result<bool, BillError> {
        loop {
            self.bytes.clear();
            read_to_line_end(&mut self.input, &mut self.bytes)?;
            self.line += 1;
            if self.bytes.len() > RECORD_BYTES_MAX {
                return Err(BillError::OutOfBounds(format!("line {} is longer than 1 MiB", self.line)));
            }
            if self.bytes.is_empty() {
                return Ok(false);
            }
            if self.line == 1 && self.bytes.starts_with(b"\xef\xbb\xbf") {
                self.bytes.drain(..3);
            }
            if !self.bytes.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    fn scan(&mut self) -> Result<(), &'static str> {
        let text = std::str::from_utf8(&self.bytes).map_err(|_| "the line is not UTF-8 text")?;
        if memchr::memchr(0, text.as_bytes()).is_some() {
            return Err("the line has a NUL byte");
        }
        self.scanner.text.clear();
        self.scanner.text.push_str(text);
        match (self.scanner.scan(&mut self.members), self.scanner.repeats) {
            (true, false) => Ok(()),
            (true, true) => Err("a member stands in the line twice"),
            (false, _) => Err("the line is not a JSON object"),
        }
    }

    fn has(&self, name: &str) -> bool {
        let place = NAMES.iter().position(|known| *known == name);
        place.and_then(|place| self.scanner.spans.get(place)).is_some_and(|span| span.start < span.end)
    }
}

/// Reads what is left of a line with its end, or more than a record may have. The standard library does the same more
/// slowly: it looks for the line end eight bytes at a time.
fn read_to_line_end(input: &mut impl BufRead, to: &mut Vec<u8>) -> std::io::Result<()> {
    while to.len() <= RECORD_BYTES_MAX {
        let read = match input.fill_buf() {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let end = memchr::memchr(b'\n', read).map(|at| at + 1);
        let count = end.unwrap_or(read.len());
        to.extend_from_slice(&read[..count]);
        input.consume(count);
        if end.is_some() || count == 0 {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_across_buffers_are_whole_and_none_is_endless() {
        let text = "ab\r\n\ncdefg\nh";
        for capacity in 1..16 {
            let mut input = BufReader::with_capacity(capacity, text.as_bytes());
            for expected in ["ab\r\n", "\n", "cdefg\n", "h", ""] {
                let mut line = Vec::new();
                read_to_line_end(&mut input, &mut line).unwrap();
                assert_eq!(line, expected.as_bytes());
            }
        }
        let mut line = Vec::new();
        read_to_line_end(&mut BufReader::new(std::io::repeat(b'x')), &mut line).unwrap();
        assert!(line.len() > RECORD_BYTES_MAX && line.len() < 2 * RECORD_BYTES_MAX);
    }
}
