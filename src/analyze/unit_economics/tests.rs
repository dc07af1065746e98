use super::*;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn noise(random: &mut StdRng) -> f64 {
    // The sum of twelve is close enough to normal, with variance one.
    (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0
}

// Weekdays move usage; errors follow each other from day to day.
fn days(count: usize, fixed: f64, variable: f64, error: f64, seed: u64) -> Vec<KnownDay> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut left = 0.0;
    (0..count)
        .map(|day| {
            let usage = 1000.0 * (1.0 + 0.3 * f64::from(u8::from(day % 7 < 5))) * (1.0 + 0.05 * noise(&mut random));
            left = 0.4 * left + error * noise(&mut random);
            KnownDay { cost: fixed + variable * usage + left, usage }
        })
        .collect()
}

#[test]
fn both_parts_are_found_where_cost_follows_volume() {
    let mut held = (0, 0);
    for seed in 0..200 {
        let parts = split(&days(28, 40.0, 0.05, 1.5, seed)).unwrap();
        held.0 += usize::from(parts.fixed_per_day.low <= 40.0 && 40.0 <= parts.fixed_per_day.high);
        held.1 += usize::from(parts.variable_per_unit.low <= 0.05 && 0.05 <= parts.variable_per_unit.high);
        assert!((parts.variable_per_unit.value - 0.05).abs() < 0.02, "{parts:?}");
        assert!(parts.r_squared > 0.5, "{parts:?}");
    }
    // Intervals of 90 % hold the truth in about nine of ten.
    assert!((160..=196).contains(&held.0) && (160..=196).contains(&held.1), "{held:?}");
}

#[test]
fn what_the_days_cannot_tell_is_said() {
    assert_eq!(split(&days(13, 40.0, 0.05, 1.0, 1)), Err(CannotTell::TooFewDays));
    let steady: Vec<KnownDay> = (0..28).map(|day| KnownDay { cost: f64::from(day), usage: 1000.0 }).collect();
    assert_eq!(split(&steady), Err(CannotTell::SteadyVolume));
    assert_eq!(split(&days(28, 90.0, 0.0, 3.0, 1)), Err(CannotTell::DoesNotFollow));
    assert_eq!(split(&days(28, -30.0, 0.1, 0.1, 1)), Err(CannotTell::NoLine));
    let unused: Vec<KnownDay> = (0..28).map(|_| KnownDay { cost: 5.0, usage: 0.0 }).collect();
    assert_eq!(split(&unused), Err(CannotTell::SteadyVolume));
    let none = split(&days(28, -0.4, 0.05, 1.5, 3)).unwrap();
    assert!(none.fixed_per_day.value >= 0.0 && none.fixed_per_day.low >= 0.0, "{none:?}");
}

#[test]
fn the_share_that_follows_volume_is_told_where_none_follows_too() {
    let usage = days(28, 0.0, 1.0, 0.0, 1);
    let fixed: Vec<KnownDay> = usage.iter().map(|day| KnownDay { cost: 100.0, usage: day.usage }).collect();
    assert_eq!(variable_share(&fixed), Ok(VariableShare { value: 0.0, low: 0.0, high: 0.0, day_count: fixed.len() }));
    assert!((variable_share(&usage).unwrap().value - 1.0).abs() < 1e-9);
    // 60 of some 120 a day.
    let half = variable_share(&days(28, 60.0, 0.05, 1.0, 2)).unwrap();
    assert!((half.value - 0.5).abs() < 0.1 && half.low < half.value && half.value < half.high, "{half:?}");
    assert!(half.low > 0.0 && half.high < 1.0, "{half:?}");
    // Days that swing by more than that hide whether it follows.
    let swing = |day: usize| if day.is_multiple_of(2) { 90.0 } else { -90.0 };
    let of_day = |day: usize| if day % 4 < 2 { (90.0, 1000.0) } else { (110.0, 1500.0) };
    let hidden = (0..28).map(|day| KnownDay { cost: of_day(day).0 + swing(day), usage: of_day(day).1 });
    assert_eq!(variable_share(&hidden.collect::<Vec<_>>()), Err(CannotTell::DoesNotFollow));
    assert_eq!(variable_share(&usage[..13]), Err(CannotTell::TooFewDays));
}

/// More than all of it cannot follow: what moves by more than in proportion has no share, as it has no parts. By no more
/// than noise it is all of it at most, with what is as plausible.
#[test]
fn no_share_is_told_where_cost_moves_by_more_than_in_proportion() {
    let steep = days(28, -30.0, 0.1, 0.1, 1);
    assert_eq!(variable_share(&steep), Err(CannotTell::NoLine));
    assert_eq!(split(&steep), Err(CannotTell::NoLine));
    let nearly = (0..50)
        .map(|seed| days(28, -0.4, 0.05, 1.5, seed))
        .filter_map(|days| Some((split(&days).ok().filter(|parts| parts.is_through_zero)?, days)));
    let mut count = 0;
    for (parts, days) in nearly {
        let share = variable_share(&days).unwrap();
        assert!(share.value == 1.0 && share.high == 1.0 && share.low < 1.0, "{share:?} {parts:?}");
        count += 1;
    }
    assert!(count > 5, "{count}");
}

