use super::plan::ALL_ENVIRONMENTS;
use super::*;
use bigdecimal::Signed;
use bigdecimal::num_bigint::BigUint;
use chrono::NaiveDate;
use proptest::prelude::*;

fn number(text: &str) -> BigDecimal {
    text.parse().unwrap()
}

fn split(id: i64, source: i64, method: Method, targets: &[(i64, Option<&str>)]) -> Split {
    let target = |(service_id, percent): &(i64, Option<&str>)| SplitTarget {
        service_id: *service_id,
        percent: percent.map(number),
    };
    Split {
        split_id: id,
        name: format!("split {id}"),
        source,
        method,
        targets: targets.iter().map(target).collect(),
        by_environment: false,
        validity: Validity::default(),
    }
}

fn name(id: i64) -> String {
    ["Not allocated", "A", "B", "C", "D"].get(id as usize).map_or_else(|| id.to_string(), |name| (*name).to_owned())
}

fn key(environment_id: i64, currency: &str) -> RowKey {
    RowKey {
        charge_date: NaiveDate::from_ymd_opt(2026, 10, 3).unwrap(),
        generation_id: 4096,
        environment_id,
        provider_name: "Cloud".into(),
        charge_category: "Usage".into(),
        billing_currency: currency.into(),
        is_used: true,
    }
}

fn row(service_id: i64, environment_id: i64, cost: &str) -> SourceRow {
    SourceRow {
        service_id,
        key: key(environment_id, "USD"),
        costs: [number(cost), number(cost), number("0"), number(cost)],
    }
}

/// Drivers of one day: service, environment, own cost.
fn direct(values: &[(i64, i64, &str)]) -> Drivers {
    direct_in("USD", values)
}

fn direct_in(currency: &str, values: &[(i64, i64, &str)]) -> Drivers {
    let mut drivers = Drivers::default();
    let charge_date = NaiveDate::from_ymd_opt(2026, 10, 3).unwrap();
    for (service_id, environment_id, value) in values {
        for environment_id in [*environment_id, ALL_ENVIRONMENTS] {
            let day = drivers.direct.entry((currency.into(), Day { charge_date, environment_id })).or_default();
            *day.entry(*service_id).or_default() += number(value);
        }
    }
    drivers
}

fn run(splits: &[Split], rows: Vec<SourceRow>, drivers: &Drivers) -> (Vec<String>, usize) {
    let (moved, stayed) = Plan::new(splits, name).unwrap().work_out(rows, drivers);
    let text = |one: &Moved| {
        let cost = one.costs[1].normalized().to_plain_string();
        format!("{} {} env {} {cost}", one.split_id, name(one.service_id), one.key.environment_id)
    };
    (moved.iter().map(text).collect(), stayed.len())
}

#[test]
fn a_third_each_adds_up_to_the_last_digit() {
    let even = split(1, 1, Method::Even, &[(2, None), (3, None), (4, None)]);
    let (moved, stayed) = run(&[even], vec![row(1, 0, "10")], &Drivers::default());
    assert_eq!(
        moved,
        ["1 B env 0 3.3333333334", "1 C env 0 3.3333333333", "1 D env 0 3.3333333333", "1 A env 0 -10"],
        "at ten places, the unit that is left goes to the first of equal remainders"
    );
    assert_eq!(stayed, 0);
}

#[test]
fn fixed_percentages_and_what_was_meant_for_one_that_is_gone() {
    let mut fixed = split(1, 1, Method::Fixed, &[(2, Some("33.3")), (3, Some("66.7"))]);
    let (moved, _) = run(std::slice::from_ref(&fixed), vec![row(1, 5, "-1.5")], &Drivers::default());
    assert_eq!(moved, ["1 B env 5 -0.4995", "1 C env 5 -1.0005", "1 A env 5 1.5"], "a credit is divided as a credit");
    assert_eq!(fixed.check(), Ok(()));
    fixed.targets.pop();
    assert_eq!(fixed.check(), Err(SplitError::NotAHundred("33.3".into())));
}

