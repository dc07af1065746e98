//! Months, bills, lines: one small bill through the front door, and the same figure on every face.

use crate::support::{self, TestApp, config, pools};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use bigdecimal::BigDecimal;
use chrono::{DateTime, Utc};
use costwake::rollup::{ImportRequest, import_file};
use costwake::store::Role;
use costwake::store::receipts::Receipt;
use costwake::store::tokens::TokenScope;
use costwake::web::{self, AppState};
use scraper::{Html, Selector};
use sqlx::PgPool;

const COLUMNS: &str = "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingCurrency,BillingAccountId,BillingAccountName,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ChargeClass,ChargeDescription,ChargeFrequency,ProviderName,PublisherName,InvoiceIssuerName,ServiceCategory,ServiceName,SubAccountId,ResourceId,RegionId,SkuId,PricingQuantity,PricingUnit,Tags";

/// One line of a bill.
#[derive(Clone)]
struct Line {
    cost: &'static str,
    currency: &'static str,
    billed: &'static str,
    day: &'static str,
    category: &'static str,
    class: &'static str,
    service: &'static str,
    resource: &'static str,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            cost: "1",
            currency: "USD",
            billed: "2026-10",
            day: "2026-10-05",
            category: "Usage",
            class: "",
            service: "checkout",
            resource: "vm-1",
        }
    }
}

fn bill(lines: &[Line]) -> String {
    let mut text = format!("{COLUMNS}\n");
    for line in lines {
        let start = format!("{}-01T00:00:00Z", line.billed);
        let month: costwake::focus::BillingPeriod = line.billed.parse().unwrap();
        let end = format!("{}T00:00:00Z", month.next().first_day());
        let day: chrono::NaiveDate = line.day.parse().unwrap();
        let tags = match line.service {
            "" => "{}".to_owned(),
            name => format!("{{\"\"service\"\":\"\"{name}\"\",\"\"environment\"\":\"\"production\"\"}}"),
        };
        text.push_str(&format!(
            "{0},{0},{0},{0},{1},acct-1,Main,{start},{end},{2}T00:00:00Z,{3}T00:00:00Z,{4},{5},\"{6} hours\",Usage-Based,Cloud One,Cloud One,Cloud One,Compute,Virtual machines,sub-1,{7},eu-1,sku-1,1,Hours,\"{tags}\"\n",
            line.cost,
            line.currency,
            line.day,
            day.succ_opt().unwrap(),
            line.category,
            line.class,
            line.service,
            line.resource,
        ));
    }
    text
}

fn clock() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

struct World {
    app: TestApp,
    folder: tempfile::TempDir,
}

async fn world(db: &PgPool) -> World {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let state = AppState::new(config(&["--data-dir", data_dir.to_str().unwrap()]), pools(db)).unwrap();
    let state = state.with(|parts| parts.clock = clock);
    let mut app = support::app(db.clone()).await;
    app.router = web::router(state.clone());
    app.state = state;
    World { app, folder }
}

impl World {
    async fn import(&self, name: &str, text: &str, now: &str) -> Receipt {
        let path = self.folder.path().join("bill.csv");
        std::fs::write(&path, text).unwrap();
        let request = ImportRequest {
            path,
            file_name: name.into(),
            source: Some("cloud-one".into()),
            as_of: None,
            received_by: "test".into(),
            now: now.parse().unwrap(),
        };
        import_file(&self.app.state.pools, request, |_, _, _| {}).await.unwrap()
    }

    async fn finance(&self) -> TestApp {
        self.app.browser(Role::Finance, false, &[]).await
    }
}

fn october() -> Vec<Line> {
    vec![
        Line { cost: "100.005", ..Line::default() },
        Line { cost: "50.0000001", service: "ledger", resource: "vm-2", ..Line::default() },
        Line { cost: "7.5", service: "", resource: "vm-3", ..Line::default() },
        Line { cost: "-12.25", category: "Credit", ..Line::default() },
        Line { cost: "3.1", category: "Tax", service: "", resource: "", ..Line::default() },
        Line { cost: "-5.005", class: "Correction", day: "2026-09-30", ..Line::default() },
        Line { cost: "9.99", currency: "EUR", ..Line::default() },
    ]
}

fn september() -> Vec<Line> {
    vec![Line { cost: "80", billed: "2026-09", day: "2026-09-05", ..Line::default() }]
}

fn sum_of(lines: &[Line], currency: &str) -> BigDecimal {
    lines.iter().filter(|line| line.currency == currency).map(|line| line.cost.parse::<BigDecimal>().unwrap()).sum()
}

