//! The life of an anomaly: opened, grown, closed into the new normal, ended, withdrawn. One open anomaly for each cause. Pure.

#![expect(clippy::float_arithmetic, reason = "estimates")]

use crate::analyze::anomaly::{Anomaly, AnomalyKind, Rest, same_cause, same_kind};
use chrono::{Days, NaiveDate};

/// What follows within so many days of one that runs or ended is the same cause.
const SAME_CAUSE_DAYS: i64 = 14;
/// A level that was answered is told to begin up to so many days later once more days are known.
const BEGIN_DAYS: u64 = 7;
/// What is more than so many times as large as what was answered is another anomaly.
const LARGER: f64 = 1.5;
/// Complete days after its begin after which a level is the new normal.
pub(super) const NEW_NORMAL_DAYS: i64 = 21;
/// Complete days after a spike after which it is over.
const OVER_DAYS: i64 = 7;
/// Once less than this share of what it was is left, it has ended.
const LEFT_SHARE: f64 = 0.25;
/// Days after a plan on which it is asked whether cost is still there: the three that it is asked of lie behind the plan.
const PLAN_OVER_DAYS: std::ops::RangeInclusive<i64> = 3..=7;
/// A step back that follows an anomaly of so many days ago is its end and no anomaly of its own.
const UNDONE_DAYS: i64 = 60;
/// It may be told to come so many days after the end that it was taken for.
const BACK_DAYS: u64 = 3;
/// A step back leaves less than this of the level before, in log cost: what is left would not be told as a shift.
const BACK_SIZE: f64 = 0.18;
/// And less than this share of what it takes back.
const BACK_SHARE: f64 = 0.5;

/// The states of an anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Acknowledged,
    Explained,
    Planned,
    FalseAlarm,
    Ended,
    NewNormal,
    Withdrawn,
}

impl State {
    /// From the words of the table.
    pub fn parse(state: &str, close_reason: Option<&str>) -> Self {
        match (state, close_reason) {
            ("open", _) => Self::Open,
            ("acknowledged", _) => Self::Acknowledged,
            ("explained", _) => Self::Explained,
            ("planned", _) => Self::Planned,
            ("false-alarm", _) => Self::FalseAlarm,
            (_, Some("new-normal")) => Self::NewNormal,
            (_, Some("withdrawn")) => Self::Withdrawn,
            _ => Self::Ended,
        }
    }

    /// The words of the table.
    pub fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Open => ("open", None),
            Self::Acknowledged => ("acknowledged", None),
            Self::Explained => ("explained", None),
            Self::Planned => ("planned", None),
            Self::FalseAlarm => ("false-alarm", None),
            Self::Ended => ("closed", Some("ended")),
            Self::NewNormal => ("closed", Some("new-normal")),
            Self::Withdrawn => ("closed", Some("withdrawn")),
        }
    }

    /// Whether it waits for an answer or an end.
    pub fn is_running(self) -> bool {
        matches!(self, Self::Open | Self::Acknowledged)
    }

    /// Whether somebody answered it, or it became the new normal: it is not told again.
    fn is_settled(self) -> bool {
        matches!(self, Self::Explained | Self::Planned | Self::FalseAlarm | Self::NewNormal)
    }
}

/// An anomaly with its state.
#[derive(Debug, Clone)]
pub(super) struct Episode {
    /// `None` for one that is not kept yet.
    pub anomaly_id: Option<i64>,
    pub anomaly: Anomaly,
    pub found_on: NaiveDate,
    pub state: State,
    pub planned_until: Option<NaiveDate>,
    /// Days since its begin that are not known: no time passes on them.
    pub unknown_days: i64,
    /// What an environment without use is held against.
    pub rest: Option<Rest>,
    /// Whether it is without use on this day too, where that began before what is looked at.
    pub is_still_idle: bool,
    /// Why its state is what it is, where this run changed it.
    pub sentence: Option<String>,
}

impl Episode {
    pub(super) fn opened(anomaly: Anomaly, found_on: NaiveDate) -> Self {
        let sentence = Some(format!("Found in the bills that were complete to {}.", long(found_on)));
        Self {
            anomaly_id: None,
            anomaly,
            found_on,
            state: State::Open,
            planned_until: None,
            unknown_days: 0,
            rest: None,
            is_still_idle: false,
            sentence,
        }
    }

    fn turn(&mut self, state: State, sentence: String) {
        self.state = state;
        self.sentence = Some(sentence);
    }

    /// Takes it away: what it was found in is no longer there.
    pub fn withdraw(&mut self, sentence: String) {
        self.turn(State::Withdrawn, sentence);
    }

