//! What arrived late for a closed month is booked to the open one: its page, its files and the API give the same figures
//! with it and without it.

use super::{BY, Line, World, bill, column, decimal, month, sum, texts, time, world};
use bigdecimal::BigDecimal;
use costwake::rollup::close_month::close;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

fn september(cost: &'static str) -> Vec<Line> {
    let line = Line { billed: "2026-09", ..Line::default() };
    vec![
        Line { cost, day: "2026-09-05", ..line },
        Line { cost: "7.125", day: "2026-09-06", service: "ledger", ..line },
        Line { cost: "9", day: "2026-09-06", currency: "EUR", ..line },
    ]
}

// September was closed with 107.135, October is open with 50.5, and 2.9900001 came late.
async fn late(db: &PgPool) -> World {
    let world = world(db).await;
    world.import(&september("100.01"), "2026-10-02T06:00:00Z").await;
    world.import(&[Line { cost: "50.5", ..Line::default() }], "2026-11-02T06:00:00Z").await;
    let now = time("2026-11-10T10:00:00Z");
    close(&world.app.state.pools, month("2026-09"), "All invoices are in.", BY, now).await.unwrap();
    world.import(&september("103.0000001"), "2026-11-11T06:00:00Z").await;
    world
}

async fn costs(world: &World, token: &str, query: &str) -> Value {
    let path = format!("/api/v1/costs?view=billing&{query}");
    world.app.api("GET", &path, token, Value::Null).await.json()
}

