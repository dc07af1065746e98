mod coverage;

use super::*;
use proptest::prelude::*;

fn number(text: &str) -> BigDecimal {
    text.parse().unwrap()
}

fn side(cost: &str, list: &str, quantity: &str) -> Side {
    let (cost, list, quantity) = (number(cost), number(list), number(quantity));
    Side { effective_cost: cost.clone(), cost, list_cost: list.clone(), contracted_cost: list, quantity }
}

fn place_of(service_id: i64) -> Place {
    Place { service_id, environment_id: 0 }
}

fn usage(service_id: i64, now: Side, before: Side) -> Line {
    let pricing_category = "Standard".into();
    Line {
        place: place_of(service_id),
        charge_category: "Usage".into(),
        pricing_category,
        now,
        before,
        ..Line::default()
    }
}

fn input(lines: Vec<Line>) -> Input {
    let change = lines.iter().map(Line::change).sum();
    Input { change, days: 30, days_before: 30, lines, ..Input::default() }
}

fn amount(rows: &[Row], cause: Cause) -> f64 {
    use bigdecimal::ToPrimitive;
    rows.iter().find(|row| row.cause == cause).map_or(0.0, |row| row.amount.to_f64().unwrap())
}

fn amount_of(amount: &BigDecimal) -> f64 {
    use bigdecimal::ToPrimitive;
    amount.to_f64().unwrap()
}

fn sum(rows: &[Row]) -> BigDecimal {
    rows.iter().map(|row| &row.amount).sum()
}

#[test]
fn one_thing_that_changes_is_the_one_cause() {
    let base = || side("80", "100", "50");
    let cases = [
        (side("88", "110", "55"), Cause::Volume, 8.0),
        (side("88", "110", "50"), Cause::ListPrice, 8.0),
        (side("90", "100", "50"), Cause::Discount, 10.0),
    ];
    for (now, cause, expected) in cases {
        let mut now = now;
        let mut before = base();
        // The discount is between list and contracted cost.
        (now.contracted_cost, before.contracted_cost) = (now.cost.clone(), before.cost.clone());
        let rows = explain(&input(vec![usage(1, now, before)]));
        assert!((amount(&rows, cause) - expected).abs() < 1e-9, "{rows:?}");
        assert_eq!(rows.len(), 2, "{rows:?}");
        assert_eq!(rows.last().unwrap(), &Row { cause: Cause::NotExplained, amount: BigDecimal::zero() });
    }
}

#[test]
fn a_longer_period_is_days_and_traffic_is_told_from_efficiency() {
    let mut longer = input(vec![usage(1, side("310", "310", "310"), side("300", "300", "300"))]);
    longer.days = 31;
    let rows = explain(&longer);
    assert!((amount(&rows, Cause::CalendarDays) - 10.0).abs() < 1e-9, "{rows:?}");

    let mut busier = input(vec![usage(1, side("132", "132", "132"), side("100", "100", "100"))]);
    let facts =
        ServiceFacts { traffic: Some((1100.0, 1000.0)), releases: vec![number("15")], ..ServiceFacts::default() };
    busier.facts.insert(place_of(1), facts);
    let rows = explain(&busier);
    // 10 % more traffic, 20 % more for the same traffic, of which a release is 15.
    let mean = 32.0 / 1.32f64.ln();
    assert!((amount(&rows, Cause::Volume) - mean * 1.1f64.ln()).abs() < 1e-9, "{rows:?}");
    assert!((amount(&rows, Cause::Efficiency) - (mean * 1.2f64.ln() - 15.0)).abs() < 1e-9, "{rows:?}");
    assert_eq!(amount(&rows, Cause::ReleasesUp), 15.0);
    assert_eq!(sum(&rows), number("32"));
}

