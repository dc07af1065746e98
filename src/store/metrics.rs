//! What metrics mean: unit, and how their values are combined.

use super::Scope;
use super::costs::CostFilter;
use super::metric_points::RUNS_COUNTED_BY;
use crate::focus::DateRange;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::cmp::Reverse;
use std::collections::BTreeSet;

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
/// How the metrics of what services used of clusters begin.
pub const CLUSTER_PREFIX: &str = "cluster_";
const RANK_OF_BUILDS: u8 = 2;
/// Metrics that are tried where nobody chose one to tell unit costs of, the best first: one may have values and no unit cost.
pub const UNITS_TRIED_MAX: usize = 5;
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

/// The metrics that are the minutes of a kind of jobs. The rules for kinds of jobs tell them, no name does: calls or
/// films may be counted in minutes too. A rule that was taken away tells only those of which something is still counted.
#[derive(Debug, Clone, Default)]
pub struct JobMinutes(BTreeSet<String>);

impl Metric {
    /// Whether values add up.
    pub fn is_summed(&self) -> bool {
        self.over_hours == "sum" && self.over_services == "sum"
    }

    /// Whether a cost is divided by it: its values add up, and somebody said what they are. A name that was mistyped makes a
    /// metric too, and nobody knows what a unit of it is.
    pub fn has_unit_cost(&self) -> bool {
        self.is_summed() && !self.is_assumed
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

    /// Of metrics whose values add up, the lowest is the best unit of what a service does: requests first, builds late.
    pub fn unit_rank(&self, job_minutes: &JobMinutes) -> u8 {
        unit_rank(&self.metric, &self.meaning, job_minutes)
    }

    /// Whether it counts what a service does for someone, so that all that it costs is the cost of that.
    pub fn is_unit(&self, job_minutes: &JobMinutes) -> bool {
        self.has_unit_cost() && self.unit_rank(job_minutes) < RANK_OF_BUILDS
    }

    /// Whether a cost is told of a unit of it for a service. All that a service costs is not the cost of building it where
    /// something else that it does has a unit cost (`has_unit`), unless somebody chose builds as its unit, or stated a goal
    /// for them (`is_named`).
    pub fn is_told_beside(&self, has_unit: bool, is_named: bool) -> bool {
        !(self.is_of_builds() && has_unit) || is_named
    }

    /// The words for its meaning.
    pub fn meaning_label(&self) -> &'static str {
        MEANINGS.iter().find(|(key, _)| *key == self.meaning).map_or("Something else", |(_, label)| label)
    }
}

