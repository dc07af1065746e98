//! `/dimensions`: cost by product, cost center, and dimensions of the organisation's own (virtual tags).

use super::cost_columns::CostColumns;
use super::csv::{self, Cell, Table};
use super::display::{Columns, Compared, Line, figures};
use super::drill;
use super::parts::Filters;
use super::query::{self, Accepts, Span, View, range_label};
use super::restated::{Looked, RestatedNotice};
use super::service::change_sentences;
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes};
use crate::allocate;
use crate::focus::BillingPeriod;
use crate::store::dimension_costs;
use crate::store::history::RestatedOf;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use sqlx::PgConnection;
use std::collections::BTreeMap;

const ACCEPTS: Accepts = Accepts { texts: &[], by: &[], sort: &[] };
const NOT_NAMED: &str = "No value";

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let routes = routes.get("/dimensions", Policy::SignedIn, list);
    routes.get("/dimensions.csv", Policy::SignedIn, export_names).get("/dimensions/{name}", Policy::Money, show)
}

#[derive(Template, WebTemplate)]
#[template(path = "dimensions.html")]
struct DimensionsPage {
    page: Page,
    /// Name and label.
    names: Vec<(String, String)>,
    can_edit: bool,
    shows_money: bool,
}

async fn list(State(app): State<AppState>, principal: Principal) -> Result<DimensionsPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Dimensions", NavItem::Rules).await?;
    let names = labelled(&mut snapshot).await?;
    let (can_edit, shows_money) = (Policy::Bills.allows(&principal), Policy::Money.allows(&principal));
    Ok(DimensionsPage { page, names, can_edit, shows_money })
}

async fn labelled(conn: &mut PgConnection) -> Result<Vec<(String, String)>> {
    let names = dimension_costs::names(conn).await?;
    Ok(names.into_iter().map(|name| (name.clone(), allocate::dimension_label(&name))).collect())
}

async fn export_names(State(app): State<AppState>) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let mut table = Table::new(&["Dimension", "Label"]);
    for (name, label) in &labelled(&mut snapshot).await? {
        table.row(&[name.into(), label.into()]);
    }
    Ok(table.into_response("dimensions.csv"))
}

#[derive(Template, WebTemplate)]
#[template(path = "dimension.html")]
struct DimensionPage {
    page: Page,
    restated: Option<RestatedNotice>,
    label: String,
    /// Of cost centers: the statement of the last month by cost center, after splits.
    after_splits: Option<AfterSplits>,
    is_cost_center: bool,
    answer: String,
    filters: Filters,
    period_head: String,
    comparison: String,
    csv_href: String,
    rows: Vec<ValueRow>,
    rounding: Vec<Line>,
    total: Vec<Line>,
}

/// Where each cost center stands after splits.
struct AfterSplits {
    /// "November 2026".
    month: String,
    href: String,
}

/// One value of the dimension.
struct ValueRow {
    value: String,
    /// Its lines.
    href: String,
    /// Why it changed; empty where there is nothing to compare with.
    why_href: String,
    lines: Vec<Line>,
}

/// The cost of a dimension's values.
pub(crate) struct Read {
    view: View,
    /// The days and what they are compared with; `None` where none is complete.
    pub(crate) span: Option<Span>,
    page: Page,
    /// The dearest first; what no rule gives a value comes last, as `None`.
    pub(crate) rows: Vec<(Option<String>, Compared)>,
    /// The one with most charges first.
    pub(crate) currencies: Vec<String>,
}

fn shown_value(value: &Option<String>) -> String {
    value.clone().unwrap_or_else(|| NOT_NAMED.into())
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Path(last): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let (name, is_csv) = csv::split_suffix(&last);
    let read = read(&app, &principal, name, query.as_deref()).await?;
    if is_csv {
        return Ok(export(&read, name));
    }
    // The page is about all cost that the person may see, as the overview is.
    let (publication_id, basis) = (read.page.publication_id, read.view.basis);
    let looked = Looked { page: "dimensions", publication_id, basis, of: RestatedOf::default() };
    let mut snapshot = app.pools.snapshot().await?;
    let restated = RestatedNotice::read(&app, &principal, &mut snapshot, looked).await?;
    let label = allocate::dimension_label(name);
    let compared: Vec<Compared> = read.rows.iter().map(|(_, compared)| compared.clone()).collect();
    let is_compared = read.span.is_none_or(|span| span.is_compared());
    let Columns { rows: lines, rounding, total } = figures(&read.currencies, &compared, None).compared(is_compared);
    let path = format!("/dimensions/{name}");
    let page = DimensionPage {
        answer: answer(&read, &label),
        after_splits: after_splits(&read, name),
        is_cost_center: name == allocate::COST_CENTER,
        filters: Filters::new(&path, &read.view, read.span.as_ref(), Vec::new()),
        period_head: read.span.map_or_else(|| "Cost".into(), |span| span.short_label()),
        comparison: read.span.map(|span| span.comparison_label()).unwrap_or_default(),
        csv_href: read.view.link(&format!("{path}.csv"), &[]),
        rows: read
            .rows
            .iter()
            .zip(lines)
            .map(|((value, _), lines)| ValueRow {
                value: shown_value(value),
                href: lines_href(&read, name, value),
                why_href: why_href(&read, name, value),
                lines,
            })
            .collect(),
        rounding,
        total,
        label,
        restated,
        page: read.page,
    };
    Ok(page.into_response())
}

