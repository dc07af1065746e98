//! `/api/v1/delivery`: how often and how fast a service or team delivers and how often that fails, as their pages tell it.

use super::error::{ErrorBody, Result};
use crate::analyze::delivery::Delivery;
use crate::focus::DateRange;
use crate::web::delivery_figures::{DeliveryFigures, DeliveryMetric, DeliverySide};
use crate::web::delivery_metrics::{self, Whose};
use crate::web::query::{Accepts, View};
use crate::web::{self, ApiPolicy, AppState, Policy, Principal, Routes};
use axum::Json;
use axum::extract::{RawQuery, State};
use chrono::NaiveDate;
use serde::Serialize;

const ACCEPTS: Accepts = Accepts { texts: &["service", "team"], by: &[], sort: &[] };

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.api_get("/api/v1/delivery", ApiPolicy::read(Policy::Money), show)
}

/// The delivery metrics of a service or a team, of deployments to production.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeliveryBody {
    /// Slug of the service that was asked for.
    pub service: Option<String>,
    /// Slug of the team that was asked for: all its services.
    pub team: Option<String>,
    /// The days; `null` where they are still to come.
    pub now: Option<DeliveryPeriod>,
    /// The days that they are compared with.
    pub before: Option<DeliveryPeriod>,
    /// Deployment frequency, lead time for changes, change failure rate, time to restore; empty where the days are still to
    /// come.
    pub metrics: Vec<DeliveryMetricBody>,
    /// What lacks.
    pub notes: Vec<String>,
}

/// One of the two periods.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeliveryPeriod {
    /// First day, UTC.
    pub first_day: NaiveDate,
    /// Last day, included.
    pub last_day: NaiveDate,
    /// Days from the first to the last.
    pub day_count: u32,
    /// Changes that were told: deployments to production that brought a version which was not live before.
    pub change_count: usize,
    /// Of these, those whose commit a repository told of; `null` where there is no change.
    pub lead_count: Option<usize>,
    /// Of the changes, those that failed; `null` where there is no change.
    pub failure_count: Option<usize>,
    /// Of the failures, those that are not over; `null` where there is no failure.
    pub open_count: Option<usize>,
    /// Of the failures, those that are over since nobody knows when; `null` where there is no failure.
    pub unknown_end_count: Option<usize>,
}

impl DeliveryPeriod {
    fn of(days: DateRange, delivery: &Delivery) -> Self {
        let of_changes = |count: usize| (delivery.change_count > 0).then_some(count);
        let of_failures = |count: usize| (delivery.failure_count > 0).then_some(count);
        Self {
            first_day: days.start(),
            last_day: days.last_day(),
            day_count: days.day_count(),
            change_count: delivery.change_count,
            lead_count: of_changes(delivery.lead_count),
            failure_count: of_changes(delivery.failure_count),
            open_count: of_failures(delivery.open_count),
            unknown_end_count: of_failures(delivery.unknown_count),
        }
    }
}

/// One metric.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeliveryMetricBody {
    /// `deployment_frequency`, `lead_time_for_changes`, `change_failure_rate` or `time_to_restore`.
    pub metric: String,
    /// Its name.
    pub name: String,
    /// What `value` counts: `changes a week`, `seconds`, or `share of changes`, which goes from 0 to 1.
    pub unit: String,
    /// How it is made, and what it lacks now.
    pub definition: String,
    /// In the days.
    pub now: DeliveryValue,
    /// In the days that they are compared with.
    pub before: DeliveryValue,
}

/// A metric in one period.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeliveryValue {
    /// In the metric's unit, six digits after the point at most; of times the median. `null` where there is nothing to make
    /// it from.
    #[schema(example = "0.333333")]
    pub value: Option<String>,
    /// What it was made from: changes, those whose commit is known, those that failed, or failures whose time is known.
    /// `null` where there is none of what it is counted of.
    pub count: Option<i64>,
    /// Of how many: of changes, or for the time to restore of failures.
    pub count_of: Option<i64>,
    /// As pages show it.
    #[schema(example = "33.3%, 1 of 3")]
    pub shown: String,
}

impl From<DeliverySide> for DeliveryValue {
    fn from(side: DeliverySide) -> Self {
        let value = side.value.map(|value| value.to_plain_string());
        Self { value, count: side.count, count_of: side.of, shown: side.shown }
    }
}

impl From<DeliveryMetric> for DeliveryMetricBody {
    fn from(metric: DeliveryMetric) -> Self {
        Self {
            metric: metric.key.into(),
            name: metric.name.into(),
            unit: metric.unit.into(),
            definition: metric.definition,
            now: metric.now.into(),
            before: metric.before.into(),
        }
    }
}

/// How often and how fast a service or a team delivers, and how often that fails.
#[utoipa::path(
    get, operation_id = "show_delivery", path = "/api/v1/delivery", tag = "delivery",
    params(
        ("service" = Option<String>, Query, description = "Slug of a service; this or a team"),
        ("team" = Option<String>, Query, description = "Slug of a team; this or a service"),
        ("period" = Option<String>, Query, description = "30d (default), 60d, 12m, mtd, 2026-10, 2026-09-01..2026-10-15: the days that pages have for it"),
        ("vs" = Option<String>, Query, description = "prev (default): the period before. py: the same days a year before."),
    ),
    responses(
        (status = 200, body = DeliveryBody),
        (status = 400, description = "A parameter is wrong; the sentence names what is allowed", body = ErrorBody),
        (status = 403, description = "It is of another team", body = ErrorBody),
        (status = 404, description = "There is no such service or team", body = ErrorBody),
    )
)]
pub async fn show(
    State(app): State<AppState>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<DeliveryBody>> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let whose = match (view.text("service"), view.text("team")) {
        (Some(slug), None) => Whose::Service(slug),
        (None, Some(slug)) => Whose::Team(slug),
        (None, None) => return Err(web::Error::Invalid("Say whose: service=SLUG or team=SLUG.".into()).into()),
        _ => return Err(web::Error::Invalid("Ask for a service or for a team, not for both.".into()).into()),
    };
    let read = delivery_metrics::read(&app, &principal, &view, whose).await?;
    let notes = read.is_none().then(|| "These days are still to come.".to_owned()).into_iter().collect();
    let figures = read.as_ref();
    let metrics = figures.map(DeliveryFigures::metrics).unwrap_or_default();
    Ok(Json(DeliveryBody {
        service: view.text("service").map(str::to_owned),
        team: view.text("team").map(str::to_owned),
        now: figures.map(|figures| DeliveryPeriod::of(figures.span.days, &figures.now)),
        before: figures.map(|figures| DeliveryPeriod::of(figures.span.before, &figures.before)),
        metrics: metrics.into_iter().map(DeliveryMetricBody::from).collect(),
        notes,
    }))
}
