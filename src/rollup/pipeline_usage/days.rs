//! The days of runs that are counted: those with a run, and those of which it is known that there was none.

use super::{BY, DAYS, MINUTES, RUNS};
use crate::allocate::{jobs_metric, minutes_metric};
use crate::store::metric_points::{MetricPoint, Slot};
use bigdecimal::{BigDecimal, RoundingMode};
use chrono::{DateTime, Days, NaiveDate, Utc};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashSet};

const MINUTE_DECIMALS: i64 = 4;

// What runs are added up by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    // None for all runs of pipelines.
    pub kind: Option<String>,
    pub service_id: i64,
}

impl Place {
    // The metric that counts, and that of the minutes.
    fn metrics(&self) -> [String; 2] {
        match &self.kind {
            None => [RUNS.to_owned(), MINUTES.to_owned()],
            Some(kind) => [jobs_metric(kind), minutes_metric(kind)],
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Sum {
    pub runs: u64,
    pub seconds: i64,
}

impl Sum {
    fn points(&self, place: &Place, day: NaiveDate) -> [MetricPoint; 2] {
        let [jobs, took] = place.metrics();
        let point = |metric: String, value: BigDecimal| MetricPoint {
            metric,
            service_id: place.service_id,
            environment_id: 0,
            slot: Slot::Day(day),
            value,
        };
        let minutes = BigDecimal::from(self.seconds) / BigDecimal::from(60);
        [
            point(jobs, BigDecimal::from(self.runs)),
            point(took, minutes.with_scale_round(MINUTE_DECIMALS, RoundingMode::HalfEven)),
        ]
    }
}

// The runs of one place.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub days: BTreeMap<NaiveDate, Sum>,
    // The event sources that told of them.
    pub source_ids: BTreeSet<i64>,
}

impl Series {
    // Days without a run of which the sources told: from the first run on, or from `begins` where some ran before, up to
    // the last day that was over when `heard`.
    fn quiet_days(&self, begins: Option<NaiveDate>, heard: DateTime<Utc>) -> impl Iterator<Item = NaiveDate> {
        let first = begins.or_else(|| self.days.keys().next().copied());
        let days = first.into_iter().flat_map(|first| first.iter_days());
        days.take_while(move |day| *day < heard.date_naive()).filter(move |day| !self.days.contains_key(day))
    }
}

// Up to when each event source was heard. One that never was is not among them.
#[derive(Debug, Default)]
pub(super) struct Heard(BTreeMap<i64, DateTime<Utc>>);

impl Heard {
    // What came and waits to be read may be a run: from then on nothing is known.
    pub async fn read(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Self> {
        let rows = sqlx::query!(
            r#"SELECT s.event_source_id, least(s.last_received_at, min(d.received_at)) AS "heard_at?"
               FROM event_source s
               LEFT JOIN event_delivery d ON d.event_source_id = s.event_source_id AND d.state = 'new'
               GROUP BY s.event_source_id"#
        )
        .fetch_all(conn)
        .await?;
        let heard = rows.into_iter().filter_map(|row| Some((row.event_source_id, row.heard_at?.min(now))));
        Ok(Self(heard.collect()))
    }

    // When the first and the last of these fell silent; none where one was never heard.
    fn of(&self, source_ids: &BTreeSet<i64>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let all = source_ids.iter().map(|id| self.0.get(id).copied()).collect::<Option<Vec<_>>>()?;
        Some((all.iter().min().copied()?, all.iter().max().copied()?))
    }
}

// What points that stay say of the metrics that are counted.
#[derive(Debug)]
pub(super) struct Known {
    // The first day that is counted.
    first: NaiveDate,
    // Metric, service and day of what somebody else told.
    others: HashSet<(String, i64, NaiveDate)>,
    // Metrics of services that were counted in the days before.
    ran_before: HashSet<(String, i64)>,
}

impl Known {
    pub async fn read(conn: &mut PgConnection, metrics: &[String], first: NaiveDate) -> sqlx::Result<Self> {
        let others = sqlx::query!(
            r#"SELECT metric AS "metric!", service_id AS "service_id!", charge_date AS "charge_date!" FROM metric_point
               WHERE metric = ANY($1) AND loaded_by <> $2 AND charge_date >= $3::date
               UNION
               SELECT metric, service_id, (hour AT TIME ZONE 'UTC')::date FROM metric_hour
               WHERE metric = ANY($1) AND hour >= $3::date::timestamp AT TIME ZONE 'UTC'"#,
            metrics,
            BY,
            first
        )
        .fetch_all(&mut *conn)
        .await?;
        let before = sqlx::query!(
            "SELECT DISTINCT metric, service_id FROM metric_point
             WHERE metric = ANY($1) AND loaded_by = $2 AND charge_date >= $3 AND charge_date < $4",
            metrics,
            BY,
            first - Days::new(u64::from(DAYS)),
            first
        )
        .fetch_all(conn)
        .await?;
        Ok(Self {
            first,
            others: others.into_iter().map(|row| (row.metric, row.service_id, row.charge_date)).collect(),
            ran_before: before.into_iter().map(|row| (row.metric, row.service_id)).collect(),
        })
    }

    // From which day on a place is counted though its first run may come later.
    fn begins(&self, place: &Place) -> Option<NaiveDate> {
        let [jobs, _] = place.metrics();
        self.ran_before.contains(&(jobs, place.service_id)).then_some(self.first)
    }

    fn is_of_others(&self, point: &MetricPoint) -> bool {
        self.others.contains(&(point.metric.clone(), point.service_id, point.slot.day()))
    }
}

/// All points, by up to when they are known. A run counts as soon as anyone told of it; that there was none has to be heard
/// from all, since one that fell silent may have had some. What somebody else told of a day is not made a zero.
pub(super) fn points(
    all: &BTreeMap<Place, Series>,
    heard: &Heard,
    known: &Known,
) -> BTreeMap<Option<DateTime<Utc>>, Vec<MetricPoint>> {
    let mut by_reach: BTreeMap<Option<DateTime<Utc>>, Vec<MetricPoint>> = BTreeMap::new();
    for (place, series) in all {
        let silent = heard.of(&series.source_ids);
        let points = by_reach.entry(silent.map(|(_, last)| last)).or_default();
        points.extend(series.days.iter().flat_map(|(day, sum)| sum.points(place, *day)));
        let Some((heard_from_all, _)) = silent else { continue };
        let quiet = series.quiet_days(known.begins(place), heard_from_all);
        let zeros = quiet.flat_map(|day| Sum::default().points(place, day));
        points.extend(zeros.filter(|point| !known.is_of_others(point)));
    }
    by_reach
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 10, number).unwrap()
    }

    fn at(number: u32, hour: u32) -> DateTime<Utc> {
        day(number).and_hms_opt(hour, 0, 0).unwrap().and_utc()
    }

    // A run on each of these days, told by these sources.
    fn series(days: &[u32], source_ids: &[i64]) -> Series {
        let days = days.iter().map(|number| (day(*number), Sum { runs: 1, seconds: 60 }));
        Series { days: days.collect(), source_ids: source_ids.iter().copied().collect() }
    }

    #[test]
    fn a_day_without_a_run_is_a_zero_between_the_first_run_and_the_last_day_that_was_told_of() {
        let told = series(&[3, 5], &[1]);
        let quiet = |begins, heard| -> Vec<NaiveDate> { told.quiet_days(begins, heard).collect() };
        assert_eq!(quiet(None, at(7, 23)), [day(4), day(6)], "the seventh is not over");
        assert_eq!(quiet(None, at(8, 0)), [day(4), day(6), day(7)]);
        assert!(quiet(None, at(4, 12)).is_empty(), "nobody told of the rest of the fourth");
        assert_eq!(quiet(Some(day(1)), at(6, 0)), [day(1), day(2), day(4)], "some ran before");
    }

    #[test]
    fn no_run_has_to_be_heard_from_all_and_a_run_from_anyone() {
        let heard = Heard(BTreeMap::from([(1, at(6, 12)), (2, at(9, 12))]));
        let of = |told: Series| BTreeMap::from([(Place { kind: None, service_id: 7 }, told)]);
        let known = Known {
            first: day(1),
            others: HashSet::from([(RUNS.to_owned(), 7, day(4))]),
            ran_before: HashSet::from([(RUNS.to_owned(), 8)]),
        };
        let days = |points: &[MetricPoint], metric: &str| -> Vec<(NaiveDate, BigDecimal)> {
            let own = points.iter().filter(|point| point.metric == metric);
            let mut all: Vec<_> = own.map(|point| (point.slot.day(), point.value.normalized())).collect();
            all.sort();
            all
        };
        let ones = |numbers: &[(u32, i64)]| -> Vec<(NaiveDate, BigDecimal)> {
            numbers.iter().map(|(number, value)| (day(*number), BigDecimal::from(*value))).collect()
        };
        let all = points(&of(series(&[3, 8], &[1, 2])), &heard, &known);
        assert_eq!(all.keys().copied().collect::<Vec<_>>(), [Some(at(9, 12))]);
        let told = &all[&Some(at(9, 12))];
        assert_eq!(days(told, RUNS), ones(&[(3, 1), (5, 0), (8, 1)]), "the fourth is somebody else's");
        assert_eq!(days(told, MINUTES), ones(&[(3, 1), (4, 0), (5, 0), (8, 1)]));
        // Of a source that was never heard nobody knows how far it told.
        let all = points(&of(series(&[3, 8], &[2, 3])), &heard, &known);
        assert_eq!(days(&all[&None], RUNS), ones(&[(3, 1), (8, 1)]));
    }
}
