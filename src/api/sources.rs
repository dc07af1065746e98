//! `/api/v1/sources`: how each source stands, and one that nobody needs any more is removed: the same as on the pages.

use super::error::{ErrorBody, Result};
use crate::store::freshness::{Freshness, SourceState};
use crate::store::sources::{self, SourceRow};
use crate::store::unread_files;
use crate::web::source_change::{self, By};
use crate::web::sources::lacking;
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes, detached};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

const STATES: [&str; 4] = ["complete", "late", "ended", "no-bill"];

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.api_get("/api/v1/sources", ApiPolicy::read(Policy::Bills), list).api_delete(
        "/api/v1/sources/{name}",
        ApiPolicy::admin(Policy::Admin),
        remove,
    )
}

/// What the list takes.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct SourceQuery {
    /// `complete`, `late`, `ended` or `no-bill`.
    state: Option<String>,
}

/// A source of bills and how it stands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SourceBody {
    /// Its number.
    pub source_id: i64,
    /// Its name.
    pub name: String,
    /// FOCUS `ProviderName`, where one is known.
    pub provider_name: Option<String>,
    /// `complete`, `late` (behind the others), `ended` (no more is expected of it) or `no-bill` (none counts).
    pub state: String,
    /// By how many days it is late; `null` where it is not.
    pub late_days: Option<u32>,
    /// The last day that its bills can hold in full; `null` where none counts.
    pub complete_to: Option<NaiveDate>,
    /// The last day with a charge, which may not be whole; `null` where none counts.
    pub last_charge_date: Option<NaiveDate>,
    /// Accounts that are late and billing periods without a bill, in sentences.
    pub lacking: Vec<String>,
    /// Lines in its current bills.
    pub rows: i64,
    /// Deliveries, all told.
    pub delivery_count: i64,
    /// Deliveries that wait for a decision: `/api/v1/deliveries?state=quarantined` lists them.
    pub waiting_count: i64,
    /// Files of the last 30 days that could not be read, and were not mended since.
    pub unread_count: i64,
    /// Its last delivery.
    pub last_delivery_id: Option<i64>,
    /// What became of that one.
    pub last_state: Option<String>,
    /// When it came.
    pub last_received_at: Option<DateTime<Utc>>,
}

/// List the sources of bills with how far each reaches and what waits, by name.
#[utoipa::path(get, path = "/api/v1/sources", tag = "bills", params(SourceQuery), responses(
    (status = 200, body = Vec<SourceBody>),
    (status = 400, description = "A parameter is wrong; the sentence names what is allowed", body = ErrorBody)))]
pub async fn list(State(app): State<AppState>, Query(query): Query<SourceQuery>) -> Result<Json<Vec<SourceBody>>> {
    if let Some(state) = query.state.as_deref().filter(|state| !STATES.contains(state)) {
        let known = STATES.join(", ");
        return Err(web::Error::Invalid(format!("state={state} is not known. Allowed: {known}.")).into());
    }
    let mut snapshot = app.pools.snapshot().await?;
    let bills = app.bills(&mut snapshot).await?;
    let unread = unread_files::list(&mut *snapshot, None, app.now()).await?;
    let unread_of = |source_id| unread.iter().filter(|file| file.source_id == Some(source_id)).count() as i64;
    let rows = sources::list(&mut snapshot).await?;
    let all = rows.into_iter().map(|row| body(&bills, unread_of(row.source_id), row));
    Ok(Json(all.filter(|source| query.state.as_ref().is_none_or(|state| *state == source.state)).collect()))
}

fn body(bills: &Freshness, unread_count: i64, row: SourceRow) -> SourceBody {
    let found = bills.sources.iter().find(|source| source.source_id == row.source_id);
    let (state, late_days) = match found.map(|source| bills.state(source)) {
        None => ("no-bill", None),
        Some(SourceState::Complete) => ("complete", None),
        Some(SourceState::Late(days)) => ("late", Some(days)),
        Some(SourceState::Ended) => ("ended", None),
    };
    SourceBody {
        state: state.into(),
        late_days,
        complete_to: found.map(|source| source.complete_to),
        lacking: lacking(bills, row.source_id),
        unread_count,
        source_id: row.source_id,
        name: row.name,
        provider_name: row.provider_name,
        last_charge_date: row.last_charge_date,
        rows: row.charge_count,
        delivery_count: row.delivery_count,
        waiting_count: row.quarantined_count,
        last_delivery_id: row.last_delivery_id,
        last_state: row.last_state,
        last_received_at: row.last_received_at,
    }
}

/// Remove a source of which no bill counts and no delivery waits, such as a mistyped one. It goes from every list, and its
/// set-up and credentials are forgotten; receipts of its deliveries stay as history.
#[utoipa::path(delete, path = "/api/v1/sources/{name}", tag = "bills",
    params(("name" = String, Path, description = "The source")), responses(
    (status = 204, description = "It is removed"), (status = 404, body = ErrorBody),
    (status = 409, description = "Bills of it count, or deliveries wait", body = ErrorBody)))]
pub async fn remove(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    let by = By { actor: principal.login.clone(), from: address.to_string(), now: app.now() };
    let done: web::Result<()> = detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        let source_id = sources::id(&mut transaction, &name).await?.ok_or(web::Error::NotFound)?;
        source_change::remove_unused(&mut transaction, source_id, &by).await?;
        transaction.commit().await?;
        Ok(())
    })
    .await;
    done?;
    Ok(StatusCode::NO_CONTENT)
}
