//! `/finance/statements`: every month, with its totals and how far its bills have come.

use super::csv::{Cell, Table};
use super::query::{Accepts, View};
use super::reporting::{RatedParts, missing_text};
use super::statement::{MonthState, Span, Year, month_view, year};
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes, display, filters};
use crate::focus::{BillingPeriod, CostBasis};
use crate::store::statements::{MonthTotal, MonthView};
use crate::store::{Snapshot, commitment_purchases, converted_costs, month_closing, rates, statement_ties, statements};
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

// What was asked for.
struct Asked {
    month_view: MonthView,
    basis: CostBasis,
    // As the bills write it.
    currency: Option<String>,
}

impl Asked {
    async fn read(conn: &mut Snapshot, view: &View) -> Result<Self> {
        let month_view = month_view(view.text("view"))?;
        Ok(Self { month_view, basis: view.basis, currency: view.currency(conn).await? })
    }

    fn has(&self, currency: &str) -> bool {
        self.currency.as_ref().is_none_or(|asked| asked == currency)
    }
}

async fn show(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let asked = Asked::read(&mut snapshot, &view).await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Statements", NavItem::Statements).await?;
    let page = page.noting(view.note());
    let totals = read(&mut snapshot, &principal, &asked).await?;
    let reach = statement_ties::reach(&mut snapshot).await?;
    let today = app.now().date_naive();
    let closed = month_closing::closed(&mut snapshot).await?;
    let closing = |month: BillingPeriod| closed.iter().find(|closing| closing.month == month.first_day());
    let state = |month: BillingPeriod| MonthState::of(month, &reach, closing(month), today);
    let mut months = months(&totals, state);
    let rated = rated(&mut snapshot, &principal, &asked, &totals).await?;
    let reporting_currency = rated.as_ref().map(|rated| rated.rates.reporting_currency().to_owned());
    if let Some(rated) = &rated {
        months.iter_mut().for_each(|month| month.convert(rated));
    }
    let charts = charts(&totals, asked.basis.total_name(), |month| state(month).is_open());
    let is_by_charge = asked.month_view == MonthView::ChargeDay;
    let mut lede = lede(&months);
    if has_left_out(&mut snapshot, &principal, &asked, &totals).await? {
        let price = asked.basis.label().to_lowercase();
        lede.push_str(&format!(
            " What was bought for commitments is left out of every month, since what uses them is in it at its own {price}."
        ));
    }
    Ok(StatementsPage { page, view, is_by_charge, lede, months, charts, reporting_currency }.into_response())
}

async fn download(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let asked = Asked::read(&mut snapshot, &view).await?;
    let totals = read(&mut snapshot, &principal, &asked).await?;
    let rated = rated(&mut snapshot, &principal, &asked, &totals).await?;
    let mut columns =
        vec!["Month", "BillingCurrency", view.basis.focus_column(), "Tax", "Credit", "NotAllocated", "Lines"];
    let reporting_column = format!("Reporting{}", view.basis.focus_column());
    if rated.is_some() {
        columns.extend(["ReportingCurrency", reporting_column.as_str()]);
    }
    let mut table = Table::new(&columns);
    for total in &totals {
        let key = total.month.to_string();
        let converted = rated.as_ref().map(|rated| rated.sum(Some(&key), Some(&total.billing_currency)));
        let mut cells: Vec<Cell<'_>> = vec![
            BillingPeriod::containing(total.month).to_string().into(),
            (&total.billing_currency).into(),
            (&total.cost).into(),
            (&total.tax).into(),
            (&total.credit).into(),
            (&total.unallocated).into(),
            total.charge_count.into(),
        ];
        if let Some((rated, converted)) = rated.as_ref().zip(converted.as_ref()) {
            cells.push(rated.rates.reporting_currency().into());
            // Empty where a rate is missing: never a guess.
            cells.push(converted.known().map_or(Cell::Empty, Cell::from));
        }
        table.row(&cells);
    }
    Ok(table.into_response("statements.csv"))
}

