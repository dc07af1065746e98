//! What each release did to cost, brought up to date after every change of bills, deployments and traffic: those to
//! production, and those to all other environments but previews, each among its own kind.
//!
//! All series are read in one view, the estimates are worked out without the database, and what is new is appended.
//! An answer whose inputs did not change is not worked out again: the fingerprint of the inputs tells.

mod calibrate;
mod commitments;
pub(super) mod histories;
mod hours;
pub(super) mod inputs;
mod lost;
pub(super) mod parts;
mod placebo_sample;
mod rollbacks;
mod siblings;
pub(super) mod verdict;

use crate::analyze::impact::{self, Calibration, Impact, Model};
use crate::background;
use crate::store::effect_runs::{self, Run};
use crate::store::effects::{self, NewAnswer, NewEffect, Standing, StandingId};
use crate::store::impact_series::Environments;
use crate::store::{Pools, freshness, jobs, price_changes, retagging};
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use histories::{Histories, Key, Series};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// What tells answers of one way of working out from those of another.
pub const METHOD: &str = "impact-17";

/// Ends the fingerprint of the answer about a rollback.
const WENT_BACK: &str = "-back";
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Asks for the job where something changed since it ran. Any number of processes may ask: one job waits or runs.
pub(super) async fn schedule(pools: Pools, stop: CancellationToken) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = ask_where_due(&pools).await {
            tracing::warn!("Effects of deployments could not be asked for: {error}");
        }
    }
}

/// Puts the job into the queue where bills, deployments, traffic or the method changed since it ran last. Gives whether
/// it did.
pub async fn ask_where_due(pools: &Pools) -> sqlx::Result<bool> {
    let mut conn = pools.jobs.acquire().await?;
    let is_due = is_due(&mut conn).await?;
    if is_due {
        jobs::enqueue(&mut conn, jobs::SETTLE_EFFECTS, "", &serde_json::json!({})).await?;
    }
    Ok(is_due)
}

/// Whether bills, deployments, traffic or the method changed since all answers were brought up to date.
pub async fn is_behind(pools: &Pools) -> sqlx::Result<bool> {
    is_due(&mut *pools.jobs.acquire().await?).await
}

async fn is_due(conn: &mut sqlx::PgConnection) -> sqlx::Result<bool> {
    let mark = effect_runs::mark(&mut *conn).await?;
    let last = effect_runs::last(conn).await?;
    Ok(mark.publication_id > 0 && last.is_none_or(|last| last.mark != mark || last.method != METHOD))
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// Releases of services, each in one currency.
    pub release_count: usize,
    /// Of them, those whose inputs had changed.
    pub computed_count: usize,
    /// Answers that were written: one for each deployment of a release.
    pub written_count: usize,
}

/// Brings every answer up to date.
pub async fn settle(pools: &Pools, now: DateTime<Utc>) -> anyhow::Result<Settled> {
    settle_within(pools, now, hours::READ_AT_MOST).await
}

/// The same, where hours are read from lines of bills for so long at most.
pub async fn settle_within(pools: &Pools, now: DateTime<Utc>, read_at_most: Duration) -> anyhow::Result<Settled> {
    settle_timed(pools, now, read_at_most).await.map(|(settled, _)| settled)
}

/// Where the time of a run went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Until everything was read.
    pub reading: Duration,
    /// From series to answers, without the database.
    pub computing: Duration,
    /// Until what is new was written.
    pub writing: Duration,
}

/// The same, with where the time went.
pub async fn settle_timed(
    pools: &Pools,
    now: DateTime<Utc>,
    read_at_most: Duration,
) -> anyhow::Result<(Settled, Spent)> {
    let begun = Instant::now();
    // Before the inputs: of what is published while they are worked out, they may lack something. The next look finds it.
    let asked = effect_runs::mark(&mut *pools.jobs.acquire().await?).await?;
    bring_inputs_up_to_date(pools).await?;
    let has_all_hours = hours::bring_up_to_date(pools, read_at_most).await?;
    let (questions, standing, publication_id) = read(pools).await?;
    let reading = begun.elapsed();
    let begun = Instant::now();
    let work = move || work(questions, standing, publication_id, now);
    let mut done = background::spawn(work).await.context("the estimates")?;
    if !has_all_hours {
        // Hours of one release are looked at by the answers about others near it: what stands is written anew once, when
        // all are there, not with each run until then. First answers do not wait.
        done.answers.retain(|one| one.effect.supersedes.is_none());
        done.settled.written_count = done.answers.len();
    }
    let computing = begun.elapsed();
    let begun = Instant::now();
    let settled = done.settled;
    let run = Run {
        mark: asked,
        method: METHOD.into(),
        ran_at: now,
        release_count: count(settled.release_count),
        computed_count: count(settled.computed_count),
    };
    // A run without all hours leaves the job due: the next one reads on.
    write(pools, done, has_all_hours.then_some(run), now).await?;
    Ok((settled, Spent { reading, computing, writing: begun.elapsed() }))
}

