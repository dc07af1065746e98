//! Real and published FOCUS files, read to the last digit. The files are not part of the repository: they lie in
//! `../shared/data/billing`, or where `COSTWAKE_SHARED` says.

use crate::support;
use bigdecimal::BigDecimal;
use costwake::normalize::{BillError, Row, open};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What reading a file gives, in the terms of the data set's `data.json`.
#[derive(Default)]
struct Found {
    format: String,
    rows: u64,
    rejected: Vec<(u64, String)>,
    totals: BTreeMap<Option<String>, Totals>,
    missing_mandatory: Vec<String>,
    warnings: Vec<String>,
}

#[derive(Default)]
struct Totals {
    rows: u64,
    billed: BigDecimal,
    effective: BigDecimal,
    list: BigDecimal,
    contracted: BigDecimal,
}

fn read(path: &Path) -> Result<Found, BillError> {
    let mut bill = open(path)?;
    let mut found = Found { format: bill.format(), ..Found::default() };
    found.missing_mandatory = bill.missing_mandatory().iter().map(|name| name.to_string()).collect();
    while let Some(row) = bill.next_row()? {
        found.rows += 1;
        let charge = match row {
            Row::Charge(charge) => charge,
            Row::Rejected(rejection) => {
                found.rejected.push((rejection.line, rejection.value));
                continue;
            }
        };
        let totals = found.totals.entry(charge.billing_currency.map(str::to_owned)).or_default();
        let amount = |cost: &Option<costwake::focus::Decimal>| cost.as_ref().map(|cost| cost.to_big_decimal());
        totals.rows += 1;
        totals.billed += amount(&charge.billed_cost).unwrap_or_default();
        totals.effective += amount(&charge.effective_cost).unwrap_or_default();
        totals.list += amount(&charge.list_cost).unwrap_or_default();
        totals.contracted += amount(&charge.contracted_cost).unwrap_or_default();
    }
    found.warnings = bill.warnings();
    Ok(found)
}

/// The folder of the data set, and its `data.json`; says so where it is absent.
fn data_set() -> Option<(PathBuf, serde_json::Map<String, Value>)> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("COSTWAKE_SHARED").map_or(beside, PathBuf::from);
    let folder = shared.join("data/billing");
    let Ok(text) = fs::read_to_string(folder.join("data.json")) else {
        support::skipped(&format!("no conformance files in {}", folder.display()));
        return None;
    };
    Some((folder, serde_json::from_str(&text).unwrap()))
}

/// Large files lie there compressed.
fn stored(folder: &Path, name: &str) -> PathBuf {
    let plain = folder.join(name);
    if plain.exists() { plain } else { folder.join(format!("{name}.gz")) }
}

fn decimal(value: &Value) -> Option<BigDecimal> {
    value.as_str().map(|text| text.parse().unwrap())
}

fn check(name: &str, expected: &Value, found: &Found) {
    assert_eq!(found.rows, expected["rows"].as_u64().unwrap(), "{name}: rows");
    assert_eq!(found.rejected.len() as u64, expected["rejected_rows"].as_u64().unwrap(), "{name}: rejected rows");
    for rejected in expected["rejected"].as_array().into_iter().flatten() {
        let (line, value) = (rejected["line"].as_u64().unwrap(), rejected["value"][0].as_str().unwrap());
        assert!(found.rejected.contains(&(line, value.to_owned())), "{name}: {:?}", found.rejected);
    }
    if let Some(missing) = expected["missing_mandatory"].as_array() {
        let missing: Vec<&str> = missing.iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(found.missing_mandatory, missing, "{name}: missing mandatory columns");
    }
    let totals = expected["totals"].as_array().unwrap();
    assert_eq!(found.totals.len(), totals.len(), "{name}: currencies");
    for total in totals {
        let currency = total["billing_currency"].as_str().map(str::to_owned);
        let sums = &found.totals[&currency];
        assert_eq!(sums.rows, total["rows"].as_u64().unwrap(), "{name}: rows in {currency:?}");
        assert_eq!(Some(&sums.billed), decimal(&total["BilledCost"]).as_ref(), "{name}: BilledCost");
        assert_eq!(Some(&sums.effective), decimal(&total["EffectiveCost"]).as_ref(), "{name}: EffectiveCost");
    }
    // List and contracted sums are given over all rows, so they compare where none was rejected.
    if found.rejected.is_empty() {
        let all = |cost: fn(&Totals) -> &BigDecimal| found.totals.values().map(cost).sum::<BigDecimal>();
        if let Some(list) = decimal(&expected["list"]) {
            assert_eq!(all(|totals| &totals.list), list, "{name}: ListCost");
        }
        if let Some(contracted) = decimal(&expected["contracted"]) {
            assert_eq!(all(|totals| &totals.contracted), contracted, "{name}: ContractedCost");
        }
    }
}

