//! `/api/v1/invoices`: what invoices total beside the lines that name them, as the page shows it.

use super::body::parse;
use super::catalogue::{DeletedNumber, unprocessable};
use super::costs::plain;
use super::error::{Error, ErrorBody, Result};
use super::known;
use crate::rollup::Person;
use crate::rollup::invoices::{self as actions, InvoiceError, InvoiceForm};
use crate::store::billed_names;
use crate::store::invoices::{INVOICE_COUNT_MAX, WithoutInvoice};
use crate::web::invoice_list::{self, Compared};
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes, detached};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let (read, admin) = (ApiPolicy::read(Policy::OrganisationMoney), ApiPolicy::admin(Policy::Finance));
    routes.api_get("/api/v1/invoices", read, list).api_post("/api/v1/invoices", admin, enter).api_post(
        "/api/v1/invoices/{id}/delete",
        admin,
        delete,
    )
}

/// Invoices, and what no invoice is named for.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct InvoicesBody {
    /// What needs someone first.
    pub invoices: Vec<InvoiceBody>,
    /// Lines of current bills that name no invoice.
    pub without_invoice: Vec<WithoutInvoiceBody>,
    /// Whether there may be more invoices than the 20,000 that are looked at: ask for one month.
    pub is_cut: bool,
}

/// An invoice beside the lines that name it. Amounts are strings, exact.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct InvoiceBody {
    /// The id of the recorded total; `null` where none is recorded.
    pub id: Option<i64>,
    /// FOCUS `InvoiceId`; empty for the lines of an issuer that names no invoice, of which none is recorded.
    pub invoice_id: String,
    /// FOCUS `InvoiceIssuerName`; may be empty.
    pub invoice_issuer_name: String,
    /// FOCUS `BillingCurrency`.
    pub billing_currency: String,
    /// The month that it is for, where known.
    #[schema(example = "2026-10")]
    pub billing_month: Option<String>,
    /// What the invoice totals; `null` where no total is recorded. Of a voided one (`issue_status`) too, which is not to be
    /// added up with the others.
    pub total: Option<String>,
    /// Σ `BilledCost` of the lines of current bills that it is compared with; `null` without a line. Of several that are
    /// compared together the first has it, and the difference.
    pub billed_cost: Option<String>,
    /// Lines less invoice; `null` where one side is missing. A voided invoice asks for nothing.
    pub difference: Option<String>,
    /// Σ of the items that explain the difference, with its sign; `null` where there is none. The difference is this and the
    /// rest.
    pub explained: Option<String>,
    /// The difference less that.
    pub rest: Option<String>,
    /// By how much rounding may make them differ (FOCUS).
    pub tolerance: String,
    /// `invoice`: with the lines that name it. `issuer-and-month`: no line of the issuer names an invoice in that month and
    /// currency, and all of them are meant.
    pub compared_by: String,
    /// The InvoiceIds of the issuer that are compared together with it.
    pub together_with: Vec<String>,
    /// `differs`, `missing-bill`, `missing-invoice`, `explained`, `within-tolerance`, `tied`, `no-invoice-entered` or `voided`.
    pub state: String,
    /// Days since it was issued, else since the end of its month.
    pub age_days: Option<i64>,
    /// Lines that it is compared with.
    pub charge_count: i64,
    /// When it was issued, where known.
    pub issue_date: Option<NaiveDate>,
    /// When it is to be paid, where known.
    pub due_date: Option<NaiveDate>,
    /// FOCUS `InvoiceIssueStatus`: `Open`, `Issued` or `Voided`, where known.
    pub issue_status: Option<String>,
    /// `entered`, `imported` or `invoice detail`; `null` where no total is recorded.
    pub origin: Option<String>,
    /// Who recorded the total.
    pub recorded_by: Option<String>,
}

/// Lines that name no invoice, of one month and currency.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct WithoutInvoiceBody {
    /// The month of the bills.
    #[schema(example = "2026-10")]
    pub billing_month: String,
    /// FOCUS `BillingCurrency`.
    pub billing_currency: String,
    /// The lines.
    pub charge_count: i64,
    /// Σ `BilledCost`, exact.
    pub billed_cost: String,
}

/// What an invoice totals.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvoice {
    /// FOCUS `InvoiceId`.
    #[schema(example = "INV-1")]
    pub invoice_id: String,
    /// FOCUS `InvoiceIssuerName`, as the bill writes it; empty where the bill names none.
    #[serde(default)]
    pub invoice_issuer_name: String,
    /// FOCUS `BillingCurrency`.
    #[schema(example = "USD")]
    pub billing_currency: String,
    /// The total, tax included, as text.
    #[schema(example = "1264604.45")]
    pub total: String,
    /// The month that it is for.
    #[serde(default)]
    #[schema(example = "2026-10")]
    pub billing_month: Option<String>,
    /// When it was issued.
    #[serde(default)]
    pub issue_date: Option<NaiveDate>,
    /// When it is to be paid.
    #[serde(default)]
    pub due_date: Option<NaiveDate>,
}

/// List invoices with difference, age and state.
#[utoipa::path(get, path = "/api/v1/invoices", tag = "invoices",
    params(
        ("month" = Option<String>, Query, description = "Billing month, like 2026-10; all when absent"),
        ("state" = Option<String>, Query, description = "differs, missing-bill, missing-invoice, explained, within-tolerance, tied, no-invoice-entered, voided"),
        ("cur" = Option<String>, Query, description = "FOCUS BillingCurrency"),
    ),
    responses((status = 200, body = InvoicesBody),
        (status = 400, description = "A parameter is wrong; the sentence names what is allowed", body = ErrorBody)))]
