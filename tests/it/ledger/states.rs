//! The state of the ledger is what its deliveries make it, whatever their order and number.

use super::{ANN, Line, assert_clean, bill, figures, file, import_as_of, request, time};
use crate::support;
use chrono::{DateTime, Duration, Utc};
use costwake::rollup::{ImportOptions, LedgerError, accept, import_with, revert, withdraw};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sqlx::PgPool;
use std::collections::BTreeMap;

const PERIODS: [&str; 2] = ["2026-09", "2026-10"];

#[derive(Debug, Clone)]
enum Step {
    /// Which periods, which content, how many days before or after the newest so far, whether a line is broken.
    Deliver {
        periods: Vec<usize>,
        content: u32,
        days: i64,
        is_broken: bool,
    },
    Accept(usize),
    Revert(usize),
    Withdraw(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let periods = prop_oneof![Just(vec![0]), Just(vec![1]), Just(vec![0, 1])];
    let days = prop_oneof![3 => Just(1_i64), 1 => Just(-3_i64), 1 => Just(0_i64)];
    prop_oneof![
        5 => (periods, 1u32..5, days, prop::bool::weighted(0.25)).prop_map(|(periods, content, days, is_broken)| {
            Step::Deliver { periods, content, days, is_broken }
        }),
        2 => any::<usize>().prop_map(Step::Accept),
        2 => any::<usize>().prop_map(Step::Revert),
        1 => any::<usize>().prop_map(Step::Withdraw),
    ]
}

/// What the ledger should hold, in forty lines.
#[derive(Default)]
struct Oracle {
    deliveries: Vec<Told>,
    /// By period: which delivery counts.
    current: BTreeMap<usize, usize>,
    newest: DateTime<Utc>,
}

struct Told {
    delivery_id: i64,
    periods: Vec<usize>,
    content: (u32, bool),
    version_at: DateTime<Utc>,
    state: &'static str,
    /// By period: what counted before.
    replaced: BTreeMap<usize, usize>,
}

impl Oracle {
    fn objection(&self, told: &Told) -> Option<&'static str> {
        let same = |period: &usize| {
            let current = self.current.get(period).map(|index| &self.deliveries[*index]);
            current.is_some_and(|current| (&current.content, &current.periods) == (&told.content, &told.periods))
        };
        if told.periods.iter().all(same) {
            return Some("unchanged");
        }
        let newer = |period: &&usize| {
            !same(period) && self.current.get(period).is_some_and(|i| self.deliveries[*i].version_at > told.version_at)
        };
        told.periods.iter().find(newer).map(|_| "refused")
    }

    fn publish(&mut self, index: usize) {
        for period in self.deliveries[index].periods.clone() {
            if let Some(before) = self.current.insert(period, index) {
                self.deliveries[index].replaced.insert(period, before);
            }
        }
        self.deliveries[index].state = "published";
        self.settle();
    }

    fn settle(&mut self) {
        for (index, told) in self.deliveries.iter_mut().enumerate() {
            if matches!(told.state, "published" | "superseded") {
                let counts = self.current.values().any(|current| *current == index);
                told.state = if counts { "published" } else { "superseded" };
            }
        }
    }

    fn take_back(&mut self, index: usize, to_the_one_before: bool) {
        for period in self.deliveries[index].periods.clone() {
            if self.current.get(&period) != Some(&index) {
                continue;
            }
            self.current.remove(&period);
            if let Some(before) = self.deliveries[index].replaced.get(&period).filter(|_| to_the_one_before) {
                self.current.insert(period, *before);
            }
        }
        self.deliveries[index].state = "withdrawn";
        for told in &mut self.deliveries {
            if told.state == "superseded" {
                told.state = "published";
            }
        }
        self.settle();
    }
}

fn text(periods: &[usize], content: u32, is_broken: bool) -> String {
    let lines: Vec<Line> = periods
        .iter()
        .flat_map(|period| {
            (1..=content).map(move |day| Line::of(PERIODS[*period], day, "shop", &format!("{content}.5")))
        })
        .collect();
    let text = bill(&lines);
    if is_broken { text + "not a line\n" } else { text }
}

async fn deliver(pool: &PgPool, oracle: &mut Oracle, step: &Step) {
    let Step::Deliver { periods, content, days, is_broken } = step else { return };
    let version_at = oracle.newest + Duration::days(*days);
    oracle.newest = oracle.newest.max(version_at);
    let folder = tempfile::tempdir().unwrap();
    let request = request(file(folder.path(), &text(periods, *content, *is_broken)), Some("acme"), Some(version_at));
    let receipt = import_with(&support::pools(pool), request, ImportOptions::default(), |_, _, _| {}).await.unwrap();
    let told = Told {
        delivery_id: receipt.delivery_id,
        periods: periods.clone(),
        content: (*content, *is_broken),
        version_at,
        state: "quarantined",
        replaced: BTreeMap::new(),
    };
    let objection = oracle.objection(&told);
    oracle.deliveries.push(told);
    let index = oracle.deliveries.len() - 1;
    match objection {
        Some(state) => oracle.deliveries[index].state = state,
        None if *is_broken => {}
        None => oracle.publish(index),
    }
    assert_eq!(receipt.state, oracle.deliveries[index].state, "{step:?}");
}

