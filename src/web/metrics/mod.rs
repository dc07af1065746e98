//! `/metrics`: what is counted beside cost, what it means, whose values are there, and where they lack.

mod change;
mod csv;
mod definition;
mod unit_cost;
mod upload;
mod values_file;

use super::csv::split_suffix;
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes, filters, moments, unknown_keys};
use crate::store::metric_lists::{self, Gap, MetricHead, ServiceReach};
use crate::store::metrics::{self, COMBINATIONS, MEANINGS, Metric};
use crate::store::usage_unmapped::{self, Unmapped};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bigdecimal::{BigDecimal, One};
use definition::DefinitionForm;
use serde::Deserialize;
use sqlx::PgConnection;
use std::collections::HashMap;
use unit_cost::UnitCostSection;

pub(crate) use change::from_usage;
pub(crate) use definition::{check, put};

/// Gaps of a service that the page writes out.
const GAPS_SHOWN_MAX: usize = 3;

/// The routes of this folder. Usage is no money: everyone may read it.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/metrics", Policy::SignedIn, list)
        .get("/metrics.csv", Policy::SignedIn, csv::show)
        .post_upload("/metrics", Policy::Bills, upload::FILE_BYTES_MAX, upload::receive)
        .get("/metrics/new", Policy::Bills, change::new_form)
        .post("/metrics/new", Policy::Bills, change::add)
        .get("/metrics/{name}", Policy::SignedIn, show)
        .post("/metrics/{name}", Policy::Bills, change::save)
        .get("/metrics/{name}/unit-costs.csv", Policy::Money, unit_cost::export)
        .post("/metrics/{name}/delete-values", Policy::Bills, change::delete_values)
        .post("/metrics/forget-unmapped", Policy::Bills, change::forget_unmapped)
}

/// The address of a metric's page: its name may hold any visible character.
pub fn href(metric: &str) -> String {
    let mut address = String::from("/metrics/");
    for byte in metric.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => address.push(byte.into()),
            _ => address.push_str(&format!("%{byte:02X}")),
        }
    }
    address
}

/// A value with at most two decimals, below one with four; whole numbers have none.
pub fn written(value: &BigDecimal) -> String {
    let decimals = if value.abs() < BigDecimal::one() { 4 } else { 2 };
    let rounded = value.with_scale_round(decimals, bigdecimal::RoundingMode::HalfUp).normalized();
    let (_, scale) = rounded.as_bigint_and_exponent();
    filters::grouped(&rounded, scale.max(0))
}

struct MetricRow {
    metric: Metric,
    head: Option<MetricHead>,
}

impl MetricRow {
    fn href(&self) -> String {
        href(&self.metric.metric)
    }

    fn combined(&self) -> String {
        combined(&self.metric)
    }
}

fn combined(metric: &Metric) -> String {
    if metric.over_hours == metric.over_services {
        return format!("{} over hours and services", metric.over_hours);
    }
    format!("{} over hours, {} over services", metric.over_hours, metric.over_services)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    /// What was just done.
    done: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "metrics.html")]
struct MetricsPage {
    page: Page,
    rows: Vec<MetricRow>,
    unmapped: Vec<Unmapped>,
    unmapped_count: BigDecimal,
    can_change: bool,
    done: String,
    faults: Vec<String>,
}

async fn list(State(app): State<AppState>, principal: Principal, Query(asked): Query<Asked>) -> Result<MetricsPage> {
    page(&app, &principal, asked.done.chars().take(300).collect(), Vec::new()).await
}

async fn page(app: &AppState, principal: &Principal, done: String, faults: Vec<String>) -> Result<MetricsPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(app, principal, &mut snapshot, "Metrics", NavItem::Metrics).await?;
    let page = page.noting(unknown_keys::of::<Asked>());
    let rows = rows(&mut snapshot).await?;
    let unmapped = usage_unmapped::list(&mut snapshot).await?;
    let unmapped_count = unmapped.iter().map(|one| BigDecimal::from(one.value_count)).sum();
    Ok(MetricsPage { page, rows, unmapped, unmapped_count, can_change: Policy::Bills.allows(principal), done, faults })
}

// Those with values first.
async fn rows(conn: &mut PgConnection) -> Result<Vec<MetricRow>> {
    let heads = metric_lists::heads(&mut *conn).await?;
    let mut heads: HashMap<String, MetricHead> = heads.into_iter().map(|head| (head.metric.clone(), head)).collect();
    let metrics = metrics::list(conn).await?;
    let mut rows: Vec<MetricRow> =
        metrics.into_iter().map(|metric| MetricRow { head: heads.remove(&metric.metric), metric }).collect();
    rows.sort_by_key(|row| row.head.is_none());
    Ok(rows)
}

