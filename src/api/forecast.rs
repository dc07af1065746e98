//! `/api/v1/forecast`: what months, quarters and years will cost, and what became of earlier forecasts.

use super::error::{ErrorBody, Result};
use crate::store::catalogue_names;
use crate::store::forecast_record::{self, Held};
use crate::store::forecasts::{self, ForecastFilter, ForecastRow};
use crate::web::query::{Accepts, View};
use crate::web::{self, ApiPolicy, AppState, Policy, Principal, Routes, forecast_note};
use axum::Json;
use axum::extract::{RawQuery, State};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

const ACCEPTS: Accepts = Accepts { texts: &["service", "team"], by: &["all", "month", "quarter", "year"], sort: &[] };
const PAST_COUNT_MAX: usize = 1_000;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.api_get("/api/v1/forecast", ApiPolicy::read(Policy::Money), list)
}

/// Forecasts.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Forecasts {
    /// Those that stand now.
    pub forecasts: Vec<ForecastBody>,
    /// Of periods that are over, the one that was asked nearest to its middle, with what came: told before they were over, or
    /// made afterwards (`is_hindcast`), and made again when the bills that it rests on come or change. The newest first.
    pub past: Vec<ForecastBody>,
    /// Whether there are more of those than the 1,000 that are told: ask for a service, team, horizon or currency.
    pub is_cut: bool,
    /// How many intervals held what came, of all services, teams and cost together, by horizon.
    pub record: Vec<HeldBody>,
}

/// How many intervals of one horizon held what came: of each period that of the forecast asked nearest to its middle.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct HeldBody {
    /// month, quarter, year.
    pub horizon: String,
    /// Intervals that were held against what came.
    pub count: i64,
    /// Those of them that hold it.
    pub held_count: i64,
}

/// One forecast of EffectiveCost, tax and credits included. `known` is exact; all else is an estimate.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ForecastBody {
    /// service, team, total.
    pub scope: String,
    /// Slug of the service or team; `null` for all cost, and for what is allocated to none of them.
    pub name: Option<String>,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// month, quarter, year.
    pub horizon: String,
    /// The first day of the period.
    pub first_day: NaiveDate,
    /// The last day of it.
    pub last_day: NaiveDate,
    /// The last complete day that it was made from.
    pub bills_complete_to: NaiveDate,
    /// known + incomplete + rest + fees; `null` where `no_forecast` says why.
    #[schema(example = "47158.25")]
    pub point: Option<String>,
    /// Lower end of the interval, which is meant to hold what comes in 90 of 100 cases; `record` says how many did.
    pub low: Option<String>,
    /// Upper end of it.
    pub high: Option<String>,
    /// Cost of the complete days, exact.
    pub known: String,
    /// Days that are still arriving and show nearly all of it, and those that lack a late bill.
    pub incomplete: String,
    /// The part of these days that is expected of complete days whose bill is late, beside what other bills show of them.
    #[schema(example = "0")]
    pub late: String,
    /// The days after those.
    pub rest: String,
    /// Taxes, credits and fees that the calendar brings.
    pub fees: String,
    /// Why there is no forecast; else empty.
    pub no_forecast: String,
    /// seasonal-naive, weekday-profile, weekday-profile-with-trend: what did best on past days.
    pub method: String,
    /// By how much the interval is wider than errors on past days say, since earlier intervals held less than they were
    /// meant to; 1 where they did not.
    pub widening: f64,
    /// Mean error of that on past days, as a share.
    pub past_error: Option<f64>,
    /// Past days that it was tried from.
    pub origin_count: i32,
    /// Releases whose settled answers claim a change: its level starts anew at them. One of several services is one, and so
    /// are several that share an answer.
    pub restart_count: i32,
    /// Answers about releases that claim a change and are provisional, one of each service: its level does not start anew at
    /// them yet.
    pub measured_count: i32,
    /// What those that raise cost would be over the days left if their amounts a day stayed so; what is expected of each over
    /// 30 days, and how sure that is, its deployment tells. Not to be added to the forecast: the level of the last days may hold a
    /// part of it already.
    #[schema(example = "124")]
    pub measured_could_rise: String,
    /// What those that lower it would be: zero or less.
    #[schema(example = "-20")]
    pub measured_could_fall: String,
    /// The same in a sentence; empty where none is measured.
    pub measured: String,
    /// Worked out afterwards, from the bills of its days as they are now.
    pub is_hindcast: bool,
    /// What came, exact; `null` while the period runs. Of a team it is that of the services which it had when it was asked, and
    /// of its services that were made since.
    pub actual: Option<String>,
    /// When it was worked out.
    pub computed_at: DateTime<Utc>,
    /// The publication that it was made from.
    pub publication_id: i64,
}

