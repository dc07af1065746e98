//! `/services`: which services cost most and which grew most.

use super::cost_columns::CostColumns;
use super::csv::{Cell, Table};
use super::display::{Compared, Line, change_shown, decimals, money};
use super::drill;
use super::list_pages::{ComparedPage, ListPages};
use super::parts::{Filters, Select, Switch};
use super::query::{Accepts, NONE, Span, View, range_label};
use super::reporting::{RatedParts, Reporting};
use super::service::change_sentences;
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes};
use crate::store::costs::Dimension;
use crate::store::freshness::Freshness;
use crate::store::service_costs::{self, CatalogueService, ServiceCost};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use std::collections::{BTreeMap, HashMap, HashSet};

const ACCEPTS: Accepts = Accepts {
    texts: &["env", "team", "provider", "charge", "q", "page"],
    by: &[],
    sort: &["-cost", "cost", "-change", "change", "name", "-deployed"],
};

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/services", Policy::Money, show).get("/services.csv", Policy::Money, export)
}

#[derive(Template, WebTemplate)]
#[template(path = "services.html")]
struct ServicesPage {
    page: Page,
    filters: Filters,
    answer: String,
    rows: Vec<(ServiceRow, Vec<Line>)>,
    rounding: Vec<Line>,
    total: Vec<Line>,
    list_pages: ListPages,
    /// What services on other pages have together.
    others: Option<Vec<Line>>,
    reporting: Option<Reporting>,
    period_head: String,
    comparison: String,
    sorts: Vec<Switch>,
    csv_href: String,
    /// From which day on a service lacks a source that makes much of it, in words.
    partial: BTreeMap<i64, String>,
}

/// One service, or what is not allocated.
struct ServiceRow {
    /// 0 for what is not allocated.
    service_id: i64,
    name: String,
    href: String,
    team: Option<(String, String)>,
    deployed: Option<(i64, DateTime<Utc>, String)>,
    compared: Compared,
}

struct List {
    view: View,
    span: Option<Span>,
    page: Page,
    rows: Vec<ServiceRow>,
    currencies: Vec<String>,
    selects: Vec<Select>,
    /// By service; of the listed ones only. `None` where no reporting currency is set.
    rated: Option<RatedParts>,
}

async fn show(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<ServicesPage> {
    let list = read(&app, &principal, query.as_deref()).await?;
    let answer = answer(&list);
    let address = (&list.view, "/services");
    let cut = ComparedPage::new(address, list.span.as_ref(), &list.currencies, list.rows, |row| &row.compared)?;
    let ComparedPage { list_pages, rows, others, rounding, total } = cut;
    Ok(ServicesPage {
        filters: Filters::new("/services", &list.view, list.span.as_ref(), list.selects).with_search(&list.view),
        answer,
        others,
        list_pages,
        period_head: list.span.map_or_else(|| "Cost".into(), |span| span.short_label()),
        comparison: list.span.map(|span| span.comparison_label()).unwrap_or_default(),
        sorts: sorts(&list.view),
        partial: partial(&list.page.bills, list.currencies.len() > 1),
        csv_href: list.view.link("/services.csv", &[("page", "")]),
        reporting: list.rated.as_ref().and_then(Reporting::new),
        rows,
        rounding,
        total,
        page: list.page,
    })
}

// "partial since 16 Nov", and in which currency where the page has several.
fn partial(bills: &Freshness, has_several: bool) -> BTreeMap<i64, String> {
    let words = |since: &BTreeMap<String, NaiveDate>| {
        let of = |(currency, day): (&String, &NaiveDate)| match has_several {
            true => format!("in {currency} since {}", day.format("%-d %b")),
            false => format!("since {}", day.format("%-d %b")),
        };
        format!("partial {}", since.iter().map(of).collect::<Vec<_>>().join(", "))
    };
    bills.missing_since().iter().map(|(id, since)| (*id, words(since))).collect()
}

async fn export(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let list = read(&app, &principal, query.as_deref()).await?;
    let costs = CostColumns::new(list.view.basis, list.span);
    let own = ["Service", "Team", "BillingCurrency", costs.cost, &costs.before, "Change", "LastDeployed"];
    let mut table = Table::new(&costs.all(&own, list.rated.is_some()));
    let sums = list.rated.as_ref().map(RatedParts::sums);
    for row in &list.rows {
        let deployed = row.deployed.as_ref().map(|(_, at, _)| at.format("%Y-%m-%dT%H:%M:%SZ").to_string());
        for currency in &list.currencies {
            let now = row.compared.cost(currency);
            let before = list.span.and_then(|span| span.known(row.compared.cost_before(currency)));
            let change = before.as_ref().map(|before| &now - before);
            let key = row.service_id.to_string();
            let converted = sums.as_ref().map(|sums| sums.get(&(key.as_str(), currency)).cloned().unwrap_or_default());
            let mut cells: Vec<Cell<'_>> = vec![
                row.name.as_str().into(),
                row.team.as_ref().map(|(_, name)| name.as_str()).unwrap_or_default().into(),
                currency.as_str().into(),
                (&now).into(),
                (&before).into(),
                (&change).into(),
                deployed.clone().unwrap_or_default().into(),
            ];
            cells.extend(RatedParts::cells(list.rated.as_ref(), converted.as_ref()));
            cells.extend(costs.days());
            table.row(&cells);
        }
    }
    Ok(table.into_response(&costs.file_name("services")))
}