/// What is fixed costs as much for half as much traffic again: that is neither more volume nor more efficient.
#[test]
fn fixed_cost_is_no_efficiency() {
    let of = |now: &str, variable_share| {
        let mut busier = input(vec![usage(1, side(now, now, now), side("3000", "3000", "3000"))]);
        let facts = ServiceFacts { traffic: Some((1500.0, 1000.0)), variable_share, ..ServiceFacts::default() };
        busier.facts.insert(place_of(1), facts);
        explain(&busier)
    };
    // Nothing is known of what is fixed: all of it counts as following.
    let unknown = of("3000", None);
    assert!((amount(&unknown, Cause::Volume) - 3000.0 * 1.5f64.ln()).abs() < 1e-6, "{unknown:?}");
    assert!((amount(&unknown, Cause::Efficiency) + 3000.0 * 1.5f64.ln()).abs() < 1e-6, "{unknown:?}");
    let fixed = of("3000", Some(0.0));
    assert_eq!(fixed, [Row { cause: Cause::NotExplained, amount: BigDecimal::zero() }]);
    // Half of it follows, exactly.
    let half = of("3750", Some(0.5));
    assert!((amount(&half, Cause::Volume) - 750.0).abs() < 1e-6, "{half:?}");
    assert!(amount(&half, Cause::Efficiency).abs() < 1e-6, "{half:?}");
    assert_eq!(sum(&half), number("750"));
    // It costs less than that: the difference is efficiency.
    let better = of("3600", Some(0.5));
    let mean = 600.0 / 1.2f64.ln();
    assert!((amount(&better, Cause::Efficiency) - mean * (1.2f64 / 1.25).ln()).abs() < 1e-6, "{better:?}");
}

/// Environments that nobody's traffic moves stay out of it: each follows the traffic of its own.
#[test]
fn each_environment_follows_its_own_traffic() {
    let of = |environment_id, now: &str, before: &str| Line {
        place: Place { service_id: 1, environment_id },
        ..usage(1, side(now, now, now), side(before, before, before))
    };
    let mut both = input(vec![of(1, "1500", "1000"), of(2, "400", "400")]);
    let facts =
        |variable_share| ServiceFacts { traffic: Some((1500.0, 1000.0)), variable_share, ..ServiceFacts::default() };
    both.facts.insert(Place { service_id: 1, environment_id: 1 }, facts(Some(1.0)));
    both.facts.insert(Place { service_id: 1, environment_id: 2 }, facts(Some(0.0)));
    let rows = explain(&both);
    assert!((amount(&rows, Cause::Volume) - 500.0).abs() < 1e-6, "{rows:?}");
    assert_eq!(amount(&rows, Cause::Efficiency), 0.0, "{rows:?}");
    // One that begins where the service was before is new there.
    let begun = explain(&input(vec![of(1, "1000", "1000"), of(2, "400", "0")]));
    assert_eq!(amount(&begun, Cause::NewServices), 400.0, "{begun:?}");
}

// The part of a release without a course of its own, by the days of both periods after it.
fn lasting_part(per_day: &str, after: (u32, u32), known: (u32, u32)) -> BigDecimal {
    let per_day = number(per_day);
    let course = ReleaseCourse { after: &[], lasting: &per_day };
    let added = |count| course.added(|_| false, count);
    release_part((&added(after.0), &added(after.1)), known)
}

/// A release that raised cost raised it, however short the period is that came after it.
#[test]
fn a_release_is_told_by_the_share_of_days_after_it() {
    let part = |after, known| amount_of(&lasting_part("40", after, known));
    // As many days in both: exactly those after it.
    assert_eq!(lasting_part("40", (30, 12), (30, 30)), number("720"));
    assert_eq!(lasting_part("0.1", (7, 0), (7, 7)), number("0.7"));
    // Five days of November, all after the tenth of October, against 21 of 31.
    let mean = 26.0 / (31.0f64 / 5.0).ln();
    assert!((part((5, 21), (5, 31)) - 40.0 * mean * (1.0 - 21.0 / 31.0)).abs() < 1e-9);
    // February is shorter than January, and all of it lies after the second of January.
    assert!(part((28, 29), (28, 31)) > 0.0);
    // In force on all days of both: no difference comes from it.
    assert_eq!(part((28, 31), (28, 31)), 0.0);
    // Nothing is said of a period without a known day.
    assert_eq!(part((0, 21), (0, 31)), 0.0);
}

