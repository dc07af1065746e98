//! A page that shows a part of all cost says so, keeps to it, and refuses a part that no bill has.

use super::{Line, World, bill, column, texts, time, world};
use crate::support::TestApp;
use axum::http::StatusCode;
use chrono::NaiveDate;
use costwake::jobs::forecasts;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use scraper::{Html, Selector};
use serde_json::Value;
use sqlx::PgPool;

const DAYS: &str = "period=2026-10";

async fn billed(db: &PgPool) -> World {
    let world = world(db).await;
    let lines = [
        Line { cost: "100", ..Line::default() },
        Line { cost: "30", category: "Tax", ..Line::default() },
        Line { cost: "7", currency: "EUR", ..Line::default() },
    ];
    world.import(&lines, "2026-11-02T06:00:00Z").await;
    let sql = "WITH made AS (INSERT INTO team (slug, name) VALUES ('shop', 'Shop') RETURNING team_id)
         UPDATE service SET team_id = made.team_id FROM made WHERE slug = 'checkout'";
    sqlx::query(sql).execute(db).await.unwrap();
    sqlx::query("INSERT INTO environment (slug, name, kind, origin) VALUES ('live', 'Live', 'production', 'user')")
        .execute(db)
        .await
        .unwrap();
    world
}

const PAGES: [&str; 6] =
    ["/services", "/teams", "/environments", "/services/checkout", "/teams/shop", "/environments/live"];

async fn body(browser: &TestApp, path: &str) -> String {
    let page = browser.get(path).await;
    assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
    page.body
}

fn attributes(html: &str, selector: &str, name: &str) -> Vec<String> {
    let page = Html::parse_document(html);
    let selector = Selector::parse(selector).unwrap();
    page.select(&selector).filter_map(|one| one.attr(name)).map(str::to_owned).collect()
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_filter_is_named_kept_by_the_form_and_can_be_taken_away(db: PgPool) {
    let world = billed(&db).await;
    let finance = world.finance().await;
    for path in PAGES {
        let narrowed = body(&finance, &format!("{path}?{DAYS}&provider=Cloud+One&charge=tax&cur=USD")).await;
        let said = ["Only provider Cloud One remove", "Only category Tax remove", "Only currency USD remove"];
        assert_eq!(texts(&narrowed, "main .chips li"), said, "{path}");
        for (key, value) in [("provider", "Cloud One"), ("charge", "Tax"), ("cur", "USD")] {
            let field =
                format!("form.filters input[type=hidden][name={key}], form.filters [name={key}] option[selected]");
            assert_eq!(attributes(&narrowed, &field, "value"), [value], "{path}: the form keeps {key}");
        }
        let without = attributes(&narrowed, "main .chips a", "href").swap_remove(1);
        assert!(without.starts_with(path) && !without.contains("charge="), "{path}: {without}");
        let said = texts(&body(&finance, &without).await, "main .chips li");
        assert_eq!(said, ["Only provider Cloud One remove", "Only currency USD remove"], "{path}");
        assert!(texts(&body(&finance, &format!("{path}?{DAYS}")).await, "main .chips li").is_empty(), "{path}");
    }
    // One that has a field is in the form once, and called what the field calls it.
    let services = body(&finance, &format!("/services?{DAYS}&team=shop")).await;
    assert_eq!(texts(&services, "main .chips li"), ["Only team Shop remove"]);
    assert_eq!(attributes(&services, "form.filters [name=team]", "name").len(), 1);
    // Both periods of this page are fields, with days or without.
    let why = body(&finance, "/why?period=2026-10&vs=2026-09").await;
    assert_eq!(attributes(&why, "form.filters [name=vs]", "value"), ["2026-09"]);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn letter_case_is_passed_over_and_what_no_bill_has_is_refused(db: PgPool) {
    let world = billed(&db).await;
    let finance = world.finance().await;
    let lists = PAGES.iter().chain(&["/charges", "/why", "/services.csv", "/charges.csv"]);
    for path in lists {
        let wrong = [
            ("provider=Moon", "provider=Moon is not known. Allowed: Cloud One, none."),
            ("charge=Moon", "charge=Moon is not known. Allowed: Adjustment, Credit, Purchase, Tax, Usage, none."),
            ("cur=CHF", "cur=CHF is not known. Allowed: EUR, USD."),
        ];
        for (query, said) in wrong {
            let refused = finance.get(&format!("{path}?{DAYS}&{query}")).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}?{query}");
            assert!(refused.body.contains(said), "{path}?{query}: {}", refused.body);
        }
    }
    for path in ["/?cur=CHF", "/finance/statements/2026-10?cur=CHF", "/finance/forecast?cur=CHF"] {
        assert_eq!(finance.get(path).await.status, StatusCode::BAD_REQUEST, "{path}");
    }
    let refused = finance.get("/charges?commitment_status=spare").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.body.contains("Allowed: Used, Unused."), "{}", refused.body);
    // The same figures in any letter case; what lacks a name is a value too.
    for path in ["/services.csv", "/charges.csv"] {
        let exact = body(&finance, &format!("{path}?{DAYS}&provider=Cloud+One&charge=Usage&cur=EUR")).await;
        assert!(exact.contains(",EUR,7"), "{exact}");
        let other = body(&finance, &format!("{path}?{DAYS}&provider=cloud+ONE&charge=uSAGE&cur=eur")).await;
        assert_eq!(other, exact, "{path}");
        body(&finance, &format!("{path}?{DAYS}&provider=none&charge=none")).await;
    }
}