async fn read(app: &AppState, principal: &Principal, query: Option<&str>) -> Result<List> {
    let view = View::parse(query, ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::of_view(app, principal, &mut snapshot, "Services", NavItem::Services, &view).await?;
    let scope = principal.scope();
    let span = view.span(&page.bills);
    let team_id = match view.text("team") {
        None => None,
        // The days play no part: only the names are looked up.
        Some(_) => {
            view.filter(&mut snapshot, crate::focus::DateRange::days_to(page.now.date_naive(), 1)).await?.team_id
        }
    };
    let text = view.text("q");
    let catalogue = service_costs::catalogue(&mut snapshot, &scope, team_id, text).await?;
    let mut rated = None;
    let costs = match &span {
        Some(span) => {
            let filter = view.filter(&mut snapshot, span.days).await?;
            rated = RatedParts::read(&mut snapshot, &scope, &filter, Dimension::Service).await?;
            service_costs::by_service(&mut snapshot, &scope, &filter, span.before).await?
        }
        None => Vec::new(),
    };
    let choices = service_costs::choices(&mut snapshot).await?;
    let currencies = currencies(&costs);
    let nobody = drill::on_days_of(span.as_ref(), &drill::lines(&view, &[("service", NONE)]));
    let mut rows = merge(&view, catalogue, costs, (text.is_some(), nobody));
    sort(&mut rows, view.sort(), currencies.first().map(String::as_str).unwrap_or_default());
    let all = |label: &str| vec![(String::new(), label.to_owned())];
    let with_none = |mut pairs: Vec<(String, String)>| {
        pairs.push((NONE.into(), "Not allocated".into()));
        pairs
    };
    if let Some(rated) = &mut rated {
        let listed: HashSet<String> = rows.iter().map(|row| row.service_id.to_string()).collect();
        rated.parts.retain(|part| listed.contains(&part.key));
    }
    let selects = vec![
        Select::new("team", "Team", view.field("team"), with_none([all("All"), choices.teams].concat())),
        Select::new("env", "Environment", view.field("env"), with_none([all("All"), choices.environments].concat())),
    ];
    Ok(List { view, span, page, rows, currencies, selects, rated })
}

/// Currencies, the one with most charges first.
pub(super) fn currencies(costs: &[ServiceCost]) -> Vec<String> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for cost in costs {
        *counts.entry(&cost.currency).or_default() += cost.charge_count;
    }
    let mut ranked: Vec<(&str, i64)> = counts.into_iter().collect();
    ranked.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(right.0)));
    ranked.into_iter().map(|(currency, _)| currency.to_owned()).collect()
}

