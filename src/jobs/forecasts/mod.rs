//! What months, quarters and years will cost, worked out after each publication and held against what came.

mod hindcasts;
mod questions;
mod withheld;

use crate::analyze::forecast::{Adaptive, Candidate, Forecast, Question};
use crate::background;
use crate::focus::DateRange;
use crate::jobs::effects::verdict::estimate;
use crate::store::analysis_runs::{self, Analysis};
use crate::store::forecasts::{self, Kept, Level, NewForecast, WithoutBill};
use crate::store::{Pools, forecast_series, freshness, jobs};
use anyhow::Context;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use hindcasts::Hindcasts;
use questions::{Asked, Horizon, Series, Subject};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// What tells forecasts of one method from those of another.
pub const METHOD: &str = "forecasts-5";

/// What is forecast.
const SCOPES: [&str; 3] = ["service", "team", "total"];
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Days of history that are read.
const READ_DAYS: u64 = 430;

/// Asks for the job where something changed since it ran. Any number of processes may ask: one job waits or runs.
pub(super) async fn schedule(pools: Pools, stop: CancellationToken) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = ask_where_due(&pools).await {
            tracing::warn!("Forecasts could not be asked for: {error}");
        }
    }
}

/// Puts the job into the queue where bills, effects of releases, owners or the method changed since it ran last. Gives
/// whether it did.
pub async fn ask_where_due(pools: &Pools) -> sqlx::Result<bool> {
    let mut conn = pools.jobs.acquire().await?;
    let mark = analysis_runs::mark(&mut conn, Analysis::Forecasts, METHOD).await?;
    let last = analysis_runs::last(&mut conn, Analysis::Forecasts).await?;
    let is_due = mark.publication_id > 0 && last.is_none_or(|last| last != mark);
    if is_due {
        jobs::enqueue(&mut conn, jobs::FORECAST, "", &serde_json::json!({})).await?;
    }
    Ok(is_due)
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forecasted {
    /// Forecasts that stand now, those that say that the history is too short included.
    pub forecast_count: usize,
    /// Months that were asked about afterwards.
    pub hindcast_month_count: usize,
}

/// Works all forecasts out anew and holds older ones against what came.
pub async fn forecast(pools: &Pools, now: DateTime<Utc>) -> anyhow::Result<Forecasted> {
    let mut snapshot = pools.jobs.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let mark = analysis_runs::mark(&mut snapshot, Analysis::Forecasts, METHOD).await?;
    let bills = freshness::read(&mut snapshot).await?;
    let Some((complete_to, last)) = bills.complete_to().zip(bills.last_charge_date()) else {
        snapshot.commit().await?;
        let mut transaction = pools.jobs.begin().await?;
        analysis_runs::note(&mut transaction, Analysis::Forecasts, &mark, now).await?;
        transaction.commit().await?;
        return Ok(Forecasted::default());
    };
    let mut series =
        Series::read(&mut snapshot, bills.known.clone(), complete_to, last.max(complete_to), READ_DAYS).await?;
    let levels = Arc::new(forecasts::levels(&mut snapshot).await?);
    let hindcasts = Hindcasts::read(&mut snapshot, complete_to).await?;
    let mut followed = forecasts::followed(&mut snapshot, complete_to).await?;
    followed.extend(hindcasts.periods());
    let asked: Vec<Asked> = Horizon::ALL.into_iter().map(|horizon| Asked::now(horizon, complete_to)).collect();
    let mut known = Vec::new();
    for one in &asked {
        let days = one.known_days();
        known.push(match days {
            Some(days) => forecast_series::known(&mut snapshot, days).await?,
            None => Vec::new(),
        });
    }
    let afterwards = hindcasts.answers(&mut snapshot, &bills, &levels).await?;
    snapshot.commit().await?;

    let publication_id = mark.publication_id;
    let withheld = withheld::reasons(&bills);
    let work = move || {
        let mut all = Vec::new();
        for (one, known) in asked.iter().zip(&known) {
            series.know(known);
            all.extend(answers(&series, one, &levels, publication_id));
        }
        all.iter_mut().for_each(|one| withheld::withhold(one, &withheld));
        (all, without_bill(&series, &followed))
    };
    let (all, without_bill) = background::spawn(work).await.context("the forecasts")?;
    let done = Forecasted { forecast_count: all.len(), hindcast_month_count: hindcasts.asked.len() };
    let mut transaction = pools.jobs.begin().await?;
    if analysis_runs::try_lock(&mut transaction, Analysis::Forecasts).await? {
        hindcasts.make_room(&mut transaction).await?;
        forecasts::write(&mut transaction, &all, now).await?;
        forecasts::write(&mut transaction, &afterwards, now).await?;
        forecasts::hold_against(&mut transaction, complete_to, &hindcasts.first_days(), &without_bill).await?;
        learn(&mut transaction).await?;
        analysis_runs::note(&mut transaction, Analysis::Forecasts, &mark, now).await?;
    }
    transaction.commit().await?;
    Ok(done)
}

// What came in periods that lack a bill is not known, and no forecast of them was right or wrong.
fn without_bill(series: &Series, periods: &[DateRange]) -> Vec<WithoutBill> {
    let subjects: Vec<Subject> = SCOPES.into_iter().flat_map(|scope| series.subjects(scope)).collect();
    let of_period = |period: &DateRange| {
        let is_lacking =
            |subject: &&Subject| series.gap(subject, *period).is_some() || series.is_late(subject, *period);
        let lacking = subjects.iter().filter(is_lacking);
        let told = lacking.map(|subject| WithoutBill {
            scope: subject.scope,
            scope_id: subject.scope_id,
            billing_currency: subject.billing_currency.clone(),
            first_day: period.start(),
            last_day: period.last_day(),
        });
        told.collect::<Vec<_>>()
    };
    periods.iter().flat_map(of_period).collect()
}

fn answers(series: &Series, asked: &Asked, levels: &[Level], publication_id: i64) -> Vec<NewForecast> {
    let mut all = Vec::new();
    for scope in SCOPES {
        let subjects = series.subjects(scope);
        let questions: Vec<Question> = subjects.iter().map(|subject| series.question(subject, asked)).collect();
        let level =
            levels.iter().find(|level| (level.scope.as_str(), level.horizon.as_str()) == (scope, asked.horizon.key()));
        let adaptive: Adaptive =
            level.and_then(|level| serde_json::from_value(level.level.clone()).ok()).unwrap_or_default();
        let adaptive = adaptive.widened(series.widening(scope, asked));
        let answers = crate::analyze::forecast::forecast(&questions, &adaptive);
        for (subject, answer) in subjects.iter().zip(answers) {
            // What ended before the period is no question any more.
            let known = series.known(subject);
            if known == BigDecimal::default() && series.is_over(subject, asked) {
                continue;
            }
            // What is not allocated is told to hold all cost against its parts now, and is nothing that anybody runs.
            if asked.is_hindcast && scope != "total" && subject.scope_id == 0 {
                continue;
            }
            let days = asked.known_days();
            let gap = days.and_then(|days| series.gap(subject, days));
            // What is made afterwards is a record of how far off the method is, and of nothing where bills are not there.
            let is_told = days.is_some_and(|days| series.is_told(subject, days));
            if asked.is_hindcast && (gap.is_some() || !is_told) {
                continue;
            }
            let answer = match gap {
                Some(gap) => Err(format!("No bill for {}, whose days are a part of it", gap.label())),
                None => answer.map_err(|none| none.to_string()),
            };
            let measured = series.measured(subject, asked);
            all.push(NewForecast {
                scope,
                scope_id: subject.scope_id,
                billing_currency: subject.billing_currency.clone(),
                horizon: asked.horizon.key(),
                first_day: asked.first_day,
                last_day: asked.last_day,
                asked_on: asked.complete_to,
                publication_id,
                is_hindcast: asked.is_hindcast,
                service_ids: series.owned(subject),
                newest_service_id: series.newest_service_id,
                restart_count: i32::try_from(series.restart_count(subject, asked)).unwrap_or(i32::MAX),
                provisional_count: i32::try_from(measured.count).unwrap_or(i32::MAX),
                provisional_up_per_day: measured.up,
                provisional_down_per_day: measured.down,
                ..written(known, answer)
            });
        }
    }
    all
}

// What is known is exact; all else is an estimate, and the point is their sum.
#[expect(clippy::float_arithmetic, reason = "estimates, not amounts of a bill")]
fn written(known: BigDecimal, answer: Result<Forecast, String>) -> NewForecast {
    let zero = BigDecimal::default;
    let mut row = NewForecast {
        scope: "",
        scope_id: 0,
        billing_currency: String::new(),
        horizon: "",
        first_day: NaiveDate::default(),
        last_day: NaiveDate::default(),
        asked_on: NaiveDate::default(),
        publication_id: 0,
        is_hindcast: false,
        rests_on: String::new(),
        service_ids: Vec::new(),
        newest_service_id: 0,
        known,
        late: zero(),
        incomplete: zero(),
        rest: zero(),
        fees: zero(),
        point: None,
        low: None,
        high: None,
        no_forecast: String::new(),
        candidate: "",
        past_error: None,
        widening: 1.0,
        origin_count: 0,
        restart_count: 0,
        provisional_count: 0,
        provisional_up_per_day: zero(),
        provisional_down_per_day: zero(),
    };
    match answer {
        Ok(forecast) => {
            row.late = estimate(forecast.late);
            row.incomplete = estimate(forecast.incomplete) + &row.late;
            row.rest = estimate(forecast.rest);
            row.fees = estimate(forecast.fees);
            let point = &row.known + &row.incomplete + &row.rest + &row.fees;
            row.low = forecast.low.map(|low| &point - estimate(forecast.point - low));
            row.high = forecast.high.map(|high| &point + estimate(high - forecast.point));
            row.point = Some(point);
            row.candidate = match forecast.candidate {
                Candidate::SeasonalNaive => "seasonal-naive",
                Candidate::Profile => "weekday-profile",
                Candidate::ProfileWithTrend => "weekday-profile-with-trend",
            };
            row.past_error = forecast.past_error;
            row.widening = forecast.widening;
            row.origin_count = i32::try_from(forecast.origins).unwrap_or(i32::MAX);
        }
        Err(none) => row.no_forecast = none,
    }
    row
}

// The level of intervals follows how many of them held, period by period.
async fn learn(conn: &mut sqlx::PgConnection) -> sqlx::Result<()> {
    let mut levels: BTreeMap<(String, String), Level> = forecasts::levels(&mut *conn)
        .await?
        .into_iter()
        .map(|level| ((level.scope.clone(), level.horizon.clone()), level))
        .collect();
    for one in forecasts::kept(&mut *conn).await? {
        let key = (one.scope.clone(), one.horizon.clone());
        let before = levels.get(&key);
        let level = learnt(before, &one);
        forecasts::keep_level(&mut *conn, &level).await?;
        levels.insert(key, level);
    }
    Ok(())
}

fn learnt(before: Option<&Level>, one: &Kept) -> Level {
    let adaptive: Adaptive =
        before.and_then(|level| serde_json::from_value(level.level.clone()).ok()).unwrap_or_default();
    let count = |number: i64| usize::try_from(number).unwrap_or_default();
    let adaptive = adaptive.learn(count(one.held_count), count(one.missed_count));
    Level {
        scope: one.scope.clone(),
        horizon: one.horizon.clone(),
        level: serde_json::to_value(adaptive).unwrap_or_default(),
        held_count: before.map_or(0, |level| level.held_count) + one.held_count,
        missed_count: before.map_or(0, |level| level.missed_count) + one.missed_count,
        learnt_to: one.first_day,
    }
}
