//! `costwake export focus`: what is written is a bill again, with the same totals to the last digit.

use crate::support::{self, costwake, said};
use parquet::basic::{LogicalType, TimeUnit};
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

const HEADER: &str = "BilledCost,EffectiveCost,BillingAccountId,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,\
    ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceCategory,ServiceName,ProviderName,Id,x_TaxCost,Tags,\
    ServiceProviderName";

/// Imports a file and gives back its receipt.
fn import(data_dir: &Path, source: &str, file: &Path) -> Value {
    let output = costwake(
        data_dir,
        &["import", "--json", "--counted-elsewhere-too", "--source", source, file.to_str().unwrap()],
    );
    let receipt: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
    assert_eq!(receipt["state"], "published", "{}: {receipt}", file.display());
    receipt
}

/// Exports what a source counts, imports that as another source, and compares the two receipts; gives back the first.
fn assert_comes_back(data_dir: &Path, name: &str, file: &Path, suffixes: &[&str]) -> Value {
    let receipt = import(data_dir, name, file);
    for suffix in suffixes {
        let exported = data_dir.with_file_name(format!("{name}{suffix}"));
        let output = costwake(data_dir, &["export", "focus", exported.to_str().unwrap(), "--source", name]);
        assert!(output.status.success(), "{name}: {}", said(&output));
        let again = import(data_dir, &format!("{name} again as {suffix}"), &exported);
        assert_eq!(sorted(&receipt["totals"]), sorted(&again["totals"]), "{name}{suffix}");
        assert_eq!((&receipt["rows"], again["rejected_rows"].as_i64()), (&again["rows"], Some(0)), "{name}{suffix}");
    }
    receipt
}

