//! Usage by day and hour: what shared costs are divided by, and what unit costs are the cost of.
//!
//! A day or hour without a row is not known, and nothing here makes a zero of it.

use super::metric_reach;
use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use chrono::{DateTime, Duration, NaiveDate, NaiveTime, Timelike, Utc};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Who counts runs of pipelines and jobs from what event sources tell. Its zeros are days on which no run ended: part of
/// what a run costs, and no sign that nothing was used, since a long job works on days before the one that it counts on.
pub const RUNS_COUNTED_BY: &str = "pipeline events";
/// Rows that go to the server at once.
const ROWS_AT_ONCE: usize = 10_000;

/// When a value was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// On this day, UTC.
    Day(NaiveDate),
    /// In the hour that begins then.
    Hour(DateTime<Utc>),
}

impl Slot {
    /// The hour that this instant lies in.
    pub fn hour_of(at: DateTime<Utc>) -> Self {
        let since = Duration::seconds(i64::from(at.minute() * 60 + at.second()))
            + Duration::nanoseconds(i64::from(at.nanosecond()));
        Self::Hour(at - since)
    }

    /// The day.
    pub fn day(self) -> NaiveDate {
        match self {
            Self::Day(day) => day,
            Self::Hour(hour) => hour.date_naive(),
        }
    }

    /// Where it ends.
    pub fn end(self) -> DateTime<Utc> {
        match self {
            Self::Day(day) => day.and_time(NaiveTime::MIN).and_utc() + Duration::days(1),
            Self::Hour(hour) => hour + Duration::hours(1),
        }
    }
}

/// A value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricPoint {
    /// The metric.
    pub metric: String,
    /// Whose.
    pub service_id: i64,
    /// Where; 0 where it is not told apart.
    pub environment_id: i64,
    /// When.
    pub slot: Slot,
    /// How much; never below zero.
    pub value: BigDecimal,
}

/// What a value does to one that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// Takes its place.
    Replace,
    /// Is added to it.
    Add,
}

#[derive(Default)]
pub(super) struct Columns {
    pub(super) metrics: Vec<String>,
    pub(super) services: Vec<i64>,
    pub(super) environments: Vec<i64>,
    pub(super) days: Vec<NaiveDate>,
    hours: Vec<DateTime<Utc>>,
    values: Vec<BigDecimal>,
}

impl Columns {
    fn of(points: &[&MetricPoint]) -> Self {
        let mut columns = Self::default();
        for point in points {
            columns.metrics.push(point.metric.clone());
            columns.services.push(point.service_id);
            columns.environments.push(point.environment_id);
            columns.days.push(point.slot.day());
            if let Slot::Hour(hour) = point.slot {
                columns.hours.push(hour);
            }
            columns.values.push(point.value.clone());
        }
        columns
    }
}

/// Stores points; no two of them have one place. Days are made from their hours anew.
pub async fn write(
    conn: &mut PgConnection,
    points: &[MetricPoint],
    write: Write,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (days, hours): (Vec<&MetricPoint>, Vec<&MetricPoint>) =
        points.iter().partition(|point| matches!(point.slot, Slot::Day(_)));
    let adds = write == Write::Add;
    for batch in days.chunks(ROWS_AT_ONCE) {
        write_days(&mut *conn, &Columns::of(batch), adds, by, now).await?;
    }
    for batch in hours.chunks(ROWS_AT_ONCE) {
        let columns = Columns::of(batch);
        write_hours(&mut *conn, &columns, adds, by, now).await?;
        make_days(&mut *conn, &columns, by, now).await?;
    }
    Ok(())
}

async fn write_days(
    conn: &mut PgConnection,
    columns: &Columns,
    adds: bool,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    // A day that is given as one value has no hours any more.
    sqlx::query!(
        "DELETE FROM metric_hour h USING unnest($1::text[], $2::bigint[], $3::bigint[], $4::date[])
             AS n (metric, service_id, environment_id, charge_date)
         WHERE h.metric = n.metric AND h.service_id = n.service_id AND h.environment_id = n.environment_id
           AND h.hour >= n.charge_date::timestamp AT TIME ZONE 'UTC'
           AND h.hour < (n.charge_date + 1)::timestamp AT TIME ZONE 'UTC'",
        &columns.metrics,
        &columns.services,
        &columns.environments,
        &columns.days,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO metric_point AS known (metric, service_id, environment_id, charge_date, value, loaded_by, loaded_at)
         SELECT n.*, $6::text, $7::timestamptz
         FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::date[], $5::numeric[]) AS n
         ON CONFLICT (metric, charge_date, service_id, environment_id)
         DO UPDATE SET value = excluded.value + CASE WHEN $8 THEN known.value ELSE 0 END, hour_count = NULL,
             loaded_by = excluded.loaded_by, loaded_at = excluded.loaded_at",
        &columns.metrics,
        &columns.services,
        &columns.environments,
        &columns.days,
        &columns.values,
        by,
        now,
        adds,
    )
    .execute(conn)
    .await
    .map(drop)
}

