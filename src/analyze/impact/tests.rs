//! What holds of every answer, whatever the history.

#![expect(clippy::float_arithmetic, reason = "made-up costs")]

use super::*;
use proptest::prelude::*;

mod rollouts;

const DAY: i32 = 84;

fn day(index: i32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 5).unwrap() + chrono::Duration::days(i64::from(index))
}

/// A service with weekdays and some noise, that costs `factor` as much from the release on.
fn history(factor: f64, days_after: i32) -> History {
    let mut random = 12_345_u64;
    let mut noise = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as f64 / f64::from(1_u32 << 31) - 0.5
    };
    let cost = (0..=DAY + days_after)
        .map(|index| {
            let weekday = if index % 7 >= 5 { 0.8 } else { 1.0 };
            let effect = if index > DAY { factor } else { 1.0 };
            Some(200.0 * weekday * effect * (1.0 + 0.04 * noise()))
        })
        .collect();
    History {
        first_day: day(0),
        cost,
        complete_to: day(DAY + days_after),
        traffic: None,
        siblings: None,
        replicas: None,
        releases: vec![released(DAY, vec![7, 8], None)],
        price_events: Vec::new(),
        notes: Vec::new(),
    }
}

fn released(index: i32, deployment_ids: Vec<i64>, share_before: Option<f64>) -> ReleaseDay {
    ReleaseDay { day: day(index), deployment_ids, share_before, rollout_from: None }
}

fn ask(history: &History) -> Impact {
    estimate(history, day(DAY), &Model::default(), &Calibration::default())
}

#[test]
fn a_step_is_found_with_its_size() {
    for (factor, finding) in [(1.3, Finding::Increase), (0.7, Finding::Decrease)] {
        let impact = ask(&history(factor, 14));
        let effect = impact.effect.unwrap();
        let truth = 200.0 * (5.0 + 2.0 * 0.8) / 7.0 * (factor - 1.0);
        assert_eq!((impact.finding, impact.reason, impact.phase), (finding, Reason::ClearEffect, Phase::Settled));
        assert!((effect.per_day - truth).abs() < 0.15 * truth.abs(), "{} for {truth}", effect.per_day);
        assert!(effect.low <= truth && truth <= effect.high, "{truth} in {} to {}", effect.low, effect.high);
        assert_eq!(impact.deployment_ids, [7, 8]);
        // What lies between both lines of the chart is the estimate.
        let after: Vec<f64> = impact
            .expected
            .iter()
            .filter(|line| line.day > day(DAY))
            .map(|line| line.actual.unwrap() - line.expected)
            .collect();
        assert_eq!(after.len(), 14);
        assert!((after.iter().sum::<f64>() / 14.0 - effect.per_day).abs() < 1e-9 * truth.abs());
        // So is the mean of its days, and it stays.
        let course = impact.course.unwrap();
        assert!((course.after.iter().sum::<f64>() / 14.0 - effect.per_day).abs() < 1e-6 * truth.abs(), "{course:?}");
        assert!((0.8..1.3).contains(&(course.lasting_per_day / effect.per_day)), "{course:?}");
    }
}

#[test]
fn nothing_is_said_to_have_changed_where_nothing_did() {
    let impact = ask(&history(1.0, 14));
    assert_eq!((impact.finding, impact.reason), (Finding::NoMaterialChange, Reason::WithinATenth));
    let smallest = impact.smallest_visible_per_day.unwrap();
    assert!(smallest > 0.5 && smallest < 40.0, "{smallest}");
}

/// What comes in equal parts over two weeks is less on the first of them than what lasts.
#[test]
fn a_ramp_lasts_at_its_height() {
    let mut ramp = history(1.0, 14);
    for (since, cost) in ramp.cost[DAY as usize..].iter_mut().flatten().enumerate() {
        *cost *= (0.4 * since as f64 / 14.0).exp();
    }
    let impact = ask(&ramp);
    let (effect, course) = (impact.effect.unwrap(), impact.course.unwrap());
    assert!((course.after.iter().sum::<f64>() / 14.0 / effect.per_day - 1.0).abs() < 1e-6, "{course:?}");
    assert!(course.lasting_per_day > 1.1 * course.after[0], "{course:?}");
}

