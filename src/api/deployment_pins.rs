//! `/api/v1/deployment-pins`: matches of deployments that rules do not move.

use super::catalogue::answer;
use super::deployments::id_of;
use super::error::{Error, ErrorBody, Result};
use super::pins::PinnedMatch;
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
    let pins = deployment_pins::list(&mut snapshot, LIST_MAX).await?;
    Ok(Json(pins.into_iter().map(DeploymentPin::from).collect()))
}

/// Pin a deployment's match: its services and environment stay, whatever rules say from now on. No body is taken: what is
/// pinned is the match that the deployment has.
#[utoipa::path(put, path = "/api/v1/deployments/{id}/pin", tag = "deployments",
    params(("id" = String, Path, description = "Its number, or id: and what its sender called it")),
    responses((status = 200, body = PinState), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn pin(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response> {
    if says_anything(&body) {
        return Err(Error::Unprocessable(
            "A pin takes no body: it keeps the services and the environment that the deployment has now. To give it \
             others, make a rule for it first, then pin."
                .into(),
        ));
    }
    set(app, principal, address, &id, true).await
}

// Clients that always send one send nothing with `{}` and `null`.
pub(super) fn says_anything(body: &[u8]) -> bool {
    !matches!(body.trim_ascii(), b"" | b"{}" | b"null")
}

/// Let rules decide about a deployment again.
#[utoipa::path(delete, path = "/api/v1/deployments/{id}/pin", tag = "deployments",
    params(("id" = String, Path, description = "Its number, or id: and what its sender called it")),
    responses((status = 200, body = PinState), (status = 202, description = "The rules are still being asked"),
        (status = 404, body = ErrorBody)))]
pub async fn unpin(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<String>,
) -> Result<Response> {
    set(app, principal, address, &id, false).await
}

async fn set(
    app: AppState,
    principal: Principal,
    address: ClientAddress,
    id: &str,
    is_pinned: bool,
) -> Result<Response> {
    let deployment_id = id_of(&app, id).await?;
    let done = matching::set(app, principal, address, deployment_id, is_pinned).await;
    let state = |has_changed| PinState { deployment_id, is_pinned, has_changed };
    answer(StatusCode::OK, done.map(|done| done.map(state)))
}

#[cfg(test)]
mod tests {
    use super::says_anything;

    #[test]
    fn only_a_body_that_asks_for_something_says_anything() {
        for nothing in ["", " \n", "{}", "null"] {
            assert!(!says_anything(nothing.as_bytes()), "{nothing}");
        }
        for something in [r#"{"services":["payments"]}"#, "[]", "x"] {
            assert!(says_anything(something.as_bytes()), "{something}");
        }
    }
}
