//! What is told, what is not told again, and what ends.

use super::*;

fn day(number: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 9, 1).unwrap() + Days::new(number)
}

fn anomaly(kind: AnomalyKind, start: u64, end: u64) -> Anomaly {
    let share = if kind == AnomalyKind::Drop { -0.3 } else { 0.4 };
    sized(anomaly_of(kind, start, end), share)
}

fn anomaly_of(kind: AnomalyKind, start: u64, end: u64) -> Anomaly {
    Anomaly { kind, start: day(start), end: day(end), amount_per_day: 0.0, share: 0.0 }
}

fn sized(one: Anomaly, share: f64) -> Anomaly {
    Anomaly { amount_per_day: 100.0 * share, share, ..one }
}

fn shift(start: u64, end: u64) -> Anomaly {
    anomaly(AnomalyKind::WithoutRelease, start, end)
}

fn kept(anomaly: Anomaly, state: State) -> Episode {
    Episode { state, ..Episode::opened(anomaly, day(0)) }
}

// Of a service, whose falls are told.
fn follow(
    episodes: &mut Vec<Episode>,
    day: NaiveDate,
    found: Vec<Anomaly>,
    left: impl Fn(NaiveDate, NaiveDate) -> Option<f64>,
) {
    super::follow(episodes, day, found, true, left);
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

/// Some days that were seen to be a level only once cost was back: they are told, and the way back is not.
#[test]
fn a_level_that_is_found_with_its_way_back_is_told_as_over() {
    let mut episodes = Vec::new();
    for number in 30..=32 {
        let found = vec![shift(6, 10), anomaly(AnomalyKind::Drop, 11, number)];
        follow(&mut episodes, day(number), found, |_, _| Some(0.0));
        assert_eq!(states(&episodes), [State::Ended]);
        let own = &episodes[0].anomaly;
        assert_eq!((own.kind, own.start, own.end), (AnomalyKind::WithoutRelease, day(6), day(10)));
    }
}

#[test]
fn a_fall_that_is_not_told_ends_a_rise_all_the_same() {
    let fall = |start, end| anomaly(AnomalyKind::Drop, start, end);
    let mut episodes = Vec::new();
    let mut of_team = |number, found| {
        super::follow(&mut episodes, day(number), found, false, |_, _| Some(0.4));
        (states(&episodes), episodes[0].anomaly.end)
    };
    assert_eq!(of_team(12, vec![shift(10, 12)]), (vec![State::Open], day(12)));
    // The rise is seen up to the day on which the fall is: its last day is the one before that.
    assert_eq!(of_team(20, vec![shift(10, 20)]), (vec![State::Open], day(20)));
    assert_eq!(of_team(21, vec![shift(10, 21), fall(18, 21)]), (vec![State::Ended], day(17)));
    assert_eq!(of_team(31, vec![shift(10, 31), fall(18, 31)]), (vec![State::Ended], day(17)));
    assert_eq!(of_team(50, vec![fall(46, 50)]), (vec![State::Ended], day(17)), "a fall of its own");
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
fn no_time_passes_on_days_that_are_not_known() {
    let mut episodes = vec![kept(shift(10, 12), State::Open), kept(anomaly(AnomalyKind::Spike, 10, 10), State::Open)];
    episodes.iter_mut().for_each(|one| one.unknown_days = 30);
    follow(&mut episodes, day(46), Vec::new(), |_, _| Some(0.4));
    assert_eq!(states(&episodes), [State::Open, State::Open], "six days and no more");
    follow(&mut episodes, day(62), Vec::new(), |_, _| Some(0.4));
    assert_eq!(states(&episodes), [State::NewNormal, State::Ended]);
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

/// A level that is found no more is what is usual by then; what is left of it after its plan is told.
#[test]
fn what_outlasts_its_plan_is_open_again_though_it_is_found_no_more() {
    for (left, state) in [(0.4, State::Open), (0.01, State::Planned)] {
        let mut episodes = Vec::new();
        follow(&mut episodes, day(12), vec![shift(10, 12)], |_, _| Some(0.4));
        episodes[0].state = State::Planned;
        episodes[0].planned_until = Some(day(15));
        for number in 13..=17 {
            follow(&mut episodes, day(number), Vec::new(), |_, _| Some(left));
        }
        assert_eq!(states(&episodes), [State::Planned], "two of the three days are the plan's");
        follow(&mut episodes, day(18), Vec::new(), |_, _| Some(left));
        assert_eq!(states(&episodes), [state]);
        assert_eq!(episodes[0].anomaly.end, day(if state == State::Open { 18 } else { 12 }));
    }
}

#[test]
fn another_level_after_the_new_normal_is_an_anomaly() {
    // A quarter more from 1 September on, the new normal on the 23rd, and three times as much from the 30th on.
    let quarter = |end| sized(shift(0, end), 0.25);
    let mut episodes = Vec::new();
    for number in 0..=21 {
        follow(&mut episodes, day(number), vec![quarter(number)], |_, _| Some(0.25));
    }
    follow(&mut episodes, day(22), Vec::new(), |_, _| Some(0.25));
    assert_eq!((states(&episodes), episodes[0].anomaly.end), (vec![State::NewNormal], day(21)));
    follow(&mut episodes, day(30), vec![sized(shift(29, 30), 2.0)], |_, _| Some(2.0));
    assert_eq!(states(&episodes), [State::NewNormal, State::Open]);
    // The old level is told beside the new one: it stays what it is.
    let both = vec![sized(shift(29, 31), 2.0), sized(shift(2, 31), 0.3)];
    follow(&mut episodes, day(31), both, |_, _| Some(2.0));
    assert_eq!(states(&episodes), [State::NewNormal, State::Open]);
    assert_eq!((episodes[1].anomaly.start, episodes[1].anomaly.share), (day(29), 2.0));
}

#[test]
fn an_answer_holds_for_its_own_days_and_size() {
    let spike = |number| anomaly(AnomalyKind::Spike, number, number);
    for (answered, state, found, is_told) in [
        (spike(9), State::FalseAlarm, spike(9), false),
        (spike(9), State::FalseAlarm, spike(10), false),
        (spike(9), State::FalseAlarm, spike(19), true),
        (spike(9), State::FalseAlarm, sized(spike(10), 0.7), true),
        (spike(9), State::Explained, shift(9, 15), false),
        (spike(9), State::Explained, shift(8, 15), false),
        // A level that begins on the day after is not what was answered, whatever the answer.
        (spike(9), State::Explained, shift(10, 16), true),
        (spike(9), State::FalseAlarm, shift(10, 16), true),
        (spike(9), State::Explained, shift(14, 20), true),
        (shift(10, 12), State::Explained, shift(14, 20), false),
        (shift(10, 12), State::Explained, shift(19, 22), true),
        (shift(10, 12), State::FalseAlarm, sized(shift(10, 20), 0.55), false),
        (shift(10, 12), State::FalseAlarm, sized(shift(10, 20), 0.65), true),
        (shift(10, 20), State::FalseAlarm, sized(shift(10, 15), 0.65), false),
        // Told as a slow rise, which has come to more and is as large on average.
        (shift(10, 31), State::NewNormal, Anomaly { amount_per_day: 33.0, ..sized(shift(4, 40), 0.65) }, false),
    ] {
        let mut episodes = vec![kept(answered, state)];
        let told = format!("{:?} {found:?}", episodes[0]);
        let end = found.end;
        follow(&mut episodes, end, vec![found], |_, _| Some(0.4));
        assert_eq!((episodes[0].state, episodes.len() == 2), (state, is_told), "{told}");
    }
}

#[test]
fn a_level_after_a_spike_that_somebody_looked_at_is_an_anomaly_of_its_own() {
    let spike = || anomaly(AnomalyKind::Spike, 9, 9);
    let mut episodes = vec![kept(spike(), State::Acknowledged)];
    follow(&mut episodes, day(14), vec![shift(10, 14)], |_, _| Some(0.4));
    assert_eq!(states(&episodes), [State::Acknowledged, State::Open]);
    assert_eq!((episodes[0].anomaly.kind, episodes[1].anomaly.start), (AnomalyKind::Spike, day(10)));
    // It is told once, wherever its begin is seen a day later.
    follow(&mut episodes, day(15), vec![shift(9, 15)], |_, _| Some(0.4));
    follow(&mut episodes, day(16), vec![shift(11, 16)], |_, _| Some(0.4));
    assert_eq!(states(&episodes), [State::Ended, State::Open]);
    // What nobody has looked at yet, or what stays from the day of the spike on, is one cause.
    for (state, start) in [(State::Open, 10), (State::Acknowledged, 9)] {
        let mut one = vec![kept(spike(), state)];
        follow(&mut one, day(14), vec![shift(start, 14)], |_, _| Some(0.4));
        assert_eq!((states(&one), one[0].anomaly.kind), (vec![state], AnomalyKind::WithoutRelease));
    }
}

#[test]
fn a_plan_holds_for_its_days_and_its_size() {
    let planned = Episode { planned_until: Some(day(30)), ..kept(shift(10, 12), State::Planned) };
    let mut episodes = vec![planned];
    follow(&mut episodes, day(28), vec![shift(25, 28)], |_, _| Some(0.4));
    assert_eq!(states(&episodes), [State::Planned]);
    follow(&mut episodes, day(29), vec![sized(shift(25, 29), 2.0)], |_, _| Some(2.0));
    assert_eq!(states(&episodes), [State::Planned, State::Open]);
}

#[test]
fn a_drop_after_a_rise_that_is_over_is_a_drop() {
    let fall = || anomaly(AnomalyKind::Drop, 20, 22);
    for (earlier, is_told) in [
        (kept(anomaly(AnomalyKind::Spike, 10, 10), State::Ended), true),
        (kept(anomaly(AnomalyKind::Spike, 17, 17), State::Open), true),
        (kept(shift(5, 12), State::Ended), true),
        (kept(shift(5, 12), State::FalseAlarm), true),
        (kept(shift(5, 19), State::Ended), false),
        (kept(shift(5, 19), State::Open), false),
        (kept(shift(5, 12), State::Explained), false),
        (kept(shift(0, 19), State::NewNormal), false),
        // It falls far below what it was before the rise, or takes little of it back.
        (kept(sized(shift(5, 19), 0.08), State::NewNormal), true),
        (kept(sized(shift(5, 19), 1.5), State::Acknowledged), true),
    ] {
        let told = format!("{earlier:?}");
        let mut episodes = vec![earlier];
        follow(&mut episodes, day(22), vec![fall()], |_, _| Some(0.4));
        assert_eq!(episodes.len() == 2, is_told, "{told}");
        let seen_again = Anomaly { start: day(21), end: day(23), ..fall() };
        follow(&mut episodes, day(23), vec![seen_again], |_, _| Some(0.4));
        assert_eq!(episodes.len() == 2, is_told, "{told}");
    }
}

#[test]
fn a_rise_that_goes_beyond_what_a_drop_took_is_told() {
    for (share, states_after) in [(0.43, vec![State::Ended]), (2.0, vec![State::Ended, State::Open])] {
        let mut episodes = vec![kept(anomaly(AnomalyKind::Drop, 5, 19), State::Open)];
        let rise = |end| sized(shift(20, end), share);
        follow(&mut episodes, day(22), vec![rise(22)], |_, _| Some(0.0));
        follow(&mut episodes, day(23), vec![rise(23)], |_, _| Some(0.0));
        assert_eq!(states(&episodes), states_after, "{share}");
    }
}

#[test]
fn an_idle_environment_stays_open_until_it_is_used() {
    let idle = |end| anomaly(AnomalyKind::Idle, 1, end);
    let mut episodes = Vec::new();
    follow(&mut episodes, day(8), vec![idle(8)], |_, _| None);
    follow(&mut episodes, day(60), vec![idle(60)], |_, _| None);
    assert_eq!(states(&episodes), [State::Open]);
    // Too long ago for what is looked at.
    episodes[0].is_still_idle = true;
    follow(&mut episodes, day(61), Vec::new(), |_, _| None);
    assert_eq!((states(&episodes), episodes[0].anomaly.end), (vec![State::Open], day(61)));
    episodes[0].is_still_idle = false;
    follow(&mut episodes, day(62), Vec::new(), |_, _| None);
    assert_eq!((states(&episodes), episodes[0].anomaly.end), (vec![State::Ended], day(61)));
}
