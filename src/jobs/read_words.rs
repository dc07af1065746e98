//! What a look at a source's place came to, in words, with what to do about it.

use std::collections::BTreeMap;

/// Empty files that a look names.
const EMPTY_NAMED_MAX: usize = 5;

/// What became of the deliveries of a look, and what to do.
pub(super) fn words(
    counts: &BTreeMap<String, usize>,
    wanting: usize,
    left_out: usize,
) -> (Option<String>, Option<String>) {
    let state = |state: &str| match state {
        "published" => "counted",
        "unchanged" => "the same as before",
        "quarantined" => "waiting for a decision",
        "refused" => "refused",
        _ => "not counted",
    };
    let told: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {}", state(name))).collect();
    let mut message = if told.is_empty() { String::new() } else { format!("Deliveries: {}.", told.join(", ")) };
    let mut remedies = Vec::new();
    if wanting > 0 {
        let are = if wanting == 1 { "One manifest is" } else { "Some manifests are" };
        message = format!("{message} {are} not whole or not readable.").trim_start().to_owned();
        remedies.push("See below what is missing; what was counted before still counts.");
    }
    if left_out > 0 {
        let files = if left_out == 1 { "1 file is".to_owned() } else { format!("{left_out} files are") };
        let told = format!("{files} found and not counted: others there report the same cost.");
        message = format!("{message} {told}").trim_start().to_owned();
        remedies.push("To count the others instead, withdraw what this source counts and read it again.");
    }
    if counts.contains_key("quarantined") || counts.contains_key("refused") {
        remedies.push("Open the receipts: they say why, and what can be done.");
    }
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    (some(message), some(remedies.join(" ")))
}

/// The same with what is said of files that have nothing in them: the usual trace of an export that failed.
pub(super) fn with_empty(
    message: Option<String>,
    remedy: Option<String>,
    empty: &[String],
) -> (Option<String>, Option<String>) {
    let named: Vec<&str> = empty.iter().take(EMPTY_NAMED_MAX).map(String::as_str).collect();
    let more = empty.len().saturating_sub(named.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let (told, to_do) = match empty.len() {
        0 => return (message, remedy),
        1 => ("1 file is empty and skipped".to_owned(), "Where its export failed, run it again: it is read as soon as"),
        count => (
            format!("{count} files are empty and skipped"),
            "Where their exports failed, run them again: each is read as soon as",
        ),
    };
    let told = format!("{told}: {}{more}.", named.join(", "));
    let joined = |before: Option<String>, after: String| {
        Some(format!("{} {after}", before.unwrap_or_default()).trim().to_owned())
    };
    (joined(message, told), joined(remedy, format!("{to_do} something is in it; one that is not needed can go.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_files_are_named_with_what_to_do() {
        assert_eq!(with_empty(None, None, &[]), (None, None));
        let (message, remedy) = with_empty(Some("Deliveries: 1 counted.".into()), None, &["empty.csv".into()]);
        assert_eq!(message.unwrap(), "Deliveries: 1 counted. 1 file is empty and skipped: empty.csv.");
        assert!(remedy.unwrap().starts_with("Where its export failed, run it again"));
        let many: Vec<String> = (1..=7).map(|number| format!("{number}.csv")).collect();
        let (message, _) = with_empty(None, None, &many);
        assert_eq!(message.unwrap(), "7 files are empty and skipped: 1.csv, 2.csv, 3.csv, 4.csv, 5.csv and 2 more.");
    }

    #[test]
    fn a_look_is_told_in_a_sentence() {
        let counts = BTreeMap::from([("published".to_owned(), 2), ("quarantined".to_owned(), 1)]);
        let (message, remedy) = words(&counts, 1, 0);
        let message = message.unwrap();
        assert_eq!(
            message,
            "Deliveries: 2 counted, 1 waiting for a decision. One manifest is not whole or not readable."
        );
        assert!(remedy.unwrap().contains("receipts"));
        assert_eq!(words(&BTreeMap::new(), 0, 0), (None, None));
        let (message, remedy) = words(&BTreeMap::new(), 0, 3);
        assert_eq!(message.unwrap(), "3 files are found and not counted: others there report the same cost.");
        assert!(remedy.unwrap().contains("withdraw"));
    }
}
