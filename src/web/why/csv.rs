//! The causes of a change as CSV: exact, one row a currency and cause.

use super::{Explained, Why};
use crate::web::csv::{Cell, Table};

/// The causes of every currency. Rows in the reporting currency name no billing currency, so that a column can be added
/// up by it; they are left out where a rate is missing.
pub fn table(why: &Why) -> Table {
    let mut columns = vec!["BillingCurrency", "Cause", "Label", "Amount", "Detail"];
    if why.reported.is_some() {
        columns.insert(1, "ReportingCurrency");
    }
    let mut table = Table::new(&columns);
    for one in &why.changes {
        add(&mut table, one, false, why.reported.is_some());
    }
    if let Some(reported) = why.reported.as_ref().filter(|reported| reported.missing.is_empty()) {
        add(&mut table, &reported.explained, true, true);
    }
    table
}

fn add(table: &mut Table, one: &Explained, is_reported: bool, has_reporting: bool) {
    for row in &one.rows {
        let currency = || Cell::from(&one.currency);
        let mut cells = vec![if is_reported { Cell::Empty } else { currency() }];
        if has_reporting {
            cells.push(if is_reported { currency() } else { Cell::Empty });
        }
        cells.extend([row.cause.key().into(), (&row.label).into(), (&row.amount).into()]);
        cells.push(row.detail_with_anomalies().into());
        table.row(&cells);
    }
}
