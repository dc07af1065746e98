//! N11: one filter in every view: tile, table, chart, files and API show one number of one publication.

use super::{Line, World, column, decimal, sum, texts, world};
use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use costwake::web::display;
use serde_json::{Value, json};
use sqlx::PgPool;

const PERIOD: &str = "period=2026-10-01..2026-10-31";

fn october() -> Vec<Line> {
    vec![
        Line { cost: "41.3333333", day: "2026-10-05", ..Line::default() },
        Line { cost: "0.0049999", day: "2026-10-06", ..Line::default() },
        Line { cost: "-17.25", day: "2026-10-31", category: "Credit", ..Line::default() },
        Line { cost: "8.88", day: "2026-10-31", service: "ledger", ..Line::default() },
        Line { cost: "0.0000008", day: "2026-10-31", service: "net", ..Line::default() },
        Line { cost: "8", day: "2026-10-05", service: "net", ..Line::default() },
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
    // The lines with what splits moved: the page adds up to the figure too, with every digit.
    let page = finance.get(&format!("/charges?billing=2026-10&service={service}")).await;
    let figure = texts(&page.body, ".figures dd.value").pop().unwrap_or_default();
    assert_eq!(figure, display::money_exact(expected, "USD"), "{service}");
    let sums = [
        ("by day", sum(&by_day.body, "EffectiveCost")),
        ("list", sum_where(&list.body, service, "EffectiveCost")),
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
    for (day, cost) in column(&by_day.body, "ChargeDate").iter().zip(column(&by_day.body, "EffectiveCost")) {
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
    share_the_network(&world).await;
    one_number(&world, "checkout", &decimal("29.0883337")).await;
    one_number(&world, "ledger", &decimal("11.8800003")).await;
    nothing_is_left_at_the_origin(&world).await;
    // Restated: every view moves on together.
    let restated: Vec<Line> = october()
        .into_iter()
        .map(|line| Line { cost: if line.cost == "8.88" { "9" } else { line.cost }, ..line })
        .collect();
    world.import(&restated, "2026-11-03T06:00:00Z").await;
    one_number(&world, "ledger", &decimal("12.0000003")).await;
    one_number(&world, "checkout", &decimal("29.0883337")).await;
    world.assert_clean().await;
}

// Of each line of the network, 62.5 % are the checkout's and 37.5 % the ledger's.
async fn share_the_network(world: &World) {
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    let split = json!({"name": "Network", "source": "net", "method": "fixed", "reason": "Both use it.", "targets": [
        {"service": "checkout", "percent": "62.5"}, {"service": "ledger", "percent": "37.5"}]});
    let made = world.app.api("POST", "/api/v1/splits", &token, split).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
}

// The way from the figure of a service to the origin's lines and to all shares: each step adds up to the last digit.
async fn nothing_is_left_at_the_origin(world: &World) {
    let finance = world.finance().await;
    let hrefs = |body: &str, start: &str| -> Vec<String> {
        let page = scraper::Html::parse_document(body);
        let links = scraper::Selector::parse("td a").unwrap();
        let all = page.select(&links).filter_map(|a| a.attr("href"));
        all.filter(|href| href.starts_with(start)).map(str::to_owned).collect()
    };
    let checkout = finance.get("/charges?billing=2026-10&service=checkout").await;
    let rows = texts(&checkout.body, "section[aria-labelledby=h-moved-1] tbody tr");
    assert_eq!(
        rows,
        [
            "Lines of the bills 3 lines $24.0883332 the lines",
            "Shared cost: Network shares of net +$5.0000005 Lines of net , all shares",
            "Together $29.0883337",
        ]
    );
    let origin = finance.get(&hrefs(&checkout.body, "/charges?")[0]).await;
    let rows = texts(&origin.body, "section[aria-labelledby=h-moved-1] tbody tr");
    assert_eq!(rows[0], "Lines of the bills 2 lines $8.0000008 the lines");
    assert!(rows[1].contains("left net for those who share it \u{2212}$8.0000008"), "{rows:?}");
    assert_eq!(rows[2], "Together $0.00");
    assert_eq!(sum(&finance.get("/charges.csv?billing=2026-10&service=net").await.body, "EffectiveCost"), decimal("0"));
    let shares = finance.get(&hrefs(&checkout.body, "/splits/")[0]).await;
    assert_eq!(shares.status, StatusCode::OK, "{}", shares.body);
    let rows = texts(&shares.body, "section[aria-labelledby=h-shares] tbody tr");
    let expected = [
        "checkout USD +$5.0000005 62.5%",
        "ledger USD +$3.0000003 37.5%",
        "net USD \u{2212}$8.0000008",
        "Together $0.00",
    ];
    assert_eq!(rows, expected);
    // A resource has no share: the lines alone are shown, and the page says so.
    let resource = finance.get("/charges?billing=2026-10&service=checkout&resource=vm-checkout").await;
    assert!(resource.body.contains("what splits moved is no part of this sum"), "{}", resource.body);
    assert_eq!(texts(&resource.body, ".figures dd.value"), ["$24.0883332"]);
    let all = finance.get("/charges?billing=2026-10").await;
    assert!(all.body.contains("which changes nothing of their sum"), "{}", all.body);
}
