use super::*;
use crate::analyze::impact::sibling_index;
use crate::jobs::effects::hours::HourlyStart;
use crate::jobs::effects::parts::{Parts, of_calibration};
use crate::jobs::effects::rollbacks::own_fingerprint;
use crate::store::bill_gaps::Gap;
use crate::store::impact_series::{CommitmentStep, DayFigure, DaySeries, LiveRelease, PriceStep};
use crate::store::known_days::KnownDays;
use crate::store::release_hours::ReleaseHours;
use chrono::{DateTime, Utc};
use std::sync::Arc;

fn day(index: u64) -> NaiveDate {
    "2026-01-01".parse::<NaiveDate>().unwrap() + Days::new(index)
}

fn at(index: u64, hour: u32) -> DateTime<Utc> {
    day(index).and_hms_opt(hour, 0, 0).unwrap().and_utc()
}

fn release(deployment_id: i64, index: u64, hour: u32) -> LiveRelease {
    LiveRelease {
        deployment_id,
        service_id: 1,
        environment_id: 7,
        at: at(index, hour),
        began_at: None,
        time_is_received: false,
        is_rollback: deployment_id == 12,
        went_back_to: None,
    }
}

fn costs_of(service_id: i64, days: impl Iterator<Item = u64>, usage: impl Fn(u64) -> f64) -> DaySeries {
    let figure = |index: u64| DayFigure {
        charge_date: day(index),
        usage: usage(index),
        other: if index == 30 { -50.0 } else { 0.0 },
    };
    let days = days.map(figure).collect();
    DaySeries { service_id, environment_id: 7, billing_currency: "USD".into(), days }
}

/// Usage of some days of some services is another.
fn restate(inputs: &mut Inputs, is_other: impl Fn(i64, NaiveDate) -> bool, to: impl Fn(f64) -> f64) {
    for series in &mut inputs.days {
        for figure in series.days.iter_mut().filter(|figure| is_other(series.service_id, figure.charge_date)) {
            figure.usage = to(figure.usage);
        }
    }
}

/// Three quarters of a day's cost arise from two o'clock on, the rest in the evening.
fn hours(index: u64, currency: &str) -> ReleaseHours {
    let mut hours = vec![0.0; 24];
    (hours[2], hours[20]) = (0.75, 0.25);
    ReleaseHours { service_id: 1, environment_id: 7, billing_currency: currency.into(), day: day(index), hours }
}

fn build(inputs: &Inputs) -> Vec<Series> {
    Histories::of(inputs).told(&[])
}

fn inputs() -> Inputs {
    let mut days = Vec::new();
    for service_id in 1..=4 {
        // The first service begins later, and has no charge on one day.
        let from = if service_id == 1 { 5 } else { 0 };
        let known = (from..60).filter(|index| !(service_id == 1 && *index == 20));
        days.push(costs_of(service_id, known, |index| 100.0 + (index % 7) as f64 * service_id as f64));
    }
    Inputs {
        range: DateRange::new(day(0), day(60)),
        complete_to: day(59),
        releases: vec![release(10, 40, 6), release(11, 40, 18), release(12, 45, 0)],
        days,
        prices: vec![PriceStep {
            service_id: 1,
            environment_id: 7,
            billing_currency: "USD".into(),
            day: day(50),
            cost: 55.0,
            cost_before: 50.0,
            cost_total: 105.0,
        }],
        ..Inputs::default()
    }
}

#[test]
fn releases_of_a_day_are_one_and_absent_days_are_told_from_free_ones() {
    let series = build(&inputs());
    assert_eq!(series.len(), 1, "only services with a release are asked about");
    let history = &series[0].history;
    assert_eq!((history.cost[4], history.cost[5].is_some(), history.cost[20]), (None, true, Some(0.0)));
    assert_eq!(history.releases[0].deployment_ids, [10, 11]);
    assert_eq!(history.releases[0].share_before, Some(0.25));
    assert_eq!(series[0].rollbacks, BTreeMap::from([(12, vec![10, 11])]), "the whole day before");
    let credit = Note { day: day(30), last_day: None, kind: NoteKind::CreditOrFee, amount_per_day: Some(-50.0) };
    assert_eq!(history.notes, [credit]);
    let size = history.price_events[0].size.unwrap();
    assert!((size.log_ratio - 1.05f64.ln()).abs() < 1e-12);
}

