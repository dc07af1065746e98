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
    // Whether a run of it did not tell when it began: then nobody knows how long all of them took.
    pub is_untimed: bool,
}

impl Sum {
    fn points(&self, place: &Place, day: NaiveDate) -> Vec<MetricPoint> {
        let [jobs, took] = place.metrics();
        let point = |metric: String, value: BigDecimal| MetricPoint {
            metric,
            service_id: place.service_id,
            environment_id: 0,
            slot: Slot::Day(day),
            value,
        };
        let mut points = vec![point(jobs, BigDecimal::from(self.runs))];
        if !self.is_untimed {
            let minutes = BigDecimal::from(self.seconds) / BigDecimal::from(60);
            points.push(point(took, minutes.with_scale_round(MINUTE_DECIMALS, RoundingMode::HalfEven)));
        }
        points
    }
}

// The runs of one place.
#[derive(Debug, Default)]
pub(super) struct Series {
    // Of the days that are counted.
    pub days: BTreeMap<NaiveDate, Sum>,
    // The event sources that told of these runs.
    pub source_ids: BTreeSet<i64>,
    // Of each event source that told of runs in the days before those that are counted, the day of the last one.
    last_before: BTreeMap<i64, NaiveDate>,
}

impl Series {
    // A run in the days before those that are counted.
    pub fn add_before(&mut self, source_id: i64, day: NaiveDate) {
        let last = self.last_before.entry(source_id).or_insert(day);
        *last = day.max(*last);
    }

    fn ran_before(&self) -> Option<NaiveDate> {
        self.last_before.values().max().copied()
    }

    // Who has to have told that there was no run. Without a run in the days that are counted it is who told of the last
    // one before: they alone were asked before it left these days, so that no zero goes with it.
    fn senders(&self) -> BTreeSet<i64> {
        if !self.source_ids.is_empty() {
            return self.source_ids.clone();
        }
        self.senders_before()
    }

    // Who told of the last run before the days that are counted.
    fn senders_before(&self) -> BTreeSet<i64> {
        let last = self.ran_before();
        let of_last = self.last_before.iter().filter(|(_, day)| Some(**day) == last);
        of_last.map(|(source_id, _)| *source_id).collect()
    }

    // Days without a run, up to the one that was not told of as a whole: from the first run on, or from the first day that
    // is counted where some ran before. Where none of those who are asked ran then, whoever did is asked about the days
    // until they begin: it may have broken, and the others know nothing of these. Long after the last run nobody says that
    // there was none: so all zeros of a place have left the days that are counted before its last run leaves those that are
    // read.
    fn quiet_days(&self, first: NaiveDate, until: ToldUntil) -> impl Iterator<Item = NaiveDate> {
        let first_run = self.days.keys().next().copied();
        let begins = if self.last_before.is_empty() { first_run } else { Some(first) };
        let is_old = self.senders().iter().any(|source_id| self.last_before.contains_key(source_id));
        let is_told = move |day: NaiveDate| is_old || Some(day) >= first_run || Some(day) < until.before;
        let last_run = self.days.keys().next_back().copied().max(self.ran_before());
        let last = last_run.map_or(first, |day| day + Days::new(u64::from(DAYS)));
        let days = begins.into_iter().flat_map(|begins| begins.iter_days());
        let days = days.take_while(move |day| *day < until.asked && *day <= last);
        days.filter(move |day| !self.days.contains_key(day) && is_told(*day))
    }
}

// The first day that was not told of as a whole.
#[derive(Debug, Clone, Copy)]
struct ToldUntil {
    // By those who have to have told that there was no run.
    asked: NaiveDate,
    // By those who told of the last run before the days that are counted; none where one never told, or where none ran.
    before: Option<NaiveDate>,
}

