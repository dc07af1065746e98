//! What a reviewer writes about a deployment's cost. It changes no estimate.

use crate::store::{audit, deployment_costs, deployment_lists, deployment_notes};
use crate::web::{AppState, ClientAddress, Error, Policy, Principal, Result, Routes, detached};
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.post("/deployments/{id}/notes", Policy::Review, add)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NoteForm {
    note: String,
}

async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    Form(form): Form<NoteForm>,
) -> Result<Response> {
    let note = form.note.trim().to_owned();
    let mut snapshot = app.pools.snapshot().await?;
    deployment_lists::get(&mut snapshot, id).await?.ok_or(Error::NotFound)?;
    let services = deployment_costs::services(&mut snapshot, id).await?;
    let scope = principal.scope();
    if !services.iter().any(|service| scope.has_team(service.team_id)) {
        return Err(Error::Forbidden);
    }
    drop(snapshot);
    let length = note.chars().count();
    if note.is_empty() || length > deployment_notes::NOTE_LENGTH_MAX {
        return Err(Error::Invalid(format!(
            "A note has 1 to {} characters; this one has {length}. Go back to change it.",
            deployment_notes::NOTE_LENGTH_MAX
        )));
    }
    detached(async move {
        let mut transaction = app.pools.jobs.begin().await?;
        deployment_notes::add(&mut transaction, id, &note, &principal.login, app.now()).await?;
        let (login, from) = (principal.login.as_str(), address.to_string());
        let details = serde_json::json!({ "characters": length });
        audit::insert(&mut transaction, app.now(), login, &from, "deployment.note_added", &id.to_string(), details)
            .await?;
        transaction.commit().await
    })
    .await?;
    Ok(Redirect::to(&format!("/deployments/{id}#h-note")).into_response())
}
