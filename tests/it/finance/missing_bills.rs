//! A source that is late: what it bills is called partial, all figures wait for what makes most of them, and what it does
//! not bill is as complete as ever. Missing days are never zero.

use super::{HEADER, Line, World, bill, column, texts, world};
use bigdecimal::BigDecimal;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::PgPool;

// A line a day from 1 October to this day of November, in two bills.
async fn deliver(world: &World, source: &str, service: &'static str, cost: &'static str, last: u32) {
    deliver_in(world, source, service, (cost, "USD"), last).await;
}

async fn deliver_in(
    world: &World,
    source: &str,
    service: &'static str,
    (cost, currency): (&'static str, &'static str),
    last: u32,
) {
    for (month, days) in [("2026-10", 31), ("2026-11", last)] {
        let days: Vec<String> = (1..=days).map(|day| format!("{month}-{day:02}")).collect();
        let line = |day| Line { cost, currency, billed: month, day, service, ..Line::default() };
        let lines: Vec<Line> = days.iter().map(|day| line(String::leak(day.clone()))).collect();
        world.import_as(source, &bill(&lines), &format!("2026-11-{:02}T06:00:00Z", last + 1)).await;
    }
}

// The cells of a day in the table below the chart.
fn day_row(page: &str, day: &str) -> Vec<String> {
    let rows = texts(page, "table[id^=daily-] tbody tr");
    let row = rows.iter().find_map(|row| row.strip_prefix(day)).unwrap_or_else(|| panic!("{day}: {rows:?}"));
    let words = row.trim().replace("not yet", "not-yet");
    words.split_whitespace().map(|word| word.replace('-', " ")).collect()
}

// Cost of one day of one service in one environment.
fn line_in(environment: &str, day: u32, cost: &str) -> String {
    let tags = format!("{{\"\"service\"\":\"\"shop\"\",\"\"env\"\":\"\"{environment}\"\"}}");
    format!(
        "{cost},{cost},{cost},{cost},USD,acct-1,2026-11-01T00:00:00Z,2026-12-01T00:00:00Z,2026-11-{day:02}T00:00:00Z,\
         2026-11-{day:02}T23:00:00Z,Usage,,Some use,Usage-Based,Cloud One,Cloud One,Cloud One,,Compute,Machines,sub-1,\
         vm-{environment},eu-1,sku-1,1,Hours,\"{tags}\"\n"
    )
}

