//! What namespaces of clusters used, as usage of the services that they belong to. A split of shared cost that divides by
//! it gives each service its part of what the cluster's machines cost; the usage itself is a share, and no cost.

use super::mapper::{self, Mapper};
use super::usage::{Taking, UsageError};
use crate::allocate::{self, Catalogue, Target, all_days};
use crate::focus::DateRange;
use crate::store::catalogue;
use crate::store::cluster_usage::{self, NamespaceDay};
use crate::store::metric_points::{MetricPoint, Slot, Write};
use crate::store::metrics::{self, CLUSTER_PREFIX};
use crate::store::{Pools, metric_lists};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The job that counts.
pub const COUNT_NAMESPACES: &str = "count_namespaces";
const BY: &str = "cluster reports";

/// Whether it is time to look whose namespaces are: an hour after the last look, where there is any report. Of several who
/// ask one is told so.
pub async fn take_due(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let due = sqlx::query_scalar!(
        "UPDATE namespace_usage SET next_count_at = $1::timestamptz + interval '1 hour'
         WHERE next_count_at <= $1 AND EXISTS (SELECT FROM cluster_usage) RETURNING is_only",
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(due.is_some())
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CountedNamespaces {
    /// Days of services with usage.
    pub point_count: usize,
    /// Namespaces that belong to no service: nothing is divided by what they used.
    pub unmapped_count: usize,
    /// Whether anything is another than it was.
    pub is_changed: bool,
}

/// Whose each namespace is. The default says it of none.
#[derive(Default)]
pub struct Namespaces {
    mapper: Option<Mapper>,
    catalogue: Catalogue,
    /// Slugs of services.
    slugs: HashMap<i64, String>,
}

impl Namespaces {
    /// The rules and the catalogue as they stand.
    pub async fn load(conn: &mut PgConnection) -> anyhow::Result<Self> {
        let mapper = Mapper::load(&mut *conn).await?;
        let catalogue = mapper::catalogue_names(&mut *conn).await?;
        let mut slugs = HashMap::new();
        // A service's slug is the first of its names.
        for name in catalogue::service_names(conn).await? {
            slugs.entry(name.id).or_insert(name.name);
        }
        Ok(Self { mapper: Some(mapper), catalogue, slugs })
    }

    /// The slug of the service that a namespace belongs to.
    pub fn slug(&self, cluster_id: &str, namespace: &str) -> Option<&str> {
        let (service_id, _) = self.place(cluster_id, namespace)?;
        self.slugs.get(&service_id).map(String::as_str)
    }

    /// The service of a namespace, and its environment (0 where no rule says one): by a rule for deployments, for which
    /// the namespace is the service as the sender names it and the tag `namespace`, the cluster the tag `cluster`; else
    /// the service of that name.
    pub fn place(&self, cluster_id: &str, namespace: &str) -> Option<(i64, i64)> {
        let assigned = allocate::assign(&self.mapper.as_ref()?.deployments, |attribute| {
            let value = match (allocate::tag_key(attribute), attribute) {
                (Some("namespace"), _) | (None, "service") => namespace,
                (Some("cluster"), _) => cluster_id,
                _ => return None,
            };
            Some(Cow::Borrowed(value))
        });
        let known = |target: &Option<Target>| target.as_ref().and_then(Target::known);
        let service_id = known(&assigned.service).or_else(|| self.catalogue.services.find(namespace))?;
        Some((service_id, known(&assigned.environment).unwrap_or_default()))
    }
}

/// The metric of what the namespaces of a cluster used, by kind of usage: `cluster_eu-1_pods`.
pub fn metric_name(cluster_id: &str, kind: &str) -> String {
    format!("{CLUSTER_PREFIX}{}_{kind}", allocate::slug(cluster_id))
}

/// By metric, service, environment and day.
type Place = (String, i64, i64, NaiveDate);

/// Counts what namespaces used by service and day, in place of what was counted before. Where nothing changed, nothing is
/// written.
pub async fn count(pools: &Pools, now: DateTime<Utc>) -> Result<CountedNamespaces, UsageError> {
    let mut taking = Taking::begin(pools, None).await?;
    let namespaces = Namespaces::load(taking.conn()).await?;
    let used = cluster_usage::by_namespace(taking.conn()).await?;
    let mut sums: BTreeMap<Place, BigDecimal> = BTreeMap::new();
    let mut unmapped: BTreeSet<(&str, &str)> = BTreeSet::new();
    for NamespaceDay { cluster_id, kind, day, namespace, usage } in &used {
        match namespaces.place(cluster_id, namespace) {
            Some((service_id, environment_id)) => {
                *sums.entry((metric_name(cluster_id, kind), service_id, environment_id, *day)).or_default() += usage;
            }
            None => {
                unmapped.insert((cluster_id, namespace));
            }
        }
    }
    let sums = told_apart_or_not(sums);
    let known: BTreeMap<Place, BigDecimal> = metric_lists::given_by(taking.conn(), BY)
        .await?
        .into_iter()
        .map(|point| ((point.metric, point.service_id, point.environment_id, point.slot.day()), point.value))
        .collect();
    let days = changed(&known, &sums);
    let counted =
        CountedNamespaces { point_count: sums.len(), unmapped_count: unmapped.len(), is_changed: days.is_some() };
    let Some(days) = days else { return Ok(counted) };
    let metrics: BTreeSet<&str> = known.keys().chain(sums.keys()).map(|place| place.0.as_str()).collect();
    for metric in &metrics {
        taking.delete_of(metric, BY, all_days()).await?;
    }
    describe(taking.conn(), &used, now).await?;
    let points: Vec<MetricPoint> = sums.into_iter().map(point).collect();
    taking.write(&points, Write::Replace, None, BY, now).await?;
    taking.touch_only(days);
    taking.finish(BY, now).await?;
    Ok(counted)
}

// Beside values of environments one without any does not count: where a part of a service's day is in no environment, all
// of it is told without one, so that no usage is lost.
fn told_apart_or_not(sums: BTreeMap<Place, BigDecimal>) -> BTreeMap<Place, BigDecimal> {
    let untold = |(metric, service_id, _, day): &Place| (metric.clone(), *service_id, 0, *day);
    let without: BTreeSet<Place> = sums.keys().filter(|place| place.2 == 0).cloned().collect();
    let mut told: BTreeMap<Place, BigDecimal> = BTreeMap::new();
    for (place, usage) in sums {
        let place = Some(untold(&place)).filter(|whole| without.contains(whole)).unwrap_or(place);
        *told.entry(place).or_default() += usage;
    }
    told
}

// The days from the first to the last on which anything is another than it was.
fn changed(known: &BTreeMap<Place, BigDecimal>, sums: &BTreeMap<Place, BigDecimal>) -> Option<DateRange> {
    let gone = known.keys().filter(|place| !sums.contains_key(*place));
    let other = sums.iter().filter(|(place, usage)| known.get(*place) != Some(*usage)).map(|(place, _)| place);
    let days: BTreeSet<NaiveDate> = gone.chain(other).map(|place| place.3).collect();
    DateRange::new(*days.first()?, days.last()?.succ_opt()?)
}

fn point(((metric, service_id, environment_id, day), value): (Place, BigDecimal)) -> MetricPoint {
    MetricPoint { metric, service_id, environment_id, slot: Slot::Day(day), value }
}

// A metric that someone described otherwise stays as it is.
async fn describe(conn: &mut PgConnection, used: &[NamespaceDay], now: DateTime<Utc>) -> sqlx::Result<()> {
    let clusters: BTreeSet<(&str, &str)> =
        used.iter().map(|one| (one.cluster_id.as_str(), one.kind.as_str())).collect();
    for (cluster_id, kind) in clusters {
        let metric = metric_name(cluster_id, kind);
        let unit = super::cluster_reports::unit(kind);
        let description = format!("What namespaces of the cluster {cluster_id} used, from its reports: {unit}.");
        metrics::add(&mut *conn, &metric, unit, &description, BY, now).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_with_a_part_in_no_environment_is_told_without_any() {
        let place = |service_id, environment_id, day: &str| {
            ("cluster_blue_pods".to_owned(), service_id, environment_id, day.parse::<NaiveDate>().unwrap())
        };
        let sums = [
            (place(1, 0, "2026-10-03"), 3),
            (place(1, 7, "2026-10-03"), 10),
            (place(1, 7, "2026-10-04"), 4),
            (place(2, 8, "2026-10-03"), 5),
        ];
        let told = told_apart_or_not(sums.map(|(place, usage)| (place, BigDecimal::from(usage))).into());
        let told: Vec<(Place, String)> = told.into_iter().map(|(place, usage)| (place, usage.to_string())).collect();
        let expected =
            [(place(1, 0, "2026-10-03"), "13"), (place(1, 7, "2026-10-04"), "4"), (place(2, 8, "2026-10-03"), "5")];
        assert_eq!(told, expected.map(|(place, usage)| (place, usage.to_owned())).to_vec());
    }
}
