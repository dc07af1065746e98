//! What metrics mean: unit, and how their values are combined.

use crate::focus::DateRange;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Meanings with the words that people read, in the order of a menu.
pub const MEANINGS: [(&str, &str); 9] = [
    ("requests", "Requests"),
    ("orders", "Orders"),
    ("pipeline-runs", "Pipeline runs"),
    ("training-jobs", "Training jobs"),
    ("errors", "Errors"),
    ("latency", "Latency"),
    ("utilization", "Utilization"),
    ("replicas", "Replicas"),
    ("other", "Something else"),
];
/// Ways to combine values, in the order of a menu.
pub const COMBINATIONS: [&str; 3] = ["sum", "mean", "max"];
/// The metric of the minutes that runs of pipelines took, counted beside these.
pub const RUN_MINUTES: &str = "pipeline_minutes";
/// Metrics that an installation may have.
pub const METRICS_MAX: i64 = 1000;

/// A metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub metric: String,
    /// One of [`MEANINGS`].
    pub meaning: String,
    /// Of one value: `requests`, `ms`.
    pub unit: String,
    /// What the hours of a day make: `sum`, `mean` or `max`.
    pub over_hours: String,
    /// What services, or environments, make together.
    pub over_services: String,
    /// The unit cost is the cost of so many.
    pub unit_cost_per: i32,
    /// What is counted.
    pub description: String,
    /// What it is called in OTLP, beside its own name.
    pub otlp_names: Vec<String>,
    /// Nobody has said yet what it means.
    pub is_assumed: bool,
    /// Who said so last.
    pub changed_by: String,
    /// When.
    pub changed_at: DateTime<Utc>,
}

impl Metric {
    /// Whether values add up, so that a cost can be divided by them.
    pub fn is_summed(&self) -> bool {
        self.over_hours == "sum" && self.over_services == "sum"
    }

    /// Whether it may tell how long a unit takes: a latency, or what nobody said the meaning of; and no sum, which grows
    /// with how much there is to do. Utilization, replicas and errors are no time.
    pub fn tells_duration(&self) -> bool {
        !self.is_summed() && matches!(self.meaning.as_str(), "latency" | "other")
    }

    /// Whether it tells how often, or how long, a service is built: nothing that the service does for anyone.
    pub fn is_of_builds(&self) -> bool {
        self.meaning == "pipeline-runs" || self.metric == RUN_MINUTES
    }

    /// Of metrics whose values add up, the lowest is the best unit of what a service does: requests, jobs and the like, then
    /// runs of pipelines, then minutes of these and what failed.
    pub fn unit_rank(&self) -> u8 {
        match self.meaning.as_str() {
            "pipeline-runs" => 1,
            "errors" => 2,
            _ => 2 * u8::from(self.metric == RUN_MINUTES),
        }
    }

    /// Whether it counts what a service does for someone, so that all that it costs is the cost of that.
    pub fn is_unit(&self) -> bool {
        self.is_summed() && self.unit_rank() == 0
    }

    /// The words for its meaning.
    pub fn meaning_label(&self) -> &'static str {
        MEANINGS.iter().find(|(key, _)| *key == self.meaning).map_or("Something else", |(_, label)| label)
    }
}

/// All metrics by name.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<Metric>> {
    sqlx::query_as!(
        Metric,
        "SELECT metric, meaning, unit, over_hours, over_services, unit_cost_per, description, otlp_names, is_assumed,
                changed_by, changed_at
         FROM metric ORDER BY metric LIMIT $1",
        METRICS_MAX
    )
    .fetch_all(conn)
    .await
}

/// The metric of this name.
pub async fn get(conn: &mut PgConnection, metric: &str) -> sqlx::Result<Option<Metric>> {
    sqlx::query_as!(
        Metric,
        "SELECT metric, meaning, unit, over_hours, over_services, unit_cost_per, description, otlp_names, is_assumed,
                changed_by, changed_at
         FROM metric WHERE metric = $1",
        metric
    )
    .fetch_optional(conn)
    .await
}

/// Adds a metric or says anew what one means. Gives what it was before.
pub async fn put(conn: &mut PgConnection, new: &Metric) -> sqlx::Result<Option<Metric>> {
    let before = get(&mut *conn, &new.metric).await?;
    sqlx::query!(
        "INSERT INTO metric (metric, meaning, unit, over_hours, over_services, unit_cost_per, description, otlp_names,
             is_assumed, changed_by, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (metric) DO UPDATE SET meaning = excluded.meaning, unit = excluded.unit,
             over_hours = excluded.over_hours, over_services = excluded.over_services,
             unit_cost_per = excluded.unit_cost_per, description = excluded.description,
             otlp_names = excluded.otlp_names, is_assumed = excluded.is_assumed, changed_by = excluded.changed_by,
             changed_at = excluded.changed_at",
        new.metric,
        new.meaning,
        new.unit,
        new.over_hours,
        new.over_services,
        new.unit_cost_per,
        new.description,
        &new.otlp_names,
        new.is_assumed,
        new.changed_by,
        new.changed_at,
    )
    .execute(conn)
    .await?;
    Ok(before)
}

