//! Whether the process lives, and whether it should be sent readers.

use super::{AppState, Routes};
use crate::store::MIGRATIONS;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sqlx::migrate::Migrate;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.public_asset("/healthz", alive).public_asset("/readyz", ready)
}

// Never asks the database: a process must not be restarted because its database is away.
async fn alive() -> &'static str {
    "ok"
}

async fn ready(State(app): State<AppState>) -> Response {
    let reason = if app.draining.is_cancelled() { Some("draining") } else { database_problem(&app).await };
    match reason {
        None => Json(json!({"ready": true})).into_response(),
        Some(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"ready": false, "reason": reason}))).into_response()
        }
    }
}

async fn database_problem(app: &AppState) -> Option<&'static str> {
    let Ok(mut conn) = app.pools.health.acquire().await else { return Some("database does not answer") };
    let Ok(applied) = conn.list_applied_migrations(&MIGRATIONS.table_name).await else {
        return Some("database has no schema");
    };
    let is_applied = |version| applied.iter().any(|migration| migration.version == version);
    if MIGRATIONS.iter().all(|wanted| is_applied(wanted.version)) { None } else { Some("migrations are missing") }
}
