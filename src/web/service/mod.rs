//! `/services/{slug}`: what a service costs, why that changed, and which deployments lie in those days.

mod empty;
mod figures;
mod kept;
mod loaded;
mod moved;
mod releases;
mod series;
mod tables;
pub(super) mod unit_chart;
pub(super) mod usage;

use super::anomalies;
use super::charts::Buckets;
use super::context_events::{ContextEvents, ContextRow};
use super::csv;
use super::daily::{self, Daily, Point, Setting};
use super::delivery_figures::{Deliveries, DeliverySection};
use super::display::Line;
use super::drill;
use super::forecast::ForecastSection;
use super::parts::{Figures, Filters, Switch, switches};
use super::query::{Accepts, Span, View, range_label};
use super::reporting::{RatedParts, Reporting};
use super::savings::{self, PlanSection};
use super::unit_costs::{self, ServiceCosts, Sides, UnitSection};
use super::why::{self, WalkLabels, WalkLines, Why, WhyWalk};
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes};
use crate::focus::DateRange;
use crate::store::Snapshot;
use crate::store::anomaly_lists::{self, AnomalyFilter, ListedAnomaly};
use crate::store::costs::{CostFilter, Dimension};
use crate::store::deployment_costs::ServedService;
use crate::store::deployment_list::{self, ListedDeployment};
use crate::store::effects::{self, EffectBrief};
use crate::store::metric_points;
use crate::store::moved_by_rules::{self, MovedByRule};
use crate::store::service_costs::{self, Bought, ServiceHead};
use crate::store::service_details::{self, CostReach, ServiceDetail};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use chrono::Days;
use figures::figures;
pub use kept::KeptCosts;
use loaded::{Loaded, load};
use moved::MovedRow;
use releases::{ReleasesSection, releases};
use series::{markers, series};
use std::sync::Arc;
pub(super) use tables::{AnswerCell, answer_cells, change_sentence, change_sentences};
use tables::{BoughtRow, DeploymentRow, WhyTable};
use usage::{UsageRow, UsageSection};

const ACCEPTS: Accepts =
    Accepts { texts: &["env", "provider", "charge"], by: &["env", "charge", "provider"], sort: &[] };
const DEPLOYMENT_COUNT_MAX: i64 = 200;
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
    bought: Vec<BoughtRow>,
    bought_total: Vec<Line>,
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

fn may_see(principal: &Principal, service: &ServiceHead) -> bool {
    let scope = principal.scope();
    scope.team_ids().is_none_or(|own| service.team_id.is_some_and(|team| own.contains(&team)))
}

