//! What lacks within a source that is there: a billing account that is late, and a billing period between others. Their days
//! are not complete, and no zeros.

use super::{Line, World, bill, column, texts, world};
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, freshness, statement_ties};
use serde_json::Value;
use sqlx::PgPool;
use std::ops::RangeInclusive;

// A line a day of a billing account of the source acme.
async fn deliver(
    world: &World,
    (account, service): (&str, &'static str),
    cost: &'static str,
    (month, days): (&'static str, RangeInclusive<u32>),
) {
    let line = |day: u32| Line {
        cost,
        billed: month,
        day: String::leak(format!("{month}-{day:02}")),
        service,
        ..Line::default()
    };
    let text = bill(&days.map(line).collect::<Vec<_>>()).replace("acct-1", account);
    world.import_as("acme", &text, "2026-11-20T06:00:00Z").await;
}

async fn notes(world: &World, query: &str) -> Value {
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let path = format!("/api/v1/costs{query}");
    world.app.api("GET", &path, &token, Value::Null).await.json()["notes"].clone()
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_account_that_lacks_is_late_although_its_source_is_there(db: PgPool) {
    let world = world(&db).await;
    for days in [("2026-10", 1..=31), ("2026-11", 1..=19)] {
        deliver(&world, ("A", "checkout"), "100", days).await;
    }
    deliver(&world, ("B", "edge"), "10", ("2026-10", 1..=31)).await;
    let finance = world.finance().await;
    let late = "acme, account B is missing since Sun 1 Nov 2026";
    for path in ["/", "/services", "/services/edge", "/why"] {
        let page = finance.get(path).await.body;
        assert!(page.contains(late), "{path}: {page}");
        assert!(page.contains("Bills complete to Thu 19 Nov, 1 source late"), "{path}: {page}");
    }
    let overview = finance.get("/").await.body;
    assert!(overview.contains("30 days, partial") && overview.contains("It makes 9.1% of this cost"), "{overview}");
    let sources = texts(&overview, "[aria-label='Sources table'] tbody tr");
    assert!(sources[0].contains("Partly there") && sources[0].contains("account B to 31 Oct 2026"), "{sources:?}");
    let checkout = finance.get("/services/checkout").await.body;
    assert!(!checkout.contains("is missing since") && !checkout.contains("days, partial"), "{checkout}");
    let id: i64 = sqlx::query_scalar("SELECT source_id FROM source WHERE name = 'acme'").fetch_one(&db).await.unwrap();
    for path in ["/sources".to_owned(), format!("/sources/{id}")] {
        let page = finance.get(&path).await.body;
        assert!(page.contains("acme, account B is missing since 1 Nov 2026"), "{path}: {page}");
    }
    assert_eq!(
        notes(&world, "?service=edge").await[0],
        "acme, account B is missing since 2026-11-01: totals with later days are partial."
    );
    assert_eq!(notes(&world, "?service=checkout").await.as_array().map(Vec::len), Some(0));
    // Once it is there, nothing is said any more.
    deliver(&world, ("B", "edge"), "10", ("2026-11", 1..=19)).await;
    let overview = finance.get("/").await.body;
    assert!(!overview.contains("is missing since") && !overview.contains("late ·"), "{overview}");
}

/// An account that began after its source is weighed by its own days: 100 of ten days are 280 of 28, beside 2,800.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_late_account_that_is_new_is_weighed_by_its_own_days(db: PgPool) {
    let world = world(&db).await;
    for days in [("2026-09", 1..=30), ("2026-10", 1..=31), ("2026-11", 1..=19)] {
        deliver(&world, ("A", "checkout"), "100", days).await;
    }
    deliver(&world, ("B", "edge"), "10", ("2026-10", 22..=31)).await;
    let overview = world.finance().await.get("/").await.body;
    assert!(overview.contains("acme, account B is missing since Sun 1 Nov 2026"), "{overview}");
    assert!(overview.contains("It makes 9.1% of this cost"), "{overview}");
}

/// An account that began while another is late is weighed by its own days too: 1,000 of ten days are 2,800 of 28, beside
/// 1,680 of the late one, for which nothing waits.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_account_that_is_new_beside_a_late_one_is_weighed_by_its_own_days(db: PgPool) {
    let world = world(&db).await;
    for days in [("2026-09", 1..=30), ("2026-10", 1..=31)] {
        deliver(&world, ("A", "checkout"), "60", days).await;
    }
    deliver(&world, ("B", "edge"), "100", ("2026-11", 10..=19)).await;
    let overview = world.finance().await.get("/").await.body;
    assert!(overview.contains("acme, account A is missing since Sun 1 Nov 2026"), "{overview}");
    assert!(overview.contains("Bills complete to Thu 19 Nov, 1 source late"), "{overview}");
    assert!(overview.contains("It makes 37.5% of this cost"), "{overview}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_billing_period_between_others_is_no_zero(db: PgPool) {
    let world = world(&db).await;
    for days in [("2026-09", 1..=30), ("2026-11", 1..=19)] {
        deliver(&world, ("A", "checkout"), "100", days).await;
    }
    let finance = world.finance().await;
    let gap = "acme has no bill for October 2026";
    for path in ["/", "/services", "/services/checkout"] {
        let page = finance.get(path).await.body;
        assert!(page.contains(gap) && page.contains("Days of October 2026 are marked partial"), "{path}: {page}");
        let lede = texts(&page, ".lede").join(" ");
        assert!(lede.contains("no bills for October 2026, so nothing to compare with"), "{path}: {lede}");
    }
    let service = finance.get("/services/checkout").await.body;
    assert!(service.contains("30 days, partial"), "{service}");
    assert!(service.contains("A bill for October 2026 is not there"), "{service}");
    let averages: Vec<String> =
        texts(&service, ".figures div").into_iter().filter(|one| one.contains("A day")).collect();
    assert_eq!(averages, ["A day, on average $100"], "over days that bills tell of");
    let rows = texts(&service, "table[id^=daily-] tbody tr");
    assert!(rows.iter().any(|row| row.starts_with("Sat 31 Oct") && row.ends_with("partial")), "{rows:?}");
    assert!(rows.iter().any(|row| row.starts_with("Sun 1 Nov") && !row.ends_with("partial")), "{rows:?}");
    let sources = texts(&finance.get("/").await.body, "[aria-label='Sources table'] tbody tr");
    assert!(sources[0].contains("no bill for October 2026"), "{sources:?}");
    assert_eq!(notes(&world, "").await[0], "acme has no bill for 2026-10: totals with its days are partial.");
    let csv = finance.get("/services.csv?period=2026-10").await.body;
    assert!(column(&csv, "EffectiveCostBefore").iter().all(String::is_empty), "{csv}");

    deliver(&world, ("A", "checkout"), "100", ("2026-10", 1..=31)).await;
    let overview = finance.get("/").await.body;
    assert!(!overview.contains("has no bill for"), "{overview}");
    assert!(texts(&overview, ".lede").join(" ").starts_with("Spend did not change: $3,000"), "{overview}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_gap_of_one_account_is_told_where_it_bills(db: PgPool) {
    let world = world(&db).await;
    for days in [("2026-09", 1..=30), ("2026-10", 1..=31), ("2026-11", 1..=19)] {
        deliver(&world, ("A", "checkout"), "100", days).await;
    }
    for days in [("2026-09", 1..=30), ("2026-11", 1..=19)] {
        deliver(&world, ("B", "edge"), "10", days).await;
    }
    let finance = world.finance().await;
    let gap = "acme, account B has no bill for October 2026";
    for (path, is_told) in [("/", true), ("/services/edge", true), ("/services/checkout", false)] {
        let page = finance.get(path).await.body;
        assert_eq!(page.contains(gap), is_told, "{path}: {page}");
        assert_eq!(page.contains("30 days, partial"), is_told, "{path}");
    }
    assert_eq!(notes(&world, "?service=checkout").await.as_array().map(Vec::len), Some(0));
    let days = "/services/edge?period=2026-11-01..2026-11-19";
    for (path, is_told) in [(days.to_owned(), true), (format!("{days}&vs=py"), false)] {
        let page = finance.get(&path).await.body;
        assert_eq!(page.contains(gap), is_told, "days that are compared count too: {path}: {page}");
    }
}

/// The causes of the change from October to November that are not nothing.
async fn causes(world: &World) -> Vec<(String, String)> {
    let csv = world.finance().await.get("/why.csv?period=2026-11-01..2026-11-19&vs=2026-10-01..2026-10-19").await.body;
    let rows = column(&csv, "Cause").into_iter().zip(column(&csv, "Amount"));
    rows.filter(|(_, amount)| super::decimal(amount) != super::decimal("0"))
        .map(|(cause, amount)| (cause, super::decimal(&amount).normalized().to_plain_string()))
        .collect()
}

/// What an account that lacks bills on the days that it lacks is no saving and no new service, on either side.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn days_that_an_account_lacks_are_the_cause_bill_missing(db: PgPool) {
    let world = world(&db).await;
    for days in [("2026-09", 1..=30), ("2026-10", 1..=31), ("2026-11", 1..=19)] {
        deliver(&world, ("A", "checkout"), "100", days).await;
    }
    let missing = |amount: &str| vec![("bill-missing".to_owned(), amount.to_owned())];
    // A gap: its October would make November look dear.
    for days in [("2026-09", 1..=30), ("2026-11", 1..=19)] {
        deliver(&world, ("B", "checkout"), "10", days).await;
    }
    assert_eq!(causes(&world).await, missing("190"));
    let page = world.finance().await.get("/why?period=2026-11-01..2026-11-19&vs=2026-10-01..2026-10-19").await.body;
    assert!(page.contains("acme, account B for October 2026; these days say nothing of the other causes"), "{page}");
    deliver(&world, ("B", "checkout"), "10", ("2026-10", 1..=31)).await;
    assert!(causes(&world).await.is_empty(), "{:?}", causes(&world).await);
    // An account that is late: its November would make November look cheap.
    deliver(&world, ("C", "checkout"), "10", ("2026-09", 1..=30)).await;
    deliver(&world, ("C", "checkout"), "10", ("2026-10", 1..=31)).await;
    assert_eq!(causes(&world).await, missing("-190"));
    // Which bills those are is a part of the query: nothing hides from the planner how few they are.
    let plan: Vec<String> =
        sqlx::query_scalar("EXPLAIN SELECT * FROM lacking_bills('{1}', '{C}', '{f}', '{2026-11-01}') f")
            .fetch_all(&db)
            .await
            .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("on generation") && !plan.contains("Scan on lacking_bills"), "{plan}");
}

/// Days that an account lacks have no unit cost where it makes much of the service: a part of their cost is not known.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn days_that_an_account_lacks_have_no_unit_cost(db: PgPool) {
    let world = world(&db).await;
    for days in [("2026-09", 1..=30), ("2026-10", 1..=31), ("2026-11", 1..=19)] {
        deliver(&world, ("A", "checkout"), "100", days.clone()).await;
        deliver(&world, ("C", "edge"), "40", days).await;
    }
    for days in [("2026-09", 1..=30), ("2026-11", 1..=19)] {
        deliver(&world, ("B", "checkout"), "10", days).await;
    }
    let days: Vec<chrono::NaiveDate> =
        chrono::NaiveDate::from_ymd_opt(2026, 9, 1).unwrap().iter_days().take(80).collect();
    let values: Vec<String> = ["checkout", "edge"]
        .iter()
        .flat_map(|service| days.iter().map(move |day| format!("requests,{service},{day},1000")))
        .collect();
    let text = format!("metric,service,day,value\n{}\n", values.join("\n"));
    let now = super::time("2026-11-20T06:00:00Z");
    costwake::rollup::metrics_import::import(&world.app.state.pools, text.as_bytes(), "test", "", now).await.unwrap();
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let unit = async |service: &str| {
        let path = format!("/api/v1/unit-costs?service={service}&period=2026-10-27..2026-11-05");
        world.app.api("GET", &path, &token, Value::Null).await.json()
    };
    let checkout = unit("checkout").await;
    let after = &checkout["groups"][0]["after"];
    assert_eq!((&after["known_days"], &after["unknown_days"]), (&5.into(), &5.into()), "{checkout}");
    assert_eq!(after["cost_per_unit"], "0.11", "{checkout}");
    assert_eq!(checkout["groups"][0]["before"]["known_days"], 0, "{checkout}");
    // What the account does not bill is known on all days.
    let edge = unit("edge").await;
    let (before, after) = (&edge["groups"][0]["before"], &edge["groups"][0]["after"]);
    assert_eq!((&before["known_days"], &after["known_days"]), (&10.into(), &10.into()), "{edge}");
    let csv = world.finance().await.get("/metrics/requests/unit-costs.csv").await.body;
    let costs = column(&csv, "Service").into_iter().zip(column(&csv, "Day")).zip(column(&csv, "UnitCost"));
    let mut seen = 0;
    for ((service, day), cost) in costs {
        let is_known = service == "edge" || !day.starts_with("2026-10");
        assert_eq!(!cost.is_empty(), is_known, "{service} {day}: {csv}");
        seen += usize::from(!is_known);
    }
    assert_eq!(seen, 31, "{csv}");
}

