//! What native exports do to their readers, one test each, on small made-up files.

mod aws;
mod azure;
mod gcp;
mod groups;
mod oci;

use crate::normalize::{Charge, Rejection, Row, open};
use std::io::Write;

/// What reading a file gives.
struct Read {
    format: String,
    shown: Vec<String>,
    rejections: Vec<Rejection>,
    warnings: Vec<String>,
}

/// Reads a file and shows each charge by `look`.
fn read(text: &str, look: impl Fn(&Charge<'_>) -> String) -> Read {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut bill = open(file.path()).unwrap();
    assert!(bill.missing_mandatory().is_empty(), "{:?}", bill.missing_mandatory());
    let (mut shown, mut rejections) = (Vec::new(), Vec::new());
    while let Some(row) = bill.next_row().unwrap() {
        match row {
            Row::Charge(charge) => shown.push(look(&charge)),
            Row::Rejected(rejection) => rejections.push(rejection),
        }
    }
    Read { format: bill.format(), shown, rejections, warnings: bill.warnings() }
}

/// The four costs, `-` for null.
fn costs(charge: &Charge<'_>) -> String {
    let costs = [&charge.billed_cost, &charge.effective_cost, &charge.list_cost, &charge.contracted_cost];
    costs.map(|cost| cost.as_ref().map_or("-".into(), ToString::to_string)).join(" ")
}

fn attribute<'a>(charge: &Charge<'a>, name: &str) -> Option<&'a str> {
    charge.attributes().find(|(own, _)| *own == name).map(|(_, value)| value)
}

fn tags(charge: &Charge<'_>) -> String {
    serde_json::Value::Object(charge.tag_map()).to_string()
}
