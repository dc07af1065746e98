//! Why spend changed: the rows add up to the change on every face, to the last digit.

use super::{BY, Line, column, decimal, month, sum, texts, time, world};
use costwake::rollup::close_month::close;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::PgPool;

fn september() -> Vec<Line> {
    let line = Line { billed: "2026-09", day: "2026-09-05", ..Line::default() };
    vec![
        Line { cost: "100", ..line },
        Line { cost: "100", day: "2026-09-06", ..line },
        Line { cost: "40.0000001", service: "old", ..line },
        Line { cost: "-5", category: "Credit", ..line },
    ]
}

fn october() -> Vec<Line> {
    vec![
        // Half as much again was used, at 1.1 times the price, and a service is new.
        Line { cost: "110", ..Line::default() },
        Line { cost: "110", day: "2026-10-06", ..Line::default() },
        Line { cost: "110", day: "2026-10-07", ..Line::default() },
        Line { cost: "12.5", service: "new", ..Line::default() },
        Line { cost: "-7.25", category: "Credit", ..Line::default() },
        Line { cost: "3", category: "Tax", ..Line::default() },
        Line { cost: "900", currency: "JPY", ..Line::default() },
    ]
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_causes_add_up_on_every_face(db: PgPool) {
    let world = world(&db).await;
    world.import(&september(), "2026-10-02T06:00:00Z").await;
    world.import(&october(), "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;

    let csv = finance.get("/why.csv?period=2026-10&cur=USD").await;
    let change = decimal("338.25") - decimal("235.0000001");
    assert_eq!(sum(&csv.body, "Amount"), change, "{}", csv.body);
    let rows: Vec<(String, f64)> = column(&csv.body, "Cause")
        .into_iter()
        .zip(column(&csv.body, "Amount").iter().map(|amount| amount.parse().unwrap()))
        .collect();
    let amount = |cause: &str| rows.iter().find(|row| row.0 == cause).map_or(0.0, |row| row.1);
    assert_eq!((amount("credits"), amount("tax")), (-2.25, 3.0));
    assert_eq!((amount("new-services"), amount("ended-services")), (12.5, -40.0000001));
    assert!(amount("list-price") > 20.0 && amount("volume") > 80.0, "{rows:?}");
    // Bills reach to the seventh day: as many days are compared as there are.
    assert_eq!(amount("calendar-days"), 0.0, "{rows:?}");
    assert_eq!(amount("not-explained"), 0.0, "{rows:?}");

    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let api = world.app.api("GET", "/api/v1/why?period=2026-10", &token, Value::Null).await.json();
    let changes = api["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2, "{api}");
    for change in changes {
        let sum: bigdecimal::BigDecimal =
            change["causes"].as_array().unwrap().iter().map(|row| decimal(row["amount"].as_str().unwrap())).sum();
        let of = |key: &str| decimal(change[key].as_str().unwrap());
        assert_eq!(sum, of("cost") - of("compared_cost"), "{change}");
    }

    // What is shown is rounded so that it still adds up.
    for path in ["/why?period=2026-10", "/services/checkout?period=2026-10", "/finance/statements/2026-10"] {
        let page = finance.get(path).await;
        let cells = texts(&page.body, "table.bridge tbody tr td.n:not(.hide-narrow)");
        assert!(cells.len() > 3, "{path}: {cells:?}");
        let tables = page.body.matches("aria-label=\"Causes table").count();
        assert!(tables > 0, "{path}");
    }
    let page = finance.get("/why?period=2026-10&cur=USD").await;
    let cells = texts(&page.body, "table.bridge tbody tr td.n:not(.hide-narrow)");
    let shown: Vec<bigdecimal::BigDecimal> =
        cells.iter().map(|cell| decimal(&cell.replace(['$', ',', '+', '±'], "").replace('\u{2212}', "-"))).collect();
    let (first, rest) = shown.split_first().unwrap();
    let (last, steps) = rest.split_last().unwrap();
    assert_eq!(&(first + steps.iter().sum::<bigdecimal::BigDecimal>()), last, "{cells:?}");
    assert!(page.body.contains("Not explained"));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_closed_month_shows_what_was_restated_since(db: PgPool) {
    let world = world(&db).await;
    world.import(&september(), "2026-10-02T06:00:00Z").await;
    world.import(&october(), "2026-11-02T06:00:00Z").await;
    close(&world.app.state.pools, month("2026-09"), "In.", BY, time("2026-11-10T10:00:00Z")).await.unwrap();
    let mut late = september();
    late[0].cost = "104.5";
    world.import(&late, "2026-11-11T06:00:00Z").await;
    let finance = world.finance().await;
    let page = finance.get("/finance/statements/2026-10?cur=USD").await;
    let causes = texts(&page.body, "[aria-label^='Causes table'] tbody tr");
    // The bills say 4.50 more of September than its statement: without it the change is that much larger.
    assert!(causes.iter().any(|row| row.contains("Restated after closing") && row.contains("+$4.50")), "{causes:?}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_member_is_told_of_own_teams_only(db: PgPool) {
    let world = world(&db).await;
    world.import(&september(), "2026-10-02T06:00:00Z").await;
    world.import(&october(), "2026-11-02T06:00:00Z").await;
    let team_id: i64 = sqlx::query_scalar("INSERT INTO team (slug, name) VALUES ('pay', 'Pay') RETURNING team_id")
        .fetch_one(&db)
        .await
        .unwrap();
    sqlx::query("UPDATE service SET team_id = $1 WHERE slug = 'new'").bind(team_id).execute(&db).await.unwrap();
    let member = world.app.browser(Role::Member, false, &[team_id]).await;
    let csv = member.get("/why.csv?period=2026-10&cur=USD").await;
    assert_eq!(sum(&csv.body, "Amount"), decimal("12.5"), "{}", csv.body);
    assert!(member.get("/teams/pay?period=2026-10").await.body.contains("Why spend changed"));
    let other = world.app.browser(Role::Member, false, &[]).await.get("/why.csv?period=2026-10").await;
    assert_eq!(other.body.lines().count(), 1, "{}", other.body);
}
