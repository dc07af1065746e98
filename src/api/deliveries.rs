//! `/api/v1/deliveries`: what was handed in, receipts, and the decisions about deliveries: the same as on their pages.

use super::error::{ErrorBody, Result};
use super::known;
use crate::focus::BillingPeriod;
use crate::store::delivery_lists::{self, DeliveryFilter, ListedDelivery, STATES};
use crate::store::receipts::{self, Receipt};
use crate::web::delivery_decision::{self, Decision};
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes};
use axum::Json;
use axum::extract::{Path, Query, State};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// Deliveries of a list where nothing else is asked for.
const LIST_DEFAULT: i64 = 50;
/// Deliveries of a list.
const LIST_MAX: i64 = 500;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let (read, admin) = (ApiPolicy::read(Policy::Finance), ApiPolicy::admin(Policy::Finance));
    routes
        .api_get("/api/v1/deliveries", ApiPolicy::read(Policy::Bills), list)
        .api_get("/api/v1/deliveries/{id}", read, show)
        .api_post("/api/v1/deliveries/{id}/accept", admin, accept)
        .api_post("/api/v1/deliveries/{id}/revert", admin, revert)
        .api_post("/api/v1/deliveries/{id}/withdraw", admin, withdraw)
}

/// What the list takes.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    /// Name of the source, also of one that a file was handed in for and could not be read.
    source: Option<String>,
    /// `waiting`, `loading`, `published`, `unchanged`, `quarantined` (it waits for a decision), `refused`, `failed`,
    /// `withdrawn` or `superseded`.
    state: Option<String>,
    /// A month, like 2026-10: those with lines of a billing period that begins in it.
    period: Option<String>,
    /// `next` of the page before.
    after: Option<i64>,
    /// 1 to 500, otherwise 50.
    limit: Option<i64>,
}

/// Deliveries, the newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeliveryList {
    /// They.
    pub deliveries: Vec<DeliveryBody>,
    /// Where the next page begins: hand it back as `after`. `null` on the last.
    pub next: Option<i64>,
}

/// A delivery; its receipt has all of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeliveryBody {
    /// Its number: `/api/v1/deliveries/{id}` is its receipt.
    pub delivery_id: i64,
    /// Name of the file.
    pub file: String,
    /// As recognised; `null` where it was not.
    pub format: Option<String>,
    /// The source; `null` where none was named and none could be told.
    pub source: Option<String>,
    /// Number of the source; `null` while it is not known.
    pub source_id: Option<i64>,
    /// `waiting`, `loading`, `published`, `unchanged`, `quarantined`, `refused`, `failed`, `withdrawn` or `superseded`.
    pub state: String,
    /// Why, where there is a reason.
    pub reason: Option<String>,
    /// First days of its billing periods.
    pub billing_periods: Vec<NaiveDate>,
    /// Data rows read, the rejected ones among them.
    pub rows: i64,
    /// Rows that could not be read.
    pub rejected_rows: i64,
    /// When it was handed in.
    pub received_at: DateTime<Utc>,
    /// By whom.
    pub received_by: String,
    /// Whether it waits for a decision because it changes a closed month, or did.
    pub waits_for_closed_month: bool,
}

/// List deliveries, the newest first: those of a source, in a state, or of a billing period.
#[utoipa::path(get, path = "/api/v1/deliveries", tag = "bills", params(DeliveryQuery), responses(
    (status = 200, body = DeliveryList),
    (status = 400, description = "A parameter is wrong; the sentence names what is allowed", body = ErrorBody)))]
pub async fn list(State(app): State<AppState>, Query(query): Query<DeliveryQuery>) -> Result<Json<DeliveryList>> {
    let limit = query.limit.unwrap_or(LIST_DEFAULT);
    if !(1..=LIST_MAX).contains(&limit) {
        return Err(web::Error::Invalid(format!("limit must be from 1 to {LIST_MAX}.")).into());
    }
    if let Some(state) = query.state.as_deref().filter(|state| !STATES.contains(state)) {
        let known = STATES.join(", ");
        return Err(web::Error::Invalid(format!("state={state} is not known. Allowed: {known}.")).into());
    }
    let period = query.period.as_deref().map(|text| {
        let month = text.parse::<BillingPeriod>();
        month.map_err(|error| web::Error::Invalid(format!("period={text}: {error}.")))
    });
    let filter = DeliveryFilter {
        source: query.source,
        state: query.state,
        month: period.transpose()?.map(BillingPeriod::first_day),
        before: query.after,
    };
    let mut snapshot = app.pools.snapshot().await?;
    let mut rows = delivery_lists::list(&mut *snapshot, &filter, limit + 1).await?;
    if let Some(source) = filter.source.as_deref().filter(|_| rows.is_empty()) {
        let is_known = delivery_lists::has_source(&mut *snapshot, source).await?;
        let allowed = "Allowed: a name that /api/v1/sources lists, or one that a file was handed in for.";
        known::refuse("source", Some(source).filter(|_| !is_known), allowed)?;
    }
    let has_more = rows.len() as i64 > limit;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| has_more).map(|row| row.delivery_id);
    Ok(Json(DeliveryList { deliveries: rows.into_iter().map(DeliveryBody::from).collect(), next }))
}

