//! `/finance/statements`: every month, with its totals and how far its bills have come.
//!
//! By billing period each month has its net cost, what is booked to it for closed months, and the total with that, as on
//! its own page: the totals with adjustments of all months add up to what the bills say. A month that has nothing but
//! adjustments is there too.

use super::csv::{Cell, Table};
use super::display::Delta;
use super::query::{Accepts, View};
use super::reporting::{RatedParts, missing_text};
use super::statement::{CurrencyReach, MonthState, NOT_BILLED, Span, Year, booked_part, month_view, year};
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes, display, filters};
use crate::focus::{BillingPeriod, CostBasis};
use crate::store::booked_costs::{self, BookedCost};
use crate::store::statement_ties::{BilledIn, MonthReach};
use crate::store::statements::{MonthTotal, MonthView};
use crate::store::{Snapshot, commitment_purchases, converted_costs, month_closing, rates, statement_ties, statements};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bigdecimal::{BigDecimal, Zero};
use chrono::NaiveDate;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

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
    let read = Read::new(&mut snapshot, &principal, &asked).await?;
    let reach = statement_ties::reach(&mut snapshot).await?;
    let today = app.now().date_naive();
    let closed = month_closing::closed(&mut snapshot).await?;
    let closing = |month: BillingPeriod| closed.iter().find(|closing| closing.month == month.first_day());
    let state = |month: BillingPeriod| MonthState::of(month, &reach, closing(month), today);
    let mut months = months(&read.entries(), state);
    let coming: Vec<BillingPeriod> =
        months.iter().filter(|month| month.state.is_coming()).map(|month| month.month).collect();
    if let (Some(first), Some(last)) = (coming.iter().min(), coming.iter().max()) {
        let billed_in = statement_ties::billed_in(&mut snapshot, first.previous(), *last).await?;
        months.iter_mut().for_each(|month| month.reach(&asked, (&reach, &billed_in), today));
    }
    let rated = rated(&mut snapshot, &principal, &asked, &read).await?;
    let reporting_currency = rated.as_ref().map(|rated| rated.rates.reporting_currency().to_owned());
    if let Some(rated) = &rated {
        months.iter_mut().for_each(|month| month.convert(rated));
    }
    let charts = charts(&read, asked.basis.total_name(), |month| state(month).is_open());
    let is_by_charge = asked.month_view == MonthView::ChargeDay;
    let has_booked = months.iter().flat_map(|month| &month.totals).any(|line| line.booked.is_some());
    let mut lede = lede(&months);
    if has_left_out(&mut snapshot, &principal, &asked, &read.totals).await? {
        let price = asked.basis.label().to_lowercase();
        lede.push_str(&format!(
            " What was bought for commitments is left out of every month, since what uses them is in it at its own {price}."
        ));
    }
    Ok(StatementsPage { page, view, is_by_charge, lede, months, charts, reporting_currency, has_booked }
        .into_response())
}

async fn download(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let asked = Asked::read(&mut snapshot, &view).await?;
    let read = Read::new(&mut snapshot, &principal, &asked).await?;
    let rated = rated(&mut snapshot, &principal, &asked, &read).await?;
    let column = view.basis.focus_column();
    let mut columns = vec!["Month", "BillingCurrency", column, "Tax", "Credit", "NotAllocated", "Lines"];
    let (with_column, reporting_column) = (format!("{column}WithAdjustments"), format!("Reporting{column}"));
    let reporting_with_column = format!("Reporting{with_column}");
    if rated.is_some() {
        columns.extend(["ReportingCurrency", reporting_column.as_str()]);
    }
    columns.extend(["AdjustmentsBooked", with_column.as_str()]);
    if rated.is_some() {
        columns.push(reporting_with_column.as_str());
    }
    let mut table = Table::new(&columns);
    for entry in &read.entries() {
        row(&mut table, entry, rated.as_ref(), read.sees_booked);
    }
    Ok(table.into_response("statements.csv"))
}

// Cells of what is not known are empty: of a month without a bill, of what a missing rate would give, and of what is booked
// where that is not seen or no part of the view.
fn row(table: &mut Table, entry: &Entry, rated: Option<&RatedParts>, sees_booked: bool) {
    let key = entry.month.to_string();
    let (key, currency) = (Some(key.as_str()), Some(entry.currency.as_str()));
    let total = entry.total.as_ref();
    let amount = |pick: fn(&MonthTotal) -> &BigDecimal| total.map_or(Cell::Empty, |total| pick(total).into());
    let mut cells: Vec<Cell<'_>> = vec![
        BillingPeriod::containing(entry.month).to_string().into(),
        (&entry.currency).into(),
        amount(|total| &total.cost),
        amount(|total| &total.tax),
        amount(|total| &total.credit),
        amount(|total| &total.unallocated),
        total.map_or(0, |total| total.charge_count).into(),
    ];
    let converted = rated.map(|rated| (rated.sum(key, currency), rated.sum_with_booked(key, currency)));
    if let Some((rated, (net, _))) = rated.zip(converted.as_ref()) {
        cells.push(rated.rates.reporting_currency().into());
        cells.push(net.known().ok().filter(|_| total.is_some()).map_or(Cell::Empty, Cell::from));
    }
    let (booked, both) = (entry.booked.clone().unwrap_or_default(), entry.with_booked());
    let seen = |amount| if sees_booked { Cell::Amount(amount) } else { Cell::Empty };
    cells.extend([seen(&booked), seen(&both)]);
    if let Some((_, both)) = &converted {
        cells.push(both.known().ok().filter(|_| sees_booked).map_or(Cell::Empty, Cell::from));
    }
    table.row(&cells);
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

