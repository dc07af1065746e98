//! The reporting currency: one dated rate a month, exact sums, and no guess where a rate is missing.

use super::{BY, Line, column, decimal, month, sum, texts, time, world};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use bigdecimal::BigDecimal;
use costwake::focus::cross_rate;
use costwake::rollup::{close_month, rates};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::PgPool;

const HISTORY: &str = "Date,USD,JPY,CYP,\n2026-11-18,1.10,160,N/A,\n2026-10-30,1.0867,164.54,N/A,\n\
2026-10-29,1.2,150,N/A,\n2026-09-30,1.25,N/A,N/A,\n";

fn bills() -> Vec<Line> {
    vec![
        Line { cost: "100.005", ..Line::default() },
        Line { cost: "50.0000001", service: "ledger", ..Line::default() },
        Line { cost: "3000.5", currency: "JPY", ..Line::default() },
        Line { cost: "7.25", currency: "EUR", service: "ledger", ..Line::default() },
        // Arose in September, and comes on the bill of October: October's rate.
        Line { cost: "-5.5", day: "2026-09-30", ..Line::default() },
    ]
}

fn expected() -> BigDecimal {
    let dollars = cross_rate(&decimal("1.0867"), &decimal("1"));
    let yen = cross_rate(&decimal("164.54"), &decimal("1"));
    decimal("144.5050001") * dollars + decimal("3000.5") * yen + decimal("7.25")
}

/// The statement, its CSV, the list of months, the API and its CSV say the same, to the last digit.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_converted_total_is_the_same_everywhere(db: PgPool) {
    let world = world(&db).await;
    world.import(&bills(), "2026-11-02T06:00:00Z").await;
    let pool = &world.app.state.pools.jobs;
    let now = time("2026-11-20T10:00:00Z");
    let before = world.finance().await.get("/finance/statements/2026-10.csv").await;
    assert!(!before.body.contains("ReportingCurrency"), "without a reporting currency nothing is added");
    rates::set_reporting_currency(pool, "eur", BY, now).await.unwrap();
    let imported = rates::import(pool, "eurofxref-hist.csv", HISTORY.into(), BY, now).await.unwrap();
    assert_eq!((imported.new, imported.changed, imported.of_closed_months), (7, 0, 0));
    let again = rates::import(pool, "eurofxref-hist.csv", HISTORY.into(), BY, now).await.unwrap();
    assert_eq!((again.new, again.unchanged), (0, 7));

    let finance = world.finance().await;
    for by in ["team", "service", "provider", "charge"] {
        let csv = finance.get(&format!("/finance/statements/2026-10.csv?by={by}")).await;
        assert_eq!(sum(&csv.body, "ReportingEffectiveCost 2026-10"), expected(), "by={by}: {}", csv.body);
    }
    let months = finance.get("/finance/statements.csv").await;
    assert_eq!(sum(&months.body, "ReportingEffectiveCost"), expected());
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let path = "/api/v1/costs?view=billing&period=2026-10&by=service";
    let api = world.app.api("GET", path, &token, Value::Null).await.json();
    assert_eq!(api["reporting"]["cost"].as_str().map(decimal), Some(expected()), "{api}");
    let rows = api["rows"].as_array().unwrap().iter();
    let rows: BigDecimal = rows.map(|row| decimal(row["reporting_cost"].as_str().unwrap())).sum();
    assert_eq!(rows, expected());
    let used = api["reporting"]["rates"].as_array().unwrap();
    assert_eq!(used.iter().filter(|rate| rate["rate_date"] == "2026-10-30").count(), 2, "{used:?}");
    // The view by charge day puts the line of September elsewhere, and converts it with the same rate.
    let path = "/api/v1/costs.csv?period=2026-09-01..2026-10-31&by=day";
    let days = world.app.api("GET", path, &token, Value::Null).await;
    assert_eq!(sum(&days.body, "ReportingEffectiveCost"), expected(), "{}", days.body);
    let services = finance.get("/services.csv?period=2026-09-01..2026-10-31").await;
    assert_eq!(sum(&services.body, "ReportingEffectiveCost"), expected());

    let page = finance.get("/finance/statements/2026-10").await;
    let total = texts(&page.body, "section[aria-labelledby=h-rep] tr.total td");
    assert_eq!(total.last().unwrap(), "€158.46", "{total:?}");
    assert!(page.body.contains("1 USD = 0.920217171252416 EUR"), "the rate is named");
    assert!(page.body.contains("reference rate of 30 Oct 2026"), "and its day");
    let overview = finance.get("/?period=2026-09-01..2026-10-31").await;
    assert!(overview.body.contains("In EUR this is €158.46"), "the overview says the same");
    let service = finance.get("/services/checkout?period=2026-09-01..2026-10-31").await;
    assert!(service.body.contains("In EUR this is €"), "{}", service.status);
    let list = finance.get("/finance/statements").await;
    assert!(list.body.contains("€158.46"));

    // The parts by service, team and environment, on their pages and in their files.
    let days = "period=2026-09-01..2026-10-31";
    let mut converted = BigDecimal::default();
    for service in ["checkout", "ledger"] {
        let csv = finance.get(&format!("/services/{service}.csv?{days}")).await;
        converted += sum(&csv.body, "ReportingEffectiveCost");
        assert!(column(&csv.body, "ReportingCurrency").iter().all(|cell| cell == "EUR"), "{}", csv.body);
    }
    assert_eq!(converted, expected());
    sqlx::query("INSERT INTO team (slug, name) VALUES ('shop', 'Shop')").execute(&db).await.unwrap();
    sqlx::query("INSERT INTO environment (slug, name, kind, origin) VALUES ('live', 'Live', 'production', 'user')")
        .execute(&db)
        .await
        .unwrap();
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    for service in ["checkout", "ledger"] {
        let path = format!("/api/v1/services/{service}");
        let moved = world.app.api("PATCH", &path, &token, serde_json::json!({"team": "shop"})).await;
        assert_eq!(moved.status, StatusCode::OK, "{}", moved.body);
    }
    let rule = serde_json::json!({"applies_to": "charges", "conditions": [], "environment": "live", "note": "All."});
    let made = world.app.api("POST", "/api/v1/rules", &token, rule).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    for path in ["/teams/shop", "/environments/live"] {
        let page = finance.get(&format!("{path}?{days}")).await;
        assert!(page.body.contains("In EUR this is €158.46"), "{path}: {}", page.body);
        let csv = finance.get(&format!("{path}.csv?{days}")).await;
        assert_eq!(sum(&csv.body, "ReportingEffectiveCost"), expected(), "{path}: {}", csv.body);
    }
}

