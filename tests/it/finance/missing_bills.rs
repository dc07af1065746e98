//! A source that is late: what it bills is called partial, all figures wait for what makes most of them, and what it does
//! not bill is as complete as ever. Missing days are never zero.

use super::{Line, World, bill, column, texts, world};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::PgPool;

// A line a day from 1 October to this day of November, in two bills.
async fn deliver(world: &World, source: &str, service: &'static str, cost: &'static str, last: u32) {
    for (month, days) in [("2026-10", 31), ("2026-11", last)] {
        let days: Vec<String> = (1..=days).map(|day| format!("{month}-{day:02}")).collect();
        let line = |day| Line { cost, billed: month, day, service, ..Line::default() };
        let lines: Vec<Line> = days.iter().map(|day| line(String::leak(day.clone()))).collect();
        world.import_as(source, &bill(&lines), &format!("2026-11-{:02}T06:00:00Z", last + 1)).await;
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn missing_days_are_not_zero_and_totals_without_them_are_partial(db: PgPool) {
    let world = world(&db).await;
    deliver(&world, "edge-one", "edge", "1", 15).await;
    deliver(&world, "cloud-one", "checkout", "100", 19).await;
    let finance = world.finance().await;

    let edge = finance.get("/services/edge").await.body;
    assert!(edge.contains("edge-one is missing since Mon 16 Nov 2026"), "{edge}");
    assert!(edge.contains("It makes 100.0 % of this cost: totals of days without it are marked partial, and part"));
    assert!(edge.contains("30 days, partial") && !edge.contains("30 complete days"), "{edge}");
    let days = finance.get("/services/edge.csv").await.body;
    assert_eq!(column(&days, "ChargeDate").last().unwrap(), "2026-11-15", "no day is told as zero: {days}");

    let checkout = finance.get("/services/checkout").await.body;
    assert!(!checkout.contains("is missing since") && checkout.contains("30 complete days"), "{checkout}");

    let overview = finance.get("/").await.body;
    assert!(overview.contains("edge-one is missing since Mon 16 Nov 2026"), "{overview}");
    assert!(overview.contains("It makes 0.9 % of this cost") && overview.contains("30 days, partial"), "{overview}");
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
    // And once it is there, nothing is said any more.
    deliver(&world, "edge-one", "edge", "8", 19).await;
    let overview = finance.get("/").await.body;
    assert!(!overview.contains("is missing since") && overview.contains("30 complete days"), "{overview}");
}
