//! What each cost center pays, before splits and after them: two tables that lead to each other and have one total.

use super::{Line, World, column, decimal, sum, world};
use axum::http::StatusCode;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::json;
use sqlx::PgPool;

fn october() -> Vec<Line> {
    vec![
        Line { cost: "41.3333333", day: "2026-10-05", ..Line::default() },
        Line { cost: "8.88", day: "2026-10-31", service: "ledger", ..Line::default() },
        Line { cost: "8.0000008", day: "2026-10-31", service: "net", ..Line::default() },
    ]
}

// The checkout's team and the network's have a cost center, the ledger has no team; both divide the network.
async fn shared(db: &PgPool) -> World {
    let world = world(db).await;
    world.import(&october(), "2026-11-02T06:00:00Z").await;
    for (team, service) in [("4120", "checkout"), ("9000", "net")] {
        let sql = "WITH t AS (INSERT INTO team (slug, name, cost_center) VALUES ('t-' || $1, 'T' || $1, $1)
                       RETURNING team_id)
                   UPDATE service SET team_id = t.team_id FROM t WHERE service.slug = $2";
        assert_eq!(sqlx::query(sql).bind(team).bind(service).execute(db).await.unwrap().rows_affected(), 1);
    }
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    let split = json!({"name": "Network", "source": "net", "method": "fixed", "reason": "Both use it.", "targets": [
        {"service": "checkout", "percent": "62.5"}, {"service": "ledger", "percent": "37.5"}]});
    let made = world.app.api("POST", "/api/v1/splits", &token, split).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    world
}

// Each value of a column with its cost, in the order of values.
fn costs(csv: &str, name: &str, cost: &str) -> Vec<(String, String)> {
    let plain = |cost: String| decimal(&cost).normalized().to_plain_string();
    let mut rows: Vec<_> = column(csv, name).into_iter().zip(column(csv, cost).into_iter().map(plain)).collect();
    rows.sort();
    rows
}

fn link(html: &str, start: &str) -> String {
    let page = scraper::Html::parse_document(html);
    let links = scraper::Selector::parse(".foot a").unwrap();
    let found = page.select(&links).filter_map(|link| link.attr("href")).find(|href| href.starts_with(start));
    found.unwrap_or_else(|| panic!("nothing leads to {start}: {html}")).to_owned()
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn cost_centers_before_and_after_splits_have_one_total(db: PgPool) {
    let world = shared(&db).await;
    let finance = world.finance().await;
    let before = finance.get("/dimensions/cost_center.csv?period=2026-10").await.body;
    let row = |value: &str, cost: &str| (value.to_owned(), cost.to_owned());
    let expected = [row("4120", "41.3333333"), row("9000", "8.0000008"), row("No value", "8.88")];
    assert_eq!(costs(&before, "Value", "EffectiveCost"), expected, "{before}");

    let page = finance.get("/dimensions/cost_center?period=2026-10").await.body;
    let statement = link(&page, "/finance/statements/2026-10");
    assert_eq!(statement, "/finance/statements/2026-10?view=charge&by=cost-center");
    let after = finance.get(&statement.replace("2026-10?", "2026-10.csv?")).await.body;
    let name = "EffectiveCost 2026-10";
    let expected = [row("4120", "46.3333338"), row("9000", "0"), row("No cost center", "11.8800003")];
    assert_eq!(costs(&after, "CostCenter", name), expected, "{after}");
    assert_eq!(sum(&after, name), sum(&before, "EffectiveCost"));

    let page = finance.get(&statement).await.body;
    assert_eq!(link(&page, "/dimensions/"), "/dimensions/cost_center?period=2026-10");
    let other = finance.get("/dimensions/product?period=2026-10").await.body;
    assert!(!other.contains("by=cost-center"), "a product has no statement: {other}");
    let by_team = finance.get("/finance/statements/2026-10").await.body;
    assert!(!by_team.contains("/dimensions/cost_center"), "{by_team}");
}
