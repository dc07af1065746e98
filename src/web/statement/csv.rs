//! A statement as CSV: the rows of the table, exact, and what is booked for closed months as one more row. Totals are left
//! out, so that a column can be added up: to the total with adjustments, those of all months to what the bills say.

use super::super::query::{Accepts, View};
use super::super::{AppState, Error, Principal, Result};
use super::booked_total::booked_node;
use super::breakdown::{By, NOT_ALLOCATED, nodes};
use super::comparison::Comparison;
use crate::focus::BillingPeriod;
use crate::store::booked_costs::{self, AdjustmentPart, BookedCost};
use crate::web::csv::{Cell, Table};
use crate::web::reporting::RatedParts;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use std::collections::BTreeSet;

/// The table of every currency. Cells of what is not known are empty: what the month before cost, what the month costs of
/// which nothing is billed, and the change between them.
pub(super) fn table(comparison: &Comparison<'_>, booked: &[BookedCost], rated: Option<&RatedParts>) -> Table {
    let Comparison { asked, rows, .. } = *comparison;
    let (group, item) = match asked.by {
        By::Team => ("Team", "Service"),
        By::CostCenter => ("CostCenter", "Team"),
        by => (by.label(), ""),
    };
    let before = asked.before.to_string();
    let month = asked.month.to_string();
    let column = asked.basis.focus_column();
    let (before, now) = (format!("{column} {before}"), format!("{column} {month}"));
    let mut columns = vec![group];
    if !item.is_empty() {
        columns.push(item);
    }
    columns.extend(["BillingCurrency", before.as_str(), now.as_str(), "Change", "Lines"]);
    let reporting_column = format!("Reporting{now}");
    if rated.is_some() {
        columns.extend(["ReportingCurrency", reporting_column.as_str()]);
    }
    let mut table = Table::new(&columns);
    let mut currencies: BTreeSet<&str> = rows.iter().map(|row| row.billing_currency.as_str()).collect();
    currencies.extend(booked.iter().map(|one| one.billing_currency.as_str()));
    for currency in currencies {
        let known = comparison.of(currency);
        for node in nodes(rows, asked.month.first_day(), asked.by, currency) {
            let leaves = if node.children.is_empty() { vec![&node] } else { node.children.iter().collect() };
            for leaf in leaves {
                let change = leaf.change();
                let mut cells: Vec<Cell<'_>> = vec![(&node.name).into()];
                if !item.is_empty() {
                    cells.push(if node.children.is_empty() { Cell::Empty } else { (&leaf.name).into() });
                }
                let cell = |is_known: bool, amount| if is_known { Cell::Amount(amount) } else { Cell::Empty };
                cells.extend([
                    currency.into(),
                    cell(known.before, &leaf.before),
                    cell(known.now, &leaf.now),
                    cell(known.is_compared(), &change),
                ]);
                cells.push(leaf.charge_count.into());
                let converted = rated.map(|rated| leaf.converted(&rated.rates, currency));
                if let Some((rated, converted)) = rated.zip(converted.as_ref()) {
                    cells.push(rated.rates.reporting_currency().into());
                    // Empty where a rate is missing or nothing is billed: never a guess.
                    let amount = converted.known().ok().filter(|_| known.now);
                    cells.push(amount.map_or(Cell::Empty, Cell::from));
                }
                table.row(&cells);
            }
        }
        // It is known whether or not anything is billed, and of no team or service: `adjustments.csv` has those.
        if let Some(node) = booked_node(asked, booked, currency) {
            let change = node.change();
            let mut cells: Vec<Cell<'_>> = vec![(&node.name).into()];
            if !item.is_empty() {
                cells.push(Cell::Empty);
            }
            cells.extend([Cell::from(currency), (&node.before).into(), (&node.now).into(), (&change).into()]);
            cells.push(node.charge_count.into());
            let converted = rated.map(|rated| node.converted(&rated.rates, currency));
            if let Some((rated, converted)) = rated.zip(converted.as_ref()) {
                cells.push(rated.rates.reporting_currency().into());
                cells.push(converted.known().map_or(Cell::Empty, Cell::from));
            }
            table.row(&cells);
        }
    }
    table
}

/// What arrived late for closed months: booked to this month, or elsewhere for it, by service and environment with the
/// owner that each had then, so that it can be charged back.
pub(super) async fn adjustments(
    State(app): State<AppState>,
    principal: Principal,
    Path(month): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let month: BillingPeriod = month.parse().map_err(|error| Error::Invalid(format!("{month}: {error}.")))?;
    let view = View::parse(query.as_deref(), Accepts::default())?;
    let mut snapshot = app.pools.snapshot().await?;
    let currency = view.currency(&mut snapshot).await?;
    let mut rows = booked_costs::parts(&mut snapshot, &principal.scope(), view.basis, month).await?;
    rows.retain(|row| currency.as_ref().is_none_or(|asked| *asked == row.billing_currency));
    let column = view.basis.focus_column();
    let mut table = Table::new(&[
        "ClosedMonth",
        "BookedMonth",
        "Source",
        "BillingAccountId",
        "Service",
        "Team",
        "CostCenter",
        "Environment",
        "BillingCurrency",
        column,
        "Lines",
        "Delivery",
        "Publication",
        "BookedAt",
    ]);
    for row in &rows {
        table.row(&[
            BillingPeriod::containing(row.closed_month).to_string().into(),
            BillingPeriod::containing(row.booked_month).to_string().into(),
            (&row.source_name).into(),
            (&row.billing_account_id).into(),
            service(row),
            (&row.team_name).into(),
            (&row.cost_center).into(),
            (&row.environment_name).into(),
            (&row.billing_currency).into(),
            (&row.cost).into(),
            row.charge_count.into(),
            row.delivery_id.map_or(Cell::Empty, Cell::Count),
            row.publication_id.into(),
            row.booked_at.format("%Y-%m-%dT%H:%M:%SZ").to_string().into(),
        ]);
    }
    Ok(table.into_response(&format!("adjustments-{month}.csv")))
}

// Empty where it is not known: booked before it was kept.
fn service(row: &AdjustmentPart) -> Cell<'_> {
    match (row.service_id, &row.service_name) {
        (Some(0), _) => NOT_ALLOCATED.into(),
        (_, name) => name.into(),
    }
}