// All series and all answers that stand, in one view.
async fn read(pools: &Pools) -> sqlx::Result<(Vec<Questions>, Vec<Standing>, i64)> {
    let mut snapshot = pools.jobs.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let publication_id = freshness::seen(&mut snapshot).await?.publication_id;
    let mut questions = Vec::new();
    for environments in Environments::ALL {
        questions.push(Questions {
            environments,
            inputs: inputs::Inputs::read(&mut snapshot, environments).await?,
            stored: effect_runs::calibration(&mut snapshot, environments).await?,
        });
    }
    let standing = effects::standing(&mut snapshot).await?;
    snapshot.commit().await?;
    Ok((questions, standing, publication_id))
}

async fn write(pools: &Pools, done: Done, run: Option<Run>, now: DateTime<Utc>) -> sqlx::Result<()> {
    let mut transaction = pools.jobs.begin().await?;
    // Another process may have written meanwhile: what it answered stands, and the next look finds the rest.
    if effect_runs::try_lock(&mut transaction).await? {
        for (environments, learnt) in &done.learnt {
            effect_runs::keep_calibration(&mut transaction, *environments, learnt).await?;
        }
        let fresh = still_new(&mut transaction, done.answers).await?;
        effects::append(&mut transaction, &fresh, now).await?;
        if let Some(run) = run {
            effect_runs::note(&mut transaction, &run).await?;
        }
    }
    transaction.commit().await
}