/// Adds metrics that nobody has described: their values add up until someone says otherwise. False where that would be
/// more than [`METRICS_MAX`].
pub async fn assume(conn: &mut PgConnection, names: &[String], by: &str, now: DateTime<Utc>) -> sqlx::Result<bool> {
    sqlx::query!(
        "INSERT INTO metric (metric, meaning, unit, over_hours, over_services, is_assumed, changed_by, changed_at)
         SELECT name, 'other', '', 'sum', 'sum', true, $2::text, $3::timestamptz FROM unnest($1::text[]) AS n (name)
         ON CONFLICT (metric) DO NOTHING",
        names,
        by,
        now,
    )
    .execute(&mut *conn)
    .await?;
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM metric"#).fetch_one(conn).await?;
    Ok(count <= METRICS_MAX)
}

/// Describes a metric that adds up, where nobody did.
pub async fn add(
    conn: &mut PgConnection,
    metric: &str,
    unit: &str,
    description: &str,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO metric (metric, meaning, unit, over_hours, over_services, description, changed_by, changed_at)
         VALUES ($1, 'other', $2, 'sum', 'sum', $3, $4, $5) ON CONFLICT (metric) DO NOTHING",
        metric,
        unit,
        description,
        by,
        now,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Of the metrics whose values add up, the best unit ([`Metric::unit_rank`]) that a service has values of on these days, and
/// of several the one of most days.
pub async fn best_unit(conn: &mut PgConnection, service_id: i64, days: DateRange) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT p.metric FROM metric_point p JOIN metric m USING (metric)
         WHERE p.service_id = $1 AND p.charge_date >= $2 AND p.charge_date < $3
           AND m.over_hours = 'sum' AND m.over_services = 'sum'
         GROUP BY p.metric, m.meaning
         ORDER BY CASE WHEN m.meaning = 'pipeline-runs' THEN 1 WHEN m.meaning = 'errors' OR p.metric = $4 THEN 2 ELSE 0 END,
             count(DISTINCT p.charge_date) DESC, p.metric LIMIT 1",
        service_id,
        days.start(),
        days.end(),
        RUN_MINUTES,
    )
    .fetch_optional(conn)
    .await
}

/// Which metric the unit cost of a service is shown for, where someone chose one.
pub async fn unit_metric(conn: &mut PgConnection, service_id: i64) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT metric FROM service_unit_metric WHERE service_id = $1", service_id)
        .fetch_optional(conn)
        .await
}

/// Chooses the metric of a service's unit cost; `None` for none of its own.
pub async fn set_unit_metric(conn: &mut PgConnection, service_id: i64, metric: Option<&str>) -> sqlx::Result<()> {
    let Some(metric) = metric else {
        return sqlx::query!("DELETE FROM service_unit_metric WHERE service_id = $1", service_id)
            .execute(conn)
            .await
            .map(drop);
    };
    sqlx::query!(
        "INSERT INTO service_unit_metric (service_id, metric) VALUES ($1, $2)
         ON CONFLICT (service_id) DO UPDATE SET metric = excluded.metric",
        service_id,
        metric,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Remembers that values were added under this key. `Some` with the hash and count of the first time where it was used
/// before.
pub async fn remember_addition(
    conn: &mut PgConnection,
    metric: &str,
    key: &str,
    body_sha256: &str,
    point_count: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<(String, i64)>> {
    let inserted = sqlx::query_scalar!(
        "INSERT INTO metric_addition (metric, idempotency_key, body_sha256, point_count, added_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING point_count",
        metric,
        key,
        body_sha256,
        point_count,
        now,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if inserted.is_some() {
        return Ok(None);
    }
    let row = sqlx::query!(
        "SELECT body_sha256, point_count FROM metric_addition WHERE metric = $1 AND idempotency_key = $2",
        metric,
        key,
    )
    .fetch_one(conn)
    .await?;
    Ok(Some((row.body_sha256, row.point_count)))
}

#[cfg(test)]
impl Metric {
    /// A metric for tests, whose hours and services are combined in the same way.
    pub(crate) fn example(name: &str, meaning: &str, combined: &str) -> Self {
        Self {
            metric: name.into(),
            meaning: meaning.into(),
            unit: String::new(),
            over_hours: combined.into(),
            over_services: combined.into(),
            unit_cost_per: 1,
            description: String::new(),
            otlp_names: Vec::new(),
            is_assumed: false,
            changed_by: "test".into(),
            changed_at: DateTime::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(meaning: &str, combined: &str) -> Metric {
        Metric::example("any", meaning, combined)
    }

    #[test]
    fn builds_are_a_unit_only_where_there_is_no_other() {
        let rank = |meaning: &str| metric(meaning, "sum").unit_rank();
        assert_eq!(["requests", "training-jobs", "other"].map(rank), [0; 3]);
        let minutes = Metric { metric: RUN_MINUTES.into(), ..metric("other", "sum") };
        assert_eq!((rank("pipeline-runs"), minutes.unit_rank(), rank("errors")), (1, 2, 2));
        assert!(minutes.is_of_builds() && metric("pipeline-runs", "sum").is_of_builds());
        assert!(!metric("errors", "sum").is_of_builds() && !metric("training-jobs", "sum").is_of_builds());
        assert!(metric("orders", "sum").is_unit() && !metric("latency", "mean").is_unit() && !minutes.is_unit());
    }

    #[test]
    fn only_a_latency_or_something_else_that_is_no_sum_tells_a_duration() {
        let telling = |combined: &str| -> Vec<&str> {
            let is_telling = |key: &&str| Metric::example(key, key, combined).tells_duration();
            MEANINGS.iter().map(|(key, _)| *key).filter(is_telling).collect()
        };
        assert_eq!(telling("mean"), ["latency", "other"]);
        assert_eq!(telling("max"), ["latency", "other"]);
        assert!(telling("sum").is_empty());
    }
}
