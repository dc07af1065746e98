//! `/api/v1/anomalies`: cost that nothing known explains, as its pages tell it, and answering it.

use super::error::{ErrorBody, Result};
use crate::store::anomalies;
use crate::store::anomaly_lists::{self, ListedAnomaly};
use crate::web::anomalies::answer::{self, AnswerForm};
use crate::web::anomalies::{filter_of, words};
use crate::web::query::{Accepts, View};
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes};
use axum::Json;
use axum::extract::{Path, RawQuery, State};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

const ACCEPTS: Accepts = Accepts { texts: &["state", "team", "kind", "service"], by: &[], sort: &[] };
const ROW_COUNT_MAX: usize = 10_000;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .api_get("/api/v1/anomalies", ApiPolicy::read(Policy::Money), list)
        .api_get("/api/v1/anomalies/{id}", ApiPolicy::read(Policy::Money), show)
        .api_post("/api/v1/anomalies/{id}/state", ApiPolicy::admin(Policy::Review), change)
}

/// Anomalies.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Anomalies {
    /// Open ones first, currencies apart, in each the largest amount first.
    pub anomalies: Vec<AnomalyBody>,
    /// Whether there are more than these 10,000: ask for one service, team, state or kind.
    pub is_cut: bool,
    /// The last day of the bills that is complete; `null` before the first bill.
    pub bills_complete_to: Option<NaiveDate>,
}

/// An anomaly. What came is exact; what was expected is an estimate.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AnomalyBody {
    /// Its number; pages write A- in front.
    pub anomaly_id: i64,
    /// spike, faster-than-traffic, without-release, after-release, idle, transfer-above-baseline,
    /// storage-above-baseline, drop.
    pub kind: String,
    /// open, acknowledged, explained, planned, false-alarm, closed.
    pub state: String,
    /// Why it was closed without an answer: ended, new-normal, withdrawn. One that was answered afterwards keeps it, and is
    /// closed again where the answer is taken back.
    pub close_reason: Option<String>,
    /// What happened, in a sentence.
    pub sentence: String,
    /// Slug of the service; `null` where it is about one kind of cost of a team.
    pub service: Option<String>,
    /// Name of the environment; `null` where the cost has none.
    pub environment: Option<String>,
    /// Slug of the team that owns it.
    pub team: Option<String>,
    /// FOCUS ServiceCategory where it is about one kind of cost; else empty.
    pub service_category: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The first day of it, UTC.
    pub first_day: NaiveDate,
    /// The last day of it that is known.
    pub last_day: NaiveDate,
    /// The last complete day when it was found.
    pub found_on: NaiveDate,
    /// Usage (EffectiveCost) of its days, exact.
    #[schema(example = "2702.137")]
    pub actual_cost: String,
    /// What was expected of them.
    #[schema(example = "406.25")]
    pub expected_cost: String,
    /// The difference.
    #[schema(example = "2295.887")]
    pub above: String,
    /// The difference a day.
    #[schema(example = "327.98")]
    pub above_per_day: String,
    /// The last day of what is planned.
    pub planned_until: Option<NaiveDate>,
    /// What was known near its begin: share, deployment_ids, prices, rules, traffic_share; deployment_ids_before of those that
    /// went live in the days before while another was on its way, and are not put to it; of an idle environment
    /// no_use_units and usual_cost, which it is held against.
    pub evidence: serde_json::Value,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// The publication that the amounts are of.
    pub publication_id: i64,
}

impl From<&ListedAnomaly> for AnomalyBody {
    fn from(one: &ListedAnomaly) -> Self {
        let text = |amount: &bigdecimal::BigDecimal| amount.normalized().to_plain_string();
        let excess = one.excess();
        Self {
            anomaly_id: one.anomaly_id,
            kind: one.kind.clone(),
            state: one.state.clone(),
            close_reason: one.close_reason.clone(),
            sentence: words::sentence(one),
            service: one.service_slug.clone(),
            environment: one.environment_name.clone(),
            team: one.team_slug.clone(),
            service_category: one.service_category.clone(),
            billing_currency: one.billing_currency.clone(),
            first_day: one.start_date,
            last_day: one.end_date,
            found_on: one.found_on,
            actual_cost: text(&one.actual_total),
            expected_cost: text(&one.expected_total),
            above: text(&excess),
            above_per_day: text(&words::per_day(&excess, one)),
            planned_until: one.planned_until,
            evidence: one.evidence.clone(),
            opened_at: one.opened_at,
            publication_id: one.publication_id,
        }
    }
}

/// An anomaly with its days, parts and history.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AnomalyWithDays {
    /// The anomaly.
    #[serde(flatten)]
    pub anomaly: AnomalyBody,
    /// Days before, during and after: day, actual, expected, low, high; amounts are strings.
    pub days: serde_json::Value,
    /// Groups of charges, the largest difference first: resource_id, name, service_name, region_id, expected, actual. They
    /// add up to the anomaly's own amounts.
    pub parts: serde_json::Value,
    /// What happened, the newest first.
    pub history: Vec<EventBody>,
}

