//! Which bill a service lacks on the days that money is of.

use crate::analyze::savings::MissingBill;
use crate::focus::DateRange;
use crate::store::freshness::Freshness;
use crate::store::missing_bills::{self, Missing};
use chrono::NaiveDate;

/// The first bill of a material part of this service's own cost in a currency that lacks on some of these days.
pub(super) fn missing(bills: &Freshness, service_id: i64, currency: &str, days: DateRange) -> Option<MissingBill> {
    let first = [gap(bills, service_id, currency, days), late(bills, service_id, currency, days)]
        .into_iter()
        .flatten()
        .min()?;
    let (since, name, until) = first;
    Some(MissingBill { name, since, until })
}

/// The first day without it, whose it is, and the last day where it ends.
type Lack = (NaiveDate, String, Option<NaiveDate>);

fn gap(bills: &Freshness, service_id: i64, currency: &str, days: DateRange) -> Option<Lack> {
    let known = &bills.known_own;
    let period = known.first_gap(service_id, currency, days)?;
    let mut gaps = known.gaps().iter().filter(|gap| gap.is_daily && gap.period == period);
    let own = gaps.find(|gap| gap.material.iter().any(|(id, own)| *id == service_id && own == currency))?;
    Some((period.first_day(), own.name.clone(), Some(period.days().last_day())))
}

fn late(bills: &Freshness, service_id: i64, currency: &str, days: DateRange) -> Option<Lack> {
    bills.known_own.missing_since(service_id, currency).filter(|since| *since < days.end())?;
    let missing = missing_bills::of(&bills.weighed.own, bills.late(), Some(&[service_id]));
    let is_material = |one: &Missing| one.material_currencies().any(|own| own == currency);
    missing.into_iter().filter(is_material).map(|one| (one.since(), one.name, None)).min()
}
