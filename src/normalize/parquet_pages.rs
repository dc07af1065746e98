//! What pages and the index of a Parquet file say of their size, before room is made for them.
//!
//! The reader unpacks a whole page at once and trusts its header; the headers are read here first. They are in
//! Thrift's compact encoding, of which this knows as much as is needed to step over what it does not look at.

use super::error::BillError;
use parquet::file::metadata::RowGroupMetaData;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Largest page. Writers make them of 1 MiB, unless they are told otherwise.
const PAGE_BYTES_MAX: i64 = 16 * 1024 * 1024;
/// Largest index of a file: it is kept in memory.
const FOOTER_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Longest header of a page; most have some twenty bytes, those with statistics more.
const HEADER_BYTES_MAX: usize = 1024 * 1024;
const HEADER_BYTES_READ: usize = 256;
/// Structures within structures.
const DEPTH_MAX: u32 = 8;

/// Refuses a file whose index would not fit into memory.
pub(super) fn check_footer(file: &File) -> Result<(), BillError> {
    let file_bytes = file.metadata().map_err(BillError::Io)?.len();
    let mut end = [0; 8];
    // What is too short or lacks its end is found by the reader.
    if file_bytes < 12 || file.read_exact_at(&mut end, file_bytes - 8).is_err() || &end[4..] != b"PAR1" {
        return Ok(());
    }
    let footer_bytes = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]]));
    if footer_bytes > FOOTER_BYTES_MAX && footer_bytes < file_bytes {
        return Err(BillError::OutOfBounds(format!(
            "its Parquet index has {} MiB, and more than {} are not taken; write it with fewer row groups",
            footer_bytes >> 20,
            FOOTER_BYTES_MAX >> 20
        )));
    }
    Ok(())
}

/// Refuses a row group with a page that would not fit into memory.
pub(super) fn check_pages(file: &File, group: &RowGroupMetaData) -> Result<(), BillError> {
    for column in group.columns() {
        let (start, length) = column.byte_range();
        let (mut at, end) = (start, start.saturating_add(length));
        while at < end {
            // A header that cannot be read ends the column for the reader too.
            let Some(header) = read_header(file, at) else { break };
            if header.unpacked_bytes.max(header.packed_bytes) > PAGE_BYTES_MAX {
                return Err(BillError::OutOfBounds(format!(
                    "a page of its column {} has {} MiB, and more than {} are not taken; write it with smaller pages",
                    column.column_path().string(),
                    header.unpacked_bytes.max(header.packed_bytes) >> 20,
                    PAGE_BYTES_MAX >> 20
                )));
            }
            at += header.length as u64 + header.packed_bytes.unsigned_abs();
        }
    }
    Ok(())
}

/// The first fields of a page's header, and how long it is.
#[derive(Debug, PartialEq, Eq)]
struct PageHeader {
    unpacked_bytes: i64,
    packed_bytes: i64,
    length: usize,
}

fn read_header(file: &File, at: u64) -> Option<PageHeader> {
    let mut buffer = vec![0; HEADER_BYTES_READ];
    loop {
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read_at(&mut buffer[filled..], at + filled as u64).ok()? {
                0 => break,
                count => filled += count,
            }
        }
        if let Some(header) = parse_header(&buffer[..filled]) {
            return Some(header);
        }
        if filled < buffer.len() || buffer.len() >= HEADER_BYTES_MAX {
            return None;
        }
        buffer.resize(buffer.len() * 8, 0);
    }
}

/// `None` where the bytes end before the header does, or are none.
fn parse_header(bytes: &[u8]) -> Option<PageHeader> {
    let mut compact = Compact { bytes, at: 0 };
    let (mut unpacked_bytes, mut packed_bytes) = (None, None);
    let mut field = 0;
    loop {
        let (next, kind) = match compact.field(field)? {
            None => break,
            Some(found) => found,
        };
        field = next;
        match (field, kind) {
            (2, 5) => unpacked_bytes = Some(compact.zigzag()?),
            (3, 5) => packed_bytes = Some(compact.zigzag()?),
            _ => compact.skip(kind, 0)?,
        }
    }
    let packed_bytes = packed_bytes.filter(|bytes| *bytes >= 0)?;
    Some(PageHeader { unpacked_bytes: unpacked_bytes?, packed_bytes, length: compact.at })
}

struct Compact<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Compact<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The number and type of the next field of a structure, or that it ends.
    fn field(&mut self, last: i64) -> Option<Option<(i64, u8)>> {
        let byte = self.byte()?;
        let (delta, kind) = (i64::from(byte >> 4), byte & 0x0f);
        if kind == 0 {
            return Some(None);
        }
        let field = if delta == 0 { self.zigzag()? } else { last.checked_add(delta)? };
        Some(Some((field, kind)))
    }

    fn skip_bytes(&mut self, count: u64) -> Option<()> {
        let end = self.at.checked_add(usize::try_from(count).ok()?)?;
        self.at = (end <= self.bytes.len()).then_some(end)?;
        Some(())
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match kind {
            1 | 2 => Some(()),
            3 => self.skip_bytes(1),
            4..=6 => self.varint().map(drop),
            7 => self.skip_bytes(8),
            8 => {
                let count = self.varint()?;
                self.skip_bytes(count)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                (0..count).try_for_each(|_| self.skip_element(head & 0x0f, depth))
            }
            12 => {
                let mut field = 0;
                while let Some((next, kind)) = self.field(field)? {
                    field = next;
                    self.skip(kind, depth + 1)?;
                }
                Some(())
            }
            // Headers of pages have no maps.
            _ => None,
        }
    }

    // In a list a truth value has a byte of its own.
    fn skip_element(&mut self, kind: u8, depth: u32) -> Option<()> {
        if matches!(kind, 1 | 2) { self.skip_bytes(1) } else { self.skip(kind, depth + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read_and_the_rest_is_stepped_over() {
        // A data page with 20 MiB unpacked, 300 bytes packed, a checksum, its own header with statistics.
        let header = [
            0x15, 0x00, 0x15, 0x80, 0x80, 0x80, 0x14, 0x15, 0xd8, 0x04, 0x15, 0x02, 0x1c, 0x15, 0x02, 0x15, 0x00, 0x15,
            0x06, 0x15, 0x06, 0x1c, 0x18, 0x02, b'a', b'b', 0x00, 0x00, 0x00,
        ];
        let read = parse_header(&[&header[..], b"the page"].concat()).unwrap();
        assert_eq!(read, PageHeader { unpacked_bytes: 20 << 20, packed_bytes: 300, length: header.len() });
        for cut in 0..header.len() {
            assert_eq!(parse_header(&header[..cut]), None, "{cut}");
        }
    }

    /// The file is long enough for what its end says, without taking the room of it on disk.
    #[test]
    fn an_index_that_would_fill_the_memory_is_refused_before_it_is_read() {
        for (footer_bytes, is_taken) in [(32 << 20, true), ((32 << 20) + 1, false)] {
            let file = tempfile::tempfile().unwrap();
            let length: u64 = 40 << 20;
            file.set_len(length).unwrap();
            let end = [&u32::to_le_bytes(footer_bytes)[..], b"PAR1"].concat();
            file.write_all_at(&end, length - 8).unwrap();
            let checked = check_footer(&file);
            assert_eq!(checked.is_ok(), is_taken, "{checked:?}");
            if let Err(error) = checked {
                let text = error.to_string();
                assert!(text.contains("32 MiB") && text.contains("fewer row groups"), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse_header(&bytes);
        }
    }
}