/// Where a late source bills a part of a service, that part is not known, what others bill is, and what ended before is
/// nothing.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_day_without_a_late_source_is_not_known_in_its_part(db: PgPool) {
    let world = world(&db).await;
    let file = |lines: Vec<String>| format!("{HEADER}\n{}", lines.concat());
    let late = (1..=15).map(|day| line_in("production", day, "3")).collect();
    world.import_as("edge-one", &file(late), "2026-11-16T06:00:00Z").await;
    let ended = (1..=4).map(|day| line_in("preview", day, "2"));
    let kept = (1..=19).map(|day| line_in("staging", day, "5")).chain(ended).collect();
    world.import_as("cloud-one", &file(kept), "2026-11-20T06:00:00Z").await;
    let page = world.finance().await.get("/services/shop").await.body;
    // From the bottom of the stack: production, staging, preview; then the total.
    assert_eq!(day_row(&page, "Wed 4 Nov"), ["$3.00", "$5.00", "$2.00", "$10.00"]);
    assert_eq!(day_row(&page, "Sun 15 Nov"), ["$3.00", "$5.00", "$0.00", "$8.00"]);
    for day in ["Mon 16 Nov", "Thu 19 Nov"] {
        assert_eq!(day_row(&page, day), ["not yet", "$5.00", "$0.00", "$5.00", "partial"], "{day}");
    }
    // The topmost first, as the stack stands.
    assert_eq!(texts(&page, "[data-day-head]"), ["Thu 19 Nov, partial"]);
    assert_eq!(texts(&page, "[data-day-col]"), ["$0.00", "$5.00", "not yet", "$5.00"]);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn missing_days_are_not_zero_and_totals_without_them_are_partial(db: PgPool) {
    let world = world(&db).await;
    deliver(&world, "edge-one", "edge", "1", 15).await;
    deliver(&world, "cloud-one", "checkout", "100", 19).await;
    let finance = world.finance().await;

    let edge = finance.get("/services/edge").await.body;
    assert!(edge.contains("edge-one is missing since Mon 16 Nov 2026"), "{edge}");
    assert!(edge.contains("It makes 100.0% of this cost: totals of days without it are marked partial, and part"));
    assert!(edge.contains("30 days, partial") && !edge.contains("30 complete days"), "{edge}");
    assert_eq!(texts(&edge, "[data-day-head]"), ["Thu 19 Nov, partial"], "{edge}");
    assert!(texts(&edge, "[data-day-col]").iter().all(|cell| cell == "not yet"), "{edge}");
    assert_eq!(day_row(&edge, "Sun 15 Nov"), ["$1.00", "$1.00"]);
    assert_eq!(day_row(&edge, "Mon 16 Nov"), ["not yet", "not yet", "partial"]);
    assert!(edge.contains("A source is late: from Mon 16 Nov on, what it bills is not known yet"), "{edge}");
    let days = finance.get("/services/edge.csv").await.body;
    assert_eq!(column(&days, "ChargeDate").last().unwrap(), "2026-11-15", "no day is told as zero: {days}");

    let checkout = finance.get("/services/checkout").await.body;
    assert!(!checkout.contains("is missing since") && checkout.contains("30 complete days"), "{checkout}");
    assert_eq!(texts(&checkout, "[data-day-head]"), ["Thu 19 Nov"], "{checkout}");
    assert!(!checkout.contains("not yet") && !checkout.contains("A source is late"), "{checkout}");
    assert_eq!(day_row(&checkout, "Thu 19 Nov"), ["$100", "$100"]);
    // Where no day of the page is known, that is no zero either.
    let none = finance.get("/services/edge?period=2026-11-17..2026-11-19&vs=py").await.body;
    assert!(none.contains("No cost from 17 to 19 Nov 2026 is known yet: a source is late"), "{none}");

    let overview = finance.get("/").await.body;
    assert!(overview.contains("edge-one is missing since Mon 16 Nov 2026"), "{overview}");
    assert!(overview.contains("It makes 1.0% of this cost") && overview.contains("30 days, partial"), "{overview}");
    let list = finance.get("/services").await.body;
    let rows = texts(&list, "tbody th");
    assert!(
        rows.contains(&"edge partial since 16 Nov".to_owned()) && rows.contains(&"checkout".to_owned()),
        "{rows:?}"
    );

    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let costs = async |query: &str| {
        let path = format!("/api/v1/costs{query}");
        world.app.api("GET", &path, &token, Value::Null).await.json()
    };
    let own = costs("?service=edge").await;
    assert_eq!((&own["complete_to"], &own["last_day"]), (&"2026-11-19".into(), &"2026-11-19".into()), "{own}");
    let all = costs("").await;
    assert_eq!(all["complete_to"], "2026-11-19", "{all}");
    assert_eq!(all["notes"], own["notes"]);
    assert_eq!(all["notes"][0], "edge-one is missing since 2026-11-16: totals with later days are partial.", "{all}");
    assert_eq!(costs("?service=checkout").await["notes"].as_array().map(Vec::len), Some(0));

    // Once it makes most of all cost, all figures wait for it.
    deliver(&world, "edge-one", "edge", "200", 15).await;
    let overview = finance.get("/").await.body;
    assert!(overview.contains("Bills complete to Sun 15 Nov, 1 source late"), "{overview}");
    assert!(overview.contains("figures end with Sun 15 Nov") && overview.contains("30 complete days"), "{overview}");
    let why = "because it makes more than half of what all sources bill and credit a day, each weighed by its own last \
               28 days.";
    assert!(overview.contains(why), "{overview}");
    // What a source makes of all cost is told only to those who see sources.
    let team: i64 = sqlx::query_scalar(
        "WITH made AS (INSERT INTO team (slug, name) VALUES ('edges', 'Edges') RETURNING team_id)
         UPDATE service SET team_id = (SELECT team_id FROM made) WHERE slug = 'edge' RETURNING team_id",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    let member = world.app.browser(Role::Member, false, &[team]).await.get("/services/edge").await.body;
    let told = "It makes 100.0% of this cost: figures end with Sun 15 Nov, and later days are not added up.";
    assert!(member.contains(told) && !member.contains("more than half"), "{member}");
    // And once it is there, nothing is said any more.
    deliver(&world, "edge-one", "edge", "8", 19).await;
    let overview = finance.get("/").await.body;
    assert!(!overview.contains("is missing since") && overview.contains("30 complete days"), "{overview}");
}

/// A source that was the only one on its last days, and costs next to nothing, holds back no other.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_source_without_cost_holds_nothing_back(db: PgPool) {
    let world = world(&db).await;
    let line = |day, cost| Line { cost, billed: "2026-10", day, service: "trial", ..Line::default() };
    let credit = Line { category: "Credit", ..line("2026-10-20", "-0.0000001") };
    let trial = [line("2026-10-19", "0.00000003"), credit];
    // It came on two days, so that more of it is expected.
    world.import_as("trial-one", &bill(&trial[..1]), "2026-10-20T06:00:00Z").await;
    world.import_as("trial-one", &bill(&trial), "2026-10-21T06:00:00Z").await;
    let november = |day: u32| Line {
        cost: "100",
        billed: "2026-11",
        day: String::leak(format!("2026-11-{day:02}")),
        ..Line::default()
    };
    let lines: Vec<Line> = (1..=19).map(november).collect();
    world.import_as("cloud-one", &bill(&lines), "2026-11-20T06:00:00Z").await;
    let finance = world.finance().await;
    let overview = finance.get("/").await.body;
    assert!(overview.contains("Bills complete to Thu 19 Nov, 1 source late"), "{overview}");
    assert!(overview.contains("It makes less than 0.1% of this cost: totals of days without it"), "{overview}");
    // Of its own service it is all.
    let trial = finance.get("/services/trial?period=2026-10-19..2026-11-19").await.body;
    assert!(trial.contains("It makes 100.0% of this cost: totals of days without it are marked partial"), "{trial}");
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let costs = world.app.api("GET", "/api/v1/costs?service=checkout", &token, Value::Null).await.json();
    assert_eq!(costs["complete_to"], "2026-11-19", "{costs}");
    assert_eq!(costs["notes"].as_array().map(Vec::len), Some(0), "{costs}");
    // One that made most of all cost is waited for, although it stopped before the others began. Its three days are not
    // held against their nineteen: it is weighed by what a day costs, and fewer than seven count as seven. Of 28 days it
    // is 270 * 28 / 7 = 1,080, the other 1,900 * 28 / 19 = 2,800.
    let trial = ["2026-10-18", "2026-10-19", "2026-10-20"].map(|day| line(day, "90"));
    world.import_as("trial-one", &bill(&trial), "2026-10-21T07:00:00Z").await;
    let overview = finance.get("/").await.body;
    assert!(overview.contains("Bills complete to Thu 19 Nov") && overview.contains("It makes 27.8% of"), "{overview}");
    let trial = trial.map(|line| Line { cost: "500", ..line });
    // 6,000 beside 2,800.
    world.import_as("trial-one", &bill(&trial), "2026-10-21T08:00:00Z").await;
    let overview = finance.get("/").await.body;
    assert!(overview.contains("Bills complete to Tue 20 Oct, 1 source late"), "{overview}");
}

