//! Changes of list prices, worked out around the days of bills that are new: the same as from all bills at once.

use super::{Line, World, bill, world};
use costwake::store::price_changes;
use sqlx::PgPool;

type Change = (String, String, String);

async fn deliver(world: &World, month: &'static str, days: u32, cost: impl Fn(u32) -> &'static str, at: &str) {
    let lines = (1..=days).map(|number| {
        let day: &'static str = String::leak(format!("{month}-{number:02}"));
        Line { cost: cost(number), billed: month, day, ..Line::default() }
    });
    world.import_text(&bill(&lines.collect::<Vec<_>>()), at).await;
}

async fn changes(db: &PgPool) -> Vec<Change> {
    sqlx::query_as(
        "SELECT charge_date::text, price_before::float8::text, price::float8::text FROM list_price_change ORDER BY 1",
    )
    .fetch_all(db)
    .await
    .unwrap()
}

// What new bills changed, and that all bills at once say the same.
async fn worked_out(db: &PgPool) -> Vec<Change> {
    let mut conn = db.acquire().await.unwrap();
    assert!(price_changes::bring_up_to_date(&mut conn).await.unwrap());
    let by_new_bills = changes(db).await;
    sqlx::query("DELETE FROM shared_analysis WHERE analysis = 'list_prices'").execute(db).await.unwrap();
    sqlx::query("DELETE FROM list_price_change").execute(db).await.unwrap();
    assert!(price_changes::bring_up_to_date(&mut conn).await.unwrap());
    assert!(!price_changes::bring_up_to_date(&mut conn).await.unwrap(), "nothing changed");
    assert_eq!(changes(db).await, by_new_bills);
    by_new_bills
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn new_bills_change_prices_around_their_days_only(db: PgPool) {
    let world = world(&db).await;
    let change = |day: &str, before: &str, now: &str| (day.to_owned(), before.to_owned(), now.to_owned());
    let in_september = |number| if number < 15 { "50" } else { "100" };
    deliver(&world, "2026-09", 30, in_september, "2026-10-02T06:00:00Z").await;
    assert_eq!(worked_out(&db).await, [change("2026-09-15", "50", "100")]);
    deliver(&world, "2026-10", 31, |_| "100", "2026-11-02T06:00:00Z").await;
    deliver(&world, "2026-11", 18, |_| "110", "2026-11-19T06:00:00Z").await;
    let of_both = [change("2026-09-15", "50", "100"), change("2026-11-01", "100", "110")];
    assert_eq!(worked_out(&db).await, of_both, "a step between two bills");
    // October is restated: the step is elsewhere.
    let restated = |number| if number < 30 { "100" } else { "110" };
    deliver(&world, "2026-10", 31, restated, "2026-11-19T08:00:00Z").await;
    assert_eq!(worked_out(&db).await, [of_both[0].clone(), change("2026-10-30", "100", "110")]);
    // And September says nothing of a step any more.
    deliver(&world, "2026-09", 30, |_| "100", "2026-11-19T09:00:00Z").await;
    assert_eq!(worked_out(&db).await, [change("2026-10-30", "100", "110")]);
}
