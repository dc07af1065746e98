//! Operational events on the pages of services, teams, environments and deployments, the list of all of them, and deployments that failed
//! though they went live.

use crate::ledger::{Line, bill, import_as_of};
use crate::senders::{Doors, courses};
use crate::support;
use axum::http::StatusCode;
use costwake::store::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::BTreeSet;

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
    // So they do on the pages of its team and of the environment.
    for statement in [
        "INSERT INTO team (slug, name) VALUES ('shop', 'Shop')",
        "UPDATE service SET team_id = (SELECT team_id FROM team WHERE slug = 'shop') WHERE slug = 'checkout'",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let lists = [("/teams/shop", "/events?service=checkout&"), ("/environments/production", "/events?env=production&")];
    for (path, list) in lists {
        let page = finance.get(&format!("{path}?period=2026-02-20..2026-03-20")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        for text in ["What else happened", "Orders fail", "By which rules each was placed"] {
            assert!(page.body.contains(text), "{path}: {text}: {}", page.body);
        }
        assert!(!links(&page.body, list).is_empty(), "{path}: {}", page.body);
        assert!(path != "/teams/shop" || page.body.contains(">context</text>"), "{path}: {}", page.body);
    }
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
            .contains("<a href=\"/events\">4 operational events</a>, <a href=\"/unmapped?show=events\">4 of no service that a rule knows</a>"),
        "{}",
        sources.body
    );
    // They are in no menu: the list of deployments leads to them, and they lead back.
    assert!(admin.get("/deployments").await.body.contains("<a href=\"/events\">Operational events</a>"));
    assert!(admin.get("/events").await.body.contains("<li><a href=\"/deployments\">Deployments</a></li>"));
}

// The addresses of the links of a page that begin so.
fn links(body: &str, start: &str) -> Vec<String> {
    let hrefs = body.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    hrefs.map(|href| href.replace("&#38;", "&")).filter(|href| href.starts_with(start)).collect()
}

fn titles(body: &str) -> Vec<String> {
    let numbers = body.split("Marker number ").skip(1);
    numbers.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect()).collect()
}

/// More than a page of a service lists: all of them are on the list that it leads to, page by page, of its days and of
/// others, and each says which rule placed it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn all_events_of_some_days_are_listed_page_by_page(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    import_as_of(&pool, "acme", &bill(&[Line::of("2026-03", 1, "checkout", "1")]), 2).await;
    for statement in [
        "INSERT INTO service (slug, name) VALUES ('checkout', 'checkout'), ('other', 'other') ON CONFLICT DO NOTHING",
        "INSERT INTO operational_event
             (event_source_id, external_id, kind, status, title, started_at, ended_at, time_is_received)
         SELECT (SELECT min(event_source_id) FROM event_source), n::text, 'marker', 'done', 'Marker number ' || n || '.',
                '2026-03-01T00:00:00Z'::timestamptz + n * interval '3 hours',
                '2026-03-01T00:00:00Z'::timestamptz + n * interval '3 hours', false
         FROM generate_series(1, 120) n",
        "INSERT INTO operational_event_service (operational_event_id, service_id, started_at)
         SELECT operational_event_id, service_id, started_at FROM operational_event, service WHERE slug = 'checkout'",
        "WITH rule AS (
             INSERT INTO mapping_rule (position, applies_to, conditions, service_id, note, created_by)
             SELECT (SELECT max(position) + 1 FROM mapping_rule), 'deployments', '[]', service_id, 'Markers by hand', 'test'
             FROM service WHERE slug = 'checkout' RETURNING mapping_rule_id)
         UPDATE operational_event SET service_rule_id = mapping_rule_id FROM rule WHERE external_id = '120'",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let finance = doors.app.browser(Role::Finance, false, &[]).await;
    let service = finance.get("/services/checkout?period=2026-02-20..2026-03-20").await;
    assert!(service.body.contains("These are the newest 50 of 120"), "{}", service.body);
    let before = service.body.split("These are the newest").next().unwrap();
    let mut next = links(before, "/events?service=checkout&period=").pop();
    assert!(next.is_some(), "{}", service.body);
    let (mut seen, mut pages) = (BTreeSet::new(), 0);
    while let Some(path) = next {
        let page = finance.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        assert!(page.body.contains("120 operational events of checkout, "), "{path}: {}", page.body);
        for title in titles(&page.body) {
            assert!(seen.insert(title.clone()), "{title} is listed twice");
        }
        let (rest, has_older) = (page.body.split("class=\"pager\"").nth(1).unwrap(), page.body.contains(">Older</a>"));
        next = if has_older { links(rest, "/events?").pop() } else { None };
        pages += 1;
    }
    assert_eq!((seen.len(), pages), (120, 3));
    let third = finance.get("/events?service=checkout&period=2026-03-03..2026-03-03").await.body;
    assert!(third.contains("8 operational events of checkout, 3 Mar 2026."), "{third}");
    assert_eq!(titles(&third), ["23", "22", "21", "20", "19", "18", "17", "16"]);
    assert!(third.contains("no rule"), "{third}");
    let placed = finance.get("/events?period=2026-03-16..2026-03-16").await.body;
    assert!(placed.contains("Service by “<a href=\"/rules/") && placed.contains(">Markers by hand</a>"), "{placed}");
    assert!(finance.get("/events?service=other").await.body.contains("No operational event of other."));
    let both = finance.get("/events?service=other,checkout&period=2026-03").await.body;
    assert!(both.contains("120 operational events of checkout, other, 1 to 31 Mar 2026."), "{both}");
    for wrong in ["/events?service=nobody", "/events?env=nowhere", "/events?page=x"] {
        assert_eq!(finance.get(wrong).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

/// A page of very many says that, and leads on.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn very_many_events_are_not_counted(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    sqlx::query(
        "INSERT INTO operational_event
             (event_source_id, external_id, kind, status, title, started_at, ended_at, time_is_received)
         SELECT (SELECT min(event_source_id) FROM event_source), at::text, 'marker', 'done', 'Marker number 1.', at, at,
                false
         FROM generate_series('2026-03-01T00:00:00Z'::timestamptz, '2026-03-01T20:00:00Z', '1 minute') at",
    )
    .execute(&pool)
    .await
    .unwrap();
    let viewer = app.browser(Role::Viewer, false, &[]).await;
    let page = viewer.get("/events?period=2026-03-01..2026-03-01").await.body;
    assert!(page.contains("More than 1,000 operational events, 1 Mar 2026."), "{page}");
    assert_eq!(titles(&page).len(), 50);
    assert!(page.contains(">Older</a>"));
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
    assert!(browser.get(&format!("/deployments/{id}")).await.body.contains("50% from 1 Mar 10:20 UTC"));
}
