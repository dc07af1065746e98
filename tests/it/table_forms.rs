//! N11: each table of the service, as CSV, as workbook and as JSON: the same cells, for the same people.

use crate::finance::{Line, world};
use crate::support::{Page, TestApp};
use crate::trust_matrix::table;
use crate::trust_objects::{filled, with_real_names};
use crate::workbooks;
use axum::http::{StatusCode, header};
use costwake::store::Role;
use serde_json::Value;
use sqlx::PgPool;
use std::collections::BTreeSet;

/// Pages whose last part is a name or a number: page and CSV share a route.
const OF_NAMED_THINGS: [&str; 9] = [
    "/deliveries/{id}",
    "/deployments/{id}",
    "/dimensions/{name}",
    "/environments/{slug}",
    "/finance/statements/{month}",
    "/metrics/{name}",
    "/services/{slug}",
    "/sources/{id}",
    "/teams/{slug}",
];

fn is(page: &Page, kind: &str) -> bool {
    let told = page.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    page.status == StatusCode::OK && told.is_some_and(|told| told.starts_with(kind))
}

/// Compares the JSON with the CSV cell by cell, and gives how many cells have something in them.
async fn compared(browser: &TestApp, path: &str, query: &str) -> usize {
    let csv = browser.get(&format!("{path}.csv{query}")).await.body;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes());
    let mut expected: Vec<Vec<String>> =
        reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
    let page = browser.get(&format!("{path}.json{query}")).await;
    assert!(is(&page, "application/json"), "{path}: {} {}", page.status, page.body);
    let name = page.headers[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert!(name.ends_with(".json\""), "{name}");
    assert_eq!(page.headers[header::CONTENT_LENGTH].to_str().unwrap(), page.body.len().to_string());
    assert!(!page.headers.contains_key("x-costwake-typed-cells"));
    let told = page.json();
    let cells = |row: &Value| -> Vec<Value> { row.as_array().unwrap().clone() };
    let rows = [&told["columns"]].into_iter().chain(told["rows"].as_array().unwrap()).map(cells);
    let rows: Vec<Vec<Value>> = rows.collect();
    assert_eq!(rows.len(), expected.len(), "{path}");
    let mut filled = 0;
    for (cells, expected) in rows.iter().zip(&mut expected) {
        assert_eq!(cells.len(), expected.len(), "{path}: {cells:?}");
        for (cell, expected) in cells.iter().zip(expected) {
            match cell {
                Value::Null => assert_eq!(expected, ""),
                // A text that a spreadsheet would take for a formula has a sign before it in the CSV alone.
                Value::String(text) => assert!(text == expected || format!("'{text}") == *expected, "{path}: {text}"),
                other => panic!("{path}: {other} is no string"),
            }
            filled += usize::from(!cell.is_null() && cell != "");
        }
    }
    let note = |name: &str| told["notes"].as_array().unwrap().iter().find(|note| note["name"] == name).unwrap();
    assert_eq!(note("Page")["value"], path);
    assert_eq!(note("Rows")["value"], (rows.len() - 1).to_string());
    filled
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_table_has_the_same_cells_in_all_three_forms(pool: PgPool) {
    let (app, link, _folder) = filled(&pool).await;
    let event = "INSERT INTO operational_event (event_source_id, external_id, kind, status, title, started_at,
                     time_is_received, service_raw)
                 SELECT min(event_source_id), 'e1', 'feature_flag', 'on', '=1+1', '2026-10-10T10:00:00Z', false,
                     '{\"cart, old\"}' FROM event_source";
    sqlx::query(event).execute(&pool).await.unwrap();
    let browser = app.browser(Role::Admin, true, &[]).await;
    let events = browser.get("/unmapped/events.csv").await.body;
    assert!(
        events.contains(",\"cart, old\",feature flag,,,no rule matches,1,\"'=1+1\",2026-10-10T10:00:00Z"),
        "{events}"
    );
    let page = browser.get("/unmapped?show=events").await.body;
    assert!(page.contains("href=\"/unmapped/events.csv\"") && !page.contains("/unmapped.csv"), "{page}");
    for list in ["deployments", "pipelines"] {
        let page = browser.get(&format!("/unmapped?show={list}")).await.body;
        assert!(page.contains(&format!("href=\"/unmapped/{list}.csv\"")) && !page.contains("/unmapped.csv"), "{page}");
    }
    let query = "?period=2026-10&month=2026-10";
    let mut found = BTreeSet::new();
    let mut without_rows = Vec::new();
    let is_page = |path: &str| !path.starts_with("/static/") && !path.contains("{delivery}");
    for row in table().iter().filter(|row| row.method == "GET" && is_page(row.path)) {
        let stem = row.path.strip_suffix(".csv").unwrap_or(row.path);
        let path = with_real_names(&pool, stem, &link).await;
        // What may be asked of history's difference is not what the other pages are asked.
        let query = match stem {
            _ if stem.ends_with("/difference") => "?from=1&to=2",
            // The API refuses what it does not know.
            _ if stem.starts_with("/api/") => "?period=2026-10",
            _ => query,
        };
        if found.contains(stem) || !is(&browser.get(&format!("{path}.csv{query}")).await, "text/csv") {
            continue;
        }
        found.insert(stem);
        workbooks::compared(&browser, &path, query).await;
        if stem == "/deliveries/{id}" {
            let receipt = browser.get(&format!("{path}.json")).await.json();
            assert!(receipt["rejections"].is_array(), "a receipt has a JSON of its own: {receipt}");
        } else if compared(&browser, &path, query).await == 0 {
            without_rows.push(stem);
        }
    }
    let registered = table().iter().filter_map(|row| row.path.strip_suffix(".csv")).collect::<BTreeSet<_>>();
    let expected: BTreeSet<&str> = registered.into_iter().chain(OF_NAMED_THINGS).collect();
    assert_eq!(found, expected, "a table of these was not looked at");
    assert_eq!(without_rows, [""; 0]);
}