// Of services, teams and all cost together. They come by horizon.
fn by_horizon(record: Vec<Held>) -> Vec<HeldBody> {
    let mut bodies: Vec<HeldBody> = Vec::new();
    for Held { horizon, count, held_count, .. } in record {
        match bodies.last_mut().filter(|last| last.horizon == horizon) {
            Some(last) => (last.count, last.held_count) = (last.count + count, last.held_count + held_count),
            None => bodies.push(HeldBody { horizon, count, held_count }),
        }
    }
    bodies
}

impl From<ForecastRow> for ForecastBody {
    fn from(row: ForecastRow) -> Self {
        let plain = |amount: BigDecimal| amount.normalized().to_plain_string();
        Self {
            measured_could_rise: plain(row.could_rise()),
            measured_could_fall: plain(row.could_fall()),
            measured: forecast_note::measured(&row),
            restart_count: row.restart_count,
            measured_count: row.provisional_count,
            scope: row.scope,
            name: row.slug,
            billing_currency: row.billing_currency,
            horizon: row.horizon,
            first_day: row.first_day,
            last_day: row.last_day,
            bills_complete_to: row.asked_on,
            point: row.point.map(plain),
            low: row.low.map(plain),
            high: row.high.map(plain),
            known: plain(row.known),
            incomplete: plain(row.incomplete),
            late: plain(row.late),
            widening: row.widening,
            rest: plain(row.rest),
            fees: plain(row.fees),
            no_forecast: row.no_forecast,
            method: row.candidate,
            past_error: row.past_error,
            origin_count: row.origin_count,
            is_hindcast: row.is_hindcast,
            actual: row.actual.map(plain),
            computed_at: row.computed_at,
            publication_id: row.publication_id,
        }
    }
}

/// Forecasts of a service, of a team, or of everything that you may see.
#[utoipa::path(
    get, operation_id = "list_forecasts", path = "/api/v1/forecast", tag = "costs",
    params(
        ("service" = Option<String>, Query, description = "Slug of a service"),
        ("team" = Option<String>, Query, description = "Slug of a team"),
        ("by" = Option<String>, Query, description = "all (default), month, quarter, year"),
        ("cur" = Option<String>, Query, description = "FOCUS BillingCurrency"),
    ),
    responses(
        (status = 200, description = "Forecasts; amounts are strings", body = Forecasts),
        (status = 400, description = "A parameter is wrong; the sentence names what is allowed", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
    )
)]
pub async fn list(
    State(app): State<AppState>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<Forecasts>> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let (service, team) = (view.text("service"), view.text("team"));
    let ids = catalogue_names::ids(&mut snapshot, service, None, team).await?;
    let unknown = |key: &str, text: &str| web::Error::Invalid(format!("{key}={text} is not known."));
    let (kind, id) = match (service, team) {
        (Some(text), None) => (Some("service"), Some(ids.service_id.ok_or_else(|| unknown("service", text))?)),
        (None, Some(text)) => (Some("team"), Some(ids.team_id.ok_or_else(|| unknown("team", text))?)),
        (None, None) => (None, None),
        _ => return Err(web::Error::Invalid("Ask for a service or for a team, not for both.".into()).into()),
    };
    let horizon = Some(view.by()).filter(|by| *by != "all");
    let currency = view.currency(&mut snapshot).await?;
    let filter = ForecastFilter { scope: kind, scope_id: id, horizon, currency: currency.as_deref() };
    let scope = principal.scope();
    let standing = forecasts::standing(&mut snapshot, &scope, filter).await?;
    let mut past = forecasts::past(&mut snapshot, &scope, filter, PAST_COUNT_MAX as i64 + 1).await?;
    let record = forecast_record::held(&mut snapshot).await?;
    let is_cut = past.len() > PAST_COUNT_MAX;
    past.truncate(PAST_COUNT_MAX);
    Ok(Json(Forecasts {
        forecasts: standing.into_iter().map(ForecastBody::from).collect(),
        past: past.into_iter().map(ForecastBody::from).collect(),
        is_cut,
        record: by_horizon(record),
    }))
}