    // Whether what settled it holds for this as well: the same run of days (of a plan, to its last day) at about its size.
    // Looked at again, the days that it was settled for may show another size; and of a level that is told as a slow rise
    // the share is what the rise has come to, the amount its mean.
    fn settles(&self, found: &Anomaly) -> bool {
        let own = &self.anomaly;
        let end = match self.state {
            State::Planned => self.planned_until.map_or(own.end, |until| until.max(own.end)),
            _ => own.end,
        };
        let is_its_run = match own.kind {
            // Of a level that begins once the spike is over, its answer says nothing.
            AnomalyKind::Spike => {
                let last = if found.kind == AnomalyKind::Spike { end + Days::new(1) } else { end };
                (own.start - Days::new(1)..=last).contains(&found.start)
            }
            _ => found.start <= end.max(own.start + Days::new(BEGIN_DAYS)) && found.end >= own.start,
        };
        let exceeds = |found: f64, own: f64| found.abs() > LARGER * own.abs();
        let is_larger =
            found.end > own.end && exceeds(found.share, own.share) && exceeds(found.amount_per_day, own.amount_per_day);
        self.state.is_settled() && same_kind(own, found) && is_its_run && !is_larger
    }

    // Whether this is the same cause, seen again: of a spike that somebody looked at, no level that begins after it.
    fn is_followed_by(&self, found: &Anomaly) -> bool {
        let own = &self.anomaly;
        let is_beyond_an_answer = self.state == State::Acknowledged
            && own.kind == AnomalyKind::Spike
            && is_shift(found)
            && found.start > own.end;
        (self.state.is_running() || self.state == State::Ended)
            && !is_beyond_an_answer
            && same_cause(own, found, SAME_CAUSE_DAYS)
    }
}

/// `12 November 2026`.
pub(super) fn long(day: NaiveDate) -> String {
    day.format("%-d %B %Y").to_string()
}

/// Follows the episodes of one series through one complete day, on which `found` was seen. `left` tells how far cost of the
/// last days lies above (or below zero: under) what was expected of them before the begin of an episode, as a share.
/// Where falls are not told they end rises all the same.
pub(super) fn follow(
    episodes: &mut Vec<Episode>,
    day: NaiveDate,
    found: Vec<Anomaly>,
    tells_falls: bool,
    left: impl Fn(NaiveDate, NaiveDate) -> Option<f64>,
) {
    let mut seen: Vec<usize> = Vec::new();
    for anomaly in until_undone(found) {
        if undoes_another(episodes, &anomaly) {
            continue;
        }
        let settled = episodes.iter().rposition(|one| one.settles(&anomaly));
        match settled.or_else(|| episodes.iter().rposition(|one| one.is_followed_by(&anomaly))) {
            Some(place) => {
                seen.extend((anomaly.end >= day).then_some(place));
                take_up(&mut episodes[place], anomaly, day);
            }
            None if anomaly.kind == AnomalyKind::Drop && !tells_falls => {}
            None => {
                episodes.push(Episode::opened(anomaly, day));
                seen.push(episodes.len() - 1);
            }
        }
    }
    for (place, episode) in episodes.iter_mut().enumerate().filter(|(_, one)| one.state.is_running()) {
        grow_or_close(episode, day, seen.contains(&place), &left);
    }
    for episode in episodes.iter_mut().filter(|one| ended_its_plan(one, day)) {
        if left(episode.anomaly.start, day).is_some_and(|share| share / episode.anomaly.share >= LEFT_SHARE) {
            open_beyond_its_plan(episode);
            episode.anomaly.end = day;
        }
    }
}

// A level is in time what is usual, and not found any more: what is left of it tells whether it outlasts its plan.
fn ended_its_plan(episode: &Episode, day: NaiveDate) -> bool {
    let is_planned = episode.state == State::Planned && is_shift(&episode.anomaly);
    is_planned && episode.planned_until.is_some_and(|until| PLAN_OVER_DAYS.contains(&(day - until).num_days()))
}

fn open_beyond_its_plan(episode: &mut Episode) {
    let until = episode.planned_until.map(long).unwrap_or_else(|| "then".into());
    episode.turn(State::Open, format!("It was planned until {until}, and it still costs."));
}

// Every shift is told up to the last day: one that a later one takes back ended before that. In the order of their begins.
fn until_undone(mut found: Vec<Anomaly>) -> Vec<Anomaly> {
    found.sort_by_key(|one| one.start);
    let shifts: Vec<(NaiveDate, bool)> =
        found.iter().filter(|one| is_shift(one)).map(|one| (one.start, one.share < 0.0)).collect();
    for one in found.iter_mut().filter(|one| is_shift(one)) {
        let undone = shifts.iter().filter(|(start, falls)| *start > one.start && *falls != (one.share < 0.0));
        if let Some((start, _)) = undone.min() {
            one.end = *start - Days::new(1);
        }
    }
    found
}

