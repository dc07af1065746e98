//! What is said afterwards of a month that is over rests on its bills as they are, whichever of them came last; what was
//! told while it ran stays.

use super::finance::{Line, World, bill, decimal, world};
use chrono::NaiveDate;
use costwake::focus::DateRange;
use costwake::jobs::forecasts;
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, forecast_series};
use serde_json::Value;
use sqlx::PgPool;

const NOW: &str = "2026-11-20T12:00:00Z";
const MONTHS: [(&str, &str); 5] = [
    ("2026-07", "2026-07-31"),
    ("2026-08", "2026-08-31"),
    ("2026-09", "2026-09-30"),
    ("2026-10", "2026-10-31"),
    ("2026-11", "2026-11-18"),
];

// The same on every day of these months, a bill each.
async fn deliver(world: &World, source: &str, line: Line, months: &[(&'static str, &str)], now: &str) {
    for &(month, last) in months {
        let (first, last): (NaiveDate, NaiveDate) = (format!("{month}-01").parse().unwrap(), last.parse().unwrap());
        let days = first.iter_days().take_while(|day| *day <= last);
        let lines: Vec<Line> =
            days.map(|day| Line { billed: month, day: String::leak(day.to_string()), ..line }).collect();
        world.import_as(source, &bill(&lines), now).await;
    }
}

// Forecasts are worked out. Gives those of all cost in months that are over.
async fn past(world: &World) -> Vec<Value> {
    assert!(forecasts::ask_where_due(&world.app.state.pools).await.unwrap());
    forecasts::forecast(&world.app.state.pools, NOW.parse().unwrap()).await.unwrap();
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let answer = world.app.api("GET", "/api/v1/forecast?by=month", &token, Value::Null).await.json();
    let past = answer["past"].as_array().unwrap().iter();
    past.filter(|one| one["scope"] == "total").cloned().collect()
}

fn of<'a>(past: &'a [Value], currency: &str, first_day: &str) -> Option<&'a Value> {
    past.iter().find(|one| one["billing_currency"] == currency && one["first_day"] == first_day)
}

