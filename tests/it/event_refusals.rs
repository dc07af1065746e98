//! Webhooks that are refused: counted, told on pages, and told apart.

use crate::support::{self, Page, TestApp};
use crate::webhooks::sign;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use costwake::store::Role;
use sqlx::PgPool;
use tempfile::TempDir;

const PATH: &str = "/settings/event-sources";

async fn admin(pool: &PgPool) -> (TestApp, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    let mut app = support::app_with(pool.clone(), support::config(&["--key-file", key_file.to_str().unwrap()])).await;
    app.sign_in(Role::Admin).await;
    (app, folder)
}

async fn post(app: &TestApp, path: &str, headers: &[(&str, &str)], body: &str) -> Page {
    let request = Request::builder().method(Method::POST).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    app.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

async fn set_up(app: &TestApp, pool: &PgPool, kind: &str) -> (String, String) {
    let made = app.post_form(PATH, &[("name", kind), ("kind", kind)]).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    let id = sqlx::query_scalar::<_, i64>("SELECT event_source_id FROM event_source WHERE name = $1").bind(kind);
    let id = id.fetch_one(pool).await.unwrap();
    (format!("{PATH}/{id}"), made.body)
}

/// Whoever entered a wrong secret sees it; a flood is one row, and none of what it brought is kept.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_wrong_secret_is_told_where_people_look(pool: PgPool) {
    let (app, _folder) = admin(&pool).await;
    let (page_path, made) = set_up(&app, &pool, "github").await;
    assert!(!app.get(&page_path).await.body.contains("were refused"));
    for number in 0..40 {
        let signature = sign("another", b"{}");
        let headers = [("X-GitHub-Event", "push"), ("X-Hub-Signature-256", signature.as_str())];
        // The last is one with a wrong signature.
        let headers = if number % 2 == 0 { &headers[..1] } else { &headers[..] };
        let refused = post(&app, "/webhooks/github/github", headers, "{}").await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
    for path in [PATH, page_path.as_str()] {
        let page = app.get(path).await.body;
        assert!(page.contains("40 requests were refused"), "{page}");
        assert!(page.contains("the signature does not fit. Is the secret the one that was shown"), "{page}");
    }
    // A day may end in between.
    assert!(support::count(&pool, "SELECT count(*) FROM event_source_refusal").await <= 2);
    let counted = "SELECT sum(refusal_count)::bigint FROM event_source_refusal";
    assert_eq!(support::count(&pool, counted).await, 40);

    let is_secret = |part: &&str| part.get(..64).is_some_and(|part| part.bytes().all(|b| b.is_ascii_hexdigit()));
    let secret = &made.split("<code>").find(is_secret).unwrap()[..64];
    let signature = sign(secret, b"{}");
    let headers = [("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "1"), ("X-Hub-Signature-256", signature.as_str())];
    assert_eq!(post(&app, "/webhooks/github/github", &headers, "{}").await.status, StatusCode::ACCEPTED);
    assert!(app.get(&page_path).await.body.contains("What came later was taken."));
    assert_eq!(support::count(&pool, counted).await, 40);
}

/// A kind of source, what comes with a webhook, what the answer says, and what the source's page says.
type Refused<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);

/// Each reason is told for itself.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_missing_unknown_or_old_is_told_apart(pool: PgPool) {
    let (app, _folder) = admin(&pool).await;
    let old = [("webhook-id", "1"), ("webhook-timestamp", "1614265330"), ("webhook-signature", "v1,AAAA")];
    let cases: [Refused<'_>; 5] = [
        ("bitbucket", &[], "x-hub-signature is missing", "the signature is missing"),
        ("argocd", &[], "The token is missing", "the token is missing"),
        ("atlantis", &[("authorization", "Bearer wrong")], "The token is not", "the token is unknown"),
        ("gitlab", &old, "5 minutes off", "the signature is too old"),
        ("flux", &[("x-signature", "sha256=00")], "x-signature does not fit", "the signature does not fit"),
    ];
    for (kind, headers, told, shown) in cases {
        let (page_path, _) = set_up(&app, &pool, kind).await;
        let refused = post(&app, &format!("/webhooks/{kind}/{kind}"), headers, "{}").await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{kind}");
        let error = refused.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(told), "{kind}: {error}");
        let page = app.get(&page_path).await.body;
        assert!(page.contains("1 request was refused") && page.contains(shown), "{kind}: {page}");
    }
}