impl MetricsPage {
    fn lede(&self) -> String {
        match self.rows.iter().filter(|row| row.head.is_some()).count() {
            0 => "No usage is known yet: unit costs and the effect of releases need it.".into(),
            1 => "Usage is known of one metric.".into(),
            count => format!("Usage is known of {count} metrics."),
        }
    }
}

struct ServiceRow {
    reach: ServiceReach,
    gaps: Vec<String>,
    more_gaps: usize,
}

#[derive(Template, WebTemplate)]
#[template(path = "metric.html")]
struct MetricPage {
    page: Page,
    metric: Metric,
    services: Vec<ServiceRow>,
    unit_cost: Option<UnitCostSection>,
    form: DefinitionForm,
    message: String,
    can_change: bool,
    done: String,
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response> {
    let (stem, is_csv) = split_suffix(&name);
    if is_csv {
        return values_file::download(&app, &principal, stem).await;
    }
    let done = asked.done.chars().take(300).collect();
    Ok(one(&app, &principal, &name, None, String::new(), done).await?.into_response())
}

async fn one(
    app: &AppState,
    principal: &Principal,
    name: &str,
    form: Option<DefinitionForm>,
    message: String,
    done: String,
) -> Result<MetricPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let metric = metrics::get(&mut snapshot, name).await?.ok_or(Error::NotFound)?;
    let title = format!("{} · Metrics", metric.metric);
    let page = Page::new(app, principal, &mut snapshot, title, NavItem::Metrics).await?;
    let page = page.noting(unknown_keys::of::<Asked>());
    let gaps = metric_lists::gaps(&mut snapshot, name).await?;
    let services = metric_lists::services(&mut snapshot, name).await?;
    let services = services.into_iter().map(|reach| service_row(reach, &gaps)).collect();
    let form = form.unwrap_or_else(|| DefinitionForm::of(&metric));
    let unit_cost = unit_cost::section(&mut snapshot, principal, &metric, &page.bills).await?;
    let can_change = Policy::Bills.allows(principal);
    Ok(MetricPage { page, metric, services, unit_cost, form, message, can_change, done })
}

fn service_row(reach: ServiceReach, gaps: &[Gap]) -> ServiceRow {
    let own: Vec<&Gap> = gaps.iter().filter(|gap| gap.service_id == reach.service_id).collect();
    let text = |gap: &&Gap| match gap.first_day == gap.last_day {
        true => gap.first_day.to_string(),
        false => format!("{} to {}", gap.first_day, gap.last_day),
    };
    ServiceRow {
        gaps: own.iter().take(GAPS_SHOWN_MAX).map(text).collect(),
        more_gaps: own.len().saturating_sub(GAPS_SHOWN_MAX),
        reach,
    }
}

impl MetricPage {
    fn lede(&self) -> String {
        let (services, unit) = (self.services.len(), &self.metric.unit);
        if services == 0 {
            return "No value is known yet.".into();
        }
        let lacking = self.services.iter().filter(|row| row.reach.missing_count > 0).count();
        let gaps = match lacking {
            0 => "No day between the first and the last one lacks.".to_owned(),
            1 => "One service lacks days in between; they count as not known, never as zero.".to_owned(),
            count => format!("{count} services lack days in between; they count as not known, never as zero."),
        };
        let unit = if unit.is_empty() { String::new() } else { format!(" in {unit}") };
        let services = if services == 1 { "one service".to_owned() } else { format!("{services} services") };
        format!("Values of {services}{unit}. {gaps}")
    }

    fn combined(&self) -> String {
        combined(&self.metric)
    }

    fn href(&self) -> String {
        href(&self.metric.metric)
    }

    fn per(&self) -> String {
        filters::grouped(&self.metric.unit_cost_per.into(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_decimals_as_far_as_they_say_something() {
        let shown = |value: &str| written(&value.parse().unwrap());
        assert_eq!(shown("48.3332"), "48.33");
        assert_eq!(shown("48.999"), "49");
        assert_eq!(shown("-2.50"), "−2.5");
        assert_eq!(shown("0.03124"), "0.0312");
        assert_eq!(shown("0"), "0");
        assert_eq!(shown("1200"), shown("1200.001"));
    }
}
