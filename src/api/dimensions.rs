//! `/api/v1/dimensions`: cost by product, cost center, and dimensions of the organisation's own (virtual tags).

use super::costs::plain;
use super::error::{ErrorBody, Result};
use crate::allocate;
use crate::store::dimension_costs;
use crate::web::{ApiPolicy, AppState, Policy, Principal, Routes, dimensions};
use axum::Json;
use axum::extract::{Path, RawQuery, State};
use chrono::NaiveDate;
use serde::Serialize;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.api_get("/api/v1/dimensions", ApiPolicy::read(Policy::SignedIn), list).api_get(
        "/api/v1/dimensions/{name}",
        ApiPolicy::read(Policy::Money),
        show,
    )
}

/// A dimension.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DimensionBody {
    /// Its name in rules and addresses.
    pub name: String,
    /// What people call it.
    pub label: String,
}

/// The cost of a dimension's values.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DimensionCostsBody {
    /// The dimension.
    pub name: String,
    /// First day; `null` where none is complete.
    pub first_day: Option<NaiveDate>,
    /// Last day, included.
    pub last_day: Option<NaiveDate>,
    /// First day of what is compared with; `null` where bills do not tell of all its days.
    pub before_first_day: Option<NaiveDate>,
    /// Its last day, included.
    pub before_last_day: Option<NaiveDate>,
    /// One a value and currency. The rows of a currency add up to the bills.
    pub values: Vec<DimensionValueBody>,
}

/// A value in one currency; amounts are strings, exact.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DimensionValueBody {
    /// The value; `null` for what no rule gives one.
    pub value: Option<String>,
    /// FOCUS `BillingCurrency`.
    pub billing_currency: String,
    /// In the asked basis.
    pub cost: String,
    /// The same on the days that it is compared with; `null` where bills do not tell of them all.
    pub cost_before: Option<String>,
}

/// List dimensions.
#[utoipa::path(get, path = "/api/v1/dimensions", tag = "dimensions",
    responses((status = 200, body = Vec<DimensionBody>)))]
pub async fn list(State(app): State<AppState>) -> Result<Json<Vec<DimensionBody>>> {
    let mut snapshot = app.pools.snapshot().await?;
    let names = dimension_costs::names(&mut snapshot).await?;
    let body = |name: String| DimensionBody { label: allocate::dimension_label(&name), name };
    Ok(Json(names.into_iter().map(body).collect()))
}

/// Cost by the values of a dimension.
#[utoipa::path(get, path = "/api/v1/dimensions/{name}", tag = "dimensions",
    params(("name" = String, Path, description = "Like product or cost_center"),
        ("period" = Option<String>, Query, description = "30d (default), 60d, 12m, mtd, 2026-10, 2026-09-01..2026-10-15"),
        ("vs" = Option<String>, Query, description = "prev (default): the period before. py: the same days a year before."),
        ("basis" = Option<String>, Query, description = "amortized (default): EffectiveCost, billed: BilledCost, list: ListCost, contracted: ContractedCost. List and contracted costs leave out what was bought for commitments: its use has its own")),
    responses((status = 200, body = DimensionCostsBody),
        (status = 400, description = "A parameter is wrong; the sentence names what is allowed", body = ErrorBody),
        (status = 404, description = "There is no such dimension", body = ErrorBody)))]
pub async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<DimensionCostsBody>> {
    let read = dimensions::read(&app, &principal, &name, query.as_deref()).await?;
    let before = read.span.and_then(|span| span.known(span.before));
    let mut values = Vec::new();
    for (value, compared) in &read.rows {
        values.extend(read.currencies.iter().map(|currency| DimensionValueBody {
            value: value.clone(),
            billing_currency: currency.clone(),
            cost: plain(&compared.cost(currency)),
            cost_before: before.map(|_| plain(&compared.cost_before(currency))),
        }));
    }
    let days = read.span.map(|span| span.days);
    Ok(Json(DimensionCostsBody {
        name,
        first_day: days.map(|days| days.start()),
        last_day: days.map(|days| days.last_day()),
        before_first_day: before.map(|days| days.start()),
        before_last_day: before.map(|days| days.last_day()),
        values,
    }))
}
