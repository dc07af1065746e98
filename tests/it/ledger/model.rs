//! Any sequence of deliveries and decisions against a small oracle: after each step every figure is the oracle's.
//!
//! `COSTWAKE_MODEL_STEPS=10000` runs more steps than the usual ones, `COSTWAKE_MODEL_SEED=…` those of an earlier run.

mod stored;

use super::oracle::{Content, Key, NOBODY, OWN, Oracle, Rule, Split, Sums, Version};
use super::{ANN, Line, assert_clean, file, request, time};
use crate::support::{self, TestApp};
use bigdecimal::BigDecimal;
use costwake::focus::{BillingPeriod, CostBasis, DateRange};
use costwake::rollup::{ImportOptions, accept, close_month, import_with, rebuild, remap, retention, revert, withdraw};
use costwake::store::costs::{self, CostFilter, Dimension};
use costwake::store::tokens::TokenScope;
use costwake::store::{Pools, Role, Scope, unmapped};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Handle;

/// Steps that every run of the tests makes.
const STEPS: usize = 400;
const STEPS_OF_A_CASE: usize = 40;
/// Where a bill takes the place of the one before it, and waits where it changes a closed month.
const SOURCE: &str = "acme";
/// Where files add up, and what changes a closed month is booked without asking.
const SOURCE_OF_OBJECTS: &str = "oci";
/// What [`NOBODY`] is called on pages.
const NOT_ALLOCATED: &str = "Not allocated";

#[derive(Debug, Clone)]
pub enum Step {
    /// A file that was not there before.
    Deliver(Content, Version),
    /// One that was, with another version.
    DeliverAgain(Index, Version),
    Accept(Index),
    Withdraw(Index),
    Revert(Index),
    /// A rule comes, before or after all others, or goes.
    ChangeRule(Rule, bool),
    /// A split comes, or goes.
    ChangeSplit(Split),
    /// September or October.
    Close(bool),
    Reopen(bool),
    Sweep,
    Rebuild,
}

fn month(is_september: bool) -> BillingPeriod {
    BillingPeriod::containing(
        time(if is_september { "2026-09-01T00:00:00Z" } else { "2026-10-01T00:00:00Z" }).date_naive(),
    )
}

fn line() -> impl Strategy<Value = Line> {
    let place = (0..2_usize, 9u32..11, 1u32..4, 0..4_usize, 0..4_usize, 0..2_usize, 0..3_usize);
    // Eight decimal places, or all twenty: the database tells four at a time, and shares are divided at what it tells.
    let amount = || {
        prop_oneof![
            1 => Just("0".to_owned()),
            1 => Just("-1E-20".to_owned()),
            1 => "-[1-9][0-9]{0,2}\\.[0-9]{0,8}",
            3 => "[1-9][0-9]{0,3}\\.[0-9]{0,8}",
        ]
    };
    (place, amount(), amount(), amount(), amount()).prop_map(|(place, billed, effective, list, contracted)| {
        let (account, month, day, currency, service, category, lane) = place;
        Line {
            account: ["00123", "acme-2"][account].into(),
            period: format!("2026-{month:02}"),
            day: format!("2026-{month:02}-{day:02}"),
            currency: ["USD", "USD", "USD", "EUR"][currency].into(),
            costs: [billed, effective, list, contracted],
            service: ["shop", "search", "billing", ""][service].into(),
            category: ["Usage", "Tax"][category],
            lane: ["", "blue", "green"][lane],
        }
    })
}

fn content() -> impl Strategy<Value = Content> {
    let object = prop_oneof![3 => Just(""), 1 => Just("a.csv"), 1 => Just("b.csv")];
    (prop::collection::vec(line(), 1..8), prop::bool::weighted(0.2), object)
        .prop_map(|(lines, has_unreadable_line, object)| Content::new(lines, has_unreadable_line, object))
}

fn version() -> impl Strategy<Value = Version> {
    (1u32..6, prop::bool::weighted(0.7)).prop_map(|(day, is_told)| Version { day, is_told })
}

struct Model;

