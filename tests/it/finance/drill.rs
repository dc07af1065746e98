//! Every figure is followed down: with the filters of its page, to lines and shares that add up to it.

use super::{HEADER, World, deployed, texts, world};
use crate::support::TestApp;
use axum::http::StatusCode;
use bigdecimal::{BigDecimal, RoundingMode};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use scraper::{ElementRef, Html, Selector};
use serde_json::json;
use sqlx::PgPool;

/// Billed and amortized cost differ, so do environments; one line a day belongs to nobody.
fn october() -> String {
    october_with(&[])
}

/// The same, with further lines a day: service, environment, billed and effective cost.
fn october_with(more: &[(&str, &str, &str, &str)]) -> String {
    let mut text = format!("{HEADER}\n");
    for day in 1..=31 {
        let lines = [
            ("checkout", "production", format!("{day}.3333333"), format!("{day}.1234567")),
            ("checkout", "staging", "1.0101".into(), "0.9090909".into()),
            ("ledger", "production", "5.055".into(), "4.444".into()),
            ("net", "production", "4.0000001".into(), "3.0000003".into()),
            ("spare", "staging", "0.7500001".into(), "0.5".into()),
            ("", "production", "2.505".into(), "2.2".into()),
        ];
        let more = more.iter().map(|(service, environment, billed, effective)| {
            (*service, *environment, (*billed).to_owned(), (*effective).to_owned())
        });
        for (service, environment, billed, effective) in lines.into_iter().chain(more) {
            let pairs = [("service", service), ("env", environment)].into_iter().filter(|(_, value)| !value.is_empty());
            let tags: Vec<String> = pairs.map(|(key, value)| format!("\"\"{key}\"\":\"\"{value}\"\"")).collect();
            let tags = format!("{{{}}}", tags.join(","));
            text.push_str(&format!(
                "{billed},{effective},{billed},{billed},USD,acct-1,2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,\
                 2026-10-{day:02}T00:00:00Z,2026-10-{day:02}T23:00:00Z,Usage,,Some use,Usage-Based,Cloud One,Cloud One,\
                 Cloud One,,Compute,Machines,sub-1,vm-{service}-{environment},eu-1,sku-1,1,Hours,\"{tags}\"\n"
            ));
        }
    }
    text
}

pub async fn seeded(db: &PgPool) -> World {
    seeded_with(db, &october()).await
}

async fn seeded_with(db: &PgPool, bill: &str) -> World {
    let world = world(db).await;
    world.import_text(bill, "2026-11-02T06:00:00Z").await;
    sqlx::query(
        "WITH t AS (INSERT INTO team (slug, name, cost_center) VALUES ('payments', 'Payments', 'CC-1') RETURNING team_id)
         UPDATE service SET team_id = t.team_id FROM t WHERE slug IN ('checkout', 'ledger')",
    )
    .execute(db)
    .await
    .unwrap();
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    let split = json!({"name": "Network", "source": "net", "method": "fixed", "reason": "Both use it.", "targets": [
        {"service": "checkout", "percent": "62.5"}, {"service": "ledger", "percent": "37.5"}]});
    let made = world.app.api("POST", "/api/v1/splits", &token, split).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    world
}

pub fn select(selector: &str) -> Selector {
    Selector::parse(selector).unwrap()
}