/// What happened to an anomaly.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventBody {
    /// The state after it.
    pub state: String,
    /// In a sentence.
    pub sentence: String,
    /// What a person gave as the reason.
    pub reason: String,
    /// Who did it; empty where nobody did.
    pub done_by: String,
    /// When.
    pub happened_at: DateTime<Utc>,
}

/// Lists anomalies.
#[utoipa::path(
    get, operation_id = "list_anomalies", path = "/api/v1/anomalies", tag = "anomalies",
    params(
        ("state" = Option<String>, Query, description = "open (acknowledged ones included), closed (all that are not open), acknowledged, explained, planned, false-alarm; all where it is left out"),
        ("team" = Option<String>, Query, description = "Slug of a team; none: without one"),
        ("service" = Option<String>, Query, description = "Slug of a service"),
        ("kind" = Option<String>, Query, description = "One kind"),
    ),
    responses(
        (status = 200, description = "The anomalies of the services that you may see", body = Anomalies),
        (status = 400, description = "A parameter is wrong; the sentence names what is allowed", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
    )
)]
pub async fn list(
    State(app): State<AppState>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<Anomalies>> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let filter = filter_of(&mut snapshot, &view, None).await?;
    let mut rows = anomaly_lists::list(&mut snapshot, &principal.scope(), filter, ROW_COUNT_MAX as i64 + 1).await?;
    let is_cut = rows.len() > ROW_COUNT_MAX;
    rows.truncate(ROW_COUNT_MAX);
    let bills = app.bills(&mut snapshot).await?;
    Ok(Json(Anomalies {
        anomalies: rows.iter().map(AnomalyBody::from).collect(),
        is_cut,
        bills_complete_to: bills.complete_to(),
    }))
}

/// One anomaly with its days, parts and history.
#[utoipa::path(
    get, operation_id = "show_anomaly", path = "/api/v1/anomalies/{id}", tag = "anomalies",
    params(("id" = i64, Path, description = "Its number")),
    responses(
        (status = 200, description = "The anomaly", body = AnomalyWithDays),
        (status = 404, description = "There is none, or its service is not yours", body = ErrorBody),
    )
)]
pub async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Json<AnomalyWithDays>> {
    let id: i64 = id.parse().map_err(|_| web::Error::NotFound)?;
    Ok(Json(read(&app, &principal, id).await?))
}

async fn read(app: &AppState, principal: &Principal, id: i64) -> Result<AnomalyWithDays> {
    let mut snapshot = app.pools.snapshot().await?;
    let scope = principal.scope();
    let one = anomaly_lists::get(&mut snapshot, &scope, id).await?.ok_or(web::Error::NotFound)?;
    let detail = anomaly_lists::detail(&mut snapshot, &scope, id).await?.ok_or(web::Error::NotFound)?;
    let history = anomalies::events(&mut snapshot, id).await?.into_iter().map(|event| EventBody {
        state: event.state,
        sentence: event.sentence,
        reason: event.reason,
        done_by: event.done_by,
        happened_at: event.happened_at,
    });
    Ok(AnomalyWithDays {
        anomaly: AnomalyBody::from(&one),
        days: detail.days,
        parts: detail.parts,
        history: history.collect(),
    })
}

/// An answer about an anomaly.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
pub struct NewState {
    /// acknowledged, explained, planned, false-alarm; open takes an answer back, and closes again what was closed before it.
    #[schema(example = "explained")]
    pub state: String,
    /// Why; needed for explained, planned and false-alarm.
    #[serde(default)]
    pub reason: String,
    /// The last day of what is planned: the last known day of the anomaly, or later.
    pub until: Option<NaiveDate>,
}

/// Answers an anomaly of your own teams.
#[utoipa::path(
    post, operation_id = "answer_anomaly", path = "/api/v1/anomalies/{id}/state", tag = "anomalies",
    params(("id" = i64, Path, description = "Its number")), request_body = NewState,
    responses(
        (status = 200, description = "The anomaly as it is now", body = AnomalyWithDays),
        (status = 400, description = "The answer lacks something; the sentence names it", body = ErrorBody),
        (status = 404, description = "There is none, or its service is not yours", body = ErrorBody),
    )
)]
pub async fn change(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<String>,
    Json(new): Json<NewState>,
) -> Result<Json<AnomalyWithDays>> {
    let id: i64 = id.parse().map_err(|_| web::Error::NotFound)?;
    let until = new.until.map(|day| day.to_string()).unwrap_or_default();
    let form = AnswerForm { state: new.state, reason: new.reason, until };
    answer::answer(app.clone(), principal.clone(), address, id, form).await?;
    Ok(Json(read(&app, &principal, id).await?))
}
