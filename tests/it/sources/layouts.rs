//! How deliveries lie at a place: the newest whole manifest counts, and nothing else of its period.

use super::{Home, assert_counts, delivery, october, real_bills};
use crate::ledger::{assert_clean, bill};
use costwake::sources::kind::Layout;
use costwake::store::source_finds;
use flate2::Compression;
use flate2::write::GzEncoder;
use sqlx::PgPool;
use std::io::Write;

fn export_manifest(execution: &str, files: &[&str]) -> String {
    let files: Vec<String> = files.iter().map(|file| format!("s3://bucket/{file}")).collect();
    serde_json::json!({ "executionId": execution, "exportArn": "arn:x", "columns": [], "dataFiles": files }).to_string()
}

/// A version of the export in a folder of its own.
fn put_version(home: &Home, time: &str, execution: &str, parts: &[&str], is_whole: bool) {
    let folder = format!("BILLING_PERIOD=2026-10/{time}-{execution}");
    let names: Vec<String> = (1..=parts.len()).map(|number| format!("p/x/data/{folder}/x-{number:05}.csv")).collect();
    for (name, part) in names.iter().zip(parts).skip(usize::from(!is_whole)) {
        home.put(name, part);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    home.put(&format!("p/x/metadata/{folder}/x-Manifest.json"), export_manifest(execution, &names));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn of_versions_side_by_side_only_the_newest_whole_one_counts(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "aws", Layout::AwsDataExport).await;
    put_version(&home, "2026-10-05T01:00:00.000Z", "e1", &[&october("1.5")], true);
    put_version(&home, "2026-10-06T01:00:00.000Z", "e2", &[&october("2.25"), &october("3")], true);
    put_version(&home, "2026-10-07T01:00:00.000Z", "e3", &[&october("4"), &october("5")], false);

    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("partial", 1), "{read:?}");
    assert_counts(&pool, "aws", 2, "5.25").await;
    let wanting = source_finds::wanting(&pool, source_id).await.unwrap();
    assert_eq!((wanting.len(), wanting[0].identity.as_str(), wanting[0].state.as_str()), (1, "e3", "partial"));
    let message = wanting[0].message.clone().unwrap();
    assert!(message.starts_with("1 of 2 files are missing: p/x/data/BILLING_PERIOD=2026-10/"), "{message}");
    let (basis, at): (String, String) =
        sqlx::query_as("SELECT version_basis, version_at::text FROM delivery").fetch_one(&pool).await.unwrap();
    assert_eq!((basis.as_str(), at.as_str()), ("manifest", "2026-10-06 01:00:00+00"));

    let again = home.read(&pool, source_id).await;
    assert_eq!((again.result.as_str(), again.delivery_ids.len()), ("partial", 0), "nothing is read twice");

    put_version(&home, "2026-10-07T01:00:00.000Z", "e3", &[&october("4"), &october("5")], true);
    assert_eq!(home.read(&pool, source_id).await.result, "new");
    assert_counts(&pool, "aws", 2, "9").await;
    assert!(source_finds::wanting(&pool, source_id).await.unwrap().is_empty());

    // An older version that arrives late changes nothing.
    put_version(&home, "2026-10-06T12:00:00.000Z", "e2b", &[&october("100")], true);
    assert_eq!(home.read(&pool, source_id).await.result, "nothing-new");
    assert_counts(&pool, "aws", 2, "9").await;
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_overwritten_is_read_when_its_manifest_is_new(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "aws", Layout::AwsDataExport).await;
    let (data, manifest) =
        ("x/data/BILLING_PERIOD=2026-10/x-00001.csv", "x/metadata/BILLING_PERIOD=2026-10/x-Manifest.json");
    home.put(data, october("1.5"));
    home.put(manifest, export_manifest("e1", &[data]));
    assert_eq!(home.read(&pool, source_id).await.result, "new");
    assert_counts(&pool, "aws", 1, "1.5").await;

    // The file is new and the manifest not yet: half of an overwriting that is under way.
    home.age(manifest, 10);
    home.put(data, october("7"));
    let read = home.read(&pool, source_id).await;
    assert_eq!(read.result, "partial", "{read:?}");
    let message = source_finds::wanting(&pool, source_id).await.unwrap()[0].message.clone().unwrap();
    assert!(message.contains("being rewritten"), "{message}");
    assert_counts(&pool, "aws", 1, "1.5").await;

    home.put(manifest, export_manifest("e2", &[data]));
    assert_eq!(home.read(&pool, source_id).await.result, "new");
    assert_counts(&pool, "aws", 1, "7").await;
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_legacy_report_is_read_as_its_manifest_says(pool: PgPool) {
    let Some(bills) = real_bills() else { return };
    let home = Home::new();
    let period = "koku-local/20180801-20180901";
    let assembly = format!("{period}/16e57707-f9e3-49be-8be6-b84e684b5194");
    for key in [
        format!("{assembly}/koku-local-1.csv.gz"),
        format!("{assembly}/koku-local-Manifest.json"),
        format!("{period}/koku-local-Manifest.json"),
    ] {
        home.put(&key, std::fs::read(bills.join("aws_cur_legacy_koku_2018-08").join(&key)).unwrap());
    }
    let source_id = home.add_folder(&pool, "cur", Layout::AwsCur).await;
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("new", 1), "{read:?}");
    assert_counts(&pool, "cur", 13_380, "143227.763678187615017991050").await;
    // Both manifests say the same; neither is read again.
    let again = home.read(&pool, source_id).await;
    assert_eq!((again.result.as_str(), again.delivery_ids.len()), ("nothing-new", 0), "{again:?}");
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_real_data_export_is_found_by_its_manifest(pool: PgPool) {
    let Some(bills) = real_bills() else { return };
    let home = Home::new();
    let folder = bills.join("aws_cur2_haproject_2026-04");
    let manifest = std::fs::read(folder.join("ha-project-CUR-daily-1-Manifest.json")).unwrap();
    let version = "2026-04-16T15:24:15.653Z-04e9e487-79a7-42b1-a680-1de7c660dc8f";
    let period = format!("BILLING_PERIOD=2026-04/{version}");
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&std::fs::read(folder.join("ha-project-CUR-daily-1-00001.csv")).unwrap()).unwrap();
    // The manifest names s3://ha-s3-bucket-1/CUR-daily-1.0/…: here the tree lies without its first folder.
    home.put(
        &format!("ha-project-CUR-daily-1/data/{period}/ha-project-CUR-daily-1-00001.csv.gz"),
        packed.finish().unwrap(),
    );
    home.put(&format!("ha-project-CUR-daily-1/metadata/{period}/ha-project-CUR-daily-1-Manifest.json"), manifest);
    let source_id = home.add_folder(&pool, "cur2", Layout::AwsDataExport).await;
    let read = home.read(&pool, source_id).await;
    assert_eq!(read.result, "new", "{read:?}");
    assert_counts(&pool, "cur2", 1882, "-0.00000006760").await;
    assert_clean(&pool).await;
}

