//! A statement as CSV: the rows of the table, exact. Totals are left out, so that a column can be added up.

use super::super::query::{Accepts, View};
use super::super::{AppState, Error, Principal, Result};
use super::breakdown::{By, nodes};
use super::comparison::Comparison;
use crate::focus::BillingPeriod;
use crate::store::month_closing;
use crate::web::csv::{Cell, Table};
use crate::web::reporting::RatedParts;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use std::collections::BTreeSet;

/// The table of every currency. Cells of what is not known are empty: what the month before cost, what the month costs of
/// which nothing is billed, and the change between them.
pub(super) fn table(comparison: &Comparison<'_>, rated: Option<&RatedParts>) -> Table {
    let Comparison { asked, rows, .. } = comparison;
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
    let currencies: BTreeSet<&str> = rows.iter().map(|row| row.billing_currency.as_str()).collect();
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
    }
    table
}

/// What arrived late for closed months: booked to this month, or elsewhere for it.
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
    let mut rows = month_closing::adjustments(&mut snapshot, &principal.scope(), view.basis, month).await?;
    rows.retain(|row| currency.as_ref().is_none_or(|asked| *asked == row.billing_currency));
    let column = view.basis.focus_column();
    let mut table = Table::new(&[
        "ClosedMonth",
        "BookedMonth",
        "Source",
        "BillingAccountId",
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
