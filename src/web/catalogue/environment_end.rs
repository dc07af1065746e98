//! Somebody knows better than the sender whether a preview still runs.

use super::super::mapping_change::{self, MappingChange};
use super::super::{AppState, ClientAddress, Error, Principal, Result};
use crate::store::catalogue::environment::{self, Environment};
use crate::store::environment_ends;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;

pub(super) async fn still_runs(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
) -> Result<Response> {
    answer(app, principal, address, slug, true).await
}

pub(super) async fn ended(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(slug): Path<String>,
) -> Result<Response> {
    answer(app, principal, address, slug, false).await
}

async fn answer(
    app: AppState,
    principal: Principal,
    address: ClientAddress,
    slug: String,
    still_runs: bool,
) -> Result<Response> {
    let path = format!("/environments/{slug}#h-end");
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let environment = environment::get(change.conn(), &slug).await?.ok_or(Error::NotFound)?;
        set(&mut change, &environment, still_runs).await?;
        change.finish_without_remap().await
    });
    Ok(done.await?.redirect(|()| path))
}

/// Lets an environment run on whatever its sender told up to now, or lets the sender's word hold again.
pub async fn set(change: &mut MappingChange, environment: &Environment, still_runs: bool) -> Result<()> {
    let (by, now, id) = (change.actor().to_owned(), change.now(), environment.environment_id);
    let has_changed = if still_runs {
        let end = environment_ends::list(change.conn(), Some(id)).await?.pop();
        if !end.is_some_and(|end| end.is_told) {
            let text = format!("No sender told that {} ended, so there is nothing to take back.", environment.name);
            return Err(Error::Conflict(text));
        }
        environment_ends::refuse(change.conn(), id, &by, now).await?
    } else {
        environment_ends::accept(change.conn(), id).await?
    };
    if has_changed {
        let action = if still_runs { "environment.end_refused" } else { "environment.end_accepted" };
        change.audit(action, &environment.slug, json!({})).await?;
    }
    Ok(())
}
