//! `/api/v1/deliveries/{id}`: receipts, and the decisions about deliveries: the same as on their pages.

use super::error::{ErrorBody, Result};
use crate::store::receipts::{self, Receipt};
use crate::web::delivery_decision::{self, Decision};
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes};
use axum::Json;
use axum::extract::{Path, State};

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let (read, admin) = (ApiPolicy::read(Policy::Finance), ApiPolicy::admin(Policy::Finance));
    routes
        .api_get("/api/v1/deliveries/{id}", read, show)
        .api_post("/api/v1/deliveries/{id}/accept", admin, accept)
        .api_post("/api/v1/deliveries/{id}/revert", admin, revert)
        .api_post("/api/v1/deliveries/{id}/withdraw", admin, withdraw)
}

/// Show the receipt of a delivery, as `costwake import --json` prints it. `closed_months` has what one that waits would
/// change in closed months, by service and charge category; `would_replace` what it would take the place of: the
/// deliveries, their lines, and BilledCost and EffectiveCost before and after, by billing period and currency.
#[utoipa::path(get, path = "/api/v1/deliveries/{id}", tag = "bills",
    params(("id" = i64, Path, description = "Its number")), responses(
    (status = 200, description = "The receipt", content_type = "application/json"), (status = 404, body = ErrorBody)))]
pub async fn show(State(app): State<AppState>, Path(delivery_id): Path<i64>) -> Result<Json<Receipt>> {
    Ok(Json(receipt(&app, delivery_id).await?))
}

async fn receipt(app: &AppState, delivery_id: i64) -> web::Result<Receipt> {
    let mut snapshot = app.pools.snapshot().await?;
    receipts::get(&mut snapshot, delivery_id).await?.ok_or(web::Error::NotFound)
}

/// Count a delivery that waits for a decision, or one that was withdrawn. What it changes in closed months is booked to
/// the first open month after each. Repeating it changes nothing.
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/accept", tag = "bills",
    params(("id" = i64, Path, description = "Its number")), responses(
    (status = 200, description = "The receipt", content_type = "application/json"), (status = 404, body = ErrorBody),
    (status = 409, description = "It does not wait, or something newer counts", body = ErrorBody)))]
pub async fn accept(app: State<AppState>, who: Principal, from: ClientAddress, id: Path<i64>) -> Result<Json<Receipt>> {
    decide(app.0, who, from, id.0, Decision::Accept).await
}

/// Give the bills of a delivery back to what counted before it. Repeating it changes nothing.
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/revert", tag = "bills",
    params(("id" = i64, Path, description = "Its number")), responses(
    (status = 200, description = "The receipt", content_type = "application/json"), (status = 404, body = ErrorBody),
    (status = 409, description = "Nothing of it counts, or nothing counted before", body = ErrorBody)))]
pub async fn revert(app: State<AppState>, who: Principal, from: ClientAddress, id: Path<i64>) -> Result<Json<Receipt>> {
    decide(app.0, who, from, id.0, Decision::Revert).await
}

/// Refuse a delivery that waits, or let nothing of a counted one count any more. Repeating it changes nothing.
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/withdraw", tag = "bills",
    params(("id" = i64, Path, description = "Its number")), responses(
    (status = 200, description = "The receipt", content_type = "application/json"), (status = 404, body = ErrorBody),
    (status = 409, description = "Nothing of it counts or waits", body = ErrorBody)))]
pub async fn withdraw(
    app: State<AppState>,
    who: Principal,
    from: ClientAddress,
    id: Path<i64>,
) -> Result<Json<Receipt>> {
    decide(app.0, who, from, id.0, Decision::Withdraw).await
}

async fn decide(
    app: AppState,
    principal: Principal,
    address: ClientAddress,
    delivery_id: i64,
    decision: Decision,
) -> Result<Json<Receipt>> {
    delivery_decision::decide(&app, principal, address, delivery_id, decision).await?;
    Ok(Json(receipt(&app, delivery_id).await?))
}
