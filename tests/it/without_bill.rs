//! A month whose bill waits between others that count: nothing is claimed of its days, and once it counts the answers
//! are there.

#![expect(clippy::float_arithmetic, reason = "an estimate against what was made up")]

use super::finance::{BY, HEADER, World, deployed, time, world};
use super::support::{Answer, last_answer, usual_cents};
use chrono::{Days, NaiveDate};
use costwake::jobs::{anomalies, effects, forecasts};
use costwake::rollup::{accept, withdraw};
use sqlx::PgPool;

const SERVICES: [&str; 3] = ["checkout", "search", "ledger"];

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// Cents that a service costs on a day. Checkout costs so many more a day from the middle of October on.
fn cents(service: usize, at: NaiveDate, more: i64) -> i64 {
    usual_cents(service, at) + if service == 0 && at > day("2026-10-15") { more } else { 0 }
}

fn bill(month: &str, last: &str) -> String {
    bill_with(month, last, 4000)
}

fn bill_with(month: &str, last: &str, more: i64) -> String {
    let first = day(&format!("{month}-01"));
    let mut text = format!("{HEADER}\n");
    for at in first.iter_days().take_while(|at| *at <= day(last)) {
        for (index, service) in SERVICES.iter().enumerate() {
            let cents = cents(index, at, more);
            text.push_str(&line(first, at, service, &format!("{}.{:02}", cents / 100, cents % 100)));
        }
    }
    text
}

fn line(first: NaiveDate, at: NaiveDate, service: &str, cost: &str) -> String {
    let next = first + chrono::Months::new(1);
    format!(
        "{cost},{cost},{cost},{cost},USD,acct-1,{first}T00:00:00Z,{next}T00:00:00Z,{at}T00:00:00Z,{}T00:00:00Z,\
         Usage,,Some use,Usage-Based,Cloud One,Cloud One,Cloud One,,Compute,Machines,sub-1,vm-{service},eu-1,sku-1,\
         1,Hours,\"{{\"\"service\"\":\"\"{service}\"\",\"\"environment\"\":\"\"production\"\"}}\"\n",
        at + Days::new(1)
    )
}

/// What search is forecast to cost in the running month or quarter, and why there is no forecast.
async fn forecast(world: &World, horizon: &str) -> (Option<f64>, String) {
    forecasts::forecast(&world.app.state.pools, time("2026-11-20T12:00:00Z")).await.unwrap();
    sqlx::query_as(
        "SELECT point::float8, no_forecast FROM forecast JOIN service ON service_id = scope_id
         WHERE scope = 'service' AND slug = 'search' AND horizon = $1 AND NOT is_hindcast
         ORDER BY asked_on DESC LIMIT 1",
    )
    .bind(horizon)
    .fetch_one(&world.db)
    .await
    .unwrap()
}

async fn hindcasts_of_october(db: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM forecast WHERE horizon = 'month' AND first_day = '2026-10-01'")
        .fetch_one(db)
        .await
        .unwrap()
}

async fn drops(world: &World) -> i64 {
    anomalies::detect(&world.app.state.pools, time("2026-11-20T12:00:00Z")).await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM anomaly WHERE kind = 'drop'").fetch_one(&world.db).await.unwrap()
}

