//! The state of the ledger is what its deliveries make it, whatever their order and number.

use super::{ANN, Line, assert_clean, bill, figures, file, import_as_of, request, time, withdraw_source};
use crate::support;
use chrono::{DateTime, Duration, Utc};
use costwake::rollup::{ImportOptions, LedgerError, accept, import_with, revert, withdraw};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::collections::{BTreeMap, BTreeSet};

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

/// What the ledger should hold, in a hundred lines.
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
    content: u32,
    sha256: String,
    version_at: DateTime<Utc>,
    state: &'static str,
    /// By period: the version under which it counts, newer where its bytes came again.
    versions: BTreeMap<usize, DateTime<Utc>>,
    /// By period: what counted before.
    replaced: BTreeMap<usize, usize>,
    /// Periods that a person took back.
    withdrawn: BTreeSet<usize>,
}

#[derive(PartialEq)]
enum Says {
    Counts,
    Same,
    Older,
}

impl Oracle {
    fn says(&self, told: &Told, period: usize) -> Says {
        let Some(current) = self.current.get(&period).map(|index| &self.deliveries[*index]) else {
            return Says::Counts;
        };
        if current.sha256 == told.sha256 {
            return Says::Same;
        }
        let is_newer = (current.versions[&period], &current.sha256) > (told.version_at, &told.sha256);
        if is_newer { Says::Older } else { Says::Counts }
    }

    /// `None`: at least one period counts.
    fn objection(&self, told: &Told) -> Option<&'static str> {
        let says: Vec<Says> = told.periods.iter().map(|period| self.says(told, *period)).collect();
        match () {
            () if says.contains(&Says::Counts) => None,
            () if says.contains(&Says::Same) => Some("unchanged"),
            () => Some("refused"),
        }
    }

    /// The same bytes came again, perhaps with a newer version.
    fn renew(&mut self, index: usize) {
        for period in self.deliveries[index].periods.clone() {
            if self.says(&self.deliveries[index], period) == Says::Same {
                let at = self.deliveries[index].version_at;
                let version = self.deliveries[self.current[&period]].versions.get_mut(&period).unwrap();
                *version = at.max(*version);
            }
        }
    }

    fn publish(&mut self, index: usize) {
        let is_new = self.deliveries[index].state != "withdrawn";
        for period in self.deliveries[index].periods.clone() {
            let says = self.says(&self.deliveries[index], period);
            if says == Says::Older {
                if is_new {
                    self.deliveries[index].periods.retain(|other| *other != period);
                }
                continue;
            }
            let before = self.current.insert(period, index);
            let newer = before.filter(|_| says == Says::Same).map(|before| self.deliveries[before].versions[&period]);
            let told = &mut self.deliveries[index];
            let version = told.versions.entry(period).or_insert(told.version_at);
            *version = newer.map_or(*version, |newer| newer.max(*version));
            told.replaced.extend(before.map(|before| (period, before)));
            told.withdrawn.remove(&period);
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

    /// What a period goes back to: not to what a person took back.
    fn earlier(&self, index: usize, period: usize) -> Option<usize> {
        let mut seen = BTreeSet::from([index]);
        let mut at = self.deliveries[index].replaced.get(&period).copied()?;
        while self.deliveries[at].withdrawn.contains(&period) {
            if !seen.insert(at) {
                return None;
            }
            at = self.deliveries[at].replaced.get(&period).copied()?;
        }
        Some(at).filter(|at| *at != index)
    }

    fn take_back(&mut self, index: usize, to_the_one_before: bool) {
        for period in self.deliveries[index].periods.clone() {
            if self.current.get(&period) == Some(&index) {
                self.current.remove(&period);
                if let Some(before) = self.earlier(index, period).filter(|_| to_the_one_before) {
                    self.current.insert(period, before);
                }
            }
        }
        let told = &mut self.deliveries[index];
        told.withdrawn.extend(told.periods.iter().copied());
        if told.state == "quarantined" {
            told.periods.clear();
        }
        told.state = "withdrawn";
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
    let text = text(periods, *content, *is_broken);
    let mut request = request(file(folder.path(), &text), Some("acme"), Some(version_at));
    request.now = request.now.max(version_at);
    let receipt = import_with(&support::pools(pool), request, ImportOptions::default(), |_, _, _| {}).await.unwrap();
    let told = Told {
        delivery_id: receipt.delivery_id,
        periods: periods.clone(),
        content: *content,
        sha256: hex::encode(Sha256::digest(&text)),
        version_at,
        state: "quarantined",
        versions: BTreeMap::new(),
        replaced: BTreeMap::new(),
        withdrawn: BTreeSet::new(),
    };
    let objection = oracle.objection(&told);
    oracle.deliveries.push(told);
    let index = oracle.deliveries.len() - 1;
    match objection {
        Some(state) => {
            oracle.renew(index);
            oracle.deliveries[index].state = state;
        }
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
    let can_go_back = oracle.deliveries[index]
        .periods
        .iter()
        .any(|period| oracle.current.get(period) == Some(&index) && oracle.earlier(index, *period).is_some());
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
        (1, "published", Ok(())) => {
            assert!(can_go_back);
            oracle.take_back(index, true);
        }
        (1, "published", Err(LedgerError::NothingBefore(_))) => {}
        (2, "published" | "quarantined", Ok(())) => oracle.take_back(index, false),
        (0, "published", Ok(())) | (1 | 2, "withdrawn", Ok(())) => {}
        (_, _, Err(LedgerError::WrongState { .. })) => assert!(!(verb == 2 && state == "quarantined")),
        (verb, state, result) => panic!("{verb} of a delivery that is {state}: {result:?}"),
    }
}

/// N02: any sequence of deliveries, repeats, late ones, acceptances and takings back.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn any_sequence_ends_where_the_oracle_says(pool: PgPool) {
    let mut runner = TestRunner::deterministic();
    let mut oracle = Oracle { newest: time("2026-11-01T00:00:00Z"), ..Oracle::default() };
    for number in 0..150 {
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
                let tenths = told.content * (told.content * 10 + 5);
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
                withdraw_source(&pool, &source).await;
            }
        }
    }
    assert_clean(&pool).await;
}

