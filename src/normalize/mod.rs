//! Bytes to charges under FOCUS names. Pure: a file in, rows out; nothing here knows the database.
//!
//! Every row comes out as a [`Charge`] or as a [`Rejection`] with its line, column and reason; none is dropped.

mod bill;
mod cells;
mod charge;
pub mod cluster_usage;
mod error;
mod focus_parquet;
mod format;
mod header;
mod invoices;
mod json_lines;
mod json_members;
mod json_scan;
#[cfg(test)]
mod nasty_tests;
mod native;
mod parquet_column;
mod parquet_pages;
mod parquet_text;
mod reading;
mod recent;
mod recognize;
mod records;
mod reference_rates;
mod separators;
mod split;
pub mod tags;
mod timestamp;
mod warnings;

pub use bill::{Bill, open, open_as, open_lines};
pub use charge::{Charge, Rejection, Row, Texts};
pub use error::BillError;
pub use format::Format;
pub use invoices::{InvoiceTotal, InvoicesError, invoices};
pub use native::AZURE_ONE_COST;
pub use reference_rates::{ReferenceRate, ReferenceRatesError, reference_rates};