/// N20: a bill that changes its currency in the middle of a month has two totals on every face, which nothing adds up;
/// where a rate is missing the sum of both is not known, and is said not to be.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_bill_that_changes_its_currency_has_two_totals(db: PgPool) {
    let world = world(&db).await;
    let days = ["2026-10-14", "2026-10-15", "2026-10-16", "2026-10-17"];
    let lines: Vec<Line> = days
        .into_iter()
        .map(|day| Line {
            day,
            currency: if day < "2026-10-16" { "USD" } else { "CAD" },
            cost: "10.5",
            ..Line::default()
        })
        .collect();
    world.import(&lines, "2026-11-02T06:00:00Z").await;
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let finance = world.finance().await;
    for path in ["/api/v1/costs?view=billing&period=2026-10", "/api/v1/costs?period=2026-10-01..2026-10-31&by=day"] {
        let api = world.app.api("GET", path, &token, Value::Null).await.json();
        let totals: Vec<(&str, &str)> = api["totals"]
            .as_array()
            .unwrap()
            .iter()
            .map(|total| (total["billing_currency"].as_str().unwrap(), total["cost"].as_str().unwrap()))
            .collect();
        assert!(totals.len() == 2 && totals.contains(&("CAD", "21")) && totals.contains(&("USD", "21")), "{api}");
    }
    let page = finance.get("/finance/statements/2026-10").await;
    assert!(!page.body.contains("42.00"), "dollars of two countries are not added");
    let pool = &world.app.state.pools.jobs;
    let now = time("2026-11-20T10:00:00Z");
    rates::set_reporting_currency(pool, "EUR", BY, now).await.unwrap();
    rates::enter(pool, "2026-10", "USD", "0.5", "Agreed with the group.", BY, now).await.unwrap();
    let path = "/api/v1/costs?view=billing&period=2026-10";
    let api = world.app.api("GET", path, &token, Value::Null).await.json();
    assert_eq!(api["reporting"]["cost"], Value::Null, "{api}");
    let page = finance.get("/finance/statements/2026-10").await;
    assert!(page.body.contains("there is no rate for CAD in October 2026"), "{}", page.body);
    rates::enter(pool, "2026-10", "CAD", "0.25", "Agreed with the group.", BY, now).await.unwrap();
    let api = world.app.api("GET", path, &token, Value::Null).await.json();
    assert_eq!(api["reporting"]["cost"].as_str().map(decimal), Some(decimal("15.75")), "{api}");
    world.assert_clean().await;
}

