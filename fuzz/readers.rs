//! What each fuzz target does with bytes that somebody else made up. The tests replay the corpus through the same
//! functions (`tests/it/fuzz_corpus.rs`).

#![allow(dead_code, reason = "each target uses one of these")]

use bigdecimal::BigDecimal;
use costwake::allocate::{Condition, Details};
use costwake::focus::Decimal;
use costwake::normalize::{self, Row, tags as tag_texts};
use costwake::sources::kind::Layout;
use costwake::web::query::{Accepts, View};
use std::collections::HashSet;
use std::path::PathBuf;
use std::str::FromStr;

/// A bill as CSV, or as JSON lines.
pub fn csv(data: &[u8]) {
    bill(data, "bill.csv");
}

/// A bill as Parquet.
pub fn parquet(data: &[u8]) {
    bill(data, "bill.parquet");
}

/// Read by line to its end: every line is a charge or a rejection, and nothing of either panics.
fn bill(data: &[u8], name: &str) {
    let path = memory_folder().join(format!("{}-{:?}-{name}", std::process::id(), std::thread::current().id()));
    std::fs::write(&path, data).expect("the folder can be written");
    if let Ok(mut bill) = normalize::open(&path) {
        while let Ok(Some(row)) = bill.next_row() {
            if let Row::Charge(charge) = row {
                charge.tag_map();
                charge.attributes().chain(charge.measures()).for_each(drop);
            }
        }
        bill.warnings();
    }
    let _ = std::fs::remove_file(path);
}

fn memory_folder() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

/// What the manifest of an export names, in each of its layouts: no file twice, which would count twice.
pub fn manifest(data: &[u8]) {
    for layout in [Layout::AwsDataExport, Layout::AwsCur, Layout::AzureExport] {
        if let Ok(manifest) = layout.manifest(data) {
            let names: HashSet<&str> = manifest.parts.iter().map(|part| part.key.as_str()).collect();
            assert_eq!(names.len(), manifest.parts.len());
        }
    }
}

/// A number: what is read is what the text says, and its own text reads back as the same number.
pub fn decimal(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(read) = Decimal::parse(text) else { return };
    let exact = BigDecimal::from_str(text).expect("what one reads the other reads");
    assert_eq!(read.to_big_decimal(), exact);
    let again = Decimal::parse(&read.to_string()).map(|again| again.to_big_decimal());
    // Written without exponent it may be longer than what is read.
    assert!(again.is_err() || again == Ok(exact));
}

/// The text of a line's tags: what is read can be written and read again.
pub fn tags(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(read) = tag_texts::read(text) else { return };
    let written = serde_json::Value::Object(read.clone()).to_string();
    assert_eq!(tag_texts::read(&written), Ok(read));
}

/// What a page is asked for, and what rules look for: a query string, a line end, conditions as JSON, a line end, a
/// value to look at.
pub fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let accepts =
        Accepts { texts: &["env", "provider", "charge"], by: &["env", "charge", "provider"], sort: &["cost", "name"] };
    if let Ok(view) = View::parse(lines.next(), accepts) {
        // A link to what is shown shows the same.
        let canonical = view.canonical("/services");
        let query = canonical.split_once('?').map(|(_, query)| query);
        let again = View::parse(query, accepts).expect("an address of our own can be read");
        assert_eq!(again.canonical("/services"), canonical);
    }
    let Some(Ok(conditions)) = lines.next().map(serde_json::from_str::<Vec<Condition>>) else { return };
    if conditions.iter().all(|condition| condition.check().is_ok())
        && let Ok(details) = Details::compile(&conditions)
    {
        for attribute in details.attributes() {
            details.keep(attribute, lines.next().unwrap_or_default());
        }
    }
}
