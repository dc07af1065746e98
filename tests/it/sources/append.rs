//! Files that add up: each object counts once, by its name and its bytes; one of the same name replaces itself.

use super::{Home, assert_counts, by, delivery, folder_setting, october};
use crate::ledger::{ANN, assert_clean, time};
use crate::support;
use costwake::rollup::withdraw;
use costwake::sources::kind::{Layout, Restatement};
use costwake::sources::place::Credentials;
use costwake::sources::setting::Setting;
use costwake::store::{source_finds, source_settings};
use costwake::web::source_change;
use sqlx::PgPool;

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn objects_add_up_and_count_once(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "oci", Layout::Oci).await;
    home.put("FOCUS Reports/2026/10/01/a.csv", october("1.5"));
    home.put("FOCUS Reports/2026/10/02/b.csv", october("2"));
    // The same bytes under another name are another file: identical lines are legal.
    home.put("FOCUS Reports/2026/10/03/c.csv", october("2"));
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("new", 3), "{read:?}");
    assert_counts(&pool, "oci", 3, "5.5").await;
    assert_eq!(home.read(&pool, source_id).await.delivery_ids.len(), 0);

    home.put("FOCUS Reports/2026/10/02/b.csv", october("20"));
    assert_eq!(home.read(&pool, source_id).await.delivery_ids.len(), 1);
    assert_counts(&pool, "oci", 3, "23.5").await;
    assert_clean(&pool).await;

    // One that was written again with the same content brings nothing.
    home.put("FOCUS Reports/2026/10/01/a.csv", october("1.5"));
    home.age("FOCUS Reports/2026/10/01/a.csv", 0);
    let read = home.read(&pool, source_id).await;
    assert_eq!(delivery(&pool, read.delivery_ids[0]).await.0, "unchanged");
    assert_counts(&pool, "oci", 3, "23.5").await;
    assert_clean(&pool).await;
}

/// One file takes the place of another of its folder only where a person says so, or where that one is gone.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_file_beside_another_one_of_the_same_bill_waits(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "files", Layout::Files).await;
    home.put("x/one.csv", october("1.5"));
    home.age("x/one.csv", 30);
    home.put("x/two.csv", october("2"));
    home.age("x/two.csv", 20);
    let read = home.read(&pool, source_id).await;
    let (state, reason) = delivery(&pool, read.delivery_ids[1]).await;
    assert_eq!(state, "quarantined");
    assert!(reason.starts_with("“x/one.csv” (delivery 1) lies in the same folder"), "{reason}");
    assert_counts(&pool, "files", 1, "1.5").await;
    // Written again, it waits in its own place.
    home.put("x/two.csv", october("2.5"));
    home.age("x/two.csv", 18);
    let again = home.read(&pool, source_id).await.delivery_ids[0];
    assert_eq!(delivery(&pool, again).await.0, "quarantined");
    assert_eq!(delivery(&pool, read.delivery_ids[1]).await.0, "refused");

    // The same name takes its own place, and another folder is another version.
    home.put("x/one.csv", october("1.75"));
    home.age("x/one.csv", 15);
    home.read(&pool, source_id).await;
    assert_counts(&pool, "files", 1, "1.75").await;
    assert_eq!(delivery(&pool, again).await.0, "quarantined", "it is another file than the one that counts");
    home.put("y/one.csv", october("3"));
    home.age("y/one.csv", 10);
    home.read(&pool, source_id).await;
    assert_counts(&pool, "files", 1, "3").await;
    std::fs::remove_file(home.bills().join("y/one.csv")).unwrap();
    home.put("y/two.csv", october("4"));
    home.read(&pool, source_id).await;
    assert_counts(&pool, "files", 1, "4").await;
    assert_clean(&pool).await;
}

/// Shards of one extraction are one delivery, taken once they are whole; the next extraction replaces all of it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn shards_are_one_delivery(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "gcp", Layout::Files).await;
    let put = |number: u32, cost: &str, minutes: u64| {
        let key = format!("2026-10/bill-{number:012}.csv");
        home.put(&key, october(cost));
        home.age(&key, minutes);
    };
    put(0, "1.5", 20);
    put(2, "4", 20);
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("partial", 0), "{read:?}");
    put(1, "2", 0);
    assert_eq!(home.read(&pool, source_id).await.delivery_ids.len(), 0, "it may still be written");
    put(1, "2", 19);
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("new", 1), "{read:?}");
    assert_counts(&pool, "gcp", 3, "7.5").await;
    assert_eq!(home.read(&pool, source_id).await.result, "nothing-new");

    for (number, cost) in [(0, "10"), (1, "20"), (2, "40")] {
        put(number, cost, 5);
    }
    assert_eq!(home.read(&pool, source_id).await.result, "new");
    assert_counts(&pool, "gcp", 3, "70").await;
    // A later extraction with fewer shards leaves one behind: it is not taken for a part of it.
    put(2, "40", 90);
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("partial", 0), "{read:?}");
    assert_counts(&pool, "gcp", 3, "70").await;
    assert_clean(&pool).await;
}

