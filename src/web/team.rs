//! `/teams/{slug}`: what a team pays for, which of its services moved, and what it deployed.

use super::anomalies::InboxRow;
use super::charts::{Marker, SparkBars, position, ranked_class};
use super::context_events::{ContextEvents, ContextSection};
use super::cost_columns::CostColumns;
use super::csv::{Cell, Table, split_suffix};
use super::daily::{self, Daily, Point, Series, Setting};
use super::delivery_figures::{Deliveries, DeliverySection};
use super::deployed::{Asked, Deployed, to_production};
use super::deployment_marker::{LIST, deployment_marker, when};
use super::display::{Compared, Delta, Line, decimals, figures as figures_of, money};
use super::drill;
use super::forecast::ForecastSection;
use super::parts::{Figure, Figures, Filters, Select};
use super::query::{Accepts, Span, View, range_label};
use super::reporting::{RatedParts, Reporting};
use super::restated::{Looked, RestatedNotice};
use super::service::change_sentences;
use super::team_pace::{self, Listed, TeamPace};
use super::why::{self, WalkLabels, WalkLines, Why, WhyWalk};
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes, filters};
use crate::focus::DateRange;
use crate::store::anomaly_lists::{self, AnomalyFilter};
use crate::store::costs::{self, CostFilter, DayCost, Dimension};
use crate::store::deployment_list::ListedDeployment;
use crate::store::deployment_marks::{self, DeploymentCounts, MarkedDeployment, Whose};
use crate::store::freshness::Freshness;
use crate::store::history::RestatedOf;
use crate::store::missing_bills::Part;
use crate::store::service_costs::{self, ServiceCost, WeekCost};
use crate::store::team_heads::{self, TeamHead};
use crate::store::{Scope, Snapshot};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use chrono::Days;
use std::collections::BTreeMap;

const ACCEPTS: Accepts = Accepts { texts: &["env", "provider", "charge"], by: &[], sort: &[] };
/// Services with a colour of their own; the rest is "Other".
const SERIES_COUNT_MAX: usize = 5;
const WEEK_COUNT: u64 = 12;
const DEPLOYMENT_ROW_COUNT_MAX: usize = 20;
const ANOMALY_COUNT_MAX: i64 = 20;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/teams/{slug}", Policy::Money, show)
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Path(last): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let (slug, is_csv) = split_suffix(&last);
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let team = team_heads::get(&mut snapshot, slug).await?.ok_or(Error::NotFound)?;
    let scope = principal.scope();
    let shows_cost = scope.has_team(Some(team.team_id));
    let page = Page::new(&app, &principal, &mut snapshot, format!("{} · Teams", team.name), NavItem::Teams).await?;
    let part = Part { team_id: Some(team.team_id), ..view.part(&mut snapshot).await? };
    let environment = (part.environment_id, view.field("env"));
    let page = page.of_part(&mut snapshot, &scope, part).await?.of_days(&view);
    let span = view.span(&page.bills).filter(|_| shows_cost);
    let read = match &span {
        Some(span) => Some(Read::new(&app, &page.bills, &mut snapshot, &scope, &team, &view, span).await?),
        None => None,
    };
    if is_csv {
        let read = read.as_ref().ok_or(if shows_cost { Error::NotFound } else { Error::Forbidden })?;
        let costs = CostColumns::new(view.basis, span);
        let name = costs.file_name(&format!("team-{}", team.slug));
        return Ok(csv(read, span.as_ref(), &costs).into_response(&name));
    }
    // Deployments are there before the first bill is, and open to everyone.
    let (asked, listed) = asked(&team, span.as_ref(), &page);
    let deployed = Deployed::read(&mut snapshot, asked).await?;
    let (id, buckets) = (team.team_id, span.as_ref().map(Span::buckets));
    let context = ContextEvents::of_team(&mut snapshot, id, environment, listed, buckets.as_ref(), page.now).await?;
    let counts = match &span {
        Some(span) => deployment_marks::count(&mut snapshot, whose(&team), Some(span.days)).await?,
        None => DeploymentCounts::default(),
    };
    let (delivery, pace) = match span.or_else(|| view.span(&page.bills)).or_else(|| view.span_to(page.now.date_naive()))
    {
        Some(span) => speed(&mut snapshot, &team, read.as_ref(), &span, &page).await?,
        None => Default::default(),
    };
    let (forecast, anomalies) =
        if shows_cost { ahead(&mut snapshot, &scope, &team, &view).await? } else { Default::default() };
    let of = RestatedOf { team_id: Some(team.team_id), ..RestatedOf::default() };
    let looked = Looked { page: "teams", publication_id: page.publication_id, basis: view.basis, of };
    let restated = match shows_cost {
        true => RestatedNotice::read(&app, &principal, &mut snapshot, looked).await?,
        false => None,
    };
    let path = format!("/teams/{}", team.slug);
    let environments = service_costs::choices(&mut snapshot).await?.environments;
    let all = vec![(String::new(), "All".to_owned())];
    let select = Select::new("env", "Environment", view.field("env"), [all, environments].concat());
    let cost = read
        .filter(|read| !read.services.is_empty())
        .zip(span)
        .map(|(read, span)| cost_view(&team, &view, &span, &read, (&deployed.marked, counts, &context)));
    Ok(TeamPage {
        answer: answer(&team, span.as_ref(), cost.as_ref(), shows_cost),
        filters: Filters::new(&path, &view, span.as_ref(), vec![select]),
        csv_href: view.link(&format!("{path}.csv"), &[]),
        period_head: span.map_or_else(|| "Cost".into(), |span| span.short_label()),
        comparison: span.map(|span| span.comparison_label()).unwrap_or_default(),
        deployments: deployed.listed,
        deployments_note: deployed.note,
        context: context.section("the services of this team"),
        page,
        team,
        shows_cost,
        restated,
        cost,
        delivery: delivery.leading_to(shows_cost.then(|| view.link(&format!("{path}/delivery.csv"), &[]))),
        pace,
        forecast,
        anomalies,
    }
    .into_response())
}

