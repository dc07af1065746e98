//! Metrics as pages list them: whose values there are, how far they are known, and where they lack.

use super::metric_points::{MetricPoint, Slot};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::{Stream, TryStreamExt};
use sqlx::PgConnection;

/// Services and gaps that a page lists.
const ROWS_MAX: i64 = 1000;

/// A metric and how much of it there is.
#[derive(Debug, Clone)]
pub struct MetricHead {
    /// Its name.
    pub metric: String,
    /// Services with a value.
    pub service_count: i64,
    /// The first day with a value.
    pub first_day: NaiveDate,
    /// The last day with a value.
    pub last_day: NaiveDate,
    /// Values by day.
    pub point_count: i64,
}

/// Every metric that has a value, by name.
pub async fn heads(conn: &mut PgConnection) -> sqlx::Result<Vec<MetricHead>> {
    sqlx::query_as!(
        MetricHead,
        r#"SELECT metric, count(DISTINCT service_id) AS "service_count!", min(charge_date) AS "first_day!",
                  max(charge_date) AS "last_day!", count(*) AS "point_count!"
           FROM metric_point GROUP BY metric ORDER BY metric LIMIT 1000"#
    )
    .fetch_all(conn)
    .await
}

/// Those of these metrics that have a value.
pub async fn with_values(conn: &mut PgConnection, metrics: &[String]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT n.metric AS "metric!" FROM unnest($1::text[]) AS n (metric)
           WHERE EXISTS (SELECT FROM metric_point p WHERE p.metric = n.metric)"#,
        metrics
    )
    .fetch_all(conn)
    .await
}

/// What is known of a metric for one service.
#[derive(Debug, Clone)]
pub struct ServiceReach {
    /// The service.
    pub service_id: i64,
    /// Its address.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// The first day with a value.
    pub first_day: NaiveDate,
    /// The last day with a value.
    pub last_day: NaiveDate,
    /// Values of the last day, combined over environments.
    pub last_value: BigDecimal,
    /// Days with a value.
    pub day_count: i64,
    /// Days between the first and the last one without.
    pub missing_count: i64,
    /// Days of which only some hours are known.
    pub partial_count: i64,
    /// Days that came without an environment too and count by their environments alone.
    pub left_out_count: i64,
    /// Up to when it is known.
    pub complete_through: Option<DateTime<Utc>>,
    /// Who sent the last day.
    pub loaded_by: String,
}

/// The services that have values of a metric, by name.
pub async fn services(conn: &mut PgConnection, metric: &str) -> sqlx::Result<Vec<ServiceReach>> {
    sqlx::query_as!(
        ServiceReach,
        r#"WITH days AS (
             SELECT p.service_id, p.charge_date, max(p.loaded_by) AS loaded_by,
                 CASE m.over_services WHEN 'mean' THEN avg(p.value) WHEN 'max' THEN max(p.value) ELSE sum(p.value) END
                     AS value,
                 bool_or(p.hour_count < 24) AS is_partial, count(*) AS value_count
             FROM metric_value p JOIN metric m USING (metric) WHERE p.metric = $1
             GROUP BY p.service_id, p.charge_date, m.over_services),
           reach AS (
             SELECT service_id, min(charge_date) AS first_day, max(charge_date) AS last_day, count(*) AS day_count,
                 count(*) FILTER (WHERE is_partial) AS partial_count, sum(value_count)::bigint AS value_count
             FROM days GROUP BY service_id)
           SELECT s.service_id, s.slug, s.name, e.first_day AS "first_day!", e.last_day AS "last_day!",
                  d.value AS "last_value!", e.day_count AS "day_count!",
                  (e.last_day - e.first_day + 1) - e.day_count AS "missing_count!", e.partial_count AS "partial_count!",
                  (SELECT count(*) FROM metric_point p WHERE p.metric = $1 AND p.service_id = e.service_id)
                      - e.value_count AS "left_out_count!",
                  r.complete_through AS "complete_through?", d.loaded_by AS "loaded_by!"
           FROM reach e JOIN service s USING (service_id)
           JOIN days d ON d.service_id = e.service_id AND d.charge_date = e.last_day
           LEFT JOIN metric_reach r ON r.metric = $1 AND r.service_id = e.service_id
           ORDER BY lower(s.name), s.service_id LIMIT $2"#,
        metric,
        ROWS_MAX,
    )
    .fetch_all(conn)
    .await
}

/// Days without a value between days with one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Whose.
    pub service_id: i64,
    /// The first day that lacks.
    pub first_day: NaiveDate,
    /// The last one.
    pub last_day: NaiveDate,
}