/// What a step of a release did to the cost of each day is what its part says, beside the days: nothing is left to
/// efficiency.
#[test]
fn a_release_and_fewer_days_are_not_counted_twice() {
    // A hundred a day, then 140 from the eleventh of October on; five days of November.
    let mut open = input(vec![usage(1, side("700", "700", "700"), side("3940", "3940", "3940"))]);
    (open.days, open.days_before, open.days_to_come) = (30, 31, (25, 0));
    let part = lasting_part("40", (5, 21), (5, 31));
    open.facts.insert(
        place_of(1),
        ServiceFacts { traffic: Some((1000.0, 1000.0)), releases: vec![part], ..ServiceFacts::default() },
    );
    let rows = explain(&open);
    assert_eq!(sum(&rows), number("-3240"));
    assert!(amount(&rows, Cause::ReleasesUp) > 150.0, "{rows:?}");
    assert!(amount(&rows, Cause::Efficiency).abs() < 10.0, "{rows:?}");
}

// Two months of thirty days: what a release on the tenth of the later one, or of the earlier one, adds to the
// difference.
fn course_part(course: ReleaseCourse<'_>, tenth_of_now: bool) -> BigDecimal {
    // Days 11 to 30 of its own month lie after it: 14 of the course, and six.
    let own = course.added(|_| true, 30 - 10 - 14);
    let next = course.added(|_| false, 30);
    let nothing = BigDecimal::zero();
    if tenth_of_now { release_part((&own, &nothing), (30, 30)) } else { release_part((&next, &own), (30, 30)) }
}

/// Three days at 187 are 40 a day over two weeks: they raise the month that they lie in by what they cost, and the
/// month after it is as much cheaper, which is no efficiency.
#[test]
fn a_pulse_is_over_when_it_is_over() {
    let (mut after, none) = (vec![number("187"); 3], BigDecimal::zero());
    after.resize(14, BigDecimal::zero());
    let pulse = ReleaseCourse { after: &after, lasting: &none };
    assert_eq!(course_part(pulse, true), number("561"));
    assert_eq!(course_part(pulse, false), number("-561"));
    // A hundred a day, and the pulse in the month before.
    let mut over = input(vec![usage(1, side("3000", "3000", "3000"), side("3561", "3561", "3561"))]);
    let releases = vec![course_part(pulse, false)];
    let facts = ServiceFacts { traffic: Some((1000.0, 1000.0)), releases, ..ServiceFacts::default() };
    over.facts.insert(place_of(1), facts);
    let rows = explain(&over);
    assert_eq!(amount(&rows, Cause::ReleasesDown), -561.0, "{rows:?}");
    assert!(amount(&rows, Cause::Efficiency).abs() < 1e-6 && amount(&rows, Cause::ReleasesUp) == 0.0, "{rows:?}");
    assert_eq!(sum(&rows), number("-561"));
}

/// What grows by two a day for two weeks lasts at 28: its mean of 15 would tell too little of the month after it.
#[test]
fn a_ramp_goes_on_at_its_height() {
    let after: Vec<BigDecimal> = (1..=14).map(|day| BigDecimal::from(2 * day)).collect();
    let height = number("28");
    let ramp = ReleaseCourse { after: &after, lasting: &height };
    assert_eq!(course_part(ramp, true), number("378"), "210 in two weeks, and six days at 28");
    assert_eq!(course_part(ramp, false), number("462"), "thirty days at 28, less those 378");
    // In force as it is on all days of both, it is no difference, however many they are.
    let later = |count| ramp.added(|_| false, count);
    assert!(release_part((&later(28), &later(31)), (28, 31)).is_zero());
    // Some of its days lack their bill.
    assert_eq!(ramp.added(|place| place >= 12, 0), number("54"));
}