#[test]
fn fixed_percentages_by_environment_are_those_of_who_is_there() {
    let fixed = split(1, 1, Method::Fixed, &[(2, Some("50")), (3, Some("30")), (4, Some("20"))]);
    let fixed = Split { by_environment: true, ..fixed };
    assert_eq!(fixed.check(), Ok(()));
    let drivers = direct(&[(2, 7, "1"), (3, 7, "1"), (4, 7, "1"), (3, 8, "5"), (4, 8, "1")]);
    let rows = vec![row(1, 7, "8"), row(1, 8, "10"), row(1, 9, "2")];
    let (moved, stayed) = run(std::slice::from_ref(&fixed), rows.clone(), &drivers);
    assert_eq!(
        moved,
        [
            "1 B env 7 4",
            "1 C env 7 2.4",
            "1 D env 7 1.6",
            "1 A env 7 -8",
            "1 C env 8 6",
            "1 D env 8 4",
            "1 A env 8 -10"
        ]
    );
    assert_eq!(stayed, 1, "nobody has cost in the third environment");
    // What was meant for one that is gone stays in every environment.
    let plan = Plan::lenient(&[fixed], &[1, 2, 3].into(), name).unwrap();
    let (moved, _) = plan.work_out(rows, &drivers);
    let to_c = moved.iter().filter(|one| one.service_id == 3).map(|one| one.costs[1].normalized().to_plain_string());
    assert_eq!(to_c.collect::<Vec<_>>(), ["2.4", "6"]);
}

#[test]
fn who_is_there_is_there_for_cost_in_any_currency() {
    let fixed = split(1, 1, Method::Fixed, &[(2, Some("50")), (3, Some("50"))]);
    let even = split(1, 1, Method::Even, &[]);
    let mut drivers = direct(&[(2, 7, "9"), (3, 7, "-1"), (4, 8, "1")]);
    drivers.direct.extend(direct_in("EUR", &[(3, 7, "1"), (2, 8, "0")]).direct);
    let euros = |environment_id| {
        let row = row(1, environment_id, "8");
        SourceRow { key: key(environment_id, "EUR"), ..row }
    };
    let rows = || vec![euros(7), euros(8), euros(9)];
    let by_environment = Split { by_environment: true, ..fixed };
    let both = ["1 B env 7 4", "1 C env 7 4", "1 A env 7 -8"];
    let (moved, stayed) = run(&[by_environment], rows(), &drivers);
    assert_eq!((moved.iter().map(String::as_str).collect::<Vec<_>>(), stayed), (both.to_vec(), 2));
    let (moved, stayed) = run(&[Split { by_environment: true, ..even.clone() }], rows(), &drivers);
    let eighth = ["1 D env 8 8", "1 A env 8 -8"];
    assert_eq!((moved, stayed), ([&both[..], &eighth].concat().iter().map(ToString::to_string).collect(), 1));
    let (moved, stayed) = run(&[even], vec![euros(9)], &drivers);
    assert_eq!((moved.len(), stayed), (4, 0), "three of them have cost on the day: {moved:?}");
    // Own cost is a proportion in its currency alone.
    let by_cost = split(1, 1, Method::DirectCost, &[]);
    let (moved, _) = run(&[by_cost], vec![euros(7)], &drivers);
    assert_eq!(moved, ["1 C env 7 8", "1 A env 7 -8"]);
}

#[test]
fn in_proportion_to_own_cost_and_never_negative() {
    let by_cost = split(1, 1, Method::DirectCost, &[]);
    let drivers = direct(&[(2, 7, "3"), (3, 7, "1"), (3, 8, "4"), (4, 8, "-9"), (1, 7, "100"), (0, 7, "50")]);
    let (moved, _) = run(std::slice::from_ref(&by_cost), vec![row(1, 7, "8")], &drivers);
    assert_eq!(
        moved,
        ["1 B env 7 3", "1 C env 7 5", "1 A env 7 -8"],
        "credits, the source and what is not allocated weigh nothing"
    );
    let by_environment = Split { by_environment: true, ..by_cost };
    let (moved, _) = run(&[by_environment], vec![row(1, 7, "8")], &drivers);
    assert_eq!(moved, ["1 B env 7 6", "1 C env 7 2", "1 A env 7 -8"]);
}

#[test]
fn nothing_to_divide_by_leaves_the_cost_where_it_is() {
    let by_metric = split(1, 1, Method::Metric("requests".into()), &[(2, None), (3, None)]);
    let (moved, stayed) = run(&[by_metric], vec![row(1, 0, "8")], &direct(&[(2, 0, "3")]));
    assert_eq!((moved.len(), stayed), (0, 1));
}

