//! `/api/v1/metrics`: usage for programs. Values are exact decimals, as numbers or as text.

use super::body::parse;
use super::catalogue::unprocessable;
use super::error::{Error, ErrorBody, Result};
use super::known;
use crate::allocate::Catalogue;
use crate::focus::DateRange;
use crate::rollup::mapper;
use crate::rollup::metrics_import::told;
use crate::rollup::usage::{Taking, UsageError};
use crate::rollup::usage_point::{RawPoint, is_ahead, metric_name};
use crate::store::metric_points::{MetricPoint, Write};
use crate::store::metrics::{self, Metric};
use crate::store::{audit, metric_lists};
use crate::web::metrics::{check, from_usage, put};
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes, detached};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Days, NaiveDate, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

/// Points of one request.
const POINTS_MAX: usize = 20_000;
const KEY_CHARS_MAX: usize = 200;
/// Points of one answer.
const ANSWER_POINTS_MAX: usize = 100_000;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let (read, ingest) = (ApiPolicy::read(Policy::SignedIn), ApiPolicy::ingest(Policy::SignedIn));
    routes
        .api_get("/api/v1/metrics", read, list)
        .api_put("/api/v1/metrics/{name}", ApiPolicy::admin(Policy::Bills), define)
        .api_get("/api/v1/metrics/{name}/points", read, points)
        .api_post("/api/v1/metrics/{name}/points", ingest, write)
}

/// A metric and what it means.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MetricBody {
    /// Its name.
    pub name: String,
    /// The content.
    #[serde(flatten)]
    pub meaning: MetricMeaning,
    /// True where nobody has said yet what it means.
    pub is_assumed: bool,
}

/// What a metric means.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricMeaning {
    /// `requests`, `orders`, `pipeline-runs`, `training-jobs`, `errors`, `latency`, `utilization`, `replicas`, `other`.
    pub meaning: String,
    /// Of one value.
    #[serde(default)]
    pub unit: String,
    /// What the hours of a day make: `sum`, `mean` or `max`.
    pub over_hours: String,
    /// What services and environments make together: `sum`, `mean` or `max`.
    pub over_services: String,
    /// The unit cost is the cost of so many.
    #[serde(default = "one")]
    pub unit_cost_per: i32,
    /// What is counted.
    #[serde(default)]
    pub description: String,
    /// What it is called in OTLP, beside its own name.
    #[serde(default)]
    pub otlp_names: Vec<String>,
}

fn one() -> i32 {
    1
}

/// List metrics.
#[utoipa::path(get, operation_id = "list_metrics", path = "/api/v1/metrics", tag = "metrics",
    responses((status = 200, body = Vec<MetricBody>)))]
pub async fn list(State(app): State<AppState>) -> Result<Json<Vec<MetricBody>>> {
    let mut snapshot = app.pools.snapshot().await?;
    Ok(Json(metrics::list(&mut snapshot).await?.into_iter().map(MetricBody::from).collect()))
}

impl From<Metric> for MetricBody {
    fn from(metric: Metric) -> Self {
        let meaning = MetricMeaning {
            meaning: metric.meaning,
            unit: metric.unit,
            over_hours: metric.over_hours,
            over_services: metric.over_services,
            unit_cost_per: metric.unit_cost_per,
            description: metric.description,
            otlp_names: metric.otlp_names,
        };
        Self { name: metric.metric, meaning, is_assumed: metric.is_assumed }
    }
}

