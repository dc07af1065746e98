//! `/environments`: what each environment costs, how old it is, and whether it is still there.

use super::charts::environment_class;
use super::cost_columns::CostColumns;
use super::csv::{Cell, Table};
use super::display::{Compared, Line};
use super::drill;
use super::environment_end::{self, End};
use super::list_pages::{ComparedPage, ListPages};
use super::parts::{Filters, Select};
use super::query::{Accepts, NONE, Span, View, range_label};
use super::service::change_sentences;
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes};
use crate::store::environment_costs::{self, EnvironmentCost, EnvironmentLife, ListedEnvironment};
use crate::store::environment_ends;
use crate::store::service_costs;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use chrono::NaiveDate;
use std::collections::{BTreeMap, HashMap};

const ACCEPTS: Accepts =
    Accepts { texts: &["team", "provider", "charge", "page"], by: &[], sort: &["-cost", "name", "-change"] };

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/environments", Policy::Money, show).get("/environments.csv", Policy::Money, export)
}

#[derive(Template, WebTemplate)]
#[template(path = "environments.html")]
struct EnvironmentsPage {
    page: Page,
    filters: Filters,
    answer: String,
    rows: Vec<(EnvironmentRow, Vec<Line>)>,
    rounding: Vec<Line>,
    total: Vec<Line>,
    list_pages: ListPages,
    /// What environments on other pages have together.
    others: Option<Vec<Line>>,
    period_head: String,
    comparison: String,
    csv_href: String,
}

struct EnvironmentRow {
    environment: Option<ListedEnvironment>,
    class: &'static str,
    /// Its page, or the lines of what is not allocated.
    href: String,
    life: Option<EnvironmentLife>,
    /// Its cost ended before the bills do.
    is_gone: bool,
    end: Option<End>,
    compared: Compared,
}

impl EnvironmentRow {
    fn name(&self) -> &str {
        self.environment.as_ref().map_or("Not allocated", |one| &one.name)
    }
}

struct List {
    view: View,
    span: Option<Span>,
    page: Page,
    rows: Vec<EnvironmentRow>,
    currencies: Vec<String>,
    selects: Vec<Select>,
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<EnvironmentsPage> {
    let list = read(&app, &principal, query.as_deref()).await?;
    let answer = answer(&list);
    let address = (&list.view, "/environments");
    let cut = ComparedPage::new(address, list.span.as_ref(), &list.currencies, list.rows, |row| &row.compared)?;
    let ComparedPage { list_pages, rows, others, rounding, total } = cut;
    Ok(EnvironmentsPage {
        answer,
        filters: Filters::new("/environments", &list.view, list.span.as_ref(), list.selects),
        period_head: list.span.map_or_else(|| "Cost".into(), |span| span.short_label()),
        comparison: list.span.map(|span| span.comparison_label()).unwrap_or_default(),
        csv_href: list.view.link("/environments.csv", &[("page", "")]),
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
    let own = [
        "Environment",
        "Kind",
        "BillingCurrency",
        costs.cost,
        &costs.before,
        "Change",
        "FirstChargeDate",
        "LastChargeDate",
    ];
    let mut table = Table::new(&costs.all(&own, false));
    for row in &list.rows {
        let day = |pick: fn(&EnvironmentLife) -> NaiveDate| {
            row.life.as_ref().map(|life| pick(life).to_string()).unwrap_or_default()
        };
        for currency in &list.currencies {
            let now = row.compared.cost(currency);
            let before = list.span.and_then(|span| span.known(row.compared.cost_before(currency)));
            let change = before.as_ref().map(|before| &now - before);
            let mut cells: Vec<Cell<'_>> = vec![
                row.name().into(),
                row.environment.as_ref().map(|one| one.kind.as_str()).unwrap_or_default().into(),
                currency.as_str().into(),
                (&now).into(),
                (&before).into(),
                (&change).into(),
                day(|life| life.first_charge_date).into(),
                day(|life| life.last_charge_date).into(),
            ];
            cells.extend(costs.days());
            table.row(&cells);
        }
    }
    Ok(table.into_response(&costs.file_name("environments")))
}

async fn read(app: &AppState, principal: &Principal, query: Option<&str>) -> Result<List> {
    let view = View::parse(query, ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::of_view(app, principal, &mut snapshot, "Environments", NavItem::Environments, &view).await?;
    let scope = principal.scope();
    let span = view.span(&page.bills);
    let listed = environment_costs::environments(&mut snapshot, None).await?;
    let lives = environment_costs::lives(&mut snapshot, &scope, None).await?;
    let costs = match &span {
        Some(span) => {
            let filter = view.filter(&mut snapshot, span.days).await?;
            environment_costs::by_environment(&mut snapshot, &scope, &filter, span.before).await?
        }
        None => Vec::new(),
    };
    let choices = service_costs::choices(&mut snapshot).await?;
    let mut teams = vec![(String::new(), "All".to_owned())];
    teams.extend(choices.teams);
    teams.push((NONE.into(), "Not allocated".into()));
    let selects = vec![Select::new("team", "Team", view.field("team"), teams)];
    let currencies = currencies(&costs);
    let complete_to = page.bills.complete_to();
    let ends = environment_ends::list(&mut snapshot, None).await?;
    let after = environment_ends::costs_after(&mut snapshot, &scope, view.basis, None).await?;
    let ends = environment_end::by_environment(ends, page.now.date_naive(), after);
    let nobody = drill::on_days_of(span.as_ref(), &drill::lines(&view, &[("env", NONE)]));
    let mut rows = merge(&view, (listed, lives, ends), &costs, complete_to, nobody);
    let first = currencies.first().map(String::as_str).unwrap_or_default();
    rows.sort_by(|left, right| {
        let ordering = match view.sort() {
            "name" => std::cmp::Ordering::Equal,
            "-change" => right.compared.change(first).cmp(&left.compared.change(first)),
            _ => right.compared.cost(first).cmp(&left.compared.cost(first)),
        };
        ordering.then_with(|| left.name().cmp(right.name()))
    });
    Ok(List { view, span, page, rows, currencies, selects })
}

fn currencies(costs: &[EnvironmentCost]) -> Vec<String> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for cost in costs {
        *counts.entry(&cost.currency).or_default() -= cost.charge_count;
    }
    let mut ranked: Vec<(i64, &str)> = counts.into_iter().map(|(currency, count)| (count, currency)).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, currency)| currency.to_owned()).collect()
}

