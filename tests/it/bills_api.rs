//! Sources and deliveries for programs: what waits is found without a page.

use crate::ledger::{Line, bill, import_as_of};
use crate::support;
use axum::http::StatusCode;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn deliveries_are_listed_by_source_state_and_period_page_by_page(pool: PgPool) {
    let line = |month, cost| bill(&[Line::of(month, 3, "shop", cost)]);
    let october = import_as_of(&pool, "acme", &line("2026-10", "1"), 2).await.delivery_id;
    let faulty = bill(&[Line::of("2026-10", 3, "shop", "2"), Line::of("2026-10", 4, "shop", "abc")]);
    let waiting = import_as_of(&pool, "acme", &faulty, 3).await;
    assert_eq!(waiting.state, "quarantined");
    let other = import_as_of(&pool, "other", &line("2026-09", "4"), 3).await.delivery_id;
    let unread = import_as_of(&pool, "acme", "this is no bill\n", 4).await.delivery_id;
    let app = support::app(pool.clone()).await;
    let token = app.token(TokenScope::Read, Role::Finance).await;
    let get = async |path: &str| app.api("GET", path, &token, Value::Null).await;
    let ids = async |query: &str| {
        let list = get(&format!("/api/v1/deliveries{query}")).await.json();
        let rows = list["deliveries"].as_array().unwrap().iter();
        (rows.map(|row| row["delivery_id"].as_i64().unwrap()).collect::<Vec<_>>(), list["next"].clone())
    };
    let waiting = waiting.delivery_id;
    assert_eq!(ids("").await, (vec![unread, other, waiting, october], Value::Null));
    assert_eq!(ids("?state=quarantined").await.0, [waiting]);
    assert_eq!(ids("?source=acme&period=2026-10").await.0, [waiting, october]);
    assert_eq!(ids("?period=2026-09").await.0, [other]);
    assert_eq!(ids("?source=acme&state=refused").await.0, [unread], "it told no source, and was handed in for one");
    assert_eq!(ids("?limit=3").await, (vec![unread, other, waiting], json!(waiting)));
    assert_eq!(ids(&format!("?limit=3&after={waiting}")).await, (vec![october], Value::Null));
    let row = get("/api/v1/deliveries?state=quarantined").await.json()["deliveries"][0].clone();
    assert_eq!((&row["source"], &row["rows"], &row["rejected_rows"]), (&json!("acme"), &json!(2), &json!(1)), "{row}");
    assert_eq!(row["billing_periods"], json!(["2026-10-01"]));
    for (query, said) in [
        ("state=moon", "Allowed: waiting, loading"),
        ("period=autumn", "period=autumn"),
        ("limit=0", "limit must be from 1 to 500."),
        ("perod=2026-10", "This does not know perod. It takes, once each: source, state, period, after, limit."),
    ] {
        let wrong = get(&format!("/api/v1/deliveries?{query}")).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(wrong.json()["error"].as_str().unwrap().contains(said), "{}", wrong.body);
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn sources_are_listed_with_their_state_and_the_day_that_the_page_names(pool: PgPool) {
    let lines: Vec<Line> = (1..=3).map(|day| Line::of("2026-10", day, "shop", "1")).collect();
    import_as_of(&pool, "acme", &bill(&lines), 2).await;
    import_as_of(&pool, "acme", "this is no bill\n", 4).await;
    // A day that had not ended when its bill was made is not complete in it.
    let today: Vec<Line> = (1..=5).map(|day| Line::of("2026-11", day, "shop", "1")).collect();
    import_as_of(&pool, "acme", &bill(&today), 5).await;
    let app = support::app(pool.clone()).await;
    let token = app.token(TokenScope::Read, Role::Admin).await;
    let get = async |path: &str| app.api("GET", path, &token, Value::Null).await;
    let all = get("/api/v1/sources").await.json();
    let source = &all[0];
    assert_eq!(source["complete_to"], "2026-11-04", "{source}");
    assert_eq!(source["last_charge_date"], "2026-11-05", "{source}");
    assert_eq!((&source["name"], &source["delivery_count"]), (&json!("acme"), &json!(3)), "{source}");
    let state = source["state"].as_str().unwrap();
    assert_eq!(get(&format!("/api/v1/sources?state={state}")).await.json().as_array().unwrap().len(), 1);
    assert_eq!(get("/api/v1/sources?state=no-bill").await.json(), json!([]));
    assert_eq!(get("/api/v1/sources?state=moon").await.status, StatusCode::BAD_REQUEST);
    let finance = app.browser(Role::Finance, false, &[]).await;
    let csv = finance.get("/sources.csv").await.body;
    assert!(csv.contains("2026-11-04") && !csv.contains("2026-11-05,"), "{csv}");
    let page = finance.get("/sources").await.body;
    assert!(page.contains("<time datetime=\"2026-11-04\">"), "{page}");
    assert!(!page.contains("<time datetime=\"2026-11-05\">"), "{page}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_no_number_is_refused_in_words_and_the_description_names_all_answers(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let token = app.token(TokenScope::Read, Role::Finance).await;
    let wrong = app.api("GET", "/api/v1/deliveries/abc", &token, Value::Null).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert_eq!(wrong.json()["error"], "In the address, “abc” stands where a number is expected, such as 12.");
    let spec = app.api("GET", "/api/v1/openapi.json", &token, Value::Null).await.json();
    let receipt = &spec["paths"]["/api/v1/deliveries/{id}"]["get"]["responses"]["200"]["content"]["application/json"];
    assert_eq!(receipt["schema"]["$ref"], "#/components/schemas/Receipt", "{receipt}");
    let schemas = &spec["components"]["schemas"];
    assert_eq!(schemas["Receipt"]["properties"]["totals"]["items"]["$ref"], "#/components/schemas/ReceiptTotal");
    assert!(schemas["Total"]["properties"]["cost_with_adjustments"].is_object(), "the totals of /costs are their own");
    for (path, item) in spec["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for status in ["400", "401", "403"] {
                assert!(operation["responses"][status].is_object(), "{method} {path} {status}");
            }
        }
    }
    assert!(spec["components"]["responses"]["NoToken"]["content"]["application/json"].is_object());
}

/// What a refusal names is there to be read, also without the project's files.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_refused_file_leads_to_what_is_read(pool: PgPool) {
    let unread = import_as_of(&pool, "acme", "this is no bill\n", 4).await;
    let finance = support::app(pool.clone()).await.browser(Role::Finance, false, &[]).await;
    let receipt = finance.get(&format!("/deliveries/{}", unread.delivery_id)).await.body;
    assert!(receipt.contains("href=\"/docs/formats.md\""), "{receipt}");
    assert!(receipt.contains("no line was read") && !receipt.contains("every line could be read"), "{receipt}");
    let formats = finance.get("/docs/formats.md").await;
    assert_eq!(formats.status, StatusCode::OK);
    assert!(formats.body.starts_with("# Formats"), "{}", formats.body);
    let index = finance.get("/docs").await.body;
    for path in ["/docs/method", "/docs/api", "/docs/formats.md", "/docs/connect/argocd.md"] {
        assert!(index.contains(&format!("href=\"{path}\"")), "{path}");
    }
}

