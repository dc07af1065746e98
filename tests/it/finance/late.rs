//! N21: a restatement of a closed month waits for finance: booked to the open month, counted after reopening, or
//! refused. Until then nothing of it counts.

use super::{BY, Line, World, bill, decimal, month, sum, texts, time, world};
use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use costwake::rollup::close_month::{close, reopen};
use costwake::store::Role;
use costwake::store::receipts::{self, Receipt};
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::PgPool;

const NOW: &str = "2026-11-10T10:00:00Z";

fn september(cost: &'static str) -> String {
    bill(&[
        Line { cost, billed: "2026-09", day: "2026-09-05", ..Line::default() },
        Line { cost: "7.125", billed: "2026-09", day: "2026-09-06", service: "ledger", ..Line::default() },
    ])
}

// September is closed with 107.135, October is open.
async fn closed(db: &PgPool) -> World {
    let world = world(db).await;
    world.import_text(&september("100.01"), "2026-10-02T06:00:00Z").await;
    world.import(&[Line { cost: "50.5", ..Line::default() }], "2026-11-02T06:00:00Z").await;
    close(&world.app.state.pools, month("2026-09"), "All invoices are in.", BY, time(NOW)).await.unwrap();
    world
}

async fn booked(world: &World) -> Vec<(String, BigDecimal)> {
    sqlx::query_as(
        "SELECT to_char(k.month, 'YYYY-MM') || ' to ' || to_char(a.booked_month, 'YYYY-MM'), a.effective_cost
         FROM month_adjustment a JOIN month_closing k USING (closing_id) WHERE k.reopened_at IS NULL
         ORDER BY a.adjustment_id",
    )
    .fetch_all(&world.db)
    .await
    .unwrap()
}

async fn audited(world: &World) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT action || ' ' || coalesce(details ->> 'closed_months', '') FROM audit_log
         WHERE action LIKE 'delivery.%' ORDER BY audit_log_id",
    )
    .fetch_all(&world.db)
    .await
    .unwrap()
}

// What September says by billing period and by charge day.
async fn says(world: &World) -> [BigDecimal; 2] {
    let finance = world.finance().await;
    let billed = finance.get("/finance/statements/2026-09.csv").await;
    let charged = finance.get("/finance/statements/2026-09.csv?view=charge").await;
    [billed.body, charged.body].map(|body| sum(&body, "EffectiveCost 2026-09"))
}

async fn receipt(world: &World, delivery_id: i64) -> Receipt {
    receipts::get(&mut world.db.acquire().await.unwrap(), delivery_id).await.unwrap().unwrap()
}