/// A column of a CSV file, by its name, of the rows of a currency.
fn csv_sum(text: &str, column: &str, currency: &str) -> BigDecimal {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let at = |name: &str| headers.iter().position(|header| header == name).unwrap_or_else(|| panic!("{name}: {text}"));
    let (value, code) = (at(column), at("BillingCurrency"));
    reader
        .records()
        .map(Result::unwrap)
        .filter(|row| &row[code] == currency)
        .map(|row| row[value].parse::<BigDecimal>().unwrap())
        .sum()
}

fn texts(html: &str, selector: &str) -> Vec<String> {
    let page = Html::parse_document(html);
    let selector = Selector::parse(selector).unwrap();
    page.select(&selector)
        .map(|one| one.text().collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// The receipt, the statement, its CSV, the API and its CSV say the same to the last digit.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn one_month_has_one_total_everywhere(db: PgPool) {
    let world = world(&db).await;
    world.import("september.csv", &bill(&september()), "2026-10-02T06:00:00Z").await;
    let receipt = world.import("october.csv", &bill(&october()), "2026-11-02T06:00:00Z").await;
    assert_eq!(receipt.state, "published", "{:?}", receipt.reason);
    let finance = world.finance().await;
    for currency in ["USD", "EUR"] {
        let exact = sum_of(&october(), currency);
        let total = receipt.totals.iter().find(|total| total.billing_currency.as_deref() == Some(currency)).unwrap();
        assert_eq!(total.costs.EffectiveCost.as_ref(), Some(&exact));
        for by in ["team", "cost-center", "service", "env", "provider", "charge"] {
            let csv = finance.get(&format!("/finance/statements/2026-10.csv?by={by}")).await;
            assert_eq!(csv.status, StatusCode::OK);
            assert_eq!(csv_sum(&csv.body, "EffectiveCost 2026-10", currency), exact, "by={by}");
        }
        let token = world.app.token(TokenScope::Read, Role::Finance).await;
        let api = world
            .app
            .api("GET", "/api/v1/costs?view=billing&period=2026-10&by=team", &token, serde_json::Value::Null)
            .await;
        let json = api.json();
        let rows = json["rows"].as_array().unwrap().iter().filter(|row| row["billing_currency"] == currency);
        let sum: BigDecimal = rows.map(|row| row["cost"].as_str().unwrap().parse::<BigDecimal>().unwrap()).sum();
        assert_eq!(sum, exact);
        let csv = world
            .app
            .api("GET", "/api/v1/costs.csv?view=billing&period=2026-10", &token, serde_json::Value::Null)
            .await;
        assert_eq!(csv_sum(&csv.body, "EffectiveCost", currency), exact);
        let lines = finance.get(&format!("/charges.csv?billing=2026-10&cur={currency}")).await;
        assert_eq!(csv_sum(&lines.body, "EffectiveCost", currency), exact);
    }
    let page = finance.get("/finance/statements/2026-10").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("$143.35"), "net cost in cents");
    assert!(page.body.contains("€9.99"), "the other currency has its own section");
    assert!(!texts(&page.body, "section h2").iter().any(|heading| heading.is_empty()));
}

/// Shown rows add up to the shown total, in every table of the page.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn n10_shown_rows_add_up_to_the_shown_total(db: PgPool) {
    let world = world(&db).await;
    world.import("september.csv", &bill(&september()), "2026-10-02T06:00:00Z").await;
    world.import("october.csv", &bill(&october()), "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;
    for by in ["service", "env", "provider", "charge"] {
        let page = finance.get(&format!("/finance/statements/2026-10?by={by}&cur=USD")).await;
        let document = Html::parse_document(&page.body);
        let table = Selector::parse("table.sticky-col").unwrap();
        let table = document.select(&table).next().unwrap();
        let row = Selector::parse("tbody tr").unwrap();
        let cell = Selector::parse("td").unwrap();
        let mut sums = [BigDecimal::default(), BigDecimal::default()];
        for row in table.select(&row) {
            let cells: Vec<String> = row.select(&cell).map(|cell| cell.text().collect()).collect();
            for (sum, text) in sums.iter_mut().zip(&cells) {
                let amount: BigDecimal = text.replace(['$', ','], "").replace('\u{2212}', "-").trim().parse().unwrap();
                if row.value().classes().any(|class| class == "total") {
                    assert_eq!(*sum, amount, "by={by}");
                } else {
                    *sum += amount;
                }
            }
        }
    }
}