async fn export(app: &AppState, principal: &Principal, slug: &str, query: Option<&str>) -> Result<Response> {
    let view = View::parse(query, ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let service = service_costs::head(&mut snapshot, slug).await?.ok_or(Error::NotFound)?;
    if !may_see(principal, &service) {
        return Err(Error::Forbidden);
    }
    let bills = crate::store::freshness::read(&mut snapshot).await?.of_services(&[service.service_id]);
    let span = view.span(&bills).ok_or_else(|| Error::Invalid("None of these days is complete yet.".into()))?;
    let (kept, publication_id) = (&app.kept_costs, bills.publication_id);
    let days = load(kept, publication_id, &mut snapshot, &principal.scope(), &service, &view, &span).await?;
    let rates = days.rates(&mut snapshot).await?;
    Ok(days.csv(&span, rates.as_ref()).into_response(&format!("{}.csv", service.slug)))
}

/// Everything that the page of a service is made from. Making and rendering the page needs no database.
#[derive(Clone)]
pub struct Material {
    page: Page,
    view: View,
    service: ServiceHead,
    shows_cost: bool,
    own_team: Option<String>,
    span: Option<Span>,
    listed: DateRange,
    deployments: Vec<ListedDeployment>,
    releases: ReleasesSection,
    context: ContextEvents,
    days: Loaded,
    /// `None` where there is no cost to show.
    bought: Option<Arc<Vec<Bought>>>,
    reporting: Option<Reporting>,
    moved: Arc<Vec<MovedByRule>>,
    /// The causes of the change.
    explained: Why,
    /// What is said of the deployments' effects.
    effects: Vec<EffectBrief>,
    usage: UsageSection,
    units: Option<UnitSection>,
    plans: PlanSection,
    delivery: DeliverySection,
    detail: ServiceDetail,
    forecast: ForecastSection,
    anomalies: Vec<ListedAnomaly>,
    reach: CostReach,
}

/// Reads what the page of a service shows to a person.
pub async fn read(app: &AppState, principal: &Principal, slug: &str, query: Option<&str>) -> Result<Material> {
    let view = View::parse(query, ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let service = service_costs::head(&mut snapshot, slug).await?.ok_or(Error::NotFound)?;
    let title = format!("{} · Services", service.name);
    let page = Page::new(app, principal, &mut snapshot, title, NavItem::Services).await?;
    let page = page.of_services(&[service.service_id]);
    let scope = principal.scope();
    let shows_cost = may_see(principal, &service);
    let span = view.span(&page.bills);
    let listed = match &span {
        Some(span) => span.chart,
        None => DateRange::days_to(page.now.date_naive(), 60),
    };
    let until = listed.end().max(page.now.date_naive() + Days::new(1));
    let whole = DateRange::new(listed.start(), until).unwrap_or(listed);
    let deployments =
        deployment_list::of_service(&mut snapshot, service.service_id, listed.start(), until, DEPLOYMENT_COUNT_MAX)
            .await?;
    let mut answers = Vec::new();
    if shows_cost {
        let ids: Vec<i64> = deployments.iter().map(|one| one.deployment_id).collect();
        answers = effects::briefs(&mut snapshot, &scope, &ids, Some(service.service_id)).await?;
    }
    let mut bought = None;
    let mut reporting = None;
    let mut moved = Arc::default();
    let mut explained = Why::default();
    let mut usage = UsageSection::default();
    let mut units = None;
    let mut delivery = DeliverySection::default();
    let detail = service_details::get(&mut snapshot, service.service_id).await?;
    let mut days = Loaded::default();
    let mut reach = CostReach::default();
    if let Some(span) = &span {
        let live = Deliveries::read(&mut snapshot, Some(service.service_id), None, span).await?;
        delivery = live.section(span);
    }
    if let Some(span) = span.filter(|_| shows_cost) {
        let (kept, publication_id) = (&app.kept_costs, page.publication_id);
        days = load(kept, publication_id, &mut snapshot, &scope, &service, &view, &span).await?;
        if days.has_cost(&span) {
            let filter = bought_filter(&view, &span, &days);
            let question = format!("{} {filter:?} {:?}", service.service_id, span.before);
            let own = CostFilter { service_id: Some(service.service_id), ..filter.clone() };
            let rated = RatedParts::read(&mut snapshot, &scope, &own, Dimension::ChargeCategory).await?;
            reporting = rated.as_ref().and_then(Reporting::new);
            let reading = service_costs::bought(&mut snapshot, &scope, service.service_id, &filter, span.before);
            bought = Some(kept.bought.get_or_read(publication_id, question, reading).await?);
            let question = format!("{} {:?} {:?} {:?}", service.service_id, span.days, span.before, view.basis);
            let id = service.service_id;
            let reading = moved_by_rules::between(&mut snapshot, &scope, id, span.days, span.before, view.basis);
            moved = kept.moved.get_or_read(publication_id, question, reading).await?;
            let asked = why::by_day(&own, span.before);
            explained = why::read(app, publication_id, &mut snapshot, &scope, asked, None).await?;
            let can_choose = Policy::Bills.allows(principal);
            usage = usage::read(&mut snapshot, &service, &span, &days, can_choose).await?;
            let states_goals = Policy::Review.allows(principal);
            units = Some(unit_section(&mut snapshot, &service, &span, &days, states_goals).await?);
        } else {
            reach = service_details::cost_reach(&mut snapshot, &scope, service.service_id).await?;
        }
    }
    let can_plan = shows_cost && Policy::Review.allows(principal);
    let today = page.now.date_naive();
    let plans = savings::plan_section(&mut snapshot, service.service_id, &service.slug, today, can_plan).await?;
    let mut forecast = ForecastSection::default();
    let mut unusual = Vec::new();
    if shows_cost {
        forecast = ForecastSection::read(&mut snapshot, &scope, "service", service.service_id).await?;
        let filter = AnomalyFilter {
            service_id: Some(service.service_id),
            from: Some(listed.start()),
            ..AnomalyFilter::default()
        };
        unusual = anomaly_lists::list(&mut snapshot, &scope, filter, ANOMALY_COUNT_MAX).await?;
    }
    let releases = releases(&mut snapshot, service.service_id).await?;
    let context = ContextEvents::read(&mut snapshot, &[service.service_id], days.environment_id, whole).await?;
    let own_team = own_team(principal);
    let own = Material {
        page,
        view,
        service,
        shows_cost,
        own_team,
        span,
        listed,
        deployments,
        releases,
        context,
        days,
        bought,
        reporting,
        moved,
        explained,
        effects: answers,
        usage,
        units,
        plans,
        delivery,
        detail,
        forecast,
        anomalies: unusual,
        reach,
    };
    Ok(own)
}

// The period of the page against the one before it: the workloads of pipelines and jobs have no deployment.
async fn unit_section(
    snapshot: &mut Snapshot,
    service: &ServiceHead,
    span: &Span,
    days: &Loaded,
    states_goals: bool,
) -> Result<UnitSection> {
    let mut costs = ServiceCosts::new();
    for row in days.kept() {
        let own = costs.entry((service.service_id, row.currency.clone())).or_default();
        *own.entry(row.charge_date).or_default() += &row.cost;
    }
    let served = ServedService {
        service_id: service.service_id,
        slug: service.slug.clone(),
        name: service.name.clone(),
        team_id: service.team_id,
    };
    let sides = Sides { environment_id: days.environment_id, before: span.before, after: span.days };
    let workloads = unit_costs::workloads(snapshot, &[served], sides, &costs).await?;
    let mut section =
        UnitSection::new(&workloads, format!("{} against {}", span.label(), span.before_label()), String::new());
    if states_goals {
        let both = DateRange::new(span.before.start().min(span.days.start()), span.days.end().max(span.before.end()));
        let own = metric_points::of_service(snapshot, service.service_id, both.unwrap_or(span.days)).await?;
        section.goal_form = Some(unit_costs::goal_form(snapshot, service.service_id, &service.slug, &own).await?);
    }
    Ok(section)
}

impl Material {
    /// The page, every figure and chart of it made.
    pub fn into_page(self) -> ServicePage {
        let Self { page, view, service, shows_cost, own_team, span, listed, deployments, releases, days, .. } = self;
        let (bought, reporting, moved, usage) = (self.bought, self.reporting, self.moved, self.usage);
        let (explained, effects, delivery) = (self.explained, self.effects, self.delivery);
        let (detail, units, plans) = (self.detail, self.units, self.plans);
        let (forecast, unusual) = (self.forecast, self.anomalies);
        let cost = span.as_ref().zip(bought).map(|(span, bought)| {
            let made =
                cost_view(&service, &view, span, &days, (&deployments, &effects), (&bought, &moved, usage.main()));
            let buckets = Buckets::new(span.chart, span.complete_to);
            let mut events = self.context.on_chart(&buckets, "#h-context");
            events.extend(anomalies::events_on_chart(&unusual, &buckets));
            events.sort_by_key(|event| event.index);
            let charts = made.charts.into_iter().map(|chart| chart.with_events(&events, span)).collect();
            CostView { reporting, charts, walks: walks(&service, &view, span, &explained), ..made }
        });
        let path = format!("/services/{}", service.slug);
        let by = [("env", "Environment"), ("charge", "Charge type"), ("provider", "Provider")];
        ServicePage {
            answer: answer(&service, &view, span.as_ref(), &days, cost.as_ref(), shows_cost),
            empty: empty::empty(&view, span.as_ref(), !page.bills.sources.is_empty(), &page.freshness, &self.reach),
            own_team,
            filters: Filters::new(&path, &view, span.as_ref(), days.selects(&view)),
            switches: switches(&view, &path, &by),
            has_answers: !effects.is_empty(),
            deployments: tables::deployments(&deployments, span.as_ref(), &days, &effects, DEPLOYMENT_ROW_COUNT_MAX),
            deployments_note: deployments_note(&deployments, listed),
            releases,
            context: self.context.rows(),
            context_note: self.context.note(),
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

fn own_team(principal: &Principal) -> Option<String> {
    (principal.role == crate::store::Role::Member && principal.team_ids.is_empty())
        .then(|| "You are in no team yet; an administrator can add you to one.".to_owned())
}

fn bought_filter(view: &View, span: &Span, days: &Loaded) -> CostFilter {
    CostFilter {
        environment_id: days.environment_id,
        provider_name: days.provider_name.clone(),
        charge_category: days.charge_category.clone(),
        currency: days.currency.clone(),
        ..CostFilter::new(span.days, view.basis)
    }
}

fn cost_view(
    service: &ServiceHead,
    view: &View,
    span: &Span,
    days: &Loaded,
    (deployments, effects): (&[ListedDeployment], &[EffectBrief]),
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
        markers: &markers(service, span, days, deployments, effects),
        caption,
        subject: &format!("daily cost of {}, {}", service.name, caption.to_lowercase()),
        charges_href: &charges_href,
    };
    let charts = daily::charts(&points, &series, &setting);
    let (bought, bought_total) = tables::bought(bought, &days.currencies);
    CostView {
        reporting: None,
        figures: figures(span, days, deployments, usage),
        charts,
        why: tables::why(span, days),
        walks: Vec::new(),
        bought,
        bought_total,
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
    let sentence = change_sentences(&total, &days.currencies);
    let filtered = if view.is_filtered() { " Within these filters." } else { "" };
    let main = cost.why.first().and_then(WhyTable::main_cause).unwrap_or_default();
    format!("{sentence} from {} against {}.{main}{filtered}", range_label(span.days), span.before_label())
}

fn deployments_note(deployments: &[ListedDeployment], listed: DateRange) -> String {
    match deployments.len() {
        0 => format!("No deployments seen from {}.", range_label(listed)),
        count if count > DEPLOYMENT_ROW_COUNT_MAX => format!("The newest {DEPLOYMENT_ROW_COUNT_MAX} of {count}."),
        _ => String::new(),
    }
}
