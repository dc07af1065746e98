//! `/finance/forecast`, and the forecast of one service, team or all cost as other pages show it.

use super::csv::{Cell, Table};
use super::display::{decimals, money, percent_change};
use super::drill;
use super::forecast_note;
use super::forecast_record::{self, LateSource};
use super::parts::{Switch, switches};
use super::query::{Accepts, View};
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes};
use crate::focus::DateRange;
use crate::store::forecasts::{self, ForecastFilter, ForecastRow};
use crate::store::{Scope, Snapshot};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bigdecimal::{BigDecimal, Zero};

const ACCEPTS: Accepts = Accepts { texts: &[], by: &["month", "quarter", "year"], sort: &[] };
/// Periods that are over and shown with what came.
const PAST_COUNT_MAX: i64 = 12;
const PAST_ROW_COUNT_MAX: usize = 4;
/// By so much an interval is widened at least where that is told.
const WIDENING_TOLD: f64 = 1.05;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/finance/forecast", Policy::Money, show).get("/finance/forecast.csv", Policy::Money, export)
}

/// One period, as text.
#[derive(Debug, Clone)]
pub struct PeriodRow {
    /// `November 2026`, `Quarter 4, 2026`, `2026`.
    pub label: String,
    /// Whose, in lists.
    pub name: String,
    /// Where it leads, in lists.
    pub href: String,
    /// `$47,158`, or why there is none.
    pub point: String,
    /// `$45,900 to $48,400`, or nothing.
    pub interval: String,
    /// What it is made of.
    pub made_of: String,
    /// The lines of the days that are known; may be empty.
    pub known_href: String,
    /// How, and how far that was off before.
    pub method: String,
    /// Releases that are still measured, and how far they could move it; or nothing.
    pub measured: String,
    /// Whether there is a figure.
    pub is_known: bool,
    /// The same in other currencies, where one row is for all: figure and interval.
    pub others: Vec<(String, String)>,
}

/// A period that is over.
#[derive(Debug, Clone)]
pub struct PastRow {
    /// `October 2026`.
    pub label: String,
    /// `asked on 15 Oct`.
    pub asked: String,
    /// What was said.
    pub point: String,
    /// `inside the interval` or not.
    pub held: &'static str,
    /// What came.
    pub actual: String,
    /// `+2.1%`: what came against what was said.
    pub error: String,
}

/// The forecast of one scope. Written into a template as it is; empty where nothing was worked out yet.
#[derive(Debug, Clone, Default, Template)]
#[template(path = "partials/forecast.html")]
pub struct ForecastSection {
    rows: Vec<PeriodRow>,
    past: Vec<PastRow>,
    asked: String,
    note: String,
    /// What came is told of the services that the team had when it was asked.
    is_of_team: bool,
    /// Without how it was made and how far earlier ones were off.
    is_compact: bool,
    /// What the running month is expected to come to, in a sentence a currency.
    sentence: String,
    /// How many earlier intervals held.
    record: String,
}

impl askama::filters::HtmlSafe for ForecastSection {}

impl PeriodRow {
    fn new(row: &ForecastRow) -> Self {
        let currency = &row.billing_currency;
        let Some(point) = &row.point else {
            let known = money(&row.known, currency, decimals(currency, &row.known));
            return Self {
                label: label(&row.horizon, row.first_day),
                name: name(row),
                href: href(row),
                point: "not yet".into(),
                interval: String::new(),
                made_of: format!("{known} known so far"),
                known_href: known_href(row),
                method: row.no_forecast.clone(),
                measured: String::new(),
                is_known: false,
                others: Vec::new(),
            };
        };
        let digits = decimals(currency, point);
        let text = |amount: &BigDecimal| money(amount, currency, digits);
        let interval = row.low.as_ref().zip(row.high.as_ref());
        Self {
            label: label(&row.horizon, row.first_day),
            name: name(row),
            href: href(row),
            point: text(point),
            interval: interval.map_or_else(
                || "no interval: too few past days to try".into(),
                |(low, high)| format!("{} to {}", text(low), text(high)),
            ),
            made_of: made_of(row, digits),
            known_href: known_href(row),
            method: method(row),
            measured: forecast_note::measured(row),
            is_known: true,
            others: Vec::new(),
        }
    }
}

