//! The life of an anomaly: opened, grown, closed into the new normal, ended, withdrawn. One open anomaly for each cause. Pure.

#![expect(clippy::float_arithmetic, reason = "estimates")]

use crate::analyze::anomaly::{Anomaly, AnomalyKind, same_cause};
use chrono::NaiveDate;

/// What follows within so many days is the same cause.
const SAME_CAUSE_DAYS: i64 = 14;
/// Complete days after its begin after which a level is the new normal.
pub(super) const NEW_NORMAL_DAYS: i64 = 21;
/// Complete days after a spike after which it is over.
const OVER_DAYS: i64 = 7;
/// Once less than this share of what it was is left, it has ended.
const LEFT_SHARE: f64 = 0.25;
/// A step back that follows an anomaly of so many days ago is its end and no anomaly of its own.
const UNDONE_DAYS: i64 = 60;

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
    /// Why its state is what it is, where this run changed it.
    pub sentence: Option<String>,
}

impl Episode {
    fn opened(anomaly: Anomaly, found_on: NaiveDate) -> Self {
        let sentence = Some(format!("Found in the bills that were complete to {}.", long(found_on)));
        Self { anomaly_id: None, anomaly, found_on, state: State::Open, planned_until: None, sentence }
    }

    fn turn(&mut self, state: State, sentence: String) {
        self.state = state;
        self.sentence = Some(sentence);
    }

    /// Takes it away: what it was found in is no longer there.
    pub fn withdraw(&mut self, sentence: String) {
        self.turn(State::Withdrawn, sentence);
    }
}

/// `12 November 2026`.
pub(super) fn long(day: NaiveDate) -> String {
    day.format("%-d %B %Y").to_string()
}

/// Follows the episodes of one series through one complete day, on which `found` was seen. `left` tells how far cost of the
/// last days lies above (or below zero: under) what was expected of them before the begin of an episode, as a share.
pub(super) fn follow(
    episodes: &mut Vec<Episode>,
    day: NaiveDate,
    found: Vec<Anomaly>,
    left: impl Fn(NaiveDate, NaiveDate) -> Option<f64>,
) {
    let mut seen: Vec<usize> = Vec::new();
    for anomaly in until_undone(found) {
        if undoes_another(episodes, &anomaly) {
            continue;
        }
        let known = episodes
            .iter()
            .rposition(|one| one.state != State::Withdrawn && same_cause(&one.anomaly, &anomaly, SAME_CAUSE_DAYS));
        match known {
            Some(place) => {
                seen.extend((anomaly.end >= day).then_some(place));
                take_up(&mut episodes[place], anomaly, day);
            }
            None => {
                episodes.push(Episode::opened(anomaly, day));
                seen.push(episodes.len() - 1);
            }
        }
    }
    for (place, episode) in episodes.iter_mut().enumerate().filter(|(_, one)| one.state.is_running()) {
        grow_or_close(episode, day, seen.contains(&place), &left);
    }
}

// Every shift is told up to the last day: one that a later one takes back ended before that.
fn until_undone(mut found: Vec<Anomaly>) -> Vec<Anomaly> {
    let is_shift = |one: &Anomaly| !matches!(one.kind, AnomalyKind::Spike | AnomalyKind::Idle);
    let shifts: Vec<(NaiveDate, bool)> =
        found.iter().filter(|one| is_shift(one)).map(|one| (one.start, one.share < 0.0)).collect();
    for one in found.iter_mut().filter(|one| is_shift(one)) {
        let undone = shifts.iter().filter(|(start, falls)| *start > one.start && *falls != (one.share < 0.0));
        if let Some((start, _)) = undone.min() {
            one.end = *start - chrono::Days::new(1);
        }
    }
    found
}

// A fall after a rise is the end of the rise; a rise after a fall that still runs is the end of the fall.
fn undoes_another(episodes: &mut [Episode], anomaly: &Anomaly) -> bool {
    let is_drop = |one: &Anomaly| one.kind == AnomalyKind::Drop;
    if anomaly.kind == AnomalyKind::Idle || anomaly.kind == AnomalyKind::Spike {
        return false;
    }
    let undone = episodes.iter_mut().rev().find(|one| {
        let days = (anomaly.start - one.anomaly.start).num_days();
        one.state != State::Withdrawn
            && one.anomaly.kind != AnomalyKind::Idle
            && is_drop(&one.anomaly) != is_drop(anomaly)
            && (is_drop(anomaly) || one.state.is_running())
            && days > 0
            && days <= UNDONE_DAYS
    });
    let Some(undone) = undone else { return false };
    if undone.state.is_running() {
        let last = anomaly.start - chrono::Days::new(1);
        undone.anomaly.end = last.max(undone.anomaly.start);
        undone.turn(State::Ended, format!("It ended on {}: cost came back.", long(undone.anomaly.end)));
    }
    true
}

