//! A server or a database that does not fit is refused before its schema is touched, and at once.

use sqlx::{AssertSqlSafe, Executor, PgPool};
use std::process::Command;
use std::time::{Duration, Instant};

#[sqlx::test(migrations = false)]
async fn a_server_that_is_too_old_is_refused_with_a_sentence(pool: PgPool) {
    // No such server is at hand: this one is made to say that it is one.
    pool.execute(
        "CREATE SCHEMA old;
         CREATE FUNCTION old.current_setting(text) RETURNS text LANGUAGE sql AS $$
             SELECT CASE $1 WHEN 'server_version_num' THEN '140012' ELSE pg_catalog.current_setting($1) END $$",
    )
    .await
    .unwrap();
    let mut address: reqwest::Url = std::env::var("DATABASE_URL").unwrap().parse().unwrap();
    address.set_path(pool.connect_options().get_database().unwrap());
    address.query_pairs_mut().append_pair("options", "-c search_path=old,pg_catalog,public");
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.arg("migrate").env("DATABASE_URL", address.as_str()).env("COSTWAKE_DATA_DIR", folder.path());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("DATABASE_URL names a server of PostgreSQL 14, and Costwake needs 15 or newer"), "{said}");
    let tables: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_tables WHERE schemaname NOT LIKE ALL ('{pg\\_%,information_schema}')",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(tables, 0, "the schema is untouched");
}

// The name of another database than the test's, which is as long as names may be.
fn beside(pool: &PgPool, what: &str) -> String {
    let own: String = pool.connect_options().get_database().unwrap().chars().take(40).collect();
    format!("{own}_{what}")
}

fn migrated(address: reqwest::Url) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.arg("migrate").env("DATABASE_URL", address.as_str()).env("COSTWAKE_DATA_DIR", folder.path());
    let began = Instant::now();
    let output = command.output().unwrap();
    assert!(!output.status.success());
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[sqlx::test(migrations = false)]
async fn a_database_of_another_encoding_is_refused_with_a_sentence(pool: PgPool) {
    let mut address: reqwest::Url = std::env::var("DATABASE_URL").unwrap().parse().unwrap();
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = beside(&pool, &encoding.to_lowercase());
        let made = format!("CREATE DATABASE \"{name}\" ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        pool.execute(AssertSqlSafe(made)).await.unwrap();
        address.set_path(&name);
        let asked = address.clone();
        let said = tokio::task::spawn_blocking(move || migrated(asked)).await.unwrap();
        let dropped = format!("DROP DATABASE \"{name}\" WITH (FORCE)");
        pool.execute(AssertSqlSafe(dropped)).await.unwrap();
        assert!(said.contains(&format!("was made with the encoding {encoding}, and Costwake needs UTF8")), "{said}");
    }
}

#[sqlx::test(migrations = false)]
async fn what_the_server_answers_is_said_once_and_not_as_a_server_that_is_away(pool: PgPool) {
    let mut address: reqwest::Url = std::env::var("DATABASE_URL").unwrap().parse().unwrap();
    address.set_path(&beside(&pool, "nowhere"));
    let said = tokio::task::spawn_blocking(move || migrated(address)).await.unwrap();
    assert!(said.contains("answers “database") && !said.contains("see that it runs"), "{said}");
    assert_eq!(said.matches("does not exist").count(), 1, "{said}");
}

/// A pool that waits for a connection that it will not get says nothing of the cause.
#[sqlx::test(migrations = false)]
async fn a_role_with_few_connections_is_refused_with_a_sentence(pool: PgPool) {
    let role = beside(&pool, "few").to_lowercase();
    let made = format!("CREATE ROLE \"{role}\" LOGIN PASSWORD 'few' CONNECTION LIMIT 2");
    pool.execute(AssertSqlSafe(made)).await.unwrap();
    let mut address: reqwest::Url = std::env::var("DATABASE_URL").unwrap().parse().unwrap();
    address.set_path(pool.connect_options().get_database().unwrap());
    address.set_username(&role).unwrap();
    address.set_password(Some("few")).unwrap();
    let said = tokio::task::spawn_blocking(move || migrated(address)).await.unwrap();
    pool.execute(AssertSqlSafe(format!("DROP ROLE \"{role}\""))).await.unwrap();
    assert!(said.contains("at most 2 connections at once, and Costwake needs 6"), "{said}");
}