/// The 14 days and what is there at their end, of each course by itself: what is over costs nothing after them.
#[test]
fn thirty_days_are_those_asked_and_what_lasts() {
    let of = |history: &History| {
        let impact = ask(history);
        let (sum, course) = (impact.over_30_days.unwrap(), impact.course.unwrap());
        let added_up = course.after.iter().sum::<f64>() + 16.0 * course.lasting_per_day;
        assert!((sum.amount - added_up).abs() < 1e-6 * sum.amount.abs(), "{sum:?} {course:?}");
        assert!(sum.low <= sum.amount && sum.amount <= sum.high, "{sum:?}");
        sum.amount / impact.effect.unwrap().per_day
    };
    assert!((of(&history(1.3, 14)) - 30.0).abs() < 1.0);
    let mut pulse = history(1.0, 14);
    let first = DAY as usize;
    pulse.cost[first..first + 3].iter_mut().flatten().for_each(|cost| *cost *= 2.0);
    assert!(of(&pulse) < 22.0);
}

/// Some days after a release that cost more or less and are over: however sure it is that nothing lasts, what could have been
/// seen of a lasting change stays of the size of the cost.
#[test]
fn a_pulse_leaves_what_could_have_been_seen() {
    for factor in [0.9, 1.05, 1.5, 3.0] {
        for days in [1, 2, 3, 13] {
            let mut pulse = history(1.0, 14);
            let first = DAY as usize + 1;
            pulse.cost[first..first + days].iter_mut().flatten().for_each(|cost| *cost *= factor);
            let impact = ask(&pulse);
            let before = impact.effect.unwrap().before_per_day;
            let smallest = impact.smallest_visible_per_day;
            let is_usual = smallest.is_some_and(|smallest| smallest > 0.5 && smallest < 3.0 * before);
            assert!(is_usual, "{factor} on {days} days: {smallest:?} of {before}");
        }
    }
}

#[test]
fn the_phase_is_the_count_of_complete_days() {
    let phases = [0, 2, 3, 13, 14].map(|days| {
        let impact = ask(&history(1.3, days));
        assert_eq!(impact.days_after, days as u32);
        (impact.phase, impact.effect.is_some(), impact.reason == Reason::TooFewDaysAfter)
    });
    let (measuring, provisional) = ((Phase::Measuring, false, true), (Phase::Provisional, true, false));
    assert_eq!(phases, [measuring, measuring, provisional, provisional, (Phase::Settled, true, false)]);
}

#[test]
fn days_that_are_not_complete_are_not_looked_at() {
    let mut cut = history(1.3, 9);
    let mut late = history(1.3, 14);
    late.complete_to = day(DAY + 9);
    for cost in &mut late.cost[DAY as usize + 10..] {
        *cost = Some(1.0);
    }
    cut.complete_to = day(DAY + 9);
    let (cut, late) = (ask(&cut), ask(&late));
    assert_eq!(cut.effect, late.effect);
    assert!(late.flags.iter().any(|flag| flag.kind == FlagKind::IncompleteDays));
}

#[test]
fn what_cannot_be_asked_says_why() {
    let mut short = history(1.3, 14);
    for cost in &mut short.cost[..60] {
        *cost = None;
    }
    assert_eq!(ask(&short).reason, Reason::ShortHistory);
    let mut free = history(1.3, 14);
    free.cost.iter_mut().for_each(|cost| *cost = Some(0.0));
    assert_eq!(ask(&free).reason, Reason::NoCostBefore);
}