/// What it will cost, and what is unusual and open.
async fn ahead(
    conn: &mut Snapshot,
    scope: &Scope,
    team: &TeamHead,
    view: &View,
) -> Result<(ForecastSection, Vec<InboxRow>)> {
    let currency = view.currency(conn).await?;
    let forecast = ForecastSection::read(conn, scope, ("team", team.team_id), currency.as_deref()).await?;
    let filter = AnomalyFilter { team_id: Some(team.team_id), state: Some("open"), ..AnomalyFilter::default() };
    let open = anomaly_lists::list(conn, scope, filter, ANOMALY_COUNT_MAX).await?;
    Ok((forecast, open.iter().map(InboxRow::of_subject).collect()))
}

async fn speed(
    conn: &mut Snapshot,
    team: &TeamHead,
    read: Option<&Read>,
    span: &Span,
    page: &Page,
) -> Result<(DeliverySection, TeamPace)> {
    let deliveries = Deliveries::read(conn, None, Some(team.team_id), span, page.now).await?;
    let section = deliveries.section(span);
    let Some(read) = read else { return Ok((section, TeamPace::default())) };
    let compared = read.compared();
    let services: Vec<Listed<'_>> = compared
        .iter()
        .map(|(one, _)| Listed { service_id: one.service_id, name: &one.name, slug: &one.slug })
        .collect();
    let pace =
        team_pace::read(conn, &services, &read.days, &deliveries, read.environment_id, span, &page.bills).await?;
    Ok((section, pace))
}

fn whose(team: &TeamHead) -> Whose<'static> {
    Whose { team_id: Some(team.team_id), ..Whose::default() }
}

// The list is of all environments; the chart marks production, where the money is. With the days that are listed.
fn asked(team: &TeamHead, span: Option<&Span>, page: &Page) -> (Asked<'static>, DateRange) {
    let today = page.now.date_naive();
    let listed_on = match span {
        Some(span) => span.listed(page.bills.last_charge_date(), today),
        None => DateRange::days_to(today, 60),
    };
    let asked = Asked {
        whose: whose(team),
        listed_on: Some(listed_on),
        row_count_max: DEPLOYMENT_ROW_COUNT_MAX,
        chart: span.map(|span| span.chart),
        marked_kind: Some("production"),
    };
    (asked, listed_on)
}

