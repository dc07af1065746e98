//! Invoices beside the lines that name them.

use super::{BY, Line, column, decimal, sum, texts, time, world};
use crate::support;
use axum::http::StatusCode;
use costwake::normalize::{self, InvoiceTotal};
use costwake::parquet_table::{Kind, ParquetTable};
use costwake::rollup::invoices::{self, InvoiceForm};
use costwake::rollup::rebuild::rebuild;
use costwake::rollup::{ImportRequest, import_file};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use sqlx::PgPool;
use std::path::{Path, PathBuf};

fn lines() -> Vec<Line> {
    let line = |cost, invoice| Line { cost, invoice, ..Line::default() };
    vec![
        line("100.005", "INV-1"),
        line("50.0000001", "INV-1"),
        line("20", "INV-2"),
        line("30", "INV-3"),
        line("7.25", ""),
        Line { currency: "EUR", ..line("9", "INV-1") },
        line("5", "INV-5"),
        line("4", "INV-7"),
    ]
}

const DETAIL: &str = "InvoiceDetailId,InvoiceId,InvoiceIssuerName,BillingCurrency,BilledCost,BillingPeriodStart,InvoiceIssueDate,PaymentDueDate,InvoiceIssueStatus\n\
1,INV-1,Cloud One,USD,150,2026-10-01T00:00:00Z,2026-11-03T00:00:00Z,2026-12-03T00:00:00Z,Issued\n\
2,INV-1,Cloud One,USD,0.01,2026-10-01T00:00:00Z,2026-11-03T00:00:00Z,2026-12-03T00:00:00Z,Issued\n\
1,INV-2,Cloud One,USD,20.00,2026-10-01T00:00:00Z,2026-11-03T00:00:00Z,,Issued\n\
1,INV-3,Cloud One,USD,31.0000001,2026-10-01T00:00:00Z,2026-11-03T00:00:00Z,,Issued\n\
1,INV-4,Cloud One,USD,12,2026-10-01T00:00:00Z,2026-11-03T00:00:00Z,,Issued\n\
1,INV-6,Cloud One,USD,99,2026-10-01T00:00:00Z,2026-11-03T00:00:00Z,,Voided\n\
1,INV-7,Cloud One,USD,4,2026-10-01T00:00:00Z,2026-11-03T00:00:00Z,,Voided\n";

/// The dataset in other containers is the same dataset.
#[test]
fn invoice_detail_is_read_from_parquet() {
    let (names, rows) = DETAIL.trim_end().split_once('\n').unwrap();
    let kind = |name: &str| match name {
        "BilledCost" => Kind::Decimal { scale: 7 },
        "BillingPeriodStart" | "InvoiceIssueDate" | "PaymentDueDate" => Kind::Milliseconds,
        _ => Kind::Text,
    };
    let mut table = ParquetTable::new(Vec::new(), names.split(',').map(|name| (name, kind(name)))).unwrap();
    for row in rows.lines() {
        table.write_row(row.split(',')).unwrap();
    }
    let parquet = table.finish().unwrap();
    let (read, expected) = (normalize::invoices(&parquet).unwrap(), normalize::invoices(DETAIL.as_bytes()).unwrap());
    assert_eq!(read.len(), expected.len());
    for (read, expected) in read.iter().zip(&expected) {
        let told = |one: &InvoiceTotal| {
            let InvoiceTotal { invoice_id, month, issue_date, due_date, issue_status, detail_count, .. } = one.clone();
            (one.billed_cost.normalized(), invoice_id, month, issue_date, due_date, issue_status, detail_count)
        };
        assert_eq!(told(read), told(expected));
    }
    let cut = normalize::invoices(&parquet[..parquet.len() / 2]).unwrap_err().to_string();
    assert!(cut.contains("The Parquet file cannot be read") && cut.contains("Nothing was imported"), "{cut}");
}

