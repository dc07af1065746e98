//! The actual and the amortized export of one Azure bill, as one delivery and as two.

use super::{ANN, assert_clean, figures, request, withdraw_source};
use crate::support;
use bigdecimal::BigDecimal;
use costwake::parquet_table::{Kind, ParquetTable};
use costwake::rollup::control_totals::ControlTotals;
use costwake::rollup::import::{Limits, Stage};
use costwake::rollup::{ImportOptions, accept, import_with, revert};
use costwake::store::receipts::Receipt;
use sqlx::{ConnectOptions, PgPool};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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

/// The same table as Parquet, beside it.
fn as_parquet(path: &Path) -> PathBuf {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let names = reader.headers().unwrap().clone();
    let mut table = ParquetTable::new(Vec::new(), names.iter().map(|name| (name, Kind::Text))).unwrap();
    for row in reader.records() {
        table.write_row(row.unwrap().iter()).unwrap();
    }
    let path = path.with_extension("parquet");
    std::fs::write(&path, table.finish().unwrap()).unwrap();
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
        assert_eq!(total.costs.BilledCost, Some(number("104.923456789012345678")));
        assert_eq!(total.costs.EffectiveCost, Some(number("10.5000000000000000000000000001")));
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
    // Given by itself again, an export takes the place of its own side only.
    let before = counted(&pool, "azure").await;
    let receipt = import(&pool, &[actual]).await;
    assert_eq!((receipt.state.as_str(), receipt.rows), ("published", 4), "{:?}", receipt.reason);
    assert_eq!(receipt.totals[0].costs.EffectiveCost, Some(number("10.5000000000000000000000000001")));
    assert_eq!(counted(&pool, "azure").await, before);
}

static SOURCES_IN: OnceLock<PgPool> = OnceLock::new();

// Once, while a file is read: a source that is older by its number holds the account too.
fn hold_the_account_elsewhere() {
    static IS_HELD: AtomicBool = AtomicBool::new(false);
    if IS_HELD.swap(true, Ordering::Relaxed) {
        return;
    }
    let pool = SOURCES_IN.get().unwrap().clone();
    tokio::runtime::Handle::current().block_on(async move {
        let delivery = "INSERT INTO delivery (delivery_id, source_id, file_name, version_at, version_basis, received_at,
                received_by, state)
            OVERRIDING SYSTEM VALUE
            SELECT 100000, source_id, 'f', now(), 'receipt', now(), 'test', 'published' FROM source WHERE name = 'first'";
        sqlx::query(delivery).execute(&pool).await.unwrap();
        let generation = "INSERT INTO generation (generation_id, delivery_id, source_id, billing_account_id,
                billing_period_start, billing_period_end, state, charge_count, biller_names)
            SELECT 409600000, 100000, source_id, '8611537', '2026-08-01', '2026-09-01', 'superseded', 0, '{}'
            FROM source WHERE name = 'first'";
        sqlx::query(generation).execute(&pool).await.unwrap();
    });
}

/// Where another source turns out to hold the account while an export is read, it is read for that one, and once more
/// is enough.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_export_whose_source_is_another_one_by_now_comes_to_an_end(pool: PgPool) {
    sqlx::query("INSERT INTO source (name, is_named_by_file) VALUES ('first', true)").execute(&pool).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let actual = export(folder.path(), "a.csv", &[MACHINE, BOUGHT, COVERED_FREE]);
    let amortized = export(folder.path(), "b.csv", &[COVERED, MACHINE, UNUSED]);
    let pools = support::pools(&pool);
    let unnamed = request(actual, None, None);
    let receipt = import_with(&pools, unnamed, ImportOptions::default(), |_, _, _| {}).await.unwrap();
    assert_eq!(receipt.state, "published", "{:?}", receipt.reason);
    SOURCES_IN.set(pool.clone()).unwrap();
    let act: fn() = hold_the_account_elsewhere;
    let limits = Limits { dies_at: Some(Stage::Rows(1)), instead_of_dying: Some(act), ..Limits::default() };
    let options = ImportOptions { limits, ..ImportOptions::default() };
    let importing = import_with(&pools, request(amortized, None, None), options, |_, _, _| {});
    let receipt = tokio::time::timeout(Duration::from_secs(60), importing).await.expect("it ends").unwrap();
    assert_eq!(receipt.source.as_deref(), Some("first"));
    // The other source counts the bill: somebody decides.
    assert_eq!(receipt.state, "quarantined", "{:?}", receipt.reason);
}

