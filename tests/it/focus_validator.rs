//! The public FOCUS validator on what `costwake export focus` writes. It needs Python 3.12: `scripts/test` installs it
//! where that is there.

use crate::support::{self, costwake, said};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The rules that fail whatever a file says; docs/formats.md has the reasons. Composites fail with a part of theirs.
const NAMED: [&str; 9] = [
    "CapacityReservationStatus-C-000-C",
    "CapacityReservationStatus-C-002-C",
    "CapacityReservationStatus-C-004-C",
    "CommitmentDiscountStatus-C-000-C",
    "CommitmentDiscountStatus-C-002-C",
    "CommitmentDiscountStatus-C-004-C",
    "CostAndUsage-D-000-M",
    "CostAndUsage-D-002-M",
    "InvoiceId-C-004-C",
];

/// A month with usage, usage that a plan covers, the plan and a tax, as FOCUS 1.2 wants them.
const BILL: &str = include_str!("fixtures/focus_1_2.csv");

fn validator() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/focus-validator");
    let folder = std::env::var_os("COSTWAKE_FOCUS_VALIDATOR").map_or(own, PathBuf::from);
    if folder.join("bin/focus-validator").exists() {
        return Some(folder);
    }
    support::skipped("the public FOCUS validator, because it needs Python 3.12 (scripts/test installs it then)");
    None
}

/// The rules that a file fails, of those that were looked at.
fn failing(validator: &Path, file: &Path) -> BTreeSet<String> {
    let report = file.with_extension("xml");
    let packages = fs::read_dir(validator.join("lib")).unwrap().next().unwrap().unwrap().path().join("site-packages");
    let output = Command::new(validator.join("bin/focus-validator"))
        // It looks for its list of currencies in the folder that it is started in.
        .current_dir(packages)
        .args(["--block-download", "--validate-version", "1.2.0.1", "--applicability-criteria", "ALL"])
        .args(["--output-type", "unittest", "--output-destination"])
        .arg(&report)
        .arg("--data-file")
        .arg(file)
        .output()
        .unwrap();
    let text = fs::read_to_string(&report).unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
    let count = |what: &str| -> u32 {
        let (_, rest) = text.split_once(&format!("{what}=\"")).unwrap();
        rest.split_once('"').unwrap().0.parse().unwrap()
    };
    assert!(count("tests") - count("skipped") > 300, "the validator looked at fewer rules than it has: {text}");
    let failures = text.split("<failure name=\"").skip(1);
    failures.map(|failure| failure.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn an_export_fails_no_rule_but_the_named_ones() {
    let Some(validator) = validator() else { return };
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let bill = place.path().join("bill.csv");
    fs::write(&bill, BILL).unwrap();
    let imported = costwake(&data, &["import", "--source", "own", bill.to_str().unwrap()]);
    assert!(imported.status.success(), "{}", said(&imported));
    let exported = place.path().join("own.parquet");
    let output = costwake(&data, &["export", "focus", exported.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(failing(&validator, &exported), NAMED.map(str::to_owned).into());

    // That it can fail: a currency that ISO 4217 does not have.
    fs::write(&bill, BILL.replace(",EUR,", ",euro,")).unwrap();
    let imported = costwake(&data, &["import", "--counted-elsewhere-too", "--source", "odd", bill.to_str().unwrap()]);
    assert!(imported.status.success(), "{}", said(&imported));
    let odd = place.path().join("odd.parquet");
    let output = costwake(&data, &["export", "focus", odd.to_str().unwrap(), "--source", "odd"]);
    assert!(output.status.success(), "{}", said(&output));
    let failing = failing(&validator, &odd);
    assert!(failing.iter().any(|rule| rule.starts_with("BillingCurrency-")), "{failing:?}");
}
