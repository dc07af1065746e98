//! `/api/v1/deployment-pins`: matches of deployments that rules do not move.

use super::catalogue::{BeingWorkedIn, answer};
use super::deployments::id_of;
use super::error::{ErrorBody, Result};
use super::pins::{NewPin, PinnedMatch};
use crate::store::deployment_pins;
use crate::store::pins::Pin;
use crate::web::deployment::matching;
use crate::web::{ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

const LIST_MAX: i64 = 1000;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let admin = ApiPolicy::admin(Policy::Bills);
    routes
        .api_get("/api/v1/deployment-pins", ApiPolicy::read(Policy::SignedIn), list)
        .api_put("/api/v1/deployments/{id}/pin", admin, pin)
        .api_delete("/api/v1/deployments/{id}/pin", admin, unpin)
}

/// A match of a deployment that somebody pinned.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeploymentPin {
    /// The deployment.
    pub deployment_id: i64,
    /// The match.
    #[serde(flatten)]
    pub pinned: PinnedMatch,
}

impl From<Pin<i64>> for DeploymentPin {
    fn from(pin: Pin<i64>) -> Self {
        Self { deployment_id: pin.subject_id, pinned: pin.into() }
    }
}

/// Whether a match is pinned now.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PinState {
    /// The deployment.
    pub deployment_id: i64,
    /// Rules do not move it.
    pub is_pinned: bool,
    /// It was otherwise before.
    pub has_changed: bool,
}

/// List pinned matches, the latest 1,000.
#[utoipa::path(get, path = "/api/v1/deployment-pins", tag = "deployments",
    responses((status = 200, body = Vec<DeploymentPin>)))]
pub async fn list(State(app): State<AppState>) -> Result<Json<Vec<DeploymentPin>>> {
    let mut snapshot = app.pools.snapshot().await?;
    let pins = deployment_pins::list(&mut snapshot, None, LIST_MAX).await?;
    Ok(Json(pins.into_iter().map(DeploymentPin::from).collect()))
}

/// Pin a deployment: its services and environment are these, whatever rules say from now on. Without a body they are those
/// that it has.
#[utoipa::path(put, path = "/api/v1/deployments/{id}/pin", tag = "deployments", request_body = NewPin,
    params(("id" = String, Path, description = "Its number, or id: and what its sender called it")),
    responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 200, body = PinState), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn pin(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response> {
    let asked = NewPin::read(&body)?.into();
    let deployment_id = id_of(&app, &id).await?;
    let done = matching::pin(app, principal, address, deployment_id, asked).await;
    answer(StatusCode::OK, done.map(|done| done.map(state(deployment_id, true))))
}

/// Let rules decide about a deployment again.
#[utoipa::path(delete, path = "/api/v1/deployments/{id}/pin", tag = "deployments",
    params(("id" = String, Path, description = "Its number, or id: and what its sender called it")),
    responses(
    (status = 202, description = "It takes longer, and is still being worked in", body = BeingWorkedIn),
    (status = 200, body = PinState),
        (status = 404, body = ErrorBody)))]
pub async fn unpin(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<String>,
) -> Result<Response> {
    let deployment_id = id_of(&app, &id).await?;
    let done = matching::unpin(app, principal, address, deployment_id).await;
    answer(StatusCode::OK, done.map(|done| done.map(state(deployment_id, false))))
}

fn state(deployment_id: i64, is_pinned: bool) -> impl FnOnce(bool) -> PinState {
    move |has_changed| PinState { deployment_id, is_pinned, has_changed }
}
