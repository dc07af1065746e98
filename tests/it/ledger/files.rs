//! Odd files and odd words with them: what the receipt says, and what is refused before anything is read.

use super::{Line, assert_clean, bill, file, import_as_of, request, time};
use crate::support;
use bigdecimal::BigDecimal;
use costwake::normalize::Format;
use costwake::rollup::{ImportOptions, import_with};
use costwake::store::receipts::{Receipt, Total};
use flate2::Compression;
use flate2::write::GzEncoder;
use sqlx::{ConnectOptions, PgPool};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

fn many(count: usize) -> String {
    let lines: Vec<Line> = (0..count).map(|n| Line::of("2026-10", 1 + n as u32 % 28, "shop", "1.5")).collect();
    bill(&lines)
}

/// A download that broke off: what was read stands on the receipt, and that it is not all.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_file_that_breaks_off_leaves_what_was_read_on_its_receipt(pool: PgPool) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(many(30_000).as_bytes()).unwrap();
    let mut bytes = encoder.finish().unwrap();
    bytes.truncate(bytes.len() - 100);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bill.csv.gz");
    std::fs::write(&path, &bytes).unwrap();
    let request = request(path, Some("acme"), None);
    let receipt = import_with(&support::pools(&pool), request, ImportOptions::default(), |_, _, _| {}).await.unwrap();
    assert_eq!(receipt.state, "refused");
    assert!(receipt.reason.unwrap().contains("ends in the middle of its compressed data"));
    assert!(receipt.content_sha256.is_some() && receipt.format.is_some() && receipt.rows > 1000, "{}", receipt.rows);
    assert_eq!(receipt.totals[0].rows, receipt.rows);
    assert!(receipt.warnings.iter().any(|warning| warning.contains("incomplete")), "{:?}", receipt.warnings);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM generation").await, 0);
    assert_clean(&pool).await;
}

/// Rows decide, not the header: a total of 0 would say that the file knows the list cost, and a column that is empty on
/// every row does not know it. Each billing period and currency is told by its own rows.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_cost_that_no_row_has_is_null(pool: PgPool) {
    let line = |currency: &str, list: &str| {
        let mut line = Line::of("2026-10", 3, "shop", "1.5");
        (line.currency, line.costs[2]) = (currency.into(), list.into());
        line
    };
    let told = |receipt: &Receipt| {
        assert_eq!(receipt.state, "published", "{:?}", receipt.reason);
        let list = |total: &Total| total.costs.ListCost.as_ref().map_or("null".into(), BigDecimal::to_plain_string);
        receipt.totals.iter().map(list).collect::<Vec<String>>()
    };
    let empty = bill(&[line("USD", ""), line("USD", "NULL"), line("EUR", "")]);
    assert_eq!(told(&import_as_of(&pool, "acme", &empty, 1).await), ["null", "null"]);
    assert_clean(&pool).await;
    let some = bill(&[line("EUR", ""), line("USD", ""), line("USD", "2.50"), line("USD", "-1")]);
    assert_eq!(told(&import_as_of(&pool, "acme", &some, 2).await), ["null", "1.50"]);
    assert_clean(&pool).await;
    let zero = bill(&[line("USD", "0"), line("USD", "")]);
    assert_eq!(told(&import_as_of(&pool, "acme", &zero, 3).await), ["0"]);
    assert_clean(&pool).await;
    let without = empty.replace(",ListCost,", ",x_Other,");
    assert_eq!(told(&import_as_of(&pool, "acme", &without, 4).await), ["null", "null"]);
    assert_clean(&pool).await;
}

/// A cost without which a line cannot be counted is no such cost: its line is rejected, and nothing is told of it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_line_without_a_mandatory_cost_is_rejected(pool: PgPool) {
    let mut line = Line::of("2026-10", 3, "shop", "1.5");
    line.costs[1] = String::new();
    let receipt = import_as_of(&pool, "acme", &bill(&[line]), 1).await;
    // With no other line there is nothing that somebody could accept.
    assert_eq!((receipt.state.as_str(), receipt.rejected_rows), ("refused", 1), "{:?}", receipt.reason);
    let reason = "1 of 1 rows could not be read. Nothing of it can be counted.";
    assert_eq!(receipt.reason.as_deref(), Some(reason));
    assert_eq!(receipt.rejections[0].column_name, "EffectiveCost");
    assert!(receipt.totals.is_empty(), "{:?}", receipt.totals);
    assert_clean(&pool).await;
}

/// The lines of parts are counted through; the reason says which line of which part it is.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_rejected_line_of_a_part_names_the_part(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let second = folder.path().join("part-2.csv");
    std::fs::write(&second, many(1).replace("1.5,1.5", "$1.5,1.5")).unwrap();
    let request = request(file(folder.path(), &many(2)), Some("acme"), None);
    let options = ImportOptions { more_parts: vec![second], ..ImportOptions::default() };
    let receipt = import_with(&support::pools(&pool), request, options, |_, _, _| {}).await.unwrap();
    assert_eq!(receipt.state, "quarantined");
    assert!(receipt.rejections[0].reason.ends_with("(line 2 of part-2.csv)"), "{:?}", receipt.rejections);
}

