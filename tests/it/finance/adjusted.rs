//! What is booked to a month for closed ones is in every total of it by name, so that all months add up to the bills, and a
//! closed statement ties to the bills by what came after closing.

use super::{BY, Line, World, column, decimal, month, sum, texts, time, world};
use bigdecimal::BigDecimal;
use costwake::rollup::close_month::close;
use costwake::rollup::rates;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::PgPool;

const CLOSED_AT: &str = "2026-11-10T10:00:00Z";

fn september(checkout: &'static str, ledger: &'static str) -> Vec<Line> {
    let line = Line { billed: "2026-09", day: "2026-09-05", ..Line::default() };
    vec![Line { cost: checkout, ..line }, Line { cost: ledger, service: "ledger", ..line }]
}

async fn closed(db: &PgPool) -> World {
    let world = world(db).await;
    world.import(&september("100.01", "7.125"), "2026-10-02T06:00:00Z").await;
    world.import(&[Line { cost: "50.5", ..Line::default() }], "2026-11-02T06:00:00Z").await;
    close(&world.app.state.pools, month("2026-09"), "All invoices are in.", BY, time(CLOSED_AT)).await.unwrap();
    world
}

// September was closed with 107.135, October is open with 50.5, and 2.9900001 came late.
async fn late(db: &PgPool) -> World {
    let world = closed(db).await;
    world.import(&september("103.0000001", "7.125"), "2026-11-11T06:00:00Z").await;
    world
}

// What the bills of all months say now.
async fn bills(world: &World) -> BigDecimal {
    let sql = "SELECT sum(m.effective_cost) FROM monthly_cost m JOIN generation g USING (generation_id)
               WHERE g.state = 'current'";
    sqlx::query_scalar(sql).fetch_one(&world.db).await.unwrap()
}

/// The ties of a closed month lead from its statement to the bills by what came after closing and where it is booked.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_closed_statement_ties_by_what_came_after_it(db: PgPool) {
    let world = closed(&db).await;
    let finance = world.finance().await;
    let page = finance.get("/finance/statements/2026-09").await.body;
    let rows = texts(&page, "[aria-labelledby=h-ti-1] tbody tr");
    assert!(rows[0].contains("2 lines $107.14 ±$0.00 $107.14 ties to delivery"), "{rows:?}");
    assert!(texts(&page, ".steps li").iter().any(|step| step == "Ties to 1 deliveries"), "{page}");

    world.import(&september("103.0000001", "7.125"), "2026-11-11T06:00:00Z").await;
    let page = finance.get("/finance/statements/2026-09").await.body;
    let rows = texts(&page, "[aria-labelledby=h-ti-1] tbody tr");
    let first = "2 lines $107.14 +$2.99 booked in October 2026 $110.13 ties to delivery";
    assert!(rows[0].contains(first), "{rows:?}");
    assert_eq!(rows.last().map(String::as_str), Some("Total, 2 lines $107.14 +$2.99 $110.13"));
    let steps = texts(&page, ".steps li");
    assert!(steps.iter().any(|step| step == "Ties to 1 deliveries, with what came after closing"), "{steps:?}");
    // It was not used over what is invoiced: it came later.
    let tiles = texts(&page, ".figures > div");
    let by_day = tiles.iter().find(|tile| tile.starts_with("By charge day")).unwrap();
    assert_eq!(by_day, "By charge day $110.13 +$2.99 arrived or moved after closing");
    // What no adjustment accounts for does not tie.
    sqlx::query("UPDATE month_adjustment SET effective_cost = effective_cost - 1").execute(&db).await.unwrap();
    let page = finance.get("/finance/statements/2026-09").await.body;
    let rows = texts(&page, "[aria-labelledby=h-ti-1] tbody tr");
    assert!(rows[0].contains("+$1.99 booked in October 2026 +$1.00 booked nowhere"), "{rows:?}");
    assert!(texts(&page, ".steps li").iter().any(|step| step.starts_with("Does not tie")), "{page}");
}

