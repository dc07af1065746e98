//! A statement as CSV: the rows of the table, exact. Totals are left out, so that a column can be added up.

use super::Asked;
use super::breakdown::{By, nodes};
use crate::store::statements::StatementRow;
use crate::web::csv::{Cell, Table};
use std::collections::BTreeSet;

/// The table of every currency.
pub fn table(asked: &Asked, rows: &[StatementRow]) -> Table {
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
    let mut table = Table::new(&columns);
    let currencies: BTreeSet<&str> = rows.iter().map(|row| row.billing_currency.as_str()).collect();
    for currency in currencies {
        for node in nodes(rows, asked.month.first_day(), asked.by, currency) {
            let leaves = if node.children.is_empty() { vec![&node] } else { node.children.iter().collect() };
            for leaf in leaves {
                let change = leaf.change();
                let mut cells: Vec<Cell<'_>> = vec![(&node.name).into()];
                if !item.is_empty() {
                    cells.push(if node.children.is_empty() { Cell::Empty } else { (&leaf.name).into() });
                }
                cells.extend([currency.into(), (&leaf.before).into(), (&leaf.now).into(), (&change).into()]);
                cells.push(leaf.charge_count.into());
                table.row(&cells);
            }
        }
    }
    table
}