impl ReferenceStateMachine for Model {
    type State = Oracle;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Oracle> {
        Just(Oracle::default()).boxed()
    }

    fn transitions(_: &Oracle) -> BoxedStrategy<Step> {
        let rule = prop::sample::select(Rule::ALL.to_vec());
        let split = prop::sample::select(Split::ALL.to_vec());
        prop_oneof![
            9 => (content(), version()).prop_map(|(content, version)| Step::Deliver(content, version)),
            3 => (any::<Index>(), version()).prop_map(|(index, version)| Step::DeliverAgain(index, version)),
            3 => any::<Index>().prop_map(Step::Accept),
            2 => any::<Index>().prop_map(Step::Withdraw),
            3 => any::<Index>().prop_map(Step::Revert),
            3 => (rule, any::<bool>()).prop_map(|(rule, is_first)| Step::ChangeRule(rule, is_first)),
            2 => split.prop_map(Step::ChangeSplit),
            2 => any::<bool>().prop_map(Step::Close),
            2 => any::<bool>().prop_map(Step::Reopen),
            1 => Just(Step::Sweep),
            1 => Just(Step::Rebuild),
        ]
        .boxed()
    }

    fn preconditions(oracle: &Oracle, step: &Step) -> bool {
        match step {
            Step::DeliverAgain(..) | Step::Accept(_) | Step::Withdraw(_) | Step::Revert(_) => {
                oracle.delivery_count() > 0
            }
            _ => true,
        }
    }

    fn apply(mut oracle: Oracle, step: &Step) -> Oracle {
        told(&mut oracle, step);
        oracle
    }
}

// Makes the step in the oracle, and says whether a decision goes through.
fn told(oracle: &mut Oracle, step: &Step) -> bool {
    let goes_through = decided(oracle, step);
    oracle.book();
    oracle.note_counted();
    goes_through
}

fn decided(oracle: &mut Oracle, step: &Step) -> bool {
    match step {
        Step::Deliver(content, version) => {
            oracle.contents.push(content.clone());
            oracle.deliver(oracle.contents.len() - 1, *version);
            true
        }
        Step::DeliverAgain(index, version) => {
            oracle.deliver(index.index(oracle.contents.len()), *version);
            true
        }
        Step::Accept(index) => oracle.accept(index.index(oracle.delivery_count())),
        Step::Withdraw(index) => oracle.withdraw(index.index(oracle.delivery_count())),
        Step::Revert(index) => oracle.revert(index.index(oracle.delivery_count())),
        Step::ChangeRule(rule, is_first) => {
            oracle.change_rule(*rule, *is_first);
            true
        }
        Step::ChangeSplit(split) => {
            oracle.change_split(*split);
            true
        }
        Step::Close(is_september) => oracle.close(&month(*is_september).first_day().to_string()),
        Step::Reopen(is_september) => oracle.reopen(&month(*is_september).first_day().to_string()),
        Step::Sweep => {
            oracle.drop_old_lines();
            true
        }
        Step::Rebuild => true,
    }
}

/// The ledger, with an oracle of its own to know what the step about to be made must answer.
struct Ledger {
    pool: PgPool,
    pools: Pools,
    /// The service, a token that reads all money, and one that changes rules.
    app: TestApp,
    token: String,
    admin_token: String,
    before: Oracle,
    delivery_ids: Vec<i64>,
    rule_ids: BTreeMap<Rule, i64>,
    split_ids: BTreeMap<Split, i64>,
}

/// How many charges, and one of their costs.
type Sum = (i64, BigDecimal);
/// By name and currency.
type Breakdown = BTreeMap<(String, String), Sum>;

thread_local! {
    /// What the steps came to, to see that all kinds of them are made.
    static SEEN: std::cell::RefCell<BTreeMap<String, usize>> = const { std::cell::RefCell::new(BTreeMap::new()) };
    static LEDGER: std::cell::RefCell<Option<(Handle, PgPool)>> = const { std::cell::RefCell::new(None) };
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    LEDGER.with_borrow(|place| place.as_ref().map(|(handle, _)| handle.clone())).unwrap().block_on(work)
}