/// What the figures are made of.
struct Read {
    services: Vec<ServiceCost>,
    days: Vec<DayCost>,
    environments: BTreeMap<String, Compared>,
    weeks: Vec<WeekCost>,
    currencies: Vec<String>,
    environment_id: Option<i64>,
    /// By service; `None` where no reporting currency is set.
    rated: Option<RatedParts>,
    explained: Why,
}

impl Read {
    async fn new(
        app: &AppState,
        bills: &Freshness,
        conn: &mut Snapshot,
        scope: &Scope,
        team: &TeamHead,
        view: &View,
        span: &Span,
    ) -> Result<Self> {
        let filter = CostFilter { team_id: Some(team.team_id), ..view.filter(conn, span.days).await? };
        let services = service_costs::by_service(conn, scope, &filter, span.before).await?;
        let rated = RatedParts::read(conn, scope, &filter, Dimension::Service).await?;
        let shown = DateRange::new(span.chart.start().min(span.before.start()), span.chart.end()).unwrap_or(span.chart);
        let days = costs::daily(conn, scope, &filter.on(shown), Dimension::Service).await?;
        let mut environments: BTreeMap<String, Compared> = BTreeMap::new();
        for (is_now, days) in [(true, span.days), (false, span.before)] {
            for row in costs::by_dimension(conn, scope, &filter.on(days), Dimension::Environment).await? {
                let label = if row.key == "0" { "No environment".into() } else { row.label };
                environments.entry(label).or_default().add(is_now, &row.currency, &row.cost);
            }
        }
        let ids: Vec<i64> = services.iter().map(|service| service.service_id).collect();
        let end = span.complete_to + Days::new(1);
        let weeks = match DateRange::new(end - Days::new(7 * WEEK_COUNT), end) {
            Some(range) => service_costs::weekly(conn, scope, &filter.on(range), &ids).await?,
            None => Vec::new(),
        };
        let environment_id = filter.environment_id;
        let explained = match span.is_compared() {
            true => why::read(app, bills, conn, scope, why::by_day(&filter, span.before), None).await?,
            false => Why::default(),
        };
        let currencies = currencies(&services);
        Ok(Self { currencies, services, days, environments, weeks, environment_id, rated, explained })
    }

    /// The services, the dearest first, each with its costs.
    fn compared(&self) -> Vec<(&ServiceCost, Compared)> {
        let mut by_id: BTreeMap<i64, (&ServiceCost, Compared)> = BTreeMap::new();
        for service in &self.services {
            let (_, compared) = by_id.entry(service.service_id).or_insert((service, Compared::default()));
            compared.add(true, &service.currency, &service.cost);
            compared.add(false, &service.currency, &service.cost_before);
        }
        let main = self.currencies.first().map_or("", String::as_str);
        let mut rows: Vec<_> = by_id.into_values().collect();
        rows.sort_by(|left, right| {
            right.1.cost(main).cmp(&left.1.cost(main)).then_with(|| left.0.name.cmp(&right.0.name))
        });
        rows
    }

    fn spark(&self, service_id: i64) -> SparkBars {
        let main = self.currencies.first().map_or("", String::as_str);
        let mut weeks = vec![0.0; WEEK_COUNT as usize];
        let own = self.weeks.iter().filter(|week| week.service_id == service_id && week.currency == main);
        for week in own {
            if let Some(slot) = usize::try_from(week.week).ok().and_then(|index| weeks.get_mut(index)) {
                *slot = position(&week.cost);
            }
        }
        SparkBars::new(&weeks)
    }
}

// The one with most charges first.
fn currencies(services: &[ServiceCost]) -> Vec<String> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for service in services {
        *counts.entry(&service.currency).or_default() += service.charge_count;
    }
    let mut ranked: Vec<(&str, i64)> = counts.into_iter().collect();
    ranked.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(right.0)));
    ranked.into_iter().map(|(currency, _)| currency.to_owned()).collect()
}

