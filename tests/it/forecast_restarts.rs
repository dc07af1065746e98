//! A release that is known to have changed the cost starts the level of its forecast anew: what it did is no growth.

#![expect(clippy::float_arithmetic, reason = "estimates against what was made up")]

use super::finance::{World, deployed, time, world};
use super::made_bills::{self, Made, day, days, even_cents};
use super::support::last_answer;
use chrono::NaiveDate;
use costwake::jobs::{effects, forecasts};
use sqlx::PgPool;

const LAST_DAY: &str = "2026-11-18";

/// Forty more a day from the day after the release on.
fn cents(at: NaiveDate) -> i64 {
    even_cents(0, at) + if at > day("2026-11-02") { 4000 } else { 0 }
}

async fn forecast(world: &World) {
    forecasts::forecast(&world.app.state.pools, time("2026-11-20T12:00:00Z")).await.unwrap();
}

/// What November of the service is expected to cost, and how many releases started its level anew.
async fn november(db: &PgPool) -> (f64, i32) {
    sqlx::query_as(
        "SELECT f.point::float8, f.restart_count FROM forecast f JOIN service s ON s.service_id = f.scope_id
         WHERE f.scope = 'service' AND s.slug = 'checkout' AND f.horizon = 'month' AND f.first_day = '2026-11-01'",
    )
    .fetch_one(db)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_month_is_forecast_nearer_to_the_truth_once_a_release_is_settled(db: PgPool) {
    let world = world(&db).await;
    let mut made = vec![Made::new("checkout", cents)];
    for (index, service) in ["search", "ledger", "mail", "media"].into_iter().enumerate() {
        made.push(Made::new(service, move |at| even_cents(index + 1, at)));
    }
    // So long before that all past days that forecasts are tried on have a history.
    made_bills::import(&world, "2026-05", LAST_DAY, &made).await;
    let release = deployed(&db, ("1", "v1"), "checkout", "production", "2026-11-02T23:50:00Z").await;
    let truth: f64 = days(day("2026-11-01"), day("2026-11-30")).map(|at| made[0].cost(at)).sum();

    // Nobody knows yet what the release did: the step is taken for growth, of which a part goes on.
    forecast(&world).await;
    let (without, restarts) = november(&db).await;
    assert_eq!(restarts, 0);
    effects::settle(&world.app.state.pools, time("2026-11-20T12:00:00Z")).await.unwrap();
    let answer = last_answer(&db, release).await;
    assert_eq!((answer.phase.as_str(), answer.finding.as_str()), ("settled", "increase"), "{answer:?}");
    assert!(forecasts::ask_where_due(&world.app.state.pools).await.unwrap(), "a finding is a reason to ask again");
    forecast(&world).await;
    let (with, restarts) = november(&db).await;
    assert_eq!(restarts, 1);

    let (missed_with, missed_without) = ((with - truth).abs(), (without - truth).abs());
    let figures = format!("{truth} came; {with} was said with the release, {without} without");
    assert!(missed_with < missed_without, "{figures}");
    // Of twelve days at 140 growth that is none adds some 29; without it a thousandth of noise is left.
    assert!(missed_with < 10.0, "{figures}");
    assert!(without - truth > 10.0, "{figures}");
}
