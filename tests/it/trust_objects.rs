//! With real bills, deployments and people: opening whatever there is changes nothing (S17), and nobody sees the
//! money of others (S20).

use crate::ledger::{Line, bill, import_as_of};
use crate::support::{self, TestApp};
use crate::trust_matrix::table;
use axum::http::{StatusCode, header};
use chrono::{TimeDelta, Utc};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use costwake::web::welcome::new_link;
use serde_json::json;
use sqlx::PgPool;
use tempfile::TempDir;

// Two teams with a service each, a bill in two versions, deployments, an event, a link that nobody used.
pub async fn filled(pool: &PgPool) -> (TestApp, String, TempDir) {
    let text = |alpha: &str, beta: &str| {
        bill(&[Line::of("2026-10", 3, "alpha-svc", alpha), Line::of("2026-10", 4, "beta-svc", beta)])
    };
    import_as_of(pool, "acme", &text("1", "2"), 2).await;
    import_as_of(pool, "acme", &text("1111.25", "2222.75"), 3).await;
    let set_up = "INSERT INTO source_setting (source_id, kind, layout, restatement, created_at, created_by, changed_at)
                  SELECT source_id, 'push', 'files', 'overwrite', now(), 'ann', now() FROM source";
    sqlx::query(set_up).execute(pool).await.unwrap();
    for team in ["alpha", "beta"] {
        let sql = "WITH t AS (INSERT INTO team (slug, name) VALUES ($1, $1) RETURNING team_id)
                   UPDATE service SET team_id = t.team_id FROM t WHERE service.slug = $1 || '-svc'";
        assert_eq!(sqlx::query(sql).bind(team).execute(pool).await.unwrap().rows_affected(), 1);
    }
    let folder = tempfile::tempdir().unwrap();
    let app = support::app_with(pool.clone(), support::config(&["--data-dir", folder.path().to_str().unwrap()])).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    for (service, version) in [("alpha-svc", "1"), ("beta-svc", "2")] {
        let body = json!({"id": version, "service": service, "environment": "production", "version": version,
                          "finished_at": "2026-10-10T10:00:00Z"});
        assert_eq!(app.api("POST", "/api/v1/deployments", &token, body).await.status, StatusCode::CREATED);
    }
    let admin = app.token(TokenScope::Admin, Role::Finance).await;
    let split = json!({"name": "rest", "method": "even", "targets": [{"service": "alpha-svc"}], "reason": "test"});
    assert_eq!(app.api("POST", "/api/v1/splits", &admin, split).await.status, StatusCode::CREATED);
    let invoice = json!({"invoice_id": "INV-1", "billing_currency": "USD", "total": "3", "billing_month": "2026-10"});
    let invoice = app.api("POST", "/api/v1/invoices", &admin, invoice).await;
    assert_eq!(invoice.status, StatusCode::CREATED, "{}", invoice.body);
    let items = format!("/api/v1/invoices/{}/items", invoice.json()["id"]);
    let item = json!({"amount": "-1", "reason": "A credit note."});
    assert_eq!(app.api("POST", &items, &admin, item).await.status, StatusCode::CREATED);
    sqlx::query("INSERT INTO tag_rule (tag_key, changed_by, changed_at, reason) VALUES ('owner', 'x', now(), 'x')")
        .execute(pool)
        .await
        .unwrap();
    let anomaly = "INSERT INTO anomaly (service_id, billing_currency, kind, start_date, end_date, found_on, opened_at,
                       changed_at, publication_id, day_count, actual_total, expected_total)
                   SELECT service_id, 'USD', 'spike', '2026-10-03', '2026-10-03', '2026-10-03', now(), now(), 1, 1, 1111.25, 1
                   FROM service WHERE slug = 'alpha-svc'";
    sqlx::query(anomaly).execute(pool).await.unwrap();
    let event =
        "INSERT INTO operational_event (event_source_id, external_id, kind, status, title, started_at, ended_at,
                     time_is_received)
                 SELECT min(event_source_id), 'load-test', 'marker', 'done', 'Load test', '2026-01-05T10:00:00Z',
                     '2026-01-05T10:00:00Z', false FROM event_source";
    sqlx::query(event).execute(pool).await.unwrap();
    let query =
        "INSERT INTO metric_query (metric, address, promql, service_label, next_pull_at, changed_by, changed_at)
                 VALUES ('requests', 'https://prometheus.example', 'up', 'service', now(), 'ann', now())";
    sqlx::query(query).execute(pool).await.unwrap();
    let person = app.person(Role::Viewer, false, &[]).await;
    let link = new_link(&mut pool.acquire().await.unwrap(), person, Utc::now(), TimeDelta::hours(1)).await.unwrap();
    (app, link, folder)
}

