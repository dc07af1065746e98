//! `/api/v1/rates`: the reporting currency, and the one rate that each billing month and currency is converted with.

use super::body::parse;
use super::catalogue::unprocessable;
use super::costs::plain;
use super::error::{Error, ErrorBody, Result};
use crate::focus::{BillingPeriod, RateOrigin};
use crate::rollup::Person;
use crate::rollup::rates::{self as actions, RateError};
use crate::store::rates::{self, EnteredRate};
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes, detached};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let (read, admin) = (ApiPolicy::read(Policy::SignedIn), ApiPolicy::admin(Policy::Bills));
    routes
        .api_get("/api/v1/rates", read, list)
        .api_post("/api/v1/rates", admin, enter)
        .api_post("/api/v1/rates/remove", admin, remove)
        .api_post("/api/v1/rates/reporting-currency", admin, set_reporting_currency)
}

/// The rates into the reporting currency.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RatesBody {
    /// ISO 4217; `null` where none is set, and then there are no rates.
    pub reporting_currency: Option<String>,
    /// What the bills need, newest month first.
    pub rates: Vec<RateBody>,
    /// Every rate that someone entered, whether a bill needs it or not.
    pub entered: Vec<EnteredRateBody>,
}

/// The rate of one billing month and currency.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RateBody {
    /// The month of the bills.
    #[schema(example = "2026-10")]
    pub billing_month: String,
    /// FOCUS `BillingCurrency`.
    pub billing_currency: String,
    /// Units of the reporting currency for one of it, with every digit; `null` where it is missing.
    #[schema(example = "0.920217171252416")]
    pub rate: Option<String>,
    /// `entered`, `market` or `missing`.
    pub origin: String,
    /// The day of a market rate.
    pub rate_date: Option<NaiveDate>,
    /// Whether the month is closed, and its rates with it.
    pub is_closed: bool,
}

/// A rate that someone entered.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EnteredRateBody {
    /// The month of the bills.
    #[schema(example = "2026-10")]
    pub billing_month: String,
    /// FOCUS `BillingCurrency`.
    pub billing_currency: String,
    /// Units of the reporting currency for one of it, with every digit.
    pub rate: String,
    /// Why it stands before the market's.
    pub reason: String,
    /// When it was entered.
    pub entered_at: DateTime<Utc>,
    /// By whom.
    pub entered_by: String,
}

/// A rate that was entered, and what it took the place of.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RateEntered {
    /// The rate that counts now.
    #[serde(flatten)]
    pub entered: EnteredRateBody,
    /// The rate that counted before, with every digit; `null` where there was none.
    #[schema(example = "0.893837")]
    pub replaced_rate: Option<String>,
    /// `entered` or `market`; `null` where there was none.
    pub replaced_origin: Option<String>,
}

/// What was taken away.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RateRemoved {
    /// The entered rate that counts no longer.
    pub removed: RateToRemove,
}

/// A rate to enter: it stands before the market's.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRate {
    /// The month of the bills; it must be open.
    #[schema(example = "2026-10")]
    pub billing_month: String,
    /// FOCUS `BillingCurrency`.
    #[schema(example = "USD")]
    pub billing_currency: String,
    /// Units of the reporting currency for one of it, as text.
    #[schema(example = "0.92017")]
    pub rate: String,
    /// Why it is used; needed.
    pub reason: String,
}

/// An entered rate to take away.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateToRemove {
    /// The month of the bills; it must be open.
    #[schema(example = "2026-10")]
    pub billing_month: String,
    /// FOCUS `BillingCurrency`.
    #[schema(example = "USD")]
    pub billing_currency: String,
}

/// The currency that figures are also shown in.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportingCurrencyBody {
    /// ISO 4217; `null` takes it away.
    #[schema(example = "EUR")]
    pub currency: Option<String>,
}

/// List the rates that the bills need, and those that were entered.
#[utoipa::path(get, path = "/api/v1/rates", tag = "rates", responses((status = 200, body = RatesBody)))]
pub async fn list(State(app): State<AppState>) -> Result<Json<RatesBody>> {
    let mut snapshot = app.pools.snapshot().await?;
    let (reporting_currency, rates, needed) = web::rates::read(&mut snapshot).await?;
    let Some(currency) = &reporting_currency else {
        return Ok(Json(RatesBody { reporting_currency: None, rates: Vec::new(), entered: Vec::new() }));
    };
    let (first, last) = BillingPeriod::supported();
    let entered = rates::entered(&mut snapshot, currency, first, last).await?;
    let needed = needed.into_iter().filter(|one| &one.billing_currency != currency).map(|one| {
        let month = BillingPeriod::containing(one.month);
        let rate = rates.get(month, &one.billing_currency);
        let (origin, rate_date) = rate.map_or(("missing", None), |rate| origin_of(&rate.origin));
        RateBody {
            billing_month: month.to_string(),
            rate: rate.map(|rate| plain(&rate.value)),
            billing_currency: one.billing_currency,
            origin: origin.into(),
            rate_date,
            is_closed: one.is_closed,
        }
    });
    let needed = needed.collect();
    let entered = entered.into_iter().map(EnteredRateBody::from).collect();
    Ok(Json(RatesBody { rates: needed, entered, reporting_currency }))
}

