//! Bills by the hour place the start of an effect: from the lines of a bill to the page of a deployment.

#![expect(clippy::float_arithmetic, reason = "shares against what was made up")]

use super::finance::{HEADER, World, deployed, time, world};
use super::support::{last_answer, usual_cents};
use chrono::{Days, Months, NaiveDate, TimeDelta};
use costwake::jobs::anomalies;
use costwake::jobs::effects::{self, Settled};
use costwake::store::Role;
use costwake::store::release_hours;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::PgPool;
use std::time::Duration;

const SERVICES: [&str; 4] = ["checkout", "search", "ledger", "mail"];
/// A job of the first service runs in this hour; all others cost the same.
const JOB_HOUR: u32 = 2;
const CENTS_OF_AN_HOUR: i64 = 100;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// Cents that a service costs on a day; the job of the first one costs 40 more from the day after the release on.
fn cents(service: usize, at: NaiveDate) -> i64 {
    usual_cents(service, at) + if service == 0 && at > day("2026-10-28") { 4000 } else { 0 }
}

/// A month up to a day: the first service by the hour or by the day, the others by the day.
fn bill(month: &str, last: &str, is_hourly: bool) -> String {
    let first = day(&format!("{month}-01"));
    let next = first + Months::new(1);
    let mut text = format!("{HEADER}\n");
    let mut line = |service: &str, cents: i64, start: &str, end: &str| {
        let cost = format!("{}.{:02}", cents / 100, cents % 100);
        text.push_str(&format!(
            "{cost},{cost},{cost},{cost},USD,acct-1,{first}T00:00:00Z,{next}T00:00:00Z,{start},{end},Usage,,Some use,\
             Usage-Based,Cloud One,Cloud One,Cloud One,,Compute,Machines,sub-1,vm-{service},eu-1,sku-{service},1,Hours,\
             \"{{\"\"service\"\":\"\"{service}\"\",\"\"environment\"\":\"\"production\"\"}}\"\n"
        ));
    };
    for at in first.iter_days().take_while(|at| *at < next && *at <= day(last)) {
        for (index, service) in SERVICES.iter().enumerate() {
            let cents = cents(index, at);
            if index > 0 || !is_hourly {
                line(service, cents, &format!("{at}T00:00:00Z"), &format!("{}T00:00:00Z", at + Days::new(1)));
                continue;
            }
            for hour in 0..24 {
                let start = at.and_hms_opt(hour, 0, 0).unwrap().and_utc();
                let stamp = |at: chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
                let of_hour = if hour == JOB_HOUR { cents - 23 * CENTS_OF_AN_HOUR } else { CENTS_OF_AN_HOUR };
                line(service, of_hour, &stamp(start), &stamp(start + TimeDelta::hours(1)));
            }
        }
    }
    text
}

async fn filled(db: &PgPool) -> World {
    let world = world(db).await;
    for (month, last, now) in [
        ("2026-08", "2026-08-31", "2026-09-02T06:00:00Z"),
        ("2026-09", "2026-09-30", "2026-10-02T06:00:00Z"),
        ("2026-10", "2026-10-31", "2026-11-02T06:00:00Z"),
        ("2026-11", "2026-11-18", "2026-11-19T06:00:00Z"),
    ] {
        world.import_text(&bill(month, last, true), now).await;
    }
    world
}

async fn settle(world: &World) -> Settled {
    effects::settle(&world.app.state.pools, time("2026-11-20T12:00:00Z")).await.unwrap()
}