/// The page of the month: tile, table, bridge and conversion have it by name, and the totals with it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_total_of_the_month_has_what_is_booked_to_it(db: PgPool) {
    let world = late(&db).await;
    rates::set_reporting_currency(&world.app.state.pools.jobs, "USD", BY, time(CLOSED_AT)).await.unwrap();
    let finance = world.finance().await;
    let page = finance.get("/finance/statements/2026-10").await.body;
    let tiles = texts(&page, ".figures > div");
    assert!(tiles.iter().any(|tile| tile == "With adjustments $53.49 +$2.99 booked for closed months"), "{tiles:?}");
    let rows = texts(&page, "[aria-labelledby=h-st-1] tbody tr");
    let last: Vec<&str> = rows[rows.len() - 3..].iter().map(String::as_str).collect();
    assert!(last[0].starts_with("Total net cost $107.14 $50.50"), "{last:?}");
    assert!(last[1].starts_with("Adjustments booked for closed months $0.00 $2.99 +$2.99"), "{last:?}");
    assert!(last[2].starts_with("Total with adjustments $107.14 $53.49"), "{last:?}");
    let bridge = texts(&page, "[aria-labelledby=h-br-1] tbody tr");
    assert!(bridge.iter().any(|row| row.starts_with("Adjustments booked from $0.00 to $2.99 +$2.99")), "{bridge:?}");
    assert!(bridge.last().unwrap().contains("$53.49"), "{bridge:?}");
    let converted = texts(&page, "[aria-labelledby=h-rep] tbody tr");
    assert_eq!(converted.last().unwrap(), "Total with adjustments $53.49");
    let row = "Adjustments booked for September 2026";
    assert!(converted.iter().any(|text| text.starts_with(row) && text.ends_with("$2.99")), "{converted:?}");
    assert!(texts(&page, "[aria-labelledby=h-yr-1] tbody tr").iter().any(|row| row == "October 2026 actual $53.49"));

    // The month after compares with it, each with what is booked to it.
    let csv = finance.get("/finance/statements/2026-10.csv").await.body;
    let teams = column(&csv, "Team");
    assert_eq!(teams.last().map(String::as_str), Some("Adjustments booked"), "{csv}");
    for name in ["EffectiveCost 2026-10", "ReportingEffectiveCost 2026-10"] {
        assert_eq!(sum(&csv, name), decimal("53.4900001"), "{csv}");
    }
    let november = finance.get("/finance/statements/2026-11.csv").await.body;
    assert_eq!(sum(&november, "EffectiveCost 2026-10"), decimal("53.4900001"), "{november}");
    let mine = finance.get("/finance/statements/2026-09.csv").await.body;
    assert_eq!(sum(&mine, "EffectiveCost 2026-09") + sum(&csv, "EffectiveCost 2026-10"), bills(&world).await);
    // By charge day each bill is in its own month.
    let charged = finance.get("/finance/statements/2026-10.csv?view=charge").await.body;
    assert!(!charged.contains("Adjustments booked") && sum(&charged, "EffectiveCost 2026-10") == decimal("50.5"));
    world.assert_clean().await;
}

/// The list of months and its file: the totals with adjustments are what the bills say, also where a month has nothing else.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_list_adds_up_to_the_bills(db: PgPool) {
    let world = late(&db).await;
    let finance = world.finance().await;
    let csv = finance.get("/finance/statements.csv").await.body;
    assert_eq!(sum(&csv, "EffectiveCost"), decimal("157.635"), "{csv}");
    assert_eq!(sum(&csv, "AdjustmentsBooked"), decimal("2.9900001"), "{csv}");
    assert_eq!(sum(&csv, "EffectiveCostWithAdjustments"), bills(&world).await, "{csv}");

    // With October closed too, the next one goes to November, which has no bill yet.
    close(&world.app.state.pools, month("2026-10"), "Done.", BY, time(CLOSED_AT)).await.unwrap();
    world.import(&september("104.0000001", "7.125"), "2026-11-12T06:00:00Z").await;
    let csv = finance.get("/finance/statements.csv").await.body;
    assert_eq!(column(&csv, "Month"), ["2026-11", "2026-10", "2026-09"], "{csv}");
    assert_eq!(column(&csv, "EffectiveCost")[0], "", "nothing is billed: {csv}");
    assert_eq!(column(&csv, "EffectiveCostWithAdjustments")[0].parse::<BigDecimal>().unwrap(), decimal("1"));
    assert_eq!(sum(&csv, "EffectiveCostWithAdjustments"), bills(&world).await, "{csv}");
    let list = finance.get("/finance/statements").await.body;
    let rows = texts(&list, "[aria-labelledby=h-all] tbody tr");
    assert!(rows[0].starts_with("November 2026 Open USD not billed +$1.00 $1.00"), "{rows:?}");
    assert!(rows[1].starts_with("October 2026 Closed USD $50.50 +$2.99 $53.49"), "{rows:?}");
    let lede = texts(&list, ".lede").join(" ");
    assert!(
        lede.starts_with("Nothing is billed for November 2026; $1.00 is booked in it for closed months."),
        "{lede}"
    );
    let page = finance.get("/finance/statements/2026-11").await.body;
    let tiles = texts(&page, ".figures > div");
    assert!(tiles[0].starts_with("Net cost not billed"), "{tiles:?}");
    assert_eq!(tiles[1], "With adjustments $1.00 +$1.00 booked for closed months");
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let months = world.app.api("GET", "/api/v1/months", &token, Value::Null).await.json();
    let listed: Vec<&str> =
        months.as_array().unwrap().iter().map(|one| one["billing_month"].as_str().unwrap()).collect();
    assert_eq!(listed, ["2026-11", "2026-10", "2026-09"]);
    assert_eq!(months[0]["sentence"], "The month is open and has no bill yet.");

    // By charge day there is nothing booked, and those who see some teams only see no bill.
    let charged = finance.get("/finance/statements.csv?view=charge").await.body;
    assert!(column(&charged, "AdjustmentsBooked").iter().all(String::is_empty), "{charged}");
    let sql = "WITH made AS (INSERT INTO team (slug, name) VALUES ('shop', 'Shop') RETURNING team_id), owned AS (
                   UPDATE service SET team_id = made.team_id FROM made WHERE slug = 'checkout')
               SELECT team_id FROM made";
    let team: i64 = sqlx::query_scalar(sql).fetch_one(&db).await.unwrap();
    let member = world.app.browser(Role::Member, false, &[team]).await;
    let own = member.get("/finance/statements.csv").await.body;
    assert!(column(&own, "AdjustmentsBooked").iter().all(String::is_empty), "{own}");
    world.assert_clean().await;
}