async fn settle(world: &World) {
    effects::settle(&world.app.state.pools, time("2026-11-20T12:00:00Z")).await.unwrap();
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_month_that_waits_is_claimed_nothing_of(db: PgPool) {
    let world = world(&db).await;
    for (month, last, now) in [
        ("2026-06", "2026-06-30", "2026-07-02T06:00:00Z"),
        ("2026-07", "2026-07-31", "2026-08-02T06:00:00Z"),
        ("2026-08", "2026-08-31", "2026-09-02T06:00:00Z"),
        ("2026-09", "2026-09-30", "2026-10-02T06:00:00Z"),
    ] {
        world.import_text(&bill(month, last), now).await;
    }
    let broken = line(day("2026-10-01"), day("2026-10-31"), "mail", "twelve");
    let october = world.hand_in(&(bill("2026-10", "2026-10-31") + &broken), "2026-11-02T06:00:00Z").await;
    assert_eq!(october.state, "quarantined");

    // Of the last seven complete days four have no bill: as zeros they would be the level.
    world.import_text(&bill("2026-11", "2026-11-03"), "2026-11-04T06:00:00Z").await;
    let (point, _) = forecast(&world, "month").await;
    let usual = 30.0 * 99.6;
    assert!(point.is_some_and(|point| (0.95 * usual..1.05 * usual).contains(&point)), "{point:?}");
    let (point, no_forecast) = forecast(&world, "quarter").await;
    assert_eq!((point, no_forecast.as_str()), (None, "No bill for October 2026, whose days are a part of it"));
    assert_eq!(hindcasts_of_october(&db).await, 0);
    assert_eq!(drops(&world).await, 0);

    world.import_text(&bill("2026-11", "2026-11-18"), "2026-11-19T06:00:00Z").await;
    let within = deployed(&db, ("1", "v1"), "checkout", "production", "2026-10-15T12:00:00Z").await;
    let before = deployed(&db, ("2", "v2"), "search", "production", "2026-09-20T12:00:00Z").await;
    let after = deployed(&db, ("3", "v3"), "ledger", "production", "2026-11-03T12:00:00Z").await;
    settle(&world).await;
    for id in [within, before, after] {
        let Answer { phase, finding, reason, .. } = last_answer(&db, id).await;
        assert_eq!([phase, finding, reason], ["measuring", "cannot-tell", "bill-missing"], "{id}");
    }
    let page = world.finance().await.get(&format!("/deployments/{within}")).await.body;
    assert!(
        page.contains("Not yet known what this deployment did to the cost of checkout. A bill is missing"),
        "{page}"
    );
    assert_eq!(drops(&world).await, 0);

    accept(&world.app.state.pools, october.delivery_id, BY, time("2026-11-20T07:00:00Z")).await.unwrap();
    assert!(effects::ask_where_due(&world.app.state.pools).await.unwrap());
    settle(&world).await;
    let Answer { phase, finding, .. } = last_answer(&db, within).await;
    assert_eq!([phase, finding], ["settled", "increase"]);
    for id in [before, after] {
        let Answer { phase, reason, .. } = last_answer(&db, id).await;
        assert!(phase == "settled" && reason != "bill-missing", "{id}: {phase} {reason}");
    }
    let (point, no_forecast) = forecast(&world, "quarter").await;
    assert!(point.is_some() && no_forecast.is_empty(), "{no_forecast}");
    assert!(hindcasts_of_october(&db).await > 0);
    assert_eq!(drops(&world).await, 0);
}

/// A settled answer waits while the bill of a month in between is withdrawn, and is revised by the one that takes its
/// place.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_answer_that_waited_for_a_corrected_bill_is_revised(db: PgPool) {
    let world = world(&db).await;
    for (month, last, now) in [
        ("2026-07", "2026-07-31", "2026-08-02T06:00:00Z"),
        ("2026-08", "2026-08-31", "2026-09-02T06:00:00Z"),
        ("2026-09", "2026-09-30", "2026-10-02T06:00:00Z"),
    ] {
        world.import_text(&bill(month, last), now).await;
    }
    let october = world.import_text(&bill("2026-10", "2026-10-31"), "2026-11-02T06:00:00Z").await;
    world.import_text(&bill("2026-11", "2026-11-18"), "2026-11-19T06:00:00Z").await;
    let id = deployed(&db, ("1", "v1"), "checkout", "production", "2026-10-15T12:00:00Z").await;
    settle(&world).await;
    let Answer { phase, finding, .. } = last_answer(&db, id).await;
    assert_eq!([phase, finding], ["settled", "increase"]);

    withdraw(&world.app.state.pools, october.delivery_id, BY, time("2026-11-20T07:00:00Z")).await.unwrap();
    settle(&world).await;
    let Answer { phase, reason, .. } = last_answer(&db, id).await;
    assert_eq!([phase, reason], ["measuring", "bill-missing"]);

    world.import_text(&bill_with("2026-10", "2026-10-31", -3000), "2026-11-20T08:00:00Z").await;
    world.import_text(&bill_with("2026-11", "2026-11-18", -3000), "2026-11-20T09:00:00Z").await;
    settle(&world).await;
    let Answer { phase, finding, .. } = last_answer(&db, id).await;
    assert_eq!([phase, finding], ["revised", "decrease"]);
    let page = world.finance().await.get(&format!("/deployments/{id}")).await.body;
    assert!(page.contains("Revised: ") && page.contains("It was "), "{page}");
}