/// Every state, with the exact difference, the tolerance and the age, and the same on page and CSV.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_invoice_has_its_state(db: PgPool) {
    let world = world(&db).await;
    world.import(&lines(), "2026-11-02T06:00:00Z").await;
    let pool = &world.app.state.pools.jobs;
    let now = time("2026-11-20T10:00:00Z");
    let imported = invoices::import(pool, "detail.csv", DETAIL.into(), BY, now).await.unwrap();
    assert_eq!((imported.new, imported.replaced), (6, 0));
    assert_eq!(invoices::import(pool, "detail.csv", DETAIL.into(), BY, now).await.unwrap().replaced, 6);
    let finance = world.finance().await;
    let csv = finance.get("/finance/invoices.csv?month=2026-10").await;
    let cell = |name: &str| column(&csv.body, name);
    let rows: Vec<String> = cell("InvoiceId")
        .iter()
        .zip(cell("BillingCurrency"))
        .zip(cell("State"))
        .zip(cell("Difference"))
        .zip(cell("AgeDays"))
        .map(|((((id, currency), state), difference), age)| format!("{id} {currency} {state} {difference} {age}"))
        .collect();
    let expected = [
        "INV-3 USD differs -1.0000001 17",
        "INV-7 USD differs 4 17",
        "INV-4 USD missing-bill  17",
        "INV-1 EUR missing-invoice  20",
        "INV-5 USD missing-invoice  20",
        "INV-1 USD within-tolerance -0.0049999 17",
        "INV-2 USD tied 0 17",
        "INV-6 USD voided  17",
    ];
    assert_eq!(rows, expected, "{}", csv.body);
    assert_eq!(cell("Tolerance")[0], "1");
    let page = finance.get("/finance/invoices?month=2026-10").await;
    assert!(page.body.contains("5 of 8 invoices of October 2026 need someone."), "{}", page.body);
    assert!(page.body.contains("\u{2212}$1.0000001"), "every digit of a difference");
    // The totals of INV-6 and INV-7 are shown and not added up, as their lines less nothing are the difference.
    let total = texts(&page.body, "tr.total").join(" ");
    // 204.0050001 − 201.0100001 = 2.995: of the invoices with both sides, and nothing else.
    let added = "Total without 1 voided $201.0100001 $204.0050001 $2.995";
    assert!(total.contains(added) && page.body.contains("$99.00"), "{total}");
    assert!(page.body.contains("One side only") && total.contains("Total without 1 voided $12.00 $5.00"), "{total}");
    assert!(page.body.contains("invoiced more than billed by $1.0000001"), "the sign in words");
    assert!(page.body.contains("billed more than invoiced by $4.00"), "{}", page.body);
    assert_eq!(page.body.matches("not added up").count(), 2);
    let voided = cell("InvoiceIssueStatus").iter().filter(|status| *status == "Voided").count();
    assert_eq!(voided, 2, "a reader of the file can leave them out too: {}", csv.body);
    assert_eq!(page.body.matches("voided, and lines name it").count(), 1);
    assert!(page.body.contains("Lines without an invoice") && page.body.contains("$7.25"));
    let euros = finance.get("/finance/invoices?month=2026-10&cur=eur").await;
    assert!(euros.body.contains("INV-1") && !euros.body.contains("Lines without an invoice"), "{}", euros.body);
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    for (asked, count) in [("", 1), ("?cur=usd", 1), ("?cur=EUR", 0)] {
        let path = format!("/api/v1/invoices{asked}");
        let told = world.app.api("GET", &path, &token, serde_json::Value::Null).await.json();
        assert_eq!(told["without_invoice"].as_array().unwrap().len(), count, "{asked}: {told}");
        let voided = |one: &&serde_json::Value| one["issue_status"] == "Voided";
        let voided = told["invoices"].as_array().unwrap().iter().filter(voided).count();
        assert_eq!(voided, if asked == "?cur=EUR" { 0 } else { 2 }, "{asked}: {told}");
    }
    let one = finance.get("/finance/invoices?state=tied").await;
    assert_eq!(texts(&one.body, "table.sticky-col tbody tr:not(.total)").len(), 1);
    assert_eq!(finance.get("/finance/invoices?state=moon").await.status, StatusCode::BAD_REQUEST);
    let statement = finance.get("/finance/statements/2026-10").await;
    assert!(statement.body.contains("2 differs, 1 missing bill, 2 missing invoice, 1 within tolerance, 1 tied"));
    // From an invoice to its lines, with the same sum; a replaced bill changes both.
    let charges = finance.get("/charges.csv?invoice=INV-1&issuer=Cloud+One&cur=USD&basis=billed").await;
    assert_eq!(sum(&charges.body, "BilledCost"), decimal("150.0050001"));
    let none = finance.get("/charges.csv?invoice=none&basis=billed").await;
    assert_eq!(sum(&none.body, "BilledCost"), decimal("7.25"));
    world.assert_clean().await;
    world.import(&[Line { cost: "31.0000001", invoice: "INV-3", ..Line::default() }], "2026-11-12T06:00:00Z").await;
    let tied = finance.get("/finance/invoices.csv?state=tied").await;
    assert_eq!(column(&tied.body, "InvoiceId"), ["INV-3"]);
    rebuild(&world.app.state.pools, "test", now, |_, _| {}).await.unwrap();
    world.assert_clean().await;
    sqlx::query("UPDATE invoice_cost SET billed_cost = billed_cost + 0.0000001").execute(&db).await.unwrap();
    let wrong = world.checks().await.into_iter().find(|check| check.name.starts_with("Sums by invoice")).unwrap();
    assert_eq!(wrong.differences.len(), 1, "{:?}", wrong.differences);
}

