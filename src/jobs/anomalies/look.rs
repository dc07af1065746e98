//! Looks at one series day by day, as someone would who looks each morning. Pure.

#![expect(clippy::float_arithmetic, reason = "estimates")]

use super::life::{self, Episode};
use crate::analyze::anomaly::{
    Anomaly, AnomalyKind, Idle, LOOKED_DAYS, Sensitivity, detect, expected_days, idle, no_use, same_cause, still_idle,
};
use crate::analyze::impact::{Calibration, History, Model};
use crate::jobs::effects::histories::{self, Series};
use crate::jobs::effects::parts::{Parts, of_calibration};
use crate::store::anomalies::Subject;
use crate::store::anomaly_watch::{Lesson, Watched};
use crate::store::catalogue::environment::{IDLE_DAYS, IDLE_DAYS_MAX};
use chrono::{Days, NaiveDate};
use std::collections::HashMap;

/// Days that are looked at where a series is new.
const FIRST_LOOK_DAYS: usize = 49;
/// The last of them, on which spikes are told too; of the others every third.
const DAILY_DAYS: i64 = 14;
const THINNED_STEP: i64 = 3;
/// Days that are looked at again at most where restated ones change what was seen: the month of one bill. As many new ones
/// are looked at one by one.
const LOOK_DAYS: usize = 31;
/// Of days that are older than all those, one a week is enough: a level is news for three.
const OLDER_STEP: i64 = 7;
/// A spike or shift within so many days is the same.
const NEAR_DAYS: i64 = 7;
/// Days at the end that say whether cost came back.
const LAST_DAYS: usize = 3;

/// A series that is looked at.
pub(super) enum Looked {
    /// Of a service in an environment.
    Service(Subject, Box<Series>),
    /// One kind of cost of a team.
    Team(Subject, Box<History>),
}

impl Looked {
    pub fn subject(&self) -> &Subject {
        match self {
            Self::Service(subject, _) | Self::Team(subject, _) => subject,
        }
    }

    // A team is told what lies above its baseline.
    fn tells_falls(&self) -> bool {
        matches!(self, Self::Service(..))
    }

    fn history(&self) -> &History {
        match self {
            Self::Service(_, series) => &series.history,
            Self::Team(_, history) => history,
        }
    }

    /// What was known when this day was the last complete one.
    pub fn as_of(&self, day: NaiveDate) -> History {
        let mut history = match self {
            Self::Service(_, series) => histories::window(series, day),
            Self::Team(_, history) => History::clone(history),
        };
        let length = usize::try_from((day - history.first_day).num_days() + 1).unwrap_or_default();
        history.complete_to = day;
        history.cost.truncate(length);
        for days in [&mut history.traffic, &mut history.replicas].into_iter().flatten() {
            days.truncate(length);
        }
        if let Some(siblings) = &mut history.siblings {
            siblings.cost.truncate(length);
            siblings.traffic.truncate(length);
        }
        history.releases.retain(|release| release.began() <= day);
        history.price_events.retain(|event| event.day <= day);
        history.notes.retain(|note| note.day <= day);
        history
    }
}

/// How readily a series is told about.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Taught {
    spike: Sensitivity,
    shift: Sensitivity,
    drop_factor: f64,
    idle: Idle,
    /// Days of the environment's policy, which answers moved.
    idle_policy: i32,
    baseline: Sensitivity,
}

impl Taught {
    /// What answers taught about this subject; amounts below `least_per_day` are not told. `idle_days` are those of the
    /// environment's policy.
    pub fn of(subject: &Subject, lessons: &[Lesson], least_per_day: f64, idle_days: Option<i32>) -> Self {
        let base = Sensitivity { amount_per_day: least_per_day, ..Sensitivity::default() };
        let of = |lesson: &str| {
            let known = lessons.iter().find(|one| {
                (one.service_id, one.team_id, one.lesson.as_str()) == (subject.service_id, subject.team_id, lesson)
            });
            let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
            known.map_or(base, |one| base.taught(count(one.false_alarm_count), count(one.right_count)))
        };
        let factor = |taught: Sensitivity| taught.shift_share / base.shift_share;
        let idle_policy = idle_days.unwrap_or(IDLE_DAYS);
        let days = (f64::from(idle_policy) * factor(of("idle"))).round().clamp(1.0, f64::from(IDLE_DAYS_MAX)) as usize;
        Self {
            spike: of("spike"),
            shift: of("shift"),
            drop_factor: factor(of("drop")),
            idle: Idle { days, ..Idle::default() },
            idle_policy,
            baseline: of("baseline"),
        }
    }

    // What was told once is not taken back for a hair's breadth.
    fn eased(&self) -> Self {
        Self {
            spike: self.spike.taught(0, 3),
            shift: self.shift.taught(0, 3),
            drop_factor: self.drop_factor,
            idle: self.idle,
            idle_policy: self.idle_policy,
            baseline: self.baseline.taught(0, 3),
        }
    }
}