/// N20: where a rate is missing, the figure says so on every face, and is no number.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_missing_rate_is_said_and_never_guessed(db: PgPool) {
    let world = world(&db).await;
    world.import(&bills(), "2026-11-02T06:00:00Z").await;
    let pool = &world.app.state.pools.jobs;
    let now = time("2026-11-20T10:00:00Z");
    rates::set_reporting_currency(pool, "EUR", BY, now).await.unwrap();
    rates::enter(pool, "2026-10", "USD", "0.9", "Agreed with the group.", BY, now).await.unwrap();
    let finance = world.finance().await;
    let page = finance.get("/finance/statements/2026-10").await;
    assert!(page.body.contains("In EUR this is not known: there is no rate for JPY in October 2026"));
    assert!(texts(&page.body, "section[aria-labelledby=h-rep] tr.total").is_empty());
    let csv = finance.get("/finance/statements/2026-10.csv?by=charge").await;
    let cells = column(&csv.body, "ReportingEffectiveCost 2026-10");
    assert_eq!(cells, ["7.25", "", "130.05450009"], "{}", csv.body);
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let api = world.app.api("GET", "/api/v1/costs?view=billing&period=2026-10", &token, Value::Null).await.json();
    assert_eq!(api["reporting"]["cost"], Value::Null);
    assert_eq!(api["reporting"]["missing_rates"][0]["billing_currency"], "JPY");
    let list = finance.get("/finance/rates").await;
    assert!(list.body.contains("1 of 2 rates that the bills need are missing"), "{}", list.body);
    // An entered rate stands before the market, and going back to the market is one step.
    rates::import(pool, "history.csv", HISTORY.into(), BY, now).await.unwrap();
    let rate = |csv: &str| column(csv, "Rate").join(" ") + " " + &column(csv, "Origin").join(" ");
    let csv = finance.get("/finance/rates.csv").await;
    assert_eq!(rate(&csv.body), "0.00607754953202869 0.9 market entered");
    rates::remove(pool, "2026-10", "USD", BY, now).await.unwrap();
    let csv = finance.get("/finance/rates.csv").await;
    assert_eq!(rate(&csv.body), "0.00607754953202869 0.920217171252416 market market");
}

/// Closing freezes the rates of a month: nothing that is entered or imported moves them.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn rates_of_a_closed_month_do_not_change(db: PgPool) {
    let world = world(&db).await;
    world.import(&bills(), "2026-11-02T06:00:00Z").await;
    let pools = &world.app.state.pools;
    let now = time("2026-11-20T10:00:00Z");
    rates::set_reporting_currency(&pools.jobs, "EUR", BY, now).await.unwrap();
    rates::import(&pools.jobs, "history.csv", HISTORY.into(), BY, now).await.unwrap();
    close_month::close(pools, month("2026-10"), "All invoices are in.", BY, now).await.unwrap();
    let refused = rates::enter(&pools.jobs, "2026-10", "USD", "0.9", "No.", BY, now).await.unwrap_err();
    assert!(refused.to_string().starts_with("October 2026 is closed, and its rates with it."), "{refused}");
    let later = "Date,USD\n2026-10-30,2\n2026-10-31,3\n2026-11-18,1.10\n2026-11-19,1.2\n";
    let imported = rates::import(&pools.jobs, "later.csv", later.into(), BY, now).await.unwrap();
    assert_eq!((imported.new, imported.unchanged, imported.of_closed_months), (1, 1, 2));
    let finance = world.finance().await;
    let csv = finance.get("/finance/statements/2026-10.csv").await;
    assert_eq!(sum(&csv.body, "ReportingEffectiveCost 2026-10"), expected());
    world.assert_clean().await;
    // The proof would tell.
    let spoil = "UPDATE market_rate SET units_per_euro = 2 WHERE currency = 'USD' AND rate_date = '2026-10-30'";
    sqlx::query(spoil).execute(&db).await.unwrap();
    let wrong = world.checks().await.into_iter().find(|check| check.name.starts_with("The rates of closed")).unwrap();
    assert_eq!(wrong.differences.len(), 1, "{:?}", wrong.differences);
}

