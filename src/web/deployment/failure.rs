//! Why a deployment counts as a failed change, and saying so by hand.

use super::super::context_events::page_of;
use super::super::{AppState, ClientAddress, Error, Policy, Principal, Result, Routes, detached};
use super::safe_url;
use crate::events::clean_text;
use crate::store::change_failures::{self, ChangeFailure};
use crate::store::{audit, deployment_lists};
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use serde::Deserialize;
use serde_json::json;

/// A reason, as the page shows it.
pub struct FailureRow {
    pub sentence: String,
    pub href: String,
    pub at: String,
    pub note: String,
}

pub fn routes(routes: Routes) -> Routes {
    routes.post("/deployments/{id}/failure", Policy::SignedIn, mark).post(
        "/deployments/{id}/failure/remove",
        Policy::SignedIn,
        unmark,
    )
}

/// "Rolled back to 2.1": a reason, on the page and in the API.
pub fn sentence(failure: &ChangeFailure) -> String {
    let title = failure.title.as_deref().unwrap_or("without a title");
    match (failure.reason.as_str(), failure.deployment_id) {
        ("rollback", Some(_)) => {
            format!("Rolled back to {}", failure.version.as_deref().unwrap_or("an earlier version"))
        }
        ("hotfix", Some(_)) => format!("Mended by a hotfix: {title}"),
        ("incident", _) => format!("Incident within a day: {title}"),
        ("revert", _) => format!("Reverted: {title}"),
        _ => format!("Marked by {}", failure.marked_by.as_deref().unwrap_or("somebody")),
    }
}

pub fn row(failure: &ChangeFailure) -> FailureRow {
    let href = match (failure.reason.as_str(), failure.deployment_id) {
        ("rollback" | "hotfix", Some(id)) => format!("/deployments/{id}"),
        ("incident", _) => failure.operational_event_id.map(page_of).unwrap_or_default(),
        _ => String::new(),
    };
    let page = safe_url(failure.url.as_deref()).unwrap_or_default();
    FailureRow {
        sentence: sentence(failure),
        href: if href.is_empty() { page.to_owned() } else { href },
        at: failure.failed_at.format("%-d %b %H:%M").to_string(),
        note: failure.note.clone().unwrap_or_default(),
    }
}

#[derive(Deserialize)]
struct MarkForm {
    note: String,
}

async fn mark(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    Form(form): Form<MarkForm>,
) -> Result<Redirect> {
    let note =
        clean_text(&form.note).ok_or_else(|| Error::Invalid("note: say in a few words what went wrong.".into()))?;
    detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        let row = deployment_lists::get(&mut transaction, id).await?.ok_or(Error::NotFound)?;
        if !super::went_live(&row) {
            return Err(Error::Invalid("It did not go live, so that it is no failed change of what is live.".into()));
        }
        change_failures::mark(&mut transaction, id, &note, &principal.login, app.now()).await?;
        let (from, subject) = (address.to_string(), format!("deployment {id}"));
        let details = json!({ "note": note });
        let action = "deployment.marked_failed";
        audit::insert(&mut transaction, app.now(), &principal.login, &from, action, &subject, details).await?;
        transaction.commit().await?;
        Ok(Redirect::to(&format!("/deployments/{id}")))
    })
    .await
}

async fn unmark(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Redirect> {
    detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        deployment_lists::get(&mut transaction, id).await?.ok_or(Error::NotFound)?;
        if change_failures::unmark(&mut transaction, id).await? {
            let (from, subject) = (address.to_string(), format!("deployment {id}"));
            let action = "deployment.failure_mark_removed";
            audit::insert(&mut transaction, app.now(), &principal.login, &from, action, &subject, json!({})).await?;
        }
        transaction.commit().await?;
        Ok(Redirect::to(&format!("/deployments/{id}")))
    })
    .await
}
