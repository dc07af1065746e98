//! `/rules.csv`: the rules in the order in which they are asked, and what each takes. A rule has a row a currency,
//! and one without money where it took none or the reader sees none.

use super::super::csv::{Cell, Table};
use super::super::{AppState, Principal, Result, moments};
use super::{RuleList, RuleRow};
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};

const COLUMNS: [&str; 18] = [
    "Number",
    "RuleId",
    "AppliesTo",
    "Conditions",
    "Targets",
    "Note",
    "FirstDay",
    "LastDay",
    "KindsOfCharge",
    "Deployments",
    "OperationalEvents",
    "BillingCurrency",
    "EffectiveCost",
    "CostFirstDay",
    "CostLastDay",
    "Version",
    "ChangedBy",
    "ChangedAt",
];

pub(super) async fn show(State(app): State<AppState>, principal: Principal) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let list = super::read(&app, &principal, &mut snapshot).await?;
    let mut table = Table::new(&COLUMNS);
    for row in &list.rows {
        for cost in cost_cells(row, &list) {
            let change = change_cells(row.version, &row.changed_by, &row.changed_at);
            table.row(&[rule_cells(row), cost, change].concat());
        }
    }
    Ok(table.into_response("rules.csv"))
}

fn rule_cells(row: &RuleRow) -> Vec<Cell<'_>> {
    let conditions =
        if row.conditions.is_empty() { "everything that is left".into() } else { row.conditions.join(" and ") };
    vec![
        Cell::Count(row.number as i64),
        Cell::Count(row.id),
        (&row.applies_to).into(),
        conditions.into(),
        row.targets.join("; ").into(),
        (&row.note).into(),
        row.validity.first_day.into(),
        row.validity.last_day.into(),
        Cell::Count(row.taken.key_count),
        Cell::Count(row.taken.deployment_count),
        Cell::Count(row.taken.event_count),
    ]
}

// What it took on the recent days, by currency.
fn cost_cells<'a>(row: &'a RuleRow, list: &RuleList) -> Vec<Vec<Cell<'a>>> {
    let costs = if list.shows_money { row.taken.cost.as_slice() } else { &[] };
    if costs.is_empty() {
        return vec![vec![Cell::Empty; 4]];
    }
    let (first, last) = (Some(list.recent.start()), Some(list.recent.last_day()));
    let cells = costs
        .iter()
        .map(|money| vec![Cell::from(&money.currency), Cell::from(&money.amount), first.into(), last.into()]);
    cells.collect()
}

/// The cells of Version, ChangedBy and ChangedAt.
pub(in crate::web) fn change_cells<'a>(version: i32, by: &'a str, at: &DateTime<Utc>) -> Vec<Cell<'a>> {
    vec![Cell::Count(version.into()), by.into(), moments::machine(at).into()]
}