impl StateMachineTest for Ledger {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(oracle: &Oracle) -> Self {
        let pool = LEDGER.with_borrow(|place| place.as_ref().map(|(_, pool)| pool.clone())).unwrap();
        let (app, token, admin_token) = on_runtime(async {
            stored::empty(&pool).await;
            let app = support::app(pool.clone()).await;
            let token = app.token(TokenScope::Read, Role::Finance).await;
            let admin_token = app.token(TokenScope::Admin, Role::Finance).await;
            (app, token, admin_token)
        });
        Self {
            pools: support::pools(&pool),
            pool,
            app,
            token,
            admin_token,
            before: oracle.clone(),
            delivery_ids: Vec::new(),
            rule_ids: BTreeMap::new(),
            split_ids: BTreeMap::new(),
        }
    }

    fn apply(mut ledger: Self, _: &Oracle, step: Step) -> Self {
        let mut oracle = ledger.before.clone();
        let goes_through = told(&mut oracle, &step);
        on_runtime(async {
            assert_eq!(ledger.make(&step, &oracle).await, goes_through, "{step:?}");
            assert_eq!(ledger.states().await, oracle.delivery_states(), "after {step:?}");
            assert_eq!(stored::bills(&ledger.pool).await, oracle.stored_bills(), "after {step:?}");
            let expected = [oracle.figures(), oracle.kept(), oracle.statement(), oracle.booked()];
            let expected: BTreeMap<Key, Sums> = that_say_something(expected.into_iter().flatten());
            assert_eq!(that_say_something(stored::figures(&ledger.pool).await), expected, "after {step:?}");
            ledger.assert_pages_say(&expected).await;
            ledger.assert_api_says(&expected).await;
            ledger.assert_history_says(&oracle).await;
            assert_clean(&ledger.pool).await;
        });
        let kind = format!("{step:?}").split(['(', ' ']).next().unwrap_or_default().to_owned();
        let outcome = match step {
            Step::Deliver(..) | Step::DeliverAgain(..) => oracle.outcome(),
            _ if goes_through => "done",
            _ => "refused",
        };
        SEEN.with_borrow_mut(|seen| *seen.entry(format!("{kind} {outcome}")).or_default() += 1);
        ledger.before = oracle;
        ledger
    }
}

impl Ledger {
    async fn make(&mut self, step: &Step, after: &Oracle) -> bool {
        let now = time("2026-11-21T10:00:00Z");
        let id = |index: &Index| self.delivery_ids[index.index(self.delivery_ids.len())];
        match step {
            Step::Deliver(content, version) => self.deliver(content, *version).await,
            Step::DeliverAgain(index, version) => {
                self.deliver(&after.contents[index.index(after.contents.len())], *version).await;
            }
            Step::Accept(index) => return accept(&self.pools, id(index), ANN, now).await.is_ok(),
            Step::Withdraw(index) => return withdraw(&self.pools, id(index), ANN, now).await.is_ok(),
            Step::Revert(index) => return revert(&self.pools, id(index), ANN, now).await.is_ok(),
            Step::ChangeRule(rule, is_first) => {
                let there = self.rule_ids.remove(rule);
                let made = self.change("/api/v1/rules", there, rule.told(*is_first)).await;
                self.rule_ids.extend(made.map(|id| (*rule, id)));
                let again = remap::remap(&self.pools, "test", now).await.unwrap();
                assert_eq!((again.keys_moved, again.publication_id), (0, None), "asked again, rules say the same");
            }
            Step::ChangeSplit(split) => {
                let there = self.split_ids.remove(split);
                let made = self.change("/api/v1/splits", there, split.told()).await;
                self.split_ids.extend(made.map(|id| (*split, id)));
            }
            Step::Close(is_september) => {
                return close_month::close(&self.pools, month(*is_september), "Done.", ANN, now).await.is_ok();
            }
            Step::Reopen(is_september) => {
                return close_month::reopen(&self.pools, month(*is_september), "Not done.", ANN, now).await.is_ok();
            }
            Step::Sweep => drop(retention::sweep(&self.pools, now).await.unwrap()),
            Step::Rebuild => drop(rebuild::rebuild(&self.pools, "test", now, |_, _| {}).await.unwrap()),
        }
        true
    }