/// What is missing since a day is no matter of a page about days before it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_page_about_days_before_says_nothing_of_a_late_source(db: PgPool) {
    let world = world(&db).await;
    deliver(&world, "edge-one", "edge", "1", 15).await;
    deliver(&world, "cloud-one", "checkout", "100", 19).await;
    let finance = world.finance().await;
    for path in [
        "/?period=2026-10",
        "/services?period=2026-11-01..2026-11-15",
        "/services/edge?period=2026-10",
        "/environments?period=2026-10",
        "/teams?period=2026-10",
        "/why?period=2026-11-01..2026-11-07&vs=2026-10-01..2026-10-07",
    ] {
        let page = finance.get(path).await.body;
        assert!(!page.contains("is missing since") && !page.contains("partial since"), "{path}: {page}");
    }
    for path in [
        "/?period=2026-11",
        "/services?period=2026-11-01..2026-11-16",
        "/services/edge?period=mtd",
        "/why?period=2026-10-01..2026-10-19&vs=2026-11-01..2026-11-19",
    ] {
        let page = finance.get(path).await.body;
        assert!(page.contains("edge-one is missing since Mon 16 Nov 2026"), "{path}: {page}");
    }
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let note_count = async |path: &str| {
        let answer = world.app.api("GET", path, &token, Value::Null).await.json();
        answer["notes"].as_array().map(Vec::len)
    };
    assert_eq!(note_count("/api/v1/costs?period=2026-10").await, Some(0));
    assert_eq!(note_count("/api/v1/costs?period=2026-11-01..2026-11-19").await, Some(1));
    // Where all figures wait for it, days that are asked for and not there yet are a matter of the page.
    deliver(&world, "edge-one", "edge", "200", 15).await;
    let says = async |path: &str| finance.get(path).await.body.contains("figures end with Sun 15 Nov");
    assert!(says("/?period=2026-11").await && says("/").await);
    assert!(!says("/?period=2026-10").await && !says("/?period=2026-11-01..2026-11-15").await);
}