// Before the view that they are read in, and after the mark that is noted: what is published in between, the next look
// finds. Hours are read for effects alone: they may take long, and whoever else looks at them takes those that are there,
// and looks again once there are others.
pub(super) async fn bring_inputs_up_to_date(pools: &Pools) -> sqlx::Result<()> {
    let mut transaction = pools.jobs.begin().await?;
    price_changes::bring_up_to_date(&mut transaction).await?;
    retagging::bring_up_to_date(&mut transaction).await?;
    transaction.commit().await
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

// Answers that replace what no longer stands were made from an older view.
async fn still_new(conn: &mut sqlx::PgConnection, answers: Vec<NewAnswer>) -> sqlx::Result<Vec<NewAnswer>> {
    if answers.is_empty() {
        return Ok(answers);
    }
    let deployment_ids: Vec<i64> = answers.iter().map(|one| one.effect.deployment_id).collect();
    let of = |one: StandingId| {
        let key = (one.deployment_id, one.service_id, one.environment_id, one.billing_currency);
        (key, one.deployment_effect_id)
    };
    let standing: HashMap<StandingKey, i64> =
        effects::standing_ids(conn, &deployment_ids).await?.into_iter().map(of).collect();
    let key = |one: &NewEffect| (one.deployment_id, one.service_id, one.environment_id, one.billing_currency.clone());
    let is_new = |one: &NewEffect| standing.get(&key(one)).copied() == one.supersedes;
    Ok(answers.into_iter().filter(|one| is_new(&one.effect)).collect())
}

type StandingKey = (i64, i64, i64, String);

fn standing_key(one: &Standing) -> StandingKey {
    (one.deployment_id, one.service_id, one.environment_id, one.billing_currency.clone())
}

/// What there is to answer about some environments.
struct Questions {
    environments: Environments,
    inputs: inputs::Inputs,
    stored: Option<effect_runs::StoredCalibration>,
}

#[derive(Default)]
struct Done {
    answers: Vec<NewAnswer>,
    learnt: Vec<(Environments, effect_runs::StoredCalibration)>,
    settled: Settled,
}

fn work(questions: Vec<Questions>, standing: Vec<Standing>, publication_id: i64, now: DateTime<Utc>) -> Done {
    let standing: HashMap<StandingKey, Standing> = standing.into_iter().map(|one| (standing_key(&one), one)).collect();
    let model = Model::default();
    let mut done = Done::default();
    for mut question in questions {
        let histories = Histories::of(&question.inputs);
        // The series have them now.
        question.inputs.days = Vec::new();
        let due = calibrate::Due::of(question.stored.as_ref(), &histories.series, now);
        // Seldom anything is learnt, and without that nobody asks about most placebos.
        let placebos = due.placebos(&histories.series);
        let mut series = histories.told(&placebos);
        let calibration = calibrate::calibration(&due, &series, &model);
        let learnt = calibrate::learn(&due, &series, &model, &calibration, now);
        done.learnt.extend(learnt.map(|learnt| (question.environments, learnt)));
        // After what was learnt of days with cost.
        let lost = lost::series(&question.inputs, &series, standing.values());
        series.extend(lost);
        let asked = Asked {
            model: &model,
            calibration: &calibration,
            calibrated: &parts::of_calibration(&calibration),
            standing: &standing,
            publication_id,
        };
        for answer in in_parallel(&series, |one| asked.of_series(one)) {
            done.settled.release_count += answer.release_count;
            done.settled.computed_count += answer.computed_count;
            done.answers.extend(answer.answers);
        }
    }
    done.settled.written_count = done.answers.len();
    done
}

// Series do not look at each other any more, so every processor takes its share.
pub(super) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let chunk = items.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let work = &work;
        let handles: Vec<_> =
            items.chunks(chunk).map(|items| scope.spawn(move || items.iter().map(work).collect::<Vec<R>>())).collect();
        handles
            .into_iter()
            .flat_map(|handle| match handle.join() {
                Ok(results) => results,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

struct Asked<'a> {
    model: &'a Model,
    calibration: &'a Calibration,
    /// Its fingerprint.
    calibrated: &'a str,
    standing: &'a HashMap<StandingKey, Standing>,
    publication_id: i64,
}

#[derive(Default)]
struct Answers {
    answers: Vec<NewAnswer>,
    release_count: usize,
    computed_count: usize,
}

impl Asked<'_> {
    fn of_series(&self, series: &Series) -> Answers {
        let mut answers = Answers::default();
        // What a rollback took back: releases before it. Worked out once where both are asked.
        let mut known: BTreeMap<NaiveDate, Impact> = BTreeMap::new();
        for days in impact::groups(&series.history.releases) {
            self.of_group(series, &days, &mut known, &mut answers);
        }
        answers
    }

    // Releases within a day of each other have one answer, told of each of them; what each did alone is kept beside it.
    fn of_group(
        &self,
        series: &Series,
        days: &[NaiveDate],
        known: &mut BTreeMap<NaiveDate, Impact>,
        answers: &mut Answers,
    ) {
        let Some(last) = days.last() else { return };
        let releases = series.history.releases.iter().filter(|release| days.contains(&release.day));
        answers.release_count += days.len();
        let window = histories::window(series, *last);
        let parts = parts::Parts::of(&window, self.calibrated);
        let mut fingerprint = parts.fingerprint();
        if days.len() > 1 {
            // Which releases share an answer follows from those before the window too.
            fingerprint.push_str(&format!("+{}", days.len() - 1));
        }
        let before = |id: &i64| self.standing.get(&key_of(series.key(), *id));
        let ids = releases.clone().flat_map(|release| &release.deployment_ids);
        let own: BTreeMap<i64, String> =
            ids.map(|id| (*id, rollbacks::own_fingerprint(series, *id, &fingerprint))).collect();
        let own = |id: &i64| own.get(id).map_or(fingerprint.as_str(), String::as_str);
        let stands = |id: &i64| before(id).is_some_and(|one| one.fingerprint == own(id));
        if releases.clone().all(|release| release.deployment_ids.iter().all(stands)) {
            return;
        }
        answers.computed_count += days.len();
        let impact = match series.lost_on {
            None => histories::estimated(&window, days, self.model, self.calibration),
            Some(_) => impact::without_cost(&window, days),
        };
        for release in releases {
            let is_shared = days.len() > 1;
            let of_day = is_shared.then(|| histories::estimated(&window, &[release.day], self.model, self.calibration));
            let alone = of_day.as_ref().unwrap_or(&impact);
            for deployment_id in release.deployment_ids.iter().filter(|&id| !stands(id)) {
                let verdict = verdict::Verdict {
                    key: series.key(),
                    deployment_id: *deployment_id,
                    release_date: release.day,
                    impact: &impact,
                    alone: of_day.as_ref(),
                    asked_on: series.lost_on.unwrap_or(series.history.complete_to),
                    publication_id: self.publication_id,
                    fingerprint: own(deployment_id),
                    parts: &parts,
                    window: &window,
                    calibrated: self.calibrated,
                    volume_unit: series.volume_unit.as_ref(),
                    // An answer about several days leaves all of them out, and their hours with them.
                    start: series.starts.get(&release.day).filter(|_| !is_shared),
                    came_back: self.came_back(series, alone, (release, *deployment_id), known),
                    before: before(deployment_id),
                };
                answers.answers.push(with_days(verdict.into_effect(), &impact));
            }
            known.insert(release.day, alone.clone());
        }
    }
}

// An effect without a course, since its parts undo each other, has a sum of its days all the same.
fn with_days(effect: NewEffect, impact: &Impact) -> NewAnswer {
    let (course, sum) = (impact.course.as_ref(), impact.over_30_days.as_ref());
    NewAnswer {
        effect,
        amounts_after: course.map(|course| course.after.map(verdict::estimate).to_vec()),
        lasting_per_day: course.map(|course| verdict::estimate(course.lasting_per_day)),
        per_30_days: sum.map(|sum| verdict::estimate(sum.amount)),
        per_30_days_low: sum.map(|sum| verdict::estimate(sum.low)),
        per_30_days_high: sum.map(|sum| verdict::estimate(sum.high)),
    }
}

fn key_of(key: &Key, deployment_id: i64) -> StandingKey {
    (deployment_id, key.service_id, key.environment_id, key.billing_currency.clone())
}