fn azure_manifest(run: &str, time: &str, blobs: &[(&str, usize, i64)]) -> String {
    let blobs: Vec<_> = blobs
        .iter()
        .map(|(name, bytes, rows)| serde_json::json!({ "blobName": name, "byteCount": bytes, "dataRowCount": rows }))
        .collect();
    let run = serde_json::json!({ "runId": run, "submittedTime": time, "startDate": "2026-10-01T00:00:00" });
    serde_json::json!({ "blobCount": blobs.len(), "runInfo": run, "blobs": blobs }).to_string()
}

/// N19: where the rows are others than the manifest says the delivery waits, and the old figures stay. A file that the
/// manifest does not name is no part of it, and while one that it names is missing nothing is read.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn parts_are_one_delivery_and_tie_to_the_rows_of_the_manifest(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "azure", Layout::AzureExport).await;
    let run = |run: &str| format!("exports/focus/20261001-20261031/202611010115/{run}");
    let put = |name: &str, time: &str, texts: [String; 2], rows: [i64; 2]| {
        let keys = [0, 1].map(|number| format!("{}/part_{number}_0001.csv", run(name)));
        let blobs: Vec<_> = (0..2).map(|place| (keys[place].as_str(), texts[place].len(), rows[place])).collect();
        home.put(&format!("{}/manifest.json", run(name)), azure_manifest(name, time, &blobs));
        for (key, text) in keys.iter().zip(&texts) {
            home.put(key, text);
            home.age(key, 1);
        }
    };
    let header_only = bill(&[]);
    put("r1", "2026-11-01T01:15:00.1234567Z", [october("1.5"), header_only.clone()], [1, 0]);
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("new", 1), "{read:?}");
    assert_counts(&pool, "azure", 1, "1.5").await;

    put("r2", "2026-11-02T01:15:00Z", [october("2"), october("3")], [1, 3]);
    let read = home.read(&pool, source_id).await;
    let (state, reason) = delivery(&pool, read.delivery_ids[0]).await;
    assert_eq!(state, "quarantined");
    assert!(reason.starts_with("The manifest says 4 rows, and the files hold 2."), "{reason}");
    assert!(read.remedy.unwrap().contains("receipts"));
    assert_counts(&pool, "azure", 1, "1.5").await;

    put("r3", "2026-11-03T01:15:00Z", [october("2"), october("3")], [1, 1]);
    home.put(&format!("{}/part_9_0001.csv", run("r3")), october("1000"));
    assert_eq!(home.read(&pool, source_id).await.result, "new");
    assert_counts(&pool, "azure", 2, "5").await;

    put("r4", "2026-11-04T01:15:00Z", [october("20"), october("30")], [1, 1]);
    std::fs::remove_file(home.bills().join(format!("{}/part_1_0001.csv", run("r4")))).unwrap();
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("partial", 0), "{read:?}");
    assert_counts(&pool, "azure", 2, "5").await;
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_unreadable_manifest_is_seen_and_keeps_nothing_back(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "aws", Layout::AwsDataExport).await;
    put_version(&home, "2026-10-05T01:00:00.000Z", "e1", &[&october("1.5")], true);
    let key = "p/x/metadata/BILLING_PERIOD=2026-10/2026-10-09T01:00:00.000Z-e9/x-Manifest.json";
    home.put(key, "<html>not found</html>");
    let read = home.read(&pool, source_id).await;
    assert_eq!(read.result, "partial", "{read:?}");
    let wanting = source_finds::wanting(&pool, source_id).await.unwrap();
    assert!(wanting[0].state == "unreadable" && wanting[0].message.as_ref().unwrap().contains("line 1"), "{wanting:?}");
    assert_counts(&pool, "aws", 1, "1.5").await;
    std::fs::remove_file(home.bills().join(key)).unwrap();
    assert_eq!(home.read(&pool, source_id).await.result, "nothing-new");
    assert!(source_finds::wanting(&pool, source_id).await.unwrap().is_empty(), "what is gone wants nothing");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_empty_place_says_what_it_lacks(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "cur", Layout::AwsCur).await;
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.message.as_deref()), ("nothing-new", Some("Nothing lies there.")));
    home.put("notes.txt", "x");
    let read = home.read(&pool, source_id).await;
    assert!(read.remedy.unwrap().contains("-Manifest.json"));
    std::fs::remove_dir_all(home.bills()).unwrap();
    let read = home.read(&pool, source_id).await;
    assert_eq!(read.result, "failed");
    assert!(
        read.message.unwrap().ends_with("bills does not exist.") && read.remedy.unwrap().contains("Make the folder")
    );
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_bill_that_two_sources_hold_waits_for_a_decision(pool: PgPool) {
    let home = Home::new();
    put_version(&home, "2026-10-05T01:00:00.000Z", "e1", &[&october("1.5")], true);
    let first = home.add_folder(&pool, "one", Layout::AwsDataExport).await;
    let second = home.add_folder(&pool, "two", Layout::AwsDataExport).await;
    assert_eq!(home.read(&pool, first).await.result, "new");
    let read = home.read(&pool, second).await;
    let (state, reason) = delivery(&pool, read.delivery_ids[0]).await;
    assert_eq!(state, "quarantined");
    assert!(reason.contains("Source “one” counts this bill already: 2026-10 of account 00123"), "{reason}");
    assert_counts(&pool, "two", 0, "0").await;
    assert_clean(&pool).await;
}