/// What a look found out about one series.
pub(super) struct Outcome {
    pub subject: Subject,
    /// Those whose state or days changed, and those that are new.
    pub episodes: Vec<Episode>,
    pub watched: Watched,
    /// As of the last complete day.
    pub history: History,
    /// Days of the environment's policy.
    pub idle_days: i32,
    /// The states that kept anomalies had before.
    pub before: HashMap<i64, &'static str>,
}

/// Looks at the days that were not looked at, and at those that say something else now. `None` where nothing changed.
pub(super) fn look(
    looked: &Looked,
    kept: &[Episode],
    before: Option<&Watched>,
    taught: &Taught,
    model: &Model,
) -> Option<Outcome> {
    let complete_to = looked.history().complete_to;
    let now = looked.as_of(complete_to);
    let fingerprint = Parts::of(&now, &of_calibration(&Calibration::default())).fingerprint();
    let fingerprint = format!("{fingerprint} {:x}", short_hash(&format!("{taught:?}")));
    if before.is_some_and(|before| before.fingerprint == fingerprint) {
        return None;
    }
    let costs: Vec<Option<f64>> = last(&looked.history().cost, FIRST_LOOK_DAYS).to_vec();
    let differs = first_day_that_differs(before, &costs, complete_to);
    let from = differs.unwrap_or(complete_to).max(looked.history().first_day);
    // Where bills turn out to come later than was thought, its days are not complete as yet: nothing can be said of it.
    let (later, mut episodes): (Vec<Episode>, Vec<Episode>) =
        kept.iter().cloned().partition(|one| one.found_on > complete_to);
    let restated = before.zip(differs).is_some_and(|(before, differs)| differs <= before.looked_to);
    for episode in episodes.iter_mut().filter(|one| one.state.is_running()) {
        if before.is_some() && !is_still_there(looked, episode, &now, taught, model) {
            episode.withdraw(withdrawal(restated));
        }
    }
    for episode in &mut episodes {
        lower_no_use(looked, episode, &taught.idle);
    }
    for day in days_to_look_at(from, complete_to, before.is_none()) {
        let history = looked.as_of(day);
        // What a day without its bill shows is no news, and no time passes on it.
        if history.cost.last().is_some_and(Option::is_none) {
            continue;
        }
        for episode in &mut episodes {
            episode.unknown_days = unknown_days(&now, episode.anomaly.start, day);
            episode.is_still_idle = is_still_idle(&history, episode, &taught.idle);
        }
        let found = found(looked, &history, taught, model);
        life::follow(&mut episodes, day, found, looked.tells_falls(), |start, day| left(&now, start, day));
        keep_what_is_usual(&mut episodes, &history, &taught.idle);
    }
    episodes.extend(later);
    Some(Outcome {
        subject: looked.subject().clone(),
        episodes,
        watched: Watched { subject: looked.subject().clone(), fingerprint, looked_to: complete_to, costs },
        history: now,
        idle_days: taught.idle_policy,
        before: kept.iter().filter_map(|one| Some((one.anomaly_id?, one.state.words().0))).collect(),
    })
}

// Of a new series, and where more than one bill's month is new, every third day is enough but for the last ones: a level is
// seen on any of them.
fn days_to_look_at(from: NaiveDate, to: NaiveDate, is_new: bool) -> impl Iterator<Item = NaiveDate> {
    let is_thinned = is_new || (to - from).num_days() >= LOOK_DAYS as i64;
    let is_kept = move |day: &NaiveDate| {
        let age = (to - *day).num_days();
        let step = if age < FIRST_LOOK_DAYS as i64 { THINNED_STEP } else { OLDER_STEP };
        !is_thinned || age < DAILY_DAYS || age % step == 0
    };
    from.iter_days().take_while(move |day| *day <= to).filter(is_kept)
}

fn last<T>(values: &[T], count: usize) -> &[T] {
    &values[values.len().saturating_sub(count)..]
}

