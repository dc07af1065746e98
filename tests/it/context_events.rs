//! Operational events on the pages of services and deployments, and deployments that failed though they went live.

use crate::ledger::{Line, bill, import_as_of};
use crate::senders::{Doors, courses};
use crate::support;
use axum::http::StatusCode;
use costwake::store::Role;
use serde_json::{Value, json};
use sqlx::PgPool;

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_else_happened_stands_on_both_pages(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    sqlx::query("INSERT INTO service (slug, name) VALUES ('checkout', 'checkout')").execute(&pool).await.unwrap();
    courses(&pool, &["argocd", "alertmanager", "pagerduty", "honeycomb"]).await;
    import_as_of(&pool, "acme", &bill(&[Line::of("2026-03", 1, "checkout", "1")]), 2).await;
    let finance = doors.app.browser(Role::Finance, false, &[]).await;
    let service = finance.get("/services/checkout?period=2026-02-20..2026-03-20").await;
    assert_eq!(service.status, StatusCode::OK, "{}", service.body);
    for text in
        ["What else happened", "High latency", "Orders fail", "incident, page, resolved after 6 min, production"]
    {
        assert!(service.body.contains(text), "{text}");
    }
    assert!(service.body.contains("https://acme.example.com/incidents/P1"));
    let first = support::count(&pool, "SELECT deployment_id FROM deployment ORDER BY finished_at LIMIT 1").await;
    let deployment = finance.get(&format!("/deployments/{first}")).await;
    assert_eq!(deployment.status, StatusCode::OK);
    // The incident began within a day and before the next deployment; the others of the day are its change set.
    for text in ["High latency", "It counts as a failed change", "Incident within a day: Orders fail", "one change set"]
    {
        assert!(deployment.body.contains(text), "{text}");
    }
    let third = support::count(&pool, "SELECT deployment_id FROM deployment WHERE version = '2'").await;
    assert!(finance.get(&format!("/deployments/{third}")).await.body.contains("Rolled back to 1"));
    // Where no rule knows the service, it is counted.
    let admin = doors.app.browser(Role::Admin, false, &[]).await;
    sqlx::query("DELETE FROM operational_event_service").execute(&pool).await.unwrap();
    let sources = admin.get("/settings/event-sources").await;
    assert!(
        sources
            .body
            .contains("3 operational events, <a href=\"/unmapped?show=events\">3 of no service that a rule knows</a>"),
        "{}",
        sources.body
    );
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_failed_change_is_marked_and_the_mark_taken_away(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    sqlx::query("INSERT INTO service (slug, name) VALUES ('checkout', 'checkout')").execute(&pool).await.unwrap();
    courses(&pool, &["argocd"]).await;
    let last = support::count(&pool, "SELECT deployment_id FROM deployment ORDER BY finished_at DESC LIMIT 1").await;
    let member = doors.app.browser(Role::Member, false, &[]).await;
    let path = format!("/deployments/{last}");
    assert!(!member.get(&path).await.body.contains("It counts as a failed change"));
    let empty = member.post_form(&format!("{path}/failure"), &[("note", " ")]).await;
    assert_eq!(empty.status, StatusCode::BAD_REQUEST);
    let marked = member.post_form(&format!("{path}/failure"), &[("note", "Orders <b>were</b> lost")]).await;
    assert_eq!(marked.status, StatusCode::SEE_OTHER);
    let page = member.get(&path).await.body;
    assert!(page.contains("It counts as a failed change") && page.contains("Marked by"), "{page}");
    assert!(!page.contains("<b>were</b>"));
    assert_eq!(support::count(&pool, "SELECT count(*) FROM change_failure WHERE reason = 'marked'").await, 1);
    assert_eq!(member.post_form(&format!("{path}/failure/remove"), &[]).await.status, StatusCode::SEE_OTHER);
    assert!(!member.get(&path).await.body.contains("It counts as a failed change"));
    assert_eq!(support::count(&pool, "SELECT count(*) FROM audit_log WHERE subject LIKE 'deployment %'").await, 2);
    assert_eq!(member.post_form("/deployments/999/failure", &[("note", "x")]).await.status, StatusCode::NOT_FOUND);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_steps_of_a_canary_add_up_over_calls(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let token = app.token(costwake::store::tokens::TokenScope::Ingest, Role::Viewer).await;
    let step = |at: &str, percent: i64| json!({"at": format!("2026-03-01T{at}:00Z"), "weight_percent": percent});
    let first = json!({"id": "r1", "service": "checkout", "environment": "production", "version": "2", "strategy": "canary",
        "status": "in_progress", "started_at": "2026-03-01T10:00:00Z", "steps": [step("10:01", 5)]});
    let made = app.api("POST", "/api/v1/deployments", &token, first).await;
    assert!(made.status.is_success(), "{}", made.body);
    let next = json!({"steps": [step("10:20", 50), step("10:01", 5)]});
    let changed = app.api("PATCH", "/api/v1/deployments/id:r1", &token, next).await;
    assert!(changed.status.is_success(), "{}", changed.body);
    let read = app.token(costwake::store::tokens::TokenScope::Read, Role::Viewer).await;
    let shown = app.api("GET", "/api/v1/deployments/id:r1", &read, Value::Null).await.json();
    let steps: Vec<_> = shown["steps"].as_array().unwrap().iter().map(|step| step["weight_percent"].as_i64()).collect();
    assert_eq!((steps, shown["status"].as_str()), (vec![Some(5), Some(50)], Some("in_progress")));
    let wrong = json!({"id": "r2", "service": "checkout", "environment": "production", "steps": [step("10:01", 101)]});
    assert_eq!(app.api("POST", "/api/v1/deployments", &token, wrong).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let id = support::count(&pool, "SELECT deployment_id FROM deployment").await;
    let browser = app.browser(Role::Viewer, false, &[]).await;
    assert!(browser.get(&format!("/deployments/{id}")).await.body.contains("50 % from 1 Mar 10:20 UTC"));
}
