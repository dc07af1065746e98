//! Usage that shared costs are divided by.

use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

/// A value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricPoint {
    /// The metric.
    pub metric: String,
    /// Whose.
    pub service_id: i64,
    /// Where; 0 for all environments together.
    pub environment_id: i64,
    /// On which day.
    pub charge_date: NaiveDate,
    /// How much; never below zero.
    pub value: BigDecimal,
}

/// Stores points; one that is there already gets the new value.
pub async fn upsert(conn: &mut PgConnection, points: &[MetricPoint], by: &str, now: DateTime<Utc>) -> sqlx::Result<()> {
    for batch in points.chunks(10_000) {
        let metrics: Vec<String> = batch.iter().map(|point| point.metric.clone()).collect();
        let services: Vec<i64> = batch.iter().map(|point| point.service_id).collect();
        let environments: Vec<i64> = batch.iter().map(|point| point.environment_id).collect();
        let days: Vec<NaiveDate> = batch.iter().map(|point| point.charge_date).collect();
        let values: Vec<BigDecimal> = batch.iter().map(|point| point.value.clone()).collect();
        sqlx::query!(
            "INSERT INTO metric_point (metric, service_id, environment_id, charge_date, value, loaded_by, loaded_at)
             SELECT n.*, $6::text, $7::timestamptz
             FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::date[], $5::numeric[]) AS n
             ON CONFLICT (metric, charge_date, service_id, environment_id)
             DO UPDATE SET value = excluded.value, loaded_by = excluded.loaded_by, loaded_at = excluded.loaded_at",
            &metrics,
            &services,
            &environments,
            &days,
            &values,
            by,
            now,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

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
    /// Values.
    pub point_count: i64,
}

/// Every metric by name.
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
