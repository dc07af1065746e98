//! `/environments/{slug}`: what one environment costs, for which services, and whether it is still there.

use super::charts::{Marker, ranked_class};
use super::context_events::{self, ContextEvents, ContextSection};
use super::cost_columns::CostColumns;
use super::csv::{self, Cell, Table};
use super::daily::{self, Daily, Point, Series, Setting};
use super::deployed::{Asked, Deployed};
use super::deployment_marker::{LIST, deployment_marker, when};
use super::display::{Columns, Compared, Delta, Line, decimals, figures as figures_of, money};
use super::drill;
use super::environment_end::End;
use super::parts::{Figure, Figures, Filters, Switch, switches};
use super::query::{Accepts, NONE, Span, View};
use super::reporting::{RatedParts, Reporting};
use super::restated::{Looked, RestatedNotice};
use super::service::change_sentences;
use super::services::currencies;
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes};
use crate::store::costs::{self, CostFilter, DayCost, Dimension};
use crate::store::deployment_list::ListedDeployment;
use crate::store::deployment_marks::{MarkedDeployment, Whose};
use crate::store::environment_costs::{self, EnvironmentLife, ListedEnvironment};
use crate::store::environment_ends;
use crate::store::history::RestatedOf;
use crate::store::missing_bills::Part;
use crate::store::service_costs::{self, ServiceCost};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use bigdecimal::BigDecimal;
use std::collections::BTreeMap;

const ACCEPTS: Accepts =
    Accepts { texts: &["team", "provider", "charge"], by: &["service", "charge", "provider"], sort: &[] };
/// More series than this are shown as the largest and "Other".
const SERIES_COUNT_MAX: usize = 6;
const SERVICE_ROW_COUNT_MAX: usize = 40;
const DEPLOYMENT_ROW_COUNT_MAX: usize = 20;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/environments/{slug}", Policy::Money, show)
}

