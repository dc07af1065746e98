//! Which days are looked at, and what is kept of what was found.

use super::*;
use crate::analyze::impact::ReleaseDay;
use crate::jobs::anomalies::life::State;

fn day(number: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 9, 1).unwrap() + Days::new(number)
}

fn subject() -> Subject {
    Subject {
        service_id: 1,
        environment_id: 1,
        team_id: 0,
        service_category: String::new(),
        billing_currency: "USD".into(),
    }
}

#[test]
fn an_environment_has_the_idle_days_of_its_policy_and_answers_move_them() {
    let lesson = |false_alarm_count, right_count| Lesson {
        service_id: 1,
        team_id: 0,
        lesson: "idle".into(),
        false_alarm_count,
        right_count,
    };
    let days = |lessons: &[Lesson], policy| Taught::of(&subject(), lessons, 0.0, policy).idle.days;
    assert_eq!((days(&[], None), days(&[], Some(30)), days(&[], Some(1))), (Idle::default().days, 30, 1));
    assert_eq!((days(&[lesson(1, 0)], Some(30)), days(&[lesson(0, 1)], Some(20))), (33, 19));
    assert_eq!(days(&[lesson(20, 0)], Some(60)), 90, "longer than that nobody knows what is usual");
}

#[test]
fn only_new_and_restated_days_are_looked_at() {
    let costs: Vec<Option<f64>> = (0..40).map(|number| Some(f64::from(number))).collect();
    let before = Watched { subject: subject(), fingerprint: String::new(), looked_to: day(39), costs: costs.clone() };
    assert_eq!(first_day_that_differs(None, &costs, day(39)), Some(day(0)));
    assert_eq!(first_day_that_differs(Some(&before), &costs, day(39)), None);
    let mut two_more = costs.clone();
    two_more.extend([Some(1.0), Some(2.0)]);
    assert_eq!(first_day_that_differs(Some(&before), &two_more, day(41)), Some(day(40)));
    two_more[30] = Some(0.5);
    assert_eq!(first_day_that_differs(Some(&before), &two_more, day(41)), Some(day(30)));
    two_more[3] = None;
    assert_eq!(first_day_that_differs(Some(&before), &two_more, day(41)), Some(day(30)), "too long ago");
}

#[test]
fn no_new_day_is_passed_over_however_many_come_at_once() {
    let costs = |count| vec![Some(100.0); count];
    let before = Watched { subject: subject(), fingerprint: String::new(), looked_to: day(39), costs: costs(40) };
    let looked = |to: u64| -> Vec<NaiveDate> {
        let from = first_day_that_differs(Some(&before), &costs(FIRST_LOOK_DAYS), day(to)).unwrap();
        assert_eq!(from, day(40), "up to {to}");
        days_to_look_at(from, day(to), false).collect()
    };
    // A bill of 31 days.
    assert_eq!(looked(70), (40..=70).map(day).collect::<Vec<_>>());
    // Two months, thinned as a new series is.
    let two = looked(100);
    let new: Vec<NaiveDate> = days_to_look_at(day(52), day(100), true).collect();
    assert!(two.ends_with(&new) && two.len() <= new.len() + 2, "{two:?} {new:?}");
    // All that is ever read.
    let all = looked(40 + 179);
    assert!(all.len() < 50 && all.first() <= Some(&day(46)), "{} days from {:?}", all.len(), all.first());
    let gaps = all.windows(2).map(|pair| (pair[1] - pair[0]).num_days());
    assert!(gaps.max() <= Some(7), "{all:?}");
}

// 98 days at 100, of which a month's bill is missing.
fn with_a_gap(missing: Option<f64>) -> Looked {
    let cost = |index: u64| match index {
        56..84 => missing,
        _ => Some(100.0 + (index * 7919 % 11) as f64),
    };
    let history = History {
        first_day: day(0),
        cost: (0..98).map(cost).collect(),
        complete_to: day(97),
        traffic: None,
        siblings: None,
        replicas: None,
        releases: Vec::new(),
        price_events: Vec::new(),
        notes: Vec::new(),
    };
    let series = Series::bare(history);
    Looked::Service(subject(), Box::new(series))
}

// Used on 21 days, and by nobody up to `last`, but for what its last day tells.
fn unused(last: u64, units_at_last: f64) -> Looked {
    let units = |index: u64| match index {
        0..21 => 500.0 + (index * 7919 % 11) as f64,
        index if index == last => units_at_last,
        index => (index % 2) as f64,
    };
    let history = History {
        first_day: day(0),
        cost: (0..=last).map(|index| Some(100.0 + (index * 7919 % 11) as f64)).collect(),
        complete_to: day(last),
        traffic: Some((0..=last).map(|index| Some(units(index))).collect()),
        siblings: None,
        replicas: None,
        releases: Vec::new(),
        price_events: Vec::new(),
        notes: Vec::new(),
    };
    Looked::Service(subject(), Box::new(Series::bare(history)))
}

/// Bills that turn out to come later take the last complete day back: what was found after it is not withdrawn.
#[test]
fn what_was_found_on_days_that_are_not_complete_any_more_stays() {
    let looked = with_a_gap(Some(100.0));
    let taught = Taught::of(&subject(), &[], 1.0, None);
    let found = |on: u64| {
        let (start, end) = (day(on), day(on + 1));
        let one = Anomaly { kind: AnomalyKind::WithoutRelease, start, end, amount_per_day: 60.0, share: 0.6 };
        Episode { anomaly_id: Some(1), ..Episode::opened(one, end) }
    };
    let costs = Vec::new();
    let before = Watched { subject: subject(), fingerprint: String::new(), looked_to: day(101), costs };
    let states = |on: u64| {
        let outcome = look(&looked, &[found(on)], Some(&before), &taught, &Model::default()).unwrap();
        outcome.episodes.iter().map(|one| (one.state, one.anomaly.end)).collect::<Vec<_>>()
    };
    assert_eq!(states(100), [(State::Open, day(101))]);
    assert_eq!(states(90)[0].0, State::Withdrawn, "of complete days, on which cost is flat");
}