#[test]
fn every_focus_file_gives_its_totals_and_rejected_rows() {
    let Some((folder, files)) = data_set() else { return };
    let workspace = tempfile::tempdir().unwrap();
    let mut count = 0;
    for (name, expected) in files.iter().filter(|(_, expected)| expected.get("totals").is_some()) {
        let path = stored(&folder, name);
        check(name, expected, &read(&path).unwrap_or_else(|error| panic!("{name}: {error}")));
        if path.extension().is_some_and(|extension| extension == "csv") {
            let content = fs::read(&path).unwrap();
            let gz = workspace.path().join("copy.csv.gz");
            let mut encoder = GzEncoder::new(fs::File::create(&gz).unwrap(), Compression::fast());
            encoder.write_all(&content).unwrap();
            encoder.finish().unwrap();
            check(name, expected, &read(&gz).unwrap());
            let zst = workspace.path().join("copy.csv.zst");
            fs::write(&zst, zstd::encode_all(&content[..], 3).unwrap()).unwrap();
            check(name, expected, &read(&zst).unwrap());
        }
        count += 1;
    }
    assert!(count >= 18, "only {count} FOCUS files were found in data.json");
}

#[test]
fn versions_are_known_by_their_columns() {
    let Some((folder, _)) = data_set() else { return };
    let cases = [
        ("focus10_ff_sample_dev_split.csv", "FOCUS 1.0 CSV"),
        ("focus12_aws_golden100.csv", "FOCUS 1.2 CSV"),
        ("focus13_azure_golden100.csv", "FOCUS 1.3 CSV"),
        ("generated/fdt_focus12_aws_20000.csv.gz", "FOCUS 1.2 CSV"),
        ("focus_spec_v1.2_examples/commitment_discount_usage_scenario_1.csv", "FOCUS 1.1 CSV"),
        ("derived/focus10_dev_aws_style.parquet", "FOCUS 1.0 Parquet"),
        ("derived/focus10_dev_azure_style.parquet", "FOCUS 1.0 Parquet"),
    ];
    for (name, format) in cases {
        assert_eq!(read(&folder.join(name)).unwrap().format, format, "{name}");
    }
    let aws = read(&folder.join("derived/focus10_dev_aws_style.parquet")).unwrap();
    assert!(aws.warnings.iter().any(|warning| warning.contains("shortest round-trip")), "{:?}", aws.warnings);
}

/// A Parquet file and the CSV that it was made from say the same of every charge.
#[test]
fn both_containers_give_the_same_charges() {
    let Some((folder, _)) = data_set() else { return };
    let csv = charges(&folder.join("focus10_ff_sample_dev_split.csv"));
    for style in ["aws", "azure"] {
        let parquet = charges(&folder.join(format!("derived/focus10_dev_{style}_style.parquet")));
        assert_eq!(csv.len(), parquet.len());
        for (left, right) in csv.iter().zip(&parquet) {
            assert_eq!(left, right, "{style}");
        }
    }
}

fn charges(path: &Path) -> Vec<String> {
    let mut bill = open(path).unwrap();
    let mut charges = Vec::new();
    while let Some(row) = bill.next_row().unwrap() {
        let Row::Charge(charge) = row else { panic!("{row:?}") };
        let mut tags: Vec<_> = charge.tag_map().into_iter().collect();
        tags.sort_by(|left, right| left.0.cmp(&right.0));
        let amounts = [&charge.billed_cost, &charge.effective_cost, &charge.list_cost, &charge.contracted_cost]
            .map(|cost| cost.as_ref().map(|cost| cost.to_big_decimal().normalized().to_plain_string()));
        let periods = (charge.billing_period_start, charge.charge_period_start, charge.charge_period_end);
        let names = (charge.provider_name, charge.service_name, charge.resource_id, charge.sub_account_id);
        charges.push(format!("{amounts:?} {periods:?} {names:?} {tags:?} {:?}", charge.charge_category));
    }
    charges
}

/// What the files of a native format are called on receipts, by what `data.json` calls it.
const NATIVE: [(&str, &[&str]); 5] = [
    ("AWS CUR", &["AWS CUR CSV", "AWS CUR 2.0 CSV"]),
    ("Azure Cost", &["Azure cost export CSV"]),
    ("Azure CostInBillingCurrency", &["Azure cost export CSV"]),
    ("GCP cost+credits", &["Google Cloud billing CSV"]),
    ("OCI cost report", &["OCI cost report CSV"]),
];

