//! Speed and cost read together: what each service of a team delivered, and what a unit of it cost.

use super::Result;
use super::delivery_figures::{Deliveries, failures, frequency, restore, time_or};
use super::query::Span;
use super::service::usage::{UnitLine, compared, per};
use crate::analyze::unit_cost::billed;
use crate::focus::DateRange;
use crate::store::costs::DayCost;
use crate::store::freshness::Freshness;
use crate::store::known_days::Lacking;
use crate::store::metrics::{self, JobMinutes, Metric};
use crate::store::{Snapshot, metric_points};
use askama::Template;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// Services whose usage is read for one page.
const SERVICES_MAX: usize = 60;

/// The section of the team's page; it renders as nothing where nothing is known.
#[derive(Clone, Default, Template)]
#[template(path = "partials/team_pace.html")]
pub(super) struct TeamPace {
    rows: Vec<PaceRow>,
    label: String,
    /// Services that are not looked at.
    left_out: usize,
}

impl askama::filters::HtmlSafe for TeamPace {}

#[derive(Clone)]
struct PaceRow {
    name: String,
    href: String,
    frequency: String,
    lead_time: String,
    failures: String,
    restore_time: String,
    per: String,
    costs: Vec<UnitLine>,
}

/// A service of the team, as its page lists it.
pub(super) struct Listed<'a> {
    pub service_id: i64,
    pub name: &'a str,
    pub slug: &'a str,
}

/// Reads usage of these services, of which the first ones are shown; their daily costs are at hand. `environment_id` is
/// that of the page's filter.
pub(super) async fn read(
    snapshot: &mut Snapshot,
    services: &[Listed<'_>],
    costs: &[DayCost],
    deliveries: &Deliveries,
    environment_id: Option<i64>,
    span: &Span,
    bills: &Freshness,
) -> Result<TeamPace> {
    let all: BTreeMap<String, Metric> =
        metrics::list(&mut *snapshot).await?.into_iter().map(|metric| (metric.metric.clone(), metric)).collect();
    let job_minutes = metrics::job_minutes(&mut *snapshot).await?;
    let mut rows = Vec::new();
    for service in services.iter().take(SERVICES_MAX) {
        let delivery = deliveries.of_service(service.service_id, span);
        let lacking = bills.lacking(&[service.service_id]);
        let (mut unit, mut lines) = (None, Vec::new());
        for metric in unit_metrics(&mut *snapshot, service.service_id, (&all, &job_minutes), span).await? {
            lines = unit_costs(&mut *snapshot, service, metric, costs, environment_id, (span, &lacking)).await?;
            if !lines.is_empty() {
                unit = Some(metric);
                break;
            }
        }
        if delivery.change_count == 0 && lines.is_empty() {
            continue;
        }
        rows.push(PaceRow {
            name: service.name.to_owned(),
            href: format!("/services/{}", service.slug),
            frequency: frequency(&delivery),
            lead_time: time_or(delivery.lead_time, "not known"),
            failures: failures(&delivery),
            restore_time: restore(&delivery),
            per: unit.map(per).unwrap_or_default(),
            costs: lines,
        });
    }
    Ok(TeamPace { rows, label: span.label(), left_out: services.len().saturating_sub(SERVICES_MAX) })
}

// The chosen one alone; else those that it has values of, the best first: one may have values and no unit cost.
async fn unit_metrics<'a>(
    snapshot: &mut Snapshot,
    service_id: i64,
    (all, job_minutes): (&'a BTreeMap<String, Metric>, &JobMinutes),
    span: &Span,
) -> Result<Vec<&'a Metric>> {
    if let Some(chosen) = metrics::unit_metric(&mut *snapshot, service_id).await? {
        return Ok(all.get(&chosen).filter(|metric| metric.has_unit_cost()).into_iter().collect());
    }
    let names = metrics::units(snapshot, service_id, span.days, job_minutes).await?;
    Ok(names.iter().take(metrics::UNITS_TRIED_MAX).filter_map(|name| all.get(name)).collect())
}

async fn unit_costs(
    snapshot: &mut Snapshot,
    service: &Listed<'_>,
    metric: &Metric,
    costs: &[DayCost],
    environment_id: Option<i64>,
    (span, lacking): (&Span, &Lacking),
) -> Result<Vec<UnitLine>> {
    let (start, end) = (span.days.start().min(span.before.start()), span.days.end().max(span.before.end()));
    let both = DateRange::new(start, end).unwrap_or(span.days);
    let days = metric_points::daily(snapshot, &metric.metric, service.service_id, environment_id, both).await?;
    let whole = days.into_iter().filter(|day| day.is_whole);
    let usage: BTreeMap<NaiveDate, BigDecimal> = whole.map(|day| (day.charge_date, day.value)).collect();
    let key = service.service_id.to_string();
    let mut by_currency: BTreeMap<&str, BTreeMap<NaiveDate, BigDecimal>> = BTreeMap::new();
    for day in costs.iter().filter(|day| day.key == key) {
        *by_currency.entry(&day.currency).or_default().entry(day.charge_date).or_default() += &day.cost;
    }
    let line = |(currency, by_day): (&str, BTreeMap<NaiveDate, BigDecimal>)| {
        let usage = billed(usage.clone(), |day| span.has_bill(day) && !lacking.has(currency, day));
        compared(span, &by_day, &usage, metric.unit_cost_per, currency)
    };
    Ok(by_currency.into_iter().filter_map(line).collect())
}