/// A correction of September on October's bill: in October by billing period, in September by charge day.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn both_views_differ_by_named_rows(db: PgPool) {
    let world = world(&db).await;
    world.import("september.csv", &bill(&september()), "2026-10-02T06:00:00Z").await;
    world.import("october.csv", &bill(&october()), "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;
    let total = |body: &str, month: &str| csv_sum(body, &format!("EffectiveCost {month}"), "USD");
    let billed = finance.get("/finance/statements/2026-10.csv").await;
    let charged = finance.get("/finance/statements/2026-10.csv?view=charge").await;
    let correction: BigDecimal = "-5.005".parse().unwrap();
    assert_eq!(total(&charged.body, "2026-10"), total(&billed.body, "2026-10") - &correction);
    let september = finance.get("/finance/statements/2026-09.csv?view=charge").await;
    assert_eq!(total(&september.body, "2026-09"), BigDecimal::from(80) + correction);
    let page = finance.get("/finance/statements/2026-10?cur=USD").await;
    let rows = texts(&page.body, "section[aria-labelledby=h-vw-1] tbody tr");
    assert_eq!(
        rows,
        [
            "By billing period: what the invoices say $143.35",
            "On this bill for September 2026: corrections 1 +$5.01",
            "By charge day: what was used $148.36",
        ]
    );
}

/// A total on `/charges` is the cell that it was reached from; the line leads to the rule that mapped it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_cell_leads_to_its_lines(db: PgPool) {
    let world = world(&db).await;
    world.import("october.csv", &bill(&october()), "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;
    let page = finance.get("/finance/statements/2026-10?by=service&cur=USD").await;
    let document = Html::parse_document(&page.body);
    let links = Selector::parse("table.sticky-col td a").unwrap();
    let hrefs: Vec<String> = document.select(&links).filter_map(|a| a.attr("href")).map(str::to_owned).collect();
    drop(document);
    let of = |needle: &str| hrefs.iter().find(|href| href.contains(needle)).unwrap_or_else(|| panic!("{hrefs:?}"));
    let lines = finance.get(of("service=checkout")).await;
    assert_eq!(lines.status, StatusCode::OK);
    assert_eq!(texts(&lines.body, ".figures dd.value"), ["$82.75"]);
    let unallocated = finance.get(of("service=none")).await;
    assert_eq!(texts(&unallocated.body, ".figures dd.value"), ["$10.60"]);
    let document = Html::parse_document(&lines.body);
    let row = Selector::parse("tbody th a").unwrap();
    let trace = document.select(&row).next().unwrap().attr("href").unwrap().to_owned();
    drop(document);
    let trace = finance.get(&trace).await;
    assert_eq!(trace.status, StatusCode::OK);
    assert!(trace.body.contains("tag:service"), "the rule that gave the line to a service");
    assert!(trace.body.contains("line 2, delivery"));
}

