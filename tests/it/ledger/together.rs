//! Files of one bill that come with one command or one form: parts are joined, and where nobody said that they are
//! parts, none takes another's place unseen.

use super::{assert_clean, october};
use crate::support::{self, Page, TestApp};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use costwake::jobs::Worker;
use costwake::store::Role;
use costwake::store::jobs::Lane;
use sqlx::{ConnectOptions, PgPool};
use std::process::Command;
use tokio_util::sync::CancellationToken;

// All that counts, in whole dollars.
async fn counted(pool: &PgPool) -> i64 {
    let sum =
        "SELECT coalesce(sum(m.effective_cost), 0)::bigint FROM monthly_cost m JOIN generation g USING (generation_id)
               WHERE g.state = 'current'";
    support::count(pool, sum).await
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_command_holds_a_file_that_would_replace_another_of_it(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let paths = [("report-1.csv", "1"), ("report-2.csv", "2")].map(|(name, cost)| {
        let path = folder.path().join(name);
        std::fs::write(&path, october(cost, 3)).unwrap();
        path
    });
    let address = pool.connect_options().to_url_lossy().to_string();
    let import = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
        command.env("DATABASE_URL", &address).env("COSTWAKE_DATA_DIR", folder.path());
        command.args(["import", "--source", "acme"]).args(arguments).args(&paths).output().unwrap()
    };
    let apart = import(&[]);
    let words = support::said(&apart);
    assert_eq!(apart.status.code(), Some(2), "{words}");
    assert!(words.contains("report-1.csv: published") && words.contains("report-2.csv: quarantined"), "{words}");
    assert!(words.contains("2026-10 of account 00123 (delivery 1)") && words.contains("--parts"), "{words}");
    assert_eq!(counted(&pool).await, 3);
    assert_clean(&pool).await;

    let joined = import(&["--parts"]);
    assert_eq!(joined.status.code(), Some(0), "{}", support::said(&joined));
    assert_eq!(counted(&pool).await, 9);
    // The same bytes twice are no other file.
    let again = import(&["--parts"]);
    assert!(support::said(&again).contains("unchanged"), "{}", support::said(&again));
    assert_clean(&pool).await;
}