// An answer stands; what is seen again only grows, but for plans that are over and causes that came back.
fn take_up(episode: &mut Episode, found: Anomaly, day: NaiveDate) {
    match episode.state {
        State::Planned if episode.planned_until.is_none_or(|until| found.end > until) => {
            let until = episode.planned_until.map(long).unwrap_or_else(|| "then".into());
            episode.turn(State::Open, format!("It was planned until {until}, and it still costs."));
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
    let since = |then: NaiveDate| (day - then).num_days();
    match episode.anomaly.kind {
        AnomalyKind::Spike if since(episode.anomaly.end) >= OVER_DAYS => {
            let days = since(episode.anomaly.end);
            episode.turn(State::Ended, format!("It is over: nothing was seen for {days} complete days."));
        }
        AnomalyKind::Spike => {}
        AnomalyKind::Idle if !is_seen => {
            episode.turn(State::Ended, "It is used again, or costs little now.".into());
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
mod tests {
    use super::*;
    use chrono::Days;

    fn day(number: u64) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 9, 1).unwrap() + Days::new(number)
    }

    fn anomaly(kind: AnomalyKind, start: u64, end: u64) -> Anomaly {
        let share = if kind == AnomalyKind::Drop { -0.4 } else { 0.4 };
        Anomaly { kind, start: day(start), end: day(end), amount_per_day: 100.0 * share, share }
    }

    fn shift(start: u64, end: u64) -> Anomaly {
        anomaly(AnomalyKind::WithoutRelease, start, end)
    }

    fn states(episodes: &[Episode]) -> Vec<State> {
        episodes.iter().map(|one| one.state).collect()
    }

    #[test]
    fn one_cause_is_opened_once_and_becomes_the_new_normal() {
        let mut episodes = Vec::new();
        for number in 10..=31 {
            follow(&mut episodes, day(number), vec![shift(10, number)], |_, _| Some(0.4));
            assert_eq!(states(&episodes), [State::Open]);
        }
        follow(&mut episodes, day(32), Vec::new(), |_, _| Some(0.4));
        assert_eq!(states(&episodes), [State::NewNormal]);
        assert_eq!(episodes[0].anomaly.end, day(31));
        // The same level is not told again.
        follow(&mut episodes, day(33), vec![shift(11, 33)], |_, _| Some(0.4));
        assert_eq!(states(&episodes), [State::NewNormal]);
    }

    #[test]
    fn a_step_back_is_the_end_and_no_drop() {
        let mut episodes = Vec::new();
        follow(&mut episodes, day(12), vec![shift(10, 12)], |_, _| Some(0.4));
        let both = vec![shift(10, 20), anomaly(AnomalyKind::Drop, 15, 20)];
        follow(&mut episodes, day(20), both, |_, _| Some(0.0));
        assert_eq!(states(&episodes), [State::Ended]);
        assert_eq!(episodes[0].anomaly.end, day(14));
    }

    #[test]
    fn cost_that_came_back_ends_it_where_nothing_is_found_any_more() {
        let mut episodes = Vec::new();
        follow(&mut episodes, day(12), vec![shift(10, 12)], |_, _| Some(0.4));
        follow(&mut episodes, day(13), Vec::new(), |_, _| Some(0.3));
        assert_eq!((states(&episodes), episodes[0].anomaly.end), (vec![State::Open], day(13)));
        follow(&mut episodes, day(14), Vec::new(), |_, _| Some(0.05));
        assert_eq!((states(&episodes), episodes[0].anomaly.end), (vec![State::Ended], day(13)));
        follow(&mut episodes, day(20), vec![shift(18, 20)], |_, _| Some(0.4));
        assert_eq!((states(&episodes), episodes[0].anomaly.end), (vec![State::Open], day(20)));
    }

    #[test]
    fn a_spike_is_over_after_a_week_and_one_that_stays_is_a_shift() {
        let mut episodes = Vec::new();
        follow(&mut episodes, day(10), vec![anomaly(AnomalyKind::Spike, 10, 10)], |_, _| None);
        follow(&mut episodes, day(16), Vec::new(), |_, _| None);
        assert_eq!(states(&episodes), [State::Open]);
        follow(&mut episodes, day(17), Vec::new(), |_, _| None);
        assert_eq!(states(&episodes), [State::Ended]);
        let mut staying = Vec::new();
        follow(&mut staying, day(10), vec![anomaly(AnomalyKind::Spike, 10, 10)], |_, _| None);
        follow(&mut staying, day(15), vec![shift(10, 15)], |_, _| None);
        assert_eq!((staying.len(), staying[0].anomaly.kind), (1, AnomalyKind::WithoutRelease));
    }

    #[test]
    fn answers_stand_and_a_plan_ends_with_its_day() {
        let mut episodes = Vec::new();
        follow(&mut episodes, day(12), vec![shift(10, 12)], |_, _| Some(0.4));
        episodes[0].state = State::FalseAlarm;
        follow(&mut episodes, day(13), vec![shift(10, 13)], |_, _| Some(0.4));
        assert_eq!(states(&episodes), [State::FalseAlarm]);
        episodes[0].state = State::Planned;
        episodes[0].planned_until = Some(day(15));
        follow(&mut episodes, day(15), vec![shift(10, 15)], |_, _| Some(0.4));
        assert_eq!(states(&episodes), [State::Planned]);
        follow(&mut episodes, day(16), vec![shift(10, 16)], |_, _| Some(0.4));
        assert_eq!(states(&episodes), [State::Open]);
    }

    #[test]
    fn an_idle_environment_stays_open_until_it_is_used() {
        let idle = |end| anomaly(AnomalyKind::Idle, 1, end);
        let mut episodes = Vec::new();
        follow(&mut episodes, day(8), vec![idle(8)], |_, _| None);
        follow(&mut episodes, day(60), vec![idle(60)], |_, _| None);
        assert_eq!(states(&episodes), [State::Open]);
        follow(&mut episodes, day(61), Vec::new(), |_, _| None);
        assert_eq!((states(&episodes), episodes[0].anomaly.end), (vec![State::Ended], day(60)));
    }
}
