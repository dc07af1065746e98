//! A server that is too old is refused before its schema is touched.

use sqlx::{Executor, PgPool};
use std::process::Command;

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