/// People write issuers in other letters than bills do, and lists leave them out.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_issuer_is_known_in_other_letters_and_where_it_is_not_named(db: PgPool) {
    let world = world(&db).await;
    let text = super::bill(&[
        Line { cost: "14", invoice: "INV-1", ..Line::default() },
        Line { cost: "20", invoice: "INV-2", ..Line::default() },
        Line { cost: "30", invoice: "INV-3", ..Line::default() },
        Line { cost: "31", invoice: "INV-3", service: "mail", ..Line::default() },
    ]);
    // The last line is of another issuer with the same numbers.
    let (rest, last) = text.trim_end().rsplit_once('\n').unwrap();
    let last = last.replacen("Cloud One,Cloud One,Cloud One", "Cloud One,Cloud One,Reseller", 1);
    world.import_text(&format!("{rest}\n{last}\n"), "2026-11-02T06:00:00Z").await;
    let pool = &world.app.state.pools.jobs;
    let now = time("2026-11-20T10:00:00Z");
    let unnamed = "InvoiceId,BillingCurrency,BilledCost\nINV-1,USD,14\nINV-3,USD,31\nINV-4,USD,50\n";
    invoices::import(pool, "list.csv", unnamed.into(), BY, now).await.unwrap();
    let named = "InvoiceId,InvoiceIssuerName,BillingCurrency,BilledCost\nINV-2,  cloud ONE ,USD,19\n";
    assert_eq!(invoices::import(pool, "list.csv", named.into(), BY, now).await.unwrap().new, 1);
    let again = named.replace("  cloud ONE ", "CLOUD one").replace("19", "20");
    assert_eq!(invoices::import(pool, "list.csv", again.into(), BY, now).await.unwrap().replaced, 1);
    let finance = world.finance().await;
    let csv = finance.get("/finance/invoices.csv").await.body;
    let mut rows: Vec<String> = column(&csv, "InvoiceId")
        .iter()
        .zip(column(&csv, "InvoiceIssuerName"))
        .zip(column(&csv, "State"))
        .map(|((id, issuer), state)| format!("{id} {issuer} {state}"))
        .collect();
    rows.sort_unstable();
    let expected = [
        // Two issuers have it: nobody can tell which one the list means.
        "INV-1 Cloud One tied",
        "INV-2 CLOUD one tied",
        "INV-3  missing-bill",
        "INV-3 Cloud One missing-invoice",
        "INV-3 Reseller missing-invoice",
        "INV-4  missing-bill",
    ];
    assert_eq!(rows, expected, "{csv}");
    let page = finance.get("/finance/invoices").await.body;
    let total = texts(&page, "tr.total").join(" ");
    assert!(total.contains("Total $34.00 $34.00 $0.00"), "{total}");
    for invoice in ["INV-1", "INV-2"] {
        let lines = scraper::Html::parse_document(&page);
        let links = scraper::Selector::parse("td a").unwrap();
        let start = format!("/charges?invoice={invoice}&");
        let href = lines.select(&links).find_map(|link| link.attr("href").filter(|href| href.starts_with(&start)));
        let csv = finance.get(&href.unwrap().replacen("/charges", "/charges.csv", 1)).await.body;
        assert_eq!(column(&csv, "BilledCost").len(), 1, "{invoice}: {csv}");
    }
    let charges = finance.get("/charges.csv?invoice=INV-2&issuer=+cloud+one&cur=USD&basis=billed").await.body;
    assert_eq!(sum(&charges, "BilledCost"), decimal("20"));
}

