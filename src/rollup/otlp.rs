//! OTLP metrics taken in: growth and readings added to the hours of services.

use super::usage::{Taking, UsageError};
use super::usage_place::{NoPlace, Place, Places};
use crate::store::metric_points::{MetricPoint, Reading, Slot};
use crate::store::metrics::{self, Metric};
use crate::store::usage_unmapped::{self, Lost, Reason};
use crate::store::{Pools, locks, otlp_series};
use crate::usage::otlp::{Decoded, Kind, Measured, Unusable};
use crate::usage::{Growth, LastValue, Recent};
use bigdecimal::BigDecimal;
use chrono::{DateTime, Duration, Utc};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Who the values are from, and what rules see as the source.
pub const ORIGIN: &str = "otlp";
/// Clocks of senders go so much ahead at most.
const AHEAD_MAX: Duration = Duration::minutes(10);

/// What came of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtlpReport {
    /// Values that were counted.
    pub taken: i64,
    /// Values that came before, or that a later value of a running count holds: nothing of them is missing.
    pub repeated: i64,
    /// Values that could not be taken, by what was wrong: they are counted on the page of metrics.
    pub lost: BTreeMap<Reason, i64>,
}

impl OtlpReport {
    /// How many values could not be taken.
    pub fn lost_count(&self) -> i64 {
        self.lost.values().sum()
    }
}

/// Takes a request in. A value that came before is not counted again.
pub async fn take(pools: &Pools, decoded: &Decoded, now: DateTime<Utc>) -> Result<OtlpReport, UsageError> {
    let mut taking = Taking::begin_readings(pools).await?;
    locks::lock_usage_series(taking.conn()).await?;
    let mut sorted = Sorted::load(&mut taking, decoded, now).await?;
    for value in &decoded.values {
        sorted.take(value);
    }
    let Sorted { hours, kept, lost, report, reached, .. } = sorted;
    let readings: Vec<Reading> = hours.into_values().collect();
    taking.add_readings(&readings, &reached, ORIGIN, now).await?;
    otlp_series::keep(taking.conn(), &kept).await?;
    usage_unmapped::count(taking.conn(), ORIGIN, &lost, now).await?;
    taking.finish(ORIGIN, now).await?;
    let mut by_reason: BTreeMap<Reason, i64> = BTreeMap::new();
    for (one, count) in &lost {
        *by_reason.entry(one.reason).or_default() += count;
    }
    Ok(OtlpReport { lost: by_reason, ..report })
}

/// A metric, whose, and when.
type Hour = (String, Place, Slot);

struct Sorted {
    metrics: HashMap<String, Metric>,
    places: Vec<Result<Place, NoPlace>>,
    recent: HashMap<Uuid, Recent>,
    kept: HashMap<Uuid, (String, Recent)>,
    hours: BTreeMap<Hour, Reading>,
    reached: BTreeMap<(String, i64), DateTime<Utc>>,
    lost: BTreeMap<Lost, i64>,
    report: OtlpReport,
    now: DateTime<Utc>,
}

impl Sorted {
    async fn load(taking: &mut Taking, decoded: &Decoded, now: DateTime<Utc>) -> Result<Self, UsageError> {
        let places = Places::load(taking.conn(), ORIGIN).await?;
        let places = decoded.resources.iter().map(|attributes| places.of_resource(attributes)).collect();
        let mut by_name = HashMap::new();
        for metric in metrics::list(taking.conn()).await? {
            for name in metric.otlp_names.iter().chain([&metric.metric]) {
                by_name.insert(name.clone(), metric.clone());
            }
        }
        let series: Vec<Uuid> = decoded.values.iter().map(|value| Uuid::from_bytes(value.series)).collect();
        let recent = otlp_series::recent(taking.conn(), &series).await?;
        let mut sorted = Self {
            metrics: by_name,
            places,
            recent,
            kept: HashMap::new(),
            hours: BTreeMap::new(),
            reached: BTreeMap::new(),
            lost: BTreeMap::new(),
            report: OtlpReport::default(),
            now,
        };
        for ((resource, name, why), count) in &decoded.unusable {
            let reason = if *why == Unusable::Kind { Reason::Kind } else { Reason::Value };
            sorted.lose(*resource, name, reason, *count);
        }
        Ok(sorted)
    }

    fn take(&mut self, value: &Measured) {
        let Some(metric) = self.metrics.get(&value.name).cloned() else {
            return self.lose(value.resource, &value.name, Reason::Metric, 1);
        };
        // A count is growth and adds up; what is measured now does not.
        if (value.kind == Kind::Gauge) == (metric.over_hours == "sum") {
            return self.lose(value.resource, &value.name, Reason::Kind, 1);
        }
        if value.at > self.now + AHEAD_MAX {
            return self.lose(value.resource, &value.name, Reason::Value, 1);
        }
        let Ok(place) = self.places[value.resource] else {
            let reason = self.places[value.resource].as_ref().err().map_or(Reason::Service, |none| none.reason);
            return self.lose(value.resource, &value.name, reason, 1);
        };
        let amount = match self.grown(&metric, value) {
            Growth::Repeated => {
                self.report.repeated += 1;
                return;
            }
            Growth::TooLate => return self.lose(value.resource, &value.name, Reason::Late, 1),
            Growth::Baseline => None,
            Growth::Added(amount) => Some(amount),
        };
        self.report.taken += 1;
        let end = value.at - Duration::nanoseconds(1);
        let slot = if value.kind == Kind::Gauge { Slot::hour_of(value.at) } else { Slot::hour_of(end) };
        // The running hour is not known to its end.
        if let Slot::Hour(hour) = Slot::hour_of(value.at) {
            let reached = self.reached.entry((metric.metric.clone(), place.0)).or_insert(hour);
            *reached = hour.max(*reached);
        }
        let Some(amount) = amount else { return };
        self.add(&metric, place, slot, amount);
    }

    /// What it adds to what is known of its series, which it is part of from now on.
    fn grown(&mut self, metric: &Metric, value: &Measured) -> Growth {
        let series = Uuid::from_bytes(value.series);
        let now = LastValue { started_at: value.started_at, at: value.at, value: value.value.clone() };
        let known = self.recent.remove(&series).unwrap_or_default();
        let (_, recent) = self.kept.entry(series).or_insert_with(|| (metric.metric.clone(), known));
        if value.kind == Kind::Cumulative { recent.count(&now) } else { recent.add(&now) }
    }

    fn add(&mut self, metric: &Metric, place: Place, slot: Slot, amount: BigDecimal) {
        let key = (metric.metric.clone(), place, slot);
        let Some(known) = self.hours.get_mut(&key) else {
            let (service_id, environment_id) = place;
            let point = MetricPoint { metric: metric.metric.clone(), service_id, environment_id, slot, value: amount };
            self.hours.insert(key, Reading { point, count: 1 });
            return;
        };
        known.count += 1;
        match metric.over_hours.as_str() {
            "max" => known.point.value = amount.max(known.point.value.clone()),
            _ => known.point.value += amount,
        }
    }

    fn lose(&mut self, resource: usize, name: &str, reason: Reason, count: i64) {
        let (service, environment) = match self.places.get(resource) {
            Some(Err(none)) => (none.service.clone(), none.environment.clone()),
            _ => (String::new(), String::new()),
        };
        let lost = Lost { metric: name.to_owned(), service, environment, reason };
        *self.lost.entry(lost).or_default() += count;
    }
}
