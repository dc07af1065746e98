//! Why spend changed, by environment: each follows its own traffic as far as that is known, all add up, and what is unusual
//! in the days is named.

use super::why::{amount, amounts};
use super::{World, column, decimal, texts, time, world};
use crate::made_bills::{self, Made, day, days};
use bigdecimal::BigDecimal;
use chrono::{Datelike, NaiveDate};
use costwake::rollup::metrics_import;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::PgPool;
use std::collections::BTreeSet;

const QUERY: &str = "period=2026-10-01..2026-10-30&vs=2026-09";

// More on weekdays, and a fifth more from October on.
fn used(at: NaiveDate) -> i64 {
    let weekday = if at.weekday().number_from_monday() < 6 { 1300 } else { 1000 };
    if at >= day("2026-10-01") { weekday * 6 / 5 } else { weekday }
}

// Half of it is fixed.
fn production(at: NaiveDate) -> i64 {
    60_003 + 50 * used(at) + i64::from(at.day() % 3)
}

// Fixed, and a hundredth more from October on.
fn staging(at: NaiveDate) -> i64 {
    if at >= day("2026-10-01") { 20_202 } else { 20_002 }
}

// What is used of it is told of no environment but production: nothing is known of its traffic. It begins in October.
fn preview(at: NaiveDate) -> i64 {
    if at >= day("2026-10-01") { 701 } else { 0 }
}

// A day costs much more than in proportion to what is used.
fn steep(at: NaiveDate) -> i64 {
    200 * used(at) - 150_000
}

async fn seeded(db: &PgPool) -> World {
    let world = world(db).await;
    let made = || {
        [
            Made::new("search", production).on("vm-production"),
            Made::new("search", staging).within("staging").on("vm-staging"),
            Made::new("search", preview).within("preview").on("vm-preview"),
            Made::new("steep", steep).on("vm-steep"),
            Made::new("steep", |_| 9_007).within("staging").on("vm-steep-staging"),
        ]
    };
    made_bills::import(&world, "2026-08", "2026-11-05", &made()).await;
    let mut text = String::from("metric,service,day,value,environment\n");
    for at in days(day("2026-08-01"), day("2026-11-05")) {
        for service in ["search", "steep"] {
            for environment in ["production", "staging"] {
                text.push_str(&format!("requests,{service},{at},{},{environment}\n", used(at)));
            }
        }
    }
    let now = time("2026-11-06T07:00:00Z");
    metrics_import::import(&world.app.state.pools, text.as_bytes(), "test", "", now).await.unwrap();
    world
}

fn row(csv: &str, cause: &str) -> String {
    csv.lines().find(|line| line.split(',').nth(1) == Some(cause)).unwrap_or_default().to_owned()
}

/// Without an environment the rows are the sum of those of every environment, cause by cause and to the last digit.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_environments_add_up_to_the_service(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    let csv = async |more: &str| finance.get(&format!("/why.csv?{QUERY}{more}")).await.body;
    for scope in ["&service=search", "&service=steep", ""] {
        let all = csv(scope).await;
        let mut parts: Vec<(String, BigDecimal)> = Vec::new();
        for environment in ["production", "staging", "preview", "none"] {
            parts.extend(amounts(&csv(&format!("{scope}&env={environment}")).await));
        }
        let rows = amounts(&all);
        let causes: BTreeSet<&String> = rows.iter().chain(&parts).map(|(cause, _)| cause).collect();
        assert!(causes.len() > 2, "{all}");
        for cause in causes {
            assert_eq!(amount(&rows, cause), amount(&parts, cause), "{scope} {cause}: {all}");
        }
    }

    let all = csv("&service=search").await;
    let rows = amounts(&all);
    assert_eq!(amount(&rows, "new-services"), decimal("210.3"), "{all}");
    assert!(row(&all, "new-services").contains("New environments") && all.contains("search in preview"), "{all}");
    // A fifth more of what follows in production is some 115 a day; nothing of staging is more traffic.
    let volume = amount(&rows, "volume");
    assert!(decimal("3300") < volume && volume < decimal("3900"), "{all}");
    assert!(amount(&rows, "efficiency").abs() < decimal("100"), "{all}");
    let told = row(&all, "volume");
    assert!(told.contains("production: 1,") && told.contains("the rest counts as fixed"), "{all}");
    assert!(told.contains("staging: 1,") && told.contains("none of its cost followed it on "), "{all}");
}

