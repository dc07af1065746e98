//! Usage metrics in: what senders and servers of metrics say, as values with the attributes that name their service.
//! Pure: bytes in, values out.

mod growth;
mod message;
mod number;
pub mod otlp;
pub mod prometheus;

pub use growth::{Growth, LastValue, Recent};
pub use number::exact;
