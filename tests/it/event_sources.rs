//! `/settings/event-sources`: a secret is shown once, changed, and a source switched off and on.

use crate::support;
use axum::http::StatusCode;
use costwake::store::Role;
use sqlx::PgPool;

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
