//! What is used and what that costs on each basis: the lines of the bills and the truth are both made of it.

use super::components::{self, Component};
use super::cost_model::CostModel;
use super::organisation::{Cloud, SERVICES, ServicePlan};
use chrono::NaiveDate;

/// The savings plan pays 72 % of the list price of what it covers.
const SAVINGS_PLAN_PERCENT: i128 = 72;
/// Always the same services, and all of their compute in production: were it a first-come share of everything, the
/// growth of one service would change what another one pays.
const COVERED_SERVICES: [&str; 5] = ["checkout-api", "payment-gateway", "search-api", "catalog-api", "orders-api"];

/// The parts that two resources take of what production uses, in fifths.
const FIFTHS: [i128; 2] = [3, 2];

/// A quantity in 1e-4 of its unit, and what it costs in 1e-14 of the currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub quantity: i128,
    pub list: i128,
    pub billed: i128,
    pub effective: i128,
    pub is_covered: bool,
}

impl Usage {
    /// Without a plan all three costs are the same.
    pub fn of(part: &Component, quantity: i128, is_covered: bool) -> Self {
        let list = quantity * i128::from(part.unit_price);
        // Exact: every price is a multiple of a hundred.
        let effective = if is_covered { list * SAVINGS_PLAN_PERCENT / 100 } else { list };
        Self { quantity, list, billed: if is_covered { 0 } else { list }, effective, is_covered }
    }
}

/// Whether the savings plan covers this.
pub fn is_covered(service: &ServicePlan, part: &Component, environment: usize) -> bool {
    environment == 0 && part.is_compute && COVERED_SERVICES.contains(&service.slug)
}

/// What each resource of a component uses on a day. Without a plan yet, nothing is covered.
pub fn on_day(
    model: &CostModel,
    service: usize,
    day: NaiveDate,
    environment: usize,
    component: usize,
    has_plan: bool,
) -> Vec<Usage> {
    let plan = &SERVICES[service];
    let part = &components::of(plan.cloud, plan.workload)[component];
    let covered = has_plan && is_covered(plan, part, environment);
    let cost = model.cost(service, day, environment, component);
    let shares: &[f64] = if environment == 0 { &[0.6, 0.4] } else { &[1.0] };
    let released = split(model.released(service, day, environment, component), shares.len());
    let quantity = |(share, released): (&f64, i128)| {
        let usual = (cost * share / part.unit_price as f64 * 1e14).round() as i128;
        (usual.max(1) + released).max(1)
    };
    shares.iter().zip(released).map(|resource| Usage::of(part, quantity(resource), covered)).collect()
}

/// What a release changes, over all resources.
pub fn of_effect(service: &ServicePlan, environment: usize, component: usize, quantity: i128) -> Usage {
    let part = &components::of(service.cloud, service.workload)[component];
    Usage::of(part, quantity, is_covered(service, part, environment))
}

/// The fee of the plan: enough for the day that uses most, in hundreds.
pub fn plan_fee_a_day(model: &CostModel) -> i128 {
    let hundred = 100 * super::bill_line::ONE;
    let most = model.days().map(|day| covered_on(model, day)).max().unwrap_or_default();
    (most + hundred - 1) / hundred * hundred
}

fn covered_on(model: &CostModel, day: NaiveDate) -> i128 {
    let services = SERVICES.iter().enumerate().filter(|(_, service)| service.cloud == Cloud::Amazon);
    let parts = services.flat_map(|(index, service)| {
        let parts = components::of(service.cloud, service.workload).iter().enumerate();
        parts.filter(|(_, part)| is_covered(service, part, 0)).map(move |(part, _)| (index, part))
    });
    parts.flat_map(|(service, part)| on_day(model, service, day, 0, part, true)).map(|usage| usage.effective).sum()
}

fn split(quantity: i128, resource_count: usize) -> Vec<i128> {
    if resource_count == 1 {
        return vec![quantity];
    }
    let first = quantity * FIFTHS[0] / FIFTHS.iter().sum::<i128>();
    vec![first, quantity - first]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_such_that_the_plan_is_exact() {
        for service in &SERVICES {
            for part in components::of(service.cloud, service.workload) {
                assert_eq!(part.unit_price % 100, 0, "{}", part.meter);
            }
        }
    }
}