/// One file may spell an issuer in two ways: all its lines are of the one invoice.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn lines_of_an_issuer_in_two_spellings_are_one_total(db: PgPool) {
    let world = world(&db).await;
    let pool = &world.app.state.pools.jobs;
    let detail = "InvoiceDetailId,InvoiceId,InvoiceIssuerName,BillingCurrency,BilledCost\n\
                  1,INV-1,AWS,USD,60\n2,INV-1,aws,USD,40\n";
    let imported = invoices::import(pool, "detail.csv", detail.into(), BY, time("2026-11-20T10:00:00Z")).await.unwrap();
    assert_eq!((imported.new, imported.replaced), (1, 0));
    let stored = "SELECT concat_ws(' ', invoice_issuer_name, billed_cost, detail_count) FROM invoice";
    assert_eq!(sqlx::query_scalar::<_, String>(stored).fetch_all(&db).await.unwrap(), ["AWS 100 2"]);
}

/// The same invoice from a list that names its issuer, or entered with it, replaces the one without; not where the
/// number may be that of two.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_total_with_an_issuer_takes_the_place_of_the_one_without(db: PgPool) {
    let world = world(&db).await;
    let text = super::bill(&[Line { cost: "31", invoice: "INV-3", ..Line::default() }]);
    let text = text.replacen("Cloud One,Cloud One,Cloud One", "Cloud One,Cloud One,Reseller", 1);
    world.import_text(&text, "2026-11-02T06:00:00Z").await;
    let pool = &world.app.state.pools.jobs;
    let now = time("2026-11-20T10:00:00Z");
    let unnamed = "InvoiceId,BillingCurrency,BilledCost\nINV-1,USD,13\nINV-1,EUR,9\nINV-2,USD,20\nINV-3,USD,31\n";
    invoices::import(pool, "list.csv", unnamed.into(), BY, now).await.unwrap();
    let named = "InvoiceId,InvoiceIssuerName,BillingCurrency,BilledCost\nINV-1,Cloud One,USD,14\n\
                 INV-2,Cloud One,USD,20\nINV-2,Reseller,USD,21\nINV-3,Cloud One,USD,30\n";
    let imported = invoices::import(pool, "named.csv", named.into(), BY, now).await.unwrap();
    assert_eq!(imported.to_string(), "3 new invoices, 1 replaced, 1 of them recorded without an issuer before.");
    let form = InvoiceForm {
        invoice_id: "INV-1".into(),
        issuer: "Cloud One".into(),
        currency: "EUR".into(),
        total: "9.5".into(),
        ..InvoiceForm::default()
    };
    invoices::enter(pool, &form, BY, now).await.unwrap();
    let stored = "SELECT concat_ws(' ', invoice_id, invoice_issuer_name, billing_currency, billed_cost) FROM invoice";
    let mut stored: Vec<String> = sqlx::query_scalar(stored).fetch_all(&db).await.unwrap();
    stored.sort_unstable();
    let expected = [
        "INV-1 Cloud One EUR 9.5",
        "INV-1 Cloud One USD 14",
        // One list has it of two issuers.
        "INV-2  USD 20",
        "INV-2 Cloud One USD 20",
        "INV-2 Reseller USD 21",
        // Lines have it of another one.
        "INV-3  USD 31",
        "INV-3 Cloud One USD 30",
    ];
    assert_eq!(stored, expected);
    let told =
        "SELECT details ->> 'issuer_was_missing' FROM audit_log WHERE action LIKE 'invoice%' ORDER BY audit_log_id";
    let told: Vec<String> = sqlx::query_scalar(told).fetch_all(&db).await.unwrap();
    assert_eq!(told, ["0", "1", "true"]);
}