// Services of the catalogue have a row also without cost; what is not allocated has one where nothing is searched.
fn merge(
    view: &View,
    catalogue: Vec<CatalogueService>,
    costs: Vec<ServiceCost>,
    (is_search, nobody): (bool, String),
) -> Vec<ServiceRow> {
    let mut compared: HashMap<i64, Compared> = HashMap::new();
    for cost in &costs {
        let row = compared.entry(cost.service_id).or_default();
        row.add(true, &cost.currency, &cost.cost);
        row.add(false, &cost.currency, &cost.cost_before);
    }
    let mut rows: Vec<ServiceRow> = catalogue
        .into_iter()
        .map(|service| ServiceRow {
            href: drill::page(&format!("/services/{}", service.slug), view, &[]),
            team: service.team_slug.zip(service.team_name),
            deployed: service
                .last_deployment_id
                .zip(service.last_deployed_at)
                .map(|(id, at)| (id, at, service.last_version.unwrap_or_default())),
            service_id: service.service_id,
            compared: compared.remove(&service.service_id).unwrap_or_default(),
            name: service.name,
        })
        .collect();
    if is_search {
        return rows;
    }
    let mut rest: Vec<(i64, Compared)> = compared.into_iter().collect();
    rest.sort_by_key(|(id, _)| *id);
    for (id, compared) in rest {
        let (name, href) = match id {
            0 => ("Not allocated".to_owned(), nobody.clone()),
            id => (format!("Removed service {id}"), String::new()),
        };
        rows.push(ServiceRow { service_id: id, name, href, team: None, deployed: None, compared });
    }
    rows
}

fn sort(rows: &mut [ServiceRow], order: &str, currency: &str) {
    let cost = |row: &ServiceRow| row.compared.cost(currency);
    let change = |row: &ServiceRow| row.compared.change(currency);
    let deployed = |row: &ServiceRow| row.deployed.as_ref().map(|(_, at, _)| *at);
    rows.sort_by(|left, right| {
        let ordering = match order {
            "cost" => cost(left).cmp(&cost(right)),
            "-change" => change(right).cmp(&change(left)),
            "change" => change(left).cmp(&change(right)),
            "-deployed" => deployed(right).cmp(&deployed(left)),
            "name" => std::cmp::Ordering::Equal,
            _ => cost(right).cmp(&cost(left)),
        };
        ordering.then_with(|| left.name.to_lowercase().cmp(&right.name.to_lowercase()))
    });
}

// Service, period, change, last deployment: a second click on cost or change turns the order round.
fn sorts(view: &View) -> Vec<Switch> {
    [("name", "Service"), ("cost", "Cost"), ("change", "Change"), ("deployed", "Last deployment")]
        .into_iter()
        .map(|(key, label)| {
            let falling = format!("-{key}");
            let target = match view.sort() {
                _ if key == "name" => "name".to_owned(),
                present if present == falling && key != "deployed" => key.to_owned(),
                _ => falling,
            };
            Switch {
                label,
                href: view.link("/services", &[("sort", if target == "-cost" { "" } else { &target })]),
                is_current: view.sort().trim_start_matches('-') == key,
            }
        })
        .collect()
}

fn answer(list: &List) -> String {
    let Some(span) = &list.span else {
        return match list.rows.len() {
            0 => "There are no services yet. They come from rules over bills, from deployments, or from the catalogue."
                .into(),
            count => format!("{count} services, and no complete day of bills in this period yet."),
        };
    };
    let mut total = Compared::default();
    for row in &list.rows {
        total.add_row(&row.compared);
    }
    if list.currencies.is_empty() {
        return format!("No cost matches from {}.", range_label(span.days));
    }
    let sentence = change_sentences(span, &total, &list.currencies);
    let first = list.currencies.first().filter(|_| span.is_compared());
    let grew = first.and_then(|currency| fastest(&list.rows, &total, currency)).unwrap_or_default();
    format!("{sentence} {}.{grew}", span.sides())
}

fn fastest(rows: &[ServiceRow], total: &Compared, currency: &str) -> Option<String> {
    let row = rows.iter().max_by_key(|row| row.compared.change(currency))?;
    let (now, before) = (row.compared.cost(currency), row.compared.cost_before(currency));
    // As the table below shows it.
    let digits = decimals(currency, &total.cost(currency).abs().max(total.cost_before(currency).abs()));
    let change = change_shown(&now, &before, digits);
    (change > BigDecimal::default())
        .then(|| format!(" {} grew most, by {}.", row.name, money(&change, currency, digits)))
}