// As a filter: `product:Shop`.
fn asked(name: &str, value: &Option<String>) -> String {
    format!("{name}:{}", value.as_deref().unwrap_or(query::NONE))
}

fn why_href(read: &Read, name: &str, value: &Option<String>) -> String {
    match read.span.is_some_and(|span| span.is_compared()) {
        true => read.view.link("/why", &[("dimension", &asked(name, value))]),
        false => String::new(),
    }
}

// Charge days as here, of the whole month.
fn after_splits(read: &Read, name: &str) -> Option<AfterSplits> {
    let span = read.span.filter(|_| name == allocate::COST_CENTER)?;
    let month = BillingPeriod::containing(span.days.last_day());
    let changes = [("period", ""), ("vs", ""), ("view", "charge"), ("by", "cost-center")];
    let href = read.view.link(&format!("/finance/statements/{month}"), &changes);
    Some(AfterSplits { month: month.label(), href })
}

fn lines_href(read: &Read, name: &str, value: &Option<String>) -> String {
    let asked = asked(name, value);
    let lines = drill::lines(&read.view, &[("dimension", &asked)]);
    read.span.map(|span| drill::on(&lines, span.days)).unwrap_or_default()
}

fn export(read: &Read, name: &str) -> Response {
    let costs = CostColumns::new(read.view.basis, read.span);
    let own = ["Dimension", "Value", "BillingCurrency", costs.cost, &costs.before, "Change"];
    let mut table = Table::new(&costs.all(&own, false));
    for (value, compared) in &read.rows {
        let value = shown_value(value);
        for currency in &read.currencies {
            let now = compared.cost(currency);
            let before = read.span.and_then(|span| span.known(compared.cost_before(currency)));
            let change = before.as_ref().map(|before| &now - before);
            let mut cells: Vec<Cell<'_>> = vec![
                name.into(),
                value.as_str().into(),
                currency.into(),
                (&now).into(),
                (&before).into(),
                (&change).into(),
            ];
            cells.extend(costs.days());
            table.row(&cells);
        }
    }
    table.into_response(&costs.file_name(name))
}

/// Reads the values of a dimension with the days that an address asks for.
pub(crate) async fn read(app: &AppState, principal: &Principal, name: &str, query: Option<&str>) -> Result<Read> {
    let view = View::parse(query, ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    if !dimension_costs::names(&mut snapshot).await?.iter().any(|known| known == name) {
        return Err(Error::NotFound);
    }
    let title = format!("{} · Dimensions", allocate::dimension_label(name));
    let page = Page::new(app, principal, &mut snapshot, title, NavItem::Rules).await?.of_days(&view);
    let span = view.span(&page.bills);
    let scope = principal.scope();
    let mut costs: BTreeMap<Option<String>, Compared> = BTreeMap::new();
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    if let Some(span) = &span {
        for (is_now, days) in [(true, span.days), (false, span.before)] {
            for row in dimension_costs::by_value(&mut snapshot, &scope, name, days, view.basis).await? {
                costs.entry(row.value).or_default().add(is_now, &row.currency, &row.cost);
                *counts.entry(row.currency).or_default() += row.charge_count;
            }
        }
    }
    let mut currencies: Vec<(String, i64)> = counts.into_iter().collect();
    currencies.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    let currencies: Vec<String> = currencies.into_iter().map(|(currency, _)| currency).collect();
    let nobody = costs.remove(&None);
    let mut rows: Vec<(Option<String>, Compared)> = costs.into_iter().collect();
    let first = currencies.first().map_or("", String::as_str);
    rows.sort_by_key(|(_, compared)| std::cmp::Reverse(compared.cost(first)));
    rows.extend(nobody.map(|compared| (None, compared)));
    Ok(Read { view, span, page, rows, currencies })
}

fn answer(read: &Read, label: &str) -> String {
    let Some(span) = &read.span else {
        return "No complete day of bills lies in this period yet.".into();
    };
    if read.currencies.is_empty() {
        return format!("No cost from {}.", range_label(span.days));
    }
    let mut total = Compared::default();
    read.rows.iter().for_each(|(_, compared)| total.add_row(compared));
    format!("{} by {label} {}.", change_sentences(span, &total, &read.currencies), span.sides())
}
