//! What may be said with a file: a source's name and a version.

use chrono::{DateTime, Duration, Utc};

const SOURCE_BYTES_MAX: usize = 200;

/// Why a text is no name of a source, in a sentence.
pub fn source_name_fault(name: &str) -> Option<String> {
    let is_good = !name.trim().is_empty() && name.len() <= SOURCE_BYTES_MAX && !name.chars().any(char::is_control);
    (!is_good).then(|| format!("The name of a source is plain text of 1 to {SOURCE_BYTES_MAX} bytes."))
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
        assert_eq!(source_name_fault("AWS A1"), None);
        for name in ["", " ", "a\nb", &"x".repeat(201)] {
            assert!(source_name_fault(name).unwrap().contains("1 to 200 bytes"), "{name:?}");
        }
        let now = "2026-11-20T10:00:00Z".parse().unwrap();
        assert_eq!(version_fault("2026-11-21T10:00:00Z".parse().unwrap(), now), None);
        assert!(version_fault("2126-01-01T00:00:00Z".parse().unwrap(), now).unwrap().contains("2126-01-01"));
    }
}
