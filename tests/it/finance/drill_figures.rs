//! Key figures, what a service bought and the tables of the overview lead to what makes them.

use super::drill::{amount, figure, is_shown_as, links, seeded, select, text};
use super::texts;
use crate::support::TestApp;
use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::Sign;
use costwake::store::Role;
use scraper::Html;
use sqlx::PgPool;

/// A row with an amount: what it is, where it leads, what it shows.
#[derive(Debug)]
struct Row {
    name: String,
    href: String,
    shown: String,
}

/// The rows of a section's tables; the amount stands so many cells from the end. Each has a link, but for what rounding
/// leaves.
fn rows(body: &str, section: &str, from_end: usize) -> Vec<Row> {
    let page = Html::parse_document(body);
    let mut found = Vec::new();
    for row in page.select(&select(&format!("{section} tbody tr"))) {
        let name = row.select(&select("th")).next().map(text).unwrap_or_default();
        let cells: Vec<String> = row.select(&select("td")).map(text).collect();
        let shown = cells[cells.len() - from_end].clone();
        if name == "Rounding" || !shown.contains('$') {
            continue;
        }
        // The amount's own link first: the name of a source leads to its page.
        let link = row.select(&select("td a")).next().or_else(|| row.select(&select("th a")).next());
        let href = link.and_then(|link| link.attr("href")).unwrap_or_else(|| panic!("{section}, {name}: no link"));
        found.push(Row { name, href: href.to_owned(), shown });
    }
    assert!(!found.is_empty(), "{section}: {body}");
    found
}

async fn get(browser: &TestApp, href: &str) -> String {
    let page = browser.get(href).await;
    assert_eq!(page.status, StatusCode::OK, "{href}: {}", page.body);
    assert!(!page.body.contains("Ignored:"), "{href}");
    page.body
}

async fn assert_lines(browser: &TestApp, path: &str, href: &str, shown: &str) {
    assert!(href.starts_with("/charges?"), "{path}: {href}");
    let exact = figure(&get(browser, href).await);
    assert!(is_shown_as(&exact, shown), "{path} says {shown}, {href} {exact}");
}