pub fn text(element: ElementRef) -> String {
    element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

pub fn amount(text: &str) -> BigDecimal {
    let word = text.split_whitespace().next().unwrap_or_default();
    let plain = word.replace(['$', ',', '+', '±'], "").replace('\u{2212}', "-");
    plain.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What the first figure of a page says.
pub fn first_figure(body: &str) -> String {
    texts(body, ".figures .value").swap_remove(0)
}

/// What `/charges` says that its lines and shares make, with every digit.
pub fn figure(body: &str) -> BigDecimal {
    let all = texts(body, ".figures dd.value");
    amount(all.last().unwrap_or_else(|| panic!("no figure: {body}")))
}

/// Rounded as this text is, by itself.
pub fn is_shown_as(exact: &BigDecimal, shown: &str) -> bool {
    let decimals =
        shown.split_once('.').map_or(0, |(_, digits)| digits.chars().take_while(char::is_ascii_digit).count());
    exact.with_scale_round(decimals as i64, RoundingMode::HalfUp) == amount(shown)
}

/// Addresses and what is shown beside them: `cell` counts from the end of the row.
pub fn links(body: &str, rows: &str, link: &str, cell_from_end: usize) -> Vec<(String, String)> {
    let page = Html::parse_document(body);
    let of_row = |row: ElementRef| {
        let cells: Vec<ElementRef> = row.select(&select("td")).collect();
        let shown = text(*cells.get(cells.len().checked_sub(cell_from_end)?)?);
        let href = row.select(&select(link)).next()?.attr("href")?.to_owned();
        Some((href, shown))
    };
    page.select(&select(rows)).filter_map(of_row).collect()
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn each_day_of_each_page_leads_to_the_lines_that_make_it(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    let pages = [
        "/services/checkout?period=2026-10",
        "/services/checkout?period=2026-10&env=production&basis=billed",
        "/services/checkout?period=2026-10&env=staging&charge=Usage&by=charge",
        "/services/net?period=2026-10&basis=billed",
        "/environments/production?period=2026-10&team=payments&basis=billed",
        "/environments/staging?period=2026-10&provider=Cloud+One&by=provider",
        "/teams/payments?period=2026-10",
        "/teams/payments?period=2026-10&env=production&basis=billed",
    ];
    for path in pages {
        let page = finance.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        let days = links(&page.body, "table[id^=daily-] tbody tr", "th a", 1);
        assert!(days.len() >= 31, "{path}: {days:?}");
        for (href, shown) in days.iter().rev().step_by(7) {
            let lines = finance.get(href).await;
            assert_eq!(lines.status, StatusCode::OK, "{href}: {}", lines.body);
            assert!(!lines.body.contains("Ignored:"), "{href}");
            assert!(is_shown_as(&figure(&lines.body), shown), "{path} says {shown}, {href} {}", figure(&lines.body));
        }
        // So does the whole period.
        let (href, shown) = total(&page.body);
        let lines = finance.get(&href).await;
        assert!(is_shown_as(&figure(&lines.body), &shown), "{path} says {shown}, {href} {}", figure(&lines.body));
    }
}

// The total below the legend of the chart.
fn total(body: &str) -> (String, String) {
    let page = Html::parse_document(body);
    let link = page.select(&select(".chart-row tr.total a[href^='/charges']")).next().expect("a total leads to lines");
    (link.attr("href").unwrap().to_owned(), text(link))
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_row_leads_to_a_page_of_the_same_figure(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    // The figure stands so many cells from the end, and leads to these pages.
    let all = "main table tbody tr";
    let lists = [
        ("/services?period=2026-10&env=production&basis=billed", all, "th a[href^='/services/']", 4),
        ("/teams?period=2026-10&env=staging", all, "th a[href^='/teams/']", 3),
        ("/environments?period=2026-10&team=payments&basis=billed", all, "th a[href^='/environments/']", 5),
        (
            "/environments/production?period=2026-10&basis=billed",
            "[aria-labelledby=h-svc] tbody tr",
            "th a[href^='/services/']",
            3,
        ),
        (
            "/teams/payments?period=2026-10&env=production",
            "[aria-labelledby=h-sv] tbody tr",
            "th a[href^='/services/']",
            3,
        ),
    ];
    for (path, rows, link, from_end) in lists {
        let page = finance.get(path).await;
        let rows: Vec<_> = links(&page.body, rows, link, from_end)
            .into_iter()
            .filter(|(_, shown)| shown.starts_with('$') && !shown.starts_with("$0"))
            .collect();
        assert!(!rows.is_empty(), "{path}");
        for (href, shown) in rows {
            let own = finance.get(&href).await;
            let figure = texts(&own.body, ".figures .value").swap_remove(0);
            let (one, other) = (amount(&figure), amount(&shown));
            let decimals = if figure.contains('.') && shown.contains('.') { 2 } else { 0 };
            let round = |amount: BigDecimal| amount.with_scale_round(decimals, RoundingMode::HalfUp);
            assert_eq!(round(one), round(other), "{path} says {shown}, {href} {figure}");
        }
    }
}

/// What belongs to no environment is more than what belongs to no service, and neither is that of the last 30 days.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_not_allocated_leads_to_the_lines_that_make_it(db: PgPool) {
    let more =
        [("checkout", "", "7.1111111", "6.3333333"), ("spare", "", "2.0202", "1.0101"), ("", "", "0.33", "0.22")];
    let world = seeded_with(&db, &october_with(&more)).await;
    let finance = world.finance().await;
    let (all, lines) = ("main table tbody tr", "th a.row[href^='/charges']");
    let statement = "table.sticky-col tbody tr";
    // The figure stands so many cells from the end; so many rows have no page but their lines.
    let pages = [
        ("/environments?period=2026-10", all, 5, 1),
        ("/environments?period=2026-10&team=payments&basis=billed", all, 5, 1),
        ("/environments?period=2026-10-03..2026-10-09&provider=Cloud+One&charge=Usage&cur=USD", all, 5, 1),
        ("/services?period=2026-10&env=production&basis=billed", all, 4, 1),
        ("/services?period=2026-10&env=none", all, 4, 1),
        ("/teams?period=2026-10", all, 3, 2),
        ("/teams?period=2026-10&env=staging&basis=billed", all, 3, 1),
        ("/environments/production?period=2026-10&basis=billed", "[aria-labelledby=h-svc] tbody tr", 3, 1),
        ("/finance/statements/2026-10?by=team&basis=billed", statement, 6, 1),
        ("/finance/statements/2026-10?by=service", statement, 6, 1),
        ("/finance/statements/2026-10?by=env&view=charge", statement, 6, 1),
    ];
    for (path, rows, from_end, count) in pages {
        let page = finance.get(path).await;
        let found = links(&page.body, rows, lines, from_end);
        assert_eq!(found.len(), count, "{path}: {found:?}");
        for (href, shown) in found {
            assert_leads(&finance, path, (&href, &shown)).await;
        }
    }
    let overview = finance.get("/?period=2026-10&basis=billed").await.body;
    let html = Html::parse_document(&overview);
    let open: Vec<(String, String)> = html
        .select(&select("[aria-labelledby=h-need] .n a"))
        .map(|link| (link.attr("href").unwrap().to_owned(), text(link)))
        .collect();
    assert_eq!(open.len(), 1, "{overview}");
    assert_leads(&finance, "/", (&open[0].0, &open[0].1)).await;
    assert_eq!(texts(&overview, "[aria-labelledby=h-mov] th a[href^='/charges']"), ["Not allocated"]);
}

async fn assert_leads(browser: &TestApp, path: &str, (href, shown): (&str, &str)) {
    let lines = browser.get(href).await;
    assert_eq!(lines.status, StatusCode::OK, "{href}: {}", lines.body);
    assert!(!lines.body.contains("Ignored:"), "{href}");
    assert!(is_shown_as(&figure(&lines.body), shown), "{path} says {shown}, {href} {}", figure(&lines.body));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn statements_unmapped_cost_dimensions_and_deployments_lead_to_lines(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    let at = "2026-10-15T09:00:00Z";
    let id = deployed(&db, ("d-1", "v1"), "checkout", "production", at).await;
    let pages = [
        ("/finance/statements/2026-10?by=service".to_owned(), "table.sticky-col tbody tr", "td a[href^='/charges']", 6),
        (
            "/finance/statements/2026-10?by=team&basis=billed".to_owned(),
            "table.sticky-col tbody tr",
            "td a[href^='/charges']",
            6,
        ),
        (
            "/finance/statements/2026-10?by=env&view=charge".to_owned(),
            "table.sticky-col tbody tr",
            "td a[href^='/charges']",
            6,
        ),
        (
            "/finance/statements/2026-10?by=cost-center&basis=billed".to_owned(),
            "table.sticky-col tbody tr",
            "td a[href^='/charges']",
            6,
        ),
        ("/unmapped".to_owned(), "tbody tr", "td a[href^='/charges']", 2),
        ("/dimensions/cost_center?period=2026-10&basis=billed".to_owned(), "tbody tr", "th a[href^='/charges']", 3),
        (format!("/deployments/{id}?basis=billed"), "details tbody tr", "th a[href^='/charges']", 2),
    ];
    for (path, rows, link, from_end) in &pages {
        let page = finance.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        let found = links(&page.body, rows, link, *from_end);
        assert!(!found.is_empty(), "{path}: {}", page.body);
        for (href, shown) in found.iter().filter(|(_, shown)| amount(shown) != BigDecimal::default()).take(12) {
            let lines = finance.get(href).await;
            assert_eq!(lines.status, StatusCode::OK, "{href}: {}", lines.body);
            assert!(is_shown_as(&figure(&lines.body), shown), "{path} says {shown}, {href} {}", figure(&lines.body));
        }
    }
    // No row of a statement is without its lines but what rounding leaves.
    for by in ["team", "cost-center", "service", "env", "provider", "charge"] {
        let page = finance.get(&format!("/finance/statements/2026-10?by={by}")).await.body;
        let rows = texts(&page, "table.sticky-col tbody th");
        let linked = links(&page, "table.sticky-col tbody tr", "td a[href^='/charges']", 6).len();
        assert_eq!(linked, rows.iter().filter(|name| *name != "Rounding").count(), "{by}: {rows:?}");
        assert!(by != "team" || rows.contains(&"No team".to_owned()), "{rows:?}");
        assert!(by != "cost-center" || rows.contains(&"No cost center".to_owned()), "{rows:?}");
    }
    // An average a day leads to the lines of its days.
    let page = finance.get(&format!("/deployments/{id}")).await;
    let after =
        links(&page.body, "section[aria-labelledby=h-res] tbody tr", "td:nth-of-type(3) a[href^='/charges']", 2);
    assert_eq!(after.len(), 1, "{after:?}");
    let sum = figure(&finance.get(&after[0].0).await.body);
    assert!(is_shown_as(&(sum / BigDecimal::from(16)), &after[0].1), "{after:?}");
}