#[test]
fn usage_without_an_environment_divides_the_cost_of_each() {
    let by_requests = || {
        let split = split(1, 1, Method::Metric("requests".into()), &[(2, None), (3, None)]);
        Split { by_environment: true, ..split }
    };
    let charge_date = key(0, "USD").charge_date;
    let mut drivers = Drivers::default();
    for (service_id, environment_id, value) in [(2, 7, "3"), (2, 8, "1"), (3, 0, "1")] {
        let day = drivers.metrics.entry(("requests".into(), Day { charge_date, environment_id })).or_default();
        day.insert(service_id, number(value));
    }
    let divided = |by_cost: &[Drivers]| {
        let direct = by_cost.iter().flat_map(|one| one.direct.clone()).collect();
        let rows = vec![row(1, 7, "8"), row(1, 8, "4"), row(1, 9, "2")];
        run(&[by_requests()], rows, &Drivers { direct, ..drivers.clone() })
    };
    let seventh = ["1 B env 7 6", "1 C env 7 2", "1 A env 7 -8"];
    let eighth = ["1 B env 8 2", "1 C env 8 2", "1 A env 8 -4"];
    let ninth = ["1 C env 9 2", "1 A env 9 -2"];
    let of_all = [&seventh[..], &eighth, &ninth].concat();
    let expected = |moved: &[&str], stayed: usize| {
        let moved: Vec<String> = moved.iter().map(|one| (*one).to_owned()).collect();
        (moved, stayed)
    };
    assert_eq!(divided(&[]), expected(&of_all, 0), "where C runs is not known");

    // C costs something in one of them only, and gets nothing of what the others cost.
    let without_c = ["1 B env 8 4", "1 A env 8 -4"];
    assert_eq!(divided(&[direct(&[(3, 7, "1")])]), expected(&[&seventh[..], &without_c].concat(), 1));
    // What it costs without an environment may be of any.
    assert_eq!(divided(&[direct(&[(3, 0, "1")])]), expected(&of_all, 0));
    assert_eq!(divided(&[direct(&[(3, 0, "1"), (3, 7, "1")])]), expected(&of_all, 0));
    // Zero is no cost, without an environment or in one; two costs are, whose sum is zero.
    let in_seventh = expected(&[&seventh[..], &without_c].concat(), 1);
    assert_eq!(divided(&[direct(&[(3, 0, "0"), (3, 7, "1")])]), in_seventh);
    assert_eq!(divided(&[direct(&[(3, 8, "0"), (3, 7, "1")])]), in_seventh);
    assert_eq!(divided(&[direct(&[(3, 0, "0"), (3, 7, "0")])]), expected(&of_all, 0), "it costs nothing anywhere");
    let opposite = [direct(&[(3, 7, "1"), (3, 8, "-1")])];
    assert_eq!(divided(&opposite), expected(&[&seventh[..], &eighth].concat(), 1));
    // A cost is one in whatever currency, of this pool or another.
    let euros = || direct_in("EUR", &[(3, 7, "1")]);
    let both = [direct(&[(3, 8, "1")]), euros()];
    assert_eq!(divided(&both), expected(&[&seventh[..], &eighth].concat(), 1));
    assert_eq!(divided(&[euros()]), expected(&[&seventh[..], &without_c].concat(), 1));
}

#[test]
fn a_chain_is_worked_out_in_its_order_whatever_the_list_says() {
    let second = split(1, 2, Method::Even, &[(3, None), (4, None)]);
    let first = split(2, 1, Method::Even, &[(2, None), (3, None)]);
    let (moved, _) = run(&[second, first], vec![row(1, 0, "8"), row(2, 0, "2")], &Drivers::default());
    assert_eq!(moved, ["2 B env 0 4", "2 C env 0 4", "2 A env 0 -8", "1 C env 0 3", "1 D env 0 3", "1 B env 0 -6"]);
}

#[test]
fn loops_and_two_splits_of_one_cost_are_named() {
    let loops = [
        split(1, 1, Method::Even, &[(2, None)]),
        split(2, 2, Method::Even, &[(3, None), (4, None)]),
        split(3, 3, Method::Even, &[(1, None)]),
    ];
    let error = Plan::new(&loops, name).unwrap_err();
    assert!(matches!(&error, SplitError::Loop(path) if path.matches("→").count() == 3), "{error}");
    assert!(error.to_string().contains("A → B → C → A") || error.to_string().contains("C → A → B → C"), "{error}");
    let mut twice = [split(1, 1, Method::Even, &[(2, None)]), split(2, 1, Method::Even, &[(3, None)])];
    assert!(matches!(Plan::new(&twice, name), Err(SplitError::SameSource(..))));
    let day = |text: &str| Some(text.parse().unwrap());
    twice[0].validity = Validity { first_day: None, last_day: day("2026-09-30") };
    twice[1].validity = Validity { first_day: day("2026-10-01"), last_day: None };
    assert_eq!(listed(&twice), [1, 2]);
    let (moved, _) = run(&twice, vec![row(1, 0, "8")], &Drivers::default());
    assert_eq!(moved, ["2 C env 0 8", "2 A env 0 -8"]);
}

