//! `costwake export focus`: what is written is a bill again, with the same totals to the last digit.

use crate::support::{self, costwake, said};
use parquet::basic::{LogicalType, TimeUnit};
use parquet::file::reader::{FileReader, SerializedFileReader};
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
fn assert_comes_back(data_dir: &Path, name: &str, file: &Path, suffixes: &[&str]) {
    let receipt = import(data_dir, name, file);
    for suffix in suffixes {
        let exported = data_dir.with_file_name(format!("{name}{suffix}"));
        let output = costwake(data_dir, &["export", "focus", exported.to_str().unwrap(), "--source", name]);
        assert!(output.status.success(), "{name}: {}", said(&output));
        let again = import(data_dir, &format!("{name} again as {suffix}"), &exported);
        assert_eq!(sorted(&receipt["totals"]), sorted(&again["totals"]), "{name}{suffix}");
        assert_eq!((&receipt["rows"], again["rejected_rows"].as_i64()), (&again["rows"], Some(0)), "{name}{suffix}");
    }
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
    assert_comes_back(&data, "own", &bill, &[".csv.gz", ".parquet"]);

    let exported = place.path().join("all.csv");
    let path = exported.to_str().unwrap();
    assert!(costwake(&data, &["export", "focus", path, "--source", "own"]).status.success());
    let text = fs::read_to_string(&exported).unwrap();
    let header = text.lines().next().unwrap();
    assert!(header.ends_with("Tags,x_Id,x_TaxCost") && !header.contains("ListCost"), "{header}");
    assert!(text.contains(",0.000000000000000000000000000001,") && text.contains(",-5.250,00123,"), "{text}");
    assert!(said(&costwake(&data, &["export", "focus", path])).contains("exists: name another file"));
    let table = place.path().join("all.parquet");
    let told = said(&costwake(&data, &["export", "focus", table.to_str().unwrap(), "--source", "own"]));
    assert!(told.contains("  BilledCost is text, because 38 digits are not enough for its values."), "{told}");
    assert!(!told.contains("EffectiveCost is text") && !table.with_extension("partial-rows").exists(), "{told}");
    assert_kinds(&table);
    let other = place.path().join("other.xlsx");
    let refused = costwake(&data, &["export", "focus", other.to_str().unwrap()]);
    assert!(!refused.status.success() && said(&refused).contains("names no form"), "{}", said(&refused));
    let none = costwake(&data, &["export", "focus", other.to_str().unwrap(), "--service", "nobody"]);
    assert!(said(&none).contains("there is no service nobody"), "{}", said(&none));
    assert!(!other.with_extension("partial").exists() && !other.exists());

    for (name, file) in shared() {
        assert_comes_back(&data, &name, &file, &[".csv", ".parquet"]);
    }
    assert!(costwake(&data, &["verify"]).status.success());
}

/// Numbers are exact decimals where they fit, moments are moments in UTC, and tags are the text of an object.
fn assert_kinds(table: &Path) {
    let reader = SerializedFileReader::new(fs::File::open(table).unwrap()).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr();
    let kind = |name: &str| {
        let column = schema.columns().iter().find(|column| column.name() == name).unwrap();
        column.logical_type_ref().cloned().unwrap()
    };
    assert_eq!(kind("BilledCost"), LogicalType::String);
    assert_eq!(kind("EffectiveCost"), LogicalType::decimal(30, 38));
    assert_eq!(kind("ChargePeriodStart"), LogicalType::timestamp(true, TimeUnit::MICROS));
    assert_eq!((kind("Tags"), kind("BillingAccountId")), (LogicalType::String, LogicalType::String));
    let first = reader.get_row_iter(None).unwrap().next().unwrap().unwrap().to_string();
    assert!(first.contains(r#"Tags: "{"a":"x, y","b":true}""#), "{first}");
    assert!(first.contains("ChargePeriodStart: 2026-08-03 05:00:00.000000 +00:00"), "{first}");
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
