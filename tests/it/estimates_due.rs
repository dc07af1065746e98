//! Effects, anomalies and forecasts are worked out again whenever something that they read is another, published or not.

use super::effects::{deploy, filled};
use super::finance::{World, time};
use super::made_bills::day;
use axum::http::StatusCode;
use costwake::focus::DateRange;
use costwake::jobs::{anomalies, effects, forecasts};
use costwake::rollup::usage::Taking;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

/// Whether effects, anomalies and forecasts are behind.
async fn due(world: &World) -> [bool; 3] {
    let pools = &world.app.state.pools;
    [
        effects::is_behind(pools).await.unwrap(),
        anomalies::ask_where_due(pools).await.unwrap(),
        forecasts::ask_where_due(pools).await.unwrap(),
    ]
}

/// Brings all of them up to date.
async fn settle(world: &World) {
    let (pools, now) = (&world.app.state.pools, time("2026-11-20T12:00:00Z"));
    effects::settle(pools, now).await.unwrap();
    anomalies::detect(pools, now).await.unwrap();
    forecasts::forecast(pools, now).await.unwrap();
    assert_eq!(due(world).await, [false; 3], "nothing changed");
}

async fn send(world: &World, metric: &str, points: Value) {
    let token = world.app.token(TokenScope::Ingest, Role::Finance).await;
    let path = format!("/api/v1/metrics/{metric}/points");
    let sent = world.app.api("POST", &path, &token, json!({ "points": points })).await;
    assert_eq!(sent.status, StatusCode::OK, "{}", sent.body);
}

/// Values that are taken away, or days that are made from their hours in another way, leave no later value behind.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn usage_that_goes_or_is_made_anew_is_a_reason(db: PgPool) {
    let world = filled(&db).await;
    deploy(&db, "1", "checkout", "production", "2026-10-28T12:00:00Z").await;
    let point = |at: &str, value: u32| json!({ "service": "checkout", "time": at, "value": value });
    let hours = [point("2026-11-03T01:00:00Z", 10), point("2026-11-03T02:00:00Z", 30), point("2026-11-05", 7)];
    send(&world, "requests", json!(hours)).await;
    // Whatever goes of the one, the other is as new as it was.
    send(&world, "latency", json!([point("2026-11-04", 5)])).await;
    settle(&world).await;

    let admin = world.app.token(TokenScope::Admin, Role::Finance).await;
    let largest = json!({ "meaning": "requests", "unit": "requests", "over_hours": "max", "over_services": "sum",
        "unit_cost_per": 1000 });
    let defined = world.app.api("PUT", "/api/v1/metrics/requests", &admin, largest).await;
    assert_eq!(defined.status, StatusCode::OK, "{}", defined.body);
    assert_eq!(due(&world).await, [true, true, false], "another way to combine hours");
    settle(&world).await;

    let mut taking = Taking::begin(&world.app.state.pools, Some("requests")).await.unwrap();
    let gone = taking.delete("requests", None, DateRange::days_to(day("2026-11-03"), 1)).await.unwrap();
    taking.finish("test", time("2026-11-20T12:00:00Z")).await.unwrap();
    assert_eq!((gone, due(&world).await), (1, [true, true, false]), "values went");
    settle(&world).await;

    // Sent as of the same moment as those that are there.
    send(&world, "requests", json!([point("2026-11-03", 50)])).await;
    assert_eq!(due(&world).await, [true, true, false], "values came");
}

