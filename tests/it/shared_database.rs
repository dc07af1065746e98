//! Commands on a database of a server elsewhere: what may run beside what, and what is said of
//! the key file, of credentials and of rates.

use super::support::said;
use super::trust_server::serve_process;
use sqlx::{ConnectOptions, PgPool};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

// As people write it: what sqlx adds for itself, `pg_dump` does not take.
fn address(pool: &PgPool) -> String {
    let mut address = pool.connect_options().to_url_lossy();
    let pairs = address.query_pairs().into_owned();
    let kept: Vec<(String, String)> = pairs.filter(|(name, _)| name != "statement-cache-capacity").collect();
    address.set_query(None);
    if !kept.is_empty() {
        address.query_pairs_mut().extend_pairs(kept);
    }
    address.to_string()
}

fn command(pool: &PgPool, data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.args(arguments).env("DATABASE_URL", address(pool));
    command.env("COSTWAKE_DATA_DIR", data_dir).env_remove("COSTWAKE_KEY_FILE").env_remove("COSTWAKE_PUBLIC_URL");
    command.env("COSTWAKE_METRICS_LISTEN", "off").env("COSTWAKE_LISTEN", "127.0.0.1:0").kill_on_drop(true);
    command
}

async fn costwake(pool: &PgPool, data_dir: &Path, arguments: &[&str]) -> Output {
    let output = command(pool, data_dir, arguments).output();
    tokio::time::timeout(Duration::from_secs(120), output).await.expect("it ends by itself").unwrap()
}

