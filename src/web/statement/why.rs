//! The causes of what a month moved against the one before, on its page, as CSV and for the API.

use super::comparison::Comparison;
use super::section::lines_query;
use super::{ACCEPTS, Asked, By, MonthState, billed, nodes, part};
use crate::focus::BillingPeriod;
use crate::store::costs::CostFilter;
use crate::store::freshness::Freshness;
use crate::store::missing_bills::Part;
use crate::store::statements::{self, MonthView, StatementRow};
use crate::store::variance_costs::Question;
use crate::store::{Scope, Snapshot, month_closing, statement_ties};
use crate::web::query::View;
use crate::web::why::{self, ConvertedParts, Stated, WalkLabels, WalkLines, Why, WhyWalk};
use crate::web::{AppState, Error, Principal, Result, display};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use std::collections::BTreeSet;

/// The causes by currency; none of those whose months are not compared. What a closed month states otherwise than its bills do
/// now is a cause of its own.
pub(super) async fn causes(
    app: &AppState,
    bills: &Freshness,
    conn: &mut Snapshot,
    scope: &Scope,
    comparison: &Comparison<'_>,
) -> sqlx::Result<Why> {
    if comparison.no_comparison().is_some() {
        return Ok(Why::default());
    }
    let Comparison { asked, rows, .. } = comparison;
    let filter = CostFilter { currency: asked.currency.clone(), ..CostFilter::new(asked.month.days(), asked.basis) };
    let question = Question { filter: &filter, compared: asked.before.days(), view: asked.view, dimension: None };
    let stated = stated(asked, rows);
    let mut why = why::read(app, bills, conn, scope, question, Some(&stated)).await?;
    let currency_count = why.changes.len();
    why.changes.retain(|change| comparison.of(&change.currency).is_compared());
    // Where one is not compared, all together are not either.
    if why.changes.len() < currency_count {
        why.reported = None;
    }
    Ok(why)
}

fn stated(asked: &Asked, rows: &[StatementRow]) -> Stated {
    let mut stated = Stated::default();
    let month = asked.month.first_day();
    let currencies: BTreeSet<&str> = rows.iter().map(|row| row.billing_currency.as_str()).collect();
    for currency in currencies {
        let nodes = nodes(rows, month, By::Team, currency);
        stated.now.insert(currency.to_owned(), nodes.iter().map(|node| &node.now).sum());
        stated.before.insert(currency.to_owned(), nodes.iter().map(|node| &node.before).sum());
    }
    let (now, before): (Vec<&StatementRow>, Vec<&StatementRow>) = rows.iter().partition(|row| row.month == month);
    let parts = |rows: Vec<&StatementRow>| rows.into_iter().map(part).collect();
    stated.parts = ConvertedParts { now: parts(now), before: parts(before) };
    stated
}

/// The walk of one currency.
pub(super) fn walk_of(causes: &Why, asked: &Asked, currency: &str) -> Option<WhyWalk> {
    let own = causes.changes.iter().find(|one| one.currency == currency)?;
    let (before, now) = (asked.before.label(), asked.month.label());
    let more = match asked.view {
        MonthView::ChargeDay => format!("/why?period={}&basis={}", asked.month, asked.basis.key()),
        MonthView::BillingPeriod => String::new(),
    };
    let csv = csv_href(asked);
    let lines = |month| format!("/charges?{}", lines_query(&Asked { month, ..asked.clone() }, currency));
    let lines = WalkLines::new(lines(asked.before), lines(asked.month));
    let labels = WalkLabels { before: &before, now: &now, more_href: &more, csv_href: &csv, lines: Some(&lines) };
    WhyWalk::new(own, &labels, display::minor_units(currency))
}

/// The walk in the reporting currency, with the minor unit as all of a statement.
pub(super) fn reported_walk(causes: &Why, asked: &Asked) -> Option<WhyWalk> {
    let reported = causes.reported.as_ref()?;
    let (before, now) = (asked.before.label(), asked.month.label());
    let labels = WalkLabels { before: &before, now: &now, more_href: "", csv_href: "", lines: None };
    WhyWalk::reported(reported, &labels, display::minor_units(&reported.explained.currency))
}