/// What arrives late for a closed month is converted by that month's rate: once the month that it is booked to is closed
/// too, this rate is frozen, also in a currency that the first month had none of.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn rates_behind_what_is_booked_to_a_closed_month_do_not_change(db: PgPool) {
    let world = world(&db).await;
    let october = Line { cost: "100", ..Line::default() };
    world.import(&[october], "2026-11-02T06:00:00Z").await;
    let pools = &world.app.state.pools;
    let now = time("2026-11-20T10:00:00Z");
    rates::set_reporting_currency(&pools.jobs, "EUR", BY, now).await.unwrap();
    let history = "Date,USD,GBP\n2026-10-30,1.25,0.8\n2026-11-30,1.25,0.8\n";
    rates::import(&pools.jobs, "history.csv", history.into(), BY, now).await.unwrap();
    close_month::close(pools, month("2026-10"), "All invoices are in.", BY, now).await.unwrap();
    world.import(&[october, Line { cost: "8", currency: "GBP", ..october }], "2026-11-25T06:00:00Z").await;
    // The month that it is booked to is open: its figures may still change.
    rates::enter(&pools.jobs, "2026-10", "GBP", "1.5", "Agreed with the group.", BY, now).await.unwrap();
    rates::enter(&pools.jobs, "2026-10", "GBP", "1.4", "A slip.", BY, now).await.unwrap();

    let november = Line { cost: "30", billed: "2026-11", day: "2026-11-05", ..Line::default() };
    world.import(&[november], "2026-12-02T06:00:00Z").await;
    let now = time("2026-12-05T10:00:00Z");
    close_month::close(pools, month("2026-11"), "All invoices are in.", BY, now).await.unwrap();
    let refused = rates::enter(&pools.jobs, "2026-10", "GBP", "0.9", "No.", BY, now).await.unwrap_err();
    assert!(refused.to_string().starts_with("October 2026 is closed, and its rates with it."), "{refused}");
    let later = "Date,GBP\n2026-10-30,2\n";
    let imported = rates::import(&pools.jobs, "later.csv", later.into(), BY, now).await.unwrap();
    assert_eq!((imported.changed, imported.of_closed_months), (0, 1));
    world.assert_clean().await;
    let spoil = "UPDATE entered_rate SET rate = 2 WHERE billing_currency = 'GBP'";
    sqlx::query(spoil).execute(&db).await.unwrap();
    let wrong = world.checks().await.into_iter().find(|check| check.name.starts_with("The rates of closed")).unwrap();
    assert_eq!(wrong.differences.len(), 1, "{:?}", wrong.differences);
}

/// The entered rate of a closed month cannot be removed: no button says otherwise.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_rate_of_a_closed_month_has_no_button(db: PgPool) {
    let world = world(&db).await;
    world.import(&bills(), "2026-11-02T06:00:00Z").await;
    let pools = &world.app.state.pools;
    let now = time("2026-11-20T10:00:00Z");
    rates::set_reporting_currency(&pools.jobs, "EUR", BY, now).await.unwrap();
    rates::enter(&pools.jobs, "2026-10", "USD", "0.9", "Agreed with the group.", BY, now).await.unwrap();
    let finance = world.finance().await;
    let page = finance.get("/finance/rates").await.body;
    assert!(page.contains("/finance/rates/remove") && !page.contains("frozen by closing"), "{page}");
    close_month::close(pools, month("2026-10"), "All invoices are in.", BY, now).await.unwrap();
    let page = finance.get("/finance/rates").await.body;
    assert!(page.contains("frozen by closing") && !page.contains("/finance/rates/remove"), "{page}");
    let which = [("month", "2026-10"), ("currency", "USD")];
    assert_eq!(finance.post_form("/finance/rates/remove", &which).await.status, StatusCode::CONFLICT);
}

