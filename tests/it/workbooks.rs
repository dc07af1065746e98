//! N11, S29: a workbook has the cells of the CSV beside it, typed where no digit is lost, and text is never a formula.

use crate::finance::{BY, Line, World, bill, decimal, deployed, month, time, world};
use crate::support::TestApp;
use axum::http::{StatusCode, header};
use bigdecimal::BigDecimal;
use calamine::{Data, Reader, Xlsx};
use costwake::rollup::close_month::close;
use costwake::store::Role;
use sqlx::PgPool;
use std::io::Cursor;

const ATTACK: &str = "=HYPERLINK(1)";

/// The workbook at this address.
pub async fn bytes(browser: &TestApp, path: &str) -> Vec<u8> {
    let (headers, bytes) = browser.download(path).await;
    let kind = headers[header::CONTENT_TYPE].to_str().unwrap();
    assert_eq!(kind, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "{path}");
    assert!(headers[header::CONTENT_DISPOSITION].to_str().unwrap().ends_with(".xlsx\""), "{headers:?}");
    assert!(headers.contains_key("content-security-policy") && !headers.contains_key("x-costwake-typed-cells"));
    assert_eq!(headers[header::CONTENT_LENGTH].to_str().unwrap(), bytes.len().to_string());
    bytes
}

fn sheet(bytes: &[u8], name: &str) -> Vec<Vec<Data>> {
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).unwrap();
    assert!(book.worksheet_formula(name).unwrap().is_empty(), "no cell is a formula");
    book.worksheet_range(name).unwrap().rows().map(<[Data]>::to_vec).collect()
}

/// Compares a workbook with the CSV cell by cell. Gives how many cells are numbers, and how many hold one as text.
pub async fn compared(browser: &TestApp, path: &str, query: &str) -> (usize, usize) {
    let csv = browser.get(&format!("{path}.csv{query}")).await;
    assert_eq!(csv.status, StatusCode::OK, "{path}");
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv.body.as_bytes());
    let expected: Vec<Vec<String>> =
        reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
    let book = bytes(browser, &format!("{path}.xlsx{query}")).await;
    let rows = sheet(&book, "Rows");
    assert_eq!(rows.len(), expected.len(), "{path}");
    let (mut numbers, mut texts) = (0, 0);
    for (cells, expected) in rows.iter().zip(&expected) {
        assert_eq!(cells.len(), expected.len(), "{path}: {cells:?}");
        for (cell, expected) in cells.iter().zip(expected) {
            match cell {
                Data::Empty => assert_eq!(expected, ""),
                Data::Float(number) => {
                    numbers += 1;
                    let number: BigDecimal = number.to_string().parse().unwrap();
                    assert_eq!(number, decimal(expected), "{path}");
                }
                Data::String(text) => {
                    assert_eq!(text, expected.strip_prefix('\'').unwrap_or(expected), "{path}");
                    texts += usize::from(text.starts_with(|c: char| c.is_ascii_digit()) && text.len() > 16);
                }
                other => panic!("{path}: {other:?}"),
            }
        }
    }
    (numbers, texts)
}

fn note(book: &[u8], word: &str) -> String {
    let rows = sheet(book, "Notes");
    let row = rows.iter().find(|row| row[0] == *word);
    row.unwrap_or_else(|| panic!("{word}: {rows:?}"))[1].to_string()
}

