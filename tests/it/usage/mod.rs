//! Usage: values by day and hour, what they mean, what a unit costs, and where values come from.

mod catalogue;
mod catalogue_more;
mod delivery;
mod otlp;
mod points;
mod prometheus;
mod quiet_days;
mod refreshes;
mod unit_groups;

use crate::ledger::{Line, bill, import_as_of};
use crate::support::TestApp;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

/// October's bill is in.
fn now() -> DateTime<Utc> {
    "2026-11-02T08:00:00Z".parse().unwrap()
}

/// A service with cost on each of three days of October, and a browser of finance.
async fn shop(pool: &PgPool) -> TestApp {
    let mut lines = Vec::new();
    for (day, cost) in [(29, "30"), (30, "60"), (31, "90")] {
        lines.push(Line::of("2026-10", day, "shop", cost));
        lines.push(Line::of("2026-10", day, "search", "5"));
    }
    opened(pool, &lines).await
}

/// The service with these lines, and a browser of finance.
async fn opened(pool: &PgPool, lines: &[Line]) -> TestApp {
    assert_eq!(import_as_of(pool, "aws", &bill(lines), 1).await.state, "published");
    let mut app = crate::support::app(pool.clone()).await;
    app.state = app.state.with(|parts| parts.clock = now);
    app.router = costwake::web::router(app.state.clone());
    app.sign_in(Role::Finance).await;
    app
}

/// Sends values and expects that they are taken.
async fn send(app: &TestApp, token: &str, metric: &str, body: Value) -> Value {
    let answer = app.api("POST", &format!("/api/v1/metrics/{metric}/points"), token, body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.json()
}

async fn ingest(app: &TestApp) -> String {
    app.token(TokenScope::Ingest, Role::Viewer).await
}

/// The days of a metric: `day value hours`.
async fn days(pool: &PgPool, metric: &str) -> Vec<String> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT s.slug || coalesce('/' || e.slug, '') || ' ' || p.charge_date || ' ' || trim_scale(p.value)
             || coalesce(' of ' || p.hour_count || ' hours', '')
         FROM metric_point p JOIN service s USING (service_id) LEFT JOIN environment e USING (environment_id)
         WHERE metric = $1 ORDER BY 1",
    )
    .bind(metric)
    .fetch_all(pool)
    .await
    .unwrap();
    rows
}

fn point(service: &str, time: &str, value: Value) -> Value {
    json!({ "service": service, "time": time, "value": value })
}