fn csv(read: &Read, span: Option<&Span>, costs: &CostColumns) -> Table {
    let own = ["Service", "BillingCurrency", costs.cost, &costs.before, "Change", "Lines"];
    let mut table = Table::new(&costs.all(&own, read.rated.is_some()));
    for service in &read.services {
        let before = span.and_then(|span| span.known(&service.cost_before));
        let change = before.map(|before| &service.cost - before);
        let converted = read.rated.as_ref().map(|rated| rated.of_service(service));
        let mut cells: Vec<Cell<'_>> = vec![
            (&service.name).into(),
            (&service.currency).into(),
            (&service.cost).into(),
            before.map_or(Cell::Empty, Cell::from),
            (&change).into(),
            service.charge_count.into(),
        ];
        cells.extend(RatedParts::cells(read.rated.as_ref(), converted.as_ref()));
        cells.extend(costs.days());
        table.row(&cells);
    }
    table
}

/// Everything that shows money.
struct CostView {
    sentence: String,
    figures: Figures,
    reporting: Option<Reporting>,
    charts: Vec<Daily>,
    services: Vec<ServiceRow>,
    service_rounding: Vec<Line>,
    service_total: Vec<Line>,
    environments: Vec<(String, Vec<Line>)>,
    environment_rounding: Vec<Line>,
    environment_total: Vec<Line>,
    walks: Vec<WhyWalk>,
}

struct ServiceRow {
    name: String,
    href: String,
    spark: SparkBars,
    lines: Vec<Line>,
}

fn cost_view(
    team: &TeamHead,
    view: &View,
    span: &Span,
    read: &Read,
    (marked, counts, context): (&[MarkedDeployment], DeploymentCounts, &ContextEvents),
) -> CostView {
    let compared = read.compared();
    let mut total = Compared::default();
    compared.iter().for_each(|(_, row)| total.add_row(row));
    let charts = context.on_charts(charts(team, view, span, read, &compared, marked), span);
    let table = columns_of(read, view, &compared, span.is_compared());
    let costs: Vec<Compared> = read.environments.values().cloned().collect();
    let environments = figures_of(&read.currencies, &costs, None).compared(span.is_compared());
    let lines_href = drill::on(&drill::lines(view, &[("team", &team.slug)]), span.days);
    CostView {
        sentence: change_sentences(span, &total, &read.currencies),
        figures: figures(span, read, &total, counts, lines_href),
        reporting: read.rated.as_ref().and_then(Reporting::new),
        charts,
        services: table.0,
        service_rounding: table.1,
        service_total: table.2,
        environments: read.environments.keys().cloned().zip(environments.rows).collect(),
        environment_rounding: environments.rounding,
        environment_total: environments.total,
        walks: walks(team, view, span, &read.explained),
    }
}

fn walks(team: &TeamHead, view: &View, span: &Span, explained: &Why) -> Vec<WhyWalk> {
    let (before, now) = (range_label(span.before), range_label(span.days));
    let href = |path: &str| view.link(path, &[("team", &team.slug)]);
    let lines = WalkLines::on(&drill::lines(view, &[("team", &team.slug)]), span.before, span.days);
    let (more_href, csv_href) = (&href("/why"), &href("/why.csv"));
    let labels = WalkLabels { before: &before, now: &now, more_href, csv_href, lines: Some(&lines) };
    WhyWalk::all(explained, &labels)
}

fn columns_of(
    read: &Read,
    view: &View,
    compared: &[(&ServiceCost, Compared)],
    is_compared: bool,
) -> (Vec<ServiceRow>, Vec<Line>, Vec<Line>) {
    let costs: Vec<Compared> = compared.iter().map(|(_, row)| row.clone()).collect();
    let table = figures_of(&read.currencies, &costs, None).compared(is_compared);
    let rows = compared.iter().zip(table.rows).map(|((service, _), lines)| ServiceRow {
        name: service.name.clone(),
        href: drill::page(&format!("/services/{}", service.slug), view, &[]),
        spark: read.spark(service.service_id),
        lines,
    });
    (rows.collect(), table.rounding, table.total)
}