#[test]
fn releases_a_day_apart_get_one_answer_for_both() {
    for gap in 1..=2 {
        let mut pair = history(1.4, 14);
        pair.releases.push(released(DAY - gap, vec![6], Some(0.3)));
        if gap == 2 {
            pair.releases.push(released(DAY - 1, vec![5], None));
        }
        let groups = groups(&pair.releases);
        assert_eq!(groups.len(), 1, "{groups:?}");
        let both = estimate_joint(&pair, &groups[0], &Model::default(), &Calibration::default());
        let effect = both.effect.unwrap();
        let truth = 200.0 * (5.0 + 2.0 * 0.8) / 7.0 * 0.4;
        assert_eq!((both.finding, both.day, both.days_after), (Finding::Increase, day(DAY), 14));
        assert_eq!(both.joint_days, groups[0]);
        assert!(both.deployment_ids.starts_with(if gap == 2 { &[6, 5] } else { &[6] }), "{:?}", both.deployment_ids);
        assert!(both.deployment_ids.ends_with(&[7, 8]));
        assert!((effect.per_day - truth).abs() < 0.15 * truth, "{} for {truth}", effect.per_day);
        assert!(effect.low <= truth && truth <= effect.high, "{truth} in {} to {}", effect.low, effect.high);
        assert!(both.flags.iter().all(|flag| flag.kind != FlagKind::Neighbour), "{:?}", both.flags);
        // Alone neither is claimed: which of them it was, the days do not say.
        let alone = ask(&pair);
        assert_ne!(alone.finding, Finding::Increase);
        assert!(alone.flags.iter().any(|flag| flag.kind == FlagKind::Neighbour && flag.deployment_ids == [6]));
    }
}

#[test]
fn one_day_is_asked_as_it_always_was() {
    let one = history(1.3, 14);
    assert_eq!(estimate_joint(&one, &[day(DAY)], &Model::default(), &Calibration::default()), ask(&one));
}

/// A campaign of four days after the release has an amount of its own, and the release is not blamed for it.
#[test]
fn a_launch_has_an_amount_of_its_own() {
    let mut launched = history(1.0, 14);
    let on = |first: i32, last: i32, factor: f64, history: &mut History| {
        for index in first..=last {
            let cost = &mut history.cost[index as usize];
            *cost = cost.map(|cost| cost * factor);
        }
        history.notes.push(Note {
            day: day(first),
            last_day: Some(day(last)),
            kind: NoteKind::Launch,
            amount_per_day: None,
        });
    };
    on(DAY + 3, DAY + 6, 1.4, &mut launched);
    let impact = ask(&launched);
    let launch = impact.flags.iter().find(|flag| flag.kind == FlagKind::Launch).unwrap();
    let truth =
        launched.cost[DAY as usize + 3..=DAY as usize + 6].iter().flatten().sum::<f64>() * (1.0 - 1.0 / 1.4) / 14.0;
    let amount = launch.amount_per_day.unwrap();
    assert_eq!(launch.day, Some(day(DAY + 3)));
    assert!((amount - truth).abs() < 0.2 * truth, "{amount} for {truth}");
    assert_eq!(impact.finding, Finding::NoMaterialChange);

    // One that begins after the last complete day is known, and has no amount yet.
    let mut later = history(1.0, 8);
    later.notes.push(Note { day: day(DAY + 5), last_day: None, kind: NoteKind::Launch, amount_per_day: None });
    later.complete_to = day(DAY + 4);
    let flags = ask(&later).flags;
    let launch = flags.iter().find(|flag| flag.kind == FlagKind::Launch).unwrap();
    assert_eq!((launch.amount_per_day, launch.day), (None, Some(day(DAY + 5))));
}

fn amount_of(impact: &Impact, kind: FlagKind) -> (f64, Option<NaiveDate>) {
    let all: Vec<&Flag> = impact.flags.iter().filter(|flag| flag.kind == kind).collect();
    assert_eq!(all.len(), 1, "{kind:?} in {:?}", impact.flags);
    (all[0].amount_per_day.unwrap(), all[0].day)
}

fn mean_after(history: &History) -> f64 {
    history.cost[DAY as usize + 1..].iter().flatten().sum::<f64>() / 14.0
}

fn scaled(history: &mut History, from: i32, factor: f64) {
    history.cost[from as usize..].iter_mut().flatten().for_each(|cost| *cost *= factor);
}

/// More requests from the release on: their part of the cost is theirs.
#[test]
fn traffic_that_moved_has_its_amount() {
    let mut busier = history(1.0, 14);
    let traffic = |index: i32| if index > DAY { 1500.0 } else { 1000.0 };
    busier.traffic = Some((0..=DAY + 14).map(|index| Some(traffic(index))).collect());
    scaled(&mut busier, DAY + 1, 1.5f64.sqrt());
    let (amount, _) = amount_of(&ask(&busier), FlagKind::Traffic);
    let truth = mean_after(&busier) * (1.0 - 1.0 / 1.5f64.sqrt());
    assert!(amount > 0.4 * truth && amount < 1.5 * truth, "{amount} for {truth}");
    let mut steady = history(1.0, 14);
    steady.traffic = Some(vec![Some(1000.0); steady.cost.len()]);
    assert!(ask(&steady).flags.iter().all(|flag| flag.kind != FlagKind::Traffic));
}

