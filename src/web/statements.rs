//! `/finance/statements`: every month, with its totals and how far its bills have come.

use super::csv::Table;
use super::query::{Accepts, View};
use super::statement::{MonthState, Span, Year, month_view, year};
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes, display, filters};
use crate::focus::{BillingPeriod, CostBasis};
use crate::store::statements::{MonthTotal, MonthView};
use crate::store::{statement_ties, statements};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeSet;

/// What the page takes.
const ACCEPTS: Accepts = Accepts { texts: &["view"], by: &[], sort: &[] };
/// Months in the chart: a year and the month that it is compared with.
const CHART_MONTH_COUNT: u32 = 13;

/// The routes of the page.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/finance/statements", Policy::Money, show).get("/finance/statements.csv", Policy::Money, download)
}

async fn show(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let month_view = month_view(view.text("view"))?;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Statements", NavItem::Statements).await?;
    let totals = read(&mut snapshot, &principal, &view, month_view).await?;
    let reach = statement_ties::reach(&mut snapshot).await?;
    let today = app.now().date_naive();
    let state = |month: BillingPeriod| MonthState::of(month, &reach, today);
    let months = months(&totals, state);
    let charts = charts(&totals, |month| state(month).is_open());
    let is_by_charge = month_view == MonthView::ChargeDay;
    let lede = lede(&months);
    Ok(StatementsPage { page, view, is_by_charge, lede, months, charts }.into_response())
}

async fn download(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let month_view = month_view(view.text("view"))?;
    let mut snapshot = app.pools.snapshot().await?;
    let totals = read(&mut snapshot, &principal, &view, month_view).await?;
    let mut table =
        Table::new(&["Month", "BillingCurrency", view.basis.focus_column(), "Tax", "Credit", "NotAllocated", "Lines"]);
    for total in &totals {
        table.row(&[
            BillingPeriod::containing(total.month).to_string().into(),
            (&total.billing_currency).into(),
            (&total.cost).into(),
            (&total.tax).into(),
            (&total.credit).into(),
            (&total.unallocated).into(),
            total.charge_count.into(),
        ]);
    }
    Ok(table.into_response("statements.csv"))
}

async fn read(
    conn: &mut crate::store::Snapshot,
    principal: &Principal,
    view: &View,
    month_view: MonthView,
) -> Result<Vec<MonthTotal>> {
    let Some((first, last)) = statements::month_range(conn).await? else { return Ok(Vec::new()) };
    let totals = statements::months(conn, &principal.scope(), month_view, view.basis, first, last).await?;
    Ok(totals
        .into_iter()
        .filter(|total| view.text("cur").is_none_or(|currency| currency == total.billing_currency))
        .collect())
}

struct Month {
    month: BillingPeriod,
    state: MonthState,
    totals: Vec<Line>,
}

struct Line {
    currency: String,
    cost: String,
    tax: String,
    credit: String,
    unallocated: String,
    charge_count: i64,
}

fn months(totals: &[MonthTotal], state: impl Fn(BillingPeriod) -> MonthState) -> Vec<Month> {
    let mut out: Vec<Month> = Vec::new();
    for total in totals {
        let month = BillingPeriod::containing(total.month);
        if out.last().is_none_or(|last| last.month != month) {
            out.push(Month { month, state: state(month), totals: Vec::new() });
        }
        let currency = &total.billing_currency;
        let text = |amount| display::money(amount, currency, display::minor_units(currency));
        if let Some(last) = out.last_mut() {
            last.totals.push(Line {
                currency: currency.clone(),
                cost: text(&total.cost),
                tax: text(&total.tax),
                credit: text(&total.credit),
                unallocated: text(&total.unallocated),
                charge_count: total.charge_count,
            });
        }
    }
    out
}

fn charts(totals: &[MonthTotal], is_open: impl Fn(BillingPeriod) -> bool) -> Vec<(String, Year)> {
    let Some(last) = totals.iter().map(|total| BillingPeriod::containing(total.month)).max() else {
        return Vec::new();
    };
    let currencies: BTreeSet<&str> = totals.iter().map(|total| total.billing_currency.as_str()).collect();
    currencies
        .into_iter()
        .map(|currency| {
            let chart =
                year(totals, currency, &Span { last, count: CHART_MONTH_COUNT, current: None }, &is_open, |month| {
                    format!("/finance/statements/{month}")
                });
            (currency.to_owned(), chart)
        })
        .collect()
}

fn lede(months: &[Month]) -> String {
    let Some(newest) = months.first() else { return String::new() };
    let amounts: Vec<&str> = newest.totals.iter().map(|line| line.cost.as_str()).collect();
    let so_far = if newest.state.is_open() { " so far" } else { "" };
    format!("{} cost {}{so_far}. {}", newest.month.label(), amounts.join(" and "), newest.state.sentence())
}

#[derive(Template, WebTemplate)]
#[template(path = "statements.html")]
struct StatementsPage {
    page: Page,
    view: View,
    is_by_charge: bool,
    lede: String,
    months: Vec<Month>,
    charts: Vec<(String, Year)>,
}

impl StatementsPage {
    fn month_link(&self, month: &BillingPeriod) -> String {
        self.view.link(&format!("/finance/statements/{month}"), &[])
    }
}
