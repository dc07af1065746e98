//! The actual and the amortized export of one Azure bill as one delivery.

use super::{assert_clean, request};
use crate::support;
use bigdecimal::BigDecimal;
use costwake::rollup::{ImportOptions, import_with};
use costwake::store::receipts::Receipt;
use sqlx::PgPool;
use std::path::{Path, PathBuf};

const HEADER: &str = "BillingAccountId,BillingPeriodStartDate,BillingPeriodEndDate,SubscriptionId,Date,MeterId,\
    MeterCategory,Quantity,Cost,UnitPrice,BillingCurrency,ResourceId,ReservationId,ChargeType,Frequency,PricingModel,\
    PayGPrice,Tags";

/// Meter, quantity, cost, unit price, resource, reservation, type, model.
type Line<'a> = [&'a str; 8];

const MACHINE: Line<'_> = ["m1", "24", "2.40", "0.1", "/vm/one", "", "Usage", "OnDemand"];
const BOUGHT: Line<'_> =
    ["r1", "1", "100.123456789012345678", "100", "/reservations/a", "a", "Purchase", "Reservation"];
const COVERED_FREE: Line<'_> = ["m2", "24", "0", "0", "/vm/two", "a", "Usage", "Reservation"];
const COVERED: Line<'_> =
    ["m2", "24.0", "3.1000000000000000000000000001", "0.129", "/vm/two", "a", "Usage", "Reservation"];
const UNUSED: Line<'_> = ["m2", "1", "0.2", "0.2", "", "a", "UnusedReservation", "Reservation"];

fn export(folder: &Path, name: &str, lines: &[Line<'_>]) -> PathBuf {
    let row = |[meter, quantity, cost, price, resource, reservation, kind, model]: &Line<'_>| {
        format!(
            "8611537,10/01/2026,10/31/2026,sub-1,10/04/2026,{meter},Virtual Machines,{quantity},{cost},{price},EUR,\
             {resource},{reservation},{kind},UsageBased,{model},0.12,\"\"\"team\"\": \"\"shop\"\"\"\n"
        )
    };
    let path = folder.join(name);
    std::fs::write(&path, format!("{HEADER}\n{}", lines.iter().map(row).collect::<String>())).unwrap();
    path
}

async fn import(pool: &PgPool, files: &[PathBuf]) -> Receipt {
    let request = request(files[0].clone(), Some("azure"), None);
    let options = ImportOptions { more_parts: files[1..].to_vec(), ..ImportOptions::default() };
    import_with(&support::pools(pool), request, options, |_, _, _| {}).await.unwrap()
}

fn number(text: &str) -> BigDecimal {
    text.parse().unwrap()
}

/// Each sum is that of its own export, in whatever order the files come; rows that stand in both count once.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn actual_and_amortized_are_joined(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    // Two machines that cost the same, and one of them only in the amortized export: it was written later.
    let actual = export(folder.path(), "a.csv", &[MACHINE, MACHINE, BOUGHT, COVERED_FREE]);
    let amortized = export(folder.path(), "b.csv", &[COVERED, MACHINE, UNUSED, MACHINE, MACHINE]);
    for (files, rows) in [([actual.clone(), amortized.clone()], 9), ([amortized.clone(), actual.clone()], 9)] {
        let receipt = import(&pool, &files).await;
        assert_eq!((receipt.state.as_str(), receipt.rows), ("published", rows), "{:?}", receipt.reason);
        let total = &receipt.totals[0];
        assert_eq!(total.BilledCost, Some(number("104.923456789012345678")));
        assert_eq!(total.EffectiveCost, Some(number("10.5000000000000000000000000001")));
        assert_eq!(total.rows, 6, "two machines and the covered one are one charge each");
        let told = receipt.warnings.iter().find(|warning| warning.contains("stand in both")).unwrap();
        assert!(told.contains("3 rows stand in both") && told.contains("1 stand in the actual export only"), "{told}");
        assert!(told.contains("2 in the amortized one only"), "{told}");
        assert!(!receipt.warnings.iter().any(|warning| warning.contains("both that")), "{:?}", receipt.warnings);
        assert_clean(&pool).await;
    }
    let zero_billed = "SELECT count(*) FROM charge JOIN generation USING (generation_id)
        WHERE state = 'current' AND billed_cost = 0 AND effective_cost > 0";
    assert_eq!(support::count(&pool, zero_billed).await, 3, "the covered machine, the unused part, the third machine");
    // Given by itself again, one export has one cost.
    let receipt = import(&pool, &[actual]).await;
    assert_eq!(receipt.totals[0].BilledCost, receipt.totals[0].EffectiveCost);
}

/// A file that could be either is asked about: counted as a third one, its usage would count twice.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_part_that_may_be_either_is_refused_until_it_is_named(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let actual = export(folder.path(), "part_0.csv", &[BOUGHT]);
    let unclear = export(folder.path(), "part_1.csv", &[MACHINE]);
    let amortized = export(folder.path(), "part_2.csv", &[COVERED, MACHINE]);
    let receipt = import(&pool, &[actual.clone(), unclear.clone(), amortized.clone()]).await;
    assert_eq!(receipt.state, "refused");
    let reason = receipt.reason.unwrap();
    assert!(reason.contains("part_1.csv may be either"), "{reason}");
    let named = folder.path().join("part_1_actual.csv");
    std::fs::rename(unclear, &named).unwrap();
    let receipt = import(&pool, &[actual, named, amortized]).await;
    assert_eq!((receipt.state.as_str(), receipt.totals[0].rows), ("published", 3), "{:?}", receipt.reason);
    assert_eq!(receipt.totals[0].BilledCost, Some(number("102.523456789012345678")));
    assert_eq!(receipt.totals[0].EffectiveCost, Some(number("5.5000000000000000000000000001")));
    assert_clean(&pool).await;
}

/// The published samples of one enrolment, which are of different days for the greater part.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_published_samples_keep_both_sums(pool: PgPool) {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("COSTWAKE_SHARED").map_or(beside, PathBuf::from).join("data/billing");
    let files = ["azure_ea_actual_small.csv", "azure_ea_amortized_small.csv"].map(|name| folder.join(name));
    if !files[0].exists() {
        support::skipped(&format!("no conformance files in {}", folder.display()));
        return;
    }
    let receipt = import(&pool, &files).await;
    assert_eq!((receipt.state.as_str(), receipt.rows), ("published", 39), "{:?}", receipt.reason);
    let (mut billed, mut effective, mut rows) = (BigDecimal::from(0), BigDecimal::from(0), 0);
    for total in &receipt.totals {
        billed += total.BilledCost.as_ref().unwrap();
        effective += total.EffectiveCost.as_ref().unwrap();
        rows += total.rows;
    }
    assert_eq!(billed, number("8.5450077867419368"));
    assert_eq!(effective, number("16.2969321366366446274854190000"));
    assert_eq!(rows, 29, "ten rows of usage stand in both");
    assert_clean(&pool).await;
}