/// BigQuery leaves shards empty that no line fell to. Of lines of JSON nothing is lost by that; a table without even
/// column names broke off.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_empty_shard_of_json_has_no_rows_and_one_of_csv_is_refused(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "gcp", Layout::Files).await;
    let put = |key: &str, content: &str| {
        home.put(key, content);
        home.age(key, 20);
    };
    let line = |cost: &str| {
        format!(
            r#"{{"billing_account_id":"G1","service":{{"description":"Compute Engine"}},"cost":{cost},"currency":"USD",
            "usage_start_time":"2026-10-05T03:00:00Z","usage_end_time":"2026-10-05T04:00:00Z",
            "invoice":{{"month":"202610"}},"cost_type":"regular"}}"#
        )
        .replace('\n', "")
            + "\n"
    };
    put("bill-000000000000.json", "");
    put("bill-000000000001.json", &line("1.5"));
    put("bill-000000000002.json", &line("2"));
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("new", 1), "{read:?}");
    assert_counts(&pool, "gcp", 2, "3.5").await;
    let warnings: Vec<String> = sqlx::query_scalar("SELECT unnest(warnings) FROM delivery WHERE delivery_id = $1")
        .bind(read.delivery_ids[0])
        .fetch_all(&pool)
        .await
        .unwrap();
    let told = "00000-bill-000000000000.json is empty, and so has no rows.";
    assert!(warnings.iter().any(|warning| warning == told), "{warnings:?}");

    put("table-000000000000.csv", &october("1.5"));
    put("table-000000000001.csv", "");
    let read = home.read(&pool, source_id).await;
    let (state, reason) = delivery(&pool, read.delivery_ids[0]).await;
    assert_eq!(state, "refused");
    assert!(reason.contains("00001-table-000000000001.csv is empty: not even column names"), "{reason}");
    assert_counts(&pool, "gcp", 2, "3.5").await;
    assert_clean(&pool).await;
}

/// Oracle's own bucket has FOCUS and cost reports of the same usage.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn one_kind_of_oci_report_counts(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "oci", Layout::Oci).await;
    home.put("FOCUS Reports/2026/10/01/a.csv", october("1.5"));
    home.put("reports/cost-csv/0001.csv", october("1.5"));
    home.put("reports/usage-csv/0001.csv", october("1.5"));
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("new", 1), "{read:?}");
    assert!(read.message.unwrap().contains("1 file is found and not counted"));
    assert_counts(&pool, "oci", 1, "1.5").await;
    let left_out = source_finds::left_out(&pool, source_id).await.unwrap();
    assert_eq!((left_out.len(), left_out[0].object_key.as_str()), (1, "reports/cost-csv/0001.csv"));
    assert!(left_out[0].message.as_ref().unwrap().contains("outside FOCUS Reports"), "{left_out:?}");
    assert_eq!(home.read(&pool, source_id).await.result, "nothing-new");
    assert_clean(&pool).await;
}

/// A source goes on with the kind that it began with, and says so where that kind comes no more.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_source_stays_with_the_oci_reports_that_it_counts(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "oci", Layout::Oci).await;
    home.put("reports/cost-csv/0001.csv", october("1.5"));
    let first = home.read(&pool, source_id).await.delivery_ids[0];
    home.put("FOCUS Reports/2026/10/01/a.csv", october("1.5"));
    home.put("reports/cost-csv/0002.csv", october("2"));
    assert_eq!(home.read(&pool, source_id).await.delivery_ids.len(), 1);
    assert_counts(&pool, "oci", 2, "3.5").await;

    for name in ["0001.csv", "0002.csv"] {
        std::fs::remove_file(home.bills().join("reports/cost-csv").join(name)).unwrap();
    }
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("partial", 0), "{read:?}");
    for delivery_id in [first, first + 1] {
        withdraw(&support::pools(&pool), delivery_id, ANN, time("2026-11-21T10:00:00Z")).await.unwrap();
    }
    assert_eq!(home.read(&pool, source_id).await.result, "new");
    assert_counts(&pool, "oci", 1, "1.5").await;
    assert!(source_finds::left_out(&pool, source_id).await.unwrap().is_empty());
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_was_withdrawn_does_not_come_back_by_itself(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "oci", Layout::Oci).await;
    home.put("a.csv", october("1.5"));
    home.put("b.csv", october("2"));
    let read = home.read(&pool, source_id).await;
    withdraw(&support::pools(&pool), read.delivery_ids[0], ANN, time("2026-11-21T10:00:00Z")).await.unwrap();
    assert_counts(&pool, "oci", 1, "2").await;
    assert_eq!(home.read(&pool, source_id).await.result, "nothing-new");
    assert_counts(&pool, "oci", 1, "2").await;
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_meaning_of_files_stays_while_bills_count(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "files", Layout::Files).await;
    home.put("one.csv", october("1.5"));
    home.age("one.csv", 20);
    home.put("two.csv", october("2"));
    let read = home.read(&pool, source_id).await;
    assert_eq!(read.delivery_ids.len(), 2, "each is kept, oldest first");
    assert_counts(&pool, "files", 1, "1.5").await;
    let source = source_settings::get(&pool, source_id).await.unwrap().unwrap();
    let appending = Setting { restatement: Restatement::AppendByObject, ..source.setting.clone() };
    let mut conn = pool.acquire().await.unwrap();
    let (key, by) = (home.key(), by());
    let change = source_change::change(&mut conn, &key, &source, &appending, None, &by);
    assert!(change.await.unwrap_err().to_string().contains("count twice"));
    let other = folder_setting("other", Layout::Files, &home.bills());
    let other = Setting { restatement: Restatement::AppendByObject, ..other };
    assert!(home.add(&pool, &other, &Credentials::default()).await > source_id);
    assert_clean(&pool).await;
}