async fn write_hours(
    conn: &mut PgConnection,
    columns: &Columns,
    adds: bool,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO metric_hour AS known (metric, service_id, environment_id, hour, value, loaded_by, loaded_at)
         SELECT n.*, $6::text, $7::timestamptz
         FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::numeric[]) AS n
         ON CONFLICT (metric, service_id, environment_id, hour)
         DO UPDATE SET value = excluded.value + CASE WHEN $8 THEN known.value ELSE 0 END,
             reading_sum = NULL, reading_count = NULL, loaded_by = excluded.loaded_by, loaded_at = excluded.loaded_at",
        &columns.metrics,
        &columns.services,
        &columns.environments,
        &columns.hours,
        &columns.values,
        by,
        now,
        adds,
    )
    .execute(conn)
    .await
    .map(drop)
}

pub(super) async fn make_days(
    conn: &mut PgConnection,
    columns: &Columns,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO metric_point (metric, service_id, environment_id, charge_date, value, hour_count, loaded_by, loaded_at)
         SELECT n.metric, n.service_id, n.environment_id, n.charge_date,
             CASE m.over_hours WHEN 'mean' THEN avg(h.value) WHEN 'max' THEN max(h.value) ELSE sum(h.value) END,
             count(*)::smallint, $5::text, $6::timestamptz
         FROM (SELECT DISTINCT metric, service_id, environment_id, charge_date
               FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::date[])
                   AS u (metric, service_id, environment_id, charge_date)) n
         JOIN metric m ON m.metric = n.metric
         JOIN metric_hour h ON h.metric = n.metric AND h.service_id = n.service_id
             AND h.environment_id = n.environment_id AND h.hour >= n.charge_date::timestamp AT TIME ZONE 'UTC'
             AND h.hour < (n.charge_date + 1)::timestamp AT TIME ZONE 'UTC'
         GROUP BY 1, 2, 3, 4, m.over_hours
         ON CONFLICT (metric, charge_date, service_id, environment_id)
         DO UPDATE SET value = excluded.value, hour_count = excluded.hour_count, loaded_by = excluded.loaded_by,
             loaded_at = excluded.loaded_at",
        &columns.metrics,
        &columns.services,
        &columns.environments,
        &columns.days,
        by,
        now,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// A single reading of a gauge, or growth of a count, within an hour.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The hour, and the reading: for a mean the sum of all readings.
    pub point: MetricPoint,
    /// How many readings were added up.
    pub count: i64,
}

/// Adds readings to the hours that are there: summed, averaged or the largest, as the metric says. No two of them have
/// one place. What an hour was given as a whole before takes part as one reading. Without `makes_days` the days wait for
/// [`make_late_days`].
pub async fn add_readings(
    conn: &mut PgConnection,
    readings: &[Reading],
    makes_days: bool,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    for batch in readings.chunks(ROWS_AT_ONCE) {
        let points: Vec<&MetricPoint> = batch.iter().map(|reading| &reading.point).collect();
        let columns = Columns::of(&points);
        let counts: Vec<i64> = batch.iter().map(|reading| reading.count).collect();
        sqlx::query!(
            "INSERT INTO metric_hour AS known (metric, service_id, environment_id, hour, value, reading_sum,
                 reading_count, loaded_by, loaded_at, is_late)
             SELECT n.metric, n.service_id, n.environment_id, n.hour,
                 CASE m.over_hours WHEN 'mean' THEN n.value / n.reading_count ELSE n.value END,
                 CASE m.over_hours WHEN 'mean' THEN n.value END, CASE m.over_hours WHEN 'mean' THEN n.reading_count END,
                 $7::text, $8::timestamptz, $9::boolean
             FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::numeric[], $6::bigint[])
                 AS n (metric, service_id, environment_id, hour, value, reading_count) JOIN metric m USING (metric)
             ON CONFLICT (metric, service_id, environment_id, hour) DO UPDATE SET
                 value = CASE WHEN excluded.reading_count IS NOT NULL THEN
                         (coalesce(known.reading_sum, known.value) + excluded.reading_sum)
                             / (coalesce(known.reading_count, 1) + excluded.reading_count)
                     WHEN (SELECT over_hours FROM metric o WHERE o.metric = excluded.metric) = 'max'
                         THEN greatest(known.value, excluded.value)
                     ELSE known.value + excluded.value END,
                 reading_sum = coalesce(known.reading_sum, known.value) + excluded.reading_sum,
                 reading_count = coalesce(known.reading_count, 1) + excluded.reading_count,
                 loaded_by = excluded.loaded_by, loaded_at = excluded.loaded_at,
                 is_late = known.is_late OR excluded.is_late",
            &columns.metrics,
            &columns.services,
            &columns.environments,
            &columns.hours,
            &columns.values,
            &counts,
            by,
            now,
            !makes_days,
        )
        .execute(&mut *conn)
        .await?;
        if makes_days {
            make_days(&mut *conn, &columns, by, now).await?;
        }
    }
    Ok(())
}