fn charts(
    team: &TeamHead,
    view: &View,
    span: &Span,
    read: &Read,
    compared: &[(&ServiceCost, Compared)],
    marked: &[MarkedDeployment],
) -> Vec<Daily> {
    let kept = if compared.len() > SERIES_COUNT_MAX + 1 { SERIES_COUNT_MAX } else { compared.len() };
    let mut series: Vec<Series> = compared[..kept]
        .iter()
        .enumerate()
        .map(|(rank, (service, _))| Series {
            label: service.name.clone(),
            href: drill::page(&format!("/services/{}", service.slug), view, &[]),
            class: ranked_class(rank),
        })
        .collect();
    if kept < compared.len() {
        let label = format!("Other, {} services", compared.len() - kept);
        series.push(Series { label, href: String::new(), class: "other" });
    }
    let rank: BTreeMap<String, usize> = compared[..kept]
        .iter()
        .enumerate()
        .map(|(rank, (service, _))| (service.service_id.to_string(), rank))
        .collect();
    let other = series.len().saturating_sub(1);
    let points: Vec<Point<'_>> = read
        .days
        .iter()
        .map(|day| Point {
            day: day.charge_date,
            series: rank.get(&day.key).copied().unwrap_or(other),
            currency: &day.currency,
            cost: &day.cost,
        })
        .collect();
    let charges_href = drill::lines(view, &[("team", &team.slug)]);
    daily::charts(
        &points,
        &series,
        &Setting {
            span,
            currencies: &read.currencies,
            markers: &markers(team, span, marked),
            caption: "By service",
            subject: &format!("daily cost of {} by service", team.name),
            charges_href: &charges_href,
        },
    )
}

fn markers(team: &TeamHead, span: &Span, marked: &[MarkedDeployment]) -> Vec<Marker> {
    let buckets = span.buckets();
    let list_href = format!("{LIST}?team={}", team.slug);
    let marker = |one: &MarkedDeployment| {
        let name = format!("{} {}", one.service_names.join(", "), one.label());
        Some(Marker { name, details: when(one), ..deployment_marker(one, &buckets, &list_href)? })
    };
    marked.iter().filter_map(marker).collect()
}

fn figures(span: &Span, read: &Read, total: &Compared, counts: DeploymentCounts, lines_href: String) -> Figures {
    let mut spend = Figure {
        label: format!("Spend, {}", span.label()),
        values: Vec::new(),
        deltas: Vec::new(),
        note: span.no_comparison().unwrap_or_default(),
        href: lines_href,
    };
    for currency in &read.currencies {
        let (now, before) = (total.cost(currency), total.cost_before(currency));
        let digits = decimals(currency, &now.abs().max(before.abs()));
        spend.values.push(money(&now, currency, digits));
        spend.deltas.extend(span.known(Delta::between(&now, &before, currency, digits)));
    }
    let largest = read.compared().into_iter().next();
    let mut all = vec![spend];
    if let (Some((service, row)), Some(currency)) = (largest, read.currencies.first()) {
        let cost = row.cost(currency);
        let share = super::display::percent(&cost, &total.cost(currency)).unwrap_or_default();
        let amount = money(&cost, currency, decimals(currency, &cost));
        all.push(Figure::plain("Largest service", service.name.clone(), format!("{amount}, {share}")));
    }
    all.push(Figure::plain("Deployments", counts.live.to_string(), to_production(counts.live, counts.in_production)));
    Figures(all)
}

fn answer(team: &TeamHead, span: Option<&Span>, cost: Option<&CostView>, shows_cost: bool) -> String {
    match (span, cost) {
        _ if !shows_cost => format!("The cost of {} is open to its members and to finance.", team.name),
        (Some(span), Some(cost)) => format!("{} {}.", cost.sentence, span.sides()),
        (Some(span), None) => format!("{} has no cost from {}.", team.name, range_label(span.days)),
        (None, _) => "No complete day of bills lies in this period yet.".into(),
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "team.html")]
struct TeamPage {
    page: Page,
    team: TeamHead,
    shows_cost: bool,
    restated: Option<RestatedNotice>,
    answer: String,
    filters: Filters,
    csv_href: String,
    period_head: String,
    comparison: String,
    cost: Option<CostView>,
    delivery: DeliverySection,
    pace: TeamPace,
    forecast: ForecastSection,
    anomalies: Vec<InboxRow>,
    deployments: Vec<ListedDeployment>,
    deployments_note: String,
    context: ContextSection,
}
