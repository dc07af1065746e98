use super::ledger::{costs, differences, line, load};
use super::{finance, now};
use crate::support::{count, pools};
use axum::http::StatusCode;
use costwake::rollup::remap;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::json;
use sqlx::PgPool;

/// Another name is worth a mapping at once, and no longer once it is taken away.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn another_name_maps_at_once(pool: PgPool) {
    sqlx::query("UPDATE mapping_rule SET adds_to_catalogue = false").execute(&pool).await.unwrap();
    load(&pool, "a", &[line("111", json!({"service": "Kasse Süd"}), 30, "4")]).await;
    let app = finance(&pool).await;
    assert_eq!(costs(&pool).await, ["-/- 4 USD"]);
    assert!(app.get("/unmapped").await.body.contains("no service named “Kasse Süd” (rule 1)"));
    app.post_form("/catalogue/add-service", &[("name", "Checkout"), ("aliases", "kasse süd\r\nkasse")]).await;
    assert_eq!(costs(&pool).await, ["checkout/- 4 USD"]);
    let fields = [("name", "Checkout"), ("slug", "checkout"), ("aliases", ""), ("lifecycle", "production")];
    let saved = app.post_form("/catalogue/services/checkout", &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    assert_eq!(costs(&pool).await, ["-/- 4 USD"]);
    assert_eq!(differences(&pool).await, 0);
}

/// Two loads at once that bring the same new names add each once.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_name_is_added_once(pool: PgPool) {
    let bill = [line("111", json!({"service": "New One", "env": "qa-1"}), 30, "4")];
    let loads = (0..4).map(|number| {
        let (pool, bill) = (pool.clone(), bill.clone());
        tokio::spawn(async move { load(&pool, &format!("s{number}"), &bill).await })
    });
    for load in loads.collect::<Vec<_>>() {
        load.await.unwrap();
    }
    assert_eq!(costs(&pool).await, ["new-one/qa-1 16 USD"]);
    assert_eq!(count(&pool, "SELECT count(*) FROM service").await, 1);
    assert_eq!(count(&pool, "SELECT count(*) FROM environment WHERE kind = 'test'").await, 1);
}

/// Names that are markup or formulas are text on every page and in the CSV.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn hostile_names_are_text(pool: PgPool) {
    let script = "<script>alert(1)</script>";
    load(
        &pool,
        "a",
        &[
            line("111", json!({"service": script}), 30, "4"),
            line("111", json!({"team": "\"><img src=x onerror=alert(1)>"}), 30, "4"),
        ],
    )
    .await;
    let app = finance(&pool).await;
    app.post_form("/catalogue/add-service", &[("name", "=HYPERLINK(1)"), ("slug", "h")]).await;
    for path in ["/catalogue", "/rules", "/unmapped", "/rules/new", "/catalogue/services/h"] {
        let page = app.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(!page.body.contains("<script>alert") && !page.body.contains("<img src=x"), "{path}");
    }
    assert!(app.get("/catalogue").await.body.contains("&#60;script&#62;alert"));
    assert!(app.get("/catalogue.csv").await.body.contains("'=HYPERLINK(1)"));
    let url = "/rules/preview?attribute=tag:team&operator=prefix&value=%22%3E%3Cimg&service_by=tag:team&adds=yes";
    let preview = app.get(url).await;
    assert!(preview.body.contains("(new)") && !preview.body.contains("<img"), "{}", preview.body);
}

