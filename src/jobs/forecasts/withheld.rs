//! Services whose forecast is withheld, since a bill that makes much of them is late: what is known of their last days says
//! nothing. Teams and all cost are forecast, with what is expected of those days.

use crate::store::forecasts::NewForecast;
use crate::store::freshness::Freshness;
use crate::store::missing_bills::Missing;
use bigdecimal::BigDecimal;
use std::collections::BTreeMap;

/// Why, by service.
pub(super) fn reasons(bills: &Freshness) -> BTreeMap<i64, String> {
    bills.missing_since().into_keys().map(|id| (id, reason(&bills.of_services(&[id]).missing))).collect()
}

/// "The bill of edge-one is missing since 16 Nov 2026, and makes 100% of it".
fn reason(missing: &[Missing]) -> String {
    let told: Vec<String> = missing
        .iter()
        .filter(|one| one.is_material())
        .map(|one| {
            let since = one.since().format("%-d %b %Y");
            format!("The bill of {} is missing since {since}, and makes {}% of it", one.name, one.percent)
        })
        .collect();
    told.join(". ")
}

/// Says why instead of what a service will cost, where there is a reason. What its complete days showed then says nothing
/// of that.
pub(super) fn withhold(one: &mut NewForecast, reasons: &BTreeMap<i64, String>) {
    if one.is_hindcast || one.scope != "service" {
        return;
    }
    let Some(reason) = reasons.get(&one.scope_id) else { return };
    one.no_forecast.clone_from(reason);
    (one.point, one.low, one.high, one.past_error) = (None, None, None, None);
    (one.candidate, one.origin_count, one.widening) = ("", 0, 1.0);
    for amount in [&mut one.incomplete, &mut one.late, &mut one.rest, &mut one.fees] {
        *amount = BigDecimal::default();
    }
}