/// Takes in lines of `requests,service,day,value`.
async fn import_requests(world: &World, lines: &[String]) {
    let text = format!("metric,service,day,value\n{}\n", lines.join("\n"));
    let now = super::time("2026-11-20T06:00:00Z");
    costwake::rollup::metrics_import::import(&world.app.state.pools, text.as_bytes(), "test", "", now).await.unwrap();
}

/// Days without the bill of a late source are a cause of their own and no unit cost: nothing was saved on them.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn days_without_a_bill_are_no_cause_and_no_unit_cost(db: PgPool) {
    let world = world(&db).await;
    deliver(&world, "edge-one", "edge", "10", 15).await;
    deliver(&world, "cloud-one", "checkout", "100", 19).await;
    let days = chrono::NaiveDate::from_ymd_opt(2026, 10, 1).unwrap().iter_days().take(50);
    let values: Vec<String> = days.map(|day| format!("requests,edge,{day},1000")).collect();
    import_requests(&world, &values).await;
    let finance = world.finance().await;
    let query = "service=edge&period=2026-11-10..2026-11-19";
    let csv = finance.get(&format!("/why.csv?{query}")).await.body;
    let rows: Vec<(String, BigDecimal)> = column(&csv, "Cause")
        .into_iter()
        .zip(column(&csv, "Amount").iter().map(|amount| amount.parse().unwrap()))
        .collect();
    for (cause, amount) in &rows {
        let expected = if cause == "bill-missing" { -40 } else { 0 };
        let rounded = amount.with_scale_round(6, bigdecimal::RoundingMode::HalfUp);
        assert_eq!(rounded, BigDecimal::from(expected), "{cause}: {csv}");
    }
    assert!(csv.contains("edge-one since 16 Nov"), "{csv}");
    let page = finance.get(&format!("/why?{query}")).await.body;
    assert!(page.contains("edge-one is missing since Mon 16 Nov 2026"), "{page}");
    assert!(!page.contains("Days are UTC and complete;"), "{page}");
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let api = async |path: &str| world.app.api("GET", path, &token, Value::Null).await.json();
    let why = api(&format!("/api/v1/why?{query}")).await;
    assert_eq!(why["notes"][0], "edge-one is missing since 2026-11-16: totals with later days are partial.", "{why}");

    let unit = api("/api/v1/unit-costs?service=edge&period=2026-11-10..2026-11-19").await;
    let (before, after) = (&unit["groups"][0]["before"], &unit["groups"][0]["after"]);
    assert_eq!((&after["known_days"], &after["unknown_days"]), (&6.into(), &4.into()), "{unit}");
    assert_eq!((&after["cost_per_unit"], &before["cost_per_unit"]), (&"0.01".into(), &"0.01".into()), "{unit}");
    assert_eq!(unit["notes"].as_array().map(Vec::len), Some(1), "{unit}");
    let page = finance.get("/unit-costs?service=edge&period=2026-11-10..2026-11-19").await.body;
    assert!(page.contains("4 days are not known, and left out with their cost"), "{page}");
    assert!(page.contains("edge-one is missing since"), "{page}");
    let metric = finance.get("/metrics/requests/unit-costs.csv").await.body;
    let known = column(&metric, "Day").into_iter().zip(column(&metric, "UnitCost"));
    assert!(known.filter(|(day, _)| day.as_str() > "2026-11-15").all(|(_, unit)| unit.is_empty()), "{metric}");
    // A service that the late source does not bill has its own.
    let other = api("/api/v1/why?service=checkout&period=2026-11-10..2026-11-19").await;
    assert_eq!(other["notes"].as_array().map(Vec::len), Some(0), "{other}");
}

