//! Forecasts while a bill is late: its days are not zero, and who reads them is told; and how many intervals held.

#![expect(clippy::float_arithmetic, reason = "estimates against what was made up")]

use super::finance::{World, time, world};
use super::made_bills::{self, Made, day, days, even_cents};
use chrono::NaiveDate;
use costwake::jobs::forecasts;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::PgPool;

/// The bill of a month up to a day, of a source.
async fn deliver(world: &World, source: &str, month: &str, last: &str, made_on: &str) {
    let one = match source {
        "edge-one" => Made::new("edge", |at| even_cents(1, at) / 5),
        _ => Made::new("checkout", |at| even_cents(0, at)),
    };
    let text = made_bills::bill(month, last, &[one]);
    world.import_as(source, &text, &format!("{made_on}T06:00:00Z")).await;
}

/// The same cents on every day, but for days of which so many percent are there.
fn arriving(cents: i64, days: [(&'static str, i64); 3]) -> impl Fn(NaiveDate) -> i64 + Copy + Send + Sync + 'static {
    let days = days.map(|(text, percent)| (day(text), percent));
    move |at| days.iter().find(|(day, _)| *day == at).map_or(cents, |(_, percent)| cents * percent / 100)
}

/// Bills of one source are a day older than those of the other: a day is as much there as its own bill shows.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_day_is_scaled_up_by_the_age_of_its_own_bill(db: PgPool) {
    let world = world(&db).await;
    let checkout = arriving(10_000, [("2026-11-17", 99), ("2026-11-18", 93), ("2026-11-19", 50)]);
    let edge = arriving(1000, [("2026-11-16", 99), ("2026-11-17", 93), ("2026-11-18", 50)]);
    for (month, last) in [("2026-08", "2026-08-31"), ("2026-09", "2026-09-30"), ("2026-10", "2026-10-31")] {
        for (source, made) in [("cloud-one", Made::new("checkout", checkout)), ("edge-one", Made::new("edge", edge))] {
            world.import_as(source, &made_bills::bill(month, last, &[made]), "2026-11-02T06:00:00Z").await;
        }
    }
    for (source, made, last, now) in [
        ("edge-one", Made::new("edge", edge), "2026-11-18", "2026-11-19T06:00:00Z"),
        ("cloud-one", Made::new("checkout", checkout), "2026-11-19", "2026-11-20T06:00:00Z"),
    ] {
        world.import_as(source, &made_bills::bill("2026-11", last, &[made]), now).await;
    }
    for sql in [
        "DELETE FROM source_completeness",
        "DELETE FROM source_settling",
        "INSERT INTO source_completeness (source_id, age_days, median_share, day_count)
         SELECT source_id, age, share, 30 FROM source, (VALUES (1, 0.5), (2, 0.93), (3, 0.99), (4, 1)) c (age, share)",
        "INSERT INTO source_settling (source_id, settles_after_days) SELECT source_id, 4 FROM source",
    ] {
        sqlx::query(sql).execute(&db).await.unwrap();
    }
    forecast(&world).await;
    // Complete to the 15th. Of the 18th the other shows half: all cost has it in the rest, where nothing is missing.
    for (scope, slug, known, incomplete, point) in [
        ("service", "checkout", 1500.0, 300.0, 3000.0),
        ("service", "edge", 150.0, 20.0, 300.0),
        ("total", "", 1650.0, 220.0, 3300.0),
    ] {
        let said = november(&db, scope, slug).await;
        let told = [said.known, said.incomplete, said.point.unwrap()];
        for (told, expected) in told.into_iter().zip([known, incomplete, point]) {
            assert!((told - expected).abs() < 0.5, "{scope} {slug} {expected}: {said:?}");
        }
    }
}

/// Half a year of both, the source edge-one up to a day of November.
async fn world_without_edge_after(db: &PgPool, last_of_edge: &str, made_on: &str) -> World {
    let world = world(db).await;
    for month in ["2026-05", "2026-06", "2026-07", "2026-08", "2026-09", "2026-10"] {
        for source in ["cloud-one", "edge-one"] {
            deliver(&world, source, month, "2026-12-31", "2026-11-02").await;
        }
    }
    deliver(&world, "edge-one", "2026-11", last_of_edge, made_on).await;
    deliver(&world, "cloud-one", "2026-11", "2026-11-18", "2026-11-19").await;
    let team: i64 = sqlx::query_scalar("INSERT INTO team (slug, name) VALUES ('web', 'Web') RETURNING team_id")
        .fetch_one(db)
        .await
        .unwrap();
    sqlx::query("UPDATE service SET team_id = $1 WHERE slug = 'checkout'").bind(team).execute(db).await.unwrap();
    forecast(&world).await;
    world
}

async fn forecast(world: &World) {
    forecast_at(world, "2026-11-20T12:00:00Z").await;
}

async fn forecast_at(world: &World, now: &str) {
    forecasts::forecast(&world.app.state.pools, time(now)).await.unwrap();
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    known: f64,
    late: f64,
    incomplete: f64,
    point: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    no_forecast: String,
    actual: Option<f64>,
}

/// What was said last of November.
async fn november(db: &PgPool, scope: &str, slug: &str) -> Row {
    sqlx::query_as(
        "SELECT known::float8, late::float8, incomplete::float8, point::float8, low::float8, high::float8, no_forecast,
                actual::float8
         FROM forecast f
         LEFT JOIN service s ON f.scope = 'service' AND s.service_id = f.scope_id
         LEFT JOIN team t ON f.scope = 'team' AND t.team_id = f.scope_id
         WHERE f.scope = $1 AND coalesce(s.slug, t.slug, '') = $2 AND horizon = 'month' AND first_day = '2026-11-01'
           AND NOT is_hindcast
         ORDER BY asked_on DESC LIMIT 1",
    )
    .bind(scope)
    .bind(slug)
    .fetch_one(db)
    .await
    .unwrap()
}

fn truth() -> f64 {
    let cents = |at| even_cents(0, at) + even_cents(1, at) / 5;
    days(day("2026-11-01"), day("2026-11-30")).map(|at| cents(at) as f64 / 100.0).sum()
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn days_of_a_late_bill_are_no_days_without_cost(db: PgPool) {
    let world = world_without_edge_after(&db, "2026-11-15", "2026-11-16").await;
    let total = november(&db, "total", "").await;
    // Eighteen days of a hundred and fifteen of twenty are known, three of twenty are not.
    assert!((total.known - 2100.0).abs() < 2.0 && (total.late - 60.0).abs() < 1.0, "{total:?}");
    assert_eq!(total.late, total.incomplete, "{total:?}");
    let (low, point, high) = (total.low.unwrap(), total.point.unwrap(), total.high.unwrap());
    assert!((point - truth()).abs() < 5.0, "{} came: {total:?}", truth());
    // To a unit of the currency, as pages show it.
    assert!(low <= truth() + 1.0 && truth() - 1.0 <= high, "{} came: {total:?}", truth());
    let team = november(&db, "team", "web").await;
    assert_eq!((team.late, team.no_forecast.as_str()), (0.0, ""), "it lacks no bill: {team:?}");
    let apart = november(&db, "team", "").await;
    assert!((apart.late - 60.0).abs() < 1.0 && apart.point.is_some(), "what no team has lacks it: {apart:?}");

    let edge = november(&db, "service", "edge").await;
    assert!(edge.point.is_none() && edge.low.is_none(), "{edge:?}");
    let why = "The bill of edge-one is missing since 16 Nov 2026, and makes 100.0% of it";
    assert_eq!(edge.no_forecast, why);
    let finance = world.finance().await;
    let page = finance.get("/finance/forecast").await.body;
    for told in [
        "edge-one is missing since Mon 16 Nov 2026",
        "$60 expected of days whose bill is late",
        why,
        "Not allocated",
        "are forecast each by itself, so that they need not add up: teams and what none of them has come to $",
        "(without 1 of which there is no forecast)",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
    let own = finance.get("/services/edge").await.body;
    assert!(own.contains("id=\"forecast\"") && own.contains(why), "{own}");
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let told = world.app.api("GET", "/api/v1/forecast?service=edge&by=month", &token, Value::Null).await.json();
    assert_eq!((&told["forecasts"][0]["point"], &told["forecasts"][0]["no_forecast"]), (&Value::Null, &why.into()));

    deliver(&world, "edge-one", "2026-11", "2026-11-18", "2026-11-19").await;
    forecast(&world).await;
    let (total, edge) = (november(&db, "total", "").await, november(&db, "service", "edge").await);
    assert_eq!((total.late, edge.no_forecast.as_str()), (0.0, ""), "{total:?} {edge:?}");
    assert!(edge.point.is_some());
    let page = finance.get("/finance/forecast").await.body;
    assert!(!page.contains("is missing since") && !page.contains("whose bill is late"), "{page}");
}

/// What came in a month that lacks a late bill is not known: no interval of it was right or wrong until the bill is there.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_month_that_lacks_a_late_bill_is_held_against_nothing(db: PgPool) {
    let world = world_without_edge_after(&db, "2026-11-18", "2026-11-19").await;
    for (month, last) in [("2026-11", "2026-11-30"), ("2026-12", "2026-12-03")] {
        deliver(&world, "cloud-one", month, last, "2026-12-04").await;
    }
    forecast_at(&world, "2026-12-05T12:00:00Z").await;
    let actuals = async || {
        (
            november(&db, "total", "").await.actual,
            november(&db, "service", "edge").await.actual,
            november(&db, "service", "checkout").await.actual.is_some(),
        )
    };
    assert_eq!(actuals().await, (None, None, true));
    for (month, last) in [("2026-11", "2026-11-30"), ("2026-12", "2026-12-03")] {
        deliver(&world, "edge-one", month, last, "2026-12-04").await;
    }
    forecast_at(&world, "2026-12-05T12:00:00Z").await;
    let (total, edge, _) = actuals().await;
    assert!(edge.is_some() && (total.unwrap() - truth()).abs() < 0.01, "{total:?} {}", truth());
}

/// Where the record says that fewer hold than are meant to, that is told and new ones are wider.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn how_many_intervals_held_is_told_and_widens_new_ones(db: PgPool) {
    let world = world_without_edge_after(&db, "2026-11-18", "2026-11-19").await;
    let of_quarter = async || -> (f64, f64) {
        sqlx::query_as(
            "SELECT widening, (high - point)::float8 FROM forecast f JOIN service s ON s.service_id = f.scope_id
             WHERE f.scope = 'service' AND s.slug = 'checkout' AND horizon = 'quarter' AND first_day = '2026-10-01'",
        )
        .fetch_one(&db)
        .await
        .unwrap()
    };
    let (before, width) = of_quarter().await;
    // Twelve that missed by ten times half their width.
    sqlx::query(
        "INSERT INTO forecast (scope, scope_id, billing_currency, horizon, first_day, last_day, asked_on, publication_id,
             computed_at, known, point, low, high, actual)
         SELECT 'service', 900000 + number, 'USD', 'quarter', '2026-07-01', '2026-09-30', '2026-08-15', 1, '2026-08-16', 5, 9,
             8.9, 9.1, 10
         FROM generate_series(1, 12) number",
    )
    .execute(&db)
    .await
    .unwrap();
    forecast(&world).await;
    let (widening, wider) = of_quarter().await;
    assert!(before < 1.05 && (3.4..3.6).contains(&widening), "{before} {widening}");
    assert!(wider > 3.0 * width / before, "{wider} {width}");
    let finance = world.finance().await;
    for path in ["/finance/forecast", "/docs/method"] {
        let page = finance.get(path).await.body;
        assert!(page.contains("quarters 0 of 12 (0.0%)"), "{path}: {page}");
        assert!(
            page.contains("earlier ones here") && page.contains("That is fewer than are meant to"),
            "{path}: {page}"
        );
    }
    let page = finance.get("/finance/forecast?by=quarter").await.body;
    assert!(page.contains("3.5 times as wide as that says") && !page.contains("90% interval"), "{page}");
}