#[test]
fn more_volume_alone_lowers_a_unit_cost_by_the_fixed_part_that_it_spreads() {
    let range = |first: u32, end: u32| {
        let day = |number| chrono::NaiveDate::from_ymd_opt(2026, 10, 1).unwrap() + chrono::Days::new(number);
        DateRange::new(day(first.into()), day(end.into())).unwrap()
    };
    let mut costs = BTreeMap::new();
    let mut usage = BTreeMap::new();
    for (index, day) in range(0, 28).days().enumerate() {
        // 100 a day and 0.1 a unit; twice the volume in the second half.
        let units = (1000 + 100 * (index as i64 % 5)) * if index < 14 { 1 } else { 2 };
        usage.insert(day, BigDecimal::from(units));
        costs.insert(day, BigDecimal::from(100) + BigDecimal::new(units.into(), 1));
    }
    let (before, after) = (Side::of(range(0, 14), &costs, &usage), Side::of(range(14, 28), &costs, &usage));
    let both = compare(before, after);
    let change = both.change.unwrap();
    assert!(change.value < 0.0 && (both.from_volume.unwrap() - change.value).abs() < 1e-9, "{both:?}");
    assert_eq!(both.before.parts.unwrap().fixed_per_day.value.round(), 100.0);
}

#[test]
fn an_interval_of_a_unit_cost_holds_it_in_about_nine_of_ten() {
    let held = (0..300)
        .filter(|seed| {
            let made = days(28, 0.0, 0.05, 3.0, 1000 + seed);
            let figure = per_unit(&made).unwrap();
            figure.low <= 0.05 && 0.05 <= figure.high
        })
        .count();
    assert!((240..=292).contains(&held), "{held} of 300");
    assert!(mean(&[1.0, 2.0]).is_none());
    assert!((mean(&[1.0, 2.0, 3.0]).unwrap().value - 2.0).abs() < 1e-12);
}

/// No unit costs less than nothing, and a few runs say nothing of what one costs.
#[test]
fn where_an_interval_would_reach_below_zero_or_units_are_few_it_cannot_be_told() {
    let of = |cost: f64, usage: f64| KnownDay { cost, usage };
    let wild: Vec<KnownDay> = (0..10).map(|day| of(if day == 5 { 900.0 } else { 1.0 }, 10.0)).collect();
    assert_eq!(per_unit(&wild), Err(NoInterval::BelowZero));
    // A credit does.
    let credited: Vec<KnownDay> = wild.iter().map(|day| of(day.cost - 2.0, day.usage)).collect();
    assert!(per_unit(&credited).unwrap().low < 0.0);
    let runs = |count: usize| -> Vec<KnownDay> {
        (0..28).map(|day| of(4500.0, f64::from(u8::from(day % 5 == 1 && day / 5 < count)))).collect()
    };
    assert_eq!(per_unit(&runs(2)), Err(NoInterval::TooFewUnits));
    assert_eq!(per_unit(&runs(4)), Err(NoInterval::TooFewUnits));
    assert_ne!(per_unit(&runs(5)), Err(NoInterval::TooFewUnits));
    assert_eq!(per_unit(&runs(0)), Err(NoInterval::NothingUsed));
    assert_eq!(per_unit(&[of(1.0, 10.0); 2]), Err(NoInterval::TooFewDays));
    // What a metric counts in millions has little on each of many days.
    assert!(per_unit(&[of(10.0, 0.1); 28]).is_ok());
}

#[test]
fn quantiles_are_those_of_the_tables() {
    for (degrees, quantile) in [(4.0, 2.132), (10.0, 1.812), (26.0, 1.706), (1000.0, 1.646)] {
        assert!((t_quantile(degrees) - quantile).abs() < 0.01, "{degrees}: {}", t_quantile(degrees));
    }
}

#[test]
fn faster_and_dearer_is_better_for_one_goal_and_worse_for_another() {
    let figure = |value: f64| Some(Figure { value, low: value - 0.03, high: value + 0.03 });
    let both = Measure { cost: figure(0.08), latency: figure(-0.2) };
    assert_eq!(verdict(Goal::Latency, &both), Verdict::Better);
    assert_eq!(verdict(Goal::Cost, &both), Verdict::Worse);
    assert_eq!(verdict(Goal::Weighted { cost_percent: 30 }, &both), Verdict::Better);
    assert_eq!(verdict(Goal::Weighted { cost_percent: 90 }, &both), Verdict::Worse);
    assert_eq!(verdict(Goal::Weighted { cost_percent: 74 }, &both), Verdict::Unclear);
    let unknown = Measure { latency: None, ..both };
    assert_eq!(verdict(Goal::Weighted { cost_percent: 50 }, &unknown), Verdict::NotKnown);
    assert_eq!(verdict(Goal::Cost, &unknown), Verdict::Worse);
    let sure = Measure { cost: Some(Figure { value: 0.001, low: -0.01, high: 0.01 }), latency: None };
    assert_eq!(verdict(Goal::Cost, &sure), Verdict::Same);
    assert_eq!(Goal::new("weight", Some(100)), None);
    assert_eq!(Goal::new("weight", Some(25)).map(Goal::words).as_deref(), Some("25% cost and 75% latency"));
}

proptest! {
    #[test]
    fn nothing_breaks_on_any_days(days in prop::collection::vec((0.0f64..1e12, 0.0f64..1e12), 0..60)) {
        let days: Vec<KnownDay> = days.into_iter().map(|(cost, usage)| KnownDay { cost, usage }).collect();
        if let Ok(parts) = split(&days) {
            prop_assert!(parts.fixed_per_day.value >= 0.0 && parts.variable_per_unit.value > 0.0);
            prop_assert!(parts.fixed_per_day.low <= parts.fixed_per_day.value);
        }
        if let Ok(figure) = per_unit(&days) {
            prop_assert!(0.0 <= figure.low && figure.low <= figure.value && figure.value <= figure.high);
        }
        if let Ok(share) = variable_share(&days) {
            prop_assert!(0.0 <= share.low && share.low <= share.value && share.value <= share.high && share.high <= 1.0);
        }
    }
}