/// Add a metric, or say anew what one means.
#[utoipa::path(put, operation_id = "define_metric", path = "/api/v1/metrics/{name}", tag = "metrics",
    request_body = MetricMeaning, params(("name" = String, Path, description = "Its name")), responses(
    (status = 200, body = MetricBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn define(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<MetricBody>> {
    let asked: MetricMeaning = parse(&body)?;
    let metric = check(Metric {
        metric: name,
        meaning: asked.meaning,
        unit: asked.unit,
        over_hours: asked.over_hours,
        over_services: asked.over_services,
        unit_cost_per: asked.unit_cost_per,
        description: asked.description,
        otlp_names: asked.otlp_names,
        is_assumed: false,
        changed_by: principal.login.clone(),
        changed_at: app.now(),
    })
    .map_err(unprocessable)?;
    let kept = detached(async move {
        let mut taking = Taking::begin(&app.pools, Some(&metric.metric)).await.map_err(from_usage)?;
        let before = put(taking.conn(), &metric).await?;
        if before.as_ref().is_some_and(|before| before.over_hours != metric.over_hours) {
            taking.touch_all();
        }
        let action = if before.is_some() { "metric.changed" } else { "metric.added" };
        let details = json!({ "meaning": metric.meaning, "unit": metric.unit, "over_hours": metric.over_hours,
            "over_services": metric.over_services, "unit_cost_per": metric.unit_cost_per });
        let (now, by) = (app.now(), &principal.login);
        audit::insert(taking.conn(), now, by, &address.to_string(), action, &metric.metric, details).await?;
        taking.finish(by, now).await.map_err(from_usage)?;
        Ok::<_, web::Error>(metric)
    });
    Ok(Json(kept.await.map_err(unprocessable)?.into()))
}

/// A value as a number or as text; neither loses a digit.
#[derive(Debug, Clone)]
pub enum Value {
    /// `12.5` or `"12.5"`, as it is written.
    Told(String),
    /// `null`.
    Null,
    /// What is neither.
    Other,
}

// By hand, so that what does not fit is told of its point, in words of usage.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Ok(match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Number(number) => Self::Told(number.to_string()),
            serde_json::Value::String(text) => Self::Told(text),
            serde_json::Value::Null => Self::Null,
            _ => Self::Other,
        })
    }
}

impl Value {
    fn text(&self) -> std::result::Result<&str, &'static str> {
        match self {
            Self::Told(text) => Ok(text),
            Self::Null => Err("its value is null. Leave a point out where the value is not known."),
            Self::Other => Err("its value is no number: write 12.5, or \"12.5\" as text."),
        }
    }
}

fn number_or_text() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Number, Type::String]))
        .description(Some("0 or more, as a number or as text. What is not known is left out."))
        .examples([json!("12.5"), json!(12.5)])
        .build()
}

/// A value of a service.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPoint {
    /// A name of the service.
    pub service: String,
    /// A name of the environment; absent where it is not told apart: it then stands for all of them, and does not count
    /// beside values of environments of the same service and day.
    #[serde(default)]
    pub environment: Option<String>,
    /// The day, `2026-10-31`, or the hour that begins at `2026-10-31T13:00:00Z`; a day ahead at most.
    pub time: String,
    /// 0 or more, as a number or as text. What is not known is left out.
    #[schema(schema_with = number_or_text)]
    pub value: Value,
}

/// Values of a metric.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPoints {
    /// `replace` (when absent) takes the place of what is there; `add` adds to it and needs an `Idempotency-Key`.
    #[serde(default)]
    pub mode: Option<String>,
    /// Up to when values are known, a day ahead at most; when absent, the end of each service's last point says it.
    #[serde(default)]
    pub complete_through: Option<DateTime<Utc>>,
    /// The values: all of them are taken or none.
    pub points: Vec<NewPoint>,
}

/// The metric of values that were stored.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct WrittenMetric {
    /// Its name.
    pub name: String,
    /// There was none of this name: these values made it.
    pub created: bool,
    /// True where nobody has said yet what it means, and in which unit.
    pub is_assumed: bool,
    /// What follows from that, and what to do; null where somebody has said it.
    pub note: Option<String>,
}

/// What was stored.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct WrittenPoints {
    /// Of which metric. A name that no metric has makes one.
    pub metric: WrittenMetric,
    /// Values.
    pub points: i64,
    /// `replace` or `add`.
    pub mode: String,
    /// The same request was taken before: nothing was added a second time.
    pub is_repeated: bool,
}