fn of(json: &Value, field: &str) -> BigDecimal {
    decimal(json["totals"][0][field].as_str().unwrap_or_else(|| panic!("{field}: {json}")))
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_page_its_files_and_the_api_give_the_same_figure(db: PgPool) {
    let world = late(&db).await;
    let finance = world.finance().await;
    let page = finance.get("/finance/statements/2026-10").await.body;
    let ledes = texts(&page, ".lede");
    let first = "Net cost was $50.50, and $53.49 with what arrived late for September 2026. Without that, it is $56.64 \
                 (52.9%) less than September 2026.";
    assert!(ledes[0].starts_with(first), "{ledes:?}");
    let rows = texts(&page, "section[aria-labelledby=h-bh-1] tbody tr");
    assert_eq!(rows.first().map(String::as_str), Some("Bills of October 2026 $50.50"));
    assert_eq!(rows.last().map(String::as_str), Some("Booked in October 2026 $53.49"));
    let both = sum(&finance.get("/finance/statements/2026-10.csv?cur=USD").await.body, "EffectiveCost 2026-10");
    let adjustments = finance.get("/finance/statements/2026-10/adjustments.csv").await.body;
    let booked = sum(&adjustments, "EffectiveCost");
    let net = &both - &booked;
    assert_eq!((&net, &booked), (&decimal("50.5"), &decimal("2.9900001")));
    // A page of one currency leads to a file of that currency, in the same cost column.
    let page = finance.get("/finance/statements/2026-10?cur=usd&basis=billed&by=team").await.body;
    assert!(page.contains("/finance/statements/2026-10/adjustments.csv?cur=usd&#38;basis=billed\""), "{page}");
    let file_of = async |currency: &str| {
        finance.get(&format!("/finance/statements/2026-10/adjustments.csv?cur={currency}")).await.body
    };
    assert_eq!(file_of("usd").await, adjustments);
    assert_eq!(file_of("eur").await.lines().count(), 1, "the header alone");

    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    for by in ["service", "team", "env", "provider", "charge"] {
        let json = costs(&world, &token, &format!("period=2026-10&by={by}")).await;
        let rows: BigDecimal =
            json["rows"].as_array().unwrap().iter().map(|row| decimal(row["cost"].as_str().unwrap())).sum();
        assert_eq!((&rows, of(&json, "cost"), of(&json, "adjustments")), (&net, net.clone(), booked.clone()), "{by}");
        assert_eq!(of(&json, "cost_with_adjustments"), &net + &booked);
        assert_eq!(json["totals"].as_array().map(Vec::len), Some(1), "{json}");
        // One by one they are the rows of the file.
        let list = json["adjustments"].as_array().unwrap();
        let field = |name: &str| -> Vec<String> {
            list.iter().map(|one| one[name].as_str().unwrap_or_default().to_owned()).collect()
        };
        for (name, in_file) in [
            ("closed_month", "ClosedMonth"),
            ("source", "Source"),
            ("billing_account_id", "BillingAccountId"),
            ("billing_currency", "BillingCurrency"),
            ("cost", "EffectiveCost"),
        ] {
            assert_eq!(field(name), column(&adjustments, in_file), "{name}");
        }
        let note = "2.9900001 USD is booked here for September 2026, which was closed before it arrived. It is in adjustments \
                    and cost_with_adjustments, and in no row.";
        assert_eq!(json["notes"], json!([note]));
    }
    // In the cost column that is asked for; as CSV the rows alone.
    let billed = costs(&world, &token, "period=2026-10&basis=billed").await;
    assert_eq!((billed["column"].as_str(), of(&billed, "adjustments")), (Some("BilledCost"), booked.clone()));
    let csv = world.app.api("GET", "/api/v1/costs.csv?view=billing&period=2026-10", &token, Value::Null).await;
    assert_eq!(sum(&csv.body, "EffectiveCost"), net);
    // The closed month has its figure, and says what is booked elsewhere.
    let closed = costs(&world, &token, "period=2026-09&cur=USD").await;
    assert_eq!((of(&closed, "cost"), of(&closed, "adjustments")), (decimal("107.135"), decimal("0")));
    let note = "2.9900001 USD arrived for September 2026 after it was closed, and is booked in October 2026.";
    assert_eq!(closed["notes"][1], note, "{closed}");
    world.assert_clean().await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_part_of_the_month_has_no_share_of_it(db: PgPool) {
    let world = late(&db).await;
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    for part in ["service=checkout", "charge=Usage", "provider=Cloud+One", "team=none"] {
        let json = costs(&world, &token, &format!("period=2026-10&{part}")).await;
        assert_eq!(json["totals"][0]["cost"], "50.5", "{json}");
        assert_eq!((&json["totals"][0]["adjustments"], &json["adjustments"]), (&Value::Null, &json!([])), "{json}");
        assert!(json["notes"][0].as_str().is_some_and(|note| note.ends_with("in no figure here.")), "{json}");
    }
    // By charge day the bills are as they are now, each in its own month.
    let path = "/api/v1/costs?period=2026-10";
    let charged = world.app.api("GET", path, &token, Value::Null).await.json();
    assert_eq!(charged["totals"][0]["adjustments"], Value::Null, "{charged}");
    // Nor have those who see the cost of a team only: a bill belongs to none.
    let sql = "WITH made AS (INSERT INTO team (slug, name) VALUES ('shop', 'Shop') RETURNING team_id), owned AS (
                   UPDATE service SET team_id = made.team_id FROM made WHERE slug = 'checkout')
               SELECT team_id FROM made";
    let team: i64 = sqlx::query_scalar(sql).fetch_one(&db).await.unwrap();
    let person = world.app.person(Role::Member, false, &[team]).await;
    let token = world.app.token_of(person, TokenScope::Read).await;
    let json = costs(&world, &token, "period=2026-10").await;
    assert_eq!((&json["totals"][0]["cost"], &json["notes"]), (&json!("50.5"), &json!([])), "{json}");
    assert_eq!((&json["totals"][0]["adjustments"], &json["adjustments"]), (&Value::Null, &json!([])), "{json}");
}

/// A currency that no bill of the month has is there with what is booked in it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_currency_of_an_adjustment_alone_is_told(db: PgPool) {
    let world = late(&db).await;
    let mut lines = september("103.0000001");
    lines[2].cost = "5";
    world.import_text(&bill(&lines), "2026-11-12T06:00:00Z").await;
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let json = costs(&world, &token, "period=2026-10").await;
    let expected = json!([
        {"billing_currency": "EUR", "cost": "0", "adjustments": "-4", "cost_with_adjustments": "-4"},
        {"billing_currency": "USD", "cost": "50.5", "adjustments": "2.9900001", "cost_with_adjustments": "53.4900001"},
    ]);
    assert_eq!(json["totals"], expected);
    let page = world.finance().await.get("/finance/statements/2026-10").await.body;
    assert!(page.contains("\u{2212}€4.00") && page.contains("Booked in October 2026"), "{page}");
}
