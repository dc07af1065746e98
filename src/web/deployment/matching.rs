//! By which rules a deployment came to its services and environment, and pinning that.

use super::super::mapping_change::{self, Done, MappingChange};
use super::super::{AppState, ClientAddress, Error, Policy, Principal, Result, Routes};
use crate::store::deployment_pins::{self, Matching};
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;

pub fn routes(routes: Routes) -> Routes {
    routes.post("/deployments/{id}/pin", Policy::Bills, pin).post("/deployments/{id}/unpin", Policy::Bills, unpin)
}

/// A rule as the page names it: what it decided, its page, and what it says of itself.
pub struct RuleRow {
    pub what: &'static str,
    pub href: String,
    pub note: String,
}

pub fn rows(matching: &Matching) -> Vec<RuleRow> {
    let row = |what, id: Option<i64>, note: &Option<String>| {
        id.map(|id| RuleRow {
            what,
            href: if note.is_some() { format!("/rules/{id}/history") } else { String::new() },
            note: match note.as_deref() {
                Some("") => format!("rule {id}"),
                Some(note) => note.to_owned(),
                None => format!("rule {id}, which is gone by now"),
            },
        })
    };
    let service = row("Service", matching.service_rule_id, &matching.service_rule_note);
    let environment = row("Environment", matching.environment_rule_id, &matching.environment_rule_note);
    service.into_iter().chain(environment).collect()
}

/// What its sender told beside names, `stage: Deploy`: rules can look at each, as `pipeline`, `path` or a tag.
pub fn told(attributes: &serde_json::Value) -> Vec<String> {
    let pairs = attributes.as_object().into_iter().flatten();
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    pairs.map(|(key, value)| format!("{key}: {}", text(value))).collect()
}

async fn pin(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Response> {
    let done = set(app, principal, address, id, true).await?;
    Ok(done.redirect(|_| page_of(id)))
}

async fn unpin(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Response> {
    let done = set(app, principal, address, id, false).await?;
    Ok(done.redirect(|_| page_of(id)))
}

fn page_of(id: i64) -> String {
    format!("/deployments/{id}#h-match")
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