/// Half of a month that has gone as the one before: what is missing of it is days to come, and nothing else.
#[test]
fn days_to_come_are_no_saving() {
    let mut open = input(vec![usage(1, side("150", "150", "150"), side("310", "310", "310"))]);
    (open.days, open.days_before, open.days_to_come) = (30, 31, (15, 0));
    open.facts.insert(place_of(1), ServiceFacts { traffic: Some((1000.0, 1000.0)), ..ServiceFacts::default() });
    let rows = explain(&open);
    let mean = 160.0 / (310.0f64 / 150.0).ln();
    assert!((amount(&rows, Cause::CalendarDays) - mean * (30.0f64 / 31.0).ln()).abs() < 1e-9, "{rows:?}");
    assert!((amount(&rows, Cause::DaysToCome) - mean * 0.5f64.ln()).abs() < 1e-9, "{rows:?}");
    assert_eq!((amount(&rows, Cause::Efficiency), amount(&rows, Cause::Volume)), (0.0, 0.0), "{rows:?}");
    assert_eq!(sum(&rows), number("-160"));
    // Before the first complete day nothing else can be said.
    open.days_to_come = (30, 0);
    let rows = explain(&open);
    assert_eq!(rows[0], Row { cause: Cause::DaysToCome, amount: number("-160") });
}

/// What is billed once for a month says the same of half of the month as of all of it.
#[test]
fn a_charge_of_the_whole_month_is_not_spread_over_its_days() {
    let fee = |now: &str| Line { is_once: true, ..usage(1, side(now, now, "1"), side("100", "100", "1")) };
    let open = |lines| Input { days: 30, days_before: 31, days_to_come: (15, 0), ..input(lines) };
    let daily = || usage(1, side("150", "150", "150"), side("310", "310", "310"));
    assert_eq!(explain(&open(vec![daily(), fee("100")])), explain(&open(vec![daily()])));
    // A dearer one is a price, whatever day it is.
    let rows = explain(&open(vec![fee("120")]));
    assert!((amount(&rows, Cause::ListPrice) - 20.0).abs() < 1e-9, "{rows:?}");
    assert_eq!(rows.len(), 2, "{rows:?}");
    // Also where its source is late since.
    let mut late = fee("120");
    late.lacking_days = (3, 0);
    assert_eq!(explain(&open(vec![late])), rows);
}

/// A line whose bill is late is known on fewer days than one whose bill is there.
#[test]
fn a_bill_that_is_missing_is_no_saving() {
    let mut late = usage(1, side("90", "90", "90"), side("120", "120", "120"));
    late.lacking_days = (3, 0);
    let mut input = input(vec![late, usage(1, side("24", "24", "24"), side("24", "24", "24"))]);
    (input.days, input.days_before) = (12, 12);
    input.facts.insert(place_of(1), ServiceFacts { traffic: Some((1000.0, 1000.0)), ..ServiceFacts::default() });
    let rows = explain(&input);
    assert!((amount(&rows, Cause::BillMissing) + 30.0).abs() < 1e-9, "{rows:?}");
    assert!(rows.iter().all(|row| row.cause == Cause::BillMissing || row.amount.is_zero()), "{rows:?}");
    // Known on no day of the period: a service does not end because its bill is late.
    let mut gone = usage(2, Side::default(), side("50", "50", "50"));
    gone.lacking_days = (12, 0);
    input.lines = vec![gone];
    input.change = number("-50");
    assert_eq!(explain(&input)[0], Row { cause: Cause::BillMissing, amount: number("-50") });
}

