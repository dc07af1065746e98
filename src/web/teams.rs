//! `/teams`: which teams cost most and which grew most.

use super::cost_columns::CostColumns;
use super::csv::{Cell, Table};
use super::display::{Compared, Line};
use super::drill;
use super::list_pages::{ComparedPage, ListPages};
use super::parts::{Filters, Select};
use super::query::{self, Accepts, Span, View, range_label};
use super::service::change_sentences;
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes, filters};
use crate::store::costs::{self, Dimension};
use crate::store::service_costs;
use crate::store::team_heads::{self, TeamHead};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use std::collections::BTreeMap;

const ACCEPTS: Accepts = Accepts { texts: &["env", "provider", "charge", "page"], by: &[], sort: &[] };

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/teams", Policy::Money, show).get("/teams.csv", Policy::Money, export)
}

/// What people read, and where it leads.
type Beside = Option<(&'static str, String)>;

/// A team, services without one, or what is not allocated.
struct Row {
    name: String,
    /// Its page, or the lines of its figure.
    href: String,
    /// What else there is to do about it, and where.
    beside: Beside,
    head: Option<TeamHead>,
    compared: Compared,
}

struct List {
    view: View,
    span: Option<Span>,
    page: Page,
    rows: Vec<Row>,
    currencies: Vec<String>,
    environments: Vec<(String, String)>,
}

async fn show(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<TeamsPage> {
    let list = read(&app, &principal, query.as_deref()).await?;
    let answer = answer(&list);
    let address = (&list.view, "/teams");
    let cut = ComparedPage::new(address, list.span.as_ref(), &list.currencies, list.rows, |row| &row.compared)?;
    let ComparedPage { list_pages, rows, others, rounding, total } = cut;
    let all = vec![(String::new(), "All".to_owned())];
    let select = Select::new("env", "Environment", list.view.field("env"), [all, list.environments.clone()].concat());
    Ok(TeamsPage {
        answer,
        filters: Filters::new("/teams", &list.view, list.span.as_ref(), vec![select]),
        period_head: list.span.map_or_else(|| "Cost".into(), |span| span.short_label()),
        comparison: list.span.map(|span| span.comparison_label()).unwrap_or_default(),
        csv_href: list.view.link("/teams.csv", &[("page", "")]),
        list_pages,
        others,
        rows,
        rounding,
        total,
        page: list.page,
    })
}

async fn export(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let list = read(&app, &principal, query.as_deref()).await?;
    let costs = CostColumns::new(list.view.basis, list.span);
    let own = ["Team", "CostCenter", "BillingCurrency", costs.cost, &costs.before, "Change"];
    let mut table = Table::new(&costs.all(&own, false));
    for row in &list.rows {
        let cost_center = row.head.as_ref().and_then(|head| head.cost_center.clone());
        for currency in &list.currencies {
            let now = row.compared.cost(currency);
            let before = list.span.and_then(|span| span.known(row.compared.cost_before(currency)));
            let change = before.as_ref().map(|before| &now - before);
            let mut cells: Vec<Cell<'_>> = vec![
                (&row.name).into(),
                (&cost_center).into(),
                currency.into(),
                (&now).into(),
                (&before).into(),
                (&change).into(),
            ];
            cells.extend(costs.days());
            table.row(&cells);
        }
    }
    Ok(table.into_response(&costs.file_name("teams")))
}

async fn read(app: &AppState, principal: &Principal, query: Option<&str>) -> Result<List> {
    let view = View::parse(query, ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::of_view(app, principal, &mut snapshot, "Teams", NavItem::Teams, &view).await?;
    let scope = principal.scope();
    let span = view.span(&page.bills);
    let heads = team_heads::list(&mut snapshot, &scope).await?;
    let environments = service_costs::choices(&mut snapshot).await?.environments;
    // Keyed by team; 0 holds what belongs to none, of which what is not allocated is told apart.
    let mut costs: BTreeMap<i64, Compared> = BTreeMap::new();
    let mut unallocated = Compared::default();
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    if let Some(span) = &span {
        let filter = view.filter(&mut snapshot, span.days).await?;
        for (is_now, days) in [(true, span.days), (false, span.before)] {
            let filter = filter.on(days);
            for row in costs::by_dimension(&mut snapshot, &scope, &filter, Dimension::Team).await? {
                let id = row.key.parse().unwrap_or_default();
                costs.entry(id).or_default().add(is_now, &row.currency, &row.cost);
                *counts.entry(row.currency).or_default() += row.charge_count;
            }
            let nobody = costs::CostFilter { service_id: Some(0), ..filter };
            for total in costs::totals(&mut snapshot, &scope, &nobody).await? {
                unallocated.add(is_now, &total.currency, &total.amount);
            }
        }
    }
    let mut currencies: Vec<(String, i64)> = counts.into_iter().collect();
    currencies.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    let currencies: Vec<String> = currencies.into_iter().map(|(currency, _)| currency).collect();
    let facts = (&view, span.as_ref(), page.shows_finance);
    let rows = rows(facts, heads, costs, unallocated, currencies.first().map_or("", String::as_str));
    Ok(List { view, span, page, rows, currencies, environments })
}

fn rows(
    (view, span, shows_finance): (&View, Option<&Span>, bool),
    heads: Vec<TeamHead>,
    mut costs: BTreeMap<i64, Compared>,
    unallocated: Compared,
    currency: &str,
) -> Vec<Row> {
    let mut rows: Vec<Row> = heads
        .into_iter()
        .map(|head| Row {
            name: head.name.clone(),
            href: drill::page(&format!("/teams/{}", head.slug), view, &[]),
            beside: None,
            compared: costs.remove(&head.team_id).unwrap_or_default(),
            head: Some(head),
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.compared.cost(currency)));
    let mut teamless = costs.remove(&0).unwrap_or_default();
    for (side, other) in [(&mut teamless.now, &unallocated.now), (&mut teamless.before, &unallocated.before)] {
        for (currency, amount) in other {
            *side.entry(currency.clone()).or_default() -= amount;
        }
        side.retain(|_, amount| !bigdecimal::Zero::is_zero(amount));
    }
    let mut rest = |name: &str, about: &[(&'static str, &str)], beside: Beside, compared: Compared| {
        if !compared.now.is_empty() || !compared.before.is_empty() {
            let href = drill::on_days_of(span, &drill::lines(view, about));
            rows.push(Row { name: name.into(), href, beside, head: None, compared });
        }
    };
    // The list of these services has what is not allocated too: the figure is that of the lines.
    let services = Some(("The services", drill::page("/services", view, &[("team", query::NONE)])));
    let unmapped = shows_finance.then(|| ("Map it", "/unmapped".to_owned()));
    rest("Services without a team", &[("team", query::NONE), ("allocated", "yes")], services, teamless);
    rest("Not allocated", &[("service", query::NONE)], unmapped, unallocated);
    rows
}

fn answer(list: &List) -> String {
    let Some(span) = &list.span else {
        return "No complete day of bills lies in this period yet.".into();
    };
    let mut total = Compared::default();
    for row in &list.rows {
        total.add_row(&row.compared);
    }
    if list.currencies.is_empty() {
        return format!("No cost from {}.", range_label(span.days));
    }
    format!("{} {}.", change_sentences(span, &total, &list.currencies), span.sides())
}

#[derive(Template, WebTemplate)]
#[template(path = "teams.html")]
struct TeamsPage {
    page: Page,
    answer: String,
    filters: Filters,
    period_head: String,
    comparison: String,
    csv_href: String,
    rows: Vec<(Row, Vec<Line>)>,
    rounding: Vec<Line>,
    total: Vec<Line>,
    list_pages: ListPages,
    /// What teams on other pages have together.
    others: Option<Vec<Line>>,
}