/// Each answer teaches, each that is taken back no longer does, however many are given at one moment.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_answer_about_an_anomaly_is_a_reason(db: PgPool) {
    let world = filled(&db).await;
    let told = "INSERT INTO anomaly (service_id, billing_currency, kind, state, close_reason, start_date, end_date,
                    found_on, opened_at, changed_at, publication_id, day_count, actual_total, expected_total)
                SELECT service_id, 'USD', 'spike', 'closed', 'ended', '2026-01-03', '2026-01-03', '2026-01-03',
                    '2026-01-04T00:00:00Z', '2026-01-04T00:00:00Z', 1, 1, 2, 1
                FROM service WHERE slug IN ('checkout', 'search') ORDER BY slug RETURNING anomaly_id";
    let ids: Vec<i64> = sqlx::query_scalar(told).fetch_all(&db).await.unwrap();
    settle(&world).await;
    let finance = world.finance().await;
    for (id, state) in [(ids[0], "false-alarm"), (ids[1], "false-alarm"), (ids[0], "open"), (ids[1], "explained")] {
        let answer = [("state", state), ("reason", "We looked at it.")];
        let answered = finance.post_form(&format!("/anomalies/{id}/state"), &answer).await;
        assert_eq!(answered.status, StatusCode::SEE_OTHER, "{}", answered.body);
        assert_eq!(due(&world).await, [false, true, false], "{id} {state}");
        settle(&world).await;
    }
}

/// What a release turns out to be, when it was, and where, decides about effects; whether an answer that claims a change
/// counts, about forecasts too.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_becomes_of_releases_environments_and_launches_is_a_reason(db: PgPool) {
    let world = filled(&db).await;
    deploy(&db, "1", "checkout", "production", "2026-10-28T23:50:00Z").await;
    settle(&world).await;
    let claimed = "SELECT count(*) FROM current_deployment_effect WHERE finding = 'increase'";
    assert_eq!(sqlx::query_scalar::<_, i64>(claimed).fetch_one(&db).await.unwrap(), 1);
    // Of a release that was answered among other environments, its new answer decides.
    for (change, is_of_forecasts) in [
        ("UPDATE deployment_service SET is_noop = true", Some(true)),
        ("UPDATE deployment_service SET is_noop = false", Some(true)),
        ("UPDATE deployment SET status = 'failed'", Some(true)),
        ("UPDATE deployment SET status = 'succeeded'", Some(true)),
        ("UPDATE environment SET kind = 'staging' WHERE slug = 'production'", Some(true)),
        ("UPDATE environment SET kind = 'production' WHERE slug = 'production'", None),
        ("UPDATE deployment SET finished_at = finished_at - interval '1 hour'", Some(false)),
        (
            "WITH told AS (
                 INSERT INTO operational_event (event_source_id, external_id, kind, status, title, started_at, ended_at,
                     time_is_received)
                 SELECT min(event_source_id), 'sale', 'marker', 'launch', 'Sale', '2026-11-05T10:00:00Z',
                     '2026-11-06T10:00:00Z', false FROM event_source
                 RETURNING operational_event_id, started_at)
             INSERT INTO operational_event_service (operational_event_id, service_id, started_at)
             SELECT operational_event_id, service_id, told.started_at FROM told CROSS JOIN service WHERE slug = 'checkout'",
            Some(false),
        ),
        ("UPDATE operational_event SET ended_at = ended_at + interval '2 days'", Some(false)),
    ] {
        sqlx::query(change).execute(&db).await.unwrap();
        let [effects, anomalies, forecasts] = due(&world).await;
        assert!(effects && anomalies, "{change}");
        assert!(is_of_forecasts.is_none_or(|expected| expected == forecasts), "{change}: {forecasts}");
        settle(&world).await;
    }
}

/// How long days of a source keep arriving is learned after its bill was published.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_learned_of_a_source_is_a_reason(db: PgPool) {
    let world = filled(&db).await;
    deploy(&db, "1", "checkout", "production", "2026-10-28T12:00:00Z").await;
    settle(&world).await;
    let learned = "INSERT INTO source_settling (source_id, settles_after_days)
                   SELECT source_id, 2 FROM source WHERE name = 'cloud-one'
                   ON CONFLICT (source_id) DO UPDATE SET settles_after_days = 2";
    sqlx::query(learned).execute(&db).await.unwrap();
    assert_eq!(due(&world).await, [true; 3]);
    settle(&world).await;
}
