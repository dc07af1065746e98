//! What is called an anomaly, and what is not.

#![expect(clippy::float_arithmetic, reason = "made-up costs")]

use super::*;
use crate::analyze::impact::{Note, NoteKind};

const DAYS: i32 = 98;

fn day(index: i32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 5).unwrap() + chrono::Duration::days(i64::from(index))
}

/// Days with weekdays and a little noise, each times what `factor` says.
fn history(factor: impl Fn(i32) -> f64) -> History {
    let mut random = 99_u64;
    let cost = (0..DAYS)
        .map(|index| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = (random >> 33) as f64 / f64::from(1_u32 << 31) - 0.5;
            let weekday = if index % 7 >= 5 { 0.8 } else { 1.0 };
            Some(100.0 * weekday * factor(index) * (1.0 + 0.04 * noise))
        })
        .collect();
    History {
        first_day: day(0),
        cost,
        complete_to: day(DAYS - 1),
        traffic: None,
        siblings: None,
        replicas: None,
        releases: Vec::new(),
        price_events: Vec::new(),
        notes: Vec::new(),
    }
}

fn kinds(history: &History) -> Vec<(AnomalyKind, NaiveDate)> {
    let found = detect(history, &Model::default(), &Sensitivity::default());
    found.iter().map(|one| (one.kind, one.start)).collect()
}

#[test]
fn a_day_far_out_is_a_spike_with_its_amount() {
    let spike = history(|index| if index == DAYS - 1 { 2.0 } else { 1.0 });
    let found = detect(&spike, &Model::default(), &Sensitivity::default());
    assert_eq!(kinds(&spike), [(AnomalyKind::Spike, day(DAYS - 1))]);
    assert!((found[0].amount_per_day - 80.0).abs() < 20.0, "{found:?}");
    let costly = Sensitivity { amount_per_day: 500.0, ..Sensitivity::default() };
    assert_eq!(detect(&spike, &Model::default(), &costly), []);
}

#[test]
fn a_shift_without_a_release_is_found_and_one_with_is_not() {
    let mut shifted = history(|index| if index >= DAYS - 9 { 1.5 } else { 1.0 });
    let found = kinds(&shifted);
    assert!(
        matches!(found[..], [(AnomalyKind::WithoutRelease, start)] if (start - day(DAYS - 9)).num_days().abs() <= 1)
    );
    shifted.releases.push(ReleaseDay {
        day: day(DAYS - 9),
        deployment_ids: vec![1],
        share_before: Some(0.0),
        rollout_from: None,
    });
    assert_eq!(kinds(&shifted), []);
}

/// A canary moves cost from its first day on, also before the day on which it goes live.
#[test]
fn a_rollout_explains_its_days() {
    let canary = |began: i32, live: i32| ReleaseDay {
        day: day(live),
        deployment_ids: vec![1],
        share_before: None,
        rollout_from: Some(day(began)),
    };
    let mut known = history(|_| 1.0);
    known.releases.push(canary(5, 10));
    let days = |holds: &dyn Fn(NaiveDate) -> bool| (0..20).filter(|index| holds(day(*index))).collect::<Vec<i32>>();
    assert_eq!(days(&|day| beside_a_release(&known, day)), (5..=13).collect::<Vec<_>>());
    assert_eq!(days(&|day| explained_on(&known, day, 50.0)), (5..=11).collect::<Vec<_>>());
    let mut spike = history(|index| if index == DAYS - 1 { 2.0 } else { 1.0 });
    spike.releases.push(canary(DAYS - 2, DAYS + 2));
    assert_eq!(kinds(&spike), []);
}

/// What rules and tags moved is no anomaly, from its first day on; what rises by more than they moved is one.
#[test]
fn what_a_rule_or_a_tag_moved_is_no_anomaly() {
    let usual = history(|_| 1.0);
    let moved = |from: i32, kind: NoteKind, amount: f64, told: f64| {
        let mut moved = usual.clone();
        moved.cost[from as usize..].iter_mut().flatten().for_each(|cost| *cost += amount);
        moved.notes.push(Note { day: day(from), last_day: None, kind, amount_per_day: Some(told) });
        kinds(&moved)
    };
    for kind in [NoteKind::AllocationRule, NoteKind::Retagging] {
        for from in [DAYS - 9, DAYS - 2, DAYS - 1] {
            assert_eq!(moved(from, kind, 60.0, 60.0), [], "{kind:?} {from}");
            assert_eq!(moved(from, kind, -40.0, -40.0), [], "{kind:?} {from}");
        }
        assert_eq!(moved(DAYS - 1, kind, 90.0, 5.0), [(AnomalyKind::Spike, day(DAYS - 1))], "{kind:?}");
        assert!(matches!(moved(DAYS - 9, kind, 60.0, 5.0)[..], [(AnomalyKind::WithoutRelease, _)]), "{kind:?}");
    }
}

