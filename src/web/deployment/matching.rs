//! Pinning how a deployment came to its services and environment.

use super::super::mapping_change::{self, Done, MappingChange};
use super::super::{AppState, ClientAddress, Error, Policy, Principal, Result, Routes};
use crate::store::deployment_pins;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;

pub fn routes(routes: Routes) -> Routes {
    let routes = routes.post("/deployments/{id}/pin", Policy::Bills, set_by_form::<true>);
    routes.post("/deployments/{id}/unpin", Policy::Bills, set_by_form::<false>)
}

async fn set_by_form<const IS_PINNED: bool>(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Response> {
    let done = set(app, principal, address, id, IS_PINNED).await?;
    Ok(done.redirect(|_| format!("/deployments/{id}#h-match")))
}

/// Pins a match, which moves nothing, or lets rules decide again. Whether it was otherwise before.
pub async fn set(
    app: AppState,
    principal: Principal,
    address: ClientAddress,
    id: i64,
    is_pinned: bool,
) -> Result<Done<bool>> {
    mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        deployment_pins::matching(change.conn(), id).await?.ok_or(Error::NotFound)?;
        let (by, now) = (change.actor().to_owned(), change.now());
        let has_changed = if is_pinned {
            deployment_pins::pin(change.conn(), id, &by, now).await?
        } else {
            deployment_pins::unpin(change.conn(), id).await?
        };
        if has_changed {
            let action = if is_pinned { "deployment.pinned" } else { "deployment.unpinned" };
            change.audit(action, &format!("deployment {id}"), json!({})).await?;
        }
        if has_changed && !is_pinned {
            change.finish().await?;
        } else {
            change.finish_without_remap().await?;
        }
        Ok(has_changed)
    })
    .await
}