impl From<ListedDelivery> for DeliveryBody {
    fn from(row: ListedDelivery) -> Self {
        Self {
            delivery_id: row.delivery_id,
            file: row.file_name,
            format: row.format,
            source: row.source,
            source_id: row.source_id,
            state: row.state,
            reason: row.reason,
            billing_periods: row.billing_periods,
            rows: row.row_count,
            rejected_rows: row.rejected_row_count,
            received_at: row.received_at,
            received_by: row.received_by,
            waits_for_closed_month: row.waits_for_closed_month,
        }
    }
}

/// Show the receipt of a delivery, as `costwake import --json` prints it. `closed_months` has what one that waits would
/// change in closed months, by service and charge category; `would_replace` what it would take the place of: the
/// deliveries, their lines, and BilledCost and EffectiveCost before and after, by billing period and currency.
#[utoipa::path(get, path = "/api/v1/deliveries/{id}", tag = "bills",
    params(("id" = i64, Path, description = "Its number")), responses(
    (status = 200, description = "The receipt", body = Receipt), (status = 404, body = ErrorBody)))]
pub async fn show(State(app): State<AppState>, Path(delivery_id): Path<i64>) -> Result<Json<Receipt>> {
    Ok(Json(receipt(&app, delivery_id).await?))
}

async fn receipt(app: &AppState, delivery_id: i64) -> web::Result<Receipt> {
    let mut snapshot = app.pools.snapshot().await?;
    receipts::get(&mut snapshot, delivery_id).await?.ok_or(web::Error::NotFound)
}

/// Count a delivery that waits for a decision, or one that was withdrawn. What it changes in closed months is booked to
/// the first open month after each. Repeating it changes nothing.
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/accept", tag = "bills",
    params(("id" = i64, Path, description = "Its number")), responses(
    (status = 200, description = "The receipt", body = Receipt), (status = 404, body = ErrorBody),
    (status = 409, description = "It does not wait, or something newer counts", body = ErrorBody)))]
pub async fn accept(app: State<AppState>, who: Principal, from: ClientAddress, id: Path<i64>) -> Result<Json<Receipt>> {
    decide(app.0, who, from, id.0, Decision::Accept).await
}

/// Give the bills of a delivery back to what counted before it. Repeating it changes nothing.
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/revert", tag = "bills",
    params(("id" = i64, Path, description = "Its number")), responses(
    (status = 200, description = "The receipt", body = Receipt), (status = 404, body = ErrorBody),
    (status = 409, description = "Nothing of it counts, or nothing counted before", body = ErrorBody)))]
pub async fn revert(app: State<AppState>, who: Principal, from: ClientAddress, id: Path<i64>) -> Result<Json<Receipt>> {
    decide(app.0, who, from, id.0, Decision::Revert).await
}

/// Refuse a delivery that waits, or let nothing of a counted one count any more. Repeating it changes nothing.
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/withdraw", tag = "bills",
    params(("id" = i64, Path, description = "Its number")), responses(
    (status = 200, description = "The receipt", body = Receipt), (status = 404, body = ErrorBody),
    (status = 409, description = "Nothing of it counts or waits", body = ErrorBody)))]
pub async fn withdraw(
    app: State<AppState>,
    who: Principal,
    from: ClientAddress,
    id: Path<i64>,
) -> Result<Json<Receipt>> {
    decide(app.0, who, from, id.0, Decision::Withdraw).await
}

async fn decide(
    app: AppState,
    principal: Principal,
    address: ClientAddress,
    delivery_id: i64,
    decision: Decision,
) -> Result<Json<Receipt>> {
    delivery_decision::decide(&app, principal, address, delivery_id, decision).await?;
    Ok(Json(receipt(&app, delivery_id).await?))
}
