//! `/services/{slug}/delivery.csv` and that of a team: the section "Delivery" of their pages as a table. The API reads here
//! too, so that all three tell the same.

use super::csv::{Cell, Table};
use super::delivery_figures::{Deliveries, DeliveryFigures};
use super::query::{Accepts, View};
use super::{AppState, Error, Policy, Principal, Result, Routes};
use crate::store::missing_bills::Part;
use crate::store::{Snapshot, service_costs, team_heads};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;

/// What narrows the pages: how far their bills reach says which days are theirs.
const ACCEPTS: Accepts = Accepts { texts: &["env", "provider", "charge"], by: &[], sort: &[] };
const COLUMNS: [&str; 10] =
    ["Metric", "Side", "FirstDay", "LastDay", "Value", "Unit", "Count", "CountOf", "Shown", "Definition"];

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/services/{slug}/delivery.csv", Policy::Money, of_service).get(
        "/teams/{slug}/delivery.csv",
        Policy::Money,
        of_team,
    )
}

/// Whose deliveries are asked about, by address.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// A service.
    Service(&'a str),
    /// All services of a team.
    Team(&'a str),
}

async fn of_service(
    State(app): State<AppState>,
    principal: Principal,
    Path(slug): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    file(&app, &principal, query, Whose::Service(&slug), &format!("{slug}-delivery.csv")).await
}

async fn of_team(
    State(app): State<AppState>,
    principal: Principal,
    Path(slug): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    file(&app, &principal, query, Whose::Team(&slug), &format!("team-{slug}-delivery.csv")).await
}

async fn file(
    app: &AppState,
    principal: &Principal,
    query: Option<String>,
    whose: Whose<'_>,
    name: &str,
) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let figures = read(app, principal, &view, whose).await?;
    Ok(table(figures.as_ref()).into_response(name))
}

/// The figures of a view, on the days that its page has them for; `None` where those are still to come.
pub async fn read(
    app: &AppState,
    principal: &Principal,
    view: &View,
    whose: Whose<'_>,
) -> Result<Option<DeliveryFigures>> {
    let mut snapshot = app.pools.snapshot().await?;
    let (service_id, team_id) = found(&mut snapshot, principal, whose).await?;
    let part = Part { service_id, team_id, ..view.part(&mut snapshot).await? };
    let bills = app.bills(&mut snapshot).await?.of_part(&mut snapshot, &principal.scope(), part).await?;
    let now = app.now();
    // Deployments are there before the first bill is.
    let Some(span) = view.span(&bills).or_else(|| view.span_to(now.date_naive())) else { return Ok(None) };
    let deliveries = Deliveries::read(&mut snapshot, service_id, team_id, &span, now).await?;
    Ok(Some(deliveries.figures(&span)))
}

// The page is open to everyone; the file and the API are for whom the other files of these pages are.
async fn found(snapshot: &mut Snapshot, principal: &Principal, whose: Whose<'_>) -> Result<(Option<i64>, Option<i64>)> {
    let (ids, owner) = match whose {
        Whose::Service(slug) => {
            let service = service_costs::head(snapshot, slug).await?.ok_or(Error::NotFound)?;
            ((Some(service.service_id), None), service.team_id)
        }
        Whose::Team(slug) => {
            let team = team_heads::get(snapshot, slug).await?.ok_or(Error::NotFound)?;
            ((None, Some(team.team_id)), Some(team.team_id))
        }
    };
    principal.scope().has_team(owner).then_some(ids).ok_or(Error::Forbidden)
}

// A row for each figure and side.
fn table(figures: Option<&DeliveryFigures>) -> Table {
    let mut table = Table::new(&COLUMNS);
    let Some(figures) = figures else { return table };
    for metric in figures.metrics() {
        for (side, days, one) in
            [("now", figures.span.days, &metric.now), ("before", figures.span.before, &metric.before)]
        {
            table.row(&[
                metric.name.into(),
                side.into(),
                Some(days.start()).into(),
                Some(days.last_day()).into(),
                (&one.value).into(),
                metric.unit.into(),
                one.count.map_or(Cell::Empty, Cell::from),
                one.of.map_or(Cell::Empty, Cell::from),
                (&one.shown).into(),
                (&metric.definition).into(),
            ]);
        }
    }
    table
}
