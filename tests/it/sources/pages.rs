//! The page of a source: what it says of reads, of what is late and not whole, and of how deliveries arrive.

use super::{Home, by, folder_setting, october};
use crate::ledger::{Line, bill, import_as_of};
use crate::support;
use chrono::{TimeDelta, Utc};
use costwake::sources::kind::Layout;
use costwake::sources::place::Credentials;
use costwake::sources::setting::Setting;
use costwake::store::{Role, source_history, source_settings};
use costwake::web::source_change;
use sqlx::PgPool;

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_page_says_what_is_late_failed_and_not_whole_with_the_remedy(pool: PgPool) {
    let home = Home::new();
    let setting =
        Setting { expected_every_hours: Some(24), ..folder_setting("azure", Layout::AzureExport, &home.bills()) };
    let source_id = home.add(&pool, &setting, &Credentials::default()).await;
    let app = support::app_with(pool.clone(), home.config.clone()).await.browser(Role::Admin, true, &[]).await;
    let page = async || app.get(&format!("/sources/{source_id}")).await.body;
    let first = page().await;
    assert!(
        first.contains("Read when someone asks") && first.contains("was not read yet") && !first.contains(">Late<")
    );
    assert!(app.get("/sources").await.body.contains("Add a source"));

    sqlx::query("UPDATE source_setting SET created_at = now() - interval '25 hours'").execute(&pool).await.unwrap();
    let late = page().await;
    assert!(
        late.contains("nothing came since the source was set up") && late.contains("Look at what writes"),
        "{late}"
    );

    let run = serde_json::json!({ "runId": "r1" });
    let blobs = serde_json::json!([{ "blobName": "x/20261001-20261031/r1/part_0.csv", "byteCount": 5 }]);
    let manifest = serde_json::json!({ "runInfo": run, "blobs": blobs }).to_string();
    home.put("x/20261001-20261031/r1/manifest.json", manifest);
    home.read(&pool, source_id).await;
    let partial = page().await;
    assert!(partial.contains("1 of 1 files are missing: x/20261001-20261031/r1/part_0.csv."), "{partial}");
    assert!(partial.contains("run the export again") && partial.contains("Not all is whole"));

    std::fs::remove_dir_all(home.bills()).unwrap();
    home.read(&pool, source_id).await;
    let failed = page().await;
    assert!(failed.contains("The last read failed") && failed.contains("Make the folder"), "{failed}");
    let source = source_settings::get(&pool, source_id).await.unwrap().unwrap();
    source_change::read_now(&mut pool.acquire().await.unwrap(), &source, &by()).await.unwrap();
    let waiting = page().await;
    assert!(waiting.contains("Waiting for its turn") && waiting.contains("http-equiv=\"refresh\""));
    source_change::pause(&mut pool.acquire().await.unwrap(), &source, true, &by()).await.unwrap();
    assert!(page().await.contains("The source is paused: let it go on."));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn control_totals_and_changed_columns_are_shown(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "files", Layout::Files).await;
    home.put("a.csv", october("1.5"));
    home.read(&pool, source_id).await;
    home.put("a.csv", october("2.75").replace("x_CostInPoints", "x_Points"));
    home.read(&pool, source_id).await;
    let finance = support::app_with(pool.clone(), home.config.clone()).await.browser(Role::Finance, false, &[]).await;
    let page = finance.get(&format!("/sources/{source_id}")).await.body;
    assert!(page.contains("Control totals") && page.contains("$2.75") && page.contains(">none</td>"), "{page}");
    assert!(page.contains("<td>x_Points</td><td>x_CostInPoints</td>"), "{page}");
    // The bill of the month before, restated meanwhile with the columns that it had, is no change of them.
    for cost in ["4", "5"] {
        home.put("b/september.csv", october(cost).replace("2026-10", "2026-09").replace("2026-11", "2026-10"));
        home.read(&pool, source_id).await;
        home.put("a.csv", october(cost).replace("x_CostInPoints", "x_Points"));
        home.read(&pool, source_id).await;
    }
    let page = finance.get(&format!("/sources/{source_id}")).await.body;
    assert!(page.contains("<td>x_Points</td><td>x_CostInPoints</td>"), "{page}");
    assert!(!page.contains("<td>x_CostInPoints</td><td>x_Points</td>"), "{page}");
    let admin = finance.browser(Role::Admin, false, &[]).await;
    let page = admin.get(&format!("/sources/{source_id}")).await.body;
    assert!(!page.contains("Control totals") && !page.contains("2.75"), "money is not for administrators");
}

/// Two of four lines of a day are there when it ends, all of them a day later.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_lag_curve_is_what_receipts_say(pool: PgPool) {
    let lines = |count: u32| -> Vec<Line> { (0..count).map(|_| Line::of("2026-11", 10, "shop", "1")).collect() };
    for (day, hour, count) in [(9, 5, 1), (10, 20, 2), (11, 6, 4)] {
        let receipt = import_as_of(&pool, "acme", &bill(&lines(count)), day).await;
        let at = format!("2026-11-{day:02}T{hour:02}:00:00Z");
        sqlx::query("UPDATE delivery SET received_at = $1::timestamptz WHERE delivery_id = $2")
            .bind(&at)
            .bind(receipt.delivery_id)
            .execute(&pool)
            .await
            .unwrap();
        sqlx::query("UPDATE generation SET superseded_at = $1::timestamptz WHERE state = 'superseded' AND superseded_at > $1::timestamptz")
            .bind(&at)
            .execute(&pool)
            .await
            .unwrap();
    }
    let source_id: i64 = sqlx::query_scalar("SELECT source_id FROM source").fetch_one(&pool).await.unwrap();
    let now = "2026-11-14T12:00:00Z".parse().unwrap();
    let curve = source_history::lag_curve(&mut pool.acquire().await.unwrap(), source_id, now).await.unwrap();
    let found: Vec<(i32, i32, i64)> =
        curve.iter().map(|arrived| (arrived.age_days, arrived.median_percent, arrived.day_count)).collect();
    assert_eq!(found, [(0, 50, 1), (1, 100, 1), (2, 100, 1), (3, 100, 1)]);
    let mut conn = pool.acquire().await.unwrap();
    let later = source_history::lag_curve(&mut conn, source_id, Utc::now() + TimeDelta::days(400)).await.unwrap();
    assert!(later.is_empty(), "only the last two months are looked at");
}