/// Half as many replicas again, each at the same cost.
/// Three days from Tuesday on are busier than a fortnight with its weekends, and no busier than its Tuesdays.
#[test]
fn weekdays_are_held_against_the_same_weekdays() {
    let requests = |factor: f64| {
        let usual = |at: i32| if at % 7 >= 5 { 0.7e6 } else { 1e6 };
        let of = |at: i32| if at > DAY { usual(at) * factor } else { usual(at) };
        let traffic = (0..=DAY + 3).map(|at| Some(of(at))).collect();
        ask(&History { traffic: Some(traffic), ..history(factor.sqrt(), 3) })
    };
    assert!(requests(1.0).flags.iter().all(|flag| flag.kind != FlagKind::Traffic), "{:?}", requests(1.0).flags);
    assert!(amount_of(&requests(1.3), FlagKind::Traffic).0 > 5.0);
    assert!(amount_of(&requests(0.75), FlagKind::Traffic).0 < -5.0);
}

#[test]
fn replicas_that_moved_with_cost_have_their_amount() {
    let mut scaled_out = history(1.0, 14);
    scaled_out.replicas = Some((0..=DAY + 14).map(|index| Some(if index > DAY { 6.0 } else { 4.0 })).collect());
    let before = mean_after(&scaled_out);
    scaled(&mut scaled_out, DAY + 1, 1.5);
    let (amount, _) = amount_of(&ask(&scaled_out), FlagKind::Autoscaling);
    assert!((amount - 0.5 * before).abs() < 0.05 * before, "{amount} for {}", 0.5 * before);
}

/// One-off credits and fees are one row, as a mean over the days asked; those before the release moved none of them.
#[test]
fn credits_are_one_amount_a_day() {
    let mut credited = history(1.0, 14);
    for (index, amount) in [(DAY - 5, -900.0), (DAY + 2, -700.0), (DAY + 9, 140.0)] {
        let (day, kind) = (day(index), NoteKind::CreditOrFee);
        credited.notes.push(Note { day, last_day: None, kind, amount_per_day: Some(amount) });
    }
    let (amount, on) = amount_of(&ask(&credited), FlagKind::CreditOrFee);
    assert!((amount + 40.0).abs() < 1e-9, "{amount}");
    assert_eq!(on, Some(day(DAY + 2)));
}

/// A known change of price has the amount of its size.
#[test]
fn a_price_that_changed_has_its_amount() {
    let mut dearer = history(1.0, 14);
    scaled(&mut dearer, DAY + 3, 1.2);
    let size = Some(KnownSize { log_ratio: 1.2f64.ln(), log_ratio_sd: 0.01 });
    dearer.price_events.push(PriceEvent { day: day(DAY + 3), kind: PriceEventKind::PriceChange, size });
    let impact = ask(&dearer);
    let (amount, on) = amount_of(&impact, FlagKind::PriceOrCommitment);
    let truth = dearer.cost[DAY as usize + 3..].iter().flatten().sum::<f64>() * (1.0 - 1.0 / 1.2) / 14.0;
    assert!((amount - truth).abs() < 0.2 * truth, "{amount} for {truth}");
    assert_eq!(on, Some(day(DAY + 3)));
    assert_ne!(impact.finding, Finding::Increase, "the price is not the release's doing");
}

/// A shift ten days before the release that no release explains.
#[test]
fn a_shift_before_has_its_amount() {
    let mut shifted = history(1.0, 14);
    scaled(&mut shifted, DAY - 10, 1.5);
    let (amount, on) = amount_of(&ask(&shifted), FlagKind::ShiftBefore);
    let truth = mean_after(&shifted) * (1.0 - 1.0 / 1.5);
    assert!((amount - truth).abs() < 0.2 * truth, "{amount} for {truth}");
    assert_eq!(on, Some(day(DAY - 10)));
}

