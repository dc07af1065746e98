//! The JSON interface under `/api/v1`: the same queries as the pages, FOCUS names, money as strings.

pub mod catalogue;
pub mod costs;
pub mod deployment_body;
mod deployment_record;
pub mod deployments;
pub mod error;
pub mod openapi;
pub mod rules;
pub mod source_deliveries;

pub use error::{Error, Result};