#[derive(Template, WebTemplate)]
#[template(path = "environment.html")]
struct EnvironmentPage {
    page: Page,
    environment: ListedEnvironment,
    life: Option<EnvironmentLife>,
    is_gone: bool,
    restated: Option<RestatedNotice>,
    end: Option<End>,
    filters: Filters,
    answer: String,
    figures: Option<Figures>,
    reporting: Option<Reporting>,
    charts: Vec<Daily>,
    switches: Vec<Switch>,
    services: Vec<(String, String, Vec<Line>)>,
    rounding: Vec<Line>,
    total: Vec<Line>,
    period_head: String,
    comparison: String,
    deployments: Vec<ListedDeployment>,
    deployments_note: String,
    context: ContextSection,
    csv_href: String,
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Path(last): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let (slug, is_csv) = csv::split_suffix(&last);
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let found = environment_costs::environments(&mut snapshot, Some(slug)).await?;
    let environment = found.into_iter().next().ok_or(Error::NotFound)?;
    let title = format!("{} · Environments", environment.name);
    let page = Page::new(&app, &principal, &mut snapshot, title, NavItem::Environments).await?;
    let scope = principal.scope();
    let id = environment.environment_id;
    let part = Part { environment_id: Some(id), ..view.part(&mut snapshot).await? };
    let page = page.of_part(&mut snapshot, &scope, part).await?.of_days(&view);
    let span = view.span(&page.bills);
    let (mut services, mut days, mut rated) = (Vec::new(), Vec::new(), None);
    if let Some(span) = &span {
        let named = view.filter(&mut snapshot, span.days).await?;
        let filter = CostFilter { environment_id: Some(id), ..named };
        services = service_costs::by_service(&mut snapshot, &scope, &filter, span.before).await?;
        rated = RatedParts::read(&mut snapshot, &scope, &filter, Dimension::Service).await?;
        let dimension = Dimension::from_key(view.by()).unwrap_or(Dimension::Service);
        days = costs::daily(&mut snapshot, &scope, &filter.on(span.chart), dimension).await?;
        // A comparison that lies apart from the chart is read by itself.
        if span.before.start() < span.chart.start() {
            let before = filter.on(span.before);
            days.extend(costs::daily(&mut snapshot, &scope, &before, dimension).await?);
        }
    }
    if is_csv {
        let costs = CostColumns::new(view.basis, span);
        return Ok(export(&services, span.as_ref(), rated.as_ref(), &costs).into_response(&costs.file_name(slug)));
    }
    let life = environment_costs::lives(&mut snapshot, &scope, Some(id)).await?.into_iter().next();
    let end = environment_ends::list(&mut snapshot, Some(id)).await?.pop();
    let after = environment_ends::costs_after(&mut snapshot, &scope, view.basis, Some(id)).await?;
    let end = end.map(|end| End::new(end, page.now.date_naive(), &after));
    let asked = Asked {
        whose: Whose { environment_id: Some(id), ..Whose::default() },
        listed_on: span.as_ref().map(|span| span.listed(page.bills.last_charge_date(), page.now.date_naive())),
        row_count_max: DEPLOYMENT_ROW_COUNT_MAX,
        chart: span.as_ref().map(|span| span.chart),
        marked_kind: None,
    };
    let deployed = Deployed::read(&mut snapshot, asked).await?;
    let context = match asked.listed_on {
        Some(days) => {
            let (environment_id, environment_slug) = (Some(id), environment.slug.as_str());
            let whose =
                context_events::Whose { service_ids: None, service_slugs: &[], environment_id, environment_slug };
            let buckets = span.as_ref().map(Span::buckets);
            ContextEvents::read(&mut snapshot, &whose, days, buckets.as_ref(), page.now).await?
        }
        None => ContextEvents::default(),
    };
    let of = RestatedOf { environment_id: Some(id), ..RestatedOf::default() };
    let looked = Looked { page: "environments", publication_id: page.publication_id, basis: view.basis, of };
    let restated = RestatedNotice::read(&app, &principal, &mut snapshot, looked).await?;
    let currencies = currencies(&services);
    let path = format!("/environments/{}", environment.slug);
    let mut charts = Vec::new();
    if let Some(span) = span.as_ref().filter(|_| !currencies.is_empty()) {
        charts = daily_charts(&environment, &view, span, &currencies, &days, &services, &deployed.marked);
        charts = context.on_charts(charts, span);
    }
    let is_compared = span.is_none_or(|span| span.is_compared());
    let about = [("env", environment.slug.as_str()), ("service", NONE)];
    let nobody = drill::on_days_of(span.as_ref(), &drill::lines(&view, &about));
    let lines_href = drill::on_days_of(span.as_ref(), &drill::lines(&view, &about[..1]));
    let (services, rounding, total) = service_rows((&environment, &view, &nobody), &services, &currencies, is_compared);
    let is_gone = super::environments::is_gone(life.as_ref(), page.bills.complete_to());
    Ok(EnvironmentPage {
        answer: answer(&environment, span.as_ref(), &services, &currencies, life.as_ref(), is_gone),
        figures: span
            .as_ref()
            .filter(|_| !currencies.is_empty())
            .map(|span| figures(span, &services, &currencies, lines_href)),
        reporting: rated.as_ref().and_then(Reporting::new),
        filters: Filters::new(&path, &view, span.as_ref(), Vec::new()),
        switches: switches(
            &view,
            &path,
            &[("service", "Service"), ("charge", "Charge type"), ("provider", "Provider")],
        ),
        period_head: span.map_or_else(|| "Cost".into(), |span| span.short_label()),
        comparison: span.map(|span| span.comparison_label()).unwrap_or_default(),
        csv_href: view.link(&format!("{path}.csv"), &[]),
        services: lines(services, &currencies, is_compared),
        page,
        environment,
        life,
        is_gone,
        restated,
        end,
        charts,
        rounding,
        total,
        deployments: deployed.listed,
        deployments_note: deployed.note,
        context: context.section("this environment, or of none"),
    }
    .into_response())
}

type ServiceRow = (String, String, Compared);