pub async fn list(
    State(app): State<AppState>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<InvoicesBody>> {
    let mut snapshot = app.pools.snapshot().await?;
    let list = invoice_list::read(&app, &mut snapshot, &principal, query.as_deref()).await?;
    if let Some(asked) = list.currency.as_deref().filter(|_| list.rows.is_empty() && list.without.is_empty()) {
        // Of all months: what has no invoice in this one is a currency all the same.
        let all = invoice_list::read(&app, &mut snapshot, &principal, None).await?;
        let mut names = billed_names::read(&mut snapshot).await?.currencies;
        names.extend(all.rows.into_iter().map(|one| one.row.billing_currency));
        let allowed = format!("Allowed: {}.", names.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
        let is_known = names.is_empty() || names.iter().any(|name| name.eq_ignore_ascii_case(asked));
        known::refuse("cur", Some(asked).filter(|_| !is_known), &allowed)?;
    }
    Ok(Json(InvoicesBody {
        is_cut: list.read_count as i64 >= INVOICE_COUNT_MAX,
        invoices: list.rows.into_iter().map(InvoiceBody::from).collect(),
        without_invoice: list.without.into_iter().map(WithoutInvoiceBody::from).collect(),
    }))
}

/// Record what an invoice totals, in place of what was recorded before.
#[utoipa::path(post, path = "/api/v1/invoices", tag = "invoices", request_body = NewInvoice, responses(
    (status = 201, body = InvoiceBody), (status = 422, body = ErrorBody)))]
pub async fn enter(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    body: Bytes,
) -> Result<Response> {
    let new: NewInvoice = parse(&body)?;
    let day = |day: Option<NaiveDate>| day.map(|day| day.to_string()).unwrap_or_default();
    let form = InvoiceForm {
        invoice_id: new.invoice_id.clone(),
        issuer: new.invoice_issuer_name.clone(),
        currency: new.billing_currency.clone(),
        total: new.total.clone(),
        month: new.billing_month.clone().unwrap_or_default(),
        issue_date: day(new.issue_date),
        due_date: day(new.due_date),
    };
    let work = {
        let (app, login) = (app.clone(), principal.login.clone());
        async move {
            let (now, from) = (app.now(), address.to_string());
            actions::enter(&app.pools.web, &form, Person { login: &login, address: &from }, now).await
        }
    };
    detached(work).await.map_err(refused)?;
    let mut snapshot = app.pools.snapshot().await?;
    let list = invoice_list::read(&app, &mut snapshot, &principal, None).await?;
    let issuer = new.invoice_issuer_name.trim().to_lowercase();
    let is_it = |one: &Compared| {
        one.row.invoice_id == new.invoice_id.trim()
            && one.row.recorded_issuer.as_deref().is_some_and(|name| name.trim().to_lowercase() == issuer)
            && one.row.billing_currency == new.billing_currency.trim()
    };
    let entered = list.rows.into_iter().find(is_it).ok_or(web::Error::NotFound)?;
    Ok((StatusCode::CREATED, Json(InvoiceBody::from(entered))).into_response())
}

/// Take a recorded total away, and with it the items that explain its difference. The lines that name the invoice stay.
#[utoipa::path(post, path = "/api/v1/invoices/{id}/delete", tag = "invoices",
    params(("id" = i64, Path, description = "Id of the recorded total")), responses(
    (status = 200, description = "Deleted", body = DeletedNumber),
    (status = 404, description = "There is no such total", body = ErrorBody)))]
pub async fn delete(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Response> {
    detached(async move {
        let (now, from) = (app.now(), address.to_string());
        actions::remove(&app.pools.web, id, Person { login: &principal.login, address: &from }, now).await
    })
    .await
    .map_err(refused)?;
    Ok(Json(DeletedNumber { deleted: id }).into_response())
}

/// What cannot be found is 404 here, where a page says 409 beside its form.
pub(super) fn refused(error: InvoiceError) -> Error {
    match error {
        InvoiceError::NotRecorded | InvoiceError::NoItem => web::Error::NotFound.into(),
        other => unprocessable(other.into()),
    }
}

impl From<Compared> for InvoiceBody {
    fn from(one: Compared) -> Self {
        let billing_month = one.month().map(|month| month.to_string());
        let (explained, together_with, compared_by) = (one.explained(), one.together_with(), one.compared_by());
        let Compared { row, comparison, age_days, .. } = one;
        Self {
            id: row.invoice_key,
            invoice_id: row.invoice_id,
            invoice_issuer_name: row.invoice_issuer_name,
            billing_currency: row.billing_currency,
            billing_month,
            total: row.invoiced.as_ref().map(plain),
            billed_cost: row.billed.as_ref().map(plain),
            difference: comparison.difference.as_ref().map(plain),
            explained: explained.as_ref().map(plain),
            rest: comparison.rest.as_ref().map(plain),
            tolerance: plain(&comparison.tolerance),
            compared_by: compared_by.into(),
            together_with,
            state: comparison.state.key().into(),
            age_days,
            charge_count: row.charge_count,
            issue_date: row.issue_date,
            due_date: row.due_date,
            issue_status: row.issue_status,
            origin: row.origin,
            recorded_by: row.recorded_by,
        }
    }
}

impl From<WithoutInvoice> for WithoutInvoiceBody {
    fn from(one: WithoutInvoice) -> Self {
        Self {
            billing_month: one.month.format("%Y-%m").to_string(),
            billing_currency: one.billing_currency,
            charge_count: one.charge_count,
            billed_cost: plain(&one.billed),
        }
    }
}
