//! Alerts whose end was never told: Alertmanager repeats what fires, so that what it mentions no more is over.

use crate::ledger::{Line, bill, import_as_of};
use crate::senders::{Doors, Given, deliver};
use crate::support::{TestApp, count};
use crate::webhooks::minute;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use costwake::events::Headers;
use costwake::rollup::events::read_new;
use costwake::store::operational_event_lists::{self, ListFilter};
use costwake::store::operational_events::{self, Filter};
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, live_deployments};
use costwake::web;
use serde_json::{Value, json};
use sqlx::PgPool;

const DAY_MINUTES: i64 = 24 * 60;

fn time(at: i64) -> DateTime<Utc> {
    minute(at).parse().unwrap()
}

fn alert(status: &str) -> Value {
    let ends_at = if status == "firing" { "0001-01-01T00:00:00Z".to_owned() } else { minute(9) };
    json!({"version": "4", "status": status, "alerts": [{"status": status, "fingerprint": "f1",
        "labels": {"alertname": "High latency", "service": "checkout", "env": "production"},
        "startsAt": minute(3), "endsAt": ends_at}]})
}

fn incident() -> Value {
    json!({"event": {"id": "e1", "event_type": "incident.triggered", "resource_type": "incident",
        "occurred_at": minute(1), "data": {"id": "P1", "type": "incident", "status": "triggered",
            "title": "Orders fail", "service": {"summary": "checkout"}}}})
}

// The same body has the same key, as at the front door.
async fn told(pool: &PgPool, sender: &str, body: &Value, at: i64) {
    let body = body.to_string();
    let given = Given { headers: Headers::default(), body: body.clone().into_bytes(), received_at: time(at) };
    deliver(pool, sender, &body, &given).await;
    read_new(pool).await.unwrap();
}

async fn deploy(app: &TestApp) {
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    let body = json!({"id": "a", "service": "checkout", "environment": "production", "version": "1",
        "finished_at": minute(0)});
    let made = app.api("POST", "/api/v1/deployments", &token, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
}

// Whether the end of each failure is unknown, as it is known at this time; the one that began first is the first.
async fn unknown_ends(pool: &PgPool, now: DateTime<Utc>) -> Vec<bool> {
    let mut conn = pool.acquire().await.unwrap();
    let failures = live_deployments::failures(&mut conn, None, None, time(0).date_naive(), now).await.unwrap();
    failures.iter().map(|one| one.is_end_unknown).collect()
}

// What lasts into these days as it is known at this time: title and last mention, on both lists.
async fn lasting(pool: &PgPool, days: [i64; 2], now: DateTime<Utc>) -> Vec<(String, Option<DateTime<Utc>>)> {
    let mut conn = pool.acquire().await.unwrap();
    let id = count(pool, "SELECT service_id FROM service WHERE slug = 'checkout'").await;
    let [from, until] = days.map(|day| time(day * DAY_MINUTES));
    let own = [id];
    let filter = Filter { service_ids: Some(own.as_slice()), environment_id: None, from, until, now };
    let of_service = operational_events::list(&mut conn, &filter, 10).await.unwrap();
    let filter = ListFilter { from: Some(from), until: Some(until), now, ..ListFilter::default() };
    let all = operational_event_lists::list(&mut conn, &filter, None, 10).await.unwrap();
    assert_eq!(operational_event_lists::count(&mut conn, &filter, 10).await.unwrap(), all.len() as i64);
    let of_all: Vec<_> = all.into_iter().map(|one| (one.event.title, one.event.last_mention_at)).collect();
    let told: Vec<_> = of_service.into_iter().map(|one| (one.title, one.last_mention_at)).collect();
    assert_eq!(told, of_all);
    told
}

/// It is over a week after it was mentioned last; an incident of a sender that repeats nothing lasts.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_alert_that_is_mentioned_no_more_is_over(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    deploy(&doors.app).await;
    let last = 3 * DAY_MINUTES;
    for at in [4, 244, last] {
        told(&pool, "alertmanager", &alert("firing"), at).await;
    }
    told(&pool, "pagerduty", &incident(), 2).await;
    assert_eq!(count(&pool, "SELECT sum(repeat_count) FROM event_delivery").await, 2, "one delivery, repeated");
    let silent = time(last) + TimeDelta::days(7);
    assert_eq!(unknown_ends(&pool, silent).await, [false, false]);
    let silent = silent + TimeDelta::seconds(1);
    assert_eq!(unknown_ends(&pool, silent).await, [false, true]);
    // It lasted until it was mentioned last.
    let title = |title: &str, at: Option<i64>| (title.to_owned(), at.map(time));
    let open = [title("High latency", None), title("Orders fail", None)];
    assert_eq!(lasting(&pool, [5, 6], time(9 * DAY_MINUTES)).await, open);
    assert_eq!(lasting(&pool, [5, 6], silent).await, open[1..]);
    let lost = [title("High latency", Some(last)), title("Orders fail", None)];
    assert_eq!(lasting(&pool, [2, 6], silent).await, lost);
    // An environment that is live lasts, whoever told of it and however long ago: only alerts are lost.
    let live = "WITH live AS (
                    INSERT INTO operational_event (event_source_id, external_id, kind, status, title, started_at,
                                                   time_is_received)
                    SELECT event_source_id, 'live', 'environment', 'live', 'Preview', started_at - interval '1 minute',
                           false
                    FROM operational_event WHERE title = 'High latency'
                    RETURNING operational_event_id, started_at)
                INSERT INTO operational_event_service (operational_event_id, service_id, started_at)
                SELECT operational_event_id, service_id, started_at FROM live CROSS JOIN service WHERE slug = 'checkout'";
    sqlx::query(live).execute(&pool).await.unwrap();
    let all = [title("High latency", Some(last)), title("Preview", None), title("Orders fail", None)];
    assert_eq!(lasting(&pool, [2, 6], silent).await, all);
    assert_eq!(lasting(&pool, [5, 6], silent).await, all[1..]);
    sqlx::query("DELETE FROM operational_event WHERE title = 'Preview'").execute(&pool).await.unwrap();
    // Mentioned again, by the same body or in another one, it lasts.
    told(&pool, "alertmanager", &alert("firing"), 12 * DAY_MINUTES).await;
    assert_eq!(unknown_ends(&pool, time(13 * DAY_MINUTES)).await, [false, false]);
    assert_eq!(unknown_ends(&pool, time(20 * DAY_MINUTES)).await, [false, true]);
    let mut grouped = alert("firing");
    grouped["groupKey"] = json!("more");
    told(&pool, "alertmanager", &grouped, 19 * DAY_MINUTES).await;
    assert_eq!(unknown_ends(&pool, time(20 * DAY_MINUTES)).await, [false, false]);
    // Its end, told late, is its end.
    told(&pool, "alertmanager", &alert("resolved"), 40 * DAY_MINUTES).await;
    assert_eq!(unknown_ends(&pool, time(60 * DAY_MINUTES)).await, [false, false]);
    let ended = "SELECT count(*) FROM operational_event WHERE title = 'High latency' AND ended_at IS NOT NULL";
    assert_eq!(count(&pool, ended).await, 1);
}

