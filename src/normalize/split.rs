//! Where the cells of one CSV record lie.

use super::cells::Span;
use super::header::COLUMNS_MAX;
use super::separators::{BLOCK, Separators};

/// Ends of cells that there is room for: a power of two, so that a masked place needs no check.
const ENDS: usize = 4096;
const _: () = assert!(COLUMNS_MAX + BLOCK + LANES < ENDS);

/// Ends that are written at once.
const LANES: usize = 8;

/// Fewer bytes than this are moved one by one.
const SHORT_BYTES: usize = 16;

/// What the splitter found in one record; its buffers are used again for each.
pub(super) struct Split {
    pub spans: Vec<Span>,
    /// The columns whose cells stand in quotes.
    pub quoted_columns: Vec<u16>,
    pub length: usize,
    pub line_count: u64,
    pub fault: Option<&'static str>,
    /// Where each cell ends, quotes included.
    ends: Box<[u32; ENDS]>,
    count: usize,
    /// The cells that stand in quotes, without them.
    quoted: Vec<(u32, Span)>,
    /// Columns whose doubled quotes must become single ones, and how many of them each has.
    doubled_columns: Vec<(u32, u32)>,
    /// Where the pairs of quotes stand, column by column.
    doubled_quotes: Vec<u32>,
}

pub(super) enum Outcome {
    Complete,
    NeedsMore,
    TooManyColumns,
}

impl Default for Split {
    fn default() -> Self {
        Self {
            spans: Vec::new(),
            quoted_columns: Vec::new(),
            length: 0,
            line_count: 0,
            fault: None,
            ends: Box::new([0; ENDS]),
            count: 0,
            quoted: Vec::new(),
            doubled_columns: Vec::new(),
            doubled_quotes: Vec::new(),
        }
    }
}

impl Split {
    /// Finds the record with which the data begin.
    pub fn split(&mut self, data: &[u8], at_end: bool) -> Outcome {
        self.count = 0;
        self.quoted.clear();
        self.quoted_columns.clear();
        self.doubled_columns.clear();
        self.doubled_quotes.clear();
        self.line_count = 0;
        self.fault = None;
        let mut separators = Separators::of(data);
        loop {
            let commas = separators.take_commas();
            self.end_cells(separators.block, commas);
            // A comma behind the last cell that may be there begins one more.
            if self.count >= COLUMNS_MAX {
                return Outcome::TooManyColumns;
            }
            let Some(place) = separators.take_other() else {
                if separators.advance() {
                    continue;
                }
                return if at_end { self.complete(data.len(), data.len()) } else { Outcome::NeedsMore };
            };
            match data[place] {
                b'"' if place == self.cell_start() => {
                    if self.quoted(data, &mut separators, at_end).is_none() {
                        return Outcome::NeedsMore;
                    }
                }
                // A quote within a cell that does not start with one is text.
                b'"' => {}
                b'\r' => match data.get(place + 1) {
                    None if !at_end => return Outcome::NeedsMore,
                    Some(b'\n') => return self.complete(place, place + 2),
                    _ => return self.complete(place, place + 1),
                },
                _ => return self.complete(place, place + 1),
            }
        }
    }

    /// Ends a cell at each of these commas. Some more places are written than there are commas, and overwritten by
    /// the next: a loop of a fixed length is cheaper than one that asks each time whether it is done.
    #[inline]
    fn end_cells(&mut self, block: usize, mut commas: u64) {
        let stop = self.count + commas.count_ones() as usize;
        let (ends, mut at) = (&mut *self.ends, self.count);
        while at < stop {
            for lane in 0..LANES {
                ends[(at + lane) % ENDS] = (block as u32).wrapping_add(commas.trailing_zeros());
                commas &= commas.wrapping_sub(1);
            }
            at += LANES;
        }
        self.count = stop;
    }

    /// Where the cell starts that no separator has ended yet.
    fn cell_start(&self) -> usize {
        if self.count == 0 { 0 } else { self.ends[(self.count - 1) % ENDS] as usize + 1 }
    }

    /// The last cell ends here, and the record with it; the next one starts at `length`.
    fn complete(&mut self, end: usize, length: usize) -> Outcome {
        self.ends[self.count % ENDS] = end as u32;
        self.count += 1;
        let ends = &self.ends[..self.count];
        self.spans.resize(self.count, Span::default());
        self.spans[0] = Span { start: 0, end: ends[0] };
        // Each from two neighbours, not from what the one before came to: so several are made at once.
        for (span, pair) in self.spans[1..].iter_mut().zip(ends.windows(2)) {
            *span = Span { start: pair[0].wrapping_add(1), end: pair[1] };
        }
        for (column, span) in &self.quoted {
            self.spans[*column as usize] = *span;
        }
        self.length = length;
        self.line_count += 1;
        Outcome::Complete
    }

    /// Passes over a cell whose opening quote was met; `None` where more is needed.
    fn quoted(&mut self, data: &[u8], separators: &mut Separators<'_>, at_end: bool) -> Option<()> {
        let (column, start) = (self.count as u32, self.cell_start() + 1);
        let doubled_before = self.doubled_quotes.len();
        let end = loop {
            match separators.next_other() {
                Some(place) if data[place] == b'"' => match data.get(place + 1) {
                    Some(b'"') => {
                        self.doubled_quotes.push(place as u32);
                        separators.next_other();
                    }
                    None if !at_end => return None,
                    None | Some(b',' | b'\r' | b'\n') => break place,
                    Some(_) => {
                        self.fault = Some("text stands behind a closing quote");
                        break place;
                    }
                },
                Some(place) => self.line_count += u64::from(data[place] == b'\n'),
                None if at_end => {
                    self.fault = Some("a quote is opened and never closed");
                    break data.len();
                }
                None => return None,
            }
        };
        separators.drop_commas_before(end);
        self.quoted.push((column, Span { start: start as u32, end: end as u32 }));
        self.quoted_columns.push(column as u16);
        let doubled = self.doubled_quotes.len() - doubled_before;
        if doubled > 0 {
            self.doubled_columns.push((column, doubled as u32));
        }
        Some(())
    }

    /// Mends the doubled quotes of all cells in place. `bytes` are those of the record.
    pub fn mend(&mut self, bytes: &mut [u8]) {
        let mut places = self.doubled_quotes.as_slice();
        for &(column, count) in &self.doubled_columns {
            let (own, others) = places.split_at(count as usize);
            mend_doubled_quotes(bytes, &mut self.spans[column as usize], own);
            places = others;
        }
    }
}

/// `""` becomes `"`; what the cell no longer needs becomes spaces, so that the record stays valid text. `places` are
/// those of the first quote of each pair.
fn mend_doubled_quotes(bytes: &mut [u8], span: &mut Span, places: &[u32]) {
    let (mut from, mut to) = (span.start as usize, span.start as usize);
    let ends = places.iter().map(|place| *place as usize + 1).chain([span.end as usize]);
    for end in ends {
        // Pairs stand close together: most of these are shorter than a call to copy them would take.
        if end - from < SHORT_BYTES {
            for place in from..end {
                bytes[to + place - from] = bytes[place];
            }
        } else {
            bytes.copy_within(from..end, to);
        }
        to += end - from;
        // Behind the second quote of the pair.
        from = end + 1;
    }
    bytes[to..span.end as usize].fill(b' ');
    span.end = to as u32;
}
