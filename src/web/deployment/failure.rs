//! Why a deployment counts as a failed change, saying so by hand, and saying that it did not fail.

use super::super::context_events::page_of;
use super::super::{AppState, ClientAddress, Error, Policy, Principal, Result, Routes, detached};
use super::safe_url;
use crate::events::clean_text;
use crate::store::change_failures::{self, ChangeFailure, Dispute};
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

/// What the page says of a failed change, and what can be done about it.
pub struct FailureSection {
    /// Why it counts as failed although it went live.
    pub counting: Vec<FailureRow>,
    /// What does not count, since somebody disputes it.
    pub disputed: Vec<FailureRow>,
    /// Who disputes it, when, and why.
    pub dispute: Option<(String, String)>,
    pub is_marked: bool,
    pub can_dispute: bool,
}

impl FailureSection {
    pub fn new(failures: &[ChangeFailure], dispute: Option<Dispute>) -> Self {
        let rows = |is_disputed: bool| -> Vec<FailureRow> {
            failures.iter().filter(|one| one.is_disputed == is_disputed).map(row).collect()
        };
        let said = |one: Dispute| {
            (format!("{}, {}", one.disputed_by, one.disputed_at.format("%-d %b %Y %H:%M UTC")), one.note)
        };
        Self {
            counting: rows(false),
            disputed: rows(true),
            dispute: dispute.map(said),
            is_marked: failures.iter().any(|one| one.reason == "marked"),
            can_dispute: failures.iter().any(ChangeFailure::can_be_disputed),
        }
    }
}

pub fn routes(routes: Routes) -> Routes {
    routes
        .post("/deployments/{id}/failure", Policy::SignedIn, mark)
        .post("/deployments/{id}/failure/remove", Policy::SignedIn, unmark)
        .post("/deployments/{id}/failure/dispute", Policy::SignedIn, dispute)
        .post("/deployments/{id}/failure/dispute/remove", Policy::SignedIn, undispute)
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

fn row(failure: &ChangeFailure) -> FailureRow {
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
    take_back(app, principal, address, id, Said::Mark).await
}

async fn dispute(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    Form(form): Form<MarkForm>,
) -> Result<Redirect> {
    let note =
        clean_text(&form.note).ok_or_else(|| Error::Invalid("note: say in a few words why it did not fail.".into()))?;
    detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        deployment_lists::get(&mut transaction, id).await?.ok_or(Error::NotFound)?;
        let failures = change_failures::of_deployment(&mut transaction, id).await?;
        if !failures.iter().any(ChangeFailure::can_be_disputed) {
            return Err(Error::Conflict("No incident, revert or hotfix makes it a failed change.".into()));
        }
        change_failures::dispute(&mut transaction, id, &note, &principal.login, app.now()).await?;
        let (from, subject) = (address.to_string(), format!("deployment {id}"));
        let details = json!({ "note": note });
        let action = "deployment.failure_disputed";
        audit::insert(&mut transaction, app.now(), &principal.login, &from, action, &subject, details).await?;
        transaction.commit().await?;
        Ok(Redirect::to(&format!("/deployments/{id}")))
    })
    .await
}

async fn undispute(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Redirect> {
    take_back(app, principal, address, id, Said::Dispute).await
}

/// What somebody said of a deployment.
enum Said {
    Mark,
    Dispute,
}

async fn take_back(
    app: AppState,
    principal: Principal,
    address: ClientAddress,
    id: i64,
    said: Said,
) -> Result<Redirect> {
    detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        deployment_lists::get(&mut transaction, id).await?.ok_or(Error::NotFound)?;
        let (was_said, action) = match said {
            Said::Mark => (change_failures::unmark(&mut transaction, id).await?, "deployment.failure_mark_removed"),
            Said::Dispute => {
                (change_failures::undispute(&mut transaction, id).await?, "deployment.failure_dispute_removed")
            }
        };
        if was_said {
            let (from, subject) = (address.to_string(), format!("deployment {id}"));
            audit::insert(&mut transaction, app.now(), &principal.login, &from, action, &subject, json!({})).await?;
        }
        transaction.commit().await?;
        Ok(Redirect::to(&format!("/deployments/{id}")))
    })
    .await
}