/// The gaps of a metric, the latest of each service first.
pub async fn gaps(conn: &mut PgConnection, metric: &str) -> sqlx::Result<Vec<Gap>> {
    sqlx::query_as!(
        Gap,
        r#"SELECT service_id, before + 1 AS "first_day!", charge_date - 1 AS "last_day!" FROM (
               SELECT service_id, charge_date, lag(charge_date) OVER (PARTITION BY service_id ORDER BY charge_date)
                   AS before
               FROM (SELECT DISTINCT service_id, charge_date FROM metric_point WHERE metric = $1) d) g
           WHERE charge_date - before > 1 ORDER BY service_id, charge_date DESC LIMIT $2"#,
        metric,
        ROWS_MAX,
    )
    .fetch_all(conn)
    .await
}

/// A value as it is downloaded.
#[derive(Debug, Clone)]
pub struct StoredPoint {
    /// The service's address.
    pub service: String,
    /// The environment's address; none where it is not told apart.
    pub environment: Option<String>,
    /// The day.
    pub charge_date: NaiveDate,
    /// The hour; none for a day that was given as one value.
    pub hour: Option<DateTime<Utc>>,
    /// How much.
    pub value: BigDecimal,
    /// Who sent it.
    pub loaded_by: String,
    /// When.
    pub loaded_at: DateTime<Utc>,
}

impl StoredPoint {
    /// When it was.
    pub fn slot(&self) -> Slot {
        self.hour.map_or(Slot::Day(self.charge_date), Slot::Hour)
    }
}

/// Values of a metric as they were given, by day or by hour, in order of time: of one service or of all.
pub async fn points(
    conn: &mut PgConnection,
    metric: &str,
    service: Option<&str>,
    (first_day, end_day): (NaiveDate, NaiveDate),
    limit: i64,
) -> sqlx::Result<Vec<StoredPoint>> {
    point_stream(conn, metric, service, (first_day, end_day), Some(limit)).try_collect().await
}

/// The same one by one as they come, so that many take no memory: all of them where there is no limit.
pub fn point_stream(
    conn: &mut PgConnection,
    metric: &str,
    service: Option<&str>,
    (first_day, end_day): (NaiveDate, NaiveDate),
    limit: Option<i64>,
) -> impl Stream<Item = sqlx::Result<StoredPoint>> {
    sqlx::query_as!(
        StoredPoint,
        r#"SELECT s.slug AS "service!", e.slug AS "environment?", v.charge_date AS "charge_date!", v.hour AS "hour?",
                  v.value AS "value!", v.loaded_by AS "loaded_by!", v.loaded_at AS "loaded_at!"
           FROM (SELECT service_id, environment_id, charge_date, NULL::timestamptz AS hour, value, loaded_by, loaded_at
                 FROM metric_point WHERE metric = $1 AND hour_count IS NULL AND charge_date >= $3 AND charge_date < $4
                 UNION ALL
                 SELECT service_id, environment_id, (hour AT TIME ZONE 'UTC')::date, hour, value, loaded_by, loaded_at
                 FROM metric_hour WHERE metric = $1 AND hour >= $3::date::timestamp AT TIME ZONE 'UTC'
                   AND hour < $4::date::timestamp AT TIME ZONE 'UTC') v
           JOIN service s USING (service_id) LEFT JOIN environment e USING (environment_id)
           WHERE $2::text IS NULL OR s.slug = $2
           ORDER BY v.charge_date, v.hour NULLS FIRST, s.slug, e.slug NULLS FIRST LIMIT $5"#,
        metric,
        service,
        first_day,
        end_day,
        limit,
    )
    .fetch(conn)
}

/// The time of a value as it is given: `2026-10-31`, or `2026-10-31T13:00:00Z`.
pub fn time_text(point: &StoredPoint) -> String {
    match point.slot() {
        Slot::Day(day) => day.to_string(),
        Slot::Hour(hour) => hour.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }
}

/// All days that one gave who counts them whole.
pub async fn given_by(conn: &mut PgConnection, by: &str) -> sqlx::Result<Vec<MetricPoint>> {
    let rows = sqlx::query!(
        "SELECT metric, service_id, environment_id, charge_date, value FROM metric_point
         WHERE loaded_by = $1 AND hour_count IS NULL",
        by
    );
    let points = rows.fetch_all(conn).await?.into_iter().map(|row| MetricPoint {
        metric: row.metric,
        service_id: row.service_id,
        environment_id: row.environment_id,
        slot: Slot::Day(row.charge_date),
        value: row.value,
    });
    Ok(points.collect())
}
