//! `/services/{slug}`: what a service costs, why that changed, and which deployments lie in those days.

mod bought;
mod deployed;
mod empty;
mod figures;
mod kept;
mod loaded;
mod material;
mod moved;
mod releases;
mod series;
mod tables;
pub(super) mod unit_chart;
pub(super) mod usage;

use super::anomalies;
use super::context_events::ContextRow;
use super::cost_columns::CostColumns;
use super::csv;
use super::daily::{self, Daily, Point, Setting};
use super::delivery_figures::DeliverySection;
use super::drill;
use super::forecast::ForecastSection;
use super::parts::{Figures, Filters, Switch, switches};
use super::query::{Accepts, Span, View, range_label};
use super::reporting::Reporting;
use super::restated::RestatedNotice;
use super::savings::PlanSection;
use super::unit_costs::UnitSection;
use super::why::{WalkLabels, WalkLines, Why, WhyWalk};
use super::{AppState, Error, Page, Policy, Principal, Result, Routes};
use crate::store::missing_bills::Part;
use crate::store::moved_by_rules::MovedByRule;
use crate::store::service_costs::{self, Bought, ServiceHead};
use crate::store::service_details::ServiceDetail;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use bought::BoughtTable;
use deployed::Deployed;
use figures::figures;
pub use kept::KeptCosts;
use loaded::{Loaded, load};
pub use material::{Material, read};
use material::{Readings, may_see};
use moved::MovedRow;
use releases::ReleasesSection;
use series::{markers, series};
use std::sync::Arc;
pub(super) use tables::{AnswerCell, answer_cells, change_sentences};
use tables::{DeploymentRow, WhyTable};
use usage::{UsageRow, UsageSection};

const ACCEPTS: Accepts =
    Accepts { texts: &["env", "provider", "charge"], by: &["env", "charge", "provider"], sort: &[] };
const DEPLOYMENT_ROW_COUNT_MAX: usize = 25;
const ANOMALY_COUNT_MAX: i64 = 20;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/services/{slug}", Policy::Money, show).post(
        "/services/{slug}/unit-metric",
        Policy::Bills,
        usage::choose,
    )
}

/// The page of a service.
#[derive(Template, WebTemplate)]
#[template(path = "service.html")]
pub struct ServicePage {
    page: Page,
    service: ServiceHead,
    /// False where the service belongs to another team: the page then shows no money.
    shows_cost: bool,
    own_team: Option<String>,
    restated: Option<RestatedNotice>,
    filters: Filters,
    answer: String,
    cost: Option<CostView>,
    empty: String,
    switches: Vec<Switch>,
    deployments: Vec<DeploymentRow>,
    has_answers: bool,
    deployments_note: String,
    releases: ReleasesSection,
    context: Vec<ContextRow>,
    context_note: String,
    context_href: String,
    usage: UsageSection,
    units: Option<UnitSection>,
    plans: PlanSection,
    delivery: DeliverySection,
    detail: ServiceDetail,
    forecast: ForecastSection,
    anomalies: Vec<anomalies::InboxRow>,
    csv_href: String,
}

/// Everything that shows money.
struct CostView {
    figures: Figures,
    reporting: Option<Reporting>,
    charts: Vec<Daily>,
    why: Vec<WhyTable>,
    /// The causes of the change.
    walks: Vec<WhyWalk>,
    bought: BoughtTable,
    /// Cost that rules moved between the two ranges: no change of spend.
    moved: Vec<MovedRow>,
    comparison: String,
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Path(last): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    match csv::split_suffix(&last) {
        (slug, true) => export(&app, &principal, slug, query.as_deref()).await,
        (slug, false) => Ok(read(&app, &principal, slug, query.as_deref()).await?.into_page().into_response()),
    }
}