/// Azure writes its exports as Parquet too.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn exports_in_parquet_are_joined_too(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let actual = export(folder.path(), "a.csv", &[MACHINE, BOUGHT, COVERED_FREE]);
    let amortized = export(folder.path(), "b.csv", &[COVERED, MACHINE, UNUSED]);
    let receipt = import(&pool, &[as_parquet(&actual), as_parquet(&amortized)]).await;
    assert_eq!((receipt.state.as_str(), receipt.rows), ("published", 6), "{:?}", receipt.reason);
    assert_eq!(receipt.format.as_deref(), Some("Azure cost export Parquet"));
    assert_eq!(receipt.totals[0].costs.BilledCost, Some(number("102.523456789012345678")));
    assert_eq!(receipt.totals[0].costs.EffectiveCost, Some(number("5.7000000000000000000000000001")));
    assert_clean(&pool).await;
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
    assert_eq!(receipt.totals[0].costs.BilledCost, Some(number("102.523456789012345678")));
    assert_eq!(receipt.totals[0].costs.EffectiveCost, Some(number("5.5000000000000000000000000001")));
    assert_clean(&pool).await;
}

/// A list price of 0 beside a cost is one that the export does not know. Where no row has another one, nothing is known
/// of the list cost; also where one of the two exports is read out of the ledger.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_list_cost_that_cannot_be_derived_is_null(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, kinds: [&str; 2]| {
        let row = |kind: &str| {
            format!(
                "8611537,10/01/2026,10/31/2026,sub-1,10/04/2026,m1,Virtual Machines,24,2.40,0.2,EUR,/vm/one,a,{kind},\
                 UsageBased,Reservation,0,,0.1\n"
            )
        };
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{HEADER},EffectivePrice\n{}", kinds.map(row).concat())).unwrap();
        path
    };
    let actual = file("actual.csv", ["Purchase", "Purchase"]);
    let amortized = file("amortized.csv", ["Usage", "UnusedReservation"]);
    for files in [vec![actual, amortized.clone()], vec![amortized]] {
        let receipt = import(&pool, &files).await;
        assert_eq!((receipt.state.as_str(), receipt.rejected_rows), ("published", 0), "{:?}", receipt.reason);
        let costs = &receipt.totals[0].costs;
        assert_eq!((&costs.EffectiveCost, &costs.ListCost), (&Some(number("4.80")), &None));
        assert!(costs.ContractedCost.is_some(), "{costs:?}");
        assert_clean(&pool).await;
    }
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
        billed += total.costs.BilledCost.as_ref().unwrap();
        effective += total.costs.EffectiveCost.as_ref().unwrap();
        rows += total.rows;
    }
    assert_eq!(billed, number("8.5450077867419368"));
    assert_eq!(effective, number("16.2969321366366446274854190000"));
    assert_eq!(rows, 29, "ten rows of usage stand in both");
    assert_clean(&pool).await;
}

/// Columns as customer agreements export them: other names, another order, another cost beside the one that is billed.
const MCA_HEADER: &str = "invoiceId,billingAccountId,billingProfileId,costInUsd,exchangeRatePricingToBilling,date,\
    subscriptionId,meterId,meterCategory,quantity,costInBillingCurrency,unitPrice,billingCurrency,resourceId,\
    reservationId,chargeType,frequency,pricingModel,payGPrice,tags,billingPeriodStartDate,billingPeriodEndDate";

fn mca_export(folder: &Path, name: &str, lines: &[Line<'_>]) -> PathBuf {
    let row = |[meter, quantity, cost, price, resource, reservation, kind, model]: &Line<'_>| {
        format!(
            "I1,8611537,P1,{cost}1,1.25,2026-10-04,sub-1,{meter},Virtual Machines,{quantity},{cost},{price},EUR,\
             {resource},{reservation},{kind},UsageBased,{model},0.12,\"\"\"team\"\": \"\"shop\"\",\"\"A\"\": \"\"1e5\"\"\",\
             2026-10-01,2026-10-31\n"
        )
    };
    let path = folder.join(name);
    std::fs::write(&path, format!("{MCA_HEADER}\n{}", lines.iter().map(row).collect::<String>())).unwrap();
    path
}

