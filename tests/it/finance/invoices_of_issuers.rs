//! Invoices of issuers whose lines name none, and what closing a month says of invoices.

use super::{BY, Line, World, column, decimal, month, sum, time, world};
use axum::http::StatusCode;
use costwake::rollup::close_month::close;
use costwake::rollup::invoices::{self, InvoiceForm};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

async fn enter(world: &World, id: &str, of: &str, total: &str) {
    let form = InvoiceForm {
        invoice_id: id.into(),
        issuer: " cloud ONE".into(),
        currency: "USD".into(),
        total: total.into(),
        month: of.into(),
        ..InvoiceForm::default()
    };
    invoices::enter(&world.app.state.pools.web, &form, BY, time("2026-11-20T10:00:00Z")).await.unwrap();
}

// "G-9 2026-09 USD tied 0", in the order of the alphabet.
async fn told(world: &World) -> Vec<String> {
    let csv = world.finance().await.get("/finance/invoices.csv").await.body;
    let cells = ["InvoiceId", "BillingMonth", "BillingCurrency", "State", "Difference"].map(|name| column(&csv, name));
    let row = |row: usize| cells.iter().map(|column| column[row].clone()).collect::<Vec<_>>().join(" ");
    let mut rows: Vec<String> = (0..cells[0].len()).map(row).collect();
    rows.sort_unstable();
    rows
}

/// A total without lines that name it is compared with all lines of its issuer and month; several with their sum.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_total_is_compared_by_issuer_and_month_where_lines_name_no_invoice(db: PgPool) {
    let world = world(&db).await;
    let september = |cost| Line { cost, billed: "2026-09", day: "2026-09-05", ..Line::default() };
    let lines = [
        september("100.25"),
        september("200.0000001"),
        Line { cost: "50.5", ..Line::default() },
        Line { cost: "9", currency: "EUR", ..Line::default() },
        Line { cost: "1", billed: "2026-11", day: "2026-11-05", ..Line::default() },
    ];
    world.import(&lines, "2026-11-19T06:00:00Z").await;
    // Nothing is entered, and nobody has to do anything.
    let (euros, november) = (" 2026-10 EUR no-invoice-entered ", " 2026-11 USD no-invoice-entered ");
    let none = [euros, " 2026-10 USD no-invoice-entered ", november, " 2026-09 USD no-invoice-entered "];
    let mut none = none.map(str::to_owned);
    none.sort_unstable();
    assert_eq!(told(&world).await, none);
    let finance = world.finance().await;
    let page = finance.get("/finance/invoices").await.body;
    assert!(page.contains("Of 4 months of issuers whose lines name no invoice none is entered."), "{page}");
    let statement = finance.get("/finance/statements/2026-10").await.body;
    assert!(statement.contains("2 no invoice entered") && !statement.contains("missing invoice"), "{statement}");

    // Of the issuer one is entered: October lacks its own, November is not over, and nobody has entered euros.
    enter(&world, "G-9", "2026-09", "300.25").await;
    let missing = " 2026-10 USD missing-invoice ";
    let mut expected = vec![euros, missing, november, "G-9 2026-09 USD within-tolerance 0.0000001"];
    expected.sort_unstable();
    assert_eq!(told(&world).await, expected);
    let page = finance.get("/finance/invoices").await.body;
    assert!(page.contains("compared by issuer and month") && page.contains("1 of 2 invoices needs someone."), "{page}");

    // Two of one month: their sum.
    enter(&world, "G-10a", "2026-10", "30").await;
    enter(&world, "G-10b", "2026-10", "18").await;
    let rows = told(&world).await;
    assert_eq!(rows[2..4], ["G-10a 2026-10 USD differs 2.5", "G-10b 2026-10 USD differs "], "{rows:?}");
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let api = world.app.api("GET", "/api/v1/invoices?month=2026-10&cur=USD", &token, Value::Null).await.json();
    let first = &api["invoices"][0];
    assert_eq!(
        (&first["compared_by"], &first["together_with"], &first["charge_count"]),
        (&json!("issuer-and-month"), &json!(["G-10b"]), &json!(1))
    );
    let page = finance.get("/finance/invoices?month=2026-10").await.body;
    assert!(page.contains("together with G-10b") && page.contains("billed more than invoiced by $2.50"), "{page}");
    enter(&world, "G-10b", "2026-10", "20.5").await;
    let rows = told(&world).await;
    assert_eq!(rows[2..4], ["G-10a 2026-10 USD tied 0", "G-10b 2026-10 USD tied "], "{rows:?}");
    let lines = "/charges.csv?billing=2026-10&invoice=none&issuer=cloud+one&cur=USD&basis=billed";
    assert_eq!(sum(&finance.get(lines).await.body, "BilledCost"), decimal("50.5"));
    let link = lines.replacen("/charges.csv", "/charges", 1).replace('&', "&#38;");
    let page = finance.get("/finance/invoices?month=2026-10&cur=USD").await.body;
    assert!(page.contains(&link) || page.contains(&link.replace("&#38;", "&amp;")), "{page}");
    // The page of either shows both.
    let key = sqlx::query_scalar("SELECT invoice_key FROM invoice WHERE invoice_id = 'G-10b'");
    let key: i64 = key.fetch_one(&db).await.unwrap();
    let page = finance.get(&format!("/finance/invoices/{key}")).await.body;
    assert!(page.contains("Together with G-10a this invoice ties to its lines, to the last digit."), "{page}");
    assert!(page.contains("\u{2212}$30.00") && page.contains("\u{2212}$20.50") && page.contains("$50.50"), "{page}");
    world.assert_clean().await;
}