/// A member sees the own team's money, and nothing of the others' or of what is not allocated.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_member_sees_the_own_teams_money(db: PgPool) {
    let world = world(&db).await;
    world.import("october.csv", &bill(&october()), "2026-11-02T06:00:00Z").await;
    let team: i64 =
        sqlx::query_scalar("INSERT INTO team (slug, name) VALUES ('payments', 'Payments') RETURNING team_id")
            .fetch_one(&db)
            .await
            .unwrap();
    sqlx::query("UPDATE service SET team_id = $1 WHERE slug = 'ledger'").bind(team).execute(&db).await.unwrap();
    let member = world.app.browser(Role::Member, false, &[team]).await;
    let exact: BigDecimal = "50.0000001".parse().unwrap();
    let csv = member.get("/finance/statements/2026-10.csv?by=service").await;
    assert_eq!(csv_sum(&csv.body, "EffectiveCost 2026-10", "USD"), exact);
    let lines = member.get("/charges.csv?billing=2026-10").await;
    assert_eq!(csv_sum(&lines.body, "EffectiveCost", "USD"), exact);
    assert!(!lines.body.contains("vm-1") && !lines.body.contains("vm-3"));
    let page = member.get("/finance/statements/2026-10").await;
    assert!(!page.body.contains("Ties to the bills") && !page.body.contains("/sources/"));
    for path in ["/sources", "/deliveries/1", "/upload"] {
        assert_eq!(member.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let found = member.get("/search?q=vm-").await;
    assert!(found.body.contains("vm-2") && !found.body.contains("vm-1"));
    let team_page = member.get("/teams/payments?period=2026-10").await;
    assert_eq!(team_page.status, StatusCode::OK);
    assert!(team_page.body.contains("$50"), "{}", team_page.body);
    let token = {
        let person = world.app.person(Role::Member, false, &[team]).await;
        world.app.token_of(person, TokenScope::Read).await
    };
    let api = world
        .app
        .api("GET", "/api/v1/costs?view=billing&period=2026-10&cur=USD", &token, serde_json::Value::Null)
        .await;
    assert_eq!(api.json()["totals"][0]["cost"], "50.0000001");
}

/// Nothing of a file with unreadable lines counts until it is accepted; withdrawing takes it out again.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_quarantined_file_is_accepted_and_withdrawn(db: PgPool) {
    let world = world(&db).await;
    let mut lines = october();
    lines.truncate(3);
    lines.push(Line { cost: "twelve", ..Line::default() });
    let receipt = world.import("broken.csv", &bill(&lines), "2026-11-02T06:00:00Z").await;
    assert_eq!((receipt.state.as_str(), receipt.rejected_rows), ("quarantined", 1));
    let finance = world.finance().await;
    let path = format!("/deliveries/{}", receipt.delivery_id);
    let page = finance.get(&path).await;
    assert!(page.body.contains("Accept with 1 line missing") && page.body.contains("twelve"));
    assert!(finance.get("/finance/statements/2026-10").await.body.contains("No cost in October 2026"));
    let admin = world.app.browser(Role::Admin, false, &[]).await;
    assert_eq!(admin.post_form(&format!("{path}/accept"), &[]).await.status, StatusCode::FORBIDDEN);
    let seen = admin.get(&path).await;
    assert!(!seen.body.contains("157.5050001"), "an administrator without finance sees no amounts");
    let ask = finance.get(&format!("{path}/accept")).await;
    assert!(ask.body.contains("What would be missing"));
    let done = finance.post_form(&format!("{path}/accept"), &[]).await;
    assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, path.as_str()), "{}", done.body);
    let csv = finance.get("/finance/statements/2026-10.csv").await;
    assert_eq!(csv_sum(&csv.body, "EffectiveCost 2026-10", "USD"), "157.5050001".parse::<BigDecimal>().unwrap());
    let ask = finance.get(&format!("{path}/withdraw")).await;
    assert!(ask.body.contains("The totals of October 2026 move by \u{2212}$157.5050001."), "{}", ask.body);
    let done = finance.post_form(&format!("{path}/withdraw"), &[]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    assert!(finance.get("/finance/statements/2026-10").await.body.contains("No cost in October 2026"));
    let page = finance.get(&path).await;
    assert!(page.body.contains("accepted a held bill") && page.body.contains("withdrew a bill"), "{}", page.body);
    assert!(!page.body.contains("delivery.accepted"), "no raw codes: {}", page.body);
}

/// A restated bill says what it was; going back restores it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_restated_bill_can_be_taken_back(db: PgPool) {
    let world = world(&db).await;
    world.import("first.csv", &bill(&october()), "2026-11-02T06:00:00Z").await;
    let mut lines = october();
    lines.push(Line { cost: "40.5", ..Line::default() });
    let second = world.import("second.csv", &bill(&lines), "2026-11-04T06:00:00Z").await;
    let finance = world.finance().await;
    let page = finance.get("/finance/statements/2026-10?cur=USD").await;
    let rows = texts(&page.body, "section[aria-labelledby=h-rs-1] tbody tr");
    assert_eq!(rows.len(), 1);
    assert!(rows[0].contains("$143.35") && rows[0].contains("$183.85") && rows[0].contains("+$40.50"), "{rows:?}");
    let path = format!("/deliveries/{}/revert", second.delivery_id);
    assert!(finance.get(&path).await.body.contains("The totals of October 2026 move by \u{2212}$40.50."));
    assert_eq!(finance.post_form(&path, &[]).await.status, StatusCode::SEE_OTHER);
    let csv = finance.get("/finance/statements/2026-10.csv").await;
    assert_eq!(csv_sum(&csv.body, "EffectiveCost 2026-10", "USD"), sum_of(&october(), "USD"));
}

