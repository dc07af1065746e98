//! Native formats: an adapter a format makes one FOCUS row of one native record. What follows, from nulls to tags,
//! is the same for all.

mod aws_cur;
mod categories;
mod columns;
mod plan;
mod row;
#[cfg(test)]
mod tests;
mod text;

use super::cells::{Cells, Span};
use super::charge::Rejection;
use super::header::Header;
use super::reading::{ragged, rejection};
use aws_cur::AwsCur;
use plan::{Layout, Plan};
use row::RowText;

/// A format that is not FOCUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    AwsCur,
    AwsCur2,
}

impl Format {
    /// `AWS CUR`; the container follows.
    pub fn label(self) -> &'static str {
        match self {
            Self::AwsCur => "AWS CUR",
            Self::AwsCur2 => "AWS CUR 2.0",
        }
    }
}

enum Adapter {
    AwsCur(AwsCur),
}

/// Makes FOCUS rows of the records of a native file.
pub(super) struct Native {
    pub format: Format,
    adapter: Adapter,
    native_count: usize,
    computed_count: usize,
    places: Vec<usize>,
    /// The columns of the file.
    column_names: Vec<String>,
    row: RowText,
    spans: Vec<Span>,
}

/// Why a record is no row: a value of the file that cannot be used.
struct Fault {
    /// The FOCUS column that needs it.
    focus: &'static str,
    column: usize,
    /// What is wrong with it, behind its name: `is null`.
    reason: String,
}

impl Native {
    /// Understands the columns of a native file. The header is that of the rows which [`Native::row`] makes.
    pub fn of(format: Format, names: &[String]) -> (Self, Header) {
        let mut plan = Plan::new(names);
        let (adapter, layout) = match format {
            Format::AwsCur | Format::AwsCur2 => {
                let adapter = AwsCur::of(&mut plan);
                (Adapter::AwsCur(adapter), plan.finish(aws_cur::is_measure))
            }
        };
        let Layout { header, computed_count, places, column_names } = layout;
        let native = Self {
            format,
            adapter,
            native_count: column_names.len(),
            computed_count,
            places,
            column_names,
            row: RowText::default(),
            spans: Vec::new(),
        };
        (native, header)
    }

    /// The FOCUS row of a record.
    pub fn row(&mut self, header: &Header, line: u64, cells: Cells<'_>) -> Result<Cells<'_>, Rejection> {
        if cells.spans.len() != self.native_count {
            return Err(ragged(self.native_count, line, cells));
        }
        self.row.begin(cells, self.computed_count);
        let made = match &mut self.adapter {
            Adapter::AwsCur(adapter) => adapter.write(cells, &mut self.row),
        };
        made.map_err(|fault| self.rejected(line, cells, &fault))?;
        self.spans.clear();
        self.spans.extend(self.places.iter().map(|place| self.row.span(*place)));
        let text = self.row.text();
        // Most measures of most lines are zero, and a zero says no more than nothing does.
        for &column in &header.measure_columns {
            let span = &mut self.spans[column];
            let cell = text.as_bytes().get(span.start as usize..span.end as usize).unwrap_or_default();
            if cell.iter().all(|byte| matches!(byte, b'0' | b'.')) {
                span.end = span.start;
            }
        }
        Ok(Cells { text, spans: &self.spans })
    }

    fn rejected(&self, line: u64, cells: Cells<'_>, fault: &Fault) -> Rejection {
        let Fault { focus, column, reason } = fault;
        let native_name = self.column_names.get(*column).map_or("a column that the file lacks", String::as_str);
        rejection(line, focus, cells.get(*column), format!("{focus}, from {native_name}, {reason}"))
    }
}