fn merge(
    view: &View,
    (listed, lives, mut ends): (Vec<ListedEnvironment>, Vec<EnvironmentLife>, HashMap<i64, End>),
    costs: &[EnvironmentCost],
    complete_to: Option<NaiveDate>,
    nobody: String,
) -> Vec<EnvironmentRow> {
    let mut compared: HashMap<i64, Compared> = HashMap::new();
    for cost in costs {
        let row = compared.entry(cost.environment_id).or_default();
        row.add(true, &cost.currency, &cost.cost);
        row.add(false, &cost.currency, &cost.cost_before);
    }
    let mut lives: HashMap<i64, EnvironmentLife> = lives.into_iter().map(|life| (life.environment_id, life)).collect();
    let mut rows: Vec<EnvironmentRow> = listed
        .into_iter()
        .map(|one| {
            let life = lives.remove(&one.environment_id);
            EnvironmentRow {
                class: environment_class(Some(&one.kind)),
                href: drill::page(
                    &format!("/environments/{}", one.slug),
                    view,
                    &[("env", ""), ("team", view.field("team"))],
                ),
                is_gone: is_gone(life.as_ref(), complete_to),
                end: ends.remove(&one.environment_id),
                life,
                compared: compared.remove(&one.environment_id).unwrap_or_default(),
                environment: Some(one),
            }
        })
        .collect();
    let mut rest = Compared::default();
    for row in compared.values() {
        rest.add_row(row);
    }
    if !rest.now.is_empty() || !rest.before.is_empty() {
        rows.push(EnvironmentRow {
            environment: None,
            class: "other",
            href: nobody,
            life: None,
            is_gone: false,
            end: None,
            compared: rest,
        });
    }
    rows
}

/// Whether the cost of an environment ended before the bills do.
pub(super) fn is_gone(life: Option<&EnvironmentLife>, complete_to: Option<NaiveDate>) -> bool {
    life.zip(complete_to).is_some_and(|(life, complete_to)| life.last_charge_date < complete_to)
}

fn answer(list: &List) -> String {
    let Some(span) = &list.span else {
        return match list.rows.len() {
            0 => "There are no environments yet. They come from rules over bills and from deployments.".into(),
            count => format!("{count} environments, and no complete day of bills in this period yet."),
        };
    };
    if list.currencies.is_empty() {
        return format!("No cost matches from {}.", range_label(span.days));
    }
    let mut outside = Compared::default();
    let mut total = Compared::default();
    for row in &list.rows {
        total.add_row(&row.compared);
        if row.environment.as_ref().is_some_and(|one| one.kind != "production") {
            outside.add_row(&row.compared);
        }
    }
    let sentence = change_sentences(span, &total, &list.currencies);
    let share = list
        .currencies
        .first()
        .and_then(|currency| super::display::percent(&outside.cost(currency), &total.cost(currency)))
        .map(|share| format!(" Environments that are not production make {share} of it."))
        .unwrap_or_default();
    format!("{sentence} {}.{share}", span.sides())
}