/// Send values of a metric.
#[utoipa::path(post, operation_id = "write_metric_points", path = "/api/v1/metrics/{name}/points", tag = "metrics",
    request_body = NewPoints, params(("name" = String, Path, description = "The metric's name"),
    ("Idempotency-Key" = Option<String>, Header, description = "Needed to add: sending again with the same key adds nothing twice")),
    responses((status = 200, body = WrittenPoints), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub async fn write(
    State(app): State<AppState>,
    principal: Principal,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let new: NewPoints = parse(&body)?;
    let name = metric_name(&name).map_err(|fault| Error::Unprocessable(format!("The name: {fault}")))?.to_owned();
    let mode = match new.mode.as_deref() {
        None | Some("replace") => Write::Replace,
        Some("add") => Write::Add,
        Some(_) => return Err(Error::Unprocessable("mode is replace or add.".into())),
    };
    if new.points.is_empty() || new.points.len() > POINTS_MAX {
        return Err(Error::Unprocessable(format!("points holds 1 to {POINTS_MAX} values.")));
    }
    let key = addition_key(mode, &headers)?;
    let digest = hex::encode(Sha256::digest(&body));
    let by = principal.login.clone();
    let done = detached(async move { take(&app, &by, &name, mode, key.as_deref(), &digest, &new).await }).await;
    let written = done.map_err(from_usage).map_err(unprocessable)?;
    Ok((StatusCode::OK, Json(written)).into_response())
}

fn addition_key(mode: Write, headers: &HeaderMap) -> Result<Option<String>> {
    let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap_or_default().trim().to_owned());
    match (mode, key) {
        (Write::Replace, _) => Ok(None),
        (Write::Add, Some(key)) if !key.is_empty() && key.chars().count() <= KEY_CHARS_MAX => Ok(Some(key)),
        (Write::Add, _) => Err(Error::Unprocessable(format!(
            "To add, send a header Idempotency-Key of 1 to {KEY_CHARS_MAX} characters, another for each request: \
             a repetition with the same key then adds nothing."
        ))),
    }
}

async fn take(
    app: &AppState,
    by: &str,
    name: &str,
    mode: Write,
    key: Option<&str>,
    digest: &str,
    new: &NewPoints,
) -> std::result::Result<WrittenPoints, UsageError> {
    let now = app.now();
    let mut taking = Taking::begin(&app.pools, Some(name)).await?;
    let catalogue = mapper::catalogue_names(taking.conn()).await?;
    if new.complete_through.is_some_and(|through| is_ahead(through, now)) {
        let words = "complete_through lies more than a day ahead: nothing is known up to then. Leave it out, or send up to \
                     when values are complete.";
        return Err(UsageError::Refused(words.into()));
    }
    let points = read(name, mode, &new.points, &catalogue, now)?;
    let known = metrics::get(taking.conn(), name).await?;
    let mut written = WrittenPoints {
        metric: WrittenMetric::of(name, known.as_ref()),
        points: points.len() as i64,
        mode: if mode == Write::Add { "add" } else { "replace" }.into(),
        is_repeated: false,
    };
    if let Some(key) = key {
        metrics::assume(taking.conn(), &[name.to_owned()], by, now).await?;
        let count = written.points;
        let before = metrics::remember_addition(taking.conn(), name, key, digest, count, now).await?;
        if let Some((before, point_count)) = before {
            if before != digest {
                let words = "This Idempotency-Key was sent before with other values: nothing was added. Use another.";
                return Err(UsageError::Conflict(words.into()));
            }
            return Ok(WrittenPoints { points: point_count, is_repeated: true, ..written });
        }
    }
    taking.write(&points, mode, new.complete_through, by, now).await?;
    taking.finish(by, now).await?;
    written.is_repeated = false;
    Ok(written)
}

impl WrittenMetric {
    fn of(name: &str, known: Option<&Metric>) -> Self {
        let (created, is_assumed) = (known.is_none(), known.is_none_or(|metric| metric.is_assumed));
        let beginning = if created {
            format!(
                "There was no metric “{name}”: it was made of these values, and its unit and meaning are not known."
            )
        } else {
            format!("Nobody has said yet what “{name}” means, and in which unit.")
        };
        let note = is_assumed.then(|| {
            format!(
                "{beginning} No unit cost is made of it until somebody says so on its page or by PUT /api/v1/metrics/{name}. If \
                 the name is a typing error, take the values away on that page and send them to the right one."
            )
        });
        Self { name: name.to_owned(), created, is_assumed, note }
    }
}