// What the months are made of.
struct Read {
    totals: Vec<MonthTotal>,
    // Nothing by charge day, where each bill is in its own month, and nothing for those who see some teams only.
    booked: Vec<BookedCost>,
    sees_booked: bool,
}

// A month in one currency: with bills, with adjustments, or with both.
struct Entry {
    month: NaiveDate,
    currency: String,
    total: Option<MonthTotal>,
    // `None` where it adds up to nothing.
    booked: Option<BigDecimal>,
}

impl Entry {
    fn with_booked(&self) -> BigDecimal {
        let cost = self.total.as_ref().map(|total| total.cost.clone()).unwrap_or_default();
        cost + self.booked.clone().unwrap_or_default()
    }
}

impl Read {
    async fn new(conn: &mut Snapshot, principal: &Principal, asked: &Asked) -> Result<Self> {
        let scope = principal.scope();
        let sees_booked = scope.is_everything() && asked.month_view == MonthView::BillingPeriod;
        let mut totals = Vec::new();
        if let Some((first, last)) = statements::month_range(conn).await? {
            totals = statements::months(conn, &scope, asked.month_view, asked.basis, first, last).await?;
        }
        let mut booked = Vec::new();
        if sees_booked {
            booked = booked_costs::all(conn, &scope, asked.basis).await?;
        }
        totals.retain(|total| asked.has(&total.billing_currency));
        booked.retain(|one| asked.has(&one.billing_currency));
        Ok(Self { totals, booked, sees_booked })
    }

    // Newest first; within a month the dearest first, and last what has adjustments alone.
    fn entries(&self) -> Vec<Entry> {
        let entry = |total: &MonthTotal| Entry {
            month: total.month,
            currency: total.billing_currency.clone(),
            total: Some(total.clone()),
            booked: None,
        };
        let mut entries: Vec<Entry> = self.totals.iter().map(entry).collect();
        let mut sums: BTreeMap<(NaiveDate, &str), BigDecimal> = BTreeMap::new();
        for one in &self.booked {
            *sums.entry((one.booked_month, one.billing_currency.as_str())).or_default() += &one.cost;
        }
        for ((month, currency), cost) in sums.into_iter().filter(|(_, cost)| !cost.is_zero()) {
            match entries.iter_mut().find(|entry| entry.month == month && entry.currency == currency) {
                Some(entry) => entry.booked = Some(cost),
                None => entries.push(Entry { month, currency: currency.to_owned(), total: None, booked: Some(cost) }),
            }
        }
        entries.sort_by_key(|entry| Reverse(entry.month));
        entries
    }
}

async fn rated(conn: &mut Snapshot, principal: &Principal, asked: &Asked, read: &Read) -> Result<Option<RatedParts>> {
    let months = || read.totals.iter().map(|total| BillingPeriod::containing(total.month));
    if (read.totals.is_empty() && read.booked.is_empty()) || rates::reporting_currency(&mut **conn).await?.is_none() {
        return Ok(None);
    }
    let mut parts = Vec::new();
    if let (Some(first), Some(last)) = (months().min(), months().max()) {
        parts =
            converted_costs::of_months(conn, &principal.scope(), asked.month_view, asked.basis, first, last).await?;
    }
    parts.retain(|part| asked.has(&part.currency));
    Ok(RatedParts::with_booked(conn, parts, read.booked.iter().map(booked_part).collect()).await?)
}

struct Month {
    month: BillingPeriod,
    state: MonthState,
    /// The state in a sentence, of all currencies that are listed.
    sentence: String,
    totals: Vec<Line>,
    /// In the reporting currency; empty where none is set.
    reporting: String,
    reporting_note: String,
    /// The same with what is booked; empty where nothing is, or a rate is missing.
    reporting_with: String,
}

struct Line {
    currency: String,
    /// How far its bills have come; empty where those of other currencies have come as far.
    reached: String,
    is_billed: bool,
    cost: String,
    /// What is booked for closed months, and the total with it.
    booked: Option<(Delta, String)>,
    tax: String,
    credit: String,
    unallocated: String,
    charge_count: i64,
}