/// Everything else rose alike.
#[test]
fn siblings_that_moved_alike_have_their_amount() {
    let mut alike = history(1.0, 14);
    // Before the release too they moved together, so that it is known that they do.
    let wave = |index: i32| 0.15 * (f64::from(index) / 9.0).sin() + if index > DAY { 0.3 } else { 0.0 };
    let index: Vec<f64> = (0..=DAY + 14).map(wave).collect();
    for (cost, moved) in alike.cost.iter_mut().flatten().zip(&index) {
        *cost *= moved.exp();
    }
    alike.siblings = Some(Siblings { cost: index, traffic: Vec::new() });
    let (amount, _) = amount_of(&ask(&alike), FlagKind::SiblingsMoved);
    // A release at the same time could have done it as well: the rise is divided between them.
    assert!(amount > 0.05 * mean_after(&alike), "{amount} of {}", mean_after(&alike));
}

/// Moves so much cost from a day on, and says so.
fn moved(history: &mut History, from: i32, kind: NoteKind, amount: f64) {
    history.cost[from as usize..].iter_mut().flatten().for_each(|cost| *cost += amount);
    history.notes.push(Note { day: day(from), last_day: None, kind, amount_per_day: Some(amount) });
}

/// $200 a day, whatever the weekday, that the release changes by a factor.
fn flat(factor: f64) -> History {
    let mut flat = history(factor, 14);
    let weekends = flat.cost.iter_mut().enumerate().filter(|(index, _)| index % 7 >= 5);
    weekends.for_each(|(_, cost)| *cost = cost.map(|cost| cost / 0.8));
    flat
}

/// What a rule or a tag moves from the day after a release on is theirs and not the release's, either way; and what the
/// release did beside it is its own.
#[test]
fn what_a_rule_moved_is_not_put_to_the_release() {
    for (kind, flag, amount) in [
        (NoteKind::AllocationRule, FlagKind::AllocationRule, 60.0),
        (NoteKind::AllocationRule, FlagKind::AllocationRule, -60.0),
        (NoteKind::Retagging, FlagKind::Retagging, 60.0),
    ] {
        let mut ruled = flat(1.0);
        moved(&mut ruled, DAY + 1, kind, amount);
        let impact = ask(&ruled);
        assert_eq!(amount_of(&impact, flag), (amount, Some(day(DAY + 1))));
        assert_eq!(impact.finding, Finding::NoMaterialChange, "{amount}: {:?}", impact.effect);
        assert!(impact.effect.unwrap().per_day.abs() < 6.0, "{amount}: {:?}", impact.effect);
        // Without a word of it, it would be the release's.
        ruled.notes.clear();
        let blamed = if amount > 0.0 { Finding::Increase } else { Finding::Decrease };
        assert_eq!(ask(&ruled).finding, blamed, "{amount}");
    }
    // Three days later the days themselves tell one from the other.
    let mut both = flat(1.3);
    moved(&mut both, DAY + 3, NoteKind::AllocationRule, 60.0);
    let impact = ask(&both);
    let effect = impact.effect.unwrap();
    assert_eq!(impact.finding, Finding::Increase);
    assert!((effect.per_day - 60.0).abs() < 15.0, "{effect:?}");
    // From the same day on only the share that the rule moved tells them apart: what is left of the sum of both.
    let mut together = flat(1.3);
    moved(&mut together, DAY + 1, NoteKind::AllocationRule, 60.0);
    let impact = ask(&together);
    let effect = impact.effect.unwrap();
    let left = 200.0 * (320.0 / 200.0 / 1.3 - 1.0);
    assert_eq!(impact.finding, Finding::Increase);
    assert!(effect.low < left && left < effect.high && effect.high - effect.low > 30.0, "{left}: {effect:?}");
}