/// Nothing of it counts, every page says that it waits and what it would change, and booking it does just that.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn it_waits_and_is_booked_when_finance_says_so(db: PgPool) {
    let world = closed(&db).await;
    let late = world.hand_in(&september("103.0000001"), "2026-11-11T06:00:00Z").await;
    let id = late.delivery_id;
    assert_eq!((late.state.as_str(), late.waits_for_closed_month), ("quarantined", true));
    assert!(late.reason.as_ref().unwrap().contains("September 2026 is closed, and this delivery changes it."));
    assert_eq!(late.closed_months.len(), 1);
    let [change] = late.closed_months[0].differences.as_slice() else { panic!("{:?}", late.closed_months) };
    assert_eq!(
        (change.service.as_deref(), change.charge_category.as_str(), change.rows),
        (Some("checkout"), "Usage", 0)
    );
    assert_eq!(change.costs.EffectiveCost, Some(decimal("2.9900001")));
    assert_eq!(says(&world).await, [decimal("107.135"), decimal("107.135")], "nothing of it counts");
    assert!(booked(&world).await.is_empty());
    world.assert_clean().await;

    let finance = world.finance().await;
    let page = finance.get(&format!("/deliveries/{id}")).await.body;
    assert!(page.contains("September 2026 is closed") && page.contains("+$2.9900001"), "{page}");
    assert!(page.contains("Book to October 2026") && page.contains("/finance/statements/2026-09/reopen"));
    assert!(
        texts(&page, "tr.total")
            .iter()
            .any(|row| row == "All of it USD 0 +$2.9900001 +$2.9900001 +$2.9900001 +$2.9900001")
    );
    assert!(finance.get("/").await.body.contains("Bills that change a closed month"));
    assert!(finance.get("/sources").await.body.contains("1 waiting for a decision"));
    let statement = finance.get("/finance/statements/2026-09").await.body;
    assert!(statement.contains(&format!("href=\"/deliveries/{id}\"")) && statement.contains("Waits for finance"));
    let json: Value = serde_json::from_str(&finance.get(&format!("/deliveries/{id}.json")).await.body).unwrap();
    assert_eq!(json["closed_months"][0]["booked_month"], "2026-10-01");
    assert_eq!(json["closed_months"][0]["differences"][0]["BilledCost"], "2.9900001");
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let api = world.app.api("GET", "/api/v1/months/2026-09", &token, Value::Null).await.json();
    assert_eq!(api["waiting_delivery_ids"], serde_json::json!([id]));
    // Those without finance see that it waits, no amount, and whom to ask.
    let admin = world.app.browser(Role::Admin, false, &[]).await;
    let page = admin.get(&format!("/deliveries/{id}")).await.body;
    assert!(page.contains("September 2026 is closed") && !page.contains("2.9900001"), "{page}");
    assert!(
        page.contains("People with the role finance decide") && !page.contains(&format!("/deliveries/{id}/accept"))
    );
    let refused = admin.post_form(&format!("/deliveries/{id}/accept"), &[]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);

    let ask = finance.get(&format!("/deliveries/{id}/accept")).await.body;
    assert!(ask.contains("what changes there is booked to October 2026") && ask.contains("+$2.9900001"), "{ask}");
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    let path = format!("/api/v1/deliveries/{id}");
    let shown = world.app.api("GET", &path, &token, Value::Null).await.json();
    assert_eq!(shown["closed_months"], json["closed_months"]);
    let accepted = world.app.api("POST", &format!("{path}/accept"), &token, Value::Null).await;
    assert_eq!((accepted.status, accepted.json()["state"].as_str()), (StatusCode::OK, Some("published")));
    assert_eq!(booked(&world).await, [("2026-09 to 2026-10".to_owned(), decimal("2.9900001"))]);
    assert_eq!(says(&world).await, [decimal("107.135"), decimal("110.1250001")], "the closed figure stays");
    assert_eq!(audited(&world).await, ["delivery.held [\"2026-09\"]", "delivery.accepted [\"2026-09\"]"]);
    assert!(!finance.get("/").await.body.contains("Bills that change a closed month"));
    world.assert_clean().await;
}

/// Refused, it counts nowhere and leaves nothing behind; what changes no closed figure is not asked about at all.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn it_is_refused_and_what_changes_nothing_counts(db: PgPool) {
    let world = closed(&db).await;
    let late = world.hand_in(&september("90"), "2026-11-11T06:00:00Z").await;
    let finance = world.finance().await;
    let path = format!("/deliveries/{}/withdraw", late.delivery_id);
    assert!(finance.get(&path).await.body.contains("Refuse this delivery?"));
    for _ in 0..2 {
        assert_eq!(finance.post_form(&path, &[]).await.status, StatusCode::SEE_OTHER);
    }
    let after = receipt(&world, late.delivery_id).await;
    assert_eq!(after.state, "withdrawn");
    assert!(after.reason.unwrap().contains("Refused by"));
    assert_eq!(audited(&world).await, ["delivery.held [\"2026-09\"]", "delivery.refused [\"2026-09\"]"]);
    assert_eq!(says(&world).await, [decimal("107.135"), decimal("107.135")]);
    world.assert_clean().await;
    let other_words = september("100.01").replace("Some use", "Some other use");
    let same = world.hand_in(&other_words, "2026-11-12T06:00:00Z").await;
    assert_eq!(same.state, "published", "{:?}", same.reason);
    let moved = september("100.01").replace("2026-09-05T", "2026-09-04T");
    assert_eq!(world.hand_in(&moved, "2026-11-13T06:00:00Z").await.state, "quarantined", "another day is a change");
    assert!(booked(&world).await.is_empty());
    world.assert_clean().await;
}

