//! The FOCUS file beside the page of lines: a bill again, and nobody else's lines in it.

use crate::support;
use crate::trust_objects::filled;
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use chrono::Utc;
use costwake::rollup::{ImportOptions, ImportRequest, import_with};
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, receipts};
use serde_json::json;
use sqlx::PgPool;
use std::io::Read;

const PATH: &str = "/charges.focus.csv.gz?billing=2026-10";

fn unpacked(file: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_lines_of_the_page_are_a_bill_again(pool: PgPool) {
    let (app, _link, folder) = filled(&pool).await;
    let admin = app.browser(Role::Admin, true, &[]).await;
    let page = admin.get("/charges?billing=2026-10&basis=list").await.body;
    assert!(page.contains(&format!("href=\"{PATH}\"")), "{page}");
    let asked = admin.request(Method::GET, PATH).header(header::ACCEPT_ENCODING, "gzip");
    let answer = admin.send(asked.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/gzip");
    assert!(!answer.headers.contains_key(header::CONTENT_ENCODING), "it is packed once");

    let file = admin.download(PATH).await.1;
    let path = folder.path().join("charges.focus.csv.gz");
    std::fs::write(&path, file).unwrap();
    let request = ImportRequest {
        path,
        file_name: "charges.focus.csv.gz".into(),
        source: Some("again".into()),
        as_of: None,
        received_by: "test".into(),
        now: Utc::now(),
    };
    let options = ImportOptions { is_counted_elsewhere_too: true, ..ImportOptions::default() };
    let again = import_with(&app.state.pools, request, options, |_, _, _| {}).await.unwrap();
    assert_eq!((again.state.as_str(), again.rows), ("published", 2), "{:?}", again.reason);
    let first = "SELECT max(delivery_id) FROM delivery JOIN source USING (source_id)
                 WHERE name = 'acme' AND state = 'published'";
    let first = support::count(&pool, first).await;
    let first = receipts::get(&mut pool.acquire().await.unwrap(), first).await.unwrap().unwrap();
    assert_eq!(first.totals, again.totals);
    assert!(!first.totals.is_empty());
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_member_gets_the_lines_of_the_own_teams(pool: PgPool) {
    let (app, _link, _folder) = filled(&pool).await;
    let team = sqlx::query_scalar("SELECT team_id FROM team WHERE slug = 'alpha'").fetch_one(&pool).await.unwrap();
    let member = app.browser(Role::Member, false, &[team]).await;
    let text = unpacked(&member.download(PATH).await.1);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("1111.25") && !text.contains("2222.75") && !text.contains("beta"), "{text}");
    let finance = app.browser(Role::Finance, false, &[]).await;
    let narrowed = finance.download(&format!("{PATH}&service=alpha-svc")).await.1;
    assert_eq!(unpacked(&narrowed), text, "the conditions of the page narrow the file");
    let nobody = app.browser(Role::Member, false, &[]).await;
    assert_eq!(unpacked(&nobody.download(PATH).await.1).lines().count(), 1, "the header alone");
}

/// A line says whose it is before splits; where these make the figure another, the page and its button say so.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_file_says_whose_lines_are_and_the_page_what_it_lacks(pool: PgPool) {
    let (app, _link, _folder) = filled(&pool).await;
    let finance = app.browser(Role::Finance, false, &[]).await;
    let address = "/charges?billing=2026-10&service=beta-svc";
    let page = finance.get(address).await.body;
    assert!(page.contains(">FOCUS</a>") && !page.contains("FOCUS, before splits"), "no split moves it: {page}");
    let admin = app.token(TokenScope::Admin, Role::Finance).await;
    let split = json!({"name": "alpha", "source": "alpha-svc", "method": "even", "targets": [{"service": "beta-svc"}],
                       "reason": "test"});
    let made = app.api("POST", "/api/v1/splits", &admin, split).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let page = finance.get(address).await.body;
    assert!(page.contains(">FOCUS, before splits</a>") && page.contains("before splits: $2,222.75 here"), "{page}");

    let text = unpacked(&finance.download(PATH).await.1);
    let mut file = csv::Reader::from_reader(text.as_bytes());
    let header = file.headers().unwrap().clone();
    let place = |name: &str| header.iter().position(|own| own == name).unwrap_or_else(|| panic!("{name}: {text}"));
    let columns = ["EffectiveCost", "x_AllocatedService", "x_AllocatedEnvironment", "x_AllocatedTeam"].map(place);
    let mut rows: Vec<[String; 4]> =
        file.records().map(|row| row.unwrap()).map(|row| columns.map(|column| row[column].to_owned())).collect();
    rows.sort();
    assert_eq!(rows, [["1111.25", "alpha-svc", "", "alpha"], ["2222.75", "beta-svc", "", "beta"]]);
}