fn service_rows(
    (environment, view, nobody): (&ListedEnvironment, &View, &str),
    costs: &[ServiceCost],
    currencies: &[String],
    is_compared: bool,
) -> (Vec<ServiceRow>, Vec<Line>, Vec<Line>) {
    let mut by_id: BTreeMap<i64, ServiceRow> = BTreeMap::new();
    for cost in costs {
        let href = match cost.service_id {
            0 => nobody.to_owned(),
            _ if cost.slug.is_empty() => String::new(),
            _ => service_page(environment, view, &cost.slug),
        };
        let row = by_id.entry(cost.service_id).or_insert_with(|| (cost.name.clone(), href, Compared::default()));
        row.2.add(true, &cost.currency, &cost.cost);
        row.2.add(false, &cost.currency, &cost.cost_before);
    }
    let mut rows: Vec<ServiceRow> = by_id.into_values().collect();
    let first = currencies.first().map(String::as_str).unwrap_or_default();
    rows.sort_by(|left, right| right.2.cost(first).cmp(&left.2.cost(first)).then_with(|| left.0.cmp(&right.0)));
    if rows.len() > SERVICE_ROW_COUNT_MAX {
        let rest = rows.split_off(SERVICE_ROW_COUNT_MAX);
        let mut others = Compared::default();
        rest.iter().for_each(|row| others.add_row(&row.2));
        rows.push((format!("{} other services", rest.len()), String::new(), others));
    }
    let compared: Vec<Compared> = rows.iter().map(|row| row.2.clone()).collect();
    let table = figures_of(currencies, &compared, rest_of(&rows)).compared(is_compared);
    (rows, table.rounding, table.total)
}

// The row of the services that are not listed takes what rounding leaves.
fn rest_of(rows: &[ServiceRow]) -> Option<usize> {
    (rows.len() > SERVICE_ROW_COUNT_MAX).then(|| rows.len() - 1)
}

fn lines(rows: Vec<ServiceRow>, currencies: &[String], is_compared: bool) -> Vec<(String, String, Vec<Line>)> {
    let compared: Vec<Compared> = rows.iter().map(|row| row.2.clone()).collect();
    let Columns { rows: lines, .. } = figures_of(currencies, &compared, rest_of(&rows)).compared(is_compared);
    rows.into_iter().zip(lines).map(|((name, href, _), lines)| (name, href, lines)).collect()
}

fn total(rows: &[ServiceRow]) -> Compared {
    let mut total = Compared::default();
    rows.iter().for_each(|row| total.add_row(&row.2));
    total
}

fn figures(span: &Span, rows: &[ServiceRow], currencies: &[String], lines_href: String) -> Figures {
    let total = total(rows);
    let mut spend = Figure {
        label: format!("Spend, {}", span.label()),
        values: Vec::new(),
        deltas: Vec::new(),
        note: span.no_comparison().unwrap_or_default(),
        href: lines_href,
    };
    let mut by_day = Figure { values: Vec::new(), ..Figure::plain("A day, on average", "", "") };
    for currency in currencies {
        let (now, before) = (total.cost(currency), total.cost_before(currency));
        let digits = decimals(currency, &now.abs().max(before.abs()));
        spend.values.push(money(&now, currency, digits));
        spend.deltas.extend(span.known(Delta::between(&now, &before, currency, digits)));
        let average = super::comparison::average(&now, span.billed_day_count());
        by_day.values.push(money(&average, currency, decimals(currency, &average)));
    }
    let with_cost = rows.iter().filter(|row| !row.2.now.is_empty()).count();
    Figures(vec![spend, by_day, Figure::plain("Services with cost", with_cost.to_string(), "")])
}