/// What came late can be charged back: the file names service, team and cost center as they were when it was booked, and a
/// rule that was changed in between moves nothing.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_booked_names_whose_it_is(db: PgPool) {
    let world = closed(&db).await;
    let sql =
        "WITH made AS (INSERT INTO team (slug, name, cost_center) VALUES ('shop', 'Shop', 'CC-1') RETURNING team_id)
               UPDATE service SET team_id = made.team_id FROM made WHERE slug = 'checkout'";
    sqlx::query(sql).execute(&db).await.unwrap();
    world.import(&september("103.0000001", "6.125"), "2026-11-11T06:00:00Z").await;
    let finance = world.finance().await;
    let file = async || finance.get("/finance/statements/2026-10/adjustments.csv").await.body;
    let told = |csv: &str| -> Vec<String> {
        let names = ["Service", "Team", "CostCenter", "Environment", "EffectiveCost"];
        let columns = names.map(|name| column(csv, name));
        (0..columns[0].len()).map(|row| columns.each_ref().map(|cells| cells[row].as_str()).join("|")).collect()
    };
    let first = file().await;
    assert_eq!(told(&first), ["checkout|Shop|CC-1||2.9900001", "ledger||||-1"], "{first}");
    assert_eq!(sum(&first, "EffectiveCost"), decimal("1.9900001"));

    let rule = [
        ("applies_to", "charges"),
        ("attribute", "tag:service"),
        ("operator", "equals"),
        ("value", "checkout"),
        ("service", "ledger"),
        ("place", "first"),
        ("reason", "One team."),
    ];
    assert!(finance.post_form("/rules", &rule).await.status.is_redirection());
    sqlx::query("UPDATE team SET name = 'Renamed'").execute(&db).await.unwrap();
    assert_eq!(file().await, first, "what was booked stays as it was");
    world.import(&september("105.0000001", "6.125"), "2026-11-12T06:00:00Z").await;
    let both = file().await;
    assert_eq!(told(&both)[2..], ["ledger||||2".to_owned()], "a changed rule moves nothing: {both}");
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let path = "/api/v1/costs?view=billing&period=2026-10";
    let api = world.app.api("GET", path, &token, Value::Null).await.json();
    assert_eq!(api["totals"][0]["adjustments"].as_str().map(decimal), Some(sum(&both, "EffectiveCost")), "{api}");
    // What was booked before that was kept is told without a name, and nothing of it is left out.
    sqlx::query("DELETE FROM month_adjustment_cost").execute(&db).await.unwrap();
    let unknown = file().await;
    assert_eq!(sum(&unknown, "EffectiveCost"), sum(&both, "EffectiveCost"), "{unknown}");
    assert!(column(&unknown, "Service").iter().all(String::is_empty), "{unknown}");
    world.assert_clean().await;
}