async fn stop(mut child: Child) {
    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(child.wait().await.unwrap().success());
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_running_server_keeps_out_a_restore_and_servers_with_another_data_directory(pool: PgPool) {
    let place = tempfile::tempdir().unwrap();
    let (first, second) = (place.path().join("first"), place.path().join("second"));
    let (serving, _) = serve_process(&pool, &first, "off").await;
    let file = place.path().join("costwake.backup");
    let file = file.to_str().unwrap();
    let saved = costwake(&pool, &second, &["backup", file]).await;
    assert!(saved.status.success(), "{}", said(&saved));

    for arguments in [&["serve"][..], &["serve", "--jobs-only"]] {
        let refused = costwake(&pool, &second, arguments).await;
        let words = said(&refused);
        assert!(!refused.status.success(), "{words}");
        assert!(words.contains("another costwake serve with another data directory runs on this database"), "{words}");
    }
    let mut beside = command(&pool, &first, &["serve", "--jobs-only"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(beside.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("Costwake works in the background."));
    let health = ["health", "--jobs-only"];
    assert!(costwake(&pool, &first, &health).await.status.success());
    stop(beside).await;
    assert!(!costwake(&pool, &first, &health).await.status.success());

    let refused = costwake(&pool, &second, &["restore", "--force", file]).await;
    let words = said(&refused);
    assert!(!refused.status.success(), "{words}");
    assert!(words.contains("costwake serve runs on this database (connection "), "{words}");
    let aside: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'before_restore')")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(!aside, "nothing was touched");

    stop(serving).await;
    let restored = costwake(&pool, &second, &["restore", "--force", file]).await;
    assert!(restored.status.success(), "{}", said(&restored));
}

/// A database that was away has forgotten what its connections held.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_server_tells_of_itself_again_after_its_connection_was_lost(pool: PgPool) {
    let data_dir = tempfile::tempdir().unwrap();
    let (serving, _) = serve_process(&pool, data_dir.path(), "off").await;
    let held = "SELECT pid FROM pg_locks
                WHERE locktype = 'advisory' AND classid::bigint = 6 AND objsubid = 2 AND granted
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let before: i32 = sqlx::query_scalar(held).fetch_one(&pool).await.unwrap();
    let ended: bool =
        sqlx::query_scalar("SELECT pg_terminate_backend($1)").bind(before).fetch_one(&pool).await.unwrap();
    assert!(ended);
    let mut after = None;
    for _ in 0..200 {
        after = sqlx::query_scalar::<_, i32>(held).fetch_optional(&pool).await.unwrap().filter(|pid| *pid != before);
        if after.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(after.is_some(), "it never told again");
    stop(serving).await;
}

/// A key that is made in place of one that is gone would leave the secrets in the database behind.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_key_file_that_is_gone_is_told_and_none_is_made_in_its_place(pool: PgPool) {
    let place = tempfile::tempdir().unwrap();
    let data_dir = place.path().join("data");
    let (key, away, elsewhere) = (data_dir.join("key"), data_dir.join("key.away"), place.path().join("other/key"));
    let credentials = place.path().join("credentials.json");
    fs::write(&credentials, r#"{"access_key_id": "AKIA", "secret_access_key": "hush"}"#).unwrap();
    let credentials = credentials.to_str().unwrap();
    let add = ["source", "add", "s2", "--kind", "s3", "--bucket", "bills", "--region", "eu-central-1"];
    let added = costwake(&pool, &data_dir, &[&add[..], &["--credentials-file", credentials]].concat()).await;
    assert!(added.status.success(), "{}", said(&added));
    fs::rename(&key, &away).unwrap();

    let change = ["source", "change", "s2", "--credentials-file", credentials];
    let with_another = [&change[..], &["--key-file", elsewhere.to_str().unwrap()]].concat();
    for arguments in [&["source", "test", "s2"][..], &change[..], &with_another[..]] {
        let refused = costwake(&pool, &data_dir, arguments).await;
        let words = said(&refused);
        assert!(!refused.status.success(), "{words}");
        assert!(words.contains("is missing, and secrets in the database are sealed with key"), "{words}");
        assert!(!key.exists() && !elsewhere.exists(), "{arguments:?} made a key");
    }
    let saved = costwake(&pool, &data_dir, &["backup", place.path().join("1.backup").to_str().unwrap()]).await;
    assert!(saved.status.success() && said(&saved).contains("is missing, and secrets"), "{}", said(&saved));
    let mut serving = command(&pool, &data_dir, &["serve", "--no-jobs"]);
    let mut serving = serving.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(serving.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().unwrap().contains("serves on"));
    let pid = serving.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    // Its log may go to either.
    let mut log = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        log.push_str(&line);
    }
    log.push_str(&String::from_utf8_lossy(&serving.wait_with_output().await.unwrap().stderr));
    assert!(log.contains("is missing, and secrets in the database are sealed with key"), "{log}");

    fs::write(&key, [9; 32]).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let saved = costwake(&pool, &data_dir, &["backup", place.path().join("2.backup").to_str().unwrap()]).await;
    assert!(said(&saved).contains("1 of the secrets that are kept were sealed with another key"), "{}", said(&saved));
    fs::rename(&away, &key).unwrap();
    assert!(costwake(&pool, &data_dir, &change).await.status.success());
}

/// What is behind a name that nothing knows would be kept nowhere.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn credentials_by_other_names_are_refused(pool: PgPool) {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("credentials.json");
    let s3 = ["--kind", "s3", "--bucket", "bills", "--region", "eu-central-1"];
    let azure = ["--kind", "azure", "--account", "acme", "--bucket", "bills"];
    for (kind, credentials) in [
        (&s3[..], r#"{"access_key": "AKIA", "secret_access_key": "hush"}"#),
        (&s3[..], r#"{"AccessKeyId": "AKIA", "SecretAccessKey": "hush"}"#),
        (&azure[..], r#"{"access_key_id": "AKIA", "secret_access_key": "hush"}"#),
    ] {
        fs::write(&file, credentials).unwrap();
        let add = [&["source", "add", "s2", "--credentials-file", file.to_str().unwrap()][..], kind].concat();
        let refused = costwake(&pool, place.path(), &add).await;
        let words = said(&refused);
        assert!(!refused.status.success() && words.contains("the credentials have “"), "{words}");
        assert!(!words.contains("hush"), "{words}");
    }
    let added = costwake(&pool, place.path(), &[&["source", "add", "s2"][..], &s3].concat()).await;
    assert!(added.status.success() && said(&added).contains("no credentials are kept for it"), "{}", said(&added));
    let tested = costwake(&pool, place.path(), &["source", "test", "s2"]).await;
    assert!(!tested.status.success() && said(&tested).contains("No credentials are kept"), "{}", said(&tested));
}

/// Any code may be a bill's currency, so that a mistyped one is taken: it is said, and listed.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_rate_that_no_bill_needs_is_said_and_listed(pool: PgPool) {
    let place = tempfile::tempdir().unwrap();
    assert!(costwake(&pool, place.path(), &["rates", "reporting", "EUR"]).await.status.success());
    let enter = ["rates", "enter", "2026-05", "US", "1", "--reason", "Group rate"];
    let entered = costwake(&pool, place.path(), &enter).await;
    assert!(entered.status.success(), "{}", said(&entered));
    assert!(said(&entered).contains("no bill of 2026-05 is in US"), "{}", said(&entered));
    let listed = costwake(&pool, place.path(), &["rates", "list"]).await;
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), "2026-05\tUS\t1\tEUR\tentered\tno bill needs it\n");
}
