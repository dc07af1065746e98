//! Charges become daily and monthly cost, and stay what they add up to.

pub mod events;
pub mod import;
pub mod key_attributes;
pub mod map_deployments;
pub mod mapped_keys;
pub mod mapper;
pub mod pipeline_deployments;
pub mod rebuild;
pub mod remap;
pub mod retention;
pub mod verify;
pub mod what_if;

mod aggregate;
mod bill_source;
mod decision;
mod fingerprint;
mod group_rows;
mod groups;
mod json;
mod ledger_error;
mod level_1;
mod load;
mod moved_costs;
mod partition;
mod publish;
mod reader;
mod rekey;
mod request;
mod scopes;
mod staging;
mod take_back;
mod timings;
mod unread;

pub use crate::normalize::Format;
pub use bill_source::counted_twice;
pub use import::{ImportOptions, ImportRequest, import_file, import_with};
pub use ledger_error::LedgerError;
pub use publish::{Person, accept, cannot_accept};
pub use request::{source_name_fault, version_fault};
pub use take_back::{revert, withdraw};