impl PastRow {
    fn new(row: &ForecastRow) -> Option<Self> {
        let (point, actual) = (row.point.as_ref()?, row.actual.as_ref()?);
        let currency = &row.billing_currency;
        let digits = decimals(currency, &point.abs().max(actual.abs()));
        let held = match (&row.low, &row.high) {
            (Some(low), Some(high)) if low <= actual && actual <= high => "inside the interval",
            (Some(_), Some(_)) => "outside of the interval",
            _ => "without an interval",
        };
        let afterwards = if row.is_hindcast { ", worked out afterwards" } else { "" };
        Some(Self {
            label: label(&row.horizon, row.first_day),
            asked: format!("bills complete to {}{afterwards}", row.asked_on.format("%-d %b")),
            point: money(point, currency, digits),
            held,
            actual: money(actual, currency, digits),
            error: error(point, actual),
        })
    }
}

/// `+2.1%`; what came against what was said.
fn error(point: &BigDecimal, actual: &BigDecimal) -> String {
    if point.is_zero() {
        return "no share of nothing".into();
    }
    percent_change(&(actual - point), point).unwrap_or_default()
}

/// `November 2026`, `Quarter 4, 2026`, `2026`.
pub fn label(horizon: &str, first_day: chrono::NaiveDate) -> String {
    use chrono::Datelike;
    match horizon {
        "quarter" => format!("Quarter {}, {}", first_day.month0() / 3 + 1, first_day.year()),
        "year" => first_day.year().to_string(),
        _ => first_day.format("%B %Y").to_string(),
    }
}

fn name(row: &ForecastRow) -> String {
    match (row.scope.as_str(), &row.name) {
        ("total", _) => "All cost".into(),
        (_, Some(name)) => name.clone(),
        _ if row.scope_id == 0 => "Not allocated".into(),
        _ => "No longer in the catalogue".into(),
    }
}

fn href(row: &ForecastRow) -> String {
    match (row.scope.as_str(), &row.slug) {
        ("service", Some(slug)) => format!("/services/{slug}"),
        ("team", Some(slug)) => format!("/teams/{slug}"),
        _ => String::new(),
    }
}

// Known days are exact, so they lead to their lines; the rest of a forecast is an estimate.
fn known_href(row: &ForecastRow) -> String {
    let about = match (row.scope.as_str(), &row.slug) {
        ("total", _) => ("", ""),
        ("service", Some(slug)) => ("service", slug.as_str()),
        ("team", Some(slug)) => ("team", slug.as_str()),
        _ => return String::new(),
    };
    match DateRange::new(row.first_day, row.asked_on + chrono::Days::new(1)) {
        Some(days) if !row.known.is_zero() => {
            drill::on(&drill::lines_of(&[about, ("cur", &row.billing_currency)]), days)
        }
        _ => String::new(),
    }
}

fn made_of(row: &ForecastRow, digits: i64) -> String {
    let arriving = &row.incomplete - &row.late;
    let parts = [
        (&row.known, "known"),
        (&arriving, "days still arriving"),
        (&row.late, "expected of days whose bill is late"),
        (&row.rest, "expected of the days ahead"),
        (&row.fees, "taxes, credits and fees by the calendar"),
    ];
    let values: Vec<BigDecimal> = parts.iter().map(|(amount, _)| (*amount).clone()).collect();
    let total: BigDecimal = values.iter().sum();
    let shown = super::display::shown(&values, &total, digits);
    let named = parts.iter().zip(&shown).filter(|((amount, _), _)| !amount.is_zero());
    let texts: Vec<String> =
        named.map(|((_, what), amount)| format!("{} {what}", money(amount, &row.billing_currency, digits))).collect();
    texts.join(" + ")
}

fn method(row: &ForecastRow) -> String {
    let how = match row.candidate.as_str() {
        "seasonal-naive" => "Same weekday of the last week",
        "weekday-profile" => "Weekdays on the level of the last week",
        _ => "Weekdays on the level of the last week, a third of the growth going on",
    };
    let restarts = match row.restart_count {
        0 => String::new(),
        1 => "; starts anew at 1 release whose effect has settled".into(),
        count => format!("; starts anew at {count} releases whose effects have settled"),
    };
    let widened = match row.widening {
        widening if widening < WIDENING_TOLD => String::new(),
        widening => format!("; interval {widening:.1} times as wide as that says, since earlier ones held too seldom"),
    };
    match row.past_error {
        Some(error) => format!(
            "{how}{restarts}; did best from {} past days, {:.1}% off on average{widened}",
            row.origin_count,
            percent(error)
        ),
        None => format!("{how}{restarts}; no past days to try it on"),
    }
}

#[expect(clippy::float_arithmetic, reason = "a share, no amount")]
fn percent(share: f64) -> f64 {
    100.0 * share
}