/// Cost that moves by more than in proportion has no share: what is counted is an assumption, and is told as one.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn no_share_is_made_a_fact_where_cost_follows_no_line(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    let csv = finance.get(&format!("/why.csv?{QUERY}&service=steep")).await.body;
    let told = row(&csv, "volume");
    assert!(told.contains("is not known (cost moved by more than in proportion before)"), "{csv}");
    assert!(told.contains("all is counted as following") && !csv.contains("all of its cost followed"), "{csv}");
    let left = row(&csv, "efficiency");
    assert!(left.contains("or an untold cause") && left.contains("or something else that nobody told"), "{csv}");
    let both = finance.get(&format!("/why.csv?{QUERY}")).await.body;
    assert!(both.contains("requests of 2 services") && both.contains("is left out of 1, and of a part of 1"), "{both}");
}

/// An open anomaly in the days and the scope is named beside the row that holds it, with a link and its amount; the
/// overview leads to it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_open_anomaly_is_named_in_what_is_left(db: PgPool) {
    let world = seeded(&db).await;
    let insert =
        "INSERT INTO anomaly (service_id, environment_id, billing_currency, kind, start_date, end_date, found_on,
                      opened_at, changed_at, publication_id, day_count, actual_total, expected_total, days)
                  SELECT service_id, environment_id, 'USD', 'without-release', '2026-10-29', '2026-11-05', '2026-11-05',
                      now(), now(), 1, 8, 999, 0,
                      '[{\"day\": \"2026-10-28\", \"actual\": \"7\", \"expected\": null},
                        {\"day\": \"2026-10-29\", \"actual\": \"1400\", \"expected\": \"1150\"},
                        {\"day\": \"2026-10-30\", \"actual\": \"1400.7\", \"expected\": \"1150\"},
                        {\"day\": \"2026-10-31\", \"actual\": \"5000\", \"expected\": \"1150\"}]'
                  FROM service, environment WHERE service.slug = $1 AND environment.slug = 'production'
                  RETURNING anomaly_id";
    let id: i64 = sqlx::query_scalar(insert).bind("search").fetch_one(&db).await.unwrap();
    let finance = world.finance().await;
    let told = format!("A-{id} search since 29 Oct: +$501 against what was expected of its days");
    for (scope, is_named) in [
        ("", true),
        ("&service=search", true),
        ("&service=search&env=production", true),
        ("&service=search&env=staging", false),
        ("&service=steep", false),
        ("&provider=Cloud+One", false),
    ] {
        let csv = finance.get(&format!("/why.csv?{QUERY}{scope}")).await.body;
        assert_eq!(csv.contains(&told), is_named, "{scope}: {csv}");
    }
    let page = finance.get(&format!("/why?{QUERY}&service=search")).await.body;
    assert!(page.contains(&format!("<a href=\"/anomalies/{id}\">A-{id}</a>")), "{page}");
    let rows = texts(&page, "table.bridge tbody tr");
    let holds: Vec<&String> = rows.iter().filter(|row| row.contains(&format!("A-{id}"))).collect();
    assert!(holds.len() == 1 && holds[0].contains("used for each request, or an untold cause"), "{rows:?}");
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let api = world.app.api("GET", &format!("/api/v1/why?{QUERY}&service=search"), &token, Value::Null).await.json();
    assert!(api.to_string().contains(&told), "{api}");

    let overview = finance.get("/?period=2026-10-01..2026-10-30").await.body;
    let cell = format!("href=\"/anomalies/{id}\">Anomaly A-{id}, +$501 against what was expected");
    assert!(overview.contains(&cell), "{overview}");
    // Answered, it waits for nobody and is no more than a cost like others.
    sqlx::query("UPDATE anomaly SET state = 'explained'").execute(&db).await.unwrap();
    let after = finance.get(&format!("/why.csv?{QUERY}")).await.body;
    assert!(!after.contains(&format!("A-{id}")) && column(&after, "Cause").len() > 2, "{after}");
    assert!(!finance.get("/?period=2026-10-01..2026-10-30").await.body.contains(&cell));
}
