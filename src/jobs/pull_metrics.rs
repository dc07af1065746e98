//! Asks a Prometheus for the last 48 hours of a metric: what came late, and hours that were not asked for while it or we
//! were away, are there afterwards.

use crate::config::Config;
use crate::rollup::promql;
use crate::rollup::usage::Taking;
use crate::sources::objects::{Guard, ask};
use crate::store::jobs::Job;
use crate::store::metric_points::Slot;
use crate::store::metric_queries::{self, MetricQuery};
use crate::store::{Pools, sealed};
use crate::usage::prometheus::{self, Series};
use anyhow::Context;
use chrono::{DateTime, Duration, Utc};

const HOURS: i64 = 48;
/// 10,000 series of 48 values.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// One query, as the job asks. What is wrong with the query or its server is written beside it, and the next hour asks
/// again; only what is wrong here makes the job fail.
pub(super) async fn run(pools: &Pools, config: &Config, job: &Job) -> anyhow::Result<()> {
    let id = job.payload["metric_query_id"].as_i64().context("the job names no query")?;
    let Some(query) = metric_queries::get(&pools.jobs, id).await? else { return Ok(()) };
    if query.is_paused {
        return Ok(());
    }
    pull(pools, config, &query, Utc::now()).await.map(drop)
}

/// Asks and takes the answer in. Gives how many hours were stored; none where the server gave no usable answer.
pub(crate) async fn pull(
    pools: &Pools,
    config: &Config,
    query: &MetricQuery,
    now: DateTime<Utc>,
) -> anyhow::Result<Option<i64>> {
    let Slot::Hour(until) = Slot::hour_of(now) else { return Ok(None) };
    let token = open_token(config, query).await;
    let answer = match token {
        Ok(token) => asked(&config.reach()?.guard, query, token.as_deref(), until).await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(series) => Ok(Some(promql::take(pools, query, &series, until, now).await?)),
        Err(error) => {
            let mut conn = pools.jobs.acquire().await?;
            metric_queries::pulled(&mut conn, query.metric_query_id, Err(&error), now).await?;
            Ok(None)
        }
    }
}

async fn open_token(config: &Config, query: &MetricQuery) -> Result<Option<String>, String> {
    if query.bearer_token_sealed.is_none() {
        return Ok(None);
    }
    let key = sealed::load(&config.key_file()).await.map_err(|error| error.to_string())?;
    query.bearer_token(&key).map_err(|error| error.to_string())
}

/// What a Prometheus says of the hours up to `until`.
async fn asked(
    guard: &Guard,
    query: &MetricQuery,
    token: Option<&str>,
    until: DateTime<Utc>,
) -> Result<Vec<Series>, String> {
    let address = format!("{}/api/v1/query_range", query.address.trim_end_matches('/'));
    let start = until - Duration::hours(HOURS - 1);
    let parameters = [
        ("query", query.promql.clone()),
        ("start", start.timestamp().to_string()),
        ("end", until.timestamp().to_string()),
        ("step", "3600".to_owned()),
        // Thanos and VictoriaMetrics leave out what a store that is away would say, unless they are told not to.
        ("partial_response", "false".to_owned()),
        ("deny_partial_response", "1".to_owned()),
    ];
    let body = ask(guard, &address, &parameters, token, ANSWER_BYTES_MAX).await.map_err(|error| error.to_string())?;
    prometheus::hours(&body)
}

/// Makes the days whose hours came since, and the shares that follow from them.
pub(super) async fn make_days(pools: &Pools) -> anyhow::Result<()> {
    let now = Utc::now();
    let mut taking = Taking::begin(pools, None).await?;
    taking.make_late_days("costwake", now).await?;
    taking.finish("costwake", now).await?;
    Ok(())
}