    async fn deliver(&mut self, content: &Content, version: Version) {
        let folder = tempfile::tempdir().unwrap();
        let at = time(&format!("2026-11-{:02}T00:00:00Z", version.day));
        let source = if content.object.is_empty() { SOURCE } else { SOURCE_OF_OBJECTS };
        let mut request = request(file(folder.path(), &content.text()), Some(source), version.is_told.then_some(at));
        if !content.object.is_empty() {
            request.file_name = content.object.into();
        }
        if !version.is_told {
            request.now = at;
        }
        let receipt = import_with(&self.pools, request, ImportOptions::default(), |_, _, _| {}).await.unwrap();
        self.delivery_ids.push(receipt.delivery_id);
    }

    // Takes a rule or a split away where it has an id, and else makes it and gives its id: as people do, so that the
    // change and its effect are one transaction.
    async fn change(&self, path: &str, id: Option<i64>, told: Value) -> Option<i64> {
        let (path, body) = match id {
            Some(id) => (format!("{path}/{id}/delete"), json!({ "reason": "The model wants it." })),
            None => (path.to_owned(), told),
        };
        let answer = self.app.api("POST", &path, &self.admin_token, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.body);
        id.is_none().then(|| answer.json()["id"].as_i64().unwrap())
    }

    /// Breakdowns by charge day, and the list of what nobody has, say what counts now.
    async fn assert_pages_say(&self, figures: &BTreeMap<Key, Sums>) {
        let days = DateRange::new(month(true).first_day(), month(false).next().first_day()).unwrap();
        let filter = CostFilter::new(days, CostBasis::Amortized);
        let mut snapshot = self.pools.snapshot().await.unwrap();
        let by =
            [(Dimension::Service, 2), (Dimension::Environment, 3), (Dimension::Day, 4), (Dimension::ChargeCategory, 6)];
        for (dimension, part) in by {
            let of_days = figures.iter().filter(|(key, _)| key[0] == "day");
            let expected = breakdown(of_days.map(|(key, sums)| (&key[part], &key[7], sums)), 1);
            let rows = costs::by_dimension(&mut snapshot, &Scope::everything(), &filter, dimension).await.unwrap();
            let said = rows.into_iter().map(|row| ((row.label, row.currency), (row.charge_count, row.cost)));
            assert_eq!(that_say_something(said), expected, "{dimension:?}");
        }
        let of_nobody = figures.iter().filter(|(key, _)| key[0] == "day" && key[1] == OWN && key[2] == NOBODY);
        let expected = breakdown(of_nobody.map(|(key, sums)| (&key[2], &key[7], sums)), 1);
        let limit = unmapped::ROW_COUNT_MAX;
        let mut said = Breakdown::new();
        for row in unmapped::charges(&mut snapshot, &Scope::everything(), days, limit).await.unwrap() {
            let sum = said.entry((NOT_ALLOCATED.to_owned(), row.billing_currency)).or_default();
            sum.0 += row.charge_count;
            sum.1 += row.effective_cost;
        }
        assert_eq!(that_say_something(said), expected, "what nobody has");
    }

    /// The API gives the statements of both months, in each cost column, as the oracle has them.
    async fn assert_api_says(&self, figures: &BTreeMap<Key, Sums>) {
        for (basis, column) in [("billed", 0), ("amortized", 1), ("list", 2), ("contracted", 3)] {
            for month in ["2026-09", "2026-10"] {
                let statement = figures.iter().filter(|(key, _)| key[0] == "statement" && key[3].starts_with(month));
                let expected = breakdown(statement.map(|(key, sums)| (&key[1], &key[5], sums)), column);
                let path = format!("/api/v1/costs?view=billing&period={month}&by=service&basis={basis}");
                let answer = self.app.api("GET", &path, &self.token, Value::Null).await.json();
                let mut said = Breakdown::new();
                for row in answer["rows"].as_array().unwrap_or_else(|| panic!("{path}: {answer}")) {
                    let text = |name: &str| row[name].as_str().unwrap().to_owned();
                    let sum = (row["charge_count"].as_i64().unwrap(), text("cost").parse().unwrap());
                    said.insert((text("label"), text("billing_currency")), sum);
                }
                assert_eq!(that_say_something(said), expected, "{path}");
            }
        }
    }

