//! Findings from series and sums. Pure: figures in, findings out.

pub mod anomaly;
pub mod delivery;
pub mod forecast;
pub mod impact;
pub mod invoices;
pub mod savings;
pub mod unit_cost;
pub mod unit_economics;
pub mod variance;
