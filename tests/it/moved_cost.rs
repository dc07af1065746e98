//! Cost that a rule gives a service from a day on: no release did it, and it is no anomaly.

#![expect(clippy::float_arithmetic, reason = "steps against what was made up")]

use super::finance::{HEADER, World, column, time, world};
use super::support::usual_cents;
use chrono::{Days, NaiveDate};
use costwake::focus::DateRange;
use costwake::jobs::{anomalies, effects};
use costwake::store::tokens::TokenScope;
use costwake::store::variance_known::Known;
use costwake::store::{Role, freshness, impact_series};
use serde_json::{Value, json};
use sqlx::PgPool;

const SERVICES: [&str; 4] = ["checkout", "search", "ledger", "mail"];
/// Cents that the machines of `sub-2` cost a day, which name no service.
const SHARED_CENTS: i64 = 6000;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn bill(month: &str, last: &str) -> String {
    let first = day(&format!("{month}-01"));
    let next = first + chrono::Months::new(1);
    let mut text = format!("{HEADER}\n");
    for at in first.iter_days().take_while(|at| *at <= day(last)) {
        let own = SERVICES.iter().enumerate().map(|(index, service)| (*service, "sub-1", usual_cents(index, at)));
        for (service, account, cents) in own.chain([("", "sub-2", SHARED_CENTS)]) {
            let cost = format!("{}.{:02}", cents / 100, cents % 100);
            let tag = if service.is_empty() { String::new() } else { format!("\"\"service\"\":\"\"{service}\"\",") };
            text.push_str(&format!(
                "{cost},{cost},{cost},{cost},USD,acct-1,{first}T00:00:00Z,{next}T00:00:00Z,{at}T00:00:00Z,{}T00:00:00Z,\
                 Usage,,Some use,Usage-Based,Cloud One,Cloud One,Cloud One,,Compute,Machines,{account},vm-{service},\
                 eu-1,sku-1,1,Hours,\"{{{tag}\"\"environment\"\":\"\"production\"\"}}\"\n",
                at + Days::new(1)
            ));
        }
    }
    text
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_a_rule_moved_is_neither_a_release_nor_an_anomaly(db: PgPool) {
    let world = world(&db).await;
    for (month, last, now) in [
        ("2026-07", "2026-07-31", "2026-08-02T06:00:00Z"),
        ("2026-08", "2026-08-31", "2026-09-02T06:00:00Z"),
        ("2026-09", "2026-09-30", "2026-10-02T06:00:00Z"),
        ("2026-10", "2026-10-31", "2026-11-02T06:00:00Z"),
        ("2026-11", "2026-11-18", "2026-11-19T06:00:00Z"),
    ] {
        world.import_text(&bill(month, last), now).await;
    }
    // At the front door: a new rule maps deployments again, and takes away what nobody told.
    let ingest = world.app.token(TokenScope::Ingest, Role::Finance).await;
    let deployment = json!({"id": "v1", "service": "checkout", "environment": "production", "version": "1",
                            "finished_at": "2026-10-28T12:00:00Z"});
    let told = world.app.api("POST", "/api/v1/deployments", &ingest, deployment).await;
    assert_eq!(told.status, 201, "{}", told.body);
    let admin = world.app.token(TokenScope::Admin, Role::Finance).await;
    let rule = json!({"applies_to": "charges", "service": "checkout", "first_day": "2026-10-29",
        "conditions": [{"attribute": "sub_account_id", "operator": "equals", "value": "sub-2"}],
        "note": "Checkout takes over the shared machines."});
    let made = world.app.api("POST", "/api/v1/rules", &admin, rule).await;
    assert_eq!(made.status, 201, "{}", made.body);

    let pools = &world.app.state.pools;
    effects::settle(pools, time("2026-11-20T12:00:00Z")).await.unwrap();
    let (phase, finding, per_day, flags): (String, String, f64, Value) =
        sqlx::query_as("SELECT phase, finding, per_day::float8, flags FROM deployment_effect")
            .fetch_one(&db)
            .await
            .unwrap();
    assert_eq!((phase.as_str(), finding.as_str()), ("settled", "no-material-change"), "{per_day} {flags}");
    assert!(per_day.abs() < 5.0, "{per_day}");
    let told: Vec<(&str, &str)> = flags
        .as_array()
        .unwrap()
        .iter()
        .filter(|flag| flag["kind"] == "allocation-rule")
        .map(|flag| (flag["day"].as_str().unwrap(), flag["amount_per_day"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("2026-10-29", "60")], "{flags}");

    // The causes put it to the rule, once, and no release took a part of it.
    let finance = world.finance().await;
    let csv = finance.get("/why.csv?period=2026-10-30..2026-11-17&service=checkout").await.body;
    let causes: Vec<(String, f64)> = column(&csv, "Cause")
        .into_iter()
        .zip(column(&csv, "Amount").iter().map(|amount| amount.parse().unwrap_or(0.0)))
        .collect();
    let amount = |key: &str| causes.iter().filter(|(cause, _)| cause == key).map(|(_, amount)| amount).sum::<f64>();
    assert!(amount("allocation-rules") > 900.0, "{csv}");
    assert_eq!((amount("releases-up"), amount("releases-down")), (0.0, 0.0), "{csv}");

    anomalies::detect(pools, time("2026-11-20T12:00:00Z")).await.unwrap();
    let found: Vec<String> = sqlx::query_scalar("SELECT kind FROM anomaly").fetch_all(&db).await.unwrap();
    assert!(found.is_empty(), "{found:?}");
}

// Cents of `vm-shared`: more every day in the last days of October, and more again in November.
fn shared_cents(at: NaiveDate) -> i64 {
    if at >= day("2026-11-01") { 9000 } else { 6000 + 100 * (at - day("2026-10-20")).num_days().max(0) }
}

// Two services and a machine, whose lines are of these services on a day, for so many cents.
fn tagged_bill(month: &str, last: &str, shared: impl Fn(NaiveDate) -> Vec<(&'static str, i64)>) -> String {
    let first = day(&format!("{month}-01"));
    let next = first + chrono::Months::new(1);
    let mut text = format!("{HEADER}\n");
    for at in first.iter_days().take_while(|at| *at <= day(last)) {
        let own = ["checkout", "search"].map(|service| (service, service, 5000));
        let shared = shared(at).into_iter().map(|(payer, cents)| (payer, "shared", cents));
        for (service, machine, cents) in own.into_iter().chain(shared) {
            let cost = format!("{}.{:02}", cents / 100, cents % 100);
            text.push_str(&format!(
                "{cost},{cost},{cost},{cost},USD,acct-1,{first}T00:00:00Z,{next}T00:00:00Z,{at}T00:00:00Z,{}T00:00:00Z,\
                 Usage,,Some use,Usage-Based,Cloud One,Cloud One,Cloud One,,Compute,Machines,sub-1,vm-{machine},eu-1,\
                 sku-1,1,Hours,\"{{\"\"service\"\":\"\"{service}\"\",\"\"environment\"\":\"\"production\"\"}}\"\n",
                at + Days::new(1)
            ));
        }
    }
    text
}

// The machine is tagged as of search, from 20 October on of checkout, and from 10 November on of search again. `more` cents
// are billed for 22 October besides.
fn retagged_bill(month: &str, last: &str, more: i64) -> String {
    tagged_bill(month, last, |at| {
        let is_checkout_s = (day("2026-10-20")..day("2026-11-10")).contains(&at);
        let payer = if is_checkout_s { "checkout" } else { "search" };
        let besides = if at == day("2026-10-22") { more } else { 0 };
        vec![(payer, shared_cents(at) + besides)]
    })
}

type Step = (String, String, f64);

// What tags moved: whose, from which day on, and how much a day.
async fn steps(world: &World, now: &str) -> Vec<Step> {
    effects::settle(&world.app.state.pools, time(now)).await.unwrap();
    sqlx::query_as(
        "SELECT s.slug, to_char(r.day, 'MM-DD'), r.amount_per_day FROM retag_step r JOIN service s USING (service_id)
         ORDER BY r.day, s.slug",
    )
    .fetch_all(&world.db)
    .await
    .unwrap()
}

fn moved(to: &str, from: &str, at: &str, amount: f64) -> Vec<Step> {
    let mut both = [(to.to_owned(), at.to_owned(), amount), (from.to_owned(), at.to_owned(), -amount)];
    both.sort_by(|left, right| left.0.cmp(&right.0));
    both.to_vec()
}

/// What tags moved is told by the first week after the change: no later bill moves it but one that restates that week.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_tags_moved_stays_as_it_was_in_its_first_week(db: PgPool) {
    let world = world(&db).await;
    let steps = async |month: &str, last: &str, more: i64, now: &str| {
        world.import_text(&retagged_bill(month, last, more), now).await;
        steps(&world, now).await
    };
    let there = |amount: f64| moved("checkout", "search", "10-20", amount);
    // The mean of the complete days of the week: of three, then of all seven.
    assert_eq!(steps("2026-10", "2026-10-22", 0, "2026-10-23T06:00:00Z").await, there(61.0));
    assert_eq!(steps("2026-10", "2026-10-26", 0, "2026-10-27T06:00:00Z").await, there(63.0));
    // More days, dearer ones, change nothing of it.
    assert_eq!(steps("2026-10", "2026-10-31", 0, "2026-11-01T06:00:00Z").await, there(63.0));
    assert_eq!(steps("2026-11", "2026-11-09", 0, "2026-11-10T06:00:00Z").await, there(63.0));
    // Nor does the machine's way back, which is a step of its own.
    let back = moved("search", "checkout", "11-10", 90.0);
    let both = [there(63.0), back.clone()].concat();
    assert_eq!(steps("2026-11", "2026-11-18", 0, "2026-11-19T06:00:00Z").await, both);
    // A restatement of one of its days does.
    let restated = [there(63.1), back].concat();
    assert_eq!(steps("2026-10", "2026-10-31", 70, "2026-11-20T06:00:00Z").await, restated);
}

/// A machine that two services paid for goes to a third, which gets what it costs once; each of both gives what it paid.
/// Effects look at usage: the tax on it is none.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_several_paid_for_is_given_once(db: PgPool) {
    let world = world(&db).await;
    let mut bill = tagged_bill("2026-10", "2026-10-31", |at| match at < day("2026-10-20") {
        true => vec![("search", 3000), ("ledger", 6000)],
        false => vec![("checkout", 9000)],
    });
    let is_machine_s = |line: &&str| line.contains("vm-shared");
    let taxes: Vec<String> =
        bill.lines().filter(is_machine_s).map(|line| line.replace("Z,Usage,,", "Z,Tax,,") + "\n").collect();
    bill.push_str(&taxes.concat());
    world.import_text(&bill, "2026-11-02T06:00:00Z").await;
    let steps = steps(&world, "2026-11-02T06:00:00Z").await;
    let expected = [("checkout", 90.0), ("ledger", -60.0), ("search", -30.0)];
    assert_eq!(steps.len(), expected.len(), "{steps:?}");
    for ((service, at, amount), (of, told)) in steps.iter().zip(expected) {
        assert_eq!((service.as_str(), at.as_str()), (of, "10-20"), "{steps:?}");
        assert!((amount - told).abs() < 1e-9, "{steps:?}");
    }
}

/// Where the bill of the machine is late, the week goes as far as that bill does, however far others reach.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_tags_moved_is_of_the_days_of_its_own_bill(db: PgPool) {
    let world = world(&db).await;
    world.import_text(&retagged_bill("2026-10", "2026-10-22", 0), "2026-10-23T06:00:00Z").await;
    // It makes most of all cost, so that nothing waits for the other.
    let other = tagged_bill("2026-10", "2026-10-31", |_| vec![("search", 100_000)]).replace("sub-1", "sub-2");
    world.import_as("edge-one", &other, "2026-11-01T06:00:00Z").await;
    assert_eq!(steps(&world, "2026-11-01T06:00:00Z").await, moved("checkout", "search", "10-20", 61.0));
}

