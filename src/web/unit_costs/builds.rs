//! Services whose runs of pipelines are builds of something else that they do: all that such a service costs is not the
//! cost of its runs, as the pages of services have it.

use crate::focus::DateRange;
use crate::store::costs::CostFilter;
use crate::store::metrics::{self, Metric};
use crate::store::unit_costs::{self, UnitGroup};
use crate::store::{Scope, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// What stands in CSV in the place of a reason, for a group that is left out.
pub const OWN_BUILDS: &str = "own-builds";
/// Names that a sentence tells; the CSV has all.
const NAME_COUNT_MAX: usize = 8;

/// The groups of which no cost of a unit of this metric is told, by their keys: a service whose runs are builds of its
/// own, and an environment or a product with such a service.
pub async fn groups_apart(
    conn: &mut Snapshot,
    scope: &Scope,
    filter: &CostFilter,
    metric: &Metric,
    group: UnitGroup,
    days: DateRange,
) -> sqlx::Result<BTreeSet<String>> {
    if !metric.is_of_builds() {
        return Ok(BTreeSet::new());
    }
    let job_minutes = metrics::job_minutes(conn).await?;
    let known: BTreeMap<String, Metric> =
        metrics::list(conn).await?.into_iter().map(|metric| (metric.metric.clone(), metric)).collect();
    let counted = unit_costs::counted_beside(conn, scope, filter, &metric.metric, days).await?;
    let is_unit = |name: &str| known.get(name).is_some_and(|metric| metric.is_unit(&job_minutes));
    let apart: BTreeSet<i64> = counted
        .iter()
        .filter(|one| !metric.is_told_beside(is_unit(&one.beside), one.is_named))
        .map(|one| one.service_id)
        .collect();
    if apart.is_empty() {
        return Ok(BTreeSet::new());
    }
    let services = unit_costs::services(conn, group, days).await?;
    Ok(services.into_iter().filter(|(_, service_id)| apart.contains(service_id)).map(|(key, _)| key).collect())
}

/// "2 services whose runs are builds of their own are left out: search and shop."; empty where none is.
pub fn left_out(group: UnitGroup, names: &BTreeSet<String>) -> String {
    let count = names.len();
    let (one, many) = match group {
        UnitGroup::Service => {
            ("service whose runs are builds of its own", "services whose runs are builds of their own")
        }
        UnitGroup::Environment => (
            "environment with services whose runs are builds of their own",
            "environments with services whose runs are builds of their own",
        ),
        UnitGroup::Product => (
            "product with services whose runs are builds of their own",
            "products with services whose runs are builds of their own",
        ),
    };
    let subject = match count {
        0 => return String::new(),
        1 => format!("1 {one} is"),
        count => format!("{count} {many} are"),
    };
    let told: Vec<&str> = names.iter().take(NAME_COUNT_MAX).map(String::as_str).collect();
    let more = if count > told.len() { format!(" and {} more", count - told.len()) } else { String::new() };
    format!("{subject} left out: {}{more}.", told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_and_named() {
        let names = |count: usize| -> BTreeSet<String> { (1..=count).map(|number| format!("s{number}")).collect() };
        assert_eq!(left_out(UnitGroup::Service, &names(0)), "");
        assert_eq!(
            left_out(UnitGroup::Service, &names(1)),
            "1 service whose runs are builds of its own is left out: s1."
        );
        assert_eq!(
            left_out(UnitGroup::Service, &names(2)),
            "2 services whose runs are builds of their own are left out: s1, s2."
        );
        assert!(
            left_out(UnitGroup::Product, &names(9))
                .ends_with("are left out: s1, s2, s3, s4, s5, s6, s7, s8 and 1 more.")
        );
    }
}
