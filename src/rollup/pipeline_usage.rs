//! Runs of pipelines as usage: how many of a service ended on a day, and how many minutes they took, so that a run has a
//! unit cost. Counted from the stored runs, anew whenever some came, so that no order of arrival matters.

use super::mapper::{self, Mapper};
use super::pipeline_deployments;
use super::usage::{Taking, UsageError};
use crate::allocate::{self, Target};
use crate::events::Event;
use crate::focus::DateRange;
use crate::store::Pools;
use crate::store::metric_points::{MetricPoint, Slot, Write};
use crate::store::service_details;
use crate::store::usage_unmapped::{self, Lost, Reason};
use bigdecimal::{BigDecimal, RoundingMode};
use chrono::{DateTime, Days, NaiveDate, Utc};
use futures_util::TryStreamExt;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::BTreeMap;

/// The job that counts.
pub const COUNT_PIPELINES: &str = "count_pipelines";
/// How many runs ended.
pub const RUNS: &str = "pipeline_runs";
/// How many minutes they took.
pub const MINUTES: &str = "pipeline_minutes";
const BY: &str = "pipeline events";
/// What is counted anew each time: rules and repositories that changed hold for these days too.
const DAYS: u32 = 92;
const MINUTE_DECIMALS: i64 = 4;

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Runs that belong to a service.
    pub run_count: u64,
    /// Runs that belong to none.
    pub unmapped_count: u64,
}