/// After reopening it counts in its own month; of several that wait with the same bill only the newest is asked about.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_newest_waits_and_counts_after_reopening(db: PgPool) {
    let world = closed(&db).await;
    let pools = &world.app.state.pools;
    let first = world.hand_in(&september("103"), "2026-11-11T06:00:00Z").await;
    let second = world.hand_in(&september("104.5"), "2026-11-12T06:00:00Z").await;
    let first = receipt(&world, first.delivery_id).await;
    assert_eq!((first.state.as_str(), second.state.as_str()), ("refused", "quarantined"));
    assert!(first.reason.unwrap().contains(&format!("Delivery {} is newer", second.delivery_id)));
    world.assert_clean().await;
    reopen(pools, month("2026-09"), "The provider corrected its bill.", BY, time(NOW)).await.unwrap();
    let finance = world.finance().await;
    let page = finance.get(&format!("/deliveries/{}", second.delivery_id)).await.body;
    assert!(
        page.contains("No closed month would change any more") && page.contains("Count as a restatement"),
        "{page}"
    );
    let accept = finance.post_form(&format!("/deliveries/{}/accept", second.delivery_id), &[]).await;
    assert_eq!(accept.status, StatusCode::SEE_OTHER);
    assert_eq!(says(&world).await, [decimal("111.625"), decimal("111.625")]);
    assert!(booked(&world).await.is_empty());
    world.assert_clean().await;
}

/// A source may book by itself; then nothing waits.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_source_may_book_by_itself(db: PgPool) {
    let world = closed(&db).await;
    sqlx::query(
        "INSERT INTO source_setting (source_id, kind, layout, restatement, late_bills, created_at, created_by, changed_at)
         SELECT source_id, 'upload', 'files', 'overwrite', 'book', now(), 'test', now() FROM source WHERE name = 'cloud-one'",
    )
    .execute(&db)
    .await
    .unwrap();
    let late = world.hand_in(&september("101.01"), "2026-11-11T06:00:00Z").await;
    assert_eq!(late.state, "published");
    assert_eq!(booked(&world).await, [("2026-09 to 2026-10".to_owned(), decimal("1"))]);
    world.assert_clean().await;
}

/// The program holds a late bill, whoever handed it in; decisions are those of people, in words.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn decisions_are_those_of_people(db: PgPool) {
    let world = closed(&db).await;
    let late = world.hand_in(&september("103"), "2026-11-11T06:00:00Z").await;
    let held_by = "SELECT actor FROM audit_log WHERE action = 'delivery.held'";
    let held_by: String = sqlx::query_scalar(held_by).fetch_one(&db).await.unwrap();
    assert_eq!(held_by, "costwake", "and not who handed it in");
    let finance = world.finance().await;
    let path = format!("/deliveries/{}", late.delivery_id);
    let decisions = async || texts(&finance.get(&path).await.body, "[aria-label='Decisions table'] tbody tr");
    let before = decisions().await;
    assert_eq!(before.len(), 1, "{before:?}");
    assert!(before[0].contains(&format!("{} closed September 2026", BY.login)), "{before:?}");
    assert_eq!(finance.post_form(&format!("{path}/accept"), &[]).await.status, StatusCode::SEE_OTHER);
    let after = decisions().await;
    assert!(after.len() == 2 && after.iter().any(|row| row.contains("accepted a held bill")), "{after:?}");
    for step in ["withdraw", "accept"] {
        assert_eq!(finance.post_form(&format!("{path}/{step}"), &[]).await.status, StatusCode::SEE_OTHER);
    }
    let after = decisions().await;
    assert!(after.iter().any(|row| row.contains("counted a withdrawn bill again")), "{after:?}");
}