/// As Azure has it: an actual and an amortized export beside each other in one container, each with runs of its own.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn two_azure_exports_in_one_place_are_one_bill(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "azure", Layout::AzureExport).await;
    let header = "BillingAccountId,BillingPeriodStartDate,BillingPeriodEndDate,SubscriptionId,Date,MeterId,MeterCategory,\
                  Quantity,Cost,BillingCurrency,ResourceId,ReservationId,ChargeType,Frequency,PricingModel,Tags\n";
    let row = |meter: &str, cost: &str, reservation: &str, kind: &str, model: &str| {
        format!(
            "8611537,10/01/2026,10/31/2026,sub-1,10/04/2026,{meter},Virtual Machines,24,{cost},EUR,/vm/{meter},\
             {reservation},{kind},UsageBased,{model},\"\"\"team\"\": \"\"shop\"\"\"\n"
        )
    };
    let put = |export: &str, run: &str, time: &str, rows: &[String]| {
        let kind = if export == "actual" { "ActualCost" } else { "AmortizedCost" };
        let config = serde_json::json!({ "exportName": export, "resourceId": "/providers/b/8611537", "type": kind });
        let folder = format!("exports/{export}/20261001-20261031/202611010115/{run}");
        let (key, text) = (format!("{folder}/part_0_0001.csv"), header.to_owned() + &rows.concat());
        let blobs = [(key.as_str(), text.len(), rows.len() as i64)];
        let manifest = azure_manifest(run, time, &blobs).replacen('{', &format!("{{\"exportConfig\":{config},"), 1);
        home.put(&format!("{folder}/manifest.json"), manifest);
        home.put(&key, text);
        home.age(&key, 1);
    };
    let machine = row("m1", "2.40", "", "Usage", "OnDemand");
    let bought = row("r1", "100.000000000000000001", "a", "Purchase", "Reservation");
    let covered = |cost: &str| row("m2", cost, "a", "Usage", "Reservation");
    put("actual", "a1", "2026-11-01T01:15:00Z", &[machine.clone(), bought.clone(), covered("0")]);
    put("amortized", "b1", "2026-11-01T01:10:00Z", &[covered("3.1"), machine.clone()]);
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("new", 2), "{read:?}");
    assert_counts(&pool, "azure", 3, "102.400000000000000001").await;
    let effective = async || -> bigdecimal::BigDecimal {
        let sum = "SELECT sum(effective_cost) FROM monthly_cost JOIN generation g USING (generation_id)
                   WHERE g.state = 'current'";
        sqlx::query_scalar(sum).fetch_one(&pool).await.unwrap()
    };
    assert_eq!(effective().await, "5.5".parse::<bigdecimal::BigDecimal>().unwrap());
    assert_eq!(home.read(&pool, source_id).await.result, "nothing-new");

    // The next run of one of them: the other side stays.
    put("amortized", "b2", "2026-11-02T01:10:00Z", &[covered("3.2"), machine.clone()]);
    assert_eq!(home.read(&pool, source_id).await.result, "new");
    assert_counts(&pool, "azure", 3, "102.400000000000000001").await;
    assert_eq!(effective().await, "5.6".parse::<bigdecimal::BigDecimal>().unwrap());
    assert_clean(&pool).await;
}