impl Month {
    // Says of a month that bills are still to come for how far they have come in each currency.
    fn reach(&mut self, asked: &Asked, bills: (&[MonthReach], &[BilledIn]), today: NaiveDate) {
        if !self.state.is_coming() {
            return;
        }
        let mut currencies = self.state.by_currency(self.month, bills, today);
        currencies.retain(|one| asked.has(&one.billing_currency));
        self.sentence = match currencies.as_slice() {
            [one] if asked.currency.is_some() => one.state.sentence(),
            all => self.state.sentence_of(all),
        };
        if !CurrencyReach::differ(&currencies) {
            return;
        }
        for line in &mut self.totals {
            let own = currencies.iter().find(|one| one.billing_currency == line.currency);
            if let Some(day) = own.and_then(|one| one.complete_to) {
                line.reached = format!("bills to {}", day.format("%-d %b %Y"));
            }
        }
    }

    fn convert(&mut self, rated: &RatedParts) {
        let currency = rated.rates.reporting_currency();
        let key = self.month.first_day().to_string();
        let text = |sum: &BigDecimal| display::money(sum, currency, display::minor_units(currency));
        match rated.sum(Some(&key), None).known() {
            Ok(_) if !self.totals.iter().any(|line| line.is_billed) => self.reporting = NOT_BILLED.into(),
            Ok(sum) => self.reporting = text(sum),
            Err(missing) => {
                self.reporting = "not known".into();
                self.reporting_note = missing_text(missing);
            }
        }
        if self.totals.iter().any(|line| line.booked.is_some()) {
            match rated.sum_with_booked(Some(&key), None).known() {
                Ok(sum) => self.reporting_with = text(sum),
                Err(missing) => self.reporting_note = missing_text(missing),
            }
        }
    }
}

fn months(entries: &[Entry], state: impl Fn(BillingPeriod) -> MonthState) -> Vec<Month> {
    let mut out: Vec<Month> = Vec::new();
    for entry in entries {
        let month = BillingPeriod::containing(entry.month);
        if out.last().is_none_or(|last| last.month != month) {
            let state = state(month);
            out.push(Month {
                month,
                sentence: state.sentence(),
                state,
                totals: Vec::new(),
                reporting: String::new(),
                reporting_note: String::new(),
                reporting_with: String::new(),
            });
        }
        if let Some(last) = out.last_mut() {
            last.totals.push(line(entry));
        }
    }
    out
}

fn line(entry: &Entry) -> Line {
    let (currency, decimals) = (&entry.currency, display::minor_units(&entry.currency));
    let text = |pick: fn(&MonthTotal) -> &BigDecimal| match &entry.total {
        Some(total) => display::money(pick(total), currency, decimals),
        None => NOT_BILLED.into(),
    };
    let cost = entry.total.as_ref().map(|total| total.cost.clone()).unwrap_or_default();
    let both = entry.with_booked();
    // What leads from the one to the other as both are shown.
    let booked = display::change_shown(&both, &cost, decimals);
    Line {
        currency: currency.clone(),
        reached: String::new(),
        is_billed: entry.total.is_some(),
        cost: text(|total| &total.cost),
        booked: entry
            .booked
            .is_some()
            .then(|| (Delta::amount(&booked, currency, decimals), display::money(&both, currency, decimals))),
        tax: text(|total| &total.tax),
        credit: text(|total| &total.credit),
        unallocated: text(|total| &total.unallocated),
        charge_count: entry.total.as_ref().map_or(0, |total| total.charge_count),
    }
}

fn charts(read: &Read, total_name: &'static str, is_open: impl Fn(BillingPeriod) -> bool) -> Vec<(String, Year)> {
    let entries = read.entries();
    let Some(last) = entries.iter().map(|entry| BillingPeriod::containing(entry.month)).max() else {
        return Vec::new();
    };
    let currencies: BTreeSet<&str> = entries.iter().map(|entry| entry.currency.as_str()).collect();
    let span = Span { last, count: CHART_MONTH_COUNT, current: None, total_name };
    let link = |month: BillingPeriod| format!("/finance/statements/{month}");
    currencies
        .into_iter()
        .map(|currency| (currency.to_owned(), year(&read.totals, &read.booked, currency, &span, &is_open, link)))
        .collect()
}

fn lede(months: &[Month]) -> String {
    let Some(newest) = months.first() else { return String::new() };
    let label = newest.month.label();
    let amounts: Vec<&str> =
        newest.totals.iter().filter(|line| line.is_billed).map(|line| line.cost.as_str()).collect();
    let booked: Vec<&str> =
        newest.totals.iter().filter_map(|line| line.booked.as_ref()).map(|(_, both)| both.as_str()).collect();
    let so_far = if newest.state.is_open() { " so far" } else { "" };
    let (amounts, booked) = (amounts.join(" and "), booked.join(" and "));
    let cost = match (amounts.as_str(), booked.as_str()) {
        (amounts, "") => format!("{label} cost {amounts}{so_far}."),
        ("", booked) => format!("Nothing is billed for {label}; {booked} is booked in it for closed months."),
        (amounts, booked) => format!("{label} cost {amounts}{so_far}, and {booked} with adjustments booked."),
    };
    format!("{cost} {}", newest.sentence)
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
    /// Whether something is booked to any month for closed ones.
    has_booked: bool,
}

impl StatementsPage {
    fn month_link(&self, month: &BillingPeriod) -> String {
        self.view.link(&format!("/finance/statements/{month}"), &[])
    }
}
