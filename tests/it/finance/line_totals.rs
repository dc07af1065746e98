//! The totals above lines come from the daily sums: they are those of the lines, whatever narrows them.

use super::drill::seeded;
use axum::http::StatusCode;
use costwake::focus::CostBasis;
use costwake::store::Scope;
use costwake::store::charges::{self, ChargeFilter, ChargePart, ChargeTotal};
use sqlx::{Executor, PgPool};
use std::time::Duration;

fn some(text: &str) -> Option<String> {
    Some(text.into())
}

fn filters(service_id: i64, team_id: i64) -> Vec<ChargeFilter> {
    let any = ChargeFilter::default;
    let day = |text: &str| Some(text.parse().unwrap());
    vec![
        any(),
        ChargeFilter { first_day: day("2026-10-03"), end_day: day("2026-10-05"), ..any() },
        ChargeFilter { billing_start: day("2026-10-01"), billing_end: day("2026-11-01"), ..any() },
        ChargeFilter { service_id: Some(service_id), ..any() },
        ChargeFilter { service_id: Some(0), ..any() },
        ChargeFilter { team_id: Some(team_id), first_day: day("2026-10-31"), ..any() },
        ChargeFilter { team_id: Some(0), is_allocated: Some(true), ..any() },
        ChargeFilter { is_allocated: Some(false), billing_currency: some("USD"), ..any() },
        ChargeFilter { provider_name: some("Cloud One"), charge_category: some("Usage"), ..any() },
        ChargeFilter { sub_account_id: some("sub-1"), service_name: some("Machines"), ..any() },
        ChargeFilter { service_category: some("Compute"), pricing: some(""), ..any() },
        ChargeFilter { region_id: some("eu-1"), sku_id: some("sku-1"), is_correction: Some(false), ..any() },
        ChargeFilter { part: Some(ChargePart::Used), cost_center: some("CC-1"), ..any() },
        ChargeFilter { billing_currency: some("EUR"), ..any() },
        ChargeFilter { resource_id: some("vm-net-production"), ..any() },
    ]
}

fn plain(totals: Vec<ChargeTotal>) -> Vec<(String, i64, String)> {
    let row = |one: ChargeTotal| (one.billing_currency, one.charge_count, one.cost.normalized().to_plain_string());
    totals.into_iter().map(row).collect()
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn totals_are_those_of_the_lines_whatever_narrows_them(db: PgPool) {
    let _world = seeded(&db).await;
    let id = |sql: &'static str| sqlx::query_scalar::<sqlx::Postgres, i64>(sql).fetch_one(&db);
    let service_id = id("SELECT service_id FROM service WHERE slug = 'checkout'").await.unwrap();
    let team_id = id("SELECT team_id FROM team WHERE slug = 'payments'").await.unwrap();
    let mut conn = db.begin().await.unwrap();
    for scope in [Scope::everything(), Scope::teams(vec![team_id]), Scope::nothing()] {
        for filter in filters(service_id, team_id) {
            for basis in CostBasis::ALL {
                let fast = charges::totals(&mut conn, &scope, &filter, basis).await.unwrap();
                let lines = charges::totals_of_lines(&mut conn, &scope, &filter, basis).await.unwrap();
                assert_eq!(plain(fast), plain(lines.clone()), "{scope:?} {filter:?} {basis:?}");
                let rows = charges::lines(&mut conn, &scope, &filter, basis, None, 1000).await.unwrap();
                let count: i64 = lines.iter().map(|one| one.charge_count).sum();
                assert_eq!(rows.len() as i64, count, "{filter:?}");
                assert!(rows.is_sorted_by(|one, other| one.cost >= other.cost), "{filter:?}");
            }
        }
    }
}

// Stops the page's statement as the time limit would: the same code of the database, and no test waits for it.
async fn stop_who_waits(db: &PgPool) {
    for _ in 0..200 {
        let stopped: Option<bool> = sqlx::query_scalar(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock' LIMIT 1",
        )
        .fetch_optional(db)
        .await
        .unwrap();
        if stopped == Some(true) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no statement waited");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn lines_that_take_too_long_say_how_to_ask_for_less(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    // What every page counts is known.
    assert_eq!(finance.get("/services").await.status, StatusCode::OK);
    let mut other = db.begin().await.unwrap();
    other.execute("LOCK TABLE daily_cost_by_key IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let (page, ()) = tokio::join!(finance.get("/charges?billing=2026-10&cur=USD"), stop_who_waits(&db));
    other.rollback().await.unwrap();
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.body.contains("Narrow them"), "{}", page.body);
}

/// Finding lines may take long: however many look for some, other pages have connections, and who gets no turn is told
/// how to ask for less, and when to come again.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn readers_of_lines_leave_connections_to_other_pages(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    let turns = &world.app.state.line_turns;
    let mut taken = Vec::new();
    while turns.free() > 0 {
        taken.push(turns.enter().await.unwrap());
    }
    assert!(taken.len() < db.options().get_max_connections() as usize, "{}", taken.len());
    let refused = finance.get("/charges?period=2026-10").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.body);
    assert!(refused.headers.contains_key("retry-after"), "{:?}", refused.headers);
    assert!(refused.body.contains("Narrow them: to a day, a service"), "{}", refused.body);
    assert_eq!(finance.get("/services").await.status, StatusCode::OK);
    taken.clear();
    assert_eq!(finance.get("/charges?period=2026-10").await.status, StatusCode::OK);
    assert!(turns.free() > 0, "the turn is given back");
}