fn read(
    name: &str,
    mode: Write,
    points: &[NewPoint],
    catalogue: &Catalogue,
    now: DateTime<Utc>,
) -> std::result::Result<Vec<MetricPoint>, UsageError> {
    let (mut read, mut faults, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (number, point) in points.iter().enumerate() {
        let raw = |value| RawPoint {
            metric: name,
            service: &point.service,
            environment: point.environment.as_deref().unwrap_or_default(),
            when: &point.time,
            value,
        };
        let point = point.value.text().map_err(str::to_owned).and_then(|value| raw(value).read(catalogue, now));
        match point {
            Ok(point) => {
                let place = (point.slot, point.service_id, point.environment_id);
                if !seen.insert(place) && mode == Write::Replace {
                    faults.push(format!("points[{number}]: the same service, environment and time came before."));
                }
                read.push(point);
            }
            Err(fault) => faults.push(format!("points[{number}]: {fault}")),
        }
    }
    if faults.is_empty() { Ok(read) } else { Err(UsageError::Lines(told(faults))) }
}

/// Which values are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PointsQuery {
    service: Option<String>,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
}

/// A value as it was sent.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PointBody {
    /// The short name of the service.
    pub service: String,
    /// The short name of the environment; null where it is not told apart.
    pub environment: Option<String>,
    /// The day, or the beginning of the hour.
    pub time: String,
    /// Exact.
    pub value: String,
    /// Who sent it.
    pub sent_by: String,
    /// When.
    pub sent_at: DateTime<Utc>,
}

/// Values of a metric, by default of the last 30 days. A day or hour that lacks is not known.
#[utoipa::path(get, operation_id = "list_metric_points", path = "/api/v1/metrics/{name}/points", tag = "metrics",
    params(("name" = String, Path, description = "The metric's name"),
    ("service" = Option<String>, Query, description = "The short name of a service"),
    ("from" = Option<NaiveDate>, Query, description = "The first day"),
    ("to" = Option<NaiveDate>, Query, description = "The last day")),
    responses((status = 200, body = Vec<PointBody>), (status = 404, body = ErrorBody),
    (status = 400, description = "A parameter is wrong; the sentence names what is allowed", body = ErrorBody),
    (status = 422, description = "More than 100,000 values, or from lies after to", body = ErrorBody)))]
pub async fn points(
    State(app): State<AppState>,
    Path(name): Path<String>,
    Query(asked): Query<PointsQuery>,
) -> Result<Json<Vec<PointBody>>> {
    let mut snapshot = app.pools.snapshot().await?;
    metrics::get(&mut snapshot, &name).await?.ok_or(web::Error::NotFound)?;
    let last_day = asked.to.unwrap_or_else(|| app.now().date_naive());
    let first_day = asked.from.unwrap_or_else(|| DateRange::days_to(last_day, 30).start());
    let end_day = last_day.checked_add_days(Days::new(1)).filter(|end| first_day < *end);
    let end_day = end_day.ok_or_else(|| Error::Unprocessable("from lies after to.".into()))?;
    let service = asked.service.as_deref();
    known::in_catalogue(&mut snapshot, service, None).await?;
    let limit = ANSWER_POINTS_MAX as i64 + 1;
    let found = metric_lists::points(&mut snapshot, &name, service, (first_day, end_day), limit).await?;
    if found.len() > ANSWER_POINTS_MAX {
        // A part of a list without a word would be taken for the whole.
        return Err(Error::Unprocessable(format!(
            "These are more than {ANSWER_POINTS_MAX} values. Ask for fewer days with from and to, or for one service."
        )));
    }
    let body = |point: metric_lists::StoredPoint| PointBody {
        time: metric_lists::time_text(&point),
        service: point.service,
        environment: point.environment,
        value: point.value.normalized().to_plain_string(),
        sent_by: point.loaded_by,
        sent_at: point.loaded_at,
    };
    Ok(Json(found.into_iter().map(body).collect()))
}
