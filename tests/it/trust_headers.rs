//! What every answer carries (S18), what is public (S05), and that secrets stay secret (S41).

use super::support::{self, Page, TestApp};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use costwake::web::{self, Policy, telemetry};
use sqlx::PgPool;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// Holds an answer against what all of them carry.
pub fn is_safe(page: &Page, what: &str) {
    let value = |name: &str| page.headers.get(name).map_or("", |value| value.to_str().unwrap());
    let policy = value("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{what}: {policy}");
    assert!(!policy.contains("data:") && policy.contains("img-src 'self';"), "{what}: {policy}");
    assert!(!policy.contains("unsafe"), "{what}: {policy}");
    assert_eq!(value("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(value("referrer-policy"), "same-origin", "{what}");
    assert_eq!(value("cross-origin-opener-policy"), "same-origin", "{what}");
    assert_eq!(value("cross-origin-resource-policy"), "same-origin", "{what}");
    assert_eq!(value("x-request-id").len(), 16, "{what}");
    assert!(page.headers.get("server").is_none(), "{what}");
    let cache = value("cache-control");
    if what == "static" {
        assert_eq!(cache, "public, max-age=31536000, immutable");
    } else {
        assert!(cache.contains("no-store"), "{what}: {cache}");
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_kind_of_answer_carries_the_headers(pool: PgPool) {
    let mut app = support::app(pool.clone()).await;
    let breaks = || async {
        if true {
            panic!("a handler breaks");
        }
        ""
    };
    let routes = web::routes(app.state.clone()).get("/test/panic", Policy::Public, breaks);
    app.router = web::finish(routes.webhook("/webhooks/test/panic", breaks));
    let person = app.browser(Role::Viewer, false, &[]).await;
    let huge = app
        .request(Method::POST, "/sign-in")
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(vec![b'a'; (1 << 20) + 1]))
        .unwrap();
    let post = |path: &str| app.send(app.request(Method::POST, path).body(Body::empty()).unwrap());
    let answers = [
        ("page", person.get("/settings/profile").await, StatusCode::OK),
        ("sign-in", app.get("/sign-in").await, StatusCode::OK),
        ("redirect", app.get("/settings/profile").await, StatusCode::SEE_OTHER),
        ("forbidden", person.get("/settings/users").await, StatusCode::FORBIDDEN),
        ("unknown", app.get("/no/such/page").await, StatusCode::NOT_FOUND),
        ("unknown of the API", app.get("/api/v1/no-such").await, StatusCode::NOT_FOUND),
        ("wrong method", app.post_form("/healthz", &[]).await, StatusCode::METHOD_NOT_ALLOWED),
        ("no token", app.get("/api/v1/openapi.json").await, StatusCode::UNAUTHORIZED),
        ("incomplete form", app.post_form("/sign-in", &[]).await, StatusCode::UNPROCESSABLE_ENTITY),
        ("too large", app.send(huge).await, StatusCode::PAYLOAD_TOO_LARGE),
        ("health", app.get("/healthz").await, StatusCode::OK),
        ("static", app.get(&web::assets::url("app.css")).await, StatusCode::OK),
        ("panic", app.get("/test/panic").await, StatusCode::INTERNAL_SERVER_ERROR),
        ("webhook", post("/webhooks/github/none").await, StatusCode::NOT_FOUND),
        ("webhook that panics", post("/webhooks/test/panic").await, StatusCode::INTERNAL_SERVER_ERROR),
        ("webhook by GET", app.get("/webhooks/github/none").await, StatusCode::METHOD_NOT_ALLOWED),
        ("no webhook", post("/webhooks/none").await, StatusCode::NOT_FOUND),
    ];
    for (what, page, status) in &answers {
        assert_eq!(page.status, *status, "{what}");
        is_safe(page, what);
        assert!(page.headers.get(header::STRICT_TRANSPORT_SECURITY).is_none(), "{what}");
    }
    let panicked = &answers.iter().find(|(what, ..)| *what == "panic").unwrap().1;
    assert!(panicked.body.contains("Something went wrong on our side"), "{}", panicked.body);
    assert!(!panicked.body.contains("a handler breaks"));
    let id = panicked.headers["x-request-id"].to_str().unwrap();
    assert!(panicked.body.contains(id), "the page names the request");
    // A page of an error leads on: by its navigation, and by another try where that can help.
    let body = |name: &str| &answers.iter().find(|(what, ..)| *what == name).unwrap().1.body;
    let leads_on =
        |name: &str| body(name).contains(r#"<nav class="nav""#) && body(name).contains(r#"href="/services""#);
    assert!(leads_on("panic") && leads_on("unknown") && leads_on("incomplete form"));
    assert!(body("panic").contains("Try again") && !body("unknown").contains("Try again"));
    assert!(body("incomplete form").contains("what you entered is still there"), "{}", body("incomplete form"));
    for (what, page, _) in answers.iter().filter(|(what, ..)| what.contains("webhook") || what.contains("of the API")) {
        assert!(page.json()["error"].is_string(), "{what}: {}", page.body);
    }

    let https = support::app_with(pool, support::config(&["--public-url", "https://costs.example.com"])).await;
    for path in ["/sign-in", "/webhooks/github/none"] {
        assert!(https.get(path).await.headers.contains_key(header::STRICT_TRANSPORT_SECURITY), "{path}");
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_public_tells_nothing(pool: PgPool) {
    let app = support::app(pool).await;
    let login = app.browser(Role::Admin, true, &[]).await.get("/settings/profile").await;
    assert!(login.body.contains("person-"));
    for path in ["/sign-in", "/welcome/none", "/healthz", "/readyz", "/no/such/page", "/api/v1/none"] {
        let body = app.get(path).await.body;
        for secret in [env!("CARGO_PKG_VERSION"), "person-", "postgres", "COSTWAKE_"] {
            assert!(!body.contains(secret), "{path} tells {secret}: {body}");
        }
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn secrets_are_neither_in_logs_nor_in_errors_nor_in_metrics(pool: PgPool) {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(move || writer.clone()).finish();
    // Of the whole program: one of this thread alone would miss lines whose place another thread saw first.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let metrics = telemetry::recorder().unwrap();

    let app = support::app(pool).await;
    let person = app.browser(Role::Admin, true, &[]).await;
    let token = app.token(TokenScope::Read, Role::Viewer).await;
    let session = person.session.clone().unwrap();
    let answers = [
        app.post_form("/sign-in", &[("login", "canary-login"), ("password", "canary-password")]).await,
        app.post_form("/sign-in", &[("password", "canary-field")]).await,
        app.get("/welcome/canary-link").await,
        app.post_form("/welcome/canary-link", &[("password", "canary-password"), ("password_again", "x")]).await,
        app.get("/sign-in?return_to=/x&token=canary-query").await,
        app.api("GET", "/api/v1/openapi.json", "canary-token", serde_json::Value::Null).await,
        app.api("GET", "/api/v1/openapi.json", &token, serde_json::Value::Null).await,
        app.api("POST", "/api/v1/deployments", &token, serde_json::json!({"service": "canary-body"})).await,
        person.get("/settings/profile").await,
        TestApp { session: Some("canary-session".repeat(5)), ..app.clone() }.get("/settings/profile").await,
    ];
    let mut told: Vec<(&str, String)> = vec![
        ("log", String::from_utf8_lossy(&lines.0.lock().unwrap()).into_owned()),
        ("metrics", telemetry::render(&metrics, &app.state.pools)),
    ];
    assert!(told[0].1.contains("/welcome/{link}"), "the log has a line a request: {}", told[0].1);
    assert!(told[1].1.contains("costwake_http_requests_total"));
    // What somebody typed as a login comes back in the form; nothing else does.
    told.extend(answers.iter().map(|page| ("answer", page.body.replace("canary-login", ""))));
    for (where_, text) in &told {
        for secret in ["canary-", token.as_str(), session.as_str()] {
            let text = text.replace("/welcome/canary-link", "");
            assert!(!text.contains(secret), "{where_} has {secret}: {text}");
        }
    }
}