async fn apply(pool: &PgPool, oracle: &mut Oracle, step: &Step) {
    let pools = support::pools(pool);
    let now = time("2026-11-21T10:00:00Z");
    let (chosen, verb) = match step {
        Step::Deliver { .. } => return deliver(pool, oracle, step).await,
        Step::Accept(chosen) => (*chosen, 0),
        Step::Revert(chosen) => (*chosen, 1),
        Step::Withdraw(chosen) => (*chosen, 2),
    };
    if oracle.deliveries.is_empty() {
        return;
    }
    let index = chosen % oracle.deliveries.len();
    let (delivery_id, state) = (oracle.deliveries[index].delivery_id, oracle.deliveries[index].state);
    let result = match verb {
        0 => accept(&pools, delivery_id, ANN, now).await.map(drop),
        1 => revert(&pools, delivery_id, ANN, now).await,
        _ => withdraw(&pools, delivery_id, ANN, now).await,
    };
    match (verb, state, result) {
        (0, "quarantined" | "withdrawn", Ok(())) => {
            assert_eq!(oracle.objection(&oracle.deliveries[index]), None);
            oracle.publish(index);
        }
        // The lines of what was taken back long ago are gone.
        (0, "withdrawn", Err(LedgerError::CannotAccept(_))) => {}
        (0, "quarantined", Err(LedgerError::CannotAccept(_))) => {
            assert!(oracle.objection(&oracle.deliveries[index]).is_some());
        }
        (1, "published", Ok(())) => oracle.take_back(index, true),
        (1, "published", Err(LedgerError::NothingBefore(_))) => {}
        (2, "published", Ok(())) => oracle.take_back(index, false),
        (0, "published", Ok(())) | (1 | 2, "withdrawn", Ok(())) => {}
        (_, _, Err(LedgerError::WrongState { .. })) => {}
        (verb, state, result) => panic!("{verb} of a delivery that is {state}: {result:?}"),
    }
}

/// N02: any sequence of deliveries, repeats, late ones, acceptances and takings back.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn any_sequence_ends_where_the_oracle_says(pool: PgPool) {
    let mut runner = TestRunner::deterministic();
    let mut oracle = Oracle { newest: time("2026-11-01T00:00:00Z"), ..Oracle::default() };
    for number in 0..60 {
        let step = step().new_tree(&mut runner).unwrap().current();
        apply(&pool, &mut oracle, &step).await;
        let counted: Vec<(String, i64, String)> = sqlx::query_as(
            "SELECT to_char(billing_period_start, 'YYYY-MM'), delivery_id,
                 (SELECT sum(effective_cost)::text FROM daily_cost d WHERE d.generation_id = g.generation_id)
             FROM generation g WHERE state = 'current' ORDER BY 1",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        let expected: Vec<(String, i64, String)> = oracle
            .current
            .iter()
            .map(|(period, index)| {
                let told = &oracle.deliveries[*index];
                let tenths = told.content.0 * (told.content.0 * 10 + 5);
                (PERIODS[*period].to_owned(), told.delivery_id, format!("{}.{}", tenths / 10, tenths % 10))
            })
            .collect();
        assert_eq!(counted, expected, "step {number}: {step:?}");
        if number % 10 == 9 {
            assert_clean(&pool).await;
        }
    }
    let states: Vec<(i64, String)> =
        sqlx::query_as("SELECT delivery_id, state FROM delivery ORDER BY 1").fetch_all(&pool).await.unwrap();
    let expected: Vec<(i64, String)> =
        oracle.deliveries.iter().map(|told| (told.delivery_id, told.state.to_owned())).collect();
    assert_eq!(states, expected);
}

/// N03: versioned deliveries of one scope in every order end in the same figures.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_order_of_arrival_does_not_matter(pool: PgPool) {
    let mut expected = None;
    for first in 0..4_u32 {
        for second in (0..4).filter(|n| *n != first) {
            for third in (0..4).filter(|n| ![first, second].contains(n)) {
                let fourth = 6 - first - second - third;
                let source = format!("order {first}{second}{third}{fourth}");
                for version in [first, second, third, fourth] {
                    import_as_of(&pool, &source, &text(&[1], version + 1, false), version + 1).await;
                }
                let figures = figures(&pool, &source).await;
                assert_eq!(*expected.get_or_insert(figures.clone()), figures, "{source}");
            }
        }
    }
    assert_clean(&pool).await;
}

/// N04: the same file handed in five times at once counts once; every attempt has its receipt.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn duplicates_at_once_count_once(pool: PgPool) {
    let text = text(&[0, 1], 4, false);
    let receipts = futures_util::future::join_all((0..5).map(|_| import_as_of(&pool, "acme", &text, 1))).await;
    let published = receipts.iter().filter(|receipt| receipt.state == "published").count();
    let unchanged = receipts.iter().filter(|receipt| receipt.state == "unchanged").count();
    assert_eq!((published, unchanged), (1, 4));
    assert_eq!(support::count(&pool, "SELECT count(*) FROM charge").await, 8);
    assert_clean(&pool).await;
}
