//! Every bill of the data set through the whole import: state, totals, rejected rows.

use super::{assert_clean, request, withdraw_source};
use crate::support;
use bigdecimal::BigDecimal;
use costwake::rollup::{ImportOptions, import_with};
use serde_json::Value;
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn data_set() -> Option<(PathBuf, serde_json::Map<String, Value>)> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("COSTWAKE_SHARED").map_or(beside, PathBuf::from).join("data/billing");
    let Ok(text) = std::fs::read_to_string(folder.join("data.json")) else {
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

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_native_file_is_published_with_its_sums(pool: PgPool) {
    let Some((folder, entries)) = data_set() else { return };
    let mut count = 0;
    for (name, entry) in &entries {
        let format = entry["format"].as_str().unwrap_or_default();
        if !["AWS", "Azure", "GCP", "OCI"].iter().any(|provider| format.starts_with(provider)) {
            continue;
        }
        let request = request(stored(&folder, name), Some(&name.replace('/', " ")), None);
        // Several are the same bill in another form.
        let options = ImportOptions { is_counted_elsewhere_too: true, ..ImportOptions::default() };
        let receipt = import_with(&support::pools(&pool), request, options, |_, _, _| {}).await.unwrap();
        assert_eq!((receipt.state.as_str(), receipt.rejected_rows), ("published", 0), "{name}: {:?}", receipt.reason);
        assert_eq!(receipt.rows, entry["rows"].as_i64().unwrap(), "{name}");
        let json: Value = serde_json::from_str(&serde_json::to_string(&receipt).unwrap()).unwrap();
        let sum = |column: &str| json["totals"].as_array().unwrap().iter().map(|total| decimal(&total[column])).sum();
        let (billed, effective): (BigDecimal, BigDecimal) = (sum("BilledCost"), sum("EffectiveCost"));
        assert_eq!(billed, decimal(&entry["billed"]), "{name}");
        if !entry["effective"].is_null() {
            assert_eq!(effective, decimal(&entry["effective"]), "{name}");
        }
        count += 1;
    }
    assert!(count >= 10, "only {count} files");
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_focus_file_ends_in_its_state_with_its_totals(pool: PgPool) {
    let Some((folder, entries)) = data_set() else { return };
    let mut count = 0;
    for (name, entry) in &entries {
        let Some(state) = entry["state"].as_str() else { continue };
        let request = request(stored(&folder, name), Some(&name.replace('/', " ")), None);
        let receipt =
            import_with(&support::pools(&pool), request, ImportOptions::default(), |_, _, _| {}).await.unwrap();
        assert_eq!(receipt.state, state, "{name}: {:?}", receipt.reason);
        assert_eq!(receipt.rejected_rows, entry["rejected_rows"].as_i64().unwrap(), "{name}");
        assert_eq!(receipt.rows, entry["rows"].as_i64().unwrap(), "{name}");
        let json: Value = serde_json::from_str(&serde_json::to_string(&receipt).unwrap()).unwrap();
        // The data set gives one total a currency, the receipt one a billing period and currency.
        let mut totals: BTreeMap<Option<String>, (i64, BigDecimal, BigDecimal)> = BTreeMap::new();
        for total in json["totals"].as_array().unwrap() {
            let sum = totals.entry(total["billing_currency"].as_str().map(str::to_owned)).or_default();
            sum.0 += total["rows"].as_i64().unwrap();
            sum.1 += decimal(&total["BilledCost"]);
            sum.2 += decimal(&total["EffectiveCost"]);
        }
        for total in entry["totals"].as_array().unwrap() {
            let currency = total["billing_currency"].as_str().map(str::to_owned);
            let sum = totals.remove(&currency).unwrap_or_else(|| panic!("{name}: no total in {currency:?}"));
            let expected =
                (total["rows"].as_i64().unwrap(), decimal(&total["BilledCost"]), decimal(&total["EffectiveCost"]));
            assert_eq!(sum, expected, "{name} {currency:?}");
        }
        assert!(totals.is_empty(), "{name}: {totals:?}");
        // Given over all rows, so they compare where none was rejected; null where no row has the cost.
        for (column, key) in [("ListCost", "list"), ("ContractedCost", "contracted")] {
            if receipt.rejected_rows > 0 || entry.get(key).is_none() {
                continue;
            }
            let told = receipt.totals.iter().filter_map(|total| match column {
                "ListCost" => total.costs.ListCost.clone(),
                _ => total.costs.ContractedCost.clone(),
            });
            let expected = entry[key].as_str().map(|text| text.parse::<BigDecimal>().unwrap());
            assert_eq!(told.reduce(|left, right| left + right), expected, "{name} {column}");
        }
        count += 1;
        assert_clean(&pool).await;
        // Some are samples of the same bill, which two sources must not count.
        withdraw_source(&pool, &name.replace('/', " ")).await;
    }
    assert!(count >= 15, "only {count} files");
    assert_clean(&pool).await;
}

fn decimal(value: &Value) -> BigDecimal {
    value.as_str().unwrap().parse().unwrap()
}