// What was known of October, and that what was said of it holds.
fn known(past: &[Value], currency: &str) -> String {
    let october = of(past, currency, "2026-10-01").unwrap_or_else(|| panic!("{currency}: {past:?}"));
    assert_eq!(
        (&october["is_hindcast"], &october["bills_complete_to"]),
        (&Value::from(true), &Value::from("2026-10-15"))
    );
    let amount = |key: &str| decimal(october[key].as_str().unwrap());
    let off = (amount("point") - amount("actual")).abs();
    assert!(off * decimal("100") < amount("actual"), "{october}");
    october["known"].as_str().unwrap().to_owned()
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_month_that_is_over_is_asked_about_anew_when_its_bills_come_or_change(db: PgPool) {
    let world = world(&db).await;
    let dollars = Line { cost: "100", ..Line::default() };
    let euros = Line { cost: "30", currency: "EUR", service: "edge", ..Line::default() };
    deliver(&world, "cloud-one", dollars, &MONTHS, "2026-11-19T06:00:00Z").await;
    deliver(&world, "edge-one", euros, &MONTHS[..3], "2026-11-19T06:00:00Z").await;
    let first = past(&world).await;
    assert_eq!(known(&first, "USD"), "1500");
    // No bill in euros tells of October yet: nothing is said of it, not even to be held against what will come.
    let said = "SELECT count(*) FROM forecast WHERE is_hindcast AND billing_currency = 'EUR' AND first_day = $1::date";
    let said = async |first_day: &str| -> i64 {
        let first_day: NaiveDate = first_day.parse().unwrap();
        sqlx::query_scalar(said).bind(first_day).fetch_one(&db).await.unwrap()
    };
    assert_eq!(said("2026-10-01").await, 0);
    assert!(said("2026-09-01").await > 0);

    deliver(&world, "edge-one", euros, &MONTHS[3..], "2026-11-19T07:00:00Z").await;
    let tools = Line { cost: "7", service: "tools", ..Line::default() };
    deliver(&world, "tools-one", tools, &MONTHS, "2026-11-19T07:00:00Z").await;
    let second = past(&world).await;
    assert_eq!((known(&second, "USD"), known(&second, "EUR")), ("1605".into(), "450".into()));
    assert!(forecasts_stand(&world).await, "nothing more to do");

    deliver(&world, "cloud-one", Line { cost: "110", ..dollars }, &MONTHS, "2026-11-19T08:00:00Z").await;
    assert_eq!(known(&past(&world).await, "USD"), "1755");
    for page in ["/finance/forecast", "/finance/statements/2026-10"] {
        let body = world.finance().await.get(page).await.body;
        assert!(body.contains("bills complete to 15 Oct, worked out afterwards"), "{page}: {body}");
    }
}

async fn forecasts_stand(world: &World) -> bool {
    let done = forecasts::forecast(&world.app.state.pools, NOW.parse().unwrap()).await.unwrap();
    done.hindcast_month_count == 0
}

/// What was told while a month ran is no matter of what its bills say now, and what was worked out in between, while the
/// bills of earlier months were taken in, was told to nobody.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_was_told_in_time_is_the_record_and_what_was_not_is_none(db: PgPool) {
    let world = world(&db).await;
    let told = "INSERT INTO forecast (scope, scope_id, billing_currency, horizon, first_day, last_day, asked_on,
                    publication_id, computed_at, known, point, low, high)
                SELECT 'total', 0, 'USD', 'month', first_day, last_day, asked_on, 1, computed_at, 5, 4000, 3900, 4100
                FROM (VALUES ('2026-09-01'::date, '2026-09-30'::date, '2026-09-15'::date, '2026-09-17'::timestamptz),
                    ('2026-08-01', '2026-08-31', '2026-08-16', '2026-11-20')
                ) told (first_day, last_day, asked_on, computed_at)";
    sqlx::query(told).execute(&db).await.unwrap();
    for (cost, now) in [("100", "2026-11-19T06:00:00Z"), ("110", "2026-11-19T07:00:00Z")] {
        deliver(&world, "cloud-one", Line { cost, ..Line::default() }, &MONTHS, now).await;
        let past = past(&world).await;
        let september = of(&past, "USD", "2026-09-01").unwrap();
        assert_eq!(
            (&september["point"], &september["is_hindcast"]),
            (&Value::from("4000"), &Value::from(false)),
            "{cost}"
        );
        let august = of(&past, "USD", "2026-08-01").unwrap();
        let asked = (&august["bills_complete_to"], &august["is_hindcast"]);
        assert_eq!(asked, (&Value::from("2026-08-15"), &Value::from(true)));
        assert_eq!(decimal(august["known"].as_str().unwrap()), decimal(cost) * decimal("15"));
    }
}

/// All months are asked about at once, each of its own bills and in the order in which they were named.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn each_month_rests_on_the_bills_of_its_own_days(db: PgPool) {
    let world = world(&db).await;
    deliver(&world, "cloud-one", Line { cost: "100", ..Line::default() }, &MONTHS, "2026-11-19T06:00:00Z").await;
    let range = |first: &str, end: &str| DateRange::new(first.parse().unwrap(), end.parse().unwrap()).unwrap();
    let ranges = [
        range("2026-10-01", "2026-11-01"),
        range("2026-09-01", "2026-11-01"),
        range("2026-01-01", "2026-07-01"),
        range("2026-10-15", "2026-10-16"),
    ];
    let mut conn = db.acquire().await.unwrap();
    let all = forecast_series::rests_on(&mut conn, &ranges).await.unwrap();
    assert_eq!(all.len(), 4);
    assert!(all[0].is_some() && all[1].is_some() && all[0] != all[1], "{all:?}");
    assert_eq!((&all[2], &all[3]), (&None, &all[0]));
    assert_eq!(forecast_series::rests_on(&mut conn, &ranges[..1]).await.unwrap(), all[..1]);
    assert!(forecast_series::rests_on(&mut conn, &[]).await.unwrap().is_empty());
}