/// What a rule or a tag moved is a mean over the days asked: all of it where it came before, a half where half is left.
#[test]
fn rules_and_tags_count_from_their_day_on() {
    let mut both = flat(1.0);
    moved(&mut both, DAY - 4, NoteKind::AllocationRule, 12.0);
    moved(&mut both, DAY + 8, NoteKind::Retagging, -10.0);
    let impact = ask(&both);
    assert_ne!(impact.finding, Finding::Decrease);
    assert_eq!(amount_of(&impact, FlagKind::AllocationRule), (12.0, Some(day(DAY - 4))));
    assert_eq!(amount_of(&impact, FlagKind::Retagging), (-5.0, Some(day(DAY + 8))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any costs, of any currency, with days missing, idle or alike: figures are numbers, and in order.
    #[test]
    fn every_answer_is_made_of_numbers(
        scale in prop::sample::select(vec![1e-9, 0.01, 1.0, 1e6, 1e14]),
        costs in prop::collection::vec(prop_oneof![
            6 => (0.5..1.5_f64).prop_map(Some),
            2 => Just(Some(1.0)),
            1 => Just(Some(0.0)),
            1 => Just(None),
            1 => (-1.0..100.0_f64).prop_map(Some),
        ], 1..130),
        traffic in prop::option::of(prop::collection::vec(prop::option::of(0.0..1e9_f64), 130)),
        releases in prop::collection::vec(0..130_i32, 0..12),
        prices in prop::collection::vec((0..130_i32, -3.0..3.0_f64), 0..3),
        rules in prop::collection::vec((0..130_i32, -100.0..100.0_f64), 0..3),
        asked in 0..130_i32,
    ) {
        let last = costs.len() as i32 - 1;
        let history = History {
            first_day: day(0),
            cost: costs.iter().map(|cost| cost.map(|cost| cost * scale)).collect(),
            complete_to: day(last),
            siblings: Some(Siblings { cost: vec![0.1; costs.len()], traffic: Vec::new() }),
            traffic: traffic.map(|traffic| traffic[..costs.len()].to_vec()),
            replicas: None,
            releases: releases
                .iter()
                .map(|at| ReleaseDay {
                    rollout_from: (*at % 3 == 0).then(|| day(*at - 4)),
                    ..released(*at, vec![i64::from(*at)], Some(0.3))
                })
                .collect(),
            price_events: prices
                .iter()
                .map(|(at, log_ratio)| PriceEvent {
                    day: day(*at),
                    kind: PriceEventKind::PriceChange,
                    size: Some(KnownSize { log_ratio: *log_ratio, log_ratio_sd: 0.0 }),
                })
                .collect(),
            notes: rules
                .iter()
                .map(|(at, amount)| Note {
                    day: day(*at),
                    last_day: None,
                    kind: NoteKind::AllocationRule,
                    amount_per_day: Some(amount * scale),
                })
                .collect(),
        };
        let impact = estimate(&history, day(asked), &Model::default(), &Calibration::default());
        if let Some(effect) = impact.effect {
            let figures = [effect.per_day, effect.low, effect.high, effect.relative, effect.probability];
            prop_assert!(figures.iter().all(|figure| figure.is_finite()), "{effect:?}");
            prop_assert!(effect.low <= effect.per_day && effect.per_day <= effect.high, "{effect:?}");
            prop_assert!(effect.before_per_day > 0.0);
            let tenfold = 9.01 * effect.before_per_day;
            prop_assert!(impact.smallest_visible_per_day.is_none_or(|smallest| smallest > 0.0 && smallest < tenfold));
        }
        if let Some(course) = impact.course {
            prop_assert!(course.after.iter().all(|amount| amount.is_finite()) && course.lasting_per_day.is_finite());
        }
        for line in &impact.expected {
            prop_assert!(line.expected.is_finite() && line.low.is_finite() && line.high.is_finite(), "{line:?}");
        }
        prop_assert!(impact.flags.iter().all(|flag| flag.amount_per_day.is_none_or(f64::is_finite)), "{:?}", impact.flags);
        let found = crate::analyze::anomaly::detect(&history, &Model::default(), &Default::default());
        prop_assert!(found.iter().all(|one| one.amount_per_day.is_finite() && one.share.is_finite()), "{found:?}");
    }

    /// The same days in another currency have the same answer in that currency.
    #[test]
    fn a_currency_is_only_a_scale(scale in 1e-6..1e9_f64) {
        let plain = history(1.2, 14);
        let mut scaled = plain.clone();
        scaled.cost.iter_mut().flatten().for_each(|cost| *cost *= scale);
        let (plain, scaled) = (ask(&plain), ask(&scaled));
        let (one, other) = (plain.effect.unwrap(), scaled.effect.unwrap());
        prop_assert!((one.per_day * scale / other.per_day - 1.0).abs() < 1e-6, "{one:?} {other:?}");
        prop_assert_eq!(plain.finding, scaled.finding);
    }
}
