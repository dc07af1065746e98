//! One native record and what was made of it: a text, and the places of its cells.

use crate::normalize::cells::{Cells, Span};
use crate::normalize::header::{Header, Role};
use std::fmt::{Display, Write};

/// Where a cell of a made row comes from: a column of the file, or behind those a computed one.
pub(in crate::normalize) type Place = usize;

/// The text of a record with computed values behind it. Its buffers are used again for each record.
#[derive(Default)]
pub(in crate::normalize) struct RowText {
    text: String,
    /// The cells of the file, then the computed ones.
    spans: Vec<Span>,
    /// The places of those that are not empty.
    filled: Vec<u16>,
}

impl RowText {
    /// Starts a row: all computed cells are empty.
    pub fn begin(&mut self, native: Cells<'_>, computed_count: usize) {
        self.text.clear();
        self.text.push_str(native.text);
        self.spans.clear();
        self.spans.extend_from_slice(native.spans);
        self.spans.resize(native.spans.len() + computed_count, Span::default());
    }

    /// The row that was made of a record.
    pub fn finish(&mut self, native: Cells<'_>, header: &Header) -> Cells<'_> {
        let text = self.text.as_bytes();
        self.filled.clear();
        for &place in native.filled {
            let span = &mut self.spans[usize::from(place)];
            let is_measure = matches!(header.roles.get(usize::from(place)), Some(Role::Measure(_)));
            // Most measures of most lines are zero, and a zero says no more than nothing does.
            if is_measure && says_nothing(text.get(span.start as usize..span.end as usize).unwrap_or_default()) {
                span.end = span.start;
            } else {
                self.filled.push(place);
            }
        }
        let computed = self.spans.iter().enumerate().skip(native.spans.len());
        self.filled.extend(computed.filter(|(_, span)| span.start < span.end).map(|(place, _)| place as u16));
        Cells { text: &self.text, spans: &self.spans, filled: &self.filled }
    }

    fn span(&self, place: Place) -> Span {
        self.spans.get(place).copied().unwrap_or_default()
    }

    /// The computed cell says what a column of the file says.
    pub fn same(&mut self, place: Place, column: usize) {
        let span = self.span(column);
        self.put_span(place, span);
    }

    /// The computed cell says a part of what the file says.
    pub fn part(&mut self, place: Place, column: usize, range: std::ops::Range<usize>) {
        let start = self.span(column).start;
        self.put_span(place, Span { start: start + range.start as u32, end: start + range.end as u32 });
    }

    pub fn put(&mut self, place: Place, value: &str) {
        self.write(place, |text| text.push_str(value));
    }

    pub fn show(&mut self, place: Place, value: &impl Display) {
        self.write(place, |text| {
            let _ = write!(text, "{value}");
        });
    }

    pub fn write(&mut self, place: Place, write: impl FnOnce(&mut String)) {
        let start = self.text.len() as u32;
        write(&mut self.text);
        self.put_span(place, Span { start, end: self.text.len() as u32 });
    }

    fn put_span(&mut self, place: Place, span: Span) {
        if let Some(cell) = self.spans.get_mut(place) {
            *cell = span;
        }
    }
}

fn says_nothing(cell: &[u8]) -> bool {
    match cell {
        [b'0' | b'.', ..] => cell.iter().all(|byte| matches!(byte, b'0' | b'.')),
        b"" | b"[]" | b"{}" => true,
        _ => false,
    }
}
