//! How many equal rows of Azure's actual exports wait for their amortized ones, by the names of the rows.
//!
//! In memory while there are few different ones. Else they go to a temporary file in sorted runs, which become one
//! sorted file once all are there: any number of rows needs the same memory.

use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

/// Different names that are held in memory: what a table of 2^18 places takes, 9 MiB, and 13 while it grows.
const NAMES_MAX: usize = 229_376;

/// A name and how many rows wait under it, as they stand in a file.
const ENTRY_BYTES: usize = 20;

/// Bytes that are read ahead while runs are merged, of all runs together.
const MERGE_BYTES: usize = 8 * 1024 * 1024;

/// Entries that are read at once to find one, unless the file is so long that there are more of them.
const BLOCK_ENTRIES: u64 = 200;

/// Blocks of a file, the first name of each of which is in memory: 4 MiB.
const BLOCKS_MAX: u64 = 262_144;

/// The rows that wait. All are added before the first is taken.
pub(super) struct WaitingRows {
    names_max: usize,
    block_entries: u64,
    recent: FxHashMap<u128, u32>,
    runs: Option<Runs>,
    sorted: Option<Sorted>,
}

impl Default for WaitingRows {
    fn default() -> Self {
        Self {
            names_max: NAMES_MAX,
            block_entries: BLOCK_ENTRIES,
            recent: FxHashMap::default(),
            runs: None,
            sorted: None,
        }
    }
}

impl WaitingRows {
    /// One more row of this name waits.
    pub fn add(&mut self, name: u128) -> io::Result<()> {
        if let Some(count) = self.recent.get_mut(&name) {
            *count += 1;
            return Ok(());
        }
        if self.recent.len() >= self.names_max {
            self.set_aside()?;
        }
        self.recent.insert(name, 1);
        Ok(())
    }