fn daily_charts(
    environment: &ListedEnvironment,
    view: &View,
    span: &Span,
    currencies: &[String],
    days: &[DayCost],
    services: &[ServiceCost],
    marked: &[MarkedDeployment],
) -> Vec<Daily> {
    let mut totals: BTreeMap<&str, BigDecimal> = BTreeMap::new();
    for day in days {
        *totals.entry(&day.key).or_default() += day.cost.abs();
    }
    let mut ranked: Vec<(&str, BigDecimal)> = totals.into_iter().collect();
    ranked.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(right.0)));
    let kept = if ranked.len() > SERIES_COUNT_MAX { SERIES_COUNT_MAX - 1 } else { ranked.len() };
    let mut series: Vec<Series> = ranked[..kept]
        .iter()
        .enumerate()
        .map(|(rank, (key, _))| one_series((environment, view), key, rank, services))
        .collect();
    if kept < ranked.len() {
        series.push(Series { label: format!("Other, {}", ranked.len() - kept), href: String::new(), class: "other" });
    }
    let index = |key: &str| ranked[..kept].iter().position(|(one, _)| *one == key).unwrap_or(kept);
    let points: Vec<Point> = days
        .iter()
        .map(|day| Point { day: day.charge_date, series: index(&day.key), currency: &day.currency, cost: &day.cost })
        .collect();
    let caption = match view.by() {
        "charge" => "By charge type",
        "provider" => "By provider",
        _ => "By service",
    };
    let setting = Setting {
        span,
        currencies,
        markers: &markers(span, environment, marked),
        caption,
        subject: &format!("daily cost of {}, {}", environment.name, caption.to_lowercase()),
        charges_href: &drill::lines(view, &[("env", &environment.slug)]),
    };
    daily::charts(&points, &series, &setting)
}

// A service within this environment: the page with the figure that stands here.
fn service_page(environment: &ListedEnvironment, view: &View, slug: &str) -> String {
    drill::page(&format!("/services/{slug}"), view, &[("env", &environment.slug)])
}

fn one_series(
    (environment, view): (&ListedEnvironment, &View),
    key: &str,
    rank: usize,
    services: &[ServiceCost],
) -> Series {
    let class = ranked_class(rank);
    if view.by() != "service" {
        let label = if key.is_empty() { "Not named".into() } else { key.to_owned() };
        return Series { label, href: String::new(), class };
    }
    match services.iter().find(|service| service.service_id.to_string() == key) {
        Some(service) if !service.slug.is_empty() => {
            Series { label: service.name.clone(), href: service_page(environment, view, &service.slug), class }
        }
        Some(service) => Series { label: service.name.clone(), href: String::new(), class },
        None => Series { label: format!("Service {key}"), href: String::new(), class },
    }
}

fn markers(span: &Span, environment: &ListedEnvironment, marked: &[MarkedDeployment]) -> Vec<Marker> {
    let buckets = span.buckets();
    let list_href = format!("{LIST}?env={}", environment.slug);
    let marker = |one: &MarkedDeployment| {
        let details = format!("{}, {}", one.service_names.join(", "), when(one));
        Some(Marker { details, ..deployment_marker(one, &buckets, &list_href)? })
    };
    marked.iter().filter_map(marker).collect()
}

fn answer(
    environment: &ListedEnvironment,
    span: Option<&Span>,
    rows: &[ServiceRow],
    currencies: &[String],
    life: Option<&EnvironmentLife>,
    is_gone: bool,
) -> String {
    let ended = life
        .filter(|_| is_gone)
        .map(|life| format!(" It is gone: its last cost was on {}.", life.last_charge_date.format("%-d %b %Y")))
        .unwrap_or_default();
    let Some(span) = span.filter(|_| !currencies.is_empty()) else {
        return match ended.as_str() {
            "" => format!("{} has no cost to show here.", environment.name),
            ended => format!("{} has no cost in these days.{ended}", environment.name),
        };
    };
    let total = total(rows);
    format!("{} {}.{ended}", change_sentences(span, &total, currencies), span.sides())
}

fn export(services: &[ServiceCost], span: Option<&Span>, rated: Option<&RatedParts>, costs: &CostColumns) -> Table {
    let own = ["Service", "Team", "BillingCurrency", costs.cost, &costs.before];
    let mut table = Table::new(&costs.all(&own, rated.is_some()));
    for cost in services {
        let converted = rated.map(|rated| rated.of_service(cost));
        let before = span.and_then(|span| span.known(&cost.cost_before));
        let mut cells: Vec<Cell<'_>> = vec![
            cost.name.as_str().into(),
            (&cost.team_name).into(),
            cost.currency.as_str().into(),
            (&cost.cost).into(),
            before.map_or(Cell::Empty, Cell::from),
        ];
        cells.extend(RatedParts::cells(rated, converted.as_ref()));
        cells.extend(costs.days());
        table.row(&cells);
    }
    table
}