#[test]
fn less_cost_is_worth_knowing_and_quiet_days_are_nothing() {
    let dropped = history(|index| if index >= DAYS - 9 { 0.6 } else { 1.0 });
    assert!(kinds(&dropped).iter().all(|(kind, _)| *kind == AnomalyKind::Drop) && !kinds(&dropped).is_empty());
    assert_eq!(kinds(&history(|_| 1.0)), []);
}

#[test]
fn an_environment_that_nobody_uses_is_idle_after_a_week() {
    let mut unused = history(|_| 1.0);
    let traffic =
        |rest: i32| Some((0..DAYS).map(|index| Some(if index >= DAYS - rest { 0.0 } else { 500.0 })).collect());
    unused.traffic = traffic(6);
    assert_eq!(idle(&unused, &Idle::default()), None);
    unused.traffic = traffic(7);
    let (found, rest) = idle(&unused, &Idle::default()).unwrap();
    assert_eq!((found.kind, found.start, found.end), (AnomalyKind::Idle, day(DAYS - 7), day(DAYS - 1)));
    assert_eq!(rest.no_use, 5.0);
    assert!((found.amount_per_day / found.share - rest.usual_cost).abs() < 1e-9);
    unused.cost[DAYS as usize - 7..].iter_mut().for_each(|cost| *cost = Some(1.0));
    assert_eq!(idle(&unused, &Idle::default()), None);
}

/// A load test, or a count that came in wrong, makes no other day one without use.
#[test]
fn one_day_of_much_traffic_does_not_say_what_is_usual() {
    let mut steady = history(|_| 1.0);
    let traffic = |much_on: &[i32], rest: i32| -> Vec<Option<f64>> {
        let units = |index: i32| match index {
            _ if index >= DAYS - rest => f64::from(index % 2),
            _ if much_on.contains(&index) => 20_000.0,
            _ => 100.0,
        };
        (0..DAYS).map(|index| Some(units(index))).collect()
    };
    for much_on in [&[DAYS - 60][..], &[0], &[8], &[DAYS - 10], &[DAYS - 60, DAYS - 59, DAYS - 58]] {
        steady.traffic = Some(traffic(much_on, 0));
        assert_eq!(idle(&steady, &Idle::default()), None, "{much_on:?}");
        // What is not used any more is found all the same, and from its first day on.
        steady.traffic = Some(traffic(much_on, 9));
        let (found, rest) = idle(&steady, &Idle::default()).unwrap();
        assert_eq!((found.start, rest.no_use), (day(DAYS - 9), 1.0), "{much_on:?}");
    }
    // Somebody looks whether it is there now and then, for longer than what is usual is told by.
    steady.traffic = Some(traffic(&[], 50));
    let (found, rest) = idle(&steady, &Idle::default()).unwrap();
    assert_eq!((found.start, rest.no_use), (day(DAYS - 50), 1.0));
}

#[test]
fn an_environment_that_was_idle_before_the_look_back_still_is_until_it_is_used_or_costs_little() {
    let rest = Rest { no_use: 5.0, usual_cost: 100.0 };
    let since = day(0) - chrono::Days::new(20);
    let holds = |last_units: Option<f64>, cost: f64, since: NaiveDate| {
        let mut unused = history(|_| 1.0);
        unused.cost.iter_mut().for_each(|day| *day = Some(cost));
        // Somebody looks whether it is there now and then.
        unused.traffic = Some((0..DAYS).map(|index| Some(f64::from(index % 3))).collect());
        unused.traffic.as_mut().unwrap()[DAYS as usize - 1] = last_units;
        (idle(&unused, &Idle::default()).is_some(), still_idle(&unused, since, &rest, &Idle::default()))
    };
    assert_eq!(holds(Some(4.0), 90.0, since), (false, true));
    assert_eq!(holds(Some(4.0), 90.0, day(3)), (false, true), "three days say nothing of what is usual");
    assert_eq!(holds(Some(6.0), 90.0, since), (false, false), "used");
    assert_eq!(holds(None, 90.0, since), (false, true), "a day that is not known is no use");
    assert_eq!(holds(Some(4.0), 40.0, since), (false, false), "it costs little");
    assert_eq!(holds(Some(4.0), 90.0, day(DAYS - 30)), (false, true), "against what was usual when it was found");
    assert_eq!(holds(Some(4.0), 90.0, day(DAYS - 6)), (false, false), "not for as long as the policy asks");
    let mut unknown = history(|_| 1.0);
    unknown.cost.iter_mut().for_each(|day| *day = Some(90.0));
    unknown.traffic = Some(vec![None; DAYS as usize]);
    assert!(!still_idle(&unknown, since, &rest, &Idle::default()), "not known for so long is not idle");
}

