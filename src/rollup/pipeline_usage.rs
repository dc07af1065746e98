//! Runs of pipelines as usage: how many of a service ended on a day, and how many minutes they took, so that a run has a
//! unit cost; and apart from that the runs and jobs that a rule names, training for example. Counted from the stored runs,
//! anew whenever some came, so that no order of arrival matters. The minutes of a day are not known where a run of it told
//! no start: they are no zero.
//!
//! Whoever tells of every run tells of days without one too: between the first run of a service and the last run that
//! each of its event sources told of, of whatever service, such a day is a zero, so that its cost is part of what runs
//! cost. These are the sources that told of its runs of the days that are counted, or else of its last run: one that was
//! left for another holds nothing back for longer, except of days before the first run at the other. Where many post
//! their own runs to one source it is the last run of the service itself. Before and after, and 92 days after the last
//! run of a service, it is not known, as any usage that nobody told.

mod days;

use super::mapper::{self, Mapper};
use super::pipeline_deployments;
use super::usage::{Taking, UsageError};
use crate::allocate::{self, JobKindRule, JobKinds, Target, jobs_metric, minutes_metric};
use crate::events::{self, Event};
use crate::focus::DateRange;
use crate::store::Pools;
use crate::store::job_kinds::{self, KeptRule};
use crate::store::jobs;
use crate::store::metric_points::{RUNS_COUNTED_BY as BY, Write};
use crate::store::metrics::RUN_MINUTES;
use crate::store::service_details;
use crate::store::usage_unmapped::{self, Lost, Reason};
use anyhow::Context;
use chrono::{DateTime, Days, NaiveDate, Utc};
use days::{Heard, Known, Place, Series};
use futures_util::TryStreamExt;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The job that counts.
pub const COUNT_PIPELINES: &str = jobs::COUNT_PIPELINES;
/// How many runs ended.
pub const RUNS: &str = "pipeline_runs";
/// How many minutes they took.
pub const MINUTES: &str = RUN_MINUTES;
/// What is counted anew each time: rules and repositories that changed hold for these days too. Runs of as many days before
/// are read to know which services had any.
const DAYS: u32 = 92;

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Runs that belong to a service.
    pub run_count: u64,
    /// Runs that belong to none.
    pub unmapped_count: u64,
}

