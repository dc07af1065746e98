//! Where bills come from: a file on this machine, plain or compressed, behind limits; the places of sources, how
//! deliveries lie there, and when they are looked at.

pub mod held;
pub mod kind;
pub mod layout;
pub mod objects;
pub mod place;
pub mod schedule;
pub mod setting;

mod archive;
mod bounded;
mod error;
mod file;
mod fingerprint;
mod spooled;

pub use archive::{ArchiveError, unpacked};
pub use bounded::Limits;
pub use error::SourceError;
pub use file::{Progress, SourceFile};
pub use fingerprint::Fingerprint;
pub use spooled::{senders_name, spooled_name};