/// Makes the days anew whose hours came later than they. Gives how many, and from the first to the last.
pub async fn make_late_days(
    conn: &mut PgConnection,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<(u64, DateRange)>> {
    // Taken back before the days are made: what is added meanwhile waits for this, and is late again.
    let rows = sqlx::query!(
        r#"UPDATE metric_hour SET is_late = false WHERE is_late
           RETURNING metric, service_id, environment_id, (hour AT TIME ZONE 'UTC')::date AS "charge_date!""#
    )
    .fetch_all(&mut *conn)
    .await?;
    let places: BTreeSet<(String, i64, i64, NaiveDate)> =
        rows.into_iter().map(|row| (row.metric, row.service_id, row.environment_id, row.charge_date)).collect();
    let mut columns = Columns::default();
    for (metric, service_id, environment_id, day) in places {
        columns.metrics.push(metric);
        columns.services.push(service_id);
        columns.environments.push(environment_id);
        columns.days.push(day);
    }
    let (first, last) = (columns.days.iter().min().copied(), columns.days.iter().max().copied());
    let range = first.zip(last).and_then(|(first, last)| DateRange::new(first, last + chrono::Days::new(1)));
    let Some(range) = range else { return Ok(None) };
    make_days(conn, &columns, by, now).await?;
    Ok(Some((columns.days.len() as u64, range)))
}

/// Makes all days of a metric from their hours anew: it is combined in another way now.
pub async fn make_all_days(conn: &mut PgConnection, metric: &str) -> sqlx::Result<u64> {
    sqlx::query!(
        "UPDATE metric_point p SET value = h.value FROM (
             SELECT h.metric, h.service_id, h.environment_id, (h.hour AT TIME ZONE 'UTC')::date AS charge_date,
                 CASE m.over_hours WHEN 'mean' THEN avg(h.value) WHEN 'max' THEN max(h.value) ELSE sum(h.value) END
                     AS value
             FROM metric_hour h JOIN metric m USING (metric) WHERE h.metric = $1
             GROUP BY 1, 2, 3, 4, m.over_hours) h
         WHERE p.metric = h.metric AND p.service_id = h.service_id AND p.environment_id = h.environment_id
           AND p.charge_date = h.charge_date AND p.value <> h.value",
        metric,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
}

/// Counts that values by day are others now. The last thing before the commit: others wait for it.
pub async fn note_change(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("UPDATE usage_change SET change_count = change_count + 1").execute(conn).await.map(drop)
}

/// Places that are kept in the other way than these points would add to: a day that has hours, an hour of a day that was
/// given as one value.
pub async fn mixed(conn: &mut PgConnection, points: &[MetricPoint]) -> sqlx::Result<Option<(i64, NaiveDate)>> {
    for batch in points.chunks(ROWS_AT_ONCE) {
        let all: Vec<&MetricPoint> = batch.iter().collect();
        let columns = Columns::of(&all);
        let are_days: Vec<bool> = batch.iter().map(|point| matches!(point.slot, Slot::Day(_))).collect();
        let found = sqlx::query!(
            "SELECT p.service_id, p.charge_date FROM metric_point p
             JOIN unnest($1::text[], $2::bigint[], $3::bigint[], $4::date[], $5::boolean[])
                 AS n (metric, service_id, environment_id, charge_date, is_day)
               ON p.metric = n.metric AND p.service_id = n.service_id AND p.environment_id = n.environment_id
              AND p.charge_date = n.charge_date
             WHERE n.is_day = (p.hour_count IS NOT NULL) LIMIT 1",
            &columns.metrics,
            &columns.services,
            &columns.environments,
            &columns.days,
            &are_days,
        )
        .fetch_optional(&mut *conn)
        .await?;
        if let Some(found) = found {
            return Ok(Some((found.service_id, found.charge_date)));
        }
    }
    Ok(None)
}

/// The value of one day.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricDay {
    /// The day.
    pub charge_date: NaiveDate,
    /// How much, in the metric's unit.
    pub value: BigDecimal,
    /// Whether the whole day is in it. Of a sum, another day says less than there was.
    pub is_whole: bool,
}