#[test]
fn what_a_line_says_of_itself_comes_first() {
    let of = |category: &str, class: &str, status: &str, change: &str| Line {
        place: place_of(1),
        charge_category: category.into(),
        charge_class: class.into(),
        commitment_discount_status: status.into(),
        now: side(change, "0", "0"),
        ..Line::default()
    };
    let rows = explain(&input(vec![
        of("Credit", "", "", "-5"),
        of("Tax", "", "", "7"),
        of("Usage", "Correction", "", "-1"),
        of("Adjustment", "", "", "2"),
        of("Purchase", "", "", "100"),
        of("Usage", "", "Unused", "3"),
        of("", "", "", "4"),
    ]));
    let seen: Vec<(&str, String)> = rows.iter().map(|row| (row.cause.key(), row.amount.to_string())).collect();
    let expected =
        [("credits", "-5"), ("tax", "7"), ("corrections", "1"), ("commitments", "103"), ("not-explained", "4")];
    assert_eq!(seen, expected.map(|(key, amount)| (key, amount.to_owned())));
}

#[test]
fn services_come_and_go_and_what_is_stated_stays() {
    let mut input = input(vec![
        usage(1, side("10.000000000000000001", "12", "3"), Side::default()),
        usage(2, Side::default(), side("4", "4", "4")),
    ]);
    input.stated.push((Cause::AllocationRules, number("2.5")));
    input.change += number("2.5");
    let rows = explain(&input);
    assert_eq!(rows[0], Row { cause: Cause::AllocationRules, amount: number("2.5") });
    assert_eq!(rows[1], Row { cause: Cause::NewServices, amount: number("10.000000000000000001") });
    assert_eq!(rows[2], Row { cause: Cause::EndedServices, amount: number("-4") });
    assert!(rows[3].amount.is_zero());
}

#[test]
fn a_new_sku_of_a_known_service_is_mix_and_a_covered_one_shows_its_commitment() {
    let rows = explain(&input(vec![
        usage(1, side("100", "100", "100"), side("100", "100", "100")),
        usage(1, side("25", "25", "5"), Side::default()),
    ]));
    // A quarter more is used, in a SKU that was not there.
    assert!((amount(&rows, Cause::Mix) + amount(&rows, Cause::Volume) - 25.0).abs() < 1e-9, "{rows:?}");

    let mut covered = usage(1, side("60", "100", "100"), side("80", "100", "100"));
    covered.commitment_discount_status = "Used".into();
    let rows = explain(&input(vec![covered]));
    assert!((amount(&rows, Cause::Commitments) + 20.0).abs() < 1e-9, "{rows:?}");
}

#[test]
fn use_without_a_quantity_is_not_explained_and_refunds_neither() {
    let rows = explain(&input(vec![
        usage(1, side("50", "0", "0"), side("40", "0", "0")),
        usage(1, side("-3", "0", "0"), side("2", "0", "0")),
    ]));
    assert_eq!(rows, [Row { cause: Cause::NotExplained, amount: number("5") }]);
}

fn any_side() -> impl Strategy<Value = Side> {
    let amount = || {
        prop_oneof![3 => 0i64..5_000_000_000, 1 => Just(0), 1 => -1_000_000i64..0]
            .prop_map(|units| BigDecimal::new(units.into(), 7))
    };
    (amount(), amount(), amount(), amount()).prop_map(|(cost, list_cost, contracted_cost, quantity)| Side {
        effective_cost: cost.clone(),
        cost,
        list_cost,
        contracted_cost,
        quantity,
    })
}

fn any_line() -> impl Strategy<Value = Line> {
    let category = prop::sample::select(vec!["Usage", "Usage", "Usage", "Credit", "Tax", "Purchase", "Adjustment", ""]);
    let class = prop::sample::select(vec!["", "", "", "Correction"]);
    let status = prop::sample::select(vec!["", "Used", "Unused"]);
    let pricing = prop::sample::select(vec!["", "Standard", "Committed", "Dynamic"]);
    let is_there = prop::sample::select(vec![(true, true), (true, true), (true, false), (false, true)]);
    let place = ((0i64..4, 0i64..3), 0i64..2, 0i64..3);
    (place, category, class, (status, pricing), (any_side(), any_side()), is_there).prop_map(
        |(
            ((service_id, environment_id), product, sku),
            category,
            class,
            (status, pricing),
            (now, before),
            is_there,
        )| Line {
            place: Place { service_id, environment_id },
            product,
            sku,
            charge_category: category.into(),
            charge_class: class.into(),
            pricing_category: pricing.into(),
            commitment_discount_status: status.into(),
            now: if is_there.0 { now } else { Side::default() },
            before: if is_there.1 { before } else { Side::default() },
            ..Line::default()
        },
    )
}