/// Whether runs came that are not counted yet, or something waited to be read at the last count that may be such a run, or
/// take no zeros away any more; the next look is in a quarter of an hour. Of several who ask one is told so.
pub async fn take_due(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let due = sqlx::query_scalar!(
        "UPDATE pipeline_usage SET next_count_at = $1::timestamptz + interval '15 minutes'
         WHERE next_count_at <= $1
           AND (has_to_wait
                OR EXISTS (SELECT FROM pipeline_run WHERE finished_at IS NOT NULL AND received_at > counted_through))
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
    let kept = job_kinds::list(taking.conn()).await?;
    let rules = kept.iter().filter(|rule| !rule.is_deleted).map(job_kind_rule).collect::<anyhow::Result<Vec<_>>>()?;
    let kinds = JobKinds::compile(rules).map_err(anyhow::Error::from)?;
    let first = now.date_naive() - Days::new(u64::from(DAYS));
    let through = sqlx::query_scalar!("SELECT counted_through FROM pipeline_usage FOR UPDATE");
    let through = through.fetch_one(taking.conn()).await?;
    let heard = Heard::read(taking.conn()).await?;
    let counting = Counting { places: &places, kinds: &kinds, first, counted_through: through, now };
    let mut count = Count::read(taking.conn(), &counting, heard).await?;
    // An earlier count may have had another service for a run, or another kind; a rule that is gone counts none.
    let days = DateRange::days_to(now.date_naive(), DAYS + 1);
    let of_kinds = kept.iter().flat_map(|rule| [jobs_metric(&rule.kind), minutes_metric(&rule.kind)]);
    let metrics: BTreeSet<String> = [RUNS, MINUTES].map(str::to_owned).into_iter().chain(of_kinds).collect();
    let metrics: Vec<String> = metrics.into_iter().collect();
    for metric in &metrics {
        taking.delete_of(metric, BY, days).await?;
    }
    let known = Known::read(taking.conn(), &metrics, first).await?;
    for (reached, points) in days::points(&count.series, &count.heard, &known) {
        taking.write(&points, Write::Replace, reached, BY, now).await?;
    }
    count.lost.retain(|_, count| *count > 0);
    usage_unmapped::count(taking.conn(), BY, &count.lost, now).await?;
    job_kinds::counted(taking.conn(), &count.by_rule).await?;
    let through = count.newest.map_or(through, |newest| newest.max(through));
    // Something that came before that and waits to be read may be a run, or else leave zeros to days without one: so all
    // is counted again.
    sqlx::query!(
        "UPDATE pipeline_usage SET counted_through = $1, has_to_wait = $2",
        through,
        count.heard.has_to_wait(through)
    )
    .execute(taking.conn())
    .await?;
    taking.finish(BY, now).await?;
    let runs = count.series.iter().filter(|(place, _)| place.kind.is_none());
    Ok(Counted {
        run_count: runs.flat_map(|(_, series)| series.days.values()).map(|sum| sum.runs).sum(),
        unmapped_count: count.lost.values().map(|count| count.unsigned_abs()).sum(),
    })
}

/// A kept rule as runs are asked about it.
pub fn job_kind_rule(kept: &KeptRule) -> anyhow::Result<JobKindRule> {
    let condition = serde_json::from_value(kept.condition.clone());
    Ok(JobKindRule {
        job_kind_rule_id: kept.job_kind_rule_id,
        source_name: kept.source_name.clone(),
        condition: condition.with_context(|| format!("reading rule {} for kinds of jobs", kept.job_kind_rule_id))?,
        kind: kept.kind.clone(),
    })
}

// A run or a job, as it is added up.
struct Run {
    source_id: i64,
    day: NaiveDate,
    // `None` where it did not tell when it began.
    seconds: Option<i64>,
    // Before the days that are counted.
    is_before: bool,
    service_id: Option<i64>,
    // The repository; what to say of one that belongs to no service.
    repo: String,
    is_new: bool,
}

// A job that a rule names: counted unless its whole run is of that kind already.
struct NamedJob {
    run: Run,
    kind: String,
    rule_id: i64,
    // The source and id of the run that it is part of.
    of: (String, String),
}

// Which runs are counted, and how.
struct Counting<'a> {
    places: &'a Places,
    kinds: &'a JobKinds,
    first: NaiveDate,
    counted_through: DateTime<Utc>,
    now: DateTime<Utc>,
}

#[derive(Debug, Default)]
struct Count {
    heard: Heard,
    series: BTreeMap<Place, Series>,
    lost: BTreeMap<Lost, i64>,
    // Runs and jobs that each rule names, and how many of these belong to no service.
    by_rule: BTreeMap<i64, (i64, i64)>,
    newest: Option<DateTime<Utc>>,
}