/// The known days of a service in order: in one environment, or in all of them together. A day that is not told apart by
/// environment counts for each, one that is told apart counts once (`metric_value`). Days that are not known are left out.
/// Usage is no money, so there is no scope.
pub async fn daily(
    conn: &mut PgConnection,
    metric: &str,
    service_id: i64,
    environment_id: Option<i64>,
    days: DateRange,
) -> sqlx::Result<Vec<MetricDay>> {
    sqlx::query_as!(
        MetricDay,
        r#"SELECT p.charge_date AS "charge_date!",
                  CASE m.over_services WHEN 'mean' THEN avg(p.value) WHEN 'max' THEN max(p.value) ELSE sum(p.value) END
                      AS "value!",
                  bool_and((p.hour_count IS NULL OR p.hour_count = 24)
                      AND coalesce(r.complete_through, 'infinity') >= (p.charge_date + 1)::timestamp AT TIME ZONE 'UTC')
                      AS "is_whole!"
           FROM metric_value p JOIN metric m USING (metric)
           LEFT JOIN metric_reach r ON r.metric = p.metric AND r.service_id = p.service_id
           WHERE p.metric = $1 AND p.service_id = $2 AND p.charge_date >= $4 AND p.charge_date < $5
             AND ($3::bigint IS NULL OR p.environment_id IN ($3, 0))
           GROUP BY p.charge_date, m.over_services ORDER BY p.charge_date"#,
        metric,
        service_id,
        environment_id,
        days.start(),
        days.end(),
    )
    .fetch_all(conn)
    .await
}

/// The metrics that a service has values of on these days.
pub async fn of_service(conn: &mut PgConnection, service_id: i64, days: DateRange) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT DISTINCT metric FROM metric_point
         WHERE service_id = $1 AND charge_date >= $2 AND charge_date < $3 ORDER BY metric LIMIT 50",
        service_id,
        days.start(),
        days.end(),
    )
    .fetch_all(conn)
    .await
}

/// Takes values away: of a metric, or of one service of it, on these days. Gives how many days.
pub async fn delete(
    conn: &mut PgConnection,
    metric: &str,
    service_id: Option<i64>,
    days: DateRange,
) -> sqlx::Result<u64> {
    sqlx::query!(
        "DELETE FROM metric_hour WHERE metric = $1 AND ($2::bigint IS NULL OR service_id = $2)
           AND hour >= $3::date::timestamp AT TIME ZONE 'UTC' AND hour < $4::date::timestamp AT TIME ZONE 'UTC'",
        metric,
        service_id,
        days.start(),
        days.end(),
    )
    .execute(&mut *conn)
    .await?;
    let deleted = sqlx::query!(
        "DELETE FROM metric_point WHERE metric = $1 AND ($2::bigint IS NULL OR service_id = $2)
           AND charge_date >= $3 AND charge_date < $4",
        metric,
        service_id,
        days.start(),
        days.end(),
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    metric_reach::set_anew(conn, metric, service_id).await?;
    Ok(deleted)
}

/// Takes the days of a metric away that were given by one who counts them whole, and leaves what others gave. Gives how
/// many.
pub async fn delete_of(conn: &mut PgConnection, metric: &str, by: &str, days: DateRange) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "DELETE FROM metric_point WHERE metric = $1 AND loaded_by = $2 AND charge_date >= $3 AND charge_date < $4",
        metric,
        by,
        days.start(),
        days.end(),
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    metric_reach::set_anew(conn, metric, None).await?;
    Ok(deleted)
}
