//! What operations of the API take, in addresses and in bodies: what they do not know is refused in words, never passed over.

use crate::support::{self, TestApp};
use axum::body::Body;
use axum::http::{StatusCode, header};
use costwake::api::openapi;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

async fn everything(pool: &PgPool) -> (TestApp, String) {
    let app = support::app(pool.clone()).await;
    let user_id = app.person(Role::Admin, true, &[]).await;
    let token = app.token_of(user_id, TokenScope::Admin).await;
    (app, token)
}

/// One treatment for all: a parameter that an operation does not know is refused by its name, with those that it knows, and
/// so is one that is given twice.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn no_question_passes_over_a_parameter(pool: PgPool) {
    let (app, admin) = everything(&pool).await;
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (path, item) in openapi::document()["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get") else { continue };
        count += 1;
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let known: Vec<&str> =
            parameters.filter(|one| one["in"] == "query").map(|one| one["name"].as_str().unwrap()).collect();
        let place: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect();
        let place = place.join("/");
        let mut asked = vec![(format!("{place}?no_such_parameter=1"), "no_such_parameter")];
        if let Some(first) = known.first() {
            asked.push((format!("{place}?{first}=1&{first}=1"), *first));
        }
        for (asked, named) in asked {
            let page = app.api("GET", &asked, &admin, Value::Null).await;
            let is_json = page.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("application/json");
            let told = if is_json { page.json()["error"].as_str().unwrap_or_default().to_owned() } else { page.body };
            let names_all = known.iter().all(|name| told.contains(name));
            if page.status != StatusCode::BAD_REQUEST || !told.contains(named) || !names_all {
                wrong.push(format!("{asked}: {} {told}", page.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 40, "{count}");
}

/// What is refused elsewhere is not taken by a change either, and what an operation takes still reaches it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn changes_and_typed_values_are_told_in_words(pool: PgPool) {
    let (app, admin) = everything(&pool).await;
    let unknown = app.api("POST", "/api/v1/teams?dry_run=true", &admin, json!({"name": "Web"})).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST, "{}", unknown.body);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM team").await, 0);
    let nobody = app.api("GET", "/api/v1/teams?colour=red", "nonsense", Value::Null).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED, "who may not ask is told nothing else");
    for (path, said) in [
        ("/api/v1/deployments?from=2026-11-01", "for example 2026-10-31T13:00:00Z."),
        ("/api/v1/deployments?limit=ten", "limit=ten is not a whole number"),
        ("/api/v1/deliveries?after=x", "after=x is not a whole number"),
        ("/api/v1/metrics/requests/points?from=October", "from=October is not a day, for example 2026-10-31."),
    ] {
        let page = app.api("GET", path, &admin, Value::Null).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(page.json()["error"].as_str().unwrap().contains(said), "{path}: {}", page.body);
    }
    let fine = "/api/v1/deployments?from=2026-11-01T00:00:00Z&until=2026-11-02T00:00:00Z&unmapped=true&limit=5";
    assert_eq!(app.api("GET", fine, &admin, Value::Null).await.status, StatusCode::OK);
    // Where OTLP is sent, a wrong method is told as JSON too.
    let request = app.request("GET".parse().unwrap(), "/v1/metrics").body(Body::empty()).unwrap();
    let page = app.send(request).await;
    assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(page.json()["error"].is_string(), "{}", page.body);
}