async fn id(pool: &PgPool, sql: &'static str) -> String {
    support::count(pool, sql).await.to_string()
}

// The path with the names and numbers of things that exist.
pub async fn with_real_names(pool: &PgPool, path: &str, link: &str) -> String {
    let slug = match path {
        path if path.contains("/teams/") => "alpha",
        path if path.contains("/environments/") => "production",
        _ => "alpha-svc",
    };
    let generation = id(pool, "SELECT generation_id FROM generation WHERE state = 'current'").await;
    let of = async |path: &str| match path {
        path if path.contains("deliveries/{id}") => id(pool, "SELECT max(delivery_id) FROM delivery").await,
        path if path.contains("/deployments") => id(pool, "SELECT max(deployment_id) FROM deployment").await,
        path if path.contains("/events/") => id(pool, "SELECT min(operational_event_id) FROM operational_event").await,
        path if path.contains("/anomalies") => id(pool, "SELECT min(anomaly_id) FROM anomaly").await,
        path if path.contains("/tags") => id(pool, "SELECT min(tag_rule_id) FROM tag_rule").await,
        path if path.contains("/invoices") => id(pool, "SELECT min(invoice_key) FROM invoice").await,
        path if path.contains("/splits") => id(pool, "SELECT min(split_id) FROM split").await,
        path if path.contains("/event-sources") => id(pool, "SELECT min(event_source_id) FROM event_source").await,
        path if path.contains("/metric-queries") => id(pool, "SELECT min(metric_query_id) FROM metric_query").await,
        path if path.contains("/rules") => id(pool, "SELECT min(mapping_rule_id) FROM mapping_rule").await,
        _ => id(pool, "SELECT min(source_id) FROM source").await,
    };
    // It has to be said whose.
    let asked = if path == "/api/v1/delivery" { "/api/v1/delivery?service={slug}" } else { path };
    asked
        .replace("{slug}", slug)
        .replace("{month}", "2026-10")
        .replace("{generation_id}", &generation)
        .replace("{line}", "2")
        .replace("{name}", if path.contains("/metrics/") { "requests" } else { "product" })
        .replace("{subject}", "catalogue")
        .replace("{user_id}", &id(pool, "SELECT min(user_id) FROM user_account").await)
        .replace("/welcome/{link}", link)
        .replace("{id}", &of(path).await)
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn opening_every_page_changes_nothing(pool: PgPool) {
    let (app, link, _folder) = filled(&pool).await;
    let browser = app.browser(Role::Admin, true, &[]).await;
    let mut paths = Vec::new();
    // What is handed in by a token is asked about by a token.
    let is_page = |path: &str| !path.starts_with("/static/") && !path.contains("{delivery}");
    for row in table().iter().filter(|row| row.method == "GET" && is_page(row.path)) {
        paths.push(with_real_names(&pool, row.path, &link).await);
    }
    assert!(paths.iter().all(|path| !path.contains('{')), "{paths:?}");
    // What is made or moved on by the first look would hide what the second one does.
    let before = support::table_contents(&pool, &[]).await;
    let mut wrong = Vec::new();
    for path in &paths {
        let page = browser.get(path).await;
        // A preview of no rule at all is refused, and one of no change.
        let is_preview = path.ends_with("/preview") || path.ends_with("/change");
        if page.status != StatusCode::OK && !is_preview {
            wrong.push(format!("{path}: {} {}", page.status, page.location()));
        }
        for suffix in [".csv", ".json", ".xlsx"] {
            let page = browser.get(&format!("{path}{suffix}")).await;
            if page.status.is_server_error() {
                wrong.push(format!("{path}{suffix}: {}", page.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let after = support::table_contents(&pool, &[]).await;
    // But for which publication the reader saw: what is restated later is told against it.
    let kept = before.keys().filter(|table| *table != "page_visit");
    let changed: Vec<&String> = kept.filter(|table| before[*table] != after[*table]).collect();
    assert!(changed.is_empty(), "{changed:?}");
}

/// The grammar of addresses: a key that a page does not know is ignored, and named once.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_page_names_the_keys_that_it_does_not_know(pool: PgPool) {
    let (app, link, _folder) = filled(&pool).await;
    let browser = app.browser(Role::Admin, true, &[]).await;
    let (mut wrong, mut page_count) = (Vec::new(), 0);
    for row in table().iter().filter(|row| row.method == "GET" && !row.path.starts_with("/static/")) {
        let path = with_real_names(&pool, row.path, &link).await;
        // What is to be done with a rule has to be said.
        let asked = if path.ends_with("/change") { "to=delete&" } else { "" };
        let page = browser.get(&format!("{path}?{asked}no_such_key=1")).await;
        let kind = page.headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap());
        if !kind.starts_with("text/html") {
            continue;
        }
        page_count += 1;
        // A rule or split that is being filled in stands in the address: with a field less it would be another one.
        let is_form = ["/rules/new", "/rules/preview", "/splits/new", "/splits/preview"].contains(&path.as_str());
        let (status, said) = match is_form {
            true => (StatusCode::BAD_REQUEST, "has no field “no_such_key”."),
            false => (StatusCode::OK, "Ignored: no_such_key. This page knows "),
        };
        let count = page.body.matches(said).count();
        if page.status != status || count != 1 {
            wrong.push(format!("{path}: {}, named {count} times", page.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(page_count > 80, "{page_count}");
}

/// What the service itself puts into addresses is known where it leads to.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn no_page_ignores_the_keys_that_it_knows(pool: PgPool) {
    let (app, _link, _folder) = filled(&pool).await;
    let browser = app.browser(Role::Admin, true, &[]).await;
    let own = [
        "/catalogue?show=teams",
        "/clusters?done=Taken+in.",
        "/clusters?month=2026-10",
        "/finance/rates?done=Saved.",
        "/metrics?done=Saved.",
        "/metrics/requests?done=Saved.",
        "/rules/new?service=alpha-svc",
        "/search?q=alpha",
        "/settings/audit?before=9",
        "/settings/event-sources?state=error&before=9",
        "/settings/profile?done=password",
        "/sign-in?return_to=%2Fservices",
        "/sources/add?name=acme",
        "/splits/new?name=rest",
        "/tags?team=",
        "/upload?source=acme",
    ];
    let mut paths = own.map(str::to_owned).to_vec();
    let source = support::count(&pool, "SELECT min(source_id) FROM source").await;
    paths.push(format!("/sources/{source}?before=9"));
    let split = support::count(&pool, "SELECT min(split_id) FROM split").await;
    let anomaly = support::count(&pool, "SELECT min(anomaly_id) FROM anomaly").await;
    let deployment = support::count(&pool, "SELECT min(deployment_id) FROM deployment").await;
    let of_days =
        ["/", "/anomalies", "/charges", "/commitments", "/deployments", "/dimensions/product", "/environments"];
    let more = ["/environments/production", "/events", "/finance/forecast", "/finance/history", "/finance/invoices"];
    let others = ["/finance/statements", "/finance/statements/2026-10", "/savings", "/services", "/services/alpha-svc"];
    let rest = ["/teams", "/teams/alpha", "/unit-costs", "/unmapped", "/why"];
    let mut views: Vec<String> =
        [&of_days[..], &more, &others, &rest].concat().into_iter().map(str::to_owned).collect();
    views.extend([format!("/splits/{split}"), format!("/anomalies/{anomaly}"), format!("/deployments/{deployment}")]);
    paths.extend(views.iter().map(|path| format!("{path}?period=2026-10")));
    for path in &paths {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        assert!(!page.body.contains("Ignored: "), "{path}: {}", page.body);
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn members_see_their_own_teams_money_and_nobody_elses(pool: PgPool) {
    let (app, link, _folder) = filled(&pool).await;
    let mut paths = Vec::new();
    for row in table().iter().filter(|row| row.method == "GET" && !row.path.starts_with("/static/")) {
        let path = with_real_names(&pool, row.path, &link).await;
        paths.extend([path.replace("alpha", "beta"), format!("{path}.csv"), format!("{path}?period=2026-10"), path]);
    }
    for (own, other, amount, foreign) in [
        ("alpha", "beta", ["1111.25", "1,111"], ["2222.75", "2,222"]),
        ("beta", "alpha", ["2222.75", "2,222"], ["1111.25", "1,111"]),
    ] {
        let team = sqlx::query_scalar("SELECT team_id FROM team WHERE slug = $1").bind(own);
        let team: i64 = team.fetch_one(&pool).await.unwrap();
        let member = app.browser(Role::Member, false, &[team]).await;
        let mut sees_own = false;
        for path in &paths {
            let page = member.get(path).await;
            let sees = |amounts: [&str; 2]| amounts.iter().any(|amount| page.body.contains(amount));
            assert!(!sees(foreign), "a member of {own} sees {other}'s money on {path}");
            sees_own |= sees(amount);
        }
        assert!(sees_own, "{own}");
        let own_page = member.get(&format!("/services/{own}-svc?period=2026-10")).await;
        assert_eq!(own_page.status, StatusCode::OK);
    }
}
