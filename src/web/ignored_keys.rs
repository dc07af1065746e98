//! How a note names the keys that a page does not know. Pure, so that the fuzz targets read addresses with it too.

/// Of a key that is named.
const NAME_CHARS_MAX: usize = 40;
/// Keys that the note names.
const NAMED_MAX: usize = 5;

/// A key as the note names it: a very long one is cut.
pub(super) fn named(key: &str) -> String {
    key.chars().take(NAME_CHARS_MAX).collect()
}

/// The sentence that names ignored keys and those that the page knows, or nothing.
pub(super) fn sentence(ignored: &[String], known: &[&str]) -> String {
    if ignored.is_empty() {
        return String::new();
    }
    let known = if known.is_empty() { "no keys".to_owned() } else { known.join(", ") };
    format!("Ignored: {}. This page knows {known}.", listed(ignored))
}

// The first few, and how many more: an address may have thousands.
fn listed(ignored: &[String]) -> String {
    let named = ignored.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match ignored.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
