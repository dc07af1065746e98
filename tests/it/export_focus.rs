//! `costwake export focus`: what is written is a bill again, with the same totals to the last digit.

use crate::support::{self, costwake, said};
use std::fs;
use std::path::{Path, PathBuf};

const HEADER: &str = "BilledCost,EffectiveCost,BillingAccountId,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,\
    ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceCategory,ServiceName,ProviderName,Id,x_TaxCost,Tags,\
    ServiceProviderName";

/// Imports a file and gives back its receipt.
fn import(data_dir: &Path, source: &str, file: &Path) -> serde_json::Value {
    let output = costwake(data_dir, &["import", "--json", "--source", source, file.to_str().unwrap()]);
    let receipt: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
    assert_eq!(receipt["state"], "published", "{}: {receipt}", file.display());
    receipt
}

/// Exports what a source counts, imports that as another source, and compares the two receipts.
fn assert_comes_back(data_dir: &Path, name: &str, file: &Path, suffix: &str) {
    let receipt = import(data_dir, name, file);
    let exported = data_dir.with_file_name(format!("{name}{suffix}"));
    let output = costwake(data_dir, &["export", "focus", exported.to_str().unwrap(), "--source", name]);
    assert!(output.status.success(), "{name}: {}", said(&output));
    let again = import(data_dir, &format!("{name} again"), &exported);
    assert_eq!(sorted(&receipt["totals"]), sorted(&again["totals"]), "{name}");
    assert_eq!((&receipt["rows"], again["rejected_rows"].as_i64()), (&again["rows"], Some(0)), "{name}");
}

// The digits as numbers: an exponent may become zeros.
fn sorted(totals: &serde_json::Value) -> Vec<String> {
    let plain = |value: &serde_json::Value| match value.as_str().and_then(|text| text.parse().ok()) {
        Some(number) => bigdecimal::BigDecimal::normalized(&number).to_plain_string(),
        None => value.to_string(),
    };
    let line = |total: &serde_json::Value| {
        let costs = ["BilledCost", "EffectiveCost", "ListCost", "ContractedCost"].map(|cost| plain(&total[cost]));
        format!("{} {} {} {}", total["billing_period"], total["billing_currency"], total["rows"], costs.join(" "))
    };
    let mut lines: Vec<String> = totals.as_array().unwrap().iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn what_is_exported_is_the_same_bill_again() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let bill = place.path().join("bill.csv");
    let row = |costs: &str, currency: &str, end: &str| {
        format!(
            "{costs},00123,{currency},2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,2026-08-03T05:00:00Z,\
             2026-08-03T06:00:00Z,Usage,Compute,Machines,Acme,{end}\n"
        )
    };
    let rows = row("0.1234567890123456789012345,1e-30", "USD", "7,0.5,\"{\"\"a\"\":\"\"x, y\"\",\"\"b\"\":true}\",New")
        + &row("-5.250,-5.250", "EUR", "8,,,")
        + &row("-5.250,-5.250", "EUR", "8,,,")
        + &row("99999999999999999999999999999999999999.99,0", "Credits", ",,NULL,");
    fs::write(&bill, format!("{HEADER}\n{rows}")).unwrap();
    assert_comes_back(&data, "own", &bill, ".csv.gz");

    let exported = place.path().join("all.csv");
    let path = exported.to_str().unwrap();
    assert!(costwake(&data, &["export", "focus", path, "--source", "own"]).status.success());
    let text = fs::read_to_string(&exported).unwrap();
    let header = text.lines().next().unwrap();
    assert!(header.ends_with("Tags,x_Id,x_TaxCost") && !header.contains("ListCost"), "{header}");
    assert!(text.contains(",0.000000000000000000000000000001,") && text.contains(",-5.250,00123,"), "{text}");
    assert!(said(&costwake(&data, &["export", "focus", path])).contains("exists: name another file"));
    let other = place.path().join("other.xlsx");
    let refused = costwake(&data, &["export", "focus", other.to_str().unwrap()]);
    assert!(!refused.status.success() && said(&refused).contains("names no form"), "{}", said(&refused));
    let none = costwake(&data, &["export", "focus", other.to_str().unwrap(), "--service", "nobody"]);
    assert!(said(&none).contains("there is no service nobody"), "{}", said(&none));
    assert!(!other.with_extension("partial").exists() && !other.exists());

    for (name, file) in shared() {
        assert_comes_back(&data, &name, &file, ".csv");
    }
    assert!(costwake(&data, &["verify"]).status.success());
}

/// Real FOCUS files, where they are at hand.
fn shared() -> Vec<(String, PathBuf)> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("COSTWAKE_SHARED").map_or(beside, PathBuf::from).join("data/billing");
    if !folder.is_dir() {
        support::skipped(&format!("no conformance files in {}", folder.display()));
        return Vec::new();
    }
    let names = [
        "focus10_ff_sample_dev_split.csv",
        "focus12_aws_golden100.csv",
        "focus13_azure_golden100.csv",
        "focus13_consolidated_multi_provider.csv",
        "derived/focus10_dev_azure_style.parquet",
    ];
    names.into_iter().map(|name| (name.replace(['/', '.'], "-"), folder.join(name))).collect()
}