impl ForecastSection {
    /// Reads the forecast of one service (`service`), team (`team`) or all cost (`total`, 0), in one currency or in all.
    pub async fn read(
        conn: &mut Snapshot,
        scope: &Scope,
        (kind, id): (&str, i64),
        currency: Option<&str>,
    ) -> Result<Self> {
        let filter = ForecastFilter { scope: Some(kind), scope_id: Some(id), currency, ..ForecastFilter::default() };
        let standing = forecasts::standing(conn, scope, filter).await?;
        if standing.is_empty() {
            return Ok(Self::default());
        }
        let past = forecasts::past(conn, scope, filter, PAST_COUNT_MAX).await?;
        let currencies: std::collections::BTreeSet<&str> =
            standing.iter().map(|row| row.billing_currency.as_str()).collect();
        Ok(Self {
            asked: standing[0].asked_on.format("%-d %b %Y").to_string(),
            note: if currencies.len() > 1 { "Currencies are never added.".into() } else { String::new() },
            sentence: month_sentence(&standing),
            rows: standing.iter().map(PeriodRow::new).collect(),
            past: past.iter().filter_map(PastRow::new).take(PAST_ROW_COUNT_MAX).collect(),
            is_of_team: kind == "team",
            is_compact: false,
            record: forecast_record::read(conn).await?,
        })
    }

    /// One row a period with all currencies, for a page that is about more.
    pub fn compact(mut self) -> Self {
        let mut rows: Vec<PeriodRow> = Vec::new();
        for row in std::mem::take(&mut self.rows) {
            match rows.iter_mut().find(|one| one.label == row.label && one.is_known && row.is_known) {
                Some(one) => {
                    let measured = [std::mem::take(&mut one.measured), row.measured];
                    one.measured = measured.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(". ");
                    one.others.push((row.point, row.interval));
                }
                None => rows.push(row),
            }
        }
        Self { is_compact: true, past: Vec::new(), rows, ..self }
    }

    /// "November 2026 is expected to end at $1.2M, …", or nothing.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    /// Reads what is said of a month: of all cost, else of the teams that may be seen. Of one that is over what was said.
    pub async fn of_month(
        conn: &mut Snapshot,
        scope: &Scope,
        first_day: chrono::NaiveDate,
        currency: Option<&str>,
    ) -> Result<Self> {
        let kind = if scope.is_everything() { "total" } else { "team" };
        let filter =
            ForecastFilter { scope: Some(kind), horizon: Some("month"), currency, ..ForecastFilter::default() };
        let mut standing = forecasts::standing(conn, scope, filter).await?;
        standing.retain(|row| row.first_day == first_day);
        let mut past = forecasts::past(conn, scope, filter, PAST_COUNT_MAX).await?;
        past.retain(|row| row.first_day == first_day);
        let named = |row: &ForecastRow| {
            let mut shown = PeriodRow::new(row);
            if kind == "team" {
                shown.label = format!("{}, {}", shown.name, shown.label);
            }
            shown
        };
        Ok(Self {
            asked: standing.first().map(|row| row.asked_on.format("%-d %b %Y").to_string()).unwrap_or_default(),
            note: String::new(),
            rows: standing.iter().map(named).collect(),
            past: past.iter().filter_map(PastRow::new).collect(),
            is_of_team: kind == "team",
            record: forecast_record::read(conn).await?,
            ..Self::default()
        })
    }
}

// Only what is known: that a history is too short stands in the table.
fn month_sentence(standing: &[ForecastRow]) -> String {
    let months = standing.iter().filter(|row| row.horizon == "month");
    let known: Vec<PeriodRow> = months.map(PeriodRow::new).filter(|row| row.is_known).collect();
    let amount = |row: &PeriodRow| match row.interval.is_empty() {
        true => row.point.clone(),
        false => format!("{} ({})", row.point, row.interval),
    };
    let amounts: Vec<String> = known.iter().map(amount).collect();
    let label = known.first().map(|row| row.label.as_str()).unwrap_or_default();
    if amounts.is_empty() { String::new() } else { format!("{label} is expected to end at {}.", amounts.join(" and ")) }
}

fn expected(row: &PeriodRow) -> String {
    match row.interval.is_empty() {
        true => format!("{} is expected to end at {}.", row.label, row.point),
        false => format!("{} is expected to end at {}, {}.", row.label, row.point, row.interval),
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "forecast.html")]
struct ForecastPage {
    page: Page,
    switches: Vec<Switch>,
    asked: String,
    answer: String,
    label: String,
    total: Vec<PeriodRow>,
    teams: Vec<PeriodRow>,
    services: Vec<PeriodRow>,
    past: Vec<PastRow>,
    /// Sources without whose last days these are made.
    late: Vec<LateSource>,
    /// How many earlier intervals held.
    record: String,
    /// What all cost, teams and services differ by.
    sums: String,
    csv_href: String,
}