/// What a commitment took off the cost of a service is learnt from the others that it began for on that day.
#[test]
fn a_commitment_is_sized_by_the_others_at_the_same_step() {
    let mut inputs = inputs();
    let step = |service_id| CommitmentStep {
        service_id,
        environment_id: 7,
        billing_currency: "USD".into(),
        day: day(44),
        is_start: true,
        // The first one has it on twice as much as the others.
        share_change: if service_id == 1 { 0.8 } else { 0.4 },
    };
    inputs.commitments = (1..=4).map(step).collect();
    restate(&mut inputs, |service_id, at| service_id > 1 && at >= day(44), |usage| usage * 0.9);
    let size = |inputs: &Inputs| {
        let series = build(inputs);
        let events = &series[0].history.price_events;
        events.iter().find(|event| event.kind == PriceEventKind::CommitmentStart).unwrap().size
    };
    let known = size(&inputs).unwrap();
    assert!((known.log_ratio - 2.0 * 0.9f64.ln()).abs() < 0.001 && known.log_ratio_sd < 0.01, "{known:?}");
    // Of one that began for it alone, or for two others, nothing is known beforehand.
    inputs.commitments.pop();
    assert_eq!(size(&inputs), None);
    inputs.commitments = vec![step(1)];
    assert_eq!(size(&inputs), None);
    // What a late source lacks is no discount.
    inputs.commitments = (1..=4).map(step).collect();
    let late_in = |currency: &str| {
        let since = BTreeMap::from([(currency.to_owned(), day(46))]);
        Arc::new(KnownDays::new(BTreeMap::from([(4, since)]), Vec::new()))
    };
    inputs.known = late_in("USD");
    assert_eq!(size(&inputs), None);
    // What it bills in another currency is no matter of this one.
    inputs.known = late_in("EUR");
    assert!(size(&inputs).is_some());
}

/// February has no bill that makes much of the first service: its days are no zeros, and whoever asks about them waits.
#[test]
fn days_of_a_gap_are_not_known_and_answers_about_them_wait() {
    let mut inputs = inputs();
    let [january, february] = ["2026-01", "2026-02"].map(|month| month.parse::<BillingPeriod>().unwrap());
    let gap = Gap {
        source_id: 1,
        name: "acme".into(),
        account: None,
        period: february,
        beside: [january, february.next()],
        is_daily: true,
        services: vec![(1, None), (2, None)],
        material: vec![(1, "USD".into())],
        material_own: vec![(1, "USD".into())],
    };
    let own = inputs.days.iter_mut().find(|series| series.service_id == 1).unwrap();
    own.days.retain(|figure| figure.charge_date < day(31) || figure.charge_date > day(58));
    let zeros = build(&inputs);
    inputs.known = Arc::new(KnownDays::new(BTreeMap::new(), vec![gap]));
    let series = build(&inputs);
    let history = &series[0].history;
    assert_eq!((zeros[0].history.cost[31], history.cost[31], history.cost[58]), (Some(0.0), None, None));
    assert!(history.cost[30].is_some() && history.cost[59].is_some() && history.cost[20] == Some(0.0));

    let is_waiting = |index: u64| window(&series[0], day(index)).lacks_bill(&[day(index)]);
    assert!([17, 30, 40, 59].into_iter().all(is_waiting) && !is_waiting(16));
    let impact = estimated(&window(&series[0], day(40)), &[day(40)], &Model::default(), &Calibration::default());
    assert_eq!((impact.phase, impact.reason), (impact::Phase::Measuring, impact::Reason::BillMissing));
    assert_eq!((impact.effect, impact.deployment_ids), (None, vec![10, 11]));
    // Which days are known is a part of what tells one answer from the next.
    let of = |series: &[Series]| Parts::of(&window(&series[0], day(40)), "").fingerprint();
    assert_ne!(of(&series), of(&zeros));
}

/// Bills that ended months ago say nothing of what is released now, and everything of what was released then.
#[test]
fn a_release_long_after_the_last_bill_waits_for_days() {
    for index in [172, 173, 174, 400] {
        let mut inputs = inputs();
        inputs.releases.push(release(13, index, 12));
        let series = &build(&inputs)[0];
        let window = window(series, day(index));
        assert!(window.cost.is_empty(), "{index}");
        let impact = estimated(&window, &[day(index)], &Model::default(), &Calibration::default());
        let answer = (impact.phase, impact.finding, impact.days_after, impact.deployment_ids);
        assert_eq!(answer, (impact::Phase::Measuring, impact::Finding::CannotTell, 0, vec![13]), "{index}");
        let parts = Parts::of(&window, "");
        assert!(parts.changed_to(&window, "").is_empty(), "{index}");
    }
}

