//! What may be said with a file: a source's name and a version.

use crate::store::sources;
use chrono::{DateTime, Duration, Utc};
use sqlx::PgConnection;

const SOURCE_BYTES_MAX: usize = 200;

/// Why a source may not be named so, in a sentence, wherever somebody names one: a file that is handed in, a source that is
/// set up. A source that is there already keeps its name: slashes were taken once, and those that files name have them,
/// since billing accounts do.
pub async fn source_name_fault(conn: &mut PgConnection, name: &str) -> sqlx::Result<Option<String>> {
    let fault = new_name_fault(name);
    let has_only_slashes = new_name_fault(&name.replace('/', "-")).is_none();
    if fault.is_some() && has_only_slashes && sources::id(conn, name).await?.is_some() {
        return Ok(None);
    }
    Ok(fault)
}

// Paths of the API hold the name, and a slash ends it there.
fn new_name_fault(name: &str) -> Option<String> {
    let is_good =
        !name.trim().is_empty() && name.len() <= SOURCE_BYTES_MAX && !name.chars().any(|c| c.is_control() || c == '/');
    (!is_good).then(|| {
        format!("The name of a source is plain text of 1 to {SOURCE_BYTES_MAX} bytes without a slash, in one line.")
    })
}

/// Why a version cannot be, in a sentence: one far ahead of the clock would have every later delivery refused.
pub fn version_fault(version_at: DateTime<Utc>, now: DateTime<Utc>) -> Option<String> {
    (version_at > now + Duration::days(1)).then(|| {
        format!(
            "The version {} lies in the future: every later delivery of these bills would be refused as older.",
            version_at.format("%Y-%m-%d %H:%M UTC")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_have_bounds() {
        assert_eq!(new_name_fault("AWS A1"), None);
        for name in ["", " ", "a\nb", "a/b", &"x".repeat(201)] {
            let fault = new_name_fault(name).unwrap();
            assert!(fault.contains("1 to 200 bytes without a slash"), "{name:?}");
        }
        let now = "2026-11-20T10:00:00Z".parse().unwrap();
        assert_eq!(version_fault("2026-11-21T10:00:00Z".parse().unwrap(), now), None);
        assert!(version_fault("2126-01-01T00:00:00Z".parse().unwrap(), now).unwrap().contains("2126-01-01"));
    }
}
