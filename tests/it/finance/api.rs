//! Invoices, rates and months for scripts: the same figures and refusals as the pages.

use super::{Line, column, time, world};
use axum::http::StatusCode;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

fn lines() -> Vec<Line> {
    let line = |cost, invoice| Line { cost, invoice, ..Line::default() };
    vec![
        line("100.0000001", "INV-1"),
        line("20", "INV-2"),
        line("7.25", ""),
        Line { currency: "EUR", ..line("9", "INV-3") },
    ]
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn invoices_are_listed_entered_and_taken_away(db: PgPool) {
    let world = world(&db).await;
    world.import(&lines(), "2026-11-02T06:00:00Z").await;
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    let total = |total: &str| {
        json!({"invoice_id": "INV-1", "invoice_issuer_name": "Cloud One", "billing_currency": "USD", "total": total,
            "billing_month": "2026-10", "issue_date": "2026-11-03"})
    };
    let wrong = world.app.api("POST", "/api/v1/invoices", &token, total("1,000")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.json()["error"].as_str().unwrap().contains("is not a number"), "{}", wrong.body);
    let made = world.app.api("POST", "/api/v1/invoices", &token, total("102.0000002")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(
        (&made.json()["state"], &made.json()["difference"], &made.json()["age_days"], &made.json()["total"]),
        (&json!("differs"), &json!("-2.0000001"), &json!(17), &json!("102.0000002"))
    );

    // Beside the page's CSV: the same rows in the same order, to the last digit.
    let all = world.app.api("GET", "/api/v1/invoices?month=2026-10", &token, Value::Null).await.json();
    let csv = world.finance().await.get("/finance/invoices.csv?month=2026-10").await;
    let field = |name: &str| -> Vec<String> {
        let rows = all["invoices"].as_array().unwrap().iter();
        rows.map(|row| row[name].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(field("invoice_id"), ["INV-1", "INV-2", "INV-3"]);
    for (name, csv_name) in [
        ("invoice_id", "InvoiceId"),
        ("total", "Invoiced"),
        ("billed_cost", "BilledCost"),
        ("difference", "Difference"),
        ("state", "State"),
    ] {
        assert_eq!(field(name), column(&csv.body, csv_name), "{name}");
    }
    assert_eq!(all["without_invoice"][0]["billed_cost"], "7.25");
    let wrong = world.app.api("GET", "/api/v1/invoices?state=moon", &token, Value::Null).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);

    let tied = world.app.api("POST", "/api/v1/invoices", &token, total("100.0000001")).await.json();
    assert_eq!((&tied["state"], &tied["difference"]), (&json!("tied"), &json!("0")));
    let delete = format!("/api/v1/invoices/{}/delete", tied["id"]);
    assert_eq!(world.app.api("POST", &delete, &token, Value::Null).await.status, StatusCode::OK);
    assert_eq!(world.app.api("POST", &delete, &token, Value::Null).await.status, StatusCode::NOT_FOUND);
    // In a currency that neither ISO 4217 nor a bill has, it could never tie.
    let mut mistyped = total("1");
    mistyped["billing_currency"] = json!("ZZZ");
    let mistyped = world.app.api("POST", "/api/v1/invoices", &token, mistyped).await;
    assert_eq!(mistyped.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", mistyped.body);
    assert!(mistyped.body.contains("“ZZZ” is no currency code of ISO 4217"), "{}", mistyped.body);
    let rest = world.app.api("GET", "/api/v1/invoices?state=missing-invoice", &token, Value::Null).await.json();
    assert_eq!(rest["invoices"].as_array().unwrap().len(), 3);
    world.assert_clean().await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn rates_are_listed_entered_and_taken_away(db: PgPool) {
    let world = world(&db).await;
    world.import(&lines(), "2026-11-02T06:00:00Z").await;
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    let list = async || world.app.api("GET", "/api/v1/rates", &token, Value::Null).await.json();
    let post = async |path: &str, body: Value| world.app.api("POST", path, &token, body).await;
    assert_eq!(list().await, json!({"reporting_currency": null, "rates": [], "entered": []}));
    let rate = |text: &str| json!({"billing_month": "2026-10", "billing_currency": "USD", "rate": text, "reason": "The bank's rate."});
    let early = post("/api/v1/rates", rate("0.92")).await;
    assert_eq!(early.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(early.body.contains("Set a reporting currency first"), "{}", early.body);
    let wrong = post("/api/v1/rates/reporting-currency", json!({"currency": "euros"})).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let set = post("/api/v1/rates/reporting-currency", json!({"currency": "EUR"})).await;
    assert_eq!(set.json(), json!({"currency": null}), "what it was before");
    assert_eq!(list().await["rates"][0]["origin"], "missing");

    let made = post("/api/v1/rates", rate("0.920170")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!((&made.json()["rate"], &made.json()["reason"]), (&json!("0.92017"), &json!("The bank's rate.")));
    assert_eq!((&made.json()["replaced_rate"], &made.json()["replaced_origin"]), (&Value::Null, &Value::Null));
    let exponent = post("/api/v1/rates", rate("1e3")).await;
    assert_eq!(exponent.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", exponent.body);
    let again = post("/api/v1/rates", rate("0.9201700")).await.json();
    assert_eq!((&again["replaced_rate"], &again["replaced_origin"]), (&json!("0.92017"), &json!("entered")));
    let all = list().await;
    assert_eq!(all["rates"].as_array().unwrap().len(), 1, "the euro needs none: {all}");
    let row = &all["rates"][0];
    assert_eq!(
        (&row["rate"], &row["origin"], &row["is_closed"]),
        (&json!("0.92017"), &json!("entered"), &json!(false))
    );
    let costs = world.app.api("GET", "/api/v1/costs?view=billing&period=2026-10", &token, Value::Null).await.json();
    assert_eq!(costs["reporting"]["cost"], "126.091632592017", "127.2500001 × 0.92017 + 9");

    let which = json!({"billing_month": "2026-10", "billing_currency": "USD"});
    let removed = post("/api/v1/rates/remove", which.clone()).await;
    assert_eq!((removed.status, removed.json()), (StatusCode::OK, json!({ "removed": which.clone() })));
    assert_eq!(post("/api/v1/rates/remove", which).await.status, StatusCode::NOT_FOUND);
    assert_eq!(list().await["entered"], json!([]));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn months_are_listed_closed_and_reopened(db: PgPool) {
    let world = world(&db).await;
    world.import(&lines(), "2026-11-02T06:00:00Z").await;
    let november = Line { billed: "2026-11", day: "2026-11-03", ..Line::default() };
    world.import(&[november], "2026-11-04T06:00:00Z").await;
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    let post = async |path: &str, body: Value| world.app.api("POST", path, &token, body).await;
    let list = world.app.api("GET", "/api/v1/months", &token, Value::Null).await.json();
    let months: Vec<(&str, &str)> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|month| (month["billing_month"].as_str().unwrap(), month["state"].as_str().unwrap()))
        .collect();
    assert_eq!(months, [("2026-11", "open"), ("2026-10", "bills-in")]);
    let reason = json!({"reason": "All invoices are in."});

    assert_eq!(post("/api/v1/months/2026-11/close", reason.clone()).await.status, StatusCode::CONFLICT, "not over");
    let without = post("/api/v1/months/2026-10/close", json!({"reason": " "})).await;
    assert_eq!(without.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(post("/api/v1/months/Oct/close", reason.clone()).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let closed = post("/api/v1/months/2026-10/close", reason.clone()).await;
    assert_eq!(closed.status, StatusCode::OK, "{}", closed.body);
    let body = closed.json();
    assert_eq!((&body["state"], &body["closing"]["close_reason"]), (&json!("closed"), &reason["reason"]));
    assert_eq!(post("/api/v1/months/2026-10/close", reason.clone()).await.status, StatusCode::CONFLICT);
    let statement = world.finance().await.get("/finance/statements/2026-10").await;
    assert!(statement.body.contains("All invoices are in."), "the page shows the same closing");

    // Its rates are closed with it.
    post("/api/v1/rates/reporting-currency", json!({"currency": "EUR"})).await;
    let rate = json!({"billing_month": "2026-10", "billing_currency": "USD", "rate": "0.9", "reason": "Late."});
    let entered = post("/api/v1/rates", rate.clone()).await;
    assert!(entered.status.is_success(), "one that it lacked can be entered, once: {}", entered.body);
    assert_eq!(post("/api/v1/rates", rate).await.status, StatusCode::CONFLICT);

    let opened = post("/api/v1/months/2026-10/reopen", json!({"reason": "An invoice came late."})).await.json();
    assert_eq!((&opened["state"], &opened["closing"]), (&json!("bills-in"), &Value::Null));
    assert_eq!(opened["closings"][0]["reopen_reason"], "An invoice came late.");
    let shown = world.app.api("GET", "/api/v1/months/2026-10", &token, Value::Null).await.json();
    assert_eq!(shown, opened);
    let actions: Vec<String> =
        sqlx::query_scalar("SELECT action FROM audit_log WHERE action LIKE 'month.%' ORDER BY audit_log_id")
            .fetch_all(&db)
            .await
            .unwrap();
    assert_eq!(actions, ["month.closed", "month.reopened"]);
    let now = time("2026-11-20T10:00:00Z");
    costwake::rollup::rebuild::rebuild(&world.app.state.pools, "test", now, |_, _| {}).await.unwrap();
    world.assert_clean().await;
}