/// Whoever reads one object a line finds one of each file, whatever became of it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_file_that_cannot_be_opened_has_an_object_too(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("bills");
    std::fs::create_dir(&place).unwrap();
    let bill = place.join("bill.csv");
    std::fs::write(&bill, october("1", 3)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.env("DATABASE_URL", pool.connect_options().to_url_lossy().to_string());
    command.env("COSTWAKE_DATA_DIR", folder.path()).args(["import", "--json", "--source", "acme"]);
    let output = command.args([&place.join("none.csv"), &place, &bill]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", support::said(&output));
    let objects: Vec<serde_json::Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |index: usize, name: &str| objects[index][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(objects.len(), 3, "{objects:?}");
    assert_eq!((told(0, "file"), told(0, "state")), ("none.csv".into(), "failed".into()));
    assert!(told(0, "reason").contains("No such file") && objects[0]["delivery_id"].is_null(), "{objects:?}");
    assert_eq!((told(1, "file"), told(1, "state")), ("bills".into(), "failed".into()));
    assert!(told(1, "reason").contains("It is a folder"), "{objects:?}");
    assert_eq!((told(2, "file"), told(2, "state")), ("bill.csv".into(), "published".into()));
    assert_eq!(support::count(&pool, "SELECT count(*) FROM delivery").await, 1, "nothing is kept of what was no file");
}

async fn upload(browser: &TestApp, parts: &str) -> Page {
    let (one, two) = (october("1", 3), october("2", 3));
    upload_files(browser, &[("a.csv", one.as_str()), ("b.csv", two.as_str())], parts).await
}

async fn upload_files(browser: &TestApp, files: &[(&str, &str)], parts: &str) -> Page {
    let field = |name: &str, value: &str| {
        format!("--line\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let file = |(name, text): &(&str, &str)| field(&format!("file\"; filename=\"{name}"), text);
    let files: String = files.iter().map(file).collect();
    let body = format!("{files}{}{}--line--\r\n", field("source", "acme"), field("parts", parts));
    let request = browser
        .request(Method::POST, "/upload")
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=line");
    browser.send(request.body(Body::from(body)).unwrap()).await
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_form_says_whether_its_files_are_parts(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let config = support::config(&["--data-dir", folder.path().to_str().unwrap()]);
    let app = support::app_with(pool.clone(), config.clone()).await;
    let finance = app.browser(Role::Finance, false, &[]).await;
    let worker = Worker { pools: support::pools(&pool), config, lane: Lane::Imports, stop: CancellationToken::new() };
    assert!(finance.get("/upload").await.body.contains("name=\"parts\""));

    let apart = upload(&finance, "").await;
    assert_eq!((apart.status, apart.location()), (StatusCode::SEE_OTHER, "/sources"), "{}", apart.body);
    assert!(worker.take_one().await.unwrap() && worker.take_one().await.unwrap());
    assert_eq!(counted(&pool).await, 3);
    let held = finance.get("/deliveries/2").await.body;
    assert!(held.contains("handed in together with it holds the same bill: 2026-10"), "{held}");
    assert!(held.contains("It waits for a decision"), "{held}");

    let joined = upload(&finance, "yes").await;
    assert_eq!((joined.status, joined.location()), (StatusCode::SEE_OTHER, "/deliveries/3"), "{}", joined.body);
    assert!(worker.take_one().await.unwrap());
    let receipt = finance.get("/deliveries/3").await.body;
    assert!(receipt.contains("a.csv + b.csv") && receipt.contains("All 6 lines count."), "{receipt}");
    assert_eq!(counted(&pool).await, 9);
    assert_eq!(std::fs::read_dir(folder.path().join("spool")).unwrap().count(), 0);
    assert_clean(&pool).await;
}

/// Which cost a part of an Azure bill has, its name may have to tell: that of the file which was sent, not of the one
/// that it lies in until it is read.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_parts_of_a_form_are_called_as_their_sender_calls_them(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let config = support::config(&["--data-dir", folder.path().to_str().unwrap()]);
    let app = support::app_with(pool.clone(), config.clone()).await;
    let finance = app.browser(Role::Finance, false, &[]).await;
    let worker = Worker { pools: support::pools(&pool), config, lane: Lane::Imports, stop: CancellationToken::new() };
    let export = |lines: &[&str]| {
        let header = "BillingAccountId,BillingPeriodStartDate,BillingPeriodEndDate,SubscriptionId,Date,MeterCategory,\
            BillingCurrency,MeterId,Quantity,Cost,ChargeType,PricingModel,ReservationId";
        let row = |line: &&str| format!("8611537,10/01/2026,10/31/2026,sub-1,10/04/2026,Virtual Machines,EUR,{line}\n");
        format!("{header}\n{}", lines.iter().map(row).collect::<String>())
    };
    let (bought, machine) = ("r1,1,100,Purchase,Reservation,a", "m1,24,2,Usage,OnDemand,");
    let actual = export(&[bought]);
    let unclear = export(&[machine]);
    let amortized = export(&["m2,24,3,Usage,Reservation,a", machine]);
    for (name, says) in [
        ("part_1.csv", "part_1.csv may be either: no row of it has a commitment"),
        ("Part (1), Actual.csv", "1 rows stand in both and count once, 1 stand in the actual export only"),
    ] {
        let files = [("part_0.csv", actual.as_str()), (name, unclear.as_str()), ("part_2.csv", amortized.as_str())];
        let sent = upload_files(&finance, &files, "yes").await;
        assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.body);
        assert!(worker.take_one().await.unwrap());
        let receipt = finance.get(sent.location()).await.body;
        assert!(receipt.contains(says), "{receipt}");
    }
    assert_eq!(counted(&pool).await, 5);
    assert_clean(&pool).await;
}