// Up to when event sources told of runs, since whoever tells of one told of all before it.
#[derive(Debug, Default)]
pub(super) struct Heard {
    // When each event source last told of a run.
    told_at: BTreeMap<i64, DateTime<Utc>>,
    // Since when something of an event source waits to be read. It may be a run: from then on nobody knows that there was
    // none.
    waits_since: BTreeMap<i64, DateTime<Utc>>,
    // Of event sources that many post to, each for its own service: the day of a service's last run.
    posted: BTreeMap<i64, BTreeMap<i64, NaiveDate>>,
}

impl Heard {
    // What waits to be read. It is asked before the runs are read: one that is read meanwhile is among these or waited.
    pub async fn read(conn: &mut PgConnection) -> sqlx::Result<Self> {
        let rows = sqlx::query!(
            r#"SELECT event_source_id, min(received_at) AS "received_at!" FROM event_delivery
               WHERE state = 'new' GROUP BY event_source_id"#
        )
        .fetch_all(conn)
        .await?;
        let waits_since = rows.into_iter().map(|row| (row.event_source_id, row.received_at)).collect();
        Ok(Self { waits_since, ..Self::default() })
    }

    // A source told of a run.
    pub fn told(&mut self, source_id: i64, at: DateTime<Utc>) {
        let known = self.told_at.entry(source_id).or_insert(at);
        *known = at.max(*known);
    }

    // Somebody posted a run of this service: of those of others they say nothing.
    pub fn posted(&mut self, source_id: i64, service_id: i64, day: NaiveDate) {
        let known = self.posted.entry(source_id).or_default().entry(service_id).or_insert(day);
        *known = day.max(*known);
    }

    // Whether something that waits to be read came before that up to which runs are counted: a run in it is not found by
    // when it came once it is read, and until then it may take zeros away. So all is soon counted again.
    pub fn has_to_wait(&self, counted_through: DateTime<Utc>) -> bool {
        self.waits_since.values().any(|since| *since <= counted_through)
    }

    // When one of these sources last told of a run.
    fn last(&self, source_ids: &BTreeSet<i64>) -> Option<DateTime<Utc>> {
        source_ids.iter().filter_map(|id| self.told_at.get(id).copied()).max()
    }

    // The first day that not all of these sources told of as a whole; none where one never told.
    fn told_until(&self, service_id: i64, source_ids: &BTreeSet<i64>) -> Option<NaiveDate> {
        let of_one = |source_id: &i64| {
            let told = match self.posted.get(source_id) {
                Some(services) => services.get(&service_id).copied()?,
                None => self.told_at.get(source_id)?.date_naive(),
            };
            let waits = self.waits_since.get(source_id).map(DateTime::date_naive);
            Some(waits.map_or(told, |waits| told.min(waits)))
        };
        source_ids.iter().map(of_one).collect::<Option<Vec<_>>>()?.into_iter().min()
    }
}

// What points that stay say of the metrics that are counted.
#[derive(Debug)]
pub(super) struct Known {
    // The first day that is counted.
    first: NaiveDate,
    // Metric, service and day of what somebody else told.
    others: HashSet<(String, i64, NaiveDate)>,
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
        .fetch_all(conn)
        .await?;
        Ok(Self {
            first,
            others: others.into_iter().map(|row| (row.metric, row.service_id, row.charge_date)).collect(),
        })
    }

    fn is_of_others(&self, point: &MetricPoint) -> bool {
        self.others.contains(&(point.metric.clone(), point.service_id, point.slot.day()))
    }
}