/// What seems to be left over may be all that is known: a saving waits for the bill that lacks, and says so.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_saving_waits_for_the_bill_of_a_late_source(db: PgPool) {
    let world = world(&db).await;
    deliver(&world, "edge-one", "edge", "10", 15).await;
    deliver(&world, "cloud-one", "checkout", "100", 19).await;
    // Nobody asks either service any more, since three weeks.
    let days = chrono::NaiveDate::from_ymd_opt(2026, 10, 1).unwrap().iter_days().take(50);
    let values: Vec<String> = days
        .enumerate()
        .flat_map(|(place, day)| ["edge", "checkout"].map(|service| (service, day, if place < 29 { 1000 } else { 0 })))
        .map(|(service, day, requests)| format!("requests,{service},{day},{requests}"))
        .collect();
    import_requests(&world, &values).await;
    let finance = world.finance().await;
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let found = async |service: &str| {
        let path = format!("/api/v1/savings?service={service}");
        world.app.api("GET", &path, &token, Value::Null).await.json()["savings"][0].clone()
    };
    let edge = found("edge").await;
    assert_eq!((&edge["kind"], &edge["state"]), (&"no-traffic".into(), &"held-back".into()), "{edge}");
    assert_eq!(edge["held_by"], "bill", "{edge}");
    let why = "Held back: the bill of edge-one is missing since 16 Nov 2026, and what is not known may be in use.";
    assert_eq!(edge["held_back"], why, "{edge}");
    let checkout = found("checkout").await;
    assert_eq!((&checkout["state"], &checkout["held_by"]), (&"open".into(), &Value::Null), "{checkout}");
    let page = finance.get("/savings").await.body;
    assert!(page.contains(" One more waits for a bill.") && page.contains(why), "{page}");
    let csv = finance.get("/savings.csv?service=edge").await.body;
    assert_eq!(column(&csv, "HeldBack"), [why], "{csv}");

    deliver(&world, "edge-one", "edge", "11", 19).await;
    let edge = found("edge").await;
    assert_eq!((&edge["state"], &edge["held_by"]), (&"open".into(), &Value::Null), "{edge}");
    assert!(!finance.get("/savings").await.body.contains("waits for a bill"));
}

/// What a late source makes of a service in EUR, by its own lines or by shares of a split, says nothing of its USD: they
/// are forecast, have unit costs and savings as before.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_late_source_in_one_currency_leaves_another_known(db: PgPool) {
    let world = world(&db).await;
    deliver_in(&world, "edge-one", "edge", ("13", "EUR"), 15).await;
    deliver(&world, "cloud-one", "checkout", "1141", 19).await;
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    let split = serde_json::json!({"name": "Edge", "source": "edge", "method": "fixed", "reason": "It serves both.",
        "targets": [{"service": "checkout", "percent": "100"}], "first_day": "2026-11-10", "last_day": "2026-11-12"});
    let made = world.app.api("POST", "/api/v1/splits", &token, split).await;
    assert_eq!(made.status, axum::http::StatusCode::CREATED, "{}", made.body);
    let days = chrono::NaiveDate::from_ymd_opt(2026, 10, 1).unwrap().iter_days().take(50).enumerate();
    let line = |(place, day)| format!("requests,checkout,{day},{}", if place < 29 { 1000 } else { 0 });
    import_requests(&world, &days.map(line).collect::<Vec<_>>()).await;

    let api = async |path: &str| world.app.api("GET", path, &token, Value::Null).await.json();
    let saving = api("/api/v1/savings?service=checkout").await["savings"][0].clone();
    assert_eq!((&saving["state"], &saving["held_by"]), (&"open".into(), &Value::Null), "{saving}");
    costwake::jobs::forecasts::forecast(&world.app.state.pools, super::time("2026-11-20T12:00:00Z")).await.unwrap();
    let why: Vec<(String, String)> = sqlx::query_as(
        "SELECT f.billing_currency, f.no_forecast FROM forecast f JOIN service s ON s.service_id = f.scope_id
         WHERE f.scope = 'service' AND s.slug = 'checkout' AND f.horizon = 'month' AND f.first_day = '2026-11-01'
           AND NOT f.is_hindcast ORDER BY 1",
    )
    .fetch_all(&db)
    .await
    .unwrap();
    let late = "The bill of edge-one is missing since 16 Nov 2026, and makes 100.0% of it".to_owned();
    assert_eq!(why, [("EUR".to_owned(), late), ("USD".to_owned(), String::new())]);

    let finance = world.finance().await;
    let page = finance.get("/services/checkout").await.body;
    assert!(page.contains("It makes 100.0% of this cost in EUR: totals of days without it"), "{page}");
    assert!(page.contains("and part of what changed in EUR is that it is not there"), "{page}");
    let rows = texts(&finance.get("/services").await.body, "tbody th");
    assert!(rows.contains(&"checkout partial in EUR since 16 Nov".to_owned()), "{rows:?}");
}