/// Pages say so, and count it as a failed change that is not open.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn pages_say_that_an_end_was_never_told(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    import_as_of(&pool, "acme", &bill(&[Line::of("2026-03", 1, "checkout", "1")]), 2).await;
    deploy(&doors.app).await;
    told(&pool, "alertmanager", &alert("firing"), 4).await;
    let pages = async |clock: fn() -> DateTime<Utc>| {
        let mut app = doors.app.clone();
        app.state = app.state.with(|parts| parts.clock = clock);
        app.router = web::router(app.state.clone());
        let finance = app.browser(Role::Finance, false, &[]).await;
        let service = finance.get("/services/checkout?period=2026-02-25..2026-03-05").await.body;
        (service, finance.get("/events").await.body)
    };
    let (service, events) = pages(|| time(DAY_MINUTES)).await;
    assert!(service.contains("One failure is not over yet and left out."), "{service}");
    assert!(service.contains("firing, not over") && events.contains("firing, not over"), "{events}");
    let (service, events) = pages(|| time(30 * DAY_MINUTES)).await;
    assert!(service.contains("Of one failure the end was never told, and it is left out."), "{service}");
    assert!(service.contains("100.0%, 1 of 1") && !service.contains("not over"), "{service}");
    let told = "firing, its end was never told: last mentioned on 1 Mar 2026";
    assert!(service.contains(told) && events.contains(told), "{events}");
}

/// What asks for many ends takes the look-up into its own plan: a call for each event would be made for markers too.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn ends_of_many_are_looked_up_in_one_plan(pool: PgPool) {
    let plan: Vec<String> = sqlx::query_scalar(
        "EXPLAIN SELECT lost.at FROM operational_event o LEFT JOIN LATERAL (
             SELECT known.at FROM lost_ends(o.operational_event_id, '2026-01-01') known
             WHERE o.ended_at IS NULL AND o.kind = 'incident') lost ON true",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("operational_event_status") && !plan.contains("Function Scan"), "{plan}");
}