/// The lowest is the best unit of what a service does: requests, orders and training jobs; then what nobody said the meaning
/// of; then runs of pipelines; then what is no unit: minutes of runs and jobs, what failed, and what a service used of a
/// cluster.
fn unit_rank(metric: &str, meaning: &str, job_minutes: &JobMinutes) -> u8 {
    let is_of_jobs = job_minutes.0.contains(metric);
    match meaning {
        "requests" | "orders" | "training-jobs" => 0,
        "pipeline-runs" => RANK_OF_BUILDS,
        "errors" => RANK_OF_BUILDS + 1,
        _ if is_of_jobs || metric == RUN_MINUTES || metric.starts_with(CLUSTER_PREFIX) => RANK_OF_BUILDS + 1,
        _ => 1,
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

/// Reads which metrics are the minutes of a kind of jobs.
pub async fn job_minutes(conn: &mut PgConnection) -> sqlx::Result<JobMinutes> {
    let names = sqlx::query_scalar!(
        r#"SELECT DISTINCT r.kind || '_minutes' AS "metric!" FROM job_kind_rule r
           WHERE r.deleted_at IS NULL
              OR EXISTS (SELECT FROM metric_point p WHERE p.metric = r.kind || '_minutes' AND p.loaded_by = $1)"#,
        RUNS_COUNTED_BY
    )
    .fetch_all(conn);
    Ok(JobMinutes(names.await?.into_iter().collect()))
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

/// The metrics that have a unit cost and that a service has values of on these days: the best unit ([`Metric::unit_rank`])
/// first, and of several the one of most days.
pub async fn units(
    conn: &mut PgConnection,
    service_id: i64,
    days: DateRange,
    job_minutes: &JobMinutes,
) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query_as!(
        Told,
        r#"SELECT p.metric, m.meaning, count(DISTINCT p.charge_date) AS "count!"
           FROM metric_point p JOIN metric m USING (metric)
           WHERE p.service_id = $1 AND p.charge_date >= $2 AND p.charge_date < $3
             AND m.over_hours = 'sum' AND m.over_services = 'sum' AND NOT m.is_assumed
           GROUP BY p.metric, m.meaning"#,
        service_id,
        days.start(),
        days.end(),
    );
    Ok(best_first(rows.fetch_all(conn).await?, job_minutes))
}

/// The metrics that have a unit cost and that services of this part of all cost have values of on these days: the best
/// unit first, and of several the one of most services. Values without an environment count for each.
pub async fn units_of_all(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &CostFilter,
    days: DateRange,
) -> sqlx::Result<Vec<String>> {
    let job_minutes = job_minutes(&mut *conn).await?;
    let rows = sqlx::query_as!(
        Told,
        r#"SELECT p.metric, m.meaning, count(DISTINCT p.service_id) AS "count!"
           FROM metric_point p JOIN metric m USING (metric) JOIN service s USING (service_id)
           WHERE p.charge_date >= $1 AND p.charge_date < $2 AND m.over_hours = 'sum' AND m.over_services = 'sum'
             AND NOT m.is_assumed
             AND ($3::bigint[] IS NULL OR s.team_id = ANY($3))
             AND ($4::bigint IS NULL OR p.environment_id IN ($4, 0))
             AND ($5::bigint IS NULL OR p.service_id = $5)
             AND ($6::bigint IS NULL OR coalesce(s.team_id, 0) = $6)
           GROUP BY p.metric, m.meaning"#,
        days.start(),
        days.end(),
        scope.team_ids(),
        filter.environment_id,
        filter.service_id,
        filter.team_id,
    );
    Ok(best_first(rows.fetch_all(conn).await?, &job_minutes))
}

// A metric that has values: of so many days, or services.
struct Told {
    metric: String,
    meaning: String,
    count: i64,
}

fn best_first(mut told: Vec<Told>, job_minutes: &JobMinutes) -> Vec<String> {
    told.sort_by_cached_key(|one| {
        (unit_rank(&one.metric, &one.meaning, job_minutes), Reverse(one.count), one.metric.clone())
    });
    told.into_iter().map(|one| one.metric).collect()
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

    fn minutes_of(kinds: &[&str]) -> JobMinutes {
        JobMinutes(kinds.iter().map(|kind| format!("{kind}_minutes")).collect())
    }

    #[test]
    fn builds_are_a_unit_only_where_there_is_no_other() {
        let jobs = JobMinutes::default();
        let rank = |meaning: &str| metric(meaning, "sum").unit_rank(&jobs);
        assert_eq!(["requests", "orders", "training-jobs", "other"].map(rank), [0, 0, 0, 1]);
        let minutes = Metric { metric: RUN_MINUTES.into(), ..metric("other", "sum") };
        assert_eq!((rank("pipeline-runs"), minutes.unit_rank(&jobs), rank("errors")), (2, 3, 3));
        assert!(minutes.is_of_builds() && metric("pipeline-runs", "sum").is_of_builds());
        assert!(!metric("errors", "sum").is_of_builds() && !metric("training-jobs", "sum").is_of_builds());
        let runs = metric("pipeline-runs", "sum");
        assert!(runs.is_told_beside(false, false) && runs.is_told_beside(true, true), "nothing else, or named");
        assert!(!runs.is_told_beside(true, false) && metric("orders", "sum").is_told_beside(true, false));
        assert!(metric("orders", "sum").is_unit(&jobs) && !metric("latency", "mean").is_unit(&jobs));
        assert!(!minutes.is_unit(&jobs));
        let assumed = Metric { is_assumed: true, ..metric("other", "sum") };
        assert!(assumed.is_summed() && !assumed.has_unit_cost() && !assumed.is_unit(&jobs), "nobody said what it is");
    }

    #[test]
    fn what_a_service_used_or_its_jobs_took_is_no_unit() {
        let jobs = minutes_of(&["training", "e2e"]);
        let named = |name: &str| Metric { metric: name.into(), ..metric("other", "sum") };
        let is_unit = |name: &str| named(name).is_unit(&jobs);
        assert!(!is_unit("cluster_eu-1_pods") && !is_unit("training_minutes"));
        assert!(!is_unit("e2e_minutes") && is_unit("e2e_jobs"));
        assert!(is_unit("call_minutes") && is_unit("any"));
        let calls = Metric { meaning: "requests".into(), ..named("cluster_calls") };
        assert!(calls.is_unit(&jobs), "somebody said what it means");
    }

    #[test]
    fn the_best_unit_comes_first_and_of_several_the_one_told_most() {
        let told =
            |metric: &str, meaning: &str, count: i64| Told { metric: metric.into(), meaning: meaning.into(), count };
        let all = vec![
            told("e2e_minutes", "other", 11),
            told(RUN_MINUTES, "other", 9),
            told("pipeline_runs", "pipeline-runs", 9),
            told("cluster_eu-1_pods", "other", 10),
            told("calls", "other", 5),
            told("orders", "orders", 1),
            told("requests", "requests", 2),
            told("films", "other", 5),
        ];
        let last = ["pipeline_runs", "e2e_minutes", "cluster_eu-1_pods", RUN_MINUTES];
        assert_eq!(
            best_first(all, &minutes_of(&["e2e"])),
            [&["requests", "orders", "calls", "films"][..], &last].concat()
        );
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
