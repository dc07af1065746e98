//! What a delivery takes the place of is said before it is accepted, and noted where it is much smaller.

use super::{ANN, Line, assert_clean, bill, file, import_as_of, october, request, time};
use crate::support;
use costwake::normalize::Format;
use costwake::rollup::invoices::{self, InvoiceForm};
use costwake::rollup::{ImportOptions, accept, import_with, rates, revert};
use costwake::store::Role;
use costwake::store::receipts::Receipt;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::{ConnectOptions, PgPool};
use std::process::{Command, Output};

/// Runs a command on the database of a test.
fn costwake(pool: &PgPool, log: Option<&str>, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.env("DATABASE_URL", pool.connect_options().to_url_lossy().to_string());
    command.env("COSTWAKE_DATA_DIR", folder.path()).env_remove("RUST_LOG").args(arguments);
    command.envs(log.map(|log| ("RUST_LOG", log))).output().unwrap()
}

// October with as many lines, of which the first has no amount.
fn broken(count: u32) -> String {
    october("1.25", count).replacen("\n1.25,1.25,", "\nmuch,1.25,", 1)
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_waits_says_what_it_would_take_the_place_of(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let whole = import_as_of(&pool, "acme", &october("1.25", 40), 1).await;
    assert!(whole.would_replace.is_empty());
    let cut = import_as_of(&pool, "acme", &broken(4), 2).await;
    assert_eq!((cut.state.as_str(), cut.rejected_rows), ("quarantined", 1));
    let [one] = cut.would_replace.as_slice() else { panic!("{:?}", cut.would_replace) };
    assert_eq!(
        (one.replaced_delivery_ids.as_slice(), one.rows_before, one.rows_after),
        (&[whole.delivery_id][..], 40, 3)
    );
    let change = one.BilledCost.change.clone();
    assert_eq!(
        (one.BilledCost.before.normalized().to_plain_string(), change.to_string()),
        ("50".into(), "-46.25".into())
    );

    let words = format!("It takes the place of delivery {}: 3 lines instead of 40.", whole.delivery_id);
    let path = format!("/deliveries/{}", cut.delivery_id);
    let finance = app.browser(Role::Finance, false, &[]).await;
    for page in [finance.get(&path).await, finance.get(&format!("{path}/accept")).await] {
        assert!(page.body.contains(&words) && page.body.contains("\u{2212}$46.25"), "{}", page.body);
        assert!(page.body.contains("$50") && page.body.contains("$3.75"), "{}", page.body);
    }
    let page = finance.get(&path).await;
    assert!(page.body.contains("1 line is missing from the totals below"), "{}", page.body);
    assert!(page.body.contains("Accept with 1 line missing"), "{}", page.body);
    let admin = app.browser(Role::Admin, false, &[]).await;
    assert!(!admin.get(&path).await.body.contains("46.25"), "amounts are open to finance");
    let token = app.token(TokenScope::Read, Role::Finance).await;
    let told = app.api("GET", &format!("/api/v1{path}"), &token, Value::Null).await.json();
    assert_eq!(told["would_replace"][0]["EffectiveCost"]["change"], "-46.25", "{told}");
    let shown = support::said(&costwake(&pool, None, &["delivery", "show", &cut.delivery_id.to_string()]));
    assert!(shown.contains("accepted, it takes the place of what counts now:"), "{shown}");
    assert!(shown.contains(" becomes 3.75 (-46.25)"), "{shown}");
    let replaces = format!("(3 rows, before 40); replaces delivery {}", whole.delivery_id);
    assert!(shown.contains(&replaces), "{shown}");

    let accepted = accept(&support::pools(&pool), cut.delivery_id, ANN, time("2026-11-21T10:00:00Z")).await.unwrap();
    assert_eq!(accepted.movements[0].costs.BilledCost, Some(change), "what was said is what happened");
    assert!(accepted.would_replace.is_empty());
    assert_clean(&pool).await;
}

/// What is newer than the delivery stays, so accepting it takes the place of nothing there.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_newer_is_not_said_to_be_replaced(pool: PgPool) {
    let waiting = import_as_of(&pool, "acme", &(broken(4) + bill_of_november().as_str()), 2).await;
    assert_eq!(waiting.state, "quarantined");
    assert!(waiting.would_replace.iter().all(|one| one.replaced_delivery_ids.is_empty()));
    import_as_of(&pool, "acme", &october("1.25", 40), 3).await;
    let mut conn = pool.acquire().await.unwrap();
    let receipt = costwake::store::receipts::get(&mut conn, waiting.delivery_id).await.unwrap().unwrap();
    let months: Vec<String> = receipt.would_replace.iter().map(|one| one.billing_period.to_string()).collect();
    assert_eq!(months, ["2026-11-01"], "{:?}", receipt.would_replace);
}

// Without its header.
fn bill_of_november() -> String {
    bill(&[Line::of("2026-11", 1, "shop", "2")]).split_once('\n').unwrap().1.to_owned()
}

fn note(receipt: &Receipt) -> Option<&String> {
    receipt.warnings.iter().find(|warning| warning.contains("check that the file is whole"))
}

