//! Costs in the reporting currency.

use super::costs::{Costs, MissingRate, ReportingTotal, UsedRate, plain};
use crate::focus::{BillingPeriod, Converted, RateOrigin};
use crate::web::reporting::RatedParts;
use std::collections::BTreeSet;

/// Adds what the rows are in the reporting currency; nothing where none is set.
pub(super) fn put(costs: &mut Costs, rated: Option<RatedParts>) {
    let Some(rated) = rated else { return };
    let sums = rated.sums();
    let mut total = Converted::default();
    for part in &rated.parts {
        total.add(&rated.rates, BillingPeriod::containing(part.billing_month), &part.currency, &part.cost);
    }
    for row in &mut costs.rows {
        let sum = sums.get(&(row.key.as_str(), row.billing_currency.as_str()));
        row.reporting_cost = sum.and_then(|sum| sum.known().ok()).map(plain);
    }
    let (cost, missing) = match total.known() {
        Ok(cost) => (Some(plain(cost)), &[][..]),
        Err(missing) => (None, missing),
    };
    let used: BTreeSet<(BillingPeriod, &str)> = rated
        .parts
        .iter()
        .map(|part| (BillingPeriod::containing(part.billing_month), part.currency.as_str()))
        .collect();
    let rates = used.into_iter().filter_map(|(month, currency)| {
        let rate = rated.rates.get(month, currency)?;
        let (origin, rate_date) = match rate.origin {
            RateOrigin::Entered => ("entered", None),
            RateOrigin::Market(day) => ("market", Some(day)),
        };
        Some(UsedRate {
            billing_month: month.to_string(),
            billing_currency: currency.to_owned(),
            rate: plain(&rate.value),
            origin: origin.into(),
            rate_date,
        })
    });
    costs.reporting = Some(ReportingTotal {
        currency: rated.rates.reporting_currency().to_owned(),
        cost,
        rates: rates.collect(),
        missing_rates: missing
            .iter()
            .map(|(month, currency)| MissingRate {
                billing_month: month.to_string(),
                billing_currency: currency.clone(),
            })
            .collect(),
    });
}