async fn show(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let currency = view.currency(&mut snapshot).await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Forecast", NavItem::Forecast).await?;
    let page = page.noting(view.note());
    let scope = principal.scope();
    let horizon = view.by().to_owned();
    let filter = ForecastFilter { horizon: Some(&horizon), currency: currency.as_deref(), ..ForecastFilter::default() };
    let rows = forecasts::standing(&mut snapshot, &scope, filter).await?;
    let of_total = ForecastFilter { scope: Some("total"), ..filter };
    let past = forecasts::past(&mut snapshot, &scope, of_total, PAST_COUNT_MAX).await?;
    let of = |kind: &str| -> Vec<PeriodRow> {
        let mut shown: Vec<&ForecastRow> =
            rows.iter().filter(|row| row.scope == kind && forecast_record::is_shown(row)).collect();
        // What is not allocated comes last.
        shown.sort_by_key(|row| row.scope_id == 0);
        shown.into_iter().map(PeriodRow::new).collect()
    };
    let (total, teams, services) = (of("total"), of("team"), of("service"));
    Ok(ForecastPage {
        asked: rows.first().map(|row| row.asked_on.format("%-d %b %Y").to_string()).unwrap_or_default(),
        answer: answer(&total, &teams, &page),
        label: rows.first().map(|row| label(&row.horizon, row.first_day)).unwrap_or_default(),
        csv_href: view.link("/finance/forecast.csv", &[]),
        switches: switches(&view, "/finance/forecast", &[("month", "Month"), ("quarter", "Quarter"), ("year", "Year")]),
        past: past.iter().filter_map(PastRow::new).collect(),
        late: forecast_record::late_sources(&page.bills),
        record: forecast_record::read(&mut snapshot).await?,
        sums: forecast_record::sums(&rows),
        total,
        teams,
        services,
        page,
    }
    .into_response())
}

fn answer(total: &[PeriodRow], teams: &[PeriodRow], page: &Page) -> String {
    let sentence = |row: &PeriodRow| match row.is_known {
        true => expected(row),
        false => format!("{} cannot be told yet. {}.", row.label, row.method),
    };
    let all: Vec<String> = total.iter().map(sentence).collect();
    match () {
        () if !all.is_empty() => all.join(" "),
        () if !teams.is_empty() => {
            teams.iter().map(|row| format!("{}: {}", row.name, sentence(row))).collect::<Vec<_>>().join(" ")
        }
        () if page.bills.sources.is_empty() => "No bills yet: forecasts follow once four weeks of them are in.".into(),
        () => "Nothing was worked out yet: forecasts follow within a minute of each publication.".into(),
    }
}

async fn export(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let currency = view.currency(&mut snapshot).await?;
    let horizon = view.text("by").map(|_| view.by().to_owned());
    let filter =
        ForecastFilter { horizon: horizon.as_deref(), currency: currency.as_deref(), ..ForecastFilter::default() };
    let rows = forecasts::standing(&mut snapshot, &principal.scope(), filter).await?;
    let mut table = Table::new(&[
        "Scope",
        "Name",
        "BillingCurrency",
        "Horizon",
        "FirstDay",
        "LastDay",
        "BillsCompleteTo",
        "Forecast",
        "Low",
        "High",
        "Known",
        "StillArriving",
        "DaysAhead",
        "CalendarFees",
        "Method",
        "PastError",
        "Reason",
        "MeasuredReleases",
        "CouldRise",
        "CouldFall",
        "LateBills",
        "Widening",
    ]);
    for row in &rows {
        table.row(&[
            (&row.scope).into(),
            (&row.slug).into(),
            (&row.billing_currency).into(),
            (&row.horizon).into(),
            row.first_day.to_string().into(),
            row.last_day.to_string().into(),
            row.asked_on.to_string().into(),
            (&row.point).into(),
            (&row.low).into(),
            (&row.high).into(),
            Cell::Amount(&row.known),
            Cell::Amount(&row.incomplete),
            Cell::Amount(&row.rest),
            Cell::Amount(&row.fees),
            (&row.candidate).into(),
            row.past_error.map_or(Cell::Empty, |error| format!("{error:.4}").into()),
            (&row.no_forecast).into(),
            Cell::Count(row.provisional_count.into()),
            Cell::Amount(&row.could_rise()),
            Cell::Amount(&row.could_fall()),
            Cell::Amount(&row.late),
            format!("{:.3}", row.widening).into(),
        ]);
    }
    Ok(table.into_response("forecast.csv"))
}