/// What a rule moved is told in the same way: of a late bill by its own days, however far others reach.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_a_rule_moved_is_of_the_days_of_its_own_bill(db: PgPool) {
    let world = world(&db).await;
    world.import_text(&bill("2026-10", "2026-10-22"), "2026-10-23T06:00:00Z").await;
    // It makes most of all cost, so that nothing waits for the other.
    let other = tagged_bill("2026-10", "2026-10-31", |_| vec![("search", 100_000)]).replace("sub-1", "sub-3");
    world.import_as("edge-one", &other, "2026-11-01T06:00:00Z").await;
    let admin = world.app.token(TokenScope::Admin, Role::Finance).await;
    let rule = json!({"applies_to": "charges", "service": "checkout", "first_day": "2026-10-20", "place": "first", "reason": "Checkout took it.",
        "conditions": [{"attribute": "sub_account_id", "operator": "equals", "value": "sub-2"}]});
    let made = world.app.api("POST", "/api/v1/rules", &admin, rule).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let mut conn = db.acquire().await.unwrap();
    let bills = freshness::read(&mut conn).await.unwrap();
    assert_eq!(bills.complete_to(), Some(day("2026-10-31")));
    let range = DateRange::new(day("2026-10-01"), day("2026-11-01")).unwrap();
    let known = Known::of(&bills, range.end());
    let steps = impact_series::rule_steps(&mut conn, range, &known).await.unwrap();
    let told: Vec<(NaiveDate, f64)> = steps.iter().map(|step| (step.day, step.amount_per_day)).collect();
    assert_eq!(told, [(day("2026-10-20"), 60.0)]);
}