/// Whether runs came that are not counted yet; the next look is in a quarter of an hour. Of several who ask one is told so.
pub async fn take_due(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let due = sqlx::query_scalar!(
        "UPDATE pipeline_usage SET next_count_at = $1::timestamptz + interval '15 minutes'
         WHERE next_count_at <= $1
           AND EXISTS (SELECT FROM pipeline_run WHERE finished_at IS NOT NULL AND received_at > counted_through)
         RETURNING is_only",
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(due.is_some())
}

/// Counts the runs of the last days by service and day, in place of what was counted before.
pub async fn count(pools: &Pools, now: DateTime<Utc>) -> Result<Counted, UsageError> {
    let mut taking = Taking::begin(pools, None).await?;
    let places = Places::load(taking.conn()).await?;
    let first = now.date_naive() - Days::new(u64::from(DAYS));
    let through = sqlx::query_scalar!("SELECT counted_through FROM pipeline_usage FOR UPDATE");
    let through = through.fetch_one(taking.conn()).await?;
    let (sums, mut lost, newest) = sums(taking.conn(), &places, first, through).await?;
    // An earlier count may have had another service for a run.
    let days = DateRange::days_to(now.date_naive(), DAYS + 1);
    for metric in [RUNS, MINUTES] {
        taking.delete(metric, None, days).await?;
    }
    let points: Vec<MetricPoint> = sums.iter().flat_map(|(place, sum)| sum.points(*place)).collect();
    taking.write(&points, Write::Replace, None, BY, now).await?;
    lost.retain(|_, count| *count > 0);
    usage_unmapped::count(taking.conn(), BY, &lost, now).await?;
    if let Some(newest) = newest {
        sqlx::query!("UPDATE pipeline_usage SET counted_through = greatest(counted_through, $1)", newest)
            .execute(taking.conn())
            .await?;
    }
    taking.finish(BY, now).await?;
    Ok(Counted {
        run_count: sums.values().map(|sum| sum.runs).sum(),
        unmapped_count: lost.values().map(|count| count.unsigned_abs()).sum(),
    })
}

type Place = (i64, NaiveDate);
type Sums = BTreeMap<Place, Sum>;

#[derive(Debug, Default)]
struct Sum {
    runs: u64,
    seconds: i64,
}

impl Sum {
    fn points(&self, (service_id, day): Place) -> [MetricPoint; 2] {
        let point = |metric: &str, value: BigDecimal| MetricPoint {
            metric: metric.to_owned(),
            service_id,
            environment_id: 0,
            slot: Slot::Day(day),
            value,
        };
        let minutes = BigDecimal::from(self.seconds) / BigDecimal::from(60);
        [
            point(RUNS, BigDecimal::from(self.runs)),
            point(MINUTES, minutes.with_scale_round(MINUTE_DECIMALS, RoundingMode::HalfEven)),
        ]
    }
}

// There may be many runs, so that they pass one by one. Jobs of a run are part of it and count with it. What belongs to no
// service is told once, when it came.
async fn sums(
    conn: &mut PgConnection,
    places: &Places,
    first: NaiveDate,
    counted_through: DateTime<Utc>,
) -> sqlx::Result<(Sums, BTreeMap<Lost, i64>, Option<DateTime<Utc>>)> {
    let mut runs = sqlx::query!(
        r#"SELECT s.name AS source_name, p.received_at, (p.finished_at AT TIME ZONE 'UTC')::date AS "day!",
                  greatest(extract(epoch FROM p.finished_at - coalesce(p.started_at, p.finished_at)), 0)::bigint
                      AS "seconds!",
                  p.facts AS "facts: Json<Event>"
           FROM pipeline_run p JOIN event_source s USING (event_source_id)
           WHERE p.finished_at >= $1::date::timestamp AT TIME ZONE 'UTC'
             AND NOT coalesce(p.facts -> 'attributes' ? 'job', false)
           ORDER BY p.pipeline_run_id"#,
        first
    )
    .fetch(conn);
    let (mut sums, mut lost, mut newest) = (Sums::new(), BTreeMap::new(), None);
    while let Some(run) = runs.try_next().await? {
        newest = newest.max(Some(run.received_at));
        match places.of(&run.source_name, &run.facts.0) {
            Some(service_id) => {
                let sum = sums.entry((service_id, run.day)).or_default();
                sum.runs += 1;
                sum.seconds += run.seconds;
            }
            None => {
                let service = run.facts.0.repo.clone().unwrap_or_default();
                let what = Lost { metric: RUNS.into(), service, environment: String::new(), reason: Reason::Service };
                *lost.entry(what).or_default() += i64::from(run.received_at > counted_through);
            }
        }
    }
    Ok((sums, lost, newest))
}

// Whose a run is: by a rule for deployments, else of the one service that has its repository.
struct Places {
    mapper: Mapper,
    by_repository: BTreeMap<String, Option<i64>>,
}

impl Places {
    async fn load(conn: &mut PgConnection) -> anyhow::Result<Self> {
        let mapper = Mapper::load(&mut *conn).await?;
        let mut by_repository: BTreeMap<String, Option<i64>> = BTreeMap::new();
        for detail in service_details::list(&mut *conn).await? {
            for repository in &detail.repositories {
                // Of two services nobody can tell which.
                let known = by_repository.entry(repository.to_lowercase()).or_insert(Some(detail.service_id));
                *known = known.filter(|known| *known == detail.service_id);
            }
        }
        // A repository that is called as a service is, where nothing else says whose it is.
        let catalogue = mapper::catalogue_names(&mut *conn).await?;
        let runs = sqlx::query_scalar!(r#"SELECT DISTINCT repo AS "repo!" FROM pipeline_run WHERE repo IS NOT NULL"#);
        for repo in runs.fetch_all(&mut *conn).await? {
            let name = repo.rsplit('/').next().unwrap_or_default().to_owned();
            by_repository.entry(repo.to_lowercase()).or_insert_with(|| catalogue.services.find(&name));
        }
        Ok(Self { mapper, by_repository })
    }

    fn of(&self, source_name: &str, run: &Event) -> Option<i64> {
        let attribute = |name: &str| pipeline_deployments::attribute(run, source_name, name);
        let assigned = allocate::assign(&self.mapper.deployments, attribute);
        let by_rule = assigned.service.as_ref().and_then(Target::known);
        by_rule.or_else(|| self.by_repository.get(&run.repo.as_ref()?.to_lowercase()).copied().flatten())
    }
}