/// A month that was closed before there was a rate can have one later, once.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_month_closed_without_a_rate_can_have_one_later(db: PgPool) {
    let world = world(&db).await;
    world.import(&bills(), "2026-11-02T06:00:00Z").await;
    let pools = &world.app.state.pools;
    let now = time("2026-11-20T10:00:00Z");
    close_month::close(pools, month("2026-10"), "All invoices are in.", BY, now).await.unwrap();
    rates::set_reporting_currency(&pools.jobs, "EUR", BY, now).await.unwrap();
    let imported = rates::import(&pools.jobs, "history.csv", HISTORY.into(), BY, now).await.unwrap();
    assert_eq!(imported.of_closed_months, 0, "{imported:?}");
    let finance = world.finance().await;
    let csv = finance.get("/finance/statements/2026-10.csv").await;
    assert_eq!(sum(&csv.body, "ReportingEffectiveCost 2026-10"), expected());
    let refused = rates::enter(&pools.jobs, "2026-10", "USD", "0.9", "No.", BY, now).await.unwrap_err();
    assert!(refused.to_string().starts_with("October 2026 is closed, and its rates with it."), "{refused}");
    let later = "Date,USD\n2026-10-30,2\n";
    let imported = rates::import(&pools.jobs, "later.csv", later.into(), BY, now).await.unwrap();
    assert_eq!((imported.changed, imported.of_closed_months), (0, 1));
    // Another reporting currency has rates of its own, which are entered once.
    rates::set_reporting_currency(&pools.jobs, "CHF", BY, now).await.unwrap();
    rates::enter(&pools.jobs, "2026-10", "USD", "0.8", "Group rate", BY, now).await.unwrap();
    let refused = rates::enter(&pools.jobs, "2026-10", "USD", "0.9", "No.", BY, now).await.unwrap_err();
    assert!(refused.to_string().starts_with("October 2026 is closed"), "{refused}");
    world.assert_clean().await;
}

/// The page: currency and rates by form, with what was typed kept and the audit log written.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_page_takes_rates_and_says_what_is_wrong(db: PgPool) {
    let world = world(&db).await;
    world.import(&bills(), "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;
    let page = finance.post_form("/finance/rates/reporting", &[("currency", "euro")]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.body.contains("is not a currency code of ISO 4217"));
    let page = finance.post_form("/finance/rates/reporting", &[("currency", "eur")]).await;
    assert_eq!(page.location(), "/finance/rates");
    let wrong = [("month", "2026-10"), ("currency", "USD"), ("rate", "0,9"), ("reason", "Group <rate>")];
    let page = finance.post_form("/finance/rates", &wrong).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.body.contains("is not a number above zero") && page.body.contains("Group &#60;rate&#62;"));
    let right = [("month", "2026-10"), ("currency", "USD"), ("rate", "0.9"), ("reason", "Group rate")];
    assert_eq!(finance.post_form("/finance/rates", &right).await.location(), "/finance/rates");
    let boundary = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"d.csv\"\r\n\r\n";
    let body = format!("{boundary}Date, USD, JPY, \n30 October 2026, 1.0867, 164.54, \n\r\n--x--\r\n");
    let request = finance
        .request(Method::POST, "/finance/rates/import")
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=x");
    let page = finance.send(request.body(Body::from(body)).unwrap()).await;
    assert!(page.location().starts_with("/finance/rates?done=2+new+rates"), "{} {}", page.status, page.body);
    let audit: Vec<String> =
        sqlx::query_scalar("SELECT action FROM audit_log WHERE action ~ 'rate|reporting' ORDER BY 1")
            .fetch_all(&db)
            .await
            .unwrap();
    assert_eq!(audit, ["rate.entered", "rates.imported", "reporting_currency.changed"]);
    let viewer = world.app.browser(Role::Viewer, false, &[]).await;
    let page = viewer.get("/finance/rates").await;
    assert!(page.status == StatusCode::OK && !page.body.contains("Enter a rate"));
}
