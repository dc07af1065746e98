//! Native formats: an adapter a format makes one FOCUS row of one native record. What follows, from nulls to tags,
//! is the same for all.

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
use aws_cur::AwsCur;
use azure_export::AzureExport;
pub use azure_export::ONE_COST as AZURE_ONE_COST;
use gcp_billing::GcpBilling;
use oci_report::OciReport;
use plan::{Layout, Plan};
use row::MadeCells;

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
    row: MadeCells,
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
    /// which [`Native::row`] makes. `in_order` says whether the cells of a record stand in its text in the order of
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
        let row = MadeCells::behind(column_names.len(), computed_count);
        Ok(Some((Self { adapter, column_names, row }, header)))
    }

    /// The FOCUS row of a record.
    pub fn row<'a>(&'a mut self, line: u64, cells: Cells<'a>) -> Result<Cells<'a>, Rejection> {
        if cells.spans.len() != self.column_names.len() {
            return Err(ragged(self.column_names.len(), line, cells));
        }
        self.row.begin();
        let made = match &mut self.adapter {
            Adapter::AwsCur(adapter) => adapter.write(cells, &mut self.row),
            Adapter::AzureExport(adapter) => adapter.write(cells, &mut self.row),
            Adapter::GcpBilling(adapter) => adapter.write(cells, &mut self.row),
            Adapter::OciReport(adapter) => adapter.write(cells, &mut self.row),
        };
        made.map_err(|fault| self.rejected(line, cells, &fault))?;
        Ok(self.row.with(cells))
    }

    fn rejected(&self, line: u64, cells: Cells<'_>, fault: &Fault) -> Rejection {
        let Fault { focus, column, reason } = fault;
        let native_name = self.column_names.get(*column).map_or("a column that the file lacks", String::as_str);
        rejection(line, focus, cells.get(*column), format!("{focus}, from {native_name}, {reason}"))
    }
}

/// The first of two columns that is filled.
fn first(cells: Cells<'_>, column: usize, other: usize) -> usize {
    if present(cells.get(column)).is_some() { column } else { other }
}
