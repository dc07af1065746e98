//! Changes of prices, worked out around the days of bills that are new: the same as from all bills at once.

use super::{HEADER, Line, World, bill, world};
use chrono::NaiveDate;
use costwake::focus::DateRange;
use costwake::store::impact_series::{self, Environments, PriceStep};
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
        "SELECT charge_date::text, price_before::float8::text, price::float8::text FROM price_change
         WHERE NOT is_contracted ORDER BY 1",
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
    sqlx::query("DELETE FROM shared_analysis WHERE analysis = 'prices'").execute(db).await.unwrap();
    sqlx::query("DELETE FROM price_change").execute(db).await.unwrap();
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

// A line at a list price of 10 for two hours, whatever was negotiated for one.
fn negotiated(number: u32, account: &str, service: &str, contracted: u32, commitment: &str) -> String {
    let cost = 2 * contracted;
    let day: NaiveDate = format!("2026-09-{number:02}").parse().unwrap();
    let next = day.succ_opt().unwrap();
    format!(
        "{cost},{cost},20,{cost},USD,{account},2026-09-01T00:00:00Z,2026-10-01T00:00:00Z,{day}T00:00:00Z,\
         {next}T00:00:00Z,Usage,,Some use,Usage-Based,Cloud One,Cloud One,Cloud One,,Compute,Machines,sub-{account},\
         vm-{service}-{commitment},eu-1,sku-1,2,Hours,\"{{\"\"service\"\":\"\"{service}\"\",\
         \"\"environment\"\":\"\"production\"\"}}\",{commitment}\n"
    )
}

/// A discount that was negotiated anew is told where the list price stays, to those who have it: neither to another
/// billing account nor of what a commitment covers.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_negotiated_price_is_told_where_the_list_price_stays(db: PgPool) {
    let world = world(&db).await;
    let mut text = format!("{HEADER},CommitmentDiscountStatus\n");
    for number in 1..=30 {
        text.push_str(&negotiated(number, "acct-1", "checkout", if number < 15 { 9 } else { 8 }, ""));
        text.push_str(&negotiated(number, "acct-2", "search", 9, ""));
        // Covered from the 20th on, which is no change of price.
        let (contracted, status) = if number < 20 { (9, "") } else { (5, "Used") };
        text.push_str(&negotiated(number, "acct-2", "mail", contracted, status));
    }
    world.import_text(&text, "2026-10-02T06:00:00Z").await;
    let mut conn = db.acquire().await.unwrap();
    price_changes::bring_up_to_date(&mut conn).await.unwrap();
    let told: Vec<(bool, String, String, f64, f64)> = sqlx::query_as(
        "SELECT is_contracted, billing_account_id, charge_date::text, price_before::float8, price::float8
         FROM price_change",
    )
    .fetch_all(&db)
    .await
    .unwrap();
    assert_eq!(told, [(true, "acct-1".to_owned(), "2026-09-15".to_owned(), 9.0, 8.0)]);

    let range = DateRange::new("2026-09-01".parse().unwrap(), "2026-10-01".parse().unwrap()).unwrap();
    let mut steps: Vec<PriceStep> = Vec::new();
    for environments in Environments::ALL {
        steps.extend(impact_series::price_steps(&mut conn, range, environments).await.unwrap());
    }
    let told: Vec<(f64, f64, f64)> = steps.iter().map(|step| (step.cost, step.cost_before, step.cost_total)).collect();
    assert_eq!(told, [(16.0, 18.0, 16.0)], "of the service that pays it");
}