/// Who may see a CSV may see its JSON, and nobody else; what is wrong is told in JSON too.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_json_is_for_whom_its_csv_is(db: PgPool) {
    let world = world(&db).await;
    world
        .import(&[Line { cost: "12345678901234567890.123456789012", ..Line::default() }], "2026-11-02T06:00:00Z")
        .await;
    let nobody = world.app.get("/services.json?period=60d").await;
    assert_eq!(nobody.location(), "/sign-in?return_to=%2Fservices.json%3Fperiod%3D60d");
    let member = world.app.browser(Role::Member, false, &[]).await;
    let refused = member.get("/finance/invoices.json").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.json()["error"], "Your role does not include this page.");
    assert_eq!(member.get("/services.json?period=2026-10").await.json()["rows"], serde_json::json!([]));
    let finance = world.finance().await;
    let missing = finance.get("/nothing.json").await;
    assert_eq!(
        (missing.status, &missing.json()["error"]),
        (StatusCode::NOT_FOUND, &"That page does not exist.".into())
    );
    let wrong = finance.get("/services.json?period=nonsense").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.json()["error"].as_str().unwrap().starts_with("period=nonsense"), "{}", wrong.body);
    assert!(finance.get("/services.csv?period=nonsense").await.body.contains("<html"), "a page stays a page");
    assert_eq!(finance.post_form("/services.json", &[]).await.status, StatusCode::NOT_FOUND);
    let told = finance.get("/charges.json?billing=2026-10").await.json();
    let at = told["columns"].as_array().unwrap().iter().position(|name| name == "EffectiveCost").unwrap();
    assert_eq!(told["rows"][0][at], "12345678901234567890.123456789012", "every digit");
    let page = finance.get("/services?period=2026-10").await.body;
    assert!(page.contains("href=\"/services.json?period=2026-10\">JSON</a>"), "{page}");
}

fn column(csv: &str, name: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let at = reader.headers().unwrap().iter().position(|column| column == name);
    let at = at.unwrap_or_else(|| panic!("{name} is no column of {csv}"));
    reader.records().map(|row| row.unwrap()[at].to_owned()).collect()
}

