//! Tokens, people and what ends what (S09, S14, S20).

use super::support::{self, TestApp};
use axum::body::Body;
use axum::http::{Method, StatusCode};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::PgPool;

const READ: &str = "/api/v1/openapi.json";

async fn status(app: &TestApp, token: &str) -> StatusCode {
    app.api("GET", READ, token, Value::Null).await.status
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_token_counts_until_it_is_revoked_expired_or_its_owner_changes(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    for (what, change) in [
        ("revoked", "UPDATE api_token SET revoked_at = now()"),
        ("expired", "UPDATE api_token SET expires_at = now() - interval '1 second'"),
        ("owner disabled", "UPDATE user_account SET disabled_at = now()"),
        ("owner changed", "UPDATE user_account SET credentials_valid_from = now() + interval '1 second'"),
    ] {
        let token = app.token(TokenScope::Read, Role::Viewer).await;
        assert_eq!(status(&app, &token).await, StatusCode::OK, "{what}");
        sqlx::query(change).execute(&pool).await.unwrap();
        assert_eq!(status(&app, &token).await, StatusCode::UNAUTHORIZED, "{what}");
    }
}

/// S14 as a table: what a token of each scope may, in which place it is read, and when it has ended. That it is in no log
/// line, `secrets_are_neither_in_logs_nor_in_errors_nor_in_metrics` shows; what each route asks for, `trust_matrix.rs`.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn s14_scope_expiry_revoked_and_place_of_a_token(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let (sends, rules) = ("/api/v1/deployments", "/api/v1/rules");
    let unfit = StatusCode::UNPROCESSABLE_ENTITY;
    for (scope, read, send, change) in [
        (TokenScope::Read, StatusCode::OK, StatusCode::FORBIDDEN, StatusCode::FORBIDDEN),
        (TokenScope::Ingest, StatusCode::FORBIDDEN, unfit, StatusCode::FORBIDDEN),
        (TokenScope::Admin, StatusCode::OK, unfit, unfit),
    ] {
        let token = app.token(scope, Role::Finance).await;
        let name = scope.as_str();
        assert_eq!(status(&app, &token).await, read, "{name} reads");
        for (path, expected) in [(sends, send), (rules, change)] {
            let page = app.api("POST", path, &token, serde_json::json!({ "no": "such field" })).await;
            assert_eq!(page.status, expected, "{name} posts to {path}: {}", page.body);
            assert!(!page.body.contains(&token), "{}", page.body);
        }
        // Anywhere but in its header it is not looked at.
        for (method, path, header) in [
            (Method::GET, format!("{READ}?access_token={token}"), None),
            (Method::GET, format!("{READ}?token={token}"), None),
            (Method::GET, format!("{READ}/{token}"), None),
            (Method::GET, READ.to_owned(), Some(("cookie", format!("costwake_token={token}; token={token}")))),
            (Method::GET, READ.to_owned(), Some(("x-api-key", token.clone()))),
            (Method::GET, READ.to_owned(), Some(("authorization", format!("Basic {token}")))),
            (Method::POST, sends.to_owned(), None),
        ] {
            let mut request = app.request(method, &path);
            if let Some((name, value)) = &header {
                request = request.header(*name, value);
            }
            let body = serde_json::json!({ "token": token, "access_token": token }).to_string();
            let page = app.send(request.body(Body::from(body)).unwrap()).await;
            assert!(matches!(page.status, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND), "{path}: {}", page.status);
            assert!(!page.body.contains(&token), "{path}: {}", page.body);
        }
        for (what, change) in [
            ("expired", "UPDATE api_token SET expires_at = now() - interval '1 second'"),
            ("revoked", "UPDATE api_token SET expires_at = NULL, revoked_at = now()"),
        ] {
            sqlx::query(change).execute(&pool).await.unwrap();
            for (method, path) in [("GET", READ), ("POST", sends), ("POST", rules)] {
                let page = app.api(method, path, &token, Value::Null).await;
                assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{what} {name} {path}");
            }
        }
        sqlx::query("DELETE FROM api_token").execute(&pool).await.unwrap();
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_token_is_shown_once_kept_as_a_hash_and_read_from_the_header_only(pool: PgPool) {
    let app = support::app(pool.clone()).await.browser(Role::Finance, false, &[]).await;
    let made = app.post_form("/settings/tokens", &[("name", "ci"), ("scope", "read"), ("expires_days", "30")]).await;
    assert_eq!(made.status, StatusCode::OK);
    let from = made.body.find("costwake_read_").unwrap();
    let token = &made.body[from..from + "costwake_read_".len() + 64];
    assert_eq!(status(&app, token).await, StatusCode::OK);
    let list = app.get("/settings/tokens").await.body;
    assert!(!list.contains(token) && list.contains(&token[..20]));
    let dump = "SELECT count(*) FROM api_token t WHERE t::text LIKE '%' || $1 || '%'";
    let kept: i64 = sqlx::query_scalar(dump).bind(&token[20..]).fetch_one(&pool).await.unwrap();
    assert_eq!(kept, 0);
    let anonymous = TestApp { session: None, ..app.clone() };
    for query in ["token", "access_token", "authorization"] {
        let page = anonymous.get(&format!("{READ}?{query}={token}")).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    }
    for header in [format!("Basic {token}"), token.to_owned(), "Bearer ".into(), format!("Bearer {}", &token[..70])] {
        let request = anonymous.request(Method::GET, READ).header("authorization", header);
        assert_eq!(anonymous.send(request.body(Body::empty()).unwrap()).await.status, StatusCode::UNAUTHORIZED);
    }
}

/// A program reads what its owner may read in files, and no page.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_token_of_read_scope_opens_files_of_pages_and_no_page(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let config = support::config(&["--data-dir", folder.path().to_str().unwrap()]);
    let app = support::app_with(pool, config).await;
    let read = app.token(TokenScope::Read, Role::Viewer).await;
    let ingest = app.token(TokenScope::Ingest, Role::Finance).await;
    let admin = app.token(TokenScope::Read, Role::Admin).await;
    for path in ["/services.csv", "/services.json", "/services.xlsx", "/catalogue.csv", "/deployments.csv"] {
        let file = app.api("GET", path, &read, Value::Null).await;
        assert_eq!(file.status, StatusCode::OK, "{path}: {}", file.body);
        assert!(file.headers["content-disposition"].to_str().unwrap().starts_with("attachment"), "{path}");
        let refused = app.api("GET", path, &ingest, Value::Null).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(refused.json()["error"], "This token has scope ingest; read is needed.");
        let unknown = app.api("GET", path, "costwake_read_0000", Value::Null).await;
        assert_eq!(unknown.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let audit = app.api("GET", "/settings/audit.csv", &admin, Value::Null).await;
    assert_eq!(audit.status, StatusCode::OK, "{}", audit.body);
    for (path, token) in [("/settings/audit.csv", &read), ("/services.csv", &admin)] {
        let refused = app.api("GET", path, token, Value::Null).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(refused.json()["error"], "The role of this token's owner does not include this.");
    }
    let wrong = app.api("GET", "/services.csv?basis=free", &read, Value::Null).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.json()["error"].as_str().unwrap().contains("basis=free"), "{}", wrong.body);
    for path in ["/", "/services", "/settings/tokens", "/services?next=.csv", "/docs/api"] {
        let page = app.api("GET", path, &read, Value::Null).await;
        assert_eq!(
            (page.status, &page.headers["www-authenticate"]),
            (StatusCode::UNAUTHORIZED, &"Bearer".parse().unwrap())
        );
        assert!(page.json()["error"].as_str().unwrap().contains("signed in"), "{path}: {}", page.body);
        // A proxy may send a token of its own with what a browser asks for.
        let browser = app.request(Method::GET, path).header("authorization", "Bearer x").header("accept", "text/html");
        let browser = app.send(browser.body(Body::empty()).unwrap()).await;
        assert!(browser.location().starts_with("/sign-in"), "{path}: {}", browser.status);
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_role_limits_the_tokens_that_it_can_have(pool: PgPool) {
    let app = support::app(pool).await;
    for (role, scope, status) in [
        (Role::Viewer, "ingest", StatusCode::BAD_REQUEST),
        (Role::Viewer, "admin", StatusCode::BAD_REQUEST),
        (Role::Member, "admin", StatusCode::BAD_REQUEST),
        (Role::Member, "ingest", StatusCode::OK),
        (Role::Finance, "admin", StatusCode::OK),
    ] {
        let person = app.browser(role, false, &[]).await;
        let page = person.post_form("/settings/tokens", &[("name", "x"), ("scope", scope)]).await;
        assert_eq!(page.status, status, "{role:?} {scope}");
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn someone_elses_token_and_none_look_the_same(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let token = app.token(TokenScope::Read, Role::Viewer).await;
    let id = support::count(&pool, "SELECT api_token_id FROM api_token").await;
    let other = app.browser(Role::Finance, false, &[]).await;
    let foreign = other.post_form(&format!("/settings/tokens/{id}/revoke"), &[]).await;
    let absent = other.post_form("/settings/tokens/999999/revoke", &[]).await;
    assert_eq!((foreign.status, &foreign.body), (absent.status, &absent.body));
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    assert_eq!(status(&app, &token).await, StatusCode::OK);
    let admin = app.browser(Role::Admin, false, &[]).await;
    assert_eq!(admin.post_form(&format!("/settings/tokens/{id}/revoke"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(status(&app, &token).await, StatusCode::UNAUTHORIZED);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_changed_role_ends_sessions_and_tokens_and_the_last_administrator_stays(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let admin_id = app.person(Role::Admin, true, &[]).await;
    let admin = app.browser_of(admin_id).await;
    sqlx::query("UPDATE user_account SET password_hash = 'x'").execute(&pool).await.unwrap();
    let person_id = app.person(Role::Viewer, false, &[]).await;
    let (person, token) = (app.browser_of(person_id).await, app.token_of(person_id, TokenScope::Read).await);
    let path = format!("/settings/users/{person_id}");
    assert_eq!(admin.post_form(&path, &[("role", "finance")]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(person.get("/settings/profile").await.status, StatusCode::SEE_OTHER);
    assert_eq!(status(&app, &token).await, StatusCode::UNAUTHORIZED);

    let own = format!("/settings/users/{admin_id}");
    for (path, form) in [(own.clone(), vec![("role", "viewer")]), (format!("{own}/disable"), vec![])] {
        let page = admin.post_form(&path, &form).await;
        assert_eq!(page.status, StatusCode::CONFLICT, "{path}");
        assert!(page.body.contains("last administrator"), "{}", page.body);
    }
    let changes = "SELECT count(*) FROM audit_log WHERE action = 'user_role_changed'";
    assert_eq!(support::count(&pool, changes).await, 1);
}

/// Before anybody chose a password: who was invited by mistake is shut out, and one administrator stays.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_administrator_invited_by_mistake_is_shut_out(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let (right_id, wrong_id) = (app.person(Role::Admin, true, &[]).await, app.person(Role::Admin, false, &[]).await);
    let admin = app.browser_of(right_id).await;
    let disable = async |user_id: i64| admin.post_form(&format!("/settings/users/{user_id}/disable"), &[]).await;
    assert_eq!(disable(wrong_id).await.status, StatusCode::SEE_OTHER);
    let last = disable(right_id).await;
    assert_eq!(last.status, StatusCode::CONFLICT);
    assert!(last.body.contains("This is the only administrator."), "{}", last.body);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_person_is_added_with_a_link_that_is_shown_once(pool: PgPool) {
    let app = support::app(pool.clone()).await.browser(Role::Admin, false, &[]).await;
    let team = "INSERT INTO team (slug, name) VALUES ('payments', 'Payments') RETURNING team_id";
    let team: i64 = sqlx::query_scalar(team).fetch_one(&pool).await.unwrap();
    let fields = [("login", "Sam"), ("display_name", "<b>Sam</b>"), ("role", "member"), ("team_id", &team.to_string())];
    let made = app.post_form("/settings/users", &fields).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    assert!(made.body.contains("http://127.0.0.1:8080/welcome/"));
    let list = app.get("/settings/users").await.body;
    assert!(list.contains("sam") && list.contains("Payments") && list.contains("invited"));
    assert!(!list.contains("<b>Sam</b>") && !list.contains("/welcome/"));
    assert_eq!(app.post_form("/settings/users", &fields).await.status, StatusCode::CONFLICT);
    let log = app.get("/settings/audit").await.body;
    assert!(log.contains("user added"), "{log}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_audit_log_is_read_by_pages_and_never_changed(pool: PgPool) {
    let app = support::app(pool.clone()).await.browser(Role::Admin, false, &[]).await;
    let fill = "INSERT INTO audit_log (happened_at, actor, action, subject)
                SELECT now(), 'robot', 'test', 'line ' || n FROM generate_series(1, 250) n";
    sqlx::query(fill).execute(&pool).await.unwrap();
    let first = app.get("/settings/audit").await.body;
    assert!(first.contains("line 250<") && first.contains("line 151<") && !first.contains("line 150<"));
    let older = first.split("before=").nth(1).unwrap().split('"').next().unwrap();
    let second = app.get(&format!("/settings/audit?before={older}")).await.body;
    assert!(second.contains("line 150<") && second.contains("line 51<") && !second.contains("line 151<"));
    for change in ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"] {
        let error = sqlx::query(change).execute(&pool).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{change}: {error}");
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_theme_is_kept_and_the_reader_stays_on_this_site(pool: PgPool) {
    let app = support::app(pool).await;
    for (referer, back) in
        [("http://localhost:8080/services?x=1", "/services?x=1"), ("https://evil.example//other", "/"), ("", "/")]
    {
        let request = app
            .request(Method::POST, "/preferences")
            .header("sec-fetch-site", "same-origin")
            .header("referer", referer)
            .header("content-type", "application/x-www-form-urlencoded");
        let page = app.send(request.body(Body::from("theme=toggle")).unwrap()).await;
        assert_eq!(page.location(), back);
        assert!(page.headers["set-cookie"].to_str().unwrap().starts_with("theme=dark;"));
    }
    let request = app.request(Method::GET, "/sign-in").header("cookie", "theme=dark");
    let page = app.send(request.body(Body::empty()).unwrap()).await;
    assert!(page.body.contains("data-theme=\"dark\""));
}