/// A list in the place of an object would be read by position.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_body_is_one_object_and_its_faults_are_told_by_the_field(pool: PgPool) {
    let (app, admin) = everything(&pool).await;
    let made = app.api("POST", "/api/v1/services", &admin, json!({"name": "Search"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let patch = "/api/v1/services/search";
    for (method, path, body, said) in [
        ("POST", "/api/v1/teams", json!(["ap-array", "ap-array", null]), "send one JSON object"),
        ("PATCH", patch, json!([]), "send one JSON object"),
        ("PUT", "/api/v1/deployments/1/pin", json!([]), "send one JSON object"),
        ("POST", "/api/v1/teams", Value::Null, "The body is empty"),
        ("POST", "/api/v1/teams", json!({"name": {}}), "name is an object, and takes text"),
        ("PATCH", patch, json!({"tier": "first"}), "tier is the text \"first\", and takes a whole number"),
        ("PATCH", patch, json!({"colour": "red"}), "unknown field `colour`; the fields are name, team"),
        (
            "POST",
            "/api/v1/rates",
            json!({"billing_month": "2026-10"}),
            "billing_currency is missing: text, for example \"USD\"",
        ),
        ("POST", "/api/v1/anomalies/1/state", json!({"state": 3}), "state is 3, and takes text"),
    ] {
        let page = app.api(method, path, &admin, body).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {}", page.body);
        assert!(page.json()["error"].as_str().unwrap().contains(said), "{path}: {}", page.body);
    }
    assert_eq!(support::count(&pool, "SELECT count(*) FROM team").await, 0);
    // A change of nothing is none.
    let unchanged = app.api("PATCH", patch, &admin, json!({"name": "Search"})).await;
    assert_eq!(unchanged.status, StatusCode::OK, "{}", unchanged.body);
    let changed = "SELECT count(*) FROM audit_log WHERE action = 'service.changed'";
    assert_eq!(support::count(&pool, changed).await, 0);
    app.api("PATCH", patch, &admin, json!({"product": "Finder"})).await;
    assert_eq!(support::count(&pool, changed).await, 1);
}

/// An empty list would say that nothing was found.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_filter_that_names_nothing_there_is_refused(pool: PgPool) {
    let (app, admin) = everything(&pool).await;
    app.api("POST", "/api/v1/services", &admin, json!({"name": "Search"})).await;
    let point = json!({"points": [{"service": "search", "time": "2026-11-01", "value": 1}]});
    let written = app.api("POST", "/api/v1/metrics/requests/points", &admin, point).await;
    assert_eq!(written.status, StatusCode::OK, "{}", written.body);
    let invoice = json!({"invoice_id": "INV-1", "invoice_issuer_name": "Cloud One", "billing_currency": "USD",
        "total": "1", "billing_month": "2026-10"});
    let entered = app.api("POST", "/api/v1/invoices", &admin, invoice).await;
    assert_eq!(entered.status, StatusCode::CREATED, "{}", entered.body);
    let deployed = json!({"service": "search", "environment": "production", "repo": "acme/search"});
    let deployed = app.api("POST", "/api/v1/deployments", &admin, deployed).await;
    assert!(deployed.status.is_success(), "{}", deployed.body);
    for (path, said) in [
        ("/api/v1/deployments?service=nope", "service=nope is not known. Allowed: a slug that /api/v1/services lists."),
        ("/api/v1/deployments?environment=nope", "environment=nope is not known."),
        ("/api/v1/deployments?repo=acme/serch", "repo=acme/serch is not known."),
        ("/api/v1/deployments?from=2026-11-02T00:00:00Z&until=2026-11-01T00:00:00Z", "from lies after until."),
        ("/api/v1/deliveries?source=nope", "source=nope is not known."),
        ("/api/v1/metrics/requests/points?service=nope", "service=nope is not known."),
        ("/api/v1/invoices?cur=nope", "cur=nope is not known. Allowed: USD."),
        ("/api/v1/savings?kind=nope", "kind=nope is not known. Allowed: no-traffic, left-alone,"),
        ("/api/v1/plans?service=nope", "service=nope is not known."),
    ] {
        let page = app.api("GET", path, &admin, Value::Null).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{path}: {}", page.body);
        assert!(page.json()["error"].as_str().unwrap().contains(said), "{path}: {}", page.body);
    }
    for fine in [
        "/api/v1/deployments?service=search&status=failed",
        "/api/v1/deployments?repo=acme/search",
        "/api/v1/metrics/requests/points?service=search",
        "/api/v1/invoices?cur=usd&month=2026-09",
        "/api/v1/savings?kind=no-traffic",
        "/api/v1/plans?service=search",
    ] {
        let page = app.api("GET", fine, &admin, Value::Null).await;
        assert_eq!(page.status, StatusCode::OK, "{fine}: {}", page.body);
    }
}

/// The answers that a change may have, and what a value may be, are described.
#[test]
fn the_description_names_what_is_taken_and_answered() {
    let spec = openapi::document();
    let answer = |path: &str, method: &str, status: &str| {
        let body = &spec["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]["$ref"];
        body.as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned()
    };
    for (path, method) in [
        ("/api/v1/services/{slug}", "patch"),
        ("/api/v1/environments", "post"),
        ("/api/v1/rules/{id}", "patch"),
        ("/api/v1/splits/{id}/restore", "post"),
        ("/api/v1/deployments/{id}/pin", "delete"),
        ("/api/v1/events/{id}/pin", "put"),
    ] {
        assert_eq!(answer(path, method, "202"), "BeingWorkedIn", "{method} {path}");
    }
    for (path, method, schema) in [
        ("/api/v1/teams/{slug}", "delete", "DeletedName"),
        ("/api/v1/rules/{id}/delete", "post", "DeletedNumber"),
        ("/api/v1/invoices/{id}/delete", "post", "DeletedNumber"),
        ("/api/v1/sources/{name}/deliveries/{delivery}", "delete", "DeletedName"),
    ] {
        assert_eq!(answer(path, method, "200"), schema, "{method} {path}");
    }
    let names = |path: &str| -> Vec<&str> {
        let all = spec["paths"][path]["get"]["parameters"].as_array().into_iter().flatten();
        all.map(|one| one["name"].as_str().unwrap()).collect()
    };
    assert_eq!(names("/api/v1/costs.csv"), names("/api/v1/costs"));
    assert_eq!(names("/api/v1/costs").len(), 10);
    let schemas = &spec["components"]["schemas"];
    assert_eq!(schemas["NewPoint"]["properties"]["value"]["type"], json!(["number", "string"]));
    assert_eq!(answer("/api/v1/anomalies/{id}/state", "post", "422"), "ErrorBody");
}
