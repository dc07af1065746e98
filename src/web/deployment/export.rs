//! The days of the comparison as a table.

use super::super::comparison::Around;
use super::super::csv::Table;
use super::chart;
use crate::store::deployment_costs::{ServedService, ServiceDayCost};

/// One row a day, service and currency.
pub(super) fn export(days: &[ServiceDayCost], open: &[ServedService], around: &Around) -> Table {
    let mut table = Table::new(&["ChargeDate", "Service", "BillingCurrency", "Cost", "Side"]);
    for day in days {
        let service = open.iter().find(|service| service.service_id == day.service_id);
        table.row(&[
            day.charge_date.to_string().into(),
            service.map(|service| service.name.as_str()).unwrap_or_default().into(),
            day.currency.as_str().into(),
            (&day.cost).into(),
            chart::side(around, day.charge_date).into(),
        ]);
    }
    table
}
