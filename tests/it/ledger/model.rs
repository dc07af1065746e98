//! Any sequence of deliveries and decisions against a small oracle: after each step every figure is the oracle's.
//!
//! `COSTWAKE_MODEL_STEPS=10000` runs more steps than the usual ones, `COSTWAKE_MODEL_SEED=…` those of an earlier run.

use super::oracle::{Content, Key, Oracle, Sums, Version};
use super::{ANN, Line, assert_clean, file, request, time};
use crate::support::{self, TestApp};
use bigdecimal::BigDecimal;
use costwake::focus::BillingPeriod;
use costwake::rollup::{ImportOptions, accept, close_month, import_with, rebuild, remap, retention, revert, withdraw};
use costwake::store::tokens::TokenScope;
use costwake::store::{Pools, Role};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Handle;

/// Steps that every run of the tests makes.
const STEPS: usize = 400;
const STEPS_OF_A_CASE: usize = 40;
const SOURCE: &str = "acme";

#[derive(Debug, Clone)]
pub enum Step {
    /// A file that was not there before.
    Deliver(Vec<Line>, bool, Version),
    /// One that was, with another version.
    DeliverAgain(Index, Version),
    Accept(Index),
    Withdraw(Index),
    Revert(Index),
    /// A rule that gives the lines of one service to another comes, or goes.
    ChangeRule,
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
    let place = (0..2_usize, 9u32..11, 1u32..4, 0..2_usize, 0..3_usize, 0..2_usize);
    let amount = || prop_oneof![Just("0".to_owned()), Just("-1E-20".to_owned()), "[1-9][0-9]{0,3}\\.[0-9]{0,9}"];
    (place, amount(), amount(), amount(), amount()).prop_map(|(place, billed, effective, list, contracted)| {
        let (account, month, day, currency, service, category) = place;
        Line {
            account: ["00123", "acme-2"][account].into(),
            period: format!("2026-{month:02}"),
            day: format!("2026-{month:02}-{day:02}"),
            currency: ["USD", "EUR"][currency].into(),
            costs: [billed, effective, list, contracted],
            service: ["shop", "search", "billing"][service].into(),
            category: ["Usage", "Tax"][category],
        }
    })
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
        let lines = || prop::collection::vec(line(), 1..5);
        prop_oneof![
            8 => (lines(), prop::bool::weighted(0.2), version()).prop_map(|(lines, odd, version)| Step::Deliver(lines, odd, version)),
            3 => (any::<Index>(), version()).prop_map(|(index, version)| Step::DeliverAgain(index, version)),
            3 => any::<Index>().prop_map(Step::Accept),
            2 => any::<Index>().prop_map(Step::Withdraw),
            3 => any::<Index>().prop_map(Step::Revert),
            1 => Just(Step::ChangeRule),
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
    goes_through
}

fn decided(oracle: &mut Oracle, step: &Step) -> bool {
    match step {
        Step::Deliver(lines, has_unreadable_line, version) => {
            oracle.contents.push(Content::new(lines.clone(), *has_unreadable_line));
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
        Step::ChangeRule => {
            oracle.shop_is_search = !oracle.shop_is_search;
            true
        }
        Step::Close(is_september) => oracle.close(&month(*is_september).first_day().to_string()),
        Step::Reopen(is_september) => oracle.reopen(&month(*is_september).first_day().to_string()),
        Step::Sweep | Step::Rebuild => true,
    }
}

/// The ledger, with an oracle of its own to know what the step about to be made must answer.
struct Ledger {
    pool: PgPool,
    pools: Pools,
    /// The service, and a token that reads all money.
    app: TestApp,
    token: String,
    before: Oracle,
    delivery_ids: Vec<i64>,
}

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
        let (app, token) = on_runtime(async {
            empty(&pool).await;
            let app = support::app(pool.clone()).await;
            let token = app.token(TokenScope::Read, Role::Finance).await;
            (app, token)
        });
        Self { pools: support::pools(&pool), pool, app, token, before: oracle.clone(), delivery_ids: Vec::new() }
    }

