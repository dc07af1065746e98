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
    assert_eq!(read.delivery_ids.len(), 2, "each version is kept, oldest first");
    assert_counts(&pool, "files", 1, "2").await;
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