/// N18: days are half-open. A release at the instant at which a day begins is that day's, with nothing of it before;
/// one a moment earlier is the day's before. A moment that only a receipt told says nothing about the share.
#[test]
fn a_release_at_the_edge_of_a_day_is_of_the_day_that_begins() {
    let mut inputs = inputs();
    let midnight = at(40, 0);
    let before = midnight - chrono::TimeDelta::milliseconds(1);
    inputs.releases = vec![
        LiveRelease { at: before, ..release(1, 39, 0) },
        LiveRelease { at: midnight, ..release(2, 40, 0) },
        LiveRelease { at: midnight, ..release(3, 40, 0) },
        LiveRelease { at: at(45, 12), time_is_received: true, ..release(4, 45, 12) },
    ];
    let series = build(&inputs);
    let days: Vec<_> = series[0].history.releases.iter().map(|one| (one.day, one.deployment_ids.clone())).collect();
    assert_eq!(days, [(day(39), vec![1]), (day(40), vec![2, 3]), (day(45), vec![4])]);
    let shares: Vec<Option<f64>> = series[0].history.releases.iter().map(|one| one.share_before).collect();
    assert!(shares[0].is_some_and(|share| share > 0.9999 && share < 1.0), "{shares:?}");
    assert_eq!(shares[1..], [Some(0.0), None]);
    // A sender whose clock is an hour ahead moves a release by a twenty-fourth of a day, not to another day.
    inputs.releases = vec![LiveRelease { at: at(40, 12) + chrono::TimeDelta::hours(1), ..release(5, 40, 12) }];
    let skewed = &build(&inputs)[0].history.releases[0];
    assert_eq!((skewed.day, skewed.share_before), (day(40), Some(13.0 / 24.0)));
}

/// The days of a rollout belong to its release; of several on one day the first that began counts. No hour starts it. What
/// only went over midnight has its hour.
#[test]
fn a_rollout_over_days_begins_where_it_was_told_to() {
    let mut inputs = inputs();
    inputs.hours = vec![hours(40, "USD"), hours(45, "USD")];
    inputs.releases = vec![
        LiveRelease { began_at: Some(at(40, 3)), ..release(1, 40, 6) },
        LiveRelease { began_at: Some(at(37, 9)), ..release(2, 40, 9) },
        LiveRelease { began_at: Some(at(44, 23)), ..release(3, 45, 1) },
        LiveRelease { began_at: Some(at(50, 9)), ..release(4, 50, 12) },
    ];
    let series = &build(&inputs)[0];
    let began: Vec<Option<NaiveDate>> = series.history.releases.iter().map(|one| one.rollout_from).collect();
    assert_eq!(began, [Some(day(37)), None, None]);
    assert!(series.starts.keys().eq([&day(45)]), "{:?}", series.starts);
    assert_eq!((series.history.began(day(40)), series.history.began(day(50))), (day(37), day(50)));
}

/// A release at six has three quarters of its day's cost before it where hours say so, and a quarter by the clock. Hours
/// of another currency or day, and those before a release whose hour nobody told, say nothing.
#[test]
fn hours_of_a_bill_say_how_much_of_a_day_lay_before_a_release() {
    let mut inputs = inputs();
    inputs.releases.push(LiveRelease { time_is_received: true, ..release(14, 50, 6) });
    let shares = |inputs: &Inputs| {
        let series = &build(inputs)[0];
        let shares: Vec<Option<f64>> = series.history.releases.iter().map(|one| one.share_before).collect();
        (shares, series.starts.clone())
    };
    let by_clock = (vec![Some(0.25), Some(0.0), None], BTreeMap::new());
    assert_eq!(shares(&inputs), by_clock);
    inputs.hours = vec![hours(40, "EUR"), hours(41, "USD"), hours(50, "USD")];
    assert_eq!(shares(&inputs), by_clock);
    inputs.hours = vec![hours(40, "USD"), hours(50, "USD")];
    let start = HourlyStart { at: at(40, 6), share_after: 0.25 };
    assert_eq!(shares(&inputs), (vec![Some(0.75), Some(0.0), None], BTreeMap::from([(day(40), start)])));
}

