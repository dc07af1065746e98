//! Opening a file, and what manifests say.

#[path = "../../../src/sources/bounded.rs"]
mod bounded;
#[path = "../../../src/sources/error.rs"]
mod error;
#[path = "../../../src/sources/file.rs"]
mod file;
#[path = "../../../src/sources/kind.rs"]
pub mod kind;
#[path = "../../../src/sources/layout/mod.rs"]
pub mod layout;

pub use bounded::Limits;
pub use error::SourceError;
pub use file::{Progress, SourceFile};