/// Days of releases that hours are kept for, and whether there are any.
async fn kept(db: &PgPool) -> Vec<(String, String, bool)> {
    sqlx::query_as(
        "SELECT slug, day::text, hours <> '{}' FROM release_hours JOIN service USING (service_id) ORDER BY 1, 2",
    )
    .fetch_all(db)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn hours_of_a_bill_place_the_start(db: PgPool) {
    let world = filled(&db).await;
    let step = deployed(&db, ("1", "v1"), "checkout", "production", "2026-10-28T12:00:00Z").await;
    let daily = deployed(&db, ("2", "v2"), "search", "production", "2026-10-20T12:00:00Z").await;
    let untold = deployed(&db, ("3", "v3"), "checkout", "production", "2026-09-30T12:00:00Z").await;
    let receipt = "UPDATE deployment SET time_is_received = true WHERE deployment_id = $1";
    sqlx::query(receipt).bind(untold).execute(&db).await.unwrap();
    assert_eq!(settle(&world).await.computed_count, 3);
    assert!(!effects::is_behind(&world.app.state.pools).await.unwrap());

    // The job at two had run on the day of the release: twelve hours of the others were left of it.
    let answer = last_answer(&db, step).await;
    let start = answer.hourly_start.unwrap();
    let usual = ["2026-09-30", "2026-10-07", "2026-10-14", "2026-10-21"];
    let after = |at: &str| (12 * CENTS_OF_AN_HOUR) as f64 / cents(0, day(at)) as f64;
    let expected = usual.into_iter().map(after).sum::<f64>() / 4.0;
    let share = start["share_after"].as_f64().unwrap();
    assert!((share - expected).abs() < 1e-5 && share < 0.13, "{share} for {expected}");
    assert_eq!((answer.finding.as_str(), start["at"].as_str()), ("increase", Some("2026-10-28T12:00:00Z")));
    // Where the service is billed by the day, and where nobody told the hour, the clock or a half of the day counts.
    for id in [daily, untold] {
        assert_eq!(last_answer(&db, id).await.hourly_start, None, "{id}");
    }
    let of = |service: &str, day: &str, has_hours| (service.to_owned(), day.to_owned(), has_hours);
    assert_eq!(kept(&db).await, [of("checkout", "2026-10-28", true), of("search", "2026-10-20", false)]);

    let finance = world.finance().await;
    let page = finance.get(&format!("/deployments/{step}")).await.body;
    assert!(page.contains("The bill is hourly: the effect is counted from 12:00 on (UTC), after which"), "{page}");
    let page = finance.get(&format!("/deployments/{daily}")).await.body;
    assert!(page.contains("Expected cost is fitted") && !page.contains("The bill is hourly"), "{page}");
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let path = format!("/api/v1/deployments/{step}/impact");
    let api = world.app.api("GET", &path, &token, Value::Null).await.json();
    assert_eq!(api["answers"][0]["hourly_start"], start, "{api}");

    // The same hours are not read again, and the same answers not worked out again.
    let read = async || -> Vec<String> {
        sqlx::query_scalar("SELECT xmin::text FROM release_hours ORDER BY 1").fetch_all(&db).await.unwrap()
    };
    let before = read().await;
    assert_eq!(settle(&world).await.computed_count, 0);
    assert_eq!(read().await, before);

    // October by the day instead, at the same cost: one day of four is by the hour still, which is too few.
    world.import_text(&bill("2026-10", "2026-10-31", false), "2026-11-19T07:00:00Z").await;
    assert!(settle(&world).await.computed_count >= 1);
    let answer = last_answer(&db, step).await;
    assert_eq!(answer.hourly_start, None);
    let changed = answer.what_changed;
    assert!(changed.contains("the hours from which on they count"), "{changed}");
    assert!(!changed.contains("the cost of its days is another"), "{changed}");
    let is_hourly: Vec<bool> = sqlx::query_scalar(
        "SELECT has_hourly_charges FROM generation WHERE state = 'current' ORDER BY billing_period_start",
    )
    .fetch_all(&db)
    .await
    .unwrap();
    assert_eq!(is_hourly, [true, true, false, true]);
    // September too: nothing of the days before is by the hour any more, and nothing is kept of it.
    world.import_text(&bill("2026-09", "2026-09-30", false), "2026-11-19T08:00:00Z").await;
    settle(&world).await;
    assert!(kept(&db).await.is_empty());
    world.assert_clean().await;
}

/// Nothing is read from lines in no time.
async fn settle_without_hours(world: &World) -> Settled {
    let now = time("2026-11-20T12:00:00Z");
    effects::settle_within(&world.app.state.pools, now, Duration::ZERO).await.unwrap()
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn hours_that_are_left_keep_the_job_due(db: PgPool) {
    let world = filled(&db).await;
    let pools = &world.app.state.pools;
    let step = deployed(&db, ("1", "v1"), "checkout", "production", "2026-10-28T12:00:00Z").await;
    anomalies::detect(pools, time("2026-11-20T12:00:00Z")).await.unwrap();
    assert!(kept(&db).await.is_empty(), "a search for anomalies reads no lines");

    // A first answer does not wait for hours.
    assert_eq!(settle_without_hours(&world).await.written_count, 1);
    assert!(kept(&db).await.is_empty() && last_answer(&db, step).await.hourly_start.is_none());
    assert!(effects::is_behind(pools).await.unwrap());
    // What stands does: of two answers that a release makes others, the one about itself is written at once.
    deployed(&db, ("2", "v2"), "checkout", "production", "2026-11-10T12:00:00Z").await;
    let without = settle_without_hours(&world).await;
    assert_eq!((without.computed_count, without.written_count), (2, 1));
    assert!(effects::is_behind(pools).await.unwrap());
    assert_eq!(settle(&world).await.written_count, 2);
    assert!(last_answer(&db, step).await.hourly_start.is_some());
    assert!(!effects::is_behind(pools).await.unwrap());
    // Where no hours are left to be read, no time is needed.
    settle_without_hours(&world).await;
    assert!(!effects::is_behind(pools).await.unwrap());
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn hours_are_read_for_releases_that_days_by_the_hour_come_before(db: PgPool) {
    let _world = filled(&db).await;
    // By the hour from 1 August to 18 November: a week before the first release, four weeks before the last one.
    for (id, at) in [
        ("1", "2026-08-07T23:59:59Z"),
        ("2", "2026-08-08T00:00:00Z"),
        ("3", "2026-12-16T23:59:59Z"),
        ("4", "2026-12-17T00:00:00Z"),
    ] {
        deployed(&db, (id, "v1"), "checkout", "production", at).await;
    }
    let stale = release_hours::stale(&mut db.acquire().await.unwrap()).await.unwrap();
    let days: Vec<NaiveDate> = stale.iter().map(|place| place.day).collect();
    assert_eq!(days, [day("2026-12-16"), day("2026-08-08")]);
    // A place alone has the digest that it has in the list.
    for place in &stale {
        let made_from = release_hours::made_from(&mut db.acquire().await.unwrap(), place).await.unwrap();
        assert!(made_from.is_some());
        assert_eq!(made_from, place.made_from);
    }
}

/// Releases of one service that look at the same days are read together, and have the hours that each of them has alone.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn releases_a_week_apart_have_the_hours_that_each_has_alone(db: PgPool) {
    let world = filled(&db).await;
    let releases = [("1", "2026-10-21"), ("2", "2026-10-28")];
    for (id, at) in releases {
        deployed(&db, (id, "v1"), "checkout", "production", &format!("{at}T12:00:00Z")).await;
    }
    let hours = async |at: &str| -> Vec<f64> {
        let hours = "SELECT hours FROM release_hours WHERE day = $1";
        sqlx::query_scalar(hours).bind(day(at)).fetch_one(&db).await.unwrap()
    };
    settle(&world).await;
    for (id, at) in releases {
        let together = hours(at).await;
        assert_eq!(together.len(), 24, "{at}");
        sqlx::query("DELETE FROM release_hours").execute(&db).await.unwrap();
        let others = "UPDATE deployment SET time_is_received = external_id <> $1";
        sqlx::query(others).bind(id).execute(&db).await.unwrap();
        settle(&world).await;
        assert_eq!(kept(&db).await, [("checkout".to_owned(), at.to_owned(), true)]);
        assert_eq!(hours(at).await, together, "{at}");
        sqlx::query("UPDATE deployment SET time_is_received = false").execute(&db).await.unwrap();
        settle(&world).await;
        assert_eq!(kept(&db).await.len(), 2);
    }
}

/// A search for anomalies looks at hours and reads none: whichever job runs first, it looks again once they are there.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn anomalies_are_looked_for_again_once_hours_are_there(db: PgPool) {
    let world = filled(&db).await;
    let pools = &world.app.state.pools;
    deployed(&db, ("1", "v1"), "checkout", "production", "2026-10-28T12:00:00Z").await;
    let detect = async || anomalies::detect(pools, time("2026-11-20T12:00:00Z")).await.unwrap();
    let is_due = async || anomalies::ask_where_due(pools).await.unwrap();
    detect().await;
    settle_without_hours(&world).await;
    assert!(!is_due().await, "none was read");
    settle(&world).await;
    assert!(is_due().await);
    assert!(detect().await.looked_count > 0);
    assert!(!is_due().await && !effects::is_behind(pools).await.unwrap());

    // Hours that are the same, and days of which bills tell none, change nothing.
    deployed(&db, ("2", "v2"), "search", "production", "2026-10-20T12:00:00Z").await;
    detect().await;
    settle(&world).await;
    assert_eq!(kept(&db).await.len(), 2);
    assert!(!is_due().await && !effects::is_behind(pools).await.unwrap());

    // Hours are counted as far back as a search may look at them.
    for (day, is_looked_at) in [("2026-01-01", false), ("2026-10-01", true)] {
        let insert = "INSERT INTO release_hours (service_id, environment_id, billing_currency, day, made_from, hours)
                      SELECT service_id, environment_id, billing_currency, $1::date, 'other days', hours
                      FROM release_hours WHERE hours <> '{}' AND day = '2026-10-28'";
        assert_eq!(sqlx::query(insert).bind(self::day(day)).execute(&db).await.unwrap().rows_affected(), 1);
        assert_eq!(is_due().await, is_looked_at, "{day}");
    }
}

/// Waits until a statement waits for a lock of another transaction.
async fn someone_waits(db: &PgPool) {
    let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock')";
    for _ in 0..600 {
        if sqlx::query_scalar::<_, bool>(waiting).fetch_one(db).await.unwrap() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing waits for the lock");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn hours_that_another_process_wrote_meanwhile_stand_until_the_next_run(db: PgPool) {
    let world = filled(&db).await;
    let pools = &world.app.state.pools;
    deployed(&db, ("1", "v1"), "checkout", "production", "2026-10-28T12:00:00Z").await;
    let mut other = db.begin().await.unwrap();
    let insert = "INSERT INTO release_hours (service_id, environment_id, billing_currency, day, made_from, hours)
                  SELECT service_id, environment_id, 'USD', '2026-10-28', 'other days', '{}'
                  FROM deployment JOIN deployment_service USING (deployment_id)";
    assert_eq!(sqlx::query(insert).execute(&mut *other).await.unwrap().rows_affected(), 1);
    let commit = async {
        someone_waits(&db).await;
        other.commit().await.unwrap();
    };
    tokio::join!(settle(&world), commit);
    let of = |has_hours| [("checkout".to_owned(), "2026-10-28".to_owned(), has_hours)];
    assert_eq!(kept(&db).await, of(false));
    assert!(effects::is_behind(pools).await.unwrap());
    settle(&world).await;
    assert_eq!(kept(&db).await, of(true));
    assert!(!effects::is_behind(pools).await.unwrap());
}

/// Changes of prices are worked out by one at a time ("prices" in ASCII).
const HOLD_PRICES: &str = "SELECT pg_advisory_xact_lock(123636696704371)";

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_published_while_inputs_are_worked_out_is_not_noted_as_done(db: PgPool) {
    let world = filled(&db).await;
    let pools = &world.app.state.pools;
    deployed(&db, ("1", "v1"), "checkout", "production", "2026-10-28T12:00:00Z").await;
    let now = time("2026-11-20T12:00:00Z");
    let detect = async || anomalies::detect(pools, now).await.map(drop);
    let publish = async |held: sqlx::Transaction<'static, sqlx::Postgres>, (last, at): (&str, &str)| {
        someone_waits(&db).await;
        world.import_text(&bill("2026-11", last, true), at).await;
        held.commit().await.unwrap();
    };
    let hold = async || {
        let mut held = db.begin().await.unwrap();
        sqlx::query(HOLD_PRICES).execute(&mut *held).await.unwrap();
        held
    };

    let bill_of = ("2026-11-19", "2026-11-20T06:00:00Z");
    tokio::join!(settle(&world), publish(hold().await, bill_of));
    assert!(effects::is_behind(pools).await.unwrap());
    settle(&world).await;
    assert!(!effects::is_behind(pools).await.unwrap());

    let bill_of = ("2026-11-20", "2026-11-21T06:00:00Z");
    let (detected, ()) = tokio::join!(detect(), publish(hold().await, bill_of));
    detected.unwrap();
    assert!(anomalies::ask_where_due(pools).await.unwrap());
    detect().await.unwrap();
    assert!(!anomalies::ask_where_due(pools).await.unwrap());
}
