//! `/catalogue.csv`: the services with their owners and names.

use super::super::csv::{Cell, Table};
use super::super::{AppState, Result};
use crate::store::catalogue::service;
use axum::extract::State;
use axum::response::Response;

pub(super) async fn show(State(app): State<AppState>) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let mut table = Table::new(&["service", "name", "team", "tier", "lifecycle", "added_by", "other_names"]);
    for service in service::list(&mut snapshot).await? {
        table.row(&[
            Cell::from(&service.slug),
            Cell::from(&service.name),
            Cell::from(&service.team_slug),
            service.tier.map_or(Cell::Empty, |tier| Cell::Count(tier.into())),
            Cell::from(&service.lifecycle),
            Cell::from(&service.origin),
            Cell::from(service.aliases.join(", ")),
        ]);
    }
    Ok(table.into_response("catalogue.csv"))
}