/// Each list has a row in its file for what its page shows, and the page leads to the file.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_file_has_a_row_for_what_its_page_shows(pool: PgPool) {
    let (app, _, _folder) = filled(&pool).await;
    let event = "INSERT INTO operational_event (event_source_id, external_id, kind, status, title, started_at,
                     time_is_received)
                 SELECT min(event_source_id), 'e1', 'feature_flag', 'on', '=1+1', '2026-10-10T10:00:00Z', false
                 FROM event_source";
    sqlx::query(event).execute(&pool).await.unwrap();
    let browser = app.browser(Role::Admin, true, &[]).await;
    for (path, name, mark) in [
        ("/rules", "RuleId", "<tr id=\"rule-"),
        ("/splits", "SplitId", "<tr id=\"split-"),
        ("/settings/users", "Login", "<a class=\"row\" href=\"/settings/users/"),
        ("/metrics", "Metric", "<a class=\"row\" href=\"/metrics/"),
        ("/dimensions", "Dimension", "<a href=\"/dimensions/"),
        ("/tags/required", "TagKey", "/edit\">Edit<"),
    ] {
        let page = browser.get(path.strip_suffix("/required").unwrap_or(path)).await.body;
        let in_file: BTreeSet<String> =
            column(&browser.get(&format!("{path}.csv")).await.body, name).into_iter().collect();
        assert!(!in_file.is_empty(), "{path}");
        assert_eq!(page.matches(mark).count(), in_file.len(), "{path}: {in_file:?}");
        for form in ["csv", "xlsx", "json"] {
            assert!(page.contains(&format!("href=\"{path}.{form}\"")), "{path} does not lead to its {form}");
        }
    }
    let page = browser.get("/events?period=2026-10").await.body;
    assert!(page.contains("href=\"/events.csv?period=2026-10\""), "{page}");
    let october = browser.get("/events.csv?period=2026-10").await.body;
    assert_eq!(column(&october, "Title"), ["'=1+1"]);
    assert_eq!(column(&october, "Kind"), ["feature flag"]);
    for narrower in ["period=2026-09", "service=alpha-svc"] {
        let events = browser.get(&format!("/events.csv?{narrower}")).await.body;
        assert_eq!(column(&events, "Title"), [""; 0], "{narrower}");
    }
    assert_eq!(browser.get("/events.csv?env=nowhere").await.status, StatusCode::BAD_REQUEST);
}

/// Who sees no money on a page sees none in its file, and nobody sees what others sign in with.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn files_of_lists_show_what_their_pages_show(pool: PgPool) {
    let (app, _, _folder) = filled(&pool).await;
    let (finance, admin) = (app.browser(Role::Admin, true, &[]).await, app.browser(Role::Admin, false, &[]).await);
    for (path, name) in [("/rules.csv", "EffectiveCost"), ("/splits.csv", "MovedEffectiveCost")] {
        let hidden = column(&admin.get(path).await.body, name);
        assert!(!hidden.is_empty() && hidden.iter().all(String::is_empty), "{path}: {hidden:?}");
    }
    let rules = column(&finance.get("/rules.csv").await.body, "EffectiveCost");
    assert!(rules.iter().any(|cost| !cost.is_empty()), "{rules:?}");
    let users = finance.get("/settings/users.csv").await.body;
    assert!(!users.contains("argon2") && !users.contains("/welcome/"), "{users}");
}

/// The log is read in several parts, and none of its lines is missing; a decision's money is for finance.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_file_of_the_audit_log_has_all_of_its_lines(pool: PgPool) {
    let (app, _, _folder) = filled(&pool).await;
    let lines = "INSERT INTO audit_log (happened_at, actor, action, subject, details)
                 SELECT now(), '=ann', 'delivery.accepted', n::text, '{\"totals\": {\"USD\": \"777.77\"}}'
                 FROM generate_series(1, 4500) n";
    sqlx::query(lines).execute(&pool).await.unwrap();
    let browser = app.browser(Role::Admin, true, &[]).await;
    let admin = app.browser(Role::Admin, false, &[]).await;
    let log = browser.get("/settings/audit.csv").await.body;
    let mut expected: Vec<i64> =
        sqlx::query_scalar("SELECT audit_log_id FROM audit_log ORDER BY 1 DESC").fetch_all(&pool).await.unwrap();
    let numbers = |log: &str| -> Vec<i64> { column(log, "Line").iter().map(|line| line.parse().unwrap()).collect() };
    assert_eq!(numbers(&log), expected);
    assert!(log.contains("\"'=ann\"") && log.contains("777.77"));
    let older = browser.get(&format!("/settings/audit.csv?before={}", expected[100])).await.body;
    assert_eq!(numbers(&older), expected.split_off(101), "as the second page of the log goes on");
    let between = format!("/settings/audit.csv?before={}&after={}", expected[90], expected[93]);
    let between = browser.get(&between).await.body;
    assert_eq!(between.lines().count(), 3, "two lines between those, below the header: {between}");
    assert_eq!(browser.get("/settings/audit.csv?after=x").await.status, StatusCode::BAD_REQUEST);
    let hidden = admin.get("/settings/audit.csv").await.body;
    assert!(!hidden.contains("777.77") && hidden.contains("open to finance"));
    assert!(browser.get("/settings/audit").await.body.contains("href=\"/settings/audit.csv\""));
    assert_eq!(browser.get("/settings/audit.csv?before=x").await.status, StatusCode::BAD_REQUEST);
}
