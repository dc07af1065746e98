//! Everything that the page of a service is read from. What was read is kept until anything at all is written: several
//! people look at one service at a time, and they look again.

use super::super::context_events::{ContextEvents, Whose};
use super::super::delivery_figures::{Deliveries, DeliverySection};
use super::super::forecast::ForecastSection;
use super::super::query::{Span, View};
use super::super::reporting::{RatedParts, Reporting};
use super::super::restated::{Looked, RestatedNotice};
use super::super::savings::{self, PlanSection};
use super::super::unit_costs::{self, ServiceCosts, Sides, UnitSection};
use super::super::why::{self, Why};
use super::super::{AppState, Error, NavItem, Page, Policy, Principal, Result};
use super::deployed::Deployed;
use super::loaded::{Loaded, load};
use super::releases::{ReleasesSection, releases};
use super::usage::{self, UsageSection};
use super::{ACCEPTS, ANOMALY_COUNT_MAX};
use crate::focus::DateRange;
use crate::store::Snapshot;
use crate::store::anomaly_lists::{self, AnomalyFilter, ListedAnomaly};
use crate::store::costs::{CostFilter, Dimension};
use crate::store::deployment_costs::ServedService;
use crate::store::freshness::Freshness;
use crate::store::history::RestatedOf;
use crate::store::metric_points;
use crate::store::missing_bills::Part;
use crate::store::moved_by_rules::{self, MovedByRule};
use crate::store::service_costs::{self, Bought, ServiceHead};
use crate::store::service_details::{self, CostReach, ServiceDetail};
use std::sync::Arc;

/// Everything that the page of a service is made from. Making and rendering the page needs no database.
#[derive(Clone)]
pub struct Material {
    pub(super) page: Page,
    pub(super) view: View,
    pub(super) own_team: Option<String>,
    pub(super) restated: Option<RestatedNotice>,
    pub(super) readings: Arc<Readings>,
}

/// What is read of one service, for one view.
#[derive(Clone)]
pub struct Readings {
    pub(super) service: ServiceHead,
    pub(super) shows_cost: bool,
    pub(super) span: Option<Span>,
    pub(super) deployed: Deployed,
    pub(super) releases: ReleasesSection,
    pub(super) context: ContextEvents,
    pub(super) days: Loaded,
    /// `None` where there is no cost to show.
    pub(super) bought: Option<Arc<Vec<Bought>>>,
    pub(super) reporting: Option<Reporting>,
    pub(super) moved: Arc<Vec<MovedByRule>>,
    /// The causes of the change.
    pub(super) explained: Why,
    pub(super) usage: UsageSection,
    pub(super) units: Option<UnitSection>,
    pub(super) plans: PlanSection,
    pub(super) delivery: DeliverySection,
    pub(super) detail: ServiceDetail,
    pub(super) forecast: ForecastSection,
    pub(super) anomalies: Vec<ListedAnomaly>,
    pub(super) reach: CostReach,
}