#[test]
fn one_cause_is_one_anomaly_and_false_alarms_teach() {
    let shifted = history(|index| if index >= DAYS - 9 { 1.5 } else { 1.0 });
    let first = detect(&shifted, &Model::default(), &Sensitivity::default()).remove(0);
    let later =
        Anomaly { start: first.start + chrono::Days::new(12), end: first.end + chrono::Days::new(12), ..first.clone() };
    assert!(same_cause(&first, &later, 14));
    let far =
        Anomaly { start: first.end + chrono::Days::new(15), end: first.end + chrono::Days::new(16), ..first.clone() };
    assert!(!same_cause(&first, &far, 14));
    let taught = Sensitivity::default().taught(12, 0);
    assert!(detect(&shifted, &Model::default(), &taught).is_empty());
    assert!(Sensitivity::default().taught(0, 12).shift_share < Sensitivity::default().shift_share);
}

#[test]
fn cost_that_leaves_its_traffic_little_by_little_is_found_and_growth_with_traffic_is_not() {
    // A per cent and a half a day over five weeks: no day of it stands out.
    let grown = |index: i32| 1.0 + 0.015 * f64::from((index - (DAYS - 35)).max(0));
    let requests = |grows: bool| {
        let of_day = |index: i32| {
            let weekday = if index % 7 >= 5 { 0.8 } else { 1.0 };
            Some(1000.0 * weekday * if grows { grown(index) } else { 1.0 })
        };
        Some((0..DAYS).map(of_day).collect())
    };
    let mut leaking = history(grown);
    leaking.traffic = requests(false);
    let found = kinds(&leaking);
    let [(AnomalyKind::FasterThanTraffic, start)] = found[..] else { panic!("{found:?}") };
    assert!((start - day(DAYS - 35)).num_days().abs() <= 14, "{found:?}");
    let mut busier = history(grown);
    busier.traffic = requests(true);
    assert_eq!(kinds(&busier), []);
}

#[test]
fn what_comes_every_month_is_told_once_and_again_when_it_doubles() {
    let last = DAYS - 1;
    for (gap, before, now, told) in [
        (30, 1.0, 1.6, true),
        (30, 1.6, 1.6, false),
        (28, 1.5, 1.6, false),
        (31, 1.6, 1.5, false),
        (30, 1.5, 3.2, true),
        (21, 1.6, 1.6, true),
    ] {
        let monthly = history(|index| match index {
            index if index == last => now,
            index if index == last - gap => before,
            _ => 1.0,
        });
        let found = kinds(&monthly);
        let expected = if told { vec![(AnomalyKind::Spike, day(last))] } else { Vec::new() };
        assert_eq!(found, expected, "{before} and {now}, {gap} days apart");
    }
}

/// As of the last complete day: shifts with their first and last days.
fn told(shifted: &[(i32, f64)]) -> Vec<(AnomalyKind, NaiveDate, NaiveDate)> {
    let shifts = shifted.iter().map(|(index, size)| (day(*index), *size)).collect();
    let surprises = Surprises { shifts, usual_per_day: 100.0, ..Surprises::default() };
    let found = super::shifts(&history(|_| 1.0), &surprises, &Sensitivity::default());
    found.iter().map(|one| (one.kind, one.start, one.end)).collect()
}

#[test]
fn a_level_of_some_days_is_told_with_the_way_back_for_as_long_as_that_is_news() {
    let last = DAYS - 1;
    let way_back = (AnomalyKind::Drop, day(last - 19), day(last));
    // The rise is 24 days old, its end 20.
    let rise = (AnomalyKind::WithoutRelease, day(last - 24), day(last - 20));
    assert_eq!(told(&[(last - 24, 0.4), (last - 19, -0.43)]), [rise, way_back]);
    assert_eq!(told(&[(last - 24, 0.8), (last - 19, -0.43)]), [way_back], "half of it is left");
    assert_eq!(told(&[(last - 24, -0.4), (last - 19, -0.43)]), [way_back], "that goes on");
    assert_eq!(told(&[(last - 50, 0.4), (last - 19, -0.43)]), [way_back], "it lasted longer than it is news");
    assert_eq!(told(&[(last - 28, 0.4), (last - 23, -0.43)]), [], "that is over for long");
    let both = told(&[(last - 12, 0.4), (last - 7, -0.43)]);
    assert_eq!(both[0], (AnomalyKind::WithoutRelease, day(last - 12), day(last)), "both are news by themselves");
}
