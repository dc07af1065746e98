//! `/api/v1/invoices/{id}/items`: items that explain what an invoice and its lines differ by.

use super::body::parse;
use super::costs::plain;
use super::error::{ErrorBody, Result};
use super::invoices::refused;
use crate::rollup::Person;
use crate::rollup::invoice_items::{self as actions, ItemForm};
use crate::store::invoice_items::InvoiceItem;
use crate::web::invoice_list::{self, Compared};
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes, detached};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let (read, admin) = (ApiPolicy::read(Policy::OrganisationMoney), ApiPolicy::admin(Policy::Finance));
    routes
        .api_get("/api/v1/invoices/{id}/items", read, list)
        .api_post("/api/v1/invoices/{id}/items", admin, add)
        .api_post("/api/v1/invoices/{id}/items/{item_id}/delete", admin, remove)
}

/// The items of an invoice: the difference is their sum and the rest. Amounts are strings, exact. Where several invoices of
/// an issuer are compared together, all of this is of them together.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct InvoiceItemsBody {
    /// FOCUS `InvoiceId`.
    pub invoice_id: String,
    /// FOCUS `BillingCurrency`, of all amounts.
    pub billing_currency: String,
    /// Lines less invoice; `null` where one side is missing.
    pub difference: Option<String>,
    /// The difference in words, which say what its sign means; empty where there is none.
    #[schema(example = "invoiced more than billed by $7,796.34")]
    pub difference_words: String,
    /// The earliest first.
    pub items: Vec<InvoiceItemBody>,
    /// The difference less the items.
    pub rest: Option<String>,
    /// `explained` where the rest is within the tolerance; else as in the list of invoices.
    pub state: String,
}

/// A named part of a difference.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct InvoiceItemBody {
    /// Its number.
    pub id: i64,
    /// Signed as the difference is.
    pub amount: String,
    /// What it is.
    pub reason: String,
    /// Who added it.
    pub added_by: String,
    /// When.
    pub added_at: DateTime<Utc>,
}

/// An item to be added.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvoiceItem {
    /// Signed as the difference is: below zero where more is invoiced than billed.
    #[schema(example = "-7796.34")]
    pub amount: String,
    /// What it is.
    #[schema(example = "Credit note CN-17 comes in the next bill.")]
    pub reason: String,
}

/// List the items that explain what an invoice and its lines differ by.
#[utoipa::path(get, path = "/api/v1/invoices/{id}/items", tag = "invoices",
    params(("id" = i64, Path, description = "Id of the recorded total")), responses(
    (status = 200, body = InvoiceItemsBody),
    (status = 404, description = "There is no such total", body = ErrorBody)))]
pub async fn list(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<i64>,
) -> Result<Json<InvoiceItemsBody>> {
    Ok(Json(items(&app, &principal, id).await?))
}

/// Add an item that explains a part of the difference.
#[utoipa::path(post, path = "/api/v1/invoices/{id}/items", tag = "invoices", request_body = NewInvoiceItem,
    params(("id" = i64, Path, description = "Id of the recorded total")), responses(
    (status = 201, body = InvoiceItemsBody),
    (status = 404, description = "There is no such total", body = ErrorBody),
    (status = 422, body = ErrorBody)))]
pub async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    body: Bytes,
) -> Result<Response> {
    let NewInvoiceItem { amount, reason } = parse(&body)?;
    let work = {
        let (app, login) = (app.clone(), principal.login.clone());
        async move {
            let (now, from) = (app.now(), address.to_string());
            let form = ItemForm { amount, reason };
            actions::add(&app.pools.web, id, &form, Person { login: &login, address: &from }, now).await
        }
    };
    detached(work).await.map_err(refused)?;
    Ok((StatusCode::CREATED, Json(items(&app, &principal, id).await?)).into_response())
}

/// Take an item back.
#[utoipa::path(post, path = "/api/v1/invoices/{id}/items/{item_id}/delete", tag = "invoices",
    params(("id" = i64, Path, description = "Id of the recorded total"),
        ("item_id" = i64, Path, description = "Id of the item")), responses(
    (status = 200, body = InvoiceItemsBody),
    (status = 404, description = "There is no such total or item", body = ErrorBody)))]
pub async fn remove(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path((id, item_id)): Path<(i64, i64)>,
) -> Result<Json<InvoiceItemsBody>> {
    let work = {
        let (app, login) = (app.clone(), principal.login.clone());
        async move {
            let (now, from) = (app.now(), address.to_string());
            actions::remove(&app.pools.web, id, item_id, Person { login: &login, address: &from }, now).await
        }
    };
    detached(work).await.map_err(refused)?;
    Ok(Json(items(&app, &principal, id).await?))
}

async fn items(app: &AppState, principal: &Principal, id: i64) -> web::Result<InvoiceItemsBody> {
    let mut snapshot = app.pools.snapshot().await?;
    let one = invoice_list::one(&mut snapshot, &principal.scope(), id, app.now().date_naive()).await?;
    Ok(InvoiceItemsBody::from(one.ok_or(web::Error::NotFound)?))
}

impl From<Compared> for InvoiceItemsBody {
    fn from(one: Compared) -> Self {
        let whole = one.whole();
        let item = |item: &InvoiceItem| InvoiceItemBody {
            id: item.invoice_item_id,
            amount: plain(&item.amount),
            reason: item.reason.clone(),
            added_by: item.added_by.clone(),
            added_at: item.added_at,
        };
        Self {
            difference: whole.difference.as_ref().map(plain),
            difference_words: one.difference_words(),
            items: one.items.iter().map(item).collect(),
            rest: whole.rest.as_ref().map(plain),
            state: whole.state.key().into(),
            invoice_id: one.row.invoice_id.clone(),
            billing_currency: one.row.billing_currency.clone(),
        }
    }
}