/// N03 for files of several periods, for files with the same version, and for the same bytes with another version.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_order_of_files_with_several_periods_does_not_matter(pool: PgPool) {
    // Periods, content, version.
    let sets: [[(&[usize], u32, u32); 4]; 2] = [
        [(&[0, 1], 1, 1), (&[0], 2, 2), (&[1], 3, 1), (&[0], 4, 2)],
        [(&[0, 1], 1, 1), (&[0], 2, 2), (&[0, 1], 1, 3), (&[1], 3, 2)],
    ];
    for (number, set) in sets.iter().enumerate() {
        let mut expected = None;
        for order in orders() {
            let source = format!("set {number} {order:?}");
            for index in order {
                let (periods, content, version) = set[index];
                import_as_of(&pool, &source, &text(periods, content, false), version).await;
            }
            let figures = figures(&pool, &source).await;
            assert_eq!(*expected.get_or_insert(figures.clone()), figures, "{source}");
            withdraw_source(&pool, &source).await;
        }
    }
    assert_clean(&pool).await;
}

fn orders() -> Vec<[usize; 4]> {
    let all =
        (0..4).flat_map(|a| (0..4).flat_map(move |b| (0..4).map(move |c| [a, b, c, 6_usize.wrapping_sub(a + b + c)])));
    all.filter(|order| order.iter().collect::<BTreeSet<_>>().iter().map(|n| **n).eq(0..4)).collect()
}

/// What is older of a file is named on its receipt; the rest of it counts.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_file_counts_where_it_is_newer_and_names_where_it_is_not(pool: PgPool) {
    let newer = import_as_of(&pool, "acme", &text(&[0], 2, false), 2).await;
    let both = import_as_of(&pool, "acme", &text(&[0, 1], 1, false), 1).await;
    assert_eq!(both.state, "published");
    let note = both.reason.unwrap();
    assert!(
        note.starts_with("Not all of it: Billing period 2026-09 of account 00123 is counted from delivery"),
        "{note}"
    );
    assert!(note.contains(&newer.delivery_id.to_string()), "{note}");
    assert_eq!(support::count(&pool, "SELECT count(*) FROM charge").await, 3);
    assert_clean(&pool).await;
    // The same bytes as a newer version are no repetition: the refused period counts now.
    let again = import_as_of(&pool, "acme", &text(&[0, 1], 1, false), 3).await;
    assert_eq!((again.state.as_str(), again.reason), ("published", None));
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