/// Blank lines hold nothing; the provider's label of a month stays what it is in any zone.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn blanks_and_zones_are_read_as_they_are_meant(pool: PgPool) {
    let text = many(1).replace("2026-10-01T00:00:00Z", "2026-10-01T00:00:00+02:00") + "   \n";
    let receipt = import_as_of(&pool, "acme", &text, 1).await;
    assert_eq!((receipt.state.as_str(), receipt.rows), ("published", 1), "{:?}", receipt.rejections);
    assert_eq!(receipt.billing_periods, ["2026-10-01".parse().unwrap()]);
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_nameless_source_and_a_version_of_the_future_are_refused(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), &many(1));
    let future = time("2126-01-01T00:00:00Z");
    let long = "x".repeat(5000);
    for (source, as_of, says) in [
        ("", None, "1 to 200 bytes"),
        (&*long, None, "1 to 200 bytes"),
        ("acme/one", None, "without a slash"),
        ("acme", Some(future), "lies in the future"),
    ] {
        let request = request(path.clone(), Some(source), as_of);
        let error = import_with(&support::pools(&pool), request, ImportOptions::default(), |_, _, _| {}).await;
        assert!(error.unwrap_err().to_string().contains(says));
    }
    assert_eq!(support::count(&pool, "SELECT count(*) FROM delivery").await, 0);
}

/// Names had slashes once, and those that files give their sources have them still.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_source_that_is_there_keeps_its_slash(pool: PgPool) {
    sqlx::query("INSERT INTO source (name) VALUES ('acme/one')").execute(&pool).await.unwrap();
    let receipt = import_as_of(&pool, "acme/one", &many(1), 1).await;
    assert_eq!((receipt.state.as_str(), receipt.source.as_deref()), ("published", Some("acme/one")));
}

/// Ctrl-C and a service manager's stop leave a receipt and nothing else; what SIGKILL leaves is cleared up by the
/// next command.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_stopped_import_says_so(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), &many(150_000));
    let address = pool.connect_options().to_url_lossy().to_string();
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
        command.env("DATABASE_URL", &address).env("COSTWAKE_DATA_DIR", folder.path()).args(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    for (signal, number) in [("-TERM", 1), ("-KILL", 2)] {
        let mut child = command(&["import", "--source", "acme", path.to_str().unwrap()]);
        for _ in 0..600 {
            if support::count(&pool, "SELECT count(*) FROM delivery").await == number {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(!child.wait().unwrap().success());
    }
    let reasons: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT state, reason FROM delivery ORDER BY delivery_id").fetch_all(&pool).await.unwrap();
    assert_eq!((reasons[0].0.as_str(), reasons[1].0.as_str()), ("failed", "loading"));
    assert!(reasons[0].1.as_ref().unwrap().contains("stopped before all of it was read"));
    // The lock of the killed one goes away with its connection.
    for _ in 0..50 {
        command(&["verify"]).wait().unwrap();
        if support::count(&pool, "SELECT count(*) FROM delivery WHERE state = 'loading'").await == 0 {
            break;
        }
    }
    assert_eq!(support::count(&pool, "SELECT count(*) FROM delivery WHERE state = 'failed'").await, 2);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM pg_class WHERE relname ~ '^charge_d[0-9]+$'").await, 0);
    assert_clean(&pool).await;
}

/// A file of something else, read as FOCUS because someone said so: no month of 1970 and no source come of it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_file_without_billing_periods_makes_no_source(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    for source in [None, Some("acme")] {
        let request = request(file(folder.path(), "a,b\n1,2\n"), source, None);
        let options = ImportOptions { format: Some(Format::Focus), ..ImportOptions::default() };
        let receipt = import_with(&support::pools(&pool), request, options, |_, _, _| {}).await.unwrap();
        assert_eq!((receipt.state.as_str(), receipt.rows), ("quarantined", 1), "{:?}", receipt.reason);
        assert!(receipt.totals.is_empty() && receipt.billing_periods.is_empty(), "{:?}", receipt.totals);
        assert!(receipt.missing_columns.iter().any(|column| column == "BillingPeriodStart"));
        assert_eq!(support::count(&pool, "SELECT count(*) FROM source").await, 0);
    }
    // Where the source is there already, it shows what became of the file.
    import_as_of(&pool, "acme", &many(1), 1).await;
    let request = request(file(folder.path(), "a,b\n1,2\n"), Some("acme"), None);
    let options = ImportOptions { format: Some(Format::Focus), ..ImportOptions::default() };
    let receipt = import_with(&support::pools(&pool), request, options, |_, _, _| {}).await.unwrap();
    assert_eq!((receipt.state.as_str(), receipt.source.as_deref()), ("quarantined", Some("acme")));
    assert_clean(&pool).await;
}

/// JSON lines have no header: what no line has a value of was not there, and nothing is said of it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn columns_kept_of_json_lines_are_those_that_stand_there(pool: PgPool) {
    let line = r#"{"billing_account_id":"G1","service":{"description":"Compute Engine"},"sku":{"id":"S1"},
        "usage_start_time":"2026-10-05T03:00:00Z","usage_end_time":"2026-10-05T04:00:00Z","cost":1,"currency":"USD",
        "labels":[],"project":{"number":"7","name":null},"tags":[{"key":"a","value":"b"}],
        "invoice":{"month":"202610"},"cost_type":"regular","novel":{"x":1}}"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bill.jsonl");
    std::fs::write(&path, line.replace('\n', "") + "\n").unwrap();
    let request = request(path, Some("google"), None);
    let receipt = import_with(&support::pools(&pool), request, ImportOptions::default(), |_, _, _| {}).await.unwrap();
    assert_eq!(receipt.state, "published", "{:?}", receipt.reason);
    let mut kept = receipt.extra_columns.clone();
    kept.sort_unstable();
    assert_eq!(kept, ["cost_type", "project.number", "x_other_members", "x_tags"]);
}
