//! Cost that nothing known explains: found after every publication, followed until it is answered, over or the new normal.
//!
//! All series are read in one view and looked at without the database; only those whose inputs changed. What a person
//! answered meanwhile stands: a row whose state is another than when it was read is left for the next run.

mod figures;
mod gone;
mod life;
mod look;

use super::effects::histories::{self, Series};
use super::effects::in_parallel;
use super::effects::inputs::Inputs;
use crate::analyze::anomaly::{Anomaly, Rest};
use crate::analyze::impact::{History, Model};
use crate::background;
use crate::focus::DateRange;
use crate::store::analysis_runs::{self, ANOMALY_DAYS, Analysis, Mark};
use crate::store::anomalies::{self, AnomalyEvent, KeptAnomaly, Subject, WrittenAnomaly};
use crate::store::anomaly_watch::{self, Lesson, TeamDay, Watched};
use crate::store::impact_series::{self, Environments};
use crate::store::{Pools, freshness, jobs};
use anyhow::Context;
use chrono::{DateTime, Days, NaiveDate, Utc};
use gone::Closed;
use life::{Episode, State};
use look::{Looked, Outcome, Taught};
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// What tells findings of one way of looking from those of another.
pub const METHOD: &str = "anomalies-5";

/// Looks of one run, where others write meanwhile.
const ATTEMPTS_MAX: usize = 3;
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Anomalies that ended within so many days are still the cause of what is seen.
const REMEMBERED_DAYS: u64 = 90;
/// Kinds of cost that are held against a team's own baseline (FOCUS ServiceCategory).
const TEAM_CATEGORIES: [&str; 2] = ["Networking", "Storage"];
/// What is less than this share of all usage of a day in its currency is not told.
const LEAST_SHARE: f64 = 0.0005;
/// A team's kind of cost is not told where one of its services is told for at least this share of it.
const TOLD_SHARE: f64 = 0.5;
const TOLD_DAYS: i64 = 5;

/// Asks for the job where something changed since it ran. Any number of processes may ask: one job waits or runs.
pub(super) async fn schedule(pools: Pools, stop: CancellationToken) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = ask_where_due(&pools).await {
            tracing::warn!("A search for anomalies could not be asked for: {error}");
        }
    }
}

/// Puts the job into the queue where bills, deployments, the hours around them, usage, answers or the method changed since
/// it ran last. Gives whether it did.
pub async fn ask_where_due(pools: &Pools) -> sqlx::Result<bool> {
    let mut conn = pools.jobs.acquire().await?;
    let is_due = is_due(&mut conn).await?;
    if is_due {
        jobs::enqueue(&mut conn, jobs::DETECT_ANOMALIES, "", &serde_json::json!({})).await?;
    }
    Ok(is_due)
}

/// Whether anything of that changed since all anomalies were brought up to date.
pub(super) async fn is_behind(pools: &Pools) -> sqlx::Result<bool> {
    is_due(&mut *pools.jobs.acquire().await?).await
}