    /// What both months and two days said at each delivery is what they said then.
    async fn assert_history_says(&self, oracle: &Oracle) {
        for when in ["2026-09", "2026-10", "2026-09-02", "2026-10-03"] {
            assert_eq!(stored::said(&self.pool, when).await, oracle.said(when), "{when}");
        }
    }

    async fn states(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT state FROM delivery ORDER BY delivery_id").fetch_all(&self.pool).await.unwrap()
    }
}

// By the names of pages, in one cost column.
fn breakdown<'a>(rows: impl Iterator<Item = (&'a String, &'a String, &'a Sums)>, column: usize) -> Breakdown {
    let mut breakdown = Breakdown::new();
    for (name, currency, sums) in rows {
        let name = if name == NOBODY { NOT_ALLOCATED } else { name };
        let sum = breakdown.entry((name.to_owned(), currency.clone())).or_default();
        sum.0 += sums.0;
        sum.1 += &sums.1[column];
    }
    that_say_something(breakdown)
}

// Rows that say something: where splits take as much as others bring there may be one of nothing.
fn that_say_something<K: Ord, V: Default + PartialEq>(rows: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    rows.into_iter().filter(|(_, sums)| *sums != V::default()).collect()
}

/// What any run has to have done. Some of it is rare: a seed in hundreds made no such step in the first round.
const KINDS: [&str; 13] = [
    "Deliver published",
    "Deliver refused",
    "Deliver late",
    "DeliverAgain unchanged",
    "Accept done",
    "Withdraw done",
    "Revert done",
    "ChangeRule done",
    "ChangeSplit done",
    "Close done",
    "Reopen done",
    "Sweep done",
    "Rebuild done",
];
/// Rounds that a run may take until it has done all of them.
const ROUNDS_MAX: u8 = 8;

fn run_round(seed: u64, round: u8, steps: usize, made: &AtomicUsize) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = round;
    let cases = steps.div_ceil(STEPS_OF_A_CASE) as u32;
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config.clone(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let result = runner.run(&Model::sequential_strategy(STEPS_OF_A_CASE), |(oracle, steps, seen)| {
        made.fetch_add(steps.len(), Ordering::Relaxed);
        Ledger::test_sequential(config.clone(), oracle, steps, seen);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("COSTWAKE_MODEL_SEED={seed}: {error}"));
}

/// N02: no sequence of deliveries, decisions, rule changes and housekeeping makes the ledger say anything else
/// than a few lists do.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_ledger_equals_its_oracle_after_every_step(pool: PgPool) {
    let steps = std::env::var("COSTWAKE_MODEL_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(STEPS);
    let seed = std::env::var("COSTWAKE_MODEL_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand_seed);
    println!("COSTWAKE_MODEL_SEED={seed} COSTWAKE_MODEL_STEPS={steps}");
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || {
        LEDGER.set(Some((handle, pool)));
        let made = AtomicUsize::new(0);
        for round in 0..ROUNDS_MAX {
            run_round(seed, round, steps, &made);
            if KINDS.iter().all(|kind| SEEN.with_borrow(|seen| seen.contains_key(*kind))) {
                break;
            }
        }
        LEDGER.set(None);
        let seen = SEEN.take();
        println!("{} steps: {seen:?}", made.into_inner());
        for kind in KINDS {
            assert!(seen.contains_key(kind), "COSTWAKE_MODEL_SEED={seed} makes no step like {kind:?}: {seen:?}");
        }
    })
    .await
    .unwrap();
}

fn rand_seed() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
}