/// Entered by hand: kept when wrong, replaced when entered again, removed with a line in the audit log.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_total_is_entered_replaced_and_removed(db: PgPool) {
    let world = world(&db).await;
    world.import(&lines(), "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;
    let ask = finance.get("/finance/invoices?invoice=INV-2&issuer=Cloud+One&cur=USD&month=2026-10").await;
    assert!(ask.body.contains("value=\"INV-2\""), "prefilled");
    let form = |total: &'static str| {
        vec![
            ("invoice_id", "INV-2"),
            ("issuer", "Cloud One"),
            ("currency", "USD"),
            ("total", total),
            ("month", "2026-10"),
        ]
    };
    let wrong = finance.post_form("/finance/invoices", &form("1,000")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.body.contains("is not a number") && wrong.body.contains("value=\"1,000\""), "{}", wrong.body);
    for total in ["25", "20"] {
        assert_eq!(finance.post_form("/finance/invoices", &form(total)).await.location(), "/finance/invoices");
    }
    let csv = finance.get("/finance/invoices.csv?state=tied").await;
    assert_eq!(
        (column(&csv.body, "Invoiced"), column(&csv.body, "Origin")),
        (vec!["20".into()], vec!["entered".into()])
    );
    let viewer = world.app.browser(Role::Viewer, false, &[]).await;
    assert!(!viewer.get("/finance/invoices").await.body.contains("Enter a total"));
    assert_eq!(viewer.post_form("/finance/invoices", &form("1")).await.status, StatusCode::FORBIDDEN);
    let key: i64 = sqlx::query_scalar("SELECT invoice_key FROM invoice").fetch_one(&db).await.unwrap();
    let removed = finance.post_form("/finance/invoices/remove", &[("invoice_key", &key.to_string())]).await;
    assert_eq!(removed.location(), "/finance/invoices");
    let again = finance.post_form("/finance/invoices/remove", &[("invoice_key", &key.to_string())]).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let audit: Vec<String> =
        sqlx::query_scalar("SELECT action FROM audit_log WHERE action LIKE 'invoice%' ORDER BY audit_log_id")
            .fetch_all(&db)
            .await
            .unwrap();
    assert_eq!(audit, ["invoice.entered", "invoice.entered", "invoice.removed"]);
    let wrong = InvoiceForm {
        invoice_id: "A".into(),
        currency: "USD".into(),
        total: "1".into(),
        month: "Oct".into(),
        ..InvoiceForm::default()
    };
    let error =
        invoices::enter(&world.app.state.pools.web, &wrong, BY, time("2026-11-20T10:00:00Z")).await.unwrap_err();
    assert!(error.to_string().contains("is not a month like 2026-10"), "{error}");
}

/// A FOCUS 1.2 bill and the InvoiceDetail that belongs to it, both from another program: tied to the last digit.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_invoice_detail_of_another_program_ties_to_its_bill(db: PgPool) {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("COSTWAKE_SHARED").map_or(beside, PathBuf::from);
    let folder = shared.join("data/billing/generated");
    let Ok(detail) = std::fs::read(folder.join("focus14_bundle/synthetic_focus_1_4_invoice_detail.csv")) else {
        support::skipped(&format!("no InvoiceDetail in {}", folder.display()));
        return;
    };
    let world = world(&db).await;
    let now = time("2026-11-20T10:00:00Z");
    let request = ImportRequest {
        path: folder.join("fdt_focus12_aws_20000.csv.gz"),
        file_name: "bill.csv.gz".into(),
        source: Some("aws".into()),
        as_of: None,
        received_by: "test".into(),
        now,
    };
    let receipt = import_file(&world.app.state.pools, request, |_, _, _| {}).await.unwrap();
    assert_eq!(receipt.state, "published");
    let imported = invoices::import(&world.app.state.pools.jobs, "detail.csv", detail, BY, now).await.unwrap();
    assert_eq!(imported.new, 2);
    let csv = world.finance().await.get("/finance/invoices.csv").await;
    assert_eq!(column(&csv.body, "State"), ["tied", "tied"], "{}", csv.body);
    assert_eq!(sum(&csv.body, "Difference"), decimal("0"));
    assert_eq!(sum(&csv.body, "BilledCost"), decimal("444881.80880065754"));
    world.assert_clean().await;
}