/// Also by billing period: both views of the API read an address in the same way.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn letter_case_is_passed_over_by_the_api(db: PgPool) {
    let world = billed(&db).await;
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    for view in ["billing", "charge"] {
        let costs = async |part: &str| {
            let path = format!("/api/v1/costs?view={view}&{DAYS}&{part}");
            world.app.api("GET", &path, &token, Value::Null).await.json()["totals"].clone()
        };
        for part in ["provider=Cloud+One&charge=Usage&cur=EUR", "provider=cloud+ONE&charge=uSAGE&cur=eur"] {
            assert_eq!(costs(part).await[0]["cost"], "7", "{view} {part}");
        }
        assert_eq!(costs("provider=none").await, Value::Array(Vec::new()), "{view}");
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn before_the_first_bill_nothing_is_refused(db: PgPool) {
    let empty = world(&db).await;
    let finance = empty.finance().await;
    for path in ["/services", "/teams", "/environments", "/charges", "/"] {
        body(&finance, &format!("{path}?provider=Moon&charge=Moon&cur=CHF")).await;
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_overview_is_of_one_currency_throughout(db: PgPool) {
    let world = billed(&db).await;
    let finance = world.finance().await;
    let both = texts(&body(&finance, &format!("/?{DAYS}")).await, "main").join(" ");
    assert!(both.contains('$') && both.contains('€'), "{both}");
    let page = body(&finance, &format!("/?{DAYS}&cur=eur")).await;
    let euros = texts(&page, "main").join(" ");
    assert!(euros.contains("€7") && !euros.contains('$'), "{euros}");
    // So are the pages that its rows lead to.
    let movers = attributes(&page, "[aria-labelledby=h-mov] th a", "href");
    assert!(movers.iter().all(|href| href.contains("cur=eur") && href.contains(DAYS)), "{movers:?}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_statement_begins_with_its_sentence(db: PgPool) {
    let world = billed(&db).await;
    let finance = world.finance().await;
    let page = body(&finance, "/finance/statements/2026-10").await;
    let ledes = texts(&page, ".lede");
    assert_eq!(ledes.len(), 1, "{ledes:?}");
    assert!(ledes[0].starts_with("Net cost was $130.00") && ledes[0].contains("Net cost was €7.00"), "{ledes:?}");
    let main = texts(&page, "main").swap_remove(0);
    let place = |text: &str| main.find(text).unwrap_or_else(|| panic!("{text}: {main}"));
    let sentence = place("Net cost was");
    assert!(
        ["In USD", "In EUR", "By billing period, as invoiced"].iter().all(|later| sentence < place(later)),
        "{main}"
    );
}

/// A currency is read whatever its letter case, also by statements and their causes.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_statement_reads_a_currency_in_any_letter_case(db: PgPool) {
    let world = billed(&db).await;
    let before = Line { cost: "5", currency: "EUR", billed: "2026-09", day: "2026-09-05", ..Line::default() };
    world.import(&[before], "2026-10-02T06:00:00Z").await;
    let finance = world.finance().await;
    let statement = "/finance/statements/2026-10";
    for path in ["/finance/statements", statement] {
        let [asked, lower] = ["EUR", "eur"].map(|currency| format!("{path}?cur={currency}"));
        let (asked, lower) = (body(&finance, &asked).await, body(&finance, &lower).await);
        assert!(lower.contains("€7.00") && !lower.contains("$130.00"), "{path}: {lower}");
        assert_eq!(texts(&lower, ".lede"), texts(&asked, ".lede"), "{path}");
    }
    for path in ["/finance/statements.csv".to_owned(), format!("{statement}.csv"), format!("{statement}/causes.csv")] {
        let lower = body(&finance, &format!("{path}?cur=eur")).await;
        assert_eq!(lower, body(&finance, &format!("{path}?cur=EUR")).await, "{path}");
        assert!(lower.lines().count() > 1 && !lower.contains("USD"), "{path}: {lower}");
    }
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let path = "/api/v1/months/2026-10/why?cur=eur";
    let told = world.app.api("GET", path, &token, Value::Null).await.json();
    assert_eq!(told["changes"][0]["billing_currency"], "EUR", "{told}");
}

/// A provider's own currency stands in no list, so that only the bills know how it is written. Some days of it and of a
/// currency that is in the list.
async fn billed_in_tokens(db: &PgPool) -> World {
    let world = world(db).await;
    let first: NaiveDate = "2026-10-01".parse().unwrap();
    let mut lines = Vec::new();
    for at in first.iter_days().take(20) {
        // Lines of tests hold text that lives as long as they do.
        let day: &'static str = Box::leak(at.to_string().into_boxed_str());
        for currency in ["Tokens", "USD"] {
            lines.push(Line { cost: "100.1", currency, day, invoice: "INV-1", ..Line::default() });
        }
    }
    world.import(&lines, "2026-10-21T06:00:00Z").await;
    let sql = "WITH made AS (INSERT INTO team (slug, name) VALUES ('shop', 'Shop') RETURNING team_id)
         UPDATE service SET team_id = made.team_id FROM made WHERE slug = 'checkout'";
    sqlx::query(sql).execute(db).await.unwrap();
    forecasts::forecast(&world.app.state.pools, time("2026-11-20T12:00:00Z")).await.unwrap();
    world
}

/// Two sources may write a currency in other letters: each is reached by its own, and all lists read an address alike.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn currencies_that_differ_by_case_alone_are_told_apart(db: PgPool) {
    let world = world(&db).await;
    for (source, cost, currency) in [("cloud-one", "100", "USD"), ("cloud-two", "7", "usd")] {
        let lines = [Line { cost, currency, invoice: "INV-1", ..Line::default() }];
        world.import_as(source, &bill(&lines), "2026-11-02T06:00:00Z").await;
    }
    let finance = world.finance().await;
    let files = [
        "/services.csv?period=2026-10&",
        "/charges.csv?billing=2026-10&",
        "/finance/statements/2026-10.csv?",
        "/finance/history.csv?month=2026-10&",
        "/finance/history/difference.csv?month=2026-10&",
        "/finance/invoices.csv?month=2026-10&",
    ];
    for path in files {
        for (asked, currency) in [("USD", "USD"), ("usd", "usd"), ("Usd", "USD")] {
            let csv = body(&finance, &format!("{path}cur={asked}")).await;
            let told = column(&csv, "BillingCurrency");
            assert!(told.iter().all(|one| one == currency), "{path}cur={asked}: {csv}");
            assert!(!told.is_empty() || path.contains("difference"), "{path}cur={asked}: {csv}");
        }
    }
    let ask = body(&finance, "/finance/invoices?cur=Usd").await;
    assert_eq!(attributes(&ask, "[name=currency]", "value"), ["USD"], "a form is filled in as the bills write it");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_currency_of_no_list_is_read_in_any_letter_case(db: PgPool) {
    let world = billed_in_tokens(&db).await;
    let finance = world.finance().await;
    let files =
        ["/finance/forecast.csv?", "/finance/history.csv?month=2026-10&", "/finance/invoices.csv?month=2026-10&"];
    for path in files {
        let lower = body(&finance, &format!("{path}cur=tokens")).await;
        assert_eq!(lower, body(&finance, &format!("{path}cur=Tokens")).await, "{path}");
        assert!(lower.contains("Tokens") && !lower.contains("USD"), "{path}: {lower}");
        let listed = body(&finance, &format!("{path}cur=usd")).await;
        assert!(listed.contains("USD") && !listed.contains("Tokens"), "{path}: {listed}");
    }
    for path in ["/services/checkout", "/teams/shop"] {
        let forecast = async |currency: &str| {
            let page = body(&finance, &format!("{path}?cur={currency}")).await;
            texts(&page, "#forecast")
        };
        let lower = forecast("tokens").await;
        assert!(!lower.is_empty(), "{path}");
        assert_eq!(lower, forecast("Tokens").await, "{path}");
    }
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let told = world.app.api("GET", "/api/v1/forecast?cur=tokens", &token, Value::Null).await.json();
    let rows = told["forecasts"].as_array().unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| row["billing_currency"] == "Tokens"), "{told}");
    // One that no bill has is refused with those that there are.
    for path in ["/commitments", "/commitments.csv", "/savings", "/savings.csv", "/finance/forecast.csv"] {
        let refused = finance.get(&format!("{path}?cur=CHF")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(refused.body.contains("Allowed: Tokens, USD."), "{path}: {}", refused.body);
    }
    for path in ["/api/v1/commitments", "/api/v1/savings", "/api/v1/forecast"] {
        let refused = world.app.api("GET", &format!("{path}?cur=CHF"), &token, Value::Null).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}");
    }
}
