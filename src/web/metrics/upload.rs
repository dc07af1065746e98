//! A file of values by hand.

use super::super::spool::form_error;
use super::super::{AppState, ClientAddress, Error, Principal, Result, detached};
use super::change::from_usage;
use super::page;
use crate::rollup::metrics_import;
use crate::rollup::usage::UsageError;
use axum::extract::{Multipart, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

/// About a million values; more is for the command.
pub(super) const FILE_BYTES_MAX: usize = 64 << 20;

pub(super) async fn receive(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    mut multipart: Multipart,
) -> Result<Response> {
    let mut bytes = Vec::new();
    while let Some(mut field) = multipart.next_field().await.map_err(|error| form_error(&error))? {
        if field.name() != Some("file") {
            continue;
        }
        while let Some(chunk) = field.chunk().await.map_err(|error| form_error(&error))? {
            bytes.extend_from_slice(&chunk);
        }
    }
    let (state, by) = (app.clone(), principal.login.clone());
    let imported = detached(async move {
        if bytes.is_empty() {
            let words = "No file was chosen. Choose a CSV file with the columns metric, service, day and value.";
            return Err(UsageError::Refused(words.into()));
        }
        let now = state.now();
        metrics_import::import(&state.pools, &bytes, &by, &address.to_string(), now).await
    });
    match imported.await {
        Ok(report) => {
            let done = format!("{} values of {} were stored.", report.point_count, report.metrics.join(", "));
            let query = serde_urlencoded::to_string([("done", done)]).unwrap_or_default();
            Ok(Redirect::to(&format!("/metrics?{query}")).into_response())
        }
        Err(UsageError::Lines(faults)) => refused(&app, &principal, faults).await,
        Err(error) => match from_usage(error) {
            error @ (Error::Invalid(_) | Error::Conflict(_)) => {
                refused(&app, &principal, vec![error.to_string()]).await
            }
            other => Err(other),
        },
    }
}

async fn refused(app: &AppState, principal: &Principal, faults: Vec<String>) -> Result<Response> {
    let page = page(app, principal, String::new(), faults).await?;
    Ok((StatusCode::BAD_REQUEST, page).into_response())
}