/// Has a header and no lines, and `data.json` no format for it.
const AZURE_WITHOUT_ROWS: &str = "azure_ea_norows.csv";

fn is_native(expected: &Value) -> bool {
    NATIVE.iter().any(|(format, _)| expected["format"] == *format)
}

#[test]
fn every_native_file_gives_its_rows_and_sums() {
    let Some((folder, files)) = data_set() else { return };
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for (format, labels) in NATIVE {
        for (name, expected) in files.iter().filter(|(_, expected)| expected["format"] == format) {
            let found = read(&stored(&folder, name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(labels.contains(&found.format.as_str()), "{name}: {}", found.format);
            assert_eq!(found.rows, expected["rows"].as_u64().unwrap(), "{name}: rows");
            assert!(found.rejected.is_empty(), "{name}: {:?}", &found.rejected[..found.rejected.len().min(3)]);
            assert!(found.missing_mandatory.is_empty(), "{name}: {:?}", found.missing_mandatory);
            let sum = |cost: fn(&Totals) -> &BigDecimal| found.totals.values().map(cost).sum::<BigDecimal>();
            assert_eq!(Some(sum(|totals| &totals.billed)), decimal(&expected["billed"]), "{name}: BilledCost");
            if let Some(effective) = decimal(&expected["effective"]) {
                assert_eq!(sum(|totals| &totals.effective), effective, "{name}: EffectiveCost");
            }
            *counts.entry(format).or_default() += 1;
        }
    }
    assert!(NATIVE.iter().all(|(format, _)| counts.contains_key(format)), "{counts:?}");
    let empty = read(&folder.join(AZURE_WITHOUT_ROWS)).unwrap();
    assert_eq!((empty.format.as_str(), empty.rows), ("Azure cost export CSV", 0));
}

/// The column names of other Azure agreements and languages.
#[test]
fn every_set_of_azure_columns_is_understood() {
    let Some((folder, _)) = data_set() else { return };
    let mut count = 0;
    for file in fs::read_dir(folder.join("refs/azure_headersets")).unwrap() {
        let path = file.unwrap().path();
        let found = read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(found.format, "Azure cost export CSV", "{}", path.display());
        assert!(found.missing_mandatory.is_empty(), "{}: {:?}", path.display(), found.missing_mandatory);
        // One of them has a line without a cost.
        let rejected = if path.ends_with("BOM.csv") { vec![(2, String::new())] } else { Vec::new() };
        assert_eq!(found.rejected, rejected, "{}", path.display());
        count += 1;
    }
    assert!(count >= 6, "only {count} sets of columns");
}

#[test]
fn other_exports_are_refused_with_what_they_look_like() {
    let Some((folder, files)) = data_set() else { return };
    let mut count = 0;
    let others = files.iter().filter(|(_, expected)| expected.get("totals").is_none() && !is_native(expected));
    for (name, _) in others.filter(|(name, _)| *name != AZURE_WITHOUT_ROWS) {
        let path = stored(&folder, name);
        let Some(error) = open(&path).err() else { panic!("{name} was taken for a bill") };
        let (BillError::NotABill { looks_like }
        | BillError::Invoices { looks_like }
        | BillError::ClusterUsage { looks_like }) = &error
        else {
            panic!("{name}: {error}")
        };
        assert!(!looks_like.starts_with("a table"), "{name} was not recognized: {looks_like}");
        if looks_like.ends_with("Invoice Detail dataset") {
            assert!(error.to_string().contains("`costwake invoices import`"), "{error}");
        }
        count += 1;
    }
    assert!(count >= 10, "only {count} other exports were found in data.json");
}

/// I05: a damaged Parquet file is an error or a bill, never the end of the process.
#[test]
fn damaged_parquet_files_never_abort() {
    let Some((folder, _)) = data_set() else { return };
    let workspace = tempfile::tempdir().unwrap();
    let path = workspace.path().join("damaged.parquet");
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for style in ["aws", "azure"] {
        let whole = fs::read(folder.join(format!("derived/focus10_dev_{style}_style.parquet"))).unwrap();
        for part in 0..20 {
            fs::write(&path, &whole[..whole.len() * part / 20]).unwrap();
            assert!(read(&path).is_err(), "{style}: {part}/20 of a file was read as a whole bill");
        }
        for step in 0..150 {
            let mut flipped = whole.clone();
            let at = step * 7919 % flipped.len();
            flipped[at] ^= 1 << (step % 8);
            // The last bytes hold the schema and the places of the pages.
            let tail = flipped.len() - 1 - step * 31 % 6000;
            flipped[tail] ^= 0x5a;
            fs::write(&path, &flipped).unwrap();
            let _ = read(&path);
        }
    }
    std::panic::set_hook(quiet);
}