    /// Whether a row of this name waits, which then waits no more.
    pub fn take(&mut self, name: u128) -> io::Result<bool> {
        if self.runs.is_some() {
            self.set_aside()?;
            self.recent = FxHashMap::default();
            let runs = self.runs.take();
            self.sorted = runs.map(|runs| Sorted::of(&runs, self.block_entries)).transpose()?;
        }
        if let Some(sorted) = &mut self.sorted {
            return sorted.take(name);
        }
        match self.recent.get_mut(&name) {
            Some(count) if *count > 0 => {
                *count -= 1;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn set_aside(&mut self) -> io::Result<()> {
        let mut entries: Vec<(u128, u32)> = self.recent.drain().collect();
        entries.sort_unstable_by_key(|(name, _)| *name);
        let mut runs = match self.runs.take() {
            Some(runs) => runs,
            None => Runs { file: tempfile::tempfile()?, ends: Vec::new() },
        };
        runs.write(&entries)?;
        self.runs = Some(runs);
        Ok(())
    }
}

/// Entries in the order of their names, over and over again.
struct Runs {
    file: File,
    /// Where each ends, in bytes.
    ends: Vec<u64>,
}

impl Runs {
    fn write(&mut self, entries: &[(u128, u32)]) -> io::Result<()> {
        let mut writer = BufWriter::new(&self.file);
        for (name, count) in entries {
            writer.write_all(&entry(*name, *count))?;
        }
        writer.flush()?;
        let start = self.ends.last().copied().unwrap_or_default();
        self.ends.push(start + (entries.len() * ENTRY_BYTES) as u64);
        Ok(())
    }
}

/// What is read of one run.
struct Cursor {
    from: u64,
    end: u64,
    block: Vec<u8>,
    at: usize,
}

impl Cursor {
    fn next(&mut self, file: &File, block_bytes: usize) -> io::Result<Option<(u128, u32)>> {
        if self.at == self.block.len() {
            let length = (self.end - self.from).min(block_bytes as u64) as usize;
            self.block.resize(length, 0);
            file.read_exact_at(&mut self.block, self.from)?;
            self.from += length as u64;
            self.at = 0;
        }
        let next = self.block[self.at..].first_chunk::<ENTRY_BYTES>().map(parts);
        self.at += if next.is_some() { ENTRY_BYTES } else { 0 };
        Ok(next)
    }
}

/// All entries in the order of their names, each name once.
struct Sorted {
    file: File,
    count: u64,
    block_entries: u64,
    /// The first name of each block.
    first_names: Vec<u128>,
    block: Vec<u8>,
}

impl Sorted {
    fn of(runs: &Runs, block_entries: u64) -> io::Result<Self> {
        let entry_count = runs.ends.last().copied().unwrap_or_default() / ENTRY_BYTES as u64;
        let mut sorted = Self {
            file: tempfile::tempfile()?,
            count: 0,
            block_entries: block_entries.max(entry_count.div_ceil(BLOCKS_MAX)),
            first_names: Vec::new(),
            block: Vec::new(),
        };
        sorted.merge(runs)?;
        Ok(sorted)
    }

    fn merge(&mut self, runs: &Runs) -> io::Result<()> {
        let block_bytes = (MERGE_BYTES / runs.ends.len().max(1) / ENTRY_BYTES).max(1) * ENTRY_BYTES;
        let starts = std::iter::once(0).chain(runs.ends.iter().copied());
        let cursor = |(from, end): (u64, &u64)| Cursor { from, end: *end, block: Vec::new(), at: 0 };
        let mut cursors: Vec<Cursor> = starts.zip(&runs.ends).map(cursor).collect();
        let mut heads: BinaryHeap<Reverse<(u128, usize, u32)>> = BinaryHeap::with_capacity(cursors.len());
        for (run, cursor) in cursors.iter_mut().enumerate() {
            heads.extend(cursor.next(&runs.file, block_bytes)?.map(|(name, count)| Reverse((name, run, count))));
        }
        let mut writer = BufWriter::new(&self.file);
        let mut last: Option<(u128, u32)> = None;
        while let Some(Reverse((name, run, count))) = heads.pop() {
            let next = cursors[run].next(&runs.file, block_bytes)?;
            heads.extend(next.map(|(name, count)| Reverse((name, run, count))));
            if let Some((known, sum)) = &mut last
                && *known == name
            {
                *sum += count;
                continue;
            }
            if let Some((name, count)) = last {
                writer.write_all(&entry(name, count))?;
            }
            if self.count.is_multiple_of(self.block_entries) {
                self.first_names.push(name);
            }
            self.count += 1;
            last = Some((name, count));
        }
        if let Some((name, count)) = last {
            writer.write_all(&entry(name, count))?;
        }
        writer.flush()
    }

    fn take(&mut self, name: u128) -> io::Result<bool> {
        let Some(block) = self.first_names.partition_point(|first| *first <= name).checked_sub(1) else {
            return Ok(false);
        };
        let first = block as u64 * self.block_entries;
        let entries = (self.count - first).min(self.block_entries) as usize;
        self.block.resize(entries * ENTRY_BYTES, 0);
        let start = first * ENTRY_BYTES as u64;
        self.file.read_exact_at(&mut self.block, start)?;
        let (entries, _) = self.block.as_chunks::<ENTRY_BYTES>();
        let Ok(place) = entries.binary_search_by_key(&name, |entry| parts(entry).0) else { return Ok(false) };
        let (_, count) = parts(&entries[place]);
        let Some(left) = count.checked_sub(1) else { return Ok(false) };
        self.file.write_all_at(&entry(name, left), start + (place * ENTRY_BYTES) as u64)?;
        Ok(true)
    }
}

fn entry(name: u128, count: u32) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    bytes[..16].copy_from_slice(&name.to_le_bytes());
    bytes[16..].copy_from_slice(&count.to_le_bytes());
    bytes
}

fn parts(entry: &[u8; ENTRY_BYTES]) -> (u128, u32) {
    let (mut name, mut count) = ([0; 16], [0; 4]);
    name.copy_from_slice(&entry[..16]);
    count.copy_from_slice(&entry[16..]);
    (u128::from_le_bytes(name), u32::from_le_bytes(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn small() -> WaitingRows {
        WaitingRows { names_max: 3, block_entries: 2, ..WaitingRows::default() }
    }

    proptest! {
        /// Whatever goes to the file is found again as often as it was added, and no oftener.
        #[test]
        fn a_file_knows_what_a_table_knows(
            added in proptest::collection::vec(0_u128..40, 0..120),
            taken in proptest::collection::vec(0_u128..45, 0..160),
        ) {
            let mut waiting = small();
            let mut known: FxHashMap<u128, u32> = FxHashMap::default();
            // Names that lie far apart, as those of rows do.
            let name = |number: u128| number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
            for number in added {
                waiting.add(name(number)).unwrap();
                *known.entry(number).or_default() += 1;
            }
            for number in taken {
                let left = known.get_mut(&number).filter(|count| **count > 0).map(|count| *count -= 1);
                prop_assert_eq!(waiting.take(name(number)).unwrap(), left.is_some(), "{}", number);
            }
        }
    }

    #[test]
    fn nothing_waits_where_nothing_was_added() {
        assert!(!small().take(1).unwrap());
    }

    /// The table of 2.0 million names took 134 MiB, and 200 while it grew.
    #[test]
    fn memory_does_not_grow_with_the_rows() {
        const ROWS: u128 = 600_000;
        let mut waiting = WaitingRows::default();
        let name = |row: u128| xxhash_rust::xxh3::xxh3_128(&row.to_le_bytes());
        for row in 0..ROWS {
            waiting.add(name(row)).unwrap();
            assert!(waiting.recent.capacity() <= NAMES_MAX, "{}", waiting.recent.capacity());
        }
        for row in (0..ROWS).step_by(97) {
            assert!(waiting.take(name(row)).unwrap(), "{row}");
            assert!(!waiting.take(name(row)).unwrap(), "{row}");
        }
        assert!(!waiting.take(name(ROWS)).unwrap());
        let sorted = waiting.sorted.as_ref().unwrap();
        assert_eq!((sorted.count, waiting.recent.capacity()), (ROWS as u64, 0));
    }
}
