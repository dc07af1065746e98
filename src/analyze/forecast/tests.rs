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
        parts: parts.into_iter().map(|cost| Part { cost, ..Part::default() }).collect(),
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

/// One part of a hundred a day and one of ten that lacks its last days: as zero they would be missing from the month.
#[test]
fn days_without_their_bill_are_expected_to_cost_what_they_usually_do() {
    let level = |usual: f64| -> Vec<Option<f64>> {
        (0..98).map(|index| Some(usual * (1.0 + (index * 37 % 11) as f64 / 400.0))).collect()
    };
    let both = |late_from: Option<NaiveDate>, shown: f64| {
        let mut asked = Question { visible_shares: Vec::new(), ..question(vec![level(100.0), level(10.0)]) };
        asked.parts[1].late_from = late_from;
        asked.parts[1].shown = shown;
        // Days without a bill have no figure.
        let known = late_from.map_or(98, |from| usize::try_from((from - day(0)).num_days()).unwrap());
        asked.parts[1].cost[known..].fill(None);
        forecast(&[asked], &Adaptive::default())[0].clone().unwrap()
    };
    let (all, late) = (both(None, 0.0), both(Some(day(93)), 0.0));
    assert_eq!(all.late, 0.0);
    assert!((late.late / 50.0 - 1.0).abs() < 0.05, "five days of ten: {late:?}");
    assert!((late.point - all.point).abs() < 2.0, "{late:?} {all:?}");
    assert!(late.low.unwrap() < all.point && all.point < late.high.unwrap(), "{late:?} {all:?}");
    let partly = both(Some(day(93)), 20.0);
    assert!((partly.late - late.late + 20.0).abs() < 1e-9, "what is shown is known: {partly:?}");
    assert_eq!(both(Some(day(93)), 500.0).late, 0.0, "what is known takes nothing off other days");
    // It has been late since before the month: those days are not asked.
    let before = both(Some(day(85)), 0.0);
    assert!((before.late / 80.0 - 1.0).abs() < 0.05, "the eight of the month: {before:?}");
}

/// Late days are as uncertain as the days ahead of the part that lacks them.
#[test]
fn an_interval_is_wider_where_a_bill_is_late() {
    let noisy = |index: usize| 100.0 * (1.0 + (index * 37 % 11) as f64 / 20.0);
    let width = |late_from: Option<NaiveDate>| {
        let cost: Vec<Option<f64>> = (0..98).map(|index| Some(noisy(index))).collect();
        let mut asked = Question { visible_shares: Vec::new(), to: day(100), ..question(vec![cost]) };
        asked.parts[0].late_from = late_from;
        let forecast = forecast(&[asked], &Adaptive::default())[0].clone().unwrap();
        forecast.high.unwrap() - forecast.point
    };
    assert!(width(Some(day(91))) > width(None), "{} {}", width(Some(day(91))), width(None));
}

#[test]
fn intervals_are_widened_by_what_the_record_says() {
    let scores = |held: usize, missed: usize, score: f64| [vec![0.5; held], vec![score; missed]].concat();
    assert_eq!(widening(&scores(3, 3, 9.0)), 1.0, "too few to tell");
    assert_eq!(widening(&scores(95, 5, 9.0)), 1.0, "enough held");
    let factor = widening(&scores(56, 44, 3.0));
    assert!((2.5..3.0).contains(&factor), "{factor}");
    assert!(widening(&scores(5, 7, 3.0)) < factor, "fewer say less");
    assert_eq!(widening(&scores(56, 44, 1e9)), 8.0);
    let cost: Vec<Option<f64>> =
        (0..98).map(|index| Some(weekly(index) * (1.0 + (index * 37 % 11) as f64 / 400.0))).collect();
    let of = |adaptive: Adaptive| forecast(&[question(vec![cost.clone()])], &adaptive)[0].clone().unwrap();
    let (plain, wide) = (of(Adaptive::default()), of(Adaptive::default().widened(3.0)));
    let half = |forecast: &Forecast| forecast.high.unwrap() - forecast.point;
    assert!((half(&wide) / half(&plain) - 3.0).abs() < 1e-9);
    assert_eq!((plain.widening, wide.widening), (1.0, 3.0));
    // It is no part of what is kept.
    let kept = serde_json::to_value(Adaptive::default().widened(3.0)).unwrap();
    assert_eq!(serde_json::from_value::<Adaptive>(kept).unwrap(), Adaptive::default());
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
            let sum = forecast.known + forecast.incomplete + forecast.late + forecast.rest + forecast.fees;
            prop_assert!((sum - forecast.point).abs() <= 1e-9 * sum.abs().max(1.0));
        }
    }
}
