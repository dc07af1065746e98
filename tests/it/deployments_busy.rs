//! Recording deployments while the rules are changed, and what is refused.

use crate::support::{self, TestApp, count};
use crate::webhooks::{Github, status};
use axum::http::{Method, Request, StatusCode, header};
use costwake::rollup::events::read_new;
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, event_sources, locks};
use costwake::web;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;

const PATH: &str = "/api/v1/deployments";

fn body(number: usize) -> Value {
    json!({"id": format!("run-{number}"), "service": "checkout", "environment": "production", "version": "1"})
}

async fn post_with_key(app: &TestApp, token: &str, key: &str, body: &Value) -> support::Page {
    let request = Request::builder()
        .method(Method::POST)
        .uri(PATH)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header("Idempotency-Key", key);
    app.send(request.body(body.to_string().into()).unwrap()).await
}

/// While somebody changes the rules, deployments are taken, pages are shown and webhooks stored.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_change_of_the_rules_blocks_nobody(pool: PgPool) {
    // Its pool for pages has sixteen connections.
    let github = Github::in_service(&pool).await;
    let app = &github.app;
    let token = app.token(TokenScope::Ingest, Role::Viewer).await;
    let reader = app.browser(Role::Finance, false, &[]).await;
    let mut change = pool.begin().await.unwrap();
    locks::lock_mapping(&mut change).await.unwrap();

    let posts = join_all((0..24).map(|number| app.api("POST", PATH, &token, body(number))));
    let others = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let delivery = status(1, "1", 0, "success", 4);
        (reader.get("/services").await.status, github.signed("deployment_status", "d", &delivery).await.status)
    };
    let (posts, others) = tokio::join!(posts, others);
    assert_eq!(others, (StatusCode::OK, StatusCode::ACCEPTED));
    for page in &posts {
        assert_eq!(page.status, StatusCode::ACCEPTED, "{}", page.body);
        assert!(page.json()["message"].as_str().unwrap().contains("mapped right after that"));
    }
    // Its end may be told already; another of its id may not.
    let end = json!({"status": "failed", "finished_at": "2026-03-01T10:00:00Z"});
    assert_eq!(app.api("PATCH", &format!("{PATH}/id:run-3"), &token, end).await.status, StatusCode::ACCEPTED);
    let other = json!({"id": "run-3", "service": "checkout", "environment": "production", "version": "2"});
    assert_eq!(app.api("POST", PATH, &token, other.clone()).await.status, StatusCode::CONFLICT);
    assert_eq!(post_with_key(app, &token, "k", &other).await.status, StatusCode::CONFLICT);
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment").await, 0);
    assert_eq!(count(&pool, "SELECT count(*) FROM job WHERE kind = 'normalize_events'").await, 1);

    change.rollback().await.unwrap();
    assert_eq!(app.api("POST", PATH, &token, body(1)).await.status, StatusCode::CREATED);
    read_new(&pool).await.unwrap();
    assert_eq!(app.api("POST", PATH, &token, body(2)).await.status, StatusCode::OK);
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment").await, 25);
    assert_eq!(count(&pool, "SELECT count(*) FROM event_delivery WHERE state <> 'done'").await, 0);
}