/// The file is on disk and on the list before the answer; the job reads it; the receipt says so.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_upload_becomes_a_receipt(db: PgPool) {
    let world = world(&db).await;
    let finance = world.finance().await;
    let upload = async |fields: &[(&str, Option<&str>, &str)]| {
        let mut body = String::new();
        for (name, file, value) in fields {
            let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
            body.push_str(&format!(
                "--line\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n"
            ));
        }
        body.push_str("--line--\r\n");
        let request = finance
            .request(Method::POST, "/upload")
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=line");
        finance.send(request.body(Body::from(body)).unwrap()).await
    };
    assert_eq!(finance.get("/upload").await.status, StatusCode::OK);
    let none = upload(&[("file", Some(""), ""), ("source", None, "x")]).await;
    assert_eq!(none.status, StatusCode::BAD_REQUEST);
    assert!(none.body.contains("No file was chosen"));
    let text = bill(&october());
    let sent = upload(&[("file", Some("../october.csv"), &text), ("source", None, "cloud-one")]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.body);
    let receipt = sent.location().to_owned();
    let waiting = finance.get(&receipt).await;
    assert!(waiting.body.contains("october.csv") && waiting.body.contains("http-equiv=\"refresh\""));
    let spool = world.folder.path().join("data/spool");
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 1);

    let wrong = upload(&[("file", Some("a.csv"), &text), ("format", None, "excel")]).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.body.contains("aws-cur"), "{}", wrong.body);
    let told = [("format", None, "focus"), ("counted_elsewhere_too", None, "yes"), ("source", None, "cloud-two")];
    upload(&[&[("file", Some("b.csv"), text.as_str())], told.as_slice()].concat()).await;
    let payload: serde_json::Value =
        sqlx::query_scalar("SELECT payload FROM job WHERE payload->>'file_name' = 'b.csv'")
            .fetch_one(&db)
            .await
            .unwrap();
    assert_eq!((&payload["format"], &payload["is_counted_elsewhere_too"]), (&"focus".into(), &true.into()));
}

/// The proof holds, says when, and is asked for again with a button.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_proof_is_run_from_its_page(db: PgPool) {
    let world = world(&db).await;
    world.import("october.csv", &bill(&october()), "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;
    assert!(finance.get("/verify").await.body.contains("has not been run yet"));
    let done = finance.post_form("/verify", &[]).await;
    assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/verify"));
    let page = finance.get("/verify").await;
    assert!(page.body.contains("invariants held") && page.body.contains("Everything adds up"), "{}", page.body);
    let viewer = world.app.browser(Role::Viewer, false, &[]).await;
    assert_eq!(viewer.get("/verify").await.status, StatusCode::OK);
    assert_eq!(viewer.post_form("/verify", &[]).await.status, StatusCode::FORBIDDEN);
}

/// What a bill calls itself never becomes markup, and never a formula.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn hostile_names_stay_text(db: PgPool) {
    let world = world(&db).await;
    let hostile = Line { service: "<img src=x onerror=alert(1)>", resource: "=cmd|' /C calc'!A0", ..Line::default() };
    let receipt = world.import("<script>alert(1)</script>.csv", &bill(&[hostile]), "2026-11-02T06:00:00Z").await;
    assert_eq!(receipt.state, "published");
    let finance = world.finance().await;
    let delivery = format!("/deliveries/{}", receipt.delivery_id);
    let paths = [
        "/finance/statements/2026-10?by=service",
        "/finance/statements",
        "/sources",
        "/sources/1",
        delivery.as_str(),
        "/charges?billing=2026-10",
        "/search?q=%3Cscript%3E",
        "/search?q=%3Dcmd",
        "/teams",
    ];
    for path in paths {
        let page = finance.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(!page.body.contains("<img src=x") && !page.body.contains("<script>alert"), "{path}");
    }
    let csv = finance.get("/charges.csv?billing=2026-10").await;
    assert!(csv.body.contains("\"'=cmd|"), "{}", csv.body);
}

/// First run: every page of this kind says what to do.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn empty_pages_say_what_to_do(db: PgPool) {
    let world = world(&db).await;
    let finance = world.finance().await;
    for (path, words) in [
        ("/finance/statements", "Upload a bill"),
        ("/finance/statements/2026-10", "No cost in October 2026"),
        ("/sources", "Upload a bill"),
        ("/charges", "No line matches"),
        ("/search", "What are you looking for?"),
        ("/search?q=nothing", "Nothing is called so"),
        ("/teams", "There are no teams yet"),
        ("/verify", "No result yet"),
    ] {
        let page = finance.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        assert!(page.body.contains(words), "{path}");
    }
    for (path, status) in [
        ("/finance/statements/2026-13", StatusCode::BAD_REQUEST),
        ("/finance/statements/2026-10?by=moon", StatusCode::BAD_REQUEST),
        ("/deliveries/999", StatusCode::NOT_FOUND),
        ("/sources/x", StatusCode::NOT_FOUND),
        ("/teams/nobody", StatusCode::NOT_FOUND),
        ("/charges?group=x", StatusCode::BAD_REQUEST),
        ("/charges/1/1", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(finance.get(path).await.status, status, "{path}");
    }
}
