//! What a unit of the deployment's services cost before and after it.

use super::{at, went_live};
use crate::focus::CostBasis;
use crate::store::Snapshot;
use crate::store::deployment_costs::{self, ServedService, ServiceDayCost};
use crate::store::deployment_lists::{self, Row};
use crate::store::freshness::Freshness;
use crate::web::comparison::{Around, FOUR_WEEKS, rollout_from};
use crate::web::csv;
use crate::web::unit_costs::{ServiceCosts, Sides, UnitSection, Workload, csv as workloads_csv, workloads};
use crate::web::{AppState, Error, Policy, Principal, Result};
use axum::extract::{Path, State};
use axum::response::Response;

/// Reads the workloads of services from costs that are read already; none before the deployment has complete days.
pub(super) async fn of_days(
    snapshot: &mut Snapshot,
    row: &Row,
    services: &[ServedService],
    environment_id: Option<i64>,
    around: &Around,
    days: &[ServiceDayCost],
    bills: &Freshness,
) -> sqlx::Result<Vec<Workload>> {
    let sides = around.before.zip(around.after).filter(|_| went_live(row));
    let Some((before, after)) = sides else { return Ok(Vec::new()) };
    let mut costs = ServiceCosts::new();
    for day in days {
        let own = costs.entry((day.service_id, day.currency.clone())).or_default();
        *own.entry(day.charge_date).or_default() += &day.cost;
    }
    let sides = Sides { environment_id, before, after };
    workloads(snapshot, services, sides, &costs, bills).await
}

/// The section of the page; `None` while one side has no days.
pub(super) fn section(workloads: &[Workload], around: &Around, id: i64) -> Option<UnitSection> {
    around.before.zip(around.after)?;
    let csv = if workloads.is_empty() { String::new() } else { format!("/deployments/{id}/unit-costs.csv") };
    // The estimate above is of the release alone, and may have the other sign.
    let sides = format!("{}, with all that moved, not the release alone", around.days_label());
    Some(UnitSection::new(workloads, sides, csv))
}

/// What a unit cost before and after a deployment, of the services that the reader may see.
pub async fn unit_costs(app: &AppState, principal: &Principal, id: i64) -> Result<Vec<Workload>> {
    let mut snapshot = app.pools.snapshot().await?;
    let row = deployment_lists::get(&mut snapshot, id).await?.ok_or(Error::NotFound)?;
    let scope = principal.scope();
    let services = deployment_costs::services(&mut snapshot, id).await?;
    let is_own = |service: &&ServedService| Policy::Money.allows(principal) && scope.has_team(service.team_id);
    let open: Vec<ServedService> = services.iter().filter(is_own).cloned().collect();
    if open.is_empty() && !services.is_empty() {
        return Err(Error::Forbidden);
    }
    let service_ids: Vec<i64> = services.iter().map(|service| service.service_id).collect();
    let bills = app.bills(&mut snapshot).await?.of_services(&service_ids);
    let day = at(&row).date_naive();
    let (bills_from, Some(bills_to)) = bills.billed_around(day) else { return Ok(Vec::new()) };
    let around = Around::new(day, rollout_from(row.started_at, at(&row)), bills_from, bills_to, FOUR_WEEKS);
    let environment_id = deployment_costs::environment_id(&mut snapshot, id).await?;
    let ids: Vec<i64> = open.iter().map(|service| service.service_id).collect();
    let basis = CostBasis::default();
    let days = deployment_costs::days(&mut snapshot, &scope, &ids, environment_id, around.whole(), basis).await?;
    Ok(of_days(&mut snapshot, &row, &open, environment_id, &around, &days, &bills).await?)
}

/// The same as CSV.
pub(super) async fn export(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Response> {
    let (id, _) = csv::split_id(&id)?;
    let workloads = unit_costs(&app, &principal, id).await?;
    Ok(workloads_csv(&workloads).into_response(&format!("deployment-{id}-unit-costs.csv")))
}