/// A statement that waits too long is no error of ours: try again.
#[test]
fn a_wait_that_took_too_long_says_when_to_come_back() {
    use axum::response::IntoResponse;
    let response = costwake::api::Error::Web(web::Error::WaitedTooLong).into_response();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "5");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn keys_are_a_persons_own(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let body = json!({"service": "checkout", "environment": "production", "version": "3"});
    let mut other = body.clone();
    other["version"] = json!("4");
    let (one, two) = (app.person(Role::Viewer, false, &[]).await, app.person(Role::Viewer, false, &[]).await);
    let token = app.token_of(one, TokenScope::Ingest).await;
    assert_eq!(post_with_key(&app, &token, "1", &body).await.status, StatusCode::CREATED);
    let renewed = app.token_of(one, TokenScope::Ingest).await;
    assert_eq!(post_with_key(&app, &renewed, "1", &body).await.status, StatusCode::OK);
    let elsewhere = app.token_of(two, TokenScope::Ingest).await;
    assert_eq!(post_with_key(&app, &elsewhere, "1", &other).await.status, StatusCode::CREATED);
    assert_eq!(post_with_key(&app, &token, "1", &other).await.status, StatusCode::CONFLICT);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_would_be_cut_or_cleaned_is_refused(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let token = app.token(TokenScope::Ingest, Role::Viewer).await;
    let long = "x".repeat(501);
    let cases = [
        (json!({"id": "a\nb"}), "id must not have control characters"),
        (json!({"environment": long}), "environment is longer than 500"),
        (json!({"services": ["a", long]}), "services is longer than 500"),
        (json!({"attributes": {"region": long}}), "attributes: region is longer than 500"),
        (json!({"commits": [{"repo": long, "sha": "abcdef0123"}]}), "commits: repo is longer than 500"),
    ];
    for (fields, sentence) in cases {
        let mut body = json!({"service": "checkout", "environment": "production"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let page = app.api("POST", PATH, &token, body).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{sentence}");
        assert!(page.json()["error"].as_str().unwrap().starts_with(sentence), "{}", page.body);
    }
    assert_eq!(count(&pool, "SELECT count(*) FROM event_delivery").await, 0);
}

/// The sender's clock may be behind ours; where both times are the sender's own, the end cannot be before the start.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_end_before_the_start_changes_something_or_is_refused(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let token = app.token(TokenScope::Ingest, Role::Viewer).await;
    let start = |id: &str, told: Value| {
        let mut body = json!({"id": id, "service": "checkout", "environment": "production", "version": "1",
                              "status": "in_progress"});
        body.as_object_mut().unwrap().extend(told.as_object().unwrap().clone());
        body
    };
    assert_eq!(app.api("POST", PATH, &token, start("a", json!({}))).await.status, StatusCode::CREATED);
    let behind = (chrono::Utc::now() - chrono::TimeDelta::seconds(20)).to_rfc3339();
    let end = json!({"status": "succeeded", "finished_at": behind, "version": "2"});
    let page = app.api("PATCH", &format!("{PATH}/id:a"), &token, end).await;
    let answer = page.json();
    assert_eq!(
        (page.status, &answer["status"], &answer["version"]),
        (StatusCode::OK, &json!("succeeded"), &json!("2"))
    );
    assert_eq!(answer["attempts"], 1);

    let told = start("b", json!({"started_at": "2026-03-01T10:00:20Z"}));
    assert_eq!(app.api("POST", PATH, &token, told).await.status, StatusCode::CREATED);
    let end = json!({"status": "succeeded", "finished_at": "2026-03-01T10:00:00Z", "version": "2"});
    let page = app.api("PATCH", &format!("{PATH}/id:b"), &token, end).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", page.body);
    let sentence = page.json()["error"].as_str().unwrap().to_owned();
    assert!(sentence.starts_with("finished_at is before 2026-03-01T10:00:20Z"), "{sentence}");
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment WHERE version = '1' AND status = 'in_progress'").await, 1);
    assert_eq!(count(&pool, "SELECT count(*) FROM event_delivery").await, 3);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_webhooks_deployment_and_a_source_that_is_off_are_refused(pool: PgPool) {
    let github = Github::new(&pool).await;
    let token = github.app.token(TokenScope::Ingest, Role::Viewer).await;
    github.signed("deployment_status", "d", &status(1, "1", 0, "success", 4)).await;
    read_new(&pool).await.unwrap();
    let id = count(&pool, "SELECT deployment_id FROM deployment").await;
    let page = github.app.api("PATCH", &format!("{PATH}/{id}"), &token, json!({"status": "failed"})).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert!(page.json()["error"].as_str().unwrap().contains("the event source shop"), "{}", page.body);

    assert_eq!(github.app.api("POST", PATH, &token, body(1)).await.status, StatusCode::CREATED);
    let mut conn = pool.acquire().await.unwrap();
    let source = event_sources::find(&mut conn, event_sources::API_SOURCE).await.unwrap().unwrap();
    event_sources::set_enabled(&mut conn, source.event_source_id, false).await.unwrap();
    for page in [
        github.app.api("POST", PATH, &token, body(2)).await,
        github.app.api("PATCH", &format!("{PATH}/id:run-1"), &token, json!({"status": "failed"})).await,
    ] {
        assert_eq!(page.status, StatusCode::CONFLICT);
        assert!(page.json()["error"].as_str().unwrap().contains("switched off"), "{}", page.body);
    }
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment").await, 2);
}
