//! What is made of a native record: cells that stand behind its own, and values that need no cell.

use crate::focus::Decimal;
use crate::normalize::cells::{Cells, Made, Span};
use chrono::{DateTime, Utc};
use std::fmt::{Display, Write};

/// Where a cell of a made row comes from: a column of the file, or behind those a computed one.
pub(in crate::normalize) type Place = usize;

/// Values of a record that its adapter knows: they are not written as text that would be read again.
#[derive(Debug)]
pub(in crate::normalize) struct Known {
    /// Start and end of the billing period, then those of the charge period.
    pub moments: [Option<DateTime<Utc>>; 4],
    pub billed_cost: Option<Decimal>,
    pub list_cost: Option<Decimal>,
    pub contracted_cost: Option<Decimal>,
    pub consumed_quantity: Option<Decimal>,
    /// Whether the tags that are made of the record cannot be read.
    pub has_unreadable_tags: bool,
}

impl Known {
    /// What is known of the records of a FOCUS file.
    pub const NOTHING: Self = Self {
        moments: [None; 4],
        billed_cost: None,
        list_cost: None,
        contracted_cost: None,
        consumed_quantity: None,
        has_unreadable_tags: false,
    };

    pub fn billing_period(&mut self, start: DateTime<Utc>, end: DateTime<Utc>) {
        let [own_start, own_end, _, _] = &mut self.moments;
        (*own_start, *own_end) = (Some(start), Some(end));
    }

    pub fn charge_period(&mut self, start: DateTime<Utc>, end: DateTime<Utc>) {
        let [_, _, own_start, own_end] = &mut self.moments;
        (*own_start, *own_end) = (Some(start), Some(end));
    }
}

/// The computed cells of a record. The buffers are used again for each record.
#[derive(Debug, Default)]
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

    /// Starts a row with what others have of it already.
    pub fn begin_with(&mut self, others: &Self) {
        self.from = others.from;
        self.text.clear();
        self.text.push_str(&others.text);
        self.spans.clear();
        self.spans.extend_from_slice(&others.spans);
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

    /// A cost that was computed: known as such, or text where it may be longer than a number of a bill can be, which is
    /// found where that is read.
    pub fn known_or_shown(&mut self, place: Place, cost: Decimal) -> Option<Decimal> {
        if cost.fixed().is_some() {
            return Some(cost);
        }
        self.show(place, &cost);
        None
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