#[test]
fn an_idle_environment_stays_so_beyond_what_is_looked_at() {
    let taught = Taught::of(&subject(), &[], 0.0, None);
    let idle = |outcome: &Outcome| {
        let own = |one: &&Episode| one.anomaly.kind == AnomalyKind::Idle;
        outcome.episodes.iter().filter(own).map(|one| (one.state, one.anomaly.end)).collect::<Vec<_>>()
    };
    let mut outcome = look(&unused(60, 0.0), &[], None, &taught, &Model::default()).unwrap();
    assert_eq!(idle(&outcome), [(life::State::Open, day(60))]);
    for last in [85, 110, 135, 160, 185] {
        let (kept, watched) = (outcome.episodes, outcome.watched);
        outcome = look(&unused(last, 0.0), &kept, Some(&watched), &taught, &Model::default()).unwrap();
        assert_eq!(idle(&outcome), [(life::State::Open, day(last))], "{last}");
    }
    let (kept, watched) = (outcome.episodes, outcome.watched);
    let used = look(&unused(190, 400.0), &kept, Some(&watched), &taught, &Model::default()).unwrap();
    assert_eq!(idle(&used), [(life::State::Ended, day(189))]);
}

/// By an earlier method one day of much use made two hundred requests a day no use.
#[test]
fn what_was_found_idle_beside_one_day_of_much_use_ends() {
    let units = |number: u64| Some(if number == 130 { 20_000.0 } else { 100.0 });
    let Looked::Service(_, series) = unused(190, 0.0) else { unreachable!() };
    let mut history = series.history;
    history.traffic = Some((0..=190).map(units).collect());
    let looked = Looked::Service(subject(), Box::new(Series::bare(history)));
    let anomaly =
        Anomaly { kind: AnomalyKind::Idle, start: day(131), end: day(189), amount_per_day: 100.0, share: 1.0 };
    let rest = Some(crate::analyze::anomaly::Rest { no_use: 200.0, usual_cost: 100.0 });
    let kept = Episode { anomaly_id: Some(1), rest, ..Episode::opened(anomaly, day(150)) };
    let before = Watched { subject: subject(), fingerprint: String::new(), looked_to: day(189), costs: Vec::new() };
    let taught = Taught::of(&subject(), &[], 0.0, None);
    let outcome = look(&looked, &[kept], Some(&before), &taught, &Model::default()).unwrap();
    assert_eq!(outcome.episodes[0].state, State::Ended);
    assert_eq!(outcome.episodes[0].rest.unwrap().no_use, 1.0);
}

// Eight days of a team at half as much again, and twelve back where they were.
#[test]
fn a_rise_of_a_team_ends_when_cost_came_back() {
    let cost = |index: u64| {
        let usual = 100.0 + (index * 7919 % 11) as f64;
        Some(if (78..86).contains(&index) { 1.5 * usual } else { usual })
    };
    let Looked::Service(_, series) = with_a_gap(None) else { unreachable!("it is of a service") };
    let history = History { cost: (0..98).map(cost).collect(), ..series.history.clone() };
    let team = Looked::Team(Subject { service_id: 0, environment_id: 0, team_id: 1, ..subject() }, Box::new(history));
    let taught = Taught::of(team.subject(), &[], 0.0, None);
    let outcome = look(&team, &[], None, &taught, &Model::default()).unwrap();
    let told = format!("{:?}", outcome.episodes);
    assert!(!outcome.episodes.is_empty(), "it is told");
    for one in &outcome.episodes {
        assert_eq!(one.state, life::State::Ended, "{told}");
        assert!(one.anomaly.kind != AnomalyKind::Drop && one.anomaly.end < day(89), "{told}");
    }
}

#[test]
fn days_without_a_bill_are_no_fall() {
    let taught = Taught::of(&subject(), &[], 0.0, None);
    let kinds = |looked: &Looked| -> Vec<AnomalyKind> {
        let outcome = look(looked, &[], None, &taught, &Model::default()).unwrap();
        outcome.episodes.iter().map(|one| one.anomaly.kind).collect()
    };
    assert_eq!(kinds(&with_a_gap(None)), []);
    assert!(kinds(&with_a_gap(Some(0.0))).contains(&AnomalyKind::Drop), "as zeros they are one");
    let history = with_a_gap(None).as_of(day(90));
    assert_eq!([day(20), day(70)].map(|from| unknown_days(&history, from, day(90))), [28, 14]);
}

#[test]
fn a_rollout_is_known_from_the_day_on_which_it_began() {
    let Looked::Service(subject, mut series) = with_a_gap(None) else { unreachable!("it is of a service") };
    // The second goes live after the last complete day.
    series.history.releases = [(88, 92), (95, 99)]
        .map(|(began, live)| ReleaseDay {
            day: day(live),
            deployment_ids: vec![1],
            share_before: None,
            rollout_from: Some(day(began)),
        })
        .to_vec();
    let looked = Looked::Service(subject, series);
    let known = [87, 88, 94, 95].map(|last| looked.as_of(day(last)).releases.len());
    assert_eq!(known, [0, 1, 1, 2]);
}
