/// Where one cell lies in the text of its row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub start: u32,
    pub end: u32,
}

/// The cells of one row: one text and the places in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cells<'a> {
    pub text: &'a str,
    pub spans: &'a [Span],
    /// The columns of which the text between cells does not tell where they end, in order: of a CSV record those in
    /// quotes, of other records all that are not empty.
    pub bounded: &'a [u16],
    /// What was made of those, where the file is not FOCUS.
    pub made: Made<'a>,
}

/// Cells that stand behind those of the file, at the places from the number of its columns on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Made<'a> {
    pub text: &'a str,
    /// In the text of the row, or where they begin at [`MADE`] or beyond in this one.
    pub spans: &'a [Span],
}

/// Added to the ends of a span in the text of made cells. No record is half as long.
pub(super) const MADE: u32 = 1 << 31;

/// The columns of a row whose cells are not empty; the buffer is used again for each row.
#[derive(Debug, Default)]
pub(super) struct Filled {
    columns: Vec<u16>,
    count: usize,
}

impl Filled {
    /// Finds those of a row.
    #[inline]
    pub fn of(&mut self, spans: &[Span]) {
        if self.columns.len() < spans.len() {
            self.columns.resize(spans.len(), 0);
        }
        let (columns, mut count) = (&mut self.columns[..spans.len()], 0);
        for (column, span) in spans.iter().enumerate() {
            // Written in any case and kept only where the cell is filled: no branch to be wrong about.
            columns[count] = column as u16;
            count += usize::from(span.start < span.end);
        }
        self.count = count;
    }

    pub fn columns(&self) -> &[u16] {
        &self.columns[..self.count]
    }
}

impl Span {
    /// Where a text stands among what was made.
    pub fn made(range: std::ops::Range<usize>) -> Self {
        Self { start: range.start as u32 | MADE, end: range.end as u32 | MADE }
    }
}

impl<'a> Cells<'a> {
    /// The cells of a record of a file.
    pub fn of(text: &'a str, spans: &'a [Span], bounded: &'a [u16]) -> Self {
        Self { text, spans, bounded, made: Made::default() }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.spans.len() + self.made.spans.len()
    }

    /// Where the cell at a place lies; nowhere where there is none.
    #[inline]
    pub fn span(&self, place: usize) -> Span {
        match self.spans.get(place) {
            Some(span) => *span,
            None => self.made.spans.get(place - self.spans.len()).copied().unwrap_or_default(),
        }
    }

    /// The cell at a place; empty where there is none.
    #[inline]
    pub fn get(&self, place: usize) -> &'a str {
        let Span { start, end } = self.span(place);
        if start == end {
            return "";
        }
        let (text, from) = if start < MADE { (self.text, 0) } else { (self.made.text, MADE) };
        text.get((start - from) as usize..(end - from) as usize).unwrap_or_default()
    }

    /// The bytes of the cell at a place: where they need not be text, and are not looked at as such.
    #[inline]
    pub fn bytes(&self, place: usize) -> &'a [u8] {
        let Span { start, end } = self.span(place);
        let (text, from) = if start < MADE { (self.text, 0) } else { (self.made.text, MADE) };
        text.as_bytes().get((start - from) as usize..(end - from) as usize).unwrap_or_default()
    }

    /// How many bytes the cell at a place has; none where there is none.
    #[inline]
    pub fn length(&self, place: usize) -> u32 {
        let Span { start, end } = self.span(place);
        end - start
    }

    /// The bytes from the start of one column to the end of a later one.
    #[inline]
    pub fn between(&self, first: usize, last: usize) -> &'a [u8] {
        let ends = self.spans.get(first).zip(self.spans.get(last));
        let bytes = ends.and_then(|(first, last)| self.text.as_bytes().get(first.start as usize..last.end as usize));
        bytes.unwrap_or_default()
    }
}

/// The value of a cell, or `None` where it is null: empty, blank, or the word NULL in any letter case.
#[inline]
pub(super) fn present(cell: &str) -> Option<&str> {
    match cell.as_bytes() {
        [] => None,
        [b'n' | b'N', ..] if cell.trim_end().eq_ignore_ascii_case("null") => None,
        [first, ..] if *first <= b' ' => {
            let trimmed = cell.trim();
            (!trimmed.is_empty() && !trimmed.eq_ignore_ascii_case("null")).then_some(cell)
        }
        _ => Some(cell),
    }
}

/// The cell without blanks around it; most have none, which their ends tell.
#[inline]
pub(super) fn trimmed(cell: &str) -> &str {
    match cell.as_bytes() {
        [b'!'..=b'~'] | [b'!'..=b'~', .., b'!'..=b'~'] => cell,
        _ => cell.trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::{present, trimmed};

    #[test]
    fn blanks_around_a_cell_go() {
        for cell in ["", " ", "a", " a", "a ", "ab", "\u{a0}ab", "é", " é\t", "a\u{2003}"] {
            assert_eq!(trimmed(cell), cell.trim());
        }
    }

    #[test]
    fn null_in_any_case_empty_and_blank_are_null() {
        for cell in ["", "  ", "NULL", "null", "Null ", " null"] {
            assert_eq!(present(cell), None, "{cell:?}");
        }
        assert_eq!(present("nullable"), Some("nullable"));
        assert_eq!(present(" a "), Some(" a "));
    }
}