/// What is wrong is said in a sentence, with what was filled in still there.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn errors_are_sentences(pool: PgPool) {
    let app = finance(&pool).await;
    let add = |fields: &'static [(&'static str, &'static str)]| {
        let app = app.clone();
        async move { app.post_form("/catalogue/add-service", fields).await }
    };
    assert_eq!(add(&[("name", "Checkout"), ("aliases", "kasse")]).await.status, StatusCode::SEE_OTHER);
    let taken = add(&[("name", "KASSE")]).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    assert!(
        taken.body.contains("“KASSE” already stands for checkout")
            || taken.body.contains("already stands for checkout")
    );
    assert!(taken.body.contains("value=\"KASSE\""));
    assert!(add(&[("name", " ")]).await.body.contains("A name is needed"));
    assert!(add(&[("name", "x"), ("slug", "Not A Slug")]).await.body.contains("is not a short name"));
    assert!(add(&[("name", "x"), ("team", "ghosts")]).await.body.contains("There is no team “ghosts”"));
    assert!(add(&[("name", "x"), ("tier", "ten")]).await.body.contains("A tier is a number"));
    assert_eq!(add(&[("name", "x"), ("origin", "rule")]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(app.get("/catalogue/services/ghost").await.status, StatusCode::NOT_FOUND);
    assert_eq!(count(&pool, "SELECT count(*) FROM service").await, 1);

    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let api = |method, path, body| app.api(method, path, &token, body);
    let made = api("POST", "/api/v1/environments", json!({"name": "Prod EU"})).await;
    assert_eq!((made.status, made.json()["kind"].as_str()), (StatusCode::CREATED, Some("production")));
    assert_eq!(api("POST", "/api/v1/environments", json!({"name": "prod-eu"})).await.status, StatusCode::CONFLICT);
    let patched = api("PATCH", "/api/v1/environments/prod-eu", json!({"kind": "staging", "aliases": ["PEU"]})).await;
    assert_eq!(patched.json()["aliases"], json!(["peu"]), "{}", patched.body);
    for hostile in [json!({"environment_id": 1}), json!({"origin": "user"}), json!({"kind": "nowhere"})] {
        let refused = api("PATCH", "/api/v1/environments/prod-eu", hostile).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let patched = api("PATCH", "/api/v1/services/checkout", json!({"tier": 1})).await;
    assert_eq!(patched.json()["aliases"], json!(["kasse"]), "what is absent stays");
    let patched = api("PATCH", "/api/v1/services/checkout", json!({"tier": null})).await;
    assert!(patched.json()["tier"].is_null());
    assert_eq!(
        api("POST", "/api/v1/teams", json!({"name": "Pay", "cost_center": "CC1"})).await.status,
        StatusCode::CREATED
    );
    assert_eq!(api("GET", "/api/v1/teams", json!(null)).await.json()[0]["cost_center"], "CC1");
    let reader = app.token(TokenScope::Read, Role::Finance).await;
    let refused = app.api("POST", "/api/v1/teams", &reader, json!({"name": "x"})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(count(&pool, "SELECT count(*) FROM audit_log WHERE action LIKE '%.changed'").await >= 3);
}

/// Deleting says first what follows, warns where a rule would add it again, and keeps every cent.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn deleting_shows_what_follows(pool: PgPool) {
    load(&pool, "a", &[line("111", json!({"service": "old"}), 30, "4"), line("222", json!({}), 30, "6")]).await;
    let app = finance(&pool).await;
    app.post_form("/catalogue/add-service", &[("name", "Rest")]).await;
    app.post_form("/rules", &[("service", "rest"), ("place", "last"), ("reason", "test")]).await;
    assert_eq!(costs(&pool).await, ["old/- 4 USD", "rest/- 6 USD"]);

    let ask = app.get("/catalogue/services/old/delete").await;
    assert!(ask.body.contains("It would come back at once"), "{}", ask.body);
    let ask = app.get("/catalogue/services/rest/delete").await;
    assert!(ask.body.contains("One rule names this service and goes with it"), "{}", ask.body);
    assert!(ask.body.contains("$6.00") && !ask.body.contains("come back"), "{}", ask.body);
    assert_eq!(app.post_form("/catalogue/services/rest/delete", &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(costs(&pool).await, ["-/- 6 USD", "old/- 4 USD"]);
    assert_eq!(app.post_form("/catalogue/services/rest/delete", &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(differences(&pool).await, 0);
    let report = remap::remap(&pools(&pool), "test", now()).await.unwrap();
    assert_eq!(report.keys_moved, 0);
}

/// What a script added it can take away again, as the pages do.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn entries_are_deleted_by_the_api(pool: PgPool) {
    load(&pool, "a", &[line("222", json!({}), 30, "6")]).await;
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let reader = app.token(TokenScope::Read, Role::Finance).await;
    let api = |method, path, body| app.api(method, path, &token, body);
    for (path, name) in [("services", "Rest"), ("environments", "Prod EU"), ("teams", "Pay")] {
        let added = app.api("POST", &format!("/api/v1/{path}"), &token, json!({ "name": name })).await;
        assert_eq!(added.status, StatusCode::CREATED, "{}", added.body);
    }
    app.post_form("/rules", &[("service", "rest"), ("place", "last"), ("reason", "test")]).await;
    assert_eq!(costs(&pool).await, ["rest/- 6 USD"]);
    for (path, slug) in
        [("/api/v1/services/rest", "rest"), ("/api/v1/environments/prod-eu", "prod-eu"), ("/api/v1/teams/pay", "pay")]
    {
        assert_eq!(app.api("DELETE", path, &reader, json!(null)).await.status, StatusCode::FORBIDDEN, "{path}");
        let deleted = api("DELETE", path, json!(null)).await;
        assert_eq!((deleted.status, deleted.json()), (StatusCode::OK, json!({ "deleted": slug })), "{path}");
        assert_eq!(api("DELETE", path, json!(null)).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(costs(&pool).await, ["-/- 6 USD"]);
    assert_eq!(count(&pool, "SELECT count(*) FROM audit_log WHERE action LIKE '%.deleted'").await, 3);
    assert_eq!(differences(&pool).await, 0);
}
