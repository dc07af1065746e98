//! What is made of a native record: cells that stand behind its own.

use crate::normalize::cells::{Cells, Made, Span};
use std::fmt::{Display, Write};

/// Where a cell of a made row comes from: a column of the file, or behind those a computed one.
pub(in crate::normalize) type Place = usize;

/// The computed cells of a record. The buffers are used again for each record.
pub(in crate::normalize) struct MadeCells {
    /// The place of the first one.
    from: Place,
    text: String,
    spans: Vec<Span>,
}

impl MadeCells {
    /// So many behind the columns of a file.
    pub fn behind(column_count: usize, computed_count: usize) -> Self {
        Self { from: column_count, text: String::new(), spans: vec![Span::default(); computed_count] }
    }

    /// Starts a row: all computed cells are empty.
    pub fn begin(&mut self) {
        self.text.clear();
        self.spans.fill(Span::default());
    }

    /// The row that was made of a record.
    pub fn with<'a>(&'a self, native: Cells<'a>) -> Cells<'a> {
        Cells { made: Made { text: &self.text, spans: &self.spans }, ..native }
    }

    /// The computed cell says what a column of the file says.
    #[inline]
    pub fn same(&mut self, place: Place, cells: Cells<'_>, column: usize) {
        self.put_span(place, cells.span(column));
    }

    /// The computed cell says a part of what the file says.
    pub fn part(&mut self, place: Place, cells: Cells<'_>, column: usize, range: std::ops::Range<usize>) {
        let start = cells.span(column).start;
        self.put_span(place, Span { start: start + range.start as u32, end: start + range.end as u32 });
    }

    #[inline]
    pub fn put(&mut self, place: Place, value: &str) {
        self.write(place, |text| text.push_str(value));
    }

    pub fn show(&mut self, place: Place, value: &impl Display) {
        self.write(place, |text| {
            let _ = write!(text, "{value}");
        });
    }

    #[inline]
    pub fn write(&mut self, place: Place, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        write(&mut self.text);
        self.put_span(place, Span::made(start..self.text.len()));
    }

    // A place that the file has no column for is none, and lies behind all others.
    #[inline]
    fn put_span(&mut self, place: Place, span: Span) {
        if let Some(cell) = self.spans.get_mut(place - self.from) {
            *cell = span;
        }
    }
}