fn listed(splits: &[Split]) -> Vec<i64> {
    Plan::new(splits, name).unwrap().splits().iter().map(|split| split.split_id).collect()
}

fn on_days(split: Split, first: Option<&str>, last: Option<&str>) -> Split {
    let day = |text: &str| text.parse().unwrap();
    Split { validity: Validity { first_day: first.map(day), last_day: last.map(day) }, ..split }
}

#[test]
fn a_loop_is_one_only_where_all_of_it_holds_on_one_day() {
    let there = split(1, 1, Method::Even, &[(2, None)]);
    let back = split(2, 2, Method::Even, &[(1, None)]);
    let turned = [on_days(there.clone(), None, Some("2026-09-30")), on_days(back.clone(), Some("2026-10-01"), None)];
    let (moved, _) = run(&turned, vec![row(1, 0, "8"), row(2, 0, "2")], &Drivers::default());
    assert_eq!(moved, ["2 A env 0 2", "2 B env 0 -2"], "of October only the second one holds");
    for both in [
        [on_days(there.clone(), None, Some("2026-10-01")), turned[1].clone()],
        [turned[0].clone(), on_days(back.clone(), Some("2026-09-30"), Some("2026-09-30"))],
        [there, on_days(back, Some("2026-10-01"), Some("2026-10-31"))],
    ] {
        let error = Plan::new(&both, name).unwrap_err();
        assert!(matches!(&error, SplitError::Loop(path) if path.matches("→").count() == 2), "{error}");
    }
}

#[test]
fn who_was_divided_once_gets_a_share_again() {
    let everyone = split(1, 1, Method::DirectCost, &[]);
    let ended = on_days(split(2, 2, Method::Even, &[(3, None)]), None, Some("2026-10-02"));
    let drivers = direct(&[(2, 0, "3"), (3, 0, "1")]);
    let (moved, _) = run(&[everyone.clone(), ended.clone()], vec![row(1, 0, "8"), row(2, 0, "3")], &drivers);
    assert_eq!(moved, ["1 B env 0 6", "1 C env 0 2", "1 A env 0 -8"]);
    let lasting = on_days(ended, None, Some("2026-10-03"));
    let (moved, _) = run(&[everyone, lasting], vec![row(1, 0, "8"), row(2, 0, "3")], &drivers);
    assert_eq!(moved, ["1 C env 0 8", "1 A env 0 -8", "2 C env 0 3", "2 B env 0 -3"]);
}

