//! Which metric tells how much each service has to do, and how much of it runs at once: by what metrics mean, in the view
//! `service_measure`, so that effects, causes, anomalies and savings look at the same one.

use super::metric_points::RUNS_COUNTED_BY;
use crate::focus::DateRange;
use chrono::NaiveDate;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Services that are read at most.
const SERVICE_COUNT_MAX: i64 = 100_000;

/// What a metric measures of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// How much it has to do: requests, else orders, else runs of pipelines, else training jobs.
    Volume,
    /// How much of it runs at once.
    Replicas,
}

impl Measure {
    /// The word that the database knows it by.
    pub fn key(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::Replicas => "replicas",
        }
    }
}

/// What the volume of a service is counted in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeUnit {
    /// The metric.
    pub metric: String,
    /// Its unit: `requests`; its name where it has none.
    pub unit: String,
    /// A unit cost is the cost of so many.
    pub unit_cost_per: i32,
}

/// What the volume of each service is counted in, where it is counted.
pub async fn volume_units(conn: &mut PgConnection) -> sqlx::Result<BTreeMap<i64, VolumeUnit>> {
    let rows = sqlx::query!(
        r#"SELECT service_id AS "service_id!", metric AS "metric!", unit AS "unit!", unit_cost_per AS "unit_cost_per!"
           FROM service_measure WHERE measure = $1 ORDER BY service_id LIMIT $2"#,
        Measure::Volume.key(),
        SERVICE_COUNT_MAX
    )
    .fetch_all(conn)
    .await?;
    let unit = |metric, unit, unit_cost_per| VolumeUnit { metric, unit, unit_cost_per };
    Ok(rows.into_iter().map(|row| (row.service_id, unit(row.metric, row.unit, row.unit_cost_per))).collect())
}

/// How much a service had to do a day, on both sides of a day. Not money.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VolumeAround {
    /// The mean of the known days before.
    pub before: Option<f64>,
    /// The mean of the known days from it on.
    pub from: Option<f64>,
}

/// The volume of a service on these days, before a day and from it on: of the environment, else of all together. `None` where
/// nothing is known on any of them. As for effects, a day on which no counted run ended tells nothing.
pub async fn volume_around(
    conn: &mut PgConnection,
    (service_id, environment_id): (i64, i64),
    days: DateRange,
    day: NaiveDate,
) -> sqlx::Result<Option<VolumeAround>> {
    sqlx::query_as!(
        VolumeAround,
        r#"SELECT (avg(p.value) FILTER (WHERE p.charge_date < $6))::double precision AS "before?",
                  (avg(p.value) FILTER (WHERE p.charge_date >= $6))::double precision AS "from?"
           FROM service_measure told
           JOIN metric_value p ON p.service_id = told.service_id AND p.metric = told.metric
           WHERE told.measure = $1 AND told.service_id = $2 AND p.environment_id IN ($3, 0)
             AND p.charge_date >= $4 AND p.charge_date < $5 AND (p.value > 0 OR p.loaded_by <> $7)
           GROUP BY p.environment_id ORDER BY p.environment_id DESC LIMIT 1"#,
        Measure::Volume.key(),
        service_id,
        environment_id,
        days.start(),
        days.end(),
        day,
        RUNS_COUNTED_BY
    )
    .fetch_optional(conn)
    .await
}