    fn apply(mut ledger: Self, _: &Oracle, step: Step) -> Self {
        let mut oracle = ledger.before.clone();
        let goes_through = told(&mut oracle, &step);
        on_runtime(async {
            assert_eq!(ledger.make(&step, &oracle).await, goes_through, "{step:?}");
            let expected = [oracle.figures(), oracle.statement(), oracle.booked()].into_iter().flatten().collect();
            assert_eq!(figures(&ledger.pool).await, expected, "after {step:?}");
            ledger.assert_api_says(&oracle.statement()).await;
            assert_eq!(ledger.states().await, oracle.delivery_states(), "after {step:?}");
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
            Step::Deliver(_, _, version) => self.deliver(after.contents.last().unwrap(), *version).await,
            Step::DeliverAgain(index, version) => {
                self.deliver(&after.contents[index.index(after.contents.len())], *version).await;
            }
            Step::Accept(index) => return accept(&self.pools, id(index), ANN, now).await.is_ok(),
            Step::Withdraw(index) => return withdraw(&self.pools, id(index), ANN, now).await.is_ok(),
            Step::Revert(index) => return revert(&self.pools, id(index), ANN, now).await.is_ok(),
            Step::ChangeRule => {
                change_rule(&self.pool, after.shop_is_search).await;
                remap::remap(&self.pools, "test", now).await.unwrap();
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
        let mut request = request(file(folder.path(), &content.text()), Some(SOURCE), version.is_told.then_some(at));
        if !version.is_told {
            request.now = at;
        }
        let receipt = import_with(&self.pools, request, ImportOptions::default(), |_, _, _| {}).await.unwrap();
        self.delivery_ids.push(receipt.delivery_id);
    }

    /// The API gives the statements of both months, in each cost column, as the oracle has them.
    async fn assert_api_says(&self, statement: &BTreeMap<Key, Sums>) {
        for (basis, index) in [("billed", 0), ("amortized", 1), ("list", 2), ("contracted", 3)] {
            for month in ["2026-09", "2026-10"] {
                let mut expected: BTreeMap<(String, String), (i64, BigDecimal)> = BTreeMap::new();
                for (key, sums) in statement.iter().filter(|(key, _)| key[2].starts_with(month)) {
                    let sum = expected.entry((key[1].clone(), key[4].clone())).or_default();
                    sum.0 += sums.0;
                    sum.1 += &sums.1[index];
                }
                let path = format!("/api/v1/costs?view=billing&period={month}&by=service&basis={basis}");
                let answer = self.app.api("GET", &path, &self.token, serde_json::Value::Null).await.json();
                let mut said: BTreeMap<(String, String), (i64, BigDecimal)> = BTreeMap::new();
                for row in answer["rows"].as_array().unwrap_or_else(|| panic!("{path}: {answer}")) {
                    let text = |name: &str| row[name].as_str().unwrap().to_owned();
                    let sum = (row["charge_count"].as_i64().unwrap(), text("cost").parse().unwrap());
                    said.insert((text("label"), text("billing_currency")), sum);
                }
                assert_eq!(said, expected, "{path}");
            }
        }
    }

    async fn states(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT state FROM delivery ORDER BY delivery_id").fetch_all(&self.pool).await.unwrap()
    }
}

async fn empty(pool: &PgPool) {
    let partitions: Vec<String> =
        sqlx::query_scalar("SELECT relname::text FROM pg_class WHERE relname ~ '^charge_d[0-9]+$'")
            .fetch_all(pool)
            .await
            .unwrap();
    for partition in partitions {
        sqlx::query(sqlx::AssertSqlSafe(format!("DROP TABLE {partition}"))).execute(pool).await.unwrap();
    }
    let tables = "TRUNCATE source, delivery, generation, publication, charge_group, rollup_key, daily_cost_by_key, \
                  daily_cost, monthly_cost, service, month_closing CASCADE";
    sqlx::query(tables).execute(pool).await.unwrap();
    // What the truncation took along with the services that rules name.
    sqlx::query(
        "INSERT INTO mapping_rule (position, applies_to, conditions, service_from_attribute, adds_to_catalogue, created_by)
         VALUES (10, 'both', '[{\"attribute\":\"tag:service\",\"operator\":\"present\",\"value\":\"\"}]', 'tag:service', true, 'test')",
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query("INSERT INTO service (slug, name) VALUES ('search', 'search')").execute(pool).await.unwrap();
}

async fn change_rule(pool: &PgPool, is_there: bool) {
    let statement = if is_there {
        "INSERT INTO mapping_rule (position, applies_to, conditions, service_id, created_by)
         SELECT 5, 'charges', '[{\"attribute\":\"tag:service\",\"operator\":\"equals\",\"value\":\"shop\"}]', service_id, 'test'
         FROM service WHERE slug = 'search'"
    } else {
        "DELETE FROM mapping_rule WHERE position = 5"
    };
    sqlx::query(statement).execute(pool).await.unwrap();
}

type Row = (Vec<String>, i64, BigDecimal, BigDecimal, BigDecimal, BigDecimal);

async fn figures(pool: &PgPool) -> BTreeMap<Key, Sums> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT ARRAY['day', s.slug, d.charge_date::text, g.billing_account_id, d.charge_category, d.billing_currency],
             d.charge_count, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost
         FROM daily_cost d JOIN generation g USING (generation_id) JOIN service s USING (service_id)
         WHERE g.state = 'current'
         UNION ALL
         SELECT ARRAY['month', s.slug, m.billing_period_start::text, g.billing_account_id, m.charge_category,
             m.billing_currency], m.charge_count, m.billed_cost, m.effective_cost, m.list_cost, m.contracted_cost
         FROM monthly_cost m JOIN generation g USING (generation_id) JOIN service s USING (service_id)
         WHERE g.state = 'current'
         UNION ALL
         SELECT ARRAY['lines', g.billing_account_id, g.billing_period_start::text, c.billing_currency], count(*),
             sum(c.billed_cost), sum(c.effective_cost), sum(c.list_cost), sum(c.contracted_cost)
         FROM charge c JOIN generation g USING (generation_id) WHERE g.state = 'current' GROUP BY 1
         UNION ALL
         SELECT ARRAY['statement', service_slug, month::text, charge_category, billing_currency], charge_count,
             billed_cost, effective_cost, list_cost, contracted_cost
         FROM statement_cost
         UNION ALL
         SELECT ARRAY['booked', a.booked_month::text, k.month::text, a.billing_account_id, a.billing_currency],
             a.charge_count, a.billed_cost, a.effective_cost, a.list_cost, a.contracted_cost
         FROM month_adjustment a JOIN month_closing k USING (closing_id) WHERE k.reopened_at IS NULL",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut figures: BTreeMap<Key, Sums> = BTreeMap::new();
    for (key, count, billed, effective, list, contracted) in rows {
        // Accounts and environments of a service are rows of their own.
        let sums = figures.entry(key).or_default();
        sums.0 += count;
        for (sum, cost) in sums.1.iter_mut().zip([billed, effective, list, contracted]) {
            *sum += cost;
        }
    }
    figures
}

/// What any run has to have done. Some of it is rare: a seed in hundreds made no such step in the first round.
const KINDS: [&str; 12] = [
    "Deliver published",
    "Deliver refused",
    "Deliver late",
    "DeliverAgain unchanged",
    "Accept done",
    "Withdraw done",
    "Revert done",
    "ChangeRule done",
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