/// A late source is no matter of a list that is narrowed to what it does not bill, nor of readers who see nothing of it;
/// what it makes is told of its own currency.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_late_source_is_told_where_it_makes_a_part_of_what_is_looked_at(db: PgPool) {
    let world = world(&db).await;
    let euro = |day: &'static str| Line {
        cost: "2",
        currency: "EUR",
        billed: "2026-11",
        day,
        service: "edge",
        ..Line::default()
    };
    let days = ["2026-11-13", "2026-11-14", "2026-11-15"];
    world.import_as("edge-one", &bill(&days.map(euro)), "2026-11-16T06:00:00Z").await;
    // 24 of six days beside 6 of three: fewer than seven count as seven.
    let other = Line { cost: "12", ..euro("2026-11-14") };
    deliver(&world, "cloud-one", "checkout", "100", 19).await;
    world.import_as("third-one", &bill(&[other, Line { day: "2026-11-19", ..other }]), "2026-11-20T06:00:00Z").await;
    let finance = world.finance().await;
    let says = async |browser: &crate::support::TestApp, path: &str| {
        let body = browser.get(path).await.body;
        let boxes = texts(&body, ".state.warn p");
        let told = boxes.iter().find_map(|text| text.split("It makes ").nth(1)).unwrap_or_default();
        (told.split(':').next().unwrap_or_default().to_owned(), body.contains("days, partial"))
    };
    let in_euro = ("20.0% of this cost in EUR".to_owned(), true);
    for path in ["/services", "/", "/environments", "/teams"] {
        assert_eq!(says(&finance, path).await, in_euro, "{path}");
    }
    let of_itself = ("20.0% of this cost".to_owned(), true);
    for path in ["/services?cur=EUR", "/services/edge", "/services?team=none&cur=EUR"] {
        assert_eq!(says(&finance, path).await, of_itself, "{path}");
    }
    for path in ["/services?cur=USD", "/services?provider=Elsewhere", "/services/checkout"] {
        assert!(says(&finance, path).await.0.is_empty(), "{path}");
    }
    let checkout: i64 = sqlx::query_scalar(
        "WITH made AS (INSERT INTO team (slug, name) VALUES ('buyers', 'Buyers') RETURNING team_id)
         UPDATE service SET team_id = (SELECT team_id FROM made) WHERE slug = 'checkout' RETURNING team_id",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    let member = world.app.browser(Role::Member, false, &[checkout]).await;
    for path in ["/services", "/", "/teams/buyers"] {
        assert_eq!(says(&member, path).await, (String::new(), false), "{path}");
    }
    assert_eq!(says(&finance, "/environments?team=buyers").await, (String::new(), false));
}

/// One bill of a month that is over, handed in once, promises no other. One that comes again on another day is expected.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn one_older_bill_is_not_late(db: PgPool) {
    let world = world(&db).await;
    deliver(&world, "cloud-one", "checkout", "100", 19).await;
    let october = |cost: &'static str| {
        let days = (1..=15).map(|day| Line { cost, day: String::leak(format!("2026-10-{day:02}")), ..Line::default() });
        bill(&days.collect::<Vec<_>>())
    };
    world.import_as("mistyped", &october("1"), "2026-11-18T06:00:00Z").await;
    let finance = world.finance().await;
    let sources = finance.get("/sources").await.body;
    assert!(sources.contains("One bill so far") && !sources.contains("Late by"), "{sources}");
    assert!(!finance.get("/").await.body.contains("mistyped is late"));
    world.import_as("mistyped", &october("2"), "2026-11-19T06:00:00Z").await;
    assert!(finance.get("/sources").await.body.contains("Late by 33 days"));
    assert!(finance.get("/").await.body.contains("mistyped is late"));
}
