//! `/splits.csv`: the splits in the order in which they are worked out, and what each moved. A split has a row a
//! currency, and one without money where it moved none or the reader sees none.

use super::super::csv::{Cell, Table};
use super::super::rules::csv::change_cells;
use super::super::{AppState, Principal, Result};
use super::{SplitList, SplitRow};
use axum::extract::State;
use axum::response::Response;
use std::collections::BTreeSet;

const COLUMNS: [&str; 16] = [
    "Number",
    "SplitId",
    "Split",
    "Service",
    "Method",
    "Among",
    "FirstDay",
    "LastDay",
    "BillingCurrency",
    "MovedEffectiveCost",
    "NotDividedEffectiveCost",
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
            table.row(&[split_cells(row), cost, change].concat());
        }
    }
    Ok(table.into_response("splits.csv"))
}

fn split_cells(row: &SplitRow) -> Vec<Cell<'_>> {
    vec![
        Cell::Count(row.number as i64),
        Cell::Count(row.id),
        (&row.name).into(),
        (&row.source).into(),
        (&row.method).into(),
        row.targets.join("; ").into(),
        row.validity.first_day.into(),
        row.validity.last_day.into(),
    ]
}

// What it moved on the recent days, and what it could not divide, by currency. Both are empty where no money is shown.
fn cost_cells<'a>(row: &'a SplitRow, list: &SplitList) -> Vec<Vec<Cell<'a>>> {
    let currencies: BTreeSet<&String> = row.moved.keys().chain(row.stayed.keys()).collect();
    if currencies.is_empty() {
        return vec![vec![Cell::Empty; 5]];
    }
    let (first, last) = (Some(list.recent.start()), Some(list.recent.last_day()));
    let cells = currencies.into_iter().map(|currency| {
        vec![
            currency.into(),
            row.moved.get(currency).map_or(Cell::Count(0), Cell::Amount),
            row.stayed.get(currency).map_or(Cell::Count(0), Cell::Amount),
            first.into(),
            last.into(),
        ]
    });
    cells.collect()
}