#[test]
fn the_others_are_what_the_estimator_says_they_are() {
    let inputs = inputs();
    let costs = costs(&inputs, inputs.range.unwrap());
    // Levels are those of the days up to two weeks after the release; one day more is told about them.
    let own = window(&build(&inputs)[0], day(40)).siblings.unwrap();
    let others: Vec<&[Option<f64>]> =
        costs.iter().filter(|(key, _)| key.service_id != 1).map(|(_, (usage, _))| &usage[..55]).collect();
    assert_eq!(own.cost.len(), 56);
    for (told, expected) in own.cost.iter().zip(sibling_index(&others)) {
        assert!((told - expected).abs() < 1e-12, "{told} {expected}");
    }
}

/// One release goes to several environments on a day: none of them is told of another as of one of the others.
#[test]
fn other_environments_of_a_service_are_none_of_the_others() {
    let told = |is_everywhere: bool| {
        let mut inputs = inputs();
        for environment_id in [8, 9] {
            let step = |index: u64| if index > 40 { 30.0 } else { 0.0 };
            let elsewhere = DaySeries { environment_id, ..costs_of(1, 5..60, |index| 100.0 + step(index)) };
            inputs.days.extend(is_everywhere.then_some(elsewhere));
        }
        let around = |series: Vec<Series>, on: u64| window(&series[0], day(on)).siblings.unwrap();
        (around(build(&inputs), 40), around(build_all(&inputs), 45))
    };
    assert_eq!(told(true), told(false));
}

#[test]
fn the_others_are_told_around_releases_and_the_placebos_that_are_named() {
    let days = |placebos: &[PlaceboDay]| -> Vec<NaiveDate> {
        Histories::of(&inputs()).told(placebos)[0].siblings.keys().copied().collect()
    };
    let released: Vec<NaiveDate> = build(&inputs())[0].history.releases.iter().map(|one| one.day).collect();
    assert_eq!(days(&[]), released);
    assert_eq!(days(&[(0, day(35))]), [vec![day(35)], released].concat());
}

#[test]
fn a_placebo_whose_days_reach_to_the_last_stands_in_for_a_release_behind_it() {
    let series = &build(&inputs())[0];
    let last = series.history.complete_to;
    assert_eq!([14, 15, 16].map(|back| stands_in(series, last - Days::new(back))), [true, true, false]);
}

#[test]
fn only_what_an_estimate_looks_at_changes_its_fingerprint() {
    let calibration = of_calibration(&Calibration::reference());
    let of = |inputs: &Inputs| {
        let series = build(inputs);
        Parts::of(&window(&series[0], day(40)), &calibration).fingerprint()
    };
    let before = of(&inputs());
    assert_eq!(before, of(&inputs()));
    let mut restated = inputs();
    restate(&mut restated, |service_id, at| service_id == 1 && at == day(41), |usage| usage + 0.01);
    assert_ne!(before, of(&restated));
    let mut later = inputs();
    restate(&mut later, |_, at| at > day(55), |usage| usage + 5.0);
    assert_eq!(before, of(&later), "days that no settled answer looks at");
    let mut another = inputs();
    another.releases.push(release(13, 44, 3));
    another.releases.sort_by_key(|release| release.at);
    assert_ne!(before, of(&another));
}

/// All that went live since the version that it went back to was taken back; where that is not known, the last day.
#[test]
fn a_rollback_took_back_all_since_what_it_went_back_to() {
    let mut inputs = inputs();
    for (went_back_to, expected) in [
        (Some(at(40, 6)), vec![2, 3, 4]),
        (Some(at(40, 18)), vec![3, 4]),
        (Some(at(39, 0)), vec![1, 2, 3, 4]),
        (None, vec![3, 4]),
    ] {
        let back = LiveRelease { is_rollback: true, went_back_to, ..release(5, 50, 9) };
        inputs.releases = vec![release(1, 40, 6), release(2, 40, 18), release(3, 47, 1), release(4, 47, 2), back];
        let series = build(&inputs);
        assert_eq!(series[0].rollbacks, BTreeMap::from([(5, expected)]), "{went_back_to:?}");
    }
    let fingerprint = own_fingerprint(&build(&inputs)[0], 5, "parts");
    assert!(fingerprint.starts_with("parts~3,4@") && fingerprint.ends_with("-back"), "{fingerprint}");
}

