//! Files that cannot be read, and empty ones: they stand on the page of their source until they are mended.

use super::{Home, october};
use crate::support;
use costwake::sources::kind::Layout;
use costwake::store::Role;
use sqlx::{ConnectOptions, PgPool};
use tokio::process::Command;

// A packed file that breaks off in its first bytes.
const BROKEN_GZIP: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x75];

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_unread_file_stands_on_the_page_of_its_source_until_one_of_its_name_is_read(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "files", Layout::Files).await;
    home.put("good.csv", october("1.5"));
    home.put("bad.csv", "this is no bill\n");
    home.put("cut.csv.gz", BROKEN_GZIP);
    let read = home.read(&pool, source_id).await;
    assert_eq!(read.delivery_ids.len(), 3, "{read:?}");
    for _ in 0..2 {
        assert_eq!(home.read(&pool, source_id).await.result, "nothing-new");
    }
    let unknown = "SELECT count(*) FROM delivery WHERE source_id IS NULL";
    assert_eq!(support::count(&pool, unknown).await, 0);
    let finance = support::app_with(pool.clone(), home.config.clone()).await.browser(Role::Finance, false, &[]).await;
    let page = async |path: &str| finance.get(path).await.body;
    let source = page(&format!("/sources/{source_id}")).await;
    assert!(source.contains("Could not be read") && source.contains("3 deliveries"), "{source}");
    // Under the heading, and in the list of all deliveries.
    assert_eq!((source.matches(">bad.csv<").count(), source.matches(">cut.csv.gz<").count()), (2, 2), "{source}");
    assert!(source.contains("Put a whole file of the same name in its place"), "{source}");
    let sources = page("/sources").await;
    assert!(sources.contains("2 files could not be read.") && !sources.contains("not yet known"), "{sources}");
    assert!(page("/").await.contains("Files of bills that could not be read"));

    home.put("bad.csv", october("2").replace("2026-10", "2026-09").replace("2026-11", "2026-10"));
    std::fs::remove_file(home.bills().join("cut.csv.gz")).unwrap();
    home.read(&pool, source_id).await;
    let source = page(&format!("/sources/{source_id}")).await;
    assert_eq!((source.matches(">bad.csv<").count(), source.matches(">cut.csv.gz<").count()), (2, 2), "{source}");
    assert!(page("/sources").await.contains("One file could not be read."));
    sqlx::query("UPDATE delivery SET received_at = received_at - interval '31 days' WHERE file_name = 'cut.csv.gz'")
        .execute(&pool)
        .await
        .unwrap();
    assert!(!page("/sources").await.contains("could not be read"));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_empty_file_is_named_in_each_read_and_a_refused_one_ends_the_command_with_two(pool: PgPool) {
    let home = Home::new();
    let source_id = home.add_folder(&pool, "files", Layout::Files).await;
    home.put("empty.csv", "");
    let read = home.read(&pool, source_id).await;
    assert_eq!(read.result, "nothing-new");
    assert!(read.message.unwrap().ends_with("1 file is empty and skipped: empty.csv."));
    assert!(read.remedy.unwrap().starts_with("Where its export failed, run it again"));
    home.put("good.csv", october("1.5"));
    let command = async || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
        command.env("DATABASE_URL", pool.connect_options().to_url_lossy().to_string());
        command.env("COSTWAKE_DATA_DIR", home.folder.path()).args(["source", "read", "files"]);
        let output = command.output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, told) = command().await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("Deliveries: 1 counted. 1 file is empty and skipped: empty.csv."), "{told}");
    home.put("bad.csv", "this is no bill\n");
    let (code, told) = command().await;
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("1 refused"), "{told}");
    let (code, told) = command().await;
    assert_eq!(code, Some(0), "nothing new came: {told}");
}
