//! `/api/v1/deployments`: recorded once, mended by PATCH, listed page by page.

use crate::support::{self, TestApp};
use axum::http::{Method, Request, StatusCode, header};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

const PATH: &str = "/api/v1/deployments";

async fn app(pool: &PgPool) -> (TestApp, String) {
    let app = support::app(pool.clone()).await;
    let token = app.token(TokenScope::Ingest, Role::Viewer).await;
    (app, token)
}

async fn post_with_key(app: &TestApp, token: &str, key: &str, body: &Value) -> support::Page {
    let request = Request::builder()
        .method(Method::POST)
        .uri(PATH)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("Idempotency-Key", key);
    app.send(request.body(body.to_string().into()).unwrap()).await
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_deployment_is_recorded_and_mapped_at_once(pool: PgPool) {
    let (app, token) = app(&pool).await;
    let body = json!({
        "service": "Checkout", "environment": "production", "version": "2.1", "started_at": 1772359200,
        "finished_at": "2026-03-01T10:04:00Z", "url": "https://ci.example.com/1", "actor": "octo",
        "commits": [{"repo": "acme/shop", "sha": "ABCDEF0123"}], "attributes": {"region": "eu"}
    });
    let page = app.api("POST", PATH, &token, body).await;
    assert_eq!(page.status, StatusCode::CREATED, "{}", page.body);
    let answer = page.json();
    assert_eq!(answer["is_mapped"], true);
    assert_eq!(answer["services"][0]["slug"], "checkout");
    assert_eq!(answer["environment"]["kind"], "production");
    assert_eq!((&answer["status"], &answer["sha"]), (&json!("succeeded"), &json!("abcdef0123")));
    assert_eq!(answer["started_at"], "2026-03-01T10:00:00Z");
    assert_eq!(answer["finished_at"], "2026-03-01T10:04:00Z");
    assert_eq!(answer["attributes"], json!({"region": "eu"}));
    assert_eq!(support::count(&pool, "SELECT count(*) FROM event_delivery WHERE state = 'done'").await, 1);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn sending_again_is_harmless_and_another_body_is_refused(pool: PgPool) {
    let (app, token) = app(&pool).await;
    let body = json!({"id": "run-7", "service": "checkout", "environment": "production", "version": "1"});
    let first = app.api("POST", PATH, &token, body.clone()).await;
    let again = app.api("POST", PATH, &token, body.clone()).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::OK));
    assert_eq!(first.body, again.body);
    let mut other = body.clone();
    other["version"] = json!("2");
    let refused = app.api("POST", PATH, &token, other.clone()).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.json()["error"].as_str().unwrap().contains("PATCH"), "{}", refused.body);
    // The id is taken also where the key is another one.
    assert_eq!(post_with_key(&app, &token, "k1", &other).await.status, StatusCode::CONFLICT);

    let keyed = json!({"service": "checkout", "environment": "production", "version": "3"});
    assert_eq!(post_with_key(&app, &token, "k2", &keyed).await.status, StatusCode::CREATED);
    assert_eq!(post_with_key(&app, &token, "k2", &keyed).await.status, StatusCode::OK);
    assert_eq!(post_with_key(&app, &token, "k2", &body).await.status, StatusCode::CONFLICT);
    // Without key, id and times nothing says that two are one.
    assert_eq!(app.api("POST", PATH, &token, keyed.clone()).await.status, StatusCode::CREATED);
    assert_eq!(app.api("POST", PATH, &token, keyed).await.status, StatusCode::CREATED);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM deployment").await, 4);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_start_is_finished_by_patch(pool: PgPool) {
    let (app, token) = app(&pool).await;
    let start = json!({"id": "a/7", "service": "checkout", "environment": "staging", "status": "in_progress",
                       "started_at": "2026-03-01T10:00:00Z"});
    let started = app.api("POST", PATH, &token, start).await;
    assert_eq!((started.status, &started.json()["status"]), (StatusCode::CREATED, &json!("in_progress")));
    let finish = json!({"status": "succeeded", "finished_at": "2026-03-01T10:09:00Z", "version": "5"});
    let finished = app.api("PATCH", &format!("{PATH}/id:a%2F7"), &token, finish.clone()).await;
    assert_eq!(finished.status, StatusCode::OK, "{}", finished.body);
    let answer = finished.json();
    assert_eq!((&answer["status"], &answer["version"]), (&json!("succeeded"), &json!("5")));
    assert_eq!(answer["started_at"], "2026-03-01T10:00:00Z");
    assert_eq!(answer["finished_at"], "2026-03-01T10:09:00Z");
    // By number too; details alone leave the state.
    let path = format!("{PATH}/{}", answer["deployment_id"]);
    let detail = app.api("PATCH", &path, &token, json!({"url": "https://ci.example.com/7"})).await.json();
    assert_eq!((&detail["status"], &detail["url"]), (&json!("succeeded"), &json!("https://ci.example.com/7")));
    assert_eq!(app.api("PATCH", &format!("{PATH}/999"), &token, finish).await.status, StatusCode::NOT_FOUND);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_wrong_is_named(pool: PgPool) {
    let (app, token) = app(&pool).await;
    let cases = [
        (json!({"service": "a"}), "environment is missing"),
        (json!({"environment": "production"}), "service is missing"),
        (json!({"service": "a", "environment": "p", "enviroment": "x"}), "unknown field `enviroment`"),
        (json!({"service": "a", "environment": "p", "status": "done"}), "status \"done\" is not known"),
        (json!({"service": "a", "environment": "p", "url": "javascript:alert(1)"}), "url must be"),
        (json!({"service": "a", "environment": "p", "commits": [{"sha": "main"}]}), "commits: sha \"main\""),
        (
            json!({"service": "a", "environment": "p", "started_at": "yesterday"}),
            "started_at \"yesterday\" is not a time",
        ),
        (json!({"service": "a", "environment": "p", "finished_at": "0001-01-01T00:00:00Z"}), "finished_at"),
        (json!({"service": "a", "environment": "p", "version": "x".repeat(501)}), "version is longer"),
        (json!([]), "The body does not fit"),
    ];
    for (body, sentence) in cases {
        let page = app.api("POST", PATH, &token, body.clone()).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let error = page.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(sentence), "{body}: {error}");
    }
    assert_eq!(support::count(&pool, "SELECT count(*) FROM event_delivery").await, 0);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_list_is_filtered_and_goes_page_by_page(pool: PgPool) {
    let (app, token) = app(&pool).await;
    for hour in 1..=5 {
        let body = json!({"service": if hour % 2 == 0 { "cart" } else { "checkout" }, "environment": "production",
                          "version": hour.to_string(), "finished_at": format!("2026-03-01T{hour:02}:00:00Z")});
        assert_eq!(app.api("POST", PATH, &token, body).await.status, StatusCode::CREATED);
    }
    let unmapped = json!({"repo": "acme/infra", "environment": "production", "version": "6"});
    assert_eq!(app.api("POST", PATH, &token, unmapped).await.status, StatusCode::CREATED);
    // An ingest token does not read.
    assert_eq!(app.api("GET", PATH, &token, Value::Null).await.status, StatusCode::FORBIDDEN);
    let token = app.token(TokenScope::Read, Role::Viewer).await;
    let versions = async |query: &str| {
        let page = app.api("GET", &format!("{PATH}?{query}"), &token, Value::Null).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let answer = page.json();
        let list = answer["deployments"].as_array().unwrap().iter();
        let versions: Vec<_> = list.map(|one| one["version"].as_str().unwrap().to_owned()).collect();
        (versions.join(" "), answer["next"].as_str().map(str::to_owned))
    };
    assert_eq!(versions("").await, ("6 5 4 3 2 1".into(), None));
    assert_eq!(versions("service=cart").await.0, "4 2");
    assert_eq!(versions("unmapped=true").await.0, "6");
    assert_eq!(versions("from=2026-03-01T02:00:00Z&until=2026-03-01T04:00:00Z").await.0, "3 2");
    let (first, next) = versions("limit=4").await;
    assert_eq!(first, "6 5 4 3");
    assert_eq!(versions(&format!("limit=4&after={}", next.unwrap())).await, ("2 1".into(), None));
    assert_eq!(app.api("GET", &format!("{PATH}?limit=0"), &token, Value::Null).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        app.api("GET", &format!("{PATH}?nonsense=1"), &token, Value::Null).await.status,
        StatusCode::BAD_REQUEST
    );
}