/// Four splits of which each feeds the next on some days, though never all of them on one: no order fits all days.
#[test]
fn each_day_has_an_order_of_its_own() {
    let (october, november) = ("2026-10-31", "2026-11-01");
    let splits = [
        on_days(split(1, 1, Method::Even, &[(2, None)]), None, Some("2026-10-31")),
        split(2, 2, Method::Even, &[(3, None)]),
        on_days(split(3, 3, Method::Even, &[(4, None)]), Some("2026-11-01"), None),
        split(4, 4, Method::Even, &[(1, None)]),
    ];
    let plan = Plan::new(&splits, name).unwrap();
    let order = |day: &str| {
        let on: Vec<i64> = plan.splits_on(day.parse().unwrap()).map(|split| split.split_id).collect();
        on.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!([order(october), order(november)], ["4 1 2 3", "2 3 4 1"], "those that do not hold come behind");
    let of = |day: &str| {
        let mut row = row(4, 0, "8");
        row.key.charge_date = day.parse().unwrap();
        row
    };
    let (moved, _) = plan.work_out(vec![of(october), of(november)], &Drivers::default());
    let ends = |day: &str, id: i64| {
        let day: NaiveDate = day.parse().unwrap();
        let own = moved.iter().filter(|one| one.key.charge_date == day && one.service_id == id);
        own.map(|one| one.costs[1].clone()).sum::<BigDecimal>()
    };
    assert_eq!((ends(october, 3), ends(october, 1)), (number("8"), number("0")), "D, A, B, C in October");
    assert_eq!((ends(november, 1), ends(november, 3)), (number("8"), number("0")), "D, A in November");
}

#[test]
fn what_is_wrong_is_said() {
    let check = |split: Split| split.check().unwrap_err();
    assert_eq!(check(split(1, 1, Method::Even, &[(1, None)])), SplitError::GivesToItself);
    assert_eq!(check(split(1, 1, Method::Even, &[(2, None), (2, None)])), SplitError::Twice);
    assert_eq!(check(split(1, 1, Method::Even, &[(2, Some("1"))])), SplitError::PercentWithoutUse);
    assert_eq!(check(split(1, 1, Method::Fixed, &[])), SplitError::FixedForEveryone);
    assert_eq!(check(split(1, 1, Method::Fixed, &[(2, Some("0")), (3, Some("100"))])), SplitError::NoPercent);
    assert_eq!(check(split(1, 1, Method::Metric(" ".into()), &[])), SplitError::NoMetric);
}

proptest! {
    /// N13: whatever the amount and the weights, shares add up exactly and none has the other sign.
    #[test]
    fn shares_add_up_and_keep_the_sign(
        digits in any::<i64>(),
        scale in 0i64..25,
        weights in prop::collection::vec(0u64..1_000_000_000_000, 0..9),
    ) {
        let amount = BigDecimal::new(digits.into(), scale);
        let whole: Vec<BigUint> = weights.iter().map(|weight| BigUint::from(*weight)).collect();
        match shares(&amount, &whole) {
            None => prop_assert!(weights.iter().all(|weight| *weight == 0)),
            Some(parts) => {
                prop_assert_eq!(parts.iter().sum::<BigDecimal>(), amount.clone());
                let total: BigDecimal = weights.iter().map(|weight| BigDecimal::from(*weight)).sum();
                let unit = BigDecimal::new(1.into(), scale.max(PLACES_MIN));
                for (part, weight) in parts.iter().zip(&weights) {
                    prop_assert!(part.is_zero() || part.is_negative() == amount.is_negative());
                    prop_assert!(*weight > 0 || part.is_zero());
                    let off = (part * &total - &amount * BigDecimal::from(*weight)).abs();
                    prop_assert!(off < &unit * &total, "within one unit of the last place");
                }
            }
        }
    }

    /// Whatever the chain, each day, environment, provider and currency keeps its total, in all four columns.
    #[test]
    fn every_total_stays(
        costs in prop::collection::vec((0i64..3, 0i64..3, -1_000_000i64..1_000_000), 1..12),
        own in prop::collection::vec((0i64..6, 0i64..3, -500i64..1_000), 0..12),
        environments in any::<[bool; 3]>(),
    ) {
        let methods = [Method::DirectCost, Method::Even, Method::DirectCost];
        let mut splits: Vec<Split> = methods.into_iter().zip(0..).map(|(method, id)| split(id + 1, id, method, &[])).collect();
        splits[1].targets = vec![SplitTarget { service_id: 2, percent: None }, SplitTarget { service_id: 4, percent: None }];
        for (split, by_environment) in splits.iter_mut().zip(environments) {
            split.by_environment = by_environment;
        }
        let rows: Vec<SourceRow> =
            costs.iter().map(|(service, env, units)| row(*service, *env, &BigDecimal::new((*units).into(), 4).to_string())).collect();
        let texts: Vec<(i64, i64, String)> = own.iter().map(|(service, env, value)| (*service, *env, value.to_string())).collect();
        let drivers = direct(&texts.iter().map(|(service, env, value)| (*service, *env, value.as_str())).collect::<Vec<_>>());
        let plan = Plan::new(&splits, name).unwrap();
        let (moved, _) = plan.work_out(rows.clone(), &drivers);
        prop_assert_eq!(&plan.work_out(rows, &drivers).0, &moved, "the same again");
        let mut sums: std::collections::BTreeMap<(i64, RowKey), [BigDecimal; 4]> = Default::default();
        for one in &moved {
            let sum = sums.entry((one.split_id, one.key.clone())).or_default();
            for (sum, cost) in sum.iter_mut().zip(&one.costs) {
                *sum += cost;
            }
        }
        prop_assert!(sums.values().flatten().all(BigDecimal::is_zero));
    }
}
