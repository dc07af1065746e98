//! Services whose forecast is withheld, since a bill that makes much of them is late: what is known of their last days says
//! nothing. Teams and all cost are forecast, with what is expected of those days. A bill that is late in one currency says
//! nothing of another.

use crate::store::forecasts::NewForecast;
use crate::store::freshness::Freshness;
use crate::store::missing_bills::Missing;
use bigdecimal::BigDecimal;
use std::collections::BTreeMap;

/// Why, by service and FOCUS BillingCurrency.
pub(super) type Reasons = BTreeMap<i64, BTreeMap<String, String>>;

/// Which services have no forecast.
pub(super) fn reasons(bills: &Freshness) -> Reasons {
    let mut reasons = Reasons::new();
    for (id, since) in bills.missing_since() {
        let missing = bills.of_services(&[id]).missing;
        let of_service = reasons.entry(id).or_default();
        for currency in since.into_keys() {
            let reason = reason(&missing, &currency);
            of_service.insert(currency, reason);
        }
    }
    reasons
}

/// "The bill of edge-one is missing since 16 Nov 2026, and makes 100% of it".
fn reason(missing: &[Missing], currency: &str) -> String {
    let told: Vec<String> = missing
        .iter()
        .filter(|one| one.material_currencies().any(|own| own == currency))
        .filter_map(|one| Some((one, one.percents.get(currency)?)))
        .map(|(one, percent)| {
            let since = one.since().format("%-d %b %Y");
            format!("The bill of {} is missing since {since}, and makes {percent}% of it", one.name)
        })
        .collect();
    told.join(". ")
}

/// Says why instead of what a service will cost, where there is a reason. What its complete days showed then says nothing
/// of that.
pub(super) fn withhold(one: &mut NewForecast, reasons: &Reasons) {
    if one.is_hindcast || one.scope != "service" {
        return;
    }
    let reason = reasons.get(&one.scope_id).and_then(|of_service| of_service.get(&one.billing_currency));
    let Some(reason) = reason else { return };
    one.no_forecast.clone_from(reason);
    (one.point, one.low, one.high, one.past_error) = (None, None, None, None);
    (one.candidate, one.origin_count, one.widening) = ("", 0, 1.0);
    for amount in [&mut one.incomplete, &mut one.late, &mut one.rest, &mut one.fees] {
        *amount = BigDecimal::default();
    }
}