/// A changed rule moves deployments to another place, and their neighbors there are judged again.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_changed_rule_judges_the_history_again(pool: PgPool) {
    let (app, token) = app(&pool).await;
    for (environment, hour) in [("production", 1), ("live", 2)] {
        let body = json!({"id": environment, "service": "checkout", "environment": environment, "version": "7",
                          "finished_at": format!("2026-03-01T{hour:02}:00:00Z")});
        assert_eq!(app.api("POST", PATH, &token, body).await.status, StatusCode::CREATED);
    }
    let superseded = "SELECT count(*) FROM deployment WHERE superseded_at IS NOT NULL";
    assert_eq!(support::count(&pool, superseded).await, 0);
    sqlx::query(
        "INSERT INTO mapping_rule (position, applies_to, conditions, environment_id, created_by)
         SELECT 1, 'deployments', '[{\"attribute\":\"environment\",\"operator\":\"equals\",\"value\":\"live\"}]',
                environment_id, 'test' FROM environment WHERE slug = 'production'",
    )
    .execute(&pool)
    .await
    .unwrap();
    costwake::rollup::remap::remap(&app.state.pools, "test", chrono::Utc::now()).await.unwrap();
    assert_eq!(support::count(&pool, superseded).await, 1);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM deployment_service WHERE is_noop").await, 1);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn one_that_nobody_ended_is_stale_everywhere(pool: PgPool) {
    let (app, token) = app(&pool).await;
    let started = |hours: i64| (chrono::Utc::now() - chrono::TimeDelta::hours(hours)).timestamp();
    let mut ids = Vec::new();
    for (id, hours) in [("old", 25), ("new", 23)] {
        let body = json!({"id": id, "service": "checkout", "environment": "production", "version": id,
                          "status": "in_progress", "started_at": started(hours)});
        let page = app.api("POST", PATH, &token, body).await;
        assert_eq!(page.status, StatusCode::CREATED, "{}", page.body);
        assert_eq!(page.json()["is_stale"], id == "old", "{}", page.body);
        ids.push(page.json()["deployment_id"].as_i64().unwrap());
    }
    let reader = app.browser(Role::Viewer, false, &[]).await;
    assert_eq!(reader.get("/deployments").await.body.matches("stale:").count(), 1);
    assert!(reader.get(&format!("/deployments/{}", ids[0])).await.body.contains("stale:"));
    assert!(!reader.get(&format!("/deployments/{}", ids[1])).await.body.contains("stale:"));
}
