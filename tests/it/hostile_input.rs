//! Values that no page and no database can do anything with are refused with a sentence, never with a fault.

use crate::support::{self, TestApp};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::json;
use sqlx::PgPool;

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_nul_is_refused_with_a_sentence(pool: PgPool) {
    let app = support::app(pool).await;
    let nobody = |method: Method, path: &str, body: &str| {
        let request = Request::builder().method(method).uri(path).header("host", "localhost:8080");
        let request = request
            .header("sec-fetch-site", "same-origin")
            .header("x-hub-signature-256", "sha256=00")
            .header("content-type", "application/x-www-form-urlencoded");
        request.body(Body::from(body.to_owned())).unwrap()
    };
    for (path, body) in [("/webhooks/github/%00", "{}"), ("/sign-in", "login=%00&password=x")] {
        let page = app.send(nobody(Method::POST, path, body)).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(page.body.contains("NUL"), "{path}: {}", page.body);
    }
    let reader = app.browser(Role::Finance, false, &[]).await;
    for path in [
        "/services/%00",
        "/teams/%00",
        "/environments/%00",
        "/catalogue/services/%00",
        "/deployments?service=%00",
        "/deployments?q=%00",
        "/charges?provider=%00",
        "/charges.csv?resource=a%00b",
        "/services?service=%00",
        "/api/v1/costs?service=%00",
        "/search?q=%00",
    ] {
        let page = reader.get(path).await;
        assert!(page.status.is_client_error() || page.status.is_success(), "{path}: {}", page.status);
        assert_ne!(page.status, StatusCode::FORBIDDEN, "{path}");
    }
    the_api_too(&app).await;
}

async fn the_api_too(app: &TestApp) {
    let ingest = app.token(TokenScope::Ingest, Role::Finance).await;
    let admin = app.token(TokenScope::Admin, Role::Finance).await;
    let deployment = |id: &str, version: &str| {
        json!({"id": id, "service": "checkout", "environment": "production", "version": version,
               "finished_at": "2026-11-01T10:00:00Z"})
    };
    let rule = |value: &str| {
        json!({"applies_to": "costs", "service": "checkout",
               "conditions": [{"attribute": "region", "operator": "equals", "value": value}]})
    };
    let added = json!({"slug": "checkout", "name": "Checkout"});
    let added = app.api("POST", "/api/v1/services", &admin, added).await;
    assert!(added.status.is_success(), "{}", added.body);
    for (path, token, body) in [
        ("/api/v1/deployments", &ingest, deployment("a\u{0}b", "1")),
        ("/api/v1/deployments", &ingest, deployment("a", "\u{0}")),
        ("/api/v1/rules", &admin, rule("\u{0}")),
        ("/api/v1/services", &admin, json!({"slug": "a", "name": "\u{0}"})),
        ("/api/v1/teams", &admin, json!({"slug": "a", "name": "A", "cost_center": "\u{0}"})),
    ] {
        let page = app.api("POST", path, token, body.clone()).await;
        assert!(matches!(page.status.as_u16(), 400 | 422), "{path} {body}: {} {}", page.status, page.body);
        assert!(page.json()["error"].is_string(), "{path}: {}", page.body);
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn days_and_pages_beyond_the_calendar_and_all_numbers_are_refused(pool: PgPool) {
    let app = support::app(pool).await;
    let reader = app.browser(Role::Finance, false, &[]).await;
    for query in [
        "day=%2B262142-12-31",
        "day=-262143-01-01",
        "day=1066-10-14",
        "day=2026-02-30",
        "billing=9999-13",
        "page=1e999999~1~1",
        "page=1e-999999~1~1",
        "page=1~1~99999999999999999999",
    ] {
        for path in ["/charges", "/charges.csv"] {
            let page = reader.get(&format!("{path}?{query}")).await;
            let is_unused = path.ends_with("csv") && query.starts_with("page");
            assert!(page.status == StatusCode::BAD_REQUEST || is_unused && page.status.is_success(), "{path}?{query}");
        }
    }
    for day in ["2026-10-31", "2100-12-31", "1990-01-01"] {
        assert_eq!(reader.get(&format!("/charges?day={day}")).await.status, StatusCode::OK, "{day}");
    }
    for query in ["billing=9999-12", "billing=0000-01", "page=-0.000000000123~4096~17"] {
        assert_eq!(reader.get(&format!("/charges?{query}")).await.status, StatusCode::OK, "{query}");
    }
}
