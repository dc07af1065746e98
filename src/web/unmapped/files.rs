//! The lists of `/unmapped` as CSV, with every row: a page shows the first of them.

use super::super::csv::{Cell, Table};
use super::super::paged_file::note_cut;
use super::super::query::View;
use super::super::{AppState, NavItem, Page, Policy, Principal, Result, Routes};
use super::told::{event_reason, lacks};
use super::{ACCEPTS, charge_reason, span};
use crate::store::mapping_rules;
use crate::store::operational_events::kind_in_words;
use crate::store::unmapped::{self, FILE_ROW_COUNT_MAX};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use chrono::{DateTime, Utc};

/// A list that is longer has no other order or part to ask for: what is mapped leaves it.
const MAP_FIRST: &str = "rules for these let the rest move up";

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/unmapped.csv", Policy::OrganisationMoney, charges)
        .get("/unmapped/deployments.csv", Policy::SignedIn, deployments)
        .get("/unmapped/pipelines.csv", Policy::SignedIn, pipelines)
        .get("/unmapped/events.csv", Policy::SignedIn, events)
}

async fn charges(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?.of_period_only();
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::of_view(&app, &principal, &mut snapshot, "Unmapped", NavItem::Unmapped, &view).await?;
    let days = span(&view, &page).map(|span| span.days);
    let stored = mapping_rules::list(&mut snapshot).await?;
    let mut table = Table::new(&[
        "ProviderName",
        "SubAccountId",
        "SubAccountName",
        "ServiceName",
        "x_mapping_tags",
        "x_reason",
        "BillingCurrency",
        "EffectiveCost",
        "x_charge_count",
        "x_first_day",
        "x_last_day",
    ]);
    let Some(days) = days else { return Ok(table.into_response("unmapped.csv")) };
    let rows = unmapped::charges(&mut snapshot, &principal.scope(), days, FILE_ROW_COUNT_MAX).await?;
    for row in &rows {
        table.row(&[
            Cell::from(&row.provider_name),
            Cell::from(&row.sub_account_id),
            Cell::from(&row.sub_account_name),
            Cell::from(&row.service_name),
            Cell::from(row.mapping_tags.to_string()),
            Cell::from(charge_reason(row, &stored)),
            Cell::from(&row.billing_currency),
            Cell::from(&row.effective_cost),
            Cell::from(row.charge_count),
            Cell::from(days.start().to_string()),
            Cell::from(days.last_day().to_string()),
        ]);
    }
    note_cut(&mut table, rows.len(), rows.first().map_or(0, |row| row.row_count), "ask for fewer days with period");
    Ok(table.into_response("unmapped.csv"))
}

async fn deployments(State(app): State<AppState>) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let stored = mapping_rules::list(&mut snapshot).await?;
    let mut table = Table::new(&[
        "Source",
        "Repository",
        "EnvironmentAsSent",
        "ServiceAsSent",
        "Attributes",
        "Lacks",
        "Why",
        "Deployments",
        "LastDeployment",
        "LastAt",
    ]);
    let rows = unmapped::deployments(&mut snapshot, FILE_ROW_COUNT_MAX).await?;
    for row in &rows {
        let (lacks, reason) = lacks(row, &stored);
        table.row(&[
            Cell::from(&row.source_name),
            Cell::from(&row.repo),
            Cell::from(&row.environment_raw),
            Cell::from(row.service_raw.join(", ")),
            Cell::from(row.hints.to_string()),
            Cell::from(lacks),
            Cell::from(reason),
            Cell::from(row.deployment_count),
            Cell::from(row.last_deployment_id),
            moment(row.last_at),
        ]);
    }
    note_cut(&mut table, rows.len(), rows.first().map_or(0, |row| row.row_count), MAP_FIRST);
    Ok(table.into_response("unmapped-deployments.csv"))
}

async fn pipelines(State(app): State<AppState>) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let mut table =
        Table::new(&["Source", "Repository", "Pipeline", "Runs", "LastAt", "LatestRuns", "LatestRunsToldAlready"]);
    let rows = unmapped::pipelines(&mut snapshot, FILE_ROW_COUNT_MAX).await?;
    for row in &rows {
        table.row(&[
            Cell::from(&row.source_name),
            Cell::from(&row.repo),
            Cell::from(&row.name),
            Cell::from(row.run_count),
            moment(row.last_at),
            Cell::from(row.latest_count),
            Cell::from(row.told_count),
        ]);
    }
    note_cut(&mut table, rows.len(), rows.first().map_or(0, |row| row.row_count), MAP_FIRST);
    Ok(table.into_response("unmapped-pipelines.csv"))
}

async fn events(State(app): State<AppState>) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let stored = mapping_rules::list(&mut snapshot).await?;
    let mut table = Table::new(&[
        "Source",
        "ServiceAsSent",
        "Kind",
        "EnvironmentAsSent",
        "Repository",
        "Why",
        "Events",
        "LastTitle",
        "LastStarted",
    ]);
    let rows = unmapped::events(&mut snapshot, FILE_ROW_COUNT_MAX).await?;
    for row in &rows {
        table.row(&[
            Cell::from(&row.source_name),
            Cell::from(row.service_raw.join(", ")),
            Cell::from(kind_in_words(&row.kind)),
            Cell::from(&row.environment_raw),
            Cell::from(&row.repo),
            Cell::from(event_reason(row, &stored)),
            Cell::from(row.event_count),
            Cell::from(&row.last_title),
            moment(row.last_at),
        ]);
    }
    note_cut(&mut table, rows.len(), rows.first().map_or(0, |row| row.row_count), MAP_FIRST);
    Ok(table.into_response("unmapped-events.csv"))
}

fn moment(at: DateTime<Utc>) -> Cell<'static> {
    Cell::from(at.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}