fn short_hash(text: &str) -> u64 {
    use sha2::{Digest, Sha256};
    Sha256::digest(text).iter().take(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

// The first day whose figure is another than before, or that is new, however many are; none where something else changed.
fn first_day_that_differs(
    before: Option<&Watched>,
    costs: &[Option<f64>],
    complete_to: NaiveDate,
) -> Option<NaiveDate> {
    let days_back = |count: usize| complete_to - Days::new(count.saturating_sub(1) as u64);
    let Some(before) = before else { return Some(days_back(FIRST_LOOK_DAYS.min(costs.len().max(1)))) };
    let cost_on = |costs: &[Option<f64>], end: NaiveDate, day: NaiveDate| {
        let back = usize::try_from((end - day).num_days()).ok()?;
        costs.len().checked_sub(back + 1).map(|place| costs[place])
    };
    let differs = |day: &NaiveDate| {
        let (then, now) = (cost_on(&before.costs, before.looked_to, *day), cost_on(costs, complete_to, *day));
        then.zip(now).is_none_or(|(then, now)| then.map(f64::to_bits) != now.map(f64::to_bits))
    };
    let earliest = days_back(LOOK_DAYS.min(costs.len().max(1))).min(before.looked_to + Days::new(1));
    earliest.iter_days().take_while(|day| *day <= complete_to).find(differs)
}

fn withdrawal(restated: bool) -> String {
    if restated {
        "Withdrawn by a restated bill or a changed rule: what it was found in is no longer there.".into()
    } else {
        "Withdrawn: a deployment, usage or another threshold that came in later explains it.".into()
    }
}

fn is_still_there(looked: &Looked, episode: &Episode, now: &History, taught: &Taught, model: &Model) -> bool {
    let eased = taught.eased();
    let is_it = |one: &Anomaly| same_cause(&episode.anomaly, one, NEAR_DAYS);
    // An idle environment that is used again has ended, and is not withdrawn.
    if episode.anomaly.kind == AnomalyKind::Idle {
        return true;
    }
    let then = looked.as_of(episode.found_on);
    found(looked, &then, &eased, model).iter().any(is_it) || found(looked, now, &eased, model).iter().any(is_it)
}

fn is_still_idle(history: &History, episode: &Episode, policy: &Idle) -> bool {
    let is_idle = episode.anomaly.kind == AnomalyKind::Idle && episode.state.is_running();
    is_idle && episode.rest.is_some_and(|rest| still_idle(history, episode.anomaly.start, &rest, policy))
}

// As long as all days are there that told of use when it was found: what was kept of it may be of an earlier method, by
// which one day of much use made others days without use.
fn lower_no_use(looked: &Looked, episode: &mut Episode, policy: &Idle) {
    let first_looked = episode.found_on - Days::new(LOOKED_DAYS as u64);
    if !episode.state.is_running() || looked.history().first_day > first_looked {
        return;
    }
    let Some(rest) = &mut episode.rest else { return };
    if let Some(units) = no_use(&looked.as_of(episode.found_on), episode.anomaly.start, policy) {
        rest.no_use = rest.no_use.min(units);
    }
}

// While the days before are in what is looked at. The first of them say best what was usual.
fn keep_what_is_usual(episodes: &mut [Episode], history: &History, policy: &Idle) {
    let is_new = |one: &&mut Episode| one.anomaly.kind == AnomalyKind::Idle && one.rest.is_none();
    for episode in episodes.iter_mut().filter(is_new) {
        episode.rest = idle(history, policy).map(|(_, rest)| rest);
    }
}

fn found(looked: &Looked, history: &History, taught: &Taught, model: &Model) -> Vec<Anomaly> {
    if let Looked::Team(..) = looked {
        return detect(history, model, &taught.baseline);
    }
    let is_spike = |one: &Anomaly| one.kind == AnomalyKind::Spike;
    let mut all = detect(history, model, &taught.shift);
    if taught.spike != taught.shift {
        all.retain(|one| !is_spike(one));
        all.extend(detect(history, model, &taught.spike).into_iter().filter(is_spike));
    }
    let floor = taught.shift.shift_share / (1.0 + taught.shift.shift_share) * taught.drop_factor;
    all.retain(|one| one.kind != AnomalyKind::Drop || one.share.abs() >= floor);
    let idle = idle(history, &taught.idle).map(|(one, _)| one);
    all.extend(idle.filter(|one| one.amount_per_day >= taught.shift.amount_per_day));
    all
}

// Days from one to another that lack a bill.
fn unknown_days(history: &History, from: NaiveDate, to: NaiveDate) -> i64 {
    let begins = history.cost.iter().position(Option::is_some).unwrap_or(history.cost.len());
    let lacking = history.cost.iter().enumerate().skip(begins).filter(|(_, cost)| cost.is_none());
    lacking.filter(|(index, _)| (from..=to).contains(&history.day_at(*index))).count() as i64
}

/// How far the last days up to `day` lie above what was expected of them before `start`, as a share.
fn left(history: &History, start: NaiveDate, day: NaiveDate) -> Option<f64> {
    let expected = expected_days(history, start, day);
    let (mut above, mut of) = (0.0, 0.0);
    for one in last(&expected, LAST_DAYS).iter().filter(|one| one.day >= start) {
        let Some(cost) = history.index_of(one.day).and_then(|index| history.cost[index]) else { continue };
        above += cost - one.expected;
        of += one.expected;
    }
    (of > 0.0).then(|| above / of)
}

#[cfg(test)]
mod tests;