/// A file that was cut off at the end of a line counts as any newer one does, and somebody is told to check it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_much_smaller_bill_counts_and_is_noted(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let finance = app.browser(Role::Finance, false, &[]).await;
    let first = import_as_of(&pool, "acme", &october("1.25", 40), 1).await;
    assert_eq!(note(&first), None);
    let cut = import_as_of(&pool, "acme", &october("1.25", 5), 2).await;
    assert_eq!(cut.state, "published");
    let told = note(&cut).expect("a note");
    assert!(
        told.starts_with("2026-10 of account 00123 replaces 40 lines by 5, with less than half of the cost"),
        "{told}"
    );
    assert!(told.contains(&format!("`costwake delivery revert {}`", cut.delivery_id)), "{told}");
    let source = format!("/sources/{}", cut.source_id.unwrap());
    let page = finance.get(&source).await;
    assert!(page.body.contains("Much smaller than what it replaced"), "{}", page.body);
    assert!(page.body.contains("replaces 40 lines by 5"), "{}", page.body);
    assert!(finance.get(&format!("/deliveries/{}", cut.delivery_id)).await.body.contains("replaces 40 lines by 5"));

    revert(&support::pools(&pool), cut.delivery_id, ANN, time("2026-11-21T10:00:00Z")).await.unwrap();
    assert!(!finance.get(&source).await.body.contains("Much smaller"), "it counts no longer");
    let restated = import_as_of(&pool, "acme", &october("1.25", 30), 3).await;
    assert_eq!(note(&restated), None);
    assert_clean(&pool).await;
}

/// The newest months are as good as the oldest, and what a command does is told by its receipt, not by a log.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_command_shows_all_totals_and_logs_nothing_unasked(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<Line> = (1..=12).map(|month| Line::of(&format!("2025-{month:02}"), 3, "shop", "1.5")).collect();
    let path = file(folder.path(), &bill(&lines));
    let done = costwake(&pool, None, &["import", "--source", "acme", path.to_str().unwrap()]);
    let (receipt, log) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    for month in 1..=12 {
        assert!(receipt.contains(&format!("2025-{month:02} USD   BilledCost 1.5")), "{receipt}");
    }
    assert!(!log.contains("INFO") && !log.contains("WARN"), "{log}");
    let path = file(folder.path(), &bill(&lines[..11]));
    let asked = costwake(&pool, Some("info"), &["import", "--source", "acme", path.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&asked.stderr).contains("INFO"), "{}", support::said(&asked));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn closing_by_command_warns_as_the_page_does(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    import_as_of(&pool, "other", &bill(&[Line::of("2025-07", 5, "shop", "2")]), 1).await;
    let lines = [Line::of("2025-09", 5, "shop", "1.5"), Line::of("2025-09", 6, "shop", "1.5")];
    import_as_of(&pool, "acme", &bill(&lines), 1).await;
    let invoice = InvoiceForm {
        invoice_id: "INV-1".into(),
        issuer: "Nobody".into(),
        currency: "USD".into(),
        total: "9".into(),
        month: "2025-09".into(),
        ..InvoiceForm::default()
    };
    invoices::enter(&app.state.pools.web, &invoice, ANN, time("2026-11-20T10:00:00Z")).await.unwrap();
    let waiting = import_as_of(&pool, "acme", &bill(&lines).replacen("\n1.5,1.5,", "\nmuch,1.5,", 1), 2).await;
    assert_eq!(waiting.state, "quarantined");
    rates::set_reporting_currency(&pool, "EUR", ANN, time("2026-11-21T10:00:00Z")).await.unwrap();
    let warnings = [
        ("Bills are missing", "The bills of acme do not reach the end of the month."),
        ("Deliveries wait", "1 delivery waits for a decision and holds bills of September 2025."),
        ("Rates are missing", "There is no rate for USD in September 2025."),
    ];
    let named = [
        (
            "1 invoice does not tie",
            ">INV-1</a>: missing bill.",
            "INV-1: missing bill. The month can be closed all the same",
        ),
        ("A month before it is still open", ">July 2025</a>. What changes", "July 2025. What changes there"),
    ];
    let finance = app.browser(Role::Finance, false, &[]).await;
    let page = finance.get("/finance/statements/2025-09/close").await;
    let done = support::said(&costwake(&pool, None, &["month", "close", "2025-09", "--reason", "Done."]));
    assert!(done.contains("September 2025 is closed") && done.contains("costwake month reopen 2025-09"), "{done}");
    for (title, words) in warnings {
        assert!(page.body.contains(title) && page.body.contains(words), "{}", page.body);
        assert!(done.contains(&format!("{title}: {words}")), "{done}");
    }
    for (title, linked, words) in named {
        assert!(page.body.contains(title) && page.body.contains(linked), "{}", page.body);
        assert!(done.contains(&format!("{title}: {words}")), "{done}");
    }
}

/// A format that somebody named overrules the columns; where nothing comes of it, the receipt says what they are.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_wrong_format_is_told_from_missing_columns(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let report = "identity/LineItemId,bill/BillType,lineItem/UnblendedCost,lineItem/UsageStartDate\n\
                  a1,Anniversary,1.5,2026-10-01T00:00:00Z\n";
    for named in [Format::OciReport, Format::GcpBilling, Format::Focus] {
        let request = request(file(folder.path(), report), Some("acme"), None);
        let options = ImportOptions { format: Some(named), ..ImportOptions::default() };
        let receipt = import_with(&support::pools(&pool), request, options, |_, _, _| {}).await.unwrap();
        assert_eq!(receipt.state, "quarantined");
        let reason = receipt.reason.unwrap();
        let words = format!("Its columns are those of AWS CUR, and it was read as {} because", named.label());
        assert!(reason.contains(&words) && reason.contains("or as aws-cur."), "{reason}");
        assert!(!reason.contains("The file lacks"), "{reason}");
    }
    // The right one says nothing of it.
    let request = request(file(folder.path(), &broken(3)), Some("acme"), None);
    let options = ImportOptions { format: Some(Format::Focus), ..ImportOptions::default() };
    let receipt = import_with(&support::pools(&pool), request, options, |_, _, _| {}).await.unwrap();
    assert!(!receipt.reason.unwrap().contains("Its columns are those of"));
}
