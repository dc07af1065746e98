//! The answer of a Prometheus taken in: the hours of each service, in place of those that were there.

use super::usage::{Taking, UsageError};
use super::usage_place::Places;
use crate::store::Pools;
use crate::store::metric_points::{MetricPoint, Slot, Write};
use crate::store::metric_queries::{self, MetricQuery};
use crate::store::metrics;
use crate::store::usage_unmapped::{self, Lost, Reason};
use crate::usage::prometheus::Series;
use bigdecimal::BigDecimal;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// Who the values are from, and what rules see as the source.
pub const ORIGIN: &str = "prometheus";

/// Takes an answer in, up to the hour that ends at `until`. Series of one service and hour are combined as the metric
/// says. What the query brought before of hours that the answer has, and did not bring again, goes: a rule gives it
/// to another service now, or the server says otherwise. An hour that the answer has nothing of at all stays as it
/// was, since a server that lost it, or keeps less, does not say that nothing was. Gives how many hours were stored.
pub async fn take(
    pools: &Pools,
    query: &MetricQuery,
    series: &[Series],
    until: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<i64, UsageError> {
    let by = format!("{ORIGIN} query {}", query.metric_query_id);
    let mut taking = Taking::begin(pools, Some(&query.metric)).await?;
    let places = Places::load(taking.conn(), ORIGIN).await?;
    let over_services =
        metrics::get(taking.conn(), &query.metric).await?.map_or_else(String::new, |one| one.over_services);
    let mut lost: BTreeMap<Lost, i64> = BTreeMap::new();
    let mut hours: BTreeMap<(i64, i64, Slot), Vec<BigDecimal>> = BTreeMap::new();
    for one in series {
        let mut lose = |service: &str, environment: &str, reason, count: i64| {
            let (metric, service, environment) = (query.metric.clone(), service.to_owned(), environment.to_owned());
            if count > 0 {
                *lost.entry(Lost { metric, service, environment, reason }).or_default() += count;
            }
        };
        let (service, environment) = (one.labels.get(&query.service_label), one.labels.get(&query.environment_label));
        match places.of(service, environment, &one.labels) {
            Err(none) => lose(&none.service, &none.environment, none.reason, one.hours.len() as i64 + one.unusable),
            Ok((service_id, environment_id)) => {
                let text = |label: Option<&String>| label.cloned().unwrap_or_default();
                // A server's clock may go wrong; what it says of later than was asked is not known yet.
                let (known, ahead): (Vec<_>, Vec<_>) = one.hours.iter().partition(|(hour, _)| *hour < until);
                lose(&text(service), &text(environment), Reason::Value, one.unusable + ahead.len() as i64);
                for (hour, value) in known {
                    let place = (service_id, environment_id, Slot::hour_of(*hour));
                    hours.entry(place).or_default().push(value.clone());
                }
            }
        }
    }
    let point = |((service_id, environment_id, slot), values): (_, Vec<BigDecimal>)| MetricPoint {
        metric: query.metric.clone(),
        service_id,
        environment_id,
        slot,
        value: combined(&over_services, values),
    };
    let points: Vec<MetricPoint> = hours.into_iter().map(point).collect();
    taking.write(&points, Write::Replace, Some(until), &by, now).await?;
    taking.delete_left(&query.metric, &answered(series, until), &points, &by, now).await?;
    // Each answer is of the last 48 hours: what it leaves was left by the one before, but for an hour. An empty one
    // says nothing of any.
    if !series.is_empty() {
        usage_unmapped::replace(taking.conn(), &by, &lost, now).await?;
    }
    let count = points.len() as i64;
    metric_queries::pulled(taking.conn(), query.metric_query_id, Ok(count), now).await?;
    taking.finish(&by, now).await?;
    Ok(count)
}

// Also of what belongs to nothing here: it did before.
fn answered(series: &[Series], until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let hour = |at: DateTime<Utc>| match Slot::hour_of(at) {
        Slot::Hour(hour) if hour < until => Some(hour),
        _ => None,
    };
    let hours: BTreeSet<_> = series.iter().flat_map(|one| &one.hours).filter_map(|(at, _)| hour(*at)).collect();
    hours.into_iter().collect()
}

fn combined(way: &str, values: Vec<BigDecimal>) -> BigDecimal {
    let count = values.len() as i64;
    match way {
        "max" => values.into_iter().max().unwrap_or_default(),
        "mean" if count > 1 => values.iter().sum::<BigDecimal>() / BigDecimal::from(count),
        _ => values.iter().sum(),
    }
}