const ACTUAL: [Line<'_>; 4] = [MACHINE, MACHINE, BOUGHT, COVERED_FREE];
const AMORTIZED: [Line<'_>; 5] = [COVERED, MACHINE, UNUSED, MACHINE, MACHINE];

/// A delivery of its own, of a day of November.
async fn deliver(pool: &PgPool, source: &str, file: &Path, day: u32) -> Receipt {
    let at = super::time(&format!("2026-11-{day:02}T00:00:00Z"));
    let request = request(file.to_owned(), Some(source), Some(at));
    import_with(&support::pools(pool), request, ImportOptions::default(), |_, _, _| {}).await.unwrap()
}

/// Lines that count, BilledCost, EffectiveCost, and ConsumedQuantity by line of the ledger.
async fn counted(pool: &PgPool, source: &str) -> (i64, BigDecimal, BigDecimal, BigDecimal) {
    sqlx::query_as(
        "SELECT count(*), coalesce(sum(c.billed_cost), 0), coalesce(sum(c.effective_cost), 0),
             coalesce(sum(c.consumed_quantity), 0)
         FROM charge c JOIN generation g USING (generation_id) JOIN source s USING (source_id)
         WHERE g.state = 'current' AND s.name = $1",
    )
    .bind(source)
    .fetch_one(pool)
    .await
    .unwrap()
}

fn both() -> (i64, BigDecimal, BigDecimal, BigDecimal) {
    // Three machines, the covered one, what was bought and what was not used: nothing stands twice.
    (6, number("104.923456789012345678"), number("10.5000000000000000000000000001"), number("98"))
}

/// The lines of the other export are set aside in the data directory, wherever the system has its temporary files.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn lines_are_set_aside_in_the_data_directory(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for path in [export(folder.path(), "one.csv", &ACTUAL), export(folder.path(), "two.csv", &AMORTIZED)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
        command.args(["import", "--source", "azure"]).arg(&path);
        command.env("DATABASE_URL", pool.connect_options().to_url_lossy().to_string());
        let output = command.env("COSTWAKE_DATA_DIR", &data).env("TMPDIR", "/nowhere").output().unwrap();
        assert!(output.status.success(), "{}", support::said(&output));
    }
    assert_eq!(counted(&pool, "azure").await, both());
    let temporary = data.join("tmp");
    assert_eq!(std::fs::metadata(&temporary).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "nothing stays");
    assert_clean(&pool).await;
}