fn origin_of(origin: &RateOrigin) -> (&'static str, Option<NaiveDate>) {
    match origin {
        RateOrigin::Entered => ("entered", None),
        RateOrigin::Market(day) => ("market", Some(*day)),
    }
}

/// Enter the rate of a billing month and currency, in place of an earlier one, which the answer tells.
#[utoipa::path(post, path = "/api/v1/rates", tag = "rates", request_body = NewRate, responses(
    (status = 201, body = RateEntered), (status = 409, description = "The month is closed", body = ErrorBody),
    (status = 422, body = ErrorBody)))]
pub async fn enter(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    body: Bytes,
) -> Result<Response> {
    let new: NewRate = parse(&body)?;
    let before = counted(&app, &new).await?;
    let work = {
        let app = app.clone();
        async move {
            let (now, from) = (app.now(), address.to_string());
            let by = Person { login: &principal.login, address: &from };
            let NewRate { billing_month, billing_currency, rate, reason } = &new;
            actions::enter(&app.pools.web, billing_month, billing_currency, rate, reason, by, now).await?;
            Ok::<_, RateError>(new)
        }
    };
    let new = detached(work).await.map_err(|error| unprocessable(error.into()))?;
    let Json(all) = list(State(app)).await?;
    let is_it = |one: &EnteredRateBody| {
        one.billing_month == new.billing_month.trim() && one.billing_currency == new.billing_currency.trim()
    };
    let entered = all.entered.into_iter().find(is_it).ok_or(web::Error::NotFound)?;
    let (replaced_rate, replaced_origin) = before.unzip();
    Ok((StatusCode::CREATED, Json(RateEntered { entered, replaced_rate, replaced_origin })).into_response())
}

// The rate of its month and currency that counts, and where it comes from.
async fn counted(app: &AppState, new: &NewRate) -> Result<Option<(String, String)>> {
    let mut snapshot = app.pools.snapshot().await?;
    let (first, last) = BillingPeriod::supported();
    let month = new.billing_month.trim().parse::<BillingPeriod>().ok().filter(|month| (first..=last).contains(month));
    let currency = rates::reporting_currency(&mut *snapshot).await?;
    let Some((month, currency)) = month.zip(currency) else { return Ok(None) };
    let rates = rates::into(&mut snapshot, &currency, month, month).await?;
    let rate = rates.get(month, new.billing_currency.trim());
    Ok(rate.map(|rate| (plain(&rate.value), origin_of(&rate.origin).0.to_owned())))
}

/// Take an entered rate away, so that the market's counts again.
#[utoipa::path(post, path = "/api/v1/rates/remove", tag = "rates", request_body = RateToRemove, responses(
    (status = 200, description = "Taken away", body = RateRemoved),
    (status = 404, description = "No such rate was entered", body = ErrorBody),
    (status = 409, description = "The month is closed", body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn remove(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    body: Bytes,
) -> Result<Response> {
    let asked: RateToRemove = parse(&body)?;
    let work = async move {
        let (now, from) = (app.now(), address.to_string());
        let by = Person { login: &principal.login, address: &from };
        actions::remove(&app.pools.web, &asked.billing_month, &asked.billing_currency, by, now).await?;
        Ok::<_, RateError>(asked)
    };
    let removed = detached(work).await.map_err(not_removed)?;
    Ok(Json(RateRemoved { removed }).into_response())
}

// What cannot be found is 404 here, where a page says 400 beside its form.
fn not_removed(error: RateError) -> Error {
    match error {
        RateError::NotEntered { .. } => web::Error::NotFound.into(),
        other => unprocessable(other.into()),
    }
}

/// Set the currency that figures are also shown in, or take it away. Answers with the one before.
#[utoipa::path(post, path = "/api/v1/rates/reporting-currency", tag = "rates",
    request_body = ReportingCurrencyBody, responses(
    (status = 200, description = "What it was before", body = ReportingCurrencyBody), (status = 422, body = ErrorBody)))]
pub async fn set_reporting_currency(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    body: Bytes,
) -> Result<Response> {
    let asked: ReportingCurrencyBody = parse(&body)?;
    let work = async move {
        let (now, from) = (app.now(), address.to_string());
        let by = Person { login: &principal.login, address: &from };
        actions::set_reporting_currency(&app.pools.web, asked.currency.as_deref().unwrap_or_default(), by, now).await
    };
    let currency = detached(work).await.map_err(|error| unprocessable(error.into()))?;
    Ok(Json(ReportingCurrencyBody { currency }).into_response())
}

impl From<EnteredRate> for EnteredRateBody {
    fn from(one: EnteredRate) -> Self {
        Self {
            billing_month: one.billing_month().to_string(),
            billing_currency: one.billing_currency,
            rate: plain(&one.rate),
            reason: one.reason,
            entered_at: one.entered_at,
            entered_by: one.entered_by,
        }
    }
}
