//! Native formats: an adapter a format makes one FOCUS row of one native record. What follows, from nulls to tags,
//! is the same for all.
//!
//! What differs from line to line is made of each record. What the lines of a charge group share is made once it is
//! asked for: of most lines the group is known, and nothing is asked.

mod aws_cur;
mod azure_export;
mod azure_prices;
mod categories;
pub(super) mod columns;
mod days;
mod gcp_billing;
mod oci_report;
mod plan;
mod python;
mod row;
#[cfg(test)]
mod tests;
mod text;

use super::cells::{Cells, present};
use super::charge::Rejection;
use super::error::BillError;
use super::format::Format;
use super::header::Header;
use super::reading::{ragged, rejection};
use super::tags::Readable;
use aws_cur::AwsCur;
use azure_export::AzureExport;
pub use azure_export::ONE_COST as AZURE_ONE_COST;
use gcp_billing::GcpBilling;
use oci_report::OciReport;
use plan::{Layout, Plan};
pub(super) use row::Known;
use row::MadeCells;
use std::cell::{Cell, OnceCell};
use std::fmt;

enum Adapter {
    AwsCur(Box<AwsCur>),
    AzureExport(Box<AzureExport>),
    GcpBilling(GcpBilling),
    OciReport(OciReport),
}

/// Makes FOCUS rows of the records of a native file.
pub(super) struct Native {
    adapter: Adapter,
    /// The columns of the file.
    column_names: Vec<String>,
    /// What was made of the last record for itself alone.
    line: MadeCells,
    known: Known,
    /// The same and what its group shares, once that was asked for.
    whole: OnceCell<MadeCells>,
    /// Those of an earlier record, whose buffers are used again.
    spare: Cell<MadeCells>,
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
    /// Understands the columns of a native file, or has nothing to do as it is FOCUS. The header is that of the rows
    /// which it makes. `in_order` says whether the cells of a record stand in its text in the order of
    /// the columns.
    pub fn of(format: Format, names: &[String], in_order: bool) -> Result<Option<(Self, Header)>, BillError> {
        let mut plan = Plan::new(names, in_order);
        let (adapter, layout) = match format {
            Format::Focus => return Ok(None),
            Format::AwsCur | Format::AwsCur2 => {
                let adapter = AwsCur::of(&mut plan);
                (Adapter::AwsCur(Box::new(adapter)), plan.finish(aws_cur::is_measure)?)
            }
            Format::AzureExport => {
                let adapter = AzureExport::of(&mut plan);
                (Adapter::AzureExport(Box::new(adapter)), plan.finish(azure_export::is_measure)?)
            }
            Format::GcpBilling => {
                let adapter = GcpBilling::of(&mut plan);
                (Adapter::GcpBilling(adapter), plan.finish(gcp_billing::is_measure)?)
            }
            Format::OciReport => {
                let adapter = OciReport::of(&mut plan);
                (Adapter::OciReport(adapter), plan.finish(oci_report::is_measure)?)
            }
        };
        let Layout { mut header, computed_count, column_names } = layout;
        match &adapter {
            Adapter::AzureExport(_) => header.warnings.push(azure_export::ONE_COST.to_owned()),
            Adapter::GcpBilling(adapter) if adapter.has_one_credit_a_row() => {
                header.warnings.push(gcp_billing::ONE_CREDIT_A_ROW.to_owned());
            }
            _ => {}
        }
        let native = Self {
            adapter,
            line: MadeCells::behind(column_names.len(), computed_count),
            column_names,
            known: Known::NOTHING,
            whole: OnceCell::new(),
            spare: Cell::default(),
        };
        Ok(Some((native, header)))
    }

    /// Goes on to a record, and makes of it what differs from line to line.
    pub fn read(&mut self, line: u64, cells: Cells<'_>) -> Result<(), Rejection> {
        if cells.spans.len() != self.column_names.len() {
            return Err(ragged(self.column_names.len(), line, cells));
        }
        if let Some(whole) = self.whole.take() {
            self.spare.set(whole);
        }
        self.line.begin();
        self.known = Known::NOTHING;
        let (made, known) = (&mut self.line, &mut self.known);
        let read = match &mut self.adapter {
            Adapter::AwsCur(adapter) => adapter.line(cells, made, known),
            Adapter::AzureExport(adapter) => adapter.line(cells, made, known),
            Adapter::GcpBilling(adapter) => adapter.line(cells, made, known),
            Adapter::OciReport(adapter) => {
                adapter.line(cells, made, known);
                Ok(())
            }
        };
        read.map_err(|fault| self.rejected(line, cells, &fault))
    }

    /// The cells of the record that was read last, and what was made of them for it alone.
    pub fn of_line<'a>(&'a self, cells: Cells<'a>) -> Cells<'a> {
        self.line.with(cells)
    }

    /// What is known of the record that was read last.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// The cells of the record that was read last, and all that is made of them.
    pub fn whole<'a>(&'a self, cells: Cells<'a>) -> Cells<'a> {
        let whole = self.whole.get_or_init(|| {
            let mut whole = self.spare.take();
            whole.begin_with(&self.line);
            match &self.adapter {
                Adapter::AwsCur(adapter) => adapter.shared(cells, &mut whole),
                Adapter::AzureExport(adapter) => adapter.shared(cells, &mut whole),
                Adapter::GcpBilling(adapter) => adapter.shared(cells, &mut whole),
                Adapter::OciReport(adapter) => adapter.shared(cells, &mut whole),
            }
            whole
        });
        whole.with(cells)
    }

    fn rejected(&self, line: u64, cells: Cells<'_>, fault: &Fault) -> Rejection {
        let Fault { focus, column, reason } = fault;
        let native_name = self.column_names.get(*column).map_or("a column that the file lacks", String::as_str);
        rejection(line, focus, cells.get(*column), format!("{focus}, from {native_name}, {reason}"))
    }
}

/// Charges are shown without what made them.
impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native").finish_non_exhaustive()
    }
}

/// Whether the tags of a column cannot be read, of which `make` makes text as it is looked at: remembered by what the
/// column says.
fn has_unreadable_tags(known: &mut Readable, column: &str, make: impl FnOnce(&mut String)) -> bool {
    !known.is(column, || {
        let mut text = String::new();
        make(&mut text);
        super::tags::can_be_read(&text)
    })
}

/// The first of two columns that is filled.
fn first(cells: Cells<'_>, column: usize, other: usize) -> usize {
    if present(cells.get(column)).is_some() { column } else { other }
}
