//! How PostgreSQL and the system say that a disk is full.

/// Whether an error or a log tells of it.
pub fn is_told(text: &str) -> bool {
    ["No space left on device", "Disk quota exceeded"].iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_has_words_for_a_full_disk_and_for_a_full_quota() {
        assert!(is_told("could not extend file \"base/16384/2608\": No space left on device"));
        assert!(is_told("PANIC:  could not write to file \"pg_wal/xlogtemp.91\": Disk quota exceeded"));
        assert!(!is_told("FATAL:  the database system is in recovery mode"));
    }
}
