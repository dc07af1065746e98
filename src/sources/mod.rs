//! Where bills come from. Today: a file on this machine, plain or compressed, behind limits.

mod archive;
mod bounded;
mod error;
mod file;
mod fingerprint;

pub use archive::{ArchiveError, unpacked};
pub use bounded::Limits;
pub use error::SourceError;
pub use file::{Progress, SourceFile};
pub use fingerprint::Fingerprint;