async fn filled(db: &PgPool) -> World {
    let world = world(db).await;
    let mut lines = vec![
        Line { cost: "1234567890.123456789", ..Line::default() },
        Line { cost: "-0.00000000012", day: "2026-10-06", service: ATTACK, ..Line::default() },
        Line { cost: "7.125", service: "ledger", category: "Tax", ..Line::default() },
    ];
    lines.extend((0..1500).map(|_| Line { cost: "0.01", day: "2026-10-07", ..Line::default() }));
    world.import(&lines, "2026-11-02T06:00:00Z").await;
    sqlx::query("INSERT INTO environment (slug, name, kind) VALUES ('production', 'Production', 'production') ON CONFLICT DO NOTHING")
        .execute(db)
        .await
        .unwrap();
    deployed(db, ("d1", "=1+1"), "checkout", "production", "2026-10-06T10:00:00Z").await;
    world
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_workbook_has_the_cells_of_its_csv(db: PgPool) {
    let world = filled(&db).await;
    let finance = world.finance().await;
    let (numbers, texts) = compared(&finance, "/finance/statements/2026-10", "?by=service").await;
    assert!(numbers > 4 && texts > 0, "{numbers} numbers, {texts} texts");
    let (numbers, texts) = compared(&finance, "/charges", "?billing=2026-10").await;
    assert!(numbers > 4500 && texts > 0, "{numbers} numbers, {texts} texts");
    for (path, query) in [
        ("/services", "?period=2026-10&basis=billed"),
        ("/deployments", "?period=2026-10"),
        ("/finance/statements", ""),
        ("/api/v1/costs", "?period=2026-10&by=service"),
        ("/sources", ""),
        ("/catalogue", ""),
        ("/why", "?period=2026-10"),
    ] {
        compared(&finance, path, query).await;
    }
    let book = bytes(&finance, "/services.xlsx?period=2026-10&basis=billed").await;
    assert_eq!(note(&book, "Page"), "/services");
    assert_eq!(note(&book, "Filter: basis"), "billed");
    assert!(note(&book, "Basis").contains("As billed (BilledCost)"));
    assert_eq!(note(&book, "Publication"), "1");
    assert!(note(&book, "Bills complete to").starts_with("2026-10-"));
    assert!(note(&book, "Numbers").contains("more than 15 digits are written as text"));
    close(&world.app.state.pools, month("2026-10"), "Done.", BY, time("2026-11-10T10:00:00Z")).await.unwrap();
    compared(&finance, "/finance/statements/2026-10", "").await;
    let spool = world.folder.path().join("data/spool");
    assert_eq!(std::fs::read_dir(spool).unwrap().count(), 0, "nothing stays on the disk");
}

/// The same person sees the same; what is no table stays what it is.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_workbook_is_for_whom_its_csv_is(db: PgPool) {
    let world = world(&db).await;
    let nobody = world.app.get("/services.xlsx?period=60d").await;
    assert_eq!(nobody.location(), "/sign-in?return_to=%2Fservices.xlsx%3Fperiod%3D60d");
    let member = world.app.browser(Role::Member, false, &[]).await;
    assert_eq!(member.get("/finance/invoices.xlsx").await.status, StatusCode::FORBIDDEN);
    let finance = world.finance().await;
    assert_eq!(finance.get("/nothing.xlsx").await.status, StatusCode::NOT_FOUND);
    assert_eq!(finance.get("/finance/statements/2026-13.xlsx").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(finance.post_form("/services.xlsx", &[]).await.status, StatusCode::NOT_FOUND);
    let page = finance.get("/finance/statements").await.body;
    assert!(page.contains("href=\"/finance/statements.xlsx\">XLSX</a>"), "{page}");
}

/// A bill that nobody could make up: each text of it comes back as it was.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn attacks_come_back_as_texts(db: PgPool) {
    let world = world(&db).await;
    let text =
        bill(&[Line::default()]).replace("Some use", "\"=cmd|' /C calc'!A0\"").replace("vm-checkout", "@SUM(A1)");
    world.import_text(&text, "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;
    let book = bytes(&finance, "/charges.xlsx?billing=2026-10").await;
    let row = &sheet(&book, "Rows")[1];
    assert!(row.contains(&Data::String("=cmd|' /C calc'!A0".into())), "{row:?}");
    assert!(row.contains(&Data::String("@SUM(A1)".into())), "{row:?}");
}
