//! `/metrics.csv`: what is counted, what it means, and of which days values are there.

use super::super::csv::{Cell, Table};
use super::super::{AppState, Result, moments};
use super::MetricRow;
use axum::extract::State;
use axum::response::Response;

const COLUMNS: [&str; 14] = [
    "Metric",
    "Meaning",
    "MeaningIsAssumed",
    "Unit",
    "OverHours",
    "OverServices",
    "UnitCostPer",
    "Description",
    "Services",
    "Values",
    "FirstDay",
    "LastDay",
    "ChangedBy",
    "ChangedAt",
];

pub(super) async fn show(State(app): State<AppState>) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let mut table = Table::new(&COLUMNS);
    for row in &super::rows(&mut snapshot).await? {
        table.row(&cells(row));
    }
    Ok(table.into_response("metrics.csv"))
}

fn cells(row: &MetricRow) -> Vec<Cell<'_>> {
    let MetricRow { metric, head } = row;
    let head = head.as_ref();
    vec![
        (&metric.metric).into(),
        metric.meaning_label().into(),
        if metric.is_assumed { "true" } else { "false" }.into(),
        (&metric.unit).into(),
        (&metric.over_hours).into(),
        (&metric.over_services).into(),
        i64::from(metric.unit_cost_per).into(),
        (&metric.description).into(),
        Cell::Count(head.map_or(0, |head| head.service_count)),
        Cell::Count(head.map_or(0, |head| head.point_count)),
        head.map(|head| head.first_day).into(),
        head.map(|head| head.last_day).into(),
        (&metric.changed_by).into(),
        moments::machine(&metric.changed_at).into(),
    ]
}