/// Where files add up they are one bill: one file a day makes it daily, complete to the newest day and not to that of
/// the delivery, and begun on its first day and not on that of its month.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn files_of_one_day_each_are_a_daily_bill(db: PgPool) {
    let world = world(&db).await;
    world.add_appending("oci").await;
    for day in 20..=25 {
        let line = Line { day: String::leak(format!("2026-10-{day}")), ..Line::default() };
        let now = format!("2026-10-{}T06:00:00Z", day + 3);
        world.import_object(("oci", &format!("{day}.csv")), &[line], &now).await;
    }
    let mut conn = db.acquire().await.unwrap();
    let bills = freshness::read(&mut conn).await.unwrap();
    let source = &bills.sources[0];
    let days = [source.bills_from, source.complete_to, source.last_charge_date].map(|day| day.to_string());
    assert_eq!((days, source.is_daily), (["2026-10-20", "2026-10-25", "2026-10-25"].map(str::to_owned), true));
    let reach = statement_ties::reach(&mut conn).await.unwrap();
    assert_eq!(reach[0].complete_to.to_string(), "2026-10-25");
    world.assert_clean().await;
}

/// A monthly bill of a source whose files add up stays one when a correction of another day comes in a file of its own.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn one_correction_makes_no_daily_bill(db: PgPool) {
    let world = world(&db).await;
    world.add_appending("oci").await;
    let files = [
        ("09.csv", "2026-09", "2026-09-01", "2026-10-02T06:00:00Z"),
        ("10.csv", "2026-10", "2026-10-01", "2026-11-02T06:00:00Z"),
        ("correction.csv", "2026-09", "2026-09-15", "2026-11-02T07:00:00Z"),
    ];
    for (object, billed, day, now) in files {
        world.import_object(("oci", object), &[Line { billed, day, ..Line::default() }], now).await;
    }
    let mut conn = db.acquire().await.unwrap();
    let bills = freshness::read(&mut conn).await.unwrap();
    let source = &bills.sources[0];
    assert_eq!((source.complete_to.to_string(), source.is_daily), ("2026-10-31".to_owned(), false));
    let reach = statement_ties::reach(&mut conn).await.unwrap();
    let ends: Vec<String> = reach.iter().map(|month| month.complete_to.to_string()).collect();
    assert_eq!(ends, ["2026-10-31", "2026-09-30"]);
    world.assert_clean().await;
}