fn is_shift(one: &Anomaly) -> bool {
    !matches!(one.kind, AnomalyKind::Spike | AnomalyKind::Idle)
}

// A fall after a rise that lasts is the end of the rise; a rise after a fall that still runs is the end of the fall.
fn undoes_another(episodes: &mut [Episode], anomaly: &Anomaly) -> bool {
    let Some(undone) = episodes.iter_mut().rev().find(|one| is_undone_by(one, anomaly)) else { return false };
    if undone.state.is_running() {
        let last = anomaly.start - Days::new(1);
        undone.anomaly.end = last.max(undone.anomaly.start);
        undone.turn(State::Ended, format!("It ended on {}: cost came back.", long(undone.anomaly.end)));
    }
    true
}

fn is_undone_by(episode: &Episode, later: &Anomaly) -> bool {
    let own = &episode.anomaly;
    let falls = later.kind == AnomalyKind::Drop;
    let lasts = match episode.state {
        State::Open | State::Acknowledged => true,
        State::Explained | State::Planned | State::NewNormal => falls,
        // The same step back is told on later days too, a day or so sooner or later.
        State::Ended => later.start <= own.end + Days::new(1 + BACK_DAYS),
        State::FalseAlarm | State::Withdrawn => false,
    };
    let days = (later.start - own.start).num_days();
    lasts
        && is_shift(own)
        && is_shift(later)
        && falls != (own.kind == AnomalyKind::Drop)
        && (1..=UNDONE_DAYS).contains(&days)
        && brings_back(own, later)
}

// Whether cost is about where it was before the first of them.
fn brings_back(first: &Anomaly, later: &Anomaly) -> bool {
    let size = first.share.ln_1p();
    (size + later.share.ln_1p()).abs() <= BACK_SIZE.min(BACK_SHARE * size.abs())
}

// An answer stands; what is seen again only grows, but for plans that are over and causes that came back.
fn take_up(episode: &mut Episode, found: Anomaly, day: NaiveDate) {
    match episode.state {
        State::Planned if episode.planned_until.is_none_or(|until| found.end > until) => {
            open_beyond_its_plan(episode);
        }
        State::Ended if found.end > episode.anomaly.end => {
            episode.turn(State::Open, format!("The same cause was seen again on {}.", long(day)));
        }
        State::Open | State::Acknowledged => {}
        _ => return,
    }
    let start = episode.anomaly.start.min(found.start);
    let end = episode.anomaly.end.max(found.end);
    // A spike that stays is a shift; a shift does not become a spike.
    let kind = if found.kind == AnomalyKind::Spike { episode.anomaly.kind } else { found.kind };
    episode.anomaly = Anomaly { kind, start, end, ..found };
}

fn grow_or_close(
    episode: &mut Episode,
    day: NaiveDate,
    is_seen: bool,
    left: &impl Fn(NaiveDate, NaiveDate) -> Option<f64>,
) {
    let unknown_days = episode.unknown_days;
    let since = |then: NaiveDate| (day - then).num_days() - unknown_days;
    match episode.anomaly.kind {
        AnomalyKind::Spike if since(episode.anomaly.end) >= OVER_DAYS => {
            let days = since(episode.anomaly.end);
            episode.turn(State::Ended, format!("It is over: nothing was seen for {days} complete days."));
        }
        AnomalyKind::Spike => {}
        // A restated day before it was found shows less than was known since.
        AnomalyKind::Idle if day < episode.found_on => {}
        AnomalyKind::Idle if !is_seen && !episode.is_still_idle => {
            episode.turn(State::Ended, "It is used again, costs little now, or may be idle for longer.".into());
        }
        AnomalyKind::Idle => episode.anomaly.end = day,
        _ if is_seen => episode.anomaly.end = day,
        _ => {
            let still = left(episode.anomaly.start, day);
            if still.is_some_and(|share| share / episode.anomaly.share < LEFT_SHARE) {
                let sentence = format!("It ended on {}: cost came back.", long(episode.anomaly.end));
                episode.turn(State::Ended, sentence);
            } else if since(episode.anomaly.start) > NEW_NORMAL_DAYS {
                let sentence = format!("After {NEW_NORMAL_DAYS} complete days this level is the new normal.");
                episode.turn(State::NewNormal, sentence);
            } else {
                episode.anomaly.end = day;
            }
        }
    }
}

#[cfg(test)]
mod tests;