// The digits as numbers: an exponent may become zeros.
fn sorted(totals: &Value) -> Vec<String> {
    let plain = |value: &Value| match value.as_str().and_then(|text| text.parse().ok()) {
        Some(number) => bigdecimal::BigDecimal::normalized(&number).to_plain_string(),
        None => value.to_string(),
    };
    let line = |total: &Value| {
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

    // A cost that no row has, though its column is there, and one that some rows have.
    let header = HEADER.replace("EffectiveCost,", "EffectiveCost,ListCost,ContractedCost,");
    let sparse = place.path().join("sparse.csv");
    let rows = row("1.5,1.5,,2", "USD", ",,,") + &row("2.5,2.5,NULL,", "USD", ",,,");
    fs::write(&sparse, format!("{header}\n{rows}").replace("00123", "00124")).unwrap();
    let receipt = assert_comes_back(&data, "sparse", &sparse, &[".csv.gz", ".parquet"]);
    assert_eq!(receipt["totals"][0]["ListCost"], Value::Null);
    assert_eq!(receipt["totals"][0]["ContractedCost"], "2");

    let exported = place.path().join("all.csv");
    let path = exported.to_str().unwrap();
    assert!(costwake(&data, &["export", "focus", path, "--source", "own"]).status.success());
    let text = fs::read_to_string(&exported).unwrap();
    let header = text.lines().next().unwrap();
    assert!(header.ends_with("Tags,x_Id,x_ProviderName,x_TaxCost") && !header.contains("ListCost"), "{header}");
    let providers: Vec<[String; 2]> = csv::Reader::from_reader(text.as_bytes())
        .deserialize::<std::collections::HashMap<String, String>>()
        .map(|row| row.map(|row| ["ProviderName", "x_ProviderName"].map(|name| row[name].clone())).unwrap())
        .collect();
    assert!(providers.contains(&["New", "Acme"].map(str::to_owned)), "both columns of the file: {providers:?}");
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
    assert!(said(&none).contains("--service nobody is not in the catalogue"), "{}", said(&none));
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

/// Native files, one of each format that is at hand: what they became is exported as FOCUS and imported again.
#[test]
fn what_native_files_became_comes_back() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("COSTWAKE_SHARED").map_or(beside, PathBuf::from).join("data/billing");
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let files = [
        ("AWS CUR CSV", "legacy CUR", "aws_cur_legacy_focusconverters.csv.gz"),
        ("AWS CUR 2.0 CSV", "CUR 2.0", "aws_cur2_haproject_2026-04/ha-project-CUR-daily-1-00001.csv"),
        ("Azure cost export CSV", "Azure actual", "azure_ea_actual_small.csv"),
        ("Azure cost export CSV", "Azure amortized", "azure_ea_amortized_small.csv"),
        ("Google Cloud billing CSV", "Google", "gcp_koku_2020-11.csv"),
        ("OCI cost report CSV", "OCI", "oci_cost_report_focusconverters.csv"),
    ];
    let mut count = 0;
    for (format, name, file) in files {
        let path = folder.join(file);
        if !path.exists() {
            support::skipped(&format!("the export of {name}, because there is no {}", path.display()));
            continue;
        }
        let receipt = assert_comes_back(&data, name, &path, &[".csv", ".parquet"]);
        assert_eq!(receipt["format"], format, "{name}");
        count += 1;
    }
    assert!(count == 0 || costwake(&data, &["verify"]).status.success());
}

/// Any condition of the page of lines narrows an export, and what it does not know it says.
#[test]
fn an_export_is_narrowed_by_any_condition() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let bill = place.path().join("bill.csv");
    let row = |cost: &str, month: u32, day: u32, category: &str, account: &str, provider: &str, tag: &str| {
        format!(
            "{cost},{cost},1,USD,2026-{month:02}-01T00:00:00Z,2026-{:02}-01T00:00:00Z,2026-{month:02}-{day:02}T00:00:00Z,\
             2026-{month:02}-{day:02}T01:00:00Z,{category},Compute,Machines,{provider},{account},\
             \"{{\"\"aws:team\"\": \"\"{tag}\"\"}}\"\n",
            month + 1
        )
    };
    let header = "BilledCost,EffectiveCost,BillingAccountId,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,\
        ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceCategory,ServiceName,ProviderName,SubAccountId,Tags";
    let rows = row("1", 8, 3, "Usage", "a1", "Acme", "shop")
        + &row("2", 9, 3, "Usage", "a1", "Acme", "search")
        + &row("4", 9, 4, "Tax", "a2", "Acme", "shop")
        + &row("8", 10, 5, "Usage", "a2", "Other Cloud", "shop");
    fs::write(&bill, format!("{header}\n{rows}")).unwrap();
    import(&data, "own", &bill);

    let mut number = 0;
    let mut export = |conditions: &[&str]| {
        number += 1;
        let file = place.path().join(format!("{number}.csv"));
        let output = costwake(&data, &[&["export", "focus", file.to_str().unwrap()], conditions].concat());
        if !output.status.success() {
            assert!(!file.exists());
            return Err(said(&output));
        }
        let mut table = csv::Reader::from_path(&file).unwrap();
        let at = table.headers().unwrap().iter().position(|name| name == "EffectiveCost").unwrap();
        Ok(table.records().map(|row| row.unwrap()[at].parse::<i64>().unwrap()).sum::<i64>())
    };
    let cases: [(&[&str], i64); 12] = [
        (&[], 15),
        (&["--provider", "acme"], 7),
        (&["--account", "a2"], 12),
        (&["--billing-period", "2026-08..2026-09"], 7),
        (&["--billing-period", "2026-10"], 8),
        (&["--charge-days", "2026-09-03..2026-09-04"], 6),
        (&["--charge-days", "2026-09-04"], 4),
        (&["--category", "tax"], 4),
        (&["--tag", "aws:team=shop", "--provider", "Acme"], 5),
        (&["--currency", "USD", "--account", "a1", "--tag", "aws:team=search"], 2),
        (&["--service-name", "Machines", "--environment", "none", "--source", "own"], 15),
        (&["--dimension", "product=none"], 15),
    ];
    for (conditions, sum) in cases {
        assert_eq!(export(conditions), Ok(sum), "{conditions:?}");
    }
    let refused = [
        (["--provider", "nobody"], "there is no provider nobody: bills are of Acme, Other Cloud"),
        (["--environment", "moon"], "--environment moon is not in the catalogue"),
        (["--category", "free"], "it is one of Usage, Purchase, Tax, Credit, Adjustment"),
        (["--billing-period", "2026-10..2026-08"], "the first is after the last"),
        (["--tag", "team"], "Give a key and a value like team=shop"),
        (["--account", "a3"], "no line that counts now meets these conditions"),
    ];
    for (conditions, words) in refused {
        let told = export(&conditions).unwrap_err();
        assert!(told.contains(words), "{conditions:?}: {told}");
    }
}