/// A month without a bill is a note of the periods that hold its days, and of no other.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn notes_on_costs_are_of_the_months_that_are_asked_for(pool: PgPool) {
    for (month, received) in [("2026-05", 2), ("2026-07", 3), ("2026-08", 4), ("2026-10", 5)] {
        let lines: Vec<Line> = (1..=28).map(|day| Line::of(month, day, "shop", "1")).collect();
        import_as_of(&pool, "acme", &bill(&lines), received).await;
    }
    let app = support::app(pool.clone()).await;
    let token = app.token(TokenScope::Read, Role::Finance).await;
    for (query, gaps) in [
        ("view=billing&period=2026-06", vec!["2026-06"]),
        ("view=billing&period=2026-07", vec![]),
        ("view=billing&period=2026-10", vec![]),
        ("view=billing&period=2026-12", vec![]),
        ("period=2026-08-15..2026-09-15", vec!["2026-09"]),
    ] {
        let costs = app.api("GET", &format!("/api/v1/costs?{query}"), &token, Value::Null).await.json();
        let notes: Vec<&str> = costs["notes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let notes = notes.join(" ");
        for month in ["2026-06", "2026-09"] {
            let said = notes.contains(&format!("acme has no bill for {month}"));
            assert_eq!(said, gaps.contains(&month), "{query}: {notes}");
        }
    }
}