async fn assert_not_allocated(browser: &TestApp, path: &str, href: &str, shown: &str) {
    if href.starts_with("/unmapped") {
        let said = texts(&get(browser, href).await, ".lede a[href^='/charges']").swap_remove(0);
        assert!(is_shown_as(&amount(&said), shown), "{path} says {shown}, {href} {said}");
    } else {
        assert_lines(browser, path, href, shown).await;
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_a_service_bought_leads_to_what_makes_it(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    let pages = [
        "/services/checkout?period=2026-10",
        "/services/checkout?period=2026-10&env=production&basis=billed",
        "/services/ledger?period=2026-10-03..2026-10-09&charge=Usage&provider=Cloud+One&cur=USD",
        "/services/net?period=2026-10&basis=billed",
        "/services/spare?period=2026-10",
    ];
    let mut shares = 0;
    for path in pages {
        let body = get(&finance, path).await;
        let service = texts(&body, "h1").swap_remove(0);
        for Row { name, href, shown } in rows(&body, "[aria-labelledby=h-ct]", 3) {
            if !name.starts_with("Shared cost: ") {
                assert_lines(&finance, path, &href, &shown).await;
                continue;
            }
            let split = get(&finance, &href).await;
            let given = links(&split, "[aria-labelledby=h-shares] tbody tr", "th a", 2);
            let own = format!("/services/{}?", service.to_lowercase());
            let (_, moved) =
                given.iter().find(|(href, _)| href.starts_with(&own)).expect("the split names the service");
            assert!(is_shown_as(&amount(moved), &shown), "{path} says {shown}, {href} {moved}");
            shares += 1;
        }
    }
    assert_eq!(shares, 4);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn key_figures_lead_to_what_makes_them(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    let viewer = world.app.browser(Role::Viewer, false, &[]).await;
    // So many figures of each page have a link.
    let pages = [
        ("/?period=2026-10", 3),
        ("/?period=2026-10&basis=billed&cur=USD", 3),
        ("/?period=2026-10-03..2026-10-09", 3),
        ("/services/checkout?period=2026-10&env=production&basis=billed", 1),
        ("/teams/payments?period=2026-10&env=staging", 1),
        ("/environments/production?period=2026-10&basis=billed", 1),
    ];
    for browser in [&finance, &viewer] {
        for (path, count) in pages {
            let body = get(browser, path).await;
            let html = Html::parse_document(&body);
            let mut seen = 0;
            for one in html.select(&select(".figures > div")) {
                let Some(link) = one.select(&select(".value a")).next() else { continue };
                let (href, shown) = (link.attr("href").unwrap(), text(link));
                let label = one.select(&select("dt")).next().map(text).unwrap();
                assert_eq!(link.attr("aria-label"), Some(format!("{label}: {shown}").as_str()), "{path}");
                seen += 1;
                if label == "Not allocated" {
                    // Its value is a share: the amount is below.
                    let sum = one.select(&select(".sub")).next().map(text).unwrap();
                    assert_not_allocated(browser, path, href, &sum).await;
                } else {
                    assert_lines(browser, path, href, &shown).await;
                }
            }
            assert_eq!(seen, count, "{path}");
        }
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_few_and_the_sources_of_the_overview_lead_to_what_makes_them(db: PgPool) {
    let world = seeded(&db).await;
    let finance = world.finance().await;
    let viewer = world.app.browser(Role::Viewer, false, &[]).await;
    for browser in [&finance, &viewer] {
        for path in ["/?period=2026-10", "/?period=2026-10&basis=billed&cur=USD"] {
            let body = get(browser, path).await;
            for row in rows(&body, "[aria-labelledby^=h-par]", 2) {
                assert_few(browser, path, &row).await;
            }
            let sources = rows(&body, "[aria-labelledby=h-src]", 1);
            assert_eq!(sources.len(), 2, "{sources:?}");
            for Row { href, shown, .. } in sources {
                assert_lines(browser, path, &href, &shown).await;
            }
        }
    }
    let link = "[aria-labelledby=h-src] th a[href^='/sources/']";
    assert_eq!(texts(&get(&finance, "/").await, link).len(), 1);
    assert!(texts(&get(&viewer, "/").await, link).is_empty());
}

// Rows of several services lead to the list that begins or ends with them.
async fn assert_few(browser: &TestApp, path: &str, Row { name, href, shown }: &Row) {
    match name.as_str() {
        "All" => return assert_lines(browser, path, href, shown).await,
        "Not allocated" => return assert_not_allocated(browser, path, href, shown).await,
        _ => {}
    }
    let body = get(browser, href).await;
    let (section, from_end) = if href.starts_with("/teams/") { ("[aria-labelledby=h-sv]", 3) } else { ("main", 4) };
    let listed = links(&body, &format!("{section} table tbody tr"), "th a[href^='/services/']", from_end);
    let count = name.split_whitespace().find_map(|word| word.parse::<usize>().ok()).expect("a count of services");
    let amounts: Vec<BigDecimal> =
        listed.iter().filter(|(_, shown)| shown.contains('$')).map(|(_, shown)| amount(shown)).collect();
    let ranked: Vec<&BigDecimal> = amounts.iter().filter(|amount| amount.sign() == Sign::Plus).collect();
    let sum: BigDecimal = match () {
        () if name.contains("without cost above zero") => amounts[amounts.len() - count..].iter().sum(),
        () if name.contains("other") => ranked[ranked.len() - count..].iter().copied().sum(),
        () => ranked[..count].iter().copied().sum(),
    };
    // Each is rounded by itself.
    let off = (&sum - amount(shown)).abs();
    assert!(off <= count as u64, "{path}, {name}: {shown}, {href} {sum}");
}
