//! Releases that took days, and those beside them.

use super::super::window::Window;
use super::*;

/// A canary changes the cost from its first day on: as days before, its days would make the effect smaller.
#[test]
fn the_days_of_a_rollout_are_on_neither_side() {
    let (first, last) = (DAY as usize - 3, DAY as usize);
    let mut canary = history(1.4, 14);
    canary.cost[first..=last].iter_mut().flatten().for_each(|cost| *cost *= 1.4);
    canary.releases[0].rollout_from = Some(day(DAY - 3));
    let impact = ask(&canary);
    let effect = impact.effect.unwrap();
    let truth = 200.0 * (5.0 + 2.0 * 0.8) / 7.0 * 0.4;
    assert_eq!((impact.finding, impact.phase), (Finding::Increase, Phase::Settled));
    assert_eq!((impact.days_before, impact.days_after), (81, 14));
    assert!((effect.per_day - truth).abs() < 0.15 * truth, "{} for {truth}", effect.per_day);
    assert!(impact.expected.iter().all(|line| !(day(DAY - 3)..=day(DAY)).contains(&line.day)));
    // So are those of the first of two that share an answer.
    let early = ReleaseDay { rollout_from: Some(day(DAY - 3)), ..released(DAY - 1, vec![6], None) };
    canary.releases = vec![early, released(DAY, vec![7, 8], None)];
    let both = estimate_joint(&canary, &[day(DAY - 1), day(DAY)], &Model::default(), &Calibration::default());
    assert_eq!((both.finding, both.days_before, both.days_after), (Finding::Increase, 81, 14));
}

/// What its days cost is looked at by no part of the answer: not by the estimate, the chart or the flags.
#[test]
fn whatever_the_days_of_a_rollout_cost_the_answer_is_the_same() {
    let days = DAY as usize - 3..=DAY as usize;
    let with = |own: Option<f64>, days_after: i32| {
        let mut canary = history(1.4, days_after);
        canary.releases[0].rollout_from = Some(day(DAY - 3));
        canary.replicas = Some((0..canary.cost.len()).map(|index| Some(if index > 84 { 7.0 } else { 5.0 })).collect());
        canary.cost[days.clone()].fill(own);
        ask(&canary)
    };
    // Settled, provisional, and while it is measured.
    for days_after in [14, 6, 2] {
        let without = with(None, days_after);
        assert_eq!(with(Some(900.0), days_after), without, "{days_after}");
        assert_eq!(without.days_before, 81);
    }
    assert!(with(Some(900.0), 14).flags.iter().any(|flag| flag.kind == FlagKind::Autoscaling));
}

/// A canary, and a fix of the same service meanwhile: the days tell of both together, and of neither alone.
#[test]
fn a_release_inside_a_rollout_shares_its_answer() {
    let (first, last) = (DAY as usize - 5, DAY as usize);
    let mut inside = history(1.4, 14);
    inside.cost[first..=last].iter_mut().flatten().for_each(|cost| *cost *= 1.4);
    inside.releases[0].rollout_from = Some(day(DAY - 5));
    inside.releases.push(released(DAY - 2, vec![6], Some(0.3)));
    let groups = groups(&inside.releases);
    assert_eq!(groups, [[day(DAY - 2), day(DAY)]]);
    let both = estimate_joint(&inside, &groups[0], &Model::default(), &Calibration::default());
    assert_eq!((both.finding, both.days_before, both.days_after), (Finding::Increase, 79, 14));
    assert_eq!(both.deployment_ids, [6, 7, 8]);
    assert!(both.flags.iter().all(|flag| flag.kind != FlagKind::Neighbour), "{:?}", both.flags);
    for alone in [DAY - 2, DAY] {
        let alone = estimate(&inside, day(alone), &Model::default(), &Calibration::default());
        assert_ne!(alone.finding, Finding::Increase, "{:?}", alone.day);
    }
}

/// Of what overlaps for longer than releases share an answer nothing is claimed.
#[test]
fn the_nearest_release_is_counted_from_rollout_to_rollout() {
    let nearest =
        |history: &History, at: i32| Window::of(Seen::whole(history), day(at), &Model::default()).unwrap().nearest;
    let beside = |began: i32, other: i32| {
        let mut both = history(1.4, 14);
        both.releases[0].rollout_from = Some(day(began));
        both.releases.push(released(other, vec![6], None));
        both
    };
    let long = beside(DAY - 12, DAY - 10);
    assert_eq!(groups(&long.releases).len(), 2);
    assert_eq!((nearest(&long, DAY), nearest(&long, DAY - 10)), (0, 0));
    assert_ne!(ask(&long).finding, Finding::Increase);
    let before = beside(DAY - 12, DAY - 15);
    assert_eq!((nearest(&before, DAY), nearest(&before, DAY - 15)), (3, 3));
    // It goes live after the last day that is asked about, and moves those days all the same.
    let later = beside(DAY - 19, DAY - 20);
    assert_eq!((nearest(&later, DAY), nearest(&later, DAY - 20)), (1, 1));
    // A rollout ends on the day on which it goes live.
    let after = beside(DAY - 3, DAY + 4);
    assert_eq!((nearest(&after, DAY), nearest(&after, DAY + 4)), (4, 4));
    assert_eq!(nearest(&history(1.4, 14), DAY), 99);
}