/// Reads what the page of a service shows to a person.
pub async fn read(app: &AppState, principal: &Principal, slug: &str, query: Option<&str>) -> Result<Material> {
    let view = View::parse(query, ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let service = service_costs::head(&mut snapshot, slug).await?.ok_or(Error::NotFound)?;
    let title = format!("{} · Services", service.name);
    let page = Page::new(app, principal, &mut snapshot, title, NavItem::Services).await?;
    let part = Part { service_id: Some(service.service_id), ..view.part(&mut snapshot).await? };
    let page = page.of_part(&mut snapshot, &principal.scope(), part).await?.of_days(&view);
    let restated = match may_see(principal, &service) {
        true => restated(app, principal, &mut snapshot, &page, &view, service.service_id).await?,
        false => None,
    };
    let question = question(principal, &page, slug, query);
    let seen = page.bills.seen.clone();
    let readings = match app.kept_costs.readings.get(&seen, &question) {
        Some(kept) => kept,
        None => {
            let read = Arc::new(Readings::read(app, principal, &mut snapshot, service, &view, &page).await?);
            app.kept_costs.readings.keep(seen, question, &read, read.days.kept().count());
            read
        }
    };
    Ok(Material { page, view, own_team: own_team(principal), restated, readings })
}

// Of a person and not of the data: it is never kept.
async fn restated(
    app: &AppState,
    principal: &Principal,
    snapshot: &mut Snapshot,
    page: &Page,
    view: &View,
    service_id: i64,
) -> Result<Option<RestatedNotice>> {
    // One visit for all services: noting each would write all the time, and what is kept would be read again.
    let of = RestatedOf { service_id: Some(service_id), ..RestatedOf::default() };
    let looked = Looked { page: "services", publication_id: page.publication_id, basis: view.basis, of };
    RestatedNotice::read(app, principal, snapshot, looked).await
}

// All that decides what is read, beside the data.
fn question(principal: &Principal, page: &Page, slug: &str, query: Option<&str>) -> String {
    let scope = principal.scope();
    let may = [Policy::Bills, Policy::Review].map(|policy| policy.allows(principal));
    format!("{slug}?{} {:?} {may:?} {}", query.unwrap_or_default(), scope.team_ids(), page.now.date_naive())
}

impl Readings {
    async fn read(
        app: &AppState,
        principal: &Principal,
        snapshot: &mut Snapshot,
        service: ServiceHead,
        view: &View,
        page: &Page,
    ) -> Result<Self> {
        let scope = principal.scope();
        let shows_cost = may_see(principal, &service);
        let span = view.span(&page.bills);
        let today = page.now.date_naive();
        let listed = match &span {
            Some(span) => span.listed(page.bills.last_charge_date(), today),
            None => DateRange::days_to(today, 60),
        };
        let shown = span.filter(|_| shows_cost);
        let deployed = Deployed::read(snapshot, &scope, service.service_id, listed, shown.as_ref()).await?;
        let mut bought = None;
        let mut reporting = None;
        let mut moved = Arc::default();
        let mut explained = Why::default();
        let mut usage = UsageSection::default();
        let mut units = None;
        let mut delivery = DeliverySection::default();
        let detail = service_details::get(snapshot, service.service_id).await?;
        let mut days = Loaded::default();
        let mut reach = CostReach::default();
        // Deployments are there before the first bill is.
        if let Some(span) = span.or_else(|| view.span_to(today)) {
            let live = Deliveries::read(snapshot, Some(service.service_id), None, &span, page.now).await?;
            let path = format!("/services/{}/delivery.csv", service.slug);
            delivery = live.section(&span).leading_to(shows_cost.then(|| view.link(&path, &[("by", "")])));
        }
        if let Some(span) = shown {
            let (kept, publication_id) = (&app.kept_costs, page.publication_id);
            days = load(kept, publication_id, snapshot, &scope, &service, view, &span).await?;
            if days.has_cost(&span) {
                let filter = bought_filter(view, &span, &days);
                let question = format!("{} {filter:?} {:?}", service.service_id, span.before);
                let own = CostFilter { service_id: Some(service.service_id), ..filter.clone() };
                let rated = RatedParts::read(snapshot, &scope, &own, Dimension::ChargeCategory).await?;
                reporting = rated.as_ref().and_then(Reporting::new);
                let reading = service_costs::bought(snapshot, &scope, service.service_id, &filter, span.before);
                bought = Some(kept.bought.get_or_read(publication_id, question, reading).await?);
                if span.is_compared() {
                    let id = service.service_id;
                    let order = moved_by_rules::order_mark(snapshot).await?;
                    let question = format!("{id} {:?} {:?} {:?} {order}", span.days, span.before, view.basis);
                    let reading = moved_by_rules::between(snapshot, &scope, id, span.days, span.before, view.basis);
                    moved = kept.moved.get_or_read(publication_id, question, reading).await?;
                    let asked = why::by_day(&own, span.before);
                    explained = why::read(app, &page.bills, snapshot, &scope, asked, None).await?;
                }
                let can_choose = Policy::Bills.allows(principal);
                usage = usage::read(snapshot, &service, &span, &days, can_choose, &page.bills).await?;
                let states_goals = Policy::Review.allows(principal);
                units = Some(unit_section(snapshot, &service, &span, &days, states_goals, &page.bills).await?);
            } else {
                reach = service_details::cost_reach(snapshot, &scope, service.service_id).await?;
            }
        }
        let can_plan = shows_cost && Policy::Review.allows(principal);
        let plans = savings::plan_section(snapshot, service.service_id, &service.slug, today, can_plan).await?;
        let mut forecast = ForecastSection::default();
        let mut unusual = Vec::new();
        if shows_cost {
            let (subject, currency) = (("service", service.service_id), view.currency(snapshot).await?);
            forecast = ForecastSection::read(snapshot, &scope, subject, currency.as_deref()).await?;
            let filter = AnomalyFilter {
                service_id: Some(service.service_id),
                from: Some(listed.start()),
                ..AnomalyFilter::default()
            };
            unusual = anomaly_lists::list(snapshot, &scope, filter, ANOMALY_COUNT_MAX).await?;
        }
        let releases = releases(snapshot, service.service_id).await?;
        let own = [service.service_id];
        let whose = Whose {
            service_ids: Some(own.as_slice()),
            service_slugs: &[service.slug.as_str()],
            environment_id: days.environment_id,
            environment_slug: view.field("env"),
        };
        let buckets = span.as_ref().map(Span::buckets);
        let context = ContextEvents::read(snapshot, &whose, listed, buckets.as_ref(), page.now).await?;
        Ok(Self {
            service,
            shows_cost,
            span,
            deployed,
            releases,
            context,
            days,
            bought,
            reporting,
            moved,
            explained,
            usage,
            units,
            plans,
            delivery,
            detail,
            forecast,
            anomalies: unusual,
            reach,
        })
    }
}

/// Whether this person may see what the service costs.
pub(super) fn may_see(principal: &Principal, service: &ServiceHead) -> bool {
    principal.scope().has_team(service.team_id)
}

// The period of the page against the one before it: the workloads of pipelines and jobs have no deployment.
async fn unit_section(
    snapshot: &mut Snapshot,
    service: &ServiceHead,
    span: &Span,
    days: &Loaded,
    states_goals: bool,
    bills: &Freshness,
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
    let workloads = unit_costs::workloads(snapshot, &[served], sides, &costs, bills).await?;
    let mut section =
        UnitSection::new(&workloads, format!("{} against {}", span.label(), span.before_label()), String::new());
    if states_goals {
        let both = DateRange::new(span.before.start().min(span.days.start()), span.days.end().max(span.before.end()));
        let own = metric_points::of_service(snapshot, service.service_id, both.unwrap_or(span.days)).await?;
        section.goal_form = Some(unit_costs::goal_form(snapshot, service.service_id, &service.slug, &own).await?);
    }
    Ok(section)
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