async fn read(conn: &mut Snapshot, principal: &Principal, asked: &Asked) -> Result<Vec<MonthTotal>> {
    let Some((first, last)) = statements::month_range(conn).await? else { return Ok(Vec::new()) };
    let mut totals = statements::months(conn, &principal.scope(), asked.month_view, asked.basis, first, last).await?;
    totals.retain(|total| asked.has(&total.billing_currency));
    Ok(totals)
}

// Whether a month of the list leaves out what was bought for commitments.
async fn has_left_out(
    conn: &mut Snapshot,
    principal: &Principal,
    asked: &Asked,
    totals: &[MonthTotal],
) -> sqlx::Result<bool> {
    let months = || totals.iter().map(|total| BillingPeriod::containing(total.month));
    let (Some(first), Some(last)) = (months().min(), months().max()) else { return Ok(false) };
    let scope = principal.scope();
    let all = commitment_purchases::left_out(conn, &scope, asked.month_view, asked.basis, first, last).await?;
    Ok(all.iter().any(|one| asked.has(&one.billing_currency)))
}

async fn rated(
    conn: &mut Snapshot,
    principal: &Principal,
    asked: &Asked,
    totals: &[MonthTotal],
) -> Result<Option<RatedParts>> {
    let months = || totals.iter().map(|total| BillingPeriod::containing(total.month));
    let (Some(first), Some(last)) = (months().min(), months().max()) else { return Ok(None) };
    if rates::reporting_currency(&mut **conn).await?.is_none() {
        return Ok(None);
    }
    let mut parts =
        converted_costs::of_months(conn, &principal.scope(), asked.month_view, asked.basis, first, last).await?;
    parts.retain(|part| asked.has(&part.currency));
    Ok(RatedParts::of(conn, parts).await?)
}

struct Month {
    month: BillingPeriod,
    state: MonthState,
    totals: Vec<Line>,
    /// In the reporting currency; empty where none is set.
    reporting: String,
    reporting_note: String,
}

struct Line {
    currency: String,
    cost: String,
    tax: String,
    credit: String,
    unallocated: String,
    charge_count: i64,
}

impl Month {
    fn convert(&mut self, rated: &RatedParts) {
        let currency = rated.rates.reporting_currency();
        match rated.sum(Some(&self.month.first_day().to_string()), None).known() {
            Ok(sum) => self.reporting = display::money(sum, currency, display::minor_units(currency)),
            Err(missing) => {
                self.reporting = "not known".into();
                self.reporting_note = missing_text(missing);
            }
        }
    }
}

fn months(totals: &[MonthTotal], state: impl Fn(BillingPeriod) -> MonthState) -> Vec<Month> {
    let mut out: Vec<Month> = Vec::new();
    for total in totals {
        let month = BillingPeriod::containing(total.month);
        if out.last().is_none_or(|last| last.month != month) {
            out.push(Month {
                month,
                state: state(month),
                totals: Vec::new(),
                reporting: String::new(),
                reporting_note: String::new(),
            });
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

fn charts(
    totals: &[MonthTotal],
    total_name: &'static str,
    is_open: impl Fn(BillingPeriod) -> bool,
) -> Vec<(String, Year)> {
    let Some(last) = totals.iter().map(|total| BillingPeriod::containing(total.month)).max() else {
        return Vec::new();
    };
    let currencies: BTreeSet<&str> = totals.iter().map(|total| total.billing_currency.as_str()).collect();
    currencies
        .into_iter()
        .map(|currency| {
            let chart = year(
                totals,
                currency,
                &Span { last, count: CHART_MONTH_COUNT, current: None, total_name },
                &is_open,
                |month| format!("/finance/statements/{month}"),
            );
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
    reporting_currency: Option<String>,
}

impl StatementsPage {
    fn month_link(&self, month: &BillingPeriod) -> String {
        self.view.link(&format!("/finance/statements/{month}"), &[])
    }
}