async fn is_due(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let mark = analysis_runs::mark(&mut *conn, Analysis::Anomalies, METHOD).await?;
    let last = analysis_runs::last(conn, Analysis::Anomalies).await?;
    Ok(mark.publication_id > 0 && last.is_none_or(|last| last != mark))
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Detected {
    /// Series: services in environments, and kinds of cost of teams, each in one currency.
    pub series_count: usize,
    /// Of them, those whose inputs had changed.
    pub looked_count: usize,
    /// Anomalies that were opened.
    pub opened_count: usize,
    /// Anomalies that ended, became the new normal or were withdrawn.
    pub closed_count: usize,
}

/// Brings all anomalies up to date.
pub async fn detect(pools: &Pools, now: DateTime<Utc>) -> anyhow::Result<Detected> {
    // Before the inputs: of what is published while they are worked out, they may lack something. The next look finds it.
    let asked = analysis_runs::mark(&mut *pools.jobs.acquire().await?, Analysis::Anomalies, METHOD).await?;
    super::effects::bring_inputs_up_to_date(pools).await?;
    for _ in 0..ATTEMPTS_MAX {
        if let Some(detected) = detect_once(pools, &asked, now).await? {
            return Ok(detected);
        }
    }
    // Others are at it all the time: what they write stands, and the next look finds the rest.
    Ok(Detected::default())
}

// `None` where another process wrote while this one looked: written beside it, one cause would be told twice.
async fn detect_once(pools: &Pools, asked: &Mark, now: DateTime<Utc>) -> anyhow::Result<Option<Detected>> {
    let mut snapshot = pools.jobs.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let before = analysis_runs::last(&mut snapshot, Analysis::Anomalies).await?;
    let read = Read::new(&mut snapshot).await?;
    let publication_id = read.publication_id;
    let Seen { outcomes, closed, unwatched, mut detected } =
        background::spawn(move || read.look()).await.context("the search")?;
    let mut changes = Vec::new();
    for outcome in &outcomes {
        changes.extend(changes_of(&mut snapshot, outcome, publication_id).await?);
    }
    snapshot.commit().await?;

    let mut transaction = pools.jobs.begin().await?;
    if !analysis_runs::try_lock(&mut transaction, Analysis::Anomalies).await?
        || analysis_runs::last(&mut transaction, Analysis::Anomalies).await? != before
    {
        return Ok(None);
    }
    for change in &changes {
        let (opened, closed) = write(&mut transaction, change, now).await?;
        detected.opened_count += usize::from(opened);
        detected.closed_count += usize::from(closed);
    }
    for one in &closed {
        detected.closed_count += usize::from(close(&mut transaction, one, now).await?);
    }
    for subject in &unwatched {
        anomaly_watch::forget(&mut transaction, subject).await?;
    }
    for outcome in &outcomes {
        anomaly_watch::watch(&mut transaction, &outcome.watched).await?;
    }
    analysis_runs::note(&mut transaction, Analysis::Anomalies, asked, now).await?;
    transaction.commit().await?;
    Ok(Some(detected))
}

/// What a search found out.
struct Seen {
    outcomes: Vec<Outcome>,
    /// Anomalies of series that are in no bill any more.
    closed: Vec<Closed>,
    /// Those series.
    unwatched: Vec<Subject>,
    detected: Detected,
}

/// Everything that is read before the search.
struct Read {
    /// The last publication that is in it.
    publication_id: i64,
    /// Whether any bill counts.
    has_bills: bool,
    production: Inputs,
    others: Inputs,
    team_days: Vec<TeamDay>,
    kept: Vec<KeptAnomaly>,
    watched: Vec<Watched>,
    lessons: Vec<Lesson>,
    /// Days without use that are told, of each environment.
    idle_days: HashMap<i64, i32>,
    /// The team of each service.
    teams: HashMap<i64, i64>,
}

impl Read {
    async fn new(conn: &mut PgConnection) -> sqlx::Result<Self> {
        let publication_id = freshness::seen(&mut *conn).await?.publication_id;
        let read_days = u64::from(ANOMALY_DAYS);
        let production = Inputs::last_days(&mut *conn, Environments::Production, read_days).await?;
        let others = Inputs::last_days(&mut *conn, Environments::Others, read_days).await?;
        let mut team_days = Vec::new();
        if let Some(range) = production.range {
            let categories = TEAM_CATEGORIES.map(str::to_owned);
            team_days = anomaly_watch::team_days(&mut *conn, &categories, range).await?;
        }
        let remembered = production.complete_to.checked_sub_days(Days::new(REMEMBERED_DAYS)).unwrap_or_default();
        Ok(Self {
            publication_id,
            has_bills: impact_series::reach(&mut *conn).await?.is_some(),
            production,
            others,
            team_days,
            kept: anomalies::kept(&mut *conn, remembered).await?,
            watched: anomaly_watch::watched(&mut *conn).await?,
            lessons: anomaly_watch::lessons(&mut *conn).await?,
            idle_days: anomaly_watch::idle_days(&mut *conn).await?,
            teams: anomaly_watch::teams(conn).await?,
        })
    }

    fn look(self) -> Seen {
        let services: Vec<Looked> =
            [&self.production, &self.others].into_iter().flat_map(histories::build_all).map(of_service).collect();
        let least = least_per_day(&services);
        let teams = self.team_histories();
        let mut detected = Detected { series_count: services.len() + teams.len(), ..Detected::default() };
        let mut kept: HashMap<&Subject, Vec<Episode>> = HashMap::new();
        for one in &self.kept {
            kept.entry(&one.subject).or_default().push(episode(one));
        }
        let watched: HashMap<&Subject, &Watched> = self.watched.iter().map(|one| (&one.subject, one)).collect();
        let model = Model::default();
        let look_at = |looked: &Looked| {
            let subject = looked.subject();
            let floor = least.get(&subject.billing_currency).copied().unwrap_or_default();
            let idle_days = self.idle_days.get(&subject.environment_id).copied();
            let taught = Taught::of(subject, &self.lessons, floor, idle_days);
            let episodes = kept.get(subject).map(Vec::as_slice).unwrap_or_default();
            look::look(looked, episodes, watched.get(subject).copied(), &taught, &model)
        };
        let mut outcomes: Vec<Outcome> = in_parallel(&services, look_at).into_iter().flatten().collect();
        let mut of_teams: Vec<Outcome> = in_parallel(&teams, look_at).into_iter().flatten().collect();
        let told = told_by_services(&self.kept, &outcomes, &self.teams);
        for outcome in &mut of_teams {
            outcome.episodes.retain(|one| one.anomaly_id.is_some() || !is_told(&told, &outcome.subject, one));
        }
        outcomes.extend(of_teams);
        detected.looked_count = outcomes.len();
        let there: HashSet<&Subject> = services.iter().chain(&teams).map(Looked::subject).collect();
        let (closed, unwatched) = self.gone(&there);
        Seen { outcomes, closed, unwatched, detected }
    }

    /// What is kept of series that have no cost on any day that is looked at. While the days that bills tell of are not
    /// known, nothing is said; without any bill they are gone.
    fn gone(&self, there: &HashSet<&Subject>) -> (Vec<Closed>, Vec<Subject>) {
        let looked_from = match self.production.range {
            Some(range) => range.start(),
            None if self.has_bills => return (Vec::new(), Vec::new()),
            None => NaiveDate::MIN,
        };
        (gone::closed(&self.kept, there, looked_from), gone::unwatched(&self.watched, there))
    }

    fn team_histories(&self) -> Vec<Looked> {
        let Some(range) = self.production.range else { return Vec::new() };
        let mut series: BTreeMap<Subject, Vec<Option<f64>>> = BTreeMap::new();
        for day in &self.team_days {
            let subject = Subject {
                service_id: 0,
                environment_id: 0,
                team_id: day.team_id,
                service_category: day.service_category.clone(),
                billing_currency: day.billing_currency.clone(),
            };
            let days = series.entry(subject).or_insert_with(|| vec![None; range.day_count() as usize]);
            if let Some(place) = histories::index(range, day.charge_date) {
                days[place] = Some(day.usage);
            }
        }
        let looked = series.into_iter().map(|(subject, cost)| {
            let mut cost = histories::filled(cost);
            // Of what a bill makes of one kind of cost nobody knows: it may be all of it.
            for (service_id, _) in self.teams.iter().filter(|(_, team_id)| **team_id == subject.team_id) {
                self.production.known.blank(*service_id, &subject.billing_currency, range.start(), &mut cost);
            }
            Looked::Team(subject, Box::new(bare(range, cost, self.production.complete_to)))
        });
        looked.collect()
    }
}

fn bare(range: DateRange, cost: Vec<Option<f64>>, complete_to: NaiveDate) -> History {
    History {
        first_day: range.start(),
        cost,
        complete_to,
        traffic: None,
        siblings: None,
        replicas: None,
        releases: Vec::new(),
        price_events: Vec::new(),
        notes: Vec::new(),
    }
}

fn of_service(series: Series) -> Looked {
    let key = series.key();
    let subject = Subject {
        service_id: key.service_id,
        environment_id: key.environment_id,
        team_id: 0,
        service_category: String::new(),
        billing_currency: key.billing_currency.clone(),
    };
    Looked::Service(subject, Box::new(series))
}

/// The least amount a day that is told, by currency: a share of the usual day, rounded to a power of two so that it does not
/// move with every bill.
#[expect(clippy::float_arithmetic, reason = "a threshold")]
fn least_per_day(services: &[Looked]) -> HashMap<String, f64> {
    let mut sums: HashMap<String, f64> = HashMap::new();
    for looked in services {
        let Looked::Service(subject, series) = looked else { continue };
        let cost = &series.history.cost;
        let days: Vec<f64> = cost[cost.len().saturating_sub(28)..].iter().flatten().copied().collect();
        let mean = days.iter().sum::<f64>() / days.len().max(1) as f64;
        *sums.entry(subject.billing_currency.clone()).or_default() += mean;
    }
    sums.into_iter()
        .map(|(currency, sum)| (currency, if sum > 0.0 { (sum * LEAST_SHARE).log2().floor().exp2() } else { 0.0 }))
        .collect()
}

fn episode(one: &KeptAnomaly) -> Episode {
    Episode {
        anomaly_id: Some(one.anomaly_id),
        anomaly: Anomaly {
            kind: figures::kind_of(&one.kind),
            start: one.start_date,
            end: one.end_date,
            amount_per_day: one.amount_per_day,
            share: one.share,
        },
        found_on: one.found_on,
        state: State::parse(&one.state, one.close_reason.as_deref()),
        planned_until: one.planned_until,
        unknown_days: 0,
        rest: one.no_use_units.zip(one.usual_cost).map(|(no_use, usual_cost)| Rest { no_use, usual_cost }),
        is_still_idle: false,
        sentence: None,
    }
}

/// Rises of services that are told, by team and currency.
type Told = (i64, String, NaiveDate, f64);

fn told_by_services(kept: &[KeptAnomaly], outcomes: &[Outcome], teams: &HashMap<i64, i64>) -> Vec<Told> {
    let team = |subject: &Subject| teams.get(&subject.service_id).copied();
    let rises = outcomes.iter().flat_map(|outcome| {
        let rising = outcome.episodes.iter().filter(|one| one.state != State::Withdrawn && one.anomaly.share > 0.0);
        rising.map(move |one| (&outcome.subject, one.anomaly.start, one.anomaly.amount_per_day))
    });
    let known = kept.iter().map(|one| (&one.subject, one.start_date, one.amount_per_day));
    rises
        .chain(known)
        .filter_map(|(subject, start, amount)| Some((team(subject)?, subject.billing_currency.clone(), start, amount)))
        .collect()
}

#[expect(clippy::float_arithmetic, reason = "estimates")]
fn is_told(told: &[Told], subject: &Subject, episode: &Episode) -> bool {
    told.iter().any(|(team, currency, start, amount)| {
        *team == subject.team_id
            && *currency == subject.billing_currency
            && (*start - episode.anomaly.start).num_days().abs() <= TOLD_DAYS
            && *amount >= TOLD_SHARE * episode.anomaly.amount_per_day
    })
}

/// What is to be written about one anomaly.
struct Change {
    anomaly_id: Option<i64>,
    state_before: &'static str,
    written: WrittenAnomaly,
    sentence: Option<String>,
    /// Opened and closed by days that had passed already.
    is_past: bool,
}

async fn changes_of(conn: &mut PgConnection, outcome: &Outcome, publication_id: i64) -> sqlx::Result<Vec<Change>> {
    let mut changes = Vec::new();
    let complete_to = outcome.history.complete_to;
    for episode in &outcome.episodes {
        let is_answered = matches!(episode.state, State::Explained | State::Planned | State::FalseAlarm);
        // What was closed before, or answered, is as it was.
        if episode.anomaly_id.is_some() && episode.sentence.is_none() && (is_answered || !episode.state.is_running()) {
            continue;
        }
        let days = figures::chart_days(episode, complete_to);
        let exact = anomaly_watch::exact_days(&mut *conn, &outcome.subject, days).await?;
        let parts = match figures::part_days(episode) {
            Some((before, during)) => anomaly_watch::parts(&mut *conn, &outcome.subject, before, during).await?,
            None => Vec::new(),
        };
        let (history, idle_days) = (&outcome.history, outcome.idle_days);
        let written = figures::written(&outcome.subject, episode, history, idle_days, &exact, &parts, publication_id);
        changes.push(Change {
            anomaly_id: episode.anomaly_id,
            state_before: outcome.state_before(episode),
            is_past: episode.anomaly_id.is_none() && !episode.state.is_running(),
            written,
            sentence: episode.sentence.clone(),
        });
    }
    Ok(changes)
}

// Gives whether an anomaly was opened, and whether one was closed.
async fn write(conn: &mut PgConnection, change: &Change, now: DateTime<Utc>) -> sqlx::Result<(bool, bool)> {
    let written = &change.written;
    let event = |sentence: &str, state: &str| event_of(sentence, state, now);
    let Some(anomaly_id) = change.anomaly_id else {
        let anomaly_id = anomalies::insert(&mut *conn, written, now).await?;
        let found = format!("Found in the bills that were complete to {}.", life::long(written.found_on));
        anomalies::add_event(&mut *conn, anomaly_id, &event(&found, "open")).await?;
        if let Some(sentence) = change.sentence.as_ref().filter(|_| change.is_past) {
            anomalies::add_event(&mut *conn, anomaly_id, &event(sentence, written.state)).await?;
        }
        return Ok((true, change.is_past));
    };
    let is_withdrawn = written.close_reason == Some("withdrawn");
    let is_written = if is_withdrawn {
        // Its amounts stay as they were told: the bills that say otherwise are named beside them.
        anomalies::close(&mut *conn, anomaly_id, change.state_before, "withdrawn", now).await?
    } else {
        anomalies::update(&mut *conn, anomaly_id, change.state_before, written, now).await?
    };
    let is_turned = written.state != change.state_before;
    if let Some(sentence) = change.sentence.as_ref().filter(|_| is_written && is_turned) {
        anomalies::add_event(&mut *conn, anomaly_id, &event(sentence, written.state)).await?;
    }
    Ok((false, is_written && is_turned && written.state == "closed"))
}

// Its amounts stay as they were told. Gives whether it was closed: an answer that came meanwhile stands.
async fn close(conn: &mut PgConnection, one: &Closed, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let is_closed = anomalies::close(&mut *conn, one.anomaly_id, one.state_before, one.reason, now).await?;
    if is_closed {
        let event = event_of(one.sentence, "closed", now);
        anomalies::add_event(conn, one.anomaly_id, &event).await?;
    }
    Ok(is_closed)
}

// What nobody did.
fn event_of(sentence: &str, state: &str, happened_at: DateTime<Utc>) -> AnomalyEvent {
    AnomalyEvent {
        state: state.into(),
        sentence: sentence.into(),
        reason: String::new(),
        done_by: String::new(),
        happened_at,
    }
}

impl Outcome {
    // The state that the row had when it was read.
    fn state_before(&self, episode: &Episode) -> &'static str {
        self.before.get(&episode.anomaly_id.unwrap_or_default()).copied().unwrap_or("open")
    }
}
