//! N11: one filter in every view: tile, table, chart, files and API show one number of one publication.

use super::{Line, World, column, decimal, sum, texts, world};
use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use costwake::web::display;
use serde_json::Value;
use sqlx::PgPool;

const PERIOD: &str = "period=2026-10-01..2026-10-31";

fn october() -> Vec<Line> {
    vec![
        Line { cost: "41.3333333", day: "2026-10-05", ..Line::default() },
        Line { cost: "0.0049999", day: "2026-10-06", ..Line::default() },
        Line { cost: "-17.25", day: "2026-10-31", category: "Credit", ..Line::default() },
        Line { cost: "8.88", day: "2026-10-31", service: "ledger", ..Line::default() },
    ]
}

// The number of the publication that a page names.
fn publication(page: &str) -> i64 {
    let text = page.split("Figures are of publication ").nth(1).unwrap_or_else(|| panic!("no publication: {page}"));
    text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

async fn one_number(world: &World, service: &str, expected: &BigDecimal) {
    let finance = world.finance().await;
    let shown = display::money(expected, "USD", 2);
    let mut publications = Vec::new();
    // Tiles and tables.
    for path in [format!("/services/{service}?{PERIOD}"), format!("/services?{PERIOD}")] {
        let page = finance.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.body.contains(&shown), "{path} lacks {shown}");
        publications.push(publication(&page.body));
    }
    let tile = finance.get(&format!("/services/{service}?{PERIOD}")).await;
    assert!(texts(&tile.body, ".value").iter().any(|value| value.contains(&shown)), "{shown}");
    // Files: by day, by service, line by line, and the statement of the month.
    let by_day = finance.get(&format!("/services/{service}.csv?{PERIOD}")).await;
    let list = finance.get(&format!("/services.csv?{PERIOD}")).await;
    let lines = finance.get(&format!("/charges.csv?billing=2026-10&service={service}")).await;
    let statement = finance.get(&format!("/finance/statements/2026-10.csv?by=service&service={service}")).await;
    let statement = match statement.status {
        StatusCode::OK => sum_where(&statement.body, service, "EffectiveCost 2026-10"),
        status => panic!("{status}: {}", statement.body),
    };
    let sums = [
        ("by day", sum(&by_day.body, "Cost")),
        ("list", sum_where(&list.body, service, "Cost")),
        ("lines", sum(&lines.body, "EffectiveCost")),
        ("statement", statement),
    ];
    for (what, sum) in &sums {
        assert_eq!(sum, expected, "{what} of {service}");
    }
    // The API, as JSON and as CSV.
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    for by in ["service", "day", "env"] {
        let path = format!("/api/v1/costs?{PERIOD}&service={service}&by={by}");
        let api = world.app.api("GET", &path, &token, Value::Null).await.json();
        assert_eq!(api["totals"][0]["cost"].as_str().map(decimal).as_ref(), Some(expected), "{path}: {api}");
        publications.push(api["publication_id"].as_i64().unwrap());
        let csv = world.app.api("GET", &path.replace("costs?", "costs.csv?"), &token, Value::Null).await;
        assert_eq!(&sum(&csv.body, "EffectiveCost"), expected, "{path}");
    }
    publications.dedup();
    assert_eq!(publications.len(), 1, "all views are of one publication: {publications:?}");
    // The chart is drawn from the days of the file: each bar names its day and amount.
    for (day, cost) in column(&by_day.body, "ChargeDate").iter().zip(column(&by_day.body, "Cost")) {
        let cost = decimal(&cost);
        let is_shown = cost == BigDecimal::default() || tile.body.contains(&display::money(&cost, "USD", 2));
        assert!(is_shown, "{day} of {service}: {cost}");
    }
}

// What a column adds up to over the rows that name this service.
fn sum_where(csv: &str, service: &str, name: &str) -> BigDecimal {
    let mut kept = csv.lines().next().unwrap().to_owned() + "\n";
    csv.lines().skip(1).filter(|line| line.split(',').any(|cell| cell == service)).for_each(|line| {
        kept.push_str(line);
        kept.push('\n');
    });
    sum(&kept, name)
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn one_filter_is_one_number_in_every_view(db: PgPool) {
    let world = world(&db).await;
    world.import(&october(), "2026-11-02T06:00:00Z").await;
    one_number(&world, "checkout", &decimal("24.0883332")).await;
    one_number(&world, "ledger", &decimal("8.88")).await;
    // Restated: every view moves on together.
    let restated: Vec<Line> = october()
        .into_iter()
        .map(|line| Line { cost: if line.cost == "8.88" { "9" } else { line.cost }, ..line })
        .collect();
    world.import(&restated, "2026-11-03T06:00:00Z").await;
    one_number(&world, "ledger", &decimal("9")).await;
    one_number(&world, "checkout", &decimal("24.0883332")).await;
}
