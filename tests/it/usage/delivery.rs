//! Delivery metrics on the pages of a service and its team, from deployments as they are sent.

use super::{ingest, shop};
use crate::support::TestApp;
use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;

async fn deploy(app: &TestApp, token: &str, version: &str, at: &str, sha: &str) {
    let body = json!({ "service": "shop", "environment": "production", "version": version, "started_at": at,
        "finished_at": at, "commits": [{ "repo": "acme/shop", "sha": sha }] });
    let made = app.api("POST", "/api/v1/deployments", token, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
}

/// Three changes, one of which is taken back after 90 minutes: the figures, their definitions, and what lacks.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_four_figures_stand_beside_cost(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    let url = "/services/shop?period=2026-10-29..2026-10-31";
    assert!(app.get(url).await.body.contains("No change went live in production in these days"));
    sqlx::query(
        "INSERT INTO change (repo, external_id, sha, state, happened_at) VALUES
             ('acme/shop', '1', 'aaaaaaaa01', 'merged', '2026-10-29T08:00:00Z'),
             ('acme/shop', '2', 'aaaaaaaa02', 'merged', '2026-10-30T08:00:00Z')",
    )
    .execute(&pool)
    .await
    .unwrap();
    deploy(&app, &token, "1", "2026-10-29T10:00:00Z", "aaaaaaaa01").await;
    deploy(&app, &token, "2", "2026-10-30T12:00:00Z", "aaaaaaaa02").await;
    deploy(&app, &token, "1", "2026-10-30T13:30:00Z", "aaaaaaaa01").await;
    deploy(&app, &token, "3", "2026-10-31T12:00:00Z", "aaaaaaaa03").await;
    let page = app.get(url).await;
    for part in [
        "3, 7.0 a week",
        "3 h",
        "One change is left out: no repository told of its commit",
        "33.3%, 1 of 3",
        "1 h 30 min",
        "Changes that were rolled back or reverted, that an incident",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    // An incident that began an hour after the third change and took half an hour: it failed too.
    sqlx::query(
        "WITH o AS (INSERT INTO operational_event (event_source_id, external_id, kind, status, title, started_at, ended_at,
                        time_is_received)
                    SELECT min(event_source_id), 'i', 'incident', 'resolved', 'Orders fail', '2026-10-31T13:00:00Z'::timestamptz,
                        '2026-10-31T13:30:00Z'::timestamptz, false FROM event_source RETURNING operational_event_id, started_at)
         INSERT INTO operational_event_service (operational_event_id, service_id, started_at)
         SELECT operational_event_id, service_id, started_at FROM o, service WHERE slug = 'shop'",
    )
    .execute(&pool)
    .await
    .unwrap();
    let page = app.get(url).await;
    // Of 90 and 30 minutes the middle.
    for part in ["66.7%, 2 of 3", "1 h</td>"] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    sqlx::query("UPDATE operational_event SET ended_at = NULL").execute(&pool).await.unwrap();
    assert!(app.get(url).await.body.contains("One failure is not over yet and left out."));
    sqlx::query(
        "WITH t AS (INSERT INTO team (slug, name) VALUES ('web', 'Web') RETURNING team_id)
         UPDATE service SET team_id = (SELECT team_id FROM t) WHERE slug = 'shop'",
    )
    .execute(&pool)
    .await
    .unwrap();
    let body = json!({ "points": [{ "service": "shop", "time": "2026-10-29", "value": 6000 }] });
    super::send(&app, &token, "requests", body).await;
    let team = app.get("/teams/web?period=2026-10-29..2026-10-31").await;
    for part in ["Speed and unit cost by service", "3, 7.0 a week", "$5.00", "per 1,000 requests"] {
        assert!(team.body.contains(part), "{part}: {}", team.body);
    }
}