impl Count {
    // There may be many runs, so that they pass one by one.
    async fn read(conn: &mut PgConnection, counting: &Counting<'_>, heard: Heard) -> sqlx::Result<Self> {
        let read_from = counting.first - Days::new(u64::from(DAYS));
        let mut rows = sqlx::query!(
            r#"SELECT p.event_source_id, s.name AS source_name, s.kind = 'api' AS "is_api!", p.external_id,
                      p.received_at,
                      (p.finished_at AT TIME ZONE 'UTC')::date AS "day!", p.started_at IS NOT NULL AS "has_duration!",
                      greatest(extract(epoch FROM p.finished_at - coalesce(p.started_at, p.finished_at)), 0)::bigint
                          AS "seconds!",
                      p.facts AS "facts: Json<Event>"
               FROM pipeline_run p JOIN event_source s USING (event_source_id)
               WHERE p.finished_at >= $1::date::timestamp AT TIME ZONE 'UTC'
               ORDER BY p.pipeline_run_id"#,
            read_from
        )
        .fetch(conn);
        let mut count = Self { heard, ..Self::default() };
        let (mut jobs, mut named_runs) = (Vec::new(), HashSet::new());
        while let Some(row) = rows.try_next().await? {
            let (event, source) = (row.facts.0, row.source_name);
            let is_job = event.is_job();
            let rule = counting.kinds.of(is_job, &source, |name| attribute(&event, &source, name));
            let rule = rule.filter(|_| row.has_duration);
            count.newest = count.newest.max(Some(row.received_at));
            count.heard.told(row.event_source_id, row.received_at.min(counting.now));
            if is_job && rule.is_none() {
                continue;
            }
            let run = Run {
                source_id: row.event_source_id,
                day: row.day,
                seconds: event.seconds.or_else(|| Some(row.seconds).filter(|_| row.has_duration)),
                is_before: row.day < counting.first,
                service_id: counting.places.of(&source, &event),
                is_new: row.received_at > counting.counted_through,
                repo: event.repo.clone().unwrap_or_default(),
            };
            if let Some(service_id) = run.service_id.filter(|_| row.is_api) {
                count.heard.posted(run.source_id, service_id, run.day.min(counting.now.date_naive()));
            }
            let named = rule.map(|rule| (rule.kind.clone(), rule.job_kind_rule_id));
            match (is_job, named) {
                // Jobs of a run are part of it and count with it.
                (true, Some((kind, rule_id))) => {
                    let of = event.attributes.get(events::RUN).cloned().unwrap_or_default();
                    jobs.push(NamedJob { run, kind, rule_id, of: (source, of) });
                }
                (true, None) => {}
                (false, named) => {
                    count.add(&run, None);
                    if let Some((kind, rule_id)) = named {
                        count.add_named(&run, &kind, rule_id);
                        named_runs.insert((source, row.external_id, kind));
                    }
                }
            }
        }
        for job in jobs {
            let (source, run_id) = job.of;
            if !named_runs.contains(&(source, run_id, job.kind.clone())) {
                count.add_named(&job.run, &job.kind, job.rule_id);
            }
        }
        Ok(count)
    }

    fn add_named(&mut self, run: &Run, kind: &str, rule_id: i64) {
        if !run.is_before {
            let (runs, unmapped) = self.by_rule.entry(rule_id).or_default();
            *runs += 1;
            *unmapped += i64::from(run.service_id.is_none());
        }
        self.add(run, Some(kind));
    }

    // What belongs to no service is told once, when it came.
    fn add(&mut self, run: &Run, kind: Option<&str>) {
        if let Some(service_id) = run.service_id {
            let place = Place { kind: kind.map(str::to_owned), service_id };
            let series = self.series.entry(place).or_default();
            if run.is_before {
                series.add_before(run.source_id, run.day);
                return;
            }
            series.source_ids.insert(run.source_id);
            let sum = series.days.entry(run.day).or_default();
            sum.runs += 1;
            sum.seconds += run.seconds.unwrap_or_default();
            sum.is_untimed |= run.seconds.is_none();
            return;
        }
        if run.is_before {
            return;
        }
        let metric = kind.map_or_else(|| RUNS.to_owned(), jobs_metric);
        let lost = Lost { metric, service: run.repo.clone(), environment: String::new(), reason: Reason::Service };
        *self.lost.entry(lost).or_default() += i64::from(run.is_new);
    }
}

// What rules for kinds of jobs look at.
fn attribute<'a>(run: &'a Event, source_name: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let own = |key: &str| run.attributes.get(key).map(|value| Cow::Borrowed(value.as_str()));
    match name {
        "job" | "stage" => own(name),
        "label" => own(events::LABELS),
        _ => pipeline_deployments::attribute(run, source_name, name),
    }
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