fn csv_href(asked: &Asked) -> String {
    let mut query = vec![("view", asked.view.key()), ("basis", asked.basis.key())];
    if asked.before != asked.month.previous() {
        query.push(("vs", "py"));
    }
    if let Some(currency) = &asked.currency {
        query.push(("cur", currency));
    }
    let query = serde_urlencoded::to_string(query).unwrap_or_default();
    format!("/finance/statements/{}/causes.csv?{query}", asked.month)
}

/// Why a month's statement differs from the one before, with the months that are compared.
pub struct MonthWhy {
    /// The month.
    pub month: BillingPeriod,
    /// The month that it is compared with.
    pub before: BillingPeriod,
    /// What is asked for beside it.
    pub view: View,
    /// How far the bills reach.
    pub bills: Freshness,
    /// The causes.
    pub why: Why,
    /// Why the month is compared with none; else of each currency that is not compared.
    not_compared: Vec<String>,
    is_compared: bool,
}

impl MonthWhy {
    /// What is said of a month that is compared with none, or that the bills do not know to its end yet.
    pub fn notes(&self) -> Vec<String> {
        let none = |why: &String| format!("There is no change to explain: {why}.");
        let mut notes: Vec<String> = self.not_compared.iter().map(none).collect();
        let last = self.bills.complete_to().filter(|last| *last < self.month.days().last_day());
        notes.extend(last.filter(|_| self.is_compared).map(|last| {
            format!(
                "Bills are complete to {}: causes are told of the complete days, and what the others lack is the cause days-to-come.",
                last.format("%-d %b %Y")
            )
        }));
        notes
    }
}

/// Reads it with the parameters of the statement's page.
pub async fn month_why(app: &AppState, principal: &Principal, month: &str, query: Option<&str>) -> Result<MonthWhy> {
    let month: BillingPeriod = month.parse().map_err(|error| Error::Invalid(format!("{month}: {error}.")))?;
    let view = View::parse(query, ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let asked = Asked::read(&mut snapshot, month, &view).await?;
    let scope = principal.scope();
    let mut rows = Vec::new();
    for month in [asked.before, asked.month] {
        rows.extend(statements::rows(&mut snapshot, &scope, asked.view, asked.basis, month, month).await?);
    }
    if let Some(currency) = &asked.currency {
        rows.retain(|row| row.billing_currency == *currency);
    }
    let part = Part { currency: asked.currency.clone(), ..Part::default() };
    let bills = app.bills(&mut snapshot).await?.of_part(&mut snapshot, &scope, part).await?;
    let bills = bills.of_days(vec![asked.month.days(), asked.before.days()]);
    let reach = statement_ties::reach(&mut snapshot).await?;
    let closing = month_closing::current(&mut snapshot, month).await?;
    let state = MonthState::of(month, &reach, closing.as_ref(), app.now().date_naive());
    let billed = billed(&mut snapshot, &asked, &state).await?;
    let comparison = Comparison::new(&bills, &asked, &state, &rows, &billed);
    let why = causes(app, &bills, &mut snapshot, &scope, &comparison).await?;
    let none = comparison.no_comparison();
    let is_compared = none.is_none();
    let not_compared = match none {
        Some(why) => vec![why],
        None => {
            let currencies: BTreeSet<&str> = rows.iter().map(|row| row.billing_currency.as_str()).collect();
            currencies.into_iter().filter_map(|currency| comparison.of(currency).no_comparison).collect()
        }
    };
    Ok(MonthWhy { month, before: asked.before, view, bills, why, not_compared, is_compared })
}

/// The causes as CSV.
pub(super) async fn export(
    State(app): State<AppState>,
    principal: Principal,
    Path(month): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let read = month_why(&app, &principal, &month, query.as_deref()).await?;
    Ok(why::table(&read.why).into_response(&format!("causes-{month}.csv")))
}
