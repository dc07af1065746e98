//! Which metric tells how much each service has to do, and how much of it runs at once: by what metrics mean, in the view
//! `service_measure`, so that effects, causes, anomalies and savings look at the same one.

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
