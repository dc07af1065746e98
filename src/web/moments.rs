//! How a moment is written on pages of the administration.

use chrono::{DateTime, Utc};

/// `23 Nov 2026 15:22 UTC`.
pub fn moment(at: &DateTime<Utc>) -> String {
    at.format("%-d %b %Y %H:%M UTC").to_string()
}

/// The same, or a word when there was none.
pub fn moment_or(at: &Option<DateTime<Utc>>, word: &str) -> String {
    at.as_ref().map_or_else(|| word.to_owned(), moment)
}

/// For the `datetime` attribute.
pub fn machine(at: &DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
