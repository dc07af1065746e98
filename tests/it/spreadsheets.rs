//! S29: LibreOffice opens what Costwake exports, and evaluates nothing of it.

use crate::finance::{HEADER, Line, bill, decimal, world};
use crate::{support, workbooks};
use bigdecimal::BigDecimal;
use costwake::web::csv::Table;
use sqlx::PgPool;
use std::path::Path;
use std::process::Command;

const ATTACKS: [&str; 12] = [
    "=cmd|' /C calc'!A0",
    "=1+1",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "=HYPERLINK(\"https://example.com\",\"x\")",
    "=DDE(\"soffice\",\"/etc/passwd\",\"A1\")",
    "=SUM(1,2)",
    "＝1+1",
    "＋1+1",
    "－2+3",
    "＠SUM(1)",
];
/// What spreadsheets skip before a formula.
const LED: [&str; 4] = ["\t=1+1", "\r=1+1", "\n=1+1", " =1+1"];
/// A spreadsheet keeps all digits of these.
const AMOUNTS: [&str; 6] = ["-7.125", "1234567.89", "-0.00000000012", "0.1", "-2", "3"];

/// Commas, quotes, UTF-8, US English; a cell that is a formula is evaluated, and nothing but plain numbers is a number.
const READ: &str = "Text - txt - csv (StarCalc):44,34,76,1,,1033,false,false,true,false,false,0,true";
/// The same, with results in place of formulas and numbers with all their digits.
const WRITTEN: &str = "csv:Text - txt - csv (StarCalc):44,34,76,1,,1033,false,true,false,false,false";

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn s29_libreoffice_evaluates_nothing(db: PgPool) {
    if !is_there() {
        support::skipped("soffice is not there: nothing but our own tests read what is exported for spreadsheets");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("texts.csv"), own_table()).unwrap();
    let world = world(&db).await;
    world.import_text(&hostile_bill(), "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;
    let lines = finance.get("/charges.csv?billing=2026-10").await.body;
    for attack in ATTACKS {
        assert!(rows(lines.as_bytes()).iter().flatten().any(|cell| *cell == format!("'{attack}")), "{attack}: {lines}");
    }
    std::fs::write(folder.path().join("lines.csv"), &lines).unwrap();
    let book = workbooks::bytes(&finance, "/charges.xlsx?billing=2026-10").await;
    std::fs::write(folder.path().join("book.xlsx"), book).unwrap();
    assert_unchanged(folder.path(), "texts.csv", &own_table());
    assert_unchanged(folder.path(), "lines.csv", lines.as_bytes());
    assert_unchanged(folder.path(), "book.xlsx", lines.as_bytes());
}

fn is_there() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("soffice").exists())
}

// All of them by the writer of every CSV: a bill has no text that begins with a line end.
fn own_table() -> Vec<u8> {
    let mut table = Table::new(&["Text", "Amount"]);
    for (text, amount) in ATTACKS.into_iter().chain(LED).zip(AMOUNTS.into_iter().cycle()) {
        table.row(&[text.into(), (&decimal(amount)).into()]);
    }
    table.take()
}

fn hostile_bill() -> String {
    let mut text = format!("{HEADER}\n");
    for (attack, cost) in ATTACKS.into_iter().zip(AMOUNTS.into_iter().cycle()) {
        let one = bill(&[Line { cost, ..Line::default() }]);
        let quoted = format!("\"{}\"", attack.replace('"', "\"\""));
        text.push_str(&one.lines().nth(1).unwrap().replacen("Some use", &quoted, 1));
        text.push('\n');
    }
    text
}

/// Each cell of a file, after LibreOffice opened and saved it, is that of our CSV.
fn assert_unchanged(folder: &Path, name: &str, csv: &[u8]) {
    let (expected, found) = (rows(csv), rows(&converted(folder, name)));
    assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
    for (found, expected) in found.iter().zip(&expected) {
        for (index, expected) in expected.iter().enumerate() {
            let cell = found.get(index).map(String::as_str).unwrap_or_default();
            match expected.parse::<BigDecimal>() {
                Ok(amount) => assert_eq!(cell.parse().ok(), Some(amount), "{name}: {found:?}"),
                Err(_) => assert_eq!(plain(cell), plain(expected), "{name}: {found:?}"),
            }
        }
    }
}

// Without the guard, and however line ends and tabs are written.
fn plain(text: &str) -> String {
    text.strip_prefix('\'').unwrap_or(text).replace(['\t', '\r', '\n'], "")
}

fn rows(csv: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(csv);
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

// The exit code says nothing: a file that is not there is what failed. The profile is its own, so that no other one of
// this machine plays a part.
fn converted(folder: &Path, name: &str) -> Vec<u8> {
    let mut command = Command::new("timeout");
    command.args(["180", "soffice", "--headless", "--norestore"]);
    command.arg(format!("-env:UserInstallation=file://{}/profile", folder.display()));
    if name.ends_with(".csv") {
        command.arg(format!("--infilter={READ}"));
    }
    command.args(["--convert-to", WRITTEN, "--outdir"]).arg(folder.join("converted")).arg(folder.join(name));
    let output = command.env("HOME", folder).env("LC_ALL", "C.UTF-8").output().unwrap();
    let written = folder.join("converted").join(name).with_extension("csv");
    std::fs::read(&written).unwrap_or_else(|error| panic!("{name}: {error}: {}", support::said(&output)))
}