/// Where lines of the issuer do name invoices, one that none names has no bill, whatever else has no InvoiceId.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_issuer_that_names_invoices_is_not_compared_by_month(db: PgPool) {
    let world = world(&db).await;
    let lines = [Line { invoice: "INV-1", ..Line::default() }, Line { cost: "7", ..Line::default() }];
    world.import(&lines, "2026-11-02T06:00:00Z").await;
    enter(&world, "INV-2", "2026-10", "7").await;
    assert_eq!(told(&world).await, ["INV-1 2026-10 USD missing-invoice ", "INV-2 2026-10 USD missing-bill "]);
}

/// What is not settled is said before a month is closed, and does not keep anybody from closing it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn closing_names_invoices_that_do_not_tie_and_open_months_before(db: PgPool) {
    let world = world(&db).await;
    let lines = [
        Line { billed: "2026-09", day: "2026-09-05", invoice: "INV-9", ..Line::default() },
        Line { cost: "90", invoice: "INV-10", ..Line::default() },
    ];
    world.import(&lines, "2026-11-02T06:00:00Z").await;
    enter(&world, "INV-10", "2026-10", "99").await;
    let finance = world.finance().await;
    let page = async |of: &str| finance.get(&format!("/finance/statements/{of}/close")).await.body;
    let october = page("2026-10").await;
    for told in [
        "1 invoice does not tie",
        ">INV-10</a>: differs, invoiced more than billed by $9.00.",
        "A month before it is still open",
        "href=\"/finance/statements/2026-09\">September 2026</a>",
    ] {
        assert!(october.contains(told), "{told}: {october}");
    }
    let september = page("2026-09").await;
    assert!(september.contains(">INV-9</a>: missing invoice.") && !september.contains("still open"), "{september}");
    let now = time("2026-11-10T10:00:00Z");
    close(&world.app.state.pools, month("2026-09"), "Done.", BY, now).await.unwrap();
    assert!(!page("2026-10").await.contains("still open"));
    let path = "/finance/statements/2026-10/close";
    let closed = finance.post_form(path, &[("reason", "The rest comes later.")]).await;
    assert_eq!(closed.status, StatusCode::SEE_OTHER, "a warning and no more: {}", closed.body);
    enter(&world, "INV-10", "2026-10", "90").await;
    assert!(!page("2026-10").await.contains("does not tie"));
}

/// Who closes by the API is told what the page says, with the first twelve of what is named one by one.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn closing_by_the_api_says_what_the_page_warns_of(db: PgPool) {
    let world = world(&db).await;
    let ids = [
        "INV-10", "INV-11", "INV-12", "INV-13", "INV-14", "INV-15", "INV-16", "INV-17", "INV-18", "INV-19", "INV-20",
        "INV-21", "INV-22",
    ];
    let mut lines: Vec<Line> = ids.iter().map(|&invoice| Line { invoice, ..Line::default() }).collect();
    let earlier = |billed, day, invoice| Line { billed, day, invoice, ..Line::default() };
    lines.extend([earlier("2026-08", "2026-08-05", "INV-8"), earlier("2026-09", "2026-09-05", "INV-9")]);
    world.import(&lines, "2026-11-02T06:00:00Z").await;
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    let path = "/api/v1/months/2026-10/close";
    let close = async || world.app.api("POST", path, &token, json!({"reason": "The rest comes later."})).await;
    let closed = close().await;
    assert_eq!(closed.status, StatusCode::OK, "{}", closed.body);
    let body = closed.json();
    let named: Vec<String> = ids[..12].iter().map(|id| format!("{id}: missing invoice.")).collect();
    let invoices = format!(
        "{} And 1 more. The month can be closed all the same; what is settled later is booked to a later month.",
        named.join(" ")
    );
    let months = "September 2026, August 2026. What changes there changes their statements, not this one.";
    let expected = json!([
        {"title": "13 invoices do not tie", "words": invoices},
        {"title": "2 months before it are still open", "words": months},
    ]);
    assert_eq!((&body["state"], &body["warnings"]), (&json!("closed"), &expected));
    assert_eq!(close().await.status, StatusCode::CONFLICT);
}