async fn export(app: &AppState, principal: &Principal, slug: &str, query: Option<&str>) -> Result<Response> {
    let view = View::parse(query, ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let service = service_costs::head(&mut snapshot, slug).await?.ok_or(Error::NotFound)?;
    if !may_see(principal, &service) {
        return Err(Error::Forbidden);
    }
    let part = Part { service_id: Some(service.service_id), ..view.part(&mut snapshot).await? };
    let bills = app.bills(&mut snapshot).await?.of_part(&mut snapshot, &principal.scope(), part).await?;
    let span = view.span(&bills).ok_or_else(|| Error::Invalid("None of these days is complete yet.".into()))?;
    let (kept, publication_id) = (&app.kept_costs, bills.publication_id);
    let days = load(kept, publication_id, &mut snapshot, &principal.scope(), &service, &view, &span).await?;
    let rates = days.rates(&mut snapshot).await?;
    let costs = CostColumns::new(view.basis, Some(span));
    Ok(days.csv(&span, rates.as_ref(), &costs).into_response(&costs.file_name(&service.slug)))
}

impl Material {
    /// The page, every figure and chart of it made.
    pub fn into_page(self) -> ServicePage {
        let Self { page, view, own_team, restated, readings } = self;
        let readings = Arc::unwrap_or_clone(readings);
        let Readings { service, shows_cost, span, deployed, releases, context, days, .. } = readings;
        let (bought, reporting, moved, usage) = (readings.bought, readings.reporting, readings.moved, readings.usage);
        let (explained, delivery) = (readings.explained, readings.delivery);
        let (detail, units, plans) = (readings.detail, readings.units, readings.plans);
        let (forecast, unusual, reach) = (readings.forecast, readings.anomalies, readings.reach);
        let cost = span.as_ref().zip(bought).map(|(span, bought)| {
            let made = cost_view(&service, &view, span, &days, &deployed, (&bought, &moved, usage.main()));
            let buckets = span.buckets();
            let mut events = context.on_chart(&buckets);
            events.extend(anomalies::events_on_chart(&unusual, &buckets));
            events.sort_by_key(|event| event.index);
            let charts = made.charts.into_iter().map(|chart| chart.with_events(&events, span)).collect();
            CostView { reporting, charts, walks: walks(&service, &view, span, &explained), ..made }
        });
        let path = format!("/services/{}", service.slug);
        let by = [("env", "Environment"), ("charge", "Charge type"), ("provider", "Provider")];
        let deployments = tables::deployments(&deployed.listed, span.as_ref(), &days, &deployed.effects);
        ServicePage {
            answer: answer(&service, &view, span.as_ref(), &days, cost.as_ref(), shows_cost),
            empty: empty::empty(&view, span.as_ref(), !page.bills.sources.is_empty(), &page.freshness, &reach),
            own_team,
            restated,
            filters: Filters::new(&path, &view, span.as_ref(), days.selects(&view)),
            switches: switches(&view, &path, &by),
            has_answers: deployments.iter().any(|row| !row.answers.is_empty()),
            deployments,
            deployments_note: deployed.note(),
            releases,
            context: context.rows(),
            context_note: context.note(),
            context_href: context.href(),
            usage,
            units,
            plans,
            delivery,
            detail,
            forecast,
            anomalies: unusual.iter().map(anomalies::InboxRow::of_subject).collect(),
            csv_href: view.link(&format!("{path}.csv"), &[]),
            page,
            service,
            shows_cost,
            cost,
        }
    }
}

fn walks(service: &ServiceHead, view: &View, span: &Span, explained: &Why) -> Vec<WhyWalk> {
    let (before, now) = (range_label(span.before), range_label(span.days));
    let href = |path: &str| view.link(path, &[("service", &service.slug), ("by", "")]);
    let lines = WalkLines::on(&drill::lines(view, &[("service", &service.slug)]), span.before, span.days);
    let (more_href, csv_href) = (&href("/why"), &href("/why.csv"));
    let labels = WalkLabels { before: &before, now: &now, more_href, csv_href, lines: Some(&lines) };
    WhyWalk::all(explained, &labels)
}

fn cost_view(
    service: &ServiceHead,
    view: &View,
    span: &Span,
    days: &Loaded,
    deployed: &Deployed,
    (bought, moved, usage): (&[Bought], &[MovedByRule], Option<&UsageRow>),
) -> CostView {
    let (series, keys) = series(view.by(), days);
    let points: Vec<Point> = days
        .kept()
        .map(|row| Point { day: row.charge_date, series: keys(row), currency: &row.currency, cost: &row.cost })
        .collect();
    let caption = match view.by() {
        "charge" => "By charge type",
        "provider" => "By provider",
        _ => "By environment",
    };
    let charges_href = drill::lines(view, &[("service", &service.slug)]);
    let setting = Setting {
        span,
        currencies: &days.currencies,
        markers: &markers(service, span, days, deployed),
        caption,
        subject: &format!("daily cost of {}, {}", service.name, caption.to_lowercase()),
        charges_href: &charges_href,
    };
    let charts = daily::charts(&points, &series, &setting);
    CostView {
        reporting: None,
        figures: figures(span, days, &deployed.marked, usage, drill::on(&charges_href, span.days)),
        charts,
        why: tables::why(span, days),
        walks: Vec::new(),
        bought: bought::table(&service.slug, view, span, bought, &days.currencies),
        moved: moved::rows(moved, &days.currencies),
        comparison: span.comparison_label(),
    }
}

fn answer(
    service: &ServiceHead,
    view: &View,
    span: Option<&Span>,
    days: &Loaded,
    cost: Option<&CostView>,
    shows_cost: bool,
) -> String {
    if !shows_cost {
        return format!("The cost of {} is open to its team and to finance. Its deployments are below.", service.name);
    }
    let (Some(span), Some(cost)) = (span, cost) else {
        return format!("{} has no cost to show here.", service.name);
    };
    let total = days.total(span);
    let sentence = change_sentences(span, &total, &days.currencies);
    let filtered = if view.is_filtered() { " Within these filters." } else { "" };
    let main = cost.why.first().and_then(WhyTable::main_cause).unwrap_or_default();
    format!("{sentence} {}.{main}{filtered}", span.sides())
}