/// Two exports that come one after the other are one bill, in either order, for both kinds of agreement: the figures
/// are those of one delivery of both.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn two_deliveries_of_one_source_are_joined_in_either_order(pool: PgPool) {
    type Export = fn(&Path, &str, &[Line<'_>]) -> PathBuf;
    for (agreement, export) in [("EA", export as Export), ("MCA", mca_export as Export)] {
        let folder = tempfile::tempdir().unwrap();
        let actual = export(folder.path(), "one.csv", &ACTUAL);
        let amortized = export(folder.path(), "two.csv", &AMORTIZED);
        let alone_actual = (4, number("104.923456789012345678"), number("104.923456789012345678"), number("73"));
        let alone_amortized =
            (5, number("10.5000000000000000000000000001"), number("10.5000000000000000000000000001"), number("97"));
        for (first, second, alone) in [(&actual, &amortized, alone_actual), (&amortized, &actual, alone_amortized)] {
            let source = format!("{agreement} {} first", first.file_stem().unwrap().display());
            let receipt = deliver(&pool, &source, first, 3).await;
            assert_eq!(receipt.state, "published", "{agreement}: {:?}", receipt.reason);
            assert_eq!(counted(&pool, &source).await, alone, "{agreement}: one alone has one cost");
            // The second is older by its version: that is no matter between two sides of a bill.
            let receipt = deliver(&pool, &source, second, 2).await;
            assert_eq!(receipt.state, "published", "{agreement}: {:?}", receipt.reason);
            assert_eq!(counted(&pool, &source).await, both(), "{agreement}: {:?}", receipt.warnings);
            let told = receipt.warnings.iter().find(|warning| warning.contains("stand in both"));
            assert!(told.is_some_and(|told| told.contains("3 rows stand in both")), "{:?}", receipt.warnings);
            assert_eq!(receipt.rows, if second == &actual { 4 } else { 5 }, "the rows of the file itself");
            let total = &receipt.totals[0];
            assert_eq!(
                (total.costs.BilledCost.clone(), total.costs.EffectiveCost.clone()),
                (Some(both().1), Some(both().2))
            );
            let whole = figures(&pool, &source).await;
            assert_clean(&pool).await;
            // The same bytes of either change nothing.
            for file in [first, second] {
                let again = deliver(&pool, &source, file, 4).await;
                assert_eq!(again.state, "unchanged", "{agreement}: {:?}", again.reason);
                assert_eq!(figures(&pool, &source).await, whole);
            }
            withdraw_source(&pool, &source).await;
            assert_clean(&pool).await;
        }
    }
}

/// What the sender of one export announces is held against that export, not against what joining makes of it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn announced_totals_are_those_of_the_export_itself(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let actual = export(folder.path(), "one.csv", &ACTUAL);
    let amortized = export(folder.path(), "two.csv", &AMORTIZED);
    let (_, billed, effective, _) = both();
    let pools = support::pools(&pool);
    let announced = async |source: &str, file: &Path, rows: i64, cost: &BigDecimal| {
        let billed_cost = [("EUR".to_owned(), cost.to_plain_string())].into();
        let control = ControlTotals { rows: Some(rows), billed_cost };
        let options = ImportOptions { control, ..ImportOptions::default() };
        let request = request(file.to_owned(), Some(source), None);
        import_with(&pools, request, options, |_, _, _| {}).await.unwrap()
    };
    let sides = [(actual.as_path(), 4, &billed), (amortized.as_path(), 5, &effective)];
    for (source, order) in [("azure one", [0, 1]), ("azure two", [1, 0])] {
        for side in order {
            let (file, rows, own) = sides[side];
            let receipt = announced(source, file, rows, own).await;
            assert_eq!(receipt.state, "published", "{source}: {:?}", receipt.reason);
        }
        assert_eq!(counted(&pool, source).await, both());
        if source == "azure one" {
            withdraw_source(&pool, source).await;
        }
    }
    // The same bytes again: announced as they are nothing changes, otherwise it is no success.
    for side in [0, 1] {
        let (file, rows, own) = sides[side];
        let same = announced("azure two", file, rows, own).await;
        assert_eq!(same.state, "unchanged", "{:?}", same.reason);
        let otherwise = announced("azure two", file, rows, sides[1 - side].2).await;
        let reason = otherwise.reason.unwrap_or_default();
        assert_eq!(otherwise.state, "refused", "{reason}");
        assert!(reason.contains("are counted already") && reason.contains("was announced, and the files"), "{reason}");
    }
    assert_eq!(counted(&pool, "azure two").await, both());
    let restated = export(folder.path(), "three.csv", &[COVERED, MACHINE, UNUSED]);
    let wrong = announced("azure two", restated.as_path(), 3, &billed).await;
    assert_eq!(wrong.state, "quarantined");
    let words = "the files hold 5.7000000000000000000000000001";
    assert!(wrong.reason.as_deref().is_some_and(|reason| reason.contains(words)), "{:?}", wrong.reason);
    assert_clean(&pool).await;
}

