//! `/settings/event-sources`: a secret is shown once, changed, and a source switched off and on.

use crate::ledger::{Line, bill, import_as_of};
use crate::support;
use axum::http::StatusCode;
use costwake::store::Role;
use sqlx::{AssertSqlSafe, PgPool};

const PATH: &str = "/settings/event-sources";

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_source_is_set_up_and_its_secret_shown_once(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    let arguments = ["--key-file", key_file.to_str().unwrap(), "--public-url", "https://costs.example.com"];
    let mut app = support::app_with(pool.clone(), support::config(&arguments)).await;
    app.sign_in(Role::Admin).await;
    let made = app.post_form(PATH, &[("name", "Shop")]).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    assert!(made.body.contains("https://costs.example.com/webhooks/github/shop"));
    assert_eq!(made.headers["cache-control"], "no-store");
    let secret =
        made.body.split("<code>").find(|part| part[..64.min(part.len())].bytes().all(|b| b.is_ascii_hexdigit()));
    let secret = &secret.unwrap()[..64];
    assert!(!app.get(PATH).await.body.contains(secret));
    assert_eq!(app.post_form(PATH, &[("name", "shop")]).await.status, StatusCode::CONFLICT);
    assert_eq!(app.post_form(PATH, &[("name", "a b")]).await.status, StatusCode::BAD_REQUEST);

    let id = support::count(&pool, "SELECT event_source_id FROM event_source WHERE name = 'shop'").await;
    let rotated = app.post_form(&format!("{PATH}/{id}/rotate"), &[]).await;
    assert!(rotated.body.contains("has a new secret") && !rotated.body.contains(secret));
    assert!(app.get(PATH).await.body.contains("The secret before is valid until"));
    assert_eq!(app.post_form(&format!("{PATH}/{id}/disable"), &[]).await.status, StatusCode::SEE_OTHER);
    assert!(app.get(PATH).await.body.contains("Switch on"));
    assert_eq!(app.post_form(&format!("{PATH}/{id}/enable"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(app.post_form(&format!("{PATH}/{id}/read-again"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM audit_log WHERE action LIKE 'event_source.%'").await, 5);
    // A copy of the database without the key file tells nothing.
    let sealed: Vec<u8> = sqlx::query_scalar("SELECT secret_previous_sealed FROM event_source WHERE name = 'shop'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(!sealed.windows(64).any(|bytes| bytes == secret.as_bytes()));
}

/// Whoever set a source up yesterday finds the steps on its page, without the secret, and what came of it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_source_tells_how_it_is_set_up_and_what_came(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    let arguments = ["--key-file", key_file.to_str().unwrap(), "--public-url", "https://costs.example.com"];
    let mut app = support::app_with(pool.clone(), support::config(&arguments)).await;
    app.sign_in(Role::Admin).await;
    let made = app.post_form(PATH, &[("name", "shop")]).await.body;
    let is_secret = |part: &&str| part.get(..64).is_some_and(|part| part.bytes().all(|b| b.is_ascii_hexdigit()));
    let secret = &made.split("<code>").find(is_secret).unwrap()[..64];
    let id = support::count(&pool, "SELECT event_source_id FROM event_source WHERE name = 'shop'").await;
    let page = app.get(&format!("{PATH}/{id}")).await.body;
    assert!(!page.contains(secret));
    for part in [
        "https://costs.example.com/webhooks/github/shop",
        "<code>‹secret›</code>",
        "Workflow runs",
        "payload calls “service”",
        "/unmapped?show=deployments",
        "Nothing came yet.",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(made.contains("payload calls “service”"), "{made}");

    deliveries(&pool, 5).await;
    let id = support::count(&pool, "SELECT event_source_id FROM event_source WHERE name = 'api'").await;
    let page = app.get(&format!("{PATH}/{id}")).await.body;
    for part in ["5 deliveries among the newest 10,000", "3 read", "2 that could not be read", "key-5"] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

async fn deliveries(pool: &PgPool, count: i32) {
    sqlx::query(
        "INSERT INTO event_delivery (event_source_id, dedupe_key, event_name, headers, body, body_sha256, received_at,
             state, error)
         SELECT (SELECT event_source_id FROM event_source WHERE name = 'api'), 'key-' || n, 'deployment', '{}', '', '',
             now(), CASE WHEN n % 2 = 0 THEN 'error' ELSE 'done' END,
             CASE WHEN n % 2 = 0 THEN 'deployment.id is missing' END
         FROM generate_series(1, $1) n",
    )
    .bind(count)
    .execute(pool)
    .await
    .unwrap();
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_event_that_failed_can_be_reached(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let admin = app.browser(Role::Admin, true, &[]).await;
    deliveries(&pool, 240).await;
    import_as_of(&pool, "acme", &bill(&[Line::of("2026-10", 3, "checkout", "1")]), 2).await;
    let mut seen = std::collections::BTreeSet::new();
    let mut path = format!("{PATH}?state=error");
    for _ in 0..6 {
        let page = admin.get(&path).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.body.contains("120 could not be read"));
        let keys = page.body.split("<code>key-").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
        let keys: Vec<String> = keys.collect();
        assert!(!keys.is_empty() && keys.iter().all(|key| key.parse::<u32>().unwrap() % 2 == 0), "{keys:?}");
        seen.extend(keys);
        let older = page.body.split("href=\"").find(|rest| rest.contains("before=") && rest.contains(">Older<"));
        match older {
            Some(rest) => path = rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 120);
    assert_eq!(admin.get(&format!("{PATH}?state=lost")).await.status, StatusCode::BAD_REQUEST);
    assert!(admin.get("/").await.body.contains("/settings/event-sources?state=error"));
    let reader = app.browser(Role::Viewer, false, &[]).await;
    let unmapped = reader.get("/unmapped").await.body;
    assert!(unmapped.contains("120 events could not be read") && !unmapped.contains("/settings/event-sources"));
    // Reading one again leaves a line, and counts as waiting.
    let id = support::count(&pool, "SELECT max(event_delivery_id) FROM event_delivery WHERE state = 'error'").await;
    let again = admin.post_form(&format!("{PATH}/deliveries/{id}/read-again"), &[]).await;
    assert_eq!(again.status, StatusCode::SEE_OTHER);
    let audited: String =
        sqlx::query_scalar("SELECT subject FROM audit_log WHERE action = 'event_delivery.read_again'")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(audited, format!("event delivery {id}"));
    let metrics = costwake::web::telemetry::recorder().unwrap();
    costwake::web::telemetry::count_events(&app.state.pools).await.unwrap();
    let text = costwake::web::telemetry::render(&metrics, &app.state.pools);
    assert!(text.contains("costwake_events{state=\"failed\"} 119"), "{text}");
    assert!(text.contains("costwake_events{state=\"unread\"} 1"), "{text}");
}

/// A key of 64 digits would push what can be done with its row out of the page.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_newest_deliveries_are_listed_with_the_beginning_of_long_keys(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let admin = app.browser(Role::Admin, true, &[]).await;
    deliveries(&pool, 25).await;
    let long = "0123456789abcdef".repeat(4);
    sqlx::query("UPDATE event_delivery SET dedupe_key = $1 WHERE dedupe_key = 'key-25'")
        .bind(&long)
        .execute(&pool)
        .await
        .unwrap();
    let page = admin.get(PATH).await.body;
    assert_eq!(page.matches(">Read again<").count(), 20);
    assert!(page.contains(">Older<"), "{page}");
    assert!(page.contains(">0123456789ab…</code></summary>"), "{page}");
    assert!(page.contains(&format!("<code>{long}</code></details>")), "{page}");
    assert!(page.contains("<code>key-24</code>"), "{page}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_leaked_secret_is_ended_at_once(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    let mut app = support::app_with(pool.clone(), support::config(&["--key-file", key_file.to_str().unwrap()])).await;
    app.sign_in(Role::Admin).await;
    assert_eq!(app.post_form(PATH, &[("name", "shop")]).await.status, StatusCode::OK);
    let id = support::count(&pool, "SELECT event_source_id FROM event_source WHERE name = 'shop'").await;
    let valid = "SELECT count(*) FROM event_source WHERE name = 'shop' AND secret_previous_sealed IS NOT NULL";
    assert_eq!(app.post_form(&format!("{PATH}/{id}/rotate"), &[]).await.status, StatusCode::OK);
    assert_eq!(support::count(&pool, valid).await, 1);
    // A third one would end the secret that GitHub may still use.
    let third = app.post_form(&format!("{PATH}/{id}/rotate"), &[]).await;
    assert_eq!(third.status, StatusCode::CONFLICT);
    assert!(third.body.contains("End it first"), "{}", third.body);
    assert!(app.get(PATH).await.body.contains("End the old secret now"));
    for _ in 0..2 {
        let ended = app.post_form(&format!("{PATH}/{id}/end-old-secret"), &[]).await;
        assert_eq!(ended.status, StatusCode::SEE_OTHER);
    }
    assert_eq!(support::count(&pool, valid).await, 0);
    let audited = "SELECT count(*) FROM audit_log WHERE action = 'event_source.old_secret_ended'";
    assert_eq!(support::count(&pool, audited).await, 1);
    assert_eq!(app.post_form(&format!("{PATH}/{id}/rotate"), &[]).await.status, StatusCode::OK);
}

/// No source goes away from under what it sent, nor becomes another; one that sent nothing may.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_source_is_kept_while_it_has_deliveries(pool: PgPool) {
    let added = "INSERT INTO event_source (name, kind) VALUES ('told', 'github'), ('silent', 'github')";
    sqlx::query(added).execute(&pool).await.unwrap();
    sqlx::query(
        "INSERT INTO event_delivery (event_source_id, dedupe_key, event_name, headers, body, body_sha256, received_at, state)
         SELECT event_source_id, 'a', 'push', '{}', '', '', now(), 'done' FROM event_source WHERE name = 'told'",
    )
    .execute(&pool)
    .await
    .unwrap();
    for change in ["DELETE FROM event_source", "UPDATE event_source SET event_source_id = DEFAULT"] {
        let change = |name| sqlx::query(AssertSqlSafe(format!("{change} WHERE name = '{name}'"))).execute(&pool);
        let refused = change("told").await.unwrap_err();
        let code = refused.as_database_error().and_then(|error| error.code());
        assert_eq!(code.as_deref(), Some("23503"), "{refused}");
        assert_eq!(change("silent").await.unwrap().rows_affected(), 1);
        sqlx::query("INSERT INTO event_source (name, kind) VALUES ('silent', 'github') ON CONFLICT DO NOTHING")
            .execute(&pool)
            .await
            .unwrap();
    }
}
