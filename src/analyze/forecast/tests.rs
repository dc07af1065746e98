//! What holds of every forecast.

#![expect(clippy::float_arithmetic, reason = "made-up costs")]

use super::*;
use proptest::prelude::*;

fn day(index: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 1).unwrap() + chrono::Days::new(index)
}

/// Asked for the month that begins on day 90, on its eleventh day, with the last day nearly complete.
fn question(parts: Vec<Vec<Option<f64>>>) -> Question {
    Question {
        first_day: day(0),
        parts: parts.into_iter().map(|cost| Part { cost, restarts: Vec::new() }).collect(),
        complete_to: day(97),
        visible_shares: vec![0.98, 0.7, 0.3],
        from: day(90),
        to: day(119),
        fees: 12.0,
    }
}

fn weekly(index: usize) -> f64 {
    if index % 7 >= 5 { 60.0 } else { 100.0 }
}

#[test]
fn a_service_that_only_knows_weekdays_is_forecast_to_the_day() {
    let mut cost: Vec<Option<f64>> = (0..101).map(|index| Some(weekly(index))).collect();
    cost[98] = Some(weekly(98) * 0.98);
    cost[99] = Some(10.0);
    cost[100] = Some(1.0);
    let forecasts = forecast(&[question(vec![cost])], &Adaptive::default());
    let forecast = forecasts[0].as_ref().unwrap();
    let sum = |days: std::ops::Range<usize>| days.map(weekly).sum::<f64>();
    assert!((forecast.known - sum(90..98)).abs() < 1e-9);
    assert!((forecast.incomplete - sum(98..99)).abs() < 1e-9, "{forecast:?}");
    assert!((forecast.rest - sum(99..120)).abs() < 1e-6, "{forecast:?}");
    assert!((forecast.point - sum(90..120) - 12.0).abs() < 1e-6);
}

#[test]
fn a_release_that_changed_the_level_restarts_it() {
    let cost: Vec<Option<f64>> =
        (0..98).map(|index| Some(weekly(index) * if index > 94 { 2.0 } else { 1.0 })).collect();
    let mut restarted = question(vec![cost.clone()]);
    restarted.parts[0].restarts = vec![day(94)];
    let answers = forecast(&[question(vec![cost]), restarted], &Adaptive::default());
    let rest = |at: usize| answers[at].as_ref().unwrap().rest;
    assert!(rest(1) > 1.6 * rest(0), "{} and {}", rest(1), rest(0));
}

/// Otherwise errors of past forecasts would look smaller than they were, and intervals would be too narrow.
#[test]
fn past_days_are_tried_with_what_could_be_known_of_releases_by_then() {
    let cost: Vec<Option<f64>> =
        (0..98).map(|index| Some(weekly(index) * if index > 64 { 2.0 } else { 1.0 })).collect();
    let past_error = |restarts: Vec<NaiveDate>| {
        let mut asked = question(vec![cost.clone()]);
        asked.parts[0].restarts = restarts;
        forecast(&[asked], &Adaptive::default())[0].as_ref().unwrap().past_error
    };
    // The last day that is tried is twelve days after the release.
    assert!(past_error(Vec::new()).is_some_and(|error| error > 0.05));
    assert_eq!(past_error(vec![day(64)]), past_error(Vec::new()));
}

/// What the trend makes of three weeks, against the level alone.
fn trend(history: &[f64], restarts: &[usize]) -> f64 {
    let [trending, flat, _] = candidate::sums(history, 21, restarts);
    trending / flat
}

#[test]
fn a_release_stops_growth_only_where_it_lasts_and_is_recent() {
    let growing = |index: usize| weekly(index) * (0.004 * index as f64).exp();
    let with = |factor: fn(usize) -> f64| (0..98).map(|index| growing(index) * factor(index)).collect::<Vec<f64>>();
    let plain = with(|_| 1.0);
    let usual = trend(&plain, &[]);
    assert!(usual > 1.01, "{usual}");
    assert_eq!(trend(&plain, &[20]), usual, "before the days that growth looks at");
    assert_eq!(trend(&plain, &[70]), 1.0, "too few days after it");
    // It doubled on day 51: growth is that of the days after it.
    let doubled = with(|index| if index > 50 { 2.0 } else { 1.0 });
    assert!((trend(&doubled, &[50]) - usual).abs() < 0.003, "{} {usual}", trend(&doubled, &[50]));
    assert!(trend(&doubled, &[]) > usual + 0.005);
    // Three days cost more, and it was over.
    let pulse = with(|index| if (80..83).contains(&index) { 1.8 } else { 1.0 });
    assert_eq!(trend(&pulse, &[80]), trend(&pulse, &[]));
    assert_eq!(trend(&pulse, &[20, 80]), trend(&pulse, &[]));
}

#[test]
fn too_short_a_history_says_so() {
    let cost = (0..98).map(|index| if index < 80 { None } else { Some(1.0) }).collect();
    let answers = forecast(&[question(vec![cost])], &Adaptive::default());
    assert_eq!(answers[0], Err(NoForecast::HistoryTooShort { days: 18 }));
}

#[test]
fn intervals_widen_where_they_missed() {
    let plain = Adaptive::default();
    assert_ne!(plain.learn(5, 5), plain);
    assert_eq!(plain.learn(0, 0), plain);
    let cost: Vec<Option<f64>> =
        (0..98).map(|index| Some(weekly(index) * (1.0 + (index * 37 % 11) as f64 / 40.0))).collect();
    let width = |adaptive: Adaptive| {
        let forecast = forecast(&[question(vec![cost.clone()])], &adaptive)[0].clone().unwrap();
        forecast.high.unwrap() - forecast.low.unwrap()
    };
    let missed = (0..10).fold(plain, |adaptive, _| adaptive.learn(5, 5));
    assert!(width(missed) >= width(plain));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_forecast_is_made_of_numbers(
        parts in prop::collection::vec(
            prop::collection::vec(prop::option::weighted(0.9, prop_oneof![Just(0.0), -1.0..1e6_f64]), 0..110),
            0..4,
        ),
        days in 1..400_u64,
    ) {
        let mut asked = question(parts);
        asked.to = asked.from + chrono::Days::new(days);
        for forecast in forecast(&[asked], &Adaptive::default()).into_iter().flatten() {
            prop_assert!(forecast.point.is_finite() && forecast.rest.is_finite(), "{forecast:?}");
            if let (Some(low), Some(high)) = (forecast.low, forecast.high) {
                prop_assert!(low <= forecast.point && forecast.point <= high, "{forecast:?}");
            }
            let sum = forecast.known + forecast.incomplete + forecast.rest + forecast.fees;
            prop_assert!((sum - forecast.point).abs() <= 1e-9 * sum.abs().max(1.0));
        }
    }
}
