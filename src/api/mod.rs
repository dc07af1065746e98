//! The JSON interface under `/api/v1`: the same queries as the pages, FOCUS names, money as strings.

pub mod anomalies;
mod booked_late;
pub mod catalogue;
pub mod catalogue_refreshes;
pub mod clusters;
pub mod commitments;
pub mod costs;
pub mod deliveries;
pub mod deployment_body;
pub mod deployment_pins;
mod deployment_record;
pub mod deployments;
pub mod dimensions;
pub mod environments;
pub mod error;
pub mod event_pins;
pub mod event_sources;
pub mod forecast;
pub mod impact;
pub mod invoices;
pub mod job_kinds;
pub mod job_runs;
pub mod metrics;
pub mod months;
pub mod openapi;
pub mod otlp;
pub mod rates;
mod reporting;
pub mod rules;
pub mod savings;
pub mod source_deliveries;
pub mod splits;
pub mod tags;
pub mod unit_costs;
pub mod why;

pub use error::{Error, Result};