proptest! {
    #[test]
    fn the_rows_add_up_to_the_change_to_the_last_digit(
        lines in prop::collection::vec(any_line(), 0..30),
        days in (1u32..400, 1u32..400),
        to_come in (0u32..40, 0u32..40),
        lacking in (0u32..40, 0u32..40),
        unknown in -1_000_000i64..1_000_000,
        traffic in prop::option::of((0.1f64..1e9, 0.1f64..1e9)),
        variable_share in prop::option::of(0.0f64..=1.0),
        is_before_commitments in prop::bool::ANY,
        releases in prop::collection::vec(-1_000_000i64..1_000_000, 0..4),
        moved in -1_000_000i64..1_000_000,
    ) {
        let mut input = input(lines);
        (input.days, input.days_before) = days;
        input.days_to_come = to_come;
        input.is_before_commitments = is_before_commitments;
        input.lines.iter_mut().step_by(2).for_each(|line| line.lacking_days = lacking);
        input.lines.iter_mut().step_by(3).for_each(|line| line.is_once = true);
        input.change += BigDecimal::new(unknown.into(), 9);
        input.stated.push((Cause::SharedCost, BigDecimal::new(moved.into(), 3)));
        let releases = releases.into_iter().map(|units| BigDecimal::new(units.into(), 4)).collect();
        input.facts.insert(place_of(1), ServiceFacts { traffic, variable_share, releases });
        let rows = explain(&input);
        prop_assert_eq!(sum(&rows), input.change.clone());
        prop_assert!(rows.windows(2).all(|pair| pair[0].cause < pair[1].cause));
        prop_assert_eq!(rows.last().unwrap().cause, Cause::NotExplained);
        // Another order of the lines tells the same story.
        input.lines.reverse();
        prop_assert_eq!(sum(&explain(&input)), input.change.clone());
    }
    /// Asked of each environment by itself, the rows are those of all of them, cause by cause and to the last digit.
    #[test]
    fn the_causes_of_environments_add_up_to_those_of_all(
        lines in prop::collection::vec(any_line(), 0..30),
        days in (1u32..400, 1u32..400),
        facts in prop::collection::vec(
            (prop::option::of((0.1f64..1e9, 0.1f64..1e9)), prop::option::of(0.0f64..=1.0), -1_000_000i64..1_000_000),
            12,
        ),
    ) {
        let mut all = input(lines);
        (all.days, all.days_before) = days;
        for (number, (traffic, variable_share, release)) in (0i64..).zip(facts) {
            let place = Place { service_id: number / 3, environment_id: number % 3 };
            let releases = vec![BigDecimal::new(release.into(), 4)];
            all.facts.insert(place, ServiceFacts { traffic, variable_share, releases });
        }
        let mut sums: BTreeMap<Cause, BigDecimal> = BTreeMap::new();
        for environment_id in 0..3 {
            let own = all.lines.iter().filter(|line| line.place.environment_id == environment_id).cloned().collect();
            let one = Input { days: all.days, days_before: all.days_before, facts: all.facts.clone(), ..input(own) };
            for row in explain(&one) {
                *sums.entry(row.cause).or_default() += row.amount;
            }
        }
        sums.retain(|cause, amount| *cause == Cause::NotExplained || !amount.is_zero());
        let rows: BTreeMap<Cause, BigDecimal> = explain(&all).into_iter().map(|row| (row.cause, row.amount)).collect();
        prop_assert_eq!(rows, sums);
    }
}