/// All points, by up to when they are known. A run counts as soon as anyone told of it; that there was none has to be told
/// by all, since one that fell silent may have had some. What somebody else told of a day is not made a zero.
pub(super) fn points(
    all: &BTreeMap<Place, Series>,
    heard: &Heard,
    known: &Known,
) -> BTreeMap<Option<DateTime<Utc>>, Vec<MetricPoint>> {
    let mut by_reach: BTreeMap<Option<DateTime<Utc>>, Vec<MetricPoint>> = BTreeMap::new();
    for (place, series) in all {
        let senders = series.senders();
        let points = by_reach.entry(heard.last(&senders)).or_default();
        points.extend(series.days.iter().flat_map(|(day, sum)| sum.points(place, *day)));
        let Some(asked) = heard.told_until(place.service_id, &senders) else { continue };
        let before = heard.told_until(place.service_id, &series.senders_before());
        let quiet = series.quiet_days(known.first, ToldUntil { asked, before });
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
        let days = days.iter().map(|number| (day(*number), Sum { runs: 1, seconds: 60, is_untimed: false }));
        Series { days: days.collect(), source_ids: source_ids.iter().copied().collect(), ..Series::default() }
    }

    fn heard(told: &[(i64, DateTime<Utc>)]) -> Heard {
        let mut heard = Heard::default();
        told.iter().for_each(|(source_id, at)| heard.told(*source_id, *at));
        heard
    }

    #[test]
    fn a_day_without_a_run_is_a_zero_between_the_first_run_and_the_last_day_that_was_told_of() {
        let mut told = series(&[3, 5], &[1]);
        let quiet = |told: &Series, until| -> Vec<NaiveDate> {
            let until = ToldUntil { asked: day(until), before: None };
            told.quiet_days(day(1), until).collect()
        };
        assert_eq!(quiet(&told, 7), [day(4), day(6)], "the seventh is not over");
        assert_eq!(quiet(&told, 8), [day(4), day(6), day(7)]);
        assert!(quiet(&told, 4).is_empty(), "nobody told of the rest of the fourth");
        told.add_before(1, day(1) - Days::new(9));
        assert_eq!(quiet(&told, 6), [day(1), day(2), day(4)], "some ran before");
    }

    /// The first sender told of the service's last run there, and the second one came later: of the days between, the
    /// first one is asked even when that run is not counted any more.
    #[test]
    fn days_before_a_new_sender_are_known_as_far_as_the_old_one_told() {
        let mut told = series(&[15], &[2]);
        told.add_before(1, day(1) - Days::new(1));
        let quiet = |told: &Series, before: Option<NaiveDate>| -> Vec<NaiveDate> {
            told.quiet_days(day(1), ToldUntil { asked: day(18), before }).collect()
        };
        for before in [None, Some(day(1))] {
            assert_eq!(quiet(&told, before), [day(16), day(17)], "it told of no later run, of whatever service");
        }
        assert_eq!(quiet(&told, Some(day(3))), [day(1), day(2), day(16), day(17)]);
        assert_eq!(quiet(&told, Some(day(30))).len(), 16);
        told.add_before(2, day(1) - Days::new(40));
        assert_eq!(quiet(&told, None).len(), 16, "the second one was there before");
    }

    #[test]
    fn zeros_leave_the_days_that_are_counted_before_the_last_run_leaves_those_that_are_read() {
        let window = u64::from(DAYS);
        let quiet = |back: u64, until| {
            let last_before = BTreeMap::from([(1, day(1) - Days::new(back))]);
            let until = ToldUntil { asked: until, before: None };
            Series { last_before, ..Series::default() }.quiet_days(day(1), until).collect::<Vec<_>>()
        };
        assert_eq!(quiet(window - 1, day(20)), [day(1), day(2)]);
        assert_eq!(quiet(window, day(20)), [day(1)], "the last that is read");
        assert!(quiet(window, day(1)).is_empty());
        assert_eq!(quiet(1, day(1) + Days::new(300)).len() as u64, window);
    }

    #[test]
    fn who_told_of_earlier_runs_alone_is_asked_only_where_nobody_told_of_later_ones() {
        let mut told = series(&[5], &[3]);
        for (source_id, back) in [(1, 9), (2, 4), (1, 4), (4, 6)] {
            told.add_before(source_id, day(1) - Days::new(back));
        }
        assert_eq!((told.ran_before(), told.senders()), (Some(day(1) - Days::new(4)), BTreeSet::from([3])));
        told.source_ids.clear();
        assert_eq!(told.senders(), BTreeSet::from([1, 2]), "of the last day before");
    }

    #[test]
    fn no_run_has_to_be_told_by_all_and_a_run_by_anyone() {
        let of = |told: Series| BTreeMap::from([(Place { kind: None, service_id: 7 }, told)]);
        let known = Known { first: day(1), others: HashSet::from([(RUNS.to_owned(), 7, day(4))]) };
        let days = |points: &[MetricPoint], metric: &str| -> Vec<(NaiveDate, BigDecimal)> {
            let own = points.iter().filter(|point| point.metric == metric);
            let mut all: Vec<_> = own.map(|point| (point.slot.day(), point.value.normalized())).collect();
            all.sort();
            all
        };
        let ones = |numbers: &[(u32, i64)]| -> Vec<(NaiveDate, BigDecimal)> {
            numbers.iter().map(|(number, value)| (day(*number), BigDecimal::from(*value))).collect()
        };
        let mut both = heard(&[(1, at(6, 12)), (1, at(2, 12)), (2, at(9, 12))]);
        let all = points(&of(series(&[3, 8], &[1, 2])), &both, &known);
        assert_eq!(all.keys().copied().collect::<Vec<_>>(), [Some(at(9, 12))]);
        let told = &all[&Some(at(9, 12))];
        assert_eq!(days(told, RUNS), ones(&[(3, 1), (5, 0), (8, 1)]), "the fourth is somebody else's");
        assert_eq!(days(told, MINUTES), ones(&[(3, 1), (4, 0), (5, 0), (8, 1)]));
        assert!(!both.has_to_wait(at(9, 12)));
        // A run that did not tell when it began counts, and the minutes of its day are not known.
        let mut untimed = series(&[3, 8], &[1, 2]);
        untimed.days.get_mut(&day(8)).unwrap().is_untimed = true;
        let all = points(&of(untimed), &both, &known);
        assert_eq!(days(&all[&Some(at(9, 12))], RUNS), ones(&[(3, 1), (5, 0), (8, 1)]));
        assert_eq!(days(&all[&Some(at(9, 12))], MINUTES), ones(&[(3, 1), (4, 0), (5, 0)]));
        // What waits takes zeros away until it is read, and nothing from days with runs.
        both.waits_since.insert(1, at(2, 0));
        let all = points(&of(series(&[3, 8], &[1, 2])), &both, &known);
        assert_eq!(days(&all[&Some(at(9, 12))], RUNS), ones(&[(3, 1), (8, 1)]));
        assert!(both.has_to_wait(at(9, 12)));
        both.waits_since = BTreeMap::from([(1, at(6, 13)), (3, at(1, 0))]);
        assert!(both.has_to_wait(at(9, 12)), "no zero goes, but a run in it would not be found by when it came");
        both.waits_since = BTreeMap::from([(1, at(9, 13))]);
        assert!(!both.has_to_wait(at(9, 12)), "that is found by when it came");
    }

    #[test]
    fn who_posts_for_one_service_says_nothing_of_another() {
        let mut heard = heard(&[(1, at(20, 12)), (2, at(9, 12))]);
        heard.posted(1, 7, day(6));
        heard.posted(1, 7, day(5));
        heard.posted(1, 8, day(20));
        let until = |service_id, sources: &[i64]| heard.told_until(service_id, &sources.iter().copied().collect());
        assert_eq!([until(7, &[1]), until(8, &[1]), until(8, &[1, 2])], [Some(day(6)), Some(day(20)), Some(day(9))]);
        assert_eq!((until(9, &[1]), until(7, &[3])), (None, None));
        assert_eq!(heard.last(&BTreeSet::from([1, 2])), Some(at(20, 12)));
    }
}
