//! `/finance/rates`: the reporting currency, and the one rate that each month and currency is converted with.

mod change;
mod upload;

use super::csv::Table;
use super::reporting::origin_of;
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes, filters, unknown_keys};
use crate::focus::{BillingPeriod, CROSS_RATE_DIGITS, RateOrigin, Rates};
use crate::store::month_closing;
use crate::store::rates::{self, EnteredRate, MarketReach, NeededRate};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Query, State};
use axum::response::Response;
use chrono::NaiveDate;
use serde::Deserialize;
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// The routes of the page and its forms.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/finance/rates", Policy::SignedIn, show)
        .get("/finance/rates.csv", Policy::SignedIn, download)
        .post("/finance/rates", Policy::Bills, change::enter)
        .post("/finance/rates/remove", Policy::Bills, change::remove)
        .post("/finance/rates/reporting", Policy::Bills, change::set_reporting)
        .post_upload("/finance/rates/import", Policy::Bills, upload::FILE_BYTES_MAX, upload::receive)
}

/// What a form that was not saved held, so that nothing typed is lost.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct RateForm {
    month: String,
    currency: String,
    rate: String,
    reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    /// What was just done: "14 new rates".
    done: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "rates.html")]
struct RatesPage {
    page: Page,
    reporting_currency: Option<String>,
    rows: Vec<Row>,
    missing_count: usize,
    reach: Option<MarketReach>,
    entered: Vec<EnteredRate>,
    /// First days of the months that are closed: their rates stay.
    closed: BTreeSet<NaiveDate>,
    form: RateForm,
    message: String,
    done: String,
    may_change: bool,
}

/// The rate of one month and currency.
struct Row {
    month: BillingPeriod,
    currency: String,
    is_closed: bool,
    /// "0.92017", or nothing.
    rate: String,
    origin: String,
}

async fn show(State(app): State<AppState>, principal: Principal, Query(asked): Query<Asked>) -> Result<RatesPage> {
    let done: String = asked.done.chars().take(300).collect();
    page(&app, &principal, RateForm::default(), String::new(), done).await
}

async fn page(
    app: &AppState,
    principal: &Principal,
    form: RateForm,
    message: String,
    done: String,
) -> Result<RatesPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(app, principal, &mut snapshot, "Exchange rates", NavItem::Rates).await?;
    let page = page.noting(unknown_keys::of::<Asked>());
    let (reporting_currency, rates, needed) = read(&mut snapshot).await?;
    let entered = match &reporting_currency {
        Some(currency) => {
            let (first, last) = BillingPeriod::supported();
            rates::entered(&mut snapshot, currency, first, last).await?
        }
        None => Vec::new(),
    };
    let rows = rows(&rates, &needed, reporting_currency.as_deref());
    let closed = month_closing::closed(&mut snapshot).await?.into_iter().map(|closing| closing.month).collect();
    Ok(RatesPage {
        missing_count: rows.iter().filter(|row| row.rate.is_empty()).count(),
        rows,
        reach: rates::market_reach(&mut snapshot).await?,
        may_change: Policy::Bills.allows(principal),
        page,
        reporting_currency,
        entered,
        closed,
        form,
        message,
        done,
    })
}

/// The reporting currency, the rates into it, and the months and currencies that need one.
pub async fn read(conn: &mut PgConnection) -> Result<(Option<String>, Rates, Vec<NeededRate>)> {
    let reporting_currency = rates::reporting_currency(&mut *conn).await?;
    let needed = rates::needed(conn).await?;
    let (Some(first), Some(last)) = (needed.last(), needed.first()) else {
        return Ok((reporting_currency, Rates::default(), needed));
    };
    let (first, last) = (BillingPeriod::containing(first.month), BillingPeriod::containing(last.month));
    let rates = match &reporting_currency {
        Some(currency) => rates::into(conn, currency, first, last).await?,
        None => Rates::default(),
    };
    Ok((reporting_currency, rates, needed))
}

fn rows(rates: &Rates, needed: &[NeededRate], reporting_currency: Option<&str>) -> Vec<Row> {
    let Some(reporting_currency) = reporting_currency else { return Vec::new() };
    let needed = needed.iter().filter(|one| one.billing_currency != reporting_currency);
    needed
        .map(|one| {
            let month = BillingPeriod::containing(one.month);
            let rate = rates.get(month, &one.billing_currency);
            Row {
                month,
                currency: one.billing_currency.clone(),
                is_closed: one.is_closed,
                rate: rate.map(|rate| rate.value.normalized().to_plain_string()).unwrap_or_default(),
                origin: rate.map(origin_of).unwrap_or_default(),
            }
        })
        .collect()
}

async fn download(State(app): State<AppState>) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let (reporting_currency, rates, needed) = read(&mut snapshot).await?;
    let mut table = Table::new(&[
        "BillingMonth",
        "BillingCurrency",
        "ReportingCurrency",
        "Rate",
        "Origin",
        "RateDate",
        "MonthState",
    ]);
    for one in needed.iter().filter(|one| Some(&one.billing_currency) != reporting_currency.as_ref()) {
        let month = BillingPeriod::containing(one.month);
        let rate = rates.get(month, &one.billing_currency);
        let value = rate.map(|rate| rate.value.clone());
        let (origin, day) = match rate.map(|rate| &rate.origin) {
            Some(RateOrigin::Entered) => ("entered", String::new()),
            Some(RateOrigin::Market(day)) => ("market", day.to_string()),
            None => ("missing", String::new()),
        };
        table.row(&[
            month.to_string().into(),
            (&one.billing_currency).into(),
            (&reporting_currency).into(),
            (&value).into(),
            origin.into(),
            day.into(),
            if one.is_closed { "closed" } else { "open" }.into(),
        ]);
    }
    Ok(table.into_response("rates.csv"))
}

impl RatesPage {
    fn lede(&self) -> String {
        let Some(currency) = &self.reporting_currency else {
            return "Every figure stands in the currency of its bill. Set a reporting currency to see totals in one."
                .into();
        };
        match (self.rows.len(), self.missing_count) {
            (0, _) => format!("Figures are also shown in {currency}. No bill needs a rate for that yet."),
            (count, 0) => {
                format!("Figures are also shown in {currency}: all {count} rates that the bills need are known.")
            }
            (count, missing) => format!(
                "Figures are also shown in {currency}, but {missing} of {count} rates that the bills need are missing: totals that hold them are not known."
            ),
        }
    }

    fn is_frozen(&self, rate: &EnteredRate) -> bool {
        self.closed.contains(&rate.month)
    }

    fn digits(&self) -> u64 {
        CROSS_RATE_DIGITS
    }
}