/// What was taken back is estimated from days before those that the answer about the rollback looks at: it is asked again
/// whether the cost came back where these are others.
#[test]
fn days_before_those_of_a_rollback_ask_about_it_again() {
    let mut inputs = inputs();
    inputs.range = DateRange::new(day(0), day(200));
    inputs.complete_to = day(199);
    inputs.days = vec![costs_of(1, 0..200, |index| 100.0 + (index % 7) as f64)];
    // One release of a single day, and two that share an answer.
    for taken_back in [vec![release(1, 140, 6)], vec![release(1, 139, 6), release(2, 140, 6)]] {
        let since = taken_back[0].at;
        let back = LiveRelease { is_rollback: true, went_back_to: Some(since - Days::new(9)), ..release(5, 180, 9) };
        inputs.releases = [taken_back, vec![back]].concat();
        let of = |inputs: &Inputs| {
            let series = &build(inputs)[0];
            let parts = Parts::of(&window(series, day(180)), "").fingerprint();
            let (rollback, other) = (own_fingerprint(series, 5, &parts), own_fingerprint(series, 1, &parts));
            (parts, rollback, other)
        };
        let before = of(&inputs);
        for (index, is_looked_at) in [(20, false), (50, true), (100, true)] {
            let mut restated =
                Inputs { days: inputs.days.clone(), releases: inputs.releases.clone(), ..self::inputs() };
            (restated.range, restated.complete_to) = (inputs.range, inputs.complete_to);
            restate(&mut restated, |_, at| at == day(index), |usage| usage + 1.0);
            let now = of(&restated);
            assert_eq!(now.1 != before.1, is_looked_at, "{index}");
            assert_eq!((now.0 != before.0, now.2 != before.2), (index == 100, index == 100), "{index}");
        }
    }
}

/// A mark that comes or goes later asks again about the rollback, and about nothing else.
#[test]
fn whether_it_went_back_is_in_the_fingerprint_of_a_rollback_alone() {
    let marked = build(&inputs());
    let mut inputs = inputs();
    inputs.releases.iter_mut().for_each(|release| release.is_rollback = false);
    let unmarked = build(&inputs);
    for (deployment_id, is_same) in [(10, true), (11, true), (12, false)] {
        let of = |series: &[Series]| own_fingerprint(&series[0], deployment_id, "parts");
        assert_eq!(of(&marked) == of(&unmarked), is_same, "{deployment_id}");
        assert_eq!(of(&unmarked), "parts", "as it was before this was asked");
    }
}

/// The next answer says which part of what it rests on is another, and calls days that became complete by nothing else.
#[test]
fn the_part_that_is_another_is_named() {
    let calibration = of_calibration(&Calibration::reference());
    let asked = |inputs: &Inputs| window(&build(inputs)[0], day(40));
    let before = Parts::of(&asked(&inputs()), &calibration);
    let changed = |inputs: &Inputs| before.changed_to(&asked(inputs), &calibration);
    assert!(changed(&inputs()).is_empty());
    let mut restated = inputs();
    restate(&mut restated, |service_id, at| service_id == 1 && at == day(41), |usage| usage + 1.0);
    assert!(changed(&restated)[0].starts_with("the cost of its days is another"), "{:?}", changed(&restated));
    assert_eq!(changed(&restated).len(), 1);
    let mut busier = inputs();
    busier.traffic.push(MetricDay { service_id: 1, environment_id: 7, charge_date: day(41), value: 5.0 });
    assert_eq!(changed(&busier), ["traffic of its days came in later or was corrected"]);
    let mut released = inputs();
    released.releases.push(release(13, 44, 3));
    released.releases.sort_by_key(|release| release.at);
    let releases = "releases near it, or the hours from which on they count, are others than were known";
    assert_eq!(changed(&released), [releases]);
    let mut hourly = inputs();
    hourly.hours = vec![hours(40, "USD")];
    assert_eq!(changed(&hourly), [releases]);
    assert_eq!(before.changed_to(&asked(&inputs()), "other"), ["intervals were calibrated anew"]);
    // Asked when fewer days were complete: what came since is no change of what was known.
    let mut earlier = inputs();
    earlier.complete_to = day(50);
    let young = Parts::of(&asked(&earlier), &calibration);
    assert!(young.changed_to(&asked(&earlier), &calibration).is_empty());
    // A bill that is late took the last days away: traffic and cost of those that are left are what they were.
    let late = "its last days are not known any more: a bill of them is late or was taken back";
    assert_eq!(changed(&earlier), [late]);
    assert_eq!(before.changed_to(&asked(&earlier), "other"), [late, "intervals were calibrated anew"]);
    assert!(young.changed_to(&asked(&inputs()), &calibration).is_empty(), "they are there again");
}