/// A newer export takes the place of its own side only, an older one is refused, and taking the newer one back leaves
/// what counted before.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn each_side_is_restated_by_itself(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let pools = support::pools(&pool);
    let now = super::time("2026-11-21T10:00:00Z");
    let file = |name: &str, lines: &[Line<'_>]| mca_export(folder.path(), name, lines);
    let later = ["m9", "2", "7.5", "3.75", "/vm/nine", "", "Usage", "OnDemand"];
    deliver(&pool, "azure", &file("a1.csv", &ACTUAL), 2).await;
    let joined = deliver(&pool, "azure", &file("m1.csv", &AMORTIZED), 5).await;
    assert_eq!(counted(&pool, "azure").await, both());

    // A newer actual export: one row more, and the third machine has arrived.
    let newer = file("a2.csv", &[MACHINE, MACHINE, MACHINE, BOUGHT, COVERED_FREE, later]);
    let restated = deliver(&pool, "azure", &newer, 4).await;
    assert_eq!(restated.state, "published", "{:?}", restated.reason);
    let expected = (7, number("114.823456789012345678"), both().2, number("100"));
    assert_eq!(counted(&pool, "azure").await, expected, "{:?}", restated.warnings);
    let marks: Vec<(String, i64)> = sqlx::query_as(
        "SELECT measures::json ->> 'x_CostsFrom', count(*) FROM charge JOIN generation g USING (generation_id)
         WHERE g.state = 'current' GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let marks: Vec<(&str, i64)> = marks.iter().map(|(mark, count)| (mark.as_str(), *count)).collect();
    assert_eq!(marks, [("actual export", 2), ("amortized export", 1), ("both exports", 4)]);
    // And a newer amortized one beside it.
    let amortized = deliver(&pool, "azure", &file("m2.csv", &[COVERED, MACHINE, MACHINE, MACHINE, later]), 6).await;
    let of_both = (6, number("114.823456789012345678"), number("17.8000000000000000000000000001"), number("99"));
    assert_eq!(counted(&pool, "azure").await, of_both, "{:?}", amortized.warnings);

    let old = deliver(&pool, "azure", &file("a0.csv", &[MACHINE, BOUGHT]), 3).await;
    assert_eq!(old.state, "refused", "an older actual export");
    assert!(old.reason.unwrap().contains(&format!("delivery {} of 2026-11-04", restated.delivery_id)));
    let old = deliver(&pool, "azure", &file("m0.csv", &[MACHINE, UNUSED]), 5).await;
    assert_eq!(old.state, "refused", "an older amortized export");
    assert_eq!(counted(&pool, "azure").await, of_both);

    revert(&pools, amortized.delivery_id, ANN, now).await.unwrap();
    assert_eq!(counted(&pool, "azure").await, expected);
    accept(&pools, amortized.delivery_id, ANN, now).await.unwrap();
    assert_eq!(counted(&pool, "azure").await, of_both);
    assert_ne!(joined.delivery_id, amortized.delivery_id);
    assert_clean(&pool).await;
}

/// Two exports at once find each other, and a file of two months is joined where the other export has that month.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn exports_at_once_are_joined_and_other_months_stay_as_they_are(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let actual = export(folder.path(), "one.csv", &ACTUAL);
    let amortized = export(folder.path(), "two.csv", &AMORTIZED);
    for round in 0..4 {
        let source = format!("at once {round}");
        let (one, other) = tokio::join!(deliver(&pool, &source, &actual, 2), deliver(&pool, &source, &amortized, 2));
        for receipt in [one, other] {
            assert!(matches!(receipt.state.as_str(), "published" | "superseded"), "{round}: {:?}", receipt.reason);
        }
        assert_eq!(counted(&pool, &source).await, both(), "{round}");
        withdraw_source(&pool, &source).await;
    }
    // September stands in the actual export only.
    let text = std::fs::read_to_string(&actual).unwrap();
    let september = text.lines().skip(1).map(|line| line.replace("10/", "09/").replace("09/31/", "09/30/") + "\n");
    let of_two = folder.path().join("of two months.csv");
    std::fs::write(&of_two, text.clone() + &september.collect::<String>()).unwrap();
    deliver(&pool, "months", &amortized, 2).await;
    let receipt = deliver(&pool, "months", &of_two, 3).await;
    assert_eq!((receipt.state.as_str(), receipt.rows), ("published", 8), "{:?}", receipt.reason);
    let (lines, billed, effective, _) = counted(&pool, "months").await;
    assert_eq!(lines, 6 + 4);
    assert_eq!(billed, both().1.clone() + &both().1);
    assert_eq!(effective, both().2 + both().1, "September has one cost, October both");
    assert_clean(&pool).await;
}

/// The published samples of one enrolment, as two deliveries in either order.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_published_samples_are_joined_as_two_deliveries(pool: PgPool) {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("COSTWAKE_SHARED").map_or(beside, PathBuf::from).join("data/billing");
    let files = ["azure_ea_actual_small.csv", "azure_ea_amortized_small.csv"].map(|name| folder.join(name));
    if !files[0].exists() {
        support::skipped(&format!("no conformance files in {}", folder.display()));
        return;
    }
    for (number_of, order) in [[0, 1], [1, 0]].into_iter().enumerate() {
        let source = format!("samples {number_of}");
        for place in order {
            let receipt = deliver(&pool, &source, &files[place], 2).await;
            assert_eq!(receipt.state, "published", "{:?}", receipt.reason);
        }
        let (lines, billed, effective, _) = counted(&pool, &source).await;
        assert_eq!(billed, number("8.5450077867419368"));
        assert_eq!(effective, number("16.2969321366366446274854190000"));
        assert_eq!(lines, 29, "ten rows of usage stand in both");
        withdraw_source(&pool, &source).await;
    }
    assert_clean(&pool).await;
}
